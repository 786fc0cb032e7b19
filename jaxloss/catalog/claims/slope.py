"""How a loss changes: how steep it is, how it bends, where its gradient is 0."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import mpmath
import numpy as np

from jaxloss.catalog.claims.frame import (
    EPSILON,
    MODES,
    Array,
    Claim,
    Number,
    Setting,
    Subject,
    column,
    confirmed,
    number,
    rowwise,
    samples,
    shown,
    total,
    violations,
)
from jaxloss.catalog.claims.search import worst

Direction = Callable[..., Array]


def _length(rows: Array) -> Array:
    return np.sqrt((rows.reshape(len(rows), -1) ** 2).sum(axis=-1))


def _product(a: Array, b: Array) -> Array:
    return np.asarray((a * b).reshape(len(a), -1).sum(axis=-1))


def _named(constant: Number, text: str) -> str:
    return text or (f"{constant:.4g}" if not callable(constant) else "a constant")


def lipschitz(constant: Number, argument: str, *, text: str = "") -> Claim:
    """The gradient's Euclidean norm never exceeds a constant."""

    def check(subject: Subject) -> Iterator[str]:
        k = subject.names.index(argument)
        room = lambda setting, args: (
            number(constant, setting) * (1 + 1e-6) - _length(subject.slopes(args, setting)[k])
        )
        for setting, args in worst(subject, room):
            size, limit = _length(subject.slopes(args, setting)[k]), number(constant, setting)
            say = lambda i, s=size, m=limit: f"gradient of norm {shown(s[i])} > {m:g}"
            yield from violations(~(size <= limit * (1 + 1e-6)), args, setting, say)

    return Claim(f"Lipschitz in {argument} with {_named(constant, text)}", check)


def smooth(constant: Number, argument: str, *, text: str = "") -> Claim:
    """The gradient is continuous, and changes by at most a constant times the step.

    Steps of several sizes, each row in a direction of its own: where the gradient jumps, the
    smallest step shows it.
    """

    def check(subject: Subject) -> Iterator[str]:
        k = subject.names.index(argument)
        rng = np.random.default_rng([subject.seed, 8])
        towards = rng.normal(size=subject.draw("generic")[k].shape)
        towards /= column(_length(towards), towards)

        def curvature(setting: Setting, args: list[Array]) -> Array:
            here = subject.slopes(args, setting)[k]
            bends = [
                _bend(subject, setting, args, k, here, size * towards) for size in (1e-4, 1e-2, 1.0)
            ]
            return np.max(bends, axis=0)

        room = lambda setting, args: (
            number(constant, setting) * (1 + 1e-6) - curvature(setting, args)
        )
        for setting, args in worst(subject, room):
            bend, limit = curvature(setting, args), number(constant, setting)
            say = lambda i, b=bend, m=limit: f"curvature {shown(b[i])} > {m:g}"
            yield from violations(~(bend <= limit * (1 + 1e-6)), args, setting, say)

    return Claim(f"smooth in {argument} with {_named(constant, text)}", check)


def _bend(
    subject: Subject, setting: Setting, args: list[Array], k: int, here: Array, step: Array
) -> Array:
    """Return how much the gradient changes along a step, for its length, less rounding."""
    other = [*args[:k], args[k] + step, *args[k + 1 :]]
    there = subject.slopes(other, setting)[k]
    rounding = 64 * EPSILON["float64"] * (_length(here) + _length(there))
    # What was added is not quite the step, if the row is large, and the gradient sees neither.
    length = _length(other[k] - args[k]) + 64 * EPSILON["float64"] * _length(args[k])
    return (_length(there - here) - rounding) / length


