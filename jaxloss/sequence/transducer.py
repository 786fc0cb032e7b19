"""The transducer: labels without their times, each conditioned on those before it.

Conventions: `jaxloss.sequence.alignment`.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxloss import arguments, numerics
from jaxloss.sequence.alignment import (
    Pairing,
    diagonals,
    normalized,
    prepare,
    shifted,
    surprise,
    widened,
)

Array = jax.Array


def rnnt_loss(
    logits: ArrayLike,
    logit_paddings: ArrayLike,
    labels: ArrayLike,
    label_paddings: ArrayLike,
    *,
    blank_id: int = 0,
    where: ArrayLike | None = None,
) -> Array:
    """Surprisal of a label sequence under a transducer, `-log(sum(prod(p[t, u, symbol])))`.

    With `u` labels read by frame `t`, a blank goes on to the next frame and label `u + 1` on to
    itself, within the frame. The sum runs over all walks from `(0, 0)` that read all labels and
    leave the last frame by a blank; `p = softmax(logits)`. Unlike `ctc_loss` it asks for no more
    frames than one, needs no blank between equal labels, and lets the network know what has been
    read. Smooth, but not convex. Without a frame there is nothing to emit: the loss is infinite
    with zero gradient, and 0 if there are no labels either.

    The logits have `T (U + 1) K` entries for each sequence, which is what takes the memory.

    Args:
      logits: `[..., T, U + 1, K]`, unnormalised log-probabilities of the next symbol at frame `t`
        after `u` labels; not log-probabilities, though those give the same.
      logit_paddings: `[..., T]`, 1 where a frame is padding, else 0; on the right.
      labels: `[..., U]`, integers in `[0, K)` but `blank_id`.
      label_paddings: `[..., U]`, 1 where a label is padding, else 0; on the right.
      blank_id: the symbol that goes on to the next frame; static.
      where: True for the sequences that count, `[...]`.

    Returns:
      `[...]`, non-negative; for all of a sequence.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> logits = jnp.zeros((2, 2, 2))  # two walks of three symbols: the label in either frame
      >>> print(jnp.exp(-jl.rnnt_loss(logits, jnp.zeros(2), jnp.array([1]), jnp.zeros(1))))
      0.25

    Reference: Graves, Sequence Transduction with Recurrent Neural Networks (2012), eq. 16 to 18.
    """
    function = "rnnt_loss"
    data = (logits, logit_paddings, labels, label_paddings)
    pairing = prepare(function, "T, U + 1, K", blank_id, where, *data).with_frames_first()
    positions = pairing.labels.shape[-1] + 1
    if pairing.logits.shape[-2] != positions:
        expected = f"of shape [..., T, {positions}, K], for labels {pairing.labels.shape}"
        raise arguments.reject(function, "logits", expected, pairing.logits.shape)
    return _walk(pairing, *_costs(pairing, blank_id))


def _costs(pairing: Pairing, blank_id: int) -> tuple[Array, Array, Array]:
    """Return `-log p` of blank and label at every node, and the probability of any other symbol.

    Each is `[..., T, U + 1]`; a symbol that leads off the lattice counts as any other.
    """
    logits, is_frame = pairing.logits, pairing.is_frame[..., None]
    label, is_label = widened(pairing.labels, 0, 1), widened(pairing.is_label, 0, 1)
    length = jnp.sum(is_label, axis=-1, keepdims=True, dtype=jnp.int32)
    read = lax.broadcasted_iota(jnp.int32, is_label.shape, is_label.ndim - 1) == length
    more = widened(pairing.is_frame[..., 1:], 0, min(1, logits.shape[-3]))[..., None]
    blank_fits = is_frame & (more | read[..., None, :])
    label_fits = is_frame & is_label[..., None, :]
    cost = numerics.softmax(logits, jnp.ones(logits.shape, bool)).surprisal()
    blank = jnp.where(blank_fits, cost[..., blank_id], jnp.inf)
    own = jnp.take_along_axis(cost, label[..., None, :, None], axis=-1)[..., 0]
    symbol = arguments.expand_left(jnp.arange(logits.shape[-1], dtype=label.dtype), logits.ndim)
    leads_on = (symbol == blank_id) & blank_fits[..., None]
    leads_on |= (symbol == label[..., None, :, None]) & label_fits[..., None]
    lost = jnp.sum(jnp.where(leads_on, 0, jnp.exp(-cost)), axis=-1)
    return blank, jnp.where(label_fits, own, jnp.inf), lost


def _walk(pairing: Pairing, blank: Array, label: Array, lost: Array) -> Array:
    """Go through the lattice by anti-diagonals, of which every walk meets each once."""
    sizes = [jnp.sum(a, axis=-1, dtype=jnp.int32) for a in (pairing.is_frame, pairing.is_label)]
    # A step for each label and each blank.
    steps = sizes[0] + sizes[1]
    nodes = (diagonals(blank, jnp.inf), diagonals(label, jnp.inf), diagonals(lost, 0.0))
    # Made of the data, so that it is split over devices as they are.
    dead = jnp.where(widened(pairing.is_label, 0, 1), -jnp.inf, -jnp.inf).astype(blank.dtype)
    start = jnp.where(lax.broadcasted_iota(jnp.int32, dead.shape, dead.ndim - 1) == 0, 0, dead)

    def step(weights: Any, node: Any) -> Any:
        """Take one symbol; weights are shares of the walks that may still become right."""
        index, blank, label, lost = node
        going = index < steps
        miss = jnp.sum(jnp.exp(weights) * lost, axis=-1)
        new = numerics.log_add(weights - blank, shifted(weights - label, -jnp.inf))
        kept = numerics.log_sum_exp(new)
        weights = jnp.where(going[..., None], normalized(new, kept), weights)
        return weights, jnp.where(going, surprise(kept, miss), 0)

    order = jnp.arange(len(nodes[0]), dtype=jnp.int32)
    # Backwards each step is taken again: less memory than what it leaves.
    weights, paid = lax.scan(jax.checkpoint(step, prevent_cse=False), start, (order, *nodes))
    return pairing.finish(jnp.sum(paid, axis=0), ~jnp.all(weights == -jnp.inf, axis=-1))
