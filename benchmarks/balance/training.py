"""One training loop for every method and every problem, to be jitted and mapped over seeds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from jaxloss import multitask

Array = jax.Array


class Problem(NamedTuple):
    """What is to be learned.

    Attributes:
      start: from a key to parameters.
      draw: from a key to a batch; what it holds is the problem's own affair.
      losses: `losses(params, batch)`, a tree: one number for each task, or its examples' losses.
      watch: what is looked at along the way, a function of the parameters.
      optimizer: of the parameters, the same for all methods.
      reference: the loss that counts in the end, a function of the parameters; for methods that
        follow its gradient.
    """

    start: Callable[[Array], Any]
    draw: Callable[[Array], Any]
    losses: Callable[[Any, Any], Any]
    watch: Callable[[Any], Any]
    optimizer: optax.GradientTransformation
    reference: Callable[[Any], Array] | None = None


Extra = Callable[[Problem, Any, Any, Any], dict[str, Any]]


class Method(NamedTuple):
    """What stands between the losses and the optimizer.

    Attributes:
      losses: transformation of the tree of losses.
      gradients: transformation of the gradients of all tasks; None for that of the sum.
      mode: how the gradients of all tasks are had.
      extra: `extra(problem, params, batch, previous)`, arguments that the two transformations ask
        for; `previous` is the batch of the step before.
    """

    losses: optax.GradientTransformation = optax.identity()
    gradients: optax.GradientTransformation | None = None
    mode: str = "map"
    extra: Extra = lambda *_: {}


def train(problem: Problem, method: Method, key: Array, *, steps: int, every: int) -> Any:
    """Train, and return what was watched every so many steps: leaves `[steps // every, ...]`."""
    weigh = optax.with_extra_args_support(method.losses)
    follow = problem.optimizer
    if method.gradients is not None:
        follow = optax.chain(method.gradients, follow)
    follow = optax.with_extra_args_support(follow)
    at_start, at_steps = jax.random.split(key)

    def step(carry: Any, index: Array) -> tuple[Any, None]:
        params, memory, state, previous = carry
        batch = problem.draw(jax.random.fold_in(at_steps, index))
        extra = method.extra(problem, params, batch, previous)

        def weighted(params: Any) -> tuple[Any, Any]:
            losses = problem.losses(params, batch)
            out, later = weigh.update(losses, memory, **extra)
            return out, (losses, later)

        if method.gradients is None:
            gradients, (losses, memory) = _of_sum(weighted, params)
        else:
            call = multitask.value_and_gradients(weighted, has_aux=True, mode=method.mode)
            (_, (losses, memory)), gradients = call(params)
        updates, state = follow.update(gradients, state, params, losses=losses, **extra)
        return (optax.apply_updates(params, updates), memory, state, batch), None

    def stretch(carry: Any, first: Array) -> tuple[Any, Any]:
        carry, _ = lax.scan(step, carry, first + jnp.arange(every))
        return carry, problem.watch(carry[0])

    params, batch = problem.start(at_start), problem.draw(at_start)
    memory = weigh.init(problem.losses(params, batch))
    carry = (params, memory, follow.init(params), batch)
    return lax.scan(stretch, carry, every * jnp.arange(steps // every))[1]


def _of_sum(weighted: Callable[[Any], tuple[Any, Any]], params: Any) -> tuple[Any, Any]:
    def total(params: Any) -> tuple[Array, Any]:
        out, aux = weighted(params)
        return jax.tree.reduce(jnp.add, out), aux

    return jax.grad(total, has_aux=True)(params)
