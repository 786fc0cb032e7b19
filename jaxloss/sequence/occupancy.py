"""The loss of `ctc` and its gradient from the shares of the states: one pass on, one pass back.

Autodiff through the recursion keeps what every step leaves behind, and works through its logarithms
backwards. But the gradient of a frame is known: the probability of each symbol, less its share
among the paths that read right. The shares go back from frame to frame: each state hands its own on
to the states it came from, in proportion to what they brought. So of a frame only its states are
kept, and the proportions always add up to 1, so that no error grows on the way.

For a confident network that is the difference of nearly equal numbers. Hence what goes back is not
the share of a state, but the excess over it of the share that the frames up to here gave: small
where little is lost, and a sum of what is lost. Frames that lose much hand on the share itself.

Weights of states are relative to the largest of their frame; states are numbered as in `ctc`.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxloss.sequence.alignment import Pairing, meet, moved_back, shifted, surprise, widened

Array = jax.Array
# States are taken so many at a time by the vector units of a processor.
LANES = 16
_product = functools.partial(jnp.einsum, precision="highest")


class Two(NamedTuple):
    """Something of the states whose last symbol was a blank, and of those in which it was a label.

    Attributes:
      blank: `[..., N + 1]`, by the number of labels read.
      label: `[..., N + 1]`; the first is of no state.
    """

    blank: Array
    label: Array

    def sum(self) -> Array:
        """Return the sum over all states."""
        return jnp.sum(self.blank, axis=-1) + jnp.sum(self.label, axis=-1)


class Symbols(NamedTuple):
    """The symbols that can be read, the labels and the blank behind them, and all others.

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


class Frames(NamedTuple):
    """What the frames say.

    Attributes:
      logits: `[..., T, K]`, finite above.
      is_frame: `[..., T]`.
      cost: `[..., T, N + 1]`, `-log p` of the labels and the blank.
      other: `[..., T]`, the probability of all symbols that cannot be read.
      top: `[..., T]`, the largest logit.
      total: `[..., T]`, the sum of `exp(logit - top)`.
    """

    logits: Array
    is_frame: Array
    cost: Array
    other: Array
    top: Array
    total: Array


def _symbols(pairing: Pairing, blank_id: int) -> Symbols:
    index = widened(pairing.labels, 0, 1, blank_id)
    present = widened(pairing.is_label, 0, 1, True)
    count = index.shape[-1]
    every = jnp.arange(pairing.logits.shape[-1], dtype=index.dtype)
    every = jnp.expand_dims(every, range(index.ndim))
    order = lax.broadcasted_iota(jnp.int32, index.shape, index.ndim - 1)
    named = (index[..., None] == every) & present[..., None]
    place = jnp.min(jnp.where(named, order[..., None], count), axis=-2)
    first = present & (jnp.take_along_axis(place, index, axis=-1) == order)
    return Symbols(index, present, first, place)


def _frames(pairing: Pairing, symbols: Symbols) -> Frames:
    """Sum over the symbols that cannot be read, once; the others are few."""
    logits = pairing.shown()
    top = jnp.max(logits, axis=-1, keepdims=True)
    # As the largest number, infinity leaves the others nothing, which is its limit.
    most = float(jnp.finfo(logits.dtype).max)
    finite, largest = (jnp.minimum(x, most) for x in (logits, top))
    # Added rather than selected, which the compiler turns into one sweep over the logits.
    unread = jnp.where(symbols.place == symbols.symbol.shape[-1], 0, -jnp.inf).astype(logits.dtype)
    other = jnp.sum(jnp.exp(finite - largest + unread[..., None, :]), axis=-1)
    own = jnp.take_along_axis(logits, symbols.symbol[..., None, :], axis=-1)
    gap = jnp.where(own == top, 0, top - own)
    # Without the largest, which is 1, so that a confident prediction keeps its digits.
    is_top = (gap == 0) & symbols.first[..., None, :]
    rest = jnp.sum(jnp.where(symbols.first[..., None, :] & ~is_top, jnp.exp(-gap), 0), axis=-1)
    rest = rest + other + (jnp.sum(is_top, axis=-1).astype(rest.dtype) - 1)
    cost = jnp.where(symbols.present[..., None, :], gap + jnp.log1p(rest)[..., None], jnp.inf)
    return Frames(finite, pairing.is_frame, cost, other / (1 + rest), largest[..., 0], 1 + rest)


