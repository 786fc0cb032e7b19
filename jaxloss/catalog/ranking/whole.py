"""What is known of listwise losses and smooth metrics in `jaxloss.ranking`."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxloss import ranking
from jaxloss.catalog import claims
from jaxloss.catalog.entry import Entry
from jaxloss.catalog.ranking import formulas
from jaxloss.catalog.ranking.statements import (
    APART_SCORES,
    GRADED,
    GRADES,
    ITEMS,
    PEAKED_SCORES,
    SCORES,
    SEGMENTS,
    raises,
    silent,
    unordered,
)

_PLACES = [4.0, 2.0, 0.0, 1.0, 3.0]
_ITEM_WEIGHTS = [0.5, 2.0, 0.0, 1.25, 1.0]


def _softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def _softmax_slope(s: np.ndarray, y: np.ndarray) -> np.ndarray:
    return y.sum(axis=-1, keepdims=True) * _softmax(s) - y


def _listnet_slope(s: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (y > 0).any(axis=-1, keepdims=True) * (_softmax(s) - _softmax(y))


def _less(metric: Any) -> Any:
    """Return one less a metric as a loss, 0 for lists without a relevant item."""

    def loss(scores: Any, relevance: Any, *, where: Any = None) -> Any:
        value = metric(scores, relevance, where=where)
        return jnp.where(jnp.any(relevance > 0, axis=-1), 1 - value, jnp.zeros_like(value))

    return loss


def _calm(text: str) -> claims.Claim:
    """At equal scores the loss is smooth: the gradient of equal grades is equal."""

    def check(subject: Any) -> Any:
        for setting in subject.settings[:1]:
            grades = np.tile([1.0, 0.0, 1.0, 0.0, 1.0], (4, 1))
            args = [np.zeros((4, ITEMS)), grades]
            slope = subject.slopes(args, setting)[0]
            wrong = np.ptp(slope[:, ::2], axis=-1) + np.ptp(slope[:, 1::2], axis=-1) > 1e-12
            yield from claims.violations(
                wrong, args, setting, lambda i, s=slope: f"gradient {s[i]}"
            )

    return claims.holds(text, check)


_LIST: dict[str, Any] = {"family": "ranking", "coupled": "list", "arguments": GRADED}
_LIKELIHOOD = (
    claims.nonnegative(),
    claims.convex("scores"),
    claims.shift_invariant("scores"),
    silent(),
)
_METRIC = (
    claims.nonnegative(),
    claims.bounded(0.0, lambda setting: float(len(set(setting.get("segments", (0,)))))),
    claims.shift_invariant("scores"),
    unordered(),
    silent(),
    raises(),
)

ENTRIES = (
    Entry(
        ranking.ranking_softmax_loss,
        purpose="scores whose softmax puts its weight on the relevant items",
        character="convex, smooth; the relevant items of a list compete",
        when="the default among listwise losses; one or few relevant items; clicks",
        avoid="with many relevant items, which should not compete: unique_softmax_loss",
        formula="-sum(labels log(softmax(logits)))",
        source="Cao et al. 2007; Bruch et al. 2019",
        reference=formulas.softmax,
        settings=({"weights": _ITEM_WEIGHTS, "segments": SEGMENTS},),
        claims=(
            claims.nonnegative(),
            claims.convex("logits"),
            claims.shift_invariant("logits"),
            unordered(),
            silent(),
            raises(),
            claims.by_default(
                claims.gradient_is("sum(labels) softmax - labels", "logits", _softmax_slope)
            ),
        ),
        non_claims=("0 for a perfect order: it wants ever greater leads",),
        specimen=lambda logits, labels, *, where=None, weights=None, segments=None: (
            ranking.ranking_softmax_loss(
                logits,
                labels,
                where=where,
                segments=segments,
                weights=None
                if weights is None
                else jnp.broadcast_to(jnp.asarray(weights), logits.shape),
            )
        ),
        **_LIST | {"arguments": {"logits": SCORES, "labels": GRADES}},
    ),
    Entry(
        ranking.listnet_loss,
        purpose="the lottery of the scores should be that of the grades (ListNet)",
        character="cross-entropy of two softmaxes; grades are log-weights",
        when="grades on a scale on which differences mean something",
        avoid="where an item of grade 0 is worth nothing: ranking_softmax_loss",
        formula="-sum(softmax(relevance) log(softmax(scores)))",
        source="Cao et al. 2007, top-one probabilities",
        reference=formulas.listnet,
        settings=({"segments": SEGMENTS},),
        claims=(
            *_LIKELIHOOD,
            unordered(),
            claims.by_default(claims.lipschitz(2**0.5, "scores")),
            claims.by_default(
                claims.gradient_is("softmax(scores) - softmax(relevance)", "scores", _listnet_slope)
            ),
            claims.by_default(claims.smooth(0.5, "scores")),
        ),
        non_claims=("0 at its minimum, which is the entropy of softmax(relevance)",),
        **_LIST,
    ),
    Entry(
        ranking.unique_softmax_loss,
        purpose="each item against the less relevant ones only",
        character="convex; items of one grade do not compete",
        when="many relevant items, several grades",
        avoid="with one relevant item, where it is ranking_softmax_loss",
        formula="sum_i gain_i log(1 + sum_{y_j < y_i} exp(s_j - s_i))",
        source="Zhu and Klabjan 2020",
        reference=formulas.unique,
        settings=({"gain": "linear", "segments": SEGMENTS},),
        impossible={"gain": ("square",), "segments": ((0, 1),)},
        claims=(*_LIKELIHOOD, unordered(), raises()),
        **_LIST,
    ),
    Entry(
        ranking.listmle_loss,
        purpose="the likelihood of the whole ranking (ListMLE, Plackett-Luce)",
        character="convex; all places count alike, from the first to the last",
        when="full rankings without ties; the order matters down to the end",
        avoid="where the top decides: position_aware_listmle_loss; with many ties: "
        "unique_softmax_loss",
        formula="sum_i log(sum_{j from i on} exp(s_j - s_i)) in order of relevance",
        source="Xia et al. 2008",
        reference=formulas.listmle,
        settings=({"ties": "breslow"}, {"ties": "order", "segments": SEGMENTS}),
        impossible={"ties": ("efron",), "segments": ((0, 1),)},
        claims=_LIKELIHOOD,
        non_claims=("unchanged when items of one grade change places, unless ties are 'breslow'",),
        **_LIST,
    ),
    Entry(
        ranking.position_aware_listmle_loss,
        purpose="the likelihood of a ranking, its first places most",
        character="convex; the weight of a place halves from each to the next",
        when="short lists whose top decides",
        avoid="for long lists with the paper's weights, which overflow: approx_ndcg_loss",
        formula="sum_i (2^(m - place_i) - 1) log(sum_{j from i on} exp(s_j - s_i))",
        source="Lan et al. 2014",
        reference=formulas.position_aware,
        settings=({"position_weights": _PLACES}, {"segments": SEGMENTS}),
        impossible={"position_weights": ([1.0, -1.0, 1.0, 1.0, 1.0], [1.0, 1.0])},
        claims=_LIKELIHOOD,
        non_claims=("unchanged when items of one grade change places",),
        **_LIST,
    ),
    Entry(
        ranking.approx_ndcg_loss,
        purpose="NDCG itself, with smooth ranks (ApproxNDCG)",
        character="smooth and bounded; far pairs do not pull",
        when="NDCG is the goal; after a convex loss, or with a falling temperature",
        avoid="from a poor start, where it is flat: ranking_softmax_loss, lambdarank_loss",
        formula="1 - sum_i gain_i / log2(2 + sum_j sigmoid((s_j - s_i) / temperature)) / ideal",
        source="Qin, Liu and Li 2010",
        reference=formulas.approx_ndcg,
        settings=(
            {"temperature": 0.25, "gain": "linear"},
            {"temperature": 8.0},
            {"segments": SEGMENTS},
        ),
        impossible={"temperature": (0.0, -1.0), "gain": ("square",), "segments": ((0, 1),)},
        claims=(
            *_METRIC,
            _calm("treats items of one grade alike where all scores tie"),
            claims.equals(
                "1 - ndcg as the temperature goes to 0",
                _less(ranking.ndcg),
                {"temperature": 1e-7},
            ),
        ),
        non_claims=("convex in scores",),
        **_LIST,
    ),
    Entry(
        ranking.approx_mrr_loss,
        purpose="the reciprocal rank of the first relevant item, with smooth ranks",
        character="bounded; only the best relevant item pulls",
        when="one right answer is enough: questions, navigation",
        avoid="where all relevant items count: approx_ndcg_loss",
        formula="1 - max over relevant i of 1 / (1 + sum_j sigmoid((s_j - s_i) / temperature))",
        source="Qin, Liu and Li 2010",
        reference=formulas.approx_mrr,
        settings=({"temperature": 0.25}, {"temperature": 8.0}, {"segments": SEGMENTS}),
        impossible={"temperature": (0.0, -1.0)},
        claims=(
            *_METRIC,
            claims.equals(
                "1 - reciprocal_rank as the temperature goes to 0",
                _less(ranking.reciprocal_rank),
                {"temperature": 1e-7},
            ),
        ),
        non_claims=("convex in scores",),
        **_LIST | {"arguments": {"scores": PEAKED_SCORES, "relevance": GRADES}},
    ),
    Entry(
        ranking.neural_ndcg_loss,
        purpose="NDCG itself, with softly sorted gains (NeuralNDCG)",
        character="places are shared among items in proportion to a soft permutation",
        when="NDCG is the goal and scores are well spread",
        avoid="for long lists, where it costs iterations of n^2: approx_ndcg_loss",
        formula="1 - sum_k (sinkhorn(neural_sort(scores)) gain)_k / log2(1 + k) / ideal",
        source="Pobrotyn and Bialobrzeski 2021",
        reference=formulas.neural_ndcg,
        settings=(
            {"temperature": 2.0, "iterations": 3, "gain": "linear"},
            {"temperature": 1.5, "iterations": 0},
        ),
        impossible={"temperature": (0.0, -1.0), "iterations": (-1,), "gain": ("square",)},
        claims=(
            claims.by_default(claims.shift_invariant("scores")),
            unordered(),
            silent(),
            claims.equals(
                "1 - ndcg as the temperature goes to 0",
                _less(ranking.ndcg),
                {"temperature": 1e-7},
            ),
        ),
        non_claims=(
            "non-negative: with few iterations a column may sum to more than 1",
            "smooth where scores tie",
            "to the last bit in float32: numbers of size n scores / temperature are subtracted",
        ),
        **_LIST | {"arguments": {"scores": APART_SCORES, "relevance": GRADES}},
    ),
)
