"""Losses of a model at clean and at perturbed inputs: adversarial training.

The perturbed inputs come from `jaxloss.adversarial.pgd` and its like; the losses see logits only.
Conventions shared by every function of this module:

* `logits` are those of the clean inputs and `adversarial_logits` those of the perturbed ones, both
  `[..., classes]`, `classes` at `axis` (one axis, several, or None for all), of equal shapes; the
  loss is `[...]`. Integer `labels` are `[...]`; one out of range makes value and gradient NaN.
* `where`: True for what counts, `[..., classes]` to leave classes out or `[...]` to leave examples
  out.
* `TypeError` for a wrong kind of number, `ValueError` for a wrong shape or hyper-parameter.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxloss import arguments, numerics

Array = jax.Array


def adversarial_cross_entropy(
    logits: ArrayLike,
    adversarial_logits: ArrayLike,
    labels: ArrayLike,
    *,
    weight: ArrayLike = 0.5,
    axis: arguments.Axis = -1,
    where: ArrayLike | None = None,
) -> Array:
    """Cross-entropy of clean and perturbed examples, `(1 - weight) CE(clean) + weight CE(adv)`.

    Where the perturbation raised the loss it is never below the clean one, and where it is none
    (radius 0) it equals it. `weight = 1` is training on perturbed examples only.

    Args:
      logits: `[..., classes]`, at the clean inputs.
      adversarial_logits: `[..., classes]`, at the perturbed inputs.
      labels: `[...]`, integers in `[0, classes)`.
      weight: of the perturbed example, in [0, 1]; number or `[...]`. The paper's `1 - alpha`.
      axis: the axis or axes of the classes.
      where: True for what counts, `[..., classes]` or `[...]`.

    Returns:
      `[...]`, non-negative.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> clean, perturbed = jnp.array([[20.0, 0.0]]), jnp.array([[0.0, 0.0]])
      >>> print(jl.adversarial_cross_entropy(clean, perturbed, jnp.array([0])))  # log(2) / 2
      [0.3465736]

    Reference: Goodfellow et al., Explaining and Harnessing Adversarial Examples (2015), section 6.
    """
    function = "adversarial_cross_entropy"
    parts, is_label, mask = _softmaxes(function, axis, where, logits, adversarial_logits, labels)
    clean, perturbed = (_cross_entropy(p, is_label) for p in parts)
    weight = arguments.hyper(function, "weight", weight, clean, at_least=0.0, at_most=1.0)
    loss = numerics.weighted(1 - weight, clean) + numerics.weighted(weight, perturbed)
    return arguments.masked(loss, mask)


def trades_loss(
    logits: ArrayLike,
    adversarial_logits: ArrayLike,
    labels: ArrayLike,
    *,
    beta: ArrayLike = 6.0,
    axis: arguments.Axis = -1,
    where: ArrayLike | None = None,
) -> Array:
    """Accuracy on clean examples, and the same answer on perturbed ones, `CE + beta KL(p || q)`.

    `p = softmax(logits)` and `q = softmax(adversarial_logits)`; only the clean examples see the
    label, and the gradient flows through both distributions. `beta` buys robustness with accuracy.
    The perturbation that belongs to it climbs the same divergence, from a random start: its
    gradient is zero at the inputs themselves.

    Args:
      logits: `[..., classes]`, at the clean inputs.
      adversarial_logits: `[..., classes]`, at the perturbed inputs.
      labels: `[...]`, integers in `[0, classes)`.
      beta: weight of the divergence, >= 0; number or `[...]`. The paper's `1 / lambda`.
      axis: the axis or axes of the classes.
      where: True for what counts, `[..., classes]` or `[...]`.

    Returns:
      `[...]`, non-negative; the cross-entropy where both logits are equal.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> clean, perturbed = jnp.zeros((1, 2)), jnp.array([[jnp.log(3.0), 0.0]])
      >>> print(jl.trades_loss(clean, perturbed, jnp.array([0]), beta=1.0))  # log(4 / sqrt(3))
      [0.8369882]

    Reference: Zhang et al., Theoretically Principled Trade-off between Robustness and Accuracy
    (2019), eq. 5, with the Kullback-Leibler divergence of its experiments.
    """
    function = "trades_loss"
    parts, is_label, mask = _softmaxes(function, axis, where, logits, adversarial_logits, labels)
    cross_entropy = _cross_entropy(parts[0], is_label)
    beta = arguments.hyper(function, "beta", beta, cross_entropy, at_least=0.0)
    return arguments.masked(cross_entropy + numerics.weighted(beta, _divergence(*parts)), mask)


def virtual_adversarial_loss(
    logits: ArrayLike,
    adversarial_logits: ArrayLike,
    *,
    axis: arguments.Axis = -1,
    where: ArrayLike | None = None,
) -> Array:
    """How far a small perturbation moves the prediction, `KL(p || q)`; no label needed.

    `p = softmax(logits)` and `q = softmax(adversarial_logits)`, at the inputs that
    `virtual_adversarial_perturbation` returns. It smooths the prediction around unlabelled
    examples. By design no gradient flows through `p`, the prediction that is to be kept.

    Args:
      logits: `[..., classes]`, at the clean inputs; taken as constant.
      adversarial_logits: `[..., classes]`, at the perturbed inputs.
      axis: the axis or axes of the classes.
      where: True for what counts, `[..., classes]` or `[...]`.

    Returns:
      `[...]`, non-negative, 0 where both logits are equal.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> clean, perturbed = jnp.zeros((1, 2)), jnp.array([[jnp.log(3.0), 0.0]])
      >>> print(jl.virtual_adversarial_loss(clean, perturbed))  # log(2 / sqrt(3))
      [0.143841]

    Reference: Miyato et al., Virtual Adversarial Training (2018), eq. 7 and 8.
    """
    function = "virtual_adversarial_loss"
    (clean, perturbed), mask = arguments.events(
        function, axis, where, logits=logits, adversarial_logits=adversarial_logits
    )
    # The paper's constant copy of the parameters: the target does not move towards the answer.
    kept = numerics.softmax(lax.stop_gradient(clean), mask)
    return arguments.masked(_divergence(kept, numerics.softmax(perturbed, mask)), mask)


def _softmaxes(
    function: str, axis: arguments.Axis, where: Any, logits: Any, adversarial: Any, labels: Any
) -> tuple[tuple[numerics.Softmax, numerics.Softmax], Array, Array]:
    """Return both softmaxes, the labels as a one-hot mask, and the mask of what counts."""
    clean = arguments.floating(function, "logits", logits)
    perturbed = arguments.floating(function, "adversarial_logits", adversarial)
    arguments.same_shape(function, logits=clean, adversarial_logits=perturbed)
    dtype = arguments.working_dtype(clean, perturbed)
    first, is_label, mask = arguments.classes(
        function, axis, where, labels=labels, logits=clean.astype(dtype)
    )
    second, _, _ = arguments.classes(
        function, axis, where, labels=labels, adversarial_logits=perturbed.astype(dtype)
    )
    return (numerics.softmax(first, mask), numerics.softmax(second, mask)), is_label, mask


def _cross_entropy(parts: numerics.Softmax, is_label: Array) -> Array:
    surprisal = parts.surprisal()
    return jnp.sum(numerics.weighted(is_label.astype(surprisal.dtype), surprisal), axis=-1)


def _divergence(kept: numerics.Softmax, moved: numerics.Softmax) -> Array:
    """Return `KL(p || q)` as the sum of `q - p - p log(q / p)`.

    The first two terms add up to nothing over the classes, and make every term non-negative.
    """
    p, q = jnp.exp(-kept.surprisal()), jnp.exp(-moved.surprisal())
    gone = p == 0
    ratio = jnp.where(gone, 0, kept.surprisal() - moved.surprisal())
    near = jnp.abs(ratio) < 0.5
    close = p * numerics.exp_remainder(jnp.where(near, ratio, 0))
    far = q - p - p * jnp.where(near, 1, ratio)
    return jnp.sum(jnp.where(gone, q, jnp.where(near, close, far)), axis=-1)
