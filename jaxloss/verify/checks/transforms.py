"""Is it the same function under every transformation, on every device, in every dtype?"""

from __future__ import annotations

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jaxloss.verify.frame import Outcome, Skip, at, check
from jaxloss.verify.subject import DTYPES, Call, Subject, value_and_slopes, wide

Array = np.ndarray


def differs(got: Any, expected: Any) -> bool:
    """Tell whether two float32 results differ by more than the order of summation explains."""
    got, expected = np.asarray(got, np.float64), np.asarray(expected, np.float64)
    if got.shape != expected.shape:
        return True
    scale = np.abs(expected).max(initial=0)
    return not np.allclose(got, expected, rtol=1e-5, atol=1e-6 * scale, equal_nan=True)


def _arrays(subject: Subject) -> list[jax.Array]:
    return subject.cast(subject.draw("generic"), "float32")


@check("T1", "jit equals eager")
def jitted(subject: Subject) -> Outcome:
    """Also finds losses that branch on values and cannot be jitted at all."""
    arrays = _arrays(subject)
    setting = subject.default
    # As most will call it: without a mask, and without the hyper-parameters that have defaults.
    eager = subject.loss(*arrays, **setting)
    if differs(subject.value(subject.draw("generic"), setting), eager):
        yield f"jit changes the value, {setting}"


@check("T2", "vmap equals the batch")
def mapped(subject: Subject) -> Outcome:
    """One example at a time under `vmap` gives what the batch gives."""
    arrays = _arrays(subject)
    if len({len(a) if a.ndim else 0 for a in arrays}) != 1:
        raise Skip("the arguments share no batch axis")
    setting = subject.settings[-1]
    batch = subject.value(subject.draw("generic"), setting)
    if batch.ndim == 0:
        raise Skip("the loss returns one number for the whole batch")
    single = jax.vmap(lambda *a: subject.loss(*a, **setting))
    if differs(jax.jit(single)(*arrays), batch):
        yield f"vmap changes the value, {setting}"


@check("T3", "a hyper-parameter's value does not recompile, and can be differentiated")
def hyperparameters(subject: Subject) -> Outcome:
    """Numbers are traced: one compilation serves them all, and they have a finite gradient."""
    setting = subject.settings[-1]
    if not setting:
        raise Skip("no hyper-parameters")
    arrays = _arrays(subject)

    def total(hyper: Any) -> Any:
        return jnp.sum(subject.bound(setting)(*arrays, **hyper))

    chex.clear_trace_counter()
    once = jax.jit(jax.value_and_grad(chex.assert_max_traces(total, 1)))
    first = {
        k: v
        for k, v in subject.hyper(setting, "float32").items()
        if jnp.issubdtype(v.dtype, jnp.floating)
    }
    if not first:
        raise Skip("no hyper-parameters that are numbers")
    once({k: v * 0.9 for k, v in first.items()})
    _, slope = once(first)
    for name, s in slope.items():
        if not np.isfinite(s).all():
            yield f"d/d{name} is {s}, {setting}"


@check("D1", "nothing is promoted, half precision is computed in float32", dtypes=DTYPES)
def dtypes(subject: Subject) -> Outcome:
    """Nothing is promoted to float64 that was not float64, with 64-bit types on or off."""
    args = subject.draw("generic")
    for x64 in (False, True):
        for dtype in (d for d in subject.dtypes if x64 or d != "float64"):
            subject.calls.append(Call(args, subject.default, dtype, None))
            with jax.enable_x64(x64):
                arrays = subject.cast(args, dtype)
                out, slopes = jax.eval_shape(
                    value_and_slopes(subject, subject.bound(subject.default)),
                    arrays,
                    subject.hyper(subject.default, dtype),
                )
            # A loss that does not follow this library's laws may stay in half precision.
            allowed = {wide(dtype)} if subject.strict else {wide(dtype), dtype}
            wrong = [] if str(out.dtype) in allowed else [f"{out.dtype} out"]
            wrong += [f"gradient {s.dtype}" for s in slopes if s.dtype != dtype]
            for what in wrong:
                text = f"{dtype} in, {what}{', 64-bit types on' if x64 else ''}"
                # A reproduction turns them on for float64 alone.
                reproducible = not x64 or dtype == "float64"
                yield at(text, args, 0, dtype=dtype) if reproducible else text


CHECKS = (jitted, mapped, hyperparameters, dtypes)
