"""Where do two losses differ? In value or gradient, by how much, and at which simplest input."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from jaxloss.catalog.kinds import Kind, example
from jaxloss.verify.checks.values import EPSILON, SMALLEST
from jaxloss.verify.shrink import shrink
from jaxloss.verify.subject import HALF, Subject

Array = np.ndarray

MODES = ("generic", "spread", "singular", "extreme")
# How many roundings of their dtype two formulas for the same thing may be apart. Both are computed
# in float32 for half-precision inputs by careful losses, and then rounded once.
ROUNDINGS = {"float64": 256, "float32": 256, "bfloat16": 4, "float16": 4}


@dataclass(frozen=True)
class Difference:
    """Where two losses differ most, in one quantity, dtype and kind of sample.

    Attributes:
      what: "value", or "d/d" with the name of an argument.
      dtype: of the inputs.
      mode: the samples: generic, spread, singular, extreme; in half precision "coarse".
      size: the difference, relative to the larger of the two (infinite where one is not finite).
      first: what the first loss gives there.
      second: what the second loss gives there.
      inputs: where, one row of each argument, by name.
      rows: how many of how many samples differ.
    """

    what: str
    dtype: str
    mode: str
    size: float
    first: Any
    second: Any
    inputs: dict[str, Any]
    rows: tuple[int, int]

    def __str__(self) -> str:
        """Return the difference in a line."""
        where = ", ".join(f"{k}={_plain(v)}" for k, v in self.inputs.items())
        return (
            f"{self.what} in {self.dtype}, {self.mode}: {_plain(self.first)} and "
            f"{_plain(self.second)} at {where} ({self.rows[0]} of {self.rows[1]} rows)"
        )


def _plain(value: Any) -> str:
    text = np.array2string(np.asarray(value), precision=6, separator=", ", threshold=12)
    return " ".join(text.split())


@dataclass(frozen=True)
class Comparison:
    """How two losses compare.

    Attributes:
      names: of the two.
      differences: the largest for each quantity, dtype and kind of sample.
      witness: the largest difference's quantity at the simplest input found where it persists.
    """

    names: tuple[str, str]
    differences: tuple[Difference, ...] = ()
    witness: Difference | None = None

    @property
    def equal(self) -> bool:
        """Whether no difference beyond rounding was found."""
        return not self.differences

    @property
    def largest(self) -> Difference | None:
        """The largest relative difference; the first in order of those as large."""
        return max(self.differences, key=lambda d: d.size, default=None)

    def __str__(self) -> str:
        """Return the largest difference of each quantity in each dtype, and the witness."""
        title = " and ".join(self.names)
        if self.equal:
            return f"{title}: equal"
        largest: dict[tuple[str, str], Difference] = {}
        for d in sorted(self.differences, key=lambda d: -d.size):
            largest.setdefault((d.what, d.dtype), d)
        lines = [f"{title} differ", *(f"  {d}" for d in largest.values())]
        return "\n".join([*lines, f"  simplest: {self.witness}"])


def compare(
    first: Callable[..., Any],
    second: Callable[..., Any],
    *arguments: Any,
    setting: Mapping[str, Any] | None = None,
    dtypes: Sequence[str] = ("float64", "float32", "bfloat16"),
    rtol: float = 0.0,
    seed: int = 0,
) -> Comparison:
    """Compare value and gradient of two losses on generic, spread, singular and extreme inputs.

    Two NaNs in the same place, and two equal infinities, agree. To give the losses different
    hyper-parameters, pass `functools.partial`s of them.

    Args:
      first: called as `first(*arguments, **setting)`, returns one value for each example.
      second: the same.
      *arguments: for each data argument its kind (`verify.reals()`), or an example array.
      setting: hyper-parameters for both.
      dtypes: of the inputs, among float64, float32, bfloat16 and float16.
      rtol: by how much they may differ besides rounding, relative to the larger.
      seed: of the samples.

    Returns:
      A `Comparison`.

    Raises:
      TypeError: if there are more arguments than the first loss takes.
      ValueError: if the losses return different shapes, or for an unknown dtype.

    Example:
      >>> import jaxloss as jl
      >>> from jaxloss import verify
      >>> reals = (verify.reals(), verify.reals())
      >>> print(verify.compare(jl.huber_loss, jl.smooth_l1_loss, *reals, dtypes=["float32"]))
      huber_loss and smooth_l1_loss: equal
      >>> twice = lambda p, t: 2 * jl.l2_loss(p, t)
      >>> found = verify.compare(jl.l2_loss, twice, *reals, dtypes=["float32"])
      >>> found.equal, found.largest.size, found.witness.inputs
      (False, 0.5, {'predictions': 1.0, 'targets': 0.0})
    """
    if unknown := set(dtypes) - set(EPSILON):
        raise ValueError(f"compare: dtypes must be among {', '.join(EPSILON)}, got {unknown}.")
    kinds = [a if isinstance(a, Kind) else example(a) for a in arguments]
    names = list(inspect.signature(first).parameters)[: len(kinds)]
    if len(names) < len(kinds):
        raise TypeError(f"compare: {_name(first)} takes {len(names)} arguments, got {len(kinds)}.")
    pair = _Pair(first, second, dict(zip(names, kinds, strict=True)), setting or {}, rtol, seed)
    found = [d for dtype in dtypes for mode in _modes(dtype) for d in pair.differences(dtype, mode)]
    titles = _names(first, second)
    report = Comparison(titles, tuple(found))
    return Comparison(titles, tuple(found), pair.shrunk(report.largest)) if found else report


def _modes(dtype: str) -> Sequence[str]:
    # Other rows are no numbers of those dtypes.
    return ("coarse",) if dtype in HALF else MODES


class _Pair:
    """Two losses on the same samples."""

    def __init__(
        self,
        first: Callable[..., Any],
        second: Callable[..., Any],
        kinds: dict[str, Kind],
        setting: Mapping[str, Any],
        rtol: float,
        seed: int,
    ) -> None:
        self.subjects = [
            Subject(_name(f), f, kinds, settings=[setting], strict=False, seed=seed)
            for f in (first, second)
        ]
        self.names, self.kinds = list(kinds), list(kinds.values())
        self.setting, self.rtol = setting, rtol

    def both(self, args: list[Array], dtype: str) -> Iterator[tuple[str, Array, Array, Array]]:
        """Yield a quantity's name, its two values `[n, *event]`, and what counts as 1 for it."""
        one, two = (s.evaluate(args, self.setting, dtype) for s in self.subjects)
        if one[0].shape != two[0].shape:
            shapes = f"{one[0].shape} and {two[0].shape}"
            raise ValueError(f"compare: the losses return different shapes, {shapes}.")
        with np.errstate(invalid="ignore", over="ignore"):
            terms = [
                np.abs(a * g).reshape(len(a), -1).sum(-1)
                for a, gs in zip(args, zip(one[1], two[1], strict=True), strict=True)
                for g in gs
            ]
        yield "value", one[0], two[0], _per_row(one[0], two[0]) + np.nan_to_num(np.max(terms, 0))
        for name, kind, g, h in zip(self.names, self.kinds, one[1], two[1], strict=True):
            if kind.differentiable:
                yield f"d/d{name}", g, h, _per_row(g, h)

    def differences(self, dtype: str, mode: str) -> Iterator[Difference]:
        """Yield the largest difference of each quantity on the samples of a mode."""
        args = self.subjects[0].coarse() if mode == "coarse" else self.subjects[0].draw(mode)
        for what, one, two, scale in self.both(args, dtype):
            size = self._sizes(one, two, scale, dtype)
            if size.any():
                yield self._at(int(np.argmax(size)), what, dtype, mode, args, one, two, size)

    def _at(
        self, row: int, what: str, dtype: str, mode: str,
        args: list[Array], one: Array, two: Array, size: Array,
    ) -> Difference:  # fmt: skip
        inputs = {k: a[row].tolist() for k, a in zip(self.names, args, strict=True)}
        counted = int(np.count_nonzero(size)), len(size)
        values = one[row].tolist(), two[row].tolist()
        return Difference(what, dtype, mode, float(size[row]), *values, inputs, counted)

    def _sizes(self, one: Array, two: Array, scale: Array, dtype: str) -> Array:
        """Return how far each row is apart, relative to the larger; 0 within rounding."""
        with np.errstate(invalid="ignore", over="ignore"):
            gap = np.where((one == two) | np.isnan(one) & np.isnan(two), 0, np.abs(one - two))
            gap = np.where(np.isnan(gap), np.inf, gap).reshape(len(gap), -1).max(-1)
            larger = _per_row(one, two)
            slack = ROUNDINGS[dtype] * EPSILON[dtype] * scale + self.rtol * larger
        relative = np.where(np.isinf(gap), np.inf, gap / np.maximum(larger, SMALLEST[dtype]))
        return np.where(gap > slack + SMALLEST[dtype], relative, 0)

    def shrunk(self, found: Difference | None) -> Difference | None:
        """Simplify the inputs of a difference, entry by entry, as long as it stays as large."""
        if found is None:
            return None
        rows = [
            np.asarray(found.inputs[n], np.int64 if k.discrete else np.float64)
            for n, k in zip(self.names, self.kinds, strict=True)
        ]
        first = lambda candidates: self._first(candidates, found)
        best = shrink(rows, self.kinds, first, at_once=self.subjects[0].rows)[1]
        return best or found

    def _first(
        self, candidates: list[list[Array]], found: Difference
    ) -> tuple[list[Array], Difference] | None:
        """Return the first candidate on which the losses differ at least half as much."""
        # Filled up, so that all calls share a compiled program.
        filled = candidates + candidates[:1] * (self.subjects[0].rows - len(candidates))
        args = [np.stack(column) for column in zip(*filled, strict=True)]
        for what, one, two, scale in self.both(args, found.dtype):
            if what == found.what:
                size = self._sizes(one, two, scale, found.dtype)
                good = np.flatnonzero(size >= 0.5 * min(found.size, 1e300))
                if good.size:
                    row = int(good[0])
                    at = self._at(row, what, found.dtype, found.mode, args, one, two, size)
                    return candidates[row], replace(at, rows=(1, 1))
        return None


def _name(loss: Callable[..., Any]) -> str:
    return str(getattr(getattr(loss, "func", loss), "__name__", loss))


def _names(first: Callable[..., Any], second: Callable[..., Any]) -> tuple[str, str]:
    """Return the names of two losses, with their modules where that tells them apart."""
    names = _name(first), _name(second)
    if names[0] != names[1]:
        return names
    modules = (str(getattr(getattr(f, "func", f), "__module__", "")) for f in (first, second))
    return f"{next(modules)}.{names[0]}", f"{next(modules)}.{names[1]}"


def _per_row(one: Array, two: Array) -> Array:
    """Return the largest finite entry of each row."""
    size = np.fmax(np.abs(one), np.abs(two))
    size = np.where(np.isfinite(size), size, 0)
    return np.asarray(size.reshape(len(size), -1).max(-1))
