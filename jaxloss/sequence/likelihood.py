"""The likelihood of a sequence that is predicted symbol by symbol."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloss import arguments, numerics

Array = jax.Array


def sequence_cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    where: ArrayLike | None = None,
) -> Array:
    """Surprisal of a whole sequence, `-sum(log(p[t, labels[t]]))` over its steps.

    With logits that each see the labels before their own (teacher forcing) this is `-log` of the
    probability that the model gives to the sequence: what is compared between sequences, and what
    policy and preference objectives want. It grows with length. The usual mean over the tokens of
    a batch gives every token the same weight, whatever its sequence: that is
    `mean(softmax_cross_entropy_with_integer_labels(logits, labels), where=where)`; the mean over
    the tokens of each sequence is this loss divided by `where.sum(-1)`.

    Args:
      logits: `[..., T, K]`, unnormalised log-probabilities of the symbol at each step.
      labels: `[..., T]`, integers in `[0, K)`.
      where: True for what counts, `[..., T]` (steps) or `[...]` (sequences).

    Returns:
      `[...]`, non-negative; NaN for a label out of range at a step that counts.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> logits, labels = jnp.zeros((3, 2)), jnp.array([0, 1, -100])
      >>> probability = jnp.exp(-jl.sequence_cross_entropy(logits, labels, where=labels >= 0))
      >>> print(probability)
      0.25

    Reference: Sutskever, Vinyals and Le, Sequence to Sequence Learning (2014), eq. 1.
    """
    function = "sequence_cross_entropy"
    logits = arguments.floating(function, "logits", logits)
    if logits.ndim < 2:
        raise arguments.reject(function, "logits", "of shape [..., T, K]", logits.shape)
    steps = arguments.mask_like(function, where, logits[..., 0])
    scores, is_label, mask = arguments.classes(function, -1, steps, logits=logits, labels=labels)
    surprisal = numerics.softmax(scores, mask).surprisal()
    terms = numerics.weighted(is_label.astype(scores.dtype), surprisal)
    return jnp.sum(arguments.masked(jnp.sum(terms, axis=-1), mask), axis=-1)
