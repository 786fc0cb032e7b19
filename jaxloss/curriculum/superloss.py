"""SuperLoss: a confidence for each example, from its loss alone."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxloss import arguments, numerics, reduction
from jaxloss.curriculum.examples import curriculum
from jaxloss.protocol import Decision

Array = jax.Array


class SuperLossMemory(NamedTuple):
    """What `superloss` remembers of a task whose threshold follows its losses.

    Attributes:
      threshold: the moving average of the mean loss.
      weight: of what it is an average, from 0 at the start to 1.
    """

    threshold: Array
    weight: Array


def superloss(
    threshold: float | None = None,
    *,
    regularization: float = 1.0,
    decay: float = 0.9,
    axis_name: reduction.AxisName = None,
) -> optax.GradientTransformationExtraArgs:
    """SuperLoss: weigh each example by a confidence that is learned of its loss in closed form.

    `min over s in (0, e] of (l - t) s + r log(s)^2`, for each loss `l`, with `t` the threshold and
    `r` the regularization. The weight is the minimiser (`confidence`): 1 at the threshold, below 1
    for harder examples, up to `e` for easier ones; the value is the minimum, and by the envelope
    theorem its derivative is the weight. The weights have no fixed sum. With `r` large all tend to
    1, and the losses keep their order.

    For a mild curriculum without a schedule, and outliers that should count less but never nothing.
    Under many wrong labels it only delays their being learned; `small_loss` refuses them.

    The threshold is the mean loss, averaged over the updates so far, the present one included, with
    weights that fall by `decay` for each; only finite losses are counted, and an update without
    any changes nothing. Public code divides the sum by a fixed batch size; here the mean is the
    caller's, and the last batch of an epoch weighs as any other.

    Args:
      threshold: between easy and hard, in units of the loss: `log(classes)` for a cross-entropy,
        say. None: the moving average of the mean loss.
      regularization: `r`, > 0: how fast confidence falls, in units of the loss.
      decay: of the moving average, in [0, 1); not used with a threshold.
      axis_name: mapped axes over which the batch is split, for the moving average.

    Returns:
      A transformation with `CurriculumState`, whose memory is `SuperLossMemory`, or nothing with a
      threshold; losses keep their shapes, and may become negative. Infinite ones become 0.

    Raises:
      ValueError: for a setting out of range.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> objective = jl.curriculum.superloss(1.0)
      >>> losses = jnp.array([0.0, 1.0, 1.0 + 2 * jnp.e])
      >>> weighted, state = objective.update(losses, objective.init(losses))
      >>> print(weighted)  # the last: W(e) = 1, so (2 e) / e + log(1 / e)^2
      [-1.718  0.     3.   ]

    Reference: Castells et al., SuperLoss: A Generic Loss for Robust Curriculum Learning (2020),
    section 3.
    """
    one = jnp.zeros(())
    r = arguments.hyper("superloss", "regularization", regularization, one, above=0.0)
    kept = arguments.hyper("superloss", "decay", decay, one, at_least=0.0, below=1.0)
    t = None if threshold is None else arguments.hyper("superloss", "threshold", threshold, one)

    def start(like: Array) -> Any:
        return SuperLossMemory(like, like) if t is None else ()

    def step(losses: Array, mask: Array, memory: Any) -> Decision:
        if t is None:
            memory = _averaged(losses, mask, memory, kept, axis_name)
        return _weighed(losses, memory.threshold if t is None else t, r, memory)

    return curriculum("superloss", step, start, axis_name=axis_name)


def _weighed(losses: Array, threshold: Array, regularization: Array, memory: Any) -> Decision:
    t, r = threshold.astype(losses.dtype), regularization.astype(losses.dtype)
    x = _excess(losses, t, r)
    sigma, log_sigma = numerics.lambert_decay(x), -numerics.lambert_w(x)
    offsets = r * log_sigma**2 - t * sigma
    return Decision(sigma, memory, jnp.where(jnp.isinf(losses), 0, offsets))


def _averaged(
    losses: Array, mask: Array, memory: SuperLossMemory, decay: Array, axis_name: Any
) -> SuperLossMemory:
    finite = mask & jnp.isfinite(losses)
    now = reduction.average(losses, where=finite, axis_name=axis_name)
    before, weight = (x.astype(losses.dtype) for x in memory)
    d = jnp.where(now.weight > 0, decay.astype(losses.dtype), 1)
    weight = d * weight + (1 - d)
    change = numerics.divide(1 - d, weight) * (now.value() - before)
    return SuperLossMemory(before + change, weight)


def _excess(losses: Array, threshold: Array, regularization: Array) -> Array:
    """Return the argument of Lambert's W, not below its branch point."""
    x = 0.5 * (losses - threshold) / regularization
    # No float is -1/e; the nearest one stands for it, in every dtype.
    return jnp.maximum(x, jnp.asarray(-1 / math.e, x.dtype))


def confidence(losses: Any, threshold: Any, regularization: Any = 1.0) -> Array:
    """Return `exp(-W(max(-1 / e, (l - t) / (2 r))))`, SuperLoss's weight of each example.

    In (0, e], 1 at the threshold, `e` from `2 r / e` below it; differentiable in all three, but at
    that point, where the slope is infinite on one side and 0 is given. The last digits of a loss
    that lies close to it decide half of those of the result, by nature.

    Args:
      losses: `[...]`, in any unit.
      threshold: `t`, number or `[...]`.
      regularization: `r`, > 0; number or `[...]`.

    Returns:
      `[...]`, at least float32.

    Raises:
      TypeError, ValueError: for losses or settings that are impossible.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.curriculum.confidence(jnp.array([-9.0, 1.0, 1.0 + 2 * jnp.e]), 1.0))
      [2.718 1.    0.368]

    Reference: Castells et al., SuperLoss: A Generic Loss for Robust Curriculum Learning (2020),
    section 3.
    """
    losses = arguments.floating("confidence", "losses", losses)
    losses = losses.astype(arguments.working_dtype(losses))
    threshold = arguments.hyper("confidence", "threshold", threshold, losses)
    regularization = arguments.hyper(
        "confidence", "regularization", regularization, losses, above=0.0
    )
    return numerics.lambert_decay(_excess(losses, threshold, regularization))
