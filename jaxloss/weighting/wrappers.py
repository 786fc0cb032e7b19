"""Wrappers of weightings: seldom, clipped, renormalised, on logarithms.

They take any weighting, also under `optax.inject_hyperparams`, and have its state as their memory.
What comes back of the first three is each loss times its weight: what a method adds to the values
(the `s / 2` of `uncertainty`), without effect on gradients, is left out.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import optax
from jax import lax

from jaxloss import arguments, numerics, protocol
from jaxloss.weighting.tasks import WeightingState, apply, stack, unstack

Array = jax.Array
Weighting: TypeAlias = optax.GradientTransformationExtraArgs


class EveryMemory(NamedTuple):
    """What `every_k` remembers.

    Attributes:
      updates: how many, from 0 to k - 1 and again.
      inner: the state of the wrapped weighting.
    """

    updates: Array
    inner: Any


def every_k(weighting: Weighting, k: int) -> Weighting:
    """Update a weighting in the first of every `k` updates, and keep its weights in between.

    It does not see the losses and extra arguments in between, but wants the arguments there (their
    values are ignored). Not for methods that learn from what one step did, such as `famo`.

    Args:
      weighting: any weighting.
      k: at least 1.

    Returns:
      A transformation with `WeightingState`, whose memory is `EveryMemory`.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> weighting = jl.weighting.every_k(jl.weighting.scale_invariant(), 2)
      >>> state = weighting.init(jnp.array(0.0))
      >>> for loss in (2.0, 8.0, 8.0):
      ...     weighted, state = weighting.update(jnp.array(loss), state)
      ...     print(weighted)
      1.0
      4.0
      1.0
    """
    weighting = optax.with_extra_args_support(weighting)
    k = protocol.counted("every_k", "k", k)

    def init(losses: Any) -> WeightingState:
        inner = weighting.init(losses)
        return WeightingState(
            _weights("every_k", inner), EveryMemory(jnp.zeros((), jnp.int32), inner)
        )

    def update(
        losses: Any, state: WeightingState, params: Any = None, **extra: Any
    ) -> tuple[Any, WeightingState]:
        count, inner = state.memory
        constants = lax.stop_gradient(losses)
        fresh = lambda inner: weighting.update(constants, inner, params, **extra)[1]
        inner = lax.stop_gradient(lax.cond(count == 0, fresh, lambda inner: inner, inner))
        weights = _weights("every_k", inner)
        weighted = apply(losses, stack("every_k", "losses", weights, weights))
        count = jnp.asarray((count + 1) % k, jnp.int32)
        return weighted, WeightingState(weights, EveryMemory(count, inner))

    return optax.GradientTransformationExtraArgs(init, update)


def clip_weights(weighting: Weighting, low: float, high: float) -> Weighting:
    """Keep the weights of a weighting between `low` and `high`.

    Args:
      weighting: any weighting.
      low: the least weight.
      high: the greatest weight, not below `low`.

    Returns:
      A transformation with `WeightingState`, whose memory is the state of the wrapped weighting.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> weighting = jl.weighting.clip_weights(jl.weighting.scale_invariant(), 0.1, 10.0)
      >>> weighted, state = weighting.update(jnp.array(0.001), weighting.init(jnp.array(0.0)))
      >>> print(state.weights)
      10.0
    """
    least = arguments.hyper("clip_weights", "low", low, jnp.zeros(()))
    most = arguments.hyper("clip_weights", "high", high, jnp.zeros(()))
    traced = any(isinstance(x, jax.core.Tracer) for x in (low, high))
    if not traced and high < low:
        raise arguments.reject("clip_weights", "high", f"at least low, {low}", high)
    return _changed("clip_weights", weighting, lambda weights: jnp.clip(weights, least, most))


def renormalize(weighting: Weighting, total: float | None = None) -> Weighting:
    """Scale the weights of a weighting so that they sum to `total`.

    So that learning rates mean the same whatever the method. Weights that sum to 0 become 0.

    Args:
      weighting: any weighting.
      total: > 0; None is the number of tasks, as in the plain sum.

    Returns:
      A transformation with `WeightingState`, whose memory is the state of the wrapped weighting.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> weighting = jl.weighting.renormalize(jl.weighting.scale_invariant())
      >>> losses = [jnp.array(1.0), jnp.array(3.0)]  # weights 1 and 1/3
      >>> _, state = weighting.update(losses, weighting.init(losses))
      >>> print(jnp.stack(state.weights))
      [1.5 0.5]
    """
    check = functools.partial(arguments.hyper, "renormalize", "total", above=0.0)
    known = None if total is None else check(total, jnp.zeros(()))

    def change(weights: Array) -> Array:
        goal = len(weights) if known is None else known
        return weights * numerics.divide(jnp.asarray(goal, weights.dtype), jnp.sum(weights))

    return _changed("renormalize", weighting, change)


def on_log(weighting: Weighting) -> Weighting:
    """Hand a weighting the logarithms of the losses, which have no units.

    The losses that come back are those of the logarithms. The weights in the state are what
    gradients are multiplied by: those for the logarithms over the losses. Losses must be positive;
    one that is exactly 0 has weight 0. Extra arguments that are losses are handed on as they are.

    Args:
      weighting: any weighting that works on numbers of both signs.

    Returns:
      A transformation with `WeightingState`, whose memory is the state of the wrapped weighting.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> weighting = jl.weighting.on_log(jl.weighting.equal())
      >>> losses = [jnp.array(1.0), jnp.array(4.0)]
      >>> _, state = weighting.update(losses, weighting.init(losses))
      >>> print(jnp.stack(state.weights))
      [1. 0.25]
    """
    weighting = optax.with_extra_args_support(weighting)

    def log(loss: Any) -> Array:
        loss = arguments.floating("on_log", "losses", loss)
        return numerics.log(loss.astype(arguments.working_dtype(loss)))

    def init(losses: Any) -> WeightingState:
        inner = weighting.init(losses)
        return WeightingState(_weights("on_log", inner), inner)

    def update(
        losses: Any, state: WeightingState, params: Any = None, **extra: Any
    ) -> tuple[Any, WeightingState]:
        weighted, inner = weighting.update(jax.tree.map(log, losses), state.memory, params, **extra)
        inverse = lambda w, x: numerics.divide(w, jnp.asarray(lax.stop_gradient(x), w.dtype))
        weights = jax.tree.map(inverse, _weights("on_log", inner), losses)
        return weighted, WeightingState(weights, inner)

    return optax.GradientTransformationExtraArgs(init, update)


def _changed(function: str, weighting: Weighting, change: Callable[[Array], Array]) -> Weighting:
    """Return a weighting with the weights `change(weights)`, `[K]`."""
    weighting = optax.with_extra_args_support(weighting)

    def init(losses: Any) -> WeightingState:
        inner = weighting.init(losses)
        return WeightingState(_weights(function, inner), inner)

    def update(
        losses: Any, state: WeightingState, params: Any = None, **extra: Any
    ) -> tuple[Any, WeightingState]:
        constants = lax.stop_gradient(losses)
        _, inner = weighting.update(constants, state.memory, params, **extra)
        old = _weights(function, inner)
        vector = stack(function, "weights", old, old)
        new = change(vector).astype(vector.dtype)
        return apply(losses, new), WeightingState(unstack(new, losses), inner)

    return optax.GradientTransformationExtraArgs(init, update)


def _weights(function: str, state: Any) -> Any:
    """Return the weights in the state of a weighting, also of one with injected parameters."""
    if isinstance(state, WeightingState):
        return state.weights
    if not hasattr(state, "inner_state"):
        kind = type(state).__name__
        raise TypeError(f"{function}: weighting must have a WeightingState, got {kind}.")
    return _weights(function, state.inner_state)
