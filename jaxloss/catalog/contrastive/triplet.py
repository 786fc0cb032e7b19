"""What is known of the losses of triplets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from mpmath import mp

from jaxloss import contrastive
from jaxloss.catalog import claims, kinds
from jaxloss.catalog.contrastive import sets
from jaxloss.catalog.entry import Entry

# Of one set, and so of comparable size: `kinds.vectors` draws each at a scale of its own.
_VECTOR = replace(
    kinds.vectors(3),
    spread=lambda rng, n: (
        [-1.0, 0.5, 2.0] + 10 ** rng.uniform(-3, 1, (n, 1)) * rng.normal(size=(n, 3))
    ),
    extreme=kinds.vectors(3).extreme[[1, 3]] * [[1.0], [1e14]],
)
_VECTORS = dict.fromkeys(("anchors", "positives", "negatives"), _VECTOR)


def _margin(
    a: Any,
    p: Any,
    n: Any,
    norm_degree: Any = 2,
    margin: Any = 1,
    eps: Any = mp.mpf("1e-6"),
    squared: bool = False,
    soft: bool = False,
    swap: bool = False,
) -> Any:
    def distance(x: Any, y: Any) -> Any:
        total = mp.fsum(abs(v - w) ** norm_degree for v, w in zip(x, y, strict=True)) + eps
        return total ** ((2 if squared else 1) / mp.mpf(norm_degree))

    far = min(distance(a, n), distance(p, n)) if swap else distance(a, n)
    lag = distance(a, p) - far + margin
    return mp.log1p(mp.exp(lag)) if soft else max(lag, mp.mpf(0))


def _pick(mining: str, d: Any, near: list[int], far: list[int]) -> list[tuple[Any, Any]]:
    if not near or not far:
        return []
    if mining == "batch_hard":
        return [(max(d[j] for j in near), min(d[k] for k in far))]
    if mining == "batch_all":
        return [(d[j], d[k]) for j in near for k in far]
    beyond = lambda j: [d[k] for k in far if d[k] > d[j]]
    return [(d[j], min(beyond(j)) if beyond(j) else max(d[k] for k in far)) for j in near]


def _mined(
    x: Any,
    y: Any,
    margin: Any = mp.mpf("0.2"),
    mining: str = "batch_hard",
    distance: str = "euclidean",
    soft: bool = False,
) -> Any:
    hinge = lambda v: mp.log1p(mp.exp(v)) if soft else max(v, mp.mpf(0))
    d = sets.matrix(distance, x, x)
    chosen = [_pick(mining, d[i], near, far) for i, (near, far) in enumerate(sets.sides(y))]
    return [sets.mean(hinge(p - n + margin) for p, n in triplets) for triplets in chosen]


def _content(apart: Any) -> claims.Claim:
    """Zero value and gradient on samples in which `apart(*args)` keeps the margin."""

    def check(subject: Any) -> Iterator[str]:
        args = apart(*subject.draw("generic"))
        for setting in (s for s in subject.settings if not s.get("soft")):
            value, slopes = subject.value(args, setting), subject.slopes(args, setting)
            total = np.abs(value.reshape(len(value), -1)).sum(axis=-1)
            total = total + sum(np.abs(s.reshape(len(s), -1)).sum(axis=-1) for s in slopes)
            yield from claims.violations(
                total != 0, args, setting, lambda i, v=value: f"value {v[i]}"
            )

    return claims.holds("0 with zero gradient where the margin is met, unless soft", check)


ENTRIES = (
    Entry(
        contrastive.triplet_margin_loss,
        family="contrastive",
        purpose="an anchor nearer to a positive than to a negative, by a margin",
        character="orders distances; nothing to gain once the margin is met",
        when="triplets are at hand",
        avoid="labelled batches, in which most random triplets are easy: triplet_loss",
        formula="max(0, D(anchors, positives) - D(anchors, negatives) + margin)",
        source="Balntas et al. 2016, eq. 3",
        arguments=_VECTORS,
        reference=_margin,
        settings=(
            {"norm_degree": 1.0, "margin": 0.5, "eps": 0.0},
            {"norm_degree": 3.5, "margin": 2.0, "eps": 0.01},
            {"norm_degree": 1.5, "margin": 0.0, "squared": True, "swap": True, "soft": True},
        ),
        impossible={"norm_degree": (0.5, -1.0, np.inf), "eps": (-1.0, np.nan)},
        claims=(
            claims.nonnegative(),
            claims.by_default(claims.lipschitz(1.0, "positives")),
            claims.by_default(claims.lipschitz(2.0, "anchors")),
            claims.by_default(claims.convex("positives")),
            claims.translation_invariant(
                "anchors",
                "positives",
                "negatives",
                text="unchanged when all embeddings are translated",
            ),
            _content(lambda a, p, n: [a, p, n + 1000.0]),
            claims.permutation_invariant(
                text="unchanged when the components change places",
            ),
        ),
        non_claims=("convex in anchors or negatives",),
    ),
    Entry(
        contrastive.triplet_loss,
        family="contrastive",
        purpose="triplets mined from a labelled batch",
        character="orders distances; what is hard in the batch decides",
        when="retrieval or verification with batches that hold several members of each class",
        avoid="batches with one member of each class, which have no triplets: info_nce_loss",
        formula="mean of max(0, D(a, p) - D(a, n) + margin) over the triplets mined",
        source="Hermans, Beyer and Leibe 2017, eq. 5; Schroff et al. 2015, eq. 2",
        arguments=sets.LABELLED,
        coupled="batch",
        reference=_mined,
        settings=(
            {"margin": 1.5, "mining": "semi_hard"},
            {"margin": 0.5, "mining": "batch_all", "distance": "squared_euclidean"},
            {"margin": 0.5, "mining": "batch_hard", "soft": True},
        ),
        impossible={"mining": ("batch_easy",), "distance": ("nearness",)},
        claims=(
            claims.nonnegative(),
            claims.shift_invariant("embeddings"),
            sets.reordered(),
            sets.needs_positives(),
            _content(lambda x, y: [x + 100.0 * y[..., None], y]),
            sets.same_in_any_axes("embeddings"),
        ),
        non_claims=("convex in embeddings", "continuous with semi_hard mining"),
    ),
)
