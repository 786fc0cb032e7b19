"""What is known of the losses of two classes in `jaxloss.classification`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from mpmath import mp

from jaxloss import classification
from jaxloss.catalog import claims, kinds
from jaxloss.catalog.entry import Entry

_LABELLED = {"logits": kinds.log_odds(), "labels": kinds.shares()}
_SIGNED = {"predictor_outputs": kinds.reals(), "targets": kinds.signs()}


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + mp.exp(-x))


def _entropy(x: Any, y: Any, pos_weight: Any = 1) -> Any:
    return -pos_weight * y * mp.log(_sigmoid(x)) - (1 - y) * mp.log(_sigmoid(-x))


def _cross_entropy(
    x: Any, y: Any, pos_weight: Any = 1, class_weights: Any = 1, label_smoothing: Any = 0
) -> Any:
    return class_weights * _entropy(x, y * (1 - label_smoothing) + label_smoothing / 2, pos_weight)


def _focal(x: Any, y: Any, gamma: Any = 2, alpha: Any = None) -> Any:
    p = _sigmoid(x)
    # 1 - p_t, written so that 120 digits suffice however confident the prediction.
    against = y * _sigmoid(-x) + (1 - y) * p
    weight = 1 if alpha is None else alpha * y + (1 - alpha) * (1 - y)
    return weight * against**gamma * _entropy(x, y)


def _asymmetric(
    x: Any,
    y: Any,
    gamma_negative: Any = 4,
    gamma_positive: Any = 1,
    clip: Any = mp.mpf(0.05),
) -> Any:
    p, miss = _sigmoid(x), _sigmoid(-x)
    q = max(p - clip, mp.mpf(0))
    positive = -(miss**gamma_positive) * mp.log(p)
    negative = -(q**gamma_negative) * mp.log(min(miss + clip, mp.mpf(1)))
    return y * positive + (1 - y) * negative


def _sparsemax(x: Any, y: Any) -> Any:
    conjugate = mp.mpf(0) if x <= -1 else x if x >= 1 else (x + 1) ** 2 / 4
    return conjugate - x * y + y**2 - y


def _hinge(s: Any, y: Any) -> Any:
    return max(mp.mpf(0), 1 - s * y)


def _logistic(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _weight_moves_the_optimum(subject: Any) -> Iterator[str]:
    """The optimal odds are `pos_weight` times the odds of the label."""
    for weight in (0.25, 3.0):
        p = np.array([0.1, 0.5, 0.8])
        best = np.log(weight * p / (1 - p))
        slope = subject.slopes([best, p], {"pos_weight": weight})[0]
        if np.abs(slope).max() > 1e-12:
            yield f"at pos_weight={weight} the gradient at the stated optimum is {slope}"


def _fades_with_confidence(subject: Any) -> Iterator[str]:
    """The ratio to the cross-entropy falls as the right class gains."""
    args = [np.linspace(-6, 6, 49), np.ones(49)]
    plain = subject.value(args, {}, "float64", loss=classification.sigmoid_binary_cross_entropy)
    for setting in subject.settings:
        ratio = subject.value(args, setting, "float64") / plain
        if not (np.diff(ratio) < 0).all():
            yield f"the weight of an example does not fall everywhere, {setting}"


def _entropy_of_share(_: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the least cross-entropy of a label in [0, 1]."""
    shares = np.stack([y, 1 - y])
    return -(shares * np.log(np.where(shares > 0, shares, 1))).sum(axis=0)


def _zero_if_hard(_: np.ndarray, y: np.ndarray, **setting: float) -> np.ndarray:
    """Return the least loss of hard labels; that of soft ones has no simple form."""
    return np.where((y == 0) | (y == 1), 0.0, np.inf)