class Read(NamedTuple):
    """What is left of reading the frames.

    Attributes:
      before: `[..., T, N + 1]` each, log-weights of the states before each frame.
      after: `[..., N + 1]` each, after the last.
      scale: `[..., T]`, log of what the weights of a frame were divided by.
    """

    before: Two
    after: Two
    scale: Array


def _read(frames: Frames, needs_blank: Array) -> Read:
    # Made of the data, so that it is split over devices as they are.
    dead = jnp.where(needs_blank, -jnp.inf, -jnp.inf).astype(frames.cost.dtype)
    count = lax.broadcasted_iota(jnp.int32, dead.shape, dead.ndim - 1)

    def step(state: Two, frame: Any) -> Any:
        is_frame, cost = frame
        either = meet(*state)[0]
        came = shifted(jnp.where(needs_blank, state.blank, either), -jnp.inf)
        blank = either - cost[..., -1:]
        label = meet(state.label, came)[0] - shifted(cost, jnp.inf)
        top = jnp.max(jnp.maximum(blank, label), axis=-1, keepdims=True)
        top = jnp.where(is_frame[..., None] & (top != -jnp.inf), top, 0)
        new = jax.tree.map(
            lambda new, old: jnp.where(is_frame[..., None], new - top, old),
            Two(blank, label),
            state,
        )
        return new, (state, top[..., 0])

    start = Two(jnp.where(count == 0, 0, dead), dead)
    each = _in_time(frames.is_frame, 1), _in_time(frames.cost, 2)
    after, (before, scale) = lax.scan(step, start, each)
    return Read(jax.tree.map(lambda x: _as_given(x, 2), before), after, _as_given(scale, 1))


def _in_time(x: Array, axis: int) -> Array:
    """Put the axis of time first, which is so many from the end."""
    return jnp.moveaxis(x, -axis, 0)


def _as_given(x: Array, axis: int) -> Array:
    return jnp.moveaxis(x, 0, -axis)


class Account(NamedTuple):
    """What each frame lost, and the loss.

    Attributes:
      weight: `[..., T, N + 1]` each, the states before each frame, as parts of 1.
      missed: `[..., T, N + 1]`, how much of them cannot go on by each symbol that is named first.
      miss: `[..., T]`, how much of them goes on by no symbol.
      likely: `[..., T]`, where what goes on is more than half or so.
      ends: `[..., N + 1]`, True for the states in which all labels have been read.
      ended: `[...]`, log of their part of the weights after the last frame.
      short: `[...]`, the part of all others.
      loss: `[...]`.
    """

    weight: Two
    missed: Array
    miss: Array
    likely: Array
    ends: Array
    ended: Array
    short: Array
    loss: Array


def _strangers(symbols: Symbols, dtype: Any) -> Two:
    """Return 1 where a symbol leads nowhere from a state, `[..., N + 1, N + 1]` each.

    The blank always leads on, and a symbol counts where it is named first.
    """
    after = symbols.symbol[..., :, None] == symbols.symbol[..., None, :]
    after &= symbols.present[..., :, None]
    # The states are one ahead of the symbols: behind the last label there is none.
    is_blank = lax.broadcasted_iota(jnp.int32, after.shape, after.ndim - 1) == after.shape[-1] - 1
    counts = symbols.first[..., None, :] & ~is_blank
    following = after & ~jnp.swapaxes(is_blank, -1, -2)
    last = jnp.concatenate([jnp.zeros_like(after[..., :1, :]), after[..., :-1, :]], axis=-2)
    return Two((counts & ~following).astype(dtype), (counts & ~following & ~last).astype(dtype))


