"""Is it the right number, and is its derivative the derivative of that number?"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxloss.verify import oracle, unrounded
from jaxloss.verify.frame import Note, Outcome, Skip, at, check, rows, under
from jaxloss.verify.precise import Declined
from jaxloss.verify.subject import Subject, precision, rounded_setting

Array = np.ndarray

EPSILON = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
SMALLEST = {"float64": 1e-90, "float32": 1e-36, "float16": 1e-7, "bfloat16": 1e-36}
LARGEST = {"float64": 1e300, "float32": 3.4e38, "float16": 6.5e4}


def _needs_reference(subject: Subject) -> None:
    if subject.reference is None:
        raise Skip("no reference formula was given")


def _per_row(array: Array) -> Array:
    return array.reshape(len(array), -1).sum(axis=-1)


def _backward_scale(exact: oracle.Exact, args: list[Array], slopes: list[Array]) -> Array:
    """Return how much a relative change of the inputs by one may change the value.

    Where the oracle was not asked for a derivative, that of autodiff stands in.
    """
    outputs = np.abs(exact.value).reshape(len(exact.value), -1).shape[1]
    scale = np.zeros(len(exact.value))
    for a, low, high, slope in zip(args, exact.left, exact.right, slopes, strict=True):
        known = np.fmax(np.abs(low), np.abs(high))
        known = np.where(
            np.isnan(known) & (outputs > 1 or a[0].size > oracle.MOST_ENTRIES),
            np.abs(slope),
            np.nan_to_num(known),
        )
        scale = scale + _per_row(np.abs(a * known))
    if outputs > 1:
        # The derivatives are those of the sum, in which those of the single numbers may cancel.
        scale = scale + np.abs(exact.value).reshape(len(scale), -1).max(axis=-1)
    return np.abs(exact.value) + scale.reshape((-1,) + (1,) * (exact.value.ndim - 1))


@check("V1", "value equals the reference formula, to rounding", dtypes=("float64", "float32"))
def value(subject: Subject) -> Outcome:
    """Compare with mpmath, in units of what rounding the inputs would do."""
    _needs_reference(subject)
    for setting in subject.settings:
        for mode in ("generic", "spread", "singular"):
            args = subject.draw(mode)
            exact = subject.exact(mode, setting)
            scale = _backward_scale(exact, args, subject.slopes(args, setting))
            for dtype in (d for d in ("float64", "float32") if d in subject.dtypes):
                rounded = rounded_setting(setting)
                got = subject.value(args, rounded, dtype)
                slack = 16 * EPSILON[dtype] * scale + SMALLEST[dtype]
                with np.errstate(invalid="ignore"):
                    near = np.abs(got - exact.value) <= slack
                wrong = ~near & (exact.value < LARGEST[dtype]) | np.isposinf(exact.value) & (
                    got < LARGEST[dtype]
                )
                say = lambda i, g=got, e=exact.value, w=wrong: "{:.9g} instead of {:.9g}".format(
                    *(np.asarray(x[i])[w[i]].flat[0] for x in (g, e))
                )
                for sentence in rows(wrong, args, say):
                    yield f"{dtype}, {mode}: {sentence}{under(setting)}"


@check("G1", "gradient equals extrapolated differences")
def gradient(subject: Subject) -> Outcome:
    """Reverse mode against Ridders, at generic points in float64, every differentiable argument.

    At the level "exhaustive" both are evaluated in high precision, where that is possible: then
    nothing but a wrong formula can make them differ.
    """
    if subject.level == "exhaustive":
        try:
            yield from _without_rounding(subject)
            return
        except Declined as reason:
            yield Note(f"falls back to Ridders in float64: {reason}")
    # The differences need programs of their own, and so few rows.
    args = [a[:4] for a in subject.draw("generic")]
    for setting in subject.tuned:
        got, difference, error, bent = _along_directions(subject, args, setting)
        size = np.abs(difference).max() if difference.size else 0
        slack = 1e-7 * np.abs(difference) + 20 * error + 1e-12 * size
        # A kink, where a failure may be simplified to, says nothing of a derivative elsewhere.
        wrong = ~(np.abs(got - difference) <= slack) & ~bent
        for i in np.flatnonzero(wrong)[:1]:
            text = (
                f"derivative {got[i]:.9g}, differences say {difference[i]:.9g} "
                f"+- {error[i]:.1g}{under(setting)}"
            )
            row = _row_of(subject, args, i, len(wrong))
            yield at(text, args, row, setting=setting, dtype="float64")


def _row_of(subject: Subject, args: list[Array], direction: int, count: int) -> int:
    """Return the row that a direction moves, the first where it moves all."""
    moving = [a for a, d in zip(args, subject.differentiable, strict=True) if d]
    owners = [i for a in moving for i in np.repeat(np.arange(len(a)), a[0].size)]
    return int(owners[direction]) if count == len(owners) else 0


def _without_rounding(subject: Subject) -> Outcome:
    args = [a[:4] for a in subject.draw("generic")]
    for setting in map(rounded_setting, subject.tuned):
        got = unrounded.rounded(subject, args, setting, "float64").left
        exact = unrounded.exact(subject, args, setting, most=64)
        for name, slope, left, right in zip(
            subject.names, got, exact.left, exact.right, strict=True
        ):
            low, high = np.fmin(left, right), np.fmax(left, right)
            slack = 1e-9 * (np.abs(low) + np.abs(high)) + 1e-60
            wrong = ~((slope >= low - slack) & (slope <= high + slack)) & ~np.isnan(low)
            say = lambda i, g=slope, e=high: f"gradient {g[i]}, differences say {e[i]}"
            for sentence in rows(wrong, args, say):
                yield f"without rounding, d/d{name}: {sentence}{under(setting)}"


def _along_directions(
    subject: Subject, args: list[Array], setting: dict[str, Any]
) -> tuple[Array, Array, Array, Array]:
    """Return gradient, differences and their errors along directions, and where there are kinks."""
    chosen = [i for i, d in enumerate(subject.differentiable) if d]
    at = np.concatenate([args[i].ravel() for i in chosen])
    rng = np.random.default_rng([subject.seed, 1])
    directions = np.eye(at.size) if at.size <= 64 else rng.normal(size=(24, at.size))
    with precision("float64"):
        fixed, hyper = subject.cast(args, "float64"), subject.hyper(setting, "float64")
        shape = jax.eval_shape(lambda f, h: subject.bound(setting)(*f, **h), fixed, hyper).shape
        weights = rng.uniform(0.5, 1.5, shape)
        many, slope = (subject.program(b, setting) for b in (_many_points, _one_slope))
        values = lambda points: np.asarray(many(points, weights, fixed, hyper))
        got = directions @ np.asarray(slope(at, weights, fixed, hyper))
        return got, *oracle.ridders(values, at, directions), _bent(values, at, directions)


def _bent(values: Any, at: Array, directions: Array) -> Array:
    """Tell for each direction whether the slopes of both sides keep their distance close by."""
    size = 1e-2 + np.abs(directions) @ np.abs(at) / np.abs(directions).sum(axis=1)

    def gap(step: float) -> tuple[Array, Array]:
        moves = (step * size)[:, None] * directions
        sides = [values(at + sign * moves) for sign in (-1, 0, 1)]
        rounding = 8 * EPSILON["float64"] * np.abs(sides).max(axis=0)
        return np.abs(sides[0] - 2 * sides[1] + sides[2]) / step, rounding / step

    (far, _), (near, rounding) = gap(1e-5), gap(2.5e-6)
    return (near > 0.5 * far) & (near > 10 * rounding)


def _weighted_sum(subject: Subject, loss: Any) -> Any:
    """Build the weighted sum of the losses as a function of one flat vector."""
    chosen = [i for i, d in enumerate(subject.differentiable) if d]

    def program(x: Any, weights: Any, fixed: Any, hyper: Any) -> Any:
        full, start = list(fixed), 0
        for i in chosen:
            size = fixed[i].size
            full[i] = x[start : start + size].reshape(fixed[i].shape)
            start += size
        return jnp.sum(weights * loss(*full, **hyper))

    return program


def _many_points(subject: Subject, loss: Any) -> Any:
    return jax.vmap(_weighted_sum(subject, loss), (0, None, None, None))


def _one_slope(subject: Subject, loss: Any) -> Any:
    return jax.grad(_weighted_sum(subject, loss))


@check("G2", "forward mode equals reverse mode")
def forward(subject: Subject) -> Outcome:
    """Compare `jvp` with the gradient, in float64, generic and singular points alike."""
    for setting in subject.tuned:
        for mode in ("generic", "singular"):
            args = subject.draw(mode)
            slopes = subject.slopes(args, setting)
            rng = np.random.default_rng([subject.seed, 2])
            moves = [rng.normal(size=a.shape) for a in args]
            with precision("float64"):
                arrays, hyper = subject.cast(args, "float64"), subject.hyper(setting, "float64")
                got = float(subject.program(_tangent, setting)(arrays, moves, hyper))
            expected = sum(float((s * m).sum()) for s, m in zip(slopes, moves, strict=True))
            size = sum(float(np.abs(s * m).sum()) for s, m in zip(slopes, moves, strict=True))
            if not abs(got - expected) <= 1e-11 * size + 1e-300:
                yield f"{mode}: forward {got:.12g}, reverse {expected:.12g}{under(setting)}"


def _tangent(subject: Subject, loss: Any) -> Any:
    chosen = [i for i, d in enumerate(subject.differentiable) if d]

    def program(arrays: Any, moves: Any, hyper: Any) -> Any:
        def total(*moving: Any) -> Any:
            full = list(arrays)
            for i, m in zip(chosen, moving, strict=True):
                full[i] = m
            return jnp.sum(loss(*full, **hyper))

        return jax.jvp(total, [arrays[i] for i in chosen], [moves[i] for i in chosen])[1]

    return program


@check("H1", "second derivatives agree, and are finite")
def second(subject: Subject) -> Outcome:
    """Compare both orders of differentiation with differences of the gradient, in float64."""
    if not any(subject.differentiable):
        raise Skip("no differentiable argument")
    k = subject.differentiable.index(True)
    for setting in subject.tuned:
        for mode in ("generic", "singular"):
            args = subject.draw(mode)
            move = np.random.default_rng([subject.seed, 4]).normal(size=args[k].shape)
            with precision("float64"):
                arrays, hyper = subject.cast(args, "float64"), subject.hyper(setting, "float64")
                both = subject.program(_curvature, setting)(arrays, jnp.asarray(move), hyper)
                one, two = (np.asarray(p) for p in both)
            lost = ~(np.isfinite(one) & np.isfinite(two))
            say = lambda i, a=one: f"second derivatives {a[i]}"
            for sentence in rows(lost, args, say, setting=setting, dtype="float64"):
                yield f"{mode}: {sentence}{under(setting)}"
            if not lost.any() and not np.abs(one - two).max() <= 1e-9 * (np.abs(one).max() + 1e-12):
                yield f"{mode}: the two orders of differentiation differ{under(setting)}"
            if mode == "generic":
                yield from _against_differences(subject, k, args, move, setting, one)


def _curvature(subject: Subject, loss: Any) -> Any:
    """Build the Hessian's product with a direction, by both orders of differentiation."""
    k = subject.differentiable.index(True)

    def program(arrays: Any, move: Any, hyper: Any) -> Any:
        slope = jax.grad(lambda x: jnp.sum(loss(*arrays[:k], x, *arrays[k + 1 :], **hyper)))
        forward = jax.jvp(slope, (arrays[k],), (move,))[1]
        return forward, jax.grad(lambda x: jnp.vdot(slope(x), move))(arrays[k])

    return program


