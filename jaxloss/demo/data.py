"""Scikit-learn's handwritten digits as three tasks, with a training set that is hard to learn from.

Only the training set is spoiled: classes are long-tailed, a fifth of the digit labels is wrong, a
tenth of the ink values has lost its decimal point. Validation and test set are balanced and clean:
the validation set plays the small set that somebody has checked by hand, and decides when to stop;
the test set is looked at once, at the end. Whether a digit is odd is told rightly throughout.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

CLASSES = 10
VALIDATION, TEST = 200, 500  # examples; the rest is for training
IMBALANCE = 5.0  # how many zeros there are for one nine
WRONG_LABELS, WRONG_INK = 0.2, 0.1  # shares of the training set

Array = np.ndarray


class Examples(NamedTuple):
    """Images and what is to be learned of them.

    Attributes:
      images: `[n, 64]`, grey levels in [0, 1].
      targets: for each task its labels `[n]`: `digit` integers in [0, 10), `odd` 0 or 1, `ink` in
        units of its spread over the training set.
      spoiled: for each task `[n]`, True where the target was made wrong. For pictures only.
    """

    images: Array
    targets: dict[str, Array]
    spoiled: dict[str, Array]


class Data(NamedTuple):
    """The three sets, and how to read ink: `percent = centre + spread * ink`."""

    train: Examples
    validation: Examples
    test: Examples
    centre: float
    spread: float


def load(seed: int) -> Data:
    """Split the digits, spoil the training set, and measure ink in units of its own spread."""
    from sklearn.datasets import load_digits

    pixels, digits = load_digits(return_X_y=True)
    pixels, rng = (pixels / 16).astype(np.float32), np.random.default_rng(seed)
    rest, test = _split(np.arange(len(digits)), digits, TEST, seed)
    rest, validation = _split(rest, digits, VALIDATION, seed)
    train = _long_tail(rest, digits, rng)
    labels, wrong = _mislabel(digits[train], rng)
    ink, outlier = _slip_decimal_point(_percent(pixels[train]), rng)
    low, centre, high = np.percentile(ink, [25, 50, 75])
    # The standard deviation of a normal law, from quartiles: outliers do not move it.
    spread = (high - low) / 1.349

    def scale(percent: Array) -> Array:
        return ((percent - centre) / spread).astype(np.float32)

    def clean(rows: Array) -> Examples:
        return _examples(pixels[rows], digits[rows], digits[rows], scale(_percent(pixels[rows])))

    spoiled = _examples(pixels[train], labels, digits[train], scale(ink))
    spoiled = spoiled._replace(spoiled={**spoiled.spoiled, "digit": wrong, "ink": outlier})
    return Data(spoiled, clean(validation), clean(test), float(centre), float(spread))


def _split(rows: Array, digits: Array, size: int, seed: int) -> tuple[Array, Array]:
    from sklearn.model_selection import train_test_split

    return train_test_split(rows, test_size=size, stratify=digits[rows], random_state=seed)


def _long_tail(rows: Array, digits: Array, rng: np.random.Generator) -> Array:
    """Thin out each class: class `k` keeps `IMBALANCE ** (-k / 9)` of what class 0 has."""
    rows = rng.permutation(rows)
    most = np.bincount(digits[rows], minlength=CLASSES).min()
    keep = np.round(most * IMBALANCE ** (-np.arange(CLASSES) / (CLASSES - 1))).astype(int)
    return np.concatenate([rows[digits[rows] == k][: keep[k]] for k in range(CLASSES)])


def _mislabel(digits: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    wrong = _choose(len(digits), WRONG_LABELS, rng)
    other = (digits + rng.integers(1, CLASSES, len(digits))) % CLASSES
    return np.where(wrong, other, digits), wrong


def _slip_decimal_point(ink: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    wrong = _choose(len(ink), WRONG_INK, rng)
    return np.where(wrong, 10 * ink, ink), wrong


def _choose(size: int, share: float, rng: np.random.Generator) -> Array:
    return rng.permutation(size) < round(share * size)


def _percent(pixels: Array) -> Array:
    return 100 * pixels.mean(axis=1, dtype=np.float64)


def _examples(pixels: Array, labels: Array, digits: Array, ink: Array) -> Examples:
    odd = (digits % 2).astype(np.float32)
    targets = {"digit": labels.astype(np.int32), "odd": odd, "ink": ink}
    return Examples(pixels, targets, {task: np.zeros(len(digits), bool) for task in targets})


def steps_per_epoch(size: int, batch_size: int) -> int:
    """Return how many batches hold every example once; the last one may be short."""
    return -(-size // batch_size)


def batches(
    examples: Examples, steps: range, *, seed: int, batch_size: int, multiple: int = 1
) -> dict[str, Any]:
    """Return the batches of some steps, stacked: a function of seed and step, so resuming is free.

    Every epoch shows every example once. Batches are padded to `batch_size` rounded up to a
    multiple of `multiple` (the number of devices); `valid` tells what counts.

    Returns:
      `images` `[steps, batch, 64]`, `targets` of each task `[steps, batch]`, and `valid` `[steps,
      batch]`, False where the batch is padded.
    """
    size = -(-batch_size // multiple) * multiple
    rows = np.zeros((len(steps), size), int)
    valid = np.zeros((len(steps), size), bool)
    for i, step in enumerate(steps):
        chosen = _rows_of(step, len(examples.images), seed, batch_size)
        rows[i, : len(chosen)], valid[i, : len(chosen)] = chosen, True
    targets = {task: target[rows] for task, target in examples.targets.items()}
    return {"images": examples.images[rows], "targets": targets, "valid": valid}


def _rows_of(step: int, size: int, seed: int, batch_size: int) -> Array:
    epoch, place = divmod(step, steps_per_epoch(size, batch_size))
    order = np.random.default_rng((seed, epoch)).permutation(size)
    return order[place * batch_size : (place + 1) * batch_size]
