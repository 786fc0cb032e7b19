"""Co-teaching: two networks, each of which picks the examples that the other learns from."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxloss import arguments, reduction
from jaxloss.curriculum.examples import CurriculumState, curriculum
from jaxloss.curriculum.places import places
from jaxloss.curriculum.selection import first, share
from jaxloss.protocol import Decision

Array = jax.Array


def co_teaching(
    fraction: float, *, axis_name: reduction.AxisName = None
) -> optax.GradientTransformationExtraArgs:
    """Co-teaching: each of two networks learns from the examples of the other's smallest losses.

    The losses are a tree of exactly two tasks, one for each network, of the same examples. The
    weights of the first are `n / k` where the loss of the second is among its `k = round(fraction
    n)` (at least one) smallest, else 0, and the reverse; each task's sum to `n`.

    For labels of which a large share is wrong. A network that picks for itself (`small_loss`)
    confirms its own mistakes; two that began differently make different ones. It costs twice the
    training. Schedule `fraction` by `keep_schedule`.

    The authors' code differs: it divides a mean over the kept examples by their number once more,
    so that its learning rate is smaller by the size of the batch, and keeps `floor(fraction n)`.

    Args:
      fraction: the share of the valid examples to keep, in (0, 1]. A number, or a traced scalar.
      axis_name: mapped axes over which the batch is split; the smallest are those of all shards.

    Returns:
      A transformation with `CurriculumState`; losses keep their shapes.

    Raises:
      ValueError: for a fraction out of range; in `update`, unless there are two tasks of one shape.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> teaching = jl.curriculum.co_teaching(0.5)
      >>> losses = {"one": jnp.array([1.0, 2.0]), "two": jnp.array([7.0, 5.0])}
      >>> weighted, state = teaching.update(losses, teaching.init(losses))
      >>> print(weighted["one"], weighted["two"])
      [0. 4.] [14.  0.]

    Reference: Han et al., Co-teaching (2018), algorithm 1.
    """
    part = share("co_teaching", fraction)

    def step(losses: Array, mask: Array, memory: Any, peer: Array) -> Decision:
        sizes = peer.astype(losses.dtype)
        return Decision(first(places(sizes, mask, axis_name), part), memory)

    inner = curriculum("co_teaching", step, needs=("peer",), axis_name=axis_name)

    def update(
        losses: Any, state: CurriculumState, params: Any = None, *, where: Any = None, **extra: Any
    ) -> tuple[Any, CurriculumState]:
        del extra
        return inner.update(losses, state, params, where=where, peer=_exchanged(losses))

    return optax.GradientTransformationExtraArgs(inner.init, update)


def _exchanged(losses: Any) -> Any:
    leaves, tree = jax.tree.flatten(losses)
    shapes = [jnp.shape(leaf) for leaf in leaves]
    if len(leaves) != 2 or shapes[0] != shapes[1]:
        expected = "two tasks of the same shape, one for each network"
        raise arguments.reject("co_teaching", "losses", expected, f"shapes {shapes}")
    return jax.tree.unflatten(tree, leaves[::-1])


def keep_schedule(
    noise: float, ramp: float, *, exponent: float = 1.0, epoch: float = 1.0
) -> optax.Schedule:
    """Return the share of examples to keep, `1 - noise min(t^exponent / ramp, 1)`.

    A schedule of optax, for `small_loss` and `co_teaching`: all examples at the start, when nothing
    is memorised yet, and at last the share that is believed to be right.

    The authors' code raises `noise` to the exponent instead of `t`, and after the ramp jumps to
    `noise` itself; at exponent 1 the two agree.

    Args:
      noise: the share of wrong labels, in [0, 1).
      ramp: how long the share falls, > 0, in units of `t^exponent`; the paper has 10 epochs.
      exponent: of the time, > 0.
      epoch: the steps of one epoch, > 0: `t` is the step divided by it.

    Returns:
      A function from the step to the share.

    Raises:
      ValueError: for a setting out of range.

    Example:
      >>> import jaxloss as jl
      >>> keep = jl.curriculum.keep_schedule(0.5, 10.0, epoch=100.0)
      >>> print(keep(0), keep(500), keep(2000))
      1.0 0.75 0.5

    Reference: Han et al., Co-teaching (2018), algorithm 1 and section 3.
    """
    one = jnp.zeros(())
    wrong = arguments.hyper("keep_schedule", "noise", noise, one, at_least=0.0, below=1.0)
    settings = {"ramp": ramp, "exponent": exponent, "epoch": epoch}
    end, power, unit = (
        arguments.hyper("keep_schedule", name, value, one, above=0.0)
        for name, value in settings.items()
    )

    def schedule(step: Any) -> Array:
        time = jnp.asarray(step, wrong.dtype) / unit
        return 1 - wrong * jnp.minimum(time**power / end, 1)

    return schedule
