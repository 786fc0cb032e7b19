"""Sums over the components of the differences of many vectors, without holding the differences.

Of `n` vectors and `m` others the differences are `[..., n, m, d]`, the largest array by far of any
loss of distances. The sums are formed a few components at a time, and their derivatives for a few
rows at a time. They are of differences and not of products, so that nearly coincident points keep
their digits, in the gradient as well.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxloss import numerics
from jaxloss.contrastive import rows

Array = jax.Array
Term = Callable[[Array], Array]

# Components whose terms are summed before they are stored: as many as registers hold.
_BLOCK = 16
# Differences that fit a cache; as many as that are not worth taking apart.
_CHUNK = 2**16


def are_many(x: Array, y: Array) -> bool:
    """Tell whether the differences of `[..., n, d]` and `[..., m, d]` are worth avoiding."""
    return x.size * y.shape[-2] > _CHUNK


def squares(x: Array, y: Array) -> Array:
    """Return the sums of squared differences, `[..., n, m]`."""
    return _sums(jnp.square, x, y)


def absolutes(x: Array, y: Array) -> Array:
    """Return the sums of absolute differences, `[..., n, m]`."""
    return _sums(numerics.absolute, x, y)


def lengths(x: Array, y: Array) -> Array:
    """Return the Euclidean norms of the differences, `[..., n, m]`; at 0 the gradient is 0.

    Those that are 1e-19 of the largest component (in float32) count as 0.
    """
    x, y, scale = scaled(x, y)
    return scale * numerics.sqrt(squares(x, y))


def scaled(x: Array, y: Array) -> tuple[Array, Array, Array]:
    """Return vectors whose squares do not overflow, and their scale, a power of two."""
    most = lambda v: jnp.max(jnp.abs(v), axis=(-2, -1), keepdims=True, initial=0)
    scale = lax.stop_gradient(jnp.maximum(most(x), most(y)))
    # Such that neither it nor its reciprocal leaves the normal numbers; a power of two, which
    # rounds nothing.
    info = jnp.finfo(x.dtype)
    scale = jnp.clip(jnp.where(scale >= 0, scale, 1), 4 * float(info.tiny), float(info.max) / 8)
    scale = jnp.ldexp(jnp.ones_like(scale), jnp.frexp(scale)[1] - 1)
    return x / scale, y / scale, scale


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _sums(term: Term, x: Array, y: Array) -> Array:
    """Return the sums of `term(x - y)` over the components, `[..., n, m]`."""

    def block(a: Array, b: Array) -> Array:
        terms = [term(a[k][..., :, None] - b[k][..., None, :]) for k in range(len(a))]
        return functools.reduce(jnp.add, terms)

    left, right = _blocks(x), _blocks(y)
    add = lambda total, ab: (total + block(*ab), None)
    return lax.scan(add, block(left[0], right[0]), (left[1:], right[1:]))[0]


@_sums.defjvp
def _sums_jvp(term: Term, primals: Any, tangents: Any) -> tuple[Array, Array]:
    # Autodiff of the sums would keep the differences.
    chunk = _CHUNK * primals[0].shape[-2] // (primals[0].size * primals[1].shape[-2] + 1)

    def plain(x: Array, y: Array) -> Array:
        gaps = lambda some: some[..., :, None, :] - y[..., None, :, :]
        return rows.by_rows(lambda some: jnp.sum(term(gaps(some)), axis=-1), chunk, x, x.ndim - 2)

    return _sums(term, *primals), jax.jvp(plain, primals, tangents)[1]


def _blocks(v: Array) -> Array:
    """Return the components of `[..., n, d]` in blocks, `[d / block, block, ..., n]`."""
    count = -(-v.shape[-1] // _BLOCK)
    v = jnp.pad(v, [(0, 0)] * (v.ndim - 1) + [(0, count * _BLOCK - v.shape[-1])])
    v = jnp.moveaxis(v, -1, 0)
    return v.reshape(count, _BLOCK, *v.shape[1:])
