"""The loss of `transducer` and its gradient from the shares of the nodes: one pass on, one back.

As in `occupancy`, which see: what goes back from an anti-diagonal to the one before is the excess
of the share of a node, as the walks up to there give it, over its share among the walks that read
right. Each node hands its own to the two it is reached from, in proportion to what they brought.
Of the logits nothing is kept but three numbers for each node.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxloss import arguments
from jaxloss.sequence.alignment import (
    Pairing,
    diagonals,
    lattice,
    meet,
    moved_back,
    shifted,
    surprise,
    widened,
)

Array = jax.Array


class Nodes(NamedTuple):
    """What the logits say at each node, all `[..., T, U + 1]`.

    Attributes:
      blank: `-log p` of a blank, infinite where it leads off the lattice.
      label: `-log p` of the next label, infinite likewise.
      lost: the probability of all symbols that lead nowhere.
      top: the largest logit.
      total: the sum of `exp(logit - top)`.
    """

    blank: Array
    label: Array
    lost: Array
    top: Array
    total: Array


class Places(NamedTuple):
    """Where the symbols lead.

    Attributes:
      blank: `[..., T, U + 1]`, True where a blank goes on.
      label: `[..., T, U + 1]`, True where the next label does.
      symbol: `[..., 1, U + 1]`, the next label, or -1.
      steps: `[...]`, how many symbols a walk has.
    """

    blank: Array
    label: Array
    symbol: Array
    steps: Array

    def start(self, dtype: Any) -> Array:
        """Return log-weights `[..., U + 1]` of which all is at the first node."""
        # Made of the data, so that it is split over devices as they are.
        dead = jnp.where(self.symbol[..., 0, :] >= 0, -jnp.inf, -jnp.inf).astype(dtype)
        return jnp.where(lax.broadcasted_iota(jnp.int32, dead.shape, dead.ndim - 1) == 0, 0, dead)


def places(pairing: Pairing) -> Places:
    """Tell which symbols lead on from which node."""
    is_frame, is_label = pairing.is_frame[..., None], widened(pairing.is_label, 0, 1)
    frames, length = (jnp.sum(a, axis=-1, dtype=jnp.int32) for a in (pairing.is_frame, is_label))
    read = lax.broadcasted_iota(jnp.int32, is_label.shape, is_label.ndim - 1) == length[..., None]
    more = widened(pairing.is_frame[..., 1:], 0, min(1, pairing.is_frame.shape[-1]))[..., None]
    symbol = jnp.where(is_label, widened(pairing.labels, 0, 1), -1)
    return Places(
        is_frame & (more | read[..., None, :]),
        is_frame & is_label[..., None, :],
        symbol[..., None, :],
        # A step for each label and each blank.
        frames + length,
    )


def _nodes(logits: Array, at: Places, blank_id: int) -> Nodes:
    top = jnp.max(logits, axis=-1)
    # As the largest number, infinity leaves the others nothing, which is its limit.
    most = float(jnp.finfo(logits.dtype).max)
    largest = jnp.minimum(top, most)
    label_at = jnp.maximum(at.symbol, 0)[..., None]
    label_at = jnp.broadcast_to(label_at, (*top.shape, 1))
    own = logits[..., blank_id], jnp.take_along_axis(logits, label_at, axis=-1)[..., 0]
    gap, label_gap = (jnp.where(x == top, 0, top - x) for x in own)
    symbol = _symbols(logits, at)
    # Added rather than selected, which the compiler turns into one sweep over the logits.
    read = jnp.where((symbol == blank_id) | (symbol == at.symbol[..., None]), -jnp.inf, 0)
    below = jnp.minimum(logits, most) - largest[..., None]
    others = jnp.sum(jnp.exp(below + read.astype(logits.dtype)), axis=-1)
    is_symbol = at.symbol >= 0
    blank, label = jnp.exp(-gap), jnp.where(is_symbol, jnp.exp(-label_gap), 0)
    # Without the largest, which is 1, so that a confident prediction keeps its digits.
    rest = jnp.where(
        gap == 0, label, jnp.where(is_symbol & (label_gap == 0), blank, blank + label - 1)
    )
    log_total, total = jnp.log1p(rest + others), 1 + rest + others
    astray = jnp.where(at.blank, 0, blank) + jnp.where(at.label, 0, label)
    return Nodes(
        jnp.where(at.blank, gap + log_total, jnp.inf),
        jnp.where(at.label, label_gap + log_total, jnp.inf),
        (others + astray) / total,
        # Lest the compiler keep, at the size of the logits, what both sweeps have in common.
        lax.optimization_barrier(largest),
        total,
    )


class Walked(NamedTuple):
    """What is left of walking through the lattice, anti-diagonal by anti-diagonal.

    Attributes:
      nodes: `[T + U, ..., U + 1]`, cost of blank, of label, and what is lost.
      before: `[T + U, ..., U + 1]`, log-weights of the nodes, relative to the largest.
      after: `[..., U + 1]`, those behind the last.
      sums: `[T + U + 1, ...]`, the sums of the weights.
      miss: `[T + U, ...]`, the part of them that goes nowhere.
      kept: `[T + U, ...]`, log of the part that goes on.
      going: `[T + U, ...]`, False behind the last symbol.
      loss: `[...]`.
    """

    nodes: tuple[Array, Array, Array]
    before: Array
    after: Array
    sums: Array
    miss: Array
    kept: Array
    going: Array
    loss: Array


def _nonzero(x: Array) -> Array:
    return jnp.where(x == 0, 1, x)


def _walked(nodes: Nodes, at: Places) -> Walked:
    lost = diagonals(nodes.lost, 0.0)
    blank, label = (diagonals(x, jnp.inf) for x in (nodes.blank, nodes.label))
    order = lax.broadcasted_iota(jnp.int32, (len(blank), *at.steps.shape), 0)
    going = order < at.steps[None]

    def step(weights: Array, node: Any) -> Any:
        going, blank, label = node
        new = meet(weights - blank, shifted(weights - label, -jnp.inf))[0]
        top = jnp.max(new, axis=-1, keepdims=True)
        top = jnp.where(going[..., None] & (top != -jnp.inf), top, 0)
        return jnp.where(going[..., None], new - top, weights), (weights, top[..., 0])

    after, (before, scale) = lax.scan(step, at.start(blank.dtype), (going, blank, label))
    weights = jnp.exp(before)
    sums = jnp.concatenate([jnp.sum(weights, axis=-1), jnp.sum(jnp.exp(after), axis=-1)[None]])
    miss = jnp.where(going, jnp.sum(weights * lost, axis=-1) / _nonzero(sums[:-1]), 0)
    kept = scale + jnp.log(sums[1:]) - jnp.log(_nonzero(sums[:-1]))
    paid = jnp.sum(jnp.where(going, surprise(kept, miss), 0), axis=0)
    loss = jnp.where(sums[-1] == 0, jnp.inf, paid)
    return Walked((blank, label, lost), before, after, sums, miss, kept, going, loss)


def _shares(walked: Walked) -> tuple[Array, Array, Array]:
    """Return the share of each node, and the slopes in the logits of its blank and its label."""
    likely = walked.kept > -0.5
    dear = (walked.going & ~likely).astype(walked.sums.dtype)

    def step(excess: Array, diagonal: Any) -> Any:
        going, weights, (blank, label, lost), sum_, miss, likely, dear_before = diagonal
        share = jnp.exp(weights) / sum_[..., None]
        _, of_blank, of_label = meet(weights - blank, shifted(weights - label, -jnp.inf))
        stays, moves = excess * of_blank, moved_back(excess * of_label)
        handed = stays + moves
        part = share * jnp.where(likely, 1 / (1 - jnp.where(likely, miss, 0)), 0)[..., None]
        astray = handed + part * lost
        slopes = stays - jnp.exp(-blank) * astray, moves - jnp.exp(-label) * astray
        new = handed + jnp.where(likely[..., None], part * (lost - miss[..., None]), share)
        new = jnp.where(going[..., None], new, excess) - dear_before[..., None] * share
        return new, (part * (1 - lost) - handed, *slopes)

    last = jnp.exp(walked.after) / _nonzero(walked.sums[-1])[..., None]
    before = jnp.concatenate([jnp.zeros_like(dear[:1]), dear[:-1]])
    each = (walked.going, walked.before, walked.nodes, _nonzero(walked.sums[:-1]))
    end = -last * (dear[-1:].sum(axis=0)[..., None])
    return lax.scan(step, end, (*each, walked.miss, likely, before), reverse=True)[1]


def loss(pairing: Pairing, blank_id: int) -> Array:
    """Return the loss of each sequence, infinite where no walk reads right."""
    at = places(pairing)
    return _walked(_nodes(pairing.logits, at, blank_id), at).loss


def loss_and_slope(pairing: Pairing, blank_id: int) -> tuple[Array, Array]:
    """Return the loss, and its gradient in the logits."""
    logits, at = pairing.logits, places(pairing)
    nodes = _nodes(logits, at, blank_id)
    walked = _walked(nodes, at)
    right = jnp.isfinite(walked.loss) | jnp.isnan(walked.loss)
    counts = right[..., None, None] & (at.blank | at.label)
    there = (lattice(x, logits.shape[-3]) for x in _shares(walked))
    share, blank, label = (jnp.where(counts, x, 0) for x in there)
    share = share / nodes.total
    below = jnp.minimum(logits - nodes.top[..., None], 0)
    # Where a blank leads off the lattice it is as any other symbol.
    blank = blank + share * jnp.exp(jnp.where(at.blank, -jnp.inf, below[..., blank_id]))
    symbol, share, blank, label = (
        _symbols(logits, at),
        *(x[..., None] for x in (share, blank, label)),
    )
    slope = jnp.where(symbol == blank_id, blank, jnp.exp(below) * share)
    slope = jnp.where(symbol == at.symbol[..., None], label, slope)
    return walked.loss, jnp.where(pairing.is_frame[..., None, None], slope, 0)


def _symbols(logits: Array, at: Places) -> Array:
    # A constant, since the compiler makes no vector code of comparisons with numbers it counts.
    symbol = jnp.asarray(np.arange(logits.shape[-1]), at.symbol.dtype)
    return arguments.expand_left(symbol, logits.ndim)
