"""The hardest triplet of each anchor, found without differentiating through all distances.

Which member is the furthest or nearest is a constant of the gradient: the distances of all pairs
are computed once, to compare them, and the two that were chosen are computed again from the
vectors. Autodiff through all distances would keep the differences of all pairs, `[..., n, m, d]`,
for a gradient that is 0 in nearly all of them.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxloss.contrastive import batch, differences, rows
from jaxloss.contrastive import mining as miners
from jaxloss.contrastive import similarity as between

Array = jax.Array

# Pairs that are compared at a time, so that they stay in a cache.
_PAIRS = 2**17


def hardest(function: str, choice: between.Between, b: batch.Labelled) -> miners.Triplets:
    """Return the furthest positive and the nearest negative of each anchor, as `batch_hard` does.

    Args:
      function: for messages.
      choice: the distance; of one that is a function all pairs are differentiated.
      b: the set.
    """
    named = not callable(choice) and choice in between.MANY
    if not (named and differences.are_many(b.anchors, b.others)):
        distances = between.distance(function, choice, b.anchors, b.others)
        return miners.batch_hard(distances, b.positive, b.negative)
    furthest, nearest, complete, tied = _chosen(str(choice), b)
    # Equally far members share the gradient: all of them must then be looked at. Without the
    # checkpoint the other branch, too, would hand on zeros in place of all distances.
    near, far = lax.cond(
        tied,
        jax.checkpoint(lambda: _shared(function, choice, b)),
        lambda: tuple(_to(function, choice, b, at) for at in (furthest, nearest)),
    )
    near, far = (jnp.where(complete, d, 0) for d in (near, far))
    return miners.Triplets(near, far, complete.astype(near.dtype))


def _chosen(choice: str, b: batch.Labelled) -> tuple[Array, Array, Array, Array]:
    """Return both indices and whether there are both, `[..., n, 1]`; and if any member is tied."""
    anchors, others = lax.stop_gradient((b.anchors, b.others))

    def few(some: Any) -> tuple[Array, ...]:
        anchors, positive, negative = some
        far = between.MANY[choice](anchors, others)
        furthest, tied, some = _largest(jnp.where(positive, far, -jnp.inf))
        nearest, tied_too, some_too = _largest(jnp.where(negative, -far, -jnp.inf))
        complete = some & some_too
        return furthest, nearest, complete, complete & (tied | tied_too)

    some = anchors, b.positive, b.negative
    axis = b.mask.ndim - 1
    chunk = _PAIRS * b.mask.shape[-1] // b.positive.size
    furthest, nearest, complete, tied = rows.by_rows(few, chunk, some, axis)
    return furthest, nearest, complete, jnp.any(tied)


def _largest(values: Array) -> tuple[Array, Array, Array]:
    """Return where the largest of `[..., n, m]` is, if it is tied, and if there is any."""
    at = jnp.argmax(values, axis=-1, keepdims=True)
    top = jnp.take_along_axis(values, at, axis=-1)
    count = jnp.sum(values == top, axis=-1, keepdims=True)
    return at, count > 1, top != -jnp.inf


def _to(function: str, choice: between.Between, b: batch.Labelled, at: Array) -> Array:
    """Return the distance of each anchor to one member, `[..., n, 1]`."""
    member = jnp.take_along_axis(b.others, at, axis=-2)
    pair = between.distance(function, choice, b.anchors[..., None, :], member[..., None, :])
    return pair[..., 0]


def _shared(function: str, choice: between.Between, b: batch.Labelled) -> tuple[Array, Array]:
    """Return both distances `[..., n, 1]`, the gradient of each shared by all as far."""
    distances = between.distance(function, choice, b.anchors, b.others)
    near, far, _ = miners.batch_hard(distances, b.positive, b.negative)
    return near, far