def _account(pairing: Pairing, frames: Frames, read: Read, strangers: Two) -> Account:
    weights, last = jax.tree.map(jnp.exp, (read.before, read.after))
    sums, sum_ = weights.sum(), last.sum()
    nonzero = lambda x: jnp.where(x == 0, 1, x)
    weight = jax.tree.map(lambda x: x / nonzero(sums)[..., None], weights)
    kept = read.scale + jnp.log(jnp.concatenate([sums[..., 1:], sum_[..., None]], axis=-1))
    kept = kept - jnp.log(nonzero(sums))
    by = jax.tree.map(functools.partial(_product, "...ts,...sn->...tn"), weight, strangers)
    missed = by.blank + by.label
    p = jnp.exp(-frames.cost)
    miss = frames.other + jnp.sum(p * missed, axis=-1)
    last_log = meet(*read.after)[0]
    ends = lax.broadcasted_iota(jnp.int32, last_log.shape, last_log.ndim - 1)
    ends = ends == jnp.sum(pairing.is_label, axis=-1, keepdims=True, dtype=jnp.int32)
    last_log = jnp.max(jnp.where(ends, last_log, -jnp.inf), axis=-1)
    ended = last_log - jnp.log(nonzero(sum_))
    short = jnp.sum(jnp.where(ends, 0, last.blank + last.label), axis=-1) / nonzero(sum_)
    paid = jnp.where(frames.is_frame, surprise(kept, miss), 0)
    loss = jnp.where(ended == -jnp.inf, jnp.inf, jnp.sum(paid, axis=-1) + surprise(ended, short))
    return Account(weight, missed, miss, kept > -0.5, ends, ended, short, loss)


def _sources(frames: Frames, account: Account, strangers: Two) -> tuple[Two, Array]:
    """Return what each frame adds to the excess of the states before it, and which are dear.

    Dear frames lose much. In them the whole weight is taken for the excess, and taken off again
    one frame before, where the difference is handed on.
    """
    here, likely, miss = frames.is_frame, account.likely, account.miss
    p = jnp.exp(-frames.cost)
    hit = 1 - jnp.where(likely, miss, 0)
    dear = (here & ~likely).astype(miss.dtype)
    before = shifted(dear, 0)[..., None]

    def source(weight: Array, stranger: Array) -> Array:
        lost = _product("...tn,...sn->...ts", p, stranger) + frames.other[..., None]
        worse = (lost - miss[..., None]) / hit[..., None]
        added = jnp.where((here & likely)[..., None], worse, dear[..., None])
        return weight * (added - before)

    return jax.tree.map(source, account.weight, strangers), dear


def _handed_back(frames: Frames, read: Read, sources: Two, end: Two, needs_blank: Array) -> Array:
    """Return the excess of the labels and of all blanks, after each frame, `[..., T, N + 1]`."""

    def step(excess: Two, frame: Any) -> Any:
        is_frame, state, source = frame
        either, of_blank, of_label = meet(*state)
        came = shifted(jnp.where(needs_blank, state.blank, either), -jnp.inf)
        _, stays, comes = meet(state.label, came)
        moved = moved_back(excess.label * comes)
        both = excess.blank + jnp.where(needs_blank, 0, moved)
        blank = both * of_blank + jnp.where(needs_blank, moved, 0)
        label = both * of_label + excess.label * stays
        new = jax.tree.map(
            lambda new, old, more: jnp.where(is_frame[..., None], new, old) + more,
            Two(blank, label), excess, source,
        )  # fmt: skip
        blanks = jnp.sum(excess.blank, axis=-1, keepdims=True)
        return new, jnp.concatenate([excess.label[..., 1:], blanks], axis=-1)

    states = jax.tree.map(lambda x: _in_time(x, 2), (read.before, sources))
    each = _in_time(frames.is_frame, 1), *states
    return _as_given(lax.scan(step, end, each, reverse=True)[1], 2)


