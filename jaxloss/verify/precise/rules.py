"""One numeric primitive, one small rule on mpmath's numbers.

Conventions are those of IEEE: `1/0` is infinite, `0/0`, `inf - inf` and `0 * inf` are NaN, a
function outside its domain is NaN, and a NaN operand makes a NaN. There is no negative zero.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import mpmath
import numpy as np
from mpmath import mp, mpf

Array = np.ndarray
Rule = Callable[..., Any]

INF, NAN, ZERO, ONE = mpf("inf"), mpf("nan"), mpf(0), mpf(1)
# Beyond this exp has more digits before the point than any precision here; floats end at 1e4.
_LARGEST_EXPONENT = mpf(10) ** 7
_CLOSE = mpf(2) ** -100


def real(function: Rule) -> Rule:
    """Make NaN of NaN, and of what mpmath has no real number for."""

    @functools.wraps(function)
    def rule(*args: Any) -> Any:
        if any(a != a for a in args):
            return NAN
        try:
            out = function(*args)
        except (ValueError, ZeroDivisionError, OverflowError):
            return NAN
        return NAN if isinstance(out, mpmath.mpc) else out

    return rule


def _divide(x: Any, y: Any) -> Any:
    if y == 0:
        return x * INF
    return x / y


def _remainder(x: Any, y: Any) -> Any:
    """Return what is left of a division rounded to zero: the sign is the dividend's."""
    if mp.isinf(y) and not mp.isinf(x):
        return x
    left = abs(x) % abs(y)
    return -left if x < 0 else left


def _sign(x: Any) -> Any:
    return x if x != x else mpf((x > 0) - (x < 0))


def _maximum(x: Any, y: Any) -> Any:
    return x if x != x or x >= y else y


def _minimum(x: Any, y: Any) -> Any:
    return x if x != x or x <= y else y


def _exp(x: Any) -> Any:
    if abs(x) > _LARGEST_EXPONENT:
        return INF if x > 0 else ZERO
    return mp.exp(x)


def _expm1(x: Any) -> Any:
    return _exp(x) - 1 if abs(x) > 1 else mp.expm1(x)


def _log1p(x: Any) -> Any:
    if abs(x) >= _CLOSE:
        return mp.log1p(x) if abs(x) < 1 else mp.log(1 + x)
    # Close to 1 a series costs a tenth of what mpmath's logarithm does.
    out, power, k = ZERO, -ONE, 0
    while k < 2 or abs(power) > mp.eps * abs(x):
        power, k = -power * x, k + 1
        out += power / k
    return out


def _log(x: Any) -> Any:
    return _log1p(x - 1) if abs(x - 1) < _CLOSE else mp.log(x)


def _power(x: Any, y: Any) -> Any:
    if x == 0:
        return ZERO if y > 0 else INF
    if mp.isinf(y):
        return INF if (abs(x) > 1) == (y > 0) else ZERO
    if y == int(y):
        return x ** int(y)
    return NAN if x < 0 else _exp(y * mp.log(x))


def _cube_root(x: Any) -> Any:
    return mp.cbrt(x) if x >= 0 else -mp.cbrt(-x)


def _rounded_away(x: Any) -> Any:
    return x if mp.isinf(x) else _sign(x) * mp.floor(abs(x) + mpf(0.5))


def _whole(function: Rule) -> Rule:
    """Round, and leave infinity as it is."""
    return real(lambda x: x if mp.isinf(x) else function(x))


def _log_gamma(x: Any) -> Any:
    return INF if x <= 0 and x == mp.floor(x) else mp.re(mp.loggamma(x))


# Operands and results are floats.
NUMERIC: dict[str, Rule] = {
    "add": operator.add,
    "add_any": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": _divide,
    "rem": real(_remainder),
    "neg": operator.neg,
    "abs": abs,
    "sign": _sign,
    "max": _maximum,
    "min": _minimum,
    "floor": _whole(mp.floor),
    "ceil": _whole(mp.ceil),
    "square": lambda x: x * x,
    "sqrt": real(mp.sqrt),
    "rsqrt": real(lambda x: INF if x == 0 else 1 / mp.sqrt(x)),
    "cbrt": real(_cube_root),
    "pow": lambda x, y: ONE if y == 0 or x == 1 else real(_power)(x, y),
    "exp": real(_exp),
    "exp2": real(lambda x: _exp(x * mp.log(2))),
    "expm1": real(_expm1),
    "log": real(_log),
    "log1p": real(_log1p),
    "logistic": real(lambda x: 1 / (1 + _exp(-x))),
    "sin": real(mp.sin),
    "cos": real(mp.cos),
    "tan": real(mp.tan),
    "asin": real(mp.asin),
    "acos": real(mp.acos),
    "atan": real(mp.atan),
    "atan2": real(mp.atan2),
    "sinh": real(mp.sinh),
    "cosh": real(mp.cosh),
    "tanh": real(mp.tanh),
    "asinh": real(mp.asinh),
    "acosh": real(mp.acosh),
    "atanh": real(lambda x: x * INF if abs(x) == 1 else mp.atanh(x)),
    "erf": real(mp.erf),
    "erfc": real(mp.erfc),
    "erf_inv": real(lambda x: x * INF if abs(x) == 1 else mp.erfinv(x)),
    "lgamma": real(_log_gamma),
    "digamma": real(mp.digamma),
    "polygamma": real(lambda m, x: mp.psi(int(m), x)),
    "zeta": real(mp.zeta),
    "igamma": real(lambda a, x: mp.gammainc(a, 0, x, regularized=True)),
    "igammac": real(lambda a, x: mp.gammainc(a, x, mp.inf, regularized=True)),
    "regularized_incomplete_beta": real(lambda a, b, x: mp.betainc(a, b, 0, x, regularized=True)),
    "bessel_i0e": real(lambda x: mp.besseli(0, x) * _exp(-abs(x))),
    "bessel_i1e": real(lambda x: mp.besseli(1, x) * _exp(-abs(x))),
    "clamp": lambda low, x, high: _minimum(_maximum(x, low), high),
}

