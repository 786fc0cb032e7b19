"""Soft sorting and ranking: differentiable stand-ins for operators that move in steps.

`neural_sort` and `soft_sort` give a matrix `[..., n, n]` whose row `k` says which item stands at
place `k` (rows sum to 1), `soft_rank` gives the rank of each item. As their parameter goes to 0
they tend to the exact ones, highest score first. With a mask the items that count take the first
places; the rows of the places beyond, and the columns of the masked items, are 0.

They are not losses: put them into one (`neural_ndcg_loss`, a distance of ranks). The scores of
a list must be finite.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxloss import arguments, numerics
from jaxloss.ranking import isotonic, lists

Array = jax.Array


def _prepare(function: str, scores: Any, where: Any) -> tuple[Array, Array, Array]:
    """Return the scores, the mask and, `[..., n]`, which places are taken."""
    (scores,), mask = arguments.events(function, -1, where, scores=scores)
    bad = jnp.where(jnp.any(jnp.isnan(scores), axis=-1, keepdims=True), jnp.nan, 1)
    count = jnp.sum(mask, axis=-1, keepdims=True, dtype=scores.dtype)
    return scores * bad.astype(scores.dtype), mask, places(scores) <= count


def places(like: Array) -> Array:
    """Return the places from 1 on, in the shape of `like`."""
    return lax.broadcasted_iota(jnp.int32, like.shape, like.ndim - 1).astype(like.dtype) + 1


def _row_softmax(logits: Array, mask: Array, taken: Array) -> Array:
    """Return the softmax of each row over the items that count; 0 in rows beyond them."""
    present = jnp.broadcast_to(mask[..., None, :], logits.shape)
    shares = jnp.exp(-numerics.softmax(logits, present).surprisal())
    return jnp.where(present & taken[..., :, None], shares, 0)


def neural_sort(
    scores: ArrayLike, *, temperature: ArrayLike = 1.0, where: ArrayLike | None = None
) -> Array:
    """Soft permutation by NeuralSort, row `k` is `softmax(((n + 1 - 2k) s - a) / temperature)`.

    Here `a_j = sum_i |s_j - s_i|`. The rows are unimodal, and their largest entries are the true
    order at any temperature. Kinks where scores tie, where `|s_j - s_i|` has gradient 0.

    Args:
      scores: `[..., n]`, finite.
      temperature: > 0, in units of the scores; number or `[...]`.
      where: True for what counts, `[..., n]` or `[...]`.

    Returns:
      `[..., n, n]`, rows that sum to 1.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.neural_sort(jnp.array([1.0, 9.0, 4.0]), temperature=0.1))
      [[0. 1. 0.]
       [0. 0. 1.]
       [1. 0. 0.]]

    Reference: Grover et al., Stochastic Optimization of Sorting Networks via Continuous Relaxations
    (2019), theorem 4.
    """
    scores, mask, taken = _prepare("neural_sort", scores, where)
    temperature = arguments.per_event("neural_sort", "temperature", temperature, scores, above=0.0)
    return _row_softmax(sort_logits(scores, mask, temperature), mask, taken)


def sort_logits(scores: Array, mask: Array, temperature: Array) -> Array:
    """Return the logits of NeuralSort, `[..., n, n]`, 0 for items that are masked."""
    # Relative to the highest, which changes nothing but the rounding.
    top = lax.stop_gradient(jnp.max(jnp.where(mask, scores, -jnp.inf), axis=-1, keepdims=True))
    scores = jnp.where(mask, scores - jnp.where(jnp.isfinite(top), top, 0), 0) / temperature
    gaps = numerics.absolute(lists.differences(scores, lists.together(mask)))
    count = jnp.sum(mask, axis=-1, keepdims=True, dtype=scores.dtype)
    slopes = count + 1 - 2 * places(scores)
    return slopes[..., :, None] * scores[..., None, :] - jnp.sum(gaps, axis=-1)[..., None, :]


def soft_sort(
    scores: ArrayLike, *, temperature: ArrayLike = 1.0, where: ArrayLike | None = None
) -> Array:
    """Soft permutation by SoftSort, row `k` is `softmax(-|sorted(s)_k - s_j| / temperature)`.

    Simpler than `neural_sort`, with like properties. Kinks where scores tie: `|sorted(s)_k - s_j|`
    has gradient 0 there.

    Args:
      scores: `[..., n]`, finite.
      temperature: > 0, in units of the scores; number or `[...]`.
      where: True for what counts, `[..., n]` or `[...]`.

    Returns:
      `[..., n, n]`, rows that sum to 1.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> shares = jl.soft_sort(jnp.array([0.0, 1.0]), temperature=1 / jnp.log(3.0))
      >>> print(shares.round(4))
      [[0.25 0.75]
       [0.75 0.25]]

    Reference: Prillo and Eisenschlos, SoftSort: A Continuous Relaxation for the argsort Operator
    (2020), SoftSort with the absolute difference.
    """
    scores, mask, taken = _prepare("soft_sort", scores, where)
    temperature = arguments.per_event("soft_sort", "temperature", temperature, scores, above=0.0)
    ordered = numerics.take(scores, standing(scores, mask))
    gaps = numerics.absolute(ordered[..., :, None] - scores[..., None, :])
    return _row_softmax(-gaps / temperature[..., None], mask, taken)


def standing(scores: Array, mask: Array) -> Array:
    """Return which item stands at each place, highest first and those that are masked last."""
    return numerics.argsort(jnp.where(mask, -scores, jnp.nan))


def soft_rank(
    scores: ArrayLike, *, regularization: ArrayLike = 1.0, where: ArrayLike | None = None
) -> Array:
    """Soft ranks, the point of the permutahedron nearest to `-scores / regularization`.

    The permutahedron is the hull of all orders of `(1, ..., m)`, so that the ranks sum to
    `m (m + 1) / 2`. Exact ranks (1 for the highest score) where neighbours are at least
    `regularization` apart; all `(m + 1) / 2` as it grows. Piecewise linear in the scores: an item
    that stands in a block of items moves against that block's mean, one that stands alone has
    gradient 0.

    Args:
      scores: `[..., n]`, finite.
      regularization: > 0, weight of the quadratic term, in units of the scores; number or `[...]`.
      where: True for what counts, `[..., n]` or `[...]`.

    Returns:
      `[..., n]`, between 1 and the number of items; 0 where masked.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.soft_rank(jnp.array([3.0, 9.0, 2.5])))  # 9 alone; 3 and 2.5 share 2 and 3
      [2.25 1.   2.75]

    Reference: Blondel et al., Fast Differentiable Sorting and Ranking (2020), with the
    quadratic regularization.
    """
    scores, mask, taken = _prepare("soft_rank", scores, where)
    strength = arguments.per_event("soft_rank", "regularization", regularization, scores, above=0.0)
    order = standing(scores, mask)
    target = jnp.where(taken, -numerics.take(scores, order) / strength, 0)  # ascending, as places
    block = isotonic.blocks(lax.stop_gradient(target - target[..., :1]) - places(scores), taken)
    size = lists.sums_within(jnp.ones_like(target), block)
    # Within its block: the mean place, and the distance from the mean target.
    above = target - jnp.take_along_axis(target, block, axis=-1)
    distance = above - lists.sums_within(above, block) / size
    return numerics.put(jnp.where(taken, block + (size + 1) / 2 + distance, 0), order)
