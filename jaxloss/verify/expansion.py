"""A formula around a point, in mpmath: value, one-sided slopes, and what rounding may do to them.

A slope is a difference over a step so small, in arithmetic so long, that it is right to the last
bit of float64 wherever float32 numbers lie, ever so close to a kink or far out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import mpmath
import numpy as np

Array = np.ndarray

# The product of two differences of float32 numbers, 10^76 apart in size, and two such steps.
DIGITS = 250
STEP = mpmath.mpf(10) ** -60
STEP_AT_ZERO = mpmath.mpf(10) ** -120
# Slopes that differ by less are those of a smooth point.
SMOOTH = mpmath.mpf(10) ** -20


class Expansion(NamedTuple):
    """What a formula does around points, in float64.

    Attributes:
      value: `[n]`.
      left: `[n, k]`, the derivatives from below in each of the `k` numbers that move; NaN where
        the formula cannot be evaluated.
      right: `[n, k]`, the same from above; equal to `left` where the formula is smooth.
      value_scale: `[n]`, `|value|` and by how much it changes when every number is changed by one
        in proportion: the sum of `|x_i df/dx_i|`.
      slope_scale: `[n, k]`, the same for the derivatives; without the change at a kink.
    """

    value: Array
    left: Array
    right: Array
    value_scale: Array
    slope_scale: Array


def expand(
    reference: Callable[..., Any],
    args: Sequence[Array],
    setting: Mapping[str, Any],
    moving: Sequence[bool],
    certain: Callable[[int, float], bool] = lambda k, x: False,
) -> Expansion:
    """Expand a reference formula around every row.

    Args:
      reference: takes one row of each argument (a number or a list of numbers) and the
        hyper-parameters, returns a number.
      args: `[n]` or `[n, size]` each.
      setting: hyper-parameters by name.
      moving: which arguments to differentiate in.
      certain: tells of a number of the k-th argument that no rounding has changed it: it takes no
        part in the scales.
    """
    with mpmath.workdps(DIGITS):
        hyper = {k: _number(v) for k, v in setting.items()}
        rows = ([_number(a[i]) for a in args] for i in range(len(args[0])))
        found = [_Point(reference, row, hyper, moving, certain).expansion() for row in rows]
    return Expansion(*(np.array(column) for column in zip(*found, strict=True)))


def _number(value: Any) -> Any:
    if not isinstance(value, np.ndarray | np.generic | float | list):
        return value
    array = np.asarray(value)
    if array.ndim:
        return [_number(v) for v in array]
    return int(array) if array.dtype.kind in "iu" else mpmath.mpf(float(array))


class _Point:
    """A formula around one row; each evaluation is kept."""

    def __init__(
        self, reference: Any, row: list[Any], hyper: Any, moving: Sequence[bool], certain: Any
    ) -> None:
        self.places = [(k, i) for k, m in enumerate(moving) if m for i in _entries(row[k])]
        self.reference, self.row, self.hyper = reference, row, hyper
        self.at = [row[k] if i is None else row[k][i] for k, i in self.places]
        self.steps = [abs(x) * STEP or STEP_AT_ZERO for x in self.at]
        self.weights = [
            0 if certain(k, float(x)) else abs(x)
            for (k, _), x in zip(self.places, self.at, strict=True)
        ]
        self._known: dict[Any, Any] = {}

    def expansion(self) -> tuple[Any, ...]:
        """Return the fields of an `Expansion`."""
        numbers = range(len(self.at))
        sides = [self.sides(i) for i in numbers]
        left, right = ([float(s[k]) for s in sides] for k in (0, 1))
        slopes = [max(map(abs, s)) for s in sides]
        value = self.value()
        scale = abs(value) + self.change(slopes)
        smooth = [a == b or abs(b - a) <= SMOOTH * abs(b) for a, b in sides]
        bends = [[self.bend(i, j) if smooth[i] and smooth[j] else 0 for j in numbers]
                 for i in numbers]  # fmt: skip
        scales = [float(s + self.change(b)) for s, b in zip(slopes, bends, strict=True)]
        return float(value), left, right, float(scale), scales

    def change(self, slopes: Sequence[Any]) -> Any:
        """Return the change of something of these slopes when every number changes by one."""
        known = [w * abs(s) for w, s in zip(self.weights, slopes, strict=True) if w]
        return mpmath.fsum(c for c in known if not mpmath.isnan(c))

    def value(self, *moves: tuple[int, int]) -> Any:
        """Evaluate with some numbers moved by so many steps; NaN outside the formula's domain."""
        if moves not in self._known:
            self._known[moves] = self._evaluate(moves)
        return self._known[moves]

    def _evaluate(self, moves: Any) -> Any:
        row = [list(v) if isinstance(v, list) else v for v in self.row]
        for n, count in moves:
            k, entry = self.places[n]
            moved = self.at[n] + count * self.steps[n]
            if entry is None:
                row[k] = moved
            else:
                row[k][entry] = moved
        try:
            value = self.reference(*row, **self.hyper)
        except (ValueError, ZeroDivisionError, TypeError):
            return mpmath.nan
        return mpmath.nan if isinstance(value, mpmath.mpc) else mpmath.mpf(value)

    def sides(self, i: int) -> tuple[Any, Any]:
        """Return the derivatives from below and above, NaN where unknown."""
        left, right = self._side(i, -1), self._side(i, 1)
        if mpmath.isnan(left) == mpmath.isnan(right):
            return left, right
        # At the edge of a domain there is one side, whose slope may be infinite.
        sign, slope = (1, right) if mpmath.isnan(left) else (-1, left)
        settled = abs(self._side(i, 2 * sign) - slope) <= SMOOTH * abs(slope)
        return (slope, slope) if settled else (mpmath.nan, mpmath.nan)

    def _side(self, i: int, count: int) -> Any:
        return (self.value((i, count)) - self.value()) / (count * self.steps[i])

    def bend(self, i: int, j: int) -> Any:
        """Return a second derivative."""
        i, j = min(i, j), max(i, j)
        if i == j:
            around = self.value((i, 1)) + self.value((i, -1))
            return (around - 2 * self.value()) / self.steps[i] ** 2
        across = self.value((i, 1), (j, 1)) - self.value((i, 1)) - self.value((j, 1))
        return (across + self.value()) / (self.steps[i] * self.steps[j])


def _entries(value: Any) -> Sequence[int | None]:
    return range(len(value)) if isinstance(value, list) else [None]
