"""Distances and similarities between all members of two sets.

Each function takes `x` `[..., n, d]` and `y` `[..., m, d]` and returns `[..., n, m]`. They are what
the arguments `distance` and `similarity` of the losses of this room choose from by name; a function
of your own of that kind will do as well.

* Distances are computed from the differences: those of nearly coincident points keep their digits
  and are never negative. The gradient is finite everywhere; at coincident points, where a norm has
  a kink, it is 0.
* Similarities are matrix products in full precision, also where the device would round factors.
* The cosine with a zero vector is 0, with zero gradient.
* Of many members the differences `[..., n, m, d]` are never all there (see
  `jaxloss.contrastive.differences`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxloss import arguments, numerics
from jaxloss.contrastive import differences

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
    return dots(*_units(x, y))


def _units(x: Array, y: Array) -> tuple[Array, Array]:
    zero = jnp.zeros((*x.shape[:-2], 1), x.dtype)
    return numerics.unit(x, zero)[0], numerics.unit(y, zero)[0]


DISTANCES = {
    "euclidean": distances,
    "squared_euclidean": squared_distances,
    "manhattan": manhattan,
    "cosine": cosine_distances,
}
SIMILARITIES = {"cosine": cosines, "dot": dots}


MANY = {
    "euclidean": differences.lengths,
    "squared_euclidean": differences.squares,
    "manhattan": differences.absolutes,
    "cosine": lambda x, y: 0.5 * differences.squares(*_at_right_angles(x, y)),
}


def _at_right_angles(x: Array, y: Array) -> tuple[Array, Array]:
    """Return unit vectors; those of zero vectors are at a right angle to all, one another too."""
    zero = jnp.zeros((*x.shape[:-2], 1), x.dtype)
    (x, short_x), (y, short_y) = numerics.unit(x, zero), numerics.unit(y, zero)
    beside = lambda v, a, b: jnp.concatenate([v, a[..., None], b[..., None]], axis=-1)
    return beside(x, short_x, 0 * short_x), beside(y, 0 * short_y, short_y)


def comparable(choice: str, x: Array, y: Array) -> tuple[Array, Array]:
    """Return vectors whose squared distances are in the order of the distances chosen by name."""
    return _at_right_angles(x, y) if choice == "cosine" else differences.scaled(x, y)[:2]


def distance(function: str, choice: Between, x: Array, y: Array) -> Array:
    """Return the distances of the argument `distance` of a loss, `[..., n, m]`."""
    between = _chosen(function, "distance", choice, DISTANCES)
    if not callable(choice) and differences.are_many(x, y):
        between = MANY[choice]
    return between(x, y)


def similarity(function: str, choice: Between, x: Array, y: Array) -> Array:
    """Return the similarities of the argument `similarity` of a loss, `[..., n, m]`."""
    return _chosen(function, "similarity", choice, SIMILARITIES)(x, y)


class Matrix(NamedTuple):
    """Similarities `[..., n, m]` of which some rows can be had at a time.

    Attributes:
      rows: `[..., n, k]`, what the rows are made of.
      rest: what else they are made of, a tree of arrays.
      of: `of(rows, rest)`, the similarities of some of the rows.
    """

    rows: Array
    rest: Any
    of: Callable[[Array, Any], Array]


def matrix(
    function: str, choice: Between, x: Array, y: Array, temperature: ArrayLike = 1.0
) -> Matrix:
    """Return the similarities of the argument `similarity` of a loss, over the temperature."""
    between = _chosen(function, "similarity", choice, SIMILARITIES)
    if callable(choice):  # One that may look at all vectors before it says anything of two.
        return Matrix(between(x, y) / temperature, (), _as_they_are)
    x, y = _units(x, y) if choice == "cosine" else (x, y)
    return Matrix(x / temperature, jnp.swapaxes(y, -1, -2), _product)


def _product(x: Array, y: Array) -> Array:
    return jnp.matmul(x, y, precision=lax.Precision.HIGHEST)


def _as_they_are(rows: Array, _: Any) -> Array:
    return rows


def _chosen(function: str, argument: str, choice: Between, table: Any) -> Any:
    if callable(choice):
        return choice
    if choice not in table:
        expected = f"one of {', '.join(table)}, or a function"
        raise arguments.reject(function, argument, expected, repr(choice))
    return table[choice]
