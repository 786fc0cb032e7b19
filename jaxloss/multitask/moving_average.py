"""CR-MOGM: the weights of any method, averaged over updates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxloss import arguments, protocol
from jaxloss.multitask.aggregate import aggregate, same_number
from jaxloss.multitask.tasks import Shared
from jaxloss.protocol import Decision

Array = jax.Array


class MovingAverageMemory(NamedTuple):
    """What the moving average remembers.

    Attributes:
      weights: `[K]`, the average; 0 before the first update.
      steps: the number of updates.
    """

    weights: Array
    steps: Array


def moving_average(
    weights: Callable[[Array], Array],
    *,
    tasks: int,
    decay: Any = 0.9,
    shared: Shared = None,
    heads: str = "plain",
) -> optax.GradientTransformationExtraArgs:
    """Combine tasks' gradients by the moving average of a method's weights: CR-MOGM.

    `average = decay average + (1 - decay) weights(G)`, from the first weights on. The weights that
    noisy gradients ask for depend on their noise, which makes their combination biased; averaged
    over many updates they no longer do.

    Args:
      weights: a function from the Gramian `[tasks, tasks]` to `[tasks]`, such as `mgda_weights` or
        `functools.partial(cagrad_weights, c=0.5)`.
      tasks: how many there are.
      decay: in [0, 1]; 0 to average nothing. The paper lets it go to 1 as the learning rate goes
        to 0 (`optax.inject_hyperparams`).
      shared: as of `aggregate`, and so is `heads`, and what comes back.
      heads: what the gradient of a head is.

    Returns:
      A transformation whose memory is `MovingAverageMemory`.

    Raises:
      ValueError: for a `decay` out of range, or another number of tasks.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> smooth = jl.multitask.moving_average(jl.multitask.mgda_weights, tasks=2, decay=0.5)
      >>> state = smooth.init(jnp.zeros(2))
      >>> for length in (1.0, 3.0):
      ...     gradients = [jnp.array([1.0, 0.0]), jnp.array([0.0, length])]
      ...     combined, state = smooth.update(gradients, state)
      >>> print(state.memory.weights)  # the mean of [0.5 0.5] and [0.9 0.1]
      [0.7 0.3]

    Reference: Zhou et al., On the Convergence of Stochastic Multi-Objective Gradient Manipulation
    and Beyond (2022), algorithm 1.
    """
    one = jnp.zeros(())
    number = protocol.counted("moving_average", "tasks", tasks, static=True)
    keep = arguments.hyper("moving_average", "decay", decay, one, at_least=0.0, at_most=1.0)

    def start() -> MovingAverageMemory:
        return MovingAverageMemory(jnp.zeros(number, one.dtype), jnp.zeros((), jnp.int32))

    def step(gramian: Array, memory: MovingAverageMemory) -> Decision:
        same_number("moving_average", len(gramian), tasks)
        latest = weights(gramian).astype(memory.weights.dtype)
        past = jnp.where(memory.steps == 0, 0, keep)
        average = latest + past * (memory.weights - latest)
        return Decision(average, MovingAverageMemory(average, memory.steps + 1))

    return aggregate("moving_average", step, start, shared=shared, heads=heads)
