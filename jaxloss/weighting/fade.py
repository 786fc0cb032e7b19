"""From one loss to another in the course of training, by step or by metric."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxloss import arguments
from jaxloss.protocol import Decision
from jaxloss.weighting.tasks import named, weighting

Array = jax.Array
Schedule = Callable[[Any], Any]


class CrossfadeMemory(NamedTuple):
    """Where a cross-fade stands.

    Attributes:
      updates: how many the schedule has seen.
      started: whether it counts.
    """

    updates: Array
    started: Array


def crossfade(
    before: str | Sequence[str],
    after: str | Sequence[str],
    schedule: Schedule | float,
    *,
    level: float | None = None,
    direction: str | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Fade from one loss to another: `1 - share` for `before`, `share` for `after`.

    The curriculum of small objects: classification or a region loss first, a boundary loss later,
    when there is a shape to have a boundary. The two weights sum to 1, all other tasks keep 1. With
    a step function as schedule it is a switch.

    With `level` the schedule starts to count at the first update whose extra argument `metric=`
    has reached it (a number; of a tree of them, all must have), and stands at its beginning until
    then. A metric that falls back later changes nothing; NaN reaches nothing.

    Args:
      before: name of the task that fades out, or several names.
      after: name of the task that fades in, or several names.
      schedule: the share of `after`, an optax schedule of the number of updates, or a number in
        [0, 1]; it is followed exactly, whatever it gives.
      level: of the metric at which to start; None to start at once.
      direction: `"above"`, for a metric that reaches the level from below, as an accuracy does, or
        `"below"`, for one that falls to it, as a loss does. Needed with `level`.

    Returns:
      A transformation with `WeightingState`, whose memory is `CrossfadeMemory`.

    Raises:
      ValueError: for a level without a direction, a direction unknown, a share outside [0, 1]; in
        `update`, for a name unknown or a task on both sides.

    Example:
      >>> import jax.numpy as jnp, optax
      >>> import jaxloss as jl
      >>> fade = jl.weighting.crossfade("dice", "boundary", optax.linear_schedule(0.0, 1.0, 4))
      >>> losses = {"boundary": jnp.array(8.0), "dice": jnp.array(1.0)}
      >>> state = fade.init(losses)
      >>> for _ in range(2):
      ...     faded, state = fade.update(losses, state)
      >>> print({task: float(loss) for task, loss in faded.items()})
      {'boundary': 2.0, 'dice': 0.75}

    Reference: Kervadec et al., Boundary Loss for Highly Unbalanced Segmentation (2019).
    """
    if (level is None) != (direction is None) or direction not in (None, "above", "below"):
        expected = "'above' or 'below' with level, None without"
        raise arguments.reject("crossfade", "direction", expected, repr(direction))
    scalar = jnp.zeros(())
    limit = None if level is None else arguments.hyper("crossfade", "level", level, scalar)
    share_at: Schedule = schedule if callable(schedule) else _constant(schedule)

    def start(like: Array) -> CrossfadeMemory:
        return CrossfadeMemory(jnp.zeros((), jnp.int32), jnp.asarray(level is None))

    def step(losses: Array, memory: Any, structure: Any, metric: Any = None) -> Decision:
        old, new = (_tasks(side, structure) for side in (before, after))
        if old & new:
            raise arguments.reject(
                "crossfade", "after", f"other tasks than before={before!r}", repr(after)
            )
        started = memory.started
        if limit is not None:
            started |= jnp.all(metric >= limit if direction == "above" else metric <= limit)
        share = jnp.asarray(share_at(memory.updates), losses.dtype)
        share = share if limit is None else share + 0 * limit  # NaN where it is impossible
        weights = [
            1 - share if i in old else share if i in new else jnp.ones_like(share)
            for i in range(len(losses))
        ]
        return Decision(jnp.stack(weights), CrossfadeMemory(memory.updates + started, started))

    needs = () if level is None else ("metric",)
    return weighting("crossfade", step, start, needs, structure=True)


def _constant(share: Any) -> Schedule:
    bounds = {"at_least": 0.0, "at_most": 1.0}
    share = arguments.hyper("crossfade", "schedule", share, jnp.zeros(()), **bounds)
    return lambda count: share


def _tasks(side: str | Sequence[str], structure: Any) -> set[int]:
    sides = [side] if isinstance(side, str) else side
    return {task for name in sides for task in named("crossfade", "names", name, structure)}
