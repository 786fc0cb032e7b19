"""PCGrad: from each gradient, what conflicts with the others is taken away."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax

from jaxloss import numerics, protocol
from jaxloss.multitask.aggregate import aggregate, square
from jaxloss.multitask.tasks import Shared
from jaxloss.protocol import Decision

Array = jax.Array


def pcgrad_weights(gramian: Array, key: Array) -> Array:
    """Return the weights of PCGrad.

    Each task starts from its own gradient `v` and visits the others, in a random order of its own:
    where `v . g_j < 0`, `v` becomes `v - (v . g_j / g_j . g_j) g_j`. The results are summed.

    Args:
      gramian: `[tasks, tasks]`.
      key: for the orders. Two tasks have only one.

    Returns:
      `[tasks]`, each at least 1; all 1 where no gradients conflict.

    Raises:
      ValueError: for a matrix that is not square.

    Example: for two tasks the weights are `1 - min(G12, 0) / (G11, G22)`.
      >>> import jax, jax.numpy as jnp
      >>> import jaxloss as jl
      >>> gramian = jnp.array([[1.0, -1.0], [-1.0, 4.0]])
      >>> print(jl.multitask.pcgrad_weights(gramian, jax.random.key(0)))
      [2.   1.25]

    Reference: Yu et al., Gradient Surgery for Multi-Task Learning (2020), algorithm 1.
    """
    gramian = square("pcgrad_weights", gramian)
    orders = random_orders(key, len(gramian))

    tasks = jnp.arange(len(gramian))

    def surgery(task: Array, order: Array) -> Array:
        def project(weights: Array, j: Array) -> tuple[Array, None]:
            conflict = jnp.minimum(gramian[j] @ weights, 0)
            portion = numerics.divide(conflict, gramian[j, j])
            return weights - jnp.where((tasks == j) & (task != j), portion, 0), None

        return lax.scan(project, (tasks == task).astype(gramian.dtype), order)[0]

    return jnp.sum(jax.vmap(surgery)(tasks, orders), axis=0)


def random_orders(key: Array, tasks: int) -> Array:
    """Return an order of all tasks for each of them, `[tasks, tasks]`."""
    return jnp.argsort(jax.random.uniform(key, (tasks, tasks)), axis=-1)


def pcgrad(
    *, seed: Any = 0, shared: Shared = None, heads: str = "plain"
) -> optax.GradientTransformationExtraArgs:
    """Sum tasks' gradients after each is freed from its conflicts with the others: PCGrad.

    Where no gradients conflict it is the plain sum. The weights are at least 1: their scale is that
    of a sum, not of a mean. Arguments other than `seed`, of the random orders, and what comes back,
    as `aggregate` says.

    Implementations differ: ours leaves a task's own gradient out of its visits and draws an order
    for each task, as the paper does.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> surgery = jl.multitask.pcgrad()
      >>> gradients = {"a": jnp.array([-4.0, 1.0, 1.0]), "b": jnp.array([6.0, 1.0, 1.0])}
      >>> combined, _ = surgery.update(gradients, surgery.init(jnp.zeros(3)))
      >>> print(combined.tolist())
      [0.585, 3.801, 3.801]
    """

    def step(gramian: Array, memory: Array) -> Decision:
        key, memory = protocol.next_key(memory)
        return Decision(pcgrad_weights(gramian, key), memory)

    start = lambda: protocol.key_data(seed)
    return aggregate("pcgrad", step, start, shared=shared, heads=heads)
