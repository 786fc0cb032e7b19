"""Mean distances of the members of samples of numbers, by sorting.

In ascending order the distance of two members is the sum of the gaps between them, so that each
gap counts as often as there are pairs on its two sides: a matter of running sums of the masses.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from jaxloss import numerics
from jaxloss.divergence import samples
from jaxloss.divergence.samples import Sample

Array = jax.Array


def energy(x: Sample, y: Sample, unbiased: bool) -> Array:
    """Return `2 mean |x - y| - mean |x - x'| - mean |y - y'|` of points `[..., n, 1]`.

    The unbiased means are those over the pairs of different members.
    """
    points = jnp.concatenate([x.points[..., 0], y.points[..., 0]], axis=-1)
    unit = samples.power_of_two(jnp.max(jnp.abs(points), axis=-1))
    order = numerics.argsort(points)
    points = numerics.take(points / unit[..., None], order)
    own, other = (
        numerics.take(jnp.concatenate(shares, axis=-1), order)
        for shares in (
            (x.share, jnp.zeros_like(y.share)),
            (jnp.zeros_like(x.share), y.share),
        )
    )
    loss = -_spread(points, own - other, 0.0)
    if unbiased:
        for sample, share in ((x, own), (y, other)):
            loss = loss - _pairs_with_itself(sample) * _spread(points, share, 1.0)
    return unit * loss


def _pairs_with_itself(sample: Sample) -> Array:
    """Return by which part the mean over different members is larger than that over all."""
    alike = jnp.sum(sample.share**2, axis=-1)
    return numerics.divide(alike, 1 - alike)


def _spread(points: Array, mass: Array, total: float) -> Array:
    """Return `sum_ij mass_i mass_j |points_i - points_j|` of ascending points `[..., n]`.

    `total` is the sum of the masses. By differences of neighbours, so that no small distance is
    lost; differentiated as the sum of the points, each times what is below less what is above it.
    Points that coincide are on neither side of each other.
    """
    below = jnp.cumsum(mass, axis=-1)
    gap = jnp.diff(points, axis=-1, append=points[..., -1:])
    value = 2 * jnp.sum(numerics.weighted(below * (total - below), gap), axis=-1)
    first, last = _ties(points)
    before = jnp.where(first > 0, jnp.take_along_axis(below, jnp.maximum(first - 1, 0), -1), 0)
    slope = 2 * mass * (before + jnp.take_along_axis(below, last, -1) - total)
    slope = jnp.where(jnp.isnan(value)[..., None], jnp.nan, slope)
    centre = lax.stop_gradient(jnp.mean(points, axis=-1, keepdims=True))
    return numerics.valued(jnp.sum(slope * (points - centre), axis=-1), value)


def _ties(points: Array) -> tuple[Array, Array]:
    """Return the indices of the first and of the last point that is equal to each."""
    index = lax.broadcasted_iota(jnp.int32, points.shape, points.ndim - 1)
    differs = points[..., 1:] != points[..., :-1]
    edge = jnp.ones_like(points[..., :1], bool)
    begins, ends = (jnp.concatenate(parts, axis=-1) for parts in ((edge, differs), (differs, edge)))
    axis = points.ndim - 1
    first = lax.cummax(jnp.where(begins, index, 0), axis=axis)
    last = lax.cummin(jnp.where(ends, index, points.shape[-1]), axis=axis, reverse=True)
    return first, last
