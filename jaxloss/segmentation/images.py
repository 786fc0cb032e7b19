"""Images as arguments: what counts in them, what is predicted, where it overlaps with the truth.

Shared by the losses of this room; nothing here is public.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxloss import arguments, numerics

Array = jax.Array


def spatial(function: str, axis: arguments.Axis, ndim: int, classes: bool) -> tuple[int, ...]:
    """Return the spatial axes of images of `ndim` axes, the last of which may be the classes."""
    last = ndim - classes
    if axis is None:
        return tuple(range(1, last))
    axes = arguments.normal_axes(function, axis, ndim)
    if any(a >= last for a in axes):
        raise arguments.reject(function, "axis", "spatial axes; the last is the classes'", axis)
    return axes


def prepare(
    function: str, axis: arguments.Axis, where: Any, classes: bool = True, **data: Any
) -> tuple[list[Array], Array]:
    """Convert, check, mask and flatten images.

    Args:
      function: for messages.
      axis: spatial axes; None for all but the first axis and that of the classes.
      where: True for what counts: pixels (the shape of the images without classes) or examples.
      classes: whether the last axis holds classes.
      data: the images by name; the first must be floating, the others real and of its shape.

    Returns:
      The images `[..., pixels, classes]` (one class, where they have none) in the working dtype,
      0 where masked, and the mask `[..., pixels, 1]`.
    """
    names = list(data)
    arrays = [arguments.floating(function, names[0], data[names[0]])]
    arrays += [arguments.real(function, name, data[name]) for name in names[1:]]
    arguments.same_shape(function, **dict(zip(names, arrays, strict=True)))
    if classes and (arrays[0].ndim == 0 or arrays[0].shape[-1] == 0):
        expected = "of shape [..., classes] with at least one class"
        raise arguments.reject(function, names[0], expected, f"shape {arrays[0].shape}")
    dtype = arguments.working_dtype(*arrays)
    axes = spatial(function, axis, arrays[0].ndim, classes)
    pixels = arrays[0][..., 0] if classes else arrays[0]
    mask = arguments.last(arguments.event_mask(function, where, axes, pixels), axes)[..., None]
    flat = [_flatten(a.astype(dtype), axes, classes) for a in arrays]
    return [jnp.where(mask, a, 0) for a in flat], mask


def _flatten(array: Array, axes: tuple[int, ...], classes: bool) -> Array:
    """Move the spatial axes to the end but one, and make one of them."""
    array = array if classes else array[..., None]
    batch = tuple(i for i in range(array.ndim - 1) if i not in axes)
    shape = tuple(array.shape[i] for i in batch)
    array = array.transpose((*batch, *axes, array.ndim - 1))
    if array.size == 0:
        return jnp.zeros((*shape, 1, array.shape[-1]), array.dtype)
    return array.reshape((*shape, -1, array.shape[-1]))


def share(values: Array) -> Array:
    """Return what is in [0, 1], and NaN for what is not: never a plausible number."""
    # Multiplied rather than selected: the gradient must be NaN as well.
    return values * jnp.where((values >= 0) & (values <= 1), 1, jnp.nan).astype(values.dtype)


class Chance(NamedTuple):
    """Predicted probabilities and their complements, each to full relative accuracy.

    Attributes:
      yes: `[..., pixels, classes]`, the probability of the class.
      no: the probability of all others, which `1 - yes` would lose next to 1.
    """

    yes: Array
    no: Array


def chance(logits: Array) -> Chance:
    """Return the probabilities of logits: sigmoid of a single class, softmax of several."""
    if logits.shape[-1] == 1:
        positive, size = numerics.fold(logits)
        small = jnp.exp(-size)
        near, far = 1 / (1 + small), small / (1 + small)
        return Chance(jnp.where(positive, near, far), jnp.where(positive, far, near))
    surprisal = numerics.softmax(logits, jnp.ones(logits.shape, bool)).surprisal()
    return Chance(jnp.exp(-surprisal), -jnp.expm1(-surprisal))


def cross_entropy(logits: Array, labels: Array) -> Array:
    """Return the cross-entropy of every pixel, `[..., pixels]`; binary for a single class."""
    if logits.shape[-1] == 1:
        terms = numerics.weighted(labels, numerics.softplus(-logits))
        terms = terms + numerics.weighted(1 - labels, numerics.softplus(logits))
    else:
        surprisal = numerics.softmax(logits, jnp.ones(logits.shape, bool)).surprisal()
        terms = numerics.weighted(labels, surprisal)
    return jnp.sum(terms, axis=-1)


class Overlap(NamedTuple):
    """How many pixels, in parts of pixels, prediction and truth share. Each `[..., classes]`.

    Attributes:
      both: true positives.
      predicted: false positives, predicted only.
      true: false negatives, true only.
    """

    both: Array
    predicted: Array
    true: Array


def overlap(chance: Chance, labels: Array, mask: Array, soft_labels: bool = False) -> Overlap:
    """Count the shared pixels, by products or (for soft labels) by the smaller of two shares."""
    parts = _smaller(chance, labels) if soft_labels else _product(chance, labels)
    return Overlap(*(jnp.sum(jnp.where(mask, part, 0), axis=-2) for part in parts))


def _product(chance: Chance, labels: Array) -> tuple[Array, Array, Array]:
    return chance.yes * labels, chance.yes * (1 - labels), chance.no * labels


def _smaller(chance: Chance, labels: Array) -> tuple[Array, Array, Array]:
    # Beyond one half the complements are the exact ones, in labels and predictions alike.
    high = labels > 0.5
    excess = jnp.where(high, (1 - labels) - chance.no, chance.yes - labels)
    smaller = jnp.where(excess > 0, labels, chance.yes)
    # At a tie neither side is moved: the sub-gradient of least norm.
    both = jnp.where(excess == 0, jax.lax.stop_gradient(smaller), smaller)
    return both, numerics.positive_part(excess), numerics.positive_part(-excess)


def tversky(overlap: Overlap, alpha: Array, beta: Array, smooth: Array) -> Array:
    """Return the share missed, `1 - (TP + s) / (TP + alpha FP + beta FN + s)`, 0 for 0/0."""
    # As one fraction of what is wrong: nothing cancels near a perfect prediction.
    wrong = alpha * overlap.predicted + beta * overlap.true
    return numerics.portion(wrong, overlap.both + smooth)


def over_classes(
    function: str,
    losses: Array,
    mask: Array,
    class_weights: Any = None,
    ignore_background: bool = False,
    reduction: str = "mean",
) -> Array:
    """Weigh and reduce the losses of the classes `[..., classes]`; 0 where all is masked."""
    losses = arguments.masked(losses, jnp.broadcast_to(jnp.any(mask, axis=-2), losses.shape))
    if class_weights is not None:
        losses = losses * arguments.class_vector(
            function, "class_weights", class_weights, losses, at_least=0.0
        )
    if ignore_background and losses.shape[-1] > 1:
        losses = losses[..., 1:]
    if reduction == "none":
        return losses
    total = jnp.sum(losses, axis=-1)
    return total if reduction == "sum" else total / losses.shape[-1]
