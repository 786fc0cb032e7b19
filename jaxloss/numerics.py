"""Arithmetic that is safe to differentiate: the ground floor.

Nobody else in the library guards a division, a root, a logarithm or a kink. Each function here
gives the value and the gradient that mathematics gives, at full relative accuracy, and says what
it does where mathematics gives none.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax


def absolute(x: jax.Array) -> jax.Array:
    """Return `|x|`, with gradient 0 at 0 (`jnp.abs` has 1 there and pushes at a perfect fit)."""
    return x * jnp.sign(x)


def positive_part(x: jax.Array) -> jax.Array:
    """Return `max(x, 0)`, with gradient 0 at 0, the sub-gradient of least norm."""
    return jax.nn.relu(x)


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


def log(x: jax.Array) -> jax.Array:
    """Return `log(x)`, with zero gradient (not an infinite one) where `x` is 0."""
    zero = x == 0
    return jnp.where(zero, -jnp.inf, jnp.log(jnp.where(zero, 1, x)))


def sqrt(x: jax.Array) -> jax.Array:
    """Return `sqrt(x)`, with gradient 0 at 0."""
    zero = x == 0
    return jnp.where(zero, 0, jnp.sqrt(jnp.where(zero, 1, x)))


def _scale(x: jax.Array, axis: int | None = None, keepdims: bool = False) -> jax.Array:
    """Return a magnitude to divide by so that squares neither overflow nor vanish.

    It is held constant under differentiation: the functions that use it are homogeneous, so their
    derivatives do not depend on it.
    """
    largest = lax.stop_gradient(jnp.max(jnp.abs(x), axis=axis, keepdims=keepdims, initial=0))
    # Its reciprocal, which XLA may multiply by instead, must be a normal number, too.
    info = jnp.finfo(x.dtype)
    bounded = jnp.clip(largest, 4 * float(info.tiny), float(info.max) / 8)
    return jnp.where(largest == 0, 1, bounded)


@jax.custom_jvp
def hypot(x: jax.Array, y: jax.Array) -> jax.Array:
    """Return `sqrt(x^2 + y^2)` without overflow, smooth wherever `x` and `y` are not both 0."""
    x, y = jnp.broadcast_arrays(x, y)
    scale = _scale(jnp.stack([x, y]), axis=0)
    return scale * sqrt((x / scale) ** 2 + (y / scale) ** 2)


@hypot.defjvp
def _hypot_jvp(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    # Autodiff multiplies by the scale and divides by it again, which overflows on the way.
    length = hypot(*primals)
    slopes = (divide(p, length) for p in primals)
    return length, sum(s * t for s, t in zip(slopes, tangents, strict=True))


def norm(x: jax.Array) -> jax.Array:
    """Return the Euclidean norm over the last axis; at the zero vector 0, with zero gradient."""
    scale = _scale(x, axis=-1)
    return scale * sqrt(jnp.sum((x / scale[..., None]) ** 2, axis=-1))


def unit(x: jax.Array, smallest: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Divide vectors (last axis) by `max(norm, smallest)`.

    Returns:
      The vectors, and by how much their squared norm falls short of 1: exactly 0 for those of
      norm above `smallest`, 1 for the zero vector.
    """
    # Scaled first, because the norm of a long vector of large entries can itself overflow.
    scale = _scale(x, axis=-1, keepdims=True)
    x, floor = x / scale, smallest / scale[..., 0]
    size = norm(x)
    direction = divide(x, jnp.maximum(size, floor)[..., None])
    short = (size <= floor) | (size == 0)
    return direction, jnp.where(short, 1 - jnp.sum(direction**2, axis=-1), 0)


def half_square(x: jax.Array) -> jax.Array:
    """Return `x^2 / 2`, finite wherever that is, although the square may not be."""
    return 0.5 * x * x


def power(base: jax.Array, exponent: jax.Array) -> jax.Array:
    """Return `base ** exponent` of numbers >= 0; `0 ** 0` is 1, and a base of 0 has no gradient.

    The compiler's power is right to the last place, which `exp(exponent * log(base))` is not.
    """
    zero = base == 0
    nothing = (exponent == 0).astype(base.dtype)
    return jnp.where(zero, nothing, jnp.where(zero, 1, base) ** exponent)


def power_of_exp(exponent: jax.Array, log_base: jax.Array) -> jax.Array:
    """Return `exp(log_base) ** exponent` for an exponent >= 0; `0 ** 0` is 1.

    Working on the logarithm keeps every derivative finite where the base underflows, which
    `base ** exponent` does not for exponents below 1.
    """
    return jnp.exp(weighted(exponent, log_base))


