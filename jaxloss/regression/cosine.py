"""Losses of the angle between vectors.

Conventions shared by both functions: `predictions` and `targets` have equal shapes; `axis` (one,
several, or None for all) holds the vectors and is reduced; `where` masks components (full shape)
or whole vectors (that shape without `axis`). The cosine with a zero vector is 0, with zero
gradient; lengths are scaled first, so that no square over- or underflows in any dtype.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloss import arguments, numerics

Array = jax.Array


def _units(
    function: str, predictions: Any, targets: Any, epsilon: Any, axis: Any, where: Any
) -> tuple[Array, Array, Array, Array]:
    """Return the two unit vectors `[..., n]`, the sum of their shortfalls `[...]`, and the mask."""
    (a, b), mask = arguments.events(function, axis, where, predictions=predictions, targets=targets)
    smallest = arguments.hyper(function, "epsilon", epsilon, a[..., 0], at_least=0.0)
    (a, short_a), (b, short_b) = numerics.unit(a, smallest), numerics.unit(b, smallest)
    return a, b, short_a + short_b, mask


def cosine_similarity(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    epsilon: ArrayLike = 0.0,
    axis: arguments.Axis = -1,
    where: ArrayLike | None = None,
) -> Array:
    """Cosine of the angle between two vectors, `<a, b> / (|a| |b|)`.

    A similarity, greater for closer vectors; `cosine_distance` is the loss. Unchanged by positive
    rescaling of either vector.

    Args:
      predictions: `[..., n]`, real (`n` at `axis`).
      targets: `[..., n]`, real.
      epsilon: smallest norm to divide by, >= 0; a number or `[...]`.
      axis: the axis or axes of the vectors.
      where: True for what counts, `[..., n]` or `[...]`.

    Returns:
      `[...]`, in [-1, 1] up to rounding.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> vectors = jnp.array([[3.0, 4.0], [0.0, 0.0]])
      >>> print(jl.cosine_similarity(vectors, jnp.array([[3.0, 0.0], [3.0, 0.0]])))
      [0.6 0. ]

    Reference: Salton et al., A Vector Space Model for Automatic Indexing (1975), sec. 1.
    """
    a, b, _, mask = _units("cosine_similarity", predictions, targets, epsilon, axis, where)
    return arguments.masked(jnp.sum(a * b, axis=-1), mask)


def cosine_distance(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    epsilon: ArrayLike = 0.0,
    axis: arguments.Axis = -1,
    where: ArrayLike | None = None,
) -> Array:
    """One minus the cosine of the angle between two vectors, as half their squared chord.

    For directions whose length has no meaning. The chord keeps the small distances that
    subtracting from 1 would round away, and is never negative. 1 where a vector is zero.

    Args:
      predictions: `[..., n]`, real (`n` at `axis`).
      targets: `[..., n]`, real.
      epsilon: smallest norm to divide by, >= 0; a number or `[...]`.
      axis: the axis or axes of the vectors.
      where: True for what counts, `[..., n]` or `[...]`.

    Returns:
      `[...]`, in [0, 2] up to rounding at 2; 0 for vectors of the same direction.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> vectors = jnp.array([[2.0, 0.0], [0.0, 1.0]])
      >>> print(jl.cosine_distance(vectors, jnp.array([[1.0, 0.0], [1.0, 0.0]])))
      [0. 1.]

    Reference: Salton et al., A Vector Space Model for Automatic Indexing (1975), sec. 1.
    """
    a, b, shortfall, mask = _units("cosine_distance", predictions, targets, epsilon, axis, where)
    return arguments.masked(0.5 * (jnp.sum((a - b) ** 2, axis=-1) + shortfall), mask)
