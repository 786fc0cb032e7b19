"""A batch as each of its members sees it, also when it is split over devices.

The losses of this room compare every anchor with the other members of its batch. With `axis_name`
the batch is split over mapped axes (of `shard_map`, `pmap` or `vmap`): every shard then gathers the
members of all shards, and its losses are those that its anchors have in the whole batch. Gradients
flow back through the gathering: what an embedding does to the losses of other shards is added to
its gradient where it lives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax import lax

from jaxloss import arguments, numerics, reduction
from jaxloss.contrastive import rows, similarity

Array = jax.Array


class Labelled(NamedTuple):
    """A set with groups.

    Attributes:
      anchors: `[..., n, d]`, the members for which there is a loss.
      groups: `[..., n]`, of the anchors.
      place: `[..., n]`, of each anchor among all members.
      mask: `[..., n]`, True for the anchors that count.
      others: `[..., m, d]`, all members of the batch.
      all_groups: `[..., m]`, of all members.
      all_mask: `[..., m]`, True for the members that count.
    """

    anchors: Array
    groups: Array
    place: Array
    mask: Array
    others: Array
    all_groups: Array
    all_mask: Array

    @property
    def positive(self) -> Array:
        """`[..., n, m]`, True for other members of the anchor's group."""
        return _alike(self) & _present(self) & ~_is_at(self.place, self)

    @property
    def negative(self) -> Array:
        """`[..., n, m]`, True for members of other groups."""
        return ~_alike(self) & _present(self)


class Partnered(NamedTuple):
    """A set with groups, in which each anchor has one of its positives for a counterpart.

    Attributes:
      partner: `[..., n]`, the place of the counterpart among all members; -1 for none.
      The others: as those of `Labelled`.
    """

    groups: Array
    place: Array
    partner: Array
    mask: Array
    all_groups: Array
    all_mask: Array

    @property
    def own(self) -> Array:
        """`[..., n, m]`, True for the counterpart."""
        return _is_at(self.partner, self)

    @property
    def friend(self) -> Array:
        """`[..., n, m]`, True for all other positives."""
        return _alike(self) & self.rival

    @property
    def rival(self) -> Array:
        """`[..., n, m]`, True for all others of the set."""
        return _present(self) & ~_is_at(self.place, self) & ~self.own


class Paired(NamedTuple):
    """Two views of a set, member by member.

    Attributes:
      first: `[..., n, d]`, the first view of the members for which there is a loss.
      second: `[..., n, d]`, their second view.
      place: `[..., n]`, of each of them among all members.
      mask: `[..., n]`, True for the members that count.
      all_first: `[..., m, d]`, the first view of all members of the batch.
      all_second: `[..., m, d]`, the second view of all.
      all_mask: `[..., m]`, True for the members that count.
    """

    first: Array
    second: Array
    place: Array
    mask: Array
    all_first: Array
    all_second: Array
    all_mask: Array

    @property
    def partner(self) -> Array:
        """`[..., n]`, the place of the counterpart among all members; -1 for none."""
        return jnp.where(self.mask, self.place, -1)

    @property
    def own(self) -> Array:
        """`[..., n, m]`, True where the two are views of one member."""
        return _is_at(self.partner, self)

    @property
    def friend(self) -> Array:
        """`[..., n, m]`, True nowhere."""
        return jnp.zeros((), bool)

    @property
    def rival(self) -> Array:
        """`[..., n, m]`, True where they are views of two."""
        return ~_is_at(self.place, self) & _present(self)


Batch = Labelled | Partnered | Paired
# Fields that hold vectors, and those of a loss that is given some of the anchors.
VECTORS = ("anchors", "others", "first", "second", "all_first", "all_second")
OF_ANCHORS = ("groups", "place", "partner", "mask")
B = TypeVar("B", Labelled, Paired)


def labelled(
    function: str, where: Any, axis_name: reduction.AxisName, *, embeddings: Any, labels: Any
) -> Labelled:
    """Prepare a set whose groups are told by labels."""
    (anchors,), groups, mask = arguments.members(
        function, where, labels=labels, embeddings=embeddings
    )
    place = _place(mask, axis_name)
    of_all = (gathered(x, axis_name, axis) for x, axis in ((anchors, -2), (groups, -1), (mask, -1)))
    return Labelled(anchors, groups, place, mask, *of_all)


def paired(function: str, where: Any, axis_name: reduction.AxisName, **views: Any) -> Paired:
    """Prepare two views of a set, given by their names."""
    (first, second), _, mask = arguments.members(function, where, **views)
    place = _place(mask, axis_name)
    of_all = (gathered(x, axis_name, axis) for x, axis in ((first, -2), (second, -2), (mask, -1)))
    return Paired(first, second, place, mask, *of_all)


