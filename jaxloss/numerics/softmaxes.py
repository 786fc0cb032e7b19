"""The softmax in parts that keep what a confident prediction is about."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax


def centered(x: jax.Array) -> jax.Array:
    """Subtract the largest entry of the last axis, which is a constant to autodiff."""
    top = lax.stop_gradient(jnp.max(x, axis=-1, keepdims=True))
    return x - jnp.where(jnp.isfinite(top), top, 0)


class Softmax(NamedTuple):
    """The parts of a softmax from which losses are made, all relative to the largest logit.

    Subtracting a normaliser from the logits loses the small differences that a confident
    prediction is about; these parts keep them: `-log p` of a prediction with a lead of 20 is
    2.06e-9 here and 0 there.

    Attributes:
      top: `[...]`, the largest logit.
      is_top: `[..., classes]`, one True for each example, at the largest logit.
      gaps: `[..., classes]`, `top - logits`, all >= 0, infinite where masked.
      rest: `[...]`, the sum of `exp(-gaps)` over all classes but the top one.
    """

    top: jax.Array
    is_top: jax.Array
    gaps: jax.Array
    rest: jax.Array

    def surprisal(self) -> jax.Array:
        """Return `-log p` for every class, `[..., classes]`, all >= 0."""
        return self.gaps + jnp.log1p(self.rest)[..., None]

    def log_normalizer(self) -> jax.Array:
        """Return the log of the sum of exponentials, `[...]`."""
        return self.top + jnp.log1p(self.rest)

    def log_complement(self) -> jax.Array:
        """Return `log(1 - p)` for every class, `[..., classes]`."""
        others = jnp.where(self.is_top, jnp.inf, self.gaps)
        nearest = lax.stop_gradient(jnp.min(others, axis=-1))
        alone = jnp.isinf(nearest)
        nearest = jnp.where(alone, 0, nearest)
        spread = jnp.sum(jnp.exp(nearest[..., None] - others), axis=-1)
        log_rest = jnp.where(alone, -jnp.inf, jnp.log(jnp.where(alone, 1, spread)) - nearest)
        top = log_rest - jnp.log1p(self.rest)
        elsewhere = jnp.where(self.is_top, 0, jnp.exp(-self.surprisal()))
        # Where p is 0 there is no slope, and none may meet an overflowing factor further out.
        below = jnp.where(elsewhere == 0, 0, jnp.log1p(-elsewhere))
        return jnp.where(self.is_top, top[..., None], below)


def softmax(logits: jax.Array, mask: jax.Array) -> Softmax:
    """Return the parts of the softmax over the last axis of the entries where `mask` is True.

    Args:
      logits: `[..., classes]`, finite where masked.
      mask: `[..., classes]`. An example that is masked throughout counts as unmasked: its value
        is harmless and the caller discards it.
    """
    present = mask | ~jnp.any(mask, axis=-1, keepdims=True)
    logits = jnp.where(present, logits, -jnp.inf)
    index = lax.broadcasted_iota(jnp.int32, logits.shape, logits.ndim - 1)
    is_top = jnp.argmax(logits, axis=-1, keepdims=True).astype(jnp.int32) == index
    top = jnp.sum(jnp.where(is_top, logits, 0), axis=-1)
    # NaN has no top: it must reach every class, the only one of a single class included.
    gaps = jnp.where(is_top & ~jnp.isnan(top)[..., None], 0, top[..., None] - logits)
    rest = jnp.sum(jnp.where(is_top, 0, jnp.exp(-gaps)), axis=-1)
    return Softmax(top, is_top, gaps, rest)
