"""Weights learned as uncertainties: each task's loss divided by a variance of its own."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxloss import arguments, numerics
from jaxloss.protocol import Decision
from jaxloss.weighting.learned import formula_of_tree, learned
from jaxloss.weighting.tasks import weighting

Array = jax.Array


class UncertaintyMemory(NamedTuple):
    """What uncertainty weighting has learned.

    Attributes:
      log_variances: `[K]`; a task's weight is `exp(-log_variance) / 2`.
      optimizer: the state of the optimizer that learns them.
    """

    log_variances: Array
    optimizer: Any


def uncertainty(
    optimizer: optax.GradientTransformation, *, initial: float = 0.0
) -> optax.GradientTransformationExtraArgs:
    """Weigh tasks by learned uncertainty: `exp(-s) L / 2 + s / 2` for each task's loss `L`.

    `s`, the logarithm of the task's variance, follows the gradient `(1 - exp(-s) L) / 2`, which
    needs the loss values only: it is learned here, by `optimizer`, without touching your
    parameters, your backward pass or their weight decay. It converges to `log(L)`; the losses are
    then weighed by half their inverse. The values returned may be negative.

    Losses must be positive for that: with one that can go below 0 (a log-density) `s` falls
    without end, as it does for a task whose loss truly goes to 0 (after a curriculum that admits
    almost nothing, say): its weight then grows without bound. `uncertainty_weighted` is the
    formula for log-variances among your own parameters.

    Args:
      optimizer: the optax optimizer of the log-variances `[K]`, such as `optax.adam(1e-2)`.
      initial: where the log-variances start; 0 is a weight of one half.

    Returns:
      A transformation with `WeightingState`, whose memory is `UncertaintyMemory`.

    Raises:
      ValueError: in `update`, for a task whose loss is not a single number.

    Example:
      >>> import jax.numpy as jnp, optax
      >>> import jaxloss as jl
      >>> weighting = jl.weighting.uncertainty(optax.sgd(0.1))
      >>> losses = {"digit": jnp.array(2.0), "ink": jnp.array(1.0)}
      >>> weighted, state = weighting.update(losses, weighting.init(losses))
      >>> print({task: float(loss) for task, loss in weighted.items()})
      {'digit': 1.0, 'ink': 0.5}
      >>> print(state.memory.log_variances)
      [0.05 0.  ]

    Reference: Kendall et al., Multi-Task Learning Using Uncertainty (2018), eq. 7.
    """
    return learned("uncertainty", _kendall, UncertaintyMemory, optimizer, initial)


def revised_uncertainty(
    optimizer: optax.GradientTransformation, *, initial: float = 0.0
) -> optax.GradientTransformationExtraArgs:
    """Weigh tasks by learned uncertainty, never below 0: `exp(-s) L / 2 + log(1 + exp(s))`.

    As `uncertainty`, with a regulariser that is positive: so are the losses that come back. At
    convergence the variance `v = exp(s)` is `(L + sqrt(L^2 + 8 L)) / 4`: about `sqrt(L / 2)` for
    small losses and `L / 2` for large ones, so that small losses are weighed up less than by
    `uncertainty`, and their units matter. The formula for log-variances among your own parameters
    is `revised_uncertainty_weighted`.

    Args:
      optimizer: the optax optimizer of the log-variances `[K]`, such as `optax.adam(1e-2)`.
      initial: where the log-variances start; 0 is a weight of one half.

    Returns:
      A transformation with `WeightingState`, whose memory is `UncertaintyMemory`.

    Example:
      >>> import jax.numpy as jnp, optax
      >>> import jaxloss as jl
      >>> weighting = jl.weighting.revised_uncertainty(optax.sgd(0.1))
      >>> losses = {"digit": jnp.array(2.0), "ink": jnp.array(1.0)}
      >>> _, state = weighting.update(losses, weighting.init(losses))
      >>> print(state.memory.log_variances)  # 0.1 (L / 2 - 1 / 2)
      [0.05 0.  ]

    Reference: Liebel and Koerner, Auxiliary Tasks in Multi-task Learning (2018).
    """
    return learned("revised_uncertainty", _revised, UncertaintyMemory, optimizer, initial)


def uncertainty_weighted(losses: Any, log_variances: Any) -> Any:
    """Return `exp(-s) L / 2 + s / 2` for each task, differentiable in both.

    Args:
      losses: tree of scalars, positive.
      log_variances: tree like the losses.

    Returns:
      A tree like the losses.

    Raises:
      ValueError: for a task whose loss is not a single number.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.weighting.uncertainty_weighted(jnp.array(3.0), jnp.array(0.0)))
      1.5

    Reference: Kendall et al., Multi-Task Learning Using Uncertainty (2018), eq. 7.
    """
    return formula_of_tree("uncertainty_weighted", _kendall, losses, log_variances)


def revised_uncertainty_weighted(losses: Any, log_variances: Any) -> Any:
    """Return `exp(-s) L / 2 + log(1 + exp(s))` for each task, differentiable in both.

    Arguments, and what comes back, as of `uncertainty_weighted`.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.weighting.revised_uncertainty_weighted(jnp.array(3.0), jnp.array(0.0)))
      2.193
    """
    return formula_of_tree("revised_uncertainty_weighted", _revised, losses, log_variances)


def uncertainty_optimal() -> optax.GradientTransformationExtraArgs:
    """Weigh tasks by the inverse of their present loss, `1 / L`: the optimum of the variances.

    What `uncertainty` converges to, at once and but for its factor one half. The gradient is that
    of `scale_invariant`; the losses that come back are all 1, and 0 for a loss of exactly 0, which
    gets weight 0. The weights sum to nothing in particular.

    Returns:
      A transformation with `WeightingState`.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> weighting = jl.weighting.uncertainty_optimal()
      >>> losses = [jnp.array(1.0), jnp.array(4.0)]
      >>> _, state = weighting.update(losses, weighting.init(losses))
      >>> print(jnp.stack(state.weights))
      [1. 0.25]

    Reference: Kirchdorfer et al., Analytical Uncertainty-Based Loss Weighting (2024).
    """
    step = lambda losses, memory: Decision(_inverse(losses), memory)
    return weighting("uncertainty_optimal", step)


def uncertainty_softmax(temperature: float = 1.0) -> optax.GradientTransformationExtraArgs:
    """Weigh tasks by a softmax of the inverse losses: `softmax((1 / L) / T)`, which sums to 1.

    Bounded where `1 / L` is not, but no longer free of units: where losses differ by orders of
    magnitude the smallest takes all. `T` wants tuning for each data set.

    Args:
      temperature: `T > 0`, in units of one over the loss; large is equal weights.

    Returns:
      A transformation with `WeightingState`.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> weighting = jl.weighting.uncertainty_softmax()
      >>> losses = [jnp.array(1.0), jnp.array(2.0), jnp.array(4.0)]
      >>> _, state = weighting.update(losses, weighting.init(losses))
      >>> print(jnp.stack(state.weights))
      [0.481 0.292 0.227]

    Reference: Kirchdorfer et al., Analytical Uncertainty-Based Loss Weighting (2024).
    """
    t = arguments.hyper("uncertainty_softmax", "temperature", temperature, jnp.zeros(()), above=0.0)
    step = lambda losses, memory: Decision(jax.nn.softmax(_inverse(losses) / t), memory)
    return weighting("uncertainty_softmax", step)


def _kendall(loss: Array, s: Array) -> Array:
    return 0.5 * (jnp.exp(-s) * loss + s)


def _revised(loss: Array, s: Array) -> Array:
    return 0.5 * jnp.exp(-s) * loss + numerics.softplus(s)


def _inverse(losses: Array) -> Array:
    return numerics.divide(jnp.ones_like(losses), losses)
