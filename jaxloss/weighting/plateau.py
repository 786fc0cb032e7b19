"""Less weight for tasks whose metric no longer improves."""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxloss import arguments, protocol
from jaxloss.protocol import Decision
from jaxloss.weighting.tasks import weighting

Array = jax.Array


class PlateauMemory(NamedTuple):
    """What reduction on plateau remembers of each task.

    Attributes:
      weights: `[K]`, not below `least`.
      best: `[K]`, the lowest metrics so far.
      waited: `[K]`, for how many updates there was none better.
      cooling: `[K]`, for how many updates more nothing is counted.
    """

    weights: Array
    best: Array
    waited: Array
    cooling: Array


def reduce_on_plateau(
    factor: float = 0.1,
    *,
    patience: int = 10,
    rtol: float = 1e-4,
    atol: float = 0.0,
    cooldown: int = 0,
    least: float = 0.0,
) -> optax.GradientTransformationExtraArgs:
    """Multiply a task's weight by `factor` when its metric has not improved for a while.

    For tasks that are learned at different times: one that has converged, or begins to overfit,
    makes room for the others. As `optax.contrib.reduce_on_plateau`, but for each task its own. The
    metrics, of which lower is better, enter each update as the extra argument `metrics=`, a tree
    like the losses; validate every k steps with `every_k(reduce_on_plateau(...), k)`. The weights
    start at 1 and only fall.

    Args:
      factor: in (0, 1).
      patience: after how many updates without improvement.
      rtol: by what share of the best a metric must improve, in [0, 1).
      atol: and by what amount, >= 0.
      cooldown: for how many updates after a reduction nothing is counted.
      least: the weights do not fall below it, in [0, 1].

    Returns:
      A transformation with `WeightingState`, whose memory is `PlateauMemory`.

    Raises:
      TypeError: in `update`, without `metrics=`.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> weighting = jl.weighting.reduce_on_plateau(0.5, patience=1)
      >>> losses = {"a": jnp.array(1.0), "b": jnp.array(1.0)}
      >>> state = weighting.init(losses)
      >>> for a, b in [(1.0, 1.0), (0.5, 1.0)]:  # only a improves
      ...     metrics = {"a": jnp.array(a), "b": jnp.array(b)}
      ...     _, state = weighting.update(losses, state, metrics=metrics)
      >>> print({task: float(weight) for task, weight in state.weights.items()})
      {'a': 1.0, 'b': 0.5}
    """
    check = functools.partial(arguments.hyper, "reduce_on_plateau", like=jnp.zeros(()))
    by = check("factor", factor, above=0.0, below=1.0)
    relative = check("rtol", rtol, at_least=0.0, below=1.0)
    absolute = check("atol", atol, at_least=0.0)
    floor = check("least", least, at_least=0.0, at_most=1.0)
    sane = 0 * (by + relative + absolute + floor)  # NaN where one is impossible, else 0
    patience = protocol.counted("reduce_on_plateau", "patience", patience)
    cooldown = protocol.counted("reduce_on_plateau", "cooldown", cooldown, at_least=0)

    def start(like: Array) -> PlateauMemory:
        zero = like.astype(jnp.int32)
        return PlateauMemory(like + 1, jnp.full_like(like, jnp.inf), zero, zero)

    def step(losses: Array, memory: PlateauMemory, metrics: Array) -> Decision:
        weights, best, waited, cooling = memory
        improved = metrics < (1 - relative) * best - absolute
        waited = jnp.where(improved | (cooling > 0), 0, waited + 1)
        reduce = waited >= patience
        weights = jnp.where(reduce, jnp.maximum(weights * by, floor), weights) + sane
        cooling = jnp.where(reduce, cooldown, jnp.maximum(cooling - 1, 0))
        best, waited = jnp.where(improved, metrics, best), jnp.where(reduce, 0, waited)
        return Decision(weights, PlateauMemory(weights, best, waited, cooling))

    return weighting("reduce_on_plateau", step, start, ("metrics",))
