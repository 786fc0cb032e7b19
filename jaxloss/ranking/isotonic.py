"""Isotonic regression: which numbers share a value in the nearest ascending sequence.

These blocks change in steps. With them known the solution is a mean of each, whose derivative
autodiff gets right in every mode and order.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax import lax

Array = jax.Array
# How many blocks are kept, and where each starts and what its mean is: of the last, or of all.
Stack = tuple[Array, Array, Array]


def blocks(values: Array, taken: Array) -> Array:
    """Return where the block of each number starts, int32 `[..., n]`.

    Args:
      values: `[..., n]`, without derivative.
      taken: `[..., n]`, True for the first numbers: those that count.
    """
    values = jnp.where(taken, values, jnp.inf)
    if not values.size:
        return jnp.zeros(values.shape, jnp.int32)
    return lax.platform_dependent(values, cpu=_by_lists, default=_by_starts)


def _by_lists(values: Array) -> Array:
    """Return the same list after list, in loops of single numbers, which are compiled tightly."""
    function = jax.custom_batching.sequential_vmap(_pooled)
    for _ in range(values.ndim - 1):
        function = jax.vmap(function)
    return function(values)


def _pooled(values: Array) -> Array:
    """Go through the numbers: a block swallows those before it that are not below it."""
    put = functools.partial(lax.dynamic_update_index_in_dim, axis=0)
    none = jnp.zeros((), jnp.int32)

    def step(at: Array, stack: Stack) -> Stack:
        kept, starts, means = stack

        def swallows(last: Stack) -> Array:
            return (last[0] > 0) & (means[jnp.maximum(last[0] - 1, 0)] >= last[2])

        def swallow(last: Stack) -> Stack:
            below, start, mean = last[0] - 1, starts[last[0] - 1], means[last[0] - 1]
            # Not from sums, which lose the digits of many.
            share = (at + 1 - last[1]).astype(mean.dtype) / (at + 1 - start).astype(mean.dtype)
            return below, start, mean + share * (last[2] - mean)

        last = lax.while_loop(swallows, swallow, (kept, at, values[at]))
        return last[0] + 1, put(starts, last[1], last[0]), put(means, last[2], last[0])

    index = jnp.zeros(values.shape, jnp.int32)
    kept, starts, _ = lax.fori_loop(0, len(values), step, (none, index, jnp.zeros_like(values)))

    def fill(at: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
        block, found = state
        after = jnp.minimum(block + 1, kept - 1)
        block = jnp.where(starts[after] == at, after, block)
        return block, put(found, starts[block], at)

    return lax.fori_loop(0, len(values), fill, (none, index))[1]


def _by_starts(values: Array) -> Array:
    """Return the same for all lists at once, by the closed form of the fitted values.

    Each is the largest over starts of the smallest over ends of the mean in between.
    """
    index = lax.broadcasted_iota(jnp.int32, values.shape, values.ndim - 1)
    sums = jnp.cumsum(values, axis=-1)

    def step(level: Array, start: tuple[Array, ...]) -> tuple[Array, None]:
        at, before = start[0][..., None], start[1][..., None]
        inside = index >= at
        means = jnp.where(inside, (sums - before) / jnp.maximum(index - at + 1, 1), jnp.inf)
        least = lax.cummin(means, axis=means.ndim - 1, reverse=True)
        return jnp.maximum(level, jnp.where(inside, least, -jnp.inf)), None

    each = tuple(jnp.moveaxis(x, -1, 0) for x in (index, sums - values))
    level = lax.scan(step, jnp.full_like(values, -jnp.inf), each)[0]
    starts = jnp.where(level != jnp.roll(level, 1, axis=-1), index, 0)
    return lax.cummax(starts, axis=starts.ndim - 1)
