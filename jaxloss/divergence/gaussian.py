"""Divergences of Gaussians from their parameters."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloss import arguments, numerics

Array = jax.Array


def gaussian_kl_divergence(
    mean: ArrayLike,
    log_variance: ArrayLike,
    prior_mean: ArrayLike | None = None,
    prior_log_variance: ArrayLike | None = None,
    *,
    axis: arguments.Axis = -1,
    where: ArrayLike | None = None,
) -> Array:
    """Divergence of a diagonal Gaussian from a prior, `KL(N(mean, var) || N(prior))`.

    `sum(v - 1 - log(v) + (mean - prior_mean)^2 / prior_var) / 2` over the latent dimensions, with
    `v = var / prior_var`. The regulariser of variational autoencoders, in their direction: the
    average is over the first Gaussian. Log-variances, not standard deviations.

    Args:
      mean: `[..., latent]`, real.
      log_variance: `[..., latent]`, real.
      prior_mean: `[..., latent]`, real; None for 0.
      prior_log_variance: `[..., latent]`, real; None for 0, a variance of 1.
      axis: the axis or axes of the latent dimensions.
      where: True for what counts, `[..., latent]` or `[...]`.

    Returns:
      `[...]`, non-negative, 0 only where the two are equal.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.gaussian_kl_divergence(jnp.array([2.0, 0.0]), jnp.array([0.0, 0.0])))
      2.0

    Reference: Kingma and Welling, Auto-Encoding Variational Bayes (2014), appendix B.
    """
    function = "gaussian_kl_divergence"
    given: dict[str, Any] = {"mean": mean, "log_variance": log_variance}
    if prior_mean is not None:
        given["prior_mean"] = prior_mean
    if prior_log_variance is not None:
        given["prior_log_variance"] = prior_log_variance
    arrays, mask = arguments.events(function, axis, where, **given)
    data = dict(zip(given, arrays, strict=True))
    zero = jnp.zeros_like(data["mean"])
    prior_log_variance = data.get("prior_log_variance", zero)
    shift = data["mean"] - data.get("prior_mean", zero)
    # Equal means are no distance apart, however narrow the prior.
    silent = (shift == 0) & jnp.isinf(jnp.exp(-prior_log_variance))
    apart = (shift * jnp.exp(jnp.where(silent, 0, -0.5 * prior_log_variance))) ** 2
    spread = numerics.exp_remainder(data["log_variance"] - prior_log_variance)
    return arguments.masked(0.5 * jnp.sum(spread + apart, axis=-1), mask)