def convex(argument: str) -> Claim:
    """Lies above every tangent: `f(y) >= f(x) + <g(x), y - x>`, kinks included.

    Tested in float64 with a slack scaled by the largest gradient seen: where value and gradient
    both round to 0 any smaller scale would report rounding as curvature.
    """

    def check(subject: Subject) -> Iterator[str]:
        k = subject.names.index(argument)
        for setting, args in samples(subject):
            slopes = subject.slopes(args, setting)[k]
            steepest = _length(slopes).max()
            here = total(subject.value(args, setting, "float64"))
            for mode in MODES:
                other = list(args)
                rows = subject.rng.permutation(subject.draw(mode)[k])
                other[k] = rows[np.arange(len(args[k])) % len(rows)]
                step = other[k] - args[k]
                there = total(subject.value(other, setting, "float64"))
                rise = _product(slopes, step)
                spans = [np.abs(a).reshape(len(a), -1).sum(-1) for a in (args[k], other[k], step)]
                slack = 32 * EPSILON["float64"] * (abs(here) + abs(there) + steepest * sum(spans))
                gap = there - here - rise
                say = lambda i, g=gap, o=other: (
                    f"below its tangent by {shown(-g[i])} towards {o[k][i]}"
                )
                below = lambda rows, s=setting: _is_below(subject, s, k, rows[:-1], rows[-1])
                wrong = confirmed(~(gap >= -slack), [*args, other[k]], below)
                yield from violations(wrong, args, setting, say)

    return Claim(f"convex in {argument}", check)


def _is_below(
    subject: Subject, setting: Setting, k: int, args: list[Array], towards: Array
) -> bool:
    """Tell whether a row lies below the tangent of another also without rounding."""
    here = subject.precisely(args, setting)
    there = subject.precisely([*args[:k], towards, *args[k + 1 :]], setting)
    if here is None or there is None:
        return True
    with mpmath.workdps(50):
        rise = (here[1][k] * (towards - args[k])).sum()
        gap = there[0].sum() - here[0].sum() - rise
        return not gap >= -1e-25 * (abs(there[0].sum()) + abs(rise))


def _of_label(scores: Array, labels: Array, *_: Array) -> Array:
    """Return the direction in which the score of the right class grows; 0 for soft labels."""
    if not np.issubdtype(labels.dtype, np.floating):
        return np.asarray(np.eye(scores.shape[-1])[labels])
    if labels.ndim > 1:
        return np.asarray((labels == 1.0).astype(float))
    return np.where(labels == 0, -1.0, np.where(np.abs(labels) == 1, labels, 0.0))


_ALONG: dict[str, tuple[Direction, str]] = {
    "error": (lambda p, t, *_: np.sign(p - t), "the size of the error"),
    "label": (_of_label, "the score of the label"),
}


def monotone(
    argument: str, direction: str = "increasing", *, along: str | Direction = "", text: str = ""
) -> Claim:
    """Never falls while an argument grows (or never rises, if `direction` is "decreasing").

    Args:
      argument: its name; any real numbers.
      direction: "increasing" or "decreasing".
      along: what grows: "" for any entries; "error" for the distance of the first two arguments;
        "label" for the score of the right class; or a function of all arguments that returns a
        direction in the shape of this one.
      text: names what grows, for a function.
    """
    if direction not in ("increasing", "decreasing"):
        raise ValueError(f"monotone: 'increasing' or 'decreasing', got {direction!r}.")
    sign = 1.0 if direction == "increasing" else -1.0
    way, text = (along, text) if callable(along) else _ALONG.get(along, (None, text))

    def check(subject: Subject) -> Iterator[str]:
        k = subject.names.index(argument)
        rng = np.random.default_rng([subject.seed, 9])
        anywhere = rng.random(subject.draw("generic")[k].shape)
        towards = lambda args: way(*args) if way else anywhere

        def steepness(setting: Setting, args: list[Array]) -> Array:
            slope, step = subject.slopes(args, setting)[k], towards(args)
            # A cosine, and what rounding makes of none.
            return 1e-9 + sign * _product(slope, step) / (_length(slope) * _length(step) + 1e-300)

        for setting, args in worst(subject, steepness):
            slope = steepness(setting, args)
            say = lambda i, s=slope: f"gradient of the wrong sign, cosine {shown(s[i])},"
            yield from violations(~(slope >= 0), args, setting, say)
            yield from _secants(subject, setting, args, k, sign, towards(args))

    return Claim(f"{direction} in {text or argument}", check)


