"""What leaves a loss unchanged."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from jaxloss.catalog.claims.frame import EPSILON, Claim, Subject, differ, samples, shown, violations


def symmetric() -> Claim:
    """Unchanged when the first two arguments change places."""

    def check(subject: Subject) -> Iterator[str]:
        for setting, args in samples(subject):
            there = subject.value(args, setting)
            back = subject.value([args[1], args[0], *args[2:]], setting)
            slack = 8 * EPSILON["float32"] * np.maximum(abs(there), 1e-30)
            wrong = differ(there, back, slack)
            say = lambda i, a=there, b=back: f"{shown(a[i])} one way, {shown(b[i])} the other"
            yield from violations(wrong, args, setting, say)

    return Claim("symmetric", check)


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
                slack = 16 * EPSILON["float32"] * np.maximum(abs(before), 1e-3)
                wrong = differ(after, before, slack)
                say = lambda i, a=before, b=after, c=shift: (
                    f"{shown(a[i])} becomes {shown(b[i])} by {c:+g}"
                )
                yield from violations(wrong, args, setting, say)

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
