"""What every curriculum shares: the losses of a task's examples in, weighted losses out.

A method is `step(losses, mask, memory, **extra)` on the losses of one task, of any shape; from it
`curriculum` makes the optax transformation. Masks, dtypes, constants to autodiff and weights of 0
are seen to here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from jaxloss import arguments, protocol, reduction
from jaxloss.protocol import Decision

Array = jax.Array


class CurriculumState(NamedTuple):
    """The state of every curriculum.

    Attributes:
      admitted: a tree like the losses; for each task the share in [0, 1] of valid examples with a
        positive weight in the last update.
      memory: the same tree; for each task what the method remembers, if anything.
    """

    admitted: Any
    memory: Any


def curriculum(
    function: str,
    step: Callable[..., Decision],
    start: Callable[[Array], Any] = lambda like: (),
    needs: tuple[str, ...] = (),
    axis_name: reduction.AxisName = None,
) -> optax.GradientTransformationExtraArgs:
    """Return the transformation of per-example losses that a method for one task describes.

    Args:
      function: the name of the public factory, for messages.
      step: `step(losses, mask, memory, **extra) -> Decision`; `losses` is a constant to autodiff,
        0 where `mask` (of its shape) is False; weights and offsets have its shape.
      start: `start(like) -> memory` of one task, where `like` is 0 in the dtype of the losses given
        to `init`, at least float32; no shape of it depends on the losses. Each update keeps its
        dtypes, whatever `step` returns.
      needs: names of extra arguments of `update`: one array of the losses' shape for all tasks, or
        a tree like the losses; `step` gets the task's own.
      axis_name: mapped axes over which the share in the state is counted.

    Returns:
      A transformation with `CurriculumState`. Masked examples become 0; a weight of 0 makes even an
      infinite loss 0; a NaN goes through, for it is a bug to be seen.
    """

    def init(losses: Any) -> CurriculumState:
        admitted = jax.tree.map(lambda _: jnp.zeros((), jnp.float32), losses)
        return CurriculumState(admitted, jax.tree.map(lambda x: start(_zero(x)), losses))

    def one(losses: Any, memory: Any, where: Any, *given: Any) -> tuple[Array, Array, Any]:
        losses = arguments.floating(function, "losses", losses)
        losses = losses.astype(arguments.working_dtype(losses))
        mask = arguments.mask_like(function, where, losses)
        mask = jnp.ones(losses.shape, bool) if mask is None else mask
        losses = arguments.masked(losses, mask)
        extra = dict(zip(needs, given, strict=True))
        decision = step(lax.stop_gradient(losses), mask, memory, **extra)
        weights, new, offsets = lax.stop_gradient(decision)
        memory = jax.tree.map(lambda old, x: x.astype(old.dtype), memory, new)
        counted = (weights > 0).astype(jnp.float32)
        admitted = reduction.mean(counted, where=mask, axis_name=axis_name)
        return arguments.masked(_weighed(losses, weights, offsets), mask), admitted, memory

    def update(
        losses: Any, state: CurriculumState, params: Any = None, *, where: Any = None, **extra: Any
    ) -> tuple[Any, CurriculumState]:
        del params
        given = [protocol.needed(function, name, extra, "like the losses") for name in needs]
        outcomes = reduction.map_tasks(one, losses, state.memory, where, *given)
        weighed, admitted, memory = (_column(outcomes, i) for i in range(3))
        return weighed, CurriculumState(admitted, memory)

    return optax.GradientTransformationExtraArgs(init, update)


def _zero(losses: Any) -> Array:
    return jnp.zeros((), arguments.working_dtype(jnp.asarray(losses)))


def _weighed(losses: Array, weights: Array, offsets: Any) -> Array:
    # Selected, not only multiplied: of a weight of 0, an infinite loss would make NaN, and XLA
    # would make 0 of a NaN. A NaN among the weights is kept and seen.
    kept = ~(weights <= 0)
    weighed = jnp.where(kept, weights * jnp.where(kept, losses, 0), 0) + offsets
    return jnp.where(jnp.isnan(losses), losses, weighed)


def _column(outcomes: Any, index: int) -> Any:
    return jax.tree.map(lambda row: row[index], outcomes, is_leaf=lambda x: type(x) is tuple)
