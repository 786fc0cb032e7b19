"""Exact metrics of a ranking: what the losses of this room stand in for.

They are not losses: higher is better, and they have no gradient but 0. Each looks at the first
`top_n` items by score (None: all); items with a score of minus infinity are not ranked. A list
without a relevant item (`relevance > 0`) has metric 0. Of equal scores the earlier item ranks
higher, see `jaxloss.ranking.lists`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloss import numerics
from jaxloss.ranking import lists

Array = jax.Array


class _Ranking(NamedTuple):
    """A list in the order of its scores.

    Attributes:
      given: the lists.
      scores: `[..., n]`, by which it is ranked.
      rank: `[..., n]`, 1 for the first.
      found: `[..., n]`, True for the items that the metric looks at.
      relevant: `[..., n]`, True for the relevant items.
      top_n: how many it looks at.
    """

    given: lists.Lists
    scores: Array
    rank: Array
    found: Array
    relevant: Array
    top_n: int | None

    def result(self, metric: Array) -> Array:
        """Return one number for each list of what `Lists.sums` or `largest` gave."""
        return self.given.result(self.given.over_lists(metric))


def _ranked(
    function: str, scores: Any, relevance: Any, top_n: Any, segments: Any, where: Any
) -> _Ranking:
    given, _ = lists.prepare(function, where, segments=segments, scores=scores, relevance=relevance)
    top_n = lists.cutoff(function, top_n)
    scores = jax.lax.stop_gradient(given.scores)
    rank = lists.ranks(given, scores)
    found = given.mask & (scores > -jnp.inf) & lists.within(rank, top_n)
    return _Ranking(given, scores, rank, found, given.relevance > 0, top_n)


def _count(order: _Ranking, chosen: Array) -> Array:
    return order.given.sums(chosen.astype(order.rank.dtype))


def ndcg(
    scores: ArrayLike,
    relevance: ArrayLike,
    *,
    top_n: int | None = None,
    gain: str = "exponential",
    segments: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """Discounted gain over that of the best order, `sum_i gain_i / log2(1 + rank_i) / ideal`.

    Args:
      scores: `[..., n]`, by which the items are ranked.
      relevance: `[..., n]`, >= 0.
      top_n: how many of the first items count; None for all; static.
      gain: "exponential" for `2^relevance - 1`, or "linear"; static.
      segments: integers `[..., n]` or `[n]`; items with equal ones form a list.
      where: True for what counts, `[..., n]` or `[...]`.

    Returns:
      `[...]`, in [0, 1]; 0 for a list without a relevant item.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.ndcg(jnp.array([3.0, 2.0, 1.0]), jnp.array([0, 0, 1])))  # 1 / log2(1 + 3)
      0.5

    Reference: Jarvelin and Kekalainen, Cumulated Gain-Based Evaluation of IR Techniques (2002);
    gains: Burges et al., Learning to Rank Using Gradient Descent (2005), section 5.
    """
    order = _ranked("ndcg", scores, relevance, top_n, segments, where)
    gains = lists.gains("ndcg", order.given.relevance, gain)
    best = lists.ranks(order.given, order.given.relevance)
    discounts = jnp.where(order.found, lists.discounts(order.rank), 0)
    most = order.given.sums(gains * lists.discounts(best, order.top_n))
    return order.result(numerics.divide(order.given.sums(gains * discounts), most))


def reciprocal_rank(
    scores: ArrayLike,
    relevance: ArrayLike,
    *,
    top_n: int | None = None,
    segments: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """One over the rank of the first relevant item, `max over relevant i of 1 / rank_i`.

    Its mean over lists is the mean reciprocal rank (MRR).

    Args:
      scores: `[..., n]`, by which the items are ranked.
      relevance: `[..., n]`, >= 0; positive for relevant.
      top_n: how many of the first items count; None for all; static.
      segments: integers `[..., n]` or `[n]`; items with equal ones form a list.
      where: True for what counts, `[..., n]` or `[...]`.

    Returns:
      `[...]`, in [0, 1]; 0 where no relevant item is among those that count.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.reciprocal_rank(jnp.array([3.0, 2.0, 1.0]), jnp.array([0, 1, 1])))
      0.5

    Reference: Voorhees, The TREC-8 Question Answering Track Report (1999), section 3.
    """
    order = _ranked("reciprocal_rank", scores, relevance, top_n, segments, where)
    hits = order.found & order.relevant
    return order.result(order.given.largest(jnp.where(hits, 1 / order.rank, 0), 0))


def average_precision(
    scores: ArrayLike,
    relevance: ArrayLike,
    *,
    top_n: int | None = None,
    segments: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """Mean over the relevant items of the precision at their rank.

    Relevant items that are not among the first `top_n` count as precision 0. Its mean over lists
    is the mean average precision (MAP).

    Args:
      scores: `[..., n]`, by which the items are ranked.
      relevance: `[..., n]`, >= 0; positive for relevant.
      top_n: how many of the first items count; None for all; static.
      segments: integers `[..., n]` or `[n]`; items with equal ones form a list.
      where: True for what counts, `[..., n]` or `[...]`.

    Returns:
      `[...]`, in [0, 1]; 0 for a list without a relevant item.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> scores = jnp.array([4.0, 3.0, 2.0, 1.0])
      >>> print(jl.average_precision(scores, jnp.array([1, 0, 0, 1])))  # (1/1 + 2/4) / 2
      0.75

    Reference: Manning, Raghavan and Schutze, Introduction to Information Retrieval (2008), section
    8.4.
    """
    order = _ranked("average_precision", scores, relevance, top_n, segments, where)
    hits = order.found & order.relevant
    above = lists.counts_ahead(order.given, hits, order.scores)
    total = order.given.sums(jnp.where(hits, (1 + above) / order.rank, 0))
    return order.result(numerics.divide(total, _count(order, order.relevant)))


def precision(
    scores: ArrayLike,
    relevance: ArrayLike,
    *,
    top_n: int | None = None,
    segments: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """Share of relevant items among the first `top_n`.

    A list with fewer than `top_n` ranked items is divided by those it has; where the convention is
    to divide by `top_n` all the same, multiply by their number over `top_n`.

    Args:
      scores: `[..., n]`, by which the items are ranked.
      relevance: `[..., n]`, >= 0; positive for relevant.
      top_n: how many of the first items count; None for all; static.
      segments: integers `[..., n]` or `[n]`; items with equal ones form a list.
      where: True for what counts, `[..., n]` or `[...]`.

    Returns:
      `[...]`, in [0, 1].

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> scores = jnp.array([4.0, 3.0, 2.0, 1.0])
      >>> print(jl.precision(scores, jnp.array([1, 0, 0, 1]), top_n=2))
      0.5

    Reference: Manning, Raghavan and Schutze, Introduction to Information Retrieval (2008), section
    8.4.
    """
    order = _ranked("precision", scores, relevance, top_n, segments, where)
    hits = _count(order, order.found & order.relevant)
    return order.result(numerics.divide(hits, _count(order, order.found)))


def recall(
    scores: ArrayLike,
    relevance: ArrayLike,
    *,
    top_n: int | None = None,
    segments: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """Share of the relevant items that is among the first `top_n`.

    Args:
      scores: `[..., n]`, by which the items are ranked.
      relevance: `[..., n]`, >= 0; positive for relevant.
      top_n: how many of the first items count; None for all; static.
      segments: integers `[..., n]` or `[n]`; items with equal ones form a list.
      where: True for what counts, `[..., n]` or `[...]`.

    Returns:
      `[...]`, in [0, 1]; 0 for a list without a relevant item.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> scores = jnp.array([4.0, 3.0, 2.0, 1.0])
      >>> print(jl.recall(scores, jnp.array([1, 0, 0, 1]), top_n=2))
      0.5

    Reference: Manning, Raghavan and Schutze, Introduction to Information Retrieval (2008), section
    8.3.
    """
    order = _ranked("recall", scores, relevance, top_n, segments, where)
    hits = _count(order, order.found & order.relevant)
    return order.result(numerics.divide(hits, _count(order, order.relevant)))
