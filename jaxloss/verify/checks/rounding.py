"""Is what a loss computes what its formula gives without rounding, and its gradient too?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from jaxloss.verify import oracle, unrounded
from jaxloss.verify.checks.values import EPSILON, LARGEST, SMALLEST
from jaxloss.verify.frame import Note, Outcome, Skip, check, rows, under
from jaxloss.verify.precise.blame import guilty
from jaxloss.verify.subject import HALF, Subject, rounded_setting

Array = np.ndarray

# Roundings that a result of usual size may be off by, what is much of it, and what is no condition.
ROUNDINGS, MUCH, STEADY = 16, 2.0**10, 4
# XLA's own functions are worse in float64: its log1p is off by 48 roundings.
ROUGH = 8


class _Case(NamedTuple):
    """What a loss gives in a dtype, and what it should.

    Attributes:
      dtype: of the inputs.
      args: `[n, *event]` each.
      got: `[n]` or any shape, the values.
      exact: the values and the gradient without rounding.
    """

    dtype: str
    args: list[Array]
    got: Array
    exact: oracle.Exact


def matters(error: Array, exact: Array, scale: Array, unit: float, args: list[Array]) -> Array:
    """Tell which errors are no matter of taste.

    Those that the largest of the numbers would show; and those larger than the inputs' rounding,
    of numbers that it leaves alone. What else is lost is small, and on the edge of vanishing.

    Args:
      error: of each number.
      exact: the number.
      scale: what a relative change of the inputs by one changes it by.
      unit: to which they are rounded.
      args: the inputs, `[n, *event]` each, of `n` such numbers, or groups of them.
    """
    largest = max(np.abs(a).max() for a in args)
    if error.ndim and all(len(a) == len(error) for a in args):
        rows = np.max([np.abs(a).reshape(len(a), -1).max(-1) for a in args], axis=0)
        largest = rows.reshape((-1,) + (1,) * (error.ndim - 1))
    size = np.abs(exact)
    with np.errstate(over="ignore"):
        most = np.where(np.isfinite(size), size, 0).max()
        steady = (size > 0) & (scale <= STEADY * size) & (error > MUCH * unit * size)
        steady &= error > ROUNDINGS * unit * largest
        return np.asarray(~(error <= ROUNDINGS * unit * most) | steady)


def graded(
    wrong: Array, grave: Array, args: list[Array], say: Any, before: str, after: str
) -> Outcome:
    """Yield a failure about the first grave row and a note about the first of the others."""
    for found, kind in ((wrong & grave, str), (wrong & ~grave, Note)):
        for sentence in rows(found, args, say):
            yield kind(f"{before}{sentence}{after}")


@check("V2", "value equals that of its formula without rounding", dtypes=("float64", "float32"))
def value(subject: Subject) -> Outcome:
    """Carry out the loss's own operations in high precision, and name the one that loses most.

    In units of what rounding the inputs would do; a small value that is about to vanish may lose
    its digits, with a note.
    """
    if subject.reference is not None and subject.level != "exhaustive":
        raise Skip("V1 compares with a reference formula")
    for setting in subject.settings:
        for mode, case in _cases(subject, setting):
            unit = EPSILON[case.dtype] * (ROUGH if case.dtype == "float64" else 1)
            with np.errstate(invalid="ignore", over="ignore"):
                scale = _scale(case)
                error = np.abs(case.got - case.exact.value)
                wrong = ~(error <= ROUNDINGS * unit * scale + SMALLEST[case.dtype])
                wrong &= np.abs(case.exact.value) < LARGEST[case.dtype]
                grave = matters(error, case.exact.value, scale, unit, case.args)
            say = lambda i, c=case, s=scale: _sentence(c, s, i)
            why = _blame(subject, setting, case, wrong) if wrong.any() else ""
            before, after = f"{case.dtype}, {mode}: ", f"{under(setting)}{why}"
            yield from graded(wrong, grave | subject.strict, case.args, say, before, after)


def _cases(subject: Subject, setting: Any) -> Iterator[tuple[str, _Case]]:
    rounded = rounded_setting(setting)
    asked = ("float32",) if subject.level == "quick" else ("float64", "float32")
    for dtype in (d for d in asked if d in subject.dtypes):
        for mode in ("generic", "spread", "singular"):
            args = subject.draw(mode)
            got = subject.value(args, rounded, dtype)
            yield mode, _Case(dtype, args, got, subject.unrounded(mode, setting, dtype))


def _scale(case: _Case) -> Array:
    """Return how much a relative change of the inputs by one may change each value."""
    value = np.abs(case.exact.value)
    moved = [np.abs(a * np.nan_to_num(s)) for a, s in zip(case.args, case.exact.left, strict=True)]
    if value.ndim == 0 or len(value) != len(case.args[0]):
        return np.asarray(value + sum(m.sum() for m in moved))
    change = np.sum([m.reshape(len(m), -1).sum(-1) for m in moved], axis=0)
    # The gradient is that of the sum of a row's numbers, in which their own may cancel.
    change = change + (value.reshape(len(value), -1).max(-1) if value.ndim > 1 else 0)
    return np.asarray(value + change.reshape((-1,) + (1,) * (value.ndim - 1)))


def _sentence(case: _Case, scale: Array, i: int) -> str:
    """Say what came instead of what, and how well it is conditioned, for one row."""
    got, exact, size = (np.atleast_1d(a)[i] for a in (case.got, case.exact.value, scale))
    if np.ndim(got) or exact == 0:
        return f"{got} instead of {exact}"
    ulps = abs(got - exact) / (EPSILON[case.dtype] * abs(exact))
    condition = f"{ulps:.2g} ulp, condition {size / abs(exact):.2g}"
    digits = 17 if case.dtype == "float64" else 9
    return f"{got:.{digits}g} instead of {exact:.{digits}g} ({condition})"


def _blame(subject: Subject, setting: Any, case: _Case, wrong: Array) -> str:
    """Name the operation that loses the most in the first wrong row."""
    args = case.args
    if subject.apart:
        first = int(np.flatnonzero(wrong.reshape(len(wrong), -1).any(-1))[0])
        args = [a[first : first + 1] for a in args]
    only = lambda loss: lambda *rows: [loss(*rows)]
    traced = unrounded.program(subject, rounded_setting(setting), case.dtype, args, only)
    return guilty(traced, EPSILON[case.dtype])


@check("G3", "gradient is accurate in every precision", dtypes=("float32", *HALF))
def gradient(subject: Subject) -> Outcome:
    """Compare float32 and half gradients with exact ones, relative to their own sensitivity.

    Without a reference the exact ones are those of autodiff itself, without rounding.
    """
    for setting in subject.tuned:
        for dtype, mode, args in _precisions(subject):
            exact = (
                subject.exact(mode, setting, args)
                if subject.reference
                else subject.unrounded(mode, setting, dtype, args)
            )
            rounded = rounded_setting(setting)
            got = subject.slopes(args, rounded, dtype)
            scales = _sensitivity(subject, args, rounded, dtype)
            for k, name in enumerate(subject.names):
                low, high = exact.left[k], exact.right[k]
                smooth = np.abs(high - low) <= 1e-9 * (np.abs(high) + np.abs(low)) + 1e-30
                # Half precision in, float32 within: the law here, and not elsewhere.
                inner = 64 * EPSILON["float32"]
                inner = inner if subject.strict else max(inner, 8 * EPSILON[dtype])
                slack = inner * (np.abs(high) + scales[k])
                slack = slack + 2 * EPSILON[dtype] * np.abs(high) + SMALLEST[dtype]
                # What trains is the first argument; the others may round like the largest of all.
                vectors = exact.right[:1] if k == 0 else exact.right
                largest = np.max([_largest_entry(v) for v in vectors], axis=0)
                room = largest.reshape((-1,) + (1,) * (high.ndim - 1))
                slack = slack + room * inner
                error = np.abs(got[k] - high)
                wrong = smooth & (error > slack)
                # To a reference a gradient is held strictly.
                strictly = subject.reference is not None
                # In half precision throughout, every step rounds, and not only the result.
                unit = EPSILON[dtype] * (4 if dtype in HALF else 1)
                grave = strictly | matters(error, high, scales[k], unit, args)
                say = lambda i, g=got[k], e=high: f"{g[i]} instead of {e[i]}"
                yield from graded(wrong, grave, args, say, f"{dtype}, d/d{name}: ", under(setting))


def _largest_entry(slopes: Array) -> Array:
    """Return the size of each row's gradient, to which the entries of a vector may be rounded."""
    return np.asarray(np.nan_to_num(np.abs(slopes)).reshape(len(slopes), -1).max(axis=-1))


