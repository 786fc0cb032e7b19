"""Losses of pairs of items: the more relevant one should have the higher score.

Every loss here is a sum over the pairs `(i, j)` of a list with `relevance[i] > relevance[j]`, of a
function of the difference `scores[i] - scores[j]`; only the order of the grades counts, so that
they may be any real numbers. It is the sum and not the mean: to divide by the number of pairs,
count them with `pairwise_loss(scores, relevance, pair_loss=lambda d, g: jnp.ones_like(d))`. The
mean over all pairs of a batch, which some libraries report, is the quotient of both sums.

`pair_weights` multiply the terms: an array `[..., n, n]` or what broadcasts to it
(`weights[..., :, None]` weighs a pair by its more relevant item), or a function that is called with
`(scores, relevance, where=mask)`, and with `segments=` where there are any, and returns one, such
as `lambda_weights`.

The conventions of `jaxloss.ranking.lists` hold.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloss import arguments, numerics
from jaxloss.ranking import lists, pairs

Array = jax.Array
PairLoss = Callable[[Array, Array], Array]
PairWeights = ArrayLike | Callable[..., ArrayLike] | None


def pairwise_loss(
    scores: ArrayLike,
    relevance: ArrayLike,
    *,
    pair_loss: PairLoss,
    every_pair: bool = False,
    pair_weights: PairWeights = None,
    segments: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """Sum of a loss over the pairs of a list, `sum_ij pair_loss(s_i - s_j, y_i - y_j)`.

    The core of the losses of this module, for pair losses of your own.

    Args:
      scores: `[..., n]`, higher for items that should come first.
      relevance: `[..., n]`, real, greater for better.
      pair_loss: takes the differences of scores and of relevance, some pairs at a time as
        `[..., k, n]`, element by element. Where a pair does not count they are 0 and 1, and the
        result is not used.
      every_pair: whether to sum over all ordered pairs of different items instead of those with
        `y_i > y_j`; static.
      pair_weights: weight of each pair, `[..., n, n]` or a function; None for 1.
      segments: integers `[..., n]` or `[n]`; only items with equal ones form pairs.
      where: True for what counts, `[..., n]` or `[...]`.

    Returns:
      `[...]`, 0 for a list without pairs.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> scores, relevance = jnp.array([3.0, 1.0, 2.0]), jnp.array([2.0, 1.0, 0.0])
      >>> jl.pairwise_loss(scores, relevance, pair_loss=lambda d, g: g * d)  # 1*2 + 2*1 + 1*(-1)
      Array(3., dtype=float32)

    Reference: Cao et al., Learning to Rank: From Pairwise Approach to Listwise Approach (2007),
    section 2.
    """
    function = "pairwise_loss"
    loss = lambda lead, grade: pair_loss(lead, grade)
    options = (pair_weights, segments, where)
    return _pair_sum(function, scores, relevance, loss, *options, every_pair=every_pair, own=True)


def _pair_sum(
    function: str,
    scores: Any,
    relevance: Any,
    pair_loss: Callable[..., Array],
    pair_weights: PairWeights,
    segments: Any,
    where: Any,
    *numbers: Array,
    every_pair: bool = False,
    own: bool = False,
) -> Array:
    """Return the sum of `pair_loss(lead, grade, *numbers)` over the pairs of each list.

    NaN where one of the numbers, `[..., 1, 1]`, is. A loss of the caller's `own` may depend on more
    than its arguments.
    """
    given, _ = lists.prepare(
        function, where, signed=True, segments=segments, scores=scores, relevance=relevance
    )
    term, each = functools.partial(cost, pair_loss, every_pair), pairs.items(given)
    if pair_weights is not None:
        weights = _weights(function, pair_weights, given)
        between = (jnp.swapaxes(weights, -1, -2), weights)
        total = pairs.plain_total(term, each, numbers, between=between)
    else:
        total = (pairs.plain_total if own else pairs.total)(term, each, numbers)
    return given.result(total, *numbers)


def cost(
    pair_loss: Callable[..., Array],
    every_pair: bool,
    mine: pairs.Item,
    other: pairs.Item,
    numbers: tuple[Array, ...],
    weights: tuple[Array | None, Array | None] = (None, None),
) -> Array:
    """Return what a pair costs, in both orders or in the one with the better item first."""
    chosen, better = pairs.counted(mine, other), mine.relevance > other.relevance
    if every_pair:
        chosen &= mine.place != other.place
    else:
        chosen &= better | (mine.relevance < other.relevance)

    def cost(lead: Array, grade: Array, weight: Array | None) -> Array:
        loss = pair_loss(jnp.where(chosen, lead, 0), jnp.where(chosen, grade, 1), *numbers)
        if weight is not None:
            loss = numerics.weighted(jnp.where(chosen, weight, 0), loss)
        return jnp.where(chosen, loss, 0)

    lead = pairs.gap(mine.scores, other.scores)
    grade = pairs.gap(mine.relevance, other.relevance)
    there, back = weights
    if every_pair:
        return cost(lead, grade, there) + cost(-lead, -grade, back)
    weight = None if there is None or back is None else jnp.where(better, there, back)
    return cost(jnp.where(better, lead, -lead), jnp.where(better, grade, -grade), weight)


def _weights(function: str, pair_weights: Any, given: lists.Lists) -> Array:
    if callable(pair_weights):
        more = {} if given.groups is None else {"segments": given.groups}
        pair_weights = pair_weights(given.scores, given.relevance, where=given.mask, **more)
    weights = arguments.real(function, "pair_weights", pair_weights)
    shape = (*given.mask.shape, given.mask.shape[-1])
    arguments.broadcastable(function, "pair_weights", weights.shape, shape)
    return arguments.expand_left(weights.astype(given.scores.dtype), len(shape))


def pairwise_logistic_loss(
    scores: ArrayLike,
    relevance: ArrayLike,
    *,
    pair_weights: PairWeights = None,
    segments: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """Logistic loss of pairs (RankNet), `sum over y_i > y_j of log(1 + exp(-(s_i - s_j)))`.

    The difference of two scores is the log-odds that the first item is the better one. Smooth and
    convex; a pair in the right order still pulls, ever less.

    Args:
      scores: `[..., n]`, higher for items that should come first.
      relevance: `[..., n]`, real, greater for better.
      pair_weights: weight of each pair, `[..., n, n]` or a function; None for 1.
      segments: integers `[..., n]` or `[n]`; only items with equal ones form pairs.
      where: True for what counts, `[..., n]` or `[...]`.

    Returns:
      `[...]`, the sum over the pairs, non-negative; 0 for a list without pairs.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> scores = jnp.array([[0.0, 0.0], [20.0, 0.0]])
      >>> print(jl.pairwise_logistic_loss(scores, jnp.array([[1.0, 0.0], [1.0, 0.0]])))
      [6.9314718e-01 2.0611537e-09]

    Reference: Burges et al., Learning to Rank Using Gradient Descent (2005), eq. 3.
    """
    loss: PairLoss = lambda lead, _: numerics.softplus(-lead)
    function = "pairwise_logistic_loss"
    return _pair_sum(function, scores, relevance, loss, pair_weights, segments, where)


def pairwise_hinge_loss(
    scores: ArrayLike,
    relevance: ArrayLike,
    *,
    margin: ArrayLike = 1.0,
    pair_weights: PairWeights = None,
    segments: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """Hinge loss of pairs, `sum over y_i > y_j of max(0, margin - (s_i - s_j))`.

    Pairs whose lead exceeds the margin have no gradient; the others all have the same. Convex.
    Kink where the lead is the margin, with gradient 0 there.

    Args:
      scores: `[..., n]`, higher for items that should come first.
      relevance: `[..., n]`, real, greater for better.
      margin: the lead that is enough, >= 0; number or `[...]`.
      pair_weights: weight of each pair, `[..., n, n]` or a function; None for 1.
      segments: integers `[..., n]` or `[n]`; only items with equal ones form pairs.
      where: True for what counts, `[..., n]` or `[...]`.

    Returns:
      `[...]`, the sum over the pairs, non-negative; 0 for a list without pairs.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> scores, relevance = jnp.array([3.0, 2.5, 0.0]), jnp.array([2, 1, 0])
      >>> print(jl.pairwise_hinge_loss(scores, relevance))  # only the first pair is too close
      0.5

    Reference: Herbrich, Graepel and Obermayer, Large Margin Rank Boundaries for Ordinal Regression
    (2000).
    """
    function = "pairwise_hinge_loss"
    margin = _per_list(function, "margin", margin, scores, at_least=0.0)
    loss = lambda lead, _, margin: numerics.positive_part(margin - lead)
    return _pair_sum(function, scores, relevance, loss, pair_weights, segments, where, margin)


def _per_list(function: str, name: str, value: Any, scores: Any, **bounds: float) -> Array:
    """Convert a hyper-parameter, one for all lists or `[...]`, ready to meet `[..., n, n]`."""
    array = arguments.floating(function, "scores", scores)
    if array.ndim == 0:
        raise arguments.reject(function, "scores", "of shape [..., n]", f"shape {array.shape}")
    like = jnp.zeros(array.shape[:-1], arguments.working_dtype(array))
    return arguments.hyper(function, name, value, like, **bounds)[..., None, None]


def pairwise_squared_loss(
    scores: ArrayLike,
    relevance: ArrayLike,
    *,
    pair_weights: PairWeights = None,
    segments: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """Squared error of differences, `sum over i != j of ((s_i - s_j) - (y_i - y_j))^2`.

    A regression that is blind to an offset common to a list: it wants the distances between scores
    to be those between grades. It sums over all ordered pairs, ties included, and so counts each
    pair of items twice; a list without a relevant item wants equal scores.

    Args:
      scores: `[..., n]`, in units of relevance.
      relevance: `[..., n]`, real.
      pair_weights: weight of each pair, `[..., n, n]` or a function; None for 1.
      segments: integers `[..., n]` or `[n]`; only items with equal ones form pairs.
      where: True for what counts, `[..., n]` or `[...]`.

    Returns:
      `[...]`, the sum over the ordered pairs, non-negative.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> scores, relevance = jnp.array([5.0, 4.0, 2.0]), jnp.array([2.0, 1.0, 0.0])
      >>> print(jl.pairwise_squared_loss(scores, relevance))  # 2 (0^2 + 1^2 + 1^2)
      4.0

    Reference: Cao et al., Learning to Rank: From Pairwise Approach to Listwise Approach (2007),
    section 2, with the square as the loss of a pair.
    """
    loss: PairLoss = lambda lead, grade: (lead - grade) ** 2
    function = "pairwise_squared_loss"
    return _pair_sum(
        function, scores, relevance, loss, pair_weights, segments, where, every_pair=True
    )


def pairwise_soft_zero_one_loss(
    scores: ArrayLike,
    relevance: ArrayLike,
    *,
    pair_weights: PairWeights = None,
    segments: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """Smooth count of the pairs in wrong order, `sum over y_i > y_j of sigmoid(-(s_i - s_j))`.

    Bounded by the number of pairs, so that a hopeless pair does not pull; not convex. Multiply the
    scores by a large number to count more sharply.

    Args:
      scores: `[..., n]`, higher for items that should come first.
      relevance: `[..., n]`, real, greater for better.
      pair_weights: weight of each pair, `[..., n, n]` or a function; None for 1.
      segments: integers `[..., n]` or `[n]`; only items with equal ones form pairs.
      where: True for what counts, `[..., n]` or `[...]`.

    Returns:
      `[...]`, between 0 and the number of pairs.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> scores, relevance = jnp.array([0.0, 0.0, 50.0]), jnp.array([2, 1, 0])
      >>> print(jl.pairwise_soft_zero_one_loss(scores, relevance))  # a tie and two wrong pairs
      2.5

    Reference: Yan et al., Optimizing Classifier Performance via an Approximation to the
    Wilcoxon-Mann-Whitney Statistic (2003), the sigmoid.
    """
    loss: PairLoss = lambda lead, _: numerics.sigmoid(-lead)
    function = "pairwise_soft_zero_one_loss"
    return _pair_sum(function, scores, relevance, loss, pair_weights, segments, where)


def bayesian_personalized_ranking_loss(
    positive_scores: ArrayLike, negative_scores: ArrayLike, *, where: ArrayLike | None = None
) -> Array:
    """Logistic loss of sampled pairs (BPR), `log(1 + exp(-(positive - negative)))`.

    For implicit feedback: the item that was taken should score higher than one that was not. The
    sampling of negatives is the caller's, and so is the decay of parameters that the paper adds.

    Args:
      positive_scores: `[...]`, scores of items that were taken.
      negative_scores: `[...]`, scores of items that were not, one for each.
      where: True for what counts.

    Returns:
      `[...]`, non-negative.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> taken, left = jnp.array([1.0, 21.0]), jnp.array([1.0, 1.0])
      >>> print(jl.bayesian_personalized_ranking_loss(taken, left))
      [6.9314718e-01 2.0611537e-09]

    Reference: Rendle et al., BPR: Bayesian Personalized Ranking from Implicit Feedback (2009),
    section 4.1.
    """
    (positive, negative), mask = arguments.elementwise(
        "bayesian_personalized_ranking_loss",
        where,
        positive_scores=positive_scores,
        negative_scores=negative_scores,
    )
    return arguments.masked(numerics.softplus(negative - positive), mask)
