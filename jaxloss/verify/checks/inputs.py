"""What happens at the edge: singular, extreme, infinite, invalid and masked inputs."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from jaxloss.catalog.claims import Fault
from jaxloss.verify.checks.values import LARGEST
from jaxloss.verify.frame import Note, Outcome, Skip, at, check, rows, under
from jaxloss.verify.subject import Subject, is_static

Array = np.ndarray


@check("S1", "finite value and gradient at singular points")
def singular(subject: Subject) -> Outcome:
    """Zeros, ties, equal inputs, boundaries: nothing may be NaN or infinite, in float32."""
    for setting in subject.settings:
        args = subject.draw("singular")
        value, slopes = subject.evaluate(args, setting)
        yield from rows(
            ~np.isfinite(value), args, lambda i, v=value, s=setting: f"value {v[i]}{under(s)}"
        )
        for name, slope in zip(subject.names, slopes, strict=True):
            say = lambda i, g=slope, n=name, s=setting: f"d/d{n} is {g[i]}{under(s)}"
            yield from rows(~np.isfinite(slope), args, say)


@check("S2", "extreme inputs overflow only where mathematics does")
def extreme(subject: Subject) -> Outcome:
    """Never NaN; infinite in float32 only where the float64 result does not fit."""
    for setting in subject.settings:
        args = subject.draw("extreme")
        value, slopes = subject.evaluate(args, setting)
        wide, wide_slopes = subject.evaluate(args, setting, "float64")
        for name, got, truth in zip(
            ("value", *(f"d/d{n}" for n in subject.names)),
            (value, *slopes),
            (wide, *wide_slopes),
            strict=True,
        ):
            fits = np.abs(truth) < LARGEST["float32"]
            wrong = np.isnan(got) & (name == "value") | ~np.isfinite(got) & fits
            text = f"{name}{under(setting)}"
            say = lambda i, g=got, t=truth, n=text: (
                f"{n} is {g[i]}, in float64 {'too' if np.isnan(t[i]).any() else t[i]}"
            )
            yield from rows(wrong, args, say)


@check("S3", "an impossible value makes value and gradient NaN")
def invalid(subject: Subject) -> Outcome:
    """A label out of range must not become a plausible number, nor leave a finite gradient.

    Of losses that do not follow this library's laws a real number may be more than a label says.
    """
    if not any(k.invalid.size for k in subject.kinds):
        raise Skip("no argument has impossible values")
    for k, kind in enumerate(subject.kinds):
        severe = kind.discrete or subject.strict
        for bad in kind.invalid:
            args = [np.copy(a) for a in subject.draw("generic")]
            args[k][0] = bad
            value, slopes = subject.evaluate(args, subject.default)
            # The gradient that trains a model is the first argument's.
            flows = not subject.differentiable[0] or np.isnan(slopes[0][0]).any()
            if not (np.isnan(value[0]).all() and flows):
                text = f"{subject.names[k]}={bad}: value {value[0]}, gradient {slopes[0][0]}"
                fault = at(text, args, 0)
                yield fault if severe else Note(fault)


@check("S4", "infinite inputs give the limit")
def infinite(subject: Subject) -> Outcome:
    """A logit of infinity gives what ever larger logits tend to, and no NaN gradient."""
    if not any(k.infinite.size for k in subject.kinds):
        raise Skip("no argument has meaningful infinities")
    for setting in subject.settings:
        for k, kind in enumerate(subject.kinds):
            for row, near in zip(kind.infinite, kind.towards, strict=True):
                args = [np.copy(a) for a in subject.draw("spread")]
                finite = [np.copy(a) for a in args]
                further = [np.copy(a) for a in args]
                args[k][:], finite[k][:], further[k][:] = (
                    row,
                    near,
                    np.where(np.isinf(row), 2 * near, near),
                )
                got, slopes = subject.evaluate(args, setting)
                here, there = (subject.value(a, setting, "float64") for a in (finite, further))
                with np.errstate(invalid="ignore"):
                    settled = np.abs(there - here) <= 1e-9 * (1 + np.abs(here))
                    right = np.where(
                        settled, np.abs(got - here) <= 1e-5 * (1 + np.abs(here)), np.isposinf(got)
                    )
                text = under(setting)
                limit = np.where(settled, here, np.inf)
                say = lambda i, g=got, h=limit, t=text: f"value {g[i]}, limit {h[i]:g}{t}"
                yield from rows(~right, args, say)
                nan = np.isnan(slopes[k]).reshape(len(right), -1).any(-1)
                nan = nan & settled.reshape(len(right), -1).all(-1)
                yield from rows(nan, args, lambda i, s=slopes[k]: f"gradient {s[i]}")


@check("S5", "NaN is passed on")
def not_a_number(subject: Subject) -> Outcome:
    """A NaN in any floating argument makes that example's loss NaN."""
    for k, kind in enumerate(subject.kinds):
        if kind.discrete:
            continue
        # Nothing is left out: a mask among the arguments says yes.
        args = [a | True if a.dtype == bool else np.copy(a) for a in subject.draw("generic")]
        args[k][0] = np.nan
        value = subject.value(args, subject.default)
        if not np.isnan(value.ravel()[0] if value.ndim else value):
            yield at(f"NaN in {subject.names[k]}: value {value.ravel()[0]}", args, 0)


