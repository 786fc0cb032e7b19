"""A walk through the operations of a function, one at a time, in any arithmetic.

What a value is, and what an operation makes of values, the arithmetic says; calls, loops and
branches are the same for all, and live here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

# Whose lines are not the user's.
_NOT_USERS = (str(Path(jax.__file__).parent), str(Path(__file__).parent))

# Calls that do what their body does, with the same operands and results, and where it is kept.
CALLS = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "checkpoint": "jaxpr",
    "remat2": "jaxpr",
    "core_call": "call_jaxpr",
    "closed_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
}


class Arithmetic(NamedTuple):
    """What a walk must know of the values that it carries.

    Attributes:
      constant: makes a value of an array and its dtype.
      operation: carries out one equation on its operands; also gets the calls that it stands in,
        the outermost first.
      row: the i-th slice of a value.
      stack: slices put together again, under an abstract value for where there are none.
      number: a scalar value as a Python number, to decide a branch.
    """

    constant: Callable[[Any, Any], Any]
    operation: Callable[[Any, list[Any], tuple[Any, ...]], Sequence[Any]]
    row: Callable[[Any, int], Any]
    stack: Callable[[list[Any], Any], Any]
    number: Callable[[Any], Any]


def walk(
    arithmetic: Arithmetic, closed: Any, args: Sequence[Any], calls: tuple[Any, ...] = ()
) -> list[Any]:
    """Carry out the equations of a jaxpr in order.

    Args:
      arithmetic: of the values.
      closed: a `ClosedJaxpr`.
      args: a value for each of its inputs.
      calls: the equations that contain it, the outermost first.

    Returns:
      A value for each of its outputs.
    """
    jaxpr = closed.jaxpr
    known = dict(zip(jaxpr.invars, args, strict=True))
    for variable, constant in zip(jaxpr.constvars, closed.consts, strict=True):
        known[variable] = arithmetic.constant(constant, variable.aval.dtype)

    def read(atom: Any) -> Any:
        if isinstance(atom, core.Literal):
            aval: Any = atom.aval
            return arithmetic.constant(atom.val, aval.dtype)
        return known[atom]

    for equation in jaxpr.eqns:
        operands = [read(v) for v in equation.invars]
        results = _carry_out(arithmetic, equation, operands, calls)
        known.update(zip(equation.outvars, results, strict=True))
    return [read(v) for v in jaxpr.outvars]


def as_array(constant: Any, dtype: Any) -> jax.Array:
    """Return a constant as an array; those that are one already, such as keys, stay as they are."""
    return constant if isinstance(constant, jax.Array) else jnp.asarray(constant, dtype)


def source(equation: Any, calls: tuple[Any, ...]) -> str:
    """Return the user's line that an equation stands in, "file:line (function)", or "".

    Of functions that JAX compiled earlier only the line that called them is known.
    """
    for holder in (equation, *reversed(calls)):
        traceback = holder.source_info.traceback
        for frame in traceback.frames if traceback else ():
            if not frame.file_name.startswith(_NOT_USERS):
                return f"{frame.file_name}:{frame.line_num} ({frame.function_name})"
    return ""


def _carry_out(
    arithmetic: Arithmetic, equation: Any, operands: list[Any], calls: tuple[Any, ...]
) -> Sequence[Any]:
    name, params = equation.primitive.name, equation.params
    if name in CONTROL:
        return CONTROL[name](arithmetic, params, operands, (*calls, equation))
    if name in CALLS:
        body = params[CALLS[name]]
        closed = body if hasattr(body, "consts") else core.ClosedJaxpr(body, ())
        return walk(arithmetic, closed, operands, (*calls, equation))
    return arithmetic.operation(equation, operands, calls)


def _scan(
    arithmetic: Arithmetic, params: dict[str, Any], operands: list[Any], calls: tuple[Any, ...]
) -> list[Any]:
    closed, length = params["jaxpr"], params["length"]
    fixed, carried = _scan_counts(params)
    consts, carry = operands[:fixed], operands[fixed : fixed + carried]
    rows = operands[fixed + carried :]
    stacked: list[list[Any]] = []
    for i in range(length)[:: -1 if params["reverse"] else 1]:
        given = [*consts, *carry, *(arithmetic.row(r, i) for r in rows)]
        out = walk(arithmetic, closed, given, calls)
        carry = out[:carried]
        stacked.append(out[carried:])
    if params["reverse"]:
        stacked.reverse()
    shapes = closed.jaxpr.outvars[carried:]
    columns = [[s[k] for s in stacked] for k in range(len(shapes))]
    return carry + [arithmetic.stack(c, v.aval) for c, v in zip(columns, shapes, strict=True)]


def _scan_counts(params: dict[str, Any]) -> tuple[int, int]:
    """Return how many operands of a scan are constants, and how many its state."""
    if "num_consts" in params:
        return params["num_consts"], params["num_carry"]
    # From jax 0.12 on the operands come as trees.
    fixed, carried, _ = params["ft_in"].unpack()
    return len(list(fixed.vals)), len(list(carried.vals))


def _while(
    arithmetic: Arithmetic, params: dict[str, Any], operands: list[Any], calls: tuple[Any, ...]
) -> list[Any]:
    test, body = params["cond_nconsts"], params["body_nconsts"]
    tested, fixed, carry = operands[:test], operands[test : test + body], operands[test + body :]
    goes_on = lambda: walk(arithmetic, params["cond_jaxpr"], [*tested, *carry], calls)[0]
    while arithmetic.number(goes_on()):
        carry = walk(arithmetic, params["body_jaxpr"], [*fixed, *carry], calls)
    return carry


def _cond(
    arithmetic: Arithmetic, params: dict[str, Any], operands: list[Any], calls: tuple[Any, ...]
) -> list[Any]:
    branches = params["branches"]
    chosen = int(np.clip(int(arithmetic.number(operands[0])), 0, len(branches) - 1))
    return walk(arithmetic, branches[chosen], operands[1:], calls)


def _platform(
    arithmetic: Arithmetic, params: dict[str, Any], operands: list[Any], calls: tuple[Any, ...]
) -> list[Any]:
    """Choose among programs for platforms the one for none in particular, which is the plainest."""
    platforms = params["platforms"]
    named = [i for i, names in enumerate(platforms) if names and jax.default_backend() in names]
    plain = [i for i, names in enumerate(platforms) if names is None]
    return [arithmetic.constant((plain or named)[0], np.dtype(np.int32))]


def _solve(
    arithmetic: Arithmetic, params: dict[str, Any], operands: list[Any], calls: tuple[Any, ...]
) -> list[Any]:
    """Carry out the solver that came with a linear system; the rest is for derivatives."""
    lengths, closed = params["const_lengths"], params["jaxprs"].solve
    start = lengths.matvec + lengths.vecmat
    consts = operands[start : start + lengths.solve]
    right = operands[start + lengths.solve + lengths.transpose_solve :]
    return walk(arithmetic, closed, [*consts, *right], calls)


CONTROL: dict[str, Callable[..., list[Any]]] = {
    "scan": _scan,
    "while": _while,
    "cond": _cond,
    "custom_linear_solve": _solve,
    "platform_index": _platform,
}
