"""Scikit-learn's handwritten digits: pairs of them in one image, and ones with wrong labels."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

Array = np.ndarray
CLASSES = 10
TEST, VALIDATION = 500, 100


class Set(NamedTuple):
    """Images `[n, pixels]`, grey levels in [0, 1], and a row of labels for each task, `[k, n]`."""

    images: Array
    labels: Array


@functools.cache
def _shuffled() -> tuple[Array, Array]:
    from sklearn.datasets import load_digits

    pixels, digits = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(digits))
    return (pixels[order] / 16).astype(np.float32), digits[order].astype(np.int32)


@functools.cache
def pairs() -> tuple[Set, Set]:
    """Return 6000 pairs of overlapping digits to train with and 2000 of others to test with."""
    pixels, digits = _shuffled()
    train = _paired(pixels[:-TEST], digits[:-TEST], 6000, seed=1)
    return train, _paired(pixels[-TEST:], digits[-TEST:], 2000, seed=2)


def _paired(pixels: Array, digits: Array, count: int, seed: int) -> Set:
    """Draw pairs, the first at the upper left of 12 by 12 pixels, the second at the lower right."""
    chosen = np.random.default_rng(seed).integers(0, len(digits), (2, count))
    left, right = pixels[chosen].reshape(2, count, 8, 8)
    canvas = np.zeros((count, 12, 12), np.float32)
    canvas[:, :8, :8] = left
    canvas[:, 4:, 4:] = np.maximum(canvas[:, 4:, 4:], right)
    return Set(canvas.reshape(count, -1), digits[chosen])


class Noisy(NamedTuple):
    """A training set with wrong labels, `[n]` which are, and clean sets to validate and to test."""

    train: Set
    wrong: Array
    validation: Set
    test: Set


def noisy(share: float, seed: int) -> Noisy:
    """Replace a share of the training labels by another class, each as likely.

    Seeds differ in which labels are replaced and by what.
    """
    pixels, digits = _shuffled()
    first, last = len(digits) - TEST - VALIDATION, len(digits) - TEST
    rng = np.random.default_rng(seed)
    wrong = rng.permutation(first) < round(share * first)
    other = (digits[:first] + rng.integers(1, CLASSES, first)) % CLASSES
    labels = np.where(wrong, other, digits[:first]).astype(np.int32)
    return Noisy(
        Set(pixels[:first], labels[None]),
        wrong,
        Set(pixels[first:last], digits[None, first:last]),
        Set(pixels[last:], digits[None, last:]),
    )
