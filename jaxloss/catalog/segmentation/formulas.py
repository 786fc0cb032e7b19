"""The formulas of segmentation losses for one image, in the arithmetic of mpmath.

An image is a list of pixels, a pixel a list of classes; a picture is a list of rows.
"""

from __future__ import annotations

import functools
from typing import Any

from mpmath import mp


def softmax(pixel: Any) -> Any:
    """Return the probabilities of one pixel."""
    return _softmax(tuple(pixel), mp.prec)


# Most of these pixels and pictures come again when another one is moved to take a difference.
@functools.lru_cache(256)
def _softmax(pixel: Any, precision: int) -> Any:
    powers = [mp.exp(v) for v in pixel]
    total = mp.fsum(powers)
    return [v / total for v in powers]


def sigmoid(x: Any) -> Any:
    """Return the probability of one logit."""
    return 1 / (1 + mp.exp(-x))


def columns(image: Any) -> Any:
    """Return the pixels of each class."""
    return list(zip(*image, strict=True))


def counts(p: Any, t: Any, soft_labels: bool = False) -> Any:
    """Return TP, FP and FN of one class."""
    pairs = list(zip(p, t, strict=True))
    if soft_labels:
        both = mp.fsum(min(a, b) for a, b in pairs)
        return both, mp.fsum(p) - both, mp.fsum(t) - both
    return (
        mp.fsum(a * b for a, b in pairs),
        mp.fsum(a * (1 - b) for a, b in pairs),
        mp.fsum((1 - a) * b for a, b in pairs),
    )


def index(count: Any, alpha: Any, beta: Any, smooth: Any) -> Any:
    """Return the Tversky loss of one class, 0 where nothing is there and nothing found."""
    both, false, missed = count
    whole = both + alpha * false + beta * missed + smooth
    return 1 - (both + smooth) / whole if whole else mp.mpf(0)


def average(losses: Any, class_weights: Any = None, ignore_background: bool = False) -> Any:
    """Return the mean over the classes."""
    weights = class_weights or [1] * len(losses)
    terms = [w * v for w, v in zip(weights, losses, strict=True)][ignore_background:]
    return mp.fsum(terms) / len(terms)


def tversky_classes(
    x: Any, y: Any, alpha: Any, beta: Any, smooth: Any = 1, soft_labels: bool = False
) -> Any:
    """Return the Tversky loss of each class."""
    pairs = zip(columns(map(softmax, x)), columns(y), strict=True)
    return [index(counts(p, t, soft_labels), alpha, beta, smooth) for p, t in pairs]


def dice(
    x: Any, y: Any, class_weights: Any = None, smooth: Any = 1, alpha: Any = mp.mpf(0.5),
    beta: Any = mp.mpf(0.5), reduction: str = "mean", ignore_background: bool = False,
    soft_labels: bool = False, axis: Any = None,
) -> Any:  # fmt: skip
    """Return the Dice loss."""
    losses = tversky_classes(x, y, alpha, beta, smooth, soft_labels)
    mean = average(losses, class_weights, ignore_background)
    return mean if reduction == "mean" else mean * (len(losses) - ignore_background)


def tversky(
    x: Any, y: Any, alpha: Any = mp.mpf("0.3"), beta: Any = mp.mpf("0.7"), smooth: Any = 1,
    class_weights: Any = None, ignore_background: bool = False, soft_labels: bool = False,
    gamma: Any = 1, axis: Any = None,
) -> Any:  # fmt: skip
    """Return the Tversky loss, each class to the power gamma."""
    losses = tversky_classes(x, y, alpha, beta, smooth, soft_labels)
    return average([v**gamma for v in losses], class_weights, ignore_background)


def focal_tversky(x: Any, y: Any, gamma: Any = mp.mpf(0.75), **more: Any) -> Any:
    """Return the focal Tversky loss."""
    return tversky(x, y, gamma=gamma, **more)


def jaccard(x: Any, y: Any, **more: Any) -> Any:
    """Return the Jaccard loss."""
    return tversky(x, y, alpha=1, beta=1, **more)


def binary_dice(
    x: Any, t: Any, smooth: Any = 1, soft_labels: bool = False, axis: Any = None
) -> Any:
    """Return the Dice loss of one foreground."""
    half = mp.mpf(1) / 2
    return index(counts([sigmoid(v) for v in x], t, soft_labels), half, half, smooth)


def generalized_dice(
    x: Any, y: Any, smooth: Any = 1, ignore_background: bool = False, soft_labels: bool = False,
    axis: Any = None,
) -> Any:  # fmt: skip
    """Return the generalised Dice loss."""
    pairs = list(zip(columns(map(softmax, x)), columns(y), strict=True))[ignore_background:]
    sizes = [mp.fsum(t) for _, t in pairs]
    inverse = [1 / s**2 if s else None for s in sizes]
    largest = max((v for v in inverse if v is not None), default=mp.mpf(1))
    weights = [largest if v is None else v for v in inverse]
    scale = len(weights) / mp.fsum(weights)
    table = [counts(p, t, soft_labels) for p, t in pairs]
    sums = [
        mp.fsum(scale * w * c[k] for w, c in zip(weights, table, strict=True)) for k in range(3)
    ]
    half = mp.mpf(1) / 2
    return index(sums, half, half, smooth)


