"""Pairs weighted by what their order is worth: LambdaRank and the losses of LambdaLoss.

With gains `G` (divided by the ideal DCG) and ranks `r` by score, `D(r) = 1 / log2(1 + r)`:

* `"lambdarank"`: `|G_i - G_j| |D(r_i) - D(r_j)|`, what swapping the two items changes in NDCG;
* `"ndcg1"`: `G_i D(r_i)`, for all ordered pairs;
* `"ndcg2"`: `|G_i - G_j| |D(k) - D(k + 1)|` with `k = |r_i - r_j|`;
* `"ndcg2++"`: the first plus `mu` times the third.

The weights depend on the scores through the ranks only, which move in steps; they are held
constant under differentiation.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxloss import arguments, numerics
from jaxloss.ranking import lists, pairs, pairwise

Array = jax.Array
SCHEMES = ("lambdarank", "ndcg1", "ndcg2", "ndcg2++")


def lambda_weights(
    scores: ArrayLike,
    relevance: ArrayLike,
    *,
    scheme: str = "lambdarank",
    mu: ArrayLike = 10.0,
    top_n: int | None = None,
    gain: str = "exponential",
    segments: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """Weights of pairs, by what their order is worth to NDCG.

    To be put into a pairwise loss as its `pair_weights`, with other arguments than the defaults by
    `functools.partial`. They have no gradient. (Some libraries multiply them by the length of the
    list.)

    Args:
      scores: `[..., n]`, from which the ranks are taken.
      relevance: `[..., n]`, >= 0.
      scheme: "lambdarank", "ndcg1", "ndcg2" or "ndcg2++", see the module; static.
      mu: >= 0, weight of the second part of "ndcg2++"; number or `[...]`.
      top_n: how many of the first ranks count: the discount is 0 beyond, as is the weight of a
        pair of which neither item is among them; None for all; static.
      gain: "exponential" for `2^relevance - 1`, or "linear"; static.
      segments: integers `[..., n]` or `[n]`; items with equal ones form a list.
      where: True for what counts, `[..., n]` or `[...]`.

    Returns:
      `[..., n, n]`, >= 0, and 0 for pairs that do not count.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> weights = jl.lambda_weights(jnp.array([2.0, 1.0]), jnp.array([0.0, 1.0]))
      >>> print(weights.round(4))  # 1 - 1 / log2(3)
      [[0.     0.3691]
       [0.3691 0.    ]]

    Reference: Wang et al., The LambdaLoss Framework for Ranking Metric Optimization (2018),
    where they are LambdaRank, NDCG-Loss1, NDCG-Loss2 and NDCG-Loss2++.
    """
    function = "lambda_weights"
    given, _ = lists.prepare(function, where, segments=segments, scores=scores, relevance=relevance)
    top_n = lists.cutoff(function, top_n)
    each = _placed(function, given, scheme, top_n, gain)
    mu = _per_list(function, mu, given)
    mine, other = (jax.tree.map(lambda x, a=a: jnp.expand_dims(x, a), each) for a in (-1, -2))
    chosen = pairs.counted(mine.item, other.item) & (mine.item.place != other.item.place)
    weights = jnp.where(chosen, _weight(scheme, top_n, mine, other, mu), 0)
    return lax.stop_gradient(weights * given.valid[..., None, None])


class _Placed(NamedTuple):
    """Items, with what their weights are made of: constants to autodiff.

    Attributes:
      item: the items.
      rank: `[..., n]`, by score.
      worth: `[..., n]`, gains divided by the ideal DCG; 0 in a list without a relevant item.
      discount: `[..., n]`, of the rank.
    """

    item: pairs.Item
    rank: Array
    worth: Array
    discount: Array


def _placed(
    function: str, given: lists.Lists, scheme: str, top_n: int | None, gain: str
) -> _Placed:
    if scheme not in SCHEMES:
        expected = "one of " + ", ".join(map(repr, SCHEMES))
        raise arguments.reject(function, "scheme", expected, repr(scheme))
    rank = lists.ranks(given, given.scores)
    gains = lists.gains(function, given.relevance, gain)
    best = lists.discounts(lists.ranks(given, given.relevance), top_n)
    # A masked item has a gain of 0.
    worth = numerics.divide(gains, given.sums(gains * best))
    discount = lists.discounts(rank, top_n)
    return _Placed(pairs.items(given), *lax.stop_gradient((rank, worth, discount)))


def _per_list(function: str, mu: Any, given: lists.Lists) -> Array:
    return arguments.per_event(function, "mu", mu, given.scores, at_least=0.0)[..., None]


def _weight(scheme: str, top_n: int | None, mine: _Placed, other: _Placed, mu: Array) -> Array:
    """Return the weight of a pair that counts."""
    if scheme == "ndcg1":
        return mine.worth * mine.discount + 0 * other.worth
    stakes = jnp.abs(pairs.gap(mine.worth, other.worth))
    swap = jnp.abs(mine.discount - other.discount)
    if scheme == "lambdarank":
        return stakes * swap
    apart = jnp.abs(mine.rank - other.rank)
    step = lists.discounts(jnp.maximum(apart, 1)) - lists.discounts(apart + 1)
    near = lists.within(mine.rank, top_n) | lists.within(other.rank, top_n)
    step = jnp.where((apart > 0) & near, step, 0)
    return stakes * (step if scheme == "ndcg2" else swap + mu * step)


def lambdarank_loss(
    scores: ArrayLike,
    relevance: ArrayLike,
    *,
    scheme: str = "lambdarank",
    sigma: ArrayLike = 1.0,
    mu: ArrayLike = 10.0,
    rank_by: ArrayLike | None = None,
    top_n: int | None = None,
    gain: str = "exponential",
    segments: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """Logistic loss of pairs times `lambda_weights`.

    `sum over y_i > y_j of w_ij log(1 + exp(-sigma (s_i - s_j)))`.

    Errors at the top of the list and between very different grades count most, as they do in NDCG.
    The weights are recomputed from the scores at each call and held constant under
    differentiation: the gradient is that of the weighted sum with the weights of the moment, and
    the loss jumps where two scores change places. (In base-2 logarithms, as some write it, the
    loss is this one divided by `log(2)`.)

    Args:
      scores: `[..., n]`, higher for items that should come first.
      relevance: `[..., n]`, >= 0.
      scheme: "lambdarank", "ndcg1", "ndcg2" or "ndcg2++"; static. "ndcg1" sums over all ordered
        pairs of different items, the others over those with `y_i > y_j`.
      sigma: > 0, sharpness of the logistic loss; number or `[...]`.
      mu: >= 0, weight of the second part of "ndcg2++"; number or `[...]`.
      rank_by: `[..., n]`, the scores by which the weights rank, such as those of the model before
        this step; None for `scores`.
      top_n: how many of the first ranks count; None for all; static.
      gain: "exponential" for `2^relevance - 1`, or "linear"; static.
      segments: integers `[..., n]` or `[n]`; items with equal ones form a list.
      where: True for what counts, `[..., n]` or `[...]`.

    Returns:
      `[...]`, non-negative; 0 for a list without a relevant item.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> scores, relevance = jnp.array([2.0, 1.0]), jnp.array([0.0, 1.0])
      >>> print(jl.lambdarank_loss(scores, relevance).round(4))  # 0.3691 log(1 + e)
      0.4847

    Reference: Burges, Ragno and Le, Learning to Rank with Nonsmooth Cost Functions (2006);
    Wang et al., The LambdaLoss Framework for Ranking Metric Optimization (2018).
    """
    function = "lambdarank_loss"
    more: dict[str, Any] = {"relevance": relevance, "segments": segments}
    given, _ = lists.prepare(function, where, scores=scores, **more)
    other = scores if rank_by is None else rank_by
    ranked, _ = lists.prepare(function, where, rank_by=other, **more)
    top_n = lists.cutoff(function, top_n)
    # Held constant: the ranks move in steps, and the method is defined by this gradient.
    placed = _placed(function, ranked, scheme, top_n, gain)._replace(item=pairs.items(given))
    sigma = arguments.per_event(function, "sigma", sigma, given.scores, above=0.0)[..., None]
    mu = lax.stop_gradient(_per_list(function, mu, given))
    term = functools.partial(_cost, scheme, top_n)
    return given.result(pairs.total(term, placed, sigma, mu) * ranked.valid, sigma)


def _cost(
    scheme: str, top_n: int | None, mine: _Placed, other: _Placed, sigma: Array, mu: Array
) -> Array:
    there, back = (_weight(scheme, top_n, *both, mu) for both in ((mine, other), (other, mine)))
    logistic = lambda lead, _: numerics.softplus(-sigma * lead)
    every_pair = scheme == "ndcg1"
    return pairwise.cost(logistic, every_pair, mine.item, other.item, (), (there, back))
