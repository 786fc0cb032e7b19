"""UPGrad and DualProj: projections onto the directions that conflict with no task."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxloss.multitask import solvers
from jaxloss.multitask.aggregate import mean, non_negative, preferred, square, stateless
from jaxloss.multitask.tasks import Shared

Array = jax.Array


def upgrad_weights(gramian: Array, preference: Any = None) -> Array:
    """Return the weights of UPGrad: each gradient projected by itself, the results summed.

    The gradient of task i, times its preference `u_i`, becomes the nearest direction that conflicts
    with no task, by the weights `v` of least `v G v` among those `>= u_i e_i`.

    Args:
      gramian: `[tasks, tasks]`.
      preference: `[tasks]`, at least 0; None for `1 / tasks` each.

    Returns:
      `[tasks]`, at least the preference, which they are where no gradients conflict.

    Raises:
      ValueError: for a matrix that is not square, or a preference of another shape or below 0.

    Example: for two tasks with preference 1 it is PCGrad.
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> gramian = jnp.array([[1.0, -1.0], [-1.0, 4.0]])
      >>> print(jl.multitask.upgrad_weights(gramian))
      [1.    0.625]
      >>> print(jl.multitask.upgrad_weights(gramian, jnp.ones(2)))
      [2.   1.25]

    Reference: Quinton and Rey, Jacobian Descent (2024), proposition 1.
    """
    gramian = square("upgrad_weights", gramian)
    each = jnp.diag(preferred("upgrad_weights", preference, mean(gramian)))
    return jnp.sum(jax.vmap(lambda u: solvers.dual_cone(gramian, u))(each), axis=0)


def upgrad(
    *, preference: Any = None, shared: Shared = None, heads: str = "plain"
) -> optax.GradientTransformationExtraArgs:
    """Sum tasks' gradients after each is made to conflict with none of the others: UPGrad.

    No loss rises with a small step, and multiplying one gradient changes only its own part of the
    sum. It is 0 only where positive weights of all gradients make 0, `mgda` already where one
    gradient is. The scale is that of a mean. `preference` as of `upgrad_weights`, the other
    arguments, and what comes back, as `aggregate` says.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> project = jl.multitask.upgrad()
      >>> gradients = {"a": jnp.array([-4.0, 1.0, 1.0]), "b": jnp.array([6.0, 1.0, 1.0])}
      >>> combined, _ = project.update(gradients, project.init(jnp.zeros(3)))
      >>> print(combined.tolist())
      [0.292, 1.901, 1.901]
    """
    preference = non_negative("upgrad", "preference", preference)
    weights = lambda gramian: upgrad_weights(gramian, preference)
    return stateless("upgrad", weights, shared=shared, heads=heads)


def dualproj_weights(gramian: Array, preference: Any = None) -> Array:
    """Return the weights of DualProj: the mean gradient, projected to conflict with no task.

    They are the `v` of least `v G v` among those `>= preference`.

    Args:
      gramian: `[tasks, tasks]`.
      preference: `[tasks]`, at least 0; None for `1 / tasks` each.

    Returns:
      `[tasks]`, at least the preference.

    Raises:
      ValueError: for a matrix that is not square, or a preference of another shape or below 0.

    Example: the first task would be in conflict with the mean, and just no longer is.
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> gramian = jnp.array([[1.0, -2.0], [-2.0, 5.0]])
      >>> weights = jl.multitask.dualproj_weights(gramian)
      >>> print(weights, gramian @ weights)
      [1.  0.5] [0.  0.5]

    Reference: Lopez-Paz and Ranzato, Gradient Episodic Memory (2017), section 3.
    """
    gramian = square("dualproj_weights", gramian)
    return solvers.dual_cone(gramian, preferred("dualproj_weights", preference, mean(gramian)))


def dualproj(
    *, preference: Any = None, shared: Shared = None, heads: str = "plain"
) -> optax.GradientTransformationExtraArgs:
    """Combine tasks' gradients to the direction nearest to their mean that conflicts with none.

    `preference` as of `dualproj_weights`, the other arguments, and what comes back, as `aggregate`
    says.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> project = jl.multitask.dualproj()
      >>> gradients = {"a": jnp.array([-4.0, 1.0, 1.0]), "b": jnp.array([6.0, 1.0, 1.0])}
      >>> combined, _ = project.update(gradients, project.init(jnp.zeros(3)))
      >>> print(combined.tolist())
      [0.556, 1.111, 1.111]
    """
    preference = non_negative("dualproj", "preference", preference)
    weights = lambda gramian: dualproj_weights(gramian, preference)
    return stateless("dualproj", weights, shared=shared, heads=heads)
