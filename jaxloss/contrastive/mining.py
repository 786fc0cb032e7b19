"""Which triplets of a labelled set count: what `triplet_loss` takes as `mining`.

A miner is a function of the distances `[..., n, m]` between anchors and members of the set and of
two masks of that shape: which members are an anchor's positives, and which its negatives. It
returns `Triplets`: for each anchor the distances of `k` triplets and how much each of them counts.
All shapes are known before the data are, so that miners run compiled; nothing is sampled.

Gradients flow through the distances that are chosen. The choice itself, and the weights, are
constants of the gradient.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxloss import arguments, numerics

Array = jax.Array


class Triplets(NamedTuple):
    """The triplets of each anchor that count.

    Attributes:
      positive: `[..., n, k]`, distance of the anchor to the positive; finite where nothing counts.
      negative: `[..., n, k]`, distance of the anchor to the negative; finite where nothing counts.
      weight: `[..., n, k]`, how much the triplet counts, >= 0.
    """

    positive: Array
    negative: Array
    weight: Array


def batch_all(distances: Array, positive: Array, negative: Array) -> Triplets:
    """Take every triplet: each positive with each negative, all alike.

    Most are easy and cost nothing, so that their mean fades as training goes on. Memory grows with
    the cube of the set.

    Args:
      distances: `[..., n, m]`, >= 0.
      positive: `[..., n, m]`, True for positives.
      negative: `[..., n, m]`, True for negatives.

    Returns:
      `Triplets` of `[..., n, m * m]`.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> row = jnp.array([[0.0, 1.0, 2.0, 3.0]])  # one anchor: itself, a positive, two negatives
      >>> positive = jnp.array([[False, True, False, False]])
      >>> mined = jl.batch_all(row, positive, jnp.array([[False, False, True, True]]))
      >>> print(mined.negative[mined.weight > 0])
      [2. 3.]

    Reference: Hermans, Beyer and Leibe, In Defense of the Triplet Loss (2017), eq. 4.
    """
    weight = (positive[..., :, None] & negative[..., None, :]).astype(distances.dtype)
    near = jnp.broadcast_to(distances[..., :, None], weight.shape)
    far = jnp.broadcast_to(distances[..., None, :], weight.shape)
    flat = (*distances.shape[:-1], distances.shape[-1] ** 2)
    return Triplets(near.reshape(flat), far.reshape(flat), weight.reshape(flat))


def batch_hard(distances: Array, positive: Array, negative: Array) -> Triplets:
    """Take each anchor's furthest positive and nearest negative.

    The hardest triplet tells most, but wrong labels as well, and early in training the easiest way
    to improve it is to draw all members to one point. Where several are equally far, they share
    the gradient. Memory grows with the square of the set.

    Args:
      distances: `[..., n, m]`, >= 0.
      positive: `[..., n, m]`, True for positives.
      negative: `[..., n, m]`, True for negatives.

    Returns:
      `Triplets` of `[..., n, 1]`.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> row = jnp.array([[0.0, 1.0, 2.0, 3.0]])  # one anchor: itself, a positive, two negatives
      >>> positive = jnp.array([[False, True, False, False]])
      >>> mined = jl.batch_hard(row, positive, jnp.array([[False, False, True, True]]))
      >>> print(mined.positive, mined.negative, mined.weight)
      [[1.]] [[2.]] [[1.]]

    Reference: Hermans, Beyer and Leibe, In Defense of the Triplet Loss (2017), eq. 5.
    """
    complete = jnp.any(positive, axis=-1) & jnp.any(negative, axis=-1)
    near = jnp.max(jnp.where(positive, distances, -jnp.inf), axis=-1)
    far = jnp.min(jnp.where(negative, distances, jnp.inf), axis=-1)
    near, far = (jnp.where(complete, d, 0)[..., None] for d in (near, far))
    return Triplets(near, far, complete.astype(distances.dtype)[..., None])


def semi_hard(distances: Array, positive: Array, negative: Array) -> Triplets:
    """Take each positive with the nearest negative that is further away than it is.

    Harder negatives than that can collapse the embedding early in training. A positive that
    lies beyond all negatives is taken with the furthest of them. Memory grows with the square of
    the set.

    The choice jumps where a negative passes the positive, and the loss with it.

    Args:
      distances: `[..., n, m]`, >= 0.
      positive: `[..., n, m]`, True for positives.
      negative: `[..., n, m]`, True for negatives.

    Returns:
      `Triplets` of `[..., n, m]`, one for each positive.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> row = jnp.array([[0.0, 1.5, 1.0, 3.0]])  # one anchor: itself, a positive, two negatives
      >>> positive = jnp.array([[False, True, False, False]])
      >>> mined = jl.semi_hard(row, positive, jnp.array([[False, False, True, True]]))
      >>> print(mined.positive[mined.weight > 0], mined.negative[mined.weight > 0])
      [1.5] [3.]

    Reference: Schroff, Kalenichenko and Philbin, FaceNet (2015), section 3.2.
    """
    chosen = _next_negative(lax.stop_gradient(distances), positive, negative)
    far = jnp.take_along_axis(distances, chosen, axis=-1)
    # A negative whose distance is unknown might have been the one.
    unknown = jnp.any(negative & jnp.isnan(distances), axis=-1, keepdims=True)
    far = far * jnp.where(unknown, jnp.nan, 1).astype(far.dtype)
    weight = positive & jnp.any(negative, axis=-1, keepdims=True)
    return Triplets(distances, jnp.where(weight, far, 0), weight.astype(distances.dtype))


def _next_negative(distances: Array, positive: Array, negative: Array) -> Array:
    """Return for each member the index of the nearest negative beyond it, or of the furthest."""
    count, axis = distances.shape[-1], distances.ndim - 1
    keys = jnp.where(positive | negative, distances, jnp.inf)
    place = lax.broadcasted_iota(jnp.int32, distances.shape, axis)
    # At equal distance negatives come first: the next one beyond is then strictly further away.
    order = lax.sort((keys, positive.astype(jnp.int32), place), num_keys=2)[2]
    is_negative = jnp.take_along_axis(negative, order, axis=-1)
    following = lax.cummin(jnp.where(is_negative, place, count), axis=axis, reverse=True)
    last = jnp.max(jnp.where(is_negative, place, 0), axis=-1, keepdims=True)
    chosen = jnp.take_along_axis(order, jnp.where(following < count, following, last), axis=-1)
    return jnp.take_along_axis(chosen, jnp.argsort(order, axis=-1).astype(jnp.int32), axis=-1)


def distance_weighted(
    distances: Array,
    positive: Array,
    negative: Array,
    *,
    size: int,
    nearest: float = 0.5,
    furthest: float = 1.4,
) -> Triplets:
    """Take every positive with negatives of all distances alike, for embeddings of length 1.

    On the sphere in `size` dimensions nearly all points are at distance `sqrt(2)` from an anchor,
    and so are negatives that are drawn evenly. Here each counts in inverse proportion to the
    density of its distance, `D^(size - 2) (1 - D^2 / 4)^((size - 3) / 2)`, with `D` taken as
    `nearest` where it is less, and not at all beyond `furthest`. The paper draws one negative for
    each positive with this probability; the loss here is the expectation of that, and needs no
    random key.

    Hand it to `triplet_loss` as `functools.partial(jaxloss.distance_weighted, size=d)`, with
    embeddings of length 1. Memory grows with the cube of the set.

    Args:
      distances: `[..., n, m]`, Euclidean, of points on the unit sphere.
      positive: `[..., n, m]`, True for positives.
      negative: `[..., n, m]`, True for negatives.
      size: the number of dimensions, >= 2.
      nearest: the distance below which weights stop to grow, > 0.
      furthest: the distance from which negatives do not count, at most 2.

    Returns:
      `Triplets` of `[..., n, m * m]`; the weights of each positive's triplets sum to 1, or are 0
      where all negatives are beyond `furthest`.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> row = jnp.array([[0.0, 0.5, 1.0, 2.0]])  # one anchor: itself, a positive, two negatives
      >>> positive = jnp.array([[False, True, False, False]])
      >>> negative = jnp.array([[False, False, True, True]])
      >>> mined = jl.distance_weighted(row, positive, negative, size=3)
      >>> print(mined.negative[mined.weight > 0], mined.weight.max())
      [1.] 1.0

    Reference: Wu et al., Sampling Matters in Deep Embedding Learning (2017), section 4.
    """
    function = "distance_weighted"
    if size < 2:
        raise arguments.reject(function, "size", "at least 2", size)
    if not 0 < nearest < furthest <= 2:
        expected = "such that 0 < nearest < furthest <= 2"
        raise arguments.reject(function, "nearest, furthest", expected, (nearest, furthest))
    counts = negative & ~(distances >= furthest)
    d = jnp.clip(lax.stop_gradient(distances), nearest, furthest)
    inside = jnp.where(counts, 1 - 0.25 * d**2, 1)
    surprise = (2 - size) * jnp.log(d) - 0.5 * (size - 3) * jnp.log(inside)
    share = jnp.exp(-numerics.softmax(jnp.where(counts, surprise, 0), counts).surprisal())
    share = jnp.where(counts, share, 0)
    near, far, weight = batch_all(distances, positive, counts)
    fair = jnp.broadcast_to(share[..., None, :], (*share.shape, share.shape[-1]))
    return Triplets(near, far, weight * fair.reshape(weight.shape))


MINERS = {"batch_all": batch_all, "batch_hard": batch_hard, "semi_hard": semi_hard}
