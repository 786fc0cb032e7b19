"""From one value for each example to one number: means and sums that stay right when split.

The mean over a batch is a ratio. Averaging the means of its parts (accumulation steps, shards,
hosts) gives another number as soon as the parts hold different numbers of valid examples. So the
ratio is kept as a pair until the very end: `average(...)` of each part, `merge`, then `.value()`.

Conventions, for all functions here:

* `where` says what counts (True) and `weights` (>= 0) how much. Their shape is that of the losses
  or of the losses' leading axes, so that a mask of examples also masks a row of labels each.
* What is masked does not exist: NaN behind a mask is seen neither by value nor by gradient. A loss
  of data that hold NaN wants the mask as well: autodiff passes through it on its way to you.
* Where nothing counts, the sum and the mean are 0, with zero gradient.
* `axis_name` names mapped axes (`shard_map`, `pmap`, `vmap`) over which the batch is split. Totals
  and weights are summed over them before dividing. A gradient taken inside `shard_map` with
  respect to replicated parameters is then complete; under `pmap` and `vmap(axis_name=...)` it
  still wants the customary `lax.pmean`.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jax.typing import ArrayLike

from jaxloss import arguments, numerics

Array = jax.Array
AxisName = str | Sequence[str] | None


class Average(NamedTuple):
    """A mean that is not divided yet, so that parts of a batch can be merged exactly.

    A pytree like any other: carry it through `lax.scan`, add two with `jax.tree.map`.

    Attributes:
      total: `[...]`, the weighted sum of the losses.
      weight: `[...]`, the sum of the weights that went into it.
    """

    total: Array
    weight: Array

    def merge(self, *others: Average) -> Average:
        """Return the average of the union of disjoint parts."""
        return functools.reduce(lambda a, b: jax.tree.map(operator.add, a, b), others, self)

    def value(self) -> Array:
        """Return the mean, `total / weight`; 0 where nothing counted."""
        return numerics.divide(self.total, self.weight)


def average(
    losses: ArrayLike,
    *,
    where: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    axis: arguments.Axis = None,
    axis_name: AxisName = None,
) -> Average:
    """Return the mean of losses as a pair that merges with the pairs of other parts.

    Args:
      losses: any shape, floating.
      where: True for what counts; shape of the losses or of their leading axes.
      weights: how much each counts, >= 0; shape of the losses or of their leading axes.
      axis: axis or axes to reduce; None for all.
      axis_name: mapped axes to sum over as well.

    Returns:
      `Average(total, weight)`, both of the losses' shape without `axis`, at least float32.

    Raises:
      TypeError, ValueError: as `mean`.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> first = jl.average(jnp.array([1.0, 2.0, 3.0]))
      >>> second = jl.average(jnp.array([10.0, 0.0]), where=jnp.array([True, False]))
      >>> print(first.merge(second).value())  # (1 + 2 + 3 + 10) / 4, not (2 + 10) / 2
      4.0
    """
    return _average("average", losses, where, weights, axis, axis_name)


def mean(
    losses: ArrayLike,
    *,
    where: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    axis: arguments.Axis = None,
    axis_name: AxisName = None,
) -> Array:
    """Return the weighted mean of losses: `sum(weights * losses) / sum(weights)` over `where`.

    Args:
      losses: any shape, floating.
      where: True for what counts; shape of the losses or of their leading axes.
      weights: how much each counts, >= 0; shape of the losses or of their leading axes.
      axis: axis or axes to reduce; None for all.
      axis_name: mapped axes over which the batch is split; the mean is then the global one.

    Returns:
      The losses' shape without `axis`, at least float32; 0 where nothing counts.

    Raises:
      TypeError: if losses are not floating, or the mask not boolean.
      ValueError: if a mask or weights do not fit the losses, or a weight is negative.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> losses = jnp.array([1.0, jnp.nan, 4.0])
      >>> print(jl.mean(losses, where=jnp.array([True, False, True])))
      2.5
    """
    return _average("mean", losses, where, weights, axis, axis_name).value()


def sum(
    losses: ArrayLike,
    *,
    where: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    axis: arguments.Axis = None,
    axis_name: AxisName = None,
) -> Array:
    """Return the weighted sum of losses: `sum(weights * losses)` over `where`.

    Arguments, errors and dtype are those of `mean`.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.sum(jnp.array([1.0, 2.0]), weights=jnp.array([3.0, 0.5])))
      4.0
    """
    return _average("sum", losses, where, weights, axis, axis_name).total


def _average(
    function: str, losses: Any, where: Any, weights: Any, axis: Any, axis_name: AxisName
) -> Average:
    """Sum the losses and their weights; `function` is who asks, for the error messages."""
    losses = arguments.floating(function, "losses", losses)
    losses = losses.astype(arguments.working_dtype(losses))
    counts = jnp.ones_like(losses)
    if weights is not None:
        counts = counts * weights_like(function, weights, losses)
    mask = arguments.mask_like(function, where, losses)
    losses, counts = arguments.masked(losses, mask), arguments.masked(counts, mask)
    axes = arguments.normal_axes(function, axis, losses.ndim)
    pair = Average(jnp.sum(counts * losses, axis=axes), jnp.sum(counts, axis=axes))
    return Average(*(sum_across(x, axis_name) for x in pair))


def sum_across(x: Array, axis_name: AxisName) -> Array:
    """Return the sum over mapped axes, element by element; `x` itself without any."""
    return x if axis_name is None else lax.psum(x, axis_name)


def largest_across(x: Array, axis_name: AxisName) -> Array:
    """Return the largest over mapped axes, element by element, a constant to autodiff."""
    x = lax.stop_gradient(x)
    return x if axis_name is None else lax.pmax(x, axis_name)


def weights_like(function: str, weights: Any, losses: Array) -> Array:
    """Convert weights of the losses' shape or of its leading axes, ready to multiply them."""
    array = arguments.real(function, "weights", weights)
    if array.shape != losses.shape[: array.ndim]:
        expected = f"of shape {losses.shape}, or of its leading axes"
        raise arguments.reject(function, "weights", expected, array.shape)
    array = arguments.expand_right(array, losses.ndim).astype(losses.dtype)
    return arguments.hyper(function, "weights", array, losses, at_least=0.0)


