"""What is known of the losses of many classes in `jaxloss.classification`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import numpy as np
from mpmath import mp

from jaxloss import classification
from jaxloss.catalog import claims, kinds
from jaxloss.catalog.entry import Entry

CLASSES = 4
_SOFT = {"logits": kinds.logits(CLASSES), "labels": kinds.simplex(CLASSES)}
_INDEXED = {"logits": kinds.logits(CLASSES), "labels": kinds.labels(CLASSES)}
_SCORED = {"scores": kinds.scores(CLASSES), "labels": kinds.labels(CLASSES)}
_WEIGHTS = [0.5, 2.0, 0.0, 1.25]
_COUNTS = [900.0, 40.0, 7.0, 150.0]
_BAD_COUNTS = ([1.0, 2.0, 3.0], [1.0, 2.0, 0.0, 3.0], [1.0, -2.0, 1.0, 3.0])


def _one_hot(index: int) -> list[int]:
    return [int(k == index) for k in range(CLASSES)]


def _log_softmax(x: Any) -> Any:
    normaliser = mp.log(mp.fsum(mp.exp(v) for v in x))
    return [v - normaliser for v in x], normaliser


def _cross_entropy(
    x: Any, y: Any, class_weights: Any = None, label_smoothing: Any = 0, z_loss: Any = 0
) -> Any:
    y = _one_hot(y) if isinstance(y, int) else y
    logs, normaliser = _log_softmax(x)
    weights = class_weights or [1] * CLASSES
    smooth = [(1 - label_smoothing) * v + label_smoothing / mp.mpf(CLASSES) for v in y]
    return z_loss * normaliser**2 - mp.fsum(
        map(lambda *t: t[0] * t[1] * t[2], weights, smooth, logs)
    )


def _focal(x: Any, y: Any, gamma: Any = 2, alpha: Any = 1) -> Any:
    alpha = alpha if isinstance(alpha, list) else [alpha] * CLASSES
    logs, _ = _log_softmax(x)
    terms = zip(alpha, y, logs, strict=True)
    return -mp.fsum(a * v * (1 - mp.exp(lp)) ** gamma * lp for a, v, lp in terms)


def _poly(x: Any, y: Any, epsilon: Any = 2) -> Any:
    logs, _ = _log_softmax(x)
    return mp.fsum(v * (epsilon * (1 - mp.exp(lp)) - lp) for v, lp in zip(y, logs, strict=True))


def _lead(s: Any, label: int) -> Any:
    return max(v for k, v in enumerate(s) if k != label) - s[label]


def _projection(x: Any) -> Any:
    """Project on the simplex by trying every size of the support."""
    ordered = sorted(x, reverse=True)
    best = mp.mpf(0)
    for size in range(1, len(x) + 1):
        threshold = (mp.fsum(ordered[:size]) - 1) / size
        if ordered[size - 1] > threshold:
            best = threshold
    return [max(v - best, mp.mpf(0)) for v in x]


def _sparsemax(s: Any, label: int) -> Any:
    p = _projection(s)
    # Fenchel-Young with half the squared norm: conjugate at s, plus its value at the label.
    return mp.fdot(p, s) - mp.fdot(p, p) / 2 + mp.mpf(1) / 2 - s[label]


def _adjusted(x: Any, y: int, class_counts: Any, tau: Any = 1) -> Any:
    return _cross_entropy([v + tau * mp.log(n) for v, n in zip(x, class_counts, strict=True)], y)


def _margin(
    x: Any, y: int, class_counts: Any, max_margin: Any = mp.mpf(0.5), scale: Any = 30
) -> Any:
    raw = [mp.mpf(n) ** mp.mpf(-0.25) for n in class_counts]
    margin = max_margin * raw[y] / max(raw)
    return _cross_entropy([scale * (v - margin * (k == y)) for k, v in enumerate(x)], y)


def _softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def _project(x: np.ndarray) -> np.ndarray:
    return np.array([[float(v) for v in _projection(list(map(mp.mpf, row)))] for row in x])


def _error_of(link: Any) -> Any:
    """Return the gradient `link(scores) - labels` of losses whose labels are indices."""
    return lambda x, y: link(x) - np.eye(CLASSES)[y]


def _softmax_error(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return `softmax(x) - y`, where the shares in y need not quite sum to 1."""
    y = y if y.ndim > 1 else np.eye(CLASSES)[y]
    return _softmax(x) * y.sum(axis=-1, keepdims=True) - y


