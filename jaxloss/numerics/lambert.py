"""Lambert's W, the inverse of `w exp(w)`: its principal branch, to the last digits."""

from __future__ import annotations

import functools
import math
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxloss.numerics.guards import divide

# -1/e as a ratio of integers: no float holds the branch point, and what it lacks decides.
_BRANCH = -1 / sum(Fraction(1, math.factorial(k)) for k in range(30))


def lambert_w(x: jax.Array) -> jax.Array:
    """Return the principal branch of `w exp(w) = x`, `w >= -1`, for `x >= -1/e`; NaN below.

    No float is -1/e: the nearest one, which lies below it, stands for it, and is given -1. The
    derivative `exp(-w) / (1 + w)` is infinite at that point, and 0 is given, as by `sqrt` at 0.
    """
    return lambert_terms(x)[0]


def lambert_decay(x: jax.Array) -> jax.Array:
    """Return `exp(-lambert_w(x))`, which is `lambert_w(x) / x` and `e` at the branch point."""
    return _decay(x, lambert_terms(x)[0])


def _decay(x: jax.Array, w: jax.Array) -> jax.Array:
    # The exponential would multiply the error of a large w; at infinity the ratio is no number.
    large = (x > 1) & (x < jnp.inf)
    return jnp.where(large, divide(w, jnp.where(large, x, 1)), jnp.exp(-jnp.where(large, 0, w)))


@jax.custom_jvp
def lambert_terms(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return `lambert_w(x)` and `1 + lambert_w(x)`, small with all its digits near the branch."""
    near = x < -0.25
    above = _above(jnp.where(near, x, 0))
    far = _far(jnp.where(near, 0, x))
    least = float(np.asarray(float(_BRANCH), x.dtype))
    outside = jnp.where(x < least, jnp.nan, 0).astype(x.dtype)
    return jnp.where(near, above - 1, far) + outside, jnp.where(near, above, 1 + far) + outside


@lambert_terms.defjvp
def _lambert_terms_jvp(primals: Any, tangents: Any) -> Any:
    w, above = lambert_terms(*primals)
    change = divide(_decay(primals[0], w), above) * tangents[0]
    return (w, above), (change, change)


def _above(x: jax.Array) -> jax.Array:
    """Return `v = 1 + w` for `x` near -1/e, from `q = 1 + e x = 1 + (v - 1) exp(v)`."""
    high = np.asarray(float(_BRANCH), x.dtype)
    low = float(math.e * float(_BRANCH - Fraction(float(high))))
    # The difference of neighbours is exact.
    q = jnp.maximum(math.e * (x - high) - low, 0)
    p = jnp.sqrt(2 * q)
    v = p * (1 - p * (1 / 3 - p * (11 / 72 - p * (43 / 540))))
    terms = range(19 if x.dtype == jnp.float64 else 11, 1, -1)
    for _ in range(_rounds(x)):
        excess = functools.reduce(
            lambda tail, n: 1 + v * (n / ((n - 1) * (n + 1))) * tail, terms, jnp.ones_like(v)
        )
        v = v - divide(0.5 * v * v * excess - q, v * jnp.exp(v))
    return v


def _rounds(x: jax.Array) -> int:
    # From within a few per cent, each round doubles the number of digits.
    return 4 if x.dtype == jnp.float64 else 3


def _far(x: jax.Array) -> jax.Array:
    """Return w away from the branch point, by Newton's method on `w + log(w) = log(x)`."""
    # Where w is x to the last bit, the ratio below might underflow; at infinity it is no number.
    small = jnp.abs(x) < float(jnp.finfo(x.dtype).eps) / 8
    plain = small | jnp.isinf(x)
    y = jnp.where(plain, 1, x)
    start = jnp.log1p(y)
    w = start * (1 - jnp.log1p(start) / (2 + start))
    for _ in range(_rounds(x)):
        w = w * ((1 + jnp.log(y / w)) / (1 + w))
    return jnp.where(plain, x, w)
