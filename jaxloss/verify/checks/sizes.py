"""What becomes of batches and events of another size: parts, one, none."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxloss.verify.frame import Note, Outcome, Skip, check
from jaxloss.verify.subject import Subject

Array = np.ndarray


@check("S6", "one example, one class and none at all")
def smallest(subject: Subject) -> Outcome:
    """One example has the loss it has in a batch; none gives none, never NaN.

    One class, or one item, gives no NaN either. A `ValueError` that says why it cannot is as good;
    of one class so is a `TypeError`, where other shapes are built in.
    """
    args = subject.draw("generic")
    if len({len(a) if a.ndim else 0 for a in args}) != 1:
        raise Skip("the arguments share no batch axis")
    whole = subject.value(args, subject.default)
    one = _tried(subject, [a[:1] for a in args])
    yield from _complaints("one example", one)
    each = whole.ndim and len(whole) == len(args[0])
    if each and isinstance(one, list) and not np.allclose(one[0], whole[:1], 1e-5, 1e-8):
        yield f"one example: {one[0]} alone, {whole[:1]} in a batch"
    none = _complaints("no example", _tried(subject, [a[:0] for a in args]))
    # Of the mean over a batch, which is one number, some say that it is NaN.
    yield from none if whole.ndim else map(Note, none)
    if single := _of_one_class(args):
        yield from _complaints("one class", _tried(subject, single, TypeError))


def _complaints(what: str, found: list[Array] | str | None) -> Outcome:
    if isinstance(found, str):
        yield f"{what}: {found}"
    elif found is not None and any(np.isnan(array).any() for array in found):
        yield f"{what}: value {found[0]}, gradient {found[1:]}"


def _tried(
    subject: Subject, args: list[Array], *refusals: type[Exception]
) -> list[Array] | str | None:
    """Return value and gradient, None if they were refused, or what went wrong instead."""
    arrays = subject.cast(args, "float32")
    program = subject.program(_value_and_slope, subject.default)
    try:
        found = program(arrays, subject.hyper(subject.default, "float32"))
    except Exception as error:
        if isinstance(error, (ValueError, *refusals)):
            return None
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    return [np.asarray(array) for array in found]


def _value_and_slope(subject: Subject, loss: Any) -> Any:
    """Build the losses and their gradient in the first differentiable argument, if there is one."""
    k = subject.differentiable.index(True) if any(subject.differentiable) else -1

    def program(arrays: list[Any], hyper: dict[str, Any]) -> list[Any]:
        value = loss(*arrays, **hyper)
        if k < 0:
            return [value]
        total = lambda x: jnp.sum(loss(*arrays[:k], x, *arrays[k + 1 :], **hyper))
        return [value, jax.grad(total)(arrays[k])]

    return program


def _of_one_class(args: list[Array]) -> list[Array]:
    """Return the same with one class left, or nothing where the first has no axis of classes."""
    if args[0].ndim != 2 or args[0].shape[1] < 2:
        return []
    alike = [a.ndim < 2 or a.shape[1:] == args[0].shape[1:] for a in args]
    return [_one_class(a) for a in args] if all(alike) else []


def _one_class(rows: Array) -> Array:
    if rows.ndim == 1:
        return np.zeros_like(rows) if np.issubdtype(rows.dtype, np.integer) else rows
    sums = [np.allclose(f(rows).sum(axis=1), 1, atol=1e-3) for f in (np.asarray, np.exp)]
    if rows.dtype.kind == "f" and (sums[0] or sums[1]):
        # All that is left of a distribution, or the logarithm of that.
        return np.full_like(rows[:, :1], 1.0 if sums[0] else 0.0)
    return rows[:, :1]


CHECKS = (smallest,)
