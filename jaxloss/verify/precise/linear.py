"""Factorisations and triangular systems, by the textbook: `[..., n, n]` matrices of any number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from jaxloss.verify.precise.rules import NUMERIC, ZERO

Array = np.ndarray

_divide, _root = NUMERIC["div"], NUMERIC["sqrt"]


def _batched(rule: Callable[..., Any], *operands: Array) -> Any:
    """Apply a rule of matrices to each of a batch of them."""
    batch = operands[0].shape[:-2]
    found = [rule(*(x[i] for x in operands)) for i in np.ndindex(batch)]
    if isinstance(found[0], tuple):
        return [_gathered(parts, batch) for parts in zip(*found, strict=True)]
    return _gathered(found, batch)


def _gathered(parts: Any, batch: tuple[int, ...]) -> Array:
    return np.stack(parts).reshape(*batch, *parts[0].shape)


def triangular_solve(
    a: Array,
    b: Array,
    *,
    left_side: bool,
    lower: bool,
    transpose_a: bool,
    unit_diagonal: bool,
    **_: Any,
) -> Array:
    """Solve `a x = b`, or `x a = b` unless it is the left side, for triangular `a`."""
    if transpose_a:
        a, lower = a.swapaxes(-1, -2), not lower
    if not left_side:
        a, b, lower = a.swapaxes(-1, -2), b.swapaxes(-1, -2), not lower
    solved = _batched(lambda m, y: _substituted(m, y, lower, unit_diagonal), a, b)
    return np.asarray(solved if left_side else solved.swapaxes(-1, -2))


def _substituted(a: Array, b: Array, lower: bool, unit: bool) -> Array:
    x, n = b.copy(), len(a)
    for i in range(n) if lower else range(n)[::-1]:
        known = range(i) if lower else range(i + 1, n)
        rest = x[i] - sum((a[i, j] * x[j] for j in known), start=ZERO)
        x[i] = rest if unit else [_divide(r, a[i, i]) for r in rest]
    return x


def cholesky(a: Array, **_: Any) -> Array:
    """Return the lower triangular `l` with `l l^T = a`."""
    return np.asarray(_batched(_cholesky, a))


def _cholesky(a: Array) -> Array:
    out = np.full(a.shape, ZERO)
    for j in range(len(a)):
        out[j, j] = _root(a[j, j] - sum((v * v for v in out[j, :j]), start=ZERO))
        for i in range(j + 1, len(a)):
            rest = a[i, j] - sum(out[i, :j] * out[j, :j], start=ZERO)
            out[i, j] = _divide(rest, out[j, j])
    return out


def lu(a: Array, **_: Any) -> list[Array]:
    """Return both factors in one matrix, the pivots and the permutation that they make."""
    factors, pivots, order = _batched(_lu, a)
    return [factors, pivots.astype(np.int32), order.astype(np.int32)]


def _lu(a: Array) -> tuple[Array, Array, Array]:
    a, order, pivots = a.copy(), np.arange(len(a)), []
    for k in range(min(a.shape)):
        pivot = k + int(np.argmax(abs(a[k:, k])))
        pivots.append(pivot)
        a[[k, pivot]], order[[k, pivot]] = a[[pivot, k]], order[[pivot, k]]
        for i in range(k + 1, len(a)):
            a[i, k] = _divide(a[i, k], a[k, k])
            a[i, k + 1 :] -= a[i, k] * a[k, k + 1 :]
    return a, np.array(pivots), order
