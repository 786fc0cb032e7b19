"""Causal weighting: what is late in time counts once what is before has been learned."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxloss import arguments, numerics, reduction
from jaxloss.curriculum.examples import curriculum
from jaxloss.protocol import Decision

Array = jax.Array


def causal(
    steepness: float,
    *,
    axis: int = 0,
    chunks: int | None = None,
    axis_name: reduction.AxisName = None,
) -> optax.GradientTransformationExtraArgs:
    """Causal weighting: an example weighs `exp(-steepness S)`, `S` the losses of earlier times.

    The losses are ordered in time along `axis`, which is cut into chunks of equal length; `S` is
    the sum over all earlier chunks of their mean loss (over time and every other axis), and the
    weight is the same throughout a chunk: 1 in the first, less the later, in (0, 1], without a
    fixed sum. Chunks of which nothing is valid add nothing.

    For residuals of differential equations, whose late times cannot be right before the early
    ones are. Raise the steepness in stages (0.01, 0.1, 1, 10, 100), each until all weights are near
    1: too small it does nothing, too large late times never start.

    Args:
      steepness: >= 0, in units of one over the loss. A number, or a traced scalar.
      axis: the axis of time, in ascending order. To schedule the steepness, say that it is static:
        `optax.inject_hyperparams(causal, static_args=("axis", "chunks"))`.
      chunks: into how many chunks the axis is cut, as equal as they can be; None: each of its
        entries is one.
      axis_name: mapped axes over which the batch, but not time, is split.

    Returns:
      A transformation with `CurriculumState`; losses keep their shapes.

    Raises:
      ValueError: for a setting out of range; in `update`, for losses without that axis.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> objective = jl.curriculum.causal(jnp.log(2.0))
      >>> losses = jnp.array([1.0, 1.0, 2.0, 4.0])
      >>> weighted, state = objective.update(losses, objective.init(losses))
      >>> print(weighted)  # weights 1, 1/2, 1/4, 1/16
      [1.   0.5  0.5  0.25]

    Reference: Wang et al., Respecting Causality for Training Physics-Informed Neural Networks
    (2024), algorithm 1.
    """
    slope = arguments.hyper("causal", "steepness", steepness, jnp.zeros(()), at_least=0.0)
    if chunks is not None and chunks < 1:
        raise arguments.reject("causal", "chunks", "at least 1, or None", chunks)

    def step(losses: Array, mask: Array, memory: Any) -> Decision:
        (along,) = arguments.normal_axes("causal", axis, losses.ndim)
        length = losses.shape[along]
        parts = max(length, 1) if chunks is None else chunks
        chunk = jnp.arange(length) * parts // max(length, 1)
        others = tuple(i for i in range(losses.ndim) if i != along)
        times = reduction.average(losses, where=mask, axis=others, axis_name=axis_name)
        total, weight = (jax.ops.segment_sum(x, chunk, parts) for x in times)
        before = jnp.cumsum(numerics.divide(total, weight))[:-1]
        before = jnp.concatenate([jnp.zeros(1, losses.dtype), before])
        weights = jnp.exp(-numerics.weighted(slope.astype(losses.dtype), before))
        along_time = jnp.take(weights, chunk)
        shape = [length if i == along else 1 for i in range(losses.ndim)]
        return Decision(along_time.reshape(shape) * jnp.ones_like(losses), memory)

    return curriculum("causal", step, axis_name=axis_name)
