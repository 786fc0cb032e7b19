"""A search that climbs from the worst samples to the worst case."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from jaxloss.catalog.claims.frame import MODES, Array, Setting, Subject, column

ROUNDS = 18
LARGEST = 3e38  # float32 ends a little above

Margin = Callable[[Setting, list[Array]], Array]
Step = Callable[[np.random.Generator, Array, Array], Array]


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
        if turn % 3 == 0:
            pulls = _pulls(*subject.evaluate(args, setting, "float32"))
        step = (_pulled, _slid, _shaken)[turn % 3]
        everything = zip(subject.kinds, args, pool, pulls, strict=True)
        there = [_stepped(rng, step, *each) for each in everything]
        new = _numbers(margin(setting, there))
        # What fails stays as it is: a sampled witness is simpler than one that was climbed to.
        better = (new < lead) & (lead >= 0)
        args = [np.where(column(better, a), t, a) for t, a in zip(there, args, strict=True)]
        lead = np.where(better, new, lead)
    return args


def _pulls(value: Array, slopes: list[Array]) -> list[Array]:
    """Return for each argument the step against the gradient that would bring the value to 0."""
    value = value.reshape(len(value), -1).sum(axis=-1)
    size = sum((s.reshape(len(s), -1) ** 2).sum(axis=-1) for s in slopes)
    with np.errstate(all="ignore"):
        pulls = [-s * column(value / size, s) for s in slopes]
    return [np.nan_to_num(p, posinf=0, neginf=0) for p in pulls]


def _stepped(
    rng: np.random.Generator, step: Step, kind: Any, rows: Array, pool: Array, pull: Array
) -> Array:
    """Return rows nearby, or where a kind has no neighbours, other rows."""
    if kind.steps == "free":
        there = rows + step(rng, rows, pull)
        return np.clip(there, -LARGEST, LARGEST).astype(np.float32).astype(np.float64)
    other = pool[rng.permutation(len(pool))]
    if kind.steps == "mix":
        return (rows + _sizes(rng, rows) * (other - rows)).astype(np.float32).astype(np.float64)
    return np.where(column(rng.random(len(rows)) < 0.5, rows), other, rows)


def _sizes(rng: np.random.Generator, rows: Array) -> Array:
    return column(10 ** rng.uniform(-4, 0, len(rows)), rows)


def _lengths(rows: Array) -> Array:
    return column(np.sqrt((rows.reshape(len(rows), -1) ** 2).sum(axis=-1)), rows)


def _pulled(rng: np.random.Generator, rows: Array, pull: Array) -> Array:
    """Step to where the gradient says that the value is 0, or twice as far, as from a parabola."""
    return (1.0 + rng.integers(0, 2)) * pull


def _slid(rng: np.random.Generator, rows: Array, pull: Array) -> Array:
    """Step along or against the gradient."""
    sign = column(rng.choice([-1.0, 1.0], len(rows)), rows)
    size = _sizes(rng, rows) * np.maximum(_lengths(rows), 1)
    return sign * size * pull / (_lengths(pull) + 1e-30)


def _shaken(rng: np.random.Generator, rows: Array, pull: Array) -> Array:
    """Step at random, half of the rows in proportion to their entries."""
    grown = column(rng.random(len(rows)) < 0.5, rows)
    unit = np.where(grown, rows, np.maximum(_lengths(rows), 1))
    return _sizes(rng, rows) * rng.normal(size=rows.shape) * unit
