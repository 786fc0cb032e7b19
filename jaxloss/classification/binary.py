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
    # Added to, because JAX cannot trace a rule twice on what is still a NumPy array under vmap.
    return logits + 0, labels, mask


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
    # Each share on its own: one minus a smoothed label has lost digits.
    yes, no = ((1 - smoothing) * share + smoothing / 2 for share in (labels, 1 - labels))
    total = scale * (1 + (pos_weight - 1) * yes)
    loss = cross_entropy(logits, scale * pos_weight * yes, scale * no, total)
    return arguments.masked(loss, mask)


@jax.custom_jvp
def cross_entropy(logits: Array, yes: Array, no: Array, total: Array) -> Array:
    """Return `-yes log(p) - no log(1 - p)`, from one exponential; `total` is `yes + no`.

    Both terms share `log(1 + exp(-|logits|))`; what is left is `|logits|` times the weight of the
    side that the logit is not on. Nothing cancels, and a weight of 0 silences an infinite logit.
    """
    size, against = jnp.abs(logits), jnp.where(logits > 0, no, yes)
    silent = jnp.isinf(size) & (against == 0)
    loss = total * jnp.log1p(jnp.exp(-size)) + against * jnp.where(silent, 0, size)
    # Selected last, which lets the compiler form all of it, and a sum over it, in one loop.
    return jnp.where(jnp.isnan(size), size, loss)


@cross_entropy.defjvp
def _cross_entropy_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    # Autodiff adds the slope of a side to that of the shared term, which nearly cancel.
    logits, yes, no, _ = primals
    above, size = numerics.fold(logits)
    step, more = numerics.sigmoid_terms(logits)
    slope = (no * step - yes * (1 - step)) + (yes + no) * more
    silent = jnp.isinf(size) & (jnp.where(above, no, yes) == 0)
    against = jnp.where(above, tangents[2], tangents[1]) * jnp.where(silent, 0, size)
    shared = tangents[3] * jnp.log1p(jnp.exp(-size))
    return cross_entropy(*primals), slope * tangents[0] + shared + against


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
    weight = jnp.ones_like(logits)
    if alpha is not None:
        alpha = arguments.hyper(function, "alpha", alpha, logits, at_least=0.0, at_most=1.0)
        # Its slope in one piece: that of two terms would drown the label's own.
        weight = (2 * alpha - 1) * labels + (1 - alpha)
        weight = numerics.valued(weight, alpha * labels + (1 - alpha) * (1 - labels))
    return arguments.masked(_focal(logits, labels, gamma, weight), mask)


@jax.custom_jvp
def _focal(logits: Array, labels: Array, gamma: Array, weight: Array) -> Array:
    loss, _, fade, rest = _focal_parts(logits, labels, gamma)
    return weight * fade * loss * rest


def _focal_parts(logits: Array, labels: Array, gamma: Array) -> tuple[Array, ...]:
    """Return the cross-entropy, `1 - p_t`, and two factors of `(1 - p_t)^gamma`.

    With `p = step + more`, `1 - p_t = labels + (1 - 2 labels) p` is accurate also where `p_t`
    rounds to 1, as long as `step` is first.
    """
    step, more = numerics.sigmoid_terms(logits)
    against, lost = numerics.add(step, labels * (1 - 2 * step), (1 - 2 * labels) * more)
    # Where it vanishes its powers need not: the label is hard, and the logarithm linear.
    vanished = numerics.power_of_exp(0.5 * gamma, -jnp.abs(logits))
    whole, half = (numerics.power(against, k * gamma, lost) for k in (1, 0.5))
    half = jnp.where(against == 0, vanished, half)
    # Of a small power the roots, of which none vanishes before it meets a large loss.
    enough = whole > 1e-20
    loss = cross_entropy(logits, labels, 1 - labels, jnp.ones_like(logits))
    return loss, against, jnp.where(enough, whole, half), jnp.where(enough, 1, half)


@_focal.defjvp
def _focal_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    # Autodiff multiplies by a power that overflows before one that vanishes, and subtracts the two
    # sides, which are nearly equal at a small logit or a balanced label.
    logits, labels, gamma, weight = primals
    loss, against, fade, rest = _focal_parts(logits, labels, gamma)
    vanished, weighted = against == 0, weight * fade
    share = numerics.divide(loss, jnp.where(vanished, 1, against))
    pull = weighted * jnp.where(vanished, 1, share)
    yes, no = numerics.sigmoid(-logits), numerics.sigmoid(logits)
    step, more = numerics.sigmoid_terms(logits)
    log_against = jnp.where(vanished, -jnp.abs(logits), jnp.log(jnp.where(vanished, 1, against)))
    slopes = (
        weighted * ((step - labels) + more) + pull * (1 - 2 * labels) * yes * no * gamma,
        pull * ((1 - 2 * step) - 2 * more) * gamma - weighted * logits,
        weighted * numerics.weighted(loss, log_against),
        fade * loss,
    )
    change = sum(by * rest * t for by, t in zip(slopes, tangents, strict=True))
    return _focal(*primals), jnp.asarray(change)


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
    above, size = numerics.fold(logits)
    shared = numerics.log1p(jnp.exp(-size))
    miss = shared + jnp.where(above, 0, size)  # -log(p)
    alarm = shared + jnp.where(above, size, 0)  # -log(1 - p)
    right = numerics.sigmoid(-logits)
    # Each label is multiplied in before the factor, to silence what it does not weigh.
    positive = numerics.power(right, up) * numerics.weighted(labels, miss)
    step, more = numerics.sigmoid_terms(logits)
    shifted, lost = numerics.add(step, -clip, more)
    shifted = numerics.positive_part(shifted)
    small = shifted < 0.5
    near = -numerics.log1p(-jnp.where(small, shifted, 0))
    far = -jnp.log(jnp.where(small | (clip == 0), 1, right + clip))
    alarm = jnp.where(clip == 0, alarm, jnp.where(small, near, far))
    negative = numerics.power(shifted, down, lost) * numerics.weighted(1 - labels, alarm)
    return arguments.masked(positive + negative, mask)
