"""Lovasz losses: the Jaccard loss of a segmentation, extended from decisions to real errors.

The set of mispredicted pixels determines the Jaccard loss; its Lovasz extension to a vector of
errors sorts them and gives each the amount by which its pixel, added after those of larger errors,
makes the Jaccard loss grow. It is convex in the errors, and for errors 0 and 1 it is the Jaccard
loss. Where errors tie the extension has a kink, and every order of the tied pixels gives a
sub-gradient: the one given here takes them in the order in which they stand.

`labels` are hard: 0 or 1, anything else gives NaN.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxloss import arguments, numerics
from jaxloss.segmentation import images

Array = jax.Array


def lovasz_hinge_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    axis: arguments.Axis = None,
    where: ArrayLike | None = None,
) -> Array:
    """Lovasz extension of the Jaccard loss of the foreground, at the hinge errors of the logits.

    The error of a pixel is `max(0, 1 - logits s)` with `s` 1 for foreground and -1 for background.
    Convex in the logits; 0 when every pixel is right by a margin of 1, and never below the Jaccard
    loss of the decisions `logits > 0`. Scores, not probabilities: they come out uncalibrated. Kinks
    at a margin of exactly 1, where the gradient given is 0, and where errors tie (see the module:
    pixels then count in the order in which they stand). Without foreground in the truth it is the
    largest error.

    Args:
      logits: `[batch, ...]`, positive for foreground.
      labels: the same shape, 0 or 1.
      axis: the spatial axes; None for all but the first.
      where: True for what counts: pixels `[batch, ...]` or examples `[batch]`.

    Returns:
      `[batch]`, non-negative.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> logits, labels = jnp.array([[0.5, 0.0, -2.0]]), jnp.array([[1.0, 0.0, 0.0]])
      >>> print(jl.lovasz_hinge_loss(logits, labels))  # 1 * 1/2 + 0.5 * 1/2
      [0.75]

    Reference: Berman et al., The Lovasz-Softmax Loss (2018), eq. 8 and section 3.1.
    """
    function = "lovasz_hinge_loss"
    (logits, labels), mask = images.prepare(function, axis, where, False, logits=logits,
                                            labels=labels)  # fmt: skip
    labels = _hard(labels)
    # Folded into one line a pixel: [..., classes, pixels] is what the extension sorts.
    errors, truth, seen = (a[..., 0] for a in (1 - logits * (2 * labels - 1), labels, mask))
    slopes = _slopes(errors, truth, seen)
    return arguments.masked(jnp.sum(slopes * numerics.positive_part(errors), axis=-1), seen)


def _hard(labels: Array) -> Array:
    return jnp.where((labels == 0) | (labels == 1), labels, jnp.nan)


def _slopes(errors: Array, labels: Array, mask: Array) -> Array:
    """Return by how much each pixel, in falling order of errors, raises the Jaccard loss.

    Args:
      errors: `[..., pixels]`.
      labels: `[..., pixels]`, 1 for foreground.
      mask: `[..., pixels]`, True for what counts.
    """
    # The order is constant almost everywhere, so the slopes are the exact derivative. What is
    # masked comes last, beside errors of minus infinity at most, whose slopes count as little.
    order = numerics.argsort(jnp.where(mask, -errors, jnp.inf))
    truth = numerics.take((labels == 1) & mask, order)
    found = jnp.cumsum(truth, axis=-1, dtype=jnp.int32)
    others = 1 + lax.broadcasted_iota(jnp.int32, found.shape, found.ndim - 1) - found
    foreground = jnp.sum(truth, axis=-1, keepdims=True, dtype=jnp.int32)
    steps = _steps(truth, foreground, found, others, errors.dtype)
    return jnp.where(mask, numerics.put(steps, order), 0)


def _steps(truth: Array, foreground: Array, found: Array, others: Array, dtype: Any) -> Array:
    """Return the steps of `1 - (foreground - found) / (foreground + others)` along the pixels.

    In closed form, because differences of neighbours would cancel in large images.
    """
    union = (foreground + others).astype(dtype)
    missing = (foreground - found).astype(dtype)
    of_background = numerics.divide(missing / jnp.maximum(union, 1), union - 1)
    # Without foreground the first wrong pixel makes the loss 1, and no other changes it.
    alone = (foreground == 0) & (others == 1) & ~truth
    return jnp.where(truth, numerics.divide(jnp.ones_like(union), union),
                     jnp.where(alone, 1, of_background))  # fmt: skip


def lovasz_softmax_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    classes: str = "present",
    axis: arguments.Axis = None,
    where: ArrayLike | None = None,
) -> Array:
    """Lovasz extension of the Jaccard loss at the errors of the probabilities, class by class.

    The error of a pixel is `1 - p` for its class and `p` for all others, with
    `p = softmax(logits)` (sigmoid of a single class). A tight surrogate of the mean Jaccard loss:
    for hard predictions it is equal to it. Where errors tie, pixels count in the order in which
    they stand (see the module), so that flat predictions, as at the start of training, are better
    left to a cross-entropy.

    Args:
      logits: `[batch, ..., classes]`.
      labels: the same shape, one-hot, 0 or 1.
      classes: "present" averages over the classes that the image has in its truth (0 if none);
        "all" over all of them, an absent one costing its largest probability.
      axis: the spatial axes; None for all but the first and the last.
      where: True for what counts: pixels `[batch, ...]` or examples `[batch]`.

    Returns:
      `[batch]`, in [0, 1].

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> logits = jnp.log(jnp.array([[[0.75, 0.25], [0.5, 0.5]]]))
      >>> labels = jnp.array([[[1.0, 0.0], [0.0, 1.0]]])
      >>> print(jl.lovasz_softmax_loss(logits, labels))  # both: 0.5 / 2 + 0.25 / 2 and 0.5 + 0
      [0.4375]

    Reference: Berman et al., The Lovasz-Softmax Loss (2018), eq. 11 and algorithm 1.
    """
    function = "lovasz_softmax_loss"
    if classes not in ("present", "all"):
        raise arguments.reject(function, "classes", "'present' or 'all'", repr(classes))
    (logits, labels), mask = images.prepare(function, axis, where, logits=logits, labels=labels)
    chance, labels = images.chance(logits), _hard(labels)
    # Weighted, not selected: a label that cannot be must make the error NaN.
    errors = labels * chance.no + (1 - labels) * chance.yes
    errors, truth, seen = (
        jnp.swapaxes(a, -1, -2) for a in (errors, labels, jnp.broadcast_to(mask, errors.shape))
    )
    losses = jnp.sum(_slopes(errors, truth, seen) * errors, axis=-1)
    present = jnp.any((truth == 1) & seen, axis=-1) | (classes == "all")
    count = jnp.sum(present, axis=-1, dtype=losses.dtype)
    # A NaN must not be lost with a class that is thought absent.
    total = jnp.sum(jnp.where(present | jnp.isnan(losses), losses, 0), axis=-1)
    return arguments.masked(numerics.divide(total, jnp.maximum(count, 1)), jnp.any(mask, (-2, -1)))
