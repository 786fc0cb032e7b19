"""Losses of one class among many, with `p = softmax(logits)`.

Conventions shared by every function of this module:

* `logits` are `[..., classes]`, `classes` at `axis` (one axis, several, or None for all), and the
  loss is `[...]`. Soft `labels` have the shape of the logits and are >= 0; they sum to 1 unless
  you mean otherwise. Integer `labels` are `[...]`. No broadcasting.
* A label that cannot be (a negative share, an index out of range) makes value and gradient NaN.
  To ignore an example, mask it; the label behind a mask may be anything, -100 included.
* `where`: True for what counts, `[..., classes]` to leave classes out of the softmax or `[...]`
  to leave examples out. A label on a class that is left out counts as no label: soft and integer
  labels agree.
* A logit of minus infinity is a class of probability 0, which costs nothing where its label is 0.
* `TypeError` for a wrong kind of number, `ValueError` for a wrong shape or hyper-parameter.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxloss import arguments, numerics

Array = jax.Array


def softmax_cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    axis: arguments.Axis = -1,
    where: ArrayLike | None = None,
    *,
    class_weights: ArrayLike | None = None,
    label_smoothing: ArrayLike = 0.0,
    z_loss: ArrayLike = 0.0,
) -> Array:
    """Cross-entropy of logits with soft labels, `-sum(labels * log(p))` over the classes.

    A proper loss: least where `p` is the distribution of the labels. The gradient is
    `p - labels`; adding a constant to the logits changes nothing. A confident right prediction
    keeps its small loss and gradient (2.06e-9 at a lead of 20), where `logits - logsumexp` gives 0.

    Args:
      logits: `[..., classes]`, unnormalised log-probabilities.
      labels: `[..., classes]`, >= 0, a distribution over the classes.
      axis: the axis or axes of the classes.
      where: True for what counts, `[..., classes]` or `[...]`.
      class_weights: `[classes]`, >= 0, multiplies each class's term.
      label_smoothing: in [0, 1]; labels become `(1 - a) labels + a / classes`; number or `[...]`.
      z_loss: >= 0, weight of the squared log-normaliser, which keeps logits from drifting;
        1e-4 is usual; number or `[...]`.

    Returns:
      `[...]`, non-negative.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> logits = jnp.array([[0.0, 0.0], [20.0, 0.0]])
      >>> print(jl.softmax_cross_entropy(logits, jnp.array([[0.5, 0.5], [1.0, 0.0]])))
      [6.9314718e-01 2.0611537e-09]

    Reference: Bishop, Pattern Recognition and Machine Learning (2006), eq. 4.108; z-loss: Chowdhery
    et al., PaLM (2022), section 5.
    """
    function = "softmax_cross_entropy"
    (logits, labels), mask = _soft(function, axis, where, logits, labels)
    loss = _cross_entropy(function, logits, labels, mask, class_weights, label_smoothing, z_loss)
    return arguments.masked(loss, mask)


def softmax_cross_entropy_with_integer_labels(
    logits: ArrayLike,
    labels: ArrayLike,
    axis: arguments.Axis = -1,
    where: ArrayLike | None = None,
    *,
    class_weights: ArrayLike | None = None,
    label_smoothing: ArrayLike = 0.0,
    z_loss: ArrayLike = 0.0,
) -> Array:
    """Cross-entropy of logits with the index of the right class, `-log(p[labels])`.

    `softmax_cross_entropy` of the one-hot labels, in all arguments. The weighted mean that some
    libraries report is `mean(losses / w, weights=w)` with `w = class_weights[labels]`.

    Args:
      logits: `[..., classes]`, unnormalised log-probabilities.
      labels: `[...]`, integers in `[0, classes)`; for several axes, the index in the flattened
        classes.
      axis: the axis or axes of the classes.
      where: True for what counts, `[..., classes]` or `[...]`.
      class_weights: `[classes]`, >= 0, multiplies each class's term.
      label_smoothing: in [0, 1]; number or `[...]`.
      z_loss: >= 0, weight of the squared log-normaliser; number or `[...]`.

    Returns:
      `[...]`, non-negative; NaN for a label out of range.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> logits = jnp.array([[1.2, -0.8, -0.5], [0.9, -1.2, 1.1]])
      >>> print(jl.softmax_cross_entropy_with_integer_labels(logits, jnp.array([0, 1])))
      [0.2761297 2.951799 ]

    Reference: as `softmax_cross_entropy`.
    """
    function = "softmax_cross_entropy_with_integer_labels"
    logits, is_label, mask = arguments.classes(function, axis, where, logits=logits, labels=labels)
    labels = is_label.astype(logits.dtype)
    loss = _cross_entropy(function, logits, labels, mask, class_weights, label_smoothing, z_loss)
    return arguments.masked(loss, mask)


def safe_softmax_cross_entropy(logits: ArrayLike, labels: ArrayLike) -> Array:
    """`softmax_cross_entropy` under the name that optax gives to its safe version.

    In optax only this one takes logits of minus infinity where the label is 0. Here both do: new
    code wants `softmax_cross_entropy`.

    Args:
      logits: `[..., classes]`, unnormalised log-probabilities.
      labels: `[..., classes]`, >= 0, a distribution over the classes.

    Returns:
      `[...]`, non-negative.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.safe_softmax_cross_entropy(jnp.array([-jnp.inf, 0.0]), jnp.array([0.0, 1.0])))
      0.0

    Reference: as `softmax_cross_entropy`.
    """
    function = "safe_softmax_cross_entropy"
    (logits, labels), mask = _soft(function, -1, None, logits, labels)
    loss = _cross_entropy(function, logits, labels, mask)
    return arguments.masked(loss, mask)


def _soft(
    function: str, axis: arguments.Axis, where: Any, logits: Any, labels: Any
) -> tuple[list[Array], Array]:
    """Prepare logits and soft labels; a negative share becomes NaN."""
    (logits, labels), mask = arguments.events(function, axis, where, logits=logits, labels=labels)
    return [logits, jnp.where(labels >= 0, labels, jnp.nan)], mask


def _cross_entropy(
    function: str,
    logits: Array,
    labels: Array,
    mask: Array,
    class_weights: Any = None,
    label_smoothing: Any = 0.0,
    z_loss: Any = 0.0,
) -> Array:
    parts = numerics.softmax(logits, mask)
    amount = arguments.per_event(
        function, "label_smoothing", label_smoothing, logits, at_least=0.0, at_most=1.0
    )
    labels = _smooth(labels, amount, mask)
    if class_weights is not None:
        labels = labels * arguments.class_vector(
            function, "class_weights", class_weights, logits, at_least=0.0
        )
    z_loss = arguments.hyper(function, "z_loss", z_loss, logits[..., 0], at_least=0.0)
    loss = jnp.sum(numerics.weighted(labels, parts.surprisal()), axis=-1)
    normalizer = parts.log_normalizer()
    # Silenced before it is squared: the slope of an infinite square is infinite, too.
    silent = (z_loss == 0) & jnp.isinf(normalizer**2)
    normalizer = jnp.where(silent, 0, normalizer)
    return loss + z_loss * normalizer**2


def smooth_labels(
    labels: ArrayLike,
    alpha: ArrayLike,
    *,
    axis: arguments.Axis = -1,
    where: ArrayLike | None = None,
) -> Array:
    """Mix a distribution over classes with the uniform one, `(1 - alpha) labels + alpha / classes`.

    Softened targets keep a softmax from growing its logits without end, and calibrate it; the
    optimum is then no longer the true distribution. Masked classes get 0 and are not counted.

    Args:
      labels: `[..., classes]`, floating, a distribution over the classes.
      alpha: share of the uniform distribution, in [0, 1]; number or `[...]`.
      axis: the axis or axes of the classes.
      where: True for what counts, `[..., classes]` or `[...]`.

    Returns:
      The shape of `labels`.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.smooth_labels(jnp.array([0.0, 1.0, 0.0, 0.0]), 0.5))
      [0.125 0.625 0.125 0.125]

    Reference: Szegedy et al., Rethinking the Inception Architecture (2016), section 7.
    """
    function = "smooth_labels"
    labels = arguments.floating(function, "labels", labels)
    axes = arguments.normal_axes(function, axis, labels.ndim)
    mask = arguments.event_mask(function, where, axes, labels)
    labels = jnp.where(mask, labels.astype(arguments.working_dtype(labels)), 0)
    batch = jnp.sum(labels, axis=axes)
    amount = arguments.hyper(function, "alpha", alpha, batch, at_least=0.0, at_most=1.0)
    amount = jnp.expand_dims(jnp.broadcast_to(amount, batch.shape), sorted(axes))
    return _smooth(labels, amount, mask, axes)


def _smooth(labels: Array, amount: Array, mask: Array, axes: tuple[int, ...] = (-1,)) -> Array:
    present = mask.astype(labels.dtype)
    uniform = numerics.divide(present, jnp.sum(present, axis=axes, keepdims=True))
    return (1 - amount) * labels + amount * uniform


def softmax_focal_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    alpha: ArrayLike = 1.0,
    gamma: ArrayLike = 2.0,
    axis: arguments.Axis = -1,
    where: ArrayLike | None = None,
) -> Array:
    """Cross-entropy that fades where the prediction is right.

    `-sum(labels alpha (1 - p)^gamma log(p))` over the classes.

    At `gamma = 0` it is the cross-entropy. For many classes of which most examples are easy. It is
    not proper: its probabilities are less confident than the truth.

    Convention: each class's term has its own factor, and `alpha` multiplies; the loss of an
    example is not divided by the number of classes. For integer labels pass
    `jax.nn.one_hot(labels, classes)`.

    Args:
      logits: `[..., classes]`, unnormalised log-probabilities.
      labels: `[..., classes]`, >= 0, a distribution over the classes.
      alpha: weight of each class, >= 0; number or `[classes]`.
      gamma: how fast easy examples fade, >= 0, also below 1; number or `[...]`.
      axis: the axis or axes of the classes.
      where: True for what counts, `[..., classes]` or `[...]`.

    Returns:
      `[...]`, non-negative.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.softmax_focal_loss(jnp.zeros(2), jnp.array([1.0, 0.0])))  # log(2) / 4
      0.1732868

    Reference: Lin et al., Focal Loss for Dense Object Detection (2017), eq. 4, for many classes.
    """
    function = "softmax_focal_loss"
    (logits, labels), mask = _soft(function, axis, where, logits, labels)
    parts = numerics.softmax(logits, mask)
    gamma = arguments.per_event(function, "gamma", gamma, logits, at_least=0.0)
    if np.ndim(alpha):
        alpha = arguments.class_vector(function, "alpha", alpha, logits, at_least=0.0)
    else:
        alpha = arguments.hyper(function, "alpha", alpha, logits, at_least=0.0)
    fade = numerics.power_of_exp(gamma, parts.log_complement())
    terms = fade * numerics.weighted(alpha * labels, parts.surprisal())
    return arguments.masked(jnp.sum(terms, axis=-1), mask)


def poly_loss_cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    epsilon: ArrayLike = 2.0,
    axis: arguments.Axis = -1,
    where: ArrayLike | None = None,
) -> Array:
    """Cross-entropy with its first polynomial term reweighted, `CE + epsilon sum(labels (1 - p))`.

    The paper's Poly-1. At `epsilon = 0` it is the cross-entropy; 2 suited classification and -1
    detection. Not proper for other `epsilon`, not convex in the logits; negative below -1 only.

    Args:
      logits: `[..., classes]`, unnormalised log-probabilities.
      labels: `[..., classes]`, >= 0, a distribution over the classes.
      epsilon: weight of the linear term; number or `[...]`.
      axis: the axis or axes of the classes.
      where: True for what counts, `[..., classes]` or `[...]`.

    Returns:
      `[...]`, non-negative for `epsilon >= -1`.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.poly_loss_cross_entropy(jnp.zeros(2), jnp.array([1.0, 0.0])))  # log(2) + 1
      1.6931472

    Reference: Leng et al., PolyLoss (2022), eq. 7.
    """
    function = "poly_loss_cross_entropy"
    (logits, labels), mask = _soft(function, axis, where, logits, labels)
    epsilon = arguments.per_event(function, "epsilon", epsilon, logits)
    surprisal = numerics.softmax(logits, mask).surprisal()
    # Of a small surprisal t, t + epsilon (1 - exp(-t)) is (1 + epsilon) t less an exact excess.
    small = surprisal < 0.5
    excess = numerics.exp_excess(jnp.where(small, surprisal, 0))
    near = (1 + epsilon) * jnp.where(small, surprisal, 0) - epsilon * excess
    far = surprisal - epsilon * jnp.expm1(-surprisal)
    terms = numerics.weighted(labels, jnp.where(small, near, far))
    return arguments.masked(jnp.sum(terms, axis=-1), mask)