def _needs_masks(subject: Subject) -> None:
    if not subject.masks:
        raise Skip("the loss takes no where=")


def _garbage(kind: Any, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Return what may stand behind a mask: anything."""
    if kind.discrete:
        return rng.choice([-100, 255, -1], shape)
    return rng.choice([np.nan, np.inf, -np.inf, 1e30, -1e30], shape)


@check("M1", "what is masked is 0 and is not looked at")
def masks(subject: Subject) -> Outcome:
    """Garbage behind the mask changes no bit of value or gradient, and gets exact zeros."""
    _needs_masks(subject)
    args = subject.draw("generic")
    rng = np.random.default_rng([subject.seed, 5])
    for setting in subject.ends:
        for where in _mask_shapes(subject, args, rng):
            yield from _behind(subject, args, setting, where, rng)
        nothing = _of_examples(subject, args, np.zeros(len(args[0]), bool))
        value, slopes = subject.evaluate(args, setting, where=nothing)
        if value.any() or any(s.any() for s in slopes):
            yield f"all masked: value {value[0]} or gradient is not 0{under(setting)}"


def _mask_shapes(subject: Subject, args: list[Array], rng: np.random.Generator) -> list[Array]:
    """Return masks of examples, and of the entries of an event where there is one."""
    examples = _of_examples(subject, args, rng.random(len(args[0])) < 0.6)
    shapes = (args[0].shape[:ndim] for ndim in range(2, args[0].ndim + 1))
    entries = (rng.random(shape) < 0.7 for shape in shapes)
    return [examples, *(where for where in entries if _accepts(subject, args, where))]


def _of_examples(subject: Subject, args: list[Array], where: Array) -> Array:
    """Return a mask of examples as the loss takes it: some want one for each entry of an event."""
    if subject.strict or _accepts(subject, args, where):
        return where
    tail = (1,) * (args[0].ndim - 1)
    return np.broadcast_to(where.reshape(where.shape + tail), args[0].shape)


def _accepts(subject: Subject, args: list[Array], where: Array) -> bool:
    """Tell whether a loss can leave out entries of an event; some can only leave out examples."""
    arrays = subject.cast(args, "float32")
    try:
        jax.eval_shape(lambda: subject.loss(*arrays, where=where, **subject.default))
    except (ValueError, TypeError):
        return False
    return True


def _visible(where: Array, ndim: int) -> Array:
    """Return a mask for an array of fewer axes: what is visible in any of its entries."""
    return np.asarray(where.any(axis=tuple(range(ndim, where.ndim))))


def _behind(
    subject: Subject,
    args: list[Array],
    setting: dict[str, Any],
    where: Array,
    rng: np.random.Generator,
) -> Outcome:
    dirty, hidden = [], []
    for kind, a in zip(subject.kinds, args, strict=True):
        # An integer label belongs to its example: a mask of entries does not hide it.
        mask = _visible(where, a.ndim)
        mask = np.broadcast_to(mask.reshape(mask.shape + (1,) * (a.ndim - mask.ndim)), a.shape)
        hidden.append(~mask)
        dirty.append(np.where(mask, a, _garbage(kind, rng, a.shape)))
    clean = subject.evaluate(args, setting, where=where)
    value, slopes = subject.evaluate(dirty, setting, where=where)
    kind_of_mask = f"mask of shape {where.shape}{under(setting)}"
    gone = ~_visible(where, value.ndim)
    # A mask of examples covers all the numbers of a loss that has several for one.
    covered = gone.reshape(gone.shape + (1,) * (value.ndim - gone.ndim))
    wrong = [
        (value != clean[0], "garbage behind it changes the value"),
        (covered & (value != 0), f"value {value[gone]} where masked"),
    ]
    for name, slope, before, unseen in zip(subject.names, slopes, clean[1], hidden, strict=True):
        wrong.append((slope != before, f"garbage behind it changes d/d{name}"))
        wrong.append((unseen & (slope != 0), f"d/d{name} is not 0 where masked"))
    for rows_at_fault, text in wrong:
        if rows_at_fault.any():
            column = np.atleast_1d(rows_at_fault)
            first = int(np.argmax(column.reshape(len(column), -1).any(axis=-1)))
            yield at(f"{kind_of_mask}: {text}", dirty, first)


@check("M2", "a mask of examples leaves the others alone")
def others(subject: Subject) -> Outcome:
    """The unmasked examples have the loss they have without a mask."""
    _needs_masks(subject)
    args = subject.draw("generic")
    seen = np.arange(len(args[0])) % 3 > 0
    where = _of_examples(subject, args, seen)
    for setting in subject.ends:
        plain = subject.value(args, setting)
        masked = subject.value(args, setting, where=where)
        rows_seen = seen.reshape(seen.shape + (1,) * (plain.ndim - 1))
        wrong = rows_seen & (np.abs(masked - plain) > 1e-5 * (1e-3 + np.abs(plain)))
        yield from rows(wrong, args, lambda i, a=masked, b=plain: f"{a[i]} instead of {b[i]}")


@check("M3", "examples do not see each other")
def independent(subject: Subject) -> Outcome:
    """Reordering the examples reorders the losses, and equal examples have equal losses."""
    args = subject.draw("generic")
    order = np.random.default_rng([subject.seed, 6]).permutation(len(args[0]))
    for setting in subject.settings:
        value = subject.value(args, setting)
        if value.ndim == 0 or len(value) != len(args[0]):
            raise Skip("the loss does not return one value for each example")
        moved = subject.value([a[order] for a in args], setting)
        wrong = np.abs(moved - value[order]) > 1e-5 * (1e-3 + np.abs(moved))
        yield from rows(wrong, args, lambda i, a=moved, b=value: f"{a[i]} after reordering")
        twice = np.arange(len(args[0])) // 2
        doubled = subject.value([a[twice] for a in args], setting)
        wrong = np.abs(doubled - value[twice]) > 1e-5 * (1e-3 + np.abs(doubled))
        say = lambda i, a=doubled, b=value[twice]: f"{a[i]} instead of {b[i]} beside its double"
        yield from rows(wrong, [a[twice] for a in args], say)


@check("E1", "shapes and dtypes that do not fit are refused by name")
def misfits(subject: Subject) -> Outcome:
    """An axis too many, a string, integers for predictions: errors that say what and where."""
    if not subject.strict:
        raise Skip("only asked of losses that follow this library's laws")
    # In NumPy, where to give an array another shape compiles nothing.
    arrays = [np.asarray(a) for a in subject.cast(subject.draw("generic"), "float32")]
    for k in range(1, len(arrays)):
        crooked = [a[:, None] if i == k else a for i, a in enumerate(arrays)]
        yield from _refused(subject, crooked, ValueError, subject.names[k])
    numbers = [arrays[0].astype("int32"), *arrays[1:]]
    yield from _refused(subject, numbers, TypeError, subject.names[0])
    yield from _refused(subject, ["three", *arrays[1:]], TypeError, subject.names[0])
    if subject.masks:
        short = arrays[0].reshape(-1)[:1] > 0
        yield from _refused(subject, arrays, ValueError, "where", where=short)


def _refused(
    subject: Subject, args: list[Any], kind: type[Exception], argument: str, **more: Any
) -> Outcome:
    try:
        # Traced, not run: these errors are promised at trace time.
        jax.eval_shape(lambda: subject.loss(*args, **(subject.default | more)))
    except kind as error:
        if argument not in str(error) or not _names_function(subject, str(error)):
            yield f"{argument}: the message does not name function and argument: {error}"
    except Exception as error:
        yield f"{argument}: {type(error).__name__} instead of {kind.__name__}: {error}"
    else:
        yield f"{argument}: accepted"


def _names_function(subject: Subject, message: str) -> bool:
    return message.split(":")[0] in (subject.name, getattr(subject.loss, "__name__", ""))


@check("E3", "an axis too many does not make pairs of all examples")
def broadcast(subject: Subject) -> Outcome:
    """`(n,)` with `(n, 1)` must not become `(n, n)`: a mean of it trains, on the wrong pairs.

    Of losses that do not follow this library's laws it is said, and not a failure: most do it.
    """
    arrays = subject.cast(subject.draw("generic"), "float32")
    if len(arrays) < 2:
        raise Skip("there is only one argument")
    expected = _size(subject, arrays)
    for k in (k for k in range(1, len(arrays)) if arrays[k].ndim):
        crooked = [a[:, None] if i == k else a for i, a in enumerate(arrays)]
        if (got := _size(subject, crooked)) > expected:
            shapes = f"{arrays[0].shape} with {subject.names[k]} of {crooked[k].shape}"
            text = f"{shapes}: {got} values instead of {expected}, or of an error"
            fault = Fault(text, [np.asarray(a[:3]) for a in crooked], (), dtype="float32")
            yield fault if subject.strict else Note(fault)


def _size(subject: Subject, arrays: list[Any]) -> int:
    """Return how many values a loss has, 0 where it refuses its arguments."""
    try:
        with jax.numpy_rank_promotion("allow"):
            return int(jax.eval_shape(lambda: subject.loss(*arrays, **subject.default)).size)
    except Exception:
        return 0


@check("E2", "impossible hyper-parameters raise, or give NaN when traced")
def impossible(subject: Subject) -> Outcome:
    """Known while tracing: `ValueError`. Known only later: NaN, never a plausible number."""
    if not subject.impossible:
        raise Skip("no hyper-parameter has impossible values")
    args = subject.draw("generic")
    arrays = subject.cast(args, "float32")
    for name, bad_ones in subject.impossible.items():
        for bad in bad_ones:
            yield from _refused(subject, arrays, ValueError, name, **{name: bad})
            if np.ndim(bad) == 0 and not is_static(bad):
                setting = next((s for s in subject.settings if name in s), subject.default)
                value = subject.value(args, {**setting, name: bad})
                if not np.isnan(value).all():
                    yield f"{name}={bad} when traced: value {value.ravel()[0]}"


CHECKS = (
    singular, extreme, invalid, infinite, not_a_number,
    masks, others, independent, misfits, impossible, broadcast,
)  # fmt: skip
