"""Losses that weigh the two sides of the error differently: quantiles and expectiles.

The error here is `e = targets - predictions`: positive where the prediction is too low.

Conventions shared by every function of this module: those of `jaxloss.regression.error`, except
that a vector of `Q` levels (quantiles, expectiles) takes predictions `[..., Q]` and targets
`[...]`: each level is compared with the same target and the loss is `[..., Q]`.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxloss import arguments, numerics
from jaxloss.regression.error import huber

Array = jax.Array


def _sides(
    function: str, name: str, level: Any, predictions: Any, targets: Any, where: Any
) -> tuple[Array, Array, Array | None]:
    """Return the errors, the weight of each error's side, and the mask."""
    if np.ndim(level) > 1:
        found = f"shape {np.shape(level)}"
        raise arguments.reject(function, name, "a number or a vector of numbers", found)
    if np.ndim(level) == 1:
        predictions, targets = _spread(function, name, level, predictions, targets)
    (predictions, targets), mask = arguments.elementwise(
        function, where, predictions=predictions, targets=targets
    )
    error = targets - predictions
    level = arguments.hyper(function, name, level, error, above=0.0, below=1.0)
    return error, jnp.where(error > 0, level, 1 - level), mask


def _spread(
    function: str, name: str, levels: Any, predictions: Any, targets: Any
) -> tuple[Array, Array]:
    """Give every level its copy of the targets."""
    predictions = arguments.floating(function, "predictions", predictions)
    targets = arguments.real(function, "targets", targets)
    expected = (*targets.shape, np.shape(levels)[0])
    if predictions.shape != expected:
        relation = f"of shape {expected} (targets, then one for each of {name})"
        raise arguments.reject(function, "predictions", relation, predictions.shape)
    return predictions, jnp.broadcast_to(targets[..., None], expected)


def quantile_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    quantile: ArrayLike = 0.5,
    where: ArrayLike | None = None,
) -> Array:
    """Pinball loss: errors weighted by `quantile` where too low, `1 - quantile` where too high.

    Its mean is least at the conditional quantile of the targets; the slopes in the prediction are
    `-quantile` and `1 - quantile`. At one half it is half the absolute error. Kink at `e = 0`,
    where the gradient given is 0. The mean over many quantiles, doubled, approximates the
    continuous ranked probability score.

    Args:
      predictions: `[...]`, real; `[..., Q]` for a vector of quantiles.
      targets: `[...]`, real.
      quantile: in (0, 1), a number or `[Q]`.
      where: True for what counts; shape of the loss or of its leading axes.

    Returns:
      `[...]`, or `[..., Q]` for a vector of quantiles; non-negative, 0 at the target.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> levels = jnp.array([0.25, 0.75])
      >>> print(jl.quantile_loss(jnp.array([[0.0, 8.0]]), jnp.array([4.0]), quantile=levels))
      [[1. 1.]]

    Reference: Koenker and Bassett, Regression Quantiles (1978), eq. 3.1.
    """
    error, side, mask = _sides("quantile_loss", "quantile", quantile, predictions, targets, where)
    return arguments.masked(side * numerics.absolute(error), mask)


def huberized_quantile_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    quantile: ArrayLike = 0.5,
    delta: ArrayLike = 1.0,
    where: ArrayLike | None = None,
) -> Array:
    """Pinball loss with a quadratic tip: the side's weight times `huber_loss(e, delta)`.

    Once continuously differentiable. Divided by `delta` it tends to `quantile_loss` as `delta`
    shrinks. Implementations of quantile regression DQN differ in whether they divide by `delta`;
    this one does not.

    Args:
      predictions: `[...]`, real; `[..., Q]` for a vector of quantiles.
      targets: `[...]`, real.
      quantile: in (0, 1), a number or `[Q]`.
      delta: where the quadratic part ends, in units of the error, > 0; may broadcast.
      where: True for what counts; shape of the loss or of its leading axes.

    Returns:
      `[...]`, or `[..., Q]` for a vector of quantiles; non-negative, 0 at the target.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.huberized_quantile_loss(jnp.array([3.0, -3.0]), jnp.zeros(2), quantile=0.2))
      [2.  0.5]

    Reference: Dabney et al., Distributional RL with Quantile Regression (2018), eq. 10.
    """
    function = "huberized_quantile_loss"
    error, side, mask = _sides(function, "quantile", quantile, predictions, targets, where)
    delta = arguments.hyper(function, "delta", delta, error, above=0.0)
    return arguments.masked(huber(error, delta, side), mask)


def expectile_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    expectile: ArrayLike = 0.5,
    where: ArrayLike | None = None,
) -> Array:
    """Squared error, weighted by `expectile` where too low and `1 - expectile` where too high.

    Its mean is least at the conditional expectile, which is to the mean what a quantile is to the
    median. At one half it is half the squared error. Once continuously differentiable.

    Args:
      predictions: `[...]`, real; `[..., Q]` for a vector of expectiles.
      targets: `[...]`, real.
      expectile: in (0, 1), a number or `[Q]`.
      where: True for what counts; shape of the loss or of its leading axes.

    Returns:
      `[...]`, or `[..., Q]` for a vector of expectiles; non-negative, 0 at the target.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.expectile_loss(jnp.array([1.0, -2.0]), jnp.zeros(2), expectile=0.75))
      [0.25 3.  ]

    Reference: Newey and Powell, Asymmetric Least Squares (1987), eq. 2.1.
    """
    error, side, mask = _sides(
        "expectile_loss", "expectile", expectile, predictions, targets, where
    )
    return arguments.masked(side * error * error, mask)
