"""What finding one among many is about: log-sum-exp over rows and columns of similarities.

Each anchor has one counterpart among the others, and rivals of it. The sums over the rivals of a
row, and over those of a column, are made for a few rows at a time: a row is done with before the
next are looked at, and what the columns have so far is carried on. For the gradient the products
are made again, when all sums are known, so that rows and columns share three products there, and
the weight of each pair is one exponential.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxloss import numerics, reduction
from jaxloss.contrastive import batch, rows, similarity

Array = jax.Array


class LogSum(NamedTuple):
    """The logarithm of a sum of exponentials, in two parts.

    Attributes:
      top: the largest term, a constant to autodiff; 0 where there is none.
      rest: what the logarithm has more; -inf where there is no term.
    """

    top: Array
    rest: Array

    def beyond(self, value: Array) -> Array:
        """Return by how much the logarithm is more than a value."""
        return (self.top - value) + self.rest

    def share(self, term: Array) -> Array:
        """Return which share of the sum a term is."""
        return jnp.exp((term - self.top) - jnp.where(self.rest == -jnp.inf, 0, self.rest))

    def at(self, places: Array) -> LogSum:
        """Return those at some places of the last axis."""
        return LogSum(*(jnp.take_along_axis(x, places, axis=-1) for x in self))

    def over(self, axis_name: reduction.AxisName) -> LogSum:
        """Return the logarithm of the sum over all shards."""
        if axis_name is None:
            return self
        top = lax.pmax(lax.stop_gradient(self.top), axis_name)
        part = jnp.exp(self.rest + (self.top - top))
        return LogSum(top, numerics.log(lax.psum(part, axis_name)))


class Sums(NamedTuple):
    """What the rows and columns of a matrix `[..., n, m]` of similarities add up to.

    Attributes:
      own: `[..., n]`, the similarity of each anchor and its counterpart; 0 where there is none.
      friends: `[..., n]`, the sum over its friends.
      rows: `[..., n]`, of the exponentials over its rivals.
      columns: `[..., m]`, over the rivals in a column, a `LogSum`; None if not asked for.
    """

    own: Array
    friends: Array
    rows: LogSum
    columns: Any


def sums(b: Any, matrix: similarity.Matrix, *, columns: bool = False) -> Sums:
    """Return the sums over the rows, and over the columns, of the similarities of a batch.

    `b.own`, `b.friend` and `b.rival` tell who is which, `[..., n, m]`.
    """
    members = b._replace(**{name: None for name in b._fields if name in batch.VECTORS})
    return _sums(matrix.of, batch.at_a_time(b), columns, matrix.rows, matrix.rest, members)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def _sums(of: Any, chunk: int, columns: bool, left: Array, right: Any, b: Any) -> Sums:
    def step(carry: Any, some: Any) -> tuple[Any, Any]:
        left, members = some
        here = b._replace(**members)
        values = of(left, right)
        rivals = jnp.where(here.rival, values, -jnp.inf)
        carry = carry and _added(carry, rivals, -2)
        own = jnp.take_along_axis(values, here.partner[..., None], axis=-1, mode="clip")[..., 0]
        own = jnp.where(here.partner < 0, 0, own)
        return carry, (own, _over(here.friend, values), _log_sum(*_added(None, rivals, -1)))

    nothing = _nothing(of, left, right, b)
    start = (nothing - jnp.inf, nothing) if columns else None
    some = left, batch.of_anchors(b)
    end, (own, friends, of_rows) = rows.through(step, start, chunk, some, b.mask.ndim - 1)
    return Sums(own, friends, of_rows, end and _log_sum(*end))


def _over(chosen: Array, values: Array) -> Array:
    return jnp.sum(jnp.where(chosen, values, 0), axis=-1)


def _added(sums: Any, values: Array, axis: int) -> tuple[Array, Array]:
    """Return the largest value and the sum of exponentials beside it, with those of before."""
    top = jnp.max(values, axis=axis, initial=-jnp.inf)
    top = top if sums is None else jnp.maximum(top, sums[0])
    total = jnp.sum(jnp.exp(values - jnp.expand_dims(_finite(top), axis)), axis=axis)
    return top, total if sums is None else total + sums[1] * jnp.exp(sums[0] - _finite(top))


def _log_sum(top: Array, total: Array) -> LogSum:
    return LogSum(_finite(top), numerics.log(total))


def _finite(top: Array) -> Array:
    return jnp.where(jnp.isfinite(top), top, 0)


def _nothing(of: Any, left: Array, right: Any, b: Any) -> Array:
    """Return zeros for the columns, as something that differs between shards where they do.

    Under `shard_map` the type of what is carried says so, from the first.
    """
    here = b._replace(**{name: x[..., :1] for name, x in batch.of_anchors(b).items()})
    some = jnp.any((of(left[..., :1, :], right) > 0) & here.rival, axis=-2)
    return jnp.where(some, 0, jnp.zeros(some.shape, left.dtype))


@_sums.defjvp
def _sums_jvp(of: Any, chunk: int, columns: bool, primals: Any, tangents: Any) -> tuple[Sums, Sums]:
    left, right, b = primals
    found = _sums(of, chunk, columns, *primals)

    def weighted(moving: Array, other: Any) -> Sums:
        return _weighted(of, chunk, columns, (left, moving), (right, other), b, found)

    # A loop that is differentiated here, rather than one made of derivatives: JAX 0.8 goes back
    # through that one only.
    return found, jax.jvp(weighted, (left, right), (tangents[0], tangents[1]))[1]


def _weighted(
    of: Any, chunk: int, columns: bool, left: Any, right: Any, b: Any, found: Sums
) -> Sums:
    """Return the sums of similarities by the shares of others, which `found` was made of.

    In the latter of `left` and `right` its derivative is that of `_sums`.
    """

    def step(carry: Any, some: Any) -> tuple[Any, Any]:
        (left, moving), members, row = some
        here = b._replace(**members)
        values = of(moving, right[1])
        rivals = jnp.where(here.rival, of(left, right[0]), -jnp.inf)
        summed = lambda sum_, axis: jnp.sum(
            jax.tree.map(lambda x: jnp.expand_dims(x, axis), sum_).share(rivals) * values, axis
        )
        carry = carry if carry is None else carry + summed(found.columns, -2)
        plain = (_over(who, values) for who in (here.own, here.friend))
        return carry, (*plain, summed(row, -1))

    start = _nothing(of, left[0], right[0], b) if columns else None
    some = left, batch.of_anchors(b), found.rows
    of_columns, (own, friends, of_rows) = rows.through(step, start, chunk, some, b.mask.ndim - 1)
    still = lambda x, change: x and LogSum(jnp.zeros_like(x.top), change)
    return Sums(own, friends, still(found.rows, of_rows), still(found.columns, of_columns))
