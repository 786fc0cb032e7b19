"""How a loss relates to other formulas, and the parts of a batch to the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from jaxloss.catalog.claims.frame import (
    EPSILON,
    MODES,
    Array,
    Claim,
    Setting,
    Subject,
    differ,
    rowwise,
    shown,
    violations,
)


def gradient_is(text: str, argument: str, expected: Callable[..., Array]) -> Claim:
    """The gradient has a closed form, `expected(*args, **setting)`, compared in float64."""

    def check(subject: Subject) -> Iterator[str]:
        k = subject.names.index(argument)
        for setting in subject.settings:
            args = subject.draw("generic")
            slope, formula = subject.slopes(args, setting)[k], expected(*args, **setting)
            error = rowwise(np.abs(slope - formula), len(slope))
            wrong = ~(error <= 1e-12 * (1 + np.abs(formula).max()))
            say = lambda i, a=slope, b=formula: f"gradient {a[i]}, expected {b[i]}"
            yield from violations(wrong, args, setting, say)

    return Claim(f"its gradient is {text}", check)


def equals(
    text: str,
    other: Callable[..., Any],
    setting: Setting,
    *,
    scale: float = 1.0,
    tolerance: float = 1e-9,
    approach: Sequence[Setting] = (),
) -> Claim:
    """Becomes another loss at, or near, the end of a parameter: `loss / scale == other`.

    Args:
      text: names the limit.
      other: the loss in the limit, of the same arguments.
      setting: at or near the end of the parameter.
      scale: by which this loss is divided there.
      tolerance: of 1 and of the value.
      approach: settings on the way there, in order: no step may lead further away.
    """

    def check(subject: Subject) -> Iterator[str]:
        args = subject.draw("generic")
        value = subject.value(args, setting, "float64") / scale
        expected = subject.value(args, {}, "float64", loss=other)
        distance = [
            np.abs(subject.value(args, s, "float64") - expected).max()
            for s in (approach and (*approach, setting))
        ]
        for before, after, on in zip(distance, distance[1:], approach, strict=False):
            if after > before:
                yield f"further away after {dict(on)}: by {shown(after)} instead of {shown(before)}"
        wrong = differ(value, expected, tolerance * (1 + np.abs(expected)))
        say = lambda i: f"{shown(value[i])} instead of {shown(expected[i])}"
        yield from violations(wrong, args, setting, say)

    return Claim(f"tends to {text}", check)


def at_most(text: str, other: Callable[..., Any], setting: Setting | None = None) -> Claim:
    """Never above another loss of the same arguments, up to rounding."""

    def check(subject: Subject) -> Iterator[str]:
        for under in subject.settings if setting is None else [setting]:
            for mode in MODES:
                args = subject.draw(mode)
                value = subject.value(args, under, "float64")
                limit = subject.value(args, {}, "float64", loss=other)
                wrong = ~(value <= limit + 16 * EPSILON["float64"] * (1 + np.abs(limit)))
                say = lambda i, a=value, b=limit: f"{shown(a[i])} above {shown(b[i])}"
                yield from violations(wrong, args, under, say)

    return Claim(f"at most {text}", check)


def decomposable() -> Claim:
    """The value of an example is the same in any batch, and so the mean of shards is the mean.

    For a loss that returns one number, the mean over equal shards is compared with the whole.
    """

    def check(subject: Subject) -> Iterator[str]:
        for setting in subject.settings:
            args, others = subject.draw("generic"), subject.draw("spread")
            half = len(args[0]) // 2
            whole = subject.value(args, setting)
            if whole.ndim == 0:
                shards = [[a[:half] for a in args], [a[half : 2 * half] for a in args]]
                mean = np.mean([subject.value(shard, setting) for shard in shards])
                if differ(mean, whole, 1e-5 * (1e-3 + abs(whole))):
                    yield f"mean of two shards {shown(mean)}, of all {shown(whole)}"
                continue
            company = [
                np.concatenate([a[:half], b[half:]]) for a, b in zip(args, others, strict=True)
            ]
            there = subject.value(company, setting)
            wrong = differ(there, whole, 1e-5 * (1e-3 + abs(whole)))
            wrong[half:] = False
            say = lambda i, a=whole, b=there: (
                f"{shown(a[i])} becomes {shown(b[i])} in other company"
            )
            yield from violations(wrong, args, setting, say)

    return Claim("decomposable: an example's loss does not depend on the others", check)
