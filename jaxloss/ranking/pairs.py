"""Sums over the pairs of a list, without holding the pairs.

Each item meets some others at a time: on a CPU one, so that nothing is left but sums of arrays
`[..., n]`, elsewhere as many as keep the device busy. Time grows with `n^2` and memory with `n`.

Items are trees of arrays `[..., n]`. A term is called with two of them, as arrays that broadcast to
`[..., k, n]`, and returns one number, or a tree of them, for each pair. The others that fill up the
last step are 0 and False throughout, by which a term must know not to count them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero

from jaxloss.ranking import lists

Array = jax.Array
Term = Callable[..., Any]

# Pairs at a time where a step of a loop costs more than its numbers.
_MANY = 2**20


class Item(NamedTuple):
    """What pairs are made of.

    Attributes:
      scores: `[..., n]`.
      relevance: `[..., n]`.
      mask: `[..., n]`, True for what counts.
      groups: `[..., n]`, of which list it is; None where all are of one.
      place: `[..., n]`, where it stands in the list.
    """

    scores: Array
    relevance: Array
    mask: Array
    groups: Array | None
    place: Array


def items(given: lists.Lists) -> Item:
    """Return the items of lists."""
    groups = None if given.groups is None else jnp.broadcast_to(given.groups, given.mask.shape)
    place = lax.broadcasted_iota(jnp.int32, given.mask.shape, given.mask.ndim - 1)
    return Item(given.scores, given.relevance, given.mask, groups, place)


def gap(mine: Array, other: Array) -> Array:
    """Return by how much a score is above another; two infinities are a tie."""
    alike = jnp.isinf(mine) & (mine == other)
    return jnp.where(alike, 0, mine - other)


def counted(mine: Item, other: Item) -> Array:
    """Tell which pairs count: both items do and are of one list. So is an item with itself."""
    both = mine.mask & other.mask
    return both if mine.groups is None else both & (mine.groups == other.groups)


def sums(term: Term, each: Any, *more: Any, between: tuple[Array, ...] = ()) -> Any:
    """Return for each item the sum of `term(item, other, *more)` over all others, `[..., n]`.

    Args:
      term: of two items.
      each: the items.
      *more: trees of what broadcasts to `[..., k, n]` as it is.
      between: arrays `[..., n, n]`, or with 1 in place of an `n`: at `[j, i]` something of item `i`
        and the other `j`. The term gets them as a tuple, its last argument.
    """
    one, many = (functools.partial(_in_steps, term, chunk) for chunk in (1, None))
    return lax.platform_dependent(each, more, between, cpu=one, default=many)


def _in_steps(term: Term, chunk: int | None, each: Any, more: Any, between: Any) -> Any:
    leaf: Array = jax.tree.leaves(each)[0]
    chunk = chunk or max(1, min(_MANY // max(leaf.size, 1), leaf.shape[-1]))
    mine = jax.tree.map(lambda x: x[..., None, :], each)
    others = jax.tree.map(lambda x: _split(x[..., None], chunk), each)
    rows = tuple(None if x.shape[-2] == 1 else _split(x, chunk) for x in between)

    # Pairs are made again for the gradient, and not kept.
    @functools.partial(jax.checkpoint, prevent_cse=False)
    def part(other: Any, some: Any) -> Any:
        some = tuple(x if row is None else row for x, row in zip(between, some, strict=True))
        found = term(mine, other, *more, *([some] if some else []))
        return jax.tree.map(lambda x: jnp.sum(x, axis=-2), found)

    add = lambda total, now: (jax.tree.map(jnp.add, total, part(*now)), None)
    first = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), (others, rows))
    # Zeros that are split over a mesh as the items are.
    zero = jnp.where(leaf == leaf, 0, jnp.zeros_like(leaf, int))
    start = jax.tree.map(lambda x: zero.astype(x.dtype), jax.eval_shape(part, *first))
    return lax.scan(add, start, (others, rows))[0]


def _split(x: Array, chunk: int) -> Array:
    """Return `[..., n, k]` as `[steps, ..., chunk, k]`, filled up with zeros."""
    steps = -(-x.shape[-2] // chunk)
    x = jnp.pad(x, [(0, 0)] * (x.ndim - 2) + [(0, steps * chunk - x.shape[-2]), (0, 0)])
    return jnp.moveaxis(x.reshape(*x.shape[:-2], steps, chunk, x.shape[-1]), -3, 0)


def plain_total(term: Term, each: Any, *more: Any, between: tuple[Array, ...] = ()) -> Array:
    """Return `total`, of terms that may depend on more than what they are handed."""
    return jnp.sum(sums(term, each, *more, between=between), axis=-1) / 2


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def total(term: Term, each: Any, *more: Any) -> Array:
    """Return the sum over pairs, `[...]`, of a term that is the same for both of their orders."""
    return plain_total(term, each, *more)


@functools.partial(total.defjvp, symbolic_zeros=True)
def _total_jvp(term: Term, primals: Any, tangents: Any) -> tuple[Array, Array]:
    return pushed(term, primals, tangents)


def pushed(term: Term, primals: Any, tangents: Any) -> tuple[Array, Array]:
    """Return the total of items, and more, and its tangent, of theirs with symbolic zeros.

    As both orders of a pair are alike, the slope of an item is a sum over others as the value is
    one, from the same exponentials. Autodiff makes them again, and sums in two directions.
    """
    (each, *more), (moves, *changes) = primals, tangents
    tree: Any = jax.tree.structure(each)
    steps = {i: t for i, t in enumerate(jax.tree.leaves(moves)) if not still(t)}

    def both(mine: Any, other: Any, *more: Any) -> tuple[Array, list[Array]]:
        parts = jax.tree.leaves(mine)

        def moved(values: list[Array]) -> Array:
            now = dict(zip(steps, values, strict=True))
            return term(tree.unflatten([now.get(i, x) for i, x in enumerate(parts)]), other, *more)

        value, pull = jax.vjp(moved, [parts[i] for i in steps])
        return value, pull(jnp.ones_like(value))[0]

    values, slopes = sums(both, each, *more)
    along = [jnp.sum(k * t, axis=-1) for k, t in zip(slopes, steps.values(), strict=True)]
    if not all(map(still, jax.tree.leaves(changes))):
        again = lambda *more: plain_total(term, each, *more)
        along.append(jax.jvp(again, tuple(more), tuple(jax.tree.map(_moved, changes)))[1])
    value = jnp.sum(values, axis=-1) / 2
    return value, functools.reduce(jnp.add, along, jnp.zeros_like(value))


def still(tangent: Any) -> bool:
    """Tell whether a tangent is known to be 0."""
    return isinstance(tangent, SymbolicZero)


def _moved(tangent: Any) -> Array:
    return jnp.zeros(tangent.shape, tangent.dtype) if still(tangent) else tangent
