"""What every weighting of tasks shares: one loss for each task in, one weighted loss out.

A method is two functions on vectors of length K, the tasks in the order of the leaves of the tree
of losses: `start(like)` makes what it remembers, `step(losses, memory, **extra)` decides. From
them `weighting` makes the optax transformation; trees, dtypes, constants to autodiff, extra
arguments and their errors are seen to here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from jaxloss import arguments, protocol
from jaxloss.protocol import Decision

Array = jax.Array


class WeightingState(NamedTuple):
    """The state of every weighting.

    Attributes:
      weights: a tree like the losses; what each task's loss was multiplied by in the last update,
        1 before the first.
      memory: what the method remembers, if anything.
    """

    weights: Any
    memory: Any


def weighting(
    function: str,
    step: Callable[..., Decision],
    start: Callable[[Array], Any] = lambda like: (),
    needs: tuple[str, ...] = (),
) -> optax.GradientTransformationExtraArgs:
    """Return the transformation of a tree of losses that a method on vectors describes.

    Args:
      function: the name of the public factory, for messages.
      step: `step(losses, memory, **extra) -> Decision`; `losses` is `[K]` and a constant to
        autodiff, in the dtype of the state.
      start: `start(like) -> memory`; `like` is `[K]`, zeros in the dtype of the state.
      needs: names of extra arguments of `update` that are trees like the losses (or one number
        for all tasks); `step` gets each as `[K]`.

    Returns:
      A transformation with `WeightingState`. Its dtype is that of the losses given to `init`, at
      least float32. Losses of examples may be given to `init`, not to `update`.
    """

    def init(losses: Any) -> WeightingState:
        dtype = arguments.working_dtype(*(jnp.asarray(x) for x in jax.tree.leaves(losses)))
        like = jnp.zeros(len(jax.tree.leaves(losses)), dtype)
        return WeightingState(unstack(jnp.ones_like(like), losses), start(like))

    def update(
        losses: Any, state: WeightingState, params: Any = None, **extra: Any
    ) -> tuple[Any, WeightingState]:
        del params
        vector = stack(function, "losses", losses, state.weights)
        given = {name: _needed(function, name, extra, state.weights) for name in needs}
        decision = step(lax.stop_gradient(vector), state.memory, **given)
        weights, memory, offsets = lax.stop_gradient(decision)
        return apply(losses, weights, offsets), WeightingState(unstack(weights, losses), memory)

    return optax.GradientTransformationExtraArgs(init, update)


def stack(function: str, name: str, values: Any, weights: Any) -> Array:
    """Return one number for each task as a vector `[K]` in the dtype of the state."""
    expected: Any = jax.tree.structure(weights)
    found: Any = jax.tree.structure(values)
    if expected != found:
        raise arguments.reject(function, name, f"a tree like init's losses, {expected}", found)
    arrays = [arguments.floating(function, name, x) for x in jax.tree.leaves(values)]
    for array in arrays:
        if array.shape != ():
            hint = "one number for each task (chain reduce_mean() before)"
            raise arguments.reject(function, name, hint, f"shape {array.shape}")
    dtype = jax.tree.leaves(weights)[0].dtype if arrays else jnp.float32
    return jnp.stack([x.astype(dtype) for x in arrays]) if arrays else jnp.zeros(0, dtype)


def unstack(vector: Array, losses: Any) -> Any:
    """Return `vector` `[K]` as a tree like the losses."""
    return jax.tree.unflatten(jax.tree.structure(losses), list(vector))


def apply(losses: Any, weights: Array, offsets: Any = 0.0) -> Any:
    """Return `weight * loss + offset` for each task, in at least float32."""
    offsets = jnp.broadcast_to(jnp.asarray(offsets, weights.dtype), weights.shape)

    def one(loss: Any, weight: Array, offset: Array) -> Array:
        loss = jnp.asarray(loss)
        dtype = arguments.working_dtype(loss)
        return weight.astype(dtype) * loss.astype(dtype) + offset.astype(dtype)

    return jax.tree.map(one, losses, unstack(weights, losses), unstack(offsets, losses))


def _needed(function: str, name: str, extra: dict[str, Any], weights: Any) -> Array:
    """Return the extra argument that a method cannot do without, as `[K]`."""
    value = protocol.needed(function, name, extra, "a tree like the losses")
    if jax.tree_util.treedef_is_leaf(jax.tree.structure(value)):
        value = jax.tree.map(lambda _: value, weights)
    return lax.stop_gradient(stack(function, name, value, weights))
