"""What is known of the losses of `jaxloss.regression`."""

from __future__ import annotations

from typing import Any

import numpy as np
from mpmath import mp

from jaxloss import regression
from jaxloss.catalog import claims, kinds
from jaxloss.catalog.entry import Entry

_PAIR = {"predictions": kinds.reals(), "targets": kinds.reals()}
_DISTANCE = (
    claims.nonnegative(),
    claims.zero_at_target(),
    claims.positive_off_target(),
    claims.symmetric(),
)

_OF_THE_ERROR = (
    claims.monotone("predictions", along="error"),
    claims.translation_invariant(
        "predictions",
        "targets",
        text="unchanged when predictions and targets are shifted alike",
    ),
)


def _half_square_until(r: Any, delta: Any) -> Any:
    return r**2 / 2 if abs(r) <= delta else delta * (abs(r) - delta / 2)


def _side(e: Any, level: Any) -> Any:
    return level if e > 0 else 1 - level


def _cosine(a: Any, b: Any) -> Any:
    sizes = mp.sqrt(mp.fdot(a, a)) * mp.sqrt(mp.fdot(b, b))
    return mp.fdot(a, b) / sizes if sizes else mp.nan


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
        regression.squared_error,
        family="regression",
        purpose="squared difference; predicts the mean",
        character="punishes large errors more; sensitive to outliers",
        when="clean data, precise prediction",
        avoid="targets with gross errors: huber_loss, log_cosh",
        formula="(predictions - targets)^2",
        source="Bishop 2006, eq. 1.90",
        arguments=_PAIR,
        reference=lambda p, t: (p - t) ** 2,
        claims=(
            *_DISTANCE,
            claims.convex("predictions"),
            claims.homogeneous(2),
            claims.gradient_is(
                "twice the error, without bound", "predictions", lambda p, t: 2 * (p - t)
            ),
            claims.elicits("the mean", lambda t: float(t.mean())),
            *_OF_THE_ERROR,
            claims.informative_gradient("predictions"),
            claims.smooth(2.0, "predictions"),
        ),
        non_claims=("Lipschitz: one outlier can move the fit anywhere",),
    ),
    Entry(
        regression.l2_loss,
        family="regression",
        purpose="half the squared difference; predicts the mean",
        character="as squared_error, with the error itself as gradient",
        when="clean data; where the gradient should read as the error",
        avoid="targets with gross errors: huber_loss, log_cosh",
        formula="(predictions - targets)^2 / 2",
        source="Bishop 2006, eq. 1.2",
        arguments=_PAIR,
        reference=lambda p, t: (p - t) ** 2 / 2,
        claims=(
            *_DISTANCE,
            claims.convex("predictions"),
            claims.homogeneous(2),
            claims.gradient_is("the error", "predictions", lambda p, t: p - t),
            claims.elicits("the mean", lambda t: float(t.mean())),
            *_OF_THE_ERROR,
            claims.informative_gradient("predictions"),
            claims.smooth(1.0, "predictions"),
        ),
        non_claims=("equal to squared_error: it is half of it",),
    ),
    Entry(
        regression.absolute_error,
        family="regression",
        purpose="absolute difference; predicts the median",
        character="robust to outliers; constant gradient",
        when="noisy data, outliers to be found rather than fitted",
        avoid="fine convergence near the target: huber_loss, charbonnier_loss",
        formula="|predictions - targets|",
        source="Koenker and Bassett 1978, eq. 3.1 at one half",
        arguments=_PAIR,
        reference=lambda p, t: abs(p - t),
        claims=(
            *_DISTANCE,
            claims.convex("predictions"),
            claims.lipschitz(1.0, "predictions"),
            claims.homogeneous(1),
            claims.gradient_is("the sign of the error", "predictions", lambda p, t: np.sign(p - t)),
            claims.elicits("the median", lambda t: float(np.median(t))),
            *_OF_THE_ERROR,
            claims.informative_gradient("predictions"),
        ),
        non_claims=("smooth: kink at the target, gradient 0 there",),
    ),
    Entry(
        regression.huber_loss,
        family="regression",
        purpose="quadratic for small errors, linear for large",
        character="joins squared and absolute error; delta adjustable",
        when="noise and outliers mixed",
        avoid="second-order methods, which meet its curvature's jump: pseudo_huber_loss",
        formula="r^2 / 2 if |r| <= delta else delta (|r| - delta / 2)",
        source="Huber 1964, eq. 1.1",
        arguments=_PAIR,
        reference=lambda p, t, delta=1: _half_square_until(p - t, delta),
        settings=({"delta": 1.0}, {"delta": 0.3}, {"delta": 20.0}),
        impossible={"delta": (-1.0, 0.0, np.nan)},
        claims=(
            *_DISTANCE,
            claims.convex("predictions"),
            claims.lipschitz(lambda s: s.get("delta", 1.0), "predictions", text="delta"),
            claims.gradient_is(
                "the error clipped to [-delta, delta]",
                "predictions",
                lambda p, t, delta=1.0: np.clip(p - t, -delta, delta),
            ),
            claims.equals("l2_loss as delta grows", regression.l2_loss, {"delta": 1e9}),
            claims.equals(
                "delta times absolute_error as delta shrinks",
                regression.absolute_error,
                {"delta": 2.0**-40},
                scale=2.0**-40,
            ),
            *_OF_THE_ERROR,
            claims.informative_gradient("predictions"),
            claims.smooth(1.0, "predictions"),
        ),
        non_claims=("twice differentiable: the curvature jumps at |r| = delta",),
    ),
    Entry(
        regression.smooth_l1_loss,
        family="regression",
        purpose="absolute error with a rounded tip",
        character="as huber_loss divided by its threshold; slope 1 outside",
        when="box regression and other robust fits where the slope should not depend on beta",
        avoid="a threshold to be tuned towards squared error: huber_loss",
        formula="r^2 / (2 beta) if |r| < beta else |r| - beta / 2",
        source="Girshick 2015, eq. 3",
        arguments=_PAIR,
        reference=lambda p, t, beta=1: (
            _half_square_until(p - t, beta) / beta if beta else abs(p - t)
        ),
        settings=({"beta": 0.3}, {"beta": 0.0}),
        impossible={"beta": (-1.0, np.nan)},
        claims=(
            *_DISTANCE,
            claims.convex("predictions"),
            claims.lipschitz(1.0, "predictions"),
            claims.equals("absolute_error at beta 0", regression.absolute_error, {"beta": 0.0}),
            claims.at_most("absolute_error", regression.absolute_error),
            *_OF_THE_ERROR,
            claims.informative_gradient("predictions"),
        ),
        non_claims=("tends to squared error as beta grows: it vanishes",),
    ),
    Entry(
        regression.pseudo_huber_loss,
        family="regression",
        purpose="Huber's loss without its corner in the curvature",
        character="quadratic near, linear far, smooth everywhere",
        when="robust fits with second-order methods, diffusion models",
        avoid="errors that should count exactly quadratically below a threshold: huber_loss",
        formula="delta^2 (sqrt(1 + (r / delta)^2) - 1)",
        source="Charbonnier et al. 1997, table I",
        arguments=_PAIR,
        reference=lambda p, t, delta=1: delta**2 * (mp.sqrt(1 + ((p - t) / delta) ** 2) - 1),
        settings=({"delta": 1.0}, {"delta": 0.3}, {"delta": 20.0}),
        impossible={"delta": (-1.0, 0.0, np.nan)},
        claims=(
            *_DISTANCE,
            claims.convex("predictions"),
            claims.lipschitz(lambda s: s.get("delta", 1.0), "predictions", text="delta"),
            claims.at_most("l2_loss", regression.l2_loss),
            claims.equals("l2_loss as delta grows", regression.l2_loss, {"delta": 1e7}),
            *_OF_THE_ERROR,
            claims.informative_gradient("predictions"),
            claims.smooth(1.0, "predictions"),
        ),
    ),
    Entry(
        regression.charbonnier_loss,
        family="regression",
        purpose="absolute error with a smooth tip, for images",
        character="linear nearly everywhere; differentiable at 0",
        when="image restoration and super-resolution",
        avoid="where a perfect fit must cost 0: pseudo_huber_loss",
        formula="sqrt(r^2 + epsilon^2)",
        source="Lai et al. 2017, eq. 4",
        arguments=_PAIR,
        reference=lambda p, t, epsilon=mp.mpf(0.001): mp.sqrt((p - t) ** 2 + epsilon**2),
        settings=({"epsilon": 0.5},),
        impossible={"epsilon": (-1e-3, 0.0, np.nan)},
        claims=(
            claims.nonnegative(),
            claims.symmetric(),
            claims.convex("predictions"),
            claims.lipschitz(1.0, "predictions"),
            claims.equals(
                "absolute_error as epsilon shrinks", regression.absolute_error, {"epsilon": 1e-12}
            ),
            *_OF_THE_ERROR,
            claims.minimum_at_target(),
            claims.smooth(lambda s: 1 / s.get("epsilon", 1e-3), "predictions", text="1 / epsilon"),
        ),
        non_claims=("zero at the target: it is epsilon there",),
    ),
    Entry(
        regression.log_cosh,
        family="regression",
        purpose="smooth robust loss without a parameter",
        character="squared error near, absolute error far; twice differentiable",
        when="robust regression of errors of about unit scale",
        avoid="errors of another scale: pseudo_huber_loss, whose delta sets it",
        formula="log(cosh(predictions - targets))",
        source="Chen et al. 2019, eq. 4",
        arguments=_PAIR,
        reference=lambda p, t: abs(p - t) + mp.log((1 + mp.exp(-2 * abs(p - t))) / 2),
        claims=(
            *_DISTANCE,
            claims.convex("predictions"),
            claims.lipschitz(1.0, "predictions"),
            claims.gradient_is("tanh of the error", "predictions", lambda p, t: np.tanh(p - t)),
            claims.at_most("l2_loss", regression.l2_loss),
            claims.at_most("absolute_error", regression.absolute_error),
            *_OF_THE_ERROR,
            claims.informative_gradient("predictions"),
            claims.smooth(1.0, "predictions"),
        ),
    ),
    Entry(
        regression.quantile_loss,
        family="regression",
        purpose="pinball loss; predicts a chosen quantile",
        character="looks at a chosen quantile; slopes quantile - 1 and quantile",
        when="intervals and risk: predict the 5th and the 95th percentile",
        avoid="smooth optimisation near the target: huberized_quantile_loss",
        formula="quantile e if e > 0 else (quantile - 1) e, with e = targets - predictions",
        source="Koenker and Bassett 1978, eq. 3.1",
        arguments=_PAIR,
        reference=lambda p, t, quantile=mp.mpf(0.5): _side(t - p, quantile) * abs(t - p),
        settings=({"quantile": 0.5}, {"quantile": 0.1}, {"quantile": 0.8}),
        impossible={"quantile": (0.0, 1.0, -0.1, 1.5, np.nan)},
        claims=(
            *_DISTANCE[:3],
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
            *_OF_THE_ERROR,
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
        arguments=_PAIR,
        reference=lambda p, t, quantile=mp.mpf(0.5), delta=1: (
            _side(t - p, quantile) * _half_square_until(t - p, delta)
        ),
        settings=({"quantile": 0.2, "delta": 0.5}, {"quantile": 0.9, "delta": 3.0}),
        impossible={"quantile": (0.0, 1.0), "delta": (0.0, -1.0)},
        claims=(
            *_DISTANCE[:3],
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
            *_OF_THE_ERROR,
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
        arguments=_PAIR,
        reference=lambda p, t, expectile=mp.mpf(0.5): _side(t - p, expectile) * (t - p) ** 2,
        settings=({"expectile": 0.9}, {"expectile": 0.3}),
        impossible={"expectile": (0.0, 1.0, -0.1, 1.5, np.nan)},
        claims=(
            *_DISTANCE[:3],
            claims.convex("predictions"),
            claims.homogeneous(2),
            claims.elicits("the expectile", _expectile),
            claims.equals(
                "half of squared_error at one half",
                regression.squared_error,
                {"expectile": 0.5},
                scale=0.5,
            ),
            *_OF_THE_ERROR,
            claims.informative_gradient("predictions"),
            claims.smooth(
                lambda s: 2 * max(s.get("expectile", 0.5), 1 - s.get("expectile", 0.5)),
                "predictions",
                text="twice the larger of expectile and 1 - expectile",
            ),
        ),
        non_claims=("Lipschitz",),
    ),
    Entry(
        regression.squared_logarithmic_error,
        family="regression",
        purpose="squared error of log(1 + x)",
        character="relative errors count; too low costs more than too high",
        when="counts, prices, populations: targets over orders of magnitude",
        avoid="targets at or below -1; a convex problem",
        formula="(log(1 + predictions) - log(1 + targets))^2",
        source="scikit-learn user guide",
        arguments={"predictions": kinds.above_minus_one(), "targets": kinds.above_minus_one()},
        reference=lambda p, t: (mp.log(1 + p) - mp.log(1 + t)) ** 2,
        claims=_DISTANCE,
        non_claims=("convex in predictions: concave beyond e (1 + targets) - 1",),
    ),
    Entry(
        regression.absolute_percentage_error,
        family="regression",
        purpose="absolute error as a fraction of the target",
        character="relative; favours predictions that are too low",
        when="forecasts reported in per cent, of targets far from 0",
        avoid="targets near 0: squared_logarithmic_error, absolute_error",
        formula="|predictions - targets| / max(|targets|, epsilon)",
        source="Hyndman and Koehler 2006, section 2.2",
        arguments=_PAIR,
        reference=lambda p, t, epsilon=mp.mpf(1e-7): abs(p - t) / max(abs(t), epsilon),
        settings=({"epsilon": 0.5},),
        impossible={"epsilon": (0.0, -1.0, np.nan)},
        claims=(
            *_DISTANCE[:3],
            claims.convex("predictions"),
            claims.monotone("predictions", along="error"),
        ),
        non_claims=("symmetric: the target is the unit", "bounded"),
    ),
    Entry(
        regression.symmetric_absolute_percentage_error,
        family="regression",
        purpose="absolute error as a fraction of the mean size",
        character="relative and bounded by 2; no gradient where the signs differ",
        when="comparing forecasts over series of different scale",
        avoid="training on targets of either sign: absolute_error",
        formula="2 |predictions - targets| / max(|predictions| + |targets|, epsilon)",
        source="Makridakis 1993, p. 529",
        arguments=_PAIR,
        reference=lambda p, t, epsilon=mp.mpf(1e-7): 2 * abs(p - t) / max(abs(p) + abs(t), epsilon),
        settings=({"epsilon": 0.5},),
        impossible={"epsilon": (0.0, -1.0, np.nan)},
        claims=(
            *_DISTANCE,
            claims.bounded(0.0, 2.0),
            claims.monotone("predictions", along="error"),
        ),
        non_claims=("convex in predictions",),
    ),
    Entry(
        regression.cosine_similarity,
        family="regression",
        purpose="cosine of the angle between vectors",
        character="direction only; length has no effect",
        when="comparing embeddings",
        avoid="as a loss: cosine_distance, which is least for equal directions",
        formula="<predictions, targets> / (|predictions| |targets|)",
        source="Salton et al. 1975, section 1",
        arguments={"predictions": kinds.vectors(), "targets": kinds.vectors()},
        reference=lambda a, b: _cosine(a, b),
        impossible={"epsilon": (-1.0, np.nan)},
        claims=(
            claims.bounded(-1.0, 1.0),
            claims.symmetric(),
            claims.scale_invariant("predictions"),
            claims.permutation_invariant("predictions", "targets"),
        ),
        non_claims=("non-negative", "continuous at the zero vector, where it is 0"),
    ),
    Entry(
        regression.cosine_distance,
        family="regression",
        purpose="one minus the cosine of the angle between vectors",
        character="direction only; length has no effect",
        when="embeddings and targets whose length has no meaning",
        avoid="vectors whose length matters: squared_error",
        formula="1 - <predictions, targets> / (|predictions| |targets|)",
        source="Salton et al. 1975, section 1",
        arguments={"predictions": kinds.vectors(), "targets": kinds.vectors()},
        reference=lambda a, b: 1 - _cosine(a, b),
        impossible={"epsilon": (-1.0, np.nan)},
        claims=(
            claims.nonnegative(),
            claims.bounded(0.0, 2.0),
            claims.symmetric(),
            claims.scale_invariant("predictions"),
            claims.permutation_invariant("predictions", "targets"),
            claims.minimum_at_target(),
        ),
        non_claims=("convex", "continuous at the zero vector, where it is 1"),
    ),
)
