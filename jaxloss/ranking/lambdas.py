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

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxloss import arguments, numerics
from jaxloss.ranking import lists

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
    weights = _weights(function, given, scheme, mu, top_n, gain)
    return lax.stop_gradient(weights * given.valid[..., None, None])


def _weights(
    function: str, given: lists.Lists, scheme: str, mu: Any, top_n: int | None, gain: str
) -> Array:
    if scheme not in SCHEMES:
        expected = "one of " + ", ".join(map(repr, SCHEMES))
        raise arguments.reject(function, "scheme", expected, repr(scheme))
    pairs = given.pairs()
    higher = lists.ahead(given.scores, pairs)
    rank = lists.ranks(higher, given.scores.dtype)
    worth = _normal_gains(function, given, higher, top_n, gain)
    discount = lists.discounts(rank, top_n)
    if scheme == "ndcg1":
        own_worth = jnp.broadcast_to((worth * discount)[..., :, None], pairs.shape)
        return jnp.where(pairs & ~lists.own(pairs.shape), own_worth, 0)
    stakes = jnp.abs(lists.differences(worth, pairs))
    swap = jnp.abs(lists.differences(discount, pairs))
    if scheme == "lambdarank":
        return stakes * swap
    mu = arguments.per_event(function, "mu", mu, given.scores, at_least=0.0)[..., None]
    near = lists.within(rank, top_n)
    gap = jnp.abs(lists.differences(rank, pairs))
    step = lists.discounts(jnp.maximum(gap, 1)) - lists.discounts(gap + 1)
    step = jnp.where((gap > 0) & (near[..., :, None] | near[..., None, :]), step, 0)
    return stakes * (step if scheme == "ndcg2" else swap + mu * step)


def _normal_gains(
    function: str, given: lists.Lists, higher: Array, top_n: int | None, gain: str
) -> Array:
    """Return the gains divided by the ideal DCG; 0 in a list without a relevant item."""
    gains = lists.gains(function, given.relevance, gain)
    best = lists.discounts(lists.ranks(lists.ideal(given.relevance, higher), gains.dtype), top_n)
    # A masked item has a gain of 0.
    return numerics.divide(gains, given.sums(gains * best))


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
    weights = lax.stop_gradient(_weights(function, ranked, scheme, mu, top_n, gain))
    pairs = given.pairs() & ~lists.own(weights.shape)
    if scheme != "ndcg1":
        pairs &= given.relevance[..., :, None] > given.relevance[..., None, :]
    sigma = arguments.per_event(function, "sigma", sigma, given.scores, above=0.0)[..., None]
    losses = numerics.softplus(-sigma * lists.differences(given.scores, pairs))
    terms = numerics.weighted(jnp.where(pairs, weights, 0), jnp.where(pairs, losses, 0))
    return given.result(jnp.sum(terms, axis=(-2, -1)) * ranked.valid, sigma)
