"""What small images range over: logits and labels of six pixels, pictures of four by five."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from jaxloss.catalog.kinds.frame import Kind

Array = np.ndarray
PIXELS, CLASSES = 6, 3
_BASE = np.linspace(-1.0, 1.5, PIXELS * CLASSES).reshape(PIXELS, CLASSES)[:, [1, 0, 2]]
_WEAVE = np.arange(PIXELS) % CLASSES
_CORNERS = np.eye(CLASSES)


def _magnitudes(rng: np.random.Generator, shape: tuple[int, ...], low: float, high: float) -> Array:
    return 10 ** rng.uniform(low, high, shape) * rng.choice([-1.0, 1.0], shape)


def _one(value: float) -> Array:
    image = _BASE.copy()
    image[2, 1] = value
    return image


def logits() -> Kind:
    """Scores of three classes for each of six pixels."""
    return Kind(
        f"logits of {PIXELS} pixels in {CLASSES} classes",
        generic=lambda rng, n: rng.normal(0.0, 2.0, (n, PIXELS, CLASSES)),
        spread=lambda rng, n: _magnitudes(rng, (n, PIXELS, CLASSES), -5, 1.5),
        steps="free",
        singular=np.stack(
            [
                np.zeros((PIXELS, CLASSES)),
                20.0 * _CORNERS[_WEAVE],
                np.tile(20.0 * _CORNERS[0], (PIXELS, 1)),
                _BASE[[0, 0, 2, 2, 0, 2]],  # pixels tie
                np.minimum(_BASE, 0.0),
                -20.0 * _CORNERS[_WEAVE],
            ]
        ),
        extreme=np.stack(
            [1e4 * _BASE, 1e30 * _BASE, 1e-30 * _BASE, _one(60.0), _one(-1.5e38), 300 + _BASE]
        ),
        infinite=np.stack([_one(-np.inf)]),
        towards=np.stack([_one(-1e5)]),
    )


def labels() -> Kind:
    """Distributions over three classes for each of six pixels, hard or soft."""
    weave = _CORNERS[_WEAVE]
    return Kind(
        f"labels of {PIXELS} pixels in {CLASSES} classes",
        # Away from 0, below which differences would step.
        generic=lambda rng, n: 0.05 + 0.85 * rng.dirichlet([1.0, 2.0, 1.5], (n, PIXELS)),
        spread=lambda rng, n: _CORNERS[rng.integers(0, CLASSES, (n, PIXELS))],
        steps="mix",
        singular=np.stack(
            [
                np.tile(_CORNERS[0], (PIXELS, 1)),  # all background
                np.tile(_CORNERS[1], (PIXELS, 1)),  # all foreground, one class absent
                weave,
                weave[::-1],
                np.full((PIXELS, CLASSES), 1 / CLASSES),
            ]
        ),
        extreme=np.stack([weave, np.tile(_CORNERS[2], (PIXELS, 1))]),
        invalid=np.stack([weave - 0.5 * _CORNERS[1], 2.0 * weave]),
    )


def given(kind: Kind) -> Kind:
    """The same, but nothing is differentiated in it."""
    return replace(kind, differentiable=False)


def one_hot() -> Kind:
    """One class of three for each of six pixels, as zeros and a one."""
    soft = labels()
    hard = soft.singular[:4]
    return Kind(
        f"one-hot labels of {PIXELS} pixels in {CLASSES} classes",
        generic=soft.spread,
        spread=soft.spread,
        singular=hard,
        extreme=soft.extreme,
        invalid=np.stack([*soft.invalid, 0.5 * hard[2]]),
        differentiable=False,
    )


def distances() -> Kind:
    """A signed distance for every class of six pixels."""
    shape = (PIXELS, CLASSES)
    return Kind(
        f"distances of {PIXELS} pixels in {CLASSES} classes",
        generic=lambda rng, n: rng.normal(1.0, 3.0, (n, *shape)),
        spread=lambda rng, n: _magnitudes(rng, (n, *shape), -4, 4),
        steps="free",
        singular=np.stack([np.zeros(shape), np.round(3 * _BASE), -np.ones(shape)]),
        extreme=np.stack([1e18 * _BASE, 1e-30 * _BASE]),
    )


def scores() -> Kind:
    """One score for each of six pixels, positive for foreground."""
    column = lambda rows: np.ascontiguousarray(rows[..., 0])
    full = logits()
    return Kind(
        f"logits of {PIXELS} pixels",
        generic=lambda rng, n: rng.normal(0.3, 2.0, (n, PIXELS)),
        spread=lambda rng, n: _magnitudes(rng, (n, PIXELS), -5, 1.5),
        steps="free",
        singular=np.stack(
            [
                np.zeros(PIXELS),
                np.ones(PIXELS),  # where the hinge bends
                -np.ones(PIXELS),
                np.array([20.0, -20.0, 20.0, -20.0, 0.5, 0.5]),
                np.array([0.5, 0.5, -0.5, -0.5, 2.0, -2.0]),
            ]
        ),
        extreme=column(full.extreme[[0, 1, 2]]),
    )


def shares() -> Kind:
    """Whether each of six pixels is foreground, hard or soft."""
    hard = bits()
    return Kind(
        f"labels of {PIXELS} pixels",
        generic=lambda rng, n: rng.uniform(0.15, 0.85, (n, PIXELS)),
        spread=hard.spread,
        steps="mix",
        singular=np.concatenate([hard.singular, np.full((1, PIXELS), 0.5)]),
        extreme=np.concatenate([hard.extreme, np.full((1, PIXELS), 1e-30)]),
        invalid=np.stack([np.full(PIXELS, -0.5), np.full(PIXELS, 2.0)]),
    )


def bits() -> Kind:
    """Whether each of six pixels is foreground, 0 or 1."""
    draw = lambda rng, n: rng.integers(0, 2, (n, PIXELS)).astype(float)
    some = np.array([1.0, 0.0, 0.0, 1.0, 1.0, 0.0])
    return Kind(
        f"bits of {PIXELS} pixels",
        generic=draw,
        spread=draw,
        singular=np.stack([np.zeros(PIXELS), np.ones(PIXELS), some]),
        extreme=np.stack([some, 1 - some, np.zeros(PIXELS)]),
        invalid=np.stack([np.full(PIXELS, 0.5), np.full(PIXELS, 2.0), np.full(PIXELS, -1.0)]),
        differentiable=False,
    )


def pictures(height: int = 3, width: int = 4) -> Kind:
    """Probabilities of a foreground with neighbours: what is thin and what is thick matters."""
    shape = (height, width)
    size = height * width
    levels = (np.arange(size) + 0.5) / size
    line = np.zeros(shape)
    line[1] = 1.0
    block = np.zeros(shape)
    block[:, :3] = 1.0
    return Kind(
        f"pictures of {height} by {width} pixels",
        # Levels apart from each other, where minima and maxima are smooth.
        generic=lambda rng, n: np.stack([rng.permutation(levels).reshape(shape) for _ in range(n)]),
        spread=lambda rng, n: 10 ** rng.uniform(-5, 0, (n, *shape)),
        steps="mix",
        singular=np.stack([np.zeros(shape), np.ones(shape), np.full(shape, 0.5)]),
        extreme=np.stack([line, block, np.full(shape, 1e-30), 1 - 1e-6 * block]),
        invalid=np.stack([np.full(shape, -0.5), np.full(shape, 2.0)]),
    )
