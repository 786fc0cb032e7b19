"""Norms of vectors without overflow on the way, differentiable at the zero vector."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxloss.numerics.guards import absolute, divide, sqrt, weighted


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
