"""The sigmoid and its logarithm, accurate in both tails and around 0."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.numerics.guards import fold


def sigmoid(x: jax.Array) -> jax.Array:
    """Return `1 / (1 + exp(-x))`, whose value and derivative keep their digits in both tails."""
    positive, size = fold(x)
    small = jnp.exp(-size)
    return jnp.where(positive, 1, small) / (1 + small)


@jax.custom_jvp
def sigmoid_terms(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return 0, 1/2 or 1, and what `sigmoid(x)` has more: small, with digits that a sum loses."""
    positive, size = x > 0, jnp.abs(x)
    near, small = size < 1.5, jnp.exp(-size)
    # Lambert's fraction of half `tanh(z) = z / (1 + z^2 / (3 + z^2 / (5 + ...)))`, less `z / 2`:
    # only a small part is rounded. Ten steps of it reach the last bit of float64, five of float32.
    y = jnp.where(near, 0.5 * x, 0) ** 2
    above, below = (0 * y, y / 3), (1 + 0 * y, 1 + y / 3)
    last_step = 21 if x.dtype == jnp.float64 else 11
    for factor in (1 / (k * (k + 2)) for k in range(3, last_step, 2)):
        above, below = ((now, now + factor * y * last) for last, now in (above, below))
    rest = small / (1 + small)
    more = jnp.where(positive, -rest, rest)
    more = jnp.where(near, 0.25 * x - 0.25 * x * (above[1] / below[1]), more)
    return jnp.where(near, 0.5, positive.astype(x.dtype)), more


@sigmoid_terms.defjvp
def _sigmoid_terms_jvp(primals: Any, tangents: Any) -> Any:
    step, more = sigmoid_terms(*primals)
    slope = sigmoid(primals[0]) * sigmoid(-primals[0])
    return (step, more), (jnp.zeros_like(step), slope * tangents[0])


def softplus(x: jax.Array) -> jax.Array:
    """Return `log(1 + exp(x))`, accurate in value and derivative on the whole line."""
    positive, size = fold(x)
    return jnp.log1p(jnp.exp(-size)) + jnp.where(positive, x, 0)
