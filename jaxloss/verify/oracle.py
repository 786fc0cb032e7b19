"""Derivatives that autodiff had no part in.

`exact` differentiates an mpmath formula from either side, `ridders` a float64 function by
extrapolated central differences that say how far they can be trusted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import mpmath
import numpy as np

Array = np.ndarray

DIGITS = 120
RELATIVE_STEP = mpmath.mpf(10) ** -25
STEP_AT_ZERO = mpmath.mpf(10) ** -60


class Exact(NamedTuple):
    """Value and one-sided derivatives of a formula, correct to the last bit of float64.

    Attributes:
      value: `[n]`.
      left: for each argument its derivative from below, in the argument's shape; NaN where the
        formula cannot be evaluated there.
      right: the same from above.
    """

    value: Array
    left: list[Array]
    right: list[Array]


def exact(
    reference: Callable[..., Any],
    args: Sequence[Array],
    setting: dict[str, Any],
    differentiable: Sequence[bool],
) -> Exact:
    """Evaluate a reference formula on every row, with one-sided derivatives.

    Args:
      reference: takes one row of each argument (numbers or lists) and the hyper-parameters.
      args: `[n, *event]` each.
      setting: hyper-parameters by name.
      differentiable: for which arguments to take derivatives.
    """
    rows = len(args[0])
    value = np.zeros(rows)
    left = [np.zeros(a.shape) for a in args]
    right = [np.zeros(a.shape) for a in args]
    with mpmath.workdps(DIGITS):
        setting = {k: _number(v) for k, v in setting.items()}
        for i in range(rows):
            row = [_number(a[i]) for a in args]
            centre = reference(*row, **setting)
            value[i] = float(centre)
            for k in (k for k, d in enumerate(differentiable) if d):
                for where in np.ndindex(args[k].shape[1:]):
                    below, above = _sides(reference, row, setting, k, where, centre)
                    left[k][(i, *where)], right[k][(i, *where)] = below, above
    return Exact(value, left, right)


def _number(value: Any) -> Any:
    array = np.asarray(value)
    if array.ndim:
        return [_number(v) for v in array]
    return int(array) if array.dtype.kind in "iu" else mpmath.mpf(float(array))


def _sides(
    reference: Any, row: list[Any], setting: Any, k: int, where: tuple[int, ...], centre: Any
) -> tuple[float, float]:
    at = row[k][where[0]] if where else row[k]
    step = abs(at) * RELATIVE_STEP or STEP_AT_ZERO

    def moved(delta: Any) -> Any:
        if not where:
            return reference(*row[:k], at + delta, *row[k + 1 :], **setting)
        vector = list(row[k])
        vector[where[0]] = at + delta
        return reference(*row[:k], vector, *row[k + 1 :], **setting)

    slopes = []
    for sign in (-1, 1):
        try:
            # Second-order one-sided difference: exact for the quadratic parts of most losses.
            slope = (4 * moved(sign * step) - moved(2 * sign * step) - 3 * centre) / (
                2 * sign * step
            )
            slopes.append(float(slope))
        except (ValueError, ZeroDivisionError, TypeError):
            slopes.append(float("nan"))
    return slopes[0], slopes[1]


def ridders(
    function: Callable[[Array], Array], at: Array, directions: Array
) -> tuple[Array, Array]:
    """Differentiate a scalar function along directions, by Ridders' extrapolation.

    Args:
      function: takes points `[m, n]` to values `[m]`, in float64.
      at: `[n]`.
      directions: `[k, n]`.

    Returns:
      The derivatives `[k]` and an estimate of their errors `[k]`.
    """
    size = np.abs(directions).max(axis=-1)
    ratio, levels = 1.6, 8
    first = 2e-2 * max(np.abs(at).max(), 1e-2) / size
    steps = first[None] / ratio ** np.arange(levels)[:, None]  # [levels, k]
    offsets = steps[..., None] * directions[None]
    points = np.concatenate([at + offsets, at - offsets]).reshape(-1, at.size)
    up, down = function(points).reshape(2, levels, -1)
    table = [(up - down) / (2 * steps)]
    best, error = table[0][0], np.full(len(directions), np.inf)
    for order in range(1, levels):
        factor = ratio ** (2 * order)
        previous = table[-1]
        table.append((factor * previous[1:] - previous[:-1]) / (factor - 1))
        new = table[-1]
        estimate = np.maximum(np.abs(new - previous[1:]), np.abs(new - previous[:-1]))
        for candidate, guess in zip(new, estimate, strict=True):
            better = guess < error
            best, error = np.where(better, candidate, best), np.where(better, guess, error)
    return best, error