def _against_differences(
    subject: Subject, k: int, args: list[Array], move: Array, setting: Any, got: Array
) -> Outcome:
    step = 1e-5
    up, down = ([*args[:k], args[k] + s * step * move, *args[k + 1 :]] for s in (1, -1))
    above, below = (subject.slopes(at, setting)[k] for at in (up, down))
    rise = (above - below) / (2 * step)
    rounding = 4 * EPSILON["float64"] * np.abs(above).max() / step
    wrong = np.abs(got - rise) > 1e-5 * (np.abs(rise) + np.abs(rise).max() + 1e-6) + rounding
    say = lambda i: f"{got[i]} against {rise[i]} by differences"
    for sentence in rows(wrong, args, say):
        yield f"{sentence}{under(setting)}"


@check("K1", "gradient at singular points lies between the one-sided derivatives")
def kinks(subject: Subject) -> Outcome:
    """A smooth point with another derivative fails; a true kink is a note."""
    kinked = set()
    for setting in subject.settings:
        args = subject.draw("singular")
        exact = subject.exact("singular", setting)
        rounded = rounded_setting(setting)
        got = subject.slopes(args, rounded)
        for k, name in enumerate(subject.names):
            low, high = (
                np.fmin(exact.left[k], exact.right[k]),
                np.fmax(exact.left[k], exact.right[k]),
            )
            slack = 1e-6 * (1 + np.abs(low) + np.abs(high))
            with np.errstate(invalid="ignore"):
                wrong = (got[k] < low - slack) | (got[k] > high + slack) | np.isnan(got[k])
                bent = high - low > slack
            wrong &= ~np.isnan(low)
            say = lambda i, g=got[k], a=low, b=high, w=wrong, s=bent: _outside(
                *(x[i][w[i]].flat[0] for x in (g, a, b, s))
            )
            for sentence in rows(wrong, args, say):
                yield f"d/d{name}: {sentence}{under(setting)}"
            if bent.any():
                kinked.add(name)
    if kinked:
        yield Note(f"kinks in {', '.join(sorted(kinked))}, the gradient within their bounds")


def _outside(got: float, low: float, high: float, bent: bool) -> str:
    """Say what is wrong with a gradient that lies outside of the one-sided derivatives."""
    if bent:
        return f"gradient {got:.9g} outside [{low:.9g}, {high:.9g}]"
    return f"false kink: smooth (left = right = {high:.9g}), but the gradient is {got:.9g}"


CHECKS = (value, gradient, forward, second, kinks)
