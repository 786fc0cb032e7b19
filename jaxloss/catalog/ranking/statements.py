"""Kinds of arguments and claims that the losses of rankings share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from jaxloss.catalog import claims, kinds

ITEMS = 5
WEIGHTS = [[float((3 * i + 5 * j) % 4) / 2 for j in range(ITEMS)] for i in range(ITEMS)]
SEGMENTS = (0, 0, 1, 1, 1)

SCORES = replace(kinds.logits(ITEMS), name=f"scores of {ITEMS} items")
_large = SCORES.extreme
# Scores that are multiplied by their ranks, and must be finite: none at the end of float32.
FINITE_SCORES = replace(
    SCORES,
    extreme=_large[np.abs(_large).max(axis=-1) < 1e35],
    infinite=np.zeros(0),
    towards=np.zeros(0),
)


def _apart(rng: np.random.Generator, n: int) -> np.ndarray:
    """Return scores so far apart that no difference quotient meets a tie, a kink."""
    grid = np.tile(np.linspace(-2.5, 2.5, ITEMS), (n, 1)) + rng.uniform(-0.3, 0.3, (n, ITEMS))
    return rng.permuted(grid, axis=1)


# For losses that look at the best item only, and bend where two of them tie.
PEAKED_SCORES = replace(SCORES, generic=_apart)

# Of ordinary size, as they are multiplied by ranks before they are compared.
APART_SCORES = replace(
    FINITE_SCORES,
    generic=_apart,
    spread=lambda rng, n: (
        10 ** rng.uniform(-3, 0.6, (n, ITEMS)) * rng.choice([-1.0, 1.0], (n, ITEMS))
    ),
)
REAL_GRADES = kinds.relevance(ITEMS)
GRADES = replace(
    REAL_GRADES, invalid=np.array([[0.0, 1.0, -1.0, 2.0, 0.0], [-100.0, 3.0, 1.0, 2.0, 0.0]])
)
GRADED = {"scores": SCORES, "relevance": GRADES}
ORDERED = {"scores": SCORES, "relevance": REAL_GRADES}


def unordered() -> claims.Claim:
    """The items of a list may change places, with their grades."""
    # Not with segments, which belong to places in the list.
    alike = claims.by_default(claims.permutation_invariant())
    return claims.holds("unchanged when the items of a list change places", alike.check)


def silent() -> claims.Claim:
    """A list without a relevant item costs nothing and has no gradient."""

    def check(subject: Any) -> Iterator[str]:
        for setting in subject.settings:
            args = subject.draw("generic")
            args = [args[0], np.zeros_like(args[1])]
            value, slopes = subject.evaluate(args, setting)
            wrong = (value != 0) | (slopes[0] != 0).any(axis=-1)
            say = lambda i, v=value, s=slopes[0]: f"value {v[i]}, gradient {s[i]}"
            yield from claims.violations(wrong, args, setting, say)

    return claims.holds("0 with zero gradient where no item is relevant", check)


def raises() -> claims.Claim:
    """A step against the gradient raises the only relevant item and lowers all others."""

    def check(subject: Any) -> Iterator[str]:
        for setting in subject.settings[:1]:
            args = subject.draw("generic")
            grades = np.tile([0.0, 0.0, 3.0, 0.0, 0.0], (len(args[0]), 1))
            slope = subject.slopes([args[0], grades], setting)[0]
            wrong = ~((slope[:, 2] < 0) & (np.delete(slope, 2, axis=1) > 0).all(axis=1))
            say = lambda i, s=slope: f"gradient {s[i]}"
            yield from claims.violations(wrong, [args[0], grades], setting, say)

    return claims.holds("raises the only relevant item and lowers all others", check)
