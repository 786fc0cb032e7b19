"""What the arguments of divergences range over."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from jaxloss.catalog import kinds

CLASSES = 4


def _far(kind: kinds.Kind) -> kinds.Kind:
    """Let the limit be recognised where it is infinite only by a share of 1e-27, too."""
    return replace(
        kind, towards=np.where(np.isinf(kind.infinite), 1e24 * kind.towards, kind.towards)
    )


LOGS = _far(kinds.log_probabilities(CLASSES))
LOGITS = _far(kinds.logits(CLASSES))
BOTH = {"log_predictions": LOGS, "log_targets": LOGS}
# Where a limit overflows even in float64 there is nothing to compare with.
FINITE = replace(LOGS, infinite=np.zeros(0), towards=np.zeros(0))
BOTH_FINITE = {"log_predictions": FINITE, "log_targets": FINITE}


def masses() -> tuple[kinds.Kind, kinds.Kind]:
    """Return vectors of logarithms of positive numbers, and of numbers >= 0, of any sum."""
    base = np.linspace(-2.0, 1.5, CLASSES)
    absent = np.where(np.arange(CLASSES) == 0, -np.inf, base)
    logs = kinds.Kind(
        f"logarithms of {CLASSES} masses",
        generic=lambda rng, n: rng.normal(0.3, 1.2, (n, CLASSES)),
        spread=lambda rng, n: rng.uniform(-25.0, 8.0, (n, CLASSES)),
        steps="free",
        singular=np.array([np.zeros(CLASSES), base, np.log([0.5, 1.0, 2.0, 3.0])]),
        extreme=np.array([base - 60.0, base + 40.0, np.where(base > 1, -1e4, base)]),
        infinite=absent[None],
        towards=np.where(np.isinf(absent), -1e5, absent)[None],
    )
    corner = np.eye(CLASSES)[0]
    plain = kinds.Kind(
        f"{CLASSES} masses >= 0",
        generic=lambda rng, n: rng.gamma(1.5, 1.0, (n, CLASSES)) + 0.05,
        spread=lambda rng, n: 10 ** rng.uniform(-8, 3, (n, CLASSES)),
        steps="mix",
        singular=np.array([np.zeros(CLASSES), np.ones(CLASSES), 3 * corner, [0.5, 1.0, 2.0, 3.0]]),
        extreme=np.array([1e-30 * np.ones(CLASSES), 1e18 * corner]),
        invalid=np.array([-corner, np.ones(CLASSES) - 1.5 * corner]),
    )
    return logs, plain


def latent(name: str, size: int = 3) -> kinds.Kind:
    """Parameters of a diagonal Gaussian."""
    base = np.linspace(-1.0, 2.0, size)
    return kinds.Kind(
        f"{name} of {size} dimensions",
        generic=lambda rng, n: rng.normal(0.2, 1.2, (n, size)),
        spread=lambda rng, n: (
            rng.choice([-1.0, 1.0], (n, size)) * 10 ** rng.uniform(-4, 1, (n, size))
        ),
        steps="free",
        singular=np.array([np.zeros(size), np.ones(size), base]),
        extreme=np.array([-60 * np.ones(size), 60 * np.ones(size), 1e-30 * base]),
    )
