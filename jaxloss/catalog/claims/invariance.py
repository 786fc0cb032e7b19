"""What leaves a loss unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from jaxloss.catalog.claims.frame import (
    EPSILON,
    Array,
    Claim,
    Setting,
    Subject,
    column,
    differ,
    halves_of,
    samples,
    sensitivity,
    shown,
    violations,
)

# Sums in another order are rounded in another way.
_ROUNDING = 1e-11


def symmetric() -> Claim:
    """Unchanged when the first two arguments change places."""

    def check(subject: Subject) -> Iterator[str]:
        for setting, args in samples(subject):
            there, slopes = subject.evaluate(args, setting)
            back = subject.value([args[1], args[0], *args[2:]], setting)
            scale = abs(there) + column(sensitivity(args, slopes), there)
            slack = 8 * EPSILON["float32"] * np.maximum(scale, 1e-30)
            wrong = differ(there, back, slack)
            say = lambda i, a=there, b=back: f"{shown(a[i])} one way, {shown(b[i])} the other"
            yield from violations(wrong, args, setting, say)

    return Claim("symmetric", check)


def shift_invariant(argument: str) -> Claim:
    """Unchanged when a constant is added to a vector; the shifts are exact in the dtype."""

    def check(subject: Subject) -> Iterator[str]:
        k = subject.names.index(argument)
        for setting in subject.settings:
            args = subject.draw("generic")
            args[k] = np.round(args[k] * 256) / 256
            yield from _shifted(subject, k, args, setting, "float32", (1.0, -64.0, 4096.0))
            yield from _shifted(subject, k, *_far(k, args, "float32", setting))

    def halves(subject: Subject) -> Iterator[str]:
        k = subject.names.index(argument)
        for setting, dtype in product(subject.settings, halves_of(subject)):
            yield from _shifted(subject, k, *_far(k, subject.coarse(), dtype, setting))

    return Claim(f"shift-invariant in {argument}", check, halves)


def _far(k: int, args: list[Array], dtype: str, setting: Setting) -> Any:
    """Return even numbers and the largest shift that keeps them exact, for `_shifted`."""
    even = [2 * np.round(a) if i == k else a for i, a in enumerate(args)]
    return even, setting, dtype, (2 / EPSILON[dtype],)


def _shifted(
    subject: Subject, k: int, args: list[Array], setting: Setting, dtype: str, shifts: Any
) -> Iterator[str]:
    before = subject.forward(args, setting, dtype)
    for shift in shifts:
        moved = [a + shift if i == k else a for i, a in enumerate(args)]
        after = subject.forward(moved, setting, dtype)
        slack = 16 * EPSILON[dtype] * np.maximum(abs(before), 1e-3)
        say = lambda i, b=after, c=shift: (
            f"{dtype}: {shown(before[i])} becomes {shown(b[i])} by {c:+g}"
        )
        yield from violations(differ(after, before, slack), args, setting, say)


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
                wrong = differ(after, before, 8 * EPSILON["float32"])
                say = lambda i, a=before, b=after, c=scale: (
                    f"{shown(a[i])} becomes {shown(b[i])} times {c:g}"
                )
                yield from violations(wrong, args, setting, say)

    return Claim(f"scale-invariant in {argument}", check)


def homogeneous(degree: int) -> Claim:
    """Multiplying every argument by `c > 0` multiplies the loss by `c^degree`."""

    def check(subject: Subject) -> Iterator[str]:
        for setting in subject.settings:
            args = subject.draw("generic")
            before = subject.value(args, setting)
            for scale in (0.5, 4.0, 1024.0):
                after = subject.value([scale * a for a in args], setting)
                wrong = differ(after, scale**degree * before, 8 * EPSILON["float32"] * abs(after))
                say = lambda i, a=before, b=after, c=scale: (
                    f"{shown(a[i])} becomes {shown(b[i])} times {c:g}"
                )
                yield from violations(wrong, args, setting, say)

    return Claim(f"homogeneous of degree {degree}", check)


def translation_invariant(*arguments: str, text: str = "") -> Claim:
    """Unchanged when all vectors of some arguments are moved by the same vector, exactly."""

    def check(subject: Subject) -> Iterator[str]:
        chosen = [subject.names.index(name) for name in arguments]
        for setting in subject.settings:
            args = subject.draw("generic")
            for k in chosen:
                args[k] = np.round(args[k] * 256) / 256
            before = subject.value(args, setting, "float64")
            for size in (1.0, -64.0):
                moved = list(args)
                for k in chosen:
                    # Another step for each component, the same for every vector.
                    moved[k] = args[k] + size * (1 + np.arange(args[k].shape[-1]) / 4)
                after = subject.value(moved, setting, "float64")
                wrong = differ(after, before, _ROUNDING * (1 + abs(before)))
                say = lambda i, a=before, b=after: f"{shown(a[i])} becomes {shown(b[i])}"
                yield from violations(wrong, moved, setting, say)

    return Claim(text or f"unchanged when {_list(arguments)} are moved by one vector", check)


def permutation_invariant(
    *arguments: str, axis: int = 0, indices: tuple[str, ...] = (), text: str = ""
) -> Claim:
    """Unchanged when the entries of an event change places, in all arguments alike.

    Args:
      *arguments: their names; all of them by default.
      axis: of the event, 0 the first.
      indices: arguments of integers that count along this axis; they are relabelled.
      text: says what changes places.
    """

    def check(subject: Subject) -> Iterator[str]:
        for setting, args in samples(subject):
            after = _reordered(subject, args, arguments, axis, indices)[0]
            yield from _moved(subject, setting, args, after, None)

    told = f" of {_list(arguments)}" if arguments else ""
    return Claim(text or f"unchanged when the entries{told} change places", check)


def permutation_equivariant(*arguments: str, axis: int = 0, text: str = "") -> Claim:
    """When the entries of an event change places, in all arguments alike, so do their losses.

    The arguments are as for `permutation_invariant`.
    """

    def check(subject: Subject) -> Iterator[str]:
        for setting in subject.settings:
            args = subject.draw("generic")
            after, order = _reordered(subject, args, arguments, axis, ())
            yield from _moved(subject, setting, args, after, order)

    return Claim(text or f"reordering {_list(arguments) or 'all'} reorders the losses", check)


def _list(names: tuple[str, ...]) -> str:
    return " and ".join(names)


def _reordered(
    subject: Subject,
    args: list[Array],
    arguments: tuple[str, ...],
    axis: int,
    indices: tuple[str, ...],
) -> tuple[list[Array], Array]:
    after = list(args)
    order = np.zeros(0, int)
    for name in arguments or subject.names:
        k = subject.names.index(name)
        if not order.size:
            # Rolled until it is no identity, which would say nothing.
            order = subject.rng.permutation(args[k].shape[1 + axis])
            order = np.roll(order, int((order == np.arange(len(order))).all()))
        after[k] = np.take(args[k], order, axis=1 + axis)
    for name in indices:
        k = subject.names.index(name)
        after[k] = np.argsort(order)[args[k]]
    return after, order


def _moved(
    subject: Subject, setting: Any, args: list[Array], after: list[Array], order: Array | None
) -> Iterator[str]:
    before, there = (subject.value(a, setting, "float64") for a in (args, after))
    expected = before if order is None else before[:, order]
    wrong = differ(there, expected, _ROUNDING * (1 + abs(expected)))
    say = lambda i: f"{shown(expected[i])} becomes {shown(there[i])}"
    yield from violations(wrong, args, setting, say)
