"""Losses of the error `r = predictions - targets` that grow ever more slowly, or stop growing.

Conventions shared by every function of this module:

* `predictions` and `targets` have equal shapes (no broadcasting) and the loss has that shape.
  Without `targets` the predictions are the errors themselves.
* `scale`, in units of the error, is where an error begins to count as an outlier. Near the target
  all but Tukey's are `(r / scale)^2 / 2`: they have no unit. Some texts multiply by `scale^2`, or
  write `log(1 + (r / scale)^2)` without the one half: for that divide the scale by `sqrt(2)`.
* `where`: True for what counts; shape of the predictions or of their leading axes.
* `TypeError` for a wrong kind of number, `ValueError` for a wrong shape or hyper-parameter.
* They are not convex. Start from a fair guess, or shrink `scale` on a schedule.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero
from jax.typing import ArrayLike

from jaxloss import arguments, numerics

Array = jax.Array


def _error(
    function: str, predictions: Any, targets: Any, scale: Any, where: Any
) -> tuple[Array, Array, Array | None]:
    """Return the error, the scale, and the mask."""
    data = {"predictions": predictions} if targets is None else {
        "predictions": predictions,
        "targets": targets,
    }  # fmt: skip
    arrays, mask = arguments.elementwise(function, where, **data)
    error = arrays[0] if targets is None else arrays[0] - arrays[1]
    return error, arguments.hyper(function, "scale", scale, error, above=0.0), mask


def _ratio(error: Array, scale: Array) -> Array:
    """Return the error in units of the scale; a small one lifts no finite error to infinity."""
    largest = float(jnp.finfo(error.dtype).max)
    return jnp.where(jnp.isfinite(error), jnp.clip(error / scale, -largest, largest), error)


def general_robust_loss(
    predictions: ArrayLike,
    targets: ArrayLike | None = None,
    *,
    alpha: ArrayLike = 1.0,
    scale: ArrayLike = 1.0,
    where: ArrayLike | None = None,
) -> Array:
    """One family from the squared error to losses that ignore outliers, by the shape `alpha`.

    `b / alpha ((z / b + 1)^(alpha / 2) - 1)` with `z = (r / scale)^2` and `b = |alpha - 2|`.

    At `alpha = 2` half the squared error, at 1 `charbonnier_loss` less its offset (pseudo-Huber),
    at 0 `cauchy_loss`, at -2 `geman_mcclure_loss`, at minus infinity `welsch_loss`. Value and
    derivatives are right through these values, so `alpha` may be scheduled or learned; as a loss
    it always prefers the smallest `alpha`, so learn it with its normaliser or on held-out data.
    At `alpha = 2` itself the slope in `alpha` is infinite; a large finite one is given.

    Args:
      predictions: `[...]`, real.
      targets: `[...]`, real; None for 0.
      alpha: shape, any real number or minus infinity; may broadcast.
      scale: where outliers begin, in units of the error, > 0; may broadcast.
      where: True for what counts.

    Returns:
      `[...]`, non-negative, 0 at the target.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> shapes = jnp.array([2.0, 1.0, -2.0])
      >>> print(jl.general_robust_loss(jnp.array([2.0, 0.75, 2.0]), alpha=shapes))
      [2.   0.25 1.  ]

    Reference: Barron, A General and Adaptive Robust Loss Function (2019), eq. 8.
    """
    function = "general_robust_loss"
    error, scale, mask = _error(function, predictions, targets, scale, where)
    alpha = arguments.hyper(function, "alpha", alpha, error, or_at=-jnp.inf)
    welsch = jnp.isneginf(alpha)
    general = _general(error, scale, jnp.where(welsch, -1, alpha))
    saturating = _saturating(_ratio(error, scale))
    return arguments.masked(jnp.where(welsch, saturating, general), mask)


def _growth(error: Array, scale: Array, alpha: Array) -> tuple[Array, Array, Any]:
    """Return `b = |alpha - 2|`, `log(1 + z / b)`, and of a number `k` the power `(1 + z / b)^k`."""
    _, distance = numerics.fold(alpha - 2)
    # Below the spacing of numbers at 2 nothing changes but that the formula stays finite.
    smallest = float(jnp.finfo(error.dtype).eps) / 32
    distance = distance + lax.stop_gradient(numerics.positive_part(smallest - distance))
    root = jnp.sqrt(distance) * scale
    # Of so large a ratio the square, of a huge one the ratio itself may be no number.
    _, size = numerics.fold(error)
    large, huge = 1e-15 * size > root, 2.0**-100 * size > root
    ratio = jnp.where(large, jnp.where(huge, 2.0**-100 * size, size), root) / root
    near = jnp.where(large, 0, error) / scale
    square = near * (near / distance)

    def power(k: Array) -> Array:
        far = ratio ** (2 * k) * jnp.where(huge, 2.0 ** (200 * k), 1)
        return jnp.where(large, far, (1 + square) ** k)

    # A square of the rounded root would double its error, and a small ratio needs none.
    small = square < 1
    near = numerics.log1p(jnp.where(small, square, 0))
    far = numerics.log1p_square(error, root)
    return distance, jnp.where(small & ~large, near, far), power


@jax.custom_jvp
def _general(error: Array, scale: Array, alpha: Array) -> Array:
    return _power(error, scale, alpha)


def _general_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    # Autodiff multiplies a power that overflows by a slope that vanishes.
    error, scale, alpha = primals
    _, growth, power = _growth(*primals)
    # Far out in two steps, of which none vanishes before the slope does.
    half = 0.5 * alpha - 1
    near = growth < 2
    first = jnp.where(near, jnp.exp(half * jnp.where(near, growth, 0)), power(0.5 * half))
    second = jnp.where(near, 1, first)
    slope = error * first / scale * second / scale
    change = jnp.zeros_like(slope)
    if not isinstance(tangents[0], SymbolicZero):
        change = change + slope * tangents[0]
    if not isinstance(tangents[1], SymbolicZero):
        change = change - slope * (error / scale) * tangents[1]
    if not isinstance(tangents[2], SymbolicZero):
        change = change + jax.jvp(lambda a: _power(error, scale, a), (alpha,), tangents[2:])[1]
    return _general(*primals), change


_general.defjvp(_general_jvp, symbolic_zeros=True)


def _power(error: Array, scale: Array, alpha: Array) -> Array:
    distance, growth, power = _growth(error, scale, alpha)
    error = _ratio(error, scale)
    # Around 2 the power is nearly the square itself, which exp(log) would round, but for a factor.
    change = (0.5 * alpha - 1) * growth
    nearly = (jnp.abs(change) < 0.5) & (distance < 0.5)
    nearly = nearly & (error**2 > distance) & (jnp.abs(error) < 1e19)
    size = jnp.where(nearly, error, 0) ** 2 + distance
    change = jnp.where(nearly, change, 0)
    square = (size * jnp.exp(change) - distance) / jnp.where(nearly, alpha, 1)
    # Far out in two steps, neither of which overflows before the loss does; if it can be the
    # ratio itself, which rounds less than a power.
    far = ~nearly & (alpha * growth > 2)
    half = jnp.where(far, 0.25 * alpha, 0)
    first = jnp.where(half > 0.25, 0.5, half)
    share = distance / jnp.where(far, alpha, 1)
    straight = share * power(first) * power(2 * half - first) - share
    growth = jnp.where(nearly | far, 0, growth)
    curved = 0.5 * distance * numerics.power_excess(growth, 0.5 * alpha)
    # Of a tiny ratio the square vanishes before the loss does.
    tiny = error**2 < 1e-18 * distance
    curved = jnp.where(tiny, numerics.half_square(jnp.where(tiny, error, 0)), curved)
    return jnp.where(nearly, square, jnp.where(far, straight, curved))


@jax.custom_jvp
def _saturating(error: Array) -> Array:
    """Return `1 - exp(-error^2 / 2)`; the error is cut where nothing is left to be seen."""
    near = jnp.clip(error, -1e4, 1e4)
    return -numerics.expm1(-numerics.half_square(jnp.where(jnp.isnan(error), error, near)))


@_saturating.defjvp
def _saturating_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    # In two steps, of which none vanishes before the slope does.
    (error,) = primals
    near = jnp.clip(error, -1e4, 1e4)
    root = jnp.exp(-0.5 * numerics.half_square(jnp.where(jnp.isnan(error), error, near)))
    return _saturating(error), near * root * root * tangents[0]


def cauchy_loss(
    predictions: ArrayLike,
    targets: ArrayLike | None = None,
    *,
    scale: ArrayLike = 1.0,
    where: ArrayLike | None = None,
) -> Array:
    """Logarithm of a growing square, `log(1 + (r / scale)^2 / 2)`; also called Lorentzian.

    Large errors keep a pull that falls as `2 / r`. Up to a constant, the negative log-likelihood of
    Student's t distribution with one degree of freedom.

    Args:
      predictions: `[...]`, real.
      targets: `[...]`, real; None for 0.
      scale: where outliers begin, in units of the error, > 0; may broadcast.
      where: True for what counts.

    Returns:
      `[...]`, non-negative, 0 at the target.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.cauchy_loss(jnp.array([0.0, 2.0])))  # log(3)
      [0.        1.0986122]

    Reference: Barron (2019), eq. 8 at alpha = 0; Black and Anandan (1996), fig. 4.
    """
    error, scale, mask = _error("cauchy_loss", predictions, targets, scale, where)
    return arguments.masked(numerics.log1p_square(error, scale * 2**0.5), mask)


def geman_mcclure_loss(
    predictions: ArrayLike,
    targets: ArrayLike | None = None,
    *,
    scale: ArrayLike = 1.0,
    where: ArrayLike | None = None,
) -> Array:
    """A share of the square that saturates, `2 z / (z + 4)` with `z = (r / scale)^2`.

    Bounded by 2; large errors pull with `16 / r^3`, next to nothing.

    Args:
      predictions: `[...]`, real.
      targets: `[...]`, real; None for 0.
      scale: where outliers begin, in units of the error, > 0; may broadcast.
      where: True for what counts.

    Returns:
      `[...]`, in [0, 2], 0 at the target.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.geman_mcclure_loss(jnp.array([0.0, 2.0])))
      [0. 1.]

    Reference: Barron (2019), eq. 8 at alpha = -2; Geman and McClure (1987).
    """
    error, scale, mask = _error("geman_mcclure_loss", predictions, targets, scale, where)
    error = _ratio(error, scale)
    large = jnp.abs(error) > 1
    near = jnp.where(large, 0, error) ** 2
    far = (1 / jnp.where(large, error, 1)) ** 2
    return arguments.masked(jnp.where(large, 2 / (1 + 4 * far), 2 * near / (near + 4)), mask)


def welsch_loss(
    predictions: ArrayLike,
    targets: ArrayLike | None = None,
    *,
    scale: ArrayLike = 1.0,
    where: ArrayLike | None = None,
) -> Array:
    """One minus a bell curve of the error, `1 - exp(-(r / scale)^2 / 2)`; also Leclerc's.

    Bounded by 1; beyond a few scales an error has no pull at all. Its mean is one minus the
    correntropy of predictions and targets.

    Args:
      predictions: `[...]`, real.
      targets: `[...]`, real; None for 0.
      scale: where outliers begin, in units of the error, > 0; may broadcast.
      where: True for what counts.

    Returns:
      `[...]`, in [0, 1], 0 at the target.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.welsch_loss(jnp.array([0.0, 2.0])))  # 1 - exp(-2)
      [0.        0.8646647]

    Reference: Barron (2019), eq. 8 at alpha = -inf; Dennis and Welsch (1978).
    """
    error, scale, mask = _error("welsch_loss", predictions, targets, scale, where)
    return arguments.masked(_saturating(_ratio(error, scale)), mask)


def tukey_biweight_loss(
    predictions: ArrayLike,
    targets: ArrayLike | None = None,
    *,
    scale: ArrayLike = 4.685,
    where: ArrayLike | None = None,
) -> Array:
    """A square that ends in a plateau, `scale^2 / 6 (1 - (1 - (r / scale)^2)^3)`.

    From `|r| = scale` on it is `scale^2 / 6`: an outlier has exactly no pull. Near the target it is
    `r^2 / 2`, in units of the error squared. Divide the errors by their standard deviation first:
    the default is then 95 % efficient on Gaussian errors.

    Args:
      predictions: `[...]`, real.
      targets: `[...]`, real; None for 0.
      scale: where the plateau begins, in units of the error, > 0; may broadcast.
      where: True for what counts.

    Returns:
      `[...]`, in `[0, scale^2 / 6]`, 0 at the target.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.tukey_biweight_loss(jnp.array([0.0, 3.0, 100.0]), scale=3.0))
      [0.  1.5 1.5]

    Reference: Beaton and Tukey (1974); Huber, Robust Statistics (1981), eq. 4.90.
    """
    function = "tukey_biweight_loss"
    error, scale, mask = _error(function, predictions, targets, scale, where)
    return arguments.masked(_biweight(error, scale), mask)


@jax.custom_jvp
def _biweight(error: Array, scale: Array) -> Array:
    inside, rest, z = _rest(error, scale)
    # Near the target from `z`, whose rounding counts little there.
    share = jnp.where(z < 0.5, 3 - z * (3 - z), 1 + rest + rest**2)
    return jnp.where(jnp.abs(error) >= scale, scale**2, inside**2 * share) / 6


def _rest(error: Array, scale: Array) -> tuple[Array, Array, Array]:
    """Return the error, `1 - z` and `z` with `z = (r / scale)^2`; beyond the scale 0, 0 and 1."""
    beyond = jnp.abs(error) >= scale
    inside = jnp.where(beyond, 0, error)
    # Subtracted before the division: the difference is exact where it is small.
    rest = ((scale - inside) / scale) * ((scale + inside) / scale)
    return inside, jnp.where(beyond, 0, rest), jnp.where(beyond, 1, (inside / scale) ** 2)


@_biweight.defjvp
def _biweight_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    # Autodiff subtracts slopes that are nearly equal at the plateau.
    inside, rest, z = _rest(*primals)
    by_scale = primals[1] / 3 * z**2 * (3 - 2 * z)
    return _biweight(*primals), inside * rest**2 * tangents[0] + by_scale * tangents[1]
