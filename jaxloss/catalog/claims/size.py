"""How large a loss is, and where it is least."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product

import numpy as np

from jaxloss.catalog.claims.frame import (
    EPSILON,
    Array,
    Claim,
    Number,
    Setting,
    Subject,
    halves_of,
    number,
    rowwise,
    samples,
    shown,
    violations,
)
from jaxloss.catalog.claims.search import worst


def nonnegative() -> Claim:
    """Never below 0, not even by rounding."""

    def check(subject: Subject) -> Iterator[str]:
        least = lambda setting, args: -rowwise(-subject.value(args, setting), len(args[0]))
        for setting, args in worst(subject, least):
            value = least(setting, args)
            say = lambda i, v=value: f"value {shown(v[i])}"
            yield from violations(~(value >= 0), args, setting, say)

    def halves(subject: Subject) -> Iterator[str]:
        for setting, dtype in product(subject.settings, halves_of(subject)):
            for args in (subject.coarse(), subject.halves()):
                value = -rowwise(-subject.forward(args, setting, dtype), len(args[0]))
                say = lambda i, v=value, d=dtype: f"{d}: value {shown(v[i])}"
                yield from violations(value < 0, args, setting, say)

    return Claim("non-negative", check, halves)


def bounded(low: Number, high: Number) -> Claim:
    """Between two numbers, up to rounding."""

    def check(subject: Subject) -> Iterator[str]:
        def room(setting: Setting, args: list[Array]) -> Array:
            bottom, top = number(low, setting), number(high, setting)
            value = subject.value(args, setting)
            slack = 8 * EPSILON["float32"] * max(abs(bottom), abs(top))
            return slack - rowwise(np.maximum(bottom - value, value - top), len(args[0]))

        for setting, args in worst(subject, room):
            value = subject.value(args, setting)
            say = lambda i, v=value: f"value {shown(v[i])}"
            yield from violations(~(room(setting, args) >= 0), args, setting, say)

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


def minimum_at_target(
    link: Callable[[Array], Array] | None = None, *, tolerance: float = 1e-12
) -> Claim:
    """No prediction has a lower loss than the target itself, or what a `link` makes of it.

    The tolerance, of 1 and of the value, is for distributions: in float32 they sum to 1 up to it.
    """

    def check(subject: Subject) -> Iterator[str]:
        def excess(setting: Setting, args: list[Array]) -> Array:
            right = args[1] if link is None else link(args[1])
            least = subject.value([right, *args[1:]], setting, "float64")
            value = subject.value(args, setting, "float64")
            return tolerance * (1 + np.abs(least)) + value - least

        lowest = lambda setting, args: -rowwise(-excess(setting, args), len(args[0]))
        for setting, args in worst(subject, lowest):
            gain = excess(setting, args)
            say = lambda i, g=gain: f"lower than at the target by {shown(-g[i])}"
            yield from violations(~(gain >= 0), args, setting, say)

    return Claim("least at the target", check)
