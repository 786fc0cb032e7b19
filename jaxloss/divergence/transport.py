"""Optimal transport on the line: exact, by sorting.

Samples, masks and weights follow the conventions of `jaxloss.divergence.samples`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from jaxloss import arguments, numerics
from jaxloss.divergence import samples
from jaxloss.divergence.samples import Options, Sample

Array = jax.Array


def wasserstein_1d(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    p: ArrayLike = 1.0,
    root: bool = False,
    where: ArrayLike | None = None,
    where_targets: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    weights_targets: ArrayLike | None = None,
) -> Array:
    """Wasserstein distance of two samples of numbers, `integral |F^-1(u) - G^-1(u)|^p du`.

    `F^-1` and `G^-1` are the quantile functions: the least cost at which the mass of one sample is
    carried to the other, where a unit of mass carried over a distance `t` costs `t^p`. This is
    the p-th power of the distance, smooth at a perfect fit for `p > 1`; `root=True` gives the
    distance itself, in the units of the numbers. Exact for samples of different sizes and masses.

    The gradient is alive however far apart the samples are: at `p = 1` every member is pulled with
    its whole share. Kinks: where a member has arrived (`p = 1`) its gradient is 0; among equal
    members those that stand first are taken as the smaller ones, so that they part; the root of a
    loss of 0 has gradient 0.

    Args:
      predictions: `[..., n]`, real.
      targets: `[..., m]`, real.
      p: the power of the cost, >= 1; one for all, or `[...]`.
      root: whether to take the p-th root; static.
      where: which predictions count, `[..., n]`, or which pairs of samples, `[...]`.
      where_targets: which targets count, `[..., m]` or `[...]`.
      weights: the predictions' masses, >= 0; None for equal ones.
      weights_targets: the targets' masses, >= 0; None for equal ones.

    Returns:
      `[...]`, non-negative, 0 for equal samples.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.wasserstein_1d(jnp.array([0.0, 4.0]), jnp.array([5.0, 1.0])))
      1.0
      >>> print(jl.wasserstein_1d(jnp.array([0.0, 4.0]), jnp.array([1.0]), p=2.0))
      5.0

    Reference: Peyre and Cuturi, Computational Optimal Transport (2019), remark 2.30.
    """
    options = Options(where, where_targets, weights, weights_targets)
    x, y, mask = samples.pair(
        "wasserstein_1d", options, 1, predictions=predictions, targets=targets
    )
    p = arguments.hyper("wasserstein_1d", "p", p, x.points[..., 0], at_least=1.0)
    mass, gap = _match(x, y, plain=options.plain)
    return arguments.masked(_cost(mass, gap, p[..., None], root), mask)


def _match(x: Sample, y: Sample, plain: bool) -> tuple[Array, Array]:
    """Match two samples in ascending order: pieces of mass `[..., k]`, and how far each goes."""
    if plain and x.points.shape == y.points.shape:
        return x.share, numerics.sort(x.points) - numerics.sort(y.points)
    (a, x_points), (b, y_points) = _quantiles(x), _quantiles(y)
    # Both quantile functions are constant between neighbours among all their ends.
    ends = jnp.concatenate([a, b], axis=-1)
    order = numerics.argsort(ends)
    ends = numerics.take(ends, order)
    mass = ends - jnp.concatenate([jnp.zeros_like(ends[..., :1]), ends[..., :-1]], axis=-1)
    from_x = order < a.shape[-1]
    return mass, _current(x_points, from_x) - _current(y_points, ~from_x)


def _quantiles(sample: Sample) -> tuple[Array, Array]:
    """Return the shares up to and with each member in ascending order, and the members."""
    order = numerics.argsort(jnp.where(sample.present, sample.points, jnp.inf))
    share, points = (numerics.take(s, order) for s in (sample.share, sample.points))
    total = jnp.cumsum(share, axis=-1)
    # The last end is exactly 1, in both samples.
    return total / total[..., -1:], points


def _current(points: Array, own: Array) -> Array:
    """Return the member whose turn it is at each of the merged ends, of which some are its own."""
    own = own.astype(jnp.int32)
    index = jnp.cumsum(own, axis=-1, dtype=jnp.int32) - own
    return jnp.take_along_axis(points, jnp.minimum(index, points.shape[-1] - 1), axis=-1)


def _cost(mass: Array, gap: Array, p: Array, root: bool) -> Array:
    """Return the mean of `|gap|^p`, or its root, over the last axis."""
    if not root:
        return jnp.sum(numerics.weighted(mass, _power(gap, p)), axis=-1)
    widest = jnp.max(jnp.where(mass == 0, 0, jnp.abs(gap)), axis=-1)
    # In units in which no power over- or underflows where the root does not.
    unit = samples.power_of_two(widest)
    total = jnp.sum(numerics.weighted(mass, _power(gap / unit[..., None], p)), axis=-1)
    zero = total == 0
    return jnp.where(zero, 0, unit * jnp.where(zero, 1, total) ** (1 / p[..., 0]))


def _power(gap: Array, p: Array) -> Array:
    """Return `|gap|^p`; those derivatives that do not exist at 0 are 0 there."""
    _, size = numerics.fold(gap)
    still = (gap == 0) & (p < 2)
    return jnp.where(still, 0, jnp.where(still, 1, size) ** p)


def sliced_wasserstein(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    projections: ArrayLike,
    p: ArrayLike = 2.0,
    root: bool = False,
    where: ArrayLike | None = None,
    where_targets: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    weights_targets: ArrayLike | None = None,
) -> Array:
    """Mean Wasserstein distance of the shadows of two samples, `mean_k W_p^p(x @ v_k, y @ v_k)`.

    Each direction `v_k` gives a problem on the line, which `wasserstein_1d` solves exactly; so the
    cost is that of sorting, in any dimension. It is a distance when averaged over all directions;
    new random ones for each step (`random_projections`) give an unbiased gradient of that, fixed
    ones a fixed loss. Never above the Wasserstein distance of the vectors, for unit directions.

    Args:
      predictions: `[..., n, d]`, real.
      targets: `[..., m, d]`, real.
      projections: `[k, d]`, the directions; not normalised here.
      p: the power of the cost, >= 1; one for all, or `[...]`.
      root: whether to take the p-th root of the mean; static.
      where: which predictions count, `[..., n]`, or which pairs of samples, `[...]`.
      where_targets: which targets count, `[..., m]` or `[...]`.
      weights: the predictions' masses, >= 0; None for equal ones.
      weights_targets: the targets' masses, >= 0; None for equal ones.

    Returns:
      `[...]`, non-negative, 0 for equal samples.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> x, y = jnp.array([[0.0, 0.0], [1.0, 0.0]]), jnp.array([[3.0, 4.0], [2.0, 4.0]])
      >>> print(jl.sliced_wasserstein(x, y, projections=jnp.eye(2)))
      10.0

    Reference: Bonneel et al., Sliced and Radon Wasserstein Barycenters (2015), eq. 8.
    """
    options = Options(where, where_targets, weights, weights_targets)
    x, y, mask = samples.pair(
        "sliced_wasserstein", options, 2, predictions=predictions, targets=targets
    )
    p = arguments.hyper("sliced_wasserstein", "p", p, x.share[..., 0], at_least=1.0)
    directions = _directions(projections, x.points)
    shadows = (_shadow(x, directions), _shadow(y, directions))
    mass, gap = _match(*shadows, plain=options.plain)
    flat = (*gap.shape[:-2], gap.shape[-2] * gap.shape[-1])
    mass = (mass / len(directions)).reshape(flat)
    return arguments.masked(_cost(mass, gap.reshape(flat), p[..., None], root), mask)


def _directions(value: ArrayLike, points: Array) -> Array:
    array = arguments.real("sliced_wasserstein", "projections", value).astype(points.dtype)
    if array.ndim != 2 or not len(array) or array.shape[1] != points.shape[-1]:
        expected = f"of shape [k, {points.shape[-1]}], one direction for each row"
        raise arguments.reject("sliced_wasserstein", "projections", expected, array.shape)
    return array


def _shadow(sample: Sample, directions: Array) -> Sample:
    """Return the sample on each of the lines, `[..., k, n]`."""
    line = jnp.einsum("...nd,kd->...kn", sample.points, directions, precision=lax.Precision.HIGHEST)
    share, present = (jnp.broadcast_to(s[..., None, :], line.shape) for s in sample[1:])
    return Sample(line, share, present)


def random_projections(
    key: Array, count: int, size: int, dtype: str | np.dtype | type = "float32"
) -> Array:
    """Directions for `sliced_wasserstein`, uniformly distributed on the sphere.

    Args:
      key: of `jax.random`.
      count: how many, `k`.
      size: the number `d` of entries of the vectors to be projected.
      dtype: of the result.

    Returns:
      `[k, d]`, unit vectors.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> import jaxloss as jl
      >>> directions = jl.random_projections(jax.random.key(0), 50, 3)
      >>> print(jnp.round(jnp.sum(directions**2, axis=-1)[:4], 5))
      [1. 1. 1. 1.]
    """
    normal = jax.random.normal(key, (count, size), dtype)
    return numerics.divide(normal, numerics.norm(normal)[..., None])


def kantorovich_rubinstein(
    scores: ArrayLike,
    target_scores: ArrayLike,
    *,
    where: ArrayLike | None = None,
    where_targets: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    weights_targets: ArrayLike | None = None,
) -> Array:
    """What a critic sees of the Wasserstein distance, `mean(target_scores) - mean(scores)`.

    The scores are a critic's values on a sample of the model and on one of the data. For a critic
    that is 1-Lipschitz this never exceeds the Wasserstein-1 distance of the samples, and for the
    best such critic it equals it. So the critic ascends it (under a constraint or a penalty that
    keeps it Lipschitz) and the model descends it. It may be negative, for a poor critic.

    Args:
      scores: `[..., n]`, the critic's values on the model's sample.
      target_scores: `[..., m]`, the critic's values on the data.
      where: which scores count, `[..., n]`, or which pairs of samples, `[...]`.
      where_targets: which target scores count, `[..., m]` or `[...]`.
      weights: the masses of the model's sample, >= 0; None for equal ones.
      weights_targets: the masses of the data, >= 0; None for equal ones.

    Returns:
      `[...]`, of either sign.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.kantorovich_rubinstein(jnp.array([0.0, 1.0]), jnp.array([2.0, 3.0, 4.0])))
      2.5

    Reference: Villani, Optimal Transport, Old and New (2009), eq. 5.11; Arjovsky et al.,
    Wasserstein GAN (2017), eq. 2.
    """
    options = Options(where, where_targets, weights, weights_targets)
    x, y, mask = samples.pair(
        "kantorovich_rubinstein", options, 1, scores=scores, target_scores=target_scores
    )
    model, data = (jnp.sum(s.share * s.points, axis=-1) for s in (x, y))
    return arguments.masked(data - model, mask)
