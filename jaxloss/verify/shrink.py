"""The simplest input at which something still holds: zeros, fewer digits, singular rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from jaxloss.catalog.claims import Fault
from jaxloss.catalog.claims.frame import short
from jaxloss.catalog.kinds import Kind
from jaxloss.verify import witness
from jaxloss.verify.subject import Subject

Array = np.ndarray
Row = list[Array]
Found = TypeVar("Found")

MOST_ROUNDS = 40
# How far from 1 rounding may take the sum of a distribution in float32.
SUM = 2.0**-21
# How often a check that failed is run again.
MOST_RUNS = 24
# And for how long, where a reference or a search is slow.
MOST_SECONDS = 5.0


def shrink(
    row: Row,
    kinds: Sequence[Kind],
    first: Callable[[list[Row]], tuple[Row, Found] | None],
    *,
    at_once: int,
    rounds: int = MOST_ROUNDS,
) -> tuple[Row, Found | None]:
    """Simplify a row of each argument, step by step.

    Args:
      row: one of each argument.
      kinds: of the arguments; what they exclude is not tried.
      first: from candidates, the simplest first, to the first of them that will still do and what
        was found there; None if none will.
      at_once: how many candidates it is handed.
      rounds: how often it is asked.

    Returns:
      The simplest row found, and what was found there (None if nothing simpler will do).
    """
    best, block = None, 0
    for _ in range(rounds):
        candidates = simpler(row, kinds)[block : block + at_once]
        if not candidates:
            break
        found = first(candidates)
        block = block + at_once if found is None else 0
        row, best = (row, best) if found is None else found
    return row, best


def simpler(row: Row, kinds: Sequence[Kind]) -> list[Row]:
    """Return rows in which one argument is simpler, those easiest to read first."""
    limit, tried = cost(row), {}
    classes = row[0].shape[-1] if row[0].ndim else 0
    for i, kind in enumerate(kinds):
        for other in _others(row[i], kind):
            valid = kind.valid is None or bool(np.all(kind.valid(other[None], classes)))
            if valid and _as_whole(row[i], other):
                candidate = [*row[:i], other, *row[i + 1 :]]
                tried[b"".join(a.tobytes() for a in candidate)] = candidate
    costs = {key: cost(candidate) for key, candidate in tried.items()}
    return [tried[key] for key in sorted(tried, key=lambda k: costs[k]) if costs[key] < limit]


def _as_whole(row: Array, other: Array) -> bool:
    """Tell whether a distribution stays one to the last bits, which `valid` does not ask."""
    shares = row.ndim > 0 and abs(row.sum(axis=-1) - 1).max() < SUM
    return not shares or bool(abs(other.sum(axis=-1) - 1).max() < SUM)


def _others(row: Array, kind: Kind) -> Iterator[Array]:
    """Yield a kind's singular rows, and the row with one entry, or all, rounded."""
    # Around an example array the rows of one mode are batches of the other's.
    yield from (np.asarray(r, row.dtype) for r in kind.singular if r.shape == row.shape)
    # Where it is not known which rows are of the kind, its own must do.
    if kind.discrete or (kind.steps != "free" and kind.valid is None):
        return
    yield from (_map(row, simplify) for simplify in _SIMPLER)
    for index in np.ndindex(row.shape):
        for simplify in _SIMPLER:
            other = row.copy()
            other[index] = simplify(float(row[index]))
            yield other


def _map(row: Array, simplify: Callable[[float], float]) -> Array:
    return np.array([simplify(float(x)) for x in row.ravel()]).reshape(row.shape)


def _digits(count: int) -> Callable[[float], float]:
    return lambda x: float(f"{x:.{count}e}")


_SIMPLER: tuple[Callable[[float], float], ...] = (
    lambda x: 0.0, lambda x: float(np.sign(x)), lambda x: float(np.rint(x)),
    _digits(0), _digits(1), _digits(2),
)  # fmt: skip


def cost(row: Row) -> float:
    """Return how hard a row is to read: digits, and entries that are not 0."""
    return float(sum(_length(x) for a in row for x in np.ravel(short(a))))


