"""Losses of independent yes-or-no labels, element by element: binary and multi-label.

Conventions shared by every function of this module, with `p = sigmoid(logits)`:

* `logits` and `labels` have equal shapes (no broadcasting) and the loss has that shape; for a
  multi-label problem that is `[..., labels]`, one loss for each label.
* `labels` are in [0, 1], soft or hard; integers and booleans are converted. A label outside
  makes value and gradient NaN.
* Numbers that belong to the labels (`pos_weight`, `class_weights`, `alpha`) broadcast to the
  logits: `[labels]` gives each label its own.
* `where`: True for what counts; shape of the logits or of their leading axes.
* `TypeError` for a wrong kind of number, `ValueError` for a wrong shape or hyper-parameter.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloss import arguments, numerics

Array = jax.Array


def _prepare(
    function: str, logits: Any, labels: Any, where: Any
) -> tuple[Array, Array, Array | None]:
    (logits, labels), mask = arguments.elementwise(function, where, logits=logits, labels=labels)
    labels = jnp.where((labels >= 0) & (labels <= 1), labels, jnp.nan)
    return logits, labels, mask


def sigmoid_binary_cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    pos_weight: ArrayLike = 1.0,
    class_weights: ArrayLike = 1.0,
    label_smoothing: ArrayLike = 0.0,
    where: ArrayLike | None = None,
) -> Array:
    """Binary cross-entropy of logits, `-labels log(p) - (1 - labels) log(1 - p)`.

    A proper loss: least where `p` is the probability of the label. The gradient is `p - labels`.
    `pos_weight` multiplies the first term and moves that optimum to odds `pos_weight` times as
    high; `label_smoothing` pulls labels towards one half (1 becomes `1 - label_smoothing / 2`).

    Args:
      logits: `[...]`, log-odds.
      labels: `[...]`, in [0, 1].
      pos_weight: weight of the positive term, >= 0; broadcasts, `[labels]` for one a label.
      class_weights: weight of each label's loss, >= 0; broadcasts likewise.
      label_smoothing: in [0, 1]; broadcasts.
      where: True for what counts.

    Returns:
      `[...]`, non-negative.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.sigmoid_binary_cross_entropy(jnp.array([0.0, 20.0]), jnp.array([1.0, 1.0])))
      [6.9314718e-01 2.0611537e-09]

    Reference: Goodfellow et al., Deep Learning (2016), section 6.2.2.2.
    """
    function = "sigmoid_binary_cross_entropy"
    logits, labels, mask = _prepare(function, logits, labels, where)
    pos_weight = arguments.hyper(function, "pos_weight", pos_weight, logits, at_least=0.0)
    scale = arguments.hyper(function, "class_weights", class_weights, logits, at_least=0.0)
    smoothing = arguments.hyper(
        function, "label_smoothing", label_smoothing, logits, at_least=0.0, at_most=1.0
    )
    labels = (1 - smoothing) * labels + smoothing / 2
    return arguments.masked(cross_entropy(logits, labels, scale * pos_weight, scale), mask)


def cross_entropy(
    logits: Array, labels: Array, positive: Array | float = 1.0, negative: Array | float = 1.0
) -> Array:
    """Return the formula of the binary cross-entropy, its two terms weighted, from one exponential.

    Both terms share `log(1 + exp(-|logits|))`; what is left is `|logits|` times the weight of the
    side that the logit is not on. Nothing cancels, and a weight of 0 silences an infinite logit.
    """
    above, size = numerics.fold(logits)
    against = jnp.where(above, negative * (1 - labels), positive * labels)
    shared = (negative + (positive - negative) * labels) * jnp.log1p(jnp.exp(-size))
    return shared + numerics.weighted(against, size)


def sigmoid_focal_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    alpha: ArrayLike | None = None,
    gamma: ArrayLike = 2.0,
    where: ArrayLike | None = None,
) -> Array:
    """Binary cross-entropy that fades where the prediction is right, `alpha_t (1 - p_t)^gamma CE`.

    `p_t = p labels + (1 - p)(1 - labels)` is the probability given to the label, and
    `alpha_t = alpha labels + (1 - alpha)(1 - labels)`. At `gamma = 0` without `alpha` it is the
    cross-entropy. For detection, where easy negatives outnumber everything. It is not proper: its
    probabilities are less confident than the truth and want calibration.

    Convention: soft labels mix inside `p_t`, as in optax; libraries differ there. No `alpha` by
    default; the paper's best is 0.25 at `gamma = 2`.

    Args:
      logits: `[...]`, log-odds.
      labels: `[...]`, in [0, 1].
      alpha: weight of the positives, in [0, 1], that of the negatives being `1 - alpha`; None for
        no weights; broadcasts.
      gamma: how fast easy examples fade, >= 0, also below 1; broadcasts.
      where: True for what counts.

    Returns:
      `[...]`, non-negative, at most the cross-entropy.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.sigmoid_focal_loss(jnp.array([0.0]), jnp.array([1.0])))  # log(2) / 4
      [0.1732868]

    Reference: Lin et al., Focal Loss for Dense Object Detection (2017), eq. 5.
    """
    function = "sigmoid_focal_loss"
    logits, labels, mask = _prepare(function, logits, labels, where)
    gamma = arguments.hyper(function, "gamma", gamma, logits, at_least=0.0)
    fade = numerics.power_of_exp(gamma, _log_probability_against(logits, labels))
    loss = fade * cross_entropy(logits, labels)
    if alpha is not None:
        alpha = arguments.hyper(function, "alpha", alpha, logits, at_least=0.0, at_most=1.0)
        loss = (alpha * labels + (1 - alpha) * (1 - labels)) * loss
    return arguments.masked(loss, mask)


def _log_probability_against(logits: Array, labels: Array) -> Array:
    """Return `log(1 - p_t)`, smooth and accurate also where `p_t` rounds to 1.

    With `q` the share of the label on the logit's side, `1 - p_t` is
    `(q exp(-|x|) + 1 - q) / (1 + exp(-|x|))`. At `q = 1` only the exponential is left, and its
    logarithm is linear; the slope in `q` is kept, because labels are differentiable too.
    """
    positive, size = numerics.fold(logits)
    agreeing = jnp.where(positive, labels, 1 - labels)
    hard = agreeing == 1
    # Beyond 80 only a hard label's logarithm still moves with the logit, and it is linear.
    capped = jnp.where(size < 80, size, 80)
    linear = -size + jnp.log1p((1 - agreeing) * jnp.where(hard, jnp.expm1(capped), 0))
    soft = jnp.where(hard, 0, agreeing)
    near = jnp.log1p(soft * jnp.expm1(-capped))
    far = jnp.log(soft * jnp.exp(-capped) + (1 - soft))
    mixed = jnp.where(capped < 1, near, far)
    return jnp.where(hard, linear, mixed) - jnp.log1p(jnp.exp(-capped))


def asymmetric_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    gamma_negative: ArrayLike = 4.0,
    gamma_positive: ArrayLike = 1.0,
    clip: ArrayLike = 0.05,
    where: ArrayLike | None = None,
) -> Array:
    """Multi-label loss that fades negatives faster than positives and drops the easiest of them.

    `-labels (1 - p)^gamma_positive log(p) - (1 - labels) q^gamma_negative log(1 - q)`, where
    `q = max(p - clip, 0)`: a negative with `p <= clip` costs nothing. At zero exponents and zero
    clip it is the binary cross-entropy. Kink at `p = clip` when `gamma_negative` is 0, where the
    gradient given is 0. Convention: the full gradient; some ports hold the fading factors constant.

    Args:
      logits: `[...]`, log-odds.
      labels: `[...]`, in [0, 1].
      gamma_negative: how fast easy negatives fade, >= 0; broadcasts.
      gamma_positive: how fast easy positives fade, >= 0; broadcasts.
      clip: probability under which a negative is ignored, in [0, 1); broadcasts.
      where: True for what counts.

    Returns:
      `[...]`, non-negative, at most the cross-entropy.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.asymmetric_loss(jnp.array([0.0, -4.0]), jnp.array([1.0, 0.0])))
      [0.3465736 0.       ]

    Reference: Ridnik et al., Asymmetric Loss For Multi-Label Classification (2021), eq. 7.
    """
    function = "asymmetric_loss"
    logits, labels, mask = _prepare(function, logits, labels, where)
    down = arguments.hyper(function, "gamma_negative", gamma_negative, logits, at_least=0.0)
    up = arguments.hyper(function, "gamma_positive", gamma_positive, logits, at_least=0.0)
    clip = arguments.hyper(function, "clip", clip, logits, at_least=0.0, below=1.0)
    miss = numerics.softplus(-logits)  # -log(p)
    alarm = numerics.softplus(logits)  # -log(1 - p)
    # Each label is multiplied in before the factor, to silence what it does not weigh.
    positive = numerics.power_of_exp(up, -alarm) * numerics.weighted(labels, miss)
    unclipped = clip == 0
    capped = -jnp.logaddexp(jnp.where(unclipped, 0, -alarm), numerics.log(clip))
    alarm = jnp.where(unclipped, alarm, numerics.positive_part(capped))
    fade = numerics.power_of_exp(down, _log_shifted_probability(logits, clip))
    loss = positive + fade * numerics.weighted(1 - labels, alarm)
    return arguments.masked(loss, mask)


def _log_shifted_probability(logits: Array, clip: Array) -> Array:
    """Return `log(max(p - clip, 0))` as `log(p) + log(1 - clip / p)`."""
    above = jax.nn.sigmoid(logits) > clip
    logits = jnp.where(above, logits, 0)
    share = numerics.positive_part(1 - clip * (1 + jnp.exp(-logits)))
    return jnp.where(above, numerics.log(share) - numerics.softplus(-logits), -jnp.inf)
