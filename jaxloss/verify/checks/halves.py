"""What a loss gives in half precision: its values, and what is claimed of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxloss.verify import half_rows
from jaxloss.verify.checks.values import EPSILON, LARGEST, SMALLEST
from jaxloss.verify.frame import Note, Outcome, Skip, check, rows, under
from jaxloss.verify.subject import HALF, Subject, rounded_setting

Array = np.ndarray


@check("V5", "half precision gives the float64 result, to rounding", dtypes=HALF)
def halves(subject: Subject) -> Outcome:
    """Values in bfloat16 and float16 against float64 of the same rounded inputs, and no NaN.

    Of losses that do not follow this library's laws it is said, and not a failure: what overflows
    where it is computed as it comes is no wrong formula.
    """
    _needs_rounded_rows(subject)
    say = str if subject.strict else Note
    for setting in subject.tuned:
        args = subject.halves()
        exact, steep = _in_parts(subject, args, setting)
        # What is subtracted within may be as large as the inputs, however small the slopes' sum.
        steepest = np.max([np.nan_to_num(np.abs(s)).reshape(len(s), -1).max(-1) for s in steep], 0)
        sizes = steepest * sum(np.abs(a).reshape(len(a), -1).sum(axis=-1) for a in args)
        scale = np.abs(exact) + sizes.reshape((-1,) + (1,) * (exact.ndim - 1))
        for dtype in (d for d in HALF if d in subject.dtypes):
            got, slopes = subject.evaluate(args, rounded_setting(setting), dtype)
            slack = 32 * EPSILON["float32" if subject.strict else dtype] * scale
            # Below a part in 10^12 the float64 result is rounding itself.
            slack = slack + SMALLEST[dtype] + 1e-12
            fits = np.abs(exact) < LARGEST["float16"]
            with np.errstate(invalid="ignore"):
                wrong = ~(np.abs(got - exact) <= slack) & fits
            text = lambda i, g=got, e=exact: f"{g[i]:.9g} instead of {e[i]:.9g}"
            for sentence in rows(wrong, args, text):
                yield say(f"{dtype}: {sentence}{under(setting)}")
            for name, slope, truth in zip(subject.names, slopes, steep, strict=True):
                lost = ~np.isfinite(slope) & (np.abs(truth) < LARGEST["float16"])
                text = lambda i, g=slope, e=truth: f"{g[i]} instead of {e[i]}"
                for sentence in rows(lost, args, text):
                    yield say(f"{dtype}, d/d{name}: {sentence}{under(setting)}")


def _needs_rounded_rows(subject: Subject) -> None:
    args = zip(subject.names, subject.kinds, subject.draw("generic"), strict=True)
    for name, kind, column in args:
        free = kind.discrete or kind.steps != "swap"
        if not free and (half_rows.rounded(column) != column).any():
            raise Skip(f"rounded to half precision, {name} would be something else")


def _in_parts(subject: Subject, args: list[Array], setting: Any) -> tuple[Array, list[Array]]:
    """Return values and gradients in float64, in as many rows at a time as have a program."""
    rounded, rows = rounded_setting(setting), subject.rows
    parts = [
        subject.evaluate([a[i : i + rows] for a in args], rounded, "float64")
        for i in range(0, len(args[0]), rows)
    ]
    values, slopes = zip(*parts, strict=True)
    if values[0].ndim == 0:
        raise Skip("the loss returns one number for the whole batch")
    return np.concatenate(values), [np.concatenate(s) for s in zip(*slopes, strict=True)]


@check("V4", "what is claimed holds in half precision too", dtypes=HALF)
def claimed(subject: Subject) -> Outcome:
    """Signs and invariances, in bfloat16 and float16."""
    _needs_rounded_rows(subject)
    asked = [c for c in subject.claims if c.halves]
    if not asked:
        raise Skip("nothing is claimed that half precision could break")
    for claim in asked:
        assert claim.halves is not None
        for sentence in claim.halves(subject):
            yield f"{claim}: {sentence}"


CHECKS = (halves, claimed)
