"""Gradients of tasks, all of one length: tasks in, tasks out."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import optax
from jax import lax

from jaxloss import arguments, numerics
from jaxloss.multitask.tasks import Shared, Tasks, as_tasks


def normalize(*, to: str = "one", shared: Shared = None) -> optax.GradientTransformationExtraArgs:
    """Scale every task's gradient to the same length; chain an aggregator behind it.

    None dominates any longer, whatever the scales of the losses are. With `total()` behind it the
    sum of all directions:

        optax.chain(jaxloss.multitask.normalize(to="mean"), jaxloss.multitask.total())

    Args:
      to: the length, `"one"` or `"mean"`, that of the mean of the tasks' own lengths.
      shared: which parameters are measured, as of `aggregate`. The gradients of the heads are
        scaled by the same number, as if the loss were.

    Returns:
      A transformation without state, from the gradients of all tasks to such. A gradient of 0 stays
      so.

    Raises:
      ValueError: for a `to` unknown, and for what is not one gradient per task.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> scale = jl.multitask.normalize(to="mean")
      >>> gradients = {"a": jnp.array([3.0, 4.0]), "b": jnp.array([0.0, 1.0])}
      >>> print(scale.update(gradients, scale.init(jnp.zeros(2)))[0].stacked.tolist())
      [[1.8, 2.4], [0.0, 3.0]]
    """
    if to not in ("one", "mean"):
        raise arguments.reject("normalize", "to", "'one' or 'mean'", repr(to))

    def init(params: Any) -> optax.EmptyState:
        del params
        return optax.EmptyState()

    def update(
        gradients: Any, state: optax.EmptyState, params: Any = None, **extra: Any
    ) -> tuple[Tasks, optax.EmptyState]:
        del extra
        tasks = as_tasks("normalize", gradients, params)
        norms = lax.stop_gradient(tasks.norms(shared))
        length = jnp.ones_like(norms) if to == "one" else jnp.full_like(norms, jnp.mean(norms))
        return tasks.scaled(numerics.divide(length, norms)), state

    return optax.GradientTransformationExtraArgs(init, update)
