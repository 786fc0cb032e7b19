"""Margins in the angle between features and class weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from mpmath import mp

from jaxloss import classification, contrastive
from jaxloss.catalog import claims, kinds
from jaxloss.catalog.entry import Entry
from jaxloss.contrastive import NormStatistics, TargetStatistics

Array = np.ndarray

CLASSES = 4


def _cosines() -> kinds.Kind:
    """Cosines of angles: ordinary, near the ends, at them, and past them by rounding."""
    past = 1 + 2.0**-23

    def spread(rng: np.random.Generator, n: int) -> Array:
        near = 1 - 10 ** rng.uniform(-6.5, -0.5, (n, CLASSES))
        small = 10 ** rng.uniform(-6, -1, (n, CLASSES))
        size = np.where(rng.random((n, CLASSES)) < 0.6, near, small)
        return size * rng.choice([-1.0, 1.0], size.shape)

    return kinds.Kind(
        f"cosines with {CLASSES} classes",
        generic=lambda rng, n: rng.uniform(-0.95, 0.95, (n, CLASSES)),
        spread=spread,
        steps="mix",
        singular=np.array(
            [
                np.zeros(CLASSES),
                np.ones(CLASSES),
                -np.ones(CLASSES),
                [1.0, 0.25, -1.0, 0.0],
                [-1.0, 1.0, 0.25, 0.25],
                [past, -past, 0.25, -0.25],
                [0.25, -0.25, past, -past],
            ]
        ),
        extreme=np.array([[1e-30, 1.0, -1.0, -1e-30], [1.0, -1.0, 1.0, 0.999], [past, past, 0, 0]]),
        invalid=np.array([[1.5, 0.0, 0.25, 0.5], [0.0, 0.25, 0.5, -100.0]]),
    )


_NORMS = kinds.Kind(
    "norms of features",
    generic=lambda rng, n: rng.uniform(5.0, 35.0, n),
    spread=lambda rng, n: 10 ** rng.uniform(-3, 4, n),
    steps="mix",
    singular=np.array([0.0, 20.0, 1.0]),
    extreme=np.array([0.0, 1e4, 1e30, 1e-30]),
    invalid=np.array([-1.0, -100.0]),
    differentiable=False,
)
_ARGUMENTS = {"cosines": _cosines(), "labels": kinds.labels(CLASSES)}


# The formulas, once more


def _cross_entropy(c: Any, y: int, target: Any, scale: Any) -> Any:
    logits = [scale * (target if k == y else v) for k, v in enumerate(c)]
    return mp.log(mp.fsum(mp.exp(v - logits[y]) for v in logits))


def _turned(cosine: Any, margin: Any) -> Any:
    # Past 1 by rounding there is no sine.
    sine = mp.sqrt(max(1 - cosine**2, mp.mpf(0)))
    if margin > 0 and cosine < -mp.cos(margin):
        return cosine - 1 + mp.cos(margin)
    if margin < 0 and cosine > mp.cos(margin):
        return mp.mpf(1)
    return cosine * mp.cos(margin) - sine * mp.sin(margin)


def _sphereface(c: Any, y: int, margin: int = 4, scale: Any = 30) -> Any:
    k = sum(c[y] < mp.cos(j * mp.pi / margin) for j in range(1, margin))
    psi = (-1) ** k * mp.chebyt(margin, c[y]) - 2 * k
    return _cross_entropy(c, y, psi, scale)


def _cosface(c: Any, y: int, margin: Any = mp.mpf(0.35), scale: Any = 64) -> Any:
    return _cross_entropy(c, y, c[y] - margin, scale)


def _arcface(c: Any, y: int, margin: Any = mp.mpf(0.5), scale: Any = 64) -> Any:
    return _cross_entropy(c, y, _turned(c[y], margin), scale)


def _adaface(
    c: Any,
    y: int,
    norm: Any,
    statistics: Any,
    margin: Any = mp.mpf(0.4),
    scale: Any = 64,
    concentration: Any = mp.mpf(0.333),
) -> Any:
    z = concentration * (norm - statistics.mean) / statistics.std
    z = min(max(z, mp.mpf(-1)), mp.mpf(1))
    return _cross_entropy(c, y, _turned(c[y], -margin * z) - margin * (z + 1), scale)


def _curricularface(
    c: Any, y: int, statistics: Any, margin: Any = mp.mpf(0.5), scale: Any = 64
) -> Any:
    target = _turned(c[y], margin)
    modulated = [v * (statistics.target_cosine + v) if v > target else v for v in c]
    return _cross_entropy(modulated, y, target, scale)


# What is claimed


def _scaled(scale: float) -> Any:
    """Return the cross-entropy of scaled cosines, with whatever other arguments the loss has."""

    def loss(cosines: Any, labels: Any, *rest: Any, where: Any = None) -> Any:
        return classification.softmax_cross_entropy_with_integer_labels(
            scale * cosines, labels, where=where
        )

    return loss


def _never_below(scale: float) -> claims.Claim:
    """The margin only ever adds to the loss."""
    plain = _scaled(scale)

    def check(subject: Any) -> Iterator[str]:
        for setting, args in claims.samples(subject):
            # Past 1 by rounding there is no angle to which a margin could be added.
            args = [np.clip(args[0], -1, 1), *args[1:]]
            setting = {**setting, "scale": scale}
            value = subject.value(args, setting, "float64")
            floor = subject.value(args, {}, "float64", loss=plain)
            wrong = value < floor - 1e-12 * (1 + floor)
            say = lambda i, a=value, b=floor: f"{a[i]:.9g} below {b[i]:.9g}"
            yield from claims.violations(wrong, args, setting, say)

    return claims.holds("never below the cross-entropy of the scaled cosines", check)


def _falls() -> claims.Claim:
    """A better angle never costs more."""

    def check(subject: Any) -> Iterator[str]:
        for setting, args in claims.samples(subject):
            slope = subject.slopes(args, setting)[0]
            own = slope[np.arange(len(slope)), args[1]]
            yield from claims.violations(
                own > 0, args, setting, lambda i, s=own: f"slope {s[i]:.6g} in the label's cosine"
            )

    return claims.holds("never rises with the cosine of the label", check)


def _easy_negatives_are_arcface() -> claims.Claim:
    def other(cosines: Any, labels: Any, where: Any = None) -> Any:
        return contrastive.arcface_loss(cosines, labels, where=where)

    def check(subject: Any) -> Iterator[str]:
        cosines, labels = subject.draw("generic")
        own = np.arange(CLASSES) == labels[:, None]
        args = [np.where(own, 0.90625, cosines), labels]
        others = np.where(own, -1, cosines).max(axis=-1)
        easy = others < np.cos(np.arccos(0.90625) + 0.5)
        setting = subject.settings[0]
        value = subject.value(args, setting, "float64")
        arc = subject.value(args, {}, "float64", loss=other)
        if not easy.any():
            yield "no sample has easy negatives only: the claim was not tested"
        wrong = easy & (np.abs(value - arc) > 1e-12 * (1 + arc))
        yield from claims.violations(wrong, args, setting, lambda i: f"{value[i]} not {arc[i]}")

    return claims.holds("arcface_loss where no negative is hard, by default", check)


def _as_arcface(cosines: Any, labels: Any, norms: Any, where: Any = None) -> Any:
    return contrastive.arcface_loss(cosines, labels, margin=0.4, where=where)


def _as_cosface(cosines: Any, labels: Any, norms: Any, where: Any = None) -> Any:
    return contrastive.cosface_loss(cosines, labels, margin=0.4, where=where)


_STEEPEST = claims.lipschitz(
    lambda s: 2**0.5 * s.get("scale", 64.0), "cosines", text="sqrt(2) scale"
)
_BAD = {"margin": (-0.1, 1.6, np.nan), "scale": (0.0, -1.0)}

ENTRIES = (
    Entry(
        contrastive.sphereface_loss,
        family="contrastive",
        purpose="softmax loss in which the label's angle counts several times",
        character="the margin grows with the angle: easy examples are asked little",
        when="angular embeddings with margins that adapt to the angle; comparison with the first",
        avoid="training from scratch: cosface_loss and arcface_loss are steadier",
        formula="cross-entropy of scale cosines, the label's (-1)^k cos(margin t) - 2 k",
        source="Liu et al. 2017, eq. 7",
        arguments=_ARGUMENTS,
        reference=_sphereface,
        settings=({"margin": 2, "scale": 8.0}, {"margin": 1, "scale": 4.0}),
        impossible={"scale": (0.0, -1.0)},
        claims=(
            claims.nonnegative(),
            _falls(),
            _never_below(8.0),
            claims.equals(
                "the cross-entropy of the scaled cosines at margin 1",
                _scaled(4.0),
                {"margin": 1, "scale": 4.0},
            ),
        ),
        non_claims=("convex in cosines", "twice differentiable where k changes"),
    ),
    Entry(
        contrastive.cosface_loss,
        family="contrastive",
        purpose="softmax loss in which the label's cosine must win by a margin",
        character="a constant margin in the cosine: smooth and convex",
        when="embeddings of many classes, faces; the simplest margin to train",
        avoid="logits that are not cosines: ldam_loss, softmax_cross_entropy",
        formula="cross-entropy of scale cosines, the label's cos(t) - margin",
        source="Wang et al. 2018, eq. 4",
        arguments=_ARGUMENTS,
        reference=_cosface,
        settings=({"margin": 0.2, "scale": 8.0}, {"margin": 0.0, "scale": 4.0}),
        impossible={"margin": (-0.1, np.nan), "scale": (0.0, -1.0)},
        claims=(
            claims.nonnegative(),
            claims.convex("cosines"),
            _STEEPEST,
            _falls(),
            _never_below(8.0),
            claims.equals(
                "the cross-entropy of the scaled cosines at margin 0",
                _scaled(4.0),
                {"margin": 0.0, "scale": 4.0},
            ),
        ),
        non_claims=("proper: the margin moves the optimum",),
    ),
    Entry(
        contrastive.arcface_loss,
        family="contrastive",
        purpose="softmax loss in which an angle is added to the label's",
        character="the same margin on the sphere wherever the features are",
        when="embeddings of many classes, faces; the usual choice",
        avoid="images of very different quality: adaface_loss; unsteady starts: cosface_loss",
        formula="cross-entropy of scale cosines, the label's cos(t + margin)",
        source="Deng et al. 2019, eq. 3",
        arguments=_ARGUMENTS,
        reference=_arcface,
        settings=(
            {"margin": 0.3, "scale": 8.0},
            {"margin": 1.5, "scale": 8.0},
            {"margin": 0.0, "scale": 4.0},
        ),
        impossible=_BAD,
        claims=(
            claims.nonnegative(),
            _falls(),
            _never_below(8.0),
            claims.equals(
                "the cross-entropy of the scaled cosines at margin 0",
                _scaled(4.0),
                {"margin": 0.0, "scale": 4.0},
            ),
        ),
        non_claims=(
            "convex in cosines",
            "Lipschitz in cosines: the sine is steep near a perfect match, though not at it",
        ),
    ),
    Entry(
        contrastive.adaface_loss,
        family="contrastive",
        purpose="angular margin that depends on the image's quality",
        character="hard examples count where the norm says that the image is good",
        when="faces of mixed quality, some unrecognisable",
        avoid="features whose norm says nothing of quality: arcface_loss",
        formula="cross-entropy of scale cosines, the label's cos(t - margin z) - margin (z + 1)",
        source="Kim, Jain and Liu 2022, section 3.3",
        arguments={**_ARGUMENTS, "norms": _NORMS},
        reference=_adaface,
        required={"statistics": NormStatistics(20.0, 4.0)},
        settings=(
            {"margin": 0.4, "scale": 8.0, "concentration": 0.333},
            {"margin": 0.25, "scale": 4.0, "concentration": 1.0},
        ),
        impossible={"margin": (-0.1, 1.6), "scale": (0.0,), "concentration": (-1.0,)},
        claims=(
            claims.nonnegative(),
            _falls(),
            claims.equals(
                "arcface_loss as norms fall below the mean",
                _as_arcface,
                {"statistics": NormStatistics(1e9, 1.0)},
            ),
            claims.equals(
                "cosface_loss at concentration 0",
                _as_cosface,
                {"statistics": NormStatistics(20.0, 4.0), "concentration": 0.0},
            ),
            claims.stopped("norms"),
        ),
        non_claims=("convex in cosines", "differentiable in norms: the margin is held constant"),
    ),
    Entry(
        contrastive.curricularface_loss,
        family="contrastive",
        purpose="angular margin that turns to hard negatives as training proceeds",
        character="hard negatives count by the running mean of the labels' cosines",
        when="faces and other many classes, trained from scratch with margins",
        avoid="where a loss must be continuous: arcface_loss",
        formula="arcface_loss with c (r + c) for negatives of cosine c above the label's",
        source="Huang et al. 2020, section 3.2",
        arguments=_ARGUMENTS,
        reference=_curricularface,
        required={"statistics": TargetStatistics(0.25)},
        settings=(
            {"margin": 0.3, "scale": 8.0},
            {"margin": 0.5, "scale": 4.0, "statistics": TargetStatistics(0.75)},
        ),
        impossible=_BAD,
        claims=(claims.nonnegative(), _falls(), _easy_negatives_are_arcface()),
        non_claims=(
            "continuous: it jumps where a negative becomes hard",
            "never below the cross-entropy: early hard negatives count less",
        ),
    ),
)
