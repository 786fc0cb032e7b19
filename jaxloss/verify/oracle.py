"""Derivatives that autodiff had no part in.

`exact` differentiates an mpmath formula from either side, `ridders` a float64 function by
extrapolated central differences that say how far they can be trusted.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import mpmath
import numpy as np

Array = np.ndarray

DIGITS = 120
RELATIVE_STEP = mpmath.mpf(10) ** -25
STEP_AT_ZERO = mpmath.mpf(10) ** -60
MOST_ENTRIES = 8


class Exact(NamedTuple):
    """Value and one-sided derivatives of a formula, correct to the last bit of float64.

    Attributes:
      value: `[n]`, or `[n, *out]` where the formula gives several numbers for a row.
      left: for each argument its derivative from below, in the argument's shape (of the sum of
        several numbers); NaN where the formula cannot be evaluated, or was not.
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
    values = []
    left = [
        np.full(a.shape, np.nan if d else 0.0) for a, d in zip(args, differentiable, strict=True)
    ]
    right = [a.copy() for a in left]
    total = lambda *row, **setting: _sum(reference(*row, **setting))
    rng = np.random.default_rng(rows)
    with mpmath.workdps(DIGITS):
        setting = {k: _hyper(v) for k, v in setting.items()}
        for i in range(rows):
            row = [_number(a[i]) for a in args]
            centre = reference(*row, **setting)
            values.append(_float(centre))
            for k in (k for k, d in enumerate(differentiable) if d):
                entries = list(np.ndindex(args[k].shape[1:]))
                # Of a large event a few entries: each costs four evaluations of the formula.
                for where in rng.permutation(len(entries))[:MOST_ENTRIES]:
                    entry = entries[where]
                    below, above = _sides(total, row, setting, k, entry, _sum(centre))
                    left[k][(i, *entry)], right[k][(i, *entry)] = below, above
    return Exact(np.array(values), left, right)


def _sum(value: Any) -> Any:
    return mpmath.fsum(map(_sum, value)) if isinstance(value, list | tuple) else value


def _float(value: Any) -> Any:
    return [_float(v) for v in value] if isinstance(value, list | tuple) else float(value)


def _hyper(value: Any) -> Any:
    numeric = isinstance(value, np.ndarray | np.generic | float | list)
    return _number(value) if numeric else value


def _number(value: Any) -> Any:
    array = np.asarray(value)
    if array.ndim:
        return [_number(v) for v in array]
    return int(array) if array.dtype.kind in "iu" else mpmath.mpf(float(array))


def _sides(
    reference: Any, row: list[Any], setting: Any, k: int, where: tuple[int, ...], centre: Any
) -> tuple[float, float]:
    at = functools.reduce(operator.getitem, where, row[k])
    step = abs(at) * RELATIVE_STEP or STEP_AT_ZERO

    def moved(delta: Any) -> Any:
        return reference(*row[:k], _replaced(row[k], where, at + delta), *row[k + 1 :], **setting)

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


def _replaced(array: Any, where: tuple[int, ...], value: Any) -> Any:
    """Return nested lists with one entry replaced."""
    if not where:
        return value
    copy = list(array)
    copy[where[0]] = _replaced(copy[where[0]], where[1:], value)
    return copy


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
