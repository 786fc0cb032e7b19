"""The bi-tempered logistic loss: logarithm and exponential of softmax cross-entropy, tempered.

`log_t(x) = (x^(1 - t) - 1) / (1 - t)` and `exp_t`, its inverse; both are the ordinary ones at 1.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxloss import arguments, numerics

Array = jax.Array

NEWTON_STEPS = 40


def bi_tempered_logistic_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    t1: ArrayLike = 0.8,
    t2: ArrayLike = 1.2,
    axis: arguments.Axis = -1,
    where: ArrayLike | None = None,
) -> Array:
    """Cross-entropy with a bounded logarithm and a heavy-tailed softmax.

    `-log_t1(p_y) - (1 - sum_k p_k^(2 - t1)) / (2 - t1)` with `p = exp_t2(logits - normalizer)`.

    `t1 < 1` bounds the loss, against labels wrong by far; `t2 > 1` gives the probabilities heavy
    tails, against wrong labels near the border. At `t1 = t2 = 1` it is the cross-entropy, and it
    passes through that point smoothly. The normaliser solves an equation, by Newton's method.

    Args:
      logits: `[..., classes]`, finite.
      labels: `[...]`, integers in `[0, classes)`.
      t1: temperature of the logarithm, in [0, 1]; number or `[...]`.
      t2: temperature of the exponential, >= 1; number or `[...]`.
      axis: the axis or axes of the classes.
      where: True for what counts, `[..., classes]` or `[...]`.

    Returns:
      `[...]`, non-negative; NaN for a label out of range.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.bi_tempered_logistic_loss(jnp.zeros(2), jnp.array(1), t1=0.0, t2=2.0))
      0.25

    Reference: Amid et al., Robust Bi-Tempered Logistic Loss (2019), eq. 5 and 6.
    """
    function = "bi_tempered_logistic_loss"
    logits, is_label, mask = arguments.classes(function, axis, where, logits=logits, labels=labels)
    t1 = arguments.per_event(function, "t1", t1, logits, at_least=0.0, at_most=1.0)
    t2 = arguments.per_event(function, "t2", t2, logits, at_least=1.0)
    labelled = jnp.any(is_label, axis=-1, keepdims=True) | jnp.any(
        jnp.isnan(logits), axis=-1, keepdims=True
    )
    counted = mask & labelled
    surprisal = _surprisal(logits, t2 - 1, mask)
    # What the label's class costs beyond its share of the sum over all classes.
    own = jnp.where(is_label | jnp.isnan(surprisal), _excess(surprisal, 1 - t1), 0)
    tail = jnp.where(is_label | ~mask, 0, jnp.exp(-(2 - t1) * surprisal) / (2 - t1))
    return arguments.masked(jnp.sum(own + tail, axis=-1), counted)


def _excess(s: Array, q: Array) -> Array:
    """Return the integral of `exp(-q w) (1 - exp(-w))` for w from 0 to s, all >= 0."""
    small = s < 0.5
    x = jnp.where(small, s, 0)
    series, power, low, high = jnp.zeros_like(x), x, jnp.ones_like(q), jnp.ones_like(q)
    for n in range(1, 18):
        low, high = -low * q, -high * (q + 1)
        power = power * x / (n + 1)
        series = series + power * (low - high)
    y = jnp.where(small, 1, s)
    far = numerics.power_excess(-y, q + 1) - numerics.power_excess(-y, q)
    return jnp.where(small, series, far)


def _surprisal(logits: Array, heat: Array, mask: Array) -> Array:
    """Return `-log p` of the tempered softmax, `[..., classes]`."""
    heat = jnp.broadcast_to(heat, (*logits.shape[:-1], 1))
    return _log_ratio(_depth(logits, heat, mask), heat)


@jax.custom_jvp
def _depth(logits: Array, heat: Array, mask: Array) -> Array:
    """Return `normalizer - logits`, `[..., classes]`: the shares `exp_t(-depth)` sum to 1."""
    present = mask | ~jnp.any(mask, axis=-1, keepdims=True)
    top = jnp.max(jnp.where(present, logits, -jnp.inf), axis=-1, keepdims=True)
    gaps = jnp.where(present, top - logits, 0)

    def improve(_: int, shift: Array) -> Array:
        # Convex, and begun where the shares sum to more than 1: it rises and never overshoots.
        share, escort = _shares(gaps + shift, heat, present)
        total = jnp.sum(escort, axis=-1, keepdims=True)
        return shift + (jnp.sum(share, axis=-1, keepdims=True) - 1) / total

    return gaps + lax.fori_loop(0, NEWTON_STEPS, improve, jnp.zeros_like(top))


@_depth.defjvp
def _depth_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    # The solution's own derivative: through the steps it would be as rough as they are, and the
    # slope of the likeliest class would be a difference of nearly equal numbers.
    logits, heat, mask = primals
    depth = _depth(logits, heat, mask)
    present = mask | ~jnp.any(mask, axis=-1, keepdims=True)
    share, escort = _shares(depth, heat, present)
    escort = escort / jnp.sum(escort, axis=-1, keepdims=True)
    index = lax.broadcasted_iota(jnp.int32, depth.shape, depth.ndim - 1)
    is_top = jnp.argmax(escort, axis=-1, keepdims=True).astype(jnp.int32) == index
    others = jnp.where(is_top, 0, escort)
    of_others = jnp.sum(others * tangents[0], axis=-1, keepdims=True)
    of_top = jnp.sum(jnp.where(is_top, escort * tangents[0], 0), axis=-1, keepdims=True)
    rest = jnp.sum(others, axis=-1, keepdims=True)
    moved = jnp.where(is_top, of_others - rest * tangents[0], of_others + of_top - tangents[0])
    by_heat = jax.jvp(lambda h: _log_ratio(depth, h), (heat,), (tangents[1],))[1]
    slope = jnp.sum(jnp.where(present, share / (1 + heat * depth), 0), axis=-1, keepdims=True)
    settled = jnp.sum(jnp.where(present, share * by_heat, 0), axis=-1, keepdims=True) / slope
    return depth, jnp.where(present, moved, 0) - settled


def _shares(depth: Array, heat: Array, present: Array) -> tuple[Array, Array]:
    """Return the shares `exp_t(-depth)` and minus their slopes in the depth."""
    share = jnp.where(present, jnp.exp(-_log_ratio(depth, heat)), 0)
    return share, jnp.where(present, share / (1 + heat * depth), 0)


@jax.custom_jvp
def _log_ratio(depth: Array, heat: Array) -> Array:
    """Return `-log exp_t(-depth)` for `heat = t - 1`: `log(1 + heat depth) / heat`."""
    x = heat * depth
    small = jnp.abs(x) < 1e-4
    y = jnp.where(small, 1, x)
    far = jnp.log1p(y) / jnp.where(heat == 0, 1, heat)
    return jnp.where(small, depth * (1 - x / 2 + x**2 / 3 - x**3 / 4), far)


@_log_ratio.defjvp
def _log_ratio_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    # Autodiff subtracts nearly equal numbers where heat times depth is small.
    depth, heat = primals
    x = heat * depth
    small = jnp.abs(x) < 0.05
    z = jnp.where(small, x, 0)
    series = sum((-1.0) ** (n + 1) * n / (n + 1) * z ** (n - 1) for n in range(1, 14))
    y = jnp.where(small, 1, x)
    far = (y / (1 + y) - jnp.log1p(y)) / jnp.where(small, 1, y) ** 2
    by_heat = depth**2 * jnp.where(small, -series, far)
    return _log_ratio(depth, heat), tangents[0] / (1 + x) + by_heat * tangents[1]