def _at_the_end(read: Read, account: Account, dear: Array) -> Two:
    """Return the excess after the last frame, where only some states are at the end."""
    ends, short = account.ends, account.short[..., None]
    likely = account.ended[..., None] > -0.5
    over = jnp.where(ends, -short / (1 - jnp.where(likely, short, 0)), 1)
    over = jnp.where(likely, over, 1) - (dear[..., -1:] if dear.shape[-1] else 0)
    sum_ = jax.tree.map(jnp.exp, read.after).sum()[..., None]
    _, *shares = meet(*read.after)

    def excess(state: Array, share: Array) -> Array:
        weight = jnp.exp(state) / jnp.where(sum_ == 0, 1, sum_)
        return over * weight - jnp.where(ends & ~likely, share, 0)

    return jax.tree.map(excess, read.after, Two(*shares))


def _slope(symbols: Symbols, frames: Frames, account: Account, excess: Array) -> Array:
    """Return the gradient in the logits, `[..., T, K]`."""
    p = jnp.exp(-frames.cost)
    miss, likely = account.miss[..., None], account.likely[..., None]
    worse = (account.missed - miss) / (1 - jnp.where(likely, miss, 0))
    own = jnp.where(symbols.first[..., None, :], jnp.where(likely, p * worse, p), 0) + excess
    right = jnp.isfinite(account.loss) | jnp.isnan(account.loss)
    own = jnp.where((frames.is_frame & right[..., None])[..., None], own, 0)
    # All places of a symbol are told the same sum.
    alike = symbols.symbol[..., :, None] == symbols.symbol[..., None, :]
    alike &= symbols.present[..., None]
    own = _product("...tn,...nm->...tm", own, alike.astype(p.dtype))
    count = own.shape[-1]
    found = jnp.take_along_axis(own, jnp.minimum(symbols.place, count - 1)[..., None, :], axis=-1)
    scale = jnp.where(frames.is_frame & right[..., None], 1 / frames.total, 0)
    other = jnp.exp(frames.logits - frames.top[..., None]) * scale[..., None]
    return jnp.where((symbols.place < count)[..., None, :], found, other)


class _Pass(NamedTuple):
    symbols: Symbols
    needs_blank: Array
    strangers: Two
    frames: Frames
    read: Read
    account: Account


def _forward(pairing: Pairing, blank_id: int) -> _Pass:
    labels, is_label = pairing.labels, pairing.is_label
    # Between two equal labels there is a blank.
    repeated = (labels[..., 1:] == labels[..., :-1]) & is_label[..., 1:]
    needs_blank = widened(repeated, 1, 1)[..., : labels.shape[-1] + 1]
    symbols = _symbols(pairing, blank_id)
    strangers = _strangers(symbols, pairing.logits.dtype)
    frames = _frames(pairing, symbols)
    read = _read(frames, needs_blank)
    account = _account(pairing, frames, read, strangers)
    return _Pass(symbols, needs_blank, strangers, frames, read, account)


def loss(pairing: Pairing, blank_id: int) -> Array:
    """Return the loss of each sequence, infinite where no path reads right."""
    return _forward(_whole_lanes(pairing), blank_id).account.loss


def loss_and_slope(pairing: Pairing, blank_id: int) -> tuple[Array, Array]:
    """Return the loss, and its gradient in the logits."""
    pairing = _whole_lanes(pairing)
    there = _forward(pairing, blank_id)
    frames, read, account = there.frames, there.read, there.account
    sources, dear = _sources(frames, account, there.strangers)
    end = _at_the_end(read, account, dear)
    excess = _handed_back(frames, read, sources, end, there.needs_blank)
    return account.loss, _slope(there.symbols, frames, account, excess)


def _whole_lanes(pairing: Pairing) -> Pairing:
    """Pad the labels until the states fill the lanes."""
    more = -(pairing.labels.shape[-1] + 1) % LANES
    labels, is_label = widened(pairing.labels, 0, more), widened(pairing.is_label, 0, more)
    return pairing._replace(labels=labels, is_label=is_label)