def _precisions(subject: Subject) -> Any:
    for mode in ("generic", "spread") if "float32" in subject.dtypes else ():
        yield "float32", mode, subject.draw(mode)
    for dtype in (d for d in HALF if d in subject.dtypes):
        yield dtype, "coarse", subject.coarse()


def _sensitivity(subject: Subject, args: list[Array], setting: Any, dtype: str) -> list[Array]:
    """Return how much a relative change of the inputs by one may change the gradient."""
    known = subject.reference is not None
    slopes, spread = (Subject.slopes, 2.0**-20) if known else (_exact_slopes, _spread(dtype))
    centre = slopes(subject, args, setting)
    rng = np.random.default_rng([subject.seed, 3])
    scales = [np.zeros_like(s) for s in centre]
    for _ in range(4):
        # Nothing is relative to 0: without a reference such entries move as those of size 1 do.
        steps = [a if known else np.where(a == 0, 1, a) for a in args]
        moved = [
            a if k.discrete else a + step * spread * rng.uniform(-2, 2, a.shape)
            for k, a, step in zip(subject.kinds, args, steps, strict=True)
        ]
        there = slopes(subject, moved, setting)
        for scale, after, before in zip(scales, there, centre, strict=True):
            np.maximum(scale, np.abs(after - before) / spread, out=scale)
    return scales


def _spread(dtype: str) -> float:
    """Return how far rounding moves the inputs of what is computed in a dtype throughout."""
    return max(2.0**-20, EPSILON[dtype])


def _exact_slopes(subject: Subject, args: list[Array], setting: Any) -> list[Array]:
    # What vanishes in float64 has a sensitivity all the same.
    return unrounded.rounded(subject, args, setting, "float64").left


CHECKS = (value, gradient)
