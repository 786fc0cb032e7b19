"""What mathematics says of a loss: small objects that carry their own check and print themselves.

A check is a function of the subject under verification (see `jaxloss.verify.subject`) that yields
one sentence for each way in which the claim fails, the smallest witness included. Rounding is not
a failure: tolerances are stated in units of the values that were rounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

Array = np.ndarray
Setting = Mapping[str, Any]
Number = float | Callable[[Setting], float]

MODES = ("generic", "spread", "singular")
EPSILON = {"float64": 2.0**-52, "float32": 2.0**-23}


class Subject(Protocol):
    """The part of a subject under verification that claims use."""

    names: list[str]
    settings: list[dict[str, Any]]
    rng: np.random.Generator

    def draw(self, mode: str) -> list[Array]:
        """Return rows of every argument, `[n, *event]` each."""

    def value(
        self, args: list[Array], setting: Setting, dtype: str = ..., *, loss: Any = ...
    ) -> Array:
        """Return the losses in float64, computed in `dtype`, or those of another `loss`."""

    def slopes(self, args: list[Array], setting: Setting, dtype: str = ...) -> list[Array]:
        """Return the gradient of each argument in float64 (zeros where it has none)."""


@dataclass(frozen=True)
class Claim:
    """A statement about a loss and the check of it."""

    text: str
    check: Callable[[Any], Iterator[str]]

    def __str__(self) -> str:
        """Return the statement."""
        return self.text


def _number(value: Number, setting: Setting) -> float:
    return value(setting) if callable(value) else value


def _show(args: list[Array], row: int) -> str:
    return "(" + ", ".join(np.array2string(a[row], precision=6) for a in args) + ")"


def _under(setting: Setting) -> str:
    return "".join(f", {k}={v!r}" for k, v in setting.items())


def _samples(subject: Subject) -> Iterator[tuple[Setting, list[Array]]]:
    for setting in subject.settings:
        for mode in MODES:
            yield setting, subject.draw(mode)


def _rowwise(values: Array, rows: int) -> Array:
    """Reduce to one number for each row: the worst."""
    return values.reshape(rows, -1).max(axis=-1) if values.size else np.zeros(rows)


def _violations(
    wrong: Array, args: list[Array], setting: Setting, say: Callable[..., str]
) -> Iterator[str]:
    rows = np.flatnonzero(wrong)
    if rows.size:
        row = int(rows[0])
        yield f"{say(row)} at {_show(args, row)}{_under(setting)} ({rows.size} such rows)"


def nonnegative() -> Claim:
    """Never below 0, not even by rounding."""

    def check(subject: Subject) -> Iterator[str]:
        for setting, args in _samples(subject):
            value = _rowwise(-subject.value(args, setting), len(args[0]))
            yield from _violations(value > 0, args, setting, lambda i, v=value: f"value {-v[i]:g}")

    return Claim("non-negative", check)


def bounded(low: Number, high: Number) -> Claim:
    """Between two numbers, up to rounding."""

    def check(subject: Subject) -> Iterator[str]:
        for setting, args in _samples(subject):
            bottom, top = _number(low, setting), _number(high, setting)
            slack = 8 * EPSILON["float32"] * max(abs(bottom), abs(top))
            value = subject.value(args, setting)
            outside = (value < bottom - slack) | (value > top + slack)
            yield from _violations(outside, args, setting, lambda i, v=value: f"value {v[i]:g}")

    return Claim("bounded", check)


def zero_at_target() -> Claim:
    """Exactly 0 where the first two arguments are equal."""

    def check(subject: Subject) -> Iterator[str]:
        for setting, args in _samples(subject):
            equal = [args[1], args[1], *args[2:]]
            value = np.abs(subject.value(equal, setting))
            yield from _violations(value != 0, equal, setting, lambda i, v=value: f"value {v[i]:g}")

    return Claim("zero at the target", check)


def positive_off_target() -> Claim:
    """Positive wherever the first two arguments differ."""

    def check(subject: Subject) -> Iterator[str]:
        for setting in subject.settings:
            args = subject.draw("generic")
            value = subject.value(args, setting)
            yield from _violations(value <= 0, args, setting, lambda i, v=value: f"value {v[i]:g}")

    return Claim("positive off the target", check)


def symmetric() -> Claim:
    """Unchanged when the first two arguments change places."""

    def check(subject: Subject) -> Iterator[str]:
        for setting, args in _samples(subject):
            there = subject.value(args, setting)
            back = subject.value([args[1], args[0], *args[2:]], setting)
            wrong = np.abs(there - back) > 8 * EPSILON["float32"] * np.maximum(abs(there), 1e-30)
            say = lambda i, a=there, b=back: f"{a[i]:g} one way, {b[i]:g} the other"
            yield from _violations(wrong, args, setting, say)

    return Claim("symmetric", check)


def lipschitz(constant: Number, argument: str, *, text: str = "") -> Claim:
    """The gradient's Euclidean norm never exceeds a constant."""

    def check(subject: Subject) -> Iterator[str]:
        k = subject.names.index(argument)
        for setting, args in _samples(subject):
            limit = _number(constant, setting)
            slope = subject.slopes(args, setting)[k]
            size = np.sqrt((slope.reshape(len(slope), -1) ** 2).sum(axis=-1))
            say = lambda i, s=size, m=limit: f"gradient of norm {s[i]:.7g} > {m:g}"
            yield from _violations(size > limit * (1 + 1e-6), args, setting, say)

    shown = text or (f"{constant:.4g}" if not callable(constant) else "a constant")
    return Claim(f"Lipschitz in {argument} with {shown}", check)


