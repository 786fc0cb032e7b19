"""Losses of different scales made comparable: each divided by its own past."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxloss import arguments, numerics
from jaxloss.protocol import Decision
from jaxloss.weighting.tasks import weighting

Array = jax.Array


class InitialMemory(NamedTuple):
    """What division by the initial value remembers.

    Attributes:
      losses: `[K]`, of the first update.
      started: whether there was one.
    """

    losses: Array
    started: Array


class MeanMemory(NamedTuple):
    """What division by the running mean remembers.

    Attributes:
      mean: `[K]`, the moving average, not debiased.
      updates: how many there were.
    """

    mean: Array
    updates: Array


def normalize_by_initial() -> optax.GradientTransformationExtraArgs:
    """Divide each loss by its value in the first update: `L / L_0`, which starts at 1.

    Units cancel, and later weights by hand say how much a task matters. A single batch decides, so
    average the first one well. A loss that starts at exactly 0 gets weight 0. The weights sum to
    nothing in particular.

    Returns:
      A transformation with `WeightingState`, whose memory is `InitialMemory`.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> weighting = jl.weighting.normalize_by_initial()
      >>> _, state = weighting.update([jnp.array(4.0)], weighting.init([jnp.array(0.0)]))
      >>> weighted, state = weighting.update([jnp.array(3.0)], state)
      >>> print(weighted[0])
      0.75
    """

    def start(like: Array) -> InitialMemory:
        return InitialMemory(like, jnp.zeros((), bool))

    def step(losses: Array, memory: InitialMemory) -> Decision:
        first = jnp.where(memory.started, memory.losses, losses)
        memory = InitialMemory(first, jnp.ones((), bool))
        return Decision(numerics.divide(jnp.ones_like(first), first), memory)

    return weighting("normalize_by_initial", step, start)


def normalize_by_mean(decay: float = 0.99) -> optax.GradientTransformationExtraArgs:
    """Divide each loss by its moving average, the present value included: `L / mean(L)`.

    The values stay near 1 however the losses fall, and gradients have the scale of those of the
    logarithms of the losses, with less noise. A task whose average is exactly 0 gets weight 0. The
    weights sum to nothing in particular.

    Args:
      decay: of the average, which is debiased, in [0, 1); at 0 it is `uncertainty_optimal`.

    Returns:
      A transformation with `WeightingState`, whose memory is `MeanMemory`.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> weighting = jl.weighting.normalize_by_mean(0.5)
      >>> _, state = weighting.update([jnp.array(4.0)], weighting.init([jnp.array(0.0)]))
      >>> weighted, state = weighting.update([jnp.array(1.0)], state)  # by (0.25 4 + 0.5 1) / 0.75
      >>> print(weighted[0])
      0.5
    """
    bounds = {"at_least": 0.0, "below": 1.0}
    d = arguments.hyper("normalize_by_mean", "decay", decay, jnp.zeros(()), **bounds)

    def start(like: Array) -> MeanMemory:
        return MeanMemory(like, jnp.zeros((), jnp.int32))

    def step(losses: Array, memory: MeanMemory) -> Decision:
        count = memory.updates + 1
        mean = d * memory.mean + (1 - d) * losses
        weights = numerics.divide(1 - d**count, mean)
        return Decision(weights, MeanMemory(mean, count))

    return weighting("normalize_by_mean", step, start)
