"""Losses of two views, or of a student and a teacher."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jax
import numpy as np
from mpmath import mp

from jaxloss import classification, contrastive, regression
from jaxloss.catalog import claims, kinds
from jaxloss.catalog.embedding.proxy import same_in_any_axes, unordered
from jaxloss.catalog.entry import Entry

Array = np.ndarray

CLASSES, MEMBERS, SIZE = 4, 5, 3
_CENTER = [0.5, -0.25, 0.0, 1.0]
_FIXED = replace(kinds.vectors(), differentiable=False)
_ONLINE = {"predictions": kinds.vectors(), "targets": _FIXED}


def _direction(a: Any) -> Any:
    size = mp.sqrt(mp.fdot(a, a))
    return [v / size for v in a] if size else [mp.nan] * len(a)


def _square(a: Any, b: Any) -> Any:
    pairs = zip(_direction(a), _direction(b), strict=True)
    return mp.fsum((u - v) ** 2 for u, v in pairs)


def _uniformity(x: Any, scale: Any = 2) -> Any:
    pairs = [(i, j) for j in range(len(x)) for i in range(j)]
    potentials = [mp.exp(-scale * _square(x[i], x[j])) for i, j in pairs]
    return mp.log(mp.fsum(potentials) / len(pairs))


def _softmax(x: Any) -> Any:
    parts = [mp.exp(v) for v in x]
    return [v / mp.fsum(parts) for v in parts]


def _dino(
    s: Any,
    t: Any,
    center: Any,
    student_temperature: Any = mp.mpf(0.1),
    teacher_temperature: Any = mp.mpf(0.04),
) -> Any:
    q = _softmax([(v - c) / teacher_temperature for v, c in zip(t, center, strict=True)])
    logits = [v / student_temperature for v in s]
    top = max(logits)
    normalizer = top + mp.log(mp.fsum(mp.exp(v - top) for v in logits))
    return mp.fsum(w * (normalizer - v) for w, v in zip(q, logits, strict=True))


def _probabilities(x: Array) -> Array:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))


def _dino_error(
    s: Array,
    t: Array,
    center: list[float],
    student_temperature: float = 0.1,
    teacher_temperature: float = 0.04,
) -> Array:
    target = _probabilities((t - np.array(center)) / teacher_temperature)
    return (_probabilities(s / student_temperature) - target) / student_temperature


def _at_least_entropy() -> claims.Claim:
    def check(subject: Any) -> Iterator[str]:
        for setting, args in claims.samples(subject):
            cool = setting.get("teacher_temperature", 0.04)
            q = _probabilities((args[1] - np.array(_CENTER)) / cool)
            entropy = -(q * np.log(np.where(q > 0, q, 1))).sum(-1)
            value = subject.value(args, setting, "float64")
            wrong = value < entropy - 1e-9 * (1 + entropy)
            say = lambda i, a=value, b=entropy: f"{a[i]:.9g} below {b[i]:.9g}"
            yield from claims.violations(wrong, args, setting, say)

    return claims.holds("at least the entropy of the teacher", check)


def _either_way() -> claims.Claim:
    def check(subject: Any) -> Iterator[str]:
        for setting, args in claims.samples(subject):
            there, back = (subject.value(a, setting, "float64") for a in (args, args[::-1]))
            wrong = np.abs(there - back) > 1e-9 * (there + back)
            say = lambda i, a=there, b=back: f"{a[i]:.9g} one way, {b[i]:.9g} the other"
            yield from claims.violations(wrong, args, setting, say)

    return claims.holds("symmetric", check)


def _twice_cosine_distance(predictions: Any, targets: Any, where: Any = None) -> Any:
    return 2 * regression.cosine_distance(predictions, targets, where=where)


def _half_byol(predictions: Any, targets: Any, where: Any = None) -> Any:
    return 0.5 * contrastive.byol_loss(predictions, targets, where=where) - 1


def _warm_cross_entropy(student: Any, teacher: Any, where: Any = None) -> Any:
    return classification.softmax_cross_entropy(student, jax.nn.softmax(teacher), where=where)


ENTRIES = (
    Entry(
        contrastive.byol_loss,
        family="contrastive",
        purpose="squared distance between a prediction's direction and a target's",
        character="direction only; the target is a constant",
        when="self-supervised learning with a slowly moving target network",
        avoid="without predictor and moving target it collapses: vicreg_loss",
        formula="|p / |p| - t / |t||^2 = 2 - 2 cos(p, t)",
        source="Grill et al. 2020, eq. 2",
        arguments=_ONLINE,
        reference=lambda p, t: _square(p, t),
        claims=(
            claims.nonnegative(),
            claims.bounded(0.0, 4.0),
            claims.scale_invariant("predictions"),
            claims.scale_invariant("targets"),
            claims.equals("twice cosine_distance in predictions", _twice_cosine_distance, {}),
            claims.stopped("targets"),
            claims.permutation_invariant("predictions", "targets"),
        ),
        non_claims=("differentiable in targets: they are held constant",),
    ),
    Entry(
        contrastive.simsiam_loss,
        family="contrastive",
        purpose="negative cosine of a prediction and a target",
        character="direction only; the target is a constant",
        when="self-supervised learning without negatives, large batches or a moving target",
        avoid="without the predictor it collapses: vicreg_loss",
        formula="-cos(predictions, targets)",
        source="Chen and He 2021, eq. 1 and 3",
        arguments=_ONLINE,
        reference=lambda p, t: _square(p, t) / 2 - 1,
        claims=(
            claims.bounded(-1.0, 1.0),
            claims.scale_invariant("predictions"),
            claims.scale_invariant("targets"),
            claims.equals("half of byol_loss less 1", _half_byol, {}),
            claims.stopped("targets"),
            claims.permutation_invariant("predictions", "targets"),
        ),
        non_claims=("non-negative", "differentiable in targets: they are held constant"),
    ),
    Entry(
        contrastive.alignment_loss,
        family="contrastive",
        purpose="distance between two views on the sphere, to a power",
        character="draws views together, and nothing else",
        when="beside uniformity_loss, or to measure embeddings",
        avoid="alone: it is least where everything is one point",
        formula="|first / |first| - second / |second||^alpha",
        source="Wang and Isola 2020, section 4.1.1",
        arguments={"first": kinds.vectors(), "second": kinds.vectors()},
        reference=lambda a, b, alpha=2: _square(a, b) ** (mp.mpf(alpha) / 2),
        settings=({"alpha": 2.0}, {"alpha": 1.5}, {"alpha": 3.0}),
        impossible={"alpha": (0.5, -1.0, np.nan)},
        claims=(
            claims.nonnegative(),
            claims.bounded(0.0, lambda s: 2.0 ** s.get("alpha", 2.0)),
            _either_way(),
            claims.scale_invariant("first"),
            claims.equals("twice cosine_distance", _twice_cosine_distance, {"alpha": 2.0}),
            claims.permutation_invariant("first", "second"),
            claims.minimum_at_target(),
        ),
        non_claims=("convex in first",),
    ),
    Entry(
        contrastive.uniformity_loss,
        family="contrastive",
        purpose="how evenly directions are spread over the sphere",
        character="pairs repel each other, near ones most",
        when="beside alignment_loss, or to measure embeddings",
        avoid="alone: it says nothing of what belongs together",
        formula="log(mean_{i < j} exp(-scale |u_i - u_j|^2))",
        source="Wang and Isola 2020, section 4.1.2",
        arguments={"embeddings": kinds.points(MEMBERS, SIZE)},
        reference=_uniformity,
        settings=({"scale": 0.7},),
        impossible={"scale": (0.0, -1.0, np.nan)},
        claims=(
            claims.bounded(lambda s: -4.0 * s.get("scale", 2.0), 0.0),
            claims.scale_invariant("embeddings"),
            unordered("embeddings"),
            same_in_any_axes("embeddings"),
        ),
        non_claims=("non-negative: it is never positive", "a mean over parts of the set"),
        coupled="list",
    ),
    Entry(
        contrastive.dino_loss,
        family="contrastive",
        purpose="cross-entropy of a student with a centred and sharpened teacher",
        character="centring and sharpening hold each other off collapse",
        when="self-distillation of a network and its moving average",
        avoid="a teacher with labels of its own: softmax_cross_entropy of its probabilities",
        formula="-sum(softmax((t - center) / teacher_temperature) "
        "log(softmax(s / student_temperature)))",
        source="Caron et al. 2021, eq. 2",
        arguments={
            # What an infinite logit costs depends on shares that are small but not 0.
            "student_logits": replace(
                kinds.logits(CLASSES), infinite=np.zeros(0), towards=np.zeros(0)
            ),
            "teacher_logits": replace(kinds.logits(CLASSES), differentiable=False),
        },
        reference=_dino,
        required={"center": _CENTER},
        settings=(
            {"student_temperature": 0.5, "teacher_temperature": 1.0},
            {"student_temperature": 1.0, "teacher_temperature": 0.25},
        ),
        impossible={
            "center": ([0.0, 1.0], [[0.0] * CLASSES]),
            "student_temperature": (0.0, -1.0),
            "teacher_temperature": (0.0, np.nan),
        },
        claims=(
            claims.nonnegative(),
            claims.convex("student_logits"),
            claims.lipschitz(
                lambda s: 2**0.5 / s.get("student_temperature", 0.1),
                "student_logits",
                text="sqrt(2) / student_temperature",
            ),
            claims.gradient_is(
                "(softmax(student) - teacher) / student_temperature", "student_logits", _dino_error
            ),
            _at_least_entropy(),
            claims.equals(
                "the cross-entropy with the teacher at temperatures of 1",
                _warm_cross_entropy,
                {"center": [0.0] * CLASSES, "student_temperature": 1.0, "teacher_temperature": 1.0},
            ),
            claims.stopped("teacher_logits"),
            claims.smooth(
                lambda s: s.get("student_temperature", 0.1) ** -2 / 2,
                "student_logits",
                text="1 / (2 student_temperature^2)",
            ),
        ),
        non_claims=("differentiable in teacher_logits: they are held constant",),
    ),
)
