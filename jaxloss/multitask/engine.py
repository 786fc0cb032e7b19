"""One gradient for each task, from a function that returns all losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxloss import arguments, reduction
from jaxloss.multitask.tasks import Pullback, Rows, Tasks

Array = jax.Array


def value_and_gradients(
    losses_fn: Callable[..., Any],
    *,
    has_aux: bool = False,
    mode: str = "map",
    axis_name: reduction.AxisName = None,
) -> Callable[..., tuple[Any, Tasks]]:
    """Return a function that gives the losses of all tasks and the gradient of each.

    As `jax.value_and_grad`, for a function that returns a tree of losses, one number for each
    task, instead of one number. What it gives goes into any aggregator of this room. The ways to
    the gradients, for K tasks and P parameters:

    * `"map"`: one backward pass after the other; memory `K P` for the gradients.
    * `"vmap"`: all backward passes side by side; memory `K P`, and K times the activations.
    * `"gramian"`: the gradients are never held; their products come from K backward and K forward
      derivatives, and the combined gradient from one more backward pass. Memory `P` whatever K is,
      time about twice that of `"map"`. For methods that need only the Gramian. What it gives lives
      within one jitted function.

    To balance at a shared representation instead of the shared parameters, call it on the function
    from the features to the losses, and pull what comes out through the trunk. However deep that
    is, it is gone through once; what is balanced are then the gradients in the features:

        features, pull = jax.vjp(trunk, params)
        losses, gradients = value_and_gradients(heads, mode="gramian")(features)
        direction, state = aggregator.update(gradients, state)
        (gradient,) = pull(direction)

    Args:
      losses_fn: `losses_fn(params, *args, **kwargs)`, a tree of losses, or `(losses, aux)`.
      has_aux: whether it returns something else besides.
      mode: one of the three above.
      axis_name: mapped axes over which the batch is split, where `losses_fn` gives the mean of its
        part. Losses and gradients are averaged over them before anything is made of them. Not to
        be given where `losses_fn` averages by itself, as `jaxloss.mean(..., axis_name=...)` does
        under `shard_map`.

    Returns:
      `f(params, *args, **kwargs) -> (losses, gradients)`, or `((losses, aux), gradients)`.

    Raises:
      ValueError: for a mode unknown, and for a loss that is not one number.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> losses_fn = lambda x: {"near": jnp.sum(x**2), "far": 3 * x[0]}
      >>> losses, gradients = jl.multitask.value_and_gradients(losses_fn)(jnp.array([1.0, 2.0]))
      >>> print(gradients.stacked)  # in the order of the leaves: far, near
      [[3. 0.]
       [2. 4.]]
      >>> print(gradients.gramian())
      [[ 9.  6.]
       [ 6. 20.]]
    """
    modes = {"map": _mapped, "vmap": _vmapped, "gramian": _lazy}
    if mode not in modes:
        expected = f"one of {', '.join(modes)}"
        raise arguments.reject("value_and_gradients", "mode", expected, repr(mode))

    def call(params: Any, *args: Any, **kwargs: Any) -> tuple[Any, Tasks]:
        tree: Any = None

        def vector(params: Any) -> tuple[Array, Any]:
            nonlocal tree
            out = losses_fn(params, *args, **kwargs)
            losses, aux = out if has_aux else (out, None)
            tree = jax.tree.structure(losses)
            return _stacked(losses), aux

        values, gradients, aux = modes[mode](vector, _varying(params, axis_name), axis_name)
        losses = jax.tree.unflatten(tree, list(_average(values, axis_name)))
        return ((losses, aux) if has_aux else losses), gradients

    return call


def _mapped(vector: Any, params: Any, axis_name: Any) -> tuple[Array, Tasks, Any]:
    values, pull, aux = jax.vjp(vector, params, has_aux=True)
    stacked = lax.map(lambda unit: pull(unit)[0], _units(values, axis_name))
    return values, Rows(_average(stacked, axis_name)), aux


def _vmapped(vector: Any, params: Any, axis_name: Any) -> tuple[Array, Tasks, Any]:
    values, pull, aux = jax.vjp(vector, params, has_aux=True)
    (stacked,) = jax.vmap(pull)(_units(values, axis_name))
    return values, Rows(_average(stacked, axis_name)), aux


def _lazy(vector: Any, params: Any, axis_name: Any) -> tuple[Array, Tasks, Any]:
    values, push, aux = jax.linearize(vector, params, has_aux=True)
    transposed = jax.linear_transpose(push, params)
    averaged_push = lambda tangent: _average(push(_varying(tangent, axis_name)), axis_name)
    pull = lambda cotangent: _average(transposed(_varying(cotangent, axis_name))[0], axis_name)
    return values, Pullback(averaged_push, pull, jnp.ones_like(values)), aux


def _units(values: Array, axis_name: Any) -> Array:
    return _varying(jnp.eye(len(values), dtype=values.dtype), axis_name)


def _stacked(losses: Any) -> Array:
    leaves = [
        arguments.floating("value_and_gradients", "losses", x) for x in jax.tree.leaves(losses)
    ]
    for leaf in leaves:
        if leaf.shape != ():
            expected = "one number for each task (jaxloss.mean makes it)"
            raise arguments.reject("value_and_gradients", "losses", expected, f"shape {leaf.shape}")
    dtype = arguments.working_dtype(*leaves)
    return jnp.stack([leaf.astype(dtype) for leaf in leaves])


def _average(tree: Any, axis_name: Any) -> Any:
    return tree if axis_name is None else lax.pmean(tree, axis_name)


def _varying(tree: Any, axis_name: Any) -> Any:
    """Return `tree` as each shard's own, so that its gradient is that of the shard's part."""
    if axis_name is None:
        return tree
    # A choice between equals that depends on the shard: `lax.pcast` says it under `shard_map`
    # only, and refuses what varies already. The compiler drops it.
    here = lax.axis_index(axis_name) >= 0
    return jax.tree.map(lambda x: jnp.where(here, x, x), tree)
