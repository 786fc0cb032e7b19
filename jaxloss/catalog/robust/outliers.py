"""What is known of the losses of `jaxloss.robust` for outliers."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from mpmath import mp

from jaxloss import regression, robust
from jaxloss.catalog import claims, kinds
from jaxloss.catalog.entry import Entry

_PAIR = {"predictions": kinds.reals(), "targets": kinds.reals()}
_DISTANCE = (claims.nonnegative(), claims.zero_at_target(), claims.symmetric())
_OF_THE_ERROR = (
    claims.monotone("predictions", along="error"),
    claims.translation_invariant(
        "predictions", "targets", text="unchanged when predictions and targets are shifted alike"
    ),
)
_SMOOTH = claims.smooth(lambda s: s.get("scale", 1.0) ** -2, "predictions", text="1 / scale^2")


def _general(p: Any, t: Any, alpha: Any = 1, scale: Any = 1) -> Any:
    z, alpha = ((p - t) / scale) ** 2, mp.mpf(alpha)
    if alpha == 2:
        return z / 2
    if alpha == 0:
        return mp.log(1 + z / 2)
    if alpha == -mp.inf:
        return -mp.expm1(-z / 2)
    b = abs(alpha - 2)
    return b / alpha * ((z / b + 1) ** (alpha / 2) - 1)


def _tukey(p: Any, t: Any, scale: Any = mp.mpf(4.685)) -> Any:
    z = ((p - t) / scale) ** 2
    return scale**2 / 6 * (1 - (1 - min(z, mp.mpf(1))) ** 3)


def _slope_in_alpha(subject: claims.Subject) -> Any:
    """Compare the derivative in alpha with that of the formula, at its removable singularities."""
    predictions, targets = subject.draw("generic")
    for alpha in (-3.0, -1e-3, 1e-9, 0.0, 1.0, 2.0 - 2.0**-10, 2.0 + 2.0**-10, 3.0):
        got = _derivative(alpha, predictions - targets)
        with mp.workdps(60):
            step = mp.mpf(10) ** -20
            rows = [
                (_general(mp.mpf(float(r)), 0, mp.mpf(alpha) + step)
                 - _general(mp.mpf(float(r)), 0, mp.mpf(alpha) - step)) / (2 * step)
                for r in predictions - targets
            ]  # fmt: skip
        expected = np.array([float(v) for v in rows])
        wrong = np.abs(got - expected) > 1e-9 * (1 + np.abs(expected))
        if wrong.any():
            i = int(np.argmax(wrong))
            yield f"d/dalpha at {alpha} is {got[i]}, expected {expected[i]}"


def _derivative(alpha: float, error: np.ndarray) -> np.ndarray:
    with jax.enable_x64(True):
        slope = jax.jit(
            jax.vmap(jax.grad(lambda a, r: robust.general_robust_loss(r, alpha=a)), (None, 0))
        )
        return np.asarray(slope(jnp.float64(alpha), jnp.asarray(error)))


ENTRIES = (
    Entry(
        robust.general_robust_loss,
        family="robust",
        purpose="one family from the squared error to losses that ignore outliers",
        character="alpha says how soon an outlier stops counting; may be scheduled or learned",
        when="the share of outliers is unknown: anneal alpha from 2 downwards",
        avoid="a known kind of outlier: its member of the family, cauchy_loss or welsch_loss",
        formula="b / alpha ((z / b + 1)^(alpha / 2) - 1), z = (r / scale)^2, b = |alpha - 2|",
        source="Barron 2019, eq. 8",
        arguments=_PAIR,
        reference=_general,
        settings=(
            {"alpha": 1.0, "scale": 1.0},
            {"alpha": 0.0, "scale": 0.5},
            {"alpha": 2.0, "scale": 1.0},
            {"alpha": -2.0, "scale": 3.0},
            {"alpha": 1.75, "scale": 0.3},
            {"alpha": -1e4, "scale": 1.0},
        ),
        impossible={"scale": (0.0, -1.0), "alpha": (np.nan,)},
        claims=(
            *_DISTANCE,
            claims.equals("l2_loss at alpha 2", regression.l2_loss, {"alpha": 2.0}),
            claims.equals("cauchy_loss at alpha 0", robust.cauchy_loss, {"alpha": 0.0}),
            claims.equals("cauchy_loss near alpha 0", robust.cauchy_loss, {"alpha": 1e-12}),
            claims.equals(
                "geman_mcclure_loss at alpha -2", robust.geman_mcclure_loss, {"alpha": -2.0}
            ),
            claims.equals("welsch_loss at minus infinity", robust.welsch_loss, {"alpha": -np.inf}),
            claims.equals(
                "pseudo_huber_loss at alpha 1", regression.pseudo_huber_loss, {"alpha": 1.0}
            ),
            claims.holds("its derivative in alpha is that of the formula", _slope_in_alpha),
            *_OF_THE_ERROR,
            _SMOOTH,
        ),
        non_claims=("convex in predictions, for alpha below 1",),
    ),
    Entry(
        robust.cauchy_loss,
        family="robust",
        purpose="logarithm of a growing square",
        character="the pull of an outlier falls as 2 / r, but never ends",
        when="many outliers, some of them informative",
        avoid="a bad first guess: huber_loss, which is convex",
        formula="log(1 + (r / scale)^2 / 2)",
        source="Barron 2019, eq. 8 at alpha = 0",
        arguments=_PAIR,
        reference=lambda p, t, scale=1: mp.log(1 + ((p - t) / scale) ** 2 / 2),
        settings=({"scale": 1.0}, {"scale": 0.3}),
        impossible={"scale": (0.0, -1.0, np.nan)},
        claims=(
            *_DISTANCE,
            claims.lipschitz(
                lambda s: 0.5**0.5 / s.get("scale", 1.0), "predictions", text="1 / (sqrt(2) scale)"
            ),
            *_OF_THE_ERROR,
            _SMOOTH,
        ),
        non_claims=("convex in predictions", "bounded"),
    ),
    Entry(
        robust.geman_mcclure_loss,
        family="robust",
        purpose="a share of the square that saturates",
        character="bounded; the pull of an outlier falls as 16 / r^3",
        when="gross outliers and a fair first guess, as in registration",
        avoid="a bad first guess: huber_loss, which is convex",
        formula="2 z / (z + 4), z = (r / scale)^2",
        source="Barron 2019, eq. 8 at alpha = -2",
        arguments=_PAIR,
        reference=lambda p, t, scale=1: 2 * (p - t) ** 2 / ((p - t) ** 2 + 4 * scale**2),
        settings=({"scale": 1.0}, {"scale": 0.3}),
        impossible={"scale": (0.0, -1.0, np.nan)},
        claims=(
            *_DISTANCE,
            claims.bounded(0.0, 2.0),
            *_OF_THE_ERROR,
            _SMOOTH,
        ),
        non_claims=("convex in predictions",),
    ),
    Entry(
        robust.welsch_loss,
        family="robust",
        purpose="one minus a bell curve of the error",
        character="bounded; beyond a few scales an outlier has no pull",
        when="gross outliers and a fair first guess; correntropy",
        avoid="a bad first guess: huber_loss, which is convex",
        formula="1 - exp(-(r / scale)^2 / 2)",
        source="Barron 2019, eq. 8 at alpha = -inf",
        arguments=_PAIR,
        reference=lambda p, t, scale=1: -mp.expm1(-(((p - t) / scale) ** 2) / 2),
        settings=({"scale": 1.0}, {"scale": 3.0}),
        impossible={"scale": (0.0, -1.0, np.nan)},
        claims=(
            *_DISTANCE,
            claims.bounded(0.0, 1.0),
            *_OF_THE_ERROR,
            _SMOOTH,
        ),
        non_claims=("convex in predictions",),
    ),
    Entry(
        robust.tukey_biweight_loss,
        family="robust",
        purpose="a square that ends in a plateau",
        character="bounded; an error beyond the scale has exactly no pull",
        when="outliers that must not count at all; robust M-estimation",
        avoid="a bad first guess, from which nothing pulls: huber_loss",
        formula="scale^2 / 6 (1 - (1 - min(1, (r / scale)^2))^3)",
        source="Beaton and Tukey 1974",
        arguments=_PAIR,
        reference=_tukey,
        settings=({"scale": 4.685}, {"scale": 0.5}, {"scale": 30.0}),
        impossible={"scale": (0.0, -1.0, np.nan)},
        claims=(
            *_DISTANCE,
            claims.bounded(0.0, lambda s: s.get("scale", 4.685) ** 2 / 6),
            claims.no_gradient(
                "beyond the scale",
                "predictions",
                lambda p, t, scale=4.685: np.abs(p - t) > scale * 1.001,
            ),
            *_OF_THE_ERROR,
            claims.smooth(1.0, "predictions"),
        ),
        non_claims=("convex in predictions",),
    ),
)
