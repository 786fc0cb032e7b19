"""Losses of the ratio of prediction to target, for targets that span orders of magnitude.

Conventions shared by every function of this module: those of `jaxloss.regression.error`; the
errors are fractions, not percentages (0.1, not 10).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloss import arguments, numerics

Array = jax.Array


def squared_logarithmic_error(
    predictions: ArrayLike, targets: ArrayLike, *, where: ArrayLike | None = None
) -> Array:
    """Squared difference of logarithms, `(log(1 + predictions) - log(1 + targets))^2`.

    For counts and other quantities >= 0 whose relative error matters; too low costs more than too
    high by the same amount. NaN where an argument is below -1, infinite where exactly one is -1.

    Args:
      predictions: `[...]`, real, > -1.
      targets: `[...]`, real, > -1.
      where: True for what counts.

    Returns:
      `[...]`, non-negative, 0 at the target.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> e = jnp.e
      >>> print(jl.squared_logarithmic_error(jnp.array([e - 1, 5.0]), jnp.array([0.0, 5.0])))
      [1. 0.]

    Reference: scikit-learn user guide, mean squared logarithmic error.
    """
    (predictions, targets), mask = arguments.elementwise(
        "squared_logarithmic_error", where, predictions=predictions, targets=targets
    )
    # The difference of two logarithms cancels; the logarithm of the ratio, taken upward, does not.
    upward = predictions >= targets
    low = jnp.where(upward, targets, predictions)
    gap = jnp.where(upward, predictions - targets, targets - predictions)
    # Beyond 1e30 the ratio might overflow, and nothing cancels any more.
    regular = (low > -1) & (gap <= 1e30 * (1 + low))
    ratio = numerics.divide(jnp.where(regular, gap, 0), jnp.where(regular, 1 + low, 1))
    difference = numerics.log1p(predictions) - numerics.log1p(targets)
    logarithm = jnp.where(regular, numerics.log1p(ratio), difference)
    return arguments.masked(logarithm**2, mask)


def absolute_percentage_error(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    epsilon: ArrayLike = 1e-7,
    where: ArrayLike | None = None,
) -> Array:
    """Absolute error relative to the target, `|r| / max(|targets|, epsilon)`.

    Its mean favours predictions that are too low (the error of 0 is 1, that of a too high one has
    no limit) and has no meaning for targets near 0, where `epsilon` decides. Kink at `r = 0`,
    where the gradient given is 0.

    Args:
      predictions: `[...]`, real.
      targets: `[...]`, real.
      epsilon: smallest denominator, in units of the targets, > 0; may broadcast.
      where: True for what counts.

    Returns:
      `[...]`, non-negative, a fraction; 0 at the target.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.absolute_percentage_error(jnp.array([5.0, 5.0]), jnp.array([4.0, -4.0])))
      [0.25 2.25]

    Reference: Hyndman and Koehler, Another Look at Measures of Forecast Accuracy (2006), sec. 2.2.
    """
    function = "absolute_percentage_error"
    (predictions, targets), mask = arguments.elementwise(
        function, where, predictions=predictions, targets=targets
    )
    epsilon = arguments.hyper(function, "epsilon", epsilon, targets, above=0.0)
    size = numerics.absolute(targets)
    # Selected, not maximised: no slope of the size may reach a target below epsilon.
    far, error = size > epsilon, predictions - targets
    value = numerics.divide(numerics.absolute(error), jnp.where(far, size, epsilon))
    near = numerics.absolute(jnp.where(far, 0, error)) / epsilon
    # The slope of |error| / |targets| in a large target cancels; that of predictions / targets, of
    # which it is a constant less or more, does not.
    side = jnp.sign(error) * jnp.sign(targets)
    share = side * numerics.divide(predictions, jnp.where(far, targets, 1))
    return arguments.masked(numerics.valued(jnp.where(far, share, near), value), mask)


def symmetric_absolute_percentage_error(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    epsilon: ArrayLike = 1e-7,
    where: ArrayLike | None = None,
) -> Array:
    """Absolute error relative to the mean size, `2 |r| / max(|predictions| + |targets|, epsilon)`.

    Between 0 and 2 (some definitions omit the 2). It is 2 whenever the signs differ, with zero
    gradient there. Kink at `r = 0`, where the gradient given is 0.

    Args:
      predictions: `[...]`, real.
      targets: `[...]`, real.
      epsilon: smallest denominator, in units of the targets, > 0; may broadcast.
      where: True for what counts.

    Returns:
      `[...]`, in [0, 2]; 0 at the target.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> predictions, targets = jnp.array([5.0, 0.0]), jnp.array([3.0, 0.0])
      >>> print(jl.symmetric_absolute_percentage_error(predictions, targets))
      [0.5 0. ]

    Reference: Makridakis, Accuracy Measures (1993), p. 529.
    """
    function = "symmetric_absolute_percentage_error"
    (predictions, targets), mask = arguments.elementwise(
        function, where, predictions=predictions, targets=targets
    )
    epsilon = arguments.hyper(function, "epsilon", epsilon, targets, above=0.0)
    a, b = numerics.absolute(predictions), numerics.absolute(targets)
    total = a + b
    size = jnp.where(total > epsilon, total, epsilon)
    near = numerics.divide(numerics.absolute(predictions - targets), size)
    # Far apart the quotient is 1 - 2 smaller / total, whose small slope does not cancel.
    opposite = jnp.sign(predictions) * jnp.sign(targets) < 0
    smaller = jnp.where(opposite, 0, jnp.where(a < b, a, b))
    far = (3 * smaller < total) & (total > epsilon)
    loss = jnp.where(far, 2 - 4 * numerics.divide(smaller, jnp.where(far, total, 1)), 2 * near)
    return arguments.masked(loss, mask)
