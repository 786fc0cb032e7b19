"""Losses of other measures of overlap: Tversky, Jaccard, Matthews.

The conventions are those of `jaxloss.segmentation`: one value for each class from the sums over
the pixels TP (of `p t`), FP (of `p (1 - t)`), FN (of `(1 - p) t`) and TN (of `(1 - p)(1 - t)`),
averaged over the classes.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloss import arguments, numerics
from jaxloss.segmentation import images

Array = jax.Array


def _tversky(
    function: str,
    logits: Any,
    labels: Any,
    axis: arguments.Axis,
    where: Any,
    soft_labels: bool,
    **weights: Any,
) -> tuple[Array, Array]:
    """Return the Tversky loss of every class, `[..., classes]`, and the mask."""
    (logits, labels), mask = images.prepare(function, axis, where, logits=logits, labels=labels)
    count = images.overlap(images.chance(logits), images.share(labels), mask, soft_labels)
    numbers = {
        name: arguments.hyper(function, name, value, count.both, at_least=0.0)
        for name, value in weights.items()
    }
    one = jnp.ones((), logits.dtype)
    alpha, beta = numbers.get("alpha", one), numbers.get("beta", one)
    return images.tversky(count, alpha, beta, numbers["smooth"]), mask


def tversky_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    alpha: ArrayLike = 0.3,
    beta: ArrayLike = 0.7,
    class_weights: ArrayLike | None = None,
    smooth: ArrayLike = 1.0,
    ignore_background: bool = False,
    axis: arguments.Axis = None,
    soft_labels: bool = False,
    where: ArrayLike | None = None,
) -> Array:
    """Tversky loss, `1 - (TP + smooth) / (TP + alpha FP + beta FN + smooth)`.

    `alpha` weighs false positives and `beta` false negatives, as in the paper (some libraries have
    them the other way round): `beta > alpha` finds more of a small object at the price of false
    alarms. The Dice loss at one half each, the Jaccard loss at 1 each. The defaults are the
    paper's best for lesions.

    Args:
      logits: `[batch, ..., classes]`; sigmoid of a single class, softmax of several.
      labels: the same shape, one-hot or soft, in [0, 1].
      alpha: weight of false positives, >= 0; broadcasts to `[..., classes]`, as do the next two.
      beta: weight of false negatives, >= 0.
      class_weights: `[classes]`, >= 0, multiplies each class's loss.
      smooth: in pixels, >= 0.
      ignore_background: leaves out class 0, where there are several.
      axis: the spatial axes; None for all but the first and the last.
      soft_labels: counts the overlap by the smaller of two shares; see `dice_loss`.
      where: True for what counts: pixels `[batch, ...]` or examples `[batch]`.

    Returns:
      `[batch]`, in [0, 1] without weights.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> logits, labels = jnp.array([[[0.0], [0.0]]]), jnp.array([[[1.0], [0.0]]])
      >>> print(jl.tversky_loss(logits, labels, alpha=0.0, beta=1.0))  # 1 - 1.5 / 2
      [0.25]

    Reference: Salehi et al., Tversky Loss Function for Image Segmentation (2017), eq. 4.
    """
    function = "tversky_loss"
    losses, mask = _tversky(
        function, logits, labels, axis, where, soft_labels, alpha=alpha, beta=beta, smooth=smooth
    )
    return images.over_classes(function, losses, mask, class_weights, ignore_background)


def focal_tversky_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    alpha: ArrayLike = 0.3,
    beta: ArrayLike = 0.7,
    gamma: ArrayLike = 0.75,
    class_weights: ArrayLike | None = None,
    smooth: ArrayLike = 1.0,
    ignore_background: bool = False,
    axis: arguments.Axis = None,
    soft_labels: bool = False,
    where: ArrayLike | None = None,
) -> Array:
    """Tversky loss of each class, raised to a power: `tversky ** gamma`.

    Convention: `gamma` is the exponent itself. The paper writes `1 / gamma` with its `gamma` in
    [1, 3]; its 4/3 is the default of 3/4 here. Below 1 the slope grows as the overlap becomes
    complete, which keeps pulling at small objects almost found; above 1 it fades, and what is
    badly found decides. The paper's averaging is a sum over classes; here it is the mean.
    `alpha` weighs false positives and `beta` false negatives, as in `tversky_loss`.

    Args:
      logits: `[batch, ..., classes]`; sigmoid of a single class, softmax of several.
      labels: the same shape, one-hot or soft, in [0, 1].
      alpha: weight of false positives, >= 0; broadcasts to `[..., classes]`, as do the next two
        and `smooth`.
      beta: weight of false negatives, >= 0.
      gamma: the exponent, > 0; 1 for `tversky_loss`.
      class_weights: `[classes]`, >= 0, multiplies each class's loss.
      smooth: in pixels, >= 0.
      ignore_background: leaves out class 0, where there are several.
      axis: the spatial axes; None for all but the first and the last.
      soft_labels: counts the overlap by the smaller of two shares; see `dice_loss`.
      where: True for what counts: pixels `[batch, ...]` or examples `[batch]`.

    Returns:
      `[batch]`, in [0, 1] without weights. The gradient at a perfect prediction is 0.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> logits, labels = jnp.array([[[0.0], [0.0]]]), jnp.array([[[1.0], [0.0]]])
      >>> print(jl.focal_tversky_loss(logits, labels, alpha=0.5, beta=0.5, gamma=0.5))  # 1/4
      [0.5]

    Reference: Abraham and Khan, A Novel Focal Tversky Loss Function (2019), eq. 4.
    """
    function = "focal_tversky_loss"
    losses, mask = _tversky(
        function, logits, labels, axis, where, soft_labels, alpha=alpha, beta=beta, smooth=smooth
    )
    gamma = arguments.hyper(function, "gamma", gamma, losses, above=0.0)
    losses = numerics.power_of_exp(gamma, numerics.log(losses))
    return images.over_classes(function, losses, mask, class_weights, ignore_background)


def jaccard_loss(
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
    """Jaccard loss, one minus intersection over union: `1 - (TP + s) / (TP + FP + FN + s)`.

    The measure by which segmentations are often compared, with probabilities in place of
    decisions; `lovasz_softmax_loss` is the tight convex alternative. Never below the Dice loss `d`
    (it is `2 d / (1 + d)` at `smooth=0`), and so harder on what is small.

    Args:
      logits: `[batch, ..., classes]`; sigmoid of a single class, softmax of several.
      labels: the same shape, one-hot or soft, in [0, 1].
      class_weights: `[classes]`, >= 0, multiplies each class's loss.
      smooth: in pixels, >= 0; broadcasts to `[..., classes]`.
      ignore_background: leaves out class 0, where there are several.
      axis: the spatial axes; None for all but the first and the last.
      soft_labels: counts the overlap by the smaller of two shares, which makes this the Jaccard
        metric loss; see `dice_loss`.
      where: True for what counts: pixels `[batch, ...]` or examples `[batch]`.

    Returns:
      `[batch]`, in [0, 1] without weights.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> logits, labels = jnp.array([[[0.0], [0.0]]]), jnp.array([[[1.0], [0.0]]])
      >>> print(jl.jaccard_loss(logits, labels))  # 1 - 1.5 / 2.5
      [0.4]

    Reference: Rahman and Wang, Optimizing Intersection-Over-Union in Deep Neural Networks (2016),
    eq. 4; soft labels: Wang et al., Jaccard Metric Losses (2023), eq. 8.
    """
    function = "jaccard_loss"
    losses, mask = _tversky(function, logits, labels, axis, where, soft_labels, smooth=smooth)
    return images.over_classes(function, losses, mask, class_weights, ignore_background)


def matthews_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    class_weights: ArrayLike | None = None,
    ignore_background: bool = False,
    axis: arguments.Axis = None,
    where: ArrayLike | None = None,
) -> Array:
    """One minus Matthews' correlation of prediction and truth.

    `1 - (TP TN - FP FN) / sqrt((TP + FP)(TP + FN)(TN + FP)(TN + FN))`

    Unlike Dice and Jaccard it looks at the true negatives too and treats foreground and background
    alike, which helps where either may be small. An image that is all foreground or all background
    teaches nothing: the correlation is undefined and counts as 0, the loss is 1 with no gradient
    (0 where the prediction is perfect).

    Args:
      logits: `[batch, ..., classes]`; sigmoid of a single class, softmax of several.
      labels: the same shape, one-hot or soft, in [0, 1]; with soft ones the least loss is at hard
        predictions.
      class_weights: `[classes]`, >= 0, multiplies each class's loss.
      ignore_background: leaves out class 0, where there are several.
      axis: the spatial axes; None for all but the first and the last.
      where: True for what counts: pixels `[batch, ...]` or examples `[batch]`.

    Returns:
      `[batch]`, in [0, 2] without weights; 1 for a prediction that does not depend on the truth.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> labels = jnp.array([[[1.0], [0.0]]])
      >>> print(jl.matthews_loss(jnp.array([[[1.0], [1.0]]]), labels))
      [1.]

    Reference: Abhishek and Hamarneh, Matthews Correlation Coefficient Loss (2021), eq. 3 to 5.
    """
    function = "matthews_loss"
    (logits, labels), mask = images.prepare(function, axis, where, logits=logits, labels=labels)
    chance, labels = images.chance(logits), images.share(labels)
    pixels = jnp.sum(mask, axis=-2, dtype=logits.dtype)
    both, predicted, true = (
        numerics.divide(c, pixels) for c in images.overlap(chance, labels, mask)
    )
    neither = jnp.sum(jnp.where(mask, chance.no * (1 - labels), 0), axis=-2)
    losses = _uncorrelated(both, predicted, true, numerics.divide(neither, pixels))
    return images.over_classes(function, losses, mask, class_weights, ignore_background)


def _uncorrelated(a: Array, b: Array, c: Array, d: Array) -> Array:
    """Return 1 minus the correlation of a table of shares `[[a, b], [c, d]]`."""
    root = numerics.sqrt(a + b) * numerics.sqrt(a + c)
    root = root * numerics.sqrt(d + b) * numerics.sqrt(d + c)
    correlation = numerics.divide(a * d - b * c, root)
    # Near 1 the difference cancels. Of squares it is a sum of positive terms, all with b or c.
    terms = (a * d + b * c) * (a + d) * (b + c) + 4 * a * b * c * d
    terms = terms + a * a * b * c + a * c * c * d + a * b * b * d + b * c * d * d
    close = correlation > 0.5
    near = numerics.divide(terms, root * (root + a * d - b * c))
    perfect = b + c == 0
    return jnp.where(close, near, jnp.where(perfect, 0, 1 - correlation))
