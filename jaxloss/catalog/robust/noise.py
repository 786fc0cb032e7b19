"""What is known of the losses of `jaxloss.robust` that wrong labels cannot dominate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from mpmath import mp

from jaxloss import classification, robust
from jaxloss.catalog import claims, kinds
from jaxloss.catalog.entry import Entry

CLASSES = 4
_LABELLED = {"logits": kinds.logits(CLASSES), "labels": kinds.labels(CLASSES)}
FINITE = {
    **_LABELLED,
    "logits": replace(kinds.logits(CLASSES), infinite=np.zeros(0), towards=np.zeros(0)),
}
CROSS_ENTROPY = classification.softmax_cross_entropy_with_integer_labels

RELABELLED = claims.permutation_invariant(
    "logits", indices=("labels",), text="unchanged when the classes are relabelled"
)
FALLING = claims.monotone("logits", "decreasing", along="label")


def log_softmax(x: Any) -> list[Any]:
    """Return the logarithms of the probabilities, in the arithmetic of mpmath."""
    normalizer = mp.log(mp.fsum(mp.exp(v) for v in x))
    return [v - normalizer for v in x]


def _gce(x: Any, y: int, q: Any = mp.mpf(0.7)) -> Any:
    log_p = log_softmax(x)[y]
    return -log_p if q == 0 else -mp.expm1(q * log_p) / q


def _miss(x: Any, y: int) -> Any:
    return mp.fsum(mp.exp(v) for k, v in enumerate(log_softmax(x)) if k != y)


def _symmetric(x: Any, y: int, alpha: Any = 1, beta: Any = 1, log_zero: Any = -4) -> Any:
    return -alpha * log_softmax(x)[y] - beta * log_zero * _miss(x, y)


def _focal(x: Any, gamma: Any) -> list[Any]:
    return [_miss(x, k) ** gamma * -v for k, v in enumerate(log_softmax(x))]


def _share(x: Any, y: int, gamma: Any = mp.mpf(0.5)) -> Any:
    terms = _focal(x, gamma)
    return terms[y] / mp.fsum(terms)


def _active_passive(
    x: Any,
    y: int,
    alpha: Any = 1,
    beta: Any = 1,
    active: str = "cross_entropy",
    passive: str = "absolute",
    gamma: Any = mp.mpf(0.5),
    log_zero: Any = -4,
) -> Any:
    first = _share(x, y, gamma if active == "focal" else 0)
    second = (2 if passive == "absolute" else -log_zero) * _miss(x, y)
    return alpha * first + beta * second


def _taylor(x: Any, y: int, order: int = 2) -> Any:
    return mp.fsum(_miss(x, y) ** k / k for k in range(1, order + 1))


def _symmetric_over_labels(total: Callable[..., float]) -> claims.Claim:
    """The losses of all labels sum to a constant, which is what withstands uniform noise."""

    def check(subject: claims.Subject) -> Iterator[str]:
        for setting in subject.settings:
            args = subject.draw("generic")
            sums = sum(
                subject.value([args[0], np.full_like(args[1], k)], setting, "float64")
                for k in range(CLASSES)
            )
            expected = total(**setting)
            wrong = np.abs(sums - expected) > 1e-12 * expected
            say = lambda i, s=sums, e=expected: f"sum over the labels {s[i]}, not {e}"
            yield from claims.violations(wrong, args, setting, say)

    return claims.holds("symmetric: its sum over the labels is constant", check)


NOISY: dict[str, Any] = {"family": "robust", "arguments": _LABELLED}
INVARIANT = claims.shift_invariant("logits")
COMMON = (claims.nonnegative(), INVARIANT)

ENTRIES = (
    Entry(
        robust.absolute_probability_error,
        purpose="absolute error of the probabilities",
        character="symmetric: uniform label noise does not move its minimiser; slow to learn",
        when="much uniform label noise and few classes",
        avoid="many classes, where it underfits: generalized_cross_entropy, active_passive_loss",
        formula="2 (1 - p[labels])",
        source="Ghosh et al. 2017, section 3",
        reference=lambda x, y: 2 * _miss(x, y),
        claims=(
            *COMMON,
            claims.bounded(0.0, 2.0),
            _symmetric_over_labels(lambda: 6.0),
            RELABELLED,
            FALLING,
        ),
        **NOISY,
    ),
    Entry(
        robust.generalized_cross_entropy,
        purpose="between cross-entropy and absolute error of probabilities",
        character="q says how much an example that contradicts its label still counts",
        when="label noise of unknown kind: a first choice",
        avoid="clean labels: softmax_cross_entropy_with_integer_labels",
        formula="(1 - p[labels]^q) / q",
        source="Zhang and Sabuncu 2018, eq. 6",
        reference=_gce,
        settings=({"q": 0.7}, {"q": 0.0}, {"q": 0.1}, {"q": 1.0}),
        impossible={"q": (-0.1, 1.1)},
        claims=(
            *COMMON,
            claims.equals("the cross-entropy at q 0", CROSS_ENTROPY, {"q": 0.0}),
            claims.equals(
                "the cross-entropy as q shrinks",
                CROSS_ENTROPY,
                {"q": 1e-12},
                approach=({"q": 0.7}, {"q": 0.2}, {"q": 1e-3}),
            ),
            claims.equals(
                "half of absolute_probability_error at q 1",
                robust.absolute_probability_error,
                {"q": 1.0},
                scale=0.5,
            ),
            claims.at_most("the cross-entropy", CROSS_ENTROPY),
            RELABELLED,
            FALLING,
        ),
        non_claims=("convex in logits", "proper"),
        **NOISY,
    ),
    Entry(
        robust.reverse_cross_entropy,
        purpose="cross-entropy with prediction and label exchanged",
        character="symmetric; a multiple of absolute_probability_error",
        when="as the passive part of another loss",
        avoid="alone, where it is slow: symmetric_cross_entropy",
        formula="-log_zero (1 - p[labels])",
        source="Wang et al. 2019, eq. 6",
        reference=lambda x, y, log_zero=-4: -log_zero * _miss(x, y),
        settings=({"log_zero": -4.0}, {"log_zero": -9.25}),
        impossible={"log_zero": (0.0, 1.0)},
        claims=(
            *COMMON,
            claims.bounded(0.0, lambda s: -s.get("log_zero", -4.0)),
            _symmetric_over_labels(lambda log_zero=-4.0: -3 * log_zero),
            RELABELLED,
            FALLING,
        ),
        **NOISY,
    ),
    Entry(
        robust.symmetric_cross_entropy,
        purpose="cross-entropy in both directions",
        character="one part learns, the other withstands wrong labels",
        when="label noise, with some tuning of the two weights",
        avoid="clean labels: softmax_cross_entropy_with_integer_labels",
        formula="-alpha log p[labels] - beta log_zero (1 - p[labels])",
        source="Wang et al. 2019, eq. 5 to 7",
        reference=_symmetric,
        settings=(
            {"alpha": 0.1, "beta": 1.0, "log_zero": -4.0},
            {"alpha": 6.0, "beta": 0.125, "log_zero": -9.25},
        ),
        impossible={"alpha": (-1.0,), "beta": (-1.0,), "log_zero": (0.0,)},
        claims=(
            *COMMON,
            claims.equals("the cross-entropy at beta 0", CROSS_ENTROPY, {"beta": 0.0}),
            RELABELLED,
            FALLING,
        ),
        non_claims=("symmetric over the labels, for alpha > 0",),
        **NOISY,
    ),
    Entry(
        robust.normalized_cross_entropy,
        purpose="share of the label in the cross-entropies with all labels",
        character="symmetric; raises the label and nothing else",
        when="as the active part of active_passive_loss",
        avoid="alone, where it underfits: active_passive_loss",
        formula="log p[labels] / sum_k log p_k",
        source="Ma et al. 2020, eq. 7",
        reference=lambda x, y: _share(x, y, 0),
        claims=(
            *COMMON,
            claims.bounded(0.0, 1.0),
            _symmetric_over_labels(lambda: 1.0),
            RELABELLED,
            FALLING,
        ),
        **{**NOISY, "arguments": FINITE},
    ),
    Entry(
        robust.normalized_focal_loss,
        purpose="share of the label in the focal losses of all labels",
        character="symmetric; hard examples count more than in normalized_cross_entropy",
        when="as the active part of active_passive_loss, with many easy examples",
        avoid="alone, where it underfits: active_passive_loss",
        formula="f[labels] / sum_k f_k, f_k = -(1 - p_k)^gamma log p_k",
        source="Ma et al. 2020, eq. 9",
        reference=_share,
        settings=({"gamma": 0.5}, {"gamma": 0.0}, {"gamma": 2.0}),
        impossible={"gamma": (-0.1,)},
        claims=(
            *COMMON,
            claims.bounded(0.0, 1.0),
            _symmetric_over_labels(lambda gamma=0.5: 1.0),
            claims.equals(
                "normalized_cross_entropy at gamma 0",
                robust.normalized_cross_entropy,
                {"gamma": 0.0},
            ),
            RELABELLED,
            FALLING,
        ),
        **{**NOISY, "arguments": FINITE},
    ),
    Entry(
        robust.active_passive_loss,
        purpose="one loss that raises the label plus one that lowers the others",
        character="symmetric like its parts, and learns faster than either",
        when="much label noise",
        avoid="clean labels: softmax_cross_entropy_with_integer_labels",
        formula="alpha A + beta B, A normalised, B absolute or reverse",
        source="Ma et al. 2020, eq. 12",
        reference=_active_passive,
        settings=(
            {"alpha": 1.0, "beta": 0.5},
            {
                "alpha": 2.0,
                "beta": 1.0,
                "active": "focal",
                "passive": "reverse_cross_entropy",
                "gamma": 2.0,
                "log_zero": -9.25,
            },
        ),
        impossible={
            "alpha": (-1.0,),
            "beta": (-1.0,),
            "gamma": (-1.0,),
            "log_zero": (0.0,),
            "active": ("mae",),
            "passive": ("mae",),
        },
        claims=(*COMMON, RELABELLED, FALLING),
        **{**NOISY, "arguments": FINITE},
    ),
    Entry(
        robust.taylor_cross_entropy,
        purpose="cross-entropy cut after some terms of its series",
        character="bounded; the order leads from the absolute error to the cross-entropy",
        when="label noise, with one integer to tune",
        avoid="clean labels: softmax_cross_entropy_with_integer_labels",
        formula="sum_{k=1}^order (1 - p[labels])^k / k",
        source="Feng et al. 2020, eq. 6",
        reference=_taylor,
        settings=({"order": 2}, {"order": 1}, {"order": 6}),
        impossible={"order": (0, -1)},
        claims=(
            *COMMON,
            claims.at_most("the cross-entropy", CROSS_ENTROPY),
            claims.equals(
                "half of absolute_probability_error at order 1",
                robust.absolute_probability_error,
                {"order": 1},
                scale=0.5,
            ),
            claims.bounded(0.0, lambda s: sum(1 / k for k in range(1, s.get("order", 2) + 1))),
            RELABELLED,
            FALLING,
        ),
        **NOISY,
    ),
)
