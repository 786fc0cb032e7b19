"""Connectionist temporal classification: labels without their times.

A path gives each frame a symbol. Merging repeated symbols and dropping blanks leads from a path to
its labels: `a a - a b` to `a a b`. Conventions: `jaxloss.sequence.alignment`.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxloss import arguments, numerics
from jaxloss.sequence import occupancy
from jaxloss.sequence.alignment import (
    Pairing,
    normalized,
    prepare,
    shifted,
    surprise,
    widened,
)

Array = jax.Array


def ctc_loss(
    logits: ArrayLike,
    logit_paddings: ArrayLike,
    labels: ArrayLike,
    label_paddings: ArrayLike,
    *,
    blank_id: int = 0,
    log_epsilon: ArrayLike = -1e5,
    where: ArrayLike | None = None,
) -> Array:
    """Surprisal of a label sequence of unknown timing, `-log(sum(prod(p[t, path[t]])))`.

    The sum runs over all paths that read as the labels once repeated symbols are merged and blanks
    dropped; `p = softmax(logits)`. The gradient of a frame is `p` minus the share of each symbol
    among those paths. Smooth, but not convex. Labels that follow one another and are equal need a
    blank between them: `N` labels with `r` such pairs need `N + r` frames, and with fewer the loss
    is infinite with zero gradient (optax: about 1e5).

    Args:
      logits: `[..., T, K]`, unnormalised log-probabilities of symbols, the blank among them.
      logit_paddings: `[..., T]`, 1 where a frame is padding, else 0; anywhere.
      labels: `[..., N]`, integers in `[0, K)` but `blank_id`.
      label_paddings: `[..., N]`, 1 where a label is padding, else 0; on the right.
      blank_id: the symbol that stands for no label; static.
      log_epsilon: < 0, optax's stand-in for `log(0)`. Nothing stands in for it in this loss, so
        that it has no effect; `ctc_loss_with_forward_probs` shows it.
      where: True for the sequences that count, `[...]`.

    Returns:
      `[...]`, non-negative; for all of a sequence, not for each label or frame.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> logits = jnp.zeros((2, 2))  # of the 4 paths 11, 01 and 10 read as 1
      >>> print(jnp.exp(-jl.ctc_loss(logits, jnp.zeros(2), jnp.array([1]), jnp.zeros(1))))
      0.75

    Reference: Graves et al., Connectionist Temporal Classification (2006), eq. 3 and 12.
    """
    data = (logits, logit_paddings, labels, label_paddings)
    pairing = _prepare("ctc_loss", blank_id, log_epsilon, where, data)
    loss = _loss(blank_id, pairing.alone())
    return pairing.finish(loss, loss != jnp.inf)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _loss(blank_id: int, pairing: Pairing) -> Array:
    return occupancy.loss(pairing, blank_id)


@_loss.defjvp
def _loss_jvp(blank_id: int, primals: Any, tangents: Any) -> tuple[Array, Array]:
    # Autodiff of the recursion keeps several times what the gradient is made of.
    loss, slope = _loss_and_slope(blank_id, *primals)
    return loss, jnp.sum(slope * tangents[0].logits, axis=(-1, -2))


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _loss_and_slope(blank_id: int, pairing: Pairing) -> tuple[Array, Array]:
    return occupancy.loss_and_slope(pairing, blank_id)


@_loss_and_slope.defjvp
def _slope_jvp(blank_id: int, primals: Any, tangents: Any) -> Any:
    # The two passes are made for values; derivatives of derivatives go through the plain form.
    def again(logits: Array) -> tuple[Array, Array]:
        loss = lambda x: _forward(primals[0]._replace(logits=x), blank_id, keep=False)[0]
        value, pull = jax.vjp(loss, logits)
        return value, pull(jnp.ones_like(value))[0]

    return jax.jvp(again, (primals[0].logits,), (tangents[0].logits,))


def ctc_loss_with_forward_probs(
    logits: ArrayLike,
    logit_paddings: ArrayLike,
    labels: ArrayLike,
    label_paddings: ArrayLike,
    *,
    blank_id: int = 0,
    log_epsilon: ArrayLike = -1e5,
    where: ArrayLike | None = None,
) -> tuple[Array, Array, Array]:
    """`ctc_loss`, with the probabilities of having read so many labels at each frame.

    The second result holds `log` of the summed probability of the beginnings of paths up to frame
    `t` that have read `n` labels and end in a blank (or are empty); the third of those that end in
    label `n + 1` itself. As in optax the last frame of the second counts both.

    Args:
      logits: `[..., T, K]`, unnormalised log-probabilities of symbols, the blank among them.
      logit_paddings: `[..., T]`, 1 where a frame is padding, else 0; anywhere.
      labels: `[..., N]`, integers in `[0, K)` but `blank_id`.
      label_paddings: `[..., N]`, 1 where a label is padding, else 0; on the right.
      blank_id: the symbol that stands for no label; static.
      log_epsilon: < 0, shown for beginnings that no path has, in place of minus infinity.
      where: True for the sequences that count, `[...]`.

    Returns:
      `[...]`, the loss; `[T, ..., N + 1]` and `[T, ..., N]`, the forward log-probabilities.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> data = jnp.zeros((2, 2)), jnp.zeros(2), jnp.array([1]), jnp.zeros(1)
      >>> loss, ends_in_blank, ends_in_label = jl.ctc_loss_with_forward_probs(*data)
      >>> print(jnp.exp(ends_in_blank[0]), jnp.exp(ends_in_label[0]))  # after one frame
      [0.5 0. ] [0.5]

    Reference: as `ctc_loss`, eq. 5 to 7.
    """
    function = "ctc_loss_with_forward_probs"
    data = (logits, logit_paddings, labels, label_paddings)
    pairing = _prepare(function, blank_id, log_epsilon, where, data)
    loss, blank, label = _forward(pairing, blank_id, keep=True)
    last = lax.broadcasted_iota(jnp.int32, blank.shape, 0) == blank.shape[0] - 1
    blank = jnp.where(last, numerics.log_add(blank, label), blank)
    floor = arguments.hyper(function, "log_epsilon", log_epsilon, jnp.zeros((), loss.dtype))
    show = lambda x: jnp.where(x == -jnp.inf, floor, x)
    return loss, show(blank), show(label[..., 1:])


def _prepare(
    function: str, blank_id: int, log_epsilon: Any, where: Any, data: tuple[Any, ...]
) -> Pairing:
    pairing = prepare(function, "T, K", blank_id, where, *data)
    arguments.hyper(function, "log_epsilon", log_epsilon, pairing.factor, below=0.0)
    return pairing


class Steps(NamedTuple):
    """What a symbol costs, and what is lost with all the symbols that lead nowhere.

    States are numbered by the labels read so far, `n = 0 ... N`, and of each there are two: the
    last symbol was a blank (row 0), or label `n` itself (row 1, which state 0 does not have).

    Attributes:
      cost: `[..., T, 2, N + 1]`, `-log p` of a blank, and of label `n` (infinite without one).
      lost: `[..., T, 2, N + 1]`, the probability of all symbols that cannot follow.
    """

    cost: Array
    lost: Array


def _steps(pairing: Pairing, blank_id: int) -> Steps:
    logits, labels = pairing.shown(), pairing.labels
    cost = numerics.softmax(logits, jnp.ones(logits.shape, bool)).surprisal()
    own = jnp.take_along_axis(cost, labels[..., None, :], axis=-1)
    own = widened(jnp.where(pairing.is_label[..., None, :], own, jnp.inf), 1, 0, jnp.inf)
    blank = jnp.broadcast_to(cost[..., blank_id, None], own.shape)
    symbol = arguments.expand_left(jnp.arange(logits.shape[-1], dtype=labels.dtype), logits.ndim)
    is_symbol = (labels[..., None] == symbol) & pairing.is_label[..., None]
    sides = [(0, 0)] * (labels.ndim - 1)
    last, next_ = (jnp.pad(is_symbol, [*sides, side, (0, 0)]) for side in ((1, 0), (0, 1)))
    after_blank = next_ | (symbol == blank_id)
    others = jnp.stack([~after_blank, ~(after_blank | last)], axis=-3).astype(cost.dtype)
    lost = jnp.einsum("...tk,...snk->...tsn", jnp.exp(-cost), others, precision="highest")
    return Steps(jnp.stack([blank, own], axis=-2), lost)


def _forward(pairing: Pairing, blank_id: int, keep: bool) -> tuple[Array, Any, Any]:
    """Return the loss, and if asked the log-probabilities of both states after every frame."""
    labels, is_label = pairing.labels, pairing.is_label
    # Between two equal labels there is a blank.
    repeated = (labels[..., 1:] == labels[..., :-1]) & is_label[..., 1:]
    needs_blank = widened(repeated, 1, 1)[..., : labels.shape[-1] + 1]
    count = lax.broadcasted_iota(jnp.int32, needs_blank.shape, needs_blank.ndim - 1)
    # Made of the data, so that it is split over devices as they are.
    dead = jnp.where(needs_blank, -jnp.inf, -jnp.inf).astype(pairing.logits.dtype)
    start = jnp.stack([jnp.where(count == 0, 0, dead), dead], axis=-2)

    def read(state: Array, frame: Any) -> Any:
        """Go one frame on; weights are shares of the paths that may still become right."""
        is_frame, (cost, lost) = frame
        blank, label = state[..., 0, :], state[..., 1, :]
        onward = jnp.stack([label, shifted(blank, -jnp.inf)], axis=-2)
        directly = shifted(jnp.where(needs_blank, -jnp.inf, label), -jnp.inf)
        directly = jnp.stack([jnp.full_like(directly, -jnp.inf), directly], axis=-2)
        new = numerics.log_add(state, onward, directly) - cost
        kept = _total(new)
        miss = jnp.sum(jnp.exp(state) * lost, axis=(-1, -2))
        new = normalized(new, kept[..., None])
        state = jnp.where(is_frame[..., None, None], new, state)
        return state, (jnp.where(is_frame, surprise(kept, miss), 0), state if keep else None)

    steps = jax.tree.map(lambda x: jnp.moveaxis(x, -3, 0), _steps(pairing, blank_id))
    # Backwards each frame is read again: less memory than what reading it leaves, and no slower.
    read = jax.checkpoint(read, prevent_cse=False)
    state, (paid, states) = lax.scan(read, start, (jnp.moveaxis(pairing.is_frame, -1, 0), steps))
    length = jnp.sum(is_label, axis=-1, keepdims=True, dtype=jnp.int32)
    at_end = (count == length)[..., None, :]
    ended = _total(jnp.where(at_end, state, -jnp.inf))
    short = jnp.sum(jnp.where(at_end, 0, jnp.exp(state)), axis=(-1, -2))
    loss = pairing.finish(jnp.sum(paid, axis=0) + surprise(ended, short), ended != -jnp.inf)
    if not keep:
        return loss, None, None
    so_far = jnp.cumsum(paid, axis=0)[..., None]
    return loss, states[..., 0, :] - so_far, states[..., 1, :] - so_far


def _total(log_weights: Array) -> Array:
    """Return the log of the sum of the weights of all states, `[..., 2, N + 1]`."""
    *batch, kinds, count = log_weights.shape
    return numerics.log_sum_exp(log_weights.reshape(*batch, kinds * count))