def gathered(array: Array, axis_name: reduction.AxisName, axis: int) -> Array:
    """Return the parts of all shards, joined at `axis`; never an empty axis."""
    axis = axis % array.ndim
    if axis_name is not None:
        array = lax.all_gather(array, axis_name, axis=axis, tiled=True)
    if array.shape[axis]:
        return array
    # What is largest in an empty row is nowhere defined; a member that is masked does no harm.
    return jnp.zeros((*array.shape[:axis], 1, *array.shape[axis + 1 :]), array.dtype)


def _place(mask: Array, axis_name: reduction.AxisName) -> Array:
    """Return the place of each anchor in the whole batch, as `mask` `[..., n]`."""
    start = 0 if axis_name is None else lax.axis_index(axis_name) * mask.shape[-1]
    return lax.broadcasted_iota(jnp.int32, mask.shape, mask.ndim - 1) + start


def _present(b: Batch) -> Array:
    """Return True where an anchor and a member both count, `[..., n, m]`."""
    return b.mask[..., :, None] & b.all_mask[..., None, :]


def _alike(b: Labelled | Partnered) -> Array:
    """Return True where an anchor meets a member of its group, `[..., n, m]`."""
    return b.groups[..., :, None] == b.all_groups[..., None, :]


def _is_at(place: Array, b: Batch) -> Array:
    """Return True where an anchor meets the member at a place `[..., n]`, `[..., n, m]`."""
    shape = (*b.mask.shape, b.all_mask.shape[-1])
    here = lax.broadcasted_iota(jnp.int32, shape, len(shape) - 1)
    # Of integers the compiler knows where they are equal and leaves vector instructions for it,
    # at three times the time of what it fuses with. Floats tell 2^24 members apart.
    return here.astype(jnp.float32) == place[..., None].astype(jnp.float32)


def is_later(present: Array, axis_name: reduction.AxisName) -> Array:
    """Return True where an anchor meets a later member, as `present` `[..., n, m]`."""
    place = _place(present[..., 0], axis_name)
    column = lax.broadcasted_iota(jnp.int32, present.shape, present.ndim - 1)
    return column > place[..., None]


def each(loss: Callable[..., Array], b: B, *matrices: similarity.Matrix) -> Array:
    """Return the losses `[..., n]` of a batch, for a few of its anchors at a time.

    Args:
      loss: `loss(b, *values)`, from a batch and matrices `[..., n, m]` to `[..., n]`.
      b: the batch.
      matrices: of each the loss is given the rows that belong to the anchors it is given.
    """

    def few(some: Any) -> Array:
        members, made_of = some
        values = (m.of(x, m.rest) for m, x in zip(matrices, made_of, strict=True))
        return loss(b._replace(**members), *values)

    some = of_anchors(b), [m.rows for m in matrices]
    return rows.by_rows(few, at_a_time(b), some, b.mask.ndim - 1)


def of_anchors(b: Batch) -> dict[str, Array]:
    """Return the fields that change where a loss is given some of the anchors."""
    return {name: getattr(b, name) for name in OF_ANCHORS if name in b._fields}


def partnered(b: Labelled) -> tuple[Partnered, Array]:
    """Give each anchor its first positive for a counterpart; return how many it has, `[..., n]`."""

    def few(some: Any) -> tuple[Array, Array]:
        positive = b._replace(**some).positive
        none = positive.shape[-1]
        index = lax.broadcasted_iota(jnp.int32, positive.shape, positive.ndim - 1)
        first = jnp.min(jnp.where(positive, index, none), axis=-1)
        return jnp.where(first == none, -1, first), jnp.sum(positive, axis=-1, dtype=jnp.int32)

    partner, count = rows.by_rows(few, at_a_time(b), of_anchors(b), b.mask.ndim - 1)
    return Partnered(b.groups, b.place, partner, b.mask, b.all_groups, b.all_mask), count


def at_a_time(b: Batch) -> int:
    """Return how many anchors are compared with all members at a time."""
    return rows.few(b.mask.size * b.all_mask.shape[-1], b.mask.shape[-1])


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
    values = jnp.where(chosen, values, -jnp.inf)
    top = lax.stop_gradient(jnp.max(values, axis=-1))
    top = jnp.where(jnp.isfinite(top), top, 0)
    return top + numerics.log(jnp.sum(jnp.exp(values - top[..., None]), axis=-1))
