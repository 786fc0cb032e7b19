"""All triplets of each anchor, one positive at a time.

The triplets of `n` anchors are as many as `n` times positives times negatives. Here the positives
are gone through in turn, all anchors at once, and each meets the negatives in an array `[..., n,
m]`: time is that of the triplets there are, with as many steps as the anchor with the most
positives has, and memory grows with the square of the set.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxloss import numerics

Array = jax.Array
Hinge = Callable[[Array], Array]


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def mean_cost(
    hinge: Hinge, distances: Array, margin: Array, positive: Array, negative: Array
) -> Array:
    """Return the mean of `hinge(D(a, p) - D(a, n) + margin)` over all triplets, `[..., n]`.

    Args:
      hinge: an increasing function, element by element.
      distances: `[..., n, m]`.
      margin: `[..., 1, 1]`.
      positive: `[..., n, m]`, True for positives.
      negative: `[..., n, m]`, True for negatives.
    """

    def add(total: Array, near: Array, at: Array, rivals: Array) -> Array:
        return total + _over(rivals, hinge(near - distances + margin))

    nothing = jnp.where(negative, 0, jnp.zeros_like(distances))
    total = _through(add, _over(negative, nothing), distances, positive, negative, _most(positive))
    return numerics.divide(total, _count(positive, negative, total))[..., 0]


@mean_cost.defjvp
def _mean_cost_jvp(hinge: Hinge, primals: Any, tangents: Any) -> tuple[Array, Array]:
    # Autodiff would keep every step; and a loop whose length depends on the labels has no reverse.
    value, slopes = _value_and_slopes(hinge, *primals)
    pulled = jnp.sum(jnp.where(primals[2], slopes, 0), axis=-1)
    along = jnp.sum(slopes * tangents[0], axis=-1) + pulled * tangents[1][..., 0]
    return value, along


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _value_and_slopes(
    hinge: Hinge, distances: Array, margin: Array, positive: Array, negative: Array
) -> tuple[Array, Array]:
    """Return the means `[..., n]` and their derivatives in the distances, `[..., n, m]`."""
    return _derived(hinge, distances, margin, positive, negative, _most(positive))


@_value_and_slopes.defjvp
def _slopes_jvp(hinge: Hinge, primals: Any, tangents: Any) -> Any:
    distances, margin, positive, negative = primals
    # Derivatives of derivatives may be asked for in reverse mode, which needs a known length.
    again = lambda d, m: _derived(hinge, d, m, positive, negative, distances.shape[-1])
    return jax.jvp(again, (distances, margin), tangents[:2])


def _derived(
    hinge: Hinge, distances: Array, margin: Array, positive: Array, negative: Array, steps: Any
) -> tuple[Array, Array]:
    place = _places(positive)

    def add(
        sums: tuple[Array, Array], near: Array, at: Array, rivals: Array
    ) -> tuple[Array, Array]:
        lag = near - distances + margin
        cost, slope = jax.jvp(hinge, (lag,), (jnp.ones_like(lag),))
        slope = jnp.where(rivals, slope, 0)
        pulled = jnp.where(place == at, jnp.sum(slope, axis=-1, keepdims=True), -slope)
        return sums[0] + _over(rivals, cost), sums[1] + pulled

    nothing = jnp.where(negative, 0, jnp.zeros_like(distances))
    start = _over(negative, nothing), nothing
    total, slopes = _through(add, start, distances, positive, negative, steps)
    count = _count(positive, negative, total)
    return numerics.divide(total, count)[..., 0], numerics.divide(slopes, count)


def _through(
    add: Callable[..., Any],
    start: Any,
    distances: Array,
    positive: Array,
    negative: Array,
    steps: Any,
) -> Any:
    """Go through the positives of all anchors, with `add(sums, distance, index, rivals)`.

    Distance and index of the positive are `[..., n, 1]`; the rivals are the negatives, and none for
    an anchor that has no more positives.
    """
    place, end = _places(positive), positive.shape[-1]

    def after(at: Array | int) -> Array:
        later = jnp.where(positive & (place > at), place, end)
        return jnp.min(later, axis=-1, keepdims=True)

    def step(_: Any, carry: tuple[Any, Array]) -> tuple[Any, Array]:
        sums, at = carry
        near = jnp.take_along_axis(distances, jnp.minimum(at, end - 1), axis=-1)
        return add(sums, near, at, negative & (at < end)), after(at)

    return lax.fori_loop(0, steps, step, (start, after(-1)))[0]


def _places(like: Array) -> Array:
    return lax.broadcasted_iota(jnp.int32, like.shape, like.ndim - 1)


def _most(positive: Array) -> Array:
    return jnp.max(jnp.sum(positive, axis=-1, dtype=jnp.int32), initial=0)


def _over(chosen: Array, values: Array) -> Array:
    return jnp.sum(jnp.where(chosen, values, 0), axis=-1, keepdims=True)


def _count(positive: Array, negative: Array, like: Array) -> Array:
    """Return the number of triplets of each anchor, `[..., n, 1]`."""
    positives, negatives = (
        jnp.sum(chosen, axis=-1, keepdims=True, dtype=like.dtype) for chosen in (positive, negative)
    )
    return positives * negatives
