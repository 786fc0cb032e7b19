"""Smooth stand-ins for metrics, written as losses: `1 - metric`, between 0 and 1, lower is better.

(Some libraries return the negative metric; that is the loss less 1.) In ApproxNDCG and ApproxMRR
the rank of an item is `1 + sum_j sigmoid((s_j - s_i) / temperature)`, in NeuralNDCG the places are
filled by a soft permutation. As the temperature goes to 0 the losses tend to 1 less the exact
metric and lose their gradients; large temperatures are smooth and far from the metric.

The conventions of `jaxloss.ranking.lists` hold.
"""

from __future__ import annotations

import functools
import operator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxloss import arguments, numerics
from jaxloss.ranking import lists, pairs, sorting

Array = jax.Array


def approx_ndcg_loss(
    scores: ArrayLike,
    relevance: ArrayLike,
    *,
    temperature: ArrayLike = 1.0,
    gain: str = "exponential",
    segments: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """One less NDCG with smooth ranks, `1 - sum_i gain_i / log2(1 + rank_i) / ideal`.

    Smooth everywhere, ties included. Not convex: start with a convex loss, or with a temperature
    that falls.

    Args:
      scores: `[..., n]`, higher for items that should come first.
      relevance: `[..., n]`, >= 0.
      temperature: > 0, in units of the scores; number or `[...]`.
      gain: "exponential" for `2^relevance - 1`, or "linear"; static.
      segments: integers `[..., n]` or `[n]`; items with equal ones form a list.
      where: True for what counts, `[..., n]` or `[...]`.

    Returns:
      `[...]`, in [0, 1]; 0 for a list without a relevant item.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> loss = jl.approx_ndcg_loss(jnp.zeros(3), jnp.array([1, 0, 0]))  # all ranks are 2
      >>> print(loss.round(4))  # 1 - 1 / log2(3)
      0.3691

    Reference: Qin, Liu and Li, A General Approximation Framework for Direct Optimization of
    Information Retrieval Measures (2010), ApproxNDCG.
    """
    function = "approx_ndcg_loss"
    given, _ = lists.prepare(function, where, segments=segments, scores=scores, relevance=relevance)
    gains = lists.gains(function, given.relevance, gain)
    rank = lists.ranks(given, given.scores)
    best = lists.discounts(lists.ranks(given, given.relevance, given.scores))
    temperature = arguments.per_event(function, "temperature", temperature, rank, above=0.0)
    # What the exact ranks lose and what their smoothing does, so that small losses keep digits.
    worth = numerics.divide(gains, given.sums(gains * best))
    wrong_order = jnp.sum(worth * (best - lists.discounts(rank)), axis=-1)
    loss = wrong_order + _smoothed(_ranked(given, rank), rank, 1 / temperature[..., None], worth)
    return given.result(numerics.valued(loss, jnp.maximum(loss, 0)), temperature)


class _Ranked(NamedTuple):
    """Items in terms of what their pairs do to smooth ranks.

    Attributes:
      scores: `[..., n]`, finite or NaN.
      place: `[..., n]`, the exact rank, NaN for what does not count.
      groups: `[..., n]`, of which list it is; None where all are of one.
      slope: `[..., n]`, by how much the loss grows with the smooth rank; 0 until that is known.
    """

    scores: Array
    place: Array
    groups: Array | None
    slope: Array


def _ranked(given: lists.Lists, rank: Array) -> _Ranked:
    most = float(jnp.finfo(rank.dtype).max)
    place = jnp.where(given.mask, rank, jnp.nan)
    groups = pairs.items(given).groups
    return _Ranked(jnp.clip(given.scores, -most, most), place, groups, jnp.zeros_like(rank))


@jax.custom_jvp
def _smoothed(each: _Ranked, rank: Array, sharpness: Array, worth: Array) -> Array:
    """Return what the smoothing of ranks does to the loss, `[...]`."""
    drift = pairs.sums(_doubt, each, sharpness)
    return jnp.sum(worth * _smoothing(rank, drift), axis=-1)


@functools.partial(_smoothed.defjvp, symbolic_zeros=True)
def _smoothed_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    # What one item has more of a pair the other has less: with slopes at hand, a sum over pairs.
    each, rank, sharpness, worth = primals
    moves, _, change, more = tangents
    drift = pairs.sums(_doubt, each, sharpness)
    smoothing, pull = jax.vjp(functools.partial(_smoothing, rank), drift)
    each = each._replace(slope=pull(worth)[0])
    _, along = pairs.pushed(_weighed_doubt, (each, sharpness), (moves, change))
    if not pairs.still(more):
        along = along + jnp.sum(smoothing * more, axis=-1)
    return jnp.sum(worth * smoothing, axis=-1), along


def _smoothing(rank: Array, drift: Array) -> Array:
    return lists.discounts(rank) * jnp.log1p(drift / (1 + rank)) / jnp.log1p(rank + drift)


def _doubt(mine: _Ranked, other: _Ranked, sharpness: Array) -> Array:
    """Return by how much a smooth rank exceeds the exact one because of one other item."""
    ahead = mine.place < other.place
    behind = (mine.place > other.place) & (other.place > 0)
    if mine.groups is not None:
        behind, ahead = ((x & (mine.groups == other.groups)) for x in (behind, ahead))
    lead = mine.scores - other.scores
    # Both branches have the derivative of one sigmoid: the sum is smooth where scores tie. Up to 0
    # the compiler's sigmoid keeps its digits.
    doubt = lax.logistic(jnp.where(behind, lead, jnp.where(ahead, -lead, 0)) * sharpness)
    return jnp.where(behind, -doubt, jnp.where(ahead, doubt, 0))


def _weighed_doubt(mine: _Ranked, other: _Ranked, sharpness: Array) -> Array:
    return (mine.slope - other.slope) * _doubt(mine, other, sharpness)


def approx_mrr_loss(
    scores: ArrayLike,
    relevance: ArrayLike,
    *,
    temperature: ArrayLike = 1.0,
    segments: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """One less the reciprocal of the smooth rank of the first relevant item.

    `1 - max over relevant i of 1 / rank_i`. Only the best relevant item pulls. Kink where the two
    best ones tie, where the gradient is the mean of theirs.

    Args:
      scores: `[..., n]`, higher for items that should come first.
      relevance: `[..., n]`, >= 0; positive for relevant.
      temperature: > 0, in units of the scores; number or `[...]`.
      segments: integers `[..., n]` or `[n]`; items with equal ones form a list.
      where: True for what counts, `[..., n]` or `[...]`.

    Returns:
      `[...]`, in [0, 1]; 0 for a list without a relevant item.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.approx_mrr_loss(jnp.zeros(3), jnp.array([1, 0, 0])))  # its smooth rank is 2
      0.5

    Reference: Qin, Liu and Li, A General Approximation Framework for Direct Optimization of
    Information Retrieval Measures (2010), with the reciprocal rank as the measure.
    """
    function = "approx_mrr_loss"
    given, _ = lists.prepare(function, where, segments=segments, scores=scores, relevance=relevance)
    temperature = arguments.per_event(function, "temperature", temperature, given.scores, above=0.0)
    relevant = given.mask & (given.relevance > 0)
    # Found by score: smooth ranks may round to a tie where scores do not.
    top = given.largest(jnp.where(relevant, given.scores, -jnp.inf), -jnp.inf)
    first = relevant & (given.scores == top)
    count = given.sums(first.astype(top.dtype))
    mean = numerics.divide(given.sums(jnp.where(first, given.scores, 0)), count)
    lead = pairs.gap(given.scores, numerics.valued(mean, jnp.where(count > 0, top, 0)))
    above = given.sums(jnp.where(first, 0, numerics.sigmoid(lead / temperature)))
    # Those that tie with it are half ahead of it.
    nearest = jnp.where(count > 0, above + (count - 1) / 2, 0)
    return given.result(given.over_lists(nearest / (1 + nearest)), temperature)


def neural_ndcg_loss(
    scores: ArrayLike,
    relevance: ArrayLike,
    *,
    temperature: ArrayLike = 1.0,
    iterations: int = 30,
    gain: str = "exponential",
    where: ArrayLike | None = None,
) -> Array:
    """One less NDCG with softly sorted gains, `1 - sum_k (P gain)_k / log2(1 + k) / ideal`.

    `P` is the soft permutation of `neural_sort`, of which columns and rows are divided by their
    sums in turn (Sinkhorn), rows last, so that each item is handed out about once. The columns sum
    to 1 only in the limit of many iterations; with few, an item may be handed out more than once
    and the loss be below 0 by that much.

    Args:
      scores: `[..., n]`, finite, higher for items that should come first.
      relevance: `[..., n]`, >= 0.
      temperature: > 0, in units of the scores; number or `[...]`.
      iterations: how often columns and rows are divided, >= 0; static.
      gain: "exponential" for `2^relevance - 1`, or "linear"; static.
      where: True for what counts, `[..., n]` or `[...]`.

    Returns:
      `[...]`, at most 1; 0 for a list without a relevant item.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> loss = jl.neural_ndcg_loss(jnp.array([0.0, 9.0]), jnp.array([1, 0]), temperature=0.1)
      >>> print(loss.round(4))  # in the second place: 1 - 1 / log2(3)
      0.3691

    Reference: Pobrotyn and Bialobrzeski, NeuralNDCG: Direct Optimisation of a Ranking Metric via
    Differentiable Relaxation of Sorting (2021).
    """
    function = "neural_ndcg_loss"
    given, _ = lists.prepare(function, where, scores=scores, relevance=relevance)
    gains = lists.gains(function, given.relevance, gain)
    temperature = arguments.per_event(function, "temperature", temperature, gains, above=0.0)
    logits = sorting.sort_logits(given.scores, given.mask, temperature)
    count = jnp.sum(given.mask, axis=-1, keepdims=True, dtype=gains.dtype)
    place = sorting.places(gains)
    cells = (place <= count)[..., :, None] & given.mask[..., None, :]
    shares = jnp.exp(_balanced(logits, cells, _steps(function, iterations)))
    grades = numerics.take(given.relevance, sorting.standing(given.relevance, given.mask))
    best = lists.gains(function, grades, gain)
    discounts = jnp.where(place <= count, lists.discounts(place), 0)
    # Rows sum to 1: what a place misses is what its items have less than the best one for it.
    gaps = lists.gain_gaps(function, grades[..., :, None], given.relevance[..., None, :], gain)
    missed = jnp.where(cells, shares * gaps, 0)
    lost = jnp.sum(discounts * jnp.sum(missed, axis=-1), axis=-1)
    return given.result(numerics.divide(lost, jnp.sum(discounts * best, axis=-1)), temperature)


def _steps(function: str, iterations: Any) -> int:
    try:
        number = operator.index(iterations)
    except TypeError as error:
        message = f"{function}: iterations must be an integer, got {iterations!r}."
        raise TypeError(message) from error
    if number < 0:
        raise arguments.reject(function, "iterations", "at least 0", number)
    return number


def _balanced(logits: Array, cells: Array, steps: int) -> Array:
    """Divide columns and rows by their sums in turn, as logarithms; rows first and last."""

    def divided(x: Array, axis: int) -> Array:
        top = lax.stop_gradient(jnp.max(x, axis=axis, keepdims=True, where=cells, initial=-jnp.inf))
        top = jnp.where(jnp.isfinite(top), top, 0)
        total = jnp.sum(jnp.where(cells, jnp.exp(jnp.where(cells, x - top, 0)), 0), axis=axis)
        return jnp.where(cells, x - top - jnp.expand_dims(numerics.log(total), axis), 0)

    both = lambda x, _: (divided(divided(x, -2), -1), None)
    return lax.scan(both, divided(logits, -1), length=steps)[0]