def convex(argument: str) -> Claim:
    """Lies above every tangent: `f(y) >= f(x) + <g(x), y - x>`, kinks included.

    Tested in float64 with a slack scaled by the largest gradient seen: where value and gradient
    both round to 0 any smaller scale would report rounding as curvature.
    """

    def check(subject: Subject) -> Iterator[str]:
        k = subject.names.index(argument)
        for setting, args in _samples(subject):
            slopes = subject.slopes(args, setting)[k]
            steepest = np.sqrt((slopes.reshape(len(slopes), -1) ** 2).sum(-1)).max()
            here = subject.value(args, setting, "float64")
            for mode in MODES:
                other = list(args)
                rows = subject.rng.permutation(subject.draw(mode)[k])
                other[k] = rows[np.arange(len(args[k])) % len(rows)]
                step = other[k] - args[k]
                there = subject.value(other, setting, "float64")
                rise = (slopes * step).reshape(len(step), -1).sum(-1)
                spans = [np.abs(a).reshape(len(a), -1).sum(-1) for a in (args[k], other[k], step)]
                slack = 32 * EPSILON["float64"] * (abs(here) + abs(there) + steepest * sum(spans))
                gap = there - here - rise
                say = lambda i, g=gap, o=other: f"below its tangent by {-g[i]:g} towards {o[k][i]}"
                yield from _violations(gap < -slack, args, setting, say)

    return Claim(f"convex in {argument}", check)


def shift_invariant(argument: str) -> Claim:
    """Unchanged when a constant is added to a vector; the shifts are exact in float32."""

    def check(subject: Subject) -> Iterator[str]:
        k = subject.names.index(argument)
        for setting in subject.settings:
            args = subject.draw("generic")
            args[k] = np.round(args[k] * 256) / 256
            before = subject.value(args, setting)
            for shift in (1.0, -64.0, 4096.0):
                moved = list(args)
                moved[k] = args[k] + shift
                after = subject.value(moved, setting)
                wrong = np.abs(after - before) > 16 * EPSILON["float32"] * np.maximum(before, 1e-3)
                say = lambda i, a=before, b=after, c=shift: f"{a[i]:g} becomes {b[i]:g} by {c:+g}"
                yield from _violations(wrong, args, setting, say)

    return Claim(f"shift-invariant in {argument}", check)


