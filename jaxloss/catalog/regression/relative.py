"""Losses of errors in relation to their size, and of directions."""

from __future__ import annotations

from typing import Any

import numpy as np
from mpmath import mp

from jaxloss import regression
from jaxloss.catalog import claims, kinds
from jaxloss.catalog.entry import Entry
from jaxloss.catalog.regression.statements import DISTANCE, PAIR


def _cosine(a: Any, b: Any) -> Any:
    sizes = mp.sqrt(mp.fdot(a, a)) * mp.sqrt(mp.fdot(b, b))
    return mp.fdot(a, b) / sizes if sizes else mp.nan


ENTRIES = (
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
        claims=DISTANCE,
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
        arguments=PAIR,
        reference=lambda p, t, epsilon=mp.mpf(1e-7): abs(p - t) / max(abs(t), epsilon),
        settings=({"epsilon": 0.5},),
        impossible={"epsilon": (0.0, -1.0, np.nan)},
        claims=(
            *DISTANCE[:3],
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
        arguments=PAIR,
        reference=lambda p, t, epsilon=mp.mpf(1e-7): 2 * abs(p - t) / max(abs(p) + abs(t), epsilon),
        settings=({"epsilon": 0.5},),
        impossible={"epsilon": (0.0, -1.0, np.nan)},
        claims=(
            *DISTANCE,
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
