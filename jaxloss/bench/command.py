"""The command `jaxloss bench`."""

from __future__ import annotations

import argparse
import difflib

from jaxloss import console
from jaxloss.bench import report
from jaxloss.bench.measure import OURS, Measurement, measure
from jaxloss.bench.operations import OPERATIONS


def main(options: argparse.Namespace) -> int:
    """Measure the operations named, print and write what was found.

    Returns:
      0, or 1 where ours is wrong or broken: a fast wrong answer is a failure.
    """
    names = options.names or list(OPERATIONS)
    for name in names:
        if name not in OPERATIONS:
            near = difflib.get_close_matches(name, OPERATIONS, n=3, cutoff=0.4)
            hint = f"did you mean {' or '.join(near)}?" if near else f"try {', '.join(OPERATIONS)}."
            raise ValueError(f"no operation named {name!r}; {hint}")
    found = _measured(names, options)
    for name in names:
        report.show(name, OPERATIONS[name].what, [m for m in found if m.operation == name])
    if options.json:
        options.json.write_text(report.as_json(found))
    if options.markdown:
        tables = [report.markdown(n, [m for m in found if m.operation == n]) for n in names]
        options.markdown.write_text("\n".join(tables))
    if options.plot:
        report.plot(found, options.plot)
    return int(any(m.problem for m in found if m.contestant == OURS))


def _measured(names: list[str], options: argparse.Namespace) -> list[Measurement]:
    found: list[Measurement] = []
    sizes = {name: OPERATIONS[name].sizes[: options.sizes] for name in names}
    with console.progress(sum(map(len, sizes.values())), "measuring") as advance:
        for name in names:
            for size in sizes[name]:
                found += measure(OPERATIONS[name], size, rounds=options.rounds, seed=options.seed)
                advance(note=name)
    return found
