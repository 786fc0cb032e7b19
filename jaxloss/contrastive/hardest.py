"""The hardest triplet of each anchor, found without differentiating through all distances.

Which member is the furthest or nearest is a constant of the gradient: the distances of all pairs
are computed once, to compare them, and the two that were chosen are computed again from the
vectors. Autodiff through all distances would keep the differences of all pairs, `[..., n, m, d]`,
for a gradient that is 0 in nearly all of them.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from jaxloss import numerics
from jaxloss.contrastive import batch
from jaxloss.contrastive import mining as miners
from jaxloss.contrastive import similarity as between

Array = jax.Array

# Components whose differences are summed before they are stored: as many as registers can hold.
_BLOCK = 16
# Below this number of differences the plain form is as fast.
_FEW = 2**15


def hardest(function: str, choice: between.Between, b: batch.Labelled) -> miners.Triplets:
    """Return the furthest positive and the nearest negative of each anchor, as `batch_hard` does.

    Args:
      function: for messages.
      choice: the distance; of one that is a function all pairs are differentiated.
      b: the set.
    """
    if callable(choice) or choice not in _STANDING or b.anchors.size * b.others.shape[-2] <= _FEW:
        distances = between.distance(function, choice, b.anchors, b.others)
        return miners.batch_hard(distances, b.positive, b.negative)
    order = lax.stop_gradient(_order(choice, b.anchors, b.others))
    complete = jnp.any(b.positive, axis=-1) & jnp.any(b.negative, axis=-1)
    furthest, tied = _furthest(order, b.positive)
    nearest, tied_too = _furthest(-order, b.negative)
    # Equally far members share the gradient: all of them must then be looked at.
    near, far = lax.cond(
        jnp.any(complete & (tied | tied_too)),
        lambda: _shared(function, choice, b),
        lambda: tuple(_to(function, choice, b, at) for at in (furthest, nearest)),
    )
    near, far = (jnp.where(complete, d, 0)[..., None] for d in (near, far))
    return miners.Triplets(near, far, complete.astype(near.dtype)[..., None])


def _furthest(order: Array, chosen: Array) -> tuple[Array, Array]:
    """Return the index `[..., n]` of the furthest that is chosen, and whether others are as far."""
    among = jnp.where(chosen, order, -jnp.inf)
    at = jnp.argmax(among, axis=-1)
    top = jnp.take_along_axis(among, at[..., None], axis=-1)
    return at, jnp.sum(chosen & (among == top), axis=-1) > 1


def _to(function: str, choice: between.Between, b: batch.Labelled, at: Array) -> Array:
    """Return the distance of each anchor to one member, `[..., n]`."""
    member = jnp.take_along_axis(b.others, at[..., None], axis=-2)
    pair = between.distance(function, choice, b.anchors[..., None, :], member[..., None, :])
    return pair[..., 0, 0]


def _shared(function: str, choice: between.Between, b: batch.Labelled) -> tuple[Array, Array]:
    """Return both distances `[..., n]`, the gradient of each shared by all that are equally far."""
    distances = between.distance(function, choice, b.anchors, b.others)
    near, far, _ = miners.batch_hard(distances, b.positive, b.negative)
    return near[..., 0], far[..., 0]


def _order(choice: str, x: Array, y: Array) -> Array:
    """Return `[..., n, m]`, greater where the distance is."""
    x, y = _STANDING[choice](x, y)
    term = jnp.abs if choice == "manhattan" else jnp.square
    return _summed(term, x, y)


def _scaled(x: Array, y: Array) -> tuple[Array, Array]:
    # Of entries about 1 no square overflows.
    most = jnp.max(jnp.abs(y), axis=(-2, -1), keepdims=True, initial=0)
    most = jnp.where((most > 0) & jnp.isfinite(most), most, 1)
    return x / most, y / most


def _on_sphere(x: Array, y: Array) -> tuple[Array, Array]:
    # A zero vector is at a right angle to all others, and to another one.
    zero = jnp.zeros((*x.shape[:-2], 1), x.dtype)
    (x, short_x), (y, short_y) = numerics.unit(x, zero), numerics.unit(y, zero)
    beside = lambda v, a, b: jnp.concatenate([v, a[..., None], b[..., None]], axis=-1)
    return beside(x, short_x, 0 * short_x), beside(y, 0 * short_y, short_y)


_STANDING = {
    "euclidean": _scaled,
    "squared_euclidean": _scaled,
    "manhattan": _scaled,
    "cosine": _on_sphere,
}


def _summed(term: object, x: Array, y: Array) -> Array:
    """Return the sums `[..., n, m]` of a term of the differences, some components at a time.

    Of differences and not of products, so that nearly coincident points are told apart.
    """
    blocks = -(-x.shape[-1] // _BLOCK)

    def split(v: Array) -> Array:
        v = jnp.pad(v, [(0, 0)] * (v.ndim - 1) + [(0, blocks * _BLOCK - v.shape[-1])])
        v = jnp.moveaxis(v, -1, 0)
        return v.reshape(blocks, _BLOCK, *v.shape[1:])

    def block(a: Array, b: Array) -> Array:
        terms = (term(a[k][..., :, None] - b[k][..., None, :]) for k in range(_BLOCK))
        return sum(terms)

    a, b = split(x), split(y)
    add = lambda total, ab: (total + block(*ab), None)
    return lax.scan(add, block(a[0], b[0]), (a[1:], b[1:]))[0]
