"""What the frames say of the symbols that `ctc` can read: how likely, and how much is lost.

The sums over all symbols are taken once, over those that cannot be read; the others are few.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxloss.sequence.alignment import Pairing, widened

Array = jax.Array
product = functools.partial(jnp.einsum, precision="highest")


class Symbols(NamedTuple):
    """The symbols that can be read, the blank and the labels behind it, and all others.

    Attributes:
      symbol: `[..., N + 1]`, each.
      present: `[..., N + 1]`, False where there is none.
      first: `[..., N + 1]`, True where it has not been named before.
      place: `[..., K]`, where each is first named; N + 1 for symbols that cannot be read.
    """

    symbol: Array
    present: Array
    first: Array
    place: Array


def symbols(pairing: Pairing, blank_id: int) -> Symbols:
    """Name the symbols that can be read, and find them among all."""
    index = widened(pairing.labels, 1, 0, blank_id)
    present = widened(pairing.is_label, 1, 0, True)
    count = index.shape[-1]
    every = jnp.arange(pairing.logits.shape[-1], dtype=index.dtype)
    every = jnp.expand_dims(every, range(index.ndim))
    order = lax.broadcasted_iota(jnp.int32, index.shape, index.ndim - 1)
    named = (index[..., None] == every) & present[..., None]
    place = jnp.min(jnp.where(named, order[..., None], count), axis=-2)
    first = present & (jnp.take_along_axis(place, index, axis=-1) == order)
    return Symbols(index, present, first, place)


class Frames(NamedTuple):
    """What the frames say.

    Attributes:
      is_frame: `[..., T]`.
      gap: `[..., T, N + 1]`, how far the blank and the labels are below the largest logit.
      other: `[..., T]`, the probability of all symbols that cannot be read.
      top: `[..., T]`, the largest logit.
      rest: `[..., T]`, the sum of `exp(logit - top)` without the largest.
    """

    is_frame: Array
    gap: Array
    other: Array
    top: Array
    rest: Array

    def cost(self) -> Array:
        """Return `-log p` of the blank and the labels, `[..., T, N + 1]`."""
        return self.gap + jnp.log1p(self.rest)[..., None]


def frames(pairing: Pairing, symbols: Symbols) -> Frames:
    """Look at all logits once."""
    logits, here = pairing.logits, pairing.is_frame
    top = jnp.max(logits, axis=-1)
    # As the largest number, infinity leaves the others nothing, which is its limit.
    most = float(jnp.finfo(logits.dtype).max)
    largest = jnp.minimum(top, most)
    # Added rather than selected, which the compiler turns into one sweep over the logits.
    unread = jnp.where(symbols.place == symbols.symbol.shape[-1], 0, -jnp.inf).astype(logits.dtype)
    below = jnp.minimum(logits, most) - largest[..., None]
    other = jnp.sum(jnp.exp(below + unread[..., None, :]), axis=-1)
    index = jnp.broadcast_to(symbols.symbol[..., None, :], (*here.shape, symbols.symbol.shape[-1]))
    # One index for all frames would make time the innermost axis of what is found.
    own = jnp.take_along_axis(logits, index, axis=-1)
    top, other = (jnp.where(here, x, 0) for x in (top, other))
    gap = jnp.where(here[..., None] & (own != top[..., None]), top[..., None] - own, 0)
    # Without the largest, which is 1, so that a confident prediction keeps its digits.
    first = symbols.first[..., None, :]
    is_top = (gap == 0) & first
    rest = jnp.sum(jnp.where(first & ~is_top, jnp.exp(-gap), 0), axis=-1)
    rest = rest + other + (jnp.sum(is_top.astype(rest.dtype), axis=-1) - 1)
    gap = jnp.where(symbols.present[..., None, :], gap, jnp.inf)
    # Lest the compiler keep, at the size of the logits, what this and the slope have in common.
    largest = lax.optimization_barrier(largest)
    return Frames(here, gap, other / (1 + rest), largest, rest)


def strangers(symbols: Symbols, dtype: Any) -> Array:
    """Return 1 where a symbol leads nowhere from a state behind a label, `[..., N + 1, N + 1]`.

    The blank always leads on, and a symbol counts where it is named first. Behind a blank the last
    label leads nowhere as well.
    """
    after = symbols.symbol[..., :, None] == symbols.symbol[..., None, :]
    after &= symbols.present[..., :, None]
    is_blank = lax.broadcasted_iota(jnp.int32, after.shape, after.ndim - 1) == 0
    following = jnp.concatenate([after[..., 1:, :], jnp.zeros_like(after[..., :1, :])], axis=-2)
    return (symbols.first[..., None, :] & ~is_blank & ~following & ~after).astype(dtype)


class Chance(NamedTuple):
    """What a frame says of the symbols.

    Attributes:
      is_frame: `[...]`.
      cost: `[..., N + 1]`, `-log p` of the blank and the labels.
      lost: `[..., N + 1]`, the probability of all that lead nowhere from the states behind a label.
    """

    is_frame: Array
    cost: Array
    lost: Array

    def last(self, needs_blank: Array) -> Array:
        """Return the probability of what leads nowhere from behind a blank only: the last label."""
        return jnp.where(needs_blank | at_start(needs_blank), 0, jnp.exp(-self.cost))


def at_start(x: Array) -> Array:
    """Return True at the first entry of the last axis, where no label has been read."""
    return lax.broadcasted_iota(jnp.int32, x.shape, x.ndim - 1) == 0


def chance(frames: Frames, lost: Array, index: Array) -> Chance:
    """Look at a frame where it stands, which spares copies with the axis of time first."""
    at = lambda x, axis: lax.dynamic_index_in_dim(x, index, x.ndim - axis, keepdims=False)
    cost = at(frames.gap, 2) + jnp.log1p(at(frames.rest, 1))[..., None]
    return Chance(at(frames.is_frame, 1), cost, at(lost, 2))


def lost(frames: Frames, strangers: Array) -> Array:
    """Return how much is lost from each state behind a label, `[..., T, N + 1]`."""
    p = jnp.exp(-frames.cost())
    return product("...tn,...sn->...ts", p, strangers) + frames.other[..., None]
