"""What is known of the losses of pairs of items in `jaxloss.ranking`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from mpmath import mp

from jaxloss import ranking
from jaxloss.catalog import claims, kinds
from jaxloss.catalog.entry import Entry
from jaxloss.catalog.ranking.formulas import rank_of
from jaxloss.catalog.ranking.statements import (
    FINITE_SCORES,
    GRADED,
    ITEMS,
    ORDERED,
    REAL_GRADES,
    SEGMENTS,
    WEIGHTS,
    raises,
    silent,
    unordered,
)


def _sum_over_pairs(inner: Callable[..., Any], every: bool = False) -> Callable[..., Any]:
    def reference(
        s: Any, y: Any, pair_weights: Any = None, segments: Any = None, **hyper: Any
    ) -> Any:
        total = mp.mpf(0)
        for i in range(len(s)):
            for j in range(len(s)):
                apart = segments is not None and segments[i] != segments[j]
                if i == j or apart or not (every or y[i] > y[j]):
                    continue
                weight = 1 if pair_weights is None else pair_weights[i][j]
                total += weight * inner(s[i] - s[j], y[i] - y[j], **hyper)
        return total

    return reference


def _general(s: Any, y: Any, pair_loss: Any, every_pair: bool = False, **more: Any) -> Any:
    return _sum_over_pairs(pair_loss, every_pair)(s, y, **more)


def _tilted(lead: Any, grade: Any) -> Any:
    """A pair loss that uses both of its arguments and serves arrays and mpmath numbers alike."""
    return (grade * lead) ** 2 / 2 - lead


def _lambda(
    s: Any,
    y: Any,
    scheme: str = "lambdarank",
    sigma: Any = 1,
    mu: Any = 10,
    rank_by: Any = None,
    top_n: int | None = None,
    gain: str = "exponential",
) -> Any:
    n = len(s)
    raw = [mp.mpf(2) ** v - 1 if gain == "exponential" else v for v in y]
    discount = lambda r: 1 / mp.log(1 + r, 2) if top_n is None or r <= top_n else mp.mpf(0)
    best = mp.fsum(g * discount(k + 1) for k, g in enumerate(sorted(raw, reverse=True)))
    if best == 0:
        return mp.mpf(0)
    worth = [g / best for g in raw]
    rank = [rank_of(rank_by or s, i) for i in range(n)]

    def weight(i: int, j: int) -> Any:
        if scheme == "ndcg1":
            return worth[i] * discount(rank[i])
        swap = abs(discount(rank[i]) - discount(rank[j]))
        gap = abs(rank[i] - rank[j])
        step = 1 / mp.log(1 + gap, 2) - 1 / mp.log(2 + gap, 2)
        if top_n is not None and min(rank[i], rank[j]) > top_n:
            step = mp.mpf(0)
        factor = {"lambdarank": swap, "ndcg2": step, "ndcg2++": swap + mu * step}[scheme]
        return abs(worth[i] - worth[j]) * factor

    pairs = [
        (i, j) for i in range(n) for j in range(n) if i != j and (scheme == "ndcg1" or y[i] > y[j])
    ]
    return mp.fsum(weight(i, j) * mp.log(1 + mp.exp(-sigma * (s[i] - s[j]))) for i, j in pairs)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _logistic_slope(s: np.ndarray, y: np.ndarray, **setting: Any) -> np.ndarray:
    """Return minus the doubts of the pairs that an item should lead, plus those it should not."""
    weights = np.array(setting.get("pair_weights", 1.0))
    groups = np.array(setting.get("segments", (0,) * ITEMS))
    pairs = (y[:, :, None] > y[:, None, :]) & (groups[:, None] == groups[None, :])
    doubt = weights * pairs * _sigmoid(s[:, None, :] - s[:, :, None])
    return doubt.sum(axis=1) - doubt.sum(axis=2)


def _all_lead(s: np.ndarray, y: np.ndarray, margin: float = 1.0, **_: Any) -> np.ndarray:
    close = (y[:, :, None] > y[:, None, :]) & (s[:, :, None] - s[:, None, :] < margin)
    return ~close.any(axis=(1, 2))


_FROZEN = [0.5, -1.0, 2.0, 0.5, 1.0]


def _ranked_alike(
    scores: Any, relevance: Any, *, rank_by: Any, where: Any = None, **more: Any
) -> Any:
    """Return LambdaRank with the weights of one ranking for all lists."""
    rank_by = jnp.broadcast_to(jnp.asarray(rank_by), getattr(scores, "shape", (ITEMS,)))
    return ranking.lambdarank_loss(scores, relevance, rank_by=rank_by, where=where, **more)


_PAIRED: dict[str, Any] = {"pair_weights": WEIGHTS, "segments": SEGMENTS}
_PAIRWISE: dict[str, Any] = {
    "family": "ranking",
    "coupled": "list",
    "arguments": ORDERED,
    "settings": (_PAIRED,),
    "impossible": {"pair_weights": ([1.0, 2.0],), "segments": ((0, 1),)},
}
_CLAIMS = (claims.nonnegative(), claims.shift_invariant("scores"), unordered(), silent())

ENTRIES = (
    Entry(
        ranking.pairwise_loss,
        purpose="a sum over pairs of items, of a function of your own",
        character="as the function of the pair is",
        when="a pair loss that has no name here; counting pairs; weights of pairs",
        avoid="where a named loss will do: pairwise_logistic_loss",
        formula="sum over relevance_i > relevance_j of pair_loss(s_i - s_j, y_i - y_j)",
        source="Cao et al. 2007, section 2",
        reference=_general,
        required={"pair_loss": _tilted},
        claims=(
            claims.convex("scores"),
            claims.shift_invariant("scores"),
            unordered(),
            claims.by_default(silent()),
        ),
        non_claims=("any property that its pair_loss lacks",),
        **_PAIRWISE
        | {
            "arguments": {"scores": FINITE_SCORES, "relevance": REAL_GRADES},
            "settings": ({"every_pair": True, "pair_weights": WEIGHTS, "segments": SEGMENTS},),
        },
    ),
    Entry(
        ranking.pairwise_logistic_loss,
        purpose="the more relevant of two items should score higher (RankNet)",
        character="smooth; pairs in the right order still pull, ever less",
        when="the default among pairwise losses; under lambda_weights for NDCG",
        avoid="where only the top counts: lambdarank_loss, approx_ndcg_loss",
        formula="sum over relevance_i > relevance_j of log(1 + exp(-(s_i - s_j)))",
        source="Burges et al. 2005, eq. 3",
        reference=_sum_over_pairs(lambda lead, _: mp.log(1 + mp.exp(-lead))),
        claims=(
            *_CLAIMS,
            claims.convex("scores"),
            raises(),
            claims.gradient_is("a sum of sigmoids of the leads", "scores", _logistic_slope),
        ),
        **_PAIRWISE,
    ),
    Entry(
        ranking.pairwise_hinge_loss,
        purpose="the more relevant of two items should lead by a margin",
        character="only pairs short of the margin pull, all alike",
        when="the ranking support vector machine; sparse updates",
        avoid="where smoothness matters: pairwise_logistic_loss",
        formula="sum over relevance_i > relevance_j of max(0, margin - (s_i - s_j))",
        source="Herbrich, Graepel and Obermayer 2000",
        reference=_sum_over_pairs(lambda lead, _, margin=1: max(margin - lead, mp.mpf(0))),
        claims=(
            *_CLAIMS,
            claims.convex("scores"),
            claims.no_gradient("beyond the margin", "scores", _all_lead),
        ),
        **_PAIRWISE
        | {
            "settings": ({"margin": 2.5} | _PAIRED, {"margin": 0.0}),
            "impossible": {"margin": (-1.0,), "segments": ((0, 1),)},
        },
    ),
    Entry(
        ranking.pairwise_squared_loss,
        purpose="distances between scores as between grades",
        character="a regression that ignores a common offset; outliers decide",
        when="grades on an interval scale: prices, times, ratings",
        avoid="where only the order of the grades means something: pairwise_logistic_loss",
        formula="sum over i != j of ((s_i - s_j) - (y_i - y_j))^2",
        source="Cao et al. 2007, section 2",
        reference=_sum_over_pairs(lambda lead, grade: (lead - grade) ** 2, every=True),
        claims=(
            claims.nonnegative(),
            claims.zero_at_target(),
            claims.convex("scores"),
            claims.shift_invariant("scores"),
            unordered(),
        ),
        non_claims=("0 where no item is relevant: it then wants equal scores",),
        **_PAIRWISE | {"arguments": {"scores": FINITE_SCORES, "relevance": REAL_GRADES}},
    ),
    Entry(
        ranking.pairwise_soft_zero_one_loss,
        purpose="a smooth count of the pairs in wrong order",
        character="bounded: hopeless pairs do not pull",
        when="noisy grades; after a convex loss has done the coarse work",
        avoid="from a poor start, where its gradient is small: pairwise_logistic_loss",
        formula="sum over relevance_i > relevance_j of sigmoid(-(s_i - s_j))",
        source="Yan et al. 2003",
        reference=_sum_over_pairs(lambda lead, _: 1 / (1 + mp.exp(lead))),
        claims=(
            *_CLAIMS,
            raises(),
            claims.by_default(claims.bounded(0.0, ITEMS * (ITEMS - 1) / 2)),
        ),
        non_claims=("convex in scores",),
        **_PAIRWISE,
    ),
    Entry(
        ranking.bayesian_personalized_ranking_loss,
        family="ranking",
        purpose="what was taken should score higher than what was not (BPR)",
        character="the logistic loss of a sampled pair",
        when="recommendation from implicit feedback, with sampled negatives",
        avoid="with grades for a whole list: pairwise_logistic_loss, ranking_softmax_loss",
        formula="log(1 + exp(-(positive_scores - negative_scores)))",
        source="Rendle et al. 2009, section 4.1",
        arguments={"positive_scores": kinds.reals(), "negative_scores": kinds.reals()},
        reference=lambda p, n: mp.log(1 + mp.exp(n - p)),
        claims=(
            claims.nonnegative(),
            claims.convex("positive_scores"),
            claims.convex("negative_scores"),
            claims.lipschitz(1.0, "positive_scores"),
            claims.gradient_is(
                "-sigmoid(negative - positive)", "positive_scores", lambda p, n: -_sigmoid(n - p)
            ),
            claims.monotone("positive_scores", "decreasing"),
            claims.monotone("negative_scores"),
            claims.smooth(0.25, "positive_scores"),
            claims.informative_gradient("positive_scores"),
        ),
    ),
    Entry(
        ranking.lambdarank_loss,
        family="ranking",
        purpose="pairs by what their order is worth to NDCG (LambdaRank, LambdaLoss)",
        character="errors at the top and between far grades count most",
        when="NDCG is the goal and a pairwise loss trains well",
        avoid="where the loss itself must be smooth or be reported: approx_ndcg_loss",
        formula="sum_ij lambda_weights_ij log(1 + exp(-sigma (s_i - s_j)))",
        source="Burges, Ragno and Le 2006; Wang et al. 2018",
        arguments=GRADED,
        coupled="list",
        reference=_lambda,
        # The loss jumps where scores change places, which no difference quotient survives.
        required={"rank_by": _FROZEN},
        specimen=_ranked_alike,
        settings=(
            {"sigma": 2.0, "scheme": "ndcg2++", "mu": 5.0, "top_n": 2},
            {"sigma": 0.5, "scheme": "ndcg2", "mu": 10.0, "gain": "linear"},
            {"sigma": 1.5, "scheme": "ndcg1", "mu": 10.0, "top_n": 3},
        ),
        impossible={
            "sigma": (0.0, -1.0),
            "scheme": ("ndcg3",),
            "gain": ("square",),
            "top_n": (0, -1),
        },
        claims=(
            claims.nonnegative(),
            claims.shift_invariant("scores"),
            silent(),
            raises(),
        ),
        non_claims=(
            "continuous: it jumps where two scores change places",
            "convex in scores",
            "unchanged when tied items change places",
        ),
    ),
)
