"""Losses of one class among many that a wrong label cannot dominate, with `p = softmax(logits)`.

Conventions shared by every function of this module:

* `logits` are `[..., classes]`, `classes` at `axis`; integer `labels` `[...]` in `[0, classes)`;
  the loss is `[...]`. A label out of range makes value and gradient NaN.
* `where`: True for what counts, `[..., classes]` (leaves classes out of the softmax) or `[...]`
  (examples). A label on a class that is left out makes the loss 0.
* A loss is called symmetric if its sum over all labels is a constant. Its minimiser is then the
  same with and without labels that are wrong uniformly at random (Ghosh et al. 2017), but it
  learns slowly. The losses here lie between that and the cross-entropy.
* `TypeError` for a wrong kind of number, `ValueError` for a wrong shape or hyper-parameter.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloss import arguments, numerics

Array = jax.Array

ACTIVE = ("cross_entropy", "focal")
PASSIVE = ("absolute", "reverse_cross_entropy")


def surprisals(
    function: str, logits: Any, labels: Any, axis: arguments.Axis, where: Any
) -> tuple[Array, Array, Array, Array]:
    """Return `-log p` of the label `[...]` and of all classes, which is the label, and the mask."""
    logits, is_label, mask = arguments.classes(function, axis, where, logits=logits, labels=labels)
    every = numerics.softmax(logits, mask).surprisal()
    # NaN, the mark of a label out of range, is picked wherever it stands.
    own = jnp.sum(jnp.where(is_label | jnp.isnan(every), every, 0), axis=-1)
    labelled = jnp.any(is_label, axis=-1, keepdims=True) | jnp.isnan(own)[..., None]
    return own, every, is_label, mask & labelled


def _miss(surprisal: Array) -> Array:
    """Return `1 - p`, accurate where p is nearly 1."""
    return -numerics.expm1(-surprisal)


def absolute_probability_error(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    axis: arguments.Axis = -1,
    where: ArrayLike | None = None,
) -> Array:
    """Absolute error between the one-hot label and the probabilities, `2 (1 - p[labels])`.

    Symmetric, hence untouched by uniform label noise, and slow: an example that is clearly wrong
    has next to no gradient. Also called the mean absolute error of probabilities; some code leaves
    out the factor 2.

    Args:
      logits: `[..., classes]`, unnormalised log-probabilities.
      labels: `[...]`, integers in `[0, classes)`.
      axis: the axis or axes of the classes.
      where: True for what counts, `[..., classes]` or `[...]`.

    Returns:
      `[...]`, in [0, 2]; NaN for a label out of range.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.absolute_probability_error(jnp.zeros(4), jnp.array(1)))
      1.5

    Reference: Ghosh et al., Robust Loss Functions under Label Noise (2017), section 3.
    """
    function = "absolute_probability_error"
    own, _, _, mask = surprisals(function, logits, labels, axis, where)
    return arguments.masked(2 * _miss(own), mask)


def generalized_cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    q: ArrayLike = 0.7,
    axis: arguments.Axis = -1,
    where: ArrayLike | None = None,
) -> Array:
    """Between cross-entropy and absolute error of probabilities, `(1 - p[labels]^q) / q`.

    At `q = 0` it is the cross-entropy (value and derivative in `q` pass through it smoothly), at 1
    half of `absolute_probability_error`. The gradient is that of the cross-entropy times `p^q`:
    examples that contradict their label count less.

    Args:
      logits: `[..., classes]`, unnormalised log-probabilities.
      labels: `[...]`, integers in `[0, classes)`.
      q: in [0, 1]; number or `[...]`.
      axis: the axis or axes of the classes.
      where: True for what counts, `[..., classes]` or `[...]`.

    Returns:
      `[...]`, in `[0, 1 / q]`; NaN for a label out of range.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.generalized_cross_entropy(jnp.zeros(4), jnp.array(1), q=0.5))
      1.0

    Reference: Zhang and Sabuncu, Generalized Cross Entropy Loss (2018), eq. 6.
    """
    function = "generalized_cross_entropy"
    own, _, _, mask = surprisals(function, logits, labels, axis, where)
    q = arguments.hyper(function, "q", q, own, at_least=0.0, at_most=1.0)
    return arguments.masked(-numerics.power_excess(-own, q), mask)


def reverse_cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    log_zero: ArrayLike = -4.0,
    axis: arguments.Axis = -1,
    where: ArrayLike | None = None,
) -> Array:
    """Cross-entropy with prediction and label exchanged, `-log_zero (1 - p[labels])`.

    The logarithm of a one-hot label's zeros is set to `log_zero`. A multiple of
    `absolute_probability_error`. The paper takes -4; much code clips at 1e-4, which is -9.21.

    Args:
      logits: `[..., classes]`, unnormalised log-probabilities.
      labels: `[...]`, integers in `[0, classes)`.
      log_zero: what stands for log(0), < 0; number or `[...]`.
      axis: the axis or axes of the classes.
      where: True for what counts, `[..., classes]` or `[...]`.

    Returns:
      `[...]`, in `[0, -log_zero]`; NaN for a label out of range.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.reverse_cross_entropy(jnp.zeros(4), jnp.array(1)))
      3.0

    Reference: Wang et al., Symmetric Cross Entropy (2019), eq. 6.
    """
    function = "reverse_cross_entropy"
    own, _, _, mask = surprisals(function, logits, labels, axis, where)
    log_zero = arguments.hyper(function, "log_zero", log_zero, own, below=0.0)
    return arguments.masked(-log_zero * _miss(own), mask)


def symmetric_cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    alpha: ArrayLike = 1.0,
    beta: ArrayLike = 1.0,
    log_zero: ArrayLike = -4.0,
    axis: arguments.Axis = -1,
    where: ArrayLike | None = None,
) -> Array:
    """Cross-entropy in both directions, `alpha CE + beta RCE`.

    `CE = -log(p[labels])` learns, `RCE = -log_zero (1 - p[labels])` withstands wrong labels. The
    name does not mean that the loss is symmetric in the sense of this module: for `alpha > 0` it
    is not.

    Args:
      logits: `[..., classes]`, unnormalised log-probabilities.
      labels: `[...]`, integers in `[0, classes)`.
      alpha: weight of the cross-entropy, >= 0; number or `[...]`. The paper: 0.1 on CIFAR-10.
      beta: weight of the reverse cross-entropy, >= 0; number or `[...]`.
      log_zero: what stands for log(0), < 0; number or `[...]`.
      axis: the axis or axes of the classes.
      where: True for what counts, `[..., classes]` or `[...]`.

    Returns:
      `[...]`, non-negative; NaN for a label out of range.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.symmetric_cross_entropy(jnp.zeros(2), jnp.array(1)))  # log(2) + 4 / 2
      2.6931472

    Reference: Wang et al., Symmetric Cross Entropy (2019), eq. 5 to 7.
    """
    function = "symmetric_cross_entropy"
    own, _, _, mask = surprisals(function, logits, labels, axis, where)
    alpha = arguments.hyper(function, "alpha", alpha, own, at_least=0.0)
    beta = arguments.hyper(function, "beta", beta, own, at_least=0.0)
    log_zero = arguments.hyper(function, "log_zero", log_zero, own, below=0.0)
    loss = numerics.weighted(alpha, own) - beta * log_zero * _miss(own)
    return arguments.masked(loss, mask)


def normalized_cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    axis: arguments.Axis = -1,
    where: ArrayLike | None = None,
) -> Array:
    """Share of the label in the cross-entropies with all labels, `log p[labels] / sum_k log p_k`.

    Symmetric: the shares sum to 1 over the labels. It underfits by itself; the paper adds a passive
    loss (`active_passive_loss`). With one class alone the loss is 0.

    Args:
      logits: `[..., classes]`, unnormalised log-probabilities, finite.
      labels: `[...]`, integers in `[0, classes)`.
      axis: the axis or axes of the classes.
      where: True for what counts, `[..., classes]` or `[...]`.

    Returns:
      `[...]`, in [0, 1]; NaN for a label out of range.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.normalized_cross_entropy(jnp.zeros(4), jnp.array(1)))
      0.25

    Reference: Ma et al., Normalized Loss Functions (2020), eq. 7.
    """
    function = "normalized_cross_entropy"
    own, every, _, mask = surprisals(function, logits, labels, axis, where)
    return arguments.masked(numerics.divide(own, _sum_present(every, mask)), mask)


def _sum_present(every: Array, mask: Array) -> Array:
    return jnp.sum(jnp.where(mask | jnp.isnan(every), every, 0), axis=-1)


def normalized_focal_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    gamma: ArrayLike = 0.5,
    axis: arguments.Axis = -1,
    where: ArrayLike | None = None,
) -> Array:
    """Share of the label in the focal losses of all labels, `f[labels] / sum_k f_k`.

    `f_k = -(1 - p_k)^gamma log p_k`. At `gamma = 0` it is `normalized_cross_entropy`. The gradient
    flows through every factor; code that holds `1 - p` constant has another one.

    Args:
      logits: `[..., classes]`, unnormalised log-probabilities, finite.
      labels: `[...]`, integers in `[0, classes)`.
      gamma: how fast easy examples fade, >= 0; number or `[...]`.
      axis: the axis or axes of the classes.
      where: True for what counts, `[..., classes]` or `[...]`.

    Returns:
      `[...]`, in [0, 1]; NaN for a label out of range.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.normalized_focal_loss(jnp.zeros(4), jnp.array(1)))
      0.25

    Reference: Ma et al., Normalized Loss Functions (2020), eq. 9.
    """
    function = "normalized_focal_loss"
    own, every, is_label, mask = surprisals(function, logits, labels, axis, where)
    gamma = arguments.per_event(function, "gamma", gamma, every, at_least=0.0)
    return arguments.masked(_focal_share(own, every, gamma, is_label, mask), mask)


def _focal_share(own: Array, every: Array, gamma: Array, is_label: Array, mask: Array) -> Array:
    present = jnp.where(mask, every, 1)
    terms = numerics.power_of_exp(gamma, numerics.log(_miss(present))) * present
    label = jnp.sum(jnp.where(is_label, terms, 0), axis=-1)
    share = numerics.divide(label, _sum_present(terms, mask))
    return jnp.where(jnp.isnan(own), own, share)


def active_passive_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    alpha: ArrayLike = 1.0,
    beta: ArrayLike = 1.0,
    active: str = "cross_entropy",
    passive: str = "absolute",
    gamma: ArrayLike = 0.5,
    log_zero: ArrayLike = -4.0,
    axis: arguments.Axis = -1,
    where: ArrayLike | None = None,
) -> Array:
    """A normalised loss that raises the label plus one that lowers the others.

    `alpha A + beta B`, both symmetric, hence their sum: A is `normalized_cross_entropy` or
    `normalized_focal_loss`, B `absolute_probability_error` or `reverse_cross_entropy`.

    Args:
      logits: `[..., classes]`, unnormalised log-probabilities, finite.
      labels: `[...]`, integers in `[0, classes)`.
      alpha: weight of the active part, >= 0; number or `[...]`.
      beta: weight of the passive part, >= 0; number or `[...]`.
      active: "cross_entropy" or "focal"; a choice, not traced.
      passive: "absolute" or "reverse_cross_entropy"; a choice, not traced.
      gamma: of the focal loss, >= 0; number or `[...]`.
      log_zero: of the reverse cross-entropy, < 0; number or `[...]`.
      axis: the axis or axes of the classes.
      where: True for what counts, `[..., classes]` or `[...]`.

    Returns:
      `[...]`, non-negative; NaN for a label out of range.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.active_passive_loss(jnp.zeros(4), jnp.array(1)))  # 1 / 4 + 2 * 3 / 4
      1.75

    Reference: Ma et al., Normalized Loss Functions (2020), eq. 12.
    """
    function = "active_passive_loss"
    own, every, is_label, mask = surprisals(function, logits, labels, axis, where)
    alpha = arguments.hyper(function, "alpha", alpha, own, at_least=0.0)
    beta = arguments.hyper(function, "beta", beta, own, at_least=0.0)
    gamma = arguments.per_event(function, "gamma", gamma, every, at_least=0.0)
    log_zero = arguments.hyper(function, "log_zero", log_zero, own, below=0.0)
    parts = {
        "cross_entropy": lambda: numerics.divide(own, _sum_present(every, mask)),
        "focal": lambda: _focal_share(own, every, gamma, is_label, mask),
        "absolute": lambda: 2 * _miss(own),
        "reverse_cross_entropy": lambda: -log_zero * _miss(own),
    }
    for name, choice, choices in (("active", active, ACTIVE), ("passive", passive, PASSIVE)):
        if choice not in choices:
            raise arguments.reject(function, name, f"one of {choices}", repr(choice))
    return arguments.masked(alpha * parts[active]() + beta * parts[passive](), mask)


def taylor_cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    order: int = 2,
    axis: arguments.Axis = -1,
    where: ArrayLike | None = None,
) -> Array:
    """Cross-entropy cut after some terms of its series, `sum_{k=1}^order (1 - p[labels])^k / k`.

    Order 1 is half of `absolute_probability_error`; as the order grows the loss tends to the
    cross-entropy from below. Bounded by the harmonic number of the order.

    Args:
      logits: `[..., classes]`, unnormalised log-probabilities.
      labels: `[...]`, integers in `[0, classes)`.
      order: number of terms, >= 1; an integer, not traced.
      axis: the axis or axes of the classes.
      where: True for what counts, `[..., classes]` or `[...]`.

    Returns:
      `[...]`, non-negative; NaN for a label out of range.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.taylor_cross_entropy(jnp.zeros(2), jnp.array(1)))  # 1 / 2 + 1 / 8
      0.625

    Reference: Feng et al., Can Cross Entropy Loss Be Robust to Label Noise? (2020), eq. 6.
    """
    function = "taylor_cross_entropy"
    if not isinstance(order, int) or isinstance(order, bool) or order < 1:
        raise arguments.reject(function, "order", "an integer >= 1", repr(order))
    own, _, _, mask = surprisals(function, logits, labels, axis, where)
    miss = _miss(own)
    loss = jnp.zeros_like(miss)
    for k in range(order, 0, -1):  # Horner's scheme
        loss = miss * (loss + 1 / k)
    return arguments.masked(loss, mask)