def _entropy_of_labels(_: np.ndarray, y: np.ndarray, **setting: Any) -> np.ndarray:
    """Return the least cross-entropy: 0 for hard labels, which are indices or one-hot."""
    soft = y if y.ndim > 1 else np.ones((len(y), 1))
    return -(soft * np.log(np.where(soft > 0, soft, 1))).sum(axis=-1)


_ANY_LABELS = "unchanged when the classes are relabelled"
_SOFT_RELABELLED = claims.by_default(claims.permutation_invariant(text=_ANY_LABELS))
_CROSS_ENTROPY_CLAIMS = (
    claims.nonnegative(),
    claims.convex("logits"),
    claims.by_default(claims.shift_invariant("logits")),
    claims.by_default(claims.lipschitz(2**0.5, "logits")),
    claims.by_default(claims.strictly_proper()),
    claims.by_default(claims.gradient_is("softmax(logits) - labels", "logits", _softmax_error)),
    claims.by_default(claims.smooth(0.5, "logits")),
    claims.by_default(claims.monotone("logits", "decreasing", along="label")),
    claims.by_default(claims.informative_gradient("logits", least=_entropy_of_labels)),
)
_CROSS_ENTROPY: dict[str, Any] = {
    "family": "classification",
    "character": "proper: predicts probabilities; needs the softmax to normalise",
    "formula": "-sum(labels log(softmax(logits)))",
    "source": "Bishop 2006, eq. 4.108",
    "reference": _cross_entropy,
    "non_claims": ("proper with class_weights or label_smoothing: they move the optimum",),
}
_OPTIONS: dict[str, Any] = {
    "settings": (
        {"class_weights": _WEIGHTS, "label_smoothing": 0.1, "z_loss": 0.01},
        {"class_weights": _WEIGHTS, "label_smoothing": 0.0, "z_loss": 0.0},
    ),
    "impossible": {
        "class_weights": ([1.0, 1.0], [1.0, 1.0, 1.0, -1.0]),
        "label_smoothing": (-0.1, 1.1),
        "z_loss": (-1.0, np.nan),
    },
}
_MARGIN_CLAIMS = (
    claims.nonnegative(),
    claims.convex("scores"),
    claims.shift_invariant("scores"),
    claims.lipschitz(2**0.5, "scores"),
    claims.permutation_invariant("scores", indices=("labels",), text=_ANY_LABELS),
    claims.monotone("scores", "decreasing", along="label"),
    claims.informative_gradient("scores"),
)

NOT_LOSSES = {
    "fbeta_thresholds": "chooses decision thresholds; nothing is differentiated",
    "smooth_labels": "prepares the labels of a loss",
}