def scale_invariant(argument: str) -> Claim:
    """Unchanged when a vector is multiplied by a positive number; powers of two are exact."""

    def check(subject: Subject) -> Iterator[str]:
        k = subject.names.index(argument)
        for setting in subject.settings:
            args = subject.draw("generic")
            before = subject.value(args, setting)
            for scale in (2.0**-20, 8.0, 2.0**40):
                grown = list(args)
                grown[k] = args[k] * scale
                after = subject.value(grown, setting)
                wrong = np.abs(after - before) > 8 * EPSILON["float32"]
                say = lambda i, a=before, b=after, c=scale: f"{a[i]:g} becomes {b[i]:g} times {c:g}"
                yield from _violations(wrong, args, setting, say)

    return Claim(f"scale-invariant in {argument}", check)


def homogeneous(degree: int) -> Claim:
    """Multiplying every argument by `c > 0` multiplies the loss by `c^degree`."""

    def check(subject: Subject) -> Iterator[str]:
        for setting in subject.settings:
            args = subject.draw("generic")
            before = subject.value(args, setting)
            for scale in (0.5, 4.0, 1024.0):
                after = subject.value([scale * a for a in args], setting)
                wrong = np.abs(after - scale**degree * before) > 8 * EPSILON["float32"] * after
                say = lambda i, a=before, b=after, c=scale: f"{a[i]:g} becomes {b[i]:g} times {c:g}"
                yield from _violations(wrong, args, setting, say)

    return Claim(f"homogeneous of degree {degree}", check)


def gradient_is(text: str, argument: str, expected: Callable[..., Array]) -> Claim:
    """The gradient has a closed form, `expected(*args, **setting)`, compared in float64."""

    def check(subject: Subject) -> Iterator[str]:
        k = subject.names.index(argument)
        for setting in subject.settings:
            args = subject.draw("generic")
            slope, formula = subject.slopes(args, setting)[k], expected(*args, **setting)
            error = _rowwise(np.abs(slope - formula), len(slope))
            wrong = error > 1e-12 * (1 + np.abs(formula).max())
            say = lambda i, a=slope, b=formula: f"gradient {a[i]}, expected {b[i]}"
            yield from _violations(wrong, args, setting, say)

    return Claim(f"its gradient is {text}", check)


def no_gradient(text: str, argument: str, condition: Callable[..., Array]) -> Claim:
    """The gradient is exactly 0 wherever `condition(*args, **setting)` holds."""

    def check(subject: Subject) -> Iterator[str]:
        k = subject.names.index(argument)
        seen = 0
        for setting, args in _samples(subject):
            where = condition(*args, **setting)
            seen += where.sum()
            slope = _rowwise(np.abs(subject.slopes(args, setting)[k]), len(where))
            say = lambda i, s=slope: f"gradient {s[i]:g}"
            yield from _violations(where & (slope != 0), args, setting, say)
        if not seen:
            yield "no sample meets the condition: the claim was not tested"

    return Claim(f"no gradient {text}", check)


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
        wrong = np.abs(value - expected) > tolerance * (1 + np.abs(expected))
        say = lambda i: f"{value[i]:.9g} instead of {expected[i]:.9g}"
        yield from _violations(_rowwise(wrong, len(wrong)) > 0, args, setting, say)

    return Claim(f"tends to {text}", check)


def at_most(text: str, other: Callable[..., Any], setting: Setting | None = None) -> Claim:
    """Never above another loss of the same arguments, up to rounding."""

    def check(subject: Subject) -> Iterator[str]:
        for under in subject.settings if setting is None else [setting]:
            for mode in MODES:
                args = subject.draw(mode)
                value = subject.value(args, under, "float64")
                limit = subject.value(args, {}, "float64", loss=other)
                wrong = value > limit + 16 * EPSILON["float64"] * (1 + np.abs(limit))
                say = lambda i, a=value, b=limit: f"{a[i]:g} above {b[i]:g}"
                yield from _violations(wrong, args, under, say)

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


class _Defaults:
    """A subject seen with its default hyper-parameters only."""

    def __init__(self, subject: Any) -> None:
        self._subject = subject
        self.settings = subject.settings[:1]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._subject, name)


def by_default(claim: Claim) -> Claim:
    """Restrict a claim to the default hyper-parameters."""
    return Claim(f"{claim.text}, by default", lambda subject: claim.check(_Defaults(subject)))


def holds(text: str, check: Callable[[Any], Iterator[str]]) -> Claim:
    """Anything else that can be checked."""
    return Claim(text, check)
