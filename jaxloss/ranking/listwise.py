"""Losses of a whole list under a model of rankings: softmax, ListNet, ListMLE.

A score is the log-weight of an item in a lottery: the first place goes to an item with
probability `softmax(scores)`, the next one to one of the others likewise, and so on. All these
losses are convex in the scores and do not change when a constant is added to those of a list.

The conventions of `jaxloss.ranking.lists` hold.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloss import arguments, numerics
from jaxloss.ranking import lists, lotteries

Array = jax.Array


def ranking_softmax_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    where: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    segments: ArrayLike | None = None,
) -> Array:
    """Cross-entropy of scores with grades, `-sum_i labels_i log(softmax(logits)_i)`.

    The grades are taken as they are: a list counts in proportion to their sum, and one without a
    relevant item not at all. Divide them by their sum for a distribution; `listnet_loss` takes
    their softmax. Optax's function of this name averages over the lists unless it is told
    otherwise; here that is `jaxloss.mean(losses)`.

    Args:
      logits: `[..., n]`, the score of each item.
      labels: `[..., n]`, >= 0, the relevance of each item.
      where: True for what counts, `[..., n]` or `[...]`.
      weights: `[..., n]`, >= 0, multiplies the labels; None for 1.
      segments: integers `[..., n]` or `[n]`; items with equal ones form a list.

    Returns:
      `[...]`, non-negative.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> scores = jnp.array([[0.0, 0.0, 0.0, 0.0], [20.0, 0.0, -jnp.inf, -jnp.inf]])
      >>> labels = jnp.array([[2.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]])
      >>> print(jl.ranking_softmax_loss(scores, labels))  # 3 log 4, log(1 + exp(-20))
      [4.1588831e+00 2.0611537e-09]

    Reference: Cao et al., Learning to Rank: From Pairwise Approach to Listwise Approach (2007);
    Bruch et al., An Analysis of the Softmax Cross Entropy Loss for Learning-to-Rank (2019).
    """
    function = "ranking_softmax_loss"
    more: dict[str, Any] = {} if weights is None else {"weights": weights}
    more |= {"segments": segments}
    given, others = lists.prepare(function, where, logits=logits, labels=labels, **more)
    shares = given.relevance * others[0] if others else given.relevance
    surprisal = _surprisal(given.scores, given)
    return given.result(jnp.sum(numerics.weighted(shares, surprisal), axis=-1))


def _surprisal(values: Array, given: lists.Lists) -> Array:
    """Return `-log(softmax)` of values in each item's own list, 0 where masked."""
    same = None if given.groups is None else given.pairs()
    return jnp.where(given.mask, lists.surprisal(values, given.mask, same), 0)


