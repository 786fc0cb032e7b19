"""Exponentials and logarithms of nearly everything or nothing, to the last digits."""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxloss.numerics.guards import fold, half_square, log, weighted


def power_of_exp(exponent: jax.Array, log_base: jax.Array) -> jax.Array:
    """Return `exp(log_base) ** exponent` for an exponent >= 0; `0 ** 0` is 1.

    Working on the logarithm keeps every derivative finite where the base underflows, which
    `base ** exponent` does not for exponents below 1.
    """
    return jnp.exp(weighted(exponent, log_base))


@jax.custom_jvp
def expm1(x: jax.Array) -> jax.Array:
    """Return `exp(x) - 1` to the last place; the compiler's own errs by 5 units.

    Its derivative keeps its digits where `exp(x)` is small.
    """
    small = jnp.abs(x) < 0.7
    y = jnp.where(small, x, 0)
    series = functools.reduce(lambda tail, k: 1 + y / k * tail, range(18, 2, -1), jnp.ones_like(y))
    return jnp.where(small, y + half_square(y) * series, jnp.exp(x) - 1)


@expm1.defjvp
def _expm1_jvp(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    # Autodiff adds 1 to the value, which has lost exp(x) by then.
    (x,) = primals
    return expm1(x), jnp.exp(x) * tangents[0]


@jax.custom_jvp
def log1p(x: jax.Array) -> jax.Array:
    """Return `log(1 + x)` to the last digits; the compiler's own errs by 120 units near -0.4."""
    small = (x > -0.5) & (x < 1)
    y = jnp.where(small, x, 0)
    s = y / (2 + y)
    # The series of 2 atanh(s) without its first term, whose terms fall at least ninefold.
    series = functools.reduce(lambda tail, k: 2 / k + s**2 * tail, range(35, 1, -2), 0 * s)
    square = half_square(y)
    near = y - (square - s * (square + s**2 * series))
    return jnp.where(small, near, jnp.log(jnp.where(small, 1, 1 + x)))


@log1p.defjvp
def _log1p_jvp(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    return log1p(*primals), tangents[0] / (1 + primals[0])


def log1p_square(x: jax.Array, scale: jax.Array) -> jax.Array:
    """Return `log(1 + (x / scale)^2)`, where neither the square nor the ratio need be finite."""
    _, size = fold(x)
    large, huge = size > scale, size * 2.0**-100 > scale
    ratio = jnp.where(large, jnp.where(huge, size * 2.0**-100, size), scale) / scale
    rest = log1p(jnp.where(huge, 0, 1 / ratio) ** 2)
    far = 2 * (jnp.log(ratio) + jnp.where(huge, 100 * math.log(2), 0)) + rest
    return jnp.where(large, far, log1p((jnp.where(large, 0, x) / scale) ** 2))


def exp_excess(t: jax.Array) -> jax.Array:
    """Return `t - (1 - exp(-t))` for `t >= 0`: what `t` has over its saturating counterpart."""
    small = t < 0.5
    x = jnp.where(small, t, 0)
    # Sixteen terms of the series reach the last bit of float64 below one half.
    series = functools.reduce(lambda tail, k: 1 - x / k * tail, range(17, 2, -1), jnp.ones_like(x))
    return jnp.where(small, 0.5 * x**2 * series, jnp.where(small, 0, t + jnp.expm1(-t)))


def exp_curvature(x: jax.Array) -> jax.Array:
    """Return `(exp(x) - 1 - x) / x^2`, which is 1/2 at 0, smooth through it."""
    small = jnp.abs(x) < 0.5
    z = jnp.where(small, 1, x)
    near = _curvature_near(jnp.where(small, x, 0))
    return jnp.where(small, near, (jnp.expm1(z) - z) / z**2)


def exp_remainder(x: jax.Array) -> jax.Array:
    """Return `exp(x) - 1 - x`, never negative and accurate near 0, where it is about `x^2 / 2`."""
    small = jnp.abs(x) < 0.5
    near = exp_remainder_near(jnp.where(small, x, 0))
    return jnp.where(small, near, jnp.expm1(jnp.where(small, 1, x)) - x)


def exp_remainder_near(x: jax.Array) -> jax.Array:
    """Return `exp(x) - 1 - x` for numbers up to one half in size."""
    return x**2 * _curvature_near(x)


def _curvature_near(x: jax.Array) -> jax.Array:
    # As many terms of the series as reach the last bit.
    last = 17 if x.dtype == jnp.float64 else 10
    ones = jnp.ones_like(x)
    return 0.5 * functools.reduce(lambda tail, k: 1 + x / k * tail, range(last, 2, -1), ones)


def cosh_excess(x: jax.Array) -> jax.Array:
    """Return `cosh(x) - 1` for numbers up to 1 in size, by its series."""
    y = x**2
    terms = (1 / (2 * k * (2 * k - 1)) for k in range(10, 1, -1))
    return 0.5 * y * functools.reduce(lambda tail, c: 1 + c * y * tail, terms, jnp.ones_like(y))


def _expm1_over(t: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return `(exp(t) - 1) / t` and its derivative, both smooth through 0."""
    small = jnp.abs(t) < 0.5
    x, y = jnp.where(small, t, 0), jnp.where(small, 1, t)
    one = jnp.ones_like(x)
    series = functools.reduce(lambda tail, k: 1 + x / k * tail, range(18, 1, -1), one)
    # The derivative's terms are (n + 1) / (n + 2)! t^n.
    slope = functools.reduce(
        lambda tail, n: 1 + x * ((n + 1) / (n * (n + 2))) * tail, range(17, 0, -1), one
    )
    far = jnp.expm1(y) / y
    return jnp.where(small, series, far), jnp.where(small, slope / 2, (jnp.exp(y) - far) / y)


@jax.custom_jvp
def power_excess(u: jax.Array, power: jax.Array) -> jax.Array:
    """Return `(exp(power u) - 1) / power`, and `u` at power 0: the Box-Cox transform of exp(u).

    Accurate for small `u` and through the removable singularity at power 0, in every derivative.
    """
    t = weighted(power, u)
    small = jnp.abs(t) < 0.5
    near = jnp.where(small | (power == 0), u, 0) * _expm1_over(jnp.where(small, t, 0))[0]
    far = expm1(jnp.where(small, 1, t)) / jnp.where(power == 0, 1, power)
    return jnp.where(small, near, far)


@power_excess.defjvp
def _power_excess_jvp(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    # Autodiff subtracts two nearly equal numbers where exp(power u) is small.
    u, power = primals
    t = weighted(power, u)
    by_power = weighted(_expm1_over(t)[1], jnp.where(jnp.isinf(u), 0, u) ** 2)
    return power_excess(u, power), jnp.exp(t) * tangents[0] + by_power * tangents[1]


def log_add(*terms: jax.Array) -> jax.Array:
    """Return `log(sum exp(term))`, element by element; of terms of minus infinity minus infinity.

    There the gradient is 0: what cannot be reached does not pull.
    """
    top = lax.stop_gradient(functools.reduce(jnp.maximum, terms))
    top = jnp.where(jnp.isfinite(top), top, 0)
    return log(functools.reduce(jnp.add, (jnp.exp(term - top) for term in terms))) + top


def log_sum_exp(x: jax.Array) -> jax.Array:
    """Return `log(sum(exp(x)))` over the last axis, as `log_add` of its entries."""
    top = lax.stop_gradient(jnp.max(x, axis=-1, initial=-jnp.inf))
    top = jnp.where(jnp.isfinite(top), top, 0)
    return log(jnp.sum(jnp.exp(x - top[..., None]), axis=-1)) + top
