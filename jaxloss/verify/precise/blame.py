"""Which operation rounds too much? Each is tried on operands that are right but for rounding."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from mpmath import mp

from jaxloss.verify.precise import Program
from jaxloss.verify.precise.arithmetic import PRECISE, is_float, operation
from jaxloss.verify.precise.structure import as_jax
from jaxloss.verify.walk import source, walk

Array = np.ndarray
DIGITS = 400
# An operation that loses less is not to blame.
FEW = 8


def guilty(program: Program, unit: float) -> str:
    """Name the operation of a program that loses the most, and the line that it stands in.

    Args:
      program: at its own arguments.
      unit: the relative rounding of its dtype.

    Returns:
      ", lost in sub at file:line (function)", or "" where no single operation loses much.
    """
    worst, culprit = FEW * unit, ""

    def tried(equation: Any, operands: list[Any], calls: tuple[Any, ...]) -> list[Any]:
        nonlocal worst, culprit
        out = operation(equation, operands, calls)
        loss = _loss(equation, operands, out)
        if loss > worst:
            worst, line = loss, source(equation, calls)
            culprit = f", lost in {equation.primitive.name}" + (line and f" at {line}")
        return out

    with program.context(), mp.workdps(DIGITS), np.errstate(all="ignore"):
        walk(PRECISE._replace(operation=tried), program.closed, program.given)
    return culprit


def _loss(equation: Any, operands: list[Any], exact: list[Any]) -> float:
    """Return the largest relative error of an operation on rounded operands."""
    outs = [v.aval for v in equation.outvars]
    if not any(is_float(v.aval.dtype) for v in equation.invars):
        return 0.0
    given = [_rounded(x, v.aval) for x, v in zip(operands, equation.invars, strict=True)]
    got = equation.primitive.bind(*given, **equation.params)
    got = got if equation.primitive.multiple_results else [got]
    pairs = [(g, e) for g, e, v in zip(got, exact, outs, strict=True) if is_float(v.dtype)]
    return max((_error(np.asarray(g, np.float64), e) for g, e in pairs), default=0.0)


def _rounded(x: Any, aval: Any) -> Any:
    return jnp.asarray(x.astype(np.float64), aval.dtype) if is_float(aval.dtype) else as_jax(x)


def _error(got: Array, exact: Array) -> float:
    exact = exact.astype(np.float64)
    error = np.where(got == exact, 0.0, np.abs(got - exact) / np.abs(exact))
    # Neither what is infinite or NaN by mathematics is an error, nor what is too small for floats.
    error = np.where(np.isfinite(exact) & (np.abs(exact) > 1e-37), error, 0.0)
    return float(np.nan_to_num(error, nan=np.inf).max(initial=0.0))
