"""Weights from a reference gradient: what helps it counts, what does not is left out.

`update` of these needs the extra argument `reference_gradient`, a tree like the parameters: the
gradient of what matters in the end, such as the loss on a clean validation batch or that of the
main task. All decide by the alignments `a_i`, the inner products of the tasks' gradients with it
(of the shared parameters). They cost one more backward pass, for the reference. With the gradients
of examples in place of tasks' (`jax.vmap` of a gradient, as `Rows`) they weigh examples.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from jaxloss import arguments, numerics, protocol
from jaxloss.multitask.aggregate import combination, same_number
from jaxloss.multitask.tasks import Rows, Shared, Tasks
from jaxloss.protocol import Decision

Array = jax.Array


def learning_to_reweight(
    *, shared: Shared = None, heads: str = "plain"
) -> optax.GradientTransformationExtraArgs:
    """Weigh gradients by how much a small step along each would lower the reference loss.

    `w = max(a, 0) / sum(max(a, 0))`: one step of gradient descent on the weights, from weights of
    0. They sum to 1, and are all 0 where no gradient helps. `update` needs `reference_gradient`;
    arguments, and what comes back, as `aggregate` says.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> reweight = jl.multitask.learning_to_reweight()
      >>> gradients = [jnp.array([3.0, 0.0]), jnp.array([0.0, 1.0]), jnp.array([-5.0, 0.0])]
      >>> state, clean = reweight.init(jnp.zeros(2)), jnp.array([1.0, 1.0])
      >>> print(reweight.update(gradients, state, reference_gradient=clean)[0])
      [2.25 0.25]

    Reference: Ren et al., Learning to Reweight Examples for Robust Deep Learning (2018),
    algorithm 1.
    """

    def weigh(tasks: Tasks, reference: Any) -> Array:
        helpful = numerics.positive_part(tasks.alignments(reference, shared))
        helpful = numerics.divide(helpful, jnp.max(helpful))
        return numerics.divide(helpful, jnp.sum(helpful))

    return _referred("learning_to_reweight", weigh, shared=shared, heads=heads)


def gradient_cosine(
    *, weighted: bool = True, shared: Shared = None, heads: str = "plain"
) -> optax.GradientTransformationExtraArgs:
    """Weigh gradients by their cosine with the reference, and leave out those that oppose it.

    `w_i = max(cos_i, 0)`, or unweighted 1 where `cos_i > 0` and else 0. Not normalised: the weights
    are in [0, 1]. Meant for auxiliary tasks, with the gradient of the main task for reference; as
    one of the tasks that has the weight 1. `update` needs `reference_gradient`; the other
    arguments, and what comes back, as `aggregate` says.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> help_only = jl.multitask.gradient_cosine()
      >>> gradients = [jnp.array([3.0, 4.0]), jnp.array([-1.0, 1.0])]
      >>> state, main = help_only.init(jnp.zeros(2)), jnp.array([2.0, 0.0])
      >>> print(help_only.update(gradients, state, reference_gradient=main)[0].tolist())
      [1.8, 2.4]

    Reference: Du et al., Adapting Auxiliary Losses Using Gradient Similarity (2018), the weighted
    and the unweighted form.
    """

    def weigh(tasks: Tasks, reference: Any) -> Array:
        along = tasks.alignments(reference, shared)
        length = Rows(jax.tree.map(lambda leaf: leaf[None], reference)).norms(shared)
        cosine = numerics.divide(numerics.divide(along, tasks.norms(shared)), length)
        return numerics.positive_part(cosine) if weighted else (along > 0).astype(along.dtype)

    return _referred("gradient_cosine", weigh, shared=shared, heads=heads)


class LearnedMemory(NamedTuple):
    """What methods remember that learn weights from a reference gradient.

    Attributes:
      weights: `[K]`.
      optimizer: the state of the optimizer that learns them.
    """

    weights: Array
    optimizer: Any


def ol_aux(
    optimizer: optax.GradientTransformation,
    *,
    tasks: int,
    initial: Any = 1.0,
    shared: Shared = None,
    heads: str = "plain",
) -> optax.GradientTransformationExtraArgs:
    """Learn weights of auxiliary tasks online: those that help the main task gain weight, OL-AUX.

    The weights follow the gradient `-a`, by `optimizer`. The paper adds up the alignments of N
    updates before it takes a step: `optax.MultiSteps(optax.sgd(N * rate), N)`. Nothing bounds or
    normalises the weights, and the reference itself is not added to what comes out: give the main
    task's gradient to the optimizer as well, or put it among the tasks with `auto_lambda`.

    Args:
      optimizer: the optax optimizer of the weights `[tasks]`.
      tasks: how many there are.
      initial: the weights at the start, one number or `[tasks]`.
      shared: as of `aggregate`, and so is `heads`, and what comes back.
      heads: what the gradient of a head is.

    Returns:
      A transformation whose `update` needs `reference_gradient`. Its memory is `LearnedMemory`.

    Raises:
      ValueError: for an `initial` of another shape, or another number of tasks.

    Example:
      >>> import jax.numpy as jnp, optax
      >>> import jaxloss as jl
      >>> learn = jl.multitask.ol_aux(optax.sgd(0.1), tasks=2)
      >>> gradients = [jnp.array([3.0, 4.0]), jnp.array([-1.0, 1.0])]
      >>> state, main = learn.init(jnp.zeros(2)), jnp.array([2.0, 0.0])
      >>> combined, state = learn.update(gradients, state, reference_gradient=main)
      >>> print(state.memory.weights)
      [1.6 0.8]

    Reference: Lin et al., Adaptive Auxiliary Task Weighting for Reinforcement Learning (2019),
    algorithm 1.
    """
    return _learned("ol_aux", optimizer, tasks, initial, 1.0, shared=shared, heads=heads)


def auto_lambda(
    optimizer: optax.GradientTransformation,
    *,
    tasks: int,
    learning_rate: Any = 1.0,
    initial: Any = 0.1,
    shared: Shared = None,
    heads: str = "plain",
) -> optax.GradientTransformationExtraArgs:
    """Learn weights of tasks by how they change the reference loss one step ahead: Auto-Lambda.

    One step of gradient descent leads to `ahead = params - learning_rate * sum(w g)`. The
    derivative of the reference loss there is `-learning_rate a` for the weights, if
    `reference_gradient` is its gradient at `ahead`; no finite differences are needed. The weights,
    `state.memory.weights`, are updated first and then used, as in the authors' code:

        losses, gradients = value_and_gradients(losses_fn)(params, batch)
        step = gradients.combine(state.memory.weights)
        ahead = jax.tree.map(lambda p, s: p - learning_rate * s, params, step)
        reference = jax.grad(primary_loss)(ahead, validation_batch)
        updates, state = auto.update(gradients, state, params, reference_gradient=reference)

    The gradient at `params` saves the step and differs by the order of `learning_rate`. Weights may
    become negative: nothing bounds them.

    Args:
      optimizer: the optax optimizer of the weights `[tasks]`, such as `optax.adam(1e-4)`.
      tasks: how many there are.
      learning_rate: of the step ahead, at least 0.
      initial: the weights at the start, one number or `[tasks]`.
      shared: as of `aggregate`, and so is `heads`, and what comes back.
      heads: what the gradient of a head is.

    Returns:
      A transformation whose `update` needs `reference_gradient`. Its memory is `LearnedMemory`.

    Raises:
      ValueError: for a `learning_rate` below 0, an `initial` of another shape, or another number of
        tasks.

    Example:
      >>> import jax.numpy as jnp, optax
      >>> import jaxloss as jl
      >>> auto = jl.multitask.auto_lambda(optax.sgd(1.0), tasks=2, learning_rate=0.1)
      >>> gradients = [jnp.array([3.0, 4.0]), jnp.array([-1.0, 1.0])]
      >>> state, primary = auto.init(jnp.zeros(2)), jnp.array([2.0, 0.0])
      >>> combined, state = auto.update(gradients, state, reference_gradient=primary)
      >>> print(state.memory.weights.tolist())
      [0.7, -0.1]

    Reference: Liu et al., Auto-Lambda: Disentangling Dynamic Task Relationships (2022), the
    gradient of the weights.
    """
    one = jnp.zeros(())
    rate = arguments.hyper("auto_lambda", "learning_rate", learning_rate, one, at_least=0.0)
    return _learned("auto_lambda", optimizer, tasks, initial, rate, shared=shared, heads=heads)


def _referred(
    function: str, weigh: Callable[[Tasks, Any], Array], **options: Any
) -> optax.GradientTransformationExtraArgs:
    def decide(tasks: Tasks, memory: Any, **extra: Any) -> tuple[Tasks, Decision]:
        return tasks, Decision(lax.stop_gradient(weigh(tasks, _reference(function, extra))), memory)

    return combination(function, decide, **options)


def _learned(
    function: str,
    optimizer: optax.GradientTransformation,
    tasks: int,
    initial: Any,
    rate: Any,
    *,
    shared: Shared,
    heads: str,
) -> optax.GradientTransformationExtraArgs:
    like = jnp.zeros(protocol.counted(function, "tasks", tasks, static=True))
    first = jnp.broadcast_to(arguments.hyper(function, "initial", initial, like), like.shape)
    optimizer = optax.with_extra_args_support(optimizer)

    def decide(given: Tasks, memory: LearnedMemory, **extra: Any) -> tuple[Tasks, Decision]:
        same_number(function, given.tasks, tasks)
        along = given.alignments(_reference(function, extra), shared)
        slope = lax.stop_gradient(-rate * along).astype(memory.weights.dtype)
        change, state = optimizer.update(slope, memory.optimizer, memory.weights)
        learned = LearnedMemory(optax.apply_updates(memory.weights, change), state)
        return given, Decision(learned.weights, learned)

    start = lambda params: LearnedMemory(first, optimizer.init(first))
    return combination(function, decide, start, shared=shared, heads=heads)


def _reference(function: str, extra: dict[str, Any]) -> Any:
    return protocol.needed(function, "reference_gradient", extra, "a tree like the parameters")
