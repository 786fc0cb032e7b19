"""Where does the NaN come from? A walk through a function's operations, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxloss.verify.walk import Arithmetic, as_array, source, walk

Array = np.ndarray


@dataclass(frozen=True)
class Step:
    """One operation that made a number that is not finite.

    Attributes:
      primitive: its name; "an argument" or "a constant" for a value that was there before.
      made: the value: NaN, inf or -inf.
      index: which element of the result, `()` for a scalar.
      operands: the operands there; of those of another shape, all of it.
      source: the line of the user's program, "file:line (function)", or "" where none is known.
    """

    primitive: str
    made: float
    index: tuple[int, ...]
    operands: tuple[Any, ...] = ()
    source: str = ""

    def __str__(self) -> str:
        """Return the operation in a line."""
        where = f" at {list(self.index)}" if self.index else ""
        given = f"({', '.join(map(_short, self.operands))})" if self.operands else ""
        return f"{self.primitive}{given} = {self.made}{where}" + (
            self.source and f", {self.source}"
        )


@dataclass(frozen=True)
class Explanation:
    """Where a function's NaN or infinity comes from.

    Attributes:
      phase: "forward" (the value), "backward" (its gradient), or "" where all is finite.
      origin: what made the first NaN or infinity of finite operands, that the result depends on.
      then: what made a NaN of that infinity; None where the origin did, or it stayed infinite.
    """

    phase: str = ""
    origin: Step | None = None
    then: Step | None = None

    @property
    def ok(self) -> bool:
        """Whether there is nothing to explain."""
        return not self.phase

    def __str__(self) -> str:
        """Return one line for the origin and one for what became of it."""
        lines = [f"{self.phase}: {self.origin}"] + [f"  then {self.then}"] * (self.then is not None)
        return "no NaN" if self.ok else "\n".join(lines)


def explain_nan(function: Callable[..., Any], *args: Any, gradient: bool = True) -> Explanation:
    """Find the operation that first makes a NaN or infinity on which the result depends.

    The operations are carried out one by one, inside `jit`, `scan`, `while_loop` and `cond` as well
    (those of other wholes, such as `vmap`ped linear algebra, in one). An infinity that is
    discarded, as by `jnp.where`, explains nothing and is passed over.

    Args:
      function: takes `args`, returns arrays.
      *args: arrays or pytrees of them.
      gradient: whether to look at the gradient, of the sum of the outputs in every floating-point
        argument, where the value is finite.

    Returns:
      An `Explanation`, which prints as "no NaN" where all is finite.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxloss import verify
      >>> print(verify.explain_nan(lambda x: jnp.where(x > 0, jnp.log(x), 0.0), 0.0))
      backward: div(0.0, 0.0) = nan, ...
      >>> print(verify.explain_nan(lambda x: x * jnp.log(x), 1.0))
      no NaN
    """
    leaves, tree = jax.tree.flatten(args)
    leaves = [jnp.asarray(leaf) for leaf in leaves]

    def value(*flat: Any) -> Any:
        return function(*jax.tree.unflatten(tree, flat))

    found = _explain("forward", value, leaves)
    moving = [i for i, leaf in enumerate(leaves) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    if found.ok and gradient and moving:

        def total(*flat: Any) -> Any:
            arrays = map(jnp.asarray, jax.tree.leaves(value(*flat)))
            floats = [x for x in arrays if jnp.issubdtype(x.dtype, jnp.floating)]
            return sum(map(jnp.sum, floats), start=jnp.zeros(()))

        found = _explain("backward", jax.grad(total, moving), leaves)
    return found


class _Value:
    """An array, and how it came to hold what is not finite: the origin and the first NaN."""

    def __init__(self, array: Any, origin: Step | None = None, nan: Step | None = None) -> None:
        self.array, self.origin, self.nan = array, origin, nan


def _explain(phase: str, function: Callable[..., Any], args: list[Any]) -> Explanation:
    closed = jax.make_jaxpr(function)(*args)
    results = walk(_TRACED, closed, [_given(a, "an argument") for a in args])
    # A NaN rather than an infinity, where there are both.
    for result in sorted(results, key=lambda r: r.nan is None):
        if result.origin is not None:
            then = result.nan if result.nan is not result.origin else None
            return Explanation(phase, result.origin, then)
    return Explanation()


def _given(array: Any, name: str) -> _Value:
    step = _bad(array, name, [], "")
    return _Value(array, step, step if step and np.isnan(step.made) else None)


def _bad(result: Any, primitive: str, operands: Sequence[Any], line: str) -> Step | None:
    """Return the step that made a result, if something in it is not finite."""
    if not jnp.issubdtype(result.dtype, jnp.inexact):
        return None
    array = np.asarray(result)
    wrong = np.isnan(array) if np.isnan(array).any() else ~np.isfinite(array)
    if not wrong.any():
        return None
    index = tuple(int(i) for i in np.unravel_index(np.argmax(wrong), array.shape))
    there = tuple(_at(x, index, array.shape) for x in operands)
    made = array[index].real if np.iscomplexobj(array) else array[index]
    return Step(primitive, float(made), index, there, line)


def _at(operand: Any, index: tuple[int, ...], shape: tuple[int, ...]) -> Any:
    if jnp.issubdtype(operand.dtype, jax.dtypes.prng_key):
        return operand
    array = np.asarray(operand)
    return array[index] if array.shape == shape else array


def _is_finite(operand: Any) -> bool:
    inexact = jnp.issubdtype(operand.dtype, jnp.inexact)
    return not inexact or bool(np.isfinite(operand).all())


def _short(operand: Any) -> str:
    if np.ndim(operand) == 0:
        return str(operand)
    text = np.array2string(np.asarray(operand), precision=4, threshold=8, edgeitems=2)
    return " ".join(text.split())


def _one(equation: Any, operands: list[_Value], calls: tuple[Any, ...]) -> list[_Value]:
    """Carry out a single operation, and note what it made of what."""
    arrays = [o.array for o in operands]
    line = source(equation, calls)
    out = equation.primitive.bind(*arrays, **equation.params)
    out = out if equation.primitive.multiple_results else [out]
    return [_traced(r, _bad(r, equation.primitive.name, arrays, line), operands) for r in out]


def _traced(result: Any, step: Step | None, operands: list[_Value]) -> _Value:
    if step is None:
        return _Value(result)
    nan = step if np.isnan(step.made) else None
    if step.operands and all(map(_is_finite, step.operands)):
        # What is not finite elsewhere in the operands has no part in it.
        return _Value(result, step, nan)
    # A NaN operand explains a NaN better than an infinite one does.
    for operand in sorted(operands, key=lambda o: o.nan is None):
        if operand.origin is not None:
            return _Value(result, operand.origin, nan and (operand.nan or nan))
    return _Value(result, step, nan)


def _row(rows: _Value, i: int) -> _Value:
    """Return a slice, which owes its origin to the whole only if it is not finite itself."""
    return _traced(rows.array[i], _bad(rows.array[i], "slice", [], ""), [rows])


def _stack(rows: list[_Value], aval: Any) -> _Value:
    if not rows:
        return _Value(jnp.zeros((0, *aval.shape), aval.dtype))
    whole = jnp.stack([r.array for r in rows])
    return _traced(whole, _bad(whole, "stack", [], ""), rows)


_TRACED = Arithmetic(
    constant=lambda array, dtype: _given(as_array(array, dtype), "a constant"),
    operation=_one,
    row=_row,
    stack=_stack,
    number=lambda value: value.array.item(),
)
