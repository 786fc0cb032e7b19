"""MGDA: the shortest convex combination of the tasks' gradients."""

from __future__ import annotations

import jax
import optax

from jaxloss.multitask import solvers
from jaxloss.multitask.aggregate import square, stateless
from jaxloss.multitask.tasks import Shared

Array = jax.Array


def mgda_weights(gramian: Array) -> Array:
    """Return the weights of MGDA, the `w >= 0` of sum 1 with the least `w G w`.

    Args:
      gramian: `[tasks, tasks]`.

    Returns:
      `[tasks]`; where one gradient is 0, that task has all the weight.

    Raises:
      ValueError: for a matrix that is not square.

    Example: for two tasks the first weight is `(G22 - G12) / (G11 + G22 - 2 G12)` within [0, 1].
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.multitask.mgda_weights(jnp.array([[1.0, -1.0], [-1.0, 4.0]])))
      [0.714 0.286]

    Reference: Sener and Koltun, Multi-Task Learning as Multi-Objective Optimization (2018), eq. 3.
    """
    return solvers.min_norm(square("mgda_weights", gramian))


def mgda(*, shared: Shared = None, heads: str = "plain") -> optax.GradientTransformationExtraArgs:
    """Combine tasks' gradients to the shortest of their convex combinations: MGDA.

    The result is as far along every gradient, `g . d >= d . d`, so no loss rises with a small step;
    it is 0 exactly at Pareto-stationary points. It leans towards the task with the smallest
    gradient: chain `normalize()` before it where scales differ. The weights sum to 1; some
    implementations multiply by the number of tasks (`optax.scale(tasks)`). Arguments, and what
    comes back, as `aggregate` says.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> shortest = jl.multitask.mgda()
      >>> gradients = {"a": jnp.array([-4.0, 1.0, 1.0]), "b": jnp.array([6.0, 1.0, 1.0])}
      >>> combined, _ = shortest.update(gradients, shortest.init(jnp.zeros(3)))
      >>> print(abs(combined))
      [0. 1. 1.]
    """
    return stateless("mgda", mgda_weights, shared=shared, heads=heads)
