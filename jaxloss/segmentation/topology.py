"""Losses that look at the shape of thin objects: vessels, roads, fibres."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxloss import arguments, numerics
from jaxloss.segmentation import images

Array = jax.Array


def cldice_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    iterations: int = 3,
    smooth: ArrayLike = 1.0,
    axis: arguments.Axis = None,
    where: ArrayLike | None = None,
) -> Array:
    """Centreline Dice loss: one minus the harmonic mean of two overlaps with soft skeletons.

    Of the predicted skeleton, the share `(sum(S(p) t) + smooth) / (sum(S(p)) + smooth)` that lies
    in the truth; of the true skeleton, the share that lies in the prediction. A gap in a thin
    vessel costs as much as one in a thick vessel, and width hardly counts: add it to a Dice loss.
    The skeletons are those of `soft_skeleton`, whose gradient at ties is described there.

    Args:
      predictions: `[batch, ...]`, probabilities in [0, 1].
      targets: the same shape, in [0, 1].
      iterations: how often the skeleton is thinned, >= 0: half the width of the widest object, in
        pixels; static.
      smooth: in pixels of skeleton, >= 0; number or `[batch]`.
      axis: the spatial axes; None for all but the first. Axes that remain are the examples', so
        for classes on the last axis give the spatial ones.
      where: True for what counts: pixels `[batch, ...]` or examples `[batch]`. What is masked is
        treated as what lies outside the image.

    Returns:
      `[batch]`, in [0, 1]; 0 at hard targets.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> t = jnp.array([[[0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]])
      >>> p = t.at[0, 1, 2].set(0.0)  # 2 of 3 pixels of the line: shares 1 and 2/3
      >>> print(jl.cldice_loss(p, t, smooth=0.0))
      [0.2]

    Reference: Shit et al., clDice (2021), eq. 1 and 2, algorithms 1 and 2.
    """
    function = "cldice_loss"
    predictions, targets, mask, axes = _images(function, predictions, targets, axis, where)
    _check_iterations(function, iterations)
    found, true = _skeletons(predictions, targets, mask, axes, iterations)
    total = functools.partial(jnp.sum, axis=axes)
    smooth = arguments.hyper(function, "smooth", smooth, total(found), at_least=0.0)
    wrong, right = _shares(total(found * (1 - targets)), total(found * targets), smooth)
    missed, hit = _shares(total(true * (1 - predictions)), total(true * predictions), smooth)
    # The harmonic mean's complement as one fraction of what is wrong: nothing cancels.
    nothing = right + hit == 0
    loss = numerics.divide(wrong * hit + missed * right, right + hit)
    return arguments.masked(jnp.where(nothing, 1, loss), jnp.any(mask, axis=axes))


def _images(
    function: str, predictions: Any, targets: Any, axis: arguments.Axis, where: Any
) -> tuple[Array, Array, Array, tuple[int, ...]]:
    """Return images and mask in their own shape, because neighbours count, and the axes."""
    arrays = [arguments.floating(function, "predictions", predictions)]
    arrays += [arguments.real(function, "targets", targets)]
    arguments.same_shape(function, predictions=arrays[0], targets=arrays[1])
    dtype = arguments.working_dtype(*arrays)
    axes = images.spatial(function, axis, arrays[0].ndim, classes=False)
    mask = arguments.event_mask(function, where, axes, arrays[0])
    first, second = (images.share(jnp.where(mask, a.astype(dtype), 0)) for a in arrays)
    return first, second, mask, axes


def _skeletons(
    first: Array, second: Array, mask: Array, axes: tuple[int, ...], iterations: int
) -> tuple[Array, Array]:
    """Return the skeletons of two images, by one program."""
    thin = functools.partial(_skeleton, mask=mask, axes=axes, iterations=iterations)
    both = jax.vmap(thin)(jnp.stack([first, second]))
    return both[0], both[1]


def _shares(wrong: Array, right: Array, smooth: Array) -> tuple[Array, Array]:
    """Return the wrong share and the right one; of nothing, nothing is wrong."""
    whole = wrong + right + smooth
    return numerics.divide(wrong, whole), jnp.where(
        whole == 0, 1, numerics.divide(right + smooth, whole)
    )


def soft_skeleton(
    predictions: ArrayLike,
    *,
    iterations: int = 3,
    axis: arguments.Axis = None,
    where: ArrayLike | None = None,
) -> Array:
    """Skeleton of an image of probabilities, by repeated thinning.

    What opening the image removes (erosion, then dilation) belongs to the skeleton; then the image
    is eroded and the same done again. Erosion is the minimum over the neighbours along each axis,
    dilation the maximum over the whole neighbourhood of 3 pixels along every axis. Where several
    neighbours tie, the gradient is shared between them; where opening removes nothing it is 0.

    Args:
      predictions: `[batch, ...]`, in [0, 1].
      iterations: how often to thin, >= 0; static.
      axis: the spatial axes; None for all but the first.
      where: True for what counts: pixels `[batch, ...]` or examples `[batch]`; the rest is
        treated as what lies outside the image.

    Returns:
      The shape of the predictions, in [0, 1]; 0 where masked.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.soft_skeleton(jnp.array([[0.0, 1.0, 1.0, 1.0, 0.0]])))
      [[0. 0. 1. 0. 0.]]

    Reference: Shit et al., clDice (2021), algorithm 1.
    """
    function = "soft_skeleton"
    image, _, mask, axes = _images(function, predictions, predictions, axis, where)
    _check_iterations(function, iterations)
    return _skeleton(image, mask, axes, iterations)


def _check_iterations(function: str, iterations: int) -> None:
    if isinstance(iterations, bool) or not isinstance(iterations, int) or iterations < 0:
        raise arguments.reject(function, "iterations", "an integer >= 0", repr(iterations))


def _skeleton(image: Array, mask: Array, axes: tuple[int, ...], iterations: int) -> Array:
    """Return the skeletons of images that are 0 where masked."""

    def thin(carry: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], None]:
        image, skeleton = carry
        eroded = _erode(image, mask, axes)
        ridge = numerics.positive_part(image - _dilate(eroded, mask, axes))
        # Joined like probabilities of independent events, which stay within [0, 1].
        return (eroded, skeleton + (1 - skeleton) * ridge), None

    # A difference, because under shard_map a constant would be of another type than the carry.
    start = (image, image - image)
    return lax.scan(thin, start, length=iterations + 1)[0][1]


def _erode(image: Array, mask: Array, axes: tuple[int, ...]) -> Array:
    bright = jnp.where(mask, image, jnp.inf)
    lowest = functools.reduce(jnp.minimum, (_least(bright, axis) for axis in axes), bright)
    return jnp.where(mask, lowest, 0)


def _dilate(image: Array, mask: Array, axes: tuple[int, ...]) -> Array:
    dark = jnp.where(mask, -image, jnp.inf)
    return jnp.where(mask, -functools.reduce(_least, axes, dark), 0)


def _least(image: Array, axis: int) -> Array:
    """Return the least of a pixel and its two neighbours along an axis; outside is infinite."""
    size = image.shape[axis]
    wide = [(int(i == axis), int(i == axis), 0) for i in range(image.ndim)]
    padded = lax.pad(image, jnp.asarray(jnp.inf, image.dtype), wide)
    left, right = (lax.slice_in_dim(padded, i, i + size, axis=axis) for i in (0, 2))
    return jnp.minimum(jnp.minimum(left, right), image)
