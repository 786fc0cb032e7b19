"""Sums, products, quotients, powers and kinks with the gradient that mathematics gives them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax


def absolute(x: jax.Array) -> jax.Array:
    """Return `|x|`, with gradient 0 at 0 (`jnp.abs` has 1 there and pushes at a perfect fit)."""
    return x * jnp.sign(x)


def positive_part(x: jax.Array) -> jax.Array:
    """Return `max(x, 0)`, with gradient 0 at 0, the sub-gradient of least norm."""
    return jax.nn.relu(x)


def fold(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return `x > 0` and `|x|`, differentiated along the same branch.

    For formulas that are smooth in `x` but are computed from `|x|`: a sub-gradient of 0 at 0,
    right for a loss with a kink, would be a wrong derivative for them.
    """
    positive = x > 0
    return positive, jnp.where(positive, x, -x)


@jax.custom_jvp
def divide(numerator: jax.Array, denominator: jax.Array) -> jax.Array:
    """Return the quotient, and 0 with zero gradient where the denominator is 0."""
    zero = denominator == 0
    return jnp.where(zero, 0, numerator / jnp.where(zero, 1, denominator))


@divide.defjvp
def _divide_jvp(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    # Autodiff squares the denominator, which over- or underflows where the quotient does not.
    quotient = divide(*primals)
    return quotient, divide(tangents[0] - quotient * tangents[1], primals[1])


def weighted(weight: jax.Array, value: jax.Array) -> jax.Array:
    """Return `weight * value`, where a weight of 0 silences an infinite value but never a NaN."""
    silent = (weight == 0) & jnp.isinf(value)
    product = weight * jnp.where(silent, 0, value)
    # Selected, because XLA takes a product with a converted boolean for a selection.
    return jnp.where(jnp.isnan(value), value, product)


@jax.custom_jvp
def portion(part: jax.Array, rest: jax.Array) -> jax.Array:
    """Return `part / (part + rest)` of non-negative numbers, and 0 with zero gradient for 0/0."""
    return divide(part, part + rest)


@portion.defjvp
def _portion_jvp(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    # Autodiff takes the part's tangent from that of the whole, in which a small rest is lost.
    part, rest = primals
    whole = portion(part, rest)
    slope = portion(rest, part) * tangents[0] - whole * tangents[1]
    return whole, divide(slope, part + rest)


def log(x: jax.Array) -> jax.Array:
    """Return `log(x)`, with zero gradient (not an infinite one) where `x` is 0."""
    zero = x == 0
    return jnp.where(zero, -jnp.inf, jnp.log(jnp.where(zero, 1, x)))


def sqrt(x: jax.Array) -> jax.Array:
    """Return `sqrt(x)`, with gradient 0 at 0."""
    zero = x == 0
    return jnp.where(zero, 0, jnp.sqrt(jnp.where(zero, 1, x)))


def half_square(x: jax.Array) -> jax.Array:
    """Return `x^2 / 2`, finite wherever that is, although the square may not be."""
    return 0.5 * x * x


def power(base: jax.Array, exponent: jax.Array, lost: jax.Array | None = None) -> jax.Array:
    """Return `base ** exponent` of numbers >= 0; `0 ** 0` is 1, and a base of 0 has no gradient.

    The compiler's power is right to the last place, which `exp(exponent * log(base))` is not.
    `lost` is what rounding took from a base of at most 1, which the power would multiply.
    """
    # Below the smallest normal number some operations take for 0 what others do not.
    base = jnp.where(base < float(jnp.finfo(base.dtype).tiny), 0, base)
    raised = _raised(base, exponent)
    if lost is None:
        return raised
    return raised + raised * (exponent * divide(lost, lax.stop_gradient(base)))


@jax.custom_jvp
def _raised(base: jax.Array, exponent: jax.Array) -> jax.Array:
    zero = base == 0
    nothing = (exponent == 0).astype(base.dtype)
    return jnp.where(zero, nothing, jnp.where(zero, 1, base) ** exponent)


@_raised.defjvp
def _raised_jvp(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    # Autodiff raises to the exponent less 2 in the end, which overflows for a small base.
    base, exponent = primals
    raised = _raised(base, exponent)
    by_exponent = raised * jnp.log(jnp.where(base == 0, 1, base))
    return raised, exponent * divide(raised, base) * tangents[0] + by_exponent * tangents[1]


@jax.custom_jvp
def valued(formula: jax.Array, value: jax.Array) -> jax.Array:
    """Return `value`, differentiated as `formula`: one function written in two ways.

    For formulas that round badly but have plain derivatives, beside values that keep small numbers
    but whose derivatives would cancel.
    """
    del formula
    return value


@valued.defjvp
def _valued_jvp(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    return valued(*primals), tangents[0]


def add(*terms: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return the sum of terms, and what its rounding lost: a constant to autodiff."""
    total, lost = terms[0], jnp.zeros_like(terms[0])
    for term in terms[1:]:
        before, total = total, total + term
        back = total - before
        lost = lost + lax.stop_gradient((before - (total - back)) + (term - back))
    rounded = total + lost
    return rounded, lax.stop_gradient(lost - (rounded - total))
