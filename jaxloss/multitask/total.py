"""The plain sum of tasks' gradients, by fixed weights: what to tune first."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import optax

from jaxloss.multitask.aggregate import combination, non_negative, preferred
from jaxloss.multitask.tasks import Shared, Tasks
from jaxloss.protocol import Decision


def total(
    *, weights: Any = None, shared: Shared = None, heads: str = "plain"
) -> optax.GradientTransformationExtraArgs:
    """Sum tasks' gradients by fixed weights: the baseline of all others in this room.

    Without them one backward pass of the summed losses gives the same; this is for comparisons, and
    for what is chained before it, such as `normalize()`.

    Args:
      weights: `[tasks]`, at least 0; None for 1 each.
      shared: as of `aggregate`, and so is `heads`, and what comes back.
      heads: what the gradient of a head is.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> combine = jl.multitask.total(weights=jnp.array([1.0, 0.5]))
      >>> gradients = {"a": jnp.array([-4.0, 1.0]), "b": jnp.array([6.0, 1.0])}
      >>> print(combine.update(gradients, combine.init(jnp.zeros(2)))[0])
      [-1.   1.5]
    """
    weights = non_negative("total", "weights", weights)

    def decide(tasks: Tasks, memory: Any, **extra: Any) -> tuple[Tasks, Decision]:
        del extra
        each = preferred("total", weights, jnp.ones(tasks.tasks), "weights")
        return tasks, Decision(each, memory)

    return combination("total", decide, shared=shared, heads=heads)
