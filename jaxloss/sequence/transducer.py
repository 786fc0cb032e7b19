"""The transducer: labels without their times, each conditioned on those before it.

Conventions: `jaxloss.sequence.alignment`.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxloss import arguments, numerics
from jaxloss.sequence import walks
from jaxloss.sequence.alignment import (
    Pairing,
    diagonals,
    normalized,
    prepare,
    shifted,
    surprise,
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
    loss = _loss(blank_id, pairing.alone())
    return pairing.finish(loss, loss != jnp.inf)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _loss(blank_id: int, pairing: Pairing) -> Array:
    return walks.loss(pairing, blank_id)


@_loss.defjvp
def _loss_jvp(blank_id: int, primals: Any, tangents: Any) -> tuple[Array, Array]:
    # Autodiff of the recursion goes back through its logarithms and those of every symbol.
    loss, slope = _loss_and_slope(blank_id, *primals)
    return loss, jnp.sum(slope * tangents[0].logits, axis=(-1, -2, -3))


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _loss_and_slope(blank_id: int, pairing: Pairing) -> tuple[Array, Array]:
    return walks.loss_and_slope(pairing, blank_id)


@_loss_and_slope.defjvp
def _slope_jvp(blank_id: int, primals: Any, tangents: Any) -> Any:
    # The two passes are made for values; derivatives of derivatives go through the plain form.
    def again(logits: Array) -> tuple[Array, Array]:
        pairing = primals[0]._replace(logits=logits)
        loss = lambda x: _walk(pairing._replace(logits=x), blank_id)
        value, pull = jax.vjp(loss, logits)
        return value, pull(jnp.ones_like(value))[0]

    return jax.jvp(again, (primals[0].logits,), (tangents[0].logits,))


def _walk(pairing: Pairing, blank_id: int) -> Array:
    """Go through the lattice by anti-diagonals, of which every walk meets each once."""
    at = walks.places(pairing)
    blank, label, lost = _costs(pairing.shown(), at, blank_id)
    nodes = (diagonals(blank, jnp.inf), diagonals(label, jnp.inf), diagonals(lost, 0.0))

    def step(weights: Any, node: Any) -> Any:
        """Take one symbol; weights are shares of the walks that may still become right."""
        index, blank, label, lost = node
        going = index < at.steps
        miss = jnp.sum(jnp.exp(weights) * lost, axis=-1)
        new = numerics.log_add(weights - blank, shifted(weights - label, -jnp.inf))
        kept = numerics.log_sum_exp(new)
        weights = jnp.where(going[..., None], normalized(new, kept), weights)
        return weights, jnp.where(going, surprise(kept, miss), 0)

    order = jnp.arange(len(nodes[0]), dtype=jnp.int32)
    # Backwards each step is taken again: less memory than what it leaves.
    step = jax.checkpoint(step, prevent_cse=False)
    weights, paid = lax.scan(step, at.start(blank.dtype), (order, *nodes))
    return pairing.finish(jnp.sum(paid, axis=0), ~jnp.all(weights == -jnp.inf, axis=-1))


def _costs(logits: Array, at: walks.Places, blank_id: int) -> tuple[Array, Array, Array]:
    """Return `-log p` of blank and label at every node, and the probability of any other symbol.

    Each is `[..., T, U + 1]`; a symbol that leads off the lattice counts as any other.
    """
    cost = numerics.softmax(logits, jnp.ones(logits.shape, bool)).surprisal()
    index = jnp.broadcast_to(jnp.maximum(at.symbol, 0)[..., None], (*cost.shape[:-1], 1))
    own = jnp.take_along_axis(cost, index, axis=-1)[..., 0]
    symbol = lax.broadcasted_iota(at.symbol.dtype, logits.shape, logits.ndim - 1)
    leads_on = (symbol == blank_id) & at.blank[..., None]
    leads_on |= (symbol == at.symbol[..., None]) & at.label[..., None]
    lost = jnp.sum(jnp.where(leads_on, 0, jnp.exp(-cost)), axis=-1)
    blank = jnp.where(at.blank, cost[..., blank_id], jnp.inf)
    return blank, jnp.where(at.label, own, jnp.inf), lost
