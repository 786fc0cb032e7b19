"""Any function of JAX in arithmetic of as many digits as it takes, its gradient too.

The formula is evaluated that the function states, without rounding: what then differs from the
function is rounding, and what differs from differences of the formula is a wrong derivative. It is
not told whether the formula is the right one.

>>> import jax, jax.numpy as jnp
>>> from jaxloss.verify import precise
>>> print(precise.evaluate(lambda x: jnp.log(1 + jnp.exp(x)), -90.0))
8.19401262399052e-40
>>> precise.sides(jnp.abs, (0.0,))
(mpf('-1.0'), mpf('1.0'))

Functions are traced with 64-bit types on and arguments in float64, so that their constants are as
good as can be; a float32 constant that a function makes itself stays what it is. The precision is
raised until two agree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from mpmath import mp, mpf

from jaxloss.verify.precise.arithmetic import PRECISE, Declined, Unsupported, is_float, lift
from jaxloss.verify.precise.rules import boxed, elementwise
from jaxloss.verify.walk import walk

__all__ = [
    "Declined",
    "Program",
    "Unsettled",
    "Unsupported",
    "differences",
    "evaluate",
    "gradient",
    "settled",
    "sides",
]

Array = np.ndarray

# So far apart that what one loses, as 1 + exp(-300) loses exp(-300), the next one keeps.
DIGITS = (50, 400, 800)
# Two results agree when they do to this.
RELATIVE = mpf(10) ** -25
# Below this nothing is told from zero: floats do not go there.
ABSOLUTE = mpf(10) ** -100
# For differences, whose steps are relative to the argument, or absolute where it is 0: so small
# that what they leave out is, too.
DIFFERENCES = (120, 400, 800)
STEP, STEP_AT_ZERO = mpf(10) ** -40, mpf(10) ** -60
# A slope below this is that of rounding, with 120 digits.
FLAT = mpf(10) ** -40


class Unsettled(Declined):
    """A result that depends on the precision, however high."""


class Program:
    """A function as its operations, to be carried out at mpmath's current precision.

    Attributes:
      closed: the operations, a `ClosedJaxpr`.
      dtype: in which it was traced.
    """

    def __init__(self, function: Callable[..., Any], *args: Any, dtype: str = "float64") -> None:
        """Trace a function at arguments whose floats are taken as of a dtype."""
        self.dtype = dtype
        with self.context():
            leaves, tree = jax.tree.flatten(args)
            leaves = [_typed(leaf, dtype) for leaf in leaves]
            shaped: Any = {}

            def flat(*leaves: Any) -> Any:
                out, shaped["out"] = jax.tree.flatten(function(*jax.tree.unflatten(tree, leaves)))
                return out

            self.closed: Any = jax.make_jaxpr(flat)(*leaves)
            self.tree = shaped["out"]
            self.given = [lift(x) if is_float(x.dtype) else np.asarray(x) for x in leaves]

    def context(self) -> Any:
        """Return the context in which its dtype exists."""
        return jax.enable_x64(self.dtype == "float64")

    def __call__(self, *args: Any) -> list[Any]:
        """Return the outputs, at the arguments that it was traced at or at others like them."""
        with self.context(), np.errstate(all="ignore"):
            return walk(PRECISE, self.closed, args or self.given)


def _typed(leaf: Any, dtype: str) -> Any:
    array = jnp.asarray(leaf)
    return array.astype(dtype) if is_float(array.dtype) else array


def settled(
    compute: Callable[[], list[Any]], ladder: Sequence[int] = DIGITS, smallest: Any = ABSOLUTE
) -> list[Any]:
    """Compute with more and more digits, until two results agree to 25 of them.

    Args:
      compute: returns arrays, at mpmath's current precision.
      ladder: how many digits to try.
      smallest: what is not told from zero.

    Returns:
      The arrays, from the higher of the two precisions that agree.

    Raises:
      Unsettled: if none do.
    """
    before = None
    for digits in ladder:
        with mp.workdps(digits):
            after = compute()
            if before and all(_agree(a, b, smallest) for a, b in zip(before, after, strict=True)):
                return after
        before = after
    raise Unsettled(f"{ladder[-2]} and {ladder[-1]} digits give different results")


def _agree(a: Any, b: Any, smallest: Any) -> bool:
    if not (isinstance(a, np.ndarray) and a.dtype.hasobject):
        return bool(np.all(a == b))
    same = lambda x, y: x == y or (x != x and y != y) or abs(x - y) <= RELATIVE * abs(y) + smallest
    return bool(np.all(elementwise(same, a, b)))


def evaluate(function: Callable[..., Any], *args: Any, dtype: str = "float64") -> Any:
    """Evaluate a function, right to 25 digits or more.

    Args:
      function: takes `args`, returns arrays or pytrees of them.
      *args: arrays or pytrees of them.
      dtype: in which the function believes to work: on it depend constants such as the smallest
        positive number.

    Returns:
      What the function returns; object arrays of mpmath's numbers in place of floats.

    Raises:
      Unsupported: naming a primitive for which there is no rule.
      Unsettled: if the result depends on the precision up to 800 digits, as where it jumps.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxloss.verify import precise
      >>> precise.evaluate(lambda x: x / 3, jnp.array([1.0, 2.0]))[1]
      mpf('0.66666666666666663')
    """
    program = Program(function, *args, dtype=dtype)
    return jax.tree.unflatten(program.tree, settled(program))


def gradient(
    function: Callable[..., Any],
    *args: Any,
    argnums: int | Sequence[int] = 0,
    dtype: str = "float64",
) -> Any:
    """Evaluate the derivative that autodiff gives, of the sum of a function's outputs.

    Args:
      function: takes `args`, returns an array of floats.
      *args: arrays or pytrees of them.
      argnums: which arguments to differentiate in, as for `jax.grad`.
      dtype: as for `evaluate`.

    Returns:
      As `jax.grad` does; object arrays of mpmath's numbers.
    """
    return evaluate(jax.grad(lambda *a: jnp.sum(function(*a)), argnums), *args, dtype=dtype)


def sides(
    function: Callable[..., Any],
    args: Sequence[Any],
    argnum: int = 0,
    index: tuple[int, ...] = (),
    dtype: str = "float64",
) -> tuple[Any, Any]:
    """Differentiate a function from the left and from the right, without autodiff.

    Args:
      function: takes `args`, returns an array of floats, of which the sum is differentiated.
      args: arrays.
      argnum: in which to differentiate.
      index: which entry of it.
      dtype: as for `evaluate`.

    Returns:
      Two of mpmath's numbers.
    """
    program = Program(lambda *a: jnp.sum(function(*a)), *args, dtype=dtype)
    move = np.zeros(np.shape(args[argnum]), bool)
    move[index] = True
    ((left, right),) = differences(program, [(argnum, move)])
    return left[()], right[()]


def differences(program: Program, moves: Sequence[tuple[int, Array]]) -> list[tuple[Array, Array]]:
    """Differentiate the first output of a program from either side.

    Args:
      program: its first output is a number; or `[n]`, one for each row of its arguments.
      moves: the number of an argument and, in its shape, which entry is moved; one in each row
        where there are `[n]` outputs.

    Returns:
      For each move the derivatives from the left and from the right, in the output's shape.
    """

    def compute() -> list[Array]:
        here = program()[0]
        return [_slope(program, here, *move, side) for move in moves for side in (-1, 1)]

    slopes = iter(settled(compute, DIFFERENCES, FLAT))
    return list(zip(slopes, slopes, strict=True))


def _slope(program: Program, here: Array, argnum: int, move: Array, side: int) -> Array:
    there = list(program.given)
    size = elementwise(lambda x: abs(x) * STEP or STEP_AT_ZERO, there[argnum])
    step = np.where(move, side * size, mpf(0))
    there[argnum] = boxed(there[argnum] + step)
    rise = program(*there)[0] - here
    return boxed(rise / boxed(step.reshape(*here.shape, -1).sum(-1)))
