"""Cross-entropies that make up for long-tailed classes.

Conventions: those of `jaxloss.classification.softmax`; `class_counts` `[classes]`, > 0, are how
often each class occurs in the training set, in any unit (counts or frequencies).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloss import arguments, numerics

Array = jax.Array


def _surprisal_of_label(logits: Array, is_label: Array, mask: Array) -> Array:
    surprisal = numerics.softmax(logits, mask).surprisal()
    # NaN, the mark of a label out of range, is picked wherever it stands.
    return jnp.sum(jnp.where(is_label | jnp.isnan(surprisal), surprisal, 0), axis=-1)


def logit_adjusted_cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    class_counts: ArrayLike,
    tau: ArrayLike = 1.0,
    axis: arguments.Axis = -1,
    where: ArrayLike | None = None,
) -> Array:
    """Cross-entropy of `logits + tau * log(class_counts)`; predict with the bare logits.

    Training against the class frequencies leaves logits that are free of them: their softmax suits
    a test set with all classes alike (least balanced error at `tau = 1`). At `tau = 1` this is the
    balanced softmax, at `tau = 0` the cross-entropy.

    Args:
      logits: `[..., classes]`.
      labels: `[...]`, integers in `[0, classes)`.
      class_counts: `[classes]`, > 0.
      tau: strength; number or `[...]`.
      axis: the axis or axes of the classes.
      where: True for what counts, `[..., classes]` or `[...]`.

    Returns:
      `[...]`, non-negative; NaN for a label out of range.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> counts = jnp.array([3.0, 1.0])
      >>> loss = jl.logit_adjusted_cross_entropy(jnp.zeros(2), jnp.array(1), class_counts=counts)
      >>> print(loss)  # log(4): the rare class must beat the odds
      1.3862944

    Reference: Menon et al., Long-Tail Learning via Logit Adjustment (2021), eq. 10; Ren et al.,
    Balanced Meta-Softmax (2020), eq. 3.
    """
    function = "logit_adjusted_cross_entropy"
    logits, is_label, mask = arguments.classes(function, axis, where, logits=logits, labels=labels)
    counts = arguments.class_vector(function, "class_counts", class_counts, logits, above=0.0)
    tau = arguments.per_event(function, "tau", tau, logits)
    adjusted = jnp.where(mask, numerics.centered(logits) + tau * jnp.log(counts), 0)
    return arguments.masked(_surprisal_of_label(adjusted, is_label, mask), mask)


def ldam_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    class_counts: ArrayLike,
    max_margin: ArrayLike = 0.5,
    scale: ArrayLike = 30.0,
    axis: arguments.Axis = -1,
    where: ArrayLike | None = None,
) -> Array:
    """Cross-entropy of `scale * logits`, with a larger margin for rarer classes.

    The margin of a class goes with its count to the power of minus one quarter and is `max_margin`
    for the rarest. Made for logits that are cosines (normalised features and weights), hence the
    scale. At `max_margin = 0` it is the cross-entropy of the scaled logits.

    Args:
      logits: `[..., classes]`, cosines.
      labels: `[...]`, integers in `[0, classes)`.
      class_counts: `[classes]`, > 0.
      max_margin: margin of the rarest class, in units of the logits, >= 0; number or `[...]`.
      scale: inverse temperature, > 0; number or `[...]`.
      axis: the axis or axes of the classes.
      where: True for what counts, `[..., classes]` or `[...]`.

    Returns:
      `[...]`, non-negative; NaN for a label out of range.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> counts = jnp.array([16.0, 1.0])
      >>> loss = jl.ldam_loss(jnp.array([1.0, 1.5]), jnp.array(1), class_counts=counts)
      >>> print(loss)  # the lead of one half is just the margin
      0.6931472

    Reference: Cao et al., Label-Distribution-Aware Margin Loss (2019), eq. 10 to 13.
    """
    function = "ldam_loss"
    logits, is_label, mask = arguments.classes(function, axis, where, logits=logits, labels=labels)
    counts = arguments.class_vector(function, "class_counts", class_counts, logits, above=0.0)
    largest = arguments.per_event(function, "max_margin", max_margin, logits, at_least=0.0)
    scale = arguments.per_event(function, "scale", scale, logits, above=0.0)
    margin = largest * (jnp.min(counts) / counts) ** 0.25
    cosines = numerics.centered(logits) - jnp.where(is_label, margin, 0)
    adjusted = jnp.where(mask, scale * cosines, 0)
    return arguments.masked(_surprisal_of_label(adjusted, is_label, mask), mask)
