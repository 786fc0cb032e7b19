"""Losses of the error `r = predictions - targets`, element by element.

Conventions shared by every function of this module:

* `predictions` and `targets` have equal shapes (no broadcasting) and the loss has that shape.
  Without `targets` the predictions are the errors themselves.
* `predictions` are floating; integer `targets` are converted.
* `where`: True for what counts; shape of the predictions or of their leading axes.
* `TypeError` for a wrong kind of number, `ValueError` for a wrong shape or hyper-parameter.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloss import arguments, numerics

Array = jax.Array


def _error(function: str, predictions: Any, targets: Any, where: Any) -> tuple[Array, Array | None]:
    """Return the errors in the working dtype, 0 where masked, and the mask."""
    if targets is None:
        (errors,), mask = arguments.elementwise(function, where, predictions=predictions)
        return errors, mask
    (predictions, targets), mask = arguments.elementwise(
        function, where, predictions=predictions, targets=targets
    )
    return predictions - targets, mask


def squared_error(
    predictions: ArrayLike, targets: ArrayLike | None = None, *, where: ArrayLike | None = None
) -> Array:
    """Squared difference, `r^2`.

    Its mean is least at the conditional mean of the targets. The gradient `2 r` grows without
    bound, so that a few gross outliers decide; `huber_loss` bounds it. `l2_loss` is half of it.

    Args:
      predictions: `[...]`, real.
      targets: `[...]`, real; None for 0.
      where: True for what counts.

    Returns:
      `[...]`, non-negative, 0 at the target.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.squared_error(jnp.array([1.0, 4.0]), jnp.array([1.0, 1.0])))
      [0. 9.]

    Reference: Bishop, Pattern Recognition and Machine Learning (2006), eq. 1.90.
    """
    error, mask = _error("squared_error", predictions, targets, where)
    return arguments.masked(error**2, mask)


def l2_loss(
    predictions: ArrayLike, targets: ArrayLike | None = None, *, where: ArrayLike | None = None
) -> Array:
    """Half the squared difference, `r^2 / 2`, whose gradient is the error itself.

    Args:
      predictions: `[...]`, real.
      targets: `[...]`, real; None for 0.
      where: True for what counts.

    Returns:
      `[...]`, non-negative, 0 at the target.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.l2_loss(jnp.array([1.0, 4.0]), jnp.array([1.0, 1.0])))
      [0.  4.5]

    Reference: Bishop, Pattern Recognition and Machine Learning (2006), eq. 1.2.
    """
    error, mask = _error("l2_loss", predictions, targets, where)
    return arguments.masked(numerics.half_square(error), mask)


def absolute_error(
    predictions: ArrayLike, targets: ArrayLike | None = None, *, where: ArrayLike | None = None
) -> Array:
    """Absolute difference, `|r|`.

    Its mean is least at the conditional median of the targets. The gradient is the sign of the
    error: bounded, hence robust, and of size 1 however small the error. Kink at `r = 0`, where
    the gradient given is 0 (`jnp.abs` has 1 there and moves a perfect fit).

    Args:
      predictions: `[...]`, real.
      targets: `[...]`, real; None for 0.
      where: True for what counts.

    Returns:
      `[...]`, non-negative, 0 at the target.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.absolute_error(jnp.array([1.0, 4.0]), jnp.array([1.0, 6.0])))
      [0. 2.]

    Reference: Koenker and Bassett, Regression Quantiles (1978), eq. 3.1 at one half.
    """
    error, mask = _error("absolute_error", predictions, targets, where)
    return arguments.masked(numerics.absolute(error), mask)


def huber_loss(
    predictions: ArrayLike,
    targets: ArrayLike | None = None,
    *,
    delta: ArrayLike = 1.0,
    where: ArrayLike | None = None,
) -> Array:
    """Quadratic for small errors, linear for large.

    `r^2 / 2` if `|r| <= delta`, else `delta (|r| - delta / 2)`.

    The gradient is the error clipped to `[-delta, delta]`. As `delta` grows the loss tends to
    `l2_loss`; as it shrinks, divided by `delta`, to `absolute_error` (`smooth_l1_loss` is that
    quotient). Once continuously differentiable everywhere.

    Args:
      predictions: `[...]`, real.
      targets: `[...]`, real; None for 0.
      delta: where the quadratic part ends, in units of the error, > 0; may broadcast.
      where: True for what counts.

    Returns:
      `[...]`, non-negative, 0 at the target.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.huber_loss(jnp.array([0.5, 3.0]), jnp.array([0.0, 0.0])))
      [0.125 2.5  ]

    Reference: Huber, Robust Estimation of a Location Parameter (1964), eq. 1.1 and section 2.
    """
    error, mask = _error("huber_loss", predictions, targets, where)
    delta = arguments.hyper("huber_loss", "delta", delta, error, above=0.0)
    return arguments.masked(huber(error, delta), mask)


def huber(error: Array, delta: Array, weight: Array | float = 1.0) -> Array:
    """Return the formula of the Huber loss, written so that its gradient is the clipped error."""
    # Clipped with its sign: through the absolute value the curvature at 0 would be lost.
    clipped = _clip(error, delta)
    return weight * clipped * (error - 0.5 * clipped)


def _clip(error: Array, limit: Array) -> Array:
    inside = (error <= limit) & (error >= -limit)
    return jnp.where(inside, error, jnp.where(error > 0, limit, -limit))


def smooth_l1_loss(
    predictions: ArrayLike,
    targets: ArrayLike | None = None,
    *,
    beta: ArrayLike = 1.0,
    where: ArrayLike | None = None,
) -> Array:
    """Huber's loss divided by its threshold: `r^2 / (2 beta)` if `|r| < beta`, else `|r| - beta/2`.

    The slope of the linear part is 1 whatever `beta`: as `beta` shrinks to 0 the loss becomes
    `absolute_error`, and as it grows it vanishes, where `huber_loss` would tend to `l2_loss`.

    Args:
      predictions: `[...]`, real.
      targets: `[...]`, real; None for 0.
      beta: where the quadratic part ends, in units of the error, >= 0; may broadcast.
      where: True for what counts.

    Returns:
      `[...]`, non-negative, 0 at the target.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.smooth_l1_loss(jnp.array([0.5, 2.0]), jnp.array([0.0, 0.0]), beta=0.5))
      [0.25 1.75]

    Reference: Girshick, Fast R-CNN (2015), eq. 3.
    """
    error, mask = _error("smooth_l1_loss", predictions, targets, where)
    beta = arguments.hyper("smooth_l1_loss", "beta", beta, error, at_least=0.0)
    size = numerics.absolute(error)
    clipped = _clip(error, beta)
    excess = jnp.where(clipped == error, 0, size - beta)
    return arguments.masked(excess + 0.5 * clipped * numerics.divide(clipped, beta), mask)


def pseudo_huber_loss(
    predictions: ArrayLike,
    targets: ArrayLike | None = None,
    *,
    delta: ArrayLike = 1.0,
    where: ArrayLike | None = None,
) -> Array:
    """Smooth version of Huber's loss, `delta^2 (sqrt(1 + (r / delta)^2) - 1)`.

    About `r^2/2` for small errors and `delta |r|` for large ones, with every derivative
    continuous. The gradient is bounded by `delta`.

    Args:
      predictions: `[...]`, real.
      targets: `[...]`, real; None for 0.
      delta: scale of the bend, in units of the error, > 0; may broadcast.
      where: True for what counts.

    Returns:
      `[...]`, non-negative, 0 at the target.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.pseudo_huber_loss(jnp.array([0.75, 12.0]), delta=jnp.array([1.0, 5.0])))
      [ 0.25 40.  ]

    Reference: Charbonnier et al., Deterministic Edge-Preserving Regularization (1997), table I;
    Hartley and Zisserman, Multiple View Geometry (2003), appendix 6.8.
    """
    error, mask = _error("pseudo_huber_loss", predictions, targets, where)
    delta = arguments.hyper("pseudo_huber_loss", "delta", delta, error, above=0.0)
    length = numerics.hypot(error, delta)
    # The difference cancels for small errors; multiplied out with its conjugate it does not.
    near = error * (error * (delta / (length + delta)))
    far = delta * (length - delta)
    return arguments.masked(jnp.where(jnp.abs(error) < delta, near, far), mask)


def charbonnier_loss(
    predictions: ArrayLike,
    targets: ArrayLike | None = None,
    *,
    epsilon: ArrayLike = 1e-3,
    where: ArrayLike | None = None,
) -> Array:
    """Smooth version of the absolute error, `sqrt(r^2 + epsilon^2)`.

    The form used in image restoration. It is `epsilon`, not 0, at the target; subtract that, or
    use `pseudo_huber_loss(delta=epsilon) / epsilon`, where the zero matters.

    Args:
      predictions: `[...]`, real.
      targets: `[...]`, real; None for 0.
      epsilon: radius of the rounded tip, in units of the error, > 0; may broadcast.
      where: True for what counts.

    Returns:
      `[...]`, at least `epsilon`.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.charbonnier_loss(jnp.array([3.0, 0.0]), epsilon=4.0))
      [5. 4.]

    Reference: Lai et al., Deep Laplacian Pyramid Networks (2017), eq. 4.
    """
    error, mask = _error("charbonnier_loss", predictions, targets, where)
    epsilon = arguments.hyper("charbonnier_loss", "epsilon", epsilon, error, above=0.0)
    return arguments.masked(numerics.hypot(error, epsilon), mask)


def log_cosh(
    predictions: ArrayLike, targets: ArrayLike | None = None, *, where: ArrayLike | None = None
) -> Array:
    """Logarithm of the hyperbolic cosine of the error, `log(cosh(r))`.

    About `r^2/2` for small errors and `|r| - log 2` for large ones; twice differentiable, with
    gradient `tanh(r)`. It has no scale: divide the error by yours.

    Args:
      predictions: `[...]`, real.
      targets: `[...]`, real; None for 0.
      where: True for what counts.

    Returns:
      `[...]`, non-negative, 0 at the target.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.log_cosh(jnp.array([0.0, 1.0, 1000.0])))
      [0.000000e+00 4.337808e-01 9.993068e+02]

    Reference: Chen et al., Log Hyperbolic Cosine Loss Improves VAE (2019), eq. 4.
    """
    error, mask = _error("log_cosh", predictions, targets, where)
    _, size = numerics.fold(error)
    small = size < 1
    near = numerics.log1p(numerics.cosh_excess(jnp.where(small, size, 0)))
    far = size - math.log(2) + jnp.log1p(jnp.exp(-2 * size))
    return arguments.masked(jnp.where(small, near, far), mask)
