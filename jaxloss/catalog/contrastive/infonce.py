"""What is known of the losses that find a positive among all others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from mpmath import mp

from jaxloss import contrastive
from jaxloss.catalog import claims
from jaxloss.catalog.contrastive import sets
from jaxloss.catalog.entry import Entry


def _logits(x: Any, y: Any, temperature: Any, similarity: str) -> Any:
    return [[v / temperature for v in row] for row in sets.matrix(similarity, x, y)]


def _rows(s: Any) -> list[Any]:
    return [mp.log(sets.exp_sum(row)) - row[i] for i, row in enumerate(s)]


def _n_pairs(a: Any, p: Any) -> Any:
    return _rows(_logits(a, p, 1, "dot"))


def _ntxent(x: Any, y: Any, temperature: Any = mp.mpf("0.07"), similarity: str = "cosine") -> Any:
    s = _logits(x, x, temperature, similarity)
    return [
        sets.mean(mp.log1p(sets.exp_sum(s[i][k] - s[i][j] for k in far)) for j in near)
        for i, (near, far) in enumerate(sets.sides(y))
    ]


def _info(a: Any, p: Any, temperature: Any = mp.mpf("0.07"), similarity: str = "cosine") -> Any:
    return _rows(_logits(a, p, temperature, similarity))


def _supcon(x: Any, y: Any, temperature: Any = mp.mpf("0.1"), similarity: str = "cosine") -> Any:
    s = _logits(x, x, temperature, similarity)
    return [
        sets.mean(mp.log(sets.exp_sum(s[i][k] for k in near + far)) - s[i][j] for j in near)
        for i, (near, far) in enumerate(sets.sides(y))
    ]


def _decoupled(a: Any, p: Any, temperature: Any = mp.mpf("0.1"), similarity: str = "cosine") -> Any:
    across, within = (_logits(a, other, temperature, similarity) for other in (p, a))
    return [
        mp.log(sets.exp_sum(m[i][j] for m in (across, within) for j in range(len(a)) if j != i))
        - across[i][i]
        for i in range(len(a))
    ]


def _clip(x: Any, y: Any, temperature: Any = mp.mpf("0.07"), similarity: str = "cosine") -> Any:
    s = _logits(x, y, temperature, similarity)
    columns = [list(column) for column in zip(*s, strict=True)]
    return [(a + b) / 2 for a, b in zip(_rows(s), _rows(columns), strict=True)]


def _siglip(
    x: Any,
    y: Any,
    temperature: Any = mp.mpf("0.1"),
    bias: Any = -10,
    similarity: str = "cosine",
) -> Any:
    s = _logits(x, y, temperature, similarity)
    sign = lambda i, j: -1 if i == j else 1
    return [
        mp.fsum(mp.log1p(mp.exp(sign(i, j) * (v + bias))) for j, v in enumerate(row))
        for i, row in enumerate(s)
    ]


def _one_positive_each() -> claims.Claim:
    def check(subject: Any) -> Iterator[str]:
        args = subject.draw("generic")
        args[1] = np.broadcast_to(np.array([0, 0, 1, 1, 2]), args[1].shape)
        setting = {"temperature": 0.5}
        got = subject.value(args, setting, "float64")
        other = lambda x, y, where=None: contrastive.ntxent(x, y, 0.5, where=where)
        expected = subject.value(args, {}, "float64", loss=other)
        wrong = np.abs(got - expected) > 1e-12 * (1 + expected)
        yield from claims.violations(wrong, args, setting, lambda i: f"{got[i]}, {expected[i]}")

    return claims.holds("ntxent where anchors have one positive", check)


_COMMON: dict[str, Any] = {"family": "contrastive", "coupled": "batch"}
_TEMPERED: dict[str, Any] = {
    **_COMMON,
    "settings": ({"temperature": 0.5},),
    "impossible": {"temperature": (0.0, -1.0, np.nan), "similarity": ("nearness",)},
}
_SETS = (claims.nonnegative(), *sets.only_directions("embeddings"), sets.reordered())
_PAIRS = (claims.nonnegative(), sets.reordered())

ENTRIES = (
    Entry(
        contrastive.n_pairs_loss,
        **_COMMON,
        purpose="one positive against those of all other anchors, by inner products",
        character="cross-entropy over the batch; length counts",
        when="pairs without class labels, and embeddings whose length is regularised",
        avoid="embeddings free to grow: info_nce_loss, which normalises them",
        formula="log(1 + sum_j exp(<a_i, p_j> - <a_i, p_i>))",
        source="Sohn 2016, eq. 7",
        arguments=sets.PAIRED,
        reference=_n_pairs,
        claims=(
            *_PAIRS,
            claims.convex("positives"),
            sets.same_in_any_axes("anchors", "positives"),
        ),
        non_claims=("symmetric in its arguments",),
    ),
    Entry(
        contrastive.ntxent,
        **_TEMPERED,
        purpose="self-supervised learning: other views of an image among all others (SimCLR)",
        character="cross-entropy of each positive against the negatives; hard ones decide",
        when="large batches of augmented views",
        avoid="many positives for an anchor: supervised_contrastive_loss",
        formula="mean over p of -log(e_p / (e_p + sum_k e_k)), e = exp(cosine / temperature)",
        source="Chen et al. 2020, eq. 1",
        arguments=sets.DIRECTED,
        reference=_ntxent,
        claims=(
            *_SETS,
            sets.needs_positives(),
            claims.at_most(
                "supervised_contrastive_loss",
                contrastive.supervised_contrastive_loss,
                {"temperature": 0.1},
            ),
            sets.same_in_any_axes("embeddings"),
        ),
        non_claims=("the mean over all pairs: weigh anchors by their positives for that",),
    ),
    Entry(
        contrastive.info_nce_loss,
        **{
            **_TEMPERED,
            "settings": ({"temperature": 0.5}, {"temperature": 2.0, "similarity": "dot"}),
        },
        purpose="telling the positive of an anchor from those of all other anchors",
        character="cross-entropy over the batch; bounds mutual information",
        when="two views or modalities, and one direction of retrieval",
        avoid="both directions: clip_loss; small batches: decoupled_contrastive_loss",
        formula="-log(exp(s_ii) / sum_j exp(s_ij)), s = cosine / temperature",
        source="van den Oord et al. 2018, eq. 4",
        arguments=sets.VIEWS,
        reference=_info,
        claims=(
            *_PAIRS,
            *sets.only_directions("anchors", "positives"),
            claims.equals(
                "n_pairs_loss, with inner products at temperature 1",
                contrastive.n_pairs_loss,
                {"temperature": 1.0, "similarity": "dot"},
            ),
            sets.same_in_any_axes("anchors", "positives"),
        ),
        non_claims=("symmetric in its arguments",),
    ),
    Entry(
        contrastive.supervised_contrastive_loss,
        **_TEMPERED,
        purpose="classes as clusters of directions, from labels (SupCon)",
        character="cross-entropy spread over all positives; they compete with each other",
        when="labelled batches with several members of each class",
        avoid="one positive for each anchor, where it is ntxent",
        formula="mean over p of -log(e_p / sum_k e_k) over all k but the anchor",
        source="Khosla et al. 2020, eq. 2",
        arguments=sets.DIRECTED,
        reference=_supcon,
        claims=(
            *_SETS,
            sets.needs_positives(),
            _one_positive_each(),
            sets.same_in_any_axes("embeddings"),
        ),
        non_claims=("zero for perfect clusters: log of the number of positives",),
    ),
    Entry(
        contrastive.decoupled_contrastive_loss,
        **_TEMPERED,
        purpose="self-supervised learning from small batches",
        character="ntxent whose gradient does not fade as the positive is found",
        when="batches too small for ntxent",
        avoid="where the loss must have a floor at 0: ntxent",
        formula="log(sum_j exp(s(a_i, a_j)) + exp(s(a_i, p_j))) - s(a_i, p_i), j != i",
        source="Yeh et al. 2022, eq. 6",
        arguments=sets.VIEWS,
        reference=_decoupled,
        claims=(
            *sets.only_directions("anchors", "positives"),
            sets.reordered(),
            sets.same_in_any_axes("anchors", "positives"),
        ),
        non_claims=("non-negative",),
    ),
    Entry(
        contrastive.clip_loss,
        **_TEMPERED,
        purpose="matching images and texts, in both directions",
        character="cross-entropy over the batch by rows and by columns",
        when="two encoders that must retrieve each other",
        avoid="very large or split batches: siglip_loss, which needs no normaliser",
        formula="(info_nce(images, texts) + info_nce(texts, images)) / 2",
        source="Radford et al. 2021, fig. 3",
        arguments=sets.SHOWN,
        reference=_clip,
        claims=(
            *_PAIRS,
            *sets.only_directions("images", "texts"),
            claims.symmetric(),
            sets.same_in_any_axes("images", "texts"),
        ),
        non_claims=("the mean over a split batch, without axis_name",),
    ),
    Entry(
        contrastive.siglip_loss,
        **_COMMON,
        purpose="matching images and texts by a yes or no for every pair",
        character="independent logistic losses; no softmax over the batch",
        when="large batches over many devices, or several texts that fit an image",
        avoid="small batches without a learned bias: clip_loss",
        formula="sum_j log(1 + exp(-z_ij (cosine_ij / temperature + bias)))",
        source="Zhai et al. 2023, section 3.2",
        arguments=sets.SHOWN,
        reference=_siglip,
        settings=(
            {"temperature": 0.5, "bias": -1.5},
            {"temperature": 2.0, "bias": 0.5, "similarity": "dot"},
        ),
        impossible={"temperature": (0.0, -1.0, np.nan), "similarity": ("nearness",)},
        claims=(
            *_PAIRS,
            *sets.only_directions("images", "texts"),
            sets.same_in_any_axes("images", "texts"),
        ),
        non_claims=("symmetric anchor by anchor; only in its sum",),
    ),
)
