"""Two lines to paste that show a failure: what to import, and what to call at which input."""

from __future__ import annotations

import functools
import importlib
import re
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxloss import catalog
from jaxloss.catalog.claims import Fault
from jaxloss.verify import witness
from jaxloss.verify.subject import Subject, precision, value_and_slopes

Array = np.ndarray

# A longer one is not pasted but computed.
MOST_ENTRIES = 2000


def lines(subject: Subject, fault: Fault) -> str:
    """Return the two lines that print value and gradient at the row of a fault.

    A loss that cannot be imported, such as a lambda, stands under its name, or as `loss`, and the
    first line says so.

    Args:
      subject: what failed.
      fault: where, with the setting, dtype and mask under which the loss was evaluated.
    """
    args, where = witness.batch(fault)
    if sum(a.size for a in args) > MOST_ENTRIES:
        return ""
    paste = _Paste()
    loss, setting = _unwrapped(subject.loss)
    options = {**setting, **(fault.setting or {})}
    more = [f"{k}={paste.value(v)}" for k, v in options.items()]
    more += [] if where is None else [f"where={paste.array(where, '')}"]
    names = ", ".join(subject.names)
    call = f"{paste.function(loss)}({', '.join([names, *more])})"
    rows = [
        paste.array(a, "" if k.discrete else fault.dtype)
        for k, a in zip(subject.kinds, args, strict=True)
    ]
    chosen = subject.differentiable if _differentiates(subject, fault) else []
    function = _differentiated(names, call, chosen, each=not fault.rows)
    context = "with jax.enable_x64(True): " if fault.dtype == "float64" else ""
    return f"{paste.imports()}\n{context}print(jax.jit({function})({', '.join(rows)}))"


def _differentiates(subject: Subject, fault: Fault) -> bool:
    """Tell whether there is a gradient to be printed, or an error that it raises."""
    if re.match(r"\w+Error: ", fault):
        return True
    run = value_and_slopes(subject, subject.bound(fault.setting or {}))
    try:
        with precision(fault.dtype):
            args = subject.cast(fault.args, fault.dtype or "float32")
            jax.eval_shape(run, args, subject.hyper(fault.setting or {}, fault.dtype), fault.where)
    except Exception as error:  # what is no call of the loss has other lines to show
        return not isinstance(error, TypeError)
    return True


def _differentiated(names: str, call: str, differentiable: list[bool], *, each: bool) -> str:
    """Return value and gradient of a call as a function, with the losses of `each` row if asked."""
    chosen = tuple(i for i, d in enumerate(differentiable) if d)
    if not chosen:
        return f"lambda {names}: {call}"
    argnums = chosen if len(chosen) > 1 else chosen[0]
    if not each:
        return f"jax.value_and_grad(lambda {names}: {call}.sum(), {argnums})"
    both = f"lambda {names}: ((losses := {call}).sum(), losses)"
    return f"jax.value_and_grad({both}, {argnums}, has_aux=True)"


def _unwrapped(loss: Callable[..., Any]) -> tuple[Callable[..., Any], dict[str, Any]]:
    """Return the function inside a partial, and the hyper-parameters that were put in."""
    if isinstance(loss, functools.partial) and not loss.args:
        inner, setting = _unwrapped(loss.func)
        return inner, {**setting, **loss.keywords}
    return loss, {}


class _Paste:
    """Python text for values, with the imports that it needs."""

    def __init__(self) -> None:
        self._modules: list[str] = []
        self._missing: list[str] = []

    def imports(self) -> str:
        """Return the line of imports."""
        modules = ", ".join(["jax", "jax.numpy as jnp", *dict.fromkeys(self._modules)])
        missing = f"  # and define {', '.join(self._missing)}" if self._missing else ""
        return f"import {modules}{missing}"

    def function(self, function: Callable[..., Any]) -> str:
        """Return how a function is called, by its public path where it has one.

        A function that is made by an expression may say so: `source` is the module to import and
        the expression.
        """
        if source := getattr(function, "source", None):
            self._modules.append(source[0])
            return str(source[1])
        name = getattr(function, "__qualname__", "")
        module = public_module(function)
        if module is None and (path := _in_catalogue(function)):
            self._modules.append("jaxloss.catalog")
            return path
        if module is None:
            name = getattr(function, "__name__", "")
            plain = name if name.isidentifier() else "loss"
            self._missing.append(plain)
            return plain
        if module == "__main__":
            return name
        self._modules.append(module)
        return f"{module}.{name}"

    def value(self, value: Any) -> str:
        """Return a hyper-parameter."""
        if callable(value):
            return self.function(value)
        if isinstance(value, float | np.floating):
            return _number(value, float)
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            fields = [f"{k}={self.value(v)}" for k, v in zip(value._fields, value, strict=True)]
            return f"{self.function(type(value))}({', '.join(fields)})"
        if isinstance(value, jax.Array | np.ndarray | list):
            array = np.asarray(value)
            return self.array(array, "" if isinstance(value, list) else str(array.dtype))
        return repr(value)

    def array(self, array: Array, dtype: str) -> str:
        """Return an array of a dtype, `""` for that of its literals."""
        # Half-precision numbers are short in float32.
        digits: Any = float if dtype in ("", "float64") else np.float32
        return f"jnp.array({_nested(array, digits)}{f', {dtype!r}' if dtype else ''})"


def _nested(array: Array, digits: Any) -> str:
    if array.ndim:
        return f"[{', '.join(_nested(a, digits) for a in array)}]"
    return _number(array[()], digits) if array.dtype.kind == "f" else str(array[()])


def _number(value: Any, digits: Any) -> str:
    """Return a number with the fewest digits that are exact."""
    if np.isfinite(value):
        return str(digits(value))
    return "jnp.nan" if np.isnan(value) else "jnp.inf" if value > 0 else "-jnp.inf"


def public_module(function: Callable[..., Any]) -> str | None:
    """Return the module from which users import a function, None if it cannot be imported.

    The public part of a path that goes on in private (`optax.losses._regression`), else the
    shortest that has it (`jaxloss`, of `jaxloss.regression.error`).

    Example:
      >>> import jaxloss, optax
      >>> public_module(jaxloss.huber_loss), public_module(optax.losses.huber_loss)
      ('jaxloss', 'optax.losses')
    """
    module = getattr(function, "__module__", None) or ""
    parts = module.split(".")
    public = next((i for i, part in enumerate(parts) if part.startswith("_") and i), 0)
    paths = [".".join(parts[:n]) for n in range(1, len(parts) + 1)]
    return next((p for p in [*paths[public - 1 : public], *paths] if _has(p, function)), None)


def _in_catalogue(function: Callable[..., Any]) -> str | None:
    """Return where the catalogue has a function, such as a loss with a critic put in."""
    for entry in catalog.ENTRIES.values():
        for attribute in ("loss", "specimen"):
            if getattr(entry, attribute) is function:
                return f"jaxloss.catalog.get({entry.name!r}).{attribute}"
    return None


def _has(module: str, function: Callable[..., Any]) -> bool:
    name = getattr(function, "__qualname__", "")
    try:
        return bool(name) and vars(importlib.import_module(module)).get(name) is function
    except ImportError:
        return False