def _length(x: Any) -> float:
    if x == 0:
        return 0.5 * np.signbit(x)
    return 1.0 if x == 1 else 1.5 if x == -1 else 2.0 + len(str(abs(x))) + 0.5 * (x < 0)


# Checks


def smallest(
    faults_of: Callable[[Subject], list[Fault]], subject: Subject, faults: list[Fault]
) -> list[Fault]:
    """Return faults at the simplest inputs found at which the check says the same.

    The check itself is run again, on samples of which some are candidates. What it says first leads
    the way; of the other faults the simplest that was met is kept.

    Args:
      faults_of: runs the check.
      subject: what it failed for.
      faults: what it said.

    Returns:
      One fault of each kind.
    """
    simplest: dict[Any, Fault] = {}
    for fault in faults:
        simplest.setdefault(witness.kind_of(fault), fault)
    first = faults[0] if not faults[0].args else witness.alone(faults[0], subject)
    leading = witness.kind_of(first)
    simplest[leading] = first
    # What stands behind a mask may be no input where it is seen.
    if not first.rows or (first.where is not None and not first.counted):
        return list(simplest.values())

    mode = subject.mode_of(first.args)
    end = time.monotonic() + MOST_SECONDS

    def again(rows: list[Row]) -> tuple[Row, Fault] | None:
        if time.monotonic() > end:
            return None
        before = simplest[leading]
        for fault in _run(faults_of, _Trial(subject, rows, first.setting, mode)):
            known = simplest.get(witness.kind_of(fault))
            if known and fault.rows and _cost(fault) < _cost(known):
                simplest[witness.kind_of(fault)] = _counted_as(known, fault)
        found = simplest[leading]
        return None if found is before else (witness.row(found), found)

    # A sentence about a single row is mostly about the first.
    most = max(1, 3 * subject.rows // 4) if first.counted else 1
    shrink(witness.row(first), subject.kinds, again, at_once=most, rounds=MOST_RUNS)
    return list(simplest.values())


def _cost(fault: Fault) -> float:
    return cost(witness.row(fault))


def _counted_as(known: Fault, fault: Fault) -> Fault:
    """Return a fault with the number of rows there were among the samples, not the candidates."""
    text = fault.replace(fault.counted, known.counted)
    facts = fault.setting, fault.dtype, fault.where
    return Fault(text, fault.args, fault.rows, known.counted, *facts)


def _run(faults_of: Callable[[Subject], list[Fault]], subject: Subject) -> list[Fault]:
    try:
        return faults_of(subject)
    except Exception:  # a candidate on which the check cannot be run is no simpler failure
        return []


class _Trial(Subject):
    """A subject that hands out candidates as the first of its samples, under one setting."""

    def __init__(self, subject: Subject, rows: list[Row], setting: Any, mode: str | None) -> None:
        # The rest is shared, programs above all: nothing is compiled again.
        self.__dict__.update(subject.__dict__)
        self.settings, self.calls, self._mode = [setting], [], mode
        # What is known of the samples of other modes still holds.
        others = {m for m in subject.modes if mode not in (m, None)}
        self._exact = {k: v for k, v in subject._exact.items() if k[0] in others}
        self.rng = np.random.default_rng(self.seed)
        self._usual = subject
        self._candidates: dict[str, list[Array]] = {}
        self._columns = [
            np.stack(column) if k.discrete else np.stack(column).astype(np.float32).astype(float)
            for k, column in zip(self.kinds, zip(*rows, strict=True), strict=True)
        ]

    def draw(self, mode: str) -> list[Array]:
        """Return the samples of a mode, of which the first are candidates where they fit."""
        if mode not in self._candidates:
            usual = self._usual.draw(mode)
            fit = self._mode in (mode, None) and all(
                a.shape[1:] == c.shape[1:] for a, c in zip(usual, self._columns, strict=True)
            )
            self._candidates[mode] = [
                np.concatenate([c[: len(a)], a[len(c) :]]) if fit else a
                for a, c in zip(usual, self._columns, strict=True)
            ]
        return list(self._candidates[mode])
