"""How large a loss and its gradient are, and how they bend."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from jaxloss.catalog.claims.frame import (
    EPSILON,
    MODES,
    Array,
    Claim,
    Number,
    Subject,
    number,
    rowwise,
    samples,
    shown,
    total,
    violations,
)


def nonnegative() -> Claim:
    """Never below 0, not even by rounding."""

    def check(subject: Subject) -> Iterator[str]:
        for setting, args in samples(subject):
            value = rowwise(-subject.value(args, setting), len(args[0]))
            yield from violations(
                ~(value <= 0), args, setting, lambda i, v=value: f"value {shown(-v[i])}"
            )

    return Claim("non-negative", check)


def bounded(low: Number, high: Number) -> Claim:
    """Between two numbers, up to rounding."""

    def check(subject: Subject) -> Iterator[str]:
        for setting, args in samples(subject):
            bottom, top = number(low, setting), number(high, setting)
            slack = 8 * EPSILON["float32"] * max(abs(bottom), abs(top))
            value = subject.value(args, setting)
            outside = ~((value >= bottom - slack) & (value <= top + slack))
            yield from violations(outside, args, setting, lambda i, v=value: f"value {shown(v[i])}")

    return Claim("bounded", check)


def zero_at_target(rounding: float = 0.0) -> Claim:
    """0 where the first two arguments are equal: exactly, or up to a rounding that is named."""

    def check(subject: Subject) -> Iterator[str]:
        for setting, args in samples(subject):
            equal = [args[1], args[1], *args[2:]]
            value = np.abs(subject.value(equal, setting))
            say = lambda i, v=value: f"value {shown(v[i])}"
            yield from violations(~(value <= rounding), equal, setting, say)

    return Claim("zero at the target" + (", up to rounding" if rounding else ""), check)


def positive_off_target() -> Claim:
    """Positive wherever the first two arguments differ."""

    def check(subject: Subject) -> Iterator[str]:
        for setting in subject.settings:
            args = subject.draw("generic")
            value = subject.value(args, setting)
            yield from violations(
                ~(value > 0), args, setting, lambda i, v=value: f"value {shown(v[i])}"
            )

    return Claim("positive off the target", check)


def lipschitz(constant: Number, argument: str, *, text: str = "") -> Claim:
    """The gradient's Euclidean norm never exceeds a constant."""

    def check(subject: Subject) -> Iterator[str]:
        k = subject.names.index(argument)
        for setting, args in samples(subject):
            limit = number(constant, setting)
            slope = subject.slopes(args, setting)[k]
            size = np.sqrt((slope.reshape(len(slope), -1) ** 2).sum(axis=-1))
            say = lambda i, s=size, m=limit: f"gradient of norm {shown(s[i])} > {m:g}"
            yield from violations(~(size <= limit * (1 + 1e-6)), args, setting, say)

    shown = text or (f"{constant:.4g}" if not callable(constant) else "a constant")
    return Claim(f"Lipschitz in {argument} with {shown}", check)


def convex(argument: str) -> Claim:
    """Lies above every tangent: `f(y) >= f(x) + <g(x), y - x>`, kinks included.

    Tested in float64 with a slack scaled by the largest gradient seen: where value and gradient
    both round to 0 any smaller scale would report rounding as curvature.
    """

    def check(subject: Subject) -> Iterator[str]:
        k = subject.names.index(argument)
        for setting, args in samples(subject):
            slopes = subject.slopes(args, setting)[k]
            steepest = np.sqrt((slopes.reshape(len(slopes), -1) ** 2).sum(-1)).max()
            here = total(subject.value(args, setting, "float64"))
            for mode in MODES:
                other = list(args)
                rows = subject.rng.permutation(subject.draw(mode)[k])
                other[k] = rows[np.arange(len(args[k])) % len(rows)]
                step = other[k] - args[k]
                there = total(subject.value(other, setting, "float64"))
                rise = (slopes * step).reshape(len(step), -1).sum(-1)
                spans = [np.abs(a).reshape(len(a), -1).sum(-1) for a in (args[k], other[k], step)]
                slack = 32 * EPSILON["float64"] * (abs(here) + abs(there) + steepest * sum(spans))
                gap = there - here - rise
                say = lambda i, g=gap, o=other: (
                    f"below its tangent by {shown(-g[i])} towards {o[k][i]}"
                )
                yield from violations(~(gap >= -slack), args, setting, say)

    return Claim(f"convex in {argument}", check)


def no_gradient(text: str, argument: str, condition: Callable[..., Array]) -> Claim:
    """The gradient is exactly 0 wherever `condition(*args, **setting)` holds."""

    def check(subject: Subject) -> Iterator[str]:
        k = subject.names.index(argument)
        seen = 0
        for setting, args in samples(subject):
            where = condition(*args, **setting)
            seen += where.sum()
            slope = rowwise(np.abs(subject.slopes(args, setting)[k]), len(where))
            say = lambda i, s=slope: f"gradient {shown(s[i])}"
            yield from violations(where & (slope != 0), args, setting, say)
        if not seen:
            yield "no sample meets the condition: the claim was not tested"

    return Claim(f"no gradient {text}", check)
