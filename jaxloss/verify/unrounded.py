"""A subject's loss without rounding: its values, its gradient, and its slopes from either side.

What a check asks a reference formula, where there is one, it can ask the loss's own operations in
high precision (see `jaxloss.verify.precise`). Rows are evaluated together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from mpmath import mpf

from jaxloss.verify import oracle, precise

if TYPE_CHECKING:
    from jaxloss.verify.subject import Subject

Array = np.ndarray
Setting = Mapping[str, Any]

# Of all arguments together, for one row.
MOST_NUMBERS = 200
# Where rows depend on each other one entry is moved at a time, and so fewer of them.
MOST_MOVES = 16
# Only at a jump do slopes come out like this.
STEEPEST = 1e15


def program(
    subject: Subject, setting: Setting, dtype: str, args: Sequence[Array], build: Any
) -> precise.Program:
    """Trace `build(loss)` in a dtype at some rows."""
    if len({np.shape(a)[:1] or 0 for a in args}) > 1 or np.ndim(args[0]) == 0:
        raise precise.Declined("arguments without common rows are not tried in high precision")
    # Where rows depend on each other, all of them make one example.
    size = sum(np.size(a) // (len(a) if subject.apart else 1) for a in args)
    if size > (MOST_NUMBERS if subject.apart else 2 * MOST_NUMBERS):
        raise precise.Declined(f"an example of {size} numbers is too large for high precision")
    with jax.enable_x64(dtype == "float64"):
        hyper, arrays = subject.hyper(setting, dtype), subject.cast(args, dtype)
        loss = lambda *rows: subject.bound(setting)(*rows, **hyper)
        return precise.Program(build(loss), *arrays, dtype=dtype)


def value_and_gradient(
    subject: Subject, args: Sequence[Array], setting: Setting, dtype: str = "float64"
) -> tuple[Array, list[Array]]:
    """Return the losses and the gradient that autodiff gives of their sum, as mpmath's numbers.

    Args:
      subject: whose loss is evaluated.
      args: `[n, *event]` each.
      setting: hyper-parameters.
      dtype: in which the loss believes to work.
    """
    chosen = [i for i, d in enumerate(subject.differentiable) if d]

    def build(loss: Callable[..., Any]) -> Callable[..., Any]:
        total = lambda *rows: (jnp.sum(value := loss(*rows)), value)
        if not chosen:
            return lambda *rows: [loss(*rows)]
        derive = jax.value_and_grad(total, chosen, has_aux=True)

        def both(*rows: Any) -> list[Any]:
            (_, value), slopes = derive(*rows)
            return [value, *slopes]

        return both

    value, *slopes = precise.settled(program(subject, setting, dtype, args, build))
    filled = iter(slopes)
    flat = lambda a: np.full(np.shape(a), mpf(0))
    moves = zip(subject.differentiable, args, strict=True)
    return value, [next(filled) if d else flat(a) for d, a in moves]


def rounded(subject: Subject, args: Sequence[Array], setting: Setting, dtype: str) -> oracle.Exact:
    """Return the losses and the gradient that autodiff gives, with all bits of float64."""
    value, slopes = value_and_gradient(subject, args, setting, dtype)
    slopes = [np.asarray(s, np.float64) for s in slopes]
    return oracle.Exact(np.asarray(value, np.float64), slopes, slopes)


def exact(
    subject: Subject, args: Sequence[Array], setting: Setting, most: int = oracle.MOST_ENTRIES
) -> oracle.Exact:
    """Return the losses and their slopes from either side, which autodiff has no part in.

    Args:
      subject: whose loss is evaluated.
      args: `[n, *event]` each.
      setting: hyper-parameters.
      most: in how many entries of an event to differentiate; the others are NaN.
    """
    per_row = subject.apart

    def build(loss: Callable[..., Any]) -> Callable[..., Any]:
        def totals(*rows: Any) -> Any:
            value = loss(*rows)
            axes = tuple(range(1, value.ndim)) if per_row else None
            return [jnp.sum(value, axes), value]

        return totals

    traced = program(subject, setting, "float64", args, build)
    value = np.asarray(precise.settled(traced)[1], np.float64)
    chosen = [k for k, moves in enumerate(subject.differentiable) if moves]
    places = [(k, at) for k in chosen for at in _places(np.shape(args[k]), per_row, most)]
    slopes = precise.differences(traced, [(k, _marked(args[k], at)) for k, at in places])
    blank = lambda k, a: np.full(np.shape(a), np.nan if k in chosen else 0.0)
    left, right = ([blank(k, a) for k, a in enumerate(args)] for _ in range(2))
    for (k, at), (below, above) in zip(places, slopes, strict=True):
        left[k][at], right[k][at] = _float(below), _float(above)
    return oracle.Exact(value, left, right)


def _places(shape: Sequence[int], per_row: bool, most: int) -> list[tuple[Any, ...]]:
    """Return which entries to move: the same of every row, or one alone."""
    rng = np.random.default_rng(shape[0])
    entries = list(np.ndindex(*(shape[1:] if per_row else shape)))
    found = [entries[i] for i in rng.permutation(len(entries))[: most if per_row else MOST_MOVES]]
    return [(slice(None), *entry) for entry in found] if per_row else found


def _marked(array: Array, at: tuple[Any, ...]) -> Array:
    mark = np.zeros(np.shape(array), bool)
    mark[at] = True
    return mark


def _float(slopes: Array) -> Array:
    """Return slopes as float64, those of a jump as infinite."""
    slopes = np.asarray(slopes, np.float64)
    return np.where(np.abs(slopes) > STEEPEST, np.copysign(np.inf, slopes), slopes)
