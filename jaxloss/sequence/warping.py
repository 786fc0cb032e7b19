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
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxloss import arguments, numerics
from jaxloss.divergence import samples
from jaxloss.sequence.alignment import diagonals, shifted

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


def _soft_dtw(x: samples.Sample, y: samples.Sample, gamma: Array) -> Array:
    """Return the smoothed cost, by anti-diagonals; garbage where a series is empty."""
    costs = diagonals(samples.squared_distances(x.points, y.points), jnp.inf)
    steps = [jnp.sum(s.present, axis=-1, dtype=jnp.int32) for s in (x, y)]
    last = (
        lax.broadcasted_iota(jnp.int32, costs.shape[1:], costs.ndim - 2) == steps[1][..., None] - 1
    )
    end = steps[0] + steps[1] - 2

    def step(carry: Any, diagonal: Any) -> Any:
        index, cost = diagonal
        before, previous, found = carry
        least = _soft_min(
            gamma[..., None], previous, shifted(previous, jnp.inf), shifted(before, jnp.inf)
        )
        new = cost + least
        found = jnp.where(index == end, jnp.sum(jnp.where(last, new, 0), axis=-1), found)
        return (previous, new, found), None

    # Where both series have one step, the first diagonal is the last.
    found = jnp.sum(jnp.where(last, costs[0], 0), axis=-1)
    # Made of the data, so that it is split over devices as they are.
    nowhere = jnp.where(costs[0] > 0, jnp.inf, jnp.inf).astype(costs.dtype)
    order = jnp.arange(1, len(costs), dtype=jnp.int32)
    # Backwards each step is taken again: less memory than what it leaves.
    step = jax.checkpoint(step, prevent_cse=False)
    return lax.scan(step, (nowhere, costs[0], found), (order, costs[1:]))[0][2]


def _soft_min(gamma: Array, *costs: Array) -> Array:
    """Return `-gamma log(sum exp(-cost / gamma))`; infinite costs do not count."""
    least = lax.stop_gradient(functools.reduce(jnp.minimum, costs))
    nowhere = least == jnp.inf
    least = jnp.where(nowhere, 0, least)

    def share(cost: Array) -> Array:
        none = cost == jnp.inf
        return jnp.where(none, 0, jnp.exp((least - jnp.where(none, 0, cost)) / gamma))

    total = functools.reduce(jnp.add, map(share, costs))
    return jnp.where(nowhere, jnp.inf, least - gamma * jnp.log(jnp.where(nowhere, 1, total)))
