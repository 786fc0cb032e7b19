"""How a loss relates to other formulas and to what is predicted with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
) -> Claim:
    """Becomes another loss at, or near, the end of a parameter: `loss / scale == other`."""

    def check(subject: Subject) -> Iterator[str]:
        args = subject.draw("generic")
        value = subject.value(args, setting, "float64") / scale
        expected = subject.value(args, {}, "float64", loss=other)
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


def elicits(text: str, statistic: Callable[..., float]) -> Claim:
    """The constant prediction of least mean loss is a statistic of the targets.

    Tested on a skewed sample of odd size: no other constant, near or far, has a lower mean.
    """

    def check(subject: Subject) -> Iterator[str]:
        for setting in subject.settings:
            targets = subject.rng.gamma(1.5, 2.0, 31)
            best = statistic(targets, **setting)
            steps = np.concatenate([[0.0], *([s, -s] for s in (1e-4, 1e-2, 0.3, 2.0))])
            risk = [
                subject.value([np.full(31, best + s), targets], setting, "float64").mean()
                for s in steps
            ]
            if min(risk[1:]) < risk[0] - 1e-13 * abs(risk[0]):
                shift = steps[int(np.argmin(risk))]
                yield f"the mean loss is lower at {best + shift:g} than at {text} {best:g}"

    return Claim(f"its minimiser is {text}", check)


def proper(classes: int = 4) -> Claim:
    """The expected loss under any distribution is least at the logits of that distribution.

    For losses of `(logits, soft labels or class indices)`: the expected gradient vanishes there,
    and every other prediction has a higher risk.
    """

    def risk(subject: Subject, logit: Array, truth: Array, setting: Setting) -> float:
        if classes == 1:
            args = [np.full(2, logit[0]), np.array([1.0, 0.0])]
            weights = np.array([truth[0], 1 - truth[0]])
        else:
            kinds = subject.draw("generic")[1]
            onehot = np.eye(classes) if kinds.ndim > 1 else np.arange(classes)
            args, weights = [np.tile(logit, (classes, 1)), onehot], truth
        return float((weights * subject.value(args, setting, "float64")).sum())

    def check(subject: Subject) -> Iterator[str]:
        for setting in subject.settings:
            for _ in range(4):
                truth = subject.rng.dirichlet(np.full(max(classes, 2), 1.5))
                logit = np.log(truth / truth[-1]) if classes == 1 else np.log(truth)
                least = risk(subject, logit, truth, setting)
                for size in (1e-3, 0.1, 1.0, 3.0):
                    step = size * subject.rng.normal(size=logit.shape)
                    # A common shift is no other prediction.
                    step = step - (0 if classes == 1 else step.mean())
                    if risk(subject, logit + step, truth, setting) <= least:
                        yield f"risk at the truth {truth} is no lower than at logits {logit + step}"
                        return

    return Claim("strictly proper", check)


def calibrated() -> Claim:
    """The score of least expected loss has the sign of the likelier class, -1 or 1."""

    def check(subject: Subject) -> Iterator[str]:
        score = np.linspace(-3, 3, 241)
        for setting in subject.settings:
            plus = subject.value([score, np.ones(241)], setting, "float64")
            minus = subject.value([score, -np.ones(241)], setting, "float64")
            for eta in (0.05, 0.3, 0.45, 0.55, 0.7, 0.95):
                risk = eta * plus + (1 - eta) * minus
                wrong_side = np.sign(score) != np.sign(eta - 0.5)
                if risk[wrong_side].min() <= risk[~wrong_side].min():
                    yield f"at probability {eta} a score of the wrong sign has the least risk"

    return Claim("classification-calibrated", check)
