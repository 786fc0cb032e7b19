"""A batch as each of its members sees it, also when it is split over devices.

The losses of this room compare every anchor with the other members of its batch. With `axis_name`
the batch is split over mapped axes (of `shard_map`, `pmap` or `vmap`): every shard then gathers the
members of all shards, and its losses are those that its anchors have in the whole batch. Gradients
flow back through the gathering: what an embedding does to the losses of other shards is added to
its gradient where it lives.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxloss import arguments, numerics, reduction

Array = jax.Array


class Labelled(NamedTuple):
    """A set with groups.

    Attributes:
      anchors: `[..., n, d]`, the members for which there is a loss.
      others: `[..., m, d]`, all members of the batch.
      positive: `[..., n, m]`, True for other members of the anchor's group.
      negative: `[..., n, m]`, True for members of other groups.
      mask: `[..., n]`, True for the anchors that count.
    """

    anchors: Array
    others: Array
    positive: Array
    negative: Array
    mask: Array


class Paired(NamedTuple):
    """Two views of a set, member by member.

    Attributes:
      first: `[..., n, d]`, the first view of the members for which there is a loss.
      second: `[..., n, d]`, their second view.
      all_first: `[..., m, d]`, the first view of all members of the batch.
      all_second: `[..., m, d]`, the second view of all.
      is_own: `[..., n, m]`, True where the two are views of one member.
      present: `[..., n, m]`, True where both count.
      mask: `[..., n]`, True for the members that count.
    """

    first: Array
    second: Array
    all_first: Array
    all_second: Array
    is_own: Array
    present: Array
    mask: Array


def labelled(
    function: str, where: Any, axis_name: reduction.AxisName, *, embeddings: Any, labels: Any
) -> Labelled:
    """Prepare a set whose groups are told by labels."""
    (anchors,), groups, mask = arguments.members(
        function, where, labels=labels, embeddings=embeddings
    )
    others = gathered(anchors, axis_name, -2)
    other_groups = gathered(groups, axis_name, -1)
    present = mask[..., :, None] & gathered(mask, axis_name, -1)[..., None, :]
    same = groups[..., :, None] == other_groups[..., None, :]
    positive = same & present & ~_is_own(present, axis_name)
    return Labelled(anchors, others, positive, ~same & present, mask)


def paired(function: str, where: Any, axis_name: reduction.AxisName, **views: Any) -> Paired:
    """Prepare two views of a set, given by their names."""
    (first, second), _, mask = arguments.members(function, where, **views)
    all_first, all_second = (gathered(view, axis_name, -2) for view in (first, second))
    present = mask[..., :, None] & gathered(mask, axis_name, -1)[..., None, :]
    is_own = _is_own(present, axis_name) & present
    return Paired(first, second, all_first, all_second, is_own, present, mask)


def gathered(array: Array, axis_name: reduction.AxisName, axis: int) -> Array:
    """Return the parts of all shards, joined at `axis`; never an empty axis."""
    axis = axis % array.ndim
    if axis_name is not None:
        array = lax.all_gather(array, axis_name, axis=axis, tiled=True)
    if array.shape[axis]:
        return array
    # What is largest in an empty row is nowhere defined; a member that is masked does no harm.
    return jnp.zeros((*array.shape[:axis], 1, *array.shape[axis + 1 :]), array.dtype)


def _is_own(present: Array, axis_name: reduction.AxisName) -> Array:
    """Return True where an anchor meets itself, as `present` `[..., n, m]`."""
    row, column = _places(present, axis_name)
    return jnp.broadcast_to(row == column, present.shape)


def is_later(present: Array, axis_name: reduction.AxisName) -> Array:
    """Return True where an anchor meets a later member, as `present` `[..., n, m]`."""
    row, column = _places(present, axis_name)
    return jnp.broadcast_to(column > row, present.shape)


def _places(present: Array, axis_name: reduction.AxisName) -> tuple[Array, Array]:
    """Return the place of each anchor, and of each member, in the whole batch."""
    shape = present.shape[-2:]
    start = 0 if axis_name is None else lax.axis_index(axis_name) * shape[0]
    row, column = (lax.broadcasted_iota(jnp.int32, shape, axis) for axis in (0, 1))
    return arguments.expand_left(row + start, present.ndim), arguments.expand_left(
        column, present.ndim
    )


def hyper(function: str, name: str, value: Any, like: Array, **bounds: float) -> Array:
    """Convert a hyper-parameter, one for all sets or `[...]`, ready to meet `[..., n, m]`."""
    one_per_set = jnp.zeros(like.shape[:-2], like.dtype)
    return arguments.hyper(function, name, value, one_per_set, **bounds)[..., None, None]


def mean_over(chosen: Array, values: Array) -> Array:
    """Return the mean of `[..., n, m]` over the chosen of each anchor; 0 where there are none."""
    count = jnp.sum(chosen, axis=-1, dtype=values.dtype)
    return numerics.divide(jnp.sum(jnp.where(chosen, values, 0), axis=-1), count)


def known(loss: Array, *hypers: Array) -> Array:
    """Return the loss, NaN where a hyper-parameter is, also for anchors that it does not reach."""
    for value in hypers:
        loss = loss * jnp.where(jnp.isnan(value[..., 0]), jnp.nan, 1).astype(loss.dtype)
    return loss


def log_sum(chosen: Array, values: Array) -> Array:
    """Return the log of the sum of exponentials over the chosen, `[..., n]`; -inf for none."""
    total = numerics.softmax(jnp.where(chosen, values, 0), chosen).log_normalizer()
    return jnp.where(jnp.any(chosen, axis=-1), total, -jnp.inf)
