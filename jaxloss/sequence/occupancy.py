"""The loss of `ctc` and its gradient from the shares of the states: one pass on, one pass back.

Autodiff through the recursion keeps what every step leaves behind, and works through its logarithms
backwards. But the gradient of a frame is known: the probability of each symbol, less its share
among the paths that read right. The shares go back from frame to frame: each state hands its own on
to the states it came from, in proportion to what they brought. So of a frame only its states are
kept, and the proportions always add up to 1, so that no error grows on the way.

For a confident network that is the difference of nearly equal numbers. Hence what goes back is not
the share of a state, but the excess over it of the share that the frames up to here gave: small
where little is lost, and a sum of what is lost. Frames that lose much hand on the share itself.

Weights of states are relative to the largest of their frame; states are numbered as in `ctc`. The
axis of time comes first in what the two passes leave.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxloss.sequence import emissions
from jaxloss.sequence.alignment import Pairing, meet, moved_back, shifted, surprise, widened

Array = jax.Array
# States are taken so many at a time by the vector units of a processor.
LANES = 8


class Two(NamedTuple):
    """Something of the states whose last symbol was a blank, and of those in which it was a label.

    Attributes:
      blank: `[..., N + 1]`, by the number of labels read.
      label: `[..., N + 1]`; the first is of no state.
    """

    blank: Array
    label: Array

    def both(self) -> Array:
        """Return the sum of the two."""
        return self.blank + self.label

    def sum(self) -> Array:
        """Return the sum over all states."""
        return jnp.sum(self.both(), axis=-1)


def _in_time(x: Array, axis: int) -> Array:
    """Put the axis of time first, which is so many from the end."""
    return jnp.moveaxis(x, -axis, 0)


def _as_given(x: Array, axis: int) -> Array:
    return jnp.moveaxis(x, 0, -axis)


def _order(frames: emissions.Frames) -> Array:
    return jnp.arange(frames.is_frame.shape[-1], dtype=jnp.int32)


class Read(NamedTuple):
    """What is left of reading the frames.

    Attributes:
      before: `[T, ..., N + 1]` each, log-weights of the states before each frame.
      after: `[..., N + 1]` each, after the last.
      sums: `[T + 1, ...]`, the sums of the weights.
      miss: `[T, ...]`, how much of them goes on by no symbol.
      kept: `[T, ...]`, log of how much goes on.
      dear: `[T, ...]`, 1 in frames that lose much, else 0.
      part: `[T, ...]`, what makes a weight a part of all that goes on; 0 in dear frames.
    """

    before: Two
    after: Two
    sums: Array
    miss: Array
    kept: Array
    dear: Array
    part: Array


def _nonzero(x: Array) -> Array:
    return jnp.where(x == 0, 1, x)


def _onward(state: Two, needs_blank: Array) -> tuple[Any, Any]:
    """Return how the weights of blank and label meet, and of what stays at a label and comes."""
    either = meet(*state)
    came = shifted(jnp.where(needs_blank, state.blank, either[0]), -jnp.inf)
    return either, meet(state.label, came)


def _read(frames: emissions.Frames, lost: Array, needs_blank: Array) -> Read:
    # Made of the data, so that it is split over devices as they are.
    dead = jnp.where(needs_blank, -jnp.inf, -jnp.inf).astype(lost.dtype)
    count = lax.broadcasted_iota(jnp.int32, dead.shape, dead.ndim - 1)

    def step(state: Two, index: Array) -> Any:
        chance = emissions.chance(frames, lost, index)
        is_frame, cost, _ = chance
        (either, *_), (label, *_) = _onward(state, needs_blank)
        blank, label = either - cost[..., :1], label - cost
        top = jnp.max(jnp.maximum(blank, label), axis=-1, keepdims=True)
        top = jnp.where(is_frame[..., None] & (top != -jnp.inf), top, 0)
        new = jax.tree.map(
            lambda new, old: jnp.where(is_frame[..., None], new - top, old),
            Two(blank, label),
            state,
        )
        weight = jax.tree.map(jnp.exp, state)
        gone = weight.both() * chance.lost + weight.blank * chance.last(needs_blank)
        return new, (state, top[..., 0], weight.sum(), jnp.sum(gone, axis=-1))

    start = Two(jnp.where(count == 0, 0, dead), dead)
    after, (before, scale, sums, gone) = lax.scan(step, start, _order(frames))
    sums = jnp.concatenate([sums, jax.tree.map(jnp.exp, after).sum()[None]])
    sum_, is_frame = _nonzero(sums[:-1]), _in_time(frames.is_frame, 1)
    miss, kept = gone / sum_, scale + jnp.log(sums[1:]) - jnp.log(sum_)
    likely = kept > -0.5
    part = jnp.where(is_frame & likely, 1 / (sum_ * (1 - jnp.where(likely, miss, 0))), 0)
    dear = (is_frame & ~likely).astype(miss.dtype)
    return Read(before, after, sums, miss, kept, dear, part)


class End(NamedTuple):
    """Where the sequences end.

    Attributes:
      there: `[..., N + 1]`, True for the states in which all labels have been read.
      log_share: `[...]`, log of their part of the weights after the last frame.
      short: `[...]`, the part of all others.
      loss: `[...]`.
    """

    there: Array
    log_share: Array
    short: Array
    loss: Array


def _end(pairing: Pairing, frames: emissions.Frames, read: Read) -> End:
    total, last = _nonzero(read.sums[-1]), meet(*read.after)[0]
    there = lax.broadcasted_iota(jnp.int32, last.shape, last.ndim - 1)
    there = there == jnp.sum(pairing.is_label, axis=-1, keepdims=True, dtype=jnp.int32)
    ended = jnp.max(jnp.where(there, last, -jnp.inf), axis=-1) - jnp.log(total)
    weights = jax.tree.map(jnp.exp, read.after).both()
    short = jnp.sum(jnp.where(there, 0, weights), axis=-1) / total
    paid = jnp.where(_in_time(frames.is_frame, 1), surprise(read.kept, read.miss), 0)
    loss = jnp.sum(paid, axis=0) + surprise(ended, short)
    return End(there, ended, short, jnp.where(ended == -jnp.inf, jnp.inf, loss))


def _handed_back(there: _Pass) -> tuple[Array, Array]:
    """Return the excess of all blanks and of the labels after each frame, `[T, ..., N + 1]`.

    In it is what the last label leads astray from behind a blank. The second is `Read.part`.

    Dear frames lose much. In them the whole weight is taken for the excess, and taken off again
    one frame before, where the difference is handed on.
    """
    frames, read, needs_blank = there.frames, there.read, there.needs_blank
    dear = jnp.concatenate([jnp.zeros_like(read.dear[:1]), read.dear])

    def step(excess: Two, frame: Any) -> Any:
        index, state, (miss, part, more) = frame
        chance = emissions.chance(frames, there.lost, index)
        is_frame = chance.is_frame[..., None]
        (_, *of), (_, stays, comes) = _onward(state, needs_blank)
        moved = moved_back(excess.label * comes)
        both = excess.blank + jnp.where(needs_blank, 0, moved)
        blank = both * of[0] + jnp.where(needs_blank, moved, 0)
        label = both * of[1] + excess.label * stays
        weight = jax.tree.map(jnp.exp, state)
        worse = part * (chance.lost - miss) + more
        astray = part * chance.last(needs_blank) * weight.blank
        new = Two(
            jnp.where(is_frame, blank, excess.blank) + worse * weight.blank + astray,
            jnp.where(is_frame, label, excess.label) + worse * weight.label,
        )
        blanks = jnp.sum(excess.blank, axis=-1, keepdims=True)
        told = jnp.where(emissions.at_start(astray), blanks, excess.label + astray)
        # With the scale of the weights, so that these are worked out when less is held.
        return new, (told, part[..., 0])

    more = (dear[1:] - dear[:-1]) / _nonzero(read.sums[:-1])
    scales = tuple(x[..., None] for x in (read.miss, read.part, more))
    start = _at_the_end(read, there.end, dear[-1])
    return lax.scan(step, start, (_order(frames), read.before, scales), reverse=True)[1]


def _at_the_end(read: Read, end: End, dear: Array) -> Two:
    """Return the excess after the last frame, where only some states are at the end."""
    short = end.short[..., None]
    likely = end.log_share[..., None] > -0.5
    over = jnp.where(end.there, -short / (1 - jnp.where(likely, short, 0)), 1)
    over = jnp.where(likely, over, 1) - dear[..., None]
    _, *shares = meet(*read.after)

    def excess(state: Array, share: Array) -> Array:
        weight = jnp.exp(state) / _nonzero(read.sums[-1])[..., None]
        return over * weight - jnp.where(end.there & ~likely, share, 0)

    return jax.tree.map(excess, read.after, Two(*shares))


class _Pass(NamedTuple):
    symbols: emissions.Symbols
    needs_blank: Array
    strangers: Array
    frames: emissions.Frames
    lost: Array
    read: Read
    end: End


def _forward(pairing: Pairing, blank_id: int) -> _Pass:
    labels, is_label = pairing.labels, pairing.is_label
    # Between two equal labels there is a blank.
    repeated = (labels[..., 1:] == labels[..., :-1]) & is_label[..., 1:]
    needs_blank = widened(repeated, 1, 1)[..., : labels.shape[-1] + 1]
    symbols = emissions.symbols(pairing, blank_id)
    strangers = emissions.strangers(symbols, pairing.logits.dtype)
    frames = emissions.frames(pairing, symbols)
    lost = emissions.lost(frames, strangers)
    read = _read(frames, lost, needs_blank)
    end = _end(pairing, frames, read)
    return _Pass(symbols, needs_blank, strangers, frames, lost, read, end)


def loss(pairing: Pairing, blank_id: int) -> Array:
    """Return the loss of each sequence, infinite where no path reads right."""
    return _forward(_whole_lanes(pairing), blank_id).end.loss


def loss_and_slope(pairing: Pairing, blank_id: int) -> tuple[Array, Array]:
    """Return the loss, and its gradient in the logits."""
    frames, pairing = pairing.logits.shape[-2], _whole_lanes(pairing)
    there = _forward(pairing, blank_id)
    symbols, said, end = there.symbols, there.frames, there.end
    own = _told(symbols, there, *_handed_back(there))
    count = own.shape[-1]
    found = jnp.take_along_axis(own, jnp.minimum(symbols.place, count - 1)[..., None, :], axis=-1)
    other = jnp.minimum(pairing.logits - said.top[..., None], 0)
    other = jnp.exp(other) * (1 / (1 + said.rest))[..., None]
    slope = jnp.where((symbols.place < count)[..., None, :], found, other)
    right = jnp.isfinite(end.loss) | jnp.isnan(end.loss)
    counts = (pairing.is_frame & right[..., None])[..., None]
    return end.loss, jnp.where(counts, slope, 0)[..., :frames, :]


def _told(symbols: emissions.Symbols, there: _Pass, excess: Array, part: Array) -> Array:
    """Return the gradient in the logits of the symbols that can be read, `[..., T, N + 1]`."""
    frames, read = there.frames, there.read
    miss, likely = (_as_given(x, 1)[..., None] for x in (read.miss, read.kept > -0.5))
    weight = jax.tree.map(jnp.exp, read.before).both() * part[..., None]
    # Of what goes on, how much cannot by each symbol.
    missed = emissions.product(
        "...ts,...ns->...tn", _as_given(weight, 2), jnp.swapaxes(there.strangers, -1, -2)
    )
    worse = jnp.where(likely, missed - miss / (1 - jnp.where(likely, miss, 0)), 1)
    own = jnp.where(symbols.first[..., None, :], jnp.exp(-frames.cost()) * worse, 0)
    own = own + _as_given(excess, 2)
    own = jnp.where(frames.is_frame[..., None], own, 0)
    # All places of a symbol are told the same sum.
    alike = symbols.symbol[..., :, None] == symbols.symbol[..., None, :]
    alike &= symbols.present[..., None]
    return emissions.product(
        "...tn,...mn->...tm", own, jnp.swapaxes(alike, -1, -2).astype(own.dtype)
    )


def _whole_lanes(pairing: Pairing) -> Pairing:
    """Pad the labels until the states fill the lanes, and the frames where there is none."""
    more, none = -(pairing.labels.shape[-1] + 1) % LANES, int(pairing.logits.shape[-2] == 0)
    labels, is_label = widened(pairing.labels, 0, more), widened(pairing.is_label, 0, more)
    batch = [(0, 0)] * (pairing.logits.ndim - 2)
    logits = jnp.pad(pairing.logits, [*batch, (0, none), (0, 0)])
    is_frame = widened(pairing.is_frame, 0, none)
    return pairing._replace(logits=logits, is_frame=is_frame, labels=labels, is_label=is_label)
