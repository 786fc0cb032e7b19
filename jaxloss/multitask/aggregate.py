"""From the gradients of all tasks to one: what every aggregator shares."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from jaxloss import arguments, protocol
from jaxloss.multitask.tasks import Shared, Tasks, as_tasks, is_shared
from jaxloss.protocol import Decision

Array = jax.Array


class AggregateState(NamedTuple):
    """The state of every aggregator.

    Attributes:
      memory: what the method remembers, if anything.
    """

    memory: Any


def aggregate(
    function: str,
    step: Callable[..., Decision],
    start: Callable[[], Any] = lambda: (),
    needs: tuple[str, ...] = (),
    *,
    shared: Shared = None,
    heads: str = "plain",
) -> optax.GradientTransformationExtraArgs:
    """Return the transformation of tasks' gradients that weighs them by their Gramian.

    Args:
      function: the name of the public factory, for messages.
      step: `step(gramian, memory, **extra) -> Decision`; `gramian` is `[K, K]`, its weights `[K]`.
      start: makes the memory. `init` sees the parameters and not the tasks: a method whose memory
        depends on K asks for `tasks` in its factory.
      needs: names of extra arguments of `update`, trees of one number for each task; `step` gets
        each as `[K]`.
      shared: which parameters the tasks share, as of `optax.masked`: a tree of booleans, a prefix
        of one, or a callable from the parameters to it; None for all of them. Only these enter the
        Gramian. The others are heads.
      heads: what the gradient of a head is: `"plain"`, that of the plain sum of the losses, or
        `"weighted"`, that of the losses weighed as for the shared parameters.

    Returns:
      A transformation whose `init` takes parameters, whose `update` takes the gradients of all
      tasks (what `value_and_gradients` gives, or a dict or list of one tree per task) and returns
      one. Chain any optimizer behind it.
    """

    def decide(tasks: Tasks, memory: Any, **extra: Any) -> tuple[Tasks, Decision]:
        given = {name: per_task(function, name, extra, tasks.tasks) for name in needs}
        return tasks, step(lax.stop_gradient(tasks.gramian(shared)), memory, **given)

    return combination(function, decide, lambda params: start(), shared=shared, heads=heads)


def combination(
    function: str,
    decide: Callable[..., tuple[Tasks, Decision]],
    start: Callable[[Any], Any] = lambda params: (),
    *,
    shared: Shared = None,
    heads: str = "plain",
) -> optax.GradientTransformationExtraArgs:
    """Return the transformation of tasks' gradients that a method of the rows describes.

    Args:
      function: as in `aggregate`, and so are `shared`, `heads` and what comes back.
      decide: `decide(tasks, memory, **extra) -> (tasks, Decision)`; what comes out is the sum of
        the rows that it returns, by its weights.
      start: makes the memory from the parameters.
      shared: which parameters the tasks share.
      heads: what the gradient of a head is.
    """
    if heads not in ("plain", "weighted"):
        raise arguments.reject(function, "heads", "'plain' or 'weighted'", repr(heads))

    def init(params: Any) -> AggregateState:
        return AggregateState(start(params))

    def update(
        gradients: Any, state: AggregateState, params: Any = None, **extra: Any
    ) -> tuple[Any, AggregateState]:
        tasks = as_tasks(function, gradients, params)
        chosen, decision = decide(tasks, state.memory, **extra)
        combined = chosen.combine(decision.weights)
        if shared is not None and heads == "plain":
            plain = tasks.combine(jnp.ones(tasks.tasks, decision.weights.dtype))
            choose = lambda flag, ours, sum_: ours if flag else sum_
            combined = jax.tree.map(choose, is_shared(combined, shared), combined, plain)
        return combined, AggregateState(decision.memory)

    return optax.GradientTransformationExtraArgs(init, update)


def stateless(
    function: str, weights: Callable[[Array], Array], *, shared: Shared, heads: str
) -> optax.GradientTransformationExtraArgs:
    """Return the aggregator of a pure function of the Gramian, `[K, K]` to `[K]`."""
    step = lambda gramian, memory: Decision(weights(gramian), memory)
    return aggregate(function, step, shared=shared, heads=heads)


def per_task(function: str, name: str, extra: dict[str, Any], tasks: int) -> Array:
    """Return an extra argument that has one number for each task, as `[K]`."""
    value = protocol.needed(function, name, extra, "a tree with one number for each task")
    leaves = [arguments.real(function, name, leaf) for leaf in jax.tree.leaves(value)]
    if len(leaves) == 1 and leaves[0].ndim == 1:
        leaves = list(leaves[0])
    if len(leaves) != tasks or any(leaf.shape != () for leaf in leaves):
        shapes = [leaf.shape for leaf in leaves]
        raise arguments.reject(function, name, f"one number for each of {tasks} tasks", shapes)
    return jnp.stack([leaf.astype(arguments.working_dtype(leaf)) for leaf in leaves])


def square(function: str, gramian: Any) -> Array:
    """Convert a Gramian `[K, K]`, or say why not."""
    gramian = arguments.floating(function, "gramian", gramian)
    if gramian.ndim != 2 or gramian.shape[0] != gramian.shape[1] or not gramian.size:
        raise arguments.reject(function, "gramian", "of shape (tasks, tasks)", gramian.shape)
    return gramian.astype(arguments.working_dtype(gramian))


def preferred(function: str, weights: Any, like: Array, name: str = "preference") -> Array:
    """Return how much each task counts, `[K]` and at least 0; `like`, `[K]`, for None."""
    if weights is None:
        return like
    each = arguments.hyper(function, name, weights, like, at_least=0.0)
    if np.shape(weights) != like.shape:
        expected = f"one number for each of {len(like)} tasks"
        raise arguments.reject(function, name, expected, f"shape {np.shape(weights)}")
    return each


def non_negative(function: str, name: str, weights: Any) -> Array | None:
    """Return weights of tasks, whose number is not known yet, or None."""
    if weights is None:
        return None
    like = jnp.zeros(np.shape(weights))
    return arguments.hyper(function, name, weights, like, at_least=0.0)


def mean(gramian: Array) -> Array:
    """Return the weights of the plain mean, `[K]`."""
    return jnp.full(len(gramian), 1 / len(gramian), gramian.dtype)


def same_number(function: str, found: int, tasks: int) -> None:
    """Require as many tasks as the factory was told."""
    if found != tasks:
        raise arguments.reject(function, "gradients", f"those of {tasks} tasks, as said", found)
