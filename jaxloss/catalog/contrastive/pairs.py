"""What is known of the losses of pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
from mpmath import mp

from jaxloss import contrastive
from jaxloss.catalog import claims
from jaxloss.catalog.contrastive import sets
from jaxloss.catalog.entry import Entry


def _contrastive(x: Any, y: Any, margin: Any = 1, distance: str = "euclidean") -> Any:
    d = sets.matrix(distance, x, x)
    terms = [
        [d[i][j] ** 2 / 2 if j in near else max(0, margin - d[i][j]) ** 2 / 2 for j in near + far]
        for i, (near, far) in enumerate(sets.sides(y))
    ]
    return [sets.mean(t) for t in terms]


def _lifted(x: Any, y: Any, margin: Any = 1) -> Any:
    d, sides = sets.matrix("euclidean", x, x), sets.sides(y)
    rivals = [sets.exp_sum(margin - d[i][k] for k in far) for i, (_, far) in enumerate(sides)]

    def cost(i: int, j: int) -> Any:
        total = rivals[i] + rivals[j]
        return max(0, mp.log(total) + d[i][j]) ** 2 / 2 if total else mp.mpf(0)

    return [sets.mean(cost(i, j) for j in near) for i, (near, _) in enumerate(sides)]


def _multi(
    x: Any, y: Any, positive_scale: Any = 2, negative_scale: Any = 50, threshold: Any = 0.5
) -> Any:
    s = sets.matrix("cosine", x, x)
    a, b, t = positive_scale, negative_scale, threshold
    return [
        mp.log1p(sets.exp_sum(-a * (s[i][j] - t) for j in near)) / a
        + mp.log1p(sets.exp_sum(b * (s[i][j] - t) for j in far)) / b
        for i, (near, far) in enumerate(sets.sides(y))
    ]


def _circle(
    x: Any, y: Any, margin: Any = mp.mpf("0.4"), gamma: Any = 80, detach: bool = False
) -> Any:
    s = sets.matrix("cosine", x, x)
    pull = lambda v: -gamma * max(0, 1 + margin - v) * (v - 1 + margin)
    push = lambda v: gamma * max(0, v + margin) * (v - margin)
    return [
        mp.log1p(
            sets.exp_sum(pull(s[i][j]) for j in near) * sets.exp_sum(push(s[i][j]) for j in far)
        )
        for i, (near, far) in enumerate(sets.sides(y))
    ]


_COMMON: dict[str, Any] = {
    "family": "contrastive",
    "coupled": "batch",
}

ENTRIES = (
    Entry(
        contrastive.contrastive_loss,
        **_COMMON,
        arguments=sets.LABELLED,
        purpose="metric learning from pairs that belong together or do not",
        character="draws equals to one point; repels others up to a margin",
        when="labels say only which pairs belong together, and clusters should be tight",
        avoid="classes with variety inside: triplet_loss, which only orders distances",
        formula="mean of D^2 / 2 for positives and max(0, margin - D)^2 / 2 for negatives",
        source="Hadsell, Chopra and LeCun 2006, eq. 4",
        reference=_contrastive,
        settings=({"margin": 2.5}, {"margin": 1.5, "distance": "manhattan"}),
        impossible={"margin": (-1.0, np.nan), "distance": ("nearness",)},
        claims=(
            claims.nonnegative(),
            claims.shift_invariant("embeddings"),
            sets.reordered(),
            sets.same_in_any_axes("embeddings"),
        ),
        non_claims=("convex in embeddings", "zero for a set without positives"),
    ),
    Entry(
        contrastive.lifted_structured_loss,
        **_COMMON,
        arguments=sets.LABELLED,
        purpose="metric learning in which a pair competes with all negatives of both members",
        character="a smooth maximum over the negatives, squared",
        when="batches hold several members of each class and all negatives should count",
        avoid="noisy labels, whose negatives dominate: contrastive_loss",
        formula="mean of max(0, log(sum_k exp(m - D_ik) + sum_l exp(m - D_jl)) + D_ij)^2 / 2",
        source="Song et al. 2016, eq. 4",
        reference=_lifted,
        settings=({"margin": 0.25},),
        impossible={"distance": ("nearness",)},
        claims=(
            claims.nonnegative(),
            claims.shift_invariant("embeddings"),
            sets.reordered(),
            sets.needs_positives(),
            sets.same_in_any_axes("embeddings"),
        ),
        non_claims=("convex in embeddings",),
    ),
    Entry(
        contrastive.multi_similarity_loss,
        **_COMMON,
        arguments=sets.DIRECTED,
        purpose="metric learning that weighs pairs by their own and by relative similarity",
        character="soft hinges on the worst positives and the worst negatives",
        when="retrieval with classes of several members; a strong general choice",
        avoid="very few negatives, for which its sharp scale was not made: contrastive_loss",
        formula="log(1 + sum_p exp(-a (S_p - t))) / a + log(1 + sum_n exp(b (S_n - t))) / b",
        source="Wang et al. 2019, eq. 15",
        reference=_multi,
        settings=({"positive_scale": 3.0, "negative_scale": 8.0, "threshold": 0.25},),
        impossible={
            "positive_scale": (0.0, -1.0),
            "negative_scale": (0.0, np.nan),
            "similarity": ("nearness",),
        },
        claims=(
            claims.nonnegative(),
            *sets.only_directions("embeddings"),
            sets.reordered(),
            sets.same_in_any_axes("embeddings"),
        ),
        non_claims=("zero without positives: negatives still repel",),
    ),
    Entry(
        contrastive.circle_loss,
        **_COMMON,
        arguments=sets.DIRECTED,
        purpose="metric learning in which every pair is pulled as far as it is from its optimum",
        character="the boundary is a circle; gradients fade as pairs become good",
        when="pair labels or class labels, and a margin with a definite target",
        avoid="where the gradient must be that of the value: multi_similarity_loss",
        formula="log(1 + sum_n exp(g a_n (S_n - m)) sum_p exp(-g a_p (S_p - 1 + m)))",
        source="Sun et al. 2020, eq. 4 to 8",
        reference=_circle,
        # Differentiated as it stands, so that the gradient can be that of the value; at a margin
        # above 1 no weight is cut off at 0, and the gradient has no kinks.
        required={"detach": False},
        settings=({"margin": 1.25, "gamma": 2.0},),
        impossible={"gamma": (0.0, -1.0, np.nan), "similarity": ("nearness",)},
        claims=(
            claims.nonnegative(),
            *sets.only_directions("embeddings"),
            sets.reordered(),
            sets.needs_positives(),
            sets.same_in_any_axes("embeddings"),
        ),
        non_claims=("a gradient that is the derivative of the value, unless detach=False",),
    ),
)
