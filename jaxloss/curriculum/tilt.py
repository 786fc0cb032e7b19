"""Tilted empirical risk: from the smallest loss through the mean to the largest."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jax.typing import ArrayLike

from jaxloss import arguments, numerics, reduction
from jaxloss.curriculum.examples import curriculum
from jaxloss.protocol import Decision

Array = jax.Array


def tilted_erm(
    tilt: float, *, axis_name: reduction.AxisName = None
) -> optax.GradientTransformationExtraArgs:
    """Tilted empirical risk minimisation: weigh examples by `softmax(tilt l) n`.

    The mean of what is returned is `log(mean(exp(tilt l))) / tilt` (`tilted`), and its gradient
    that of this value; the weights sum to `n`. At 0 the losses are unchanged; a positive tilt turns
    to the hard ones, in the end to the largest alone, a negative one to the easy ones.

    Positive for fairness between rare and common cases, negative against outliers and wrong labels:
    -1 is a good try, but -2 from random weights may learn a few classes only and stay there, so
    begin near 0. The tilt has the unit of one over the loss.

    Args:
      tilt: any real number. A number, or a traced scalar.
      axis_name: mapped axes over which the batch is split; the sum of exponentials is the global
        one.

    Returns:
      A transformation with `CurriculumState`; losses keep their shapes. To every valid example the
      same number is added for the value to be right, without effect on gradients.

    Raises:
      ValueError: for a tilt that is no single number.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> objective = jl.curriculum.tilted_erm(-1.0)
      >>> losses = jnp.array([1.0, 2.0, 4.0])
      >>> weighted, state = objective.update(losses, objective.init(losses))
      >>> print(f"{jl.mean(weighted):.4f}")
      1.7496

    Reference: Li et al., Tilted Empirical Risk Minimization (2021), eq. 2 and lemma 1.
    """
    slope = arguments.hyper("tilted_erm", "tilt", tilt, jnp.zeros(()))

    def step(losses: Array, mask: Array, memory: Any) -> Decision:
        t = slope.astype(losses.dtype)
        weights = _weights(losses, t, mask, axis_name)
        weighed = jnp.where(weights > 0, weights * losses, 0)
        plain = reduction.mean(weighed, where=mask, axis_name=axis_name)
        value = _value(losses, t, mask, axis_name)
        return Decision(weights, memory, jnp.where(jnp.isinf(value), 0, value - plain))

    return curriculum("tilted_erm", step, axis_name=axis_name)


def tilted(
    losses: ArrayLike,
    tilt: ArrayLike,
    *,
    where: ArrayLike | None = None,
    axis_name: reduction.AxisName = None,
) -> Array:
    """Return `log(mean(exp(tilt l))) / tilt`, and the mean at tilt 0, which is its limit.

    Smooth in losses and tilt, through 0 as well: there the derivative in the tilt is half the
    variance of the losses. It rises with the tilt from the smallest loss to the largest.

    Args:
      losses: any shape, floating.
      tilt: any real number.
      where: True for what counts; shape of the losses or of their leading axes.
      axis_name: mapped axes over which the losses are split.

    Returns:
      A scalar, at least float32; 0 where nothing counts.

    Raises:
      TypeError, ValueError: for losses, a tilt or a mask that are impossible.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> losses = jnp.array([1.0, 2.0, 4.0])
      >>> values = [jl.curriculum.tilted(losses, t) for t in (-100.0, 0.0, 100.0)]
      >>> print(" ".join(f"{value:.2f}" for value in values))
      1.01 2.33 3.99

    Reference: Li et al., Tilted Empirical Risk Minimization (2021), eq. 2.
    """
    losses = arguments.floating("tilted", "losses", losses)
    losses = losses.astype(arguments.working_dtype(losses))
    mask = arguments.mask_like("tilted", where, losses)
    mask = jnp.ones(losses.shape, bool) if mask is None else mask
    t = arguments.hyper("tilted", "tilt", tilt, jnp.zeros((), losses.dtype))
    return _value(arguments.masked(losses, mask), t, mask, axis_name)


def _value(losses: Array, tilt: Array, mask: Array, axis_name: reduction.AxisName) -> Array:
    most = _top(losses, tilt, mask, axis_name)
    endless = jnp.isinf(most)
    losses, top = jnp.where(endless, 0, losses), jnp.where(endless, 0, most)
    average = functools.partial(reduction.mean, where=mask, axis_name=axis_name)
    steep = jnp.where(mask, jnp.abs(numerics.weighted(tilt, losses - top)), 0)
    near = reduction.largest_across(jnp.max(steep, initial=0), axis_name) < 0.5
    anchor = jnp.where(near, lax.stop_gradient(average(losses)), top)
    # What is infinite on the side that does not count has no weight, and must have no slope.
    silent = jnp.isinf(losses)
    gap = jnp.where(mask & ~silent, losses - anchor, 0)
    # Nearly flat, 1 would be added to little and taken away again, and 0 be divided by 0.
    rise = average(numerics.power_excess(jnp.where(near, gap, 0), tilt))
    slow = rise * _log1p_over(jnp.where(near, tilt, 0) * rise)
    t = jnp.where(near, 1, tilt)
    powers = jnp.where(silent, 0, jnp.exp(jnp.where(near, 0, t * gap)))
    fast = numerics.log(average(powers)) / t
    value = anchor + jnp.where(near, slow, fast)
    return jnp.where(endless, most, value)


def _weights(losses: Array, tilt: Array, mask: Array, axis_name: reduction.AxisName) -> Array:
    top = _top(losses, tilt, mask, axis_name)
    gap = jnp.where(losses == top, 0, losses - top)
    powers = jnp.where(mask, jnp.exp(numerics.weighted(tilt, gap)), 0)
    return numerics.divide(powers, reduction.mean(powers, where=mask, axis_name=axis_name))


def _top(losses: Array, tilt: Array, mask: Array, axis_name: reduction.AxisName) -> Array:
    """Return the loss of the largest weight, a constant to autodiff; 0 where nothing counts."""
    sign = jnp.where(tilt < 0, -1, 1).astype(losses.dtype)
    most = jnp.max(jnp.where(mask, sign * lax.stop_gradient(losses), -jnp.inf), initial=-jnp.inf)
    most = reduction.largest_across(most, axis_name)
    nothing = reduction.sum_across(jnp.sum(mask), axis_name) == 0
    return jnp.where(nothing, 0, sign * most)


def _log1p_over(x: Array) -> Array:
    """Return `log(1 + x) / x` for `x` in [-0.4, 0.7], smooth through 0."""
    s = x / (2 + x)
    square = s**2
    series = functools.reduce(lambda tail, k: 1 / k + square * tail, range(31, 0, -2), 0 * s)
    return 2 * series / (2 + x)
