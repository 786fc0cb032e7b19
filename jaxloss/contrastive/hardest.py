"""The hardest triplet of each anchor, found without differentiating through all distances.

Which member is the furthest or nearest is a constant of the gradient: the distances of all pairs
are computed once, to compare them, and the two that were chosen are computed again from the
vectors. Autodiff through all distances would keep the differences of all pairs, `[..., n, m, d]`,
for a gradient that is 0 in nearly all of them.

To compare them, matrix products do: by how much they may be wrong is known, and of the members that
this leaves in question the distances are computed from the differences. Where it leaves more than
two, as among ties, those of all pairs are.
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
    b = b._replace(anchors=anchors, others=others)
    if choice == "manhattan":
        return _of_all(choice, b)
    far, near, clear = _in_question(choice, b)
    return lax.cond(clear, lambda: _of_two(choice, b, far, near), lambda: _of_all(choice, b))


def _of_all(choice: str, b: batch.Labelled) -> tuple[Array, Array, Array, Array]:
    """Choose by the distances of all pairs."""

    def few(some: Any) -> tuple[Array, ...]:
        anchors, positive, negative = some
        far = between.MANY[choice](anchors, b.others)
        return _both(jnp.where(positive, far, -jnp.inf), jnp.where(negative, -far, -jnp.inf))

    some = b.anchors, b.positive, b.negative
    chunk = _PAIRS * b.mask.shape[-1] // b.positive.size
    furthest, nearest, complete, tied = rows.by_rows(few, chunk, some, b.mask.ndim - 1)
    return furthest, nearest, complete, jnp.any(tied)


def _both(positives: Array, negatives: Array) -> tuple[Array, Array, Array, Array]:
    furthest, tied, some = _largest(positives)
    nearest, tied_too, some_too = _largest(negatives)
    complete = some & some_too
    return furthest, nearest, complete, complete & (tied | tied_too)


def _in_question(choice: str, b: batch.Labelled) -> tuple[Any, Any, Array]:
    """Return the places of two positives and two negatives, and if it can only be these."""
    x, y = between.comparable(choice, b.anchors, b.others)
    square = lambda v: jnp.sum(v**2, axis=-1)
    # What rounding can do to the square of a distance, at both of those compared.
    most = jnp.sqrt(jnp.max(square(y), axis=-1, keepdims=True))
    relative = 4 * (x.shape[-1] + 8) * float(jnp.finfo(x.dtype).eps)
    slack = relative * (jnp.sqrt(square(x)) + most) ** 2

    def few(some: Any) -> tuple[Any, Any, Array]:
        x, slack, members = some
        here = b._replace(**members)
        far = square(y)[..., None, :] - 2 * between.dots(x, y)
        positives = _two(jnp.where(here.positive, far, -jnp.inf), slack[..., None])
        negatives = _two(jnp.where(here.negative, -far, -jnp.inf), slack[..., None])
        return positives[0], negatives[0], positives[1] & negatives[1]

    some = x, slack, batch.of_anchors(b)
    far, near, clear = rows.by_rows(few, batch.at_a_time(b), some, b.mask.ndim - 1)
    return far, near, jnp.all(clear)


def _two(values: Array, slack: Array) -> tuple[tuple[Array, Array], Array]:
    """Return the two largest of `[..., n, m]`: where they are, -1 for none; and if no third is."""
    first, top = _place_of_largest(values)
    second, _ = _place_of_largest(jnp.where(_index(values) == first, -jnp.inf, values))
    count = jnp.sum(values >= top - slack, axis=-1)
    known = (jnp.isfinite(top) | (top == -jnp.inf))[..., 0]
    return (first, second), known & ((count <= 2) | (top == -jnp.inf)[..., 0])


def _place_of_largest(values: Array) -> tuple[Array, Array]:
    """Return the first place of the largest, -1 for none, and the largest, `[..., n, 1]`.

    It takes a fraction of the time of the compiler's `argmax`.
    """
    top = jnp.max(values, axis=-1, keepdims=True)
    index, none = _index(values), values.shape[-1]
    at = jnp.where((values == top) & (top != -jnp.inf), index, none)
    at = jnp.min(at, axis=-1, keepdims=True)
    return jnp.where(at == none, -1, at), top


def _index(values: Array) -> Array:
    return lax.broadcasted_iota(jnp.int32, values.shape, values.ndim - 1)


def _of_two(choice: str, b: batch.Labelled, far: Any, near: Any) -> Any:
    """Choose by the distances of two positives and two negatives."""

    def distances(places: tuple[Array, Array]) -> tuple[Array, Array]:
        at = jnp.concatenate(places, axis=-1)
        values = [_to("triplet_loss", choice, b, jnp.maximum(place, 0)) for place in places]
        return at, jnp.concatenate(values, axis=-1)

    (at_far, far), (at_near, near) = distances(far), distances(near)
    positives = jnp.where(at_far < 0, -jnp.inf, far)
    negatives = jnp.where(at_near < 0, -jnp.inf, -near)
    furthest, nearest, complete, tied = _both(positives, negatives)
    pick = lambda at, which: jnp.maximum(jnp.take_along_axis(at, which, axis=-1), 0)
    return pick(at_far, furthest), pick(at_near, nearest), complete, jnp.any(tied)


def _largest(values: Array) -> tuple[Array, Array, Array]:
    """Return where the largest of `[..., n, m]` is, if it is tied, and if there is any."""
    at, top = _place_of_largest(values)
    count = jnp.sum(values == top, axis=-1, keepdims=True)
    return jnp.maximum(at, 0), count > 1, top != -jnp.inf


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
