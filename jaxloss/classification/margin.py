"""Losses that ask for a margin between the right class and the others, not for probabilities.

Conventions:

* Two classes: `predictor_outputs` and `targets` have equal shapes and the loss has that shape;
  `targets` are -1 or +1, anything else makes value and gradient NaN.
* Many classes: `scores` are `[..., classes]`, `labels` `[...]` are integers in `[0, classes)`, the
  loss is `[...]`; a label out of range makes value and gradient NaN.
* `where`: True for what counts; shape of the data or of its leading axes. For many classes
  `[..., classes]` leaves classes out and `[...]` examples; a label on a class that is left out
  makes the loss 0.
* `TypeError` for a wrong kind of number, `ValueError` for a wrong shape.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloss import arguments, numerics

Array = jax.Array


def _agreement(
    function: str, predictor_outputs: Any, targets: Any, where: Any
) -> tuple[Array, Array | None]:
    """Return `predictor_outputs * targets`, positive where the sign is right, and the mask."""
    (scores, signs), mask = arguments.elementwise(
        function, where, fill=1.0, predictor_outputs=predictor_outputs, targets=targets
    )
    return scores * jnp.where(jnp.abs(signs) == 1, signs, jnp.nan), mask


def hinge_loss(
    predictor_outputs: ArrayLike, targets: ArrayLike, *, where: ArrayLike | None = None
) -> Array:
    """Shortfall from a margin of 1, `max(0, 1 - targets * predictor_outputs)`.

    The support vector machine's loss: examples beyond the margin count nothing, which leaves those
    at the border. Convex, 1-Lipschitz, and consistent: its minimiser has the sign of the likelier
    class, but says nothing of the probability. Kink at the margin, where the gradient given is 0.

    Args:
      predictor_outputs: `[...]`, real scores.
      targets: `[...]`, -1 or +1.
      where: True for what counts.

    Returns:
      `[...]`, non-negative, 0 beyond the margin.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.hinge_loss(jnp.array([2.0, 0.25]), jnp.array([1.0, -1.0])))
      [0.   1.25]

    Reference: Cortes and Vapnik, Support-Vector Networks (1995), eq. 14 to 16.
    """
    agreement, mask = _agreement("hinge_loss", predictor_outputs, targets, where)
    return arguments.masked(numerics.positive_part(1 - agreement), mask)


def squared_hinge_loss(
    predictor_outputs: ArrayLike, targets: ArrayLike, *, where: ArrayLike | None = None
) -> Array:
    """Squared shortfall from a margin of 1, `max(0, 1 - targets * predictor_outputs)^2`.

    As `hinge_loss`, but once continuously differentiable, and with large errors punished more. Its
    minimiser does tell the probability: `2 p - 1`.

    Args:
      predictor_outputs: `[...]`, real scores.
      targets: `[...]`, -1 or +1.
      where: True for what counts.

    Returns:
      `[...]`, non-negative, 0 beyond the margin.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.squared_hinge_loss(jnp.array([2.0, 0.5]), jnp.array([1.0, -1.0])))
      [0.   2.25]

    Reference: Cortes and Vapnik, Support-Vector Networks (1995), eq. 14 with sigma = 2.
    """
    agreement, mask = _agreement("squared_hinge_loss", predictor_outputs, targets, where)
    return arguments.masked(numerics.positive_part(1 - agreement) ** 2, mask)


def _at_least_zero(x: Array) -> Array:
    """Return `max(x, 0)`, with gradient 1 at 0.

    The perceptron corrects an undecided score. With any other sub-gradient, 0 above all, a model
    that starts at zero would never start to learn.
    """
    return jnp.where(x >= 0, x, jnp.where(jnp.isnan(x), x, 0)) + 0.0


def perceptron_loss(
    predictor_outputs: ArrayLike, targets: ArrayLike, *, where: ArrayLike | None = None
) -> Array:
    """Size of a score with the wrong sign, `max(0, -targets * predictor_outputs)`.

    No margin: a score of the right sign costs nothing however small, and the zero predictor is a
    minimum. Kink at 0, where the gradient given is `-targets`: Rosenblatt's rule corrects there.

    Args:
      predictor_outputs: `[...]`, real scores.
      targets: `[...]`, -1 or +1.
      where: True for what counts.

    Returns:
      `[...]`, non-negative, 0 where the sign is right.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.perceptron_loss(jnp.array([2.0, 0.5]), jnp.array([1.0, -1.0])))
      [0.  0.5]

    Reference: Rosenblatt, The Perceptron (1958); Bishop (2006), eq. 4.54.
    """
    agreement, mask = _agreement("perceptron_loss", predictor_outputs, targets, where)
    return arguments.masked(_at_least_zero(-agreement), mask)


def _lead_of_the_best_rival(
    function: str, scores: Any, labels: Any, where: Any
) -> tuple[Array, Array]:
    """Return the best other score minus the label's, minus infinity without a rival; and the mask.

    Ties among rivals share the gradient evenly, the sub-gradient of least norm.
    """
    scores, is_label, mask = arguments.classes(function, -1, where, scores=scores, labels=labels)
    labelled = jnp.any(is_label, axis=-1, keepdims=True)
    own = jnp.sum(jnp.where(is_label, scores, 0), axis=-1, keepdims=True)
    # Every class is a rival where the label is NaN's: the maximum then carries it on.
    rival = mask & ~is_label
    lead = jnp.max(scores - own, axis=-1, where=rival, initial=-jnp.inf)
    return lead, mask & (labelled | jnp.any(jnp.isnan(scores), axis=-1, keepdims=True))


def multiclass_hinge_loss(
    scores: ArrayLike, labels: ArrayLike, *, where: ArrayLike | None = None
) -> Array:
    """Shortfall of the right class's lead from 1, `max(0, 1 + max_j s_j - s_y)`.

    Crammer and Singer's form (`j` runs over the other classes), not the sum over all rivals of
    Weston and Watkins. Convex; not consistent where no class has probability one half. Kinks at
    the margin, where the gradient given is 0, and at ties of rivals, which share it.

    Args:
      scores: `[..., classes]`, real.
      labels: `[...]`, integers in `[0, classes)`.
      where: True for what counts, `[..., classes]` or `[...]`.

    Returns:
      `[...]`, non-negative.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.multiclass_hinge_loss(jnp.array([[3.0, 0.0, 2.5]]), jnp.array([0])))
      [0.5]

    Reference: Crammer and Singer, Multiclass Kernel-based Vector Machines (2001), eq. 3.
    """
    lead, mask = _lead_of_the_best_rival("multiclass_hinge_loss", scores, labels, where)
    return arguments.masked(numerics.positive_part(1 + lead), mask)


def multiclass_perceptron_loss(
    scores: ArrayLike, labels: ArrayLike, *, where: ArrayLike | None = None
) -> Array:
    """Lead of the best class over the right one, `max_j s_j - s_y`.

    No margin: 0 as soon as the right class wins. Kink at a tie with it, where the gradient given
    is that of a mistake (the perceptron corrects an undecided score); rivals in a tie share it.

    Args:
      scores: `[..., classes]`, real.
      labels: `[...]`, integers in `[0, classes)`.
      where: True for what counts, `[..., classes]` or `[...]`.

    Returns:
      `[...]`, non-negative.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.multiclass_perceptron_loss(jnp.array([[3.0, 0.0, 2.5]]), jnp.array([2])))
      [0.5]

    Reference: Collins, Discriminative Training Methods for Hidden Markov Models (2002), fig. 2.
    """
    lead, mask = _lead_of_the_best_rival("multiclass_perceptron_loss", scores, labels, where)
    return arguments.masked(_at_least_zero(lead), mask)
