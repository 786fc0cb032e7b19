"""Nash-MTL and FairGrad: tasks bargain for the direction, each by what it gains."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxloss import arguments, numerics
from jaxloss.multitask import solvers
from jaxloss.multitask.aggregate import square, stateless
from jaxloss.multitask.tasks import Shared

Array = jax.Array


def nash_mtl_weights(gramian: Array, *, max_norm: Any = None) -> Array:
    """Return the weights of Nash-MTL, the `w > 0` with `G w = 1 / w`.

    Args:
      gramian: `[tasks, tasks]`.
      max_norm: the largest length of the combined gradient; None for any. The length is always
        `sqrt(tasks)`, so that 1, which the authors' code has, divides by that.

    Returns:
      `[tasks]`; inverse to the gradients' lengths. 0 for a gradient of 0. At a Pareto-stationary
      point no such weights exist; they are then large, but finite.

    Raises:
      ValueError: for a matrix that is not square, or a norm that is not positive.

    Example: for two tasks at an angle with cosine `r` the weights are `1 / (|g_i| sqrt(1 + r))`.
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.multitask.nash_mtl_weights(jnp.array([[1.0, -1.0], [-1.0, 4.0]])))
      [1.414 0.707]

    Reference: Navon et al., Multi-Task Learning as a Bargaining Game (2022), claim 3.1.
    """
    gramian = square("nash_mtl_weights", gramian)
    weights = solvers.proportional(gramian, jnp.ones((), gramian.dtype))
    if max_norm is None:
        return weights
    limit = arguments.hyper("nash_mtl_weights", "max_norm", max_norm, gramian[0, 0], above=0.0)
    length = numerics.sqrt(jnp.maximum(weights @ gramian @ weights, 0))
    return weights * jnp.where(length > limit, numerics.divide(limit, length), 1)


def nash_mtl(
    *, max_norm: Any = None, shared: Shared = None, heads: str = "plain"
) -> optax.GradientTransformationExtraArgs:
    """Combine tasks' gradients to their Nash bargain: the largest product of all tasks' gains.

    Invariant to the scale of every loss: the combined gradient stays the same. Its length is
    `sqrt(tasks)` whatever the gradients are, so a schedule must end the training. With large
    gradients the weights are small; `heads="weighted"`, as in the authors' code, hands these to
    the heads. `max_norm` as of `nash_mtl_weights`, the other arguments, and what comes back, as
    `aggregate` says.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> bargain = jl.multitask.nash_mtl(max_norm=1.0)
      >>> gradients = {"a": jnp.array([-4.0, 1.0, 1.0]), "b": jnp.array([6.0, 1.0, 1.0])}
      >>> combined, _ = bargain.update(gradients, bargain.init(jnp.zeros(3)))
      >>> print(combined.tolist())
      [0.054, 0.706, 0.706]
    """
    if max_norm is not None:
        max_norm = arguments.hyper("nash_mtl", "max_norm", max_norm, jnp.zeros(()), above=0.0)
    weights = lambda gramian: nash_mtl_weights(gramian, max_norm=max_norm)
    return stateless("nash_mtl", weights, shared=shared, heads=heads)


def fairgrad_weights(gramian: Array, *, alpha: Any = 2.0) -> Array:
    """Return the weights of FairGrad, the `w > 0` with `G w = w ^ (-1 / alpha)`.

    Args:
      gramian: `[tasks, tasks]`.
      alpha: above 0; how much the tasks that gain little count. 1 is Nash-MTL, and from there to
        large numbers it becomes the best for the worst task.

    Returns:
      `[tasks]`, with the exceptions of `nash_mtl_weights`.

    Raises:
      ValueError: for a matrix that is not square, or an `alpha` not above 0.

    Example: orthogonal gradients of length `n` have the weights `n ^ (-2 alpha / (1 + alpha))`.
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.multitask.fairgrad_weights(jnp.array([[1.0, 0.0], [0.0, 64.0]])))
      [1.     0.0625]

    Reference: Ban and Ji, Fair Resource Allocation in Multi-Task Learning (2024), algorithm 1.
    """
    gramian = square("fairgrad_weights", gramian)
    alpha = arguments.hyper("fairgrad_weights", "alpha", alpha, gramian[0, 0], above=0.0)
    return solvers.proportional(gramian, 1 / alpha)


def fairgrad(
    *, alpha: Any = 2.0, shared: Shared = None, heads: str = "plain"
) -> optax.GradientTransformationExtraArgs:
    """Combine tasks' gradients to the direction that is alpha-fair in what each gains: FairGrad.

    Between the largest sum of gains (`alpha` to 0) and the best for the worst (`alpha` large).
    `alpha` as of `fairgrad_weights`, the other arguments, and what comes back, as `aggregate` says.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> fair = jl.multitask.fairgrad()
      >>> gradients = {"a": jnp.array([-4.0, 1.0, 1.0]), "b": jnp.array([6.0, 1.0, 1.0])}
      >>> combined, _ = fair.update(gradients, fair.init(jnp.zeros(3)))
      >>> print(combined.tolist())
      [0.031, 0.791, 0.791]
    """
    alpha = arguments.hyper("fairgrad", "alpha", alpha, jnp.zeros(()), above=0.0)
    weights = lambda gramian: fairgrad_weights(gramian, alpha=alpha)
    return stateless("fairgrad", weights, shared=shared, heads=heads)
