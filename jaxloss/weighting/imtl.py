"""IMTL-L: losses scaled until all are equally large."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxloss.weighting.learned import formula_of_tree, learned

Array = jax.Array


class ImtlMemory(NamedTuple):
    """What IMTL-L has learned.

    Attributes:
      log_scales: `[K]`; a task's weight is `exp(log_scale)`.
      optimizer: the state of the optimizer that learns them.
    """

    log_scales: Array
    optimizer: Any


def imtl_l(
    optimizer: optax.GradientTransformation, *, initial: float = 0.0
) -> optax.GradientTransformationExtraArgs:
    """Scale losses until each is 1, by learned factors: `exp(s) L - s` for each task's loss `L`.

    `s` follows the gradient `exp(s) L - 1` and converges to `-log(L)`; at that point it is
    `scale_invariant`. Twice `uncertainty` with `s = -log_variance`, so that a difference in results
    is one of learning rates. Losses must be positive. The weights sum to nothing in particular.

    Args:
      optimizer: the optax optimizer of the log-scales `[K]`, such as `optax.adam(1e-2)`.
      initial: where the log-scales start; 0 is weight 1.

    Returns:
      A transformation with `WeightingState`, whose memory is `ImtlMemory`.

    Example:
      >>> import jax.numpy as jnp, optax
      >>> import jaxloss as jl
      >>> weighting = jl.weighting.imtl_l(optax.sgd(0.1))
      >>> losses = {"digit": jnp.array(2.0), "ink": jnp.array(1.0)}
      >>> _, state = weighting.update(losses, weighting.init(losses))
      >>> print(state.memory.log_scales)
      [-0.1  0. ]

    Reference: Liu et al., Towards Impartial Multi-task Learning (2021), IMTL-L.
    """
    return learned("imtl_l", _formula, ImtlMemory, optimizer, initial)


def imtl_l_weighted(losses: Any, log_scales: Any) -> Any:
    """Return `exp(s) L - s` for each task, differentiable in both.

    Args:
      losses: tree of scalars, positive.
      log_scales: tree like the losses.

    Returns:
      A tree like the losses.

    Raises:
      ValueError: for a task whose loss is not a single number.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.weighting.imtl_l_weighted(jnp.array(3.0), jnp.array(0.0)))
      3.0

    Reference: Liu et al., Towards Impartial Multi-task Learning (2021), IMTL-L.
    """
    return formula_of_tree("imtl_l_weighted", _formula, losses, log_scales)


def _formula(loss: Array, s: Array) -> Array:
    return jnp.exp(s) * loss - s
