"""What weightings that learn one number for each task share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxloss import arguments, reduction
from jaxloss.protocol import Decision
from jaxloss.weighting.tasks import weighting

Array = jax.Array
Formula = Callable[[Array, Array], Array]


def learned(
    function: str,
    formula: Formula,
    memory: Callable[[Array, Any], NamedTuple],
    optimizer: optax.GradientTransformation,
    initial: float,
) -> optax.GradientTransformationExtraArgs:
    """Return the weighting of a formula `f(L, s)` that is affine in the loss.

    The weight is its derivative by `L`, the offset its value at `L = 0`, and `s` follows its
    derivative by `s`.

    Args:
      function: the name of the public factory, for messages.
      formula: element by element.
      memory: a named tuple of `s`, `[K]`, and the optimizer's state.
      optimizer: of `s`.
      initial: where `s` starts.
    """
    start_at = arguments.hyper(function, "initial", initial, jnp.zeros(()))
    optimizer = optax.with_extra_args_support(optimizer)
    total = lambda losses, s: jnp.sum(formula(losses, s))

    def start(like: Array) -> Any:
        s = jnp.full_like(like, start_at)
        return memory(s, optimizer.init(s))

    def step(losses: Array, remembered: Any) -> Decision:
        s, state = remembered
        weights, slope = jax.grad(total, argnums=(0, 1))(losses, s)
        change, state = optimizer.update(slope, state, s)
        offsets = formula(jnp.zeros_like(losses), s)
        return Decision(weights, memory(optax.apply_updates(s, change), state), offsets)

    return weighting(function, step, start)


def formula_of_tree(function: str, formula: Formula, losses: Any, learned: Any) -> Any:
    """Return `formula(L, s)` for each task of trees of numbers, differentiable in both."""

    def one(loss: Any, s: Any) -> Array:
        loss = arguments.floating(function, "losses", loss)
        if loss.shape != ():
            expected = "one number for each task (chain reduce_mean() before)"
            raise arguments.reject(function, "losses", expected, f"shape {loss.shape}")
        loss = loss.astype(arguments.working_dtype(loss))
        return formula(loss, jnp.asarray(s, loss.dtype))

    return reduction.map_tasks(one, losses, learned)
