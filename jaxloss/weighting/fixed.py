"""Weights that no loss has a say in: by hand, equal, random."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxloss import arguments, protocol
from jaxloss.protocol import Decision
from jaxloss.weighting.tasks import by_name, weighting

Array = jax.Array


def fixed(weights: Any) -> optax.GradientTransformationExtraArgs:
    """Weigh tasks by numbers chosen beforehand: `w L`.

    The first thing to try, and often the last. The weights sum to what yours do.

    Args:
      weights: one number for all tasks, a tree like the losses, or a mapping from names of tasks
        to numbers; tasks not named keep weight 1.

    Returns:
      A transformation with `WeightingState`.

    Raises:
      ValueError: for a weight that is not a finite number; in `update`, for a name unknown.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> weighting = jl.weighting.fixed({"depth": 0.1})
      >>> losses = {"depth": jnp.array(3.0), "digit": jnp.array(2.0)}
      >>> weighted, _ = weighting.update(losses, weighting.init(losses))
      >>> print({task: round(float(loss), 3) for task, loss in weighted.items()})
      {'depth': 0.3, 'digit': 2.0}
    """
    for weight in jax.tree.leaves(weights):
        arguments.hyper("fixed", "weights", weight, jnp.zeros(()))

    def step(losses: Array, memory: Any, structure: Any) -> Decision:
        one = jnp.ones_like(losses)
        return Decision(by_name("fixed", "weights", weights, structure, one), memory)

    return weighting("fixed", step, structure=True)


def equal() -> optax.GradientTransformationExtraArgs:
    """Weigh all tasks by 1: the plain sum, to compare with. The weights sum to K.

    Reference: Kurin et al., In Defense of the Unitary Scalarization (2022).
    """
    return weighting("equal", lambda losses, memory: Decision(jnp.ones_like(losses), memory))


def random(seed: int = 0) -> optax.GradientTransformationExtraArgs:
    """Draw weights anew in every update: `softmax(z)` of standard normal `z`. They sum to 1.

    A baseline: what cannot beat it has learned nothing about the tasks.

    Args:
      seed: of the random numbers.

    Returns:
      A transformation with `WeightingState`, whose memory is the data of a random key.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> import jaxloss as jl
      >>> weighting = jl.weighting.random(seed=1)
      >>> losses = [jnp.array(2.0), jnp.array(1.0)]
      >>> _, state = weighting.update(losses, weighting.init(losses))
      >>> print(round(float(sum(state.weights)), 3))
      1.0

    Reference: Lin et al., Reasonable Effectiveness of Random Weighting (2022).
    """

    def step(losses: Array, memory: Array) -> Decision:
        key, later = protocol.next_key(memory)
        return Decision(jax.nn.softmax(jax.random.normal(key, losses.shape, losses.dtype)), later)

    return weighting("random", step, lambda like: protocol.key_data(seed))
