"""Primitives that only move entries about, whatever the entries are.

What NumPy says as simply, NumPy does. The rest is run by JAX itself on the numbers of the entries,
and then by them the entries are picked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax import lax

Array = np.ndarray


def _broadcast(x: Array, *, shape: Any, broadcast_dimensions: Any, **_: Any) -> Array:
    inner = np.ones(len(shape), int)
    inner[list(broadcast_dimensions)] = x.shape
    return np.broadcast_to(x.reshape(inner), shape)


def _slice(x: Array, *, start_indices: Any, limit_indices: Any, strides: Any) -> Array:
    steps = strides or (1,) * x.ndim
    return x[tuple(map(slice, start_indices, limit_indices, steps))]


def _select(which: Array, *cases: Array) -> Array:
    which = np.broadcast_to(which, np.broadcast_shapes(*(np.shape(c) for c in cases)))
    out = np.empty(which.shape, cases[0].dtype)
    for i, case in enumerate(cases):
        out[which == i] = np.broadcast_to(case, out.shape)[which == i]
    return out


def _split(x: Array, *, sizes: Any, axis: int) -> list[Array]:
    return np.split(x, np.cumsum(sizes)[:-1], axis)


MOVES: dict[str, Callable[..., Any]] = {
    "reshape": lambda x, new_sizes, **_: x.reshape(new_sizes),
    "squeeze": lambda x, dimensions: np.squeeze(x, tuple(dimensions)),
    "expand_dims": lambda x, dimensions: np.expand_dims(x, tuple(dimensions)),
    "transpose": lambda x, permutation: x.transpose(permutation),
    "rev": lambda x, dimensions: np.flip(x, tuple(dimensions)),
    "tile": lambda x, reps: np.tile(x, reps),
    "broadcast_in_dim": _broadcast,
    "concatenate": lambda *xs, dimension: np.concatenate(xs, dimension),
    "stack": lambda *xs, axis=0: np.stack(xs, axis),
    "unstack": lambda x, axis=0: [np.take(x, i, axis) for i in range(x.shape[axis])],
    "split": _split,
    "slice": _slice,
    "select_n": _select,
}

# What JAX must do itself.
INDEXED = {"gather", "dynamic_slice", "dynamic_update_slice", "pad"}


def by_index(equation: Any, operands: Sequence[Array], floats: Sequence[bool], nan: Any) -> Array:
    """Carry out an operation on the numbers of the entries of its floating operands.

    Args:
      equation: of a primitive that moves entries.
      operands: arrays, of objects where `floats` says so.
      floats: which operands hold the entries.
      nan: what stands where an index was out of bounds, if the operation does not say.
    """
    pool = np.concatenate([x.ravel() for x, f in zip(operands, floats, strict=True) if f])
    numbered, start = [], 0
    for x, is_float in zip(operands, floats, strict=True):
        numbered.append(_numbers(start, x) if is_float else x)
        start += x.size if is_float else 0
    params = dict(equation.params)
    outside = nan
    if "fill_value" in params:
        outside = nan if params["fill_value"] is None else params["fill_value"]
        params["fill_value"] = -1
    picked = np.asarray(equation.primitive.bind(*map(as_jax, numbered), **params))
    pool = np.append(pool, outside)
    return pool[np.where(picked < 0, len(pool) - 1, picked)]


def _numbers(start: int, x: Array) -> Array:
    return np.arange(start, start + x.size, dtype=np.int32).reshape(x.shape)


def as_jax(x: Any) -> Any:
    """Return an array as JAX's, as bare primitives want it."""
    return x if isinstance(x, jax.Array) else jax.numpy.asarray(x)


def scatter(rule: Callable[..., Any], equation: Any, operands: Sequence[Any]) -> Array:
    """Combine the entries of `updates` one by one into those of an array.

    Where each of them goes, a gather with the same numbers tells: it is the scatter's transpose.
    """
    into, indices, updates = operands
    params = equation.params
    out = into.ravel().copy()
    targets = lax.gather(
        as_jax(_numbers(0, into)),
        as_jax(indices),
        _transposed(params["dimension_numbers"]),
        _window(params["dimension_numbers"], into.shape, updates.shape),
        mode=params["mode"],
        fill_value=-1,
    )
    for target, update in zip(np.asarray(targets).ravel(), updates.ravel(), strict=True):
        if target >= 0:
            out[target] = rule(out[target], update)
    return out.reshape(into.shape)


def _transposed(numbers: Any) -> lax.GatherDimensionNumbers:
    return lax.GatherDimensionNumbers(
        offset_dims=numbers.update_window_dims,
        collapsed_slice_dims=numbers.inserted_window_dims,
        start_index_map=numbers.scatter_dims_to_operand_dims,
        operand_batching_dims=numbers.operand_batching_dims,
        start_indices_batching_dims=numbers.scatter_indices_batching_dims,
    )


def _window(
    numbers: lax.ScatterDimensionNumbers, into: Sequence[int], updates: Sequence[int]
) -> tuple[int, ...]:
    """Return the extent of one update in each axis of the array that it goes into."""
    flat = (*numbers.inserted_window_dims, *numbers.operand_batching_dims)
    sizes = iter([updates[i] for i in numbers.update_window_dims])
    return tuple(1 if i in flat else next(sizes) for i in range(len(into)))
