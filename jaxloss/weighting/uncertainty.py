"""Weights learned as uncertainties: each task's loss divided by a variance of its own."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxloss import arguments, reduction
from jaxloss.protocol import Decision
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
    start_at = arguments.hyper("uncertainty", "initial", initial, jnp.zeros((), jnp.float32))
    optimizer = optax.with_extra_args_support(optimizer)

    def start(like: Array) -> UncertaintyMemory:
        s = jnp.full_like(like, start_at)
        return UncertaintyMemory(s, optimizer.init(s))

    def step(losses: Array, memory: UncertaintyMemory) -> Decision:
        s = memory.log_variances
        weights = 0.5 * jnp.exp(-s)
        change, state = optimizer.update(0.5 - weights * losses, memory.optimizer, s)
        learned = UncertaintyMemory(optax.apply_updates(s, change), state)
        return Decision(weights, learned, offsets=0.5 * s)

    return weighting("uncertainty", step, start)


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
    return reduction.map_tasks(_weighted, losses, log_variances)


def _weighted(loss: Any, log_variance: Any) -> Array:
    loss = arguments.floating("uncertainty_weighted", "losses", loss)
    if loss.shape != ():
        expected = "one number for each task (chain reduce_mean() before)"
        raise arguments.reject("uncertainty_weighted", "losses", expected, f"shape {loss.shape}")
    loss = loss.astype(arguments.working_dtype(loss))
    log_variance = jnp.asarray(log_variance, loss.dtype)
    return 0.5 * (jnp.exp(-log_variance) * loss + log_variance)
