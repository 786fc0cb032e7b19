"""From scores to decisions: the threshold of each label, chosen on held-out data."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloss import arguments, numerics

Array = jax.Array


def fbeta_thresholds(
    scores: ArrayLike, labels: ArrayLike, *, beta: ArrayLike = 1.0, where: ArrayLike | None = None
) -> Array:
    """Choose for each label the threshold with the greatest F-beta on the examples given.

    Decide `scores >= threshold` afterwards. Every threshold that makes a difference is tried:
    the value returned lies halfway between the last score accepted and the first refused (at the
    last score where all are accepted). Of equally good thresholds the highest is returned; for a
    label without positive examples it is infinite. Works under `jit`; not differentiable.

    Args:
      scores: `[examples, labels]` or `[examples]`, logits or probabilities of held-out data.
      labels: the same shape, 0 or 1.
      beta: how many times recall counts as much as precision, > 0; broadcasts to the labels.
      where: True for what counts; shape of the scores, or `[examples]`.

    Returns:
      `[labels]` (or `[]`), in the space of the scores.

    Raises:
      ValueError: for shapes that differ, for no examples at all, for `beta <= 0`.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> scores = jnp.array([0.1, 0.2, 0.3, 0.4])
      >>> print(jl.fbeta_thresholds(scores, jnp.array([0, 1, 0, 1])))
      0.15

    Reference: Lipton et al., Optimal Thresholding of Classifiers to Maximize F1 (2014).
    """
    function = "fbeta_thresholds"
    (scores, labels), mask = arguments.elementwise(function, where, scores=scores, labels=labels)
    if scores.ndim == 0 or scores.shape[0] == 0:
        expected = "of shape [examples, ...] with at least one example"
        raise arguments.reject(function, "scores", expected, f"shape {scores.shape}")
    labels = jnp.where((labels == 0) | (labels == 1), labels, jnp.nan)
    beta = arguments.hyper(function, "beta", beta, scores[0], above=0.0)[None]
    if mask is not None:
        # Refused by every threshold, and so counted by none.
        scores, labels = jnp.where(mask, scores, -jnp.inf), jnp.where(mask, labels, 0)
    order = jnp.argsort(scores, axis=0, descending=True)
    scores = jnp.take_along_axis(scores, order, axis=0)
    hits = jnp.cumsum(jnp.take_along_axis(labels, order, axis=0), axis=0)
    following = jnp.concatenate([scores[1:], jnp.full_like(scores[:1], -jnp.inf)])
    accepted = arguments.expand_right(
        jnp.arange(1.0, 1 + len(scores), dtype=scores.dtype), scores.ndim
    )
    fbeta = numerics.divide((1 + beta**2) * hits, beta**2 * hits[-1:] + accepted)
    # Equal scores are accepted together, and a masked one never.
    fbeta = jnp.where((scores > following) & (scores > -jnp.inf), fbeta, -1)
    best = jnp.argmax(fbeta, axis=0)[None]
    lowest, refused = (jnp.take_along_axis(a, best, axis=0)[0] for a in (scores, following))
    halfway = jnp.where(jnp.isinf(refused), lowest, lowest + (refused - lowest) / 2)
    threshold = jnp.where(halfway > refused, halfway, lowest)
    found = jnp.where(jnp.isnan(hits[-1]), jnp.nan, jnp.where(hits[-1] > 0, threshold, jnp.inf))
    return jnp.where(jnp.any(jnp.isnan(scores), axis=0), jnp.nan, found)
