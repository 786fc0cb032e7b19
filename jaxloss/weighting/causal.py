"""Causal weighting: a task waits until those before it are learned."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxloss import arguments
from jaxloss.protocol import Decision
from jaxloss.weighting.tasks import weighting

Array = jax.Array


def causal(steepness: float = 1.0) -> optax.GradientTransformationExtraArgs:
    """Weigh each task by how well those before it are learned: `exp(-e sum(earlier L))`.

    For losses with an order, such as residuals of a differential equation in chunks of time: the
    future is not fitted before the past. The first weight is 1, all are at most 1 and fall along
    the order, which is that of the leaves of the tree: use a list (the keys of a dict are sorted as
    words, "10" before "2"). All weights near 1 mean that training is complete; the paper raises `e`
    in stages, which `optax.inject_hyperparams` does.

    Args:
      steepness: `e >= 0`, in units of one over the loss; 0 is the plain sum.

    Returns:
      A transformation with `WeightingState`.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> weighting = jl.weighting.causal()
      >>> chunks = [jnp.array(0.5), jnp.array(0.5), jnp.array(2.0)]
      >>> _, state = weighting.update(chunks, weighting.init(chunks))
      >>> print(jnp.stack(state.weights))  # exp(0), exp(-0.5), exp(-1)
      [1. 0.607 0.368]

    Reference: Wang et al., Respecting Causality for Training Physics-Informed Neural Networks
    (2024), algorithm 1.
    """
    e = arguments.hyper("causal", "steepness", steepness, jnp.zeros(()), at_least=0.0)

    def step(losses: Array, memory: Any) -> Decision:
        earlier = jnp.cumsum(jnp.concatenate([jnp.zeros_like(losses[:1]), losses[:-1]]))
        return Decision(jnp.exp(-e * earlier), memory)

    return weighting("causal", step)
