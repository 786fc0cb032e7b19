"""The arithmetic of a walk: floats are object arrays of mpmath's numbers, the rest is JAX's.

Comparisons, sorts and maxima of floats are decided in high precision. Conversions from one
floating dtype to another are left out, for what they round is what is to be found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from mpmath import mpf

from jaxloss.verify.precise import linear, rules, structure
from jaxloss.verify.walk import Arithmetic, as_array

Array = np.ndarray


class Declined(ArithmeticError):
    """Why something cannot be evaluated in high precision."""


class Unsupported(Declined):
    """A primitive for which there is no rule."""

    def __init__(self, name: str) -> None:
        """Name the primitive."""
        super().__init__(f"primitive {name} has no rule in high precision")


def is_float(dtype: Any) -> bool:
    """Tell whether a dtype is real floating-point."""
    return bool(jnp.issubdtype(dtype, jnp.floating))


def lift(array: Any) -> Array:
    """Return floats or integers of any dtype as mpmath's numbers, exactly."""
    array = np.asarray(array)
    plain = array.astype(np.float64) if is_float(array.dtype) else array.astype(object)
    return rules.elementwise(mpf, plain)


def _constant(array: Any, dtype: Any) -> Any:
    if is_float(dtype):
        return lift(np.asarray(array).astype(dtype))
    return _plain(as_array(array, dtype))


def _plain(array: Any) -> Any:
    """Return integers as NumPy's; keys of random numbers have no such form."""
    return array if jnp.issubdtype(array.dtype, jax.dtypes.prng_key) else np.asarray(array)


def operation(equation: Any, operands: list[Any], calls: tuple[Any, ...] = ()) -> list[Any]:
    """Carry out one equation."""
    if any(jnp.issubdtype(v.aval.dtype, jnp.complexfloating) for v in equation.outvars):
        raise Unsupported(f"{equation.primitive.name} of complex numbers")
    floats = [is_float(v.aval.dtype) for v in equation.invars]
    out = _one(equation, operands, floats) if any(floats) else _discrete(equation, operands)
    return list(out) if equation.primitive.multiple_results else [out]


def _one(equation: Any, operands: list[Any], floats: list[bool]) -> Any:
    name, params = equation.primitive.name, equation.params
    if name in rules.NUMERIC:
        return rules.elementwise(rules.NUMERIC[name], *map(_object, operands))
    if name in rules.LOGICAL:
        return np.asarray(rules.elementwise(rules.LOGICAL[name], *operands), bool)
    if name in rules.UNCHANGED:
        return operands if equation.primitive.multiple_results else operands[0]
    if name in structure.MOVES:
        return structure.MOVES[name](*operands, **_spatial(params))
    if name in structure.INDEXED:
        return structure.by_index(equation, operands, floats, rules.NAN)
    if name in rules.FOLDS:
        return rules.fold(*rules.FOLDS[name], operands[0], params["axes"])
    if name in rules.CUMULATIVE:
        rule = rules.CUMULATIVE[name]
        return rules.accumulate(rule, operands[0], params["axis"], params["reverse"])
    if (scatter := name.replace("_", "-")) in rules.SCATTERS:
        return structure.scatter(rules.SCATTERS[scatter], equation, operands)
    if name in OTHERS:
        return OTHERS[name](*operands, **params)
    raise Unsupported(name)


def _object(x: Array) -> Array:
    """Return numbers that mpmath's mix with: Python's, not NumPy's."""
    return x if x.dtype.hasobject else x.astype(object)


def _spatial(params: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in params.items() if k not in ("sharding", "out_sharding")}


