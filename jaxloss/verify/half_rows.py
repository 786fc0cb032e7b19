"""Rows that bfloat16 and float16 both hold exactly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jaxloss.catalog.kinds import Kind

Array = np.ndarray
LARGEST = 2.0**15


def rounded(rows: Array) -> Array:
    """Round to numbers with 8 significant bits, and to 0 below float16's normal range."""
    mantissa, exponent = np.frexp(np.where(np.abs(rows) < 2.0**-13, 0, rows))
    return np.ldexp(np.round(mantissa * 256) / 256, exponent)


def with_small_ones(kinds: Sequence[Kind], args: Sequence[Array]) -> list[Array]:
    """Return rows, and the same again or, where the kind allows it, smaller ones."""
    return [
        np.concatenate([a, a]) if k.discrete else rounded(np.concatenate([a, _shrunk(k, a)]))
        for k, a in zip(kinds, args, strict=True)
    ]


def together(kinds: Sequence[Kind], *samples: Sequence[Array]) -> list[Array]:
    """Return the rows of several samples, none larger than float16 allows."""
    return [
        a if k.discrete else rounded(np.clip(a, -LARGEST, LARGEST))
        for k, a in zip(kinds, map(np.concatenate, zip(*samples, strict=True)), strict=True)
    ]


def _shrunk(kind: Kind, rows: Array) -> Array:
    return rows * 2.0**-7 if kind.name == "reals" else rows
