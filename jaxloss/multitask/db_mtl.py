"""DB-MTL: moving averages of the gradients of log losses, all made as long as the longest."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxloss import arguments, numerics, protocol
from jaxloss.multitask.aggregate import combination, per_task, same_number
from jaxloss.multitask.tasks import Rows, Shared, Tasks, rows
from jaxloss.protocol import Decision

Array = jax.Array


class DualBalanceMemory(NamedTuple):
    """What DB-MTL remembers.

    Attributes:
      average: a tree like the parameters; leaves `[K, ...]`, the averaged gradients.
      steps: the number of updates.
    """

    average: Any
    steps: Array


def db_mtl(
    *, tasks: int, decay: Any = 0.9, power: Any = 0.5, shared: Shared = None, heads: str = "plain"
) -> optax.GradientTransformationExtraArgs:
    """Sum tasks' averaged gradients of log losses, all scaled to the longest of them: DB-MTL.

    The gradient of `log(L_i)` is `g_i / L_i`: the scale of a loss has no effect. It is averaged,
    the past with the share `decay / t^power` in update t, and multiplied by `max(n) / n_i`, with
    `n` the lengths of the averages. The first gradient starts the average; the authors' code
    starts it at 0, which shortens the first updates.

    Its memory is that of K gradients. They must be at hand, not `mode="gramian"`.

    Args:
      tasks: how many there are.
      decay: in [0, 1); 0 to average nothing.
      power: at least 0; how fast the past loses its share.
      shared: as of `aggregate`, and so is `heads`, and what comes back.
      heads: what the gradient of a head is.

    Returns:
      A transformation whose `update` needs the extra argument `losses`, a tree with one positive
      number for each task. Its memory is `DualBalanceMemory`.

    Raises:
      ValueError: for a `decay` or `power` out of range, another number of tasks, and for gradients
        that are not held.
      TypeError: in `update`, without `losses`.

    Example: lengths 5 / 5 and 2 / 4, the second doubled.
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> balance = jl.multitask.db_mtl(tasks=2)
      >>> gradients = {"a": jnp.array([3.0, 4.0]), "b": jnp.array([0.0, 2.0])}
      >>> losses = {"a": jnp.array(5.0), "b": jnp.array(4.0)}
      >>> print(balance.update(gradients, balance.init(jnp.zeros(2)), losses=losses)[0])
      [0.6 1.8]

    Reference: Lin et al., Dual-Balancing for Multi-Task Learning (2023), algorithm 1.
    """
    one = jnp.zeros(())
    number = protocol.counted("db_mtl", "tasks", tasks, static=True)
    share = arguments.hyper("db_mtl", "decay", decay, one, at_least=0.0, below=1.0)
    fade = arguments.hyper("db_mtl", "power", power, one, at_least=0.0)

    def start(params: Any) -> DualBalanceMemory:
        zeros = lambda leaf: jnp.zeros((number, *jnp.shape(leaf)), jnp.result_type(leaf))
        return DualBalanceMemory(jax.tree.map(zeros, params), jnp.zeros((), jnp.int32))

    def decide(given: Tasks, memory: DualBalanceMemory, **extra: Any) -> tuple[Tasks, Decision]:
        same_number("db_mtl", given.tasks, tasks)
        losses = per_task("db_mtl", "losses", extra, tasks)
        logs = rows("db_mtl", given).scaled(numerics.divide(jnp.ones_like(losses), losses))
        step = memory.steps + 1
        past = jnp.where(step == 1, 0, share / step.astype(share.dtype) ** fade)
        mixed = lambda old, new: new + (past * (old - new)).astype(new.dtype)
        average = Rows(jax.tree.map(mixed, memory.average, logs.stacked))
        norms = average.norms(shared)
        weights = numerics.divide(jnp.full_like(norms, jnp.max(norms)), norms)
        return average, Decision(weights, DualBalanceMemory(average.stacked, step))

    return combination("db_mtl", decide, start, shared=shared, heads=heads)
