"""Weights from how fast losses fall: DWA, SoftAdapt, ReLoBRaLo."""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxloss import arguments, numerics, protocol
from jaxloss.protocol import Decision
from jaxloss.weighting.tasks import weighting

Array = jax.Array


class DwaMemory(NamedTuple):
    """What dynamic weight average remembers.

    Attributes:
      total: `[K]`, the sum of the losses of the present epoch.
      updates: how many it has.
      last: `[K]`, the mean losses of the last epoch.
      before: `[K]`, those of the one before; 0 until there is one, which makes all weights 1.
    """

    total: Array
    updates: Array
    last: Array
    before: Array


def dwa(temperature: float = 2.0, *, every: int = 1) -> optax.GradientTransformationExtraArgs:
    """Dynamic weight average: `K softmax(r / T)`, `r` the last epoch's mean loss over that before.

    A task whose loss falls more slowly than the others' weighs more. In the first two epochs all
    weights are 1; they always sum to K. Implementations differ in what an epoch is: here `every`
    updates, complete ones counting. Set it to the steps of an epoch for the paper's form.

    Args:
      temperature: `T > 0`; large is equal weights.
      every: the number of updates in an epoch.

    Returns:
      A transformation with `WeightingState`, whose memory is `DwaMemory`.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> weighting = jl.weighting.dwa()
      >>> state = weighting.init([jnp.array(0.0), jnp.array(0.0)])
      >>> for a, b in [(4.0, 4.0), (2.0, 4.0), (1.0, 4.0)]:  # r is 1/2 and 1
      ...     _, state = weighting.update([jnp.array(a), jnp.array(b)], state)
      >>> print([round(float(weight), 3) for weight in state.weights])
      [0.876, 1.124]

    Reference: Liu et al., End-to-End Multi-Task Learning with Attention (2019), eq. 7.
    """
    t = arguments.hyper("dwa", "temperature", temperature, jnp.zeros(()), above=0.0)
    every = protocol.counted("dwa", "every", every)

    def start(like: Array) -> DwaMemory:
        return DwaMemory(like, jnp.zeros((), jnp.int32), like, like)

    def step(losses: Array, memory: DwaMemory) -> Decision:
        total, count, last, before = memory
        full = count >= every
        before = jnp.where(full, last, before)
        last = jnp.where(full, total / jnp.maximum(count, 1), last)
        weights = len(losses) * jax.nn.softmax(numerics.divide(last, before) / t)
        total, count = jnp.where(full, 0, total) + losses, jnp.where(full, 0, count) + 1
        return Decision(weights, DwaMemory(total, count, last, before))

    return weighting("dwa", step, start)


class SoftAdaptMemory(NamedTuple):
    """What SoftAdapt remembers.

    Attributes:
      losses: `[window, K]`, of the last updates, the newest last.
      updates: how many, at most `window`.
    """

    losses: Array
    updates: Array


def softadapt(
    beta: float = 0.1, *, window: int = 2, weighted: bool = False, normalized: bool = False
) -> optax.GradientTransformationExtraArgs:
    """SoftAdapt: `softmax(b s)` of the losses' slopes `s`, which sums to 1.

    The slope of each loss now is a one-sided finite difference of order `window - 1`, exact for
    polynomials of that degree; for `window=2` it is the last change. A positive `b` favours tasks
    that get worse. Until the window is full all weights are 1 / K. Published code waits for a full
    window between updates: `every_k(softadapt(window=n), n)` does that.

    Noise is amplified by differences of high order: smooth the losses, or keep the window short.

    Args:
      beta: `b`, any number; in units of one over the loss where not `normalized`.
      window: the number of losses remembered, at least 2.
      weighted: whether each exponential is multiplied by the mean loss in the window, which must
        be positive.
      normalized: whether slopes are divided by the sum of their sizes.

    Returns:
      A transformation with `WeightingState`, whose memory is `SoftAdaptMemory`.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> weighting = jl.weighting.softadapt(1.0)
      >>> state = weighting.init([jnp.array(0.0), jnp.array(0.0)])
      >>> for a, b in [(4.0, 4.0), (3.0, 4.0)]:  # slopes -1 and 0
      ...     _, state = weighting.update([jnp.array(a), jnp.array(b)], state)
      >>> print([round(float(weight), 3) for weight in state.weights])
      [0.269, 0.731]

    Reference: Heydari et al., SoftAdapt (2019).
    """
    b = arguments.hyper("softadapt", "beta", beta, jnp.zeros(()))
    window = protocol.counted("softadapt", "window", window, at_least=2, static=True)
    coefficients = _slope(window)

    def start(like: Array) -> SoftAdaptMemory:
        return SoftAdaptMemory(jnp.tile(like, (window, 1)), jnp.zeros((), jnp.int32))

    def step(losses: Array, memory: SoftAdaptMemory) -> Decision:
        history = jnp.concatenate([memory.losses[1:], losses[None]])
        count = jnp.minimum(memory.updates + 1, window)
        slopes = jnp.sum(jnp.asarray(coefficients, losses.dtype)[:, None] * history, axis=0)
        if normalized:
            slopes = numerics.divide(slopes, jnp.sum(jnp.abs(slopes)))
        logits = b * slopes
        if weighted:
            logits += numerics.log(jnp.mean(history, axis=0))
        weights = jnp.where(count == window, jax.nn.softmax(logits), 1 / len(losses))
        return Decision(weights, SoftAdaptMemory(history, count))

    return weighting("softadapt", step, start)


