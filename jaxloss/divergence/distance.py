"""Distances between two distributions: bounded, symmetric, with the triangle inequality.

Conventions: see `jaxloss.divergence.power`, whose arguments are the same.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloss import arguments, numerics
from jaxloss.divergence import pair

Array = jax.Array


def total_variation_distance(
    log_predictions: ArrayLike,
    log_targets: ArrayLike,
    *,
    axis: arguments.Axis = -1,
    where: ArrayLike | None = None,
) -> Array:
    """Largest difference of the probabilities of an event, `sum(|p - q|) / 2`.

    In [0, 1] for two distributions, and 1 for disjoint supports. Kinks where `p = q` in an entry;
    the gradient given there is 0.

    Args:
      log_predictions: `[..., event]`, logarithms of probabilities.
      log_targets: `[..., event]`, logarithms of probabilities.
      axis: the axis or axes of the event.
      where: True for what counts, `[..., event]` or `[...]`.

    Returns:
      `[...]`, non-negative, 0 only where the two are equal.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> one, half = jnp.log(jnp.array([1.0, 0.0])), jnp.log(jnp.array([0.5, 0.5]))
      >>> print(jl.total_variation_distance(half, one))
      0.5

    Reference: Tsybakov, Introduction to Nonparametric Estimation (2009), definition 2.4.
    """
    function = "total_variation_distance"
    log_q, log_p, mask = pair.log_pair(function, axis, where, log_predictions, log_targets)
    larger, size = jnp.maximum(log_p, log_q), numerics.absolute(log_q - log_p)
    # From the logarithms' difference, because that of the probabilities rounds to their size.
    return arguments.masked(-0.5 * jnp.sum(jnp.exp(larger) * jnp.expm1(-size), axis=-1), mask)


def squared_hellinger_distance(
    log_predictions: ArrayLike,
    log_targets: ArrayLike,
    *,
    axis: arguments.Axis = -1,
    where: ArrayLike | None = None,
) -> Array:
    """Squared distance of the roots, `sum((sqrt(p) - sqrt(q))^2) / 2`.

    For two distributions one minus their Bhattacharyya coefficient, `1 - sum(sqrt(p q))`, in
    [0, 1]. Smooth everywhere, unlike its root, and finite where `kl_divergence` is not.

    Args:
      log_predictions: `[..., event]`, logarithms of probabilities or masses.
      log_targets: `[..., event]`, logarithms of probabilities or masses.
      axis: the axis or axes of the event.
      where: True for what counts, `[..., event]` or `[...]`.

    Returns:
      `[...]`, non-negative, 0 only where the two are equal.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> one, quarter = jnp.log(jnp.array([1.0, 0.0])), jnp.log(jnp.array([0.25, 0.75]))
      >>> print(jl.squared_hellinger_distance(quarter, one))  # 1 - sqrt(0.25)
      0.5

    Reference: Tsybakov, Introduction to Nonparametric Estimation (2009), definition 2.3, halved.
    """
    function = "squared_hellinger_distance"
    log_q, log_p, mask = pair.log_pair(function, axis, where, log_predictions, log_targets)
    return arguments.masked(0.5 * jnp.sum(_roots_apart(log_p, log_q) ** 2, axis=-1), mask)


def hellinger_distance(
    log_predictions: ArrayLike,
    log_targets: ArrayLike,
    *,
    axis: arguments.Axis = -1,
    where: ArrayLike | None = None,
) -> Array:
    """Distance of the roots, `sqrt(sum((sqrt(p) - sqrt(q))^2) / 2)`.

    A metric, in [0, 1] for two distributions. Its gradient does not shrink towards equality, where
    it has the kink of every norm; the gradient given there is 0.
    `squared_hellinger_distance` is smooth.

    Args:
      log_predictions: `[..., event]`, logarithms of probabilities or masses.
      log_targets: `[..., event]`, logarithms of probabilities or masses.
      axis: the axis or axes of the event.
      where: True for what counts, `[..., event]` or `[...]`.

    Returns:
      `[...]`, non-negative, 0 only where the two are equal.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> one = jnp.log(jnp.array([1.0, 0.0]))
      >>> print(jl.hellinger_distance(jnp.log(jnp.array([0.0, 1.0])), one))
      1.0

    Reference: as `squared_hellinger_distance`.
    """
    function = "hellinger_distance"
    log_q, log_p, mask = pair.log_pair(function, axis, where, log_predictions, log_targets)
    return arguments.masked(numerics.norm(0.5**0.5 * _roots_apart(log_p, log_q)), mask)


def _roots_apart(log_p: Array, log_q: Array) -> Array:
    """Return `|sqrt(p) - sqrt(q)|`, as smooth as its square."""
    positive, size = numerics.fold(log_p - log_q)
    larger = jnp.where(positive, log_p, log_q)
    return -jnp.exp(0.5 * larger) * jnp.expm1(-0.5 * size)
