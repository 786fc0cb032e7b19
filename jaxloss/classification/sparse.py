"""Losses whose predictions are sparse distributions, and Fenchel-Young losses in general.

Conventions: binary and multiclass shapes, masks and labels are those of
`jaxloss.classification.binary` and `jaxloss.classification.margin`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from jaxloss import arguments, numerics

Array = jax.Array


def sparsemax_loss(
    logits: ArrayLike, labels: ArrayLike, *, where: ArrayLike | None = None
) -> Array:
    """Binary sparsemax loss: a quadratic bend from 0 to the linear loss of a wrong sign.

    For a label of 1: 0 from `logits = 1` on, `(1 - logits)^2 / 4` down to -1, `-logits` below.
    It is 0 if and only if `jax.nn.sparse_sigmoid(logits) == labels`, soft labels included; the
    gradient is their difference.

    Args:
      logits: `[...]`, real scores.
      labels: `[...]`, in [0, 1]; NaN outside.
      where: True for what counts.

    Returns:
      `[...]`, non-negative.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.sparsemax_loss(jnp.array([2.0, 0.0, -3.0]), jnp.array([1, 1, 1])))
      [0.   0.25 3.  ]

    Reference: Blondel et al., Learning with Fenchel-Young Losses (2020), section 4.4.
    """
    (logits, labels), mask = arguments.elementwise(
        "sparsemax_loss", where, logits=logits, labels=labels
    )
    labels = jnp.where((labels >= 0) & (labels <= 1), labels, jnp.nan)
    high = numerics.weighted(1 - labels, logits - labels)
    low = numerics.weighted(labels, labels - 1 - logits)
    inside = jnp.abs(logits) < 1
    bend = (jnp.where(inside, logits, 0) + (1 - 2 * labels)) ** 2 / 4
    loss = jnp.where(inside, bend, jnp.where(logits < 0, low, high))
    return arguments.masked(loss, mask)


def multiclass_sparsemax_loss(
    scores: ArrayLike, labels: ArrayLike, *, where: ArrayLike | None = None
) -> Array:
    """Loss of the Euclidean projection of the scores on the simplex, in place of a softmax.

    With `p = sparsemax(scores)`, threshold `t` and the one-hot label `y`:
    `|y - p|^2 / 2 + max(0, t - s_y)`. It is 0 as soon as the right class leads by 1. Convex, once
    continuously differentiable, with gradient `p - y`.

    Args:
      scores: `[..., classes]`, real.
      labels: `[...]`, integers in `[0, classes)`.
      where: True for what counts, `[..., classes]` or `[...]`.

    Returns:
      `[...]`, non-negative.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> scores = jnp.array([[0.0, 0.0], [5.0, 0.0]])
      >>> print(jl.multiclass_sparsemax_loss(scores, jnp.array([0, 0])))
      [0.25 0.  ]

    Reference: Martins and Astudillo, From Softmax to Sparsemax (2016), eq. 14 to 16.
    """
    scores, is_label, mask = arguments.classes(
        "multiclass_sparsemax_loss", -1, where, scores=scores, labels=labels
    )
    loss = _sparsemax_loss(scores, is_label, mask)
    labelled = jnp.any(is_label, axis=-1) | jnp.any(jnp.isnan(scores), axis=-1)
    return arguments.masked(loss, mask & labelled[..., None])


@jax.custom_jvp
def _sparsemax_loss(scores: Array, is_label: Array, mask: Array) -> Array:
    probabilities, threshold, top = _sparsemax(scores, mask)
    distance = jnp.sum((is_label.astype(scores.dtype) - probabilities) ** 2, axis=-1) / 2
    own = jnp.sum(jnp.where(is_label, scores, 0), axis=-1)
    # The gap to the highest score is exact however far from 0 both are.
    outside = numerics.positive_part(threshold + (top - own))
    return distance + jnp.where(jnp.isnan(own), own, outside)


@_sparsemax_loss.defjvp
def _sparsemax_loss_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    # Autodiff takes the wrong side where a class is just about to enter the support.
    scores, is_label, mask = primals
    probabilities, _, _ = _sparsemax(scores, mask)
    slope = jnp.where(mask, probabilities - is_label.astype(scores.dtype), 0)
    return _sparsemax_loss(*primals), jnp.sum(slope * tangents[0], axis=-1)


def _sparsemax(scores: Array, mask: Array) -> tuple[Array, Array, Array]:
    """Return the projection on the simplex `[..., classes]`, its threshold, and what that is from.

    The threshold `[...]` is counted from the highest score `[...]`, or from 0 if that is infinite.
    """
    present = mask | ~jnp.any(mask, axis=-1, keepdims=True)
    scores = jnp.where(present, scores, -jnp.inf)
    top = lax.stop_gradient(jnp.max(scores, axis=-1, keepdims=True))
    top = jnp.where(jnp.isfinite(top), top, 0)
    ordered = -numerics.sort(-(scores - top))
    count = 1 + lax.broadcasted_iota(scores.dtype, scores.shape, scores.ndim - 1)
    # A class of minus infinity never enters, but its partial sums would not be numbers.
    total = jnp.cumsum(jnp.where(jnp.isneginf(ordered), 0, ordered), axis=-1)
    inside = 1 + count * ordered > total
    size = jnp.sum(inside, axis=-1, keepdims=True, dtype=scores.dtype)
    threshold = (jnp.sum(jnp.where(inside, ordered, 0), axis=-1, keepdims=True) - 1) / size
    projected = numerics.positive_part(scores - top - threshold)
    return projected, threshold[..., 0], top[..., 0]


def make_fenchel_young_loss(
    max_fun: Callable[..., Any], regularizer: Callable[..., Any] | None = None
) -> Callable[..., Array]:
    """Make a loss of a convex conjugate: `max_fun(s) - <s, y> + regularizer(y)`.

    `max_fun(scores)` is the maximum over distributions `q` of `<scores, q> - regularizer(q)`; its
    gradient is the prediction and the loss's gradient is prediction minus targets. With
    `logsumexp` and the negative entropy this is the Kullback-Leibler divergence from the softmax.

    Args:
      max_fun: takes scores `[n]` to a number; convex.
      regularizer: takes targets `[n]` to a number. Without it the loss is offset by a function of
        the targets alone (none for one-hot targets and the entropy), and may be negative.

    Returns:
      `loss(scores, targets, *args, where=None, **kwargs)`: scores and targets `[..., n]` of equal
      shapes, `where` `[...]`, other arguments handed on to `max_fun`. The loss is `[...]`; with a
      `regularizer` it is non-negative.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> from jax.scipy.special import logsumexp
      >>> loss = jl.make_fenchel_young_loss(logsumexp)
      >>> print(loss(jnp.array([1.0, 1.0]), jnp.array([1.0, 0.0])))
      0.6931472

    Reference: Blondel et al., Learning with Fenchel-Young Losses (2020), eq. 14.
    """
    rows = jnp.vectorize(regularizer, signature="(n)->()") if regularizer else None

    def fenchel_young_loss(
        scores: Any, targets: Any, *args: Any, where: Any = None, **kwargs: Any
    ) -> Array:
        function = "fenchel_young_loss"
        if where is not None and np.ndim(where) >= max(np.ndim(scores), 1):
            expected = f"of shape {np.shape(scores)[:-1]} (examples)"
            raise arguments.reject(function, "where", expected, np.shape(where))
        (scores, targets), mask = arguments.events(
            function, -1, where, scores=scores, targets=targets
        )
        best = jnp.vectorize(lambda s: max_fun(s, *args, **kwargs), signature="(n)->()")(scores)
        loss = best - jnp.sum(numerics.weighted(targets, scores), axis=-1)
        if rows is not None:
            loss = loss + rows(targets)
            # Rounding may leave less than the 0 that Fenchel's inequality promises.
            loss = loss + lax.stop_gradient(numerics.positive_part(-loss))
        return arguments.masked(loss, mask)

    return fenchel_young_loss