def softplus(x: jax.Array) -> jax.Array:
    """Return `log(1 + exp(x))`, accurate in value and derivative on the whole line."""
    positive, size = fold(x)
    return jnp.log1p(jnp.exp(-size)) + jnp.where(positive, x, 0)


def exp_excess(t: jax.Array) -> jax.Array:
    """Return `t - (1 - exp(-t))` for `t >= 0`: what `t` has over its saturating counterpart."""
    small = t < 0.5
    x = jnp.where(small, t, 0)
    # Sixteen terms of the series reach the last bit of float64 below one half.
    series = functools.reduce(lambda tail, k: 1 - x / k * tail, range(17, 2, -1), jnp.ones_like(x))
    return jnp.where(small, 0.5 * x**2 * series, jnp.where(small, 0, t + jnp.expm1(-t)))


def centered(x: jax.Array) -> jax.Array:
    """Subtract the largest entry of the last axis, which is a constant to autodiff."""
    top = lax.stop_gradient(jnp.max(x, axis=-1, keepdims=True))
    return x - jnp.where(jnp.isfinite(top), top, 0)


def fold(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return `x > 0` and `|x|`, differentiated along the same branch.

    For formulas that are smooth in `x` but are computed from `|x|`: a sub-gradient of 0 at 0,
    right for a loss with a kink, would be a wrong derivative for them.
    """
    positive = x > 0
    return positive, jnp.where(positive, x, -x)


class Softmax(NamedTuple):
    """The parts of a softmax from which losses are made, all relative to the largest logit.

    Subtracting a normaliser from the logits loses the small differences that a confident
    prediction is about; these parts keep them: `-log p` of a prediction with a lead of 20 is
    2.06e-9 here and 0 there.

    Attributes:
      top: `[...]`, the largest logit.
      is_top: `[..., classes]`, one True for each example, at the largest logit.
      gaps: `[..., classes]`, `top - logits`, all >= 0, infinite where masked.
      rest: `[...]`, the sum of `exp(-gaps)` over all classes but the top one.
    """

    top: jax.Array
    is_top: jax.Array
    gaps: jax.Array
    rest: jax.Array

    def surprisal(self) -> jax.Array:
        """Return `-log p` for every class, `[..., classes]`, all >= 0."""
        return self.gaps + jnp.log1p(self.rest)[..., None]

    def log_normalizer(self) -> jax.Array:
        """Return the log of the sum of exponentials, `[...]`."""
        return self.top + jnp.log1p(self.rest)

    def log_complement(self) -> jax.Array:
        """Return `log(1 - p)` for every class, `[..., classes]`."""
        others = jnp.where(self.is_top, jnp.inf, self.gaps)
        nearest = lax.stop_gradient(jnp.min(others, axis=-1))
        alone = jnp.isinf(nearest)
        nearest = jnp.where(alone, 0, nearest)
        spread = jnp.sum(jnp.exp(nearest[..., None] - others), axis=-1)
        log_rest = jnp.where(alone, -jnp.inf, jnp.log(jnp.where(alone, 1, spread)) - nearest)
        top = log_rest - jnp.log1p(self.rest)
        elsewhere = jnp.where(self.is_top, 0, jnp.exp(-self.surprisal()))
        # Where p is 0 there is no slope, and none may meet an overflowing factor further out.
        below = jnp.where(elsewhere == 0, 0, jnp.log1p(-elsewhere))
        return jnp.where(self.is_top, top[..., None], below)


def softmax(logits: jax.Array, mask: jax.Array) -> Softmax:
    """Return the parts of the softmax over the last axis of the entries where `mask` is True.

    Args:
      logits: `[..., classes]`, finite where masked.
      mask: `[..., classes]`. An example that is masked throughout counts as unmasked: its value
        is harmless and the caller discards it.
    """
    present = mask | ~jnp.any(mask, axis=-1, keepdims=True)
    logits = jnp.where(present, logits, -jnp.inf)
    index = lax.broadcasted_iota(jnp.int32, logits.shape, logits.ndim - 1)
    is_top = jnp.argmax(logits, axis=-1, keepdims=True).astype(jnp.int32) == index
    top = jnp.sum(jnp.where(is_top, logits, 0), axis=-1)
    # NaN has no top: it must reach every class, the only one of a single class included.
    gaps = jnp.where(is_top & ~jnp.isnan(top)[..., None], 0, top[..., None] - logits)
    rest = jnp.sum(jnp.where(is_top, 0, jnp.exp(-gaps)), axis=-1)
    return Softmax(top, is_top, gaps, rest)


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
    far = jnp.expm1(jnp.where(small, 1, t)) / jnp.where(power == 0, 1, power)
    return jnp.where(small, near, far)


@power_excess.defjvp
def _power_excess_jvp(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    # Autodiff subtracts two nearly equal numbers where exp(power u) is small.
    u, power = primals
    t = weighted(power, u)
    by_power = weighted(_expm1_over(t)[1], jnp.where(jnp.isinf(u), 0, u) ** 2)
    return power_excess(u, power), jnp.exp(t) * tangents[0] + by_power * tangents[1]


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


def log1p_square(x: jax.Array, scale: jax.Array) -> jax.Array:
    """Return `log(1 + (x / scale)^2)`, where neither the square nor the ratio need be finite."""
    _, size = fold(x)
    large, huge = size > scale, size * 2.0**-100 > scale
    ratio = jnp.where(large, jnp.where(huge, size * 2.0**-100, size), scale) / scale
    rest = log1p(jnp.where(huge, 0, 1 / ratio) ** 2)
    far = 2 * (jnp.log(ratio) + jnp.where(huge, 100 * math.log(2), 0)) + rest
    return jnp.where(large, far, log1p((jnp.where(large, 0, x) / scale) ** 2))


def cosh_excess(x: jax.Array) -> jax.Array:
    """Return `cosh(x) - 1` for numbers up to 1 in size, by its series."""
    y = x**2
    terms = (1 / (2 * k * (2 * k - 1)) for k in range(10, 1, -1))
    return 0.5 * y * functools.reduce(lambda tail, c: 1 + c * y * tail, terms, jnp.ones_like(y))


def exp_curvature(x: jax.Array) -> jax.Array:
    """Return `(exp(x) - 1 - x) / x^2`, which is 1/2 at 0, smooth through it."""
    small = jnp.abs(x) < 0.5
    y = jnp.where(small, x, 0)
    series = functools.reduce(lambda tail, k: 1 + y / k * tail, range(17, 2, -1), jnp.ones_like(y))
    z = jnp.where(small, 1, x)
    return jnp.where(small, 0.5 * series, (jnp.expm1(z) - z) / z**2)


def exp_remainder(x: jax.Array) -> jax.Array:
    """Return `exp(x) - 1 - x`, never negative and accurate near 0, where it is about `x^2 / 2`."""
    small = jnp.abs(x) < 0.5
    y = jnp.where(small, x, 0)
    return jnp.where(small, y**2 * exp_curvature(y), jnp.expm1(jnp.where(small, 1, x)) - x)


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


def p_norm(x: jax.Array, degree: jax.Array, epsilon: jax.Array) -> jax.Array:
    """Return `(sum |x|^degree + epsilon)^(1 / degree)` over the last axis, for a degree >= 1.

    Without overflow on the way; at entries that are 0 the gradient is 0, as at the zero vector.
    `degree` and `epsilon` (>= 0) broadcast to the result.
    """
    # Held constant, because the result does not depend on it; at least the root of epsilon, and a
    # power of two, by which to scale and to scale back rounds nothing.
    scale = jnp.maximum(_scale(x, axis=-1), lax.stop_gradient(epsilon ** (1 / degree)))
    scale = jnp.ldexp(jnp.ones_like(scale), jnp.frexp(scale)[1])
    share, degrees = x / scale[..., None], degree[..., None]
    zero = share == 0
    # From the square, where it is a factor: a power guarded at 0 has no second derivative there.
    smooth = degrees >= 2
    power = jnp.where(smooth, degrees - 2, degrees)
    rest = jnp.where(zero, power == 0, jnp.where(zero, 1, absolute(share)) ** power)
    powers = jnp.where(smooth, share**2, 1) * rest
    total = jnp.sum(powers, axis=-1) + weighted(epsilon, scale**-degree)
    nothing = total == 0
    return scale * jnp.where(nothing, 0, jnp.where(nothing, 1, total) ** (1 / degree))


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


def sigmoid(x: jax.Array) -> jax.Array:
    """Return `1 / (1 + exp(-x))`, whose value and derivative keep their digits in both tails."""
    positive, size = fold(x)
    small = jnp.exp(-size)
    return jnp.where(positive, 1, small) / (1 + small)


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
