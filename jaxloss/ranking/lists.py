"""Lists of items: what every loss and metric of this room does with its arguments.

* `scores` and `relevance` are `[..., n]`, a list of `n` items on the last axis and one value for
  each list; lists on leading axes do not see each other. A higher score ranks higher.
* `relevance` grades the items: 0 for not relevant, greater for better; integers or reals. Where
  grades are counted (gains, shares, "relevant"), a negative one makes the list NaN. A list
  without a relevant item has a target order of no losses: 0, with zero gradient.
* `where`: True for what counts, `[..., n]` (items) or `[...]` (lists).
* `segments`: integers `[..., n]` (or `[n]` for all lists); items with equal ones form a list of
  their own, and the value, a loss or a metric, is the sum over these lists.
* Of equal scores the item that stands earlier in the list ranks higher. A model that gives all
  items one score is thus judged by the order it was handed: shuffle the items if that order knows
  something.
* An item with a score of minus infinity is not ranked at all: padding costs nothing.
* Memory grows with `n`; with `n^2` where softmaxes are over other items for each item (unique
  softmax, Breslow's ties, softmaxes of segments), and in soft permutations and pair weights.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxloss import arguments, numerics

Array = jax.Array


class Lists(NamedTuple):
    """Lists that are fit to compute with.

    Attributes:
      scores: `[..., n]`, 0 where masked; NaN throughout where the list is not valid.
      relevance: `[..., n]`, 0 where masked.
      mask: `[..., n]`, True for the items that count.
      valid: `[...]`, 1, or NaN where an item that counts holds what is no score or no grade.
      groups: `[..., n]`, of which list an item is; None where all are of one.
    """

    scores: Array
    relevance: Array
    mask: Array
    valid: Array
    groups: Array | None = None

    def pairs(self) -> Array:
        """Return `[..., n, n]` booleans: True where both items count and are of one list."""
        both = together(self.mask)
        if self.groups is None:
            return both
        return both & (self.groups[..., :, None] == self.groups[..., None, :])

    def sums(self, values: Array) -> Array:
        """Return for each item the sum of values `[..., n]` over its list; `[..., 1]` if one."""
        values = jnp.where(self.mask, values, 0)
        if self.groups is None:
            return jnp.sum(values, axis=-1, keepdims=True)
        return sums_within(values, self._lists()[0])

    def largest(self, values: Array, least: float) -> Array:
        """Return for each item the largest of values `[..., n]` in its list; `[..., 1]` if one."""
        values = jnp.where(self.mask, values, least)
        if self.groups is None:
            return jnp.max(values, axis=-1, keepdims=True, initial=least)
        return largest_within(values, self._lists()[0])

    def over_lists(self, values: Array) -> Array:
        """Return the sum over lists, `[...]`, of what `sums` or `largest` gave for each item."""
        if self.groups is None:
            return values[..., 0]
        return jnp.sum(jnp.where(self._lists()[1] & self.mask, values, 0), axis=-1)

    def _lists(self) -> tuple[Array, Array]:
        """Return a number for each list, one of its places, and which item is the first of it."""
        order, start = in_order(self, jnp.zeros_like(self.scores))
        index = lax.broadcasted_iota(jnp.int32, order.shape, order.ndim - 1)
        return numerics.put(start, order), numerics.put(start == index, order)

    def result(self, values: Array, *numbers: Array) -> Array:
        """Return one value for each list: NaN where it is not valid, 0 where nothing counts.

        `numbers` are hyper-parameters `[..., 1, ...]` that make a list invalid where they are NaN,
        which a list without pairs or without a relevant item would otherwise not notice.
        """
        for number in numbers:
            extra = tuple(range(values.ndim, number.ndim))
            values = values * jnp.where(jnp.any(jnp.isnan(number), axis=extra), jnp.nan, 1)
        return arguments.masked(values * self.valid, self.mask)


def prepare(
    function: str, where: Any, *, signed: bool = False, segments: Any = None, **data: Any
) -> tuple[Lists, list[Array]]:
    """Convert and check scores, relevance and whatever else has their shape.

    Args:
      function: for messages.
      where: the mask.
      signed: whether relevance may be negative.
      segments: which items form a list; None for all of them.
      **data: scores and relevance in this order, under the names that the caller knows.

    Returns:
      The lists, and the other arrays.
    """
    (scores, *others), mask = arguments.events(function, -1, where, **data)
    bad = jnp.isnan(scores)
    for array in others:
        bad |= jnp.isnan(array) if signed else ~(array >= 0)
    valid = jnp.where(jnp.any(bad, axis=-1), jnp.nan, 1).astype(scores.dtype)
    # Multiplied, so that the gradient of a list that is not valid is NaN as well.
    groups = _groups(function, mask, segments)
    return Lists(scores * valid[..., None], others[0], mask, valid, groups), others[1:]


def _groups(function: str, mask: Array, segments: Any) -> Array | None:
    if segments is None:
        return None
    groups = jnp.asarray(segments)
    if not jnp.issubdtype(groups.dtype, jnp.integer):
        raise TypeError(f"{function}: segments must be integers, got {groups.dtype}.")
    if groups.shape not in (mask.shape, mask.shape[-1:]):
        expected = f"of the shape of the scores {mask.shape}, or {mask.shape[-1:]}"
        raise arguments.reject(function, "segments", expected, groups.shape)
    return arguments.expand_left(groups, mask.ndim)


def own(shape: tuple[int, ...]) -> Array:
    """Return `[..., n, n]` booleans, True where an item meets itself."""
    row, column = (lax.broadcasted_iota(jnp.int32, shape[-2:], axis) for axis in (0, 1))
    return jnp.broadcast_to(arguments.expand_left(row == column, len(shape)), shape)


def together(mask: Array) -> Array:
    """Return `[..., n, n]` booleans: True where both items count."""
    return mask[..., :, None] & mask[..., None, :]


def differences(values: Array, chosen: Array) -> Array:
    """Return `values[i] - values[j]` as `[..., n, n]`, and 0 where not chosen."""
    left, right = values[..., :, None], values[..., None, :]
    # Two scores of minus infinity are a tie.
    alike = jnp.isinf(left) & (left == right)
    return jnp.where(chosen & ~alike, left - right, 0)


def surprisal(values: Array, mask: Array, same: Array | None) -> Array:
    """Return `-log(softmax(values))` in each item's own list, `[..., n]`."""
    if same is None:
        return numerics.softmax(values, mask).surprisal()
    return surprisal_within(values, same)