ENTRIES = (
    Entry(
        classification.softmax_cross_entropy,
        purpose="cross-entropy with a distribution as label",
        when="many classes with soft labels: distillation, mixing, annotators who disagree",
        avoid="labels that are indices: softmax_cross_entropy_with_integer_labels",
        arguments=_SOFT,
        claims=(*_CROSS_ENTROPY_CLAIMS, _SOFT_RELABELLED),
        **_CROSS_ENTROPY,
        **_OPTIONS,
    ),
    Entry(
        classification.softmax_cross_entropy_with_integer_labels,
        purpose="cross-entropy with the index of the right class",
        when="many classes, one right: classification, language models",
        avoid="several right classes: sigmoid_binary_cross_entropy; long tails: ldam_loss",
        arguments=_INDEXED,
        claims=(
            *_CROSS_ENTROPY_CLAIMS,
            claims.by_default(
                claims.permutation_invariant("logits", indices=("labels",), text=_ANY_LABELS)
            ),
        ),
        **_CROSS_ENTROPY,
        **_OPTIONS,
    ),
    Entry(
        classification.safe_softmax_cross_entropy,
        purpose="softmax_cross_entropy under optax's name for its safe version",
        when="code that comes from optax",
        avoid="new code: softmax_cross_entropy is as safe and has more arguments",
        arguments=_SOFT,
        claims=(*_CROSS_ENTROPY_CLAIMS, _SOFT_RELABELLED),
        **_CROSS_ENTROPY,
    ),
    Entry(
        classification.softmax_focal_loss,
        family="classification",
        purpose="cross-entropy that fades on easy examples",
        character="less weight for easy examples; gamma adjusts how much",
        when="many classes, most examples easy",
        avoid="where probabilities must be calibrated, or labels are wrong",
        formula="-sum(labels alpha (1 - p)^gamma log(p))",
        source="Lin et al. 2017, eq. 4, for many classes",
        arguments=_SOFT,
        reference=_focal,
        settings=(
            {"gamma": 2.0, "alpha": [1.0] * CLASSES},
            {"gamma": 0.3, "alpha": [0.5, 1.5, 1.0, 2.0]},
            {"gamma": 5.0, "alpha": _WEIGHTS},
        ),
        impossible={"gamma": (-0.1, np.nan), "alpha": (-1.0, [1.0, 2.0])},
        claims=(
            claims.nonnegative(),
            claims.shift_invariant("logits"),
            claims.at_most(
                "the cross-entropy",
                classification.softmax_cross_entropy,
                {"gamma": 2.0, "alpha": 1.0},
            ),
            claims.equals(
                "the cross-entropy at gamma 0",
                classification.softmax_cross_entropy,
                {"gamma": 0.0, "alpha": 1.0},
                approach=({"gamma": 2.0, "alpha": 1.0}, {"gamma": 0.1, "alpha": 1.0}),
            ),
            _SOFT_RELABELLED,
            claims.monotone("logits", "decreasing", along="label"),
        ),
        non_claims=("proper", "convex in logits"),
    ),
    Entry(
        classification.poly_loss_cross_entropy,
        family="classification",
        purpose="cross-entropy with its first polynomial term reweighted",
        character="one more parameter: how much examples already right still count",
        when="a tuned cross-entropy: epsilon > 0 for classification, < 0 for detection",
        avoid="where probabilities must be calibrated: softmax_cross_entropy",
        formula="cross-entropy + epsilon sum(labels (1 - p))",
        source="Leng et al. 2022, eq. 7",
        arguments=_SOFT,
        reference=_poly,
        settings=({"epsilon": 2.0}, {"epsilon": -1.0}, {"epsilon": 0.5}),
        claims=(
            claims.nonnegative(),
            claims.shift_invariant("logits"),
            claims.equals(
                "the cross-entropy at epsilon 0",
                classification.softmax_cross_entropy,
                {"epsilon": 0.0},
                approach=({"epsilon": 2.0}, {"epsilon": 0.5}, {"epsilon": 0.01}),
            ),
            _SOFT_RELABELLED,
            claims.monotone("logits", "decreasing", along="label"),
        ),
        non_claims=("proper", "convex in logits", "non-negative for epsilon below -1"),
    ),
    Entry(
        classification.logit_adjusted_cross_entropy,
        family="classification",
        purpose="cross-entropy that discounts class frequencies; balanced softmax",
        character="rare classes must win by their odds; the bare logits are then balanced",
        when="long-tailed training data, balanced test",
        avoid="test data as skewed as the training data: the plain cross-entropy",
        formula="cross-entropy of logits + tau log(class_counts)",
        source="Menon et al. 2021, eq. 10; Ren et al. 2020, eq. 3",
        arguments=_INDEXED,
        reference=_adjusted,
        required={"class_counts": _COUNTS},
        settings=({"tau": 1.5}, {"tau": 0.0}),
        impossible={"class_counts": _BAD_COUNTS, "tau": (np.nan,)},
        claims=(
            claims.nonnegative(),
            claims.convex("logits"),
            claims.shift_invariant("logits"),
            claims.lipschitz(2**0.5, "logits"),
            claims.equals(
                "the cross-entropy at tau 0",
                classification.softmax_cross_entropy_with_integer_labels,
                {"class_counts": _COUNTS, "tau": 0.0},
            ),
            claims.monotone("logits", "decreasing", along="label"),
            claims.smooth(0.5, "logits"),
            claims.informative_gradient("logits"),
        ),
        non_claims=("proper for the skewed distribution: it is for the balanced one",),
    ),
    Entry(
        classification.ldam_loss,
        family="classification",
        purpose="cross-entropy with larger margins for rarer classes",
        character="margins go with the count to the power -1/4",
        when="long tails with cosine classifiers, often after a warm-up",
        avoid="logits that are not cosines: logit_adjusted_cross_entropy",
        formula="cross-entropy of scale (logits - margin of the label)",
        source="Cao et al. 2019, eq. 10 to 13",
        arguments=_INDEXED,
        reference=_margin,
        required={"class_counts": _COUNTS},
        settings=(
            {"max_margin": 0.5, "scale": 30.0},
            {"max_margin": 0.0, "scale": 2.0},
        ),
        impossible={
            "class_counts": _BAD_COUNTS,
            "max_margin": (-0.1, np.nan),
            "scale": (0.0, -1.0),
        },
        claims=(
            claims.nonnegative(),
            claims.convex("logits"),
            claims.shift_invariant("logits"),
            claims.lipschitz(
                lambda s: 2**0.5 * s.get("scale", 30.0), "logits", text="sqrt(2) scale"
            ),
            claims.equals(
                "the cross-entropy without margin",
                classification.softmax_cross_entropy_with_integer_labels,
                {"class_counts": _COUNTS, "max_margin": 0.0, "scale": 1.0},
            ),
            claims.monotone("logits", "decreasing", along="label"),
            claims.smooth(lambda s: s.get("scale", 30.0) ** 2 / 2, "logits", text="scale^2 / 2"),
        ),
        non_claims=("proper",),
    ),
    Entry(
        classification.multiclass_hinge_loss,
        family="classification",
        purpose="shortfall of the right class's lead from 1",
        character="only the best rival counts",
        when="margin classifiers of many classes",
        avoid="where no class has probability one half: the cross-entropy is consistent",
        formula="max(0, 1 + max_{j != y} s_j - s_y)",
        source="Crammer and Singer 2001, eq. 3",
        arguments=_SCORED,
        reference=lambda s, y: max(mp.mpf(0), 1 + _lead(s, y)),
        claims=(
            *_MARGIN_CLAIMS,
            claims.no_gradient(
                "where the right class leads by 1",
                "scores",
                lambda s, y: np.array(
                    [float(_lead(list(r), int(k))) <= -1 for r, k in zip(s, y, strict=True)]
                ),
            ),
        ),
        non_claims=("classification-calibrated for three and more classes",),
    ),
    Entry(
        classification.multiclass_perceptron_loss,
        family="classification",
        purpose="lead of the best class over the right one",
        character="no margin; mistakes only",
        when="structured and online learning by mistakes",
        avoid="generalisation from separable data: multiclass_hinge_loss",
        formula="max_j s_j - s_y",
        source="Collins 2002, fig. 2",
        arguments=_SCORED,
        reference=lambda s, y: max(mp.mpf(0), _lead(s, y)),
        claims=_MARGIN_CLAIMS,
        non_claims=("classification-calibrated",),
    ),
    Entry(
        classification.multiclass_sparsemax_loss,
        family="classification",
        purpose="the loss of sparse probabilities",
        character="probabilities can be exactly 0; a lead of 1 costs nothing",
        when="sparse predictions, attention, many irrelevant classes",
        avoid="where log-likelihoods are needed: the cross-entropy",
        formula="|y - p|^2 / 2 + max(0, threshold - s_y), with p = sparsemax(scores)",
        source="Martins and Astudillo 2016, eq. 14",
        arguments=_SCORED,
        reference=_sparsemax,
        claims=(
            *_MARGIN_CLAIMS,
            claims.gradient_is("sparsemax(scores) - labels", "scores", _error_of(_project)),
            claims.smooth(1.0, "scores"),
            claims.proper("identity"),
        ),
        non_claims=("positive off the label: 0 as soon as the lead is 1",),
    ),
    Entry(
        classification.make_fenchel_young_loss(jax.nn.logsumexp),
        name="make_fenchel_young_loss",
        family="classification",
        purpose="a loss made from a regulariser's conjugate (shown: logsumexp)",
        character="gradient is prediction minus target, whatever the prediction function",
        when="structured or sparse predictions with a max function of your own",
        avoid="the cross-entropy, which softmax_cross_entropy computes more accurately",
        formula="max_fun(scores) - <scores, targets> [+ regularizer(targets)]",
        source="Blondel et al. 2020, eq. 14",
        # Any point of a convex set may be a target: nothing is impossible.
        arguments={
            "scores": kinds.scores(CLASSES),
            "targets": replace(kinds.simplex(CLASSES), invalid=np.zeros(0)),
        },
        reference=lambda s, y: mp.log(mp.fsum(mp.exp(v) for v in s)) - mp.fdot(s, y),
        claims=(
            claims.convex("scores"),
            claims.gradient_is("softmax(scores) - targets", "scores", lambda s, y: _softmax(s) - y),
            claims.smooth(0.5, "scores"),
            claims.strictly_proper(),
            claims.permutation_invariant(text=_ANY_LABELS),
        ),
        non_claims=("non-negative without a regularizer",),
    ),
)
