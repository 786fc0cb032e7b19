"""Kullback-Leibler divergences, in both directions and of unnormalised masses.

Conventions shared by every function of this module:

* The forward divergence `KL(targets || predictions)` averages over the targets and is what
  maximum likelihood minimises: it makes predictions cover everything the targets do. The reverse
  one, `KL(predictions || targets)`, averages over the predictions: it makes them avoid whatever
  the targets do, and may settle on one mode.
* Predictions come first, as in `optax` and `torch.nn.functional.kl_div`; `KL(P || Q)` is written
  with the targets first. Nats, not bits.
* `log_...` are logarithms of probabilities, best from `jax.nn.log_softmax`; minus infinity is a
  probability of 0. `0 log 0` is 0, and a divergence is infinite where it must be.
* The formula is taken as it stands, also where a mass is not 1 (all but `generalized_...` may
  then be negative). Where the two masses are equal up to the rounding of the inputs they count as
  equal: the value is then a sum of terms none of which is negative, right however small it is.
* The gradient is that of the formula. In a target of probability 0, where it is minus infinity,
  the gradient given is 0.
* `axis`: the axis or axes of the event, None for all. `where`: True for what counts, of the shape
  of the predictions or that shape without `axis`. No broadcasting; what is wrong raises.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloss import arguments, numerics
from jaxloss.divergence import pair

Array = jax.Array


def kl_divergence(
    log_predictions: ArrayLike,
    targets: ArrayLike,
    axis: arguments.Axis = -1,
    where: ArrayLike | None = None,
) -> Array:
    """Forward Kullback-Leibler divergence, `sum(targets (log(targets) - log_predictions))`.

    `KL(targets || predictions)`: the cross-entropy less the entropy of the targets, so that 0
    means a perfect fit. Its gradient in the log-predictions is `-targets`. For targets in
    logarithms `kl_divergence_with_log_targets`, for masses that are not 1
    `generalized_kl_divergence`, for logits of a teacher `distillation_loss`.

    Args:
      log_predictions: `[..., event]`, logarithms of probabilities.
      targets: `[..., event]`, probabilities, >= 0.
      axis: the axis or axes of the event.
      where: True for what counts, `[..., event]` or `[...]`.

    Returns:
      `[...]`, non-negative for two distributions; NaN for a negative target.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> half = jnp.log(jnp.array([0.5, 0.5]))
      >>> print(jl.kl_divergence(half, jnp.array([0.0, 1.0])))  # log(2)
      0.6931472

    Reference: Kullback and Leibler, On Information and Sufficiency (1951), eq. 2.4.
    """
    function = "kl_divergence"
    log_q, p, log_p, mask = _with_targets(function, axis, where, log_predictions, targets)
    rounding = pair.rounding_of(log_predictions, targets)
    mass = jnp.sum(p, axis=-1)
    return arguments.masked(_relative_entropy(_mass(p), log_p, log_q, mass, rounding), mask)


def kl_divergence_with_log_targets(
    log_predictions: ArrayLike,
    log_targets: ArrayLike,
    axis: arguments.Axis = -1,
    where: ArrayLike | None = None,
) -> Array:
    """Forward divergence of logarithms, `sum(exp(log_targets) (log_targets - log_predictions))`.

    `kl_divergence` for targets in logarithms, which may be minus infinity: one-hot targets cost
    `-log_predictions` of their class. It is differentiable in both arguments wherever they are
    finite, and exactly 0 where they are equal.

    Args:
      log_predictions: `[..., event]`, logarithms of probabilities.
      log_targets: `[..., event]`, logarithms of probabilities.
      axis: the axis or axes of the event.
      where: True for what counts, `[..., event]` or `[...]`.

    Returns:
      `[...]`, non-negative for two distributions.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> half = jnp.log(jnp.array([0.5, 0.5]))
      >>> print(jl.kl_divergence_with_log_targets(half, jnp.array([-jnp.inf, 0.0])))  # log(2)
      0.6931472

    Reference: as `kl_divergence`.
    """
    function = "kl_divergence_with_log_targets"
    log_q, log_p, mask = pair.log_pair(function, axis, where, log_predictions, log_targets)
    rounding = pair.rounding_of(log_predictions, log_targets)
    p = jnp.exp(log_p)
    mass = jnp.sum(p, axis=-1)
    return arguments.masked(_relative_entropy(p, log_p, log_q, mass, rounding), mask)


def reverse_kl_divergence(
    log_predictions: ArrayLike,
    log_targets: ArrayLike,
    axis: arguments.Axis = -1,
    where: ArrayLike | None = None,
) -> Array:
    """Reverse divergence, `sum(exp(log_predictions) (log_predictions - log_targets))`.

    `KL(predictions || targets)`, what variational inference minimises: predictions are punished
    where the targets have nothing, infinitely so where a target is exactly 0, and are free to miss
    modes. It is `kl_divergence_with_log_targets` with its arguments exchanged.

    Args:
      log_predictions: `[..., event]`, logarithms of probabilities.
      log_targets: `[..., event]`, logarithms of probabilities.
      axis: the axis or axes of the event.
      where: True for what counts, `[..., event]` or `[...]`.

    Returns:
      `[...]`, non-negative for two distributions.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> half = jnp.log(jnp.array([0.5, 0.5]))
      >>> print(jl.reverse_kl_divergence(jnp.array([-jnp.inf, 0.0]), half))  # log(2)
      0.6931472

    Reference: Bishop, Pattern Recognition and Machine Learning (2006), eq. 10.17.
    """
    function = "reverse_kl_divergence"
    log_q, log_p, mask = pair.log_pair(function, axis, where, log_predictions, log_targets)
    rounding = pair.rounding_of(log_predictions, log_targets)
    q = jnp.exp(log_q)
    mass = jnp.sum(q, axis=-1)
    return arguments.masked(_relative_entropy(q, log_q, log_p, mass, rounding), mask)


def generalized_kl_divergence(
    log_predictions: ArrayLike,
    targets: ArrayLike,
    axis: arguments.Axis = -1,
    where: ArrayLike | None = None,
) -> Array:
    """Kullback-Leibler divergence of masses, `sum(p log(p / q) - p + q)`.

    `p` are the targets, `q = exp(log_predictions)`. The I-divergence of non-negative vectors that
    need not sum to 1: intensities, counts, spectra. Every term is >= 0, and 0 only where the two
    are equal; the gradient in the log-predictions is `q - p`. For two distributions it is
    `kl_divergence`.

    Args:
      log_predictions: `[..., event]`, logarithms of masses.
      targets: `[..., event]`, masses, >= 0.
      axis: the axis or axes of the event.
      where: True for what counts, `[..., event]` or `[...]`.

    Returns:
      `[...]`, non-negative; NaN for a negative target.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.generalized_kl_divergence(jnp.array([0.0, 0.0]), jnp.array([0.0, 1.0])))
      1.0

    Reference: Csiszar, Why Least Squares and Maximum Entropy? (1991), eq. 1.4; Boyd and
    Vandenberghe, Convex Optimization (2004), page 90.
    """
    return _generalized("generalized_kl_divergence", log_predictions, targets, axis, where)


def convex_kl_divergence(
    log_predictions: ArrayLike,
    targets: ArrayLike,
    axis: arguments.Axis = -1,
    where: ArrayLike | None = None,
) -> Array:
    """`generalized_kl_divergence` under the name that optax gave it first.

    New code wants `generalized_kl_divergence`. No warning is given here, unlike in optax.

    Args:
      log_predictions: `[..., event]`, logarithms of masses.
      targets: `[..., event]`, masses, >= 0.
      axis: the axis or axes of the event.
      where: True for what counts, `[..., event]` or `[...]`.

    Returns:
      `[...]`, non-negative; NaN for a negative target.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.convex_kl_divergence(jnp.array([0.0, 0.0]), jnp.array([0.0, 1.0])))
      1.0

    Reference: as `generalized_kl_divergence`.
    """
    return _generalized("convex_kl_divergence", log_predictions, targets, axis, where)


def _generalized(
    function: str, log_predictions: Any, targets: Any, axis: arguments.Axis, where: Any
) -> Array:
    log_q, p, log_p, mask = _with_targets(function, axis, where, log_predictions, targets)
    p, q = _mass(p), jnp.exp(log_q)
    formula = jnp.sum(_plain(p, log_p, log_q) + q - p, axis=-1)
    terms = pair.excess(p, q, log_q - log_p)
    value = jnp.sum(jnp.where(_impossible(p, log_q), jnp.inf, terms), axis=-1)
    return arguments.masked(numerics.valued(formula, value), mask)


def _with_targets(
    function: str, axis: arguments.Axis, where: Any, log_predictions: Any, targets: Any
) -> tuple[Array, Array, Array, Array]:
    """Return `log q`, `p`, `log p` and the mask."""
    (log_q, p), mask = arguments.events(
        function, axis, where, log_predictions=log_predictions, targets=targets
    )
    return pair.present(log_q, mask), p, pair.present(numerics.log(p), mask), mask


def _mass(p: Array) -> Array:
    """Return targets with NaN for negative ones."""
    return jnp.where(p >= 0, p, jnp.nan)


def _relative_entropy(p: Array, log_p: Array, log_q: Array, mass: Array, rounding: float) -> Array:
    """Return `sum(p (log p - log q))`, never negative where the two masses are equal."""
    terms = _plain(p, log_p, log_q)
    formula = jnp.sum(jnp.where(_impossible(p, log_q), jnp.inf, terms), axis=-1)
    excess = jnp.sum(pair.excess(p, jnp.exp(log_q), log_q - log_p), axis=-1)
    # They differ by the difference of the masses.
    slack = pair.rounding_of_mass(mass, p.shape[-1], rounding)
    value = jnp.where(jnp.abs(formula - excess) <= slack, excess, formula)
    return numerics.valued(jnp.sum(terms, axis=-1), value)


def _plain(p: Array, log_p: Array, log_q: Array) -> Array:
    # Where p is 0 there is nothing to average over, and log p has no slope.
    return p * jnp.where(p == 0, 0, log_p - log_q)


def _impossible(p: Array, log_q: Array) -> Array:
    """Tell where something is that was given probability 0."""
    return (p > 0) & (log_q <= pair.FLOOR)
