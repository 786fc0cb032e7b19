"""Small problems that aggregators solve, for K tasks: `[K, K]` in, `[K]` out, within jit.

All work on cosines, the Gramian of gradients scaled to length 1, and put the lengths back at the
end: gradients of any scale, and of scales far apart, lose nothing in float32. A ridge of a few
units in the last place makes every problem one with a single, finite solution.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxloss import numerics

Array = jax.Array


def cosines(gramian: Array) -> tuple[Array, Array]:
    """Return the cosines between gradients, `[K, K]`, and their norms, `[K]`.

    A gradient of 0 is taken for one that is orthogonal to all others.
    """
    norms = numerics.sqrt(jnp.maximum(jnp.diagonal(gramian), 0))
    # One after the other: the product of two norms may overflow.
    cosine = numerics.divide(numerics.divide(gramian, norms[:, None]), norms[None])
    return jnp.where(jnp.eye(len(norms), dtype=bool), 1, jnp.clip(cosine, -1, 1)), norms


def ridge(matrix: Array) -> Array:
    """Return a multiple of the identity as large as the rounding of a Gramian of unit rows."""
    size = len(matrix)
    return 2 * size * float(jnp.finfo(matrix.dtype).eps) * jnp.eye(size, dtype=matrix.dtype)


def equal_projections(cosine: Array) -> Array:
    """Return the weights of unit rows with which all have the same projection on their sum.

    Where rows depend on each other, as on the Pareto front, the ridge makes them those with which
    the sum vanishes.
    """
    return jnp.linalg.solve(cosine + ridge(cosine), jnp.ones(len(cosine), cosine.dtype))


def non_negative(cosine: Array, linear: Array) -> Array:
    """Return the `x >= 0` of least `x A x / 2 + linear x`, for `A` with a diagonal of 1.

    Proximal steps, each an exact solution with a little of the identity added to `A`: few where `A`
    is regular, and where it is not they stay finite and approach what solves it best.
    """
    size = len(linear)
    eps = float(jnp.finfo(linear.dtype).eps)
    weight = 2 * (size * eps) ** 0.5
    damped = cosine + weight * jnp.eye(size, dtype=cosine.dtype)

    def nearer(carry: Any) -> Any:
        x, free, _, count = carry
        new, free = _exchanged(damped, linear - weight * x, free)
        return new, free, jnp.max(jnp.abs(new - x)), count + 1

    def moving(carry: Any) -> Array:
        x, _, moved, count = carry
        return (moved * weight > eps * jnp.max(jnp.abs(x))) & (count < 40)

    start = (jnp.zeros_like(linear), linear < 0, jnp.full((), jnp.inf, linear.dtype), 0)
    return lax.while_loop(moving, nearer, start)[0]


def _exchanged(matrix: Array, linear: Array, free: Array) -> tuple[Array, Array]:
    """Return the `x >= 0` of least `x A x / 2 + linear x`, and where it is not 0.

    Exchanges all variables that violate their conditions between the free and those at 0, and only
    the last of them where that has not helped for long, which ends for every positive definite
    matrix (Judice and Pires, 1994). `free` is where to start.
    """
    size = len(linear)
    limit = 8 * size * float(jnp.finfo(linear.dtype).eps)

    def solved(free: Array) -> tuple[Array, Array]:
        both = free[:, None] & free[None]
        system = jnp.where(both, matrix, jnp.eye(size, dtype=matrix.dtype))
        x = jnp.linalg.solve(system, jnp.where(free, -linear, 0))
        wrong = jnp.where(free, -x, -(matrix @ x + linear))
        return x, wrong > limit * (jnp.max(jnp.abs(x)) + jnp.max(jnp.abs(linear)))

    def exchange(carry: Any) -> Any:
        _, free, bad, fewest, patience, count = carry
        number = jnp.sum(bad)
        better = number < fewest
        last = jnp.arange(size) == jnp.max(jnp.where(bad, jnp.arange(size), -1))
        free = free ^ (bad & (better | (patience > 0) | last))
        x, bad = solved(free)
        patience = jnp.where(better, 3, patience - 1)
        return x, free, bad, jnp.minimum(number, fewest), patience, count + 1

    def wrong(carry: Any) -> Array:
        return jnp.any(carry[2]) & (carry[-1] < 20 + 10 * size)

    start = (*solved(free), size + 1, 3, 0)
    x, free, *_ = lax.while_loop(wrong, exchange, (start[0], free, *start[1:]))
    return jnp.maximum(x, 0), free


def min_norm(gramian: Array) -> Array:
    """Return the weights `w >= 0`, of sum 1, of least `w G w`: the shortest convex combination."""
    cosine, norms = cosines(gramian)
    # `x = w / (w G w)` minimises `x G x / 2 - sum(x)`; the smallest gradient has the largest weight
    # of all, so that it is measured by its inverse norm.
    shortest = jnp.min(norms)
    inverse = jnp.where(norms == shortest, 1, numerics.divide(shortest, norms))
    weights = inverse * non_negative(cosine, -inverse)
    return weights / jnp.sum(weights)


def dual_cone(gramian: Array, at_least: Array) -> Array:
    """Return the weights `w >= at_least` of least `w G w`.

    Their combination is the projection of the gradients combined by `at_least` onto the directions
    that conflict with none of the gradients.
    """
    cosine, norms = cosines(gramian)
    size = jnp.max(norms)
    # In units of the longest gradient, so that no square of a length over- or underflows.
    floor = numerics.divide(norms, size) * at_least
    added = non_negative(cosine, jnp.where(norms > 0, cosine @ floor, 0))
    return at_least + numerics.divide(added, numerics.divide(norms, size))


def proportional(gramian: Array, exponent: Array) -> Array:
    """Return the weights `w > 0` with `G w = w ^ -exponent`; 0 for a gradient of 0.

    They minimise `w G w / 2 - sum(w ^ (1 - exponent) / (1 - exponent))`, which is strictly convex
    (a logarithm for an exponent of 1): Newton's method in the logarithm of the weights, each step
    halved until the potential falls.
    """
    cosine, norms = cosines(gramian)
    largest, excess = jnp.max(norms), exponent - 1
    lengths = numerics.divide(norms, largest)
    # In units of what each weight would be alone, for which `A x = alone^2 x ^ -exponent`.
    alone = jnp.where(norms == 0, 1, jnp.where(norms == 0, 1, lengths) ** (excess / (1 + exponent)))
    matrix = alone[:, None] * (cosine + ridge(cosine)) * alone[None]
    halves = 0.5 ** jnp.arange(24, dtype=cosine.dtype)
    info = jnp.finfo(cosine.dtype)
    eps, farthest = float(info.eps), math.log(info.max) / 4

    def potential(log_x: Array) -> Array:
        x = jnp.exp(log_x)
        smooth = jnp.expm1(-excess * log_x) / jnp.where(excess == 0, 1, -excess)
        return 0.5 * x @ matrix @ x - alone**2 @ jnp.where(excess == 0, log_x, smooth)

    def improve(carry: Any) -> Any:
        log_x, _, count = carry
        x = jnp.exp(log_x)
        wanted = alone**2 * jnp.exp(-excess * log_x)
        residual = wanted - x * (matrix @ x)
        hessian = x[:, None] * matrix * x[None] + jnp.diag(exponent * wanted)
        unit = 1 / numerics.sqrt(jnp.diagonal(hessian))
        move = unit * jnp.linalg.solve(unit[:, None] * hessian * unit[None], unit * residual)
        # A weight that is much too large alone would fall too far: this is exact for such a one.
        move = jnp.where(move < 0, -jnp.log1p(exponent * jnp.abs(move)) / exponent, move)
        now = potential(log_x)
        then = jax.vmap(lambda part: potential(log_x + part * move))(halves)
        slope = 1e-4 * halves * (residual @ move)
        falls = then <= now - slope + 4 * len(x) * eps * jnp.abs(now)
        part = jnp.where(jnp.any(falls), halves[jnp.argmax(falls)], halves[-1])
        new = jnp.clip(log_x + part * move, -farthest, farthest)
        return new, jnp.max(jnp.abs(new - log_x)), count + 1

    def moving(carry: Any) -> Array:
        _, last, count = carry
        return (last > 4 * eps) & (count < 100)

    start = (jnp.zeros_like(norms), jnp.full((), jnp.inf, cosine.dtype), 0)
    x = jnp.exp(lax.while_loop(moving, improve, start)[0])
    weights = numerics.divide(alone * x, lengths)
    return numerics.divide(weights, largest ** (2 / (1 + exponent)))