# Operands are floats, results whether something holds.
LOGICAL: dict[str, Rule] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    "is_finite": mp.isfinite,
}

# What a working precision does is left out: that is the point.
UNCHANGED = {
    "copy",
    "copy_p",
    "name",
    "optimization_barrier",
    "pcast",
    "pvary",
    "reduce_precision",
    "sharding_constraint",
    "stop_gradient",
}


def log_add_exp(x: Any, y: Any) -> Any:
    """Return `log(exp(x) + exp(y))`."""
    high, low = _maximum(x, y), _minimum(x, y)
    return high if mp.isinf(high) else high + NUMERIC["log1p"](NUMERIC["exp"](low - high))


# Binary rule and what it makes of nothing.
FOLDS: dict[str, tuple[Rule, Any]] = {
    "reduce_sum": (operator.add, ZERO),
    "reduce_prod": (operator.mul, ONE),
    "reduce_max": (_maximum, -INF),
    "reduce_min": (_minimum, INF),
}
CUMULATIVE: dict[str, Rule] = {
    "cumsum": operator.add,
    "cumprod": operator.mul,
    "cummax": _maximum,
    "cummin": _minimum,
    "cumlogsumexp": log_add_exp,
}
SCATTERS: dict[str, Rule] = {
    "scatter": lambda old, new: new,
    "scatter-add": operator.add,
    "scatter-sub": operator.sub,
    "scatter-mul": operator.mul,
    "scatter-max": _maximum,
    "scatter-min": _minimum,
}


def elementwise(rule: Rule, *operands: Array) -> Array:
    """Apply a rule to arrays of one shape, or numbers beside them."""
    with np.errstate(invalid="ignore"):  # of a NaN, which the rule knows to handle
        return boxed(np.frompyfunc(rule, len(operands), 1)(*operands))


def boxed(value: Any) -> Array:
    """Return an object array also of what NumPy hands out as a bare number."""
    if isinstance(value, np.ndarray):
        return value
    out = np.empty((), object)
    out[()] = value
    return out


def fold(rule: Rule, start: Any, x: Array, axes: Sequence[int]) -> Array:
    """Reduce some axes with a binary rule."""
    kept = [n for i, n in enumerate(x.shape) if i not in axes]
    size = int(np.prod(kept))
    last = np.moveaxis(x, axes, range(-len(axes), 0)).reshape(size, x.size // max(size, 1))
    out = np.empty(len(last), object)
    out[:] = [functools.reduce(rule, row, start) for row in last]
    return out.reshape(kept)


def accumulate(rule: Rule, x: Array, axis: int, reverse: bool) -> Array:
    """Fold an axis, and keep all that comes up on the way."""
    if not x.size:
        return x
    way = (lambda a: np.flip(a, axis)) if reverse else (lambda a: a)
    return way(np.frompyfunc(rule, 2, 1).accumulate(way(x), axis=axis, dtype=object))


def integer_power(x: Any, y: int) -> Any:
    """Return `x^y` for a whole number."""
    return INF if x == 0 and y < 0 else x**y


def rounded(x: Any, method: int) -> Any:
    """Return the nearest whole number; method 1 takes halves to the even one, 0 away from 0."""
    return _whole(mp.nint if method else _rounded_away)(x)


def dot(x: Array, y: Array, dimension_numbers: Any) -> Array:
    """Contract axes of two arrays as `lax.dot_general` does."""
    (left, right), (left_batch, right_batch) = dimension_numbers
    a, rows = _matrices(x, left_batch, left, contract_last=True)
    b, columns = _matrices(y, right_batch, right, contract_last=False)
    batch = [x.shape[i] for i in left_batch]
    if not a.shape[-1]:
        return np.full((*batch, *rows, *columns), ZERO)
    return boxed(np.matmul(a, b)).reshape((*batch, *rows, *columns))


def _matrices(
    x: Array, batch: Sequence[int], contracted: Sequence[int], contract_last: bool
) -> tuple[Array, list[int]]:
    """Return `[batch, m, k]` or `[batch, k, m]`, and the axes that `m` stands for."""
    free = [i for i in range(x.ndim) if i not in (*batch, *contracted)]
    order = (*batch, *free, *contracted) if contract_last else (*batch, *contracted, *free)
    size = lambda axes: int(np.prod([x.shape[i] for i in axes]))
    shape = (size(free), size(contracted)) if contract_last else (size(contracted), size(free))
    return x.transpose(order).reshape(size(batch), *shape), [x.shape[i] for i in free]


def order(keys: Sequence[Array], rank: Rule) -> Array:
    """Return the indices `[..., n]` that sort the last axis by one key after the other."""
    out = np.empty(keys[0].shape, np.int64)
    for row in np.ndindex(keys[0].shape[:-1]):
        ranks = list(zip(*(map(rank, k[row]) for k in keys), strict=True))
        out[row] = sorted(range(len(ranks)), key=ranks.__getitem__)
    return out


def ascending(x: Any) -> Any:
    """Return a rank that puts NaN last."""
    return (x != x, ZERO if x != x else x)


def from_nan_up(x: Any) -> Any:
    """Return a rank that puts NaN first, then the least."""
    return (x == x, ZERO if x != x else x)


def descending(x: Any) -> Any:
    """Return a rank that puts NaN first, then the greatest."""
    return (x == x, ZERO if x != x else -x)