def _slope(window: int) -> list[float]:
    """Return the coefficients of the derivative at the last of equidistant values."""
    # The derivative is the sum over j of the j-th backward difference divided by j.
    coefficients = [0.0] * window
    for j in range(1, window):
        for i in range(j + 1):
            coefficients[window - 1 - i] += (-1) ** i * math.comb(j, i) / j
    return coefficients


class RelobraloMemory(NamedTuple):
    """What ReLoBRaLo remembers.

    Attributes:
      weights: `[K]`, of the last update.
      first: `[K]`, the losses of the first update.
      last: `[K]`, those of the last one.
      updates: how many, at most 2.
      key: the data of a random key.
    """

    weights: Array
    first: Array
    last: Array
    updates: Array
    key: Array


def relobralo(
    decay: float = 0.999, *, temperature: float = 1.0, keep: float = 0.999, seed: int = 0
) -> optax.GradientTransformationExtraArgs:
    """Relative loss balancing with random lookback; the weights sum to K.

    `a (p w + (1 - p) r(first)) + (1 - a) r(last)`, where `r(then) = K softmax(L / (T L_then))`
    says which losses have fallen least, `w` are the weights before, and `p` is 1 with probability
    `keep` and else 0: a rare look back at the beginning. As in published code, `a` is 1 in the
    first update (all weights are 1), 0 in the second, and `decay` from then on, and the first two
    never look back. Made for physics-informed networks. A loss of exactly 0 counts as ratio 0.

    Args:
      decay: `a`, in [0, 1].
      temperature: `T > 0`; large is equal weights.
      keep: the probability not to look back, in [0, 1].
      seed: of the random numbers.

    Returns:
      A transformation with `WeightingState`, whose memory is `RelobraloMemory`.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> weighting = jl.weighting.relobralo()
      >>> state = weighting.init([jnp.array(0.0), jnp.array(0.0)])
      >>> for a, b in [(4.0, 4.0), (4.0, 8.0)]:  # 2 softmax(1, 2)
      ...     _, state = weighting.update([jnp.array(a), jnp.array(b)], state)
      >>> print([round(float(weight), 3) for weight in state.weights])
      [0.538, 1.462]

    Reference: Bischof and Kraus, Multi-Objective Loss Balancing for Physics-Informed Deep
    Learning (2021).
    """
    scalar = jnp.zeros(())
    a = arguments.hyper("relobralo", "decay", decay, scalar, at_least=0.0, at_most=1.0)
    t = arguments.hyper("relobralo", "temperature", temperature, scalar, above=0.0)
    p = arguments.hyper("relobralo", "keep", keep, scalar, at_least=0.0, at_most=1.0)

    def start(like: Array) -> RelobraloMemory:
        zero = jnp.zeros((), jnp.int32)
        return RelobraloMemory(like + 1, like, like, zero, protocol.key_data(seed))

    def step(losses: Array, memory: RelobraloMemory) -> Decision:
        relative = lambda then: len(losses) * jax.nn.softmax(numerics.divide(losses, t * then))
        key, later = protocol.next_key(memory.key)
        early = memory.updates < 2
        kept = early | jax.random.bernoulli(key, p)
        first = jnp.where(memory.updates == 0, losses, memory.first)
        old = jnp.where(kept, memory.weights, relative(first))
        rate = jnp.where(early, memory.updates == 0, a + 0 * p)  # NaN where one is impossible
        weights = rate * old + (1 - rate) * relative(memory.last)
        count = jnp.minimum(memory.updates + 1, 2)
        return Decision(weights, RelobraloMemory(weights, first, losses, count, later))

    return weighting("relobralo", step, start)
