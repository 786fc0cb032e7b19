"""Every curriculum, and its weights written a second time, in NumPy."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import optimize

from jaxloss import curriculum


@dataclass(frozen=True)
class Method:
    """A curriculum under fixed settings.

    Attributes:
      make: the factory.
      settings: its float hyper-parameters.
      weights: `weights(losses, peer, difficulty)` of one task's valid examples, in float64; `peer`
        are the losses of the other task.
      static: its other settings.
      values: what the transformation returns, where that is not `weights * losses`.
      impossible: a value out of range for each float that has a range.
    """

    make: Callable[..., Any]
    settings: dict[str, float]
    weights: Callable[..., np.ndarray]
    static: dict[str, Any] = field(default_factory=dict)
    values: Callable[..., np.ndarray] | None = None
    impossible: dict[str, float] = field(default_factory=dict)


def one_by_one(weight):
    return lambda losses, peer, difficulty: np.array([weight(l) for l in losses])


def logarithmic(l, threshold=0.8):
    return np.log(l + 1 - threshold) / np.log(1 - threshold) if l < threshold else 0.0


def mixture(l, threshold=0.8, lower=0.25):
    if l <= lower:
        return 1.0
    zeta = threshold * lower / (threshold - lower)
    return zeta / l - zeta / threshold if l < threshold else 0.0


def superloss_weight(l, threshold, regularization):
    """Minimise the paper's objective in the logarithm of the confidence, up to 1."""
    least = -2 * regularization / np.e
    if l - threshold <= least:
        return np.e
    slope = lambda s: (l - threshold) * np.exp(s) + 2 * regularization * s
    return np.exp(optimize.brentq(slope, -60, 1, xtol=1e-14, rtol=1e-14))


def superloss_weights(losses, threshold):
    return np.array([superloss_weight(l, threshold, 0.5) for l in losses])


def superloss_values(losses, threshold):
    sigma = superloss_weights(losses, threshold)
    return (losses - threshold) * sigma + 0.5 * np.log(sigma) ** 2


def keep(order, losses, share):
    """Weigh the first of an order, so that the mean over all is that over them."""
    kept = max(round(share * len(losses)), 1)
    weights = np.zeros(len(losses))
    weights[order[:kept]] = len(losses) / kept
    return weights


def hardest(losses):
    return np.argsort(-losses, kind="stable")


def easiest(losses):
    return np.argsort(losses, kind="stable")


def tail(losses, share):
    """Fill a tail of `share` of the probability mass with the largest losses."""
    weights, left = np.zeros(len(losses)), share * len(losses)
    for i in hardest(losses):
        weights[i] = min(1.0, left) / share
        left = max(left - 1, 0.0)
    return weights


def tilt(losses, t):
    powers = np.exp(t * losses)
    return powers / powers.mean()


def tilt_values(losses, t):
    weighed = tilt(losses, t) * losses
    value = losses.mean() if t == 0 else np.log(np.mean(np.exp(t * losses))) / t
    return weighed + value - weighed.mean()


def admit(difficulty, share):
    admitted = difficulty <= share
    return admitted * len(difficulty) / max(admitted.sum(), 1)


def in_time(losses, steepness):
    return np.array([np.exp(-steepness * losses[:k].sum()) for k in range(len(losses))])


METHODS = {
    "self_paced, hard": Method(
        curriculum.self_paced,
        {"threshold": 0.8},
        one_by_one(lambda l: float(l < 0.8)),
        impossible={"threshold": 0.0},
    ),
    "self_paced, linear": Method(
        curriculum.self_paced,
        {"threshold": 0.8},
        one_by_one(lambda l: max(1 - l / 0.8, 0.0)),
        {"form": "linear"},
        impossible={"threshold": -1.0},
    ),
    "self_paced, logarithmic": Method(
        curriculum.self_paced,
        {"threshold": 0.8},
        one_by_one(logarithmic),
        {"form": "logarithmic"},
        impossible={"threshold": 1.0},
    ),
    "self_paced, mixture": Method(
        curriculum.self_paced,
        {"threshold": 0.8, "lower": 0.25},
        one_by_one(mixture),
        {"form": "mixture"},
        impossible={"lower": 0.0},
    ),
    "superloss, constant": Method(
        curriculum.superloss,
        {"threshold": 1.2, "regularization": 0.5},
        lambda l, peer, difficulty: superloss_weights(l, 1.2),
        values=lambda l, peer, difficulty: superloss_values(l, 1.2),
        impossible={"regularization": 0.0},
    ),
    "superloss, moving": Method(
        curriculum.superloss,
        {"regularization": 0.5, "decay": 0.75},
        lambda l, peer, difficulty: superloss_weights(l, l.mean()),
        values=lambda l, peer, difficulty: superloss_values(l, l.mean()),
        impossible={"decay": 1.0},
    ),
    "ohem": Method(
        curriculum.ohem,
        {"fraction": 0.3},
        lambda l, peer, difficulty: keep(hardest(l), l, 0.3),
        impossible={"fraction": 0.0},
    ),
    "small_loss": Method(
        curriculum.small_loss,
        {"fraction": 0.6},
        lambda l, peer, difficulty: keep(easiest(l), l, 0.6),
        impossible={"fraction": 1.5},
    ),
    "cvar": Method(
        curriculum.cvar,
        {"fraction": 0.33},
        lambda l, peer, difficulty: tail(l, 0.33),
        impossible={"fraction": -0.5},
    ),
    "co_teaching": Method(
        curriculum.co_teaching,
        {"fraction": 0.6},
        lambda l, peer, difficulty: keep(easiest(peer), l, 0.6),
        impossible={"fraction": 0.0},
    ),
    "tilted_erm, to the hard": Method(
        curriculum.tilted_erm,
        {"tilt": 0.7},
        lambda l, peer, difficulty: tilt(l, 0.7),
        values=lambda l, peer, difficulty: tilt_values(l, 0.7),
    ),
    "tilted_erm, to the easy": Method(
        curriculum.tilted_erm,
        {"tilt": -1.5},
        lambda l, peer, difficulty: tilt(l, -1.5),
        values=lambda l, peer, difficulty: tilt_values(l, -1.5),
    ),
    "tilted_erm, not": Method(curriculum.tilted_erm, {"tilt": 0.0}, one_by_one(lambda l: 1.0)),
    "paced": Method(
        curriculum.paced,
        {"share": 0.45},
        lambda l, peer, difficulty: admit(difficulty, 0.45),
        impossible={"share": 1.5},
    ),
    "causal": Method(
        curriculum.causal,
        {"steepness": 0.4},
        lambda l, peer, difficulty: in_time(l, 0.4),
        {"axis": -1},
        impossible={"steepness": -1.0},
    ),
}
