"""Divergences of two samples that average over pairs of their members.

Samples, masks and weights follow the conventions of `jaxloss.divergence.samples`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxloss import arguments, numerics
from jaxloss.divergence import line, samples
from jaxloss.divergence.blocks import Blocks
from jaxloss.divergence.samples import Options, Sample

Array = jax.Array
Kernel = Callable[[Array, Array], Array]
KERNELS = ("gaussian", "laplace", "polynomial", "energy")


def maximum_mean_discrepancy(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    kernel: str | Kernel = "gaussian",
    bandwidth: ArrayLike = 1.0,
    degree: int = 3,
    unbiased: bool = False,
    where: ArrayLike | None = None,
    where_targets: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    weights_targets: ArrayLike | None = None,
) -> Array:
    """Squared distance of two samples' means in the space of a kernel.

    `mean k(x, x') - 2 mean k(x, y) + mean k(y, y')`, the square of the distance.

    Kernels, with `s` the bandwidth: `"gaussian"` `exp(-|x - y|^2 / (2 s^2))`, `"laplace"`
    `exp(-|x - y| / s)` (Euclidean norm), `"polynomial"` `(1 + <x, y> / s^2)^degree`, `"energy"`
    `-|x - y|` (which makes this `energy_distance`), or a function of yours. Several bandwidths
    give the mean of their kernels. The bandwidth should be about the distance within the data:
    Gaussian samples many bandwidths apart exert no pull, and as it grows only their means count.

    The plain estimate averages over all pairs, each member with itself included: it is
    non-negative, and 0 for equal samples to rounding. The unbiased one leaves those pairs out; it
    averages to the distance of the distributions, and so is negative about as often as not where
    they agree. It needs two members on each side; without them it is 0. Members that coincide
    exert no force on each other.

    Args:
      predictions: `[..., n, d]`, real.
      targets: `[..., m, d]`, real.
      kernel: one of the names above, or a function of `[..., n, d]` and `[..., m, d]` to
        `[..., n, m]`, finite at zero vectors (which stand for masked members); static.
      bandwidth: in the units of the vectors, > 0; a number or `[k]`.
      degree: of the polynomial; static.
      unbiased: whether to leave out the pairs of a member with itself; static.
      where: which predictions count, `[..., n]`, or which pairs of samples, `[...]`.
      where_targets: which targets count, `[..., m]` or `[...]`.
      weights: the predictions' masses, >= 0; None for equal ones.
      weights_targets: the targets' masses, >= 0; None for equal ones.

    Returns:
      `[...]`, non-negative unless `unbiased` (with a function of yours up to rounding, if it is
      positive definite).

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> x, y = jnp.array([[0.0], [0.0]]), jnp.array([[1.0], [1.0]])
      >>> print(jl.maximum_mean_discrepancy(x, y, kernel="energy"))
      2.0

    Reference: Gretton et al., A Kernel Two-Sample Test (2012), eq. 5 (plain) and 3 (unbiased).
    """
    function = "maximum_mean_discrepancy"
    options = Options(where, where_targets, weights, weights_targets)
    x, y, mask = samples.pair(function, options, 2, predictions=predictions, targets=targets)
    scale = _bandwidth(bandwidth, x.points)
    if callable(kernel):
        return _discrepancy(kernel, x, y, mask, unbiased, floor=False)
    if kernel not in KERNELS:
        expected = f"one of {', '.join(KERNELS)}, or a function"
        raise arguments.reject(function, "kernel", expected, repr(kernel))
    if isinstance(degree, bool) or not isinstance(degree, int) or degree < 1:
        raise arguments.reject(function, "degree", "an integer of at least 1", repr(degree))
    named: dict[str, Kernel] = {
        "gaussian": lambda x, y: _gaussian(x, y, scale),
        "laplace": lambda x, y: _laplace(x, y, scale),
        "polynomial": lambda x, y: _polynomial(x, y, scale, degree),
        "energy": _energy,
    }
    return _discrepancy(named[kernel], x, y, mask, unbiased, floor=not unbiased)


def _bandwidth(value: ArrayLike, points: Array) -> Array:
    """Return the bandwidths, `[k]`."""
    if np.ndim(value) > 1:
        expected = "a number or a vector of numbers"
        raise arguments.reject(
            "maximum_mean_discrepancy", "bandwidth", expected, f"shape {np.shape(value)}"
        )
    like = jnp.ones(np.shape(value), points.dtype)
    array = arguments.hyper("maximum_mean_discrepancy", "bandwidth", value, like, above=0.0)
    return array.reshape(-1)


def _gaussian(x: Array, y: Array, bandwidth: Array) -> Array:
    square = samples.squared_distances(x, y)
    # Less 1: the masses of a sample sum to 1, so a constant cancels, and better before rounding.
    return _mean_of(bandwidth, lambda s: jnp.expm1(-0.5 * (square / s) / s))


def _laplace(x: Array, y: Array, bandwidth: Array) -> Array:
    distance = _distances(x, y)
    return _mean_of(bandwidth, lambda s: jnp.expm1(-distance / s))


def _mean_of(bandwidth: Array, kernel: Callable[[Array], Array]) -> Array:
    return functools.reduce(jnp.add, map(kernel, bandwidth)) / len(bandwidth)


def _polynomial(x: Array, y: Array, bandwidth: Array, degree: int) -> Array:
    product = samples.products(x, y)

    def power(s: Array) -> Array:
        scaled = product / s / s
        power = scaled
        for _ in range(degree - 1):
            power = power * (1 + scaled) + scaled
        return power

    # Less 1, as above.
    return _mean_of(bandwidth, power)


def _energy(x: Array, y: Array) -> Array:
    return -_distances(x, y)


def _distances(x: Array, y: Array) -> Array:
    """Return the distances `[..., n, m]`, with zero gradient where members coincide."""
    largest = jnp.maximum(*(jnp.max(jnp.abs(a), axis=(-2, -1), initial=0) for a in (x, y)))
    unit = samples.power_of_two(largest)[..., None, None]
    # Differentiated by differences: the direction from one to the other must be exact however
    # near they are.
    gap = (x / unit)[..., :, None, :] - (y / unit)[..., None, :, :]
    return unit * numerics.sqrt(jnp.sum(gap**2, axis=-1))


def _discrepancy(
    kernel: Kernel, x: Sample, y: Sample, mask: Array, unbiased: bool, floor: bool
) -> Array:
    """Return `mean k(x, x') - 2 mean k(x, y) + mean k(y, y')`."""
    if kernel is _energy and x.points.shape[-1] == 1:
        loss = line.energy(x, y, unbiased)
    else:
        loss = _over_pairs(kernel, x, y, unbiased)
    if unbiased:
        mask = mask & _several(x) & _several(y)
    if floor:
        loss = lifted(loss)
    return arguments.masked(loss, mask)


def _over_pairs(kernel: Kernel, x: Sample, y: Sample, unbiased: bool) -> Array:
    sets = x.share.shape[:-1]
    rows, columns = (s.share.shape[-1] for s in (x, y))
    if Blocks.of(math.prod(sets), rows + columns, rows + columns).size < rows + columns:
        solve = functools.partial(_in_blocks, kernel, unbiased, math.prod(sets))
        for _ in sets:
            solve = jax.vmap(solve)
        return solve(x, y)
    across = kernel(x.points, y.points)
    # By what each member sees of both samples, so that near ones cancel before they are summed.
    back = jnp.swapaxes(across, -1, -2)
    seen_x = _seen(kernel, x, unbiased) - _mean(across, y.share)
    seen_y = _seen(kernel, y, unbiased) - _mean(back, x.share)
    return jnp.sum(x.share * seen_x, axis=-1) + jnp.sum(y.share * seen_y, axis=-1)


def _in_blocks(kernel: Kernel, unbiased: bool, sets: int, x: Sample, y: Sample) -> Array:
    """Return the same of points `[n, d]` and `[m, d]`, for a few rows of pairs at a time."""

    def seen(own: Sample, other: Sample) -> Array:
        count = len(own.share)
        others = 1 - jnp.sum(own.share**2) * unbiased

        def one(points: Array, at: Array) -> Array:
            within = kernel(points, own.points)
            if unbiased:
                within = jnp.where(at[:, None] == jnp.arange(count)[None], 0, within)
            across = samples.product(kernel(points, other.points), other.share)
            return numerics.divide(samples.product(within, own.share), others) - across

        blocks = Blocks.of(sets, count, count + len(other.share))
        return blocks.each(one, own.points, jnp.arange(count))

    return jnp.vdot(x.share, seen(x, y)) + jnp.vdot(y.share, seen(y, x))


def _mean(values: Array, share: Array) -> Array:
    return jnp.sum(values * share[..., None, :], axis=-1)


def _seen(kernel: Kernel, sample: Sample, unbiased: bool) -> Array:
    """Return the mean of the kernel over the members, or over the other members."""
    values = kernel(sample.points, sample.points)
    if not unbiased:
        return _mean(values, sample.share)
    row, column = (
        jax.lax.broadcasted_iota(jnp.int32, values.shape, values.ndim - k) for k in (2, 1)
    )
    values = jnp.where(row == column, 0, values)
    others = 1 - jnp.sum(sample.share**2, axis=-1, keepdims=True)
    return numerics.divide(_mean(values, sample.share), others)


def _several(sample: Sample) -> Array:
    """Tell which samples have two members of positive mass."""
    return jnp.sum(sample.share != 0, axis=-1, dtype=jnp.int32) > 1


def lifted(loss: Array) -> Array:
    """Return a loss that only rounding can make negative, at least 0, its gradient untouched."""
    return loss + jax.lax.stop_gradient(jnp.where(loss < 0, -loss, 0))


def energy_distance(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    unbiased: bool = False,
    where: ArrayLike | None = None,
    where_targets: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    weights_targets: ArrayLike | None = None,
) -> Array:
    """Energy distance, `2 mean |x - y| - mean |x - x'| - mean |y - y'|`.

    Twice the integral of `(F - G)^2` for numbers (`d = 1`), whose square root some call the
    distance; theirs costs `n log n`, that of vectors `n^2`. It needs no bandwidth and its gradient
    is alive for samples far apart, where it grows like their distance. It is
    `maximum_mean_discrepancy` with the kernel `-|x - y|`; for the unbiased estimate see there.
    Members that coincide exert no force on each other.

    Args:
      predictions: `[..., n, d]`, real.
      targets: `[..., m, d]`, real.
      unbiased: whether to leave out the pairs of a member with itself; static.
      where: which predictions count, `[..., n]`, or which pairs of samples, `[...]`.
      where_targets: which targets count, `[..., m]` or `[...]`.
      weights: the predictions' masses, >= 0; None for equal ones.
      weights_targets: the targets' masses, >= 0; None for equal ones.

    Returns:
      `[...]`, non-negative unless `unbiased`; 0 for equal samples, to rounding.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.energy_distance(jnp.array([[0.0], [2.0]]), jnp.array([[3.0]])))
      3.0

    Reference: Szekely and Rizzo, Energy Statistics (2013), eq. 5 and 6.
    """
    options: dict[str, Any] = {
        "where": where, "where_targets": where_targets,
        "weights": weights, "weights_targets": weights_targets,
    }  # fmt: skip
    x, y, mask = samples.pair(
        "energy_distance", Options(**options), 2, predictions=predictions, targets=targets
    )
    return _discrepancy(_energy, x, y, mask, unbiased, floor=not unbiased)
