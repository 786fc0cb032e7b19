"""Distances and similarities between all members of two sets.

Each function takes `x` `[..., n, d]` and `y` `[..., m, d]` and returns `[..., n, m]`. They are what
the arguments `distance` and `similarity` of the losses of this room choose from by name; a function
of your own of that kind will do as well.

* Distances are computed from the differences: those of nearly coincident points keep their digits
  and are never negative. The gradient is finite everywhere; at coincident points, where a norm has
  a kink, it is 0.
* Similarities are matrix products in full precision, also where the device would round factors.
* The cosine with a zero vector is 0, with zero gradient.
* Of many members the differences `[..., n, m, d]` exist for a few rows at a time, in both
  directions of differentiation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxloss import arguments, numerics

Array = jax.Array
Between = str | Callable[[Array, Array], Array]


def distances(x: Array, y: Array, *, p: Any = 2.0, squared: bool = False) -> Array:
    """Return the `p`-norms of all differences, `[..., n, m]`, >= 0; `squared` only for `p = 2`.

    `p` is a number >= 1; one that is known to be 2 takes the shorter way.
    """
    difference = x[..., :, None, :] - y[..., None, :, :]
    if squared:
        return jnp.sum(difference**2, axis=-1)
    if isinstance(p, int | float) and p == 2:
        return numerics.norm(difference)
    p = jnp.asarray(p, difference.dtype).reshape((1,) * (difference.ndim - 1))
    return numerics.p_norm(difference, p, jnp.zeros_like(p))


def squared_distances(x: Array, y: Array) -> Array:
    """Return the squared Euclidean distances, `[..., n, m]`."""
    return distances(x, y, squared=True)


def manhattan(x: Array, y: Array) -> Array:
    """Return the sums of absolute differences, `[..., n, m]`."""
    return jnp.sum(numerics.absolute(x[..., :, None, :] - y[..., None, :, :]), axis=-1)


def cosine_distances(x: Array, y: Array) -> Array:
    """Return one minus the cosines, `[..., n, m]` in [0, 2], as half the squared chords."""
    zero = jnp.zeros((*x.shape[:-2], 1), x.dtype)
    (x, short_x), (y, short_y) = numerics.unit(x, zero), numerics.unit(y, zero)
    return 0.5 * (squared_distances(x, y) + short_x[..., :, None] + short_y[..., None, :])


def dots(x: Array, y: Array) -> Array:
    """Return the inner products, `[..., n, m]`."""
    return jnp.einsum("...nd,...md->...nm", x, y, precision=lax.Precision.HIGHEST)


def cosines(x: Array, y: Array) -> Array:
    """Return the cosines of the angles, `[..., n, m]`, in [-1, 1] up to rounding."""
    zero = jnp.zeros((*x.shape[:-2], 1), x.dtype)
    return dots(numerics.unit(x, zero)[0], numerics.unit(y, zero)[0])


DISTANCES = {
    "euclidean": distances,
    "squared_euclidean": squared_distances,
    "manhattan": manhattan,
    "cosine": cosine_distances,
}
SIMILARITIES = {"cosine": cosines, "dot": dots}


# Differences that fit a cache; as many as that are not worth taking apart.
_CHUNK = 2**18


def distance(function: str, choice: Between, x: Array, y: Array) -> Array:
    """Return the distances of the argument `distance` of a loss, `[..., n, m]`."""
    between = _chosen(function, "distance", choice, DISTANCES)
    if callable(choice) or x.size * y.shape[-2] <= _CHUNK:
        return between(x, y)
    chunk = max(1, _CHUNK * x.shape[-2] // (x.size * y.shape[-2]))
    return by_rows(lambda rows: between(rows, y), chunk, x)


def by_rows(compute: Callable[..., Any], chunk: int, *rows: Array) -> Any:
    """Return what is computed of arrays `[..., n, k]`, `[..., n, l]`, for a few rows at a time.

    What happens within is computed again for the gradient, and not kept.
    """
    count = rows[0].shape[-2]
    chunks = -(-count // chunk)

    def split(x: Array) -> Array:
        x = jnp.pad(x, [(0, 0)] * (x.ndim - 2) + [(0, chunks * chunk - count), (0, 0)])
        return jnp.moveaxis(x.reshape(*x.shape[:-2], chunks, chunk, x.shape[-1]), -3, 0)

    def joined(x: Array) -> Array:
        x = jnp.moveaxis(x, 0, -3)
        return x.reshape(*x.shape[:-3], chunks * chunk, x.shape[-1])[..., :count, :]

    once = jax.checkpoint(lambda parts: compute(*parts))
    return jax.tree.map(joined, lax.map(once, tuple(map(split, rows))))


def similarity(function: str, choice: Between, x: Array, y: Array) -> Array:
    """Return the similarities of the argument `similarity` of a loss, `[..., n, m]`."""
    return _chosen(function, "similarity", choice, SIMILARITIES)(x, y)


def _chosen(function: str, argument: str, choice: Between, table: Any) -> Any:
    if callable(choice):
        return choice
    if choice not in table:
        expected = f"one of {', '.join(table)}, or a function"
        raise arguments.reject(function, argument, expected, repr(choice))
    return table[choice]
