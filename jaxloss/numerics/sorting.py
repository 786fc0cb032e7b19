"""The one sort: along the last axis, ascending, stable, NaN last.

XLA's CPU compiler is slow with floating-point keys and with several operands: it compares through
a function that is made for each sort. Integers of one operand it sorts several times as fast. So
there the bits of a float, rewritten so that they are ordered as the float is, and its place in 32
more bits make one integer, and both are read from what is sorted. For other dtypes and platforms
it is the plain sort.

`-0.0` is equal to `0.0` (and comes out as it), and of equal keys the first is the smaller.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

Array = jax.Array

# Of which all keys fit into 32 bits.
_FLOATS = ("float32", "float16", "bfloat16")
_INTEGERS = ("int32", "int16", "int8", "uint16", "uint8", "bool")


def argsort(keys: Array, *next_keys: Array) -> Array:
    """Return where the entries of `[..., n]` are found in ascending order, int32 `[..., n]`.

    Of equal ones those come first that have the smaller next key, and the next, if there are any.
    """
    if not next_keys:
        return _ordered(lax.stop_gradient(keys))[1]
    order = argsort(*next_keys)
    return take(order, argsort(take(keys, order)))


@jax.custom_jvp
def sort(x: Array) -> Array:
    """Return the entries of `[..., n]` in ascending order."""
    return _ordered(x)[0]


@sort.defjvp
def _sort_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    # Autodiff sees no derivative in bits; the order is constant almost everywhere.
    (x,), (move,) = primals, tangents
    order = argsort(x)
    return take(x, order), take(move, order)


def take(x: Array, order: Array) -> Array:
    """Return `[..., n]` in another order: entry `i` of the result is entry `order[i]` of `x`."""
    pick = lambda x, at: x.at[at].get(unique_indices=True, mode="promise_in_bounds")
    return _by_rows(pick, x, order)


def put(x: Array, order: Array) -> Array:
    """Undo `take`: entry `order[i]` of the result is entry `i` of `x`."""
    back = lambda x, at: (
        jnp.zeros_like(x).at[at].set(x, unique_indices=True, mode="promise_in_bounds")
    )
    return _by_rows(back, x, order)


def places(keys: Array, *next_keys: Array) -> Array:
    """Return the place of each entry in the order of `argsort`, from 0, int32 `[..., n]`."""
    order = argsort(keys, *next_keys)
    return put(_index(order), order)


def _by_rows(function: Callable[..., Array], x: Array, order: Array) -> Array:
    for _ in range(x.ndim - 1):
        function = jax.vmap(function)
    return function(*_split_alike(x, order))


def _split_alike(x: Array, order: Array) -> tuple[Array, Array]:
    """Return both as the one is split that is, over the explicit axes of a mesh."""
    one, other = jax.typeof(x).sharding, jax.typeof(order).sharding
    if one.spec == other.spec:
        return x, order
    if any(part is not None for part in one.spec):
        return x, jax.sharding.reshard(order, one)
    return jax.sharding.reshard(x, other), order


def _index(like: Array) -> Array:
    return lax.broadcasted_iota(jnp.int32, like.shape, like.ndim - 1)


def _ordered(x: Array) -> tuple[Array, Array]:
    """Return the entries in ascending order, and where they were."""
    if x.dtype.name not in _FLOATS + _INTEGERS:
        return _plain(x)
    return lax.platform_dependent(x, cpu=_packed, default=_plain)


def _plain(x: Array) -> tuple[Array, Array]:
    # Places are split over shards as the entries are, and their type must say so.
    index = _index(x) + 0 * (x != x).astype(jnp.int32)
    values, order = lax.sort((x, index), num_keys=1, is_stable=True)
    return jnp.where(values == 0, jnp.zeros_like(values), values), order


def _packed(x: Array) -> tuple[Array, Array]:
    floating = x.dtype.name in _FLOATS
    keys = _as_integers(x.astype(jnp.float32)) if floating else x.astype(jnp.int32)
    with jax.enable_x64(True):
        both = lax.sort((keys.astype(jnp.int64) << 32) | _index(keys).astype(jnp.int64))
        keys, order = (both >> 32).astype(jnp.int32), both.astype(jnp.int32)
    return (_as_floats(keys) if floating else keys).astype(x.dtype), order


def _as_integers(x: Array) -> Array:
    """Return integers that are ordered as the floats are."""
    x = jnp.where(x == 0, jnp.zeros_like(x), jnp.where(jnp.isnan(x), jnp.full_like(x, jnp.nan), x))
    return _mirrored(lax.bitcast_convert_type(x, jnp.int32))


def _as_floats(keys: Array) -> Array:
    return lax.bitcast_convert_type(_mirrored(keys), jnp.float32)


def _mirrored(bits: Array) -> Array:
    # Sign and size: the more bits a negative number has, the smaller it is.
    return jnp.where(bits < 0, bits ^ 0x7FFFFFFF, bits)