def _discrete(equation: Any, operands: list[Any]) -> Any:
    """Carry out an equation whose operands are no floats as it stands; floats made come exact."""
    name = equation.primitive.name
    if all(isinstance(x, np.ndarray) for x in operands):
        if name in structure.MOVES and operands:
            return structure.MOVES[name](*operands, **_spatial(equation.params))
        if name in _BITS:
            return np.asarray(_BITS[name](*operands))
    if name == "convert_element_type" and is_float(equation.params["new_dtype"]):
        return lift(operands[0])
    out = equation.primitive.bind(*map(structure.as_jax, operands), **equation.params)
    exact = lambda x: lift(x) if is_float(x.dtype) else _plain(x)
    return [exact(x) for x in out] if equation.primitive.multiple_results else exact(out)


# Of all that JAX can do with integers, what is asked most: to compile is what costs.
_BITS: dict[str, Callable[..., Any]] = {
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "not": np.invert,
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}


def _convert(x: Array, *, new_dtype: Any, **_: Any) -> Array:
    if is_float(new_dtype):
        return x
    if np.dtype(new_dtype).kind == "b":
        return np.asarray(rules.elementwise(lambda v: v != 0, x), bool)
    limits = jnp.iinfo(new_dtype)
    # As XLA does: toward zero, at most the largest that there is, and nothing for a NaN.
    whole = lambda v: 0 if v != v else int(max(min(v, int(limits.max)), int(limits.min)))
    return rules.elementwise(whole, x).astype(new_dtype)


def _bits(x: Array, *, new_dtype: Any) -> Array:
    """Return the bits of the nearest float, of which the sign at least is exact."""
    width = np.dtype(new_dtype).itemsize
    if width not in (2, 4, 8):
        raise Unsupported("bitcast_convert_type")
    return x.astype(np.float64).astype(f"f{width}").view(new_dtype)


def _sort(*operands: Array, dimension: int, num_keys: int, **_: Any) -> list[Array]:
    last = [np.moveaxis(x, dimension, -1) for x in operands]
    order = rules.order([_object(x) for x in last[:num_keys]], rules.ascending)
    return [np.moveaxis(np.take_along_axis(x, order, -1), -1, dimension) for x in last]


def _top(x: Array, *, k: int, axis: int = -1, **_: Any) -> list[Array]:
    last = np.moveaxis(x, axis, -1)
    order = rules.order([last], rules.descending)[..., :k]
    found = np.take_along_axis(last, order, -1), order.astype(np.int32)
    return [np.moveaxis(f, -1, axis) for f in found]


def _first(rank: Callable[[Any], Any]) -> Callable[..., Array]:
    """Return the rule of the index that comes first in an order."""

    def rule(x: Array, *, axes: Sequence[int], index_dtype: Any, **_: Any) -> Array:
        last = np.moveaxis(x, axes[0], -1)
        return rules.order([last], rank)[..., 0].astype(index_dtype)

    return rule


OTHERS: dict[str, Callable[..., Any]] = {
    "cholesky": linear.cholesky,
    "lu": linear.lu,
    "triangular_solve": linear.triangular_solve,
    "convert_element_type": _convert,
    "bitcast_convert_type": _bits,
    "sort": _sort,
    "top_k": _top,
    "argmax": _first(rules.descending),
    "argmin": _first(rules.from_nan_up),
    "dot_general": lambda x, y, dimension_numbers, **_: rules.dot(x, y, dimension_numbers),
    "integer_pow": lambda x, y, **_: rules.elementwise(lambda v: rules.integer_power(v, y), x),
    "round": lambda x, rounding_method, **_: rules.elementwise(
        lambda v: rules.rounded(v, int(rounding_method)), x
    ),
}


def _stack(rows: list[Any], aval: Any) -> Any:
    if rows and not isinstance(rows[0], np.ndarray):
        return jnp.stack(rows)
    dtype = object if is_float(aval.dtype) else aval.dtype
    return np.stack(rows) if rows else np.zeros((0, *aval.shape), dtype)


PRECISE = Arithmetic(
    constant=_constant,
    operation=operation,
    row=lambda rows, i: rules.boxed(rows[i]) if rows.dtype == object else rows[i],
    stack=_stack,
    number=lambda value: np.asarray(value).item(),
)
