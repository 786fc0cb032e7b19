"""Losses of the variances and correlations of two views of a set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from mpmath import mp

from jaxloss import contrastive
from jaxloss.catalog import claims, kinds
from jaxloss.catalog.embedding.proxy import same_in_any_axes, unordered
from jaxloss.catalog.entry import Entry

MEMBERS, SIZE = 5, 3
_ARGUMENTS = {"first": kinds.points(MEMBERS, SIZE), "second": kinds.points(MEMBERS, SIZE)}


def _columns(x: Any) -> Any:
    """Return the components, each with its mean over the members subtracted."""
    columns = list(zip(*x, strict=True))
    return [[v - mp.fsum(c) / len(c) for v in c] for c in columns]


def _vicreg(
    x: Any,
    z: Any,
    invariance_weight: Any = 25,
    variance_weight: Any = 25,
    covariance_weight: Any = 1,
    target_std: Any = 1,
    epsilon: Any = mp.mpf(1e-4),
) -> Any:
    n, d = len(x), len(x[0])
    invariance = mp.fsum((x[i][j] - z[i][j]) ** 2 for i in range(n) for j in range(d)) / (n * d)
    variance = covariance = mp.mpf(0)
    for view in (_columns(x), _columns(z)):
        product = [[mp.fdot(a, b) / (n - 1) for b in view] for a in view]
        for i in range(d):
            short = target_std - mp.sqrt(product[i][i] + epsilon)
            variance += max(short, mp.mpf(0)) / (2 * d)
            covariance += mp.fsum(product[i][j] ** 2 for j in range(d) if j != i) / d
    return (
        invariance_weight * invariance + variance_weight * variance + covariance_weight * covariance
    )


def _barlow(x: Any, z: Any, off_diagonal_weight: Any = mp.mpf(5e-3)) -> Any:
    a, b = _columns(x), _columns(z)
    sizes = [[mp.sqrt(mp.fdot(c, c)) for c in view] for view in (a, b)]
    if not all(map(all, sizes)):
        return mp.nan
    total = mp.mpf(0)
    for i, m in enumerate(sizes[0]):
        for j, n in enumerate(sizes[1]):
            c = mp.fdot(a[i], b[j]) / (m * n)
            total += (1 - c) ** 2 if i == j else off_diagonal_weight * c**2
    return total


def _moves_with_nothing() -> claims.Claim:
    """Adding one vector to all members of both views changes nothing."""
    text = "unchanged when all members are shifted alike"
    return claims.translation_invariant("first", "second", text=text)


def _collapse(text: str, price: Any) -> claims.Claim:
    """What it costs that all members are one point."""

    def check(subject: Any) -> Iterator[str]:
        for setting in subject.settings:
            args = [np.full_like(a, 0.3) for a in subject.draw("generic")]
            value, expected = subject.value(args, setting, "float64"), price(**setting)
            wrong = np.abs(value - expected) > 1e-12 * (1 + expected)
            say = lambda i, a=value, e=expected: f"{a[i]:.9g} instead of {e:.9g}"
            yield from claims.violations(wrong, args, setting, say)

    return claims.holds(f"a collapsed set costs {text}", check)


def _hinge(
    variance_weight: float = 25.0, target_std: float = 1.0, epsilon: float = 1e-4, **_: Any
) -> float:
    return variance_weight * max(0.0, target_std - epsilon**0.5)


ENTRIES = (
    Entry(
        contrastive.vicreg_loss,
        family="contrastive",
        purpose="views agree, components vary and do not repeat each other",
        character="collapse is forbidden by a hinge on each standard deviation",
        when="self-supervised learning without negatives, small batches, unlike encoders",
        avoid="where scale must not matter: barlow_twins_loss; with negatives: InfoNCE",
        formula="weights times (mean (first - second)^2, mean hinge of std, off-diagonal "
        "covariance^2 / d)",
        source="Bardes, Ponce and LeCun 2022, eq. 1 to 6",
        arguments=_ARGUMENTS,
        reference=_vicreg,
        settings=(
            {
                "invariance_weight": 3.0,
                "variance_weight": 2.0,
                "covariance_weight": 0.5,
                "target_std": 1.5,
                "epsilon": 0.01,
            },
            {
                "invariance_weight": 0.0,
                "variance_weight": 1.0,
                "covariance_weight": 0.0,
                "target_std": 3.0,
                "epsilon": 1e-4,
            },
        ),
        impossible={
            "invariance_weight": (-1.0,),
            "variance_weight": (-1.0,),
            "covariance_weight": (-1.0,),
            "target_std": (-1.0,),
            "epsilon": (-1e-4, np.nan),
        },
        claims=(
            claims.nonnegative(),
            claims.symmetric(),
            unordered("first", "second"),
            _moves_with_nothing(),
            _collapse("variance_weight (target_std - sqrt(epsilon))", _hinge),
            same_in_any_axes("first", "second"),
        ),
        non_claims=("scale-invariant", "zero at the target: views that agree may be collapsed"),
        coupled="batch",
    ),
    Entry(
        contrastive.barlow_twins_loss,
        family="contrastive",
        purpose="correlations between the components of two views become the identity",
        character="collapse is forbidden by correlations of 1 with oneself",
        when="self-supervised learning without negatives, with many components",
        avoid="very small batches, whose correlations are noise: vicreg_loss",
        formula="sum_i (1 - C_ii)^2 + off_diagonal_weight sum_{i != j} C_ij^2",
        source="Zbontar et al. 2021, eq. 1 and 2",
        arguments=_ARGUMENTS,
        reference=_barlow,
        settings=({"off_diagonal_weight": 0.3},),
        impossible={"off_diagonal_weight": (-1.0, np.nan)},
        claims=(
            claims.nonnegative(),
            claims.symmetric(),
            claims.scale_invariant("first"),
            claims.scale_invariant("second"),
            unordered("first", "second"),
            _moves_with_nothing(),
            claims.bounded(
                0.0,
                lambda s: 4.0 * SIZE + s.get("off_diagonal_weight", 5e-3) * SIZE * (SIZE - 1),
            ),
            _collapse("1 for each component", lambda **_: float(SIZE)),
            same_in_any_axes("first", "second"),
        ),
        non_claims=("continuous where a component becomes constant",),
        coupled="batch",
    ),
)
