"""Two samples, ready to be compared: masks, weights, and the distances between their members.

Conventions shared by the losses that compare samples (`transport`, `sinkhorn`, `kernel`):

* `predictions` `[..., n]` (numbers) or `[..., n, d]` (vectors) and `targets` `[..., m]` or
  `[..., m, d]` are two samples; `n` and `m` may differ. Leading axes are equal and are pairs of
  samples that do not see each other; the loss is one number for each pair, `[...]`.
* `where` says which members of the predictions count, `[..., n]`, or which pairs, `[...]`;
  `where_targets` the same for the targets, `[..., m]` or `[...]`. What does not count influences
  nothing. A pair of which one sample is empty costs 0.
* `weights` and `weights_targets`, broadcastable to `[..., n]` and `[..., m]`, >= 0, are the
  members' masses; they are divided by their sum. None: equal masses.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxloss import arguments

Array = jax.Array

# Differences that are not worth taking apart.
_FEW = 2**12
# Components whose squares are summed before they are stored: as many as registers hold.
_BLOCK = 16
# Into how many parts the rows of many distances are taken apart.
_GROUPS = 8


class Sample(NamedTuple):
    """A weighted sample.

    Attributes:
      points: `[..., n]` or `[..., n, d]`, 0 where masked.
      share: `[..., n]`, masses that sum to 1, 0 where masked; equal ones in an empty sample.
      present: `[..., n]`, the mask.
    """

    points: Array
    share: Array
    present: Array


class Options(NamedTuple):
    """What a caller says of two samples besides the points."""

    where: Any
    where_targets: Any
    weights: Any
    weights_targets: Any

    @property
    def plain(self) -> bool:
        """Whether all members count, and all the same."""
        return all(option is None for option in self)


def pair(function: str, options: Options, axes: int, **data: Any) -> tuple[Sample, Sample, Array]:
    """Prepare two samples whose members have `axes - 1` axes.

    Returns:
      Both samples in the working dtype, and the mask `[...]` of pairs without an empty sample.
    """
    (first, x), (second, y) = data.items()
    x = arguments.floating(function, first, x)
    y = arguments.real(function, second, y)
    member = (1, x.ndim - axes)
    if x.ndim < axes:
        shape = ("[..., n]", "[..., n, d]")[axes - 1]
        raise arguments.reject(function, first, f"of shape {shape}", f"shape {x.shape}")
    if y.ndim != x.ndim or _without(y.shape, member[1]) != _without(x.shape, member[1]):
        expected = f"of the shape of {first} {x.shape} on all axes but {member[1]}"
        raise arguments.reject(function, second, expected, y.shape)
    dtype = arguments.working_dtype(x, y)
    one, any_one = _sample(function, x.astype(dtype), axes, options[0::2], ("where", "weights"))
    names = ("where_targets", "weights_targets")
    two, any_two = _sample(function, y.astype(dtype), axes, options[1::2], names)
    return one, two, any_one & any_two


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return shape[:axis] + shape[axis + 1 :]


def _sample(
    function: str, points: Array, axes: int, options: Any, names: tuple[str, str]
) -> tuple[Sample, Array]:
    """Return one sample, and the mask `[...]` of those that are not empty."""
    axis = points.ndim - axes
    shape = points.shape[: axis + 1]
    present = _mask(function, names[0], options[0], shape)
    like = jnp.ones(shape, points.dtype)
    weights = 1.0 if options[1] is None else options[1]
    mass = arguments.hyper(function, names[1], weights, like, at_least=0.0) * like
    mass = jnp.where(present, mass, 0)
    if not shape[-1]:
        # A sample without members becomes one with a member that does not count.
        points = jnp.zeros((*shape[:-1], 1, *points.shape[axis + 1 :]), points.dtype)
        present, mass = (jnp.zeros((*shape[:-1], 1), a.dtype) for a in (present, mass))
    some = jnp.any(mass != 0, axis=-1)
    mass = jnp.where(some[..., None], mass, 1)
    # Split over devices as the points are, which masks and weights need not know of.
    one = jnp.ones_like(points if axes == 1 else jnp.sum(points, axis=-1))
    share = one * mass / jnp.sum(mass, axis=-1, keepdims=True)
    some = some & (one[..., 0] > 0)
    points = jnp.where(arguments.expand_right(present, points.ndim), points, 0)
    return Sample(points, share, present), some


def _mask(function: str, name: str, value: Any, shape: tuple[int, ...]) -> Array:
    if value is None:
        return jnp.ones(shape, bool)
    mask = arguments.real(function, name, value)
    if not arguments.is_discrete(mask):
        raise TypeError(f"{function}: {name} must be boolean (True counts), got {mask.dtype}.")
    if mask.shape not in (shape, shape[:-1]):
        expected = f"of shape {shape} (members) or {shape[:-1]} (pairs of samples)"
        raise arguments.reject(function, name, expected, mask.shape)
    return jnp.broadcast_to(arguments.expand_right(mask.astype(bool), len(shape)), shape)


@jax.custom_jvp
def squared_distances(x: Array, y: Array) -> Array:
    """Return the squared distances `[..., n, m]` of vectors `[..., n, d]` and `[..., m, d]`."""
    # By differences, so that equal vectors are exactly 0 apart.
    if x.size * y.shape[-2] <= _FEW:
        return jnp.sum((x[..., :, None, :] - y[..., None, :, :]) ** 2, axis=-1)
    columns = _components(y)
    # A group of rows after the other: within a loop the sums are not taken apart by what uses them.
    count = x.shape[-2]
    padding = ((0, 0),) * (x.ndim - 2) + ((0, -count % _GROUPS), (0, 0))
    rows = jnp.pad(x, padding).reshape(*x.shape[:-2], _GROUPS, -1, x.shape[-1])
    squares = lax.map(lambda rows: _squares(_components(rows), columns), jnp.moveaxis(rows, -3, 0))
    squares = jnp.moveaxis(squares, 0, -3)
    return squares.reshape(*x.shape[:-2], -1, y.shape[-2])[..., :count, :]


def _components(x: Array) -> Array:
    """Return vectors `[..., n, d]` as blocks of components, `[d / block, block, ..., n]`."""
    block = x.shape[-1] if x.shape[-1] <= 2 * _BLOCK else _BLOCK
    x = jnp.pad(x, ((0, 0),) * (x.ndim - 1) + ((0, -x.shape[-1] % block),))
    return jnp.moveaxis(x, -1, 0).reshape(-1, block, *x.shape[:-1])


def _squares(x: Array, y: Array) -> Array:
    """Return the squared distances of vectors in blocks of components."""

    def block(x: Array, y: Array) -> Array:
        terms = ((a[..., :, None] - b[..., None, :]) ** 2 for a, b in zip(x, y, strict=True))
        return functools.reduce(jnp.add, terms)

    add = lambda total, parts: (total + block(*parts), None)
    return lax.scan(add, block(x[0], y[0]), (x[1:], y[1:]))[0]


@squared_distances.defjvp
def _squared_distances_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    # Autodiff of the differences keeps an array [..., n, m, d]; products of matrices do not. About
    # a common centre, where they round least.
    (x, y), (dx, dy) = primals, tangents
    centre = lax.stop_gradient(jnp.mean(y, axis=-2, keepdims=True))
    p, q = x - centre, y - centre
    own = jnp.sum(p * dx, axis=-1)[..., :, None] + jnp.sum(q * dy, axis=-1)[..., None, :]
    return squared_distances(x, y), 2 * (own - products(p, dy) - products(dx, q))


def products(x: Array, y: Array) -> Array:
    """Return the inner products `[..., n, m]` of vectors `[..., n, d]` and `[..., m, d]`."""
    return jnp.einsum("...nd,...md->...nm", x, y, precision=lax.Precision.HIGHEST)


def product(x: Array, y: Array) -> Array:
    """Return the product of matrices or vectors, without rounding the factors."""
    return jnp.matmul(x, y, precision=lax.Precision.HIGHEST)


def power_of_two(x: Array) -> Array:
    """Return the largest powers of two that do not exceed `|x|`, as constants; 1 for 0.

    To divide by one is exact. Formulas that are homogeneous do not depend on it, and so neither do
    their derivatives.
    """
    x = lax.stop_gradient(jnp.abs(x))
    _, exponent = jnp.frexp(x)
    # Kept where its reciprocal is a normal number, too.
    info = jnp.finfo(x.dtype)
    exponent = jnp.clip(exponent - 1, info.minexp + 2, info.maxexp - 3)
    usable = (x > 0) & jnp.isfinite(x)
    return jnp.where(usable, jnp.ldexp(jnp.ones_like(x), exponent), 1)
