"""Dynamic time warping, smoothed: distance of two series up to their tempo.

Conventions shared by both functions:

* `predictions` are `[..., n, d]` and `targets` `[..., m, d]`: series of vectors, `n` and `m` steps
  long. Leading axes are equal, and are pairs of series that do not see each other.
* `where` says which steps of the predictions count, `[..., n]`, or which pairs, `[...]`;
  `where_targets` the same for the targets, `[..., m]` or `[...]`. A step that does not count is
  left out, and its neighbours become neighbours. A pair of which one series is empty costs 0.
* The cost of matching two steps is their squared Euclidean distance, without a factor of 1/2.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxloss import arguments, numerics
from jaxloss.divergence import samples
from jaxloss.sequence.alignment import diagonals, moved_back, shifted

Array = jax.Array


def soft_dtw_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    gamma: ArrayLike = 1.0,
    where: ArrayLike | None = None,
    where_targets: ArrayLike | None = None,
) -> Array:
    """Smoothed minimum over all monotone matchings, `-gamma log(sum(exp(-cost / gamma)))`.

    A matching goes from the first pair of steps to the last, one step on in either series or in
    both; its cost is the sum of `|x[i] - y[j]|^2` on its way. As `gamma` shrinks, the least cost of
    all: dynamic time warping. As it grows, all matchings count alike. Smooth everywhere, but not
    convex. It is not a distance: negative where matchings are many and cheap, by as much as `gamma`
    times the log of their number, and equal series are not where it is least. `soft_dtw_divergence`
    mends that.

    Args:
      predictions: `[..., n, d]`, real.
      targets: `[..., m, d]`, real.
      gamma: > 0, smoothing, in units of the cost; a number or `[...]`.
      where: which steps of the predictions count, `[..., n]`, or which pairs, `[...]`.
      where_targets: which steps of the targets count, `[..., m]` or `[...]`.

    Returns:
      `[...]`, real.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> slow = jnp.array([[0.0], [0.0], [3.0], [3.0]])
      >>> print(jl.soft_dtw_loss(slow, jnp.array([[0.0], [3.0]]), gamma=1e-3))
      0.0

    Reference: Cuturi and Blondel, Soft-DTW: a Differentiable Loss Function for Time-Series (2017),
    eq. 2 and algorithm 1.
    """
    function = "soft_dtw_loss"
    x, y, mask = _series(function, where, where_targets, predictions, targets)
    gamma = arguments.hyper(function, "gamma", gamma, mask.astype(x.points.dtype), above=0.0)
    return arguments.masked(_soft_dtw(x, y, gamma), mask)


def soft_dtw_divergence(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    gamma: ArrayLike = 1.0,
    where: ArrayLike | None = None,
    where_targets: ArrayLike | None = None,
) -> Array:
    """`soft_dtw_loss` less its mean over both series with themselves: 0 for equal series.

    `L(x, y) - (L(x, x) + L(y, y)) / 2`. As `gamma` shrinks, dynamic time warping. Three times the
    work of `soft_dtw_loss`. A difference: of nearly equal series it keeps few digits, with an error
    of some roundings of `gamma` times the log of the number of matchings. That it is never negative
    has been seen, but is not proved for squared distances; a value below 0 by rounding is given as
    0, with the gradient that it has.

    Args:
      predictions: `[..., n, d]`, real.
      targets: `[..., m, d]`, real.
      gamma: > 0, smoothing, in units of the cost; a number or `[...]`.
      where: which steps of the predictions count, `[..., n]`, or which pairs, `[...]`.
      where_targets: which steps of the targets count, `[..., m]` or `[...]`.

    Returns:
      `[...]`, non-negative, 0 for equal series.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> x = jnp.array([[0.0], [1.0], [3.0]])
      >>> print(jl.soft_dtw_divergence(x, x), jl.soft_dtw_divergence(x[:1], x[2:]))
      0.0 9.0

    Reference: Blondel, Mensch and Vert, Differentiable Divergences Between Time Series (2021),
    eq. 9.
    """
    function = "soft_dtw_divergence"
    x, y, mask = _series(function, where, where_targets, predictions, targets)
    gamma = arguments.hyper(function, "gamma", gamma, mask.astype(x.points.dtype), above=0.0)
    own = _soft_dtw(x, x, gamma) + _soft_dtw(y, y, gamma)
    excess = _soft_dtw(x, y, gamma) - 0.5 * own
    return arguments.masked(numerics.valued(excess, jnp.maximum(excess, 0)), mask)


def _series(function: str, where: Any, where_targets: Any, predictions: Any, targets: Any) -> Any:
    """Prepare both series, what counts moved to the front, and the mask of pairs."""
    options = samples.Options(where, where_targets, None, None)
    x, y, mask = samples.pair(function, options, 2, predictions=predictions, targets=targets)
    return (
        (x if where is None else _closed_up(x)),
        (y if where_targets is None else _closed_up(y)),
        mask,
    )


def _closed_up(series: samples.Sample) -> samples.Sample:
    """Move the steps that count to the front, in their order."""
    order = jnp.argsort(~series.present, axis=-1, stable=True)
    points = jnp.take_along_axis(series.points, order[..., None], axis=-2)
    present = jnp.take_along_axis(series.present, order, axis=-1)
    return series._replace(points=points, present=present)


class _Goal(NamedTuple):
    """Where a matching ends: on which anti-diagonal `[...]`, and where on it `[..., m]`."""

    diagonal: Array
    there: Array


def _soft_dtw(x: samples.Sample, y: samples.Sample, gamma: Array) -> Array:
    """Return the smoothed cost, by anti-diagonals; garbage where a series is empty."""
    costs = diagonals(samples.squared_distances(x.points, y.points), jnp.inf)
    steps = [jnp.sum(s.present, axis=-1, dtype=jnp.int32) for s in (x, y)]
    place = lax.broadcasted_iota(jnp.int32, costs.shape[1:], costs.ndim - 2)
    goal = _Goal(steps[0] + steps[1] - 2, place == steps[1][..., None] - 1)
    return _smoothed(goal, gamma, costs)


@jax.custom_jvp
def _smoothed(goal: _Goal, gamma: Array, costs: Array) -> Array:
    return _forward(goal, gamma, costs)[0]


@_smoothed.defjvp
def _smoothed_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    # Autodiff takes every step again and goes back through its logarithm; the slopes are shares.
    value, by_gamma, by_cost = _value_and_slopes(*primals)
    _, gamma, costs = tangents
    return value, by_gamma * gamma + jnp.sum(by_cost * costs, axis=(0, -1))


@jax.custom_jvp
def _value_and_slopes(goal: _Goal, gamma: Array, costs: Array) -> tuple[Array, Array, Array]:
    """Return the smoothed cost, and its slopes in gamma and in the costs."""
    value, last, before = _forward(goal, gamma, costs)
    return value, *_back(goal, gamma, last, before)


@_value_and_slopes.defjvp
def _slopes_jvp(primals: Any, tangents: Any) -> Any:
    goal = primals[0]

    def again(gamma: Array, costs: Array) -> Any:
        value, pull = jax.vjp(lambda *a: _forward(goal, *a)[0], gamma, costs)
        return value, *pull(jnp.ones_like(value))

    return jax.jvp(again, primals[1:], tangents[1:])


def _forward(goal: _Goal, gamma: Array, costs: Array) -> tuple[Array, Array, Array]:
    """Return the smoothed cost, the least costs on the last diagonal but one, and two before each.

    What the recursion finds on an anti-diagonal is needed on the next two.
    """

    def step(carry: Any, diagonal: Any) -> Any:
        index, cost = diagonal
        before, previous, found = carry
        new = cost + _soft_min(gamma[..., None], *_ways(before, previous))
        here = jnp.sum(jnp.where(goal.there, new, 0), axis=-1)
        found = jnp.where(index == goal.diagonal, here, found)
        return (previous, new, found), before

    # Where both series have one step, the first diagonal is the last.
    found = jnp.sum(jnp.where(goal.there, costs[0], 0), axis=-1)
    # Made of the data, so that it is split over devices as they are.
    nowhere = jnp.where(costs[0] > 0, jnp.inf, jnp.inf).astype(costs.dtype)
    order = jnp.arange(1, len(costs), dtype=jnp.int32)
    # Backwards each step is taken again: less memory than what it leaves.
    step = jax.checkpoint(step, prevent_cse=False)
    (last, _, found), before = lax.scan(step, (nowhere, costs[0], found), (order, costs[1:]))
    return found, last, before


def _ways(before: Array, previous: Array) -> tuple[Array, Array, Array]:
    """Return what it costs to come by a step in one series, in the other, and in both."""
    return previous, shifted(previous, jnp.inf), shifted(before, jnp.inf)


def _back(goal: _Goal, gamma: Array, last: Array, before: Array) -> tuple[Array, Array]:
    """Return the slopes in gamma and in the costs.

    The slope in a cost is the share of the matchings that go through it. Each node hands its own on
    to those it was reached from. The slope in gamma is minus the entropy of all these choices.
    """
    seed = lambda index: jnp.where(goal.there & (index == goal.diagonal)[..., None], 1.0, 0.0)

    def step(carry: Any, diagonal: Any) -> Any:
        previous, share, next_share, by_gamma = carry
        index, before = diagonal
        share = share + seed(index).astype(share.dtype)
        parts, entropy = _choice(gamma[..., None], *_ways(before, previous))
        one, other, both = (share * part for part in parts)
        by_gamma = by_gamma - jnp.sum(share * entropy, axis=-1)
        return (before, next_share + one + moved_back(other), moved_back(both), by_gamma), share

    none = jnp.where(last > 0, 0, 0).astype(last.dtype)
    order = jnp.arange(1, len(before) + 1, dtype=jnp.int32)
    start = (last, none, none, none[..., 0])
    (_, share, _, by_gamma), shares = lax.scan(step, start, (order, before), reverse=True)
    return by_gamma, jnp.concatenate([(share + seed(0).astype(share.dtype))[None], shares])


def _choice(gamma: Array, *costs: Array) -> tuple[list[Array], Array]:
    """Return the share of each way in their smoothed minimum, and the entropy of the shares."""
    least = functools.reduce(jnp.minimum, costs)
    excess = [jnp.where(cost == jnp.inf, jnp.inf, cost - least) / gamma for cost in costs]
    parts = [jnp.exp(-x) for x in excess]
    total = functools.reduce(jnp.add, parts)
    total = jnp.where(total == 0, 1, total)
    parts = [part / total for part in parts]
    spread = [numerics.weighted(part, x) for part, x in zip(parts, excess, strict=True)]
    return parts, jnp.log(total) + functools.reduce(jnp.add, spread)


def _soft_min(gamma: Array, *costs: Array) -> Array:
    """Return `-gamma log(sum exp(-cost / gamma))`; infinite costs do not count."""
    least = lax.stop_gradient(functools.reduce(jnp.minimum, costs))
    nowhere = least == jnp.inf
    least = jnp.where(nowhere, 0, least)

    def share(cost: Array) -> Array:
        none = cost == jnp.inf
        return jnp.where(none, 0, jnp.exp((least - jnp.where(none, least, cost)) / gamma))

    total = functools.reduce(jnp.add, map(share, costs))
    return jnp.where(nowhere, jnp.inf, least - gamma * jnp.log(jnp.where(nowhere, 1, total)))
