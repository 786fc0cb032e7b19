"""Learning without labels from the statistics of a set: components that vary and do not repeat.

Conventions shared by both functions:

* `first` and `second` are `[..., n, d]`: the same members in two views. The loss is `[...]`, one
  number for each set: variances and correlations belong to no single member. Leading axes are sets
  that do not see each other.
* `where`: True for what counts, `[..., n]` (members) or `[...]` (sets).
* `axis_name` names mapped axes over which the members of a set are split: means, variances and
  correlations are then those of the whole set, on every device. As with `jaxloss.mean`, a gradient
  taken inside `shard_map` is complete; under `pmap` and `vmap(axis_name=...)` every device's copy
  of the loss adds to it, and it wants dividing by their number.
* A component that is equal for all members has variance 0 exactly, and zero gradient.
* `TypeError` for a wrong kind of number, `ValueError` for a wrong shape or hyper-parameter.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxloss import arguments, numerics, reduction
from jaxloss.contrastive import similarity

Array = jax.Array


class _Views(NamedTuple):
    """Two views of a set, each with the mean of its members subtracted.

    Attributes:
      difference: `[..., n, d]`, the first minus the second, 0 where masked.
      centered: the views `[..., n, d]`, 0 where masked; a constant component is exactly 0.
      members: `[...]`, how many members count.
    """

    difference: Array
    centered: tuple[Array, Array]
    members: Array


def _views(
    function: str, where: Any, axis_name: reduction.AxisName, first: Any, second: Any
) -> _Views:
    (first, second), _, mask = arguments.members(function, where, first=first, second=second)
    count = reduction.sum_across(jnp.sum(mask.astype(first.dtype), axis=-1), axis_name)
    one, two = (_centered(x, mask, count, axis_name) for x in (first, second))
    return _Views(first - second, (one, two), count)


def _centered(x: Array, mask: Array, count: Array, axis_name: reduction.AxisName) -> Array:
    """Subtract the mean over the members, exactly where all are equal."""
    seen = mask[..., None]
    # Differences from a member first: the mean of equal numbers can differ from them by rounding.
    top = _largest(jnp.where(seen, x, -jnp.inf), axis_name)
    deviation = jnp.where(seen, x - jnp.where(jnp.isneginf(top), 0, top), 0)
    total = reduction.sum_across(jnp.sum(deviation, axis=-2), axis_name)
    mean = numerics.divide(total, jnp.broadcast_to(count[..., None], total.shape))
    return jnp.where(seen, deviation - mean[..., None, :], 0)


def _largest(x: Array, axis_name: reduction.AxisName) -> Array:
    """Return the largest of the members, `[..., 1, d]`, a constant to autodiff."""
    return reduction.largest_across(jnp.max(x, axis=-2, keepdims=True), axis_name)


def _products(a: Array, b: Array, axis_name: reduction.AxisName) -> Array:
    """Return the products of every component of one with every one of the other, `[..., d, d]`."""
    return reduction.sum_across(
        similarity.dots(jnp.swapaxes(a, -1, -2), jnp.swapaxes(b, -1, -2)), axis_name
    )


def _off_diagonal(square: Array) -> Array:
    """Return the sum of squares off the diagonal."""
    rows, columns = (lax.broadcasted_iota(jnp.int32, square.shape, square.ndim - k) for k in (2, 1))
    return jnp.sum(jnp.where(rows == columns, 0, square) ** 2, axis=(-2, -1))


def vicreg_loss(
    first: ArrayLike,
    second: ArrayLike,
    *,
    invariance_weight: ArrayLike = 25.0,
    variance_weight: ArrayLike = 25.0,
    covariance_weight: ArrayLike = 1.0,
    target_std: ArrayLike = 1.0,
    epsilon: ArrayLike = 1e-4,
    where: ArrayLike | None = None,
    axis_name: reduction.AxisName = None,
) -> Array:
    """Views agree, components vary, and do not repeat each other.

    The sum, with their weights, of

    * invariance: the mean of `(first - second)^2` over members and components,
    * variance: the mean of `max(0, target_std - sqrt(var + epsilon))` over components and views,
    * covariance: the sum of the squared covariances off the diagonal, over `d`, of both views.

    Needs neither negatives nor large batches. Kink where a standard deviation is `target_std`,
    where the gradient given is 0.

    Convention: the authors' code, to which the usual weights belong. The paper's equations sum the
    invariance over components and the variance over the views: multiply `invariance_weight` by `d`
    and `variance_weight` by 2 for these. Variances and covariances are unbiased (`n - 1`); a set of
    one member has none.

    Args:
      first: `[..., n, d]`, real.
      second: `[..., n, d]`, real, the same members in another view.
      invariance_weight: >= 0; number or `[...]`.
      variance_weight: >= 0; number or `[...]`.
      covariance_weight: >= 0; number or `[...]`.
      target_std: the standard deviation wanted, >= 0; number or `[...]`.
      epsilon: added to the variance, >= 0; number or `[...]`.
      where: True for what counts, `[..., n]` or `[...]`.
      axis_name: mapped axes over which the members are split.

    Returns:
      `[...]`, for each set, non-negative.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> view = jnp.array([[1.0, 1.0], [-1.0, -1.0]])  # covariance 2: 2 views * 2 * 2^2 / 2
      >>> print(jl.vicreg_loss(view, view))
      8.0

    Reference: Bardes, Ponce and LeCun, VICReg (2022), eq. 1 to 6, and algorithm 1.
    """
    function = "vicreg_loss"
    views = _views(function, where, axis_name, first, second)
    like = views.members
    weights = {
        name: arguments.hyper(function, name, value, like, at_least=0.0)
        for name, value in (
            ("invariance_weight", invariance_weight),
            ("variance_weight", variance_weight),
            ("covariance_weight", covariance_weight),
            ("target_std", target_std),
            ("epsilon", epsilon),
        )
    }
    squares = jnp.mean(views.difference**2, axis=-1)
    invariance = numerics.divide(
        reduction.sum_across(jnp.sum(squares, axis=-1), axis_name), views.members
    )
    spread = _spread(views, weights["target_std"], weights["epsilon"], axis_name)
    covariance = _covariance(views, axis_name)
    # A weight of 0 silences a term that overflows.
    terms = (("invariance", invariance), ("variance", spread), ("covariance", covariance))
    loss = [numerics.weighted(weights[f"{name}_weight"], term) for name, term in terms]
    return arguments.masked(loss[0] + loss[1] + loss[2], views.members > 0)


def _spread(
    views: _Views, target_std: Array, epsilon: Array, axis_name: reduction.AxisName
) -> Array:
    """Return what standard deviations fall short of, the mean over components and views."""
    missing = []
    for x in views.centered:
        squares = reduction.sum_across(jnp.sum(x**2, axis=-2), axis_name)
        variance = numerics.divide(squares, jnp.broadcast_to(_freedom(views), squares.shape))
        std = numerics.sqrt(variance + epsilon[..., None])
        missing.append(jnp.mean(numerics.positive_part(target_std[..., None] - std), axis=-1))
    return 0.5 * (missing[0] + missing[1])


def _freedom(views: _Views) -> Array:
    return (views.members - 1)[..., None]


def _covariance(views: _Views, axis_name: reduction.AxisName) -> Array:
    """Return the squared covariances off the diagonal, summed, for each component."""
    total = jnp.zeros_like(views.members)
    for x in views.centered:
        products = _products(x, x, axis_name)
        freedom = jnp.broadcast_to(_freedom(views)[..., None], products.shape)
        total = total + _off_diagonal(numerics.divide(products, freedom)) / x.shape[-1]
    return total


def barlow_twins_loss(
    first: ArrayLike,
    second: ArrayLike,
    *,
    off_diagonal_weight: ArrayLike = 5e-3,
    where: ArrayLike | None = None,
    axis_name: reduction.AxisName = None,
) -> Array:
    """Make the correlations between the components of two views the identity.

    `sum_i (1 - C_ii)^2 + off_diagonal_weight sum_{i != j} C_ij^2`, with `C_ij` the correlation over
    the set of component `i` of the first view with component `j` of the second. Needs no negatives;
    likes many components. Unchanged when a component of a view is shifted or scaled by a positive
    number.

    A component that is constant has correlation 0 with all, and zero gradient. The authors' code
    adds 1e-5 to the variances (its batch normalisation), which this does not.

    Args:
      first: `[..., n, d]`, real.
      second: `[..., n, d]`, real, the same members in another view.
      off_diagonal_weight: >= 0; number or `[...]`.
      where: True for what counts, `[..., n]` or `[...]`.
      axis_name: mapped axes over which the members are split.

    Returns:
      `[...]`, for each set, non-negative.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> view = jnp.array([[1.0, 2.0], [-1.0, -2.0]])  # all correlations are 1
      >>> print(f"{jl.barlow_twins_loss(view, view, off_diagonal_weight=0.5):.4f}")
      1.0000

    Reference: Zbontar et al., Barlow Twins (2021), eq. 1 and 2.
    """
    function = "barlow_twins_loss"
    views = _views(function, where, axis_name, first, second)
    weight = arguments.hyper(
        function, "off_diagonal_weight", off_diagonal_weight, views.members, at_least=0.0
    )
    (a, short_a), (b, short_b) = (_standardized(x, axis_name) for x in views.centered)
    # 1 - C_ii as half a squared chord, which keeps what subtracting from 1 would round away.
    chords = reduction.sum_across(jnp.sum((a - b) ** 2, axis=-2), axis_name)
    apart = 0.5 * (chords + short_a + short_b)
    correlated = _off_diagonal(_products(a, b, axis_name))
    loss = jnp.sum(apart**2, axis=-1) + weight * correlated
    return arguments.masked(loss, views.members > 0)


def _standardized(x: Array, axis_name: reduction.AxisName) -> tuple[Array, Array]:
    """Divide components by their norm over the set; return them, and 1 where that is 0."""
    # By the largest first, so that no square over- or underflows.
    largest = _largest(jnp.abs(x), axis_name)
    x = numerics.divide(x, jnp.broadcast_to(largest, x.shape))
    size = numerics.sqrt(reduction.sum_across(jnp.sum(x**2, axis=-2), axis_name))
    unit = numerics.divide(x, jnp.broadcast_to(size[..., None, :], x.shape))
    return unit, (size == 0).astype(x.dtype)
