"""GradNorm: weights learned so that the weighted gradients have the lengths they should."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from jaxloss import arguments, numerics, protocol
from jaxloss.multitask.aggregate import combination, per_task, same_number
from jaxloss.multitask.tasks import Shared, Tasks
from jaxloss.protocol import Decision

Array = jax.Array


class GradNormMemory(NamedTuple):
    """What GradNorm has learned.

    Attributes:
      weights: `[K]`, of the next update; they sum to K.
      initial: `[K]`, the losses of the first update; 0 before it.
      optimizer: the state of the optimizer that learns the weights.
    """

    weights: Array
    initial: Array
    optimizer: Any


def gradnorm(
    optimizer: optax.GradientTransformation,
    *,
    tasks: int,
    alpha: Any = 1.5,
    shared: Shared = None,
    heads: str = "plain",
) -> optax.GradientTransformationExtraArgs:
    """Learn weights under which tasks train at similar rates: GradNorm.

    With `n_i` the length of a gradient and `r_i = (L_i / L_i(0)) / mean` how far its loss is behind
    the others, the weights follow the gradient of `sum |w_i n_i - t_i|` for constant targets
    `t_i = mean(w n) r_i^alpha`, and are then scaled to the sum `tasks`. A weight that would be
    negative becomes 0. The exponent is positive, as in the paper: a task that is behind gets the
    longer gradient.

    The paper measures the last shared layer only (cheap: `shared=` that) and weighs the losses as a
    whole (`heads="weighted"`).

    Args:
      optimizer: the optax optimizer of the weights `[tasks]`, such as `optax.adam(1e-2)`.
      tasks: how many there are.
      alpha: how strongly tasks that are behind are pulled; 0 makes all lengths equal.
      shared: as of `aggregate`, and so is `heads`, and what comes back.
      heads: what the gradient of a head is.

    Returns:
      A transformation whose `update` needs the extra argument `losses`, a tree with one number for
      each task. Its memory is `GradNormMemory`.

    Raises:
      ValueError: for an `alpha` below 0, or another number of tasks.
      TypeError: in `update`, without `losses`.

    Example:
      >>> import jax.numpy as jnp, optax
      >>> import jaxloss as jl
      >>> balance = jl.multitask.gradnorm(optax.sgd(0.1), tasks=2)
      >>> gradients = {"a": jnp.array([3.0, 0.0]), "b": jnp.array([0.0, 1.0])}
      >>> losses = {"a": jnp.array(5.0), "b": jnp.array(2.0)}
      >>> state = balance.init(jnp.zeros(2))
      >>> combined, state = balance.update(gradients, state, losses=losses)
      >>> print(combined, state.memory.weights)  # 0.7 and 1.1, scaled to the sum 2
      [3. 1.] [0.778 1.222]

    Reference: Chen et al., GradNorm (2018), eq. 2 and algorithm 1.
    """
    one = jnp.zeros(())
    number = protocol.counted("gradnorm", "tasks", tasks, static=True)
    power = arguments.hyper("gradnorm", "alpha", alpha, one, at_least=0.0)
    optimizer = optax.with_extra_args_support(optimizer)

    def start(params: Any) -> GradNormMemory:
        weights = jnp.ones(number, one.dtype)
        return GradNormMemory(weights, jnp.zeros_like(weights), optimizer.init(weights))

    def decide(rows: Tasks, memory: GradNormMemory, **extra: Any) -> tuple[Tasks, Decision]:
        same_number("gradnorm", rows.tasks, tasks)
        losses = per_task("gradnorm", "losses", extra, tasks).astype(memory.weights.dtype)
        initial = jnp.where(jnp.all(memory.initial == 0), losses, memory.initial)
        behind = numerics.divide(losses, initial)
        behind = numerics.divide(behind, jnp.mean(behind))
        norms = rows.norms(shared).astype(losses.dtype)
        lengths = memory.weights * norms
        slope = jnp.sign(lengths - jnp.mean(lengths) * numerics.power(behind, power)) * norms
        change, state = optimizer.update(slope, memory.optimizer, memory.weights)
        learned = jnp.maximum(optax.apply_updates(memory.weights, change), 0)
        learned = tasks * numerics.divide(learned, jnp.sum(learned))
        weights, memory = lax.stop_gradient(
            (memory.weights, GradNormMemory(learned, initial, state))
        )
        return rows, Decision(weights, memory)

    return combination("gradnorm", decide, start, shared=shared, heads=heads)