ENTRIES = (
    Entry(
        classification.sigmoid_binary_cross_entropy,
        family="classification",
        purpose="binary cross-entropy; also one a label for multi-label problems",
        character="treats positives and negatives alike; balance must be added (pos_weight)",
        when="two classes, or independent labels (tune each threshold: fbeta_thresholds)",
        avoid="one class among many: softmax_cross_entropy; extreme imbalance: sigmoid_focal_loss",
        formula="-labels log(p) - (1 - labels) log(1 - p), with p = sigmoid(logits)",
        source="Goodfellow et al. 2016, section 6.2.2.2",
        arguments=_LABELLED,
        reference=_cross_entropy,
        settings=(
            {"pos_weight": 3.0, "class_weights": 0.5, "label_smoothing": 0.1},
            {"pos_weight": 0.0, "class_weights": 1.0, "label_smoothing": 0.0},
        ),
        impossible={
            "pos_weight": (-1.0, np.nan),
            "class_weights": (-1.0,),
            "label_smoothing": (-0.1, 1.1),
        },
        claims=(
            claims.nonnegative(),
            claims.convex("logits"),
            claims.by_default(claims.lipschitz(1.0, "logits")),
            claims.by_default(claims.strictly_proper("sigmoid")),
            claims.by_default(
                claims.gradient_is(
                    "sigmoid(logits) - labels", "logits", lambda x, y: _logistic(x) - y
                )
            ),
            claims.holds(
                "pos_weight multiplies the odds of the optimum", _weight_moves_the_optimum
            ),
            claims.by_default(claims.monotone("logits", "decreasing", along="label")),
            claims.by_default(claims.smooth(0.25, "logits")),
            claims.by_default(claims.informative_gradient("logits", least=_entropy_of_share)),
        ),
        non_claims=("proper with pos_weight or label_smoothing: they move the optimum",),
    ),
    Entry(
        classification.sigmoid_focal_loss,
        family="classification",
        purpose="binary cross-entropy that fades on easy examples",
        character="less weight for easy examples; gamma adjusts how much",
        when="dense detection: extreme imbalance with easy negatives",
        avoid="where probabilities must be calibrated, or labels are wrong (it trusts hard ones)",
        formula="alpha_t (1 - p_t)^gamma cross-entropy",
        source="Lin et al. 2017, eq. 5",
        arguments=_LABELLED,
        reference=_focal,
        settings=(
            {"gamma": 2.0, "alpha": 0.25},
            {"gamma": 0.3, "alpha": 0.5},
            {"gamma": 5.0, "alpha": 0.9},
        ),
        impossible={"gamma": (-0.1, np.nan), "alpha": (-0.1, 1.1)},
        claims=(
            claims.nonnegative(),
            claims.at_most(
                "the cross-entropy", classification.sigmoid_binary_cross_entropy, {"gamma": 2.0}
            ),
            claims.equals(
                "the cross-entropy at gamma 0",
                classification.sigmoid_binary_cross_entropy,
                {"gamma": 0.0},
                approach=({"gamma": 3.0}, {"gamma": 1.0}, {"gamma": 0.1}),
            ),
            claims.holds("its weight falls with confidence", _fades_with_confidence),
            claims.monotone("logits", "decreasing", along="label"),
            claims.informative_gradient("logits", least=_zero_if_hard),
        ),
        non_claims=("proper", "convex in logits"),
    ),
    Entry(
        classification.asymmetric_loss,
        family="classification",
        purpose="multi-label loss that fades and drops easy negatives",
        character="negatives fade faster than positives; the easiest cost nothing",
        when="multi-label problems in which most labels are absent",
        avoid="balanced labels: sigmoid_binary_cross_entropy",
        formula="-y (1 - p)^g+ log(p) - (1 - y) q^g- log(1 - q), with q = max(p - clip, 0)",
        source="Ridnik et al. 2021, eq. 7",
        arguments=_LABELLED,
        reference=_asymmetric,
        settings=(
            {"gamma_negative": 4.0, "gamma_positive": 1.0, "clip": 0.05},
            {"gamma_negative": 0.5, "gamma_positive": 0.25, "clip": 0.0},
            {"gamma_negative": 0.0, "gamma_positive": 0.0, "clip": 0.2},
        ),
        impossible={
            "gamma_negative": (-0.1, np.nan),
            "gamma_positive": (-0.1,),
            "clip": (-0.1, 1.0),
        },
        claims=(
            claims.nonnegative(),
            claims.at_most("the cross-entropy", classification.sigmoid_binary_cross_entropy),
            claims.equals(
                "the cross-entropy at zero exponents and clip",
                classification.sigmoid_binary_cross_entropy,
                {"gamma_negative": 0.0, "gamma_positive": 0.0, "clip": 0.0},
            ),
            claims.by_default(
                claims.no_gradient(
                    "for negatives of probability below clip",
                    "logits",
                    lambda x, y: (y == 0) & (_logistic(x) < 0.0499),
                )
            ),
            claims.monotone("logits", "decreasing", along="label"),
        ),
        non_claims=("proper", "convex in logits"),
    ),
    Entry(
        classification.sparsemax_loss,
        family="classification",
        purpose="two classes with probabilities that can be exactly 0 or 1",
        character="quadratic bend between no loss and linear loss",
        when="sparse predictions; a smooth hinge whose gradient is a probability error",
        avoid="where log-likelihoods are needed: sigmoid_binary_cross_entropy",
        formula="conjugate of y^2 - y: 0, (1 - x)^2 / 4 or -x for a label of 1",
        source="Blondel et al. 2020, section 4.4",
        arguments=_LABELLED,
        reference=_sparsemax,
        claims=(
            claims.nonnegative(),
            claims.convex("logits"),
            claims.lipschitz(1.0, "logits"),
            claims.gradient_is(
                "sparse_sigmoid(logits) - labels",
                "logits",
                lambda x, y: np.clip((x + 1) / 2, 0, 1) - y,
            ),
            claims.monotone("logits", "decreasing", along="label"),
            claims.smooth(0.5, "logits"),
            claims.informative_gradient("logits", least=_zero_if_hard),
            claims.minimum_at_target(lambda y: 2 * y - 1),
        ),
        non_claims=("positive off the label: 0 as soon as the lead is 1",),
    ),
    Entry(
        classification.hinge_loss,
        family="classification",
        purpose="shortfall from a margin of 1",
        character="support vectors: only examples near or across the border count",
        when="margin classifiers; border examples decide",
        avoid="where probabilities are needed: sigmoid_binary_cross_entropy",
        formula="max(0, 1 - targets predictor_outputs)",
        source="Cortes and Vapnik 1995, eq. 14",
        arguments=_SIGNED,
        reference=_hinge,
        claims=(
            claims.nonnegative(),
            claims.convex("predictor_outputs"),
            claims.lipschitz(1.0, "predictor_outputs"),
            claims.calibrated(),
            claims.no_gradient("beyond the margin", "predictor_outputs", lambda s, y: s * y >= 1),
            claims.monotone("predictor_outputs", "decreasing", along="label"),
            claims.informative_gradient("predictor_outputs"),
        ),
        non_claims=("proper: its minimiser says which class, not how probable",),
    ),
    Entry(
        classification.squared_hinge_loss,
        family="classification",
        purpose="squared shortfall from a margin of 1",
        character="as hinge_loss, differentiable, punishing large errors more",
        when="margin classifiers with smooth optimisation",
        avoid="wrong labels, whose errors it squares: hinge_loss",
        formula="max(0, 1 - targets predictor_outputs)^2",
        source="Cortes and Vapnik 1995, eq. 14 with sigma = 2",
        arguments=_SIGNED,
        reference=lambda s, y: _hinge(s, y) ** 2,
        claims=(
            claims.nonnegative(),
            claims.convex("predictor_outputs"),
            claims.calibrated(),
            claims.no_gradient("beyond the margin", "predictor_outputs", lambda s, y: s * y >= 1),
            claims.monotone("predictor_outputs", "decreasing", along="label"),
            claims.informative_gradient("predictor_outputs"),
            claims.smooth(2.0, "predictor_outputs"),
        ),
        non_claims=("Lipschitz",),
    ),
    Entry(
        classification.perceptron_loss,
        family="classification",
        purpose="size of a score of the wrong sign",
        character="no margin; mistakes only",
        when="online learning by mistakes",
        avoid="generalisation from separable data: hinge_loss asks for a margin",
        formula="max(0, -targets predictor_outputs)",
        source="Rosenblatt 1958; Bishop 2006, eq. 4.54",
        arguments=_SIGNED,
        reference=lambda s, y: max(mp.mpf(0), -s * y),
        claims=(
            claims.nonnegative(),
            claims.convex("predictor_outputs"),
            claims.lipschitz(1.0, "predictor_outputs"),
            claims.no_gradient(
                "where the sign is right", "predictor_outputs", lambda s, y: s * y > 0
            ),
            claims.monotone("predictor_outputs", "decreasing", along="label"),
            claims.informative_gradient("predictor_outputs"),
        ),
        non_claims=("classification-calibrated: the score 0 is a minimiser for every probability",),
    ),
)
