"""What is known of the losses of `jaxloss.robust` that correct for wrong labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from mpmath import mp

from jaxloss import robust
from jaxloss.catalog import claims, kinds
from jaxloss.catalog.entry import Entry
from jaxloss.catalog.robust.noise import (
    CLASSES,
    COMMON,
    CROSS_ENTROPY,
    FALLING,
    FINITE,
    INVARIANT,
    NOISY,
    RELABELLED,
    log_softmax,
)

# Averages of predictions are nearly, but never quite, one-hot.
_TARGETS = replace(
    kinds.simplex(CLASSES),
    spread=lambda rng, n: rng.dirichlet(np.full(CLASSES, 0.3), n),
    differentiable=False,
)
_NOISE = [
    [0.7, 0.1, 0.05, 0.15],
    [0.1, 0.8, 0.1, 0.0],
    [0.0, 0.3, 0.6, 0.1],
    [0.2, 0.1, 0.1, 0.6],
]
_IDENTITY = np.eye(CLASSES).tolist()
_BAD_MATRICES = ([[1.0, 0.0], [0.0, 1.0]], (-np.eye(4)).tolist(), (2 * np.eye(4)).tolist())


def _forward(x: Any, y: int, transition: Any) -> Any:
    return -mp.log(mp.fsum(mp.exp(v) * transition[k][y] for k, v in enumerate(log_softmax(x))))


def _backward(x: Any, y: int, transition: Any) -> Any:
    inverse = mp.matrix(transition) ** -1
    return -mp.fsum(inverse[y, k] * v for k, v in enumerate(log_softmax(x)))


def _bootstrapped(x: Any, y: int, beta: Any = mp.mpf(0.95), hard: bool = False) -> Any:
    logs = log_softmax(x)
    opinion = -max(logs) if hard else -mp.fsum(mp.exp(v) * v for v in logs)
    return -beta * logs[y] + (1 - beta) * opinion


def _early(x: Any, y: int, targets: Any, strength: Any = 3) -> Any:
    logs = log_softmax(x)
    rest = mp.fsum((1 - t) * mp.exp(v) for t, v in zip(targets, logs, strict=True))
    return -logs[y] + strength * mp.log(rest)


def _bi_tempered(x: Any, y: int, t1: Any = mp.mpf(0.8), t2: Any = mp.mpf(1.2)) -> Any:
    log_t = lambda v, t: mp.log(v) if t == 1 else (v ** (1 - t) - 1) / (1 - t)
    if t2 == 1:
        p = [mp.exp(v) for v in log_softmax(x)]
    else:
        share = lambda v, n: (1 + (t2 - 1) * (n - v)) ** (-1 / (t2 - 1))
        top, n = max(x), max(x)
        for _ in range(60):  # Newton's steps from where the shares sum to more than 1
            shares = [share(v, n) for v in x]
            slope = mp.fsum(s**t2 for s in shares)
            step = (mp.fsum(shares) - 1) / slope
            n += step
            if abs(step) < mp.mpf(10) ** (-mp.dps + 5) * (1 + abs(n - top)):
                break
        p = [share(v, n) for v in x]
    rest = (1 - mp.fsum(v ** (2 - t1) for v in p)) / (2 - t1)
    return -log_t(p[y], t1) - rest


def _unbiased(subject: claims.Subject) -> Iterator[str]:
    """Average over noisy labels: the cross-entropy with the clean label."""
    args = subject.draw("generic")
    logits = args[0]
    for setting in subject.settings:
        noise = np.asarray(setting["transition"])
        by_label = np.stack(
            [
                subject.value([logits, np.full(len(logits), k)], setting, "float64")
                for k in range(CLASSES)
            ]
        )
        clean = np.stack(
            [
                subject.value([logits, np.full(len(logits), k)], {}, "float64", loss=CROSS_ENTROPY)
                for k in range(CLASSES)
            ]
        )
        wrong = np.abs(noise @ by_label - clean).max(axis=0) > 1e-6
        yield from claims.violations(wrong, args, setting, lambda i: "the average is another")


ENTRIES = (
    Entry(
        robust.forward_corrected_cross_entropy,
        purpose="cross-entropy of what known label noise makes of the prediction",
        character="its minimiser on noisy labels is the clean one",
        when="the rates of label noise are known or estimated",
        avoid="unknown rates: generalized_cross_entropy",
        formula="-log(sum_k p_k transition[k, labels])",
        source="Patrini et al. 2017, theorem 2",
        reference=_forward,
        required={"transition": _NOISE},
        settings=({"transition": _IDENTITY},),
        impossible={"transition": _BAD_MATRICES},
        claims=(
            *COMMON,
            claims.equals(
                "the cross-entropy without noise", CROSS_ENTROPY, {"transition": _IDENTITY}
            ),
        ),
        non_claims=("convex in logits",),
        **{**NOISY, "arguments": FINITE},
    ),
    Entry(
        robust.backward_corrected_cross_entropy,
        purpose="cross-entropies of all labels, weighted by the inverse of known label noise",
        character="unbiased: averages to the clean cross-entropy; of high variance",
        when="an unbiased estimate of the clean loss is wanted",
        avoid="training, where forward_corrected_cross_entropy is steadier",
        formula="sum_k inverse(transition)[labels, k] (-log p_k)",
        source="Patrini et al. 2017, theorem 1",
        reference=_backward,
        required={"transition": _NOISE},
        settings=({"transition": _IDENTITY},),
        impossible={"transition": _BAD_MATRICES},
        claims=(claims.holds("its mean over the noise is the clean cross-entropy", _unbiased),),
        non_claims=("non-negative",),
        **{**NOISY, "arguments": FINITE},
    ),
    Entry(
        robust.bootstrapped_cross_entropy,
        purpose="cross-entropy with the label mixed with the prediction",
        character="the model's own opinion counts, by one minus beta",
        when="label noise, late in training",
        avoid="the first epochs, when the opinion is worth nothing",
        formula="-sum_k (beta y_k + (1 - beta) q_k) log p_k",
        source="Reed et al. 2015, eq. 5 and 6",
        reference=_bootstrapped,
        settings=(
            {"beta": 0.95},
            {"beta": 1.0},
            {"beta": 0.5},
            {"beta": 0.8, "hard": True},
        ),
        impossible={"beta": (-0.1, 1.1)},
        claims=(
            *COMMON,
            claims.equals("the cross-entropy at beta 1", CROSS_ENTROPY, {"beta": 1.0}),
            RELABELLED,
        ),
        non_claims=("proper", "convex in logits"),
        **NOISY,
    ),
    Entry(
        robust.early_learning_loss,
        purpose="cross-entropy plus a pull towards earlier predictions",
        character="holds on to what was learned before wrong labels were memorised",
        when="label noise and many epochs; needs a state for each training example",
        avoid="streams of data never seen twice: generalized_cross_entropy",
        formula="-log p[labels] + strength log(1 - <targets, p>)",
        source="Liu et al. 2020, eq. 8",
        reference=_early,
        settings=({"strength": 3.0}, {"strength": 0.0}, {"strength": 0.5}),
        impossible={"strength": (-1.0,)},
        claims=(INVARIANT,),
        non_claims=("non-negative", "bounded below"),
        family="robust",
        arguments={**FINITE, "targets": _TARGETS},
    ),
    Entry(
        robust.bi_tempered_logistic_loss,
        purpose="cross-entropy with a bounded logarithm and a heavy-tailed softmax",
        character="t1 bounds the loss of far outliers, t2 fattens the tails near the border",
        when="labels wrong both far from and close to the border",
        avoid="where probabilities must be those of a softmax",
        formula="-log_t1(p_y) - (1 - sum_k p_k^(2 - t1)) / (2 - t1), p = exp_t2(logits - n)",
        source="Amid et al. 2019, eq. 5 and 6",
        reference=_bi_tempered,
        settings=(
            {"t1": 0.75, "t2": 1.25},
            {"t1": 1.0, "t2": 1.0},
            {"t1": 0.25, "t2": 2.5},
        ),
        impossible={"t1": (-0.1, 1.1), "t2": (0.9,)},
        claims=(
            *COMMON,
            claims.equals(
                "the cross-entropy at t1 = t2 = 1", CROSS_ENTROPY, {"t1": 1.0, "t2": 1.0}
            ),
            RELABELLED,
            FALLING,
        ),
        non_claims=("convex in logits, for t1 below 1",),
        **{**NOISY, "arguments": FINITE},
    ),
)
