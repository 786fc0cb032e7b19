"""GradVac: gradients made as similar to each other as they have been on average."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from jaxloss import arguments, numerics, protocol
from jaxloss.multitask import solvers
from jaxloss.multitask.aggregate import aggregate, same_number
from jaxloss.multitask.pcgrad import random_orders
from jaxloss.multitask.tasks import Shared
from jaxloss.protocol import Decision

Array = jax.Array


class GradVacMemory(NamedTuple):
    """What GradVac remembers.

    Attributes:
      targets: `[K, K]`, the moving average of the cosines that each task has met.
      key: data of the random key.
    """

    targets: Array
    key: Array


def gradvac(
    *, tasks: int, beta: Any = 0.01, seed: Any = 0, shared: Shared = None, heads: str = "plain"
) -> optax.GradientTransformationExtraArgs:
    """Sum tasks' gradients after each is turned towards those it usually agrees with: GradVac.

    Each task starts from its own gradient `v` and visits the others in a random order of its own.
    Where the cosine `p` of `v` and `g_j` is below its target `q`, `v` becomes the sum of `v` and a
    multiple of `g_j` for which it is `q`. The target then moves: `q + beta (p - q)`. All start at
    0, so that the first update is that of `pcgrad`; the scale is that of a sum.

    Args:
      tasks: how many there are.
      beta: the share of the latest cosine in a target; the paper has 0.01, others 0.5.
      seed: of the random orders.
      shared: as of `aggregate`, and so is `heads`, and what comes back.
      heads: what the gradient of a head is.

    Returns:
      A transformation whose memory is `GradVacMemory`.

    Raises:
      ValueError: for a `beta` outside [0, 1], or another number of tasks.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> align = jl.multitask.gradvac(tasks=2, beta=0.5)
      >>> gradients = {"a": jnp.array([-4.0, 1.0, 1.0]), "b": jnp.array([6.0, 1.0, 1.0])}
      >>> combined, state = align.update(gradients, align.init(jnp.zeros(3)))
      >>> print(combined.tolist())
      [0.585, 3.801, 3.801]
      >>> print(state.memory.targets)  # half of -22 / sqrt(18 * 38)
      [[ 0.    -0.421]
       [-0.421  0.   ]]

    Reference: Wang et al., Gradient Vaccine (2021), eq. 4 and algorithm 1.
    """
    one = jnp.zeros(())
    number = protocol.counted("gradvac", "tasks", tasks, static=True)
    share = arguments.hyper("gradvac", "beta", beta, one, at_least=0.0, at_most=1.0)

    def start() -> GradVacMemory:
        return GradVacMemory(jnp.zeros((number, number), one.dtype), protocol.key_data(seed))

    def step(gramian: Array, memory: GradVacMemory) -> Decision:
        same_number("gradvac", len(gramian), tasks)
        key, data = protocol.next_key(memory.key)
        cosine, norms = solvers.cosines(gramian)
        visit = lambda *task: _visits(cosine, norms > 0, share.astype(cosine.dtype), *task)
        targets = memory.targets.astype(cosine.dtype)
        rows, targets = jax.vmap(visit)(jnp.arange(tasks), targets, random_orders(key, tasks))
        weights = numerics.divide(norms @ rows, norms)
        return Decision(weights, GradVacMemory(targets.astype(memory.targets.dtype), data))

    return aggregate("gradvac", step, start, shared=shared, heads=heads)


def _visits(
    cosine: Array, moving: Array, share: Array, task: Array, targets: Array, order: Array
) -> tuple[Array, Array]:
    """Return what becomes of one task's gradient, as weights of unit rows, and of its targets."""
    index = jnp.arange(len(cosine))

    def meet(carry: tuple[Array, Array], j: Array) -> tuple[tuple[Array, Array], None]:
        weights, targets = carry
        length = numerics.sqrt(jnp.maximum(weights @ cosine @ weights, 0))
        found = jnp.clip(numerics.divide(cosine[j] @ weights, length), -1, 1)
        wanted, met = targets[j], moving[j] & moving[task] & (j != task)
        turn = wanted * _sine(found) - found * _sine(wanted)
        turn = length * numerics.divide(turn, _sine(wanted))
        here = (index == j) & met
        weights = weights + jnp.where(here & (found < wanted), turn, 0)
        return (weights, targets + jnp.where(here, share * (found - wanted), 0)), None

    start = ((index == task).astype(cosine.dtype), targets)
    return lax.scan(meet, start, order)[0]


def _sine(cosine: Array) -> Array:
    return numerics.sqrt((1 - cosine) * (1 + cosine))