def log_cosh_dice(x: Any, y: Any, **more: Any) -> Any:
    """Return the log-cosh Dice loss."""
    return mp.log(mp.cosh(dice(x, y, **more)))


def dice_cross_entropy(
    x: Any, y: Any, dice_weight: Any = 1, cross_entropy_weight: Any = 1, **more: Any
) -> Any:
    """Return Dice loss plus cross-entropy."""
    logs = [[mp.log(p) for p in softmax(pixel)] for pixel in x]
    terms = [t * lp for ts, lps in zip(y, logs, strict=True) for t, lp in zip(ts, lps, strict=True)]
    return dice_weight * dice(x, y, **more) - cross_entropy_weight * mp.fsum(terms) / len(x)


def matthews(
    x: Any, y: Any, class_weights: Any = None, ignore_background: bool = False, axis: Any = None
) -> Any:
    """Return one minus Matthews' correlation."""

    def one(p: Any, t: Any) -> Any:
        a, b, c = counts(p, t)
        d = mp.fsum((1 - u) * (1 - v) for u, v in zip(p, t, strict=True))
        root = mp.sqrt((a + b) * (a + c) * (d + b) * (d + c))
        if not root:
            return mp.mpf(0) if b + c == 0 else mp.mpf(1)
        return 1 - (a * d - b * c) / root

    pairs = zip(columns(map(softmax, x)), columns(y), strict=True)
    return average([one(p, t) for p, t in pairs], class_weights, ignore_background)


def lovasz(errors: Any, truth: Any) -> Any:
    """Return the Lovasz extension of the Jaccard loss, from its definition by sets."""
    foreground = {i for i, t in enumerate(truth) if t == 1}

    def jaccard_of(wrong: set[int]) -> Any:
        union = foreground | wrong
        return 1 - mp.mpf(len(foreground - wrong)) / len(union) if union else mp.mpf(0)

    total = mp.mpf(0)
    chosen: set[int] = set()
    for i in sorted(range(len(errors)), key=lambda i: -errors[i]):
        total += errors[i] * (jaccard_of(chosen | {i}) - jaccard_of(chosen))
        chosen = chosen | {i}
    return total


def lovasz_hinge(x: Any, t: Any, axis: Any = None) -> Any:
    """Return the Lovasz hinge loss."""
    return lovasz([max(1 - v * (2 * b - 1), mp.mpf(0)) for v, b in zip(x, t, strict=True)], t)


def lovasz_softmax(x: Any, y: Any, classes: str = "present", axis: Any = None) -> Any:
    """Return the Lovasz softmax loss."""
    pairs = list(zip(columns(map(softmax, x)), columns(y), strict=True))
    losses = [
        lovasz([abs(b - v) for v, b in zip(p, t, strict=True)], t)
        for p, t in pairs
        if classes == "all" or any(b == 1 for b in t)
    ]
    return mp.fsum(losses) / len(losses)


def boundary(x: Any, d: Any, ignore_background: bool = False, axis: Any = None) -> Any:
    """Return the boundary loss."""
    pairs = zip(columns(map(softmax, x)), columns(d), strict=True)
    return average([mp.fdot(p, far) / len(x) for p, far in pairs], None, ignore_background)


def _neighbours(image: Any, i: int, j: int, cross: bool) -> Any:
    steps = [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if not (cross and a and b)]
    places = [(i + a, j + b) for a, b in steps]
    return [image[r][c] for r, c in places if 0 <= r < len(image) and 0 <= c < len(image[0])]


def _filtered(image: Any, choose: Any, cross: bool) -> Any:
    height, width = range(len(image)), range(len(image[0]))
    return [[choose(_neighbours(image, i, j, cross)) for j in width] for i in height]


def skeleton(image: Any, iterations: int) -> Any:
    """Return the soft skeleton of a picture, as one list of its pixels."""
    return _skeleton(tuple(map(tuple, image)), iterations, mp.prec)


@functools.lru_cache(8)
def _skeleton(image: Any, iterations: int, precision: int) -> Any:
    kept = [mp.mpf(0)] * (len(image) * len(image[0]))
    for _ in range(iterations + 1):
        eroded = _filtered(image, min, cross=True)
        opened = _filtered(eroded, max, cross=False)
        ridges = [max(a - b, mp.mpf(0)) for a, b in zip(flat(image), flat(opened), strict=True)]
        kept = [s + (1 - s) * r for s, r in zip(kept, ridges, strict=True)]
        image = eroded
    return kept


def flat(image: Any) -> Any:
    """Return the pixels of a picture as one list."""
    return [v for row in image for v in row]


def cldice(p: Any, t: Any, iterations: int = 3, smooth: Any = 1, axis: Any = None) -> Any:
    """Return the centreline Dice loss."""
    found, true = skeleton(p, iterations), skeleton(t, iterations)

    def share(line: Any, image: Any) -> Any:
        whole = mp.fsum(line) + smooth
        return (mp.fdot(line, image) + smooth) / whole if whole else mp.mpf(1)

    precision, sensitivity = share(found, flat(t)), share(true, flat(p))
    both = precision + sensitivity
    return 1 - 2 * precision * sensitivity / both if both else mp.mpf(1)
