"""What mathematics says of losses of two samples in particular."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from jaxloss.catalog import claims
from jaxloss.catalog.claims import Claim


def _far(subject: Any, apart: float) -> list[np.ndarray]:
    """Return generic samples, the second moved away so that the supports are disjoint."""
    x, y = subject.draw("generic")
    return [x, y + apart]


def pulls() -> Claim:
    """Every member is pulled with its whole share however far apart the samples are."""

    def check(subject: Any) -> Iterator[str]:
        for apart in (1e2, 1e5, 1e8):
            args = _far(subject, apart)
            slope = subject.slopes(args, subject.settings[0])[0]
            expected = -np.ones_like(slope) / slope.shape[-1]
            if not np.allclose(slope, expected, rtol=1e-12):
                yield f"gradient {slope[0]} where the supports are {apart:g} apart"

    return claims.holds("its gradient does not vanish for disjoint supports, by default", check)


def moves_with_the_means(factor: float) -> Claim:
    """Far apart, the samples' total gradient does not vanish."""

    def check(subject: Any) -> Iterator[str]:
        for apart in (1e2, 1e4):
            args = _far(subject, apart)
            pull = np.linalg.norm(subject.slopes(args, subject.settings[0])[0].sum(axis=1), axis=-1)
            if (pull < factor).any():
                yield f"total gradient {pull.min():g} where the supports are {apart:g} apart"

    return claims.holds("its gradient does not vanish for disjoint supports, by default", check)


def fades() -> Claim:
    """The gradient dies where the supports are many bandwidths apart."""

    def check(subject: Any) -> Iterator[str]:
        near, far = (subject.slopes(_far(subject, d), subject.settings[0]) for d in (0.0, 1e3))
        across, before = (np.abs(slope[1].sum(axis=1)).max() for slope in (far, near))
        if not across < 1e-12 < before:
            yield f"total gradient {across:g} at a distance of a thousand bandwidths"

    return claims.holds("the samples stop pulling at each other far apart, by default", check)


def to_rounding(text: str, change: Callable[..., Any], expected: Callable[..., Any]) -> Claim:
    """The loss of changed arguments is a function of the loss, up to rounding of the costs."""

    def check(subject: Any) -> Iterator[str]:
        setting = subject.settings[0]
        for mode in ("generic", "singular"):
            args = subject.draw(mode)
            scale = np.square(np.concatenate(args, axis=1)).sum(axis=(1, 2))
            before = subject.value(args, setting, "float64")
            after = subject.value(change(*args), setting, "float64")
            wrong = np.abs(after - expected(before)) > 64 * claims.EPSILON["float64"] * (1 + scale)
            say = lambda i, a=after, b=before: f"{a[i]:.9g} against {b[i]:.9g}"
            yield from claims.violations(wrong, args, setting, say)

    return claims.holds(f"{text}, to rounding, by default", check)


def zero_to_rounding() -> Claim:
    """Zero for equal samples, as far as the costs are not rounded."""
    return to_rounding("zero for equal samples", lambda x, y: [y, y], lambda value: 0 * value)


def symmetric_to_rounding() -> Claim:
    """Unchanged when the samples change places."""
    return to_rounding("symmetric", lambda x, y: [y, x], lambda value: value)


def squared_gap(x: Any, y: Any, *, where: Any = None) -> Any:
    """Squared distance of the samples' means."""
    return ((x.mean(axis=-2) - y.mean(axis=-2)) ** 2).sum(axis=-1)