def surprisal_within(values: Array, sets: Array) -> Array:
    """Return `-log` of item `i`'s share in the exponentials of the set `sets[i]`, `[..., n]`.

    Every item belongs to its own set.
    """
    mine = own(sets.shape)
    present = sets | mine
    rows = jnp.broadcast_to(values[..., None, :], sets.shape)
    # In a set of minus infinities alone all shares are equal.
    dead = jnp.all(~present | (rows == -jnp.inf), axis=-1, keepdims=True)
    surprisals = numerics.softmax(jnp.where(dead, 0, rows), present).surprisal()
    return jnp.sum(jnp.where(mine, surprisals, 0), axis=-1)


def ranks(given: Lists, *keys: Array) -> Array:
    """Return the place of each item in its list by falling key, `[..., n]`, 1 for the first.

    Where a key ties the next one decides, and in the end the order of the list. The keys must be as
    they were given: of computed ones, such as gains, the compiler may make two copies that are
    rounded in different ways, and are then not equal where they should be.
    """
    order, start = in_order(given, *(-key for key in keys))
    place = lax.broadcasted_iota(jnp.int32, order.shape, order.ndim - 1) - start
    return numerics.put(1 + place, order).astype(given.scores.dtype)


def in_order(given: Lists, *keys: Array) -> tuple[Array, Array]:
    """Return where the items are, list after list and each by rising keys, and its list's start.

    Both are int32 `[..., n]`, the start in the order of the first. What does not count comes last
    in its list.
    """
    keys = tuple(jnp.where(given.mask, key, jnp.nan) for key in keys)
    if given.groups is None:
        order = numerics.argsort(*keys)
        return order, jnp.zeros_like(order)
    groups = jnp.broadcast_to(given.groups, given.mask.shape)
    order = numerics.argsort(groups, *keys)
    # With zeros, to be split over a mesh as the lists are.
    index = lax.broadcasted_iota(jnp.int32, order.shape, order.ndim - 1) + 0 * order
    groups = numerics.take(groups, order)
    begins = groups != jnp.roll(groups, 1, axis=-1)
    return order, lax.cummax(jnp.where(begins, index, 0), axis=index.ndim - 1)


