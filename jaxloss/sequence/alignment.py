"""What the losses that sum over alignments share: their arguments, and how a chain of states dies.

Conventions of `ctc` and `transducer`:

* `logit_paddings` and `label_paddings` are 1 (or True) where there is padding, else 0, as in
  optax: the opposite of `where`, which here says which whole sequences count, `[...]`. What stands
  in padding, NaN and -100 included, changes neither value nor gradient; the gradient there is 0.
* `labels` are integers in `[0, K)` other than `blank_id`, padded on the right. A label that cannot
  be, the blank among them, a padding that is neither 0 nor 1 and labels padded elsewhere than on
  the right make value and gradient NaN.
* A label sequence that no alignment gives (more labels than frames can carry) has probability 0:
  the loss is infinite, and its gradient 0. Filter such examples, or mask them by `where`.

To read a sequence symbol by symbol is a walk through states in which every symbol either leads to
one next state or ends the hope of ever reading the right labels. So the loss is a sum of surprises,
one for each step: `-log` of the share of the hopeful walks that goes on. Each is computed from that
share where it is small and from its complement where it is large, so that the loss is never
negative and keeps its digits when the network is confident and right.
"""

from __future__ import annotations

import operator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxloss import arguments

Array = jax.Array


class Pairing(NamedTuple):
    """A sequence of logits and a sequence of labels, checked.

    Attributes:
      logits: `[..., T, *rest, K]` in the working dtype, anything where padded.
      is_frame: `[..., T]`, False where padded.
      labels: `[..., N]`, 0 where padded or impossible.
      is_label: `[..., N]`, False where padded.
      factor: `[...]`, 1, or NaN where an argument holds what cannot be.
      mask: `[...]`, the sequences that count.
    """

    logits: Array
    is_frame: Array
    labels: Array
    is_label: Array
    factor: Array
    mask: Array

    def with_frames_first(self) -> Pairing:
        """Require that frames are padded on the right only, as labels are."""
        factor = jnp.where(_on_the_right(self.is_frame), self.factor, jnp.nan)
        return self._replace(factor=factor)

    def shown(self) -> Array:
        """Return the logits, 0 where padded."""
        is_frame = arguments.expand_right(self.is_frame, self.logits.ndim)
        return jnp.where(is_frame, self.logits, 0)

    def alone(self) -> Pairing:
        """Return the sequences as they are, whatever was wrong with them."""
        return self._replace(factor=jnp.ones_like(self.factor), mask=jnp.ones_like(self.mask))

    def finish(self, loss: Array, possible: Array) -> Array:
        """Return the loss, infinite where it is not possible, NaN or 0 as the arguments say."""
        loss = jnp.where(possible | jnp.isnan(self.factor), loss, jnp.inf)
        # Multiplied rather than selected: the gradient of an impossible label must be NaN as well.
        return arguments.masked(loss * self.factor, self.mask)


def prepare(
    function: str, axes: str, blank_id: int, where: Any,
    logits: Any, logit_paddings: Any, labels: Any, label_paddings: Any,
) -> Pairing:  # fmt: skip
    """Convert and check the arguments; `axes` names the last axes of the logits, as `"T, K"`."""
    logits = arguments.floating(function, "logits", logits)
    batch_axes = logits.ndim - len(axes.split(","))
    if batch_axes < 0:
        raise arguments.reject(function, "logits", f"of shape [..., {axes}]", logits.shape)
    batch, frames = logits.shape[:batch_axes], logits.shape[: batch_axes + 1]
    labels = arguments.real(function, "labels", labels)
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(f"{function}: labels must be integers, got {labels.dtype}.")
    if labels.ndim != batch_axes + 1 or labels.shape[:-1] != batch:
        expected = f"of shape {(*batch, 'N')}, for logits {logits.shape}"
        raise arguments.reject(function, "labels", expected, labels.shape)
    mask = arguments.mask_like(function, where, jnp.ones(batch, bool))
    mask = jnp.ones(batch, bool) if mask is None else mask
    is_frame, proper_frames = _present(function, "logit_paddings", logit_paddings, frames, mask)
    is_label, proper_labels = _present(
        function, "label_paddings", label_paddings, labels.shape, mask
    )
    # A narrow integer could not count as far as there are classes.
    labels = labels.astype(labels.dtype if labels.dtype.itemsize >= 4 else jnp.int32)
    blank_id = _blank_index(function, blank_id, logits.shape[-1])
    usable = (labels >= 0) & (labels < logits.shape[-1]) & (labels != blank_id)
    proper = proper_frames & proper_labels & _on_the_right(is_label)
    proper &= jnp.all(usable | ~is_label, axis=-1)
    dtype = arguments.working_dtype(logits)
    return Pairing(
        logits.astype(dtype),
        is_frame,
        jnp.where(usable & is_label, labels, 0),
        is_label,
        jnp.where(proper | ~mask, 1, jnp.nan).astype(dtype),
        mask,
    )


