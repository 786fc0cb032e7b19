"""A search that climbs from the worst samples to the worst case."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from jaxloss.catalog.claims.frame import MODES, Array, Setting, Subject, column

ROUNDS = 12
# Every third round follows the gradient, which costs an evaluation of its own.
GRADIENT = 3
LARGEST = 3e38  # float32 ends a little above

Margin = Callable[[Setting, list[Array]], Array]


def worst(
    subject: Subject, margin: Margin, modes: tuple[str, ...] = MODES
) -> Iterator[tuple[Setting, list[Array]]]:
    """Yield every setting with the rows on which a claim comes closest to failing.

    From the worst rows of all samples, all rows take random steps at once, and keep those that
    lessen their margin. The batch keeps its shape, and so needs no new program.

    Args:
      subject: the loss.
      margin: from a setting and rows to one number for each row, the less the worse.
      modes: the samples to start from.
    """
    for setting in subject.settings:
        samples = [subject.draw(mode) for mode in modes]
        margins = [_numbers(margin(setting, args)) for args in samples]
        if _alike(samples) and all(len(m) == len(samples[0][0]) for m in margins):
            yield setting, _climb(subject, setting, margin, *_worst_rows(samples, margins))
        else:
            yield from ((setting, args) for args in samples)


def _numbers(margin: Array) -> Array:
    """Return margins by which rows can be ordered: NaN is the worst."""
    return np.where(np.isnan(margin), -np.inf, np.array(margin, ndmin=1))


def _alike(samples: list[list[Array]]) -> bool:
    """Tell whether rows can be exchanged; those drawn around a given example may not."""
    return len({tuple(a.shape for a in args) for args in samples}) == 1 and all(
        a.ndim and len(a) == len(samples[0][0]) for a in samples[0]
    )


def _worst_rows(samples: list[list[Array]], margins: list[Array]) -> tuple[list[Array], Array]:
    margin = np.concatenate(margins)
    order = np.argsort(margin, kind="stable")[: len(margins[0])]
    return [np.concatenate(rows)[order] for rows in zip(*samples, strict=True)], margin[order]


def _climb(
    subject: Subject, setting: Setting, margin: Margin, args: list[Array], lead: Array
) -> list[Array]:
    rng = np.random.default_rng([subject.seed, 7])
    pool = args
    for turn in range(ROUNDS):
        slopes: list[Any] = [None] * len(args)
        if turn % GRADIENT == GRADIENT - 1:
            slopes = subject.slopes(args, setting, "float32")
        everything = zip(subject.kinds, args, pool, slopes, strict=True)
        there = [_stepped(rng, *each, alone=len(args) == 1) for each in everything]
        new = _numbers(margin(setting, there))
        better = new < lead
        args = [np.where(column(better, a), t, a) for t, a in zip(there, args, strict=True)]
        lead = np.where(better, new, lead)
    return args


def _stepped(
    rng: np.random.Generator, kind: Any, rows: Array, pool: Array, slope: Array | None, alone: bool
) -> Array:
    """Return rows nearby, half of them unchanged where other arguments move as well."""
    moving = column(alone | (rng.random(len(rows)) < 0.6), rows)
    size = column(10 ** rng.uniform(-4, 0, len(rows)), rows)
    if kind.steps == "free":
        there = _free(rng, rows, size, slope)
    else:
        other = pool[rng.permutation(len(pool))]
        there = rows + size * (other - rows) if kind.steps == "mix" else other
    there = np.where(moving, there, rows)
    if kind.discrete:
        return there
    return np.clip(there, -LARGEST, LARGEST).astype(np.float32).astype(np.float64)


def _free(rng: np.random.Generator, rows: Array, size: Array, slope: Array | None) -> Array:
    """Return rows that are a part larger or smaller, or moved, at random or by the gradient."""
    length = lambda a: column(np.sqrt((a.reshape(len(a), -1) ** 2).sum(axis=-1)), a)
    noise = rng.normal(size=rows.shape)
    if slope is None:
        grown = column(rng.random(len(rows)) < 0.5, rows)
        return rows + size * noise * np.where(grown, rows, np.maximum(length(rows), 1))
    slope = np.nan_to_num(slope, posinf=0, neginf=0)
    towards = column(rng.choice([-1.0, 1.0], len(rows)), rows)
    return rows + towards * size * np.maximum(length(rows), 1) * slope / (length(slope) + 1e-30)
