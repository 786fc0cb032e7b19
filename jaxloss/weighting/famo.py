"""FAMO: all losses decrease at the same relative rate, for the price of one more forward pass."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxloss import arguments
from jaxloss.protocol import Decision
from jaxloss.weighting.tasks import by_name, weighting

Array = jax.Array


class FamoMemory(NamedTuple):
    """What FAMO has learned.

    Attributes:
      logits: `[K]`, of the shares of the tasks.
      optimizer: the state of the optimizer that learns them.
      losses: `[K]`, those of the last update, less their lower bounds.
      started: whether there was one.
    """

    logits: Array
    optimizer: Any
    losses: Array
    started: Array


def famo(
    optimizer: optax.GradientTransformation | None = None,
    *,
    decay: float = 1e-3,
    lower: Any = 0.0,
) -> optax.GradientTransformationExtraArgs:
    """Fast adaptive multitask optimisation: weights `c z / D` with `D = L - lower`, summing to 1.

    The shares `z = softmax(logits)` are learned so that the logarithms of all `D` fall equally
    fast, by what the last step did to the losses: with `d` the fall of `log(D)` from before the
    step to after it, on the same batch, logits follow the gradient `z (d - sum(z d)) + decay *
    logits`. A task that fell more weighs less. `c = 1 / sum(z / D)`. No gradient of a single task
    is needed, whatever K is.

    What the step did enters the next update as the extra argument `feedback=`: the losses of the
    *previous* batch at the *present* parameters, as the losses were (reduced, with the same random
    numbers for dropout). In a loop:

        losses, feedback = losses_fn(params, batch), losses_fn(params, last_batch)
        weighted, state = weighting.update(losses, state, feedback=feedback)

    The first update has no step behind it and ignores the value of `feedback=`, but wants it, so
    that all updates are alike under `lax.scan`: give it the losses themselves. To save the second
    forward pass give `feedback=losses` always, at the price of the noise between batches.

    Implementations differ in `decay`, which is added to the gradient before the optimizer: 1e-3 in
    the paper, 1e-5 and 1e-2 in its code. Too large, it holds the shares equal.

    Args:
      optimizer: the optax optimizer of the logits; None is `optax.adam(0.025)`.
      decay: of the logits, >= 0.
      lower: bounds below the losses: one number, a tree like them, or a mapping from names of tasks
        (0 for the others). `D` is at least 1e-8.

    Returns:
      A transformation with `WeightingState`, whose memory is `FamoMemory`.

    Raises:
      TypeError: in `update`, without `feedback=`.

    Example:
      >>> import jax.numpy as jnp, optax
      >>> import jaxloss as jl
      >>> weighting = jl.weighting.famo(optax.sgd(1.0), decay=0.0)
      >>> losses = {"a": jnp.array(1.0), "b": jnp.array(3.0)}
      >>> _, state = weighting.update(losses, weighting.init(losses), feedback=losses)
      >>> print({task: float(weight) for task, weight in state.weights.items()})  # as 1 to 1/3
      {'a': 0.75, 'b': 0.25}
      >>> fell = {"a": jnp.array(0.5), "b": jnp.array(3.0)}  # a has halved: it weighs less
      >>> _, state = weighting.update(losses, state, feedback=fell)
      >>> print({task: round(float(weight), 3) for task, weight in state.weights.items()})
      {'a': 0.68, 'b': 0.32}

    Reference: Liu et al., FAMO: Fast Adaptive Multitask Optimization (2023), algorithm 1.
    """
    gamma = arguments.hyper("famo", "decay", decay, jnp.zeros(()), at_least=0.0)
    for number in jax.tree.leaves(lower):
        arguments.hyper("famo", "lower", number, jnp.zeros(()))
    adam = optax.adam(0.025) if optimizer is None else optimizer
    adam = optax.with_extra_args_support(adam)

    def start(like: Array) -> FamoMemory:
        return FamoMemory(like, adam.init(like), like, jnp.zeros((), bool))

    def learn(memory: FamoMemory, after: Array) -> tuple[Array, Any]:
        before = jnp.where(memory.started, memory.losses, after)
        shares = jax.nn.softmax(memory.logits)
        fall = jnp.log(before) - jnp.log(after)
        slope = shares * (fall - jnp.sum(shares * fall)) + gamma * memory.logits
        change, state = adam.update(slope, memory.optimizer, memory.logits)
        return optax.apply_updates(memory.logits, change), state

    def step(losses: Array, memory: FamoMemory, feedback: Array, structure: Any) -> Decision:
        bounds = by_name("famo", "lower", lower, structure, jnp.zeros_like(losses))
        distance = lambda values: jnp.maximum(values - bounds, 1e-8)
        learned = learn(memory, distance(feedback))
        keep = lambda new, old: jnp.where(memory.started, new, old)
        logits, state = jax.tree.map(keep, learned, (memory.logits, memory.optimizer))
        # softmax of logits - log(D) is z / D over its sum.
        weights = jax.nn.softmax(logits - jnp.log(distance(losses)))
        memory = FamoMemory(logits, state, distance(losses), jnp.ones((), bool))
        return Decision(weights, memory)

    return weighting("famo", step, start, ("feedback",), structure=True)
