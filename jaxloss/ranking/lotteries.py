"""The lotteries of a ranking, one for each place: each among the items that remain.

With the items in their order, what remains is what follows. So sums over it are running sums, and
a list of `n` items costs `n log n`. No sum is ever of exponentials of whole scores, which would
over- or underflow: each is relative to the largest score that remains.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxloss import numerics
from jaxloss.ranking import lists

Array = jax.Array
Binary = Callable[[Array, Array], Array]


class Ranking(NamedTuple):
    """Items in the order of their places, list after list; what does not count comes last.

    Attributes:
      scores: `[..., n]`.
      mask: `[..., n]`, True for items that count.
      joined: `[..., n]`, True for items that are followed by one of their own list.
      place: `[..., n]`, integers, 0 for the first of a list.
      graded: `[..., n]`, True for items that count, in lists with a relevant item.
    """

    scores: Array
    mask: Array
    joined: Array
    place: Array
    graded: Array

    def left(self) -> Array:
        """Return how many items remain with each, itself included, `[..., n]`."""
        dtype = self.scores.dtype
        return _sums(self.mask.astype(dtype), self.joined.astype(dtype))


def ranking(given: lists.Lists, draw: Array | None) -> Ranking:
    """Fill the places by falling relevance, and where that ties by the rising `draw`, if any."""
    order, start = lists.in_order(given, -given.relevance, *([] if draw is None else [draw]))
    scores, relevance, mask = (
        numerics.take(x, order) for x in (given.scores, given.relevance, given.mask)
    )
    # With zeros, to be split over a mesh as the lists are.
    index = lax.broadcasted_iota(jnp.int32, order.shape, order.ndim - 1) + 0 * order
    joined = (index < order.shape[-1] - 1) & (_later(start) == start)
    best = jnp.take_along_axis(relevance, start, axis=-1)
    return Ranking(scores, mask, joined, index - start, mask & (best > 0))


@jax.custom_jvp
def likelihood(scores: Array, weights: Array, mask: Array, joined: Array) -> Array:
    """Return the sum of minus the logs of the items' shares in what remains, `[...]`.

    Args:
      scores: `[..., n]`, in the order of the places.
      weights: `[..., n]`, by which the logs are multiplied.
      mask: `[..., n]`, as in `Ranking`.
      joined: `[..., n]`, as in `Ranking`.
    """
    surprisal = _surprisal(_remaining(scores, mask, joined))
    return jnp.sum(numerics.weighted(weights, surprisal), axis=-1)


@likelihood.defjvp
def _likelihood_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    # Autodiff goes through the running sums backwards; what comes of it is another running sum.
    scores, weights, mask, joined = primals
    still = _remaining(scores, mask, joined)
    surprisal = _surprisal(still)
    won = numerics.divide(weights, still.sums)
    # An item lost all lotteries before its own, each in proportion to its share.
    back = lambda x: jnp.flip(x, axis=-1)
    before = jnp.where(_earlier(joined), _earlier(still.keep), 0)
    lost = still.shares * before * _earlier(back(_sums(back(won), back(before))))
    slopes = lost - jnp.where(mask, weights * numerics.sigmoid(still.ratio), 0)
    silent = (weights == 0) & jnp.isinf(surprisal)
    along = slopes * tangents[0] + jnp.where(silent, 0, surprisal) * tangents[1]
    return jnp.sum(numerics.weighted(weights, surprisal), axis=-1), jnp.sum(along, axis=-1)


class _Remaining(NamedTuple):
    """What remains at each place, itself included, relative to the largest score of it.

    Attributes:
      shares: `[..., n]`, the exponential of the item's score, 0 where masked.
      sums: `[..., n]`, of the exponentials.
      keep: `[..., n]`, what one more relative to the next largest is relative to this one.
      ratio: `[..., n]`, the log of the others' sum over the item's own exponential.
    """

    shares: Array
    sums: Array
    keep: Array
    ratio: Array


def _remaining(scores: Array, mask: Array, joined: Array) -> _Remaining:
    scores = jnp.where(mask, scores, -jnp.inf)
    # Of the largest score the result does not depend.
    tops = _largest(lax.stop_gradient(scores), joined)
    next_tops = jnp.where(joined, _later(tops), -jnp.inf)
    shares = jnp.where(mask, jnp.exp(_gap(scores, tops)), 0)
    keep = jnp.where(joined, jnp.exp(_gap(next_tops, tops)), 0)
    sums = _sums(shares, keep)
    rest = jnp.where(joined, _later(sums), 0)
    some = mask & (rest > 0)
    # The others beside the item itself: what a sure choice is about is not lost.
    ratio = _gap(next_tops, scores) + jnp.log(jnp.where(some, rest, 1))
    return _Remaining(shares, sums, keep, jnp.where(some, ratio, -jnp.inf))


def _surprisal(still: _Remaining) -> Array:
    return numerics.softplus(still.ratio)


def _gap(a: Array, b: Array) -> Array:
    """Return `a - b`, 0 for two that are infinite alike."""
    alike = jnp.isinf(a) & (a == b)
    return jnp.where(alike, 0, jnp.where(alike, 0, a) - jnp.where(alike, 0, b))


def _later(values: Array, step: int = 1) -> Array:
    """Return what stands `step` later; past the end, anything."""
    return jnp.roll(values, -step, axis=-1)


def _earlier(values: Array) -> Array:
    """Return what stands one earlier; False, or 0, before the first."""
    first = jnp.zeros_like(values[..., :1])
    return jnp.concatenate([first, values[..., :-1]], axis=-1)


def _largest(values: Array, joined: Array) -> Array:
    """Return the largest of each value and those that follow in its list."""
    pass_on = jnp.where(joined, jnp.full_like(values, jnp.inf), -jnp.inf)
    return running(jnp.maximum, jnp.minimum, values, pass_on)


def _sums(values: Array, keep: Array) -> Array:
    return running(jnp.add, jnp.multiply, values, keep)


def running(plus: Binary, times: Binary, values: Array, keep: Array) -> Array:
    """Return `y[i] = plus(values[i], times(keep[i], y[i + 1]))` of `[..., n]`.

    The last `keep` lets nothing pass. A CPU goes through the items one by one; what works on many
    at a time doubles what has been put together in each step.
    """
    if not values.size:
        return values
    one_by_one, doubling = (lambda *x, f=f: f(plus, times, *x) for f in (_one_by_one, _doubling))
    return lax.platform_dependent(values, keep, cpu=one_by_one, default=doubling)


def _one_by_one(plus: Binary, times: Binary, values: Array, keep: Array) -> Array:
    def step(y: Array, at: tuple[Array, Array]) -> tuple[Array, Array]:
        y = plus(at[0], times(at[1], y))
        return y, y

    first = (jnp.moveaxis(values, -1, 0), jnp.moveaxis(keep, -1, 0))
    found = lax.scan(step, values[..., -1], first, reverse=True, unroll=8)[1]
    return jnp.moveaxis(found, 0, -1)


def _doubling(plus: Binary, times: Binary, values: Array, keep: Array) -> Array:
    for k in range((values.shape[-1] - 1).bit_length()):
        # What comes round from the start passes no `keep` that contains the last one.
        values = plus(values, times(keep, _later(values, 2**k)))
        keep = times(keep, _later(keep, 2**k))
    return values