def reduce_mean(*, axis_name: AxisName = None) -> optax.GradientTransformationExtraArgs:
    """Return a transformation of losses that turns each task's per-example losses into their mean.

    `update(losses, state, where=..., weights=...)` reads the mask and the weights of examples: one
    array for all tasks, or a tree like the losses (None: no mask for that task).

    Args:
      axis_name: mapped axes over which the batch is split. The numbers are then global before any
        weighting of tasks sees them.

    Returns:
      An optax transformation without state.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> reduce = jl.reduce_mean()
      >>> losses = {"a": jnp.array([1.0, 3.0]), "b": jnp.array([5.0, 7.0])}
      >>> state = reduce.init(losses)
      >>> means, state = reduce.update(losses, state, where=jnp.array([True, False]))
      >>> print({task: float(loss) for task, loss in means.items()})
      {'a': 1.0, 'b': 5.0}
    """
    return _reduction(functools.partial(mean, axis_name=axis_name))


def reduce_sum(*, axis_name: AxisName = None) -> optax.GradientTransformationExtraArgs:
    """Return a transformation of losses that turns each task's per-example losses into their sum.

    As `reduce_mean` otherwise.
    """
    return _reduction(functools.partial(sum, axis_name=axis_name))


def _reduction(reduce: Callable[..., Array]) -> optax.GradientTransformationExtraArgs:
    def init(losses: Any) -> optax.EmptyState:
        del losses
        return optax.EmptyState()

    def update(
        losses: Any,
        state: Any,
        params: Any = None,
        *,
        where: Any = None,
        weights: Any = None,
        **_: Any,
    ) -> tuple[Any, Any]:
        del params
        one = lambda loss, mask, weight: reduce(loss, where=mask, weights=weight)
        return map_tasks(one, losses, where, weights), state

    return optax.GradientTransformationExtraArgs(init, update)


def map_tasks(function: Callable[..., Any], losses: Any, *extras: Any) -> Any:
    """Map `function(loss, *extra)` over the tasks of a tree of losses.

    Each of `extras` is None, one array for all tasks, or a tree like the losses whose leaves may
    be None. Tasks that `optax.masked` or `optax.partition` hides stay hidden.
    """

    def hidden(leaf: Any) -> bool:
        return isinstance(leaf, optax.MaskedNode)

    def one(loss: Any, *extra: Any) -> Any:
        return loss if hidden(loss) else function(loss, *extra)

    leaves, tree = jax.tree.flatten(losses, is_leaf=hidden)
    columns = [_per_task(extra, tree, len(leaves)) for extra in extras]
    return jax.tree.unflatten(tree, [one(*row) for row in zip(leaves, *columns, strict=True)])


def _per_task(extra: Any, tree: Any, tasks: int) -> list[Any]:
    if extra is None or jax.tree_util.treedef_is_leaf(jax.tree.structure(extra)):
        return [extra] * tasks
    return tree.flatten_up_to(extra)