def _present(
    function: str, name: str, paddings: Any, shape: tuple[int, ...], mask: Array
) -> tuple[Array, Array]:
    """Return what is no padding, and whether the paddings of a sequence are all 0 or 1."""
    paddings = arguments.real(function, name, paddings)
    if paddings.shape != shape:
        raise arguments.reject(function, name, f"of shape {shape}", paddings.shape)
    # What is neither counts as present, for a gradient to become NaN there.
    proper = jnp.all((paddings == 0) | (paddings == 1), axis=-1)
    return (paddings != 1) & mask[..., None], proper


def _on_the_right(present: Array) -> Array:
    """Tell whether all padding of a sequence stands behind what is present."""
    return jnp.all(present[..., 1:] <= present[..., :-1], axis=-1)


def _blank_index(function: str, blank_id: int, classes: int) -> int:
    """Check the index of the blank, which is compiled in."""
    expected = f"an integer in [0, {classes})"
    try:
        index = operator.index(blank_id)
    except TypeError as error:
        raise TypeError(f"{function}: blank_id must be {expected}, got {blank_id!r}.") from error
    if not 0 <= index < classes:
        raise arguments.reject(function, "blank_id", expected, blank_id)
    return index


def surprise(log_hit: Array, miss: Array) -> Array:
    """Return `-log_hit`, where `exp(log_hit) + miss = 1`, from whichever of them is small."""
    likely = log_hit > -0.5
    return jnp.where(likely, -jnp.log1p(-jnp.where(likely, miss, 0)), -log_hit)


def normalized(log_weights: Array, log_total: Array) -> Array:
    """Divide weights by their total; where all are 0 they stay so."""
    return log_weights - jnp.where(log_total == -jnp.inf, 0, log_total)[..., None]


def widened(x: Array, before: int, after: int, fill: float = 0) -> Array:
    """Add entries at both ends of the last axis."""
    return jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(before, after)], constant_values=fill)


def shifted(x: Array, fill: float) -> Array:
    """Move the entries of the last axis on by one: the first becomes `fill`, the last is lost."""
    return widened(x[..., :-1], 1, 0, fill)


def diagonals(x: Array, fill: float) -> Array:
    """Lay a lattice `[..., n, m]` out by its anti-diagonals, `[n + m - 1, ..., m]`.

    Entry `(d, j)` is `(d - j, j)` of the lattice, or `fill` where there is none. Nodes of an
    anti-diagonal do not depend on each other, so that a scan over them works on whole vectors.
    """
    *batch, n, m = x.shape
    x = widened(jnp.swapaxes(x, -1, -2), 0, m, fill)
    # Each row is m entries longer than before; cutting rows one shorter shifts them step by step.
    x = x.reshape(*batch, m * (n + m))[..., : m * (n + m - 1)].reshape(*batch, m, n + m - 1)
    return jnp.moveaxis(x, -1, 0)


def lattice(x: Array, n: int) -> Array:
    """Undo `diagonals` for a lattice of `n` rows, `[n + m - 1, ..., m]` to `[..., n, m]`."""
    x = jnp.moveaxis(x, 0, -1)
    *batch, m, count = x.shape
    x = widened(x.reshape(*batch, m * count), 0, m).reshape(*batch, m, count + 1)
    return jnp.swapaxes(x[..., :n], -1, -2)


def moved_back(x: Array) -> Array:
    """Move the entries of the last axis back by one: the first is lost, the last becomes 0."""
    return widened(x[..., 1:], 0, 1)


def meet(a: Array, b: Array) -> tuple[Array, Array, Array]:
    """Return the log of the sum of two weights, and the proportion of each."""
    most, least = jnp.maximum(a, b), jnp.minimum(a, b)
    ratio = jnp.exp(jnp.where(most == -jnp.inf, 0, least - most))
    larger = 1 / (1 + ratio)
    of_a = jnp.where(a >= b, larger, ratio * larger)
    of_b = jnp.where(a >= b, ratio * larger, larger)
    return most + jnp.log(1 + ratio), of_a, of_b
