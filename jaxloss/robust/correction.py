"""Cross-entropies corrected for label noise: by its known rates, or by the model's own opinion.

Conventions: those of `jaxloss.robust.noise`. A `transition` matrix `[classes, classes]` has in row
`i`, column `j` the probability that a label that should be `i` is given as `j`: rows sum to 1.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from jaxloss import arguments, numerics
from jaxloss.robust.noise import surprisals

Array = jax.Array


def _transition(function: str, transition: Any, like: Array) -> Array:
    """Convert and check a matrix of label noise for logits `[..., classes]`."""
    matrix = arguments.real(function, "transition", transition).astype(like.dtype)
    size = like.shape[-1]
    if matrix.shape != (size, size):
        expected = f"of shape ({size}, {size}), one row for each true class"
        raise arguments.reject(function, "transition", expected, f"shape {matrix.shape}")
    if not isinstance(transition, jax.core.Tracer):
        known = np.asarray(transition, np.float64)
        if not (np.all(known >= 0) and np.allclose(known.sum(axis=1), 1, atol=1e-4)):
            expected = "non-negative with rows that sum to 1"
            raise arguments.reject(function, "transition", expected, known.tolist())
    return jnp.where(jnp.all(matrix >= 0), matrix, jnp.nan)


def forward_corrected_cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    transition: ArrayLike,
    axis: arguments.Axis = -1,
    where: ArrayLike | None = None,
) -> Array:
    """Cross-entropy of what noise makes of the prediction, `-log(sum_k p_k transition[k, labels])`.

    Its minimiser on noisy labels is that of the cross-entropy on clean ones, if the transition is
    right and invertible. At the identity it is the cross-entropy.

    Args:
      logits: `[..., classes]`, unnormalised log-probabilities.
      labels: `[...]`, integers in `[0, classes)`.
      transition: `[classes, classes]`, rows sum to 1.
      axis: the axis or axes of the classes.
      where: True for what counts, `[..., classes]` or `[...]`.

    Returns:
      `[...]`, non-negative; NaN for a label out of range.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> noise = jnp.array([[0.75, 0.25], [0.25, 0.75]])
      >>> logits = jnp.array([1000.0, 0.0])
      >>> loss = jl.forward_corrected_cross_entropy(logits, jnp.array(1), transition=noise)
      >>> print(loss)  # log(4)
      1.3862944

    Reference: Patrini et al., Making Deep Neural Networks Robust to Label Noise (2017), theorem 2.
    """
    function = "forward_corrected_cross_entropy"
    own, every, is_label, mask = surprisals(function, logits, labels, axis, where)
    log_rates = numerics.log(_transition(function, transition, every))
    # Column of the label for each true class, by a product: no lookup that a mesh would mind.
    chosen = jnp.where(is_label[..., None, :], arguments.expand_left(log_rates, every.ndim + 1), 0)
    terms = jnp.sum(chosen, axis=-1) - every
    loss = -numerics.log_sum_exp(jnp.where(mask, terms, -jnp.inf))
    return arguments.masked(numerics.positive_part(jnp.where(jnp.isnan(own), own, loss)), mask)


def backward_corrected_cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    transition: ArrayLike,
    axis: arguments.Axis = -1,
    where: ArrayLike | None = None,
) -> Array:
    """Cross-entropies of all labels weighted by the inverse noise, `sum_k inverse[labels, k] CE_k`.

    `CE_k = -log p_k` and `inverse` is that of `transition`. Averaged over noisy labels it is the
    cross-entropy with the clean one: unbiased, but of high variance, and a single value may be
    negative. The matrix must be invertible; `forward_corrected_cross_entropy` trains more steadily.

    Args:
      logits: `[..., classes]`, unnormalised log-probabilities, finite.
      labels: `[...]`, integers in `[0, classes)`.
      transition: `[classes, classes]`, rows sum to 1, invertible.
      axis: the axis or axes of the classes.
      where: True for what counts, `[..., classes]` or `[...]`.

    Returns:
      `[...]`, of either sign; NaN for a label out of range.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> noise = jnp.array([[0.75, 0.25], [0.25, 0.75]])
      >>> logits = jnp.array([4.0, 0.0])
      >>> print(jl.backward_corrected_cross_entropy(logits, jnp.array(0), transition=noise))
      -1.98185

    Reference: Patrini et al., Making Deep Neural Networks Robust to Label Noise (2017), theorem 1.
    """
    function = "backward_corrected_cross_entropy"
    own, every, is_label, mask = surprisals(function, logits, labels, axis, where)
    inverse = jnp.linalg.inv(_transition(function, transition, every))
    row = jnp.where(is_label[..., None], arguments.expand_left(inverse, every.ndim + 1), 0)
    loss = jnp.sum(jnp.where(mask, jnp.sum(row, axis=-2) * every, 0), axis=-1)
    return arguments.masked(jnp.where(jnp.isnan(own), own, loss), mask)


def bootstrapped_cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    beta: ArrayLike = 0.95,
    hard: bool = False,
    axis: arguments.Axis = -1,
    where: ArrayLike | None = None,
) -> Array:
    """Cross-entropy with the label mixed with the prediction.

    `-sum_k (beta y_k + (1 - beta) q_k) log p_k`, where y is one-hot and q is p itself (soft), or
    the one-hot class of the largest logit (hard, for which the paper takes `beta = 0.8`). The soft
    form adds the entropy of the prediction, and the gradient flows through q as well. At `beta = 1`
    it is the cross-entropy. Kink (hard): a tie of the largest logits, of which the first counts.

    Args:
      logits: `[..., classes]`, unnormalised log-probabilities.
      labels: `[...]`, integers in `[0, classes)`.
      beta: trust in the label, in [0, 1]; number or `[...]`.
      hard: whether the prediction is taken as a class; a choice, not traced.
      axis: the axis or axes of the classes.
      where: True for what counts, `[..., classes]` or `[...]`.

    Returns:
      `[...]`, non-negative; NaN for a label out of range.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.bootstrapped_cross_entropy(jnp.zeros(2), jnp.array(1)))  # log(2) for any beta
      0.6931472

    Reference: Reed et al., Training Deep Neural Networks on Noisy Labels (2015), eq. 5 and 6.
    """
    function = "bootstrapped_cross_entropy"
    own, every, _, mask = surprisals(function, logits, labels, axis, where)
    beta = arguments.hyper(function, "beta", beta, own, at_least=0.0, at_most=1.0)
    present = jnp.where(mask | jnp.isnan(every), every, jnp.inf)
    if hard:
        index = lax.broadcasted_iota(jnp.int32, present.shape, present.ndim - 1)
        best = jnp.argmin(present, axis=-1, keepdims=True).astype(jnp.int32) == index
        opinion = jnp.sum(jnp.where(best, every, 0), axis=-1)
    else:
        opinion = jnp.sum(numerics.weighted(jnp.exp(-present), present), axis=-1)
    loss = numerics.weighted(beta, own) + numerics.weighted(1 - beta, opinion)
    return arguments.masked(loss, mask)


def early_learning_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    targets: ArrayLike,
    *,
    strength: ArrayLike = 3.0,
    axis: arguments.Axis = -1,
    where: ArrayLike | None = None,
) -> Array:
    """Cross-entropy plus a pull towards earlier predictions, `CE + strength log(1 - <targets, p>)`.

    Networks learn right labels before they memorise wrong ones; `targets`, a running average of the
    example's predictions (`early_learning_update`), holds on to what was learned early. Computed as
    `log(sum_k (1 - targets_k) p_k)`, which is finite, with a bounded gradient, however sure both
    are. `targets` are constants to autodiff. The loss is not bounded below.

    Args:
      logits: `[..., classes]`, unnormalised log-probabilities.
      labels: `[...]`, integers in `[0, classes)`.
      targets: `[..., classes]`, in [0, 1], earlier predictions for the same examples.
      strength: weight of the pull, >= 0; number or `[...]`.
      axis: the axis or axes of the classes.
      where: True for what counts, `[..., classes]` or `[...]`.

    Returns:
      `[...]`, of either sign; NaN for a label out of range.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> targets = jnp.array([0.5, 0.5])
      >>> loss = jl.early_learning_loss(jnp.zeros(2), jnp.array(1), targets, strength=1.0)
      >>> print(loss)  # log(2) + log(1 / 2)
      0.0

    Reference: Liu et al., Early-Learning Regularization Prevents Memorization (2020), eq. 8.
    """
    function = "early_learning_loss"
    own, every, _, mask = surprisals(function, logits, labels, axis, where)
    targets = arguments.floating(function, "targets", targets)
    scores = arguments.floating(function, "logits", logits)
    arguments.same_shape(function, logits=scores, targets=targets)
    axes = arguments.normal_axes(function, axis, scores.ndim)
    targets = arguments.last(lax.stop_gradient(targets).astype(every.dtype), axes)
    targets = jnp.where(mask, targets, 0)
    targets = jnp.where((targets >= 0) & (targets <= 1), targets, jnp.nan)
    strength = arguments.hyper(function, "strength", strength, own, at_least=0.0)
    pull = _log_disagreement(targets, every, mask)
    return arguments.masked(own + numerics.weighted(strength, pull), mask)


def _log_disagreement(targets: Array, surprisal: Array, mask: Array) -> Array:
    """Return `log(1 - <targets, p>)`, accurate where the two agree and where they do not."""
    terms = jnp.where(mask, numerics.log(1 - targets) - surprisal, -jnp.inf)
    agreeing = numerics.log_sum_exp(terms)
    overlap = jnp.sum(jnp.where(mask, targets * jnp.exp(-surprisal), 0), axis=-1)
    apart = overlap < 0.5
    return jnp.where(apart, jnp.log1p(-jnp.where(apart, overlap, 0)), agreeing)


class EarlyLearningState(NamedTuple):
    """What `early_learning_loss` remembers of every training example.

    Attributes:
      targets: `[examples, classes]`, running averages of predictions.
    """

    targets: Array


def early_learning_init(
    examples: int, classes: int, dtype: Any = jnp.float32
) -> EarlyLearningState:
    """Return the state before the first epoch: no prediction remembered, no pull.

    Args:
      examples: number of training examples.
      classes: number of classes.
      dtype: of the running averages.
    """
    return EarlyLearningState(jnp.zeros((examples, classes), dtype))


def early_learning_update(
    state: EarlyLearningState, indices: ArrayLike, logits: ArrayLike, *, momentum: ArrayLike = 0.7
) -> tuple[Array, EarlyLearningState]:
    """Average the predictions for some examples into the state.

    Args:
      state: of all training examples.
      indices: `[batch]`, integers: which examples these are.
      logits: `[batch, classes]`, the predictions for them.
      momentum: share of the old average, in [0, 1].

    Returns:
      The new averages for these examples, `[batch, classes]`, to hand to `early_learning_loss`, and
      the new state.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> state = jl.robust.early_learning_init(examples=3, classes=2)
      >>> batch, logits = jnp.array([2]), jnp.zeros((1, 2))
      >>> targets, state = jl.robust.early_learning_update(state, batch, logits, momentum=0.5)
      >>> print(targets, state.targets[0])
      [[0.25 0.25]] [0. 0.]
    """
    logits = arguments.floating("early_learning_update", "logits", logits)
    old = state.targets[jnp.asarray(indices)]
    momentum = arguments.hyper(
        "early_learning_update", "momentum", momentum, old, at_least=0.0, at_most=1.0
    )
    fresh = jax.nn.softmax(lax.stop_gradient(logits).astype(old.dtype), axis=-1)
    new = momentum * old + (1 - momentum) * fresh
    return new, EarlyLearningState(state.targets.at[jnp.asarray(indices)].set(new))
