"""What was measured, for people and for programs: a table, JSON, a picture."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax

from jaxloss import __version__, console
from jaxloss.bench.measure import OURS, Measurement, growth

COLUMNS = [
    "size", "contestant", "time, of theirs", "memory, of theirs", "ms", "quartiles",
    "temp MiB", "compile s", "error", "",
]  # fmt: skip


METRICS = ("cpu_seconds", "wall_seconds", "temp_bytes", "compile_seconds", "error")


def rows(measurements: Iterable[Measurement]) -> list[list[str]]:
    """Return the cells of the table of one operation."""
    return [
        [
            m.size, m.contestant, _number(m.ratio, ".2f"), _number(m.memory_ratio, ".3f"),
            *_times(m), _number(_mib(m), ".2f"), _number(m.compile_seconds, ".2f"),
            _number(m.error, ".0e"), m.problem,
        ]
        for m in measurements
    ]  # fmt: skip


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _times(m: Measurement) -> tuple[str, str]:
    if not m.seconds():
        return "-", ""
    low, middle, high = (1e3 * s for s in m.seconds())
    return f"{middle:.3g}", f"{low:.3g} to {high:.3g}"


def _mib(m: Measurement) -> float | None:
    return None if m.temp_bytes is None else m.temp_bytes / 2**20


def show(name: str, what: str, measurements: Sequence[Measurement]) -> None:
    """Print an operation's table, and how the time grew."""
    console.table(COLUMNS, rows(measurements), title=f"{name}: {what}")
    grown = growth(measurements)
    if grown:
        factors = ", ".join(f"{who} {factor:.3g}" for who, factor in grown.items())
        print(f"time grew from the first size to the last by: {factors}")
    print()


def as_json(measurements: Sequence[Measurement]) -> str:
    """Return what was measured, an object for each operation, size, metric and peer."""
    device = jax.devices()[0]
    about = {"jaxloss": __version__, "jax": jax.__version__, "device": device.device_kind}
    ours = {(m.operation, m.size): m for m in measurements if m.contestant == OURS}
    found = [
        entry for m in measurements for entry in _entries(m, ours.get((m.operation, m.size), m))
    ]
    return json.dumps({"about": about, "measurements": found}, indent=1) + "\n"


def _entries(m: Measurement, ours: Measurement) -> Iterator[dict[str, Any]]:
    """Say each metric of a contestant on its own, or why there is none."""
    which = {"operation": m.operation, "size": m.size, "peer": m.contestant}
    if m.problem:
        yield which | {"problem": m.problem}
    for metric in METRICS:
        mine, theirs = getattr(ours, metric), getattr(m, metric)
        if theirs is None or theirs == ():
            continue
        spread = {"quartiles": theirs} if isinstance(theirs, tuple) else {}
        value, own = (v[1] if isinstance(v, tuple) and v else v for v in (theirs, mine))
        # Of what was taken in turns the median of the ratios, else the ratio of what was found.
        ratio = m.ratio if theirs is m.seconds() else _over(own, value)
        yield which | {"metric": metric, "value": value, "ratio": ratio} | spread


def _over(ours: Any, theirs: Any) -> float | None:
    return ours / theirs if ours not in (None, ()) and theirs else None


def markdown(name: str, measurements: Sequence[Measurement]) -> str:
    """Return an operation's table for a document: ratios only, of which a document may speak."""
    lines = [
        f"### {name}\n",
        "| size | beside | time | memory | error | |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {m.size} | {m.contestant} | {_number(m.ratio, '.2f')} | "
        f"{_number(m.memory_ratio, '.3f')} | {_number(m.error, '.0e')} | {m.problem} |"
        for m in measurements
        if m.contestant != OURS
    ]
    return "\n".join(lines) + "\n"


def plot(measurements: Sequence[Measurement], file: Path) -> None:
    """Draw the ratio of times to each peer, at the largest size that was measured of each."""
    from matplotlib.figure import Figure

    last: dict[tuple[str, str], Measurement] = {}
    for m in measurements:
        if m.contestant != OURS and m.ratio is not None:
            last[m.operation, m.contestant] = m
    figure = Figure(figsize=(9, 0.32 * len(last) + 1.2), layout="constrained")
    axis: Any = figure.subplots()
    labels = [f"{operation} / {peer}" for operation, peer in last]
    ratios = [float(m.ratio or 0) for m in last.values()]
    colours = ["#0072B2" if ratio <= 1 else "#D55E00" for ratio in ratios]
    # Lines from 1: on a logarithmic axis a bar would have no beginning.
    axis.hlines(labels, 1, ratios, color=colours, linewidth=5)
    axis.scatter(ratios, labels, color=colours)
    axis.axvline(1, color="black", linewidth=1)
    axis.set_xscale("log")
    axis.margins(y=0.02)
    axis.invert_yaxis()
    axis.grid(axis="x", alpha=0.25)
    axis.set_xlabel("our time divided by theirs (left of 1: we are faster)")
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=110)
