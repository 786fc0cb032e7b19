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
* Memory grows with `n^2` wherever items are compared with each other.
"""

from __future__ import annotations

import operator
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
        if self.groups is None:
            return jnp.sum(jnp.where(self.mask, values, 0), axis=-1, keepdims=True)
        return jnp.sum(jnp.where(self.pairs(), values[..., None, :], 0), axis=-1)

    def largest(self, values: Array, least: float) -> Array:
        """Return for each item the largest of values `[..., n]` in its list; `[..., 1]` if one."""
        if self.groups is None:
            values = jnp.where(self.mask, values, least)
            return jnp.max(values, axis=-1, keepdims=True, initial=least)
        chosen = jnp.where(self.pairs(), values[..., None, :], least)
        return jnp.max(chosen, axis=-1, initial=least)

    def over_lists(self, values: Array) -> Array:
        """Return the sum over lists, `[...]`, of what `sums` or `largest` gave for each item."""
        if self.groups is None:
            return values[..., 0]
        earlier = arguments.expand_left(_earlier(self.mask), self.mask.ndim + 1)
        first = self.mask & ~jnp.any(self.pairs() & earlier, axis=-1)
        return jnp.sum(jnp.where(first, values, 0), axis=-1)

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


def ahead(values: Array, pairs: Array) -> Array:
    """Return `[..., n, n]` booleans: True at `[i, j]` where item `j` ranks higher than item `i`."""
    mine, other = values[..., :, None], values[..., None, :]
    earlier = arguments.expand_left(_earlier(values), pairs.ndim)
    return pairs & ((other > mine) | ((other == mine) & earlier))


def _earlier(like: Array) -> Array:
    """Return `[n, n]` booleans: True at `[i, j]` where item `j` stands before item `i`."""
    row, column = (lax.broadcasted_iota(jnp.int32, (like.shape[-1],) * 2, axis) for axis in (0, 1))
    return column < row


def ranks(higher: Array, dtype: Any) -> Array:
    """Return the ranks `[..., n]`, 1 for the first, of items `higher` than which others stand."""
    return 1 + jnp.sum(higher, axis=-1, dtype=dtype)


def ideal(grades: Array, higher: Array) -> Array:
    """Return who ranks higher by grade; of equal grades, who does by `higher`.

    The grades must be as they were given. Of computed ones, such as gains, the compiler may make
    two copies that are rounded in different ways, and are then not equal where they should be.
    """
    mine, other = grades[..., :, None], grades[..., None, :]
    counted = higher | jnp.swapaxes(higher, -1, -2)
    return counted & ((other > mine) | ((other == mine) & higher))


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
