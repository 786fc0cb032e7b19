"""Dice losses: how much of prediction and truth do not overlap.

The conventions are those of `jaxloss.segmentation`. With TP, FP and FN the sums over the pixels of
`p t`, `p (1 - t)` and `(1 - p) t`, all of them are made of

    1 - (TP + smooth) / (TP + alpha FP + beta FN + smooth)

with one half for `alpha` and `beta`. Written with `2 TP + FP + FN` instead, as often, the constant
is `2 smooth`. The functions that optax has take `predictions` that are logits unless told
otherwise, as there; all others say `logits`.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloss import arguments, numerics, regression
from jaxloss.segmentation import images

Array = jax.Array


def dice_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    class_weights: ArrayLike | None = None,
    smooth: ArrayLike = 1.0,
    alpha: ArrayLike = 0.5,
    beta: ArrayLike = 0.5,
    apply_softmax: bool = True,
    reduction: str = "mean",
    ignore_background: bool = False,
    axis: arguments.Axis = None,
    soft_labels: bool = False,
    where: ArrayLike | None = None,
) -> Array:
    """Dice loss of each class, averaged over the classes.

    `1 - (TP + smooth) / (TP + alpha FP + beta FN + smooth)`: indifferent to how many pixels are
    background, where a cross-entropy is dominated by them. Its gradient is weak where everything
    is wrong; `dice_cross_entropy_loss` helps. Other weights of false positives (`alpha`) and
    false negatives (`beta`) make it the Tversky loss.

    With soft labels the least value of this form is not at `p = t` but at hard predictions;
    `soft_labels=True` counts by the smaller of two shares instead, which is the same for hard
    labels and least at `p = t` for all. Its kinks are at `p = t`, where the gradient given is 0.

    A class that is absent and not predicted costs 0; at `smooth=0` one that is absent and
    predicted, however faintly, costs 1 with no gradient. Stricter than optax: values of
    probabilities are not inspected (that could not be compiled), those outside [0, 1] give NaN.

    Args:
      predictions: `[batch, ..., classes]`, logits (sigmoid of a single class, softmax of several);
        probabilities if `apply_softmax=False`, which then need not sum to 1 over the classes.
      targets: the same shape, one-hot or soft, in [0, 1]; an axis of a single class may be left
        out of either.
      class_weights: `[classes]`, >= 0, multiplies each class's loss.
      smooth: in pixels, >= 0; broadcasts to `[..., classes]`, as do `alpha` and `beta`.
      alpha: weight of false positives, >= 0.
      beta: weight of false negatives, >= 0.
      apply_softmax: whether the predictions are logits.
      reduction: "mean", "sum" or "none", over the classes; never over the batch.
      ignore_background: leaves out class 0, where there are several.
      axis: the spatial axes; None for all but the first and the last.
      soft_labels: counts the overlap by the smaller of two shares.
      where: True for what counts: pixels `[batch, ...]` or examples `[batch]`.

    Returns:
      `[batch]`, in [0, 1]; `[batch, classes]` without reduction.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> p = jnp.array([[[0.75], [0.25]]])  # one image of two pixels, the first is true
      >>> t = jnp.array([[[1.0], [0.0]]])
      >>> print(jl.dice_loss(p, t, apply_softmax=False))  # 1 - (3/4 + 1) / (1 + 1)
      [0.125]

    Reference: Milletari et al., V-Net (2016), section 3; soft labels: Wang et al., Dice Semimetric
    Losses (2023), eq. 8.
    """
    function = "dice_loss"
    if reduction not in ("mean", "sum", "none"):
        raise arguments.reject(function, "reduction", "'mean', 'sum' or 'none'", repr(reduction))
    predictions, targets = _with_classes(function, predictions, targets)
    (predictions, targets), mask = images.prepare(
        function, axis, where, predictions=predictions, targets=targets
    )
    count = images.overlap(_chance(predictions, apply_softmax), images.share(targets), mask,
                           soft_labels)  # fmt: skip
    alpha, beta, smooth = weights(function, count.both, alpha, beta, smooth)
    loss = images.tversky(count, alpha, beta, smooth)
    return images.over_classes(function, loss, mask, class_weights, ignore_background, reduction)


def _with_classes(function: str, predictions: Any, targets: Any) -> tuple[Array, Array]:
    """Add the axis of a single class to that of the two which lacks it."""
    predictions = arguments.floating(function, "predictions", predictions)
    targets = arguments.real(function, "targets", targets)
    if targets.shape == (*predictions.shape, 1):
        predictions = predictions[..., None]
    elif predictions.shape == (*targets.shape, 1):
        targets = targets[..., None]
    return predictions, targets


def _chance(predictions: Array, are_logits: bool) -> images.Chance:
    if are_logits:
        return images.chance(predictions)
    predictions = images.share(predictions)
    return images.Chance(predictions, 1 - predictions)


def weights(function: str, like: Array, *values: Any) -> list[Array]:
    """Convert `alpha`, `beta` and `smooth`, which broadcast to the classes."""
    named = zip(("alpha", "beta", "smooth")[-len(values) :], values, strict=True)
    return [arguments.hyper(function, k, v, like, at_least=0.0) for k, v in named]


def binary_dice_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    smooth: ArrayLike = 1.0,
    apply_sigmoid: bool = True,
    axis: arguments.Axis = None,
    soft_labels: bool = False,
    where: ArrayLike | None = None,
) -> Array:
    """Dice loss of one class against the background, `1 - (TP + s) / (TP + (FP + FN) / 2 + s)`.

    `dice_loss` for images without an axis of classes. An axis of length 1 at the end does no harm.
    For several labels that may hold at once, give the spatial axes: those that remain are the
    examples'.

    Args:
      predictions: `[batch, ...]`, logits; probabilities if `apply_sigmoid=False`.
      targets: the same shape, in [0, 1].
      smooth: in pixels, >= 0; number or `[batch]`.
      apply_sigmoid: whether the predictions are logits.
      axis: the spatial axes; None for all but the first.
      soft_labels: counts the overlap by the smaller of two shares; see `dice_loss`.
      where: True for what counts: pixels `[batch, ...]` or examples `[batch]`.

    Returns:
      `[batch]`, in [0, 1].

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> p, t = jnp.array([[0.75, 0.25]]), jnp.array([[1.0, 0.0]])
      >>> print(jl.binary_dice_loss(p, t, apply_sigmoid=False))
      [0.125]

    Reference: Milletari et al., V-Net (2016), section 3.
    """
    function = "binary_dice_loss"
    (predictions, targets), mask = images.prepare(
        function, axis, where, False, predictions=predictions, targets=targets
    )
    count = images.overlap(_chance(predictions, apply_sigmoid), images.share(targets), mask,
                           soft_labels)  # fmt: skip
    smooth = arguments.per_event(function, "smooth", smooth, count.both, at_least=0.0)
    half = jnp.asarray(0.5, predictions.dtype)
    return images.over_classes(function, images.tversky(count, half, half, smooth), mask)


def multiclass_generalized_dice_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    smooth: ArrayLike = 1.0,
    apply_softmax: bool = True,
    ignore_background: bool = False,
    axis: arguments.Axis = None,
    soft_labels: bool = False,
    where: ArrayLike | None = None,
) -> Array:
    """Dice loss of all classes together, each weighted by one over its squared size.

    `1 - (sum(w TP) + smooth) / (sum(w (TP + FP/2 + FN/2)) + smooth)` over the classes, where
    `w = 1 / T^2` with `T` the size of the class in the truth, scaled to an average of 1. Rare
    classes count as much as common ones; where sizes differ by much, noise in the rarest decides.
    A class that is absent counts like the rarest that is present (all alike, if none is).

    Unlike optax, whose weighted mean is blind as soon as one class is absent: the paper's ratio of
    sums, one value for each example, with the sizes of that example.

    Args:
      predictions: `[batch, ..., classes]`, logits; probabilities if `apply_softmax=False`.
      targets: the same shape, one-hot or soft, in [0, 1].
      smooth: in pixels of a class of average weight, >= 0; number or `[batch]`.
      apply_softmax: whether the predictions are logits.
      ignore_background: leaves out class 0, where there are several.
      axis: the spatial axes; None for all but the first and the last.
      soft_labels: counts the overlap by the smaller of two shares; see `dice_loss`.
      where: True for what counts: pixels `[batch, ...]` or examples `[batch]`.

    Returns:
      `[batch]`, in [0, 1].

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> t = jnp.array([[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]])  # sizes 2 and 1: weights 0.4, 1.6
      >>> p = jnp.array([[[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]])
      >>> print(jl.multiclass_generalized_dice_loss(p, t, apply_softmax=False, smooth=0.0))
      [0.33333334]

    Reference: Sudre et al., Generalised Dice Overlap (2017), section 2.1.
    """
    function = "multiclass_generalized_dice_loss"
    predictions, targets = _with_classes(function, predictions, targets)
    (predictions, targets), mask = images.prepare(
        function, axis, where, predictions=predictions, targets=targets
    )
    targets = images.share(targets)
    count = images.overlap(_chance(predictions, apply_softmax), targets, mask, soft_labels)
    size = jnp.sum(jnp.where(mask, targets, 0), axis=-2)
    first = int(ignore_background and size.shape[-1] > 1)
    rarity = _rarity(size[..., first:])
    count = images.Overlap(*(jnp.sum(rarity * c[..., first:], axis=-1) for c in count))
    smooth = arguments.hyper(function, "smooth", smooth, count.both, at_least=0.0)
    half = jnp.asarray(0.5, predictions.dtype)
    return arguments.masked(images.tversky(count, half, half, smooth), jnp.any(mask, axis=(-2, -1)))


def _rarity(size: Array) -> Array:
    """Return weights `1 / size^2` of average 1; an absent class counts as the rarest present."""
    absent = size == 0
    # Relative to the rarest, so that neither tiny nor huge sizes leave the range.
    rarest = jnp.min(jnp.where(absent, jnp.inf, size), axis=-1, keepdims=True)
    rarest = jnp.where(jnp.isinf(rarest), 1, rarest)
    weights = jnp.where(absent, 1, (rarest / jnp.where(absent, 1, size)) ** 2)
    return weights / jnp.mean(weights, axis=-1, keepdims=True)


def log_cosh_dice_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    class_weights: ArrayLike | None = None,
    smooth: ArrayLike = 1.0,
    ignore_background: bool = False,
    axis: arguments.Axis = None,
    soft_labels: bool = False,
    where: ArrayLike | None = None,
) -> Array:
    """Log-cosh of the Dice loss, `log(cosh(dice))`.

    About half the square of `dice_loss`: its slope `tanh(dice)` fades as the overlap becomes
    complete, which steadies the end of training and slows it.

    Args:
      logits: `[batch, ..., classes]`; sigmoid of a single class, softmax of several.
      labels: the same shape, one-hot or soft, in [0, 1].
      class_weights: `[classes]`, >= 0, multiplies each class's Dice loss.
      smooth: in pixels, >= 0; broadcasts to `[..., classes]`.
      ignore_background: leaves out class 0, where there are several.
      axis: the spatial axes; None for all but the first and the last.
      soft_labels: counts the overlap by the smaller of two shares; see `dice_loss`.
      where: True for what counts: pixels `[batch, ...]` or examples `[batch]`.

    Returns:
      `[batch]`, non-negative, at most `log(cosh(1)) = 0.434` without weights.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> logits, labels = jnp.array([[[0.0], [0.0]]]), jnp.array([[[1.0], [0.0]]])
      >>> print(jl.log_cosh_dice_loss(logits, labels))  # of a Dice loss of 1/4
      [0.0309298]

    Reference: Jadon, A Survey of Loss Functions for Semantic Segmentation (2020), section III-N.
    """
    function = "log_cosh_dice_loss"
    (logits, labels), mask = images.prepare(function, axis, where, logits=logits, labels=labels)
    loss = _dice(function, logits, labels, mask, smooth, soft_labels)
    loss = images.over_classes(function, loss, mask, class_weights, ignore_background)
    return regression.log_cosh(loss)


def _dice(
    function: str, logits: Array, labels: Array, mask: Array, smooth: Any, soft_labels: bool
) -> Array:
    """Return the Dice loss of every class."""
    count = images.overlap(images.chance(logits), images.share(labels), mask, soft_labels)
    (smooth,) = weights(function, count.both, smooth)
    half = jnp.asarray(0.5, logits.dtype)
    return images.tversky(count, half, half, smooth)


def dice_cross_entropy_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    dice_weight: ArrayLike = 1.0,
    cross_entropy_weight: ArrayLike = 1.0,
    class_weights: ArrayLike | None = None,
    smooth: ArrayLike = 1.0,
    ignore_background: bool = False,
    axis: arguments.Axis = None,
    soft_labels: bool = False,
    where: ArrayLike | None = None,
) -> Array:
    """Dice loss plus cross-entropy, the latter averaged over the pixels that count.

    The overlap looks at whole objects and knows no background, the cross-entropy gives every pixel
    a gradient that does not vanish: together the usual first choice for segmentation. The
    cross-entropy is binary where there is a single class, and always includes the background.

    Args:
      logits: `[batch, ..., classes]`; sigmoid of a single class, softmax of several.
      labels: the same shape, one-hot or soft, in [0, 1].
      dice_weight: >= 0; number or `[batch]`.
      cross_entropy_weight: >= 0; number or `[batch]`.
      class_weights: `[classes]`, >= 0, multiplies each class's Dice loss and not the cross-entropy.
      smooth: in pixels, >= 0; broadcasts to `[..., classes]`.
      ignore_background: leaves class 0 out of the Dice loss, where there are several.
      axis: the spatial axes; None for all but the first and the last.
      soft_labels: counts the overlap by the smaller of two shares; see `dice_loss`.
      where: True for what counts: pixels `[batch, ...]` or examples `[batch]`.

    Returns:
      `[batch]`, non-negative.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> logits, labels = jnp.array([[[0.0], [0.0]]]), jnp.array([[[1.0], [0.0]]])
      >>> print(jl.dice_cross_entropy_loss(logits, labels))  # 1/4 + log(2)
      [0.9431472]

    Reference: Isensee et al., nnU-Net (2018), section 2.3.
    """
    function = "dice_cross_entropy_loss"
    (logits, labels), mask = images.prepare(function, axis, where, logits=logits, labels=labels)
    loss = _dice(function, logits, labels, mask, smooth, soft_labels)
    dice = images.over_classes(function, loss, mask, class_weights, ignore_background)
    per_pixel = jnp.where(mask[..., 0], images.cross_entropy(logits, images.share(labels)), 0)
    pixels = jnp.sum(mask[..., 0], axis=-1, dtype=logits.dtype)
    entropy = numerics.divide(jnp.sum(per_pixel, axis=-1), pixels)
    first = arguments.hyper(function, "dice_weight", dice_weight, dice, at_least=0.0)
    second = arguments.hyper(
        function, "cross_entropy_weight", cross_entropy_weight, dice, at_least=0.0
    )
    loss = first * dice + numerics.weighted(second, entropy)
    return arguments.masked(loss, jnp.any(mask, axis=(-2, -1)))
