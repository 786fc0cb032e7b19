"""Kinds of arguments and claims that the losses of errors share."""

from __future__ import annotations

from typing import Any

from jaxloss.catalog import claims, kinds

PAIR = {"predictions": kinds.reals(), "targets": kinds.reals()}
DISTANCE = (
    claims.nonnegative(),
    claims.zero_at_target(),
    claims.positive_off_target(),
    claims.symmetric(),
)

OF_THE_ERROR = (
    claims.monotone("predictions", along="error"),
    claims.translation_invariant(
        "predictions",
        "targets",
        text="unchanged when predictions and targets are shifted alike",
    ),
)


def half_square_until(r: Any, delta: Any) -> Any:
    """Return the reference formula of Huber."""
    return r**2 / 2 if abs(r) <= delta else delta * (abs(r) - delta / 2)