def _secants(
    subject: Subject, setting: Setting, args: list[Array], k: int, sign: float, way: Array
) -> Iterator[str]:
    here = total(subject.value(args, setting, "float64"))
    for size in (1e-3, 0.3, 10.0):
        other = [*args[:k], args[k] + size * way, *args[k + 1 :]]
        value, slopes = subject.evaluate(other, setting, "float64")
        there = total(value)
        span = np.abs(args[k]) + np.abs(size * way)
        slack = 32 * EPSILON["float64"] * (
            abs(here) + abs(there) + _length(slopes[k]) * _length(span)
        )  # fmt: skip
        say = lambda i, a=here, b=there, o=other: (
            f"{shown(a[i])} becomes {shown(b[i])} towards {o[k][i]}"
        )
        yield from violations(~(sign * (there - here) >= -slack), args, setting, say)


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


def informative_gradient(
    argument: str, *, least: Callable[..., Array] | None = None, tolerance: float = 1e-4
) -> Claim:
    """The gradient is never 0 in float32 where the loss is above its minimum, however far.

    Args:
      argument: its name.
      least: from all arguments and hyper-parameters to the minimum of the loss in this one, for
        each row; infinite where it is not known. 0 by default.
      tolerance: how far above its minimum the loss must be, of 1 and of the minimum.
    """

    def check(subject: Subject) -> Iterator[str]:
        k = subject.names.index(argument)
        seen: list[bool] = []

        def size(setting: Setting, args: list[Array]) -> Array:
            value, slopes = subject.evaluate(args, setting, "float32")
            bottom = np.zeros(len(args[0])) if least is None else least(*args, **setting)
            with np.errstate(invalid="ignore"):
                height = np.where(np.isfinite(total(value)), total(value) - bottom, 0)
            above = height > tolerance * (1 + np.abs(bottom))
            seen.append(bool(above.any()))
            steepest = rowwise(np.abs(slopes[k]), len(above))
            return np.where(above, np.where(steepest > 0, steepest, -1), np.inf)

        for setting, args in worst(subject, size, (*MODES, "extreme")):
            value = total(subject.value(args, setting))
            say = lambda i, v=value: f"no gradient at the value {shown(v[i])}"
            yield from violations(~(size(setting, args) > 0), args, setting, say)
        if not any(seen):
            yield "no sample is above the minimum: the claim was not tested"

    return Claim(f"its gradient in {argument} never dies", check)


def stopped(argument: str, *, like: Callable[..., Array] | None = None, text: str = "") -> Claim:
    """No gradient flows into an argument, or only that of another loss.

    Args:
      argument: its name.
      like: a loss of the same arguments that has the same gradient: this one, with the factor that
        must not be differentiated inside `jax.lax.stop_gradient`. None for no gradient at all.
      text: names that factor.
    """

    def check(subject: Subject) -> Iterator[str]:
        k = subject.names.index(argument)
        for setting, args in samples(subject):
            slope = _slope_in(subject, setting, args, k)
            frozen = np.zeros_like(slope)
            if like is not None:
                frozen = subject.evaluate(args, setting, "float32", like)[1][k]
            slack = 64 * EPSILON["float32"] * _length(frozen)
            say = lambda i, s=slope, f=frozen: f"gradient {s[i]} instead of {f[i]}"
            yield from violations(~(_length(slope - frozen) <= slack), args, setting, say)

    return Claim(f"no gradient flows into {argument}" + (f" through {text}" if text else ""), check)


def _slope_in(subject: Subject, setting: Setting, args: list[Array], k: int) -> Array:
    """Return the gradient in an argument, also in one of which the kind says it has none."""
    if subject.kinds[k].differentiable:
        return subject.slopes(args, setting, "float32")[k]
    program = subject.program(_total_slope, setting)
    arrays, hyper = subject.cast(args, "float32"), subject.hyper(setting, "float32")
    return np.asarray(program(arrays, hyper)[k], np.float64)


def _total_slope(subject: Subject, loss: Callable[..., Array]) -> Callable[..., Any]:
    """Build the gradient in every argument that holds floats; 0 in the others."""

    def program(arrays: list[Any], hyper: dict[str, Any]) -> list[Any]:
        total = lambda arrays: jnp.sum(loss(*arrays, **hyper))
        slopes = jax.grad(total, allow_int=True)(arrays)
        return [
            jnp.zeros(a.shape) if k.discrete else s
            for k, a, s in zip(subject.kinds, arrays, slopes, strict=True)
        ]

    return program
