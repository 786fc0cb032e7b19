"""Divergences of two distributions from their mixture.

Conventions: see `jaxloss.divergence.power`, whose arguments are the same.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloss import arguments, numerics
from jaxloss.divergence import pair

Array = jax.Array


def jensen_shannon_divergence(
    log_predictions: ArrayLike,
    log_targets: ArrayLike,
    *,
    weight: ArrayLike = 0.5,
    axis: arguments.Axis = -1,
    where: ArrayLike | None = None,
) -> Array:
    """Mean divergence from the mixture, `weight KL(p || m) + (1 - weight) KL(q || m)`.

    `p = exp(log_targets)`, `q = exp(log_predictions)` and `m = weight p + (1 - weight) q`.

    Symmetric at `weight = 1/2`, and its square root is then a metric. Never infinite: at most the
    entropy of the weights, log(2) at one half, which it reaches for disjoint supports. There the
    gradient in the predictions' logits vanishes, and nothing pulls the two together: the failure
    of early adversarial training (a Wasserstein distance still pulls). Divided by `weight` it
    tends to `kl_divergence` as the weight shrinks, and divided by `1 - weight` to
    `reverse_kl_divergence` as it grows. Every term is >= 0, whatever the masses.

    Args:
      log_predictions: `[..., event]`, logarithms of probabilities.
      log_targets: `[..., event]`, logarithms of probabilities.
      weight: share of the targets in the mixture, in (0, 1); number or `[...]`.
      axis: the axis or axes of the event.
      where: True for what counts, `[..., event]` or `[...]`.

    Returns:
      `[...]`, non-negative, at most log(2) for two distributions.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> disjoint = jnp.log(jnp.array([1.0, 0.0])), jnp.log(jnp.array([0.0, 1.0]))
      >>> print(jl.jensen_shannon_divergence(*disjoint))  # log(2)
      0.6931472

    Reference: Lin, Divergence Measures Based on the Shannon Entropy (1991), eq. 4.1.
    """
    function = "jensen_shannon_divergence"
    log_q, log_p, mask = pair.log_pair(function, axis, where, log_predictions, log_targets)
    weight = arguments.per_event(function, "weight", weight, log_q, above=0.0, below=1.0)
    return arguments.masked(jnp.sum(_terms(log_p, log_q, weight), axis=-1), mask)


@jax.custom_jvp
def _terms(log_p: Array, log_q: Array, weight: Array) -> Array:
    from_p, from_q, _, _ = _parts(log_p, log_q, weight)
    return weight * from_p + (1 - weight) * from_q


@_terms.defjvp
def _terms_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    # Autodiff adds and subtracts the slope of the mixture, in which a small slope drowns.
    log_p, log_q, weight = primals
    from_p, from_q, a, b = _parts(*primals)
    slope = -weight * jnp.exp(log_p) * a * tangents[0]
    slope = slope - (1 - weight) * jnp.exp(log_q) * b * tangents[1]
    return _terms(*primals), slope + (from_p - from_q) * tangents[2]


def _parts(log_p: Array, log_q: Array, weight: Array) -> tuple[Array, Array, Array, Array]:
    """Return the divergences of p and q from the mixture m, `log(m / p)` and `log(m / q)`."""
    p, q, u = jnp.exp(log_p), jnp.exp(log_q), log_q - log_p
    mixture = weight * p + (1 - weight) * q
    a, b = _log_mixture(u, weight), _log_mixture(-u, 1 - weight)
    return pair.excess(p, mixture, a), pair.excess(q, mixture, b), a, b


def _log_mixture(u: Array, weight: Array) -> Array:
    """Return `log(weight + (1 - weight) exp(u))`, accurate near 0 and without overflow."""
    # Far below 0 the sum is near 1, and its logarithm near 0, only where the weight is near 1.
    inside = ((u > -1) | (weight > 0.5)) & (u < 50)
    near = numerics.log1p((1 - weight) * jnp.expm1(jnp.where(inside, u, 0)))
    top = jnp.where(u > 0, u, 0)
    far = top + jnp.log(weight * jnp.exp(-top) + (1 - weight) * jnp.exp(u - top))
    return jnp.where(inside, near, far)
