"""Losses that count the two sides of an error differently."""

from __future__ import annotations

from typing import Any

import numpy as np
from mpmath import mp

from jaxloss import regression
from jaxloss.catalog import claims
from jaxloss.catalog.entry import Entry
from jaxloss.catalog.regression.statements import DISTANCE, OF_THE_ERROR, PAIR, half_square_until


def _side(e: Any, level: Any) -> Any:
    return level if e > 0 else 1 - level


def _quantile(targets: np.ndarray, quantile: float = 0.5) -> float:
    return float(np.quantile(targets, quantile, method="inverted_cdf"))


def _expectile(targets: np.ndarray, expectile: float = 0.5) -> float:
    low, high = targets.min(), targets.max()
    for _ in range(200):
        middle = (low + high) / 2
        e = targets - middle
        pull = np.where(e > 0, expectile, 1 - expectile) @ e
        low, high = (middle, high) if pull > 0 else (low, middle)
    return float(middle)


ENTRIES = (
    Entry(
        regression.quantile_loss,
        family="regression",
        purpose="pinball loss; predicts a chosen quantile",
        character="looks at a chosen quantile; slopes quantile - 1 and quantile",
        when="intervals and risk: predict the 5th and the 95th percentile",
        avoid="smooth optimisation near the target: huberized_quantile_loss",
        formula="quantile e if e > 0 else (quantile - 1) e, with e = targets - predictions",
        source="Koenker and Bassett 1978, eq. 3.1",
        arguments=PAIR,
        reference=lambda p, t, quantile=mp.mpf(0.5): _side(t - p, quantile) * abs(t - p),
        settings=({"quantile": 0.5}, {"quantile": 0.1}, {"quantile": 0.8}),
        impossible={"quantile": (0.0, 1.0, -0.1, 1.5, np.nan)},
        claims=(
            *DISTANCE[:3],
            claims.convex("predictions"),
            claims.lipschitz(
                lambda s: max(s.get("quantile", 0.5), 1 - s.get("quantile", 0.5)),
                "predictions",
                text="the larger of quantile and 1 - quantile",
            ),
            claims.homogeneous(1),
            claims.gradient_is(
                "-quantile where too low and 1 - quantile where too high",
                "predictions",
                lambda p, t, quantile=0.5: np.where(t > p, -quantile, 1 - quantile),
            ),
            claims.elicits("the quantile", _quantile),
            claims.equals(
                "half of absolute_error at one half",
                regression.absolute_error,
                {"quantile": 0.5},
                scale=0.5,
            ),
            *OF_THE_ERROR,
            claims.informative_gradient("predictions"),
        ),
        non_claims=("symmetric, except at one half",),
    ),
    Entry(
        regression.huberized_quantile_loss,
        family="regression",
        purpose="pinball loss with a smooth tip",
        character="as quantile_loss, differentiable at the target",
        when="quantile networks, distributional reinforcement learning",
        avoid="unbiased quantiles of small errors: quantile_loss",
        formula="|quantile - 1[e < 0]| huber_loss(e, delta), with e = targets - predictions",
        source="Dabney et al. 2018, eq. 10",
        arguments=PAIR,
        reference=lambda p, t, quantile=mp.mpf(0.5), delta=1: (
            _side(t - p, quantile) * half_square_until(t - p, delta)
        ),
        settings=({"quantile": 0.2, "delta": 0.5}, {"quantile": 0.9, "delta": 3.0}),
        impossible={"quantile": (0.0, 1.0), "delta": (0.0, -1.0)},
        claims=(
            *DISTANCE[:3],
            claims.convex("predictions"),
            claims.lipschitz(
                lambda s: (
                    s.get("delta", 1.0) * max(s.get("quantile", 0.5), 1 - s.get("quantile", 0.5))
                ),
                "predictions",
                text="delta times the larger of quantile and 1 - quantile",
            ),
            claims.equals(
                "delta times quantile_loss as delta shrinks",
                regression.quantile_loss,
                {"quantile": 0.5, "delta": 2.0**-40},
                scale=2.0**-40,
            ),
            *OF_THE_ERROR,
            claims.informative_gradient("predictions"),
            claims.smooth(
                lambda s: max(s.get("quantile", 0.5), 1 - s.get("quantile", 0.5)),
                "predictions",
                text="the larger of quantile and 1 - quantile",
            ),
        ),
        non_claims=("its minimiser is the quantile: the smooth tip moves it",),
    ),
    Entry(
        regression.expectile_loss,
        family="regression",
        purpose="asymmetric squared error; predicts an expectile",
        character="one side counts more; sensitive to outliers as squared error is",
        when="smooth alternative to quantiles, offline reinforcement learning",
        avoid="outliers, or where a probability must be read off: quantile_loss",
        formula="|expectile - 1[e < 0]| e^2, with e = targets - predictions",
        source="Newey and Powell 1987, eq. 2.1",
        arguments=PAIR,
        reference=lambda p, t, expectile=mp.mpf(0.5): _side(t - p, expectile) * (t - p) ** 2,
        settings=({"expectile": 0.9}, {"expectile": 0.3}),
        impossible={"expectile": (0.0, 1.0, -0.1, 1.5, np.nan)},
        claims=(
            *DISTANCE[:3],
            claims.convex("predictions"),
            claims.homogeneous(2),
            claims.elicits("the expectile", _expectile),
            claims.equals(
                "half of squared_error at one half",
                regression.squared_error,
                {"expectile": 0.5},
                scale=0.5,
            ),
            *OF_THE_ERROR,
            claims.informative_gradient("predictions"),
            claims.smooth(
                lambda s: 2 * max(s.get("expectile", 0.5), 1 - s.get("expectile", 0.5)),
                "predictions",
                text="twice the larger of expectile and 1 - expectile",
            ),
        ),
        non_claims=("Lipschitz",),
    ),
)
