"""What every weighting of tasks shares: one loss for each task in, one weighted loss out.

A method is two functions on vectors of length K, the tasks in the order of the leaves of the tree
of losses: `start(like)` makes what it remembers, `step(losses, memory, **extra)` decides. From
them `weighting` makes the optax transformation; trees, dtypes, constants to autodiff, extra
arguments and their errors are seen to here.

Arguments that name tasks do it by the path to them: a leaf of `{"seg": {"dice": ..., "edge": ...}}`
is `"seg/dice"`, one of a list `"0"`; a shorter path, such as `"seg"`, means all that is below it.
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
    *,
    takes: tuple[str, ...] = (),
    structure: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """Return the transformation of a tree of losses that a method on vectors describes.

    Args:
      function: the name of the public factory, for messages.
      step: `step(losses, memory, **extra) -> Decision`; `losses` is `[K]` and a constant to
        autodiff, in the dtype of the state.
      start: `start(like) -> memory`; `like` is `[K]`, zeros in the dtype of the state.
      needs: names of extra arguments of `update`, each one number for all tasks or a tree like the
        losses, in which tasks that `optax.masked` hides may stand; `step` gets each as `[K]`.
      takes: as `needs`, for arguments that may be missing: `step` then gets None.
      structure: whether `step` also gets `structure=`, that of the tree of losses.

    Returns:
      A transformation with `WeightingState`. Its dtype is that of the losses given to `init`, at
      least float32; what `step` returns is converted to the dtypes that `start` gave. Losses of
      examples may be given to `init`, not to `update`.
    """

    def init(losses: Any) -> WeightingState:
        dtype = arguments.working_dtype(*(jnp.asarray(x) for x in jax.tree.leaves(losses)))
        like = jnp.zeros(len(jax.tree.leaves(losses)), dtype)
        return WeightingState(unstack(jnp.ones_like(like), losses), start(like))

    def update(
        losses: Any, state: WeightingState, params: Any = None, **extra: Any
    ) -> tuple[Any, WeightingState]:
        del params
        vector = stack(function, "losses", losses, state.weights, arguments.floating)
        for name in needs:
            protocol.needed(function, name, extra, "a tree like the losses")
        given = {n: _per_task(function, n, extra.get(n), state.weights) for n in needs + takes}
        if structure:
            given["structure"] = jax.tree.structure(losses)
        decision = step(lax.stop_gradient(vector), state.memory, **given)
        weights, memory, offsets = lax.stop_gradient(decision)
        weights = weights.astype(vector.dtype)
        memory = jax.tree.map(_converted, memory, state.memory)
        return apply(losses, weights, offsets), WeightingState(unstack(weights, losses), memory)

    return optax.GradientTransformationExtraArgs(init, update)


def stack(
    function: str, name: str, values: Any, weights: Any, convert: Any = arguments.real
) -> Array:
    """Return one number for each task as a vector `[K]` in the dtype of the state."""
    expected: Any = jax.tree.structure(weights)
    found: Any = jax.tree.structure(values)
    if expected != found:
        raise arguments.reject(function, name, f"a tree like init's losses, {expected}", found)
    arrays = [convert(function, name, x) for x in jax.tree.leaves(values)]
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


def names(structure: Any) -> tuple[str, ...]:
    """Return the names of the tasks, the paths to the leaves of a tree of this structure."""
    numbered = jax.tree.unflatten(structure, range(structure.num_leaves))
    return tuple(_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(numbered))


def named(function: str, argument: str, name: str, structure: Any) -> list[int]:
    """Return which tasks a name means, at least one."""
    tasks = names(structure)
    found = [i for i, task in enumerate(tasks) if f"{task}/".startswith(f"{name}/" if name else "")]
    if not found:
        raise arguments.reject(function, argument, f"named after tasks, of {tasks}", repr(name))
    return found


def by_name(
    function: str, argument: str, values: Any, structure: Any, default: Array, **bounds: float
) -> Array:
    """Return numbers for tasks as `[K]`.

    Args:
      function: the name of the public factory, for messages.
      argument: what `values` are called.
      values: one number for all tasks, a tree like the losses, or a mapping from names of tasks.
      structure: that of the tree of losses.
      default: `[K]`, for tasks without a number.
      **bounds: as of `arguments.hyper`.
    """
    scalar = jnp.zeros((), default.dtype)
    entries = list(default)
    for path, value in jax.tree_util.tree_leaves_with_path(values):
        for task in named(function, argument, _name(path), structure):
            entries[task] = arguments.hyper(function, argument, value, scalar, **bounds)
    return jnp.stack(entries) if entries else default


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")


def _converted(new: Any, old: Any) -> Any:
    new = jnp.asarray(new)
    return new if new.dtype == old.dtype else new.astype(old.dtype)


def _per_task(function: str, name: str, value: Any, weights: Any) -> Any:
    """Return an extra argument, one number for all tasks or a tree of them, as `[K]`."""
    if value is None:
        return None
    if jax.tree_util.treedef_is_leaf(jax.tree.structure(value)):
        value = jax.tree.map(lambda _: value, weights)
    value = _shown(value, jax.tree.structure(weights))
    return lax.stop_gradient(stack(function, name, value, weights))


def _shown(value: Any, structure: Any) -> Any:
    """Return of a tree the tasks that `optax.masked` and `optax.partition` have not hidden."""
    given = {_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(value)}
    tasks = names(structure)
    if jax.tree.structure(value) == structure or not set(tasks) <= set(given):
        return value
    return jax.tree.unflatten(structure, [given[task] for task in tasks])