def counts_ahead(given: Lists, chosen: Array, key: Array) -> Array:
    """Return how many chosen items of its list come before each by falling key, `[..., n]`."""
    order, start = in_order(given, -key)
    here = numerics.take(chosen, order).astype(given.scores.dtype)
    before = jnp.cumsum(here, axis=-1) - here
    return numerics.put(before - jnp.take_along_axis(before, start, axis=-1), order)


def sums_within(values: Array, ids: Array) -> Array:
    """Return for each entry of `[..., n]` the sum over those that have its id, in `[0, n)`."""
    return _within(
        lambda x, at: jnp.zeros_like(x).at[at].add(x, mode="promise_in_bounds"), values, ids
    )


def largest_within(values: Array, ids: Array) -> Array:
    """Return for each entry of `[..., n]` the largest of those that have its id, in `[0, n)`."""
    most = lambda x, at: jnp.full_like(x, -jnp.inf).at[at].max(x, mode="promise_in_bounds")
    return _within(most, values, ids)


def _within(scatter: Callable[[Array, Array], Array], values: Array, ids: Array) -> Array:
    def found(x: Array, at: Array) -> Array:
        return scatter(x, at).at[at].get(mode="promise_in_bounds")

    for _ in range(values.ndim - 1):
        found = jax.vmap(found)
    return found(values, ids)


def gains(function: str, relevance: Array, gain: str) -> Array:
    """Return what an item of each grade is worth."""
    if gain == "linear":
        return relevance
    if gain == "exponential":
        return numerics.expm1(relevance * jnp.log(jnp.asarray(2, relevance.dtype)))
    raise arguments.reject(function, "gain", "'exponential' or 'linear'", repr(gain))


def gain_gaps(function: str, better: Array, other: Array, gain: str) -> Array:
    """Return by how much one grade is worth more than another: exactly 0 for equal ones."""
    rise = gains(function, better - other, gain)
    return rise if gain == "linear" else (1 + gains(function, other, gain)) * rise


def discounts(ranked: Array, top_n: int | None = None) -> Array:
    """Return `1 / log2(1 + rank)`, and 0 beyond the first `top_n`."""
    discount = jnp.log(jnp.asarray(2, ranked.dtype)) / jnp.log1p(ranked)
    return jnp.where(within(ranked, top_n), discount, 0)


def within(ranked: Array, top_n: int | None) -> Array:
    """Tell which ranks are among the first `top_n`."""
    return jnp.ones(ranked.shape, bool) if top_n is None else ranked <= top_n


def cutoff(function: str, top_n: Any) -> int | None:
    """Check the number of items that a metric looks at."""
    if top_n is None:
        return None
    try:
        number = operator.index(top_n)
    except TypeError as error:
        raise TypeError(f"{function}: top_n must be an integer or None, got {top_n!r}.") from error
    if number < 1:
        raise arguments.reject(function, "top_n", "at least 1, or None", number)
    return number
