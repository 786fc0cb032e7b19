"""Distances to a boundary, and the loss made of them.

`distance_transform` and `signed_distance_map` are exact, compiled and batched: no host callback.
They are piecewise constant, so no gradient flows through them.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxloss import arguments, numerics
from jaxloss.segmentation import images

Array = jax.Array


def boundary_loss(
    logits: ArrayLike,
    distance_map: ArrayLike,
    *,
    ignore_background: bool = False,
    axis: arguments.Axis = None,
    where: ArrayLike | None = None,
) -> Array:
    """Mean of predicted probability times signed distance from the true boundary, `mean(p d)`.

    An integral over regions in place of one over contours: a false positive costs its distance
    from the object, a pixel missed inside its depth. Linear in the probabilities; least, and
    negative, where `p` is 1 inside and 0 outside. On its own it is easily content with an empty
    prediction: add it to a loss of overlap, with a weight that grows
    (`jaxloss.weighting.crossfade`).

    Args:
      logits: `[batch, ..., classes]`; sigmoid of a single class, softmax of several.
      distance_map: the same shape, the signed distance of every pixel from each class's boundary,
        negative inside: `signed_distance_map(labels)`, computed once for each image.
      ignore_background: leaves out class 0, where there are several.
      axis: the spatial axes; None for all but the first and the last.
      where: True for what counts: pixels `[batch, ...]` or examples `[batch]`.

    Returns:
      `[batch]`, the mean over pixels and classes; negative where the object is found.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> logits, distance = jnp.zeros((1, 3, 1)), jnp.array([[[-1.0], [1.0], [3.0]]])
      >>> print(jl.boundary_loss(logits, distance))
      [0.5]

    Reference: Kervadec et al., Boundary Loss for Highly Unbalanced Segmentation (2019), eq. 5.
    """
    function = "boundary_loss"
    (logits, distance), mask = images.prepare(
        function, axis, where, logits=logits, distance_map=distance_map
    )
    pixels = jnp.sum(mask, axis=-2, dtype=logits.dtype)
    # Divided first: the sum of large distances may not fit where their mean does.
    shares = numerics.divide(jnp.asarray(1, logits.dtype), pixels)[..., None, :]
    product = jnp.where(mask, images.chance(logits).yes * shares * distance, 0)
    losses = jnp.sum(product, axis=-2)
    return images.over_classes(function, losses, mask, None, ignore_background)


def signed_distance_map(
    labels: ArrayLike, *, axis: arguments.Axis = None, spacing: Sequence[float] | None = None
) -> Array:
    """Signed distance of every pixel from the boundary of the foreground, negative inside.

    Outside, the distance to the nearest pixel of the foreground; inside, minus the distance to the
    nearest pixel of the background, plus one (the smallest spacing), so that the outermost pixels
    of the object have 0 and those next to them outside 1. Where there is no boundary, because all
    or nothing is foreground, it is 0.

    Args:
      labels: `[batch, ..., classes]`, foreground of each class where > 0.5.
      axis: the spatial axes; None for all but the first and the last.
      spacing: the size of a pixel along each spatial axis; None for 1.

    Returns:
      The shape of the labels; float32, or the dtype of labels in float64.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.signed_distance_map(jnp.array([[0, 0, 1, 1, 1, 0]])[..., None])[..., 0])
      [[ 2.  1.  0. -1.  0.  1.]]

    Reference: Kervadec et al., Boundary Loss for Highly Unbalanced Segmentation (2019), section 2.
    """
    function = "signed_distance_map"
    labels = arguments.real(function, "labels", labels)
    axes = images.spatial(function, axis, labels.ndim, classes=True)
    sizes = _spacing(function, spacing, axes)
    dtype = arguments.working_dtype(labels)
    inside = labels > 0.5
    outer = _distance(~inside, axes, sizes, dtype)
    inner = _distance(inside, axes, sizes, dtype)
    edge = jnp.any(inside, axis=axes, keepdims=True) & ~jnp.all(inside, axis=axes, keepdims=True)
    signed = jnp.where(inside, min(sizes, default=1.0) - inner, outer)
    return jnp.where(edge, signed, 0)


def distance_transform(
    mask: ArrayLike, *, axis: arguments.Axis = None, spacing: Sequence[float] | None = None
) -> Array:
    """Euclidean distance of every pixel that is True from the nearest one that is False.

    Exact (to the rounding of one root), by squared distances along one axis after the other:
    along an axis of `n` pixels it takes `n` operations a pixel.

    Args:
      mask: `[batch, ...]`, boolean or integer (0 for False).
      axis: the spatial axes; None for all but the first.
      spacing: the size of a pixel along each spatial axis; None for 1.

    Returns:
      The shape of the mask, float32; 0 where False, infinite in images without a False pixel.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.distance_transform(jnp.array([[0, 1, 1, 1, 1, 0, 1]])))
      [[0. 1. 2. 2. 1. 0. 1.]]

    Reference: Felzenszwalb and Huttenlocher, Distance Transforms of Sampled Functions (2012), eq. 1
    and section 3.
    """
    function = "distance_transform"
    array = arguments.real(function, "mask", mask)
    if not arguments.is_discrete(array):
        raise TypeError(f"{function}: mask must be boolean or integer, got {array.dtype}.")
    axes = images.spatial(function, axis, array.ndim, classes=False)
    return _distance(array != 0, axes, _spacing(function, spacing, axes), jnp.dtype("float32"))


def _spacing(
    function: str, spacing: Sequence[float] | None, axes: tuple[int, ...]
) -> tuple[float, ...]:
    sizes = (1.0,) * len(axes) if spacing is None else tuple(float(s) for s in spacing)
    if len(sizes) != len(axes) or not all(0 < s < np.inf for s in sizes):
        expected = f"{len(axes)} positive numbers, one for each spatial axis"
        raise arguments.reject(function, "spacing", expected, spacing)
    return sizes


def _distance(
    mask: Array, axes: tuple[int, ...], sizes: tuple[float, ...], dtype: np.dtype
) -> Array:
    squares = jnp.where(mask, jnp.asarray(jnp.inf, dtype), 0)
    squares = functools.reduce(_along, zip(axes, sizes, strict=True), squares)
    return jnp.sqrt(squares)


def _along(squares: Array, step: tuple[int, float]) -> Array:
    """Return the least of `squares` at another pixel of the axis plus the squared way there."""
    axis, size = step
    length = squares.shape[axis]
    place = np.arange(length) * size
    way = jnp.asarray((place[:, None] - place[None, :]) ** 2, squares.dtype)
    lines = jnp.moveaxis(squares, axis, -1)[..., None, :]
    # The sum is fused into the minimum: no array of pixels times length is ever stored.
    least = jnp.min(lines + arguments.expand_left(way, lines.ndim), axis=-1, initial=jnp.inf)
    return jnp.moveaxis(least, -1, axis)
