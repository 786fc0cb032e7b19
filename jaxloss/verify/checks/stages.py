"""Is it a good citizen of compiled code: rematerialised, scanned, traced once, free of hosts?"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxloss.verify.checks.transforms import differs
from jaxloss.verify.frame import Note, Outcome, Skip, check, rows, under
from jaxloss.verify.subject import Subject, value_and_slopes
from jaxloss.verify.walk import source

# Directories whose lines a reader did not write.
_NOT_USERS = (str(Path(jax.__file__).parent), str(Path(__file__).parent))
_ON_VALUES = (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError)


@check("T4", "rematerialised it is the same")
def rematerialised(subject: Subject) -> Outcome:
    """Under `jax.checkpoint`, which computes the loss a second time for the gradient."""
    yield from _same(subject, _checkpointed, "jax.checkpoint")


@check("T5", "in the body of a scan it is the same")
def scanned(subject: Subject) -> Outcome:
    """Also finds losses whose sum cannot be carried, because its dtype is another."""
    if any(np.ndim(a) == 0 for a in subject.draw("generic")):
        raise Skip("the arguments have no batch axis")
    yield from _same(subject, _in_scan, "lax.scan")


def _checkpointed(subject: Subject, loss: Any) -> Any:
    again = jax.checkpoint(lambda args, hyper: loss(*args, **hyper))
    return value_and_slopes(subject, lambda *args, **hyper: again(args, hyper))


def _in_scan(subject: Subject, loss: Any) -> Any:
    def through(*args: Any, **hyper: Any) -> Any:
        def body(total: Any, batch: Any) -> Any:
            value = loss(*batch, **hyper)
            return total + jnp.sum(value), value

        start = jnp.zeros((), "float32")
        return lax.scan(body, start, jax.tree.map(lambda a: a[None], args))[1][0]

    return value_and_slopes(subject, through)


def _same(subject: Subject, build: Any, how: str) -> Outcome:
    args, setting = subject.draw("generic"), subject.default
    expected, slopes = subject.evaluate(args, setting)
    arrays, hyper = subject.cast(args, "float32"), subject.hyper(setting, "float32")
    value, got = subject.program(build, setting)(arrays, hyper)
    if differs(value, expected):
        yield f"{how} changes the value"
    kept = [s for s, d in zip(slopes, subject.differentiable, strict=True) if d]
    if any(differs(a, b) for a, b in zip(got, kept, strict=True)):
        yield f"{how} changes the gradient"


@check("T6", "its result has a firm type")
def firm(subject: Subject) -> Outcome:
    """What a loop carries, or a compiled function is fed again, is not traced a second time.

    A weakly typed result, such as that of `where(a > b, 1.0, 0.0)`, is another type than the same
    number in an array.
    """
    arrays = subject.cast(subject.draw("generic"), "float32")
    for setting in subject.ends:
        # As most will call it, with hyper-parameters that are numbers of Python.
        out = jax.eval_shape(lambda s=setting: subject.loss(*arrays, **s))
        if getattr(out, "weak_type", False):
            yield f"weakly typed {out.dtype}{under(setting)}"


@check("T7", "nothing is asked of the host, and no value of Python")
def on_device(subject: Subject) -> Outcome:
    """A callback stalls the device; a Python branch on a value cannot be traced at all."""
    arrays = subject.cast(subject.draw("generic"), "float32")
    for setting in subject.ends:
        hyper = subject.hyper(setting, "float32")
        both = value_and_slopes(subject, subject.bound(setting))
        try:
            closed = jax.make_jaxpr(both)(arrays, hyper)
        except _ON_VALUES as error:
            yield f"decides on a value in Python: {_line_of(error)}{under(setting)}"
            continue
        for equation, calls in _equations(closed.jaxpr):
            name = equation.primitive.name
            if "callback" in name or name in ("debug_print", "infeed", "outfeed"):
                said = f"{name} at {source(equation, calls)}"
                yield Note(said) if name.startswith("debug") else said


def _line_of(error: Exception) -> str:
    """Return the innermost line that is the user's: "file:line, what stands there"."""
    frames = traceback.extract_tb(error.__traceback__)
    users = [f for f in frames if not f.filename.startswith(_NOT_USERS)]
    return f"{users[-1].filename}:{users[-1].lineno}, {users[-1].line}" if users else str(error)


def _equations(jaxpr: Any, calls: tuple[Any, ...] = ()) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Yield all operations, with the calls that they stand in."""
    for equation in jaxpr.eqns:
        yield equation, calls
        for inner in jax.tree.leaves(list(equation.params.values()), is_leaf=_is_jaxpr):
            if _is_jaxpr(inner):
                yield from _equations(getattr(inner, "jaxpr", inner), (*calls, equation))


def _is_jaxpr(value: Any) -> bool:
    return hasattr(value, "eqns") or hasattr(getattr(value, "jaxpr", None), "eqns")


@check("N1", "run twice, every bit is the same")
def repeated(subject: Subject) -> Outcome:
    """Nothing is drawn at random or summed in another order from one run to the next."""
    for mode in ("generic", "spread"):
        args = subject.draw(mode)
        first, again = (subject.evaluate(args, subject.default) for _ in range(2))
        named = zip(("value", *(f"d/d{n}" for n in subject.names)), strict=False)
        pairs = zip((first[0], *first[1]), (again[0], *again[1]), strict=True)
        for (name,), (one, two) in zip(named, pairs, strict=True):
            wrong = ~((one == two) | (np.isnan(one) & np.isnan(two)))
            say = lambda i, a=one, b=two, n=name: f"{n} is {a[i]}, then {b[i]}"
            yield from rows(wrong, args, say)


CHECKS = (rematerialised, scanned, firm, on_device, repeated)