def listnet_loss(
    scores: ArrayLike,
    relevance: ArrayLike,
    *,
    segments: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """Cross-entropy of two lotteries, `-sum_i softmax(relevance)_i log(softmax(scores)_i)`.

    ListNet's model of the first place only. Grades are log-weights here: one of 2 is worth
    `e` times one of 1, and one of 0 is still worth something (which `ranking_softmax_loss` gives
    nothing). It is least where scores and relevance differ by a constant, at the entropy of
    `softmax(relevance)`.

    Args:
      scores: `[..., n]`, higher for items that should come first.
      relevance: `[..., n]`, >= 0.
      segments: integers `[..., n]` or `[n]`; items with equal ones form a list.
      where: True for what counts, `[..., n]` or `[...]`.

    Returns:
      `[...]`, non-negative; 0 for a list without a relevant item.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> relevance = jnp.array([jnp.log(3.0), 0.0])  # shares of 3/4 and 1/4
      >>> print(jl.listnet_loss(jnp.array([0.0, 0.0]), relevance))  # log 2
      0.6931472

    Reference: Cao et al., Learning to Rank: From Pairwise Approach to Listwise Approach (2007),
    with the top-one probabilities.
    """
    function = "listnet_loss"
    given, _ = lists.prepare(function, where, segments=segments, scores=scores, relevance=relevance)
    shares = jnp.exp(-_surprisal(given.relevance, given))
    surprisal = _surprisal(given.scores, given)
    terms = jnp.where(_worth_learning(given), numerics.weighted(shares, surprisal), 0)
    return given.result(jnp.sum(terms, axis=-1))


def _worth_learning(given: lists.Lists) -> Array:
    """Return `[..., n]` booleans: True for items that count, in lists with a relevant item."""
    return given.mask & (given.largest(given.relevance, 0) > 0)


def unique_softmax_loss(
    scores: ArrayLike,
    relevance: ArrayLike,
    *,
    gain: str = "exponential",
    segments: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """Softmax of each item against the less relevant ones only.

    `sum_i gain_i log(1 + sum over y_j < y_i of exp(s_j - s_i))`.

    Items of one grade do not compete, unlike in `ranking_softmax_loss`: two relevant items may both
    score as high as they like.

    Args:
      scores: `[..., n]`, higher for items that should come first.
      relevance: `[..., n]`, >= 0.
      gain: "exponential" for `2^relevance - 1`, or "linear"; static.
      segments: integers `[..., n]` or `[n]`; items with equal ones form a list.
      where: True for what counts, `[..., n]` or `[...]`.

    Returns:
      `[...]`, non-negative; 0 for a list without a relevant item.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> scores, relevance = jnp.zeros(3), jnp.array([2.0, 1.0, 0.0])
      >>> print(jl.unique_softmax_loss(scores, relevance).round(4))  # 3 log 3 + 1 log 2
      3.989

    Reference: Zhu and Klabjan, Listwise Learning to Rank by Exploring Unique Ratings (2020).
    """
    function = "unique_softmax_loss"
    given, _ = lists.prepare(function, where, segments=segments, scores=scores, relevance=relevance)
    gains = lists.gains(function, given.relevance, gain)
    mine, other = given.relevance[..., :, None], given.relevance[..., None, :]
    lower = given.pairs() & (other < mine)
    surprisal = lists.surprisal_within(given.scores, lower)
    terms = numerics.weighted(gains, jnp.where(gains > 0, surprisal, 0))
    return given.result(jnp.sum(terms, axis=-1))


def listmle_loss(
    scores: ArrayLike,
    relevance: ArrayLike,
    *,
    ties: str = "order",
    key: ArrayLike | None = None,
    segments: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """Negative log-likelihood of the ranking by relevance.

    `sum_i log(sum over j from i on of exp(s_j - s_i))`, the items in order of relevance.

    The Plackett-Luce model: places are filled from the top, each by lottery among the items that
    remain. Of items with equal relevance (`ties`)

    * `"order"`: the one that stands earlier in the list is the better one, or, with a `key`, a
      random one is: hand in a new key at each step, and no order is learned that is not there;
    * `"breslow"`: all of them remain in each other's lotteries, as in Breslow's treatment of ties
      in Cox regression. The loss then does not depend on the order of the list.

    Args:
      scores: `[..., n]`, higher for items that should come first.
      relevance: `[..., n]`, >= 0.
      ties: "order" or "breslow"; static.
      key: a PRNG key for ties broken at random; None for the order of the list.
      segments: integers `[..., n]` or `[n]`; items with equal ones form a list.
      where: True for what counts, `[..., n]` or `[...]`.

    Returns:
      `[...]`, non-negative; 0 for a list without a relevant item.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.listmle_loss(jnp.zeros(3), jnp.array([0.0, 2.0, 1.0])).round(4))  # log 3 + log 2
      1.7918

    Reference: Xia et al., Listwise Approach to Learning to Rank: Theory and Algorithm (2008).
    """
    function = "listmle_loss"
    if ties not in ("order", "breslow"):
        raise arguments.reject(function, "ties", "'order' or 'breslow'", repr(ties))
    given, _ = lists.prepare(function, where, segments=segments, scores=scores, relevance=relevance)
    if ties == "order":
        ranked = lotteries.ranking(given, _draw(given, key))
        weights = jnp.where(ranked.graded, jnp.ones_like(ranked.scores), 0)
        return given.result(
            lotteries.likelihood(ranked.scores, weights, ranked.mask, ranked.joined)
        )
    mine, other = given.relevance[..., :, None], given.relevance[..., None, :]
    surprisal = lists.surprisal_within(given.scores, given.pairs() & (other <= mine))
    return given.result(jnp.sum(jnp.where(_worth_learning(given), surprisal, 0), axis=-1))


def _draw(given: lists.Lists, key: Any) -> Array | None:
    return None if key is None else jax.random.uniform(key, given.scores.shape)


def position_aware_listmle_loss(
    scores: ArrayLike,
    relevance: ArrayLike,
    *,
    position_weights: ArrayLike | None = None,
    key: ArrayLike | None = None,
    segments: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """ListMLE with a weight for each place.

    `sum_i a(place_i) log(sum over j from i on of exp(s_j - s_i))`, the items in order of relevance.

    Mistakes at the top cost more. The paper's weights are `a(k) = 2^(m - k) - 1` for `m` items that
    count; they overflow in float32 from 129 items on: give weights of your own to long lists. Ties
    of relevance are broken as in `listmle_loss` with `ties="order"`.

    Args:
      scores: `[..., n]`, higher for items that should come first.
      relevance: `[..., n]`, >= 0.
      position_weights: `[n]` or what broadcasts to `[..., n]`, >= 0, for the places from the first
        on; None for the paper's.
      key: a PRNG key for ties broken at random; None for the order of the list.
      segments: integers `[..., n]` or `[n]`; items with equal ones form a list.
      where: True for what counts, `[..., n]` or `[...]`.

    Returns:
      `[...]`, non-negative; 0 for a list without a relevant item.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> relevance = jnp.array([0.0, 2.0, 1.0])  # 3 log 3 + 1 log 2
      >>> print(jl.position_aware_listmle_loss(jnp.zeros(3), relevance).round(4))
      3.989

    Reference: Lan et al., Position-Aware ListMLE: A Sequential Learning Process for Ranking (2014).
    """
    function = "position_aware_listmle_loss"
    given, _ = lists.prepare(function, where, segments=segments, scores=scores, relevance=relevance)
    ranked = lotteries.ranking(given, _draw(given, key))
    if position_weights is None:
        weights = jnp.exp2(jnp.maximum(ranked.left() - 1, 0)) - 1
    else:
        offered = arguments.hyper(
            function, "position_weights", position_weights, given.scores, at_least=0.0
        )
        offered = jnp.broadcast_to(offered, given.scores.shape)
        weights = jnp.take_along_axis(offered, ranked.place, axis=-1)
        given = given._replace(valid=given.valid * _one_or_nan(offered))
    weights = jnp.where(ranked.graded, weights, 0)
    return given.result(lotteries.likelihood(ranked.scores, weights, ranked.mask, ranked.joined))


def _one_or_nan(numbers: Array) -> Array:
    """Return 1 for each list, or NaN where one of its numbers is."""
    bad = jnp.any(jnp.isnan(numbers), axis=-1)
    return jnp.where(bad, jnp.nan, 1).astype(numbers.dtype)
