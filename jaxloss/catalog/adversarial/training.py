"""The losses at clean and perturbed inputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from mpmath import mp

from jaxloss import adversarial, classification
from jaxloss.catalog import claims, kinds
from jaxloss.catalog.entry import Entry

Array = np.ndarray

CLASSES = 4
_LOGITS = kinds.logits(CLASSES)
_LABELLED = {
    "logits": _LOGITS,
    "adversarial_logits": _LOGITS,
    "labels": kinds.labels(CLASSES),
}
# A divergence from what is given probability 0 is infinite, however late it is noticed; and near
# the largest float the way to a small gradient passes through numbers that do not fit.
_MOVED = replace(
    _LOGITS,
    infinite=np.zeros(0),
    towards=np.zeros(0),
    extreme=_LOGITS.extreme[np.abs(_LOGITS.extreme).max(axis=-1) < 1e38],
)
# The clean prediction is constant by design: no derivative is to be found there.
_CONSTANT = replace(_LOGITS, differentiable=False)
_clean_loss = classification.softmax_cross_entropy_with_integer_labels


def _log_softmax(x: Any) -> Any:
    normaliser = mp.log(mp.fsum(mp.exp(v) for v in x))
    return [v - normaliser for v in x]


def _divergence(x: Any, z: Any) -> Any:
    pairs = zip(_log_softmax(x), _log_softmax(z), strict=True)
    return mp.fsum(mp.exp(a) * (a - b) for a, b in pairs)


def _mixed(x: Any, z: Any, y: int, weight: Any = mp.mpf(0.5)) -> Any:
    return -(1 - weight) * _log_softmax(x)[y] - weight * _log_softmax(z)[y]


def _softmax(x: Array) -> Array:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def _linear(weights: Any, x: Any) -> Any:
    return x @ weights


def _layers(weights: Any, x: Any) -> Any:
    return jnp.tanh(2.0 * x @ weights) @ weights.T[:, :CLASSES]


def _pgd(norm: str) -> Any:
    def attack(loss_fn: Any, x: Any, radius: Any) -> Any:
        step = 0.6 * radius
        return adversarial.pgd(loss_fn, x, radius=radius, step_size=step, steps=4, norm=norm)

    return attack


def _fgsm(loss_fn: Any, x: Any, radius: Any) -> Any:
    return adversarial.fgsm(loss_fn, x, radius=radius)


def _attacked(model: Any, attack: Any) -> Any:
    """Build the mixed loss and the clean one as a function of inputs and radius."""

    def run(weights: Any, x: Any, labels: Any, radius: Any) -> Any:
        clean = lambda x: _clean_loss(model(weights, x), labels)
        logits = model(weights, x), model(weights, attack(clean, x, radius))
        return adversarial.adversarial_cross_entropy(*logits, labels, weight=0.7), clean(x)

    return jax.jit(run)


# FGSM may lower the loss of a model that is not convex in its inputs; PGD keeps the worst point.
_ATTACKS = ((_linear, _fgsm), (_linear, _pgd("inf")), (_layers, _pgd("inf")), (_layers, _pgd("l2")))


def _never_below() -> claims.Claim:
    def check(subject: Any) -> Iterator[str]:
        rng = subject.rng
        x = rng.normal(size=(16, 6)).astype(np.float32)
        labels = rng.integers(0, CLASSES, 16)
        for model, attack in _ATTACKS:
            columns = CLASSES if model is _linear else 6
            weights = rng.normal(size=(6, columns)).astype(np.float32)
            run = _attacked(model, attack)
            for radius in (0.05, 0.5, 5.0):
                mixed, clean = map(np.asarray, run(weights, x, labels, radius))
                if (mixed < clean - 1e-6 * (1 + clean)).any() or mixed.sum() <= clean.sum():
                    yield f"{mixed - clean} for {attack.__name__} of radius {radius}"

    return claims.holds("never below the clean loss at the perturbation found", check)


def _equal_at_radius_zero() -> claims.Claim:
    def check(subject: Any) -> Iterator[str]:
        rng = subject.rng
        x, labels = rng.normal(size=(16, 6)).astype(np.float32), rng.integers(0, CLASSES, 16)
        weights = rng.normal(size=(6, CLASSES)).astype(np.float32)
        for attack in (_fgsm, _pgd("inf"), _pgd("l2")):
            mixed, clean = map(np.asarray, _attacked(_linear, attack)(weights, x, labels, 0.0))
            if not np.allclose(mixed, clean, rtol=1e-6, atol=1e-7):
                yield f"{mixed - clean} for {attack.__name__}"

    return claims.holds("equals the clean cross-entropy at radius 0", check)


def _clean_where_equal() -> claims.Claim:
    def check(subject: Any) -> Iterator[str]:
        logits, _, labels = subject.draw("generic")
        for setting in subject.settings:
            value = subject.value([logits, logits, labels], setting, "float64")
            clean = -np.log(_softmax(logits)[np.arange(len(labels)), labels])
            if np.abs(value - clean).max() > 1e-12 * (1 + np.abs(clean).max()):
                yield f"{value[0]} instead of {clean[0]}"

    return claims.holds("equals the cross-entropy where both logits are equal", check)


def _weighted_error(x: Array, z: Array, y: Array, weight: float = 0.5) -> Array:
    return weight * (_softmax(z) - np.eye(CLASSES)[y])


ENTRIES = (
    Entry(
        adversarial.adversarial_cross_entropy,
        family="adversarial",
        purpose="cross-entropy with perturbed examples mixed in",
        character="robust to attack: mixes perturbed examples in; costs clean accuracy",
        when="inputs may be tampered with; perturbations from pgd, or fgsm where time is short",
        avoid="a dial between accuracy and robustness: trades_loss",
        formula="(1 - weight) CE(logits) + weight CE(adversarial_logits)",
        source="Goodfellow et al. 2015, section 6",
        arguments=_LABELLED,
        reference=_mixed,
        settings=({"weight": 0.25}, {"weight": 1.0}, {"weight": 0.0}),
        impossible={"weight": (-0.1, 1.1, np.nan)},
        claims=(
            claims.nonnegative(),
            claims.convex("logits"),
            claims.convex("adversarial_logits"),
            claims.lipschitz(
                lambda setting: 2**0.5 * setting.get("weight", 0.5),
                "adversarial_logits",
                text="sqrt(2) weight",
            ),
            claims.gradient_is(
                "weight (softmax(adversarial_logits) - labels)",
                "adversarial_logits",
                _weighted_error,
            ),
            _clean_where_equal(),
            _never_below(),
            _equal_at_radius_zero(),
        ),
        non_claims=("proper: perturbed examples move the optimum",),
    ),
    Entry(
        adversarial.trades_loss,
        family="adversarial",
        purpose="accuracy on clean examples and the same answer on perturbed ones",
        character="a dial between accuracy and robustness; only clean examples see labels",
        when="robust classifiers; beta 1 to 10",
        avoid="unlabelled examples: virtual_adversarial_loss",
        formula="CE(logits) + beta KL(softmax(logits) || softmax(adversarial_logits))",
        source="Zhang et al. 2019, eq. 5",
        arguments={**_LABELLED, "adversarial_logits": _MOVED},
        reference=lambda x, z, y, beta=6: -_log_softmax(x)[y] + beta * _divergence(x, z),
        settings=({"beta": 1.5}, {"beta": 0.0}),
        impossible={"beta": (-1.0, np.nan)},
        claims=(
            claims.nonnegative(),
            claims.convex("adversarial_logits"),
            claims.gradient_is(
                "beta (q - p) in adversarial_logits",
                "adversarial_logits",
                lambda x, z, y, beta=6.0: beta * (_softmax(z) - _softmax(x)),
            ),
            _clean_where_equal(),
        ),
        non_claims=("convex in logits",),
    ),
    Entry(
        adversarial.virtual_adversarial_loss,
        family="adversarial",
        purpose="predictions that small perturbations do not move",
        character="needs no label; the clean prediction is the target and stays constant",
        when="semi-supervised learning; perturbations from virtual_adversarial_perturbation",
        avoid="labels for all examples: adversarial_cross_entropy or trades_loss",
        formula="KL(softmax(logits) || softmax(adversarial_logits))",
        source="Miyato et al. 2018, eq. 7 and 8",
        arguments={"logits": _CONSTANT, "adversarial_logits": _MOVED},
        reference=_divergence,
        claims=(
            claims.nonnegative(),
            claims.zero_at_target(rounding=64 * claims.EPSILON["float32"] ** 2),
            claims.positive_off_target(),
            claims.convex("adversarial_logits"),
            claims.lipschitz(2**0.5, "adversarial_logits"),
            claims.shift_invariant("adversarial_logits"),
            claims.gradient_is(
                "q - p", "adversarial_logits", lambda x, z: _softmax(z) - _softmax(x)
            ),
            claims.no_gradient("in logits, by design", "logits", lambda x, z: x[:, 0] == x[:, 0]),
            claims.stopped("logits"),
            claims.minimum_at_target(),
            claims.smooth(0.5, "adversarial_logits"),
        ),
        non_claims=("symmetric",),
    ),
)
