"""Vectors, and sets and lists of them."""

from __future__ import annotations

import numpy as np

from jaxloss.catalog.kinds.frame import Array, Draw, Kind, bit_uniform, magnitudes, rows_of


def vectors(size: int = 4) -> Kind:
    """Vectors of which the direction counts."""
    base = np.linspace(-1.0, 2.0, size)

    def spread(rng: np.random.Generator, n: int) -> Array:
        return (base + 1e-3 * rng.normal(size=(n, size))) * 10 ** rng.uniform(-4, 4, (n, 1))

    return Kind(
        f"vectors of length {size}",
        generic=lambda rng, n: rng.normal(0.2, 1.0, (n, size)),
        spread=spread,
        steps="free",
        bitwise=lambda rng, n: bit_uniform(rng, (n, size)),
        singular=rows_of(np.zeros(size), base, -base, np.ones(size), np.eye(size)[0]),
        extreme=rows_of(base * 1e20, base * 1e-30, np.eye(size)[0] * 1.5e38, base * 1e4),
    )


def points(count: int = 5, size: int = 3) -> Kind:
    """Sets of vectors, `[count, size]`: a batch of embeddings, a sample of a distribution."""
    base = np.linspace(-1.0, 2.0, count * size).reshape(count, size)
    base = base + 0.25 * np.cos(7.0 * np.arange(count * size)).reshape(count, size)
    twins = base.copy()
    twins[1] = twins[0]
    return Kind(
        f"{count} vectors of length {size}",
        generic=lambda rng, n: rng.normal(0.2, 1.0, (n, count, size)),
        spread=lambda rng, n: (
            base + 10.0 ** rng.uniform(-3, 0, (n, 1, 1)) * rng.normal(size=(n, count, size))
        ),
        steps="free",
        singular=rows_of(
            np.zeros((count, size)), np.ones((count, size)), twins, np.eye(count, size)
        ),
        extreme=rows_of(base * 1e4, base * 1e-30, base * 1e18, 1 + 1e-6 * base),
    )


def groups(count: int = 5) -> Kind:
    """The group of each member of a set, as integers; equal ones belong together."""
    return Kind(
        f"groups of {count} members",
        # The first two always belong together, and the last is alone.
        generic=lambda rng, n: np.concatenate(
            [np.ones((n, 2), int), rng.integers(0, 3, (n, count - 3)), np.full((n, 1), 7)], axis=1
        ),
        spread=lambda rng, n: rng.integers(0, 2, (n, count)),
        singular=rows_of(np.zeros(count, int), np.arange(count), np.arange(count) // 2),
        extreme=rows_of(np.arange(count) // 2, np.arange(count) // 3),
        discrete=True,
        differentiable=False,
    )


def relevance(count: int = 5) -> Kind:
    """Grades of the items of a list, >= 0, greater for better."""
    grades = np.arange(count) % 3
    return Kind(
        f"relevance of {count} items",
        generic=lambda rng, n: rng.integers(0, 4, (n, count)).astype(float),
        spread=lambda rng, n: rng.integers(0, 2, (n, count)).astype(float),
        singular=rows_of(np.zeros(count), np.ones(count), grades, np.eye(count)[1]),
        extreme=rows_of(grades, 4.0 * np.eye(count)[0]),
        differentiable=False,
    )


def boxes() -> Kind:
    """Rectangles `(x1, y1, x2, y2)` with `x1 <= x2` and `y1 <= y2`: apart, nested, empty."""

    def corners(low: Array, size: Array) -> Array:
        return np.concatenate([low, low + size], axis=-1)

    def generic(rng: np.random.Generator, n: int) -> Array:
        return corners(rng.normal(0.3, 1.0, (n, 2)), rng.uniform(0.5, 2.5, (n, 2)))

    def spread(rng: np.random.Generator, n: int) -> Array:
        return corners(magnitudes(rng, (n, 2), -3, 3), 10 ** rng.uniform(-3, 3, (n, 2)))

    unit = np.array([0.0, 0.0, 1.0, 1.0])
    return Kind(
        "boxes",
        generic=generic,
        spread=spread,
        steps="mix",
        singular=rows_of(
            unit,
            unit + 0.5,
            unit + 1.0,  # touches the first in a corner
            unit * 0.5,  # lies inside it, in a corner
            unit * 0.0,
            np.array([0.0, 0.0, 1.0, 0.0]),
            unit + 8.0,
        ),
        extreme=rows_of(unit * 1e4, unit * 1e18, unit * 1e-30, unit + 4096.0),
        invalid=rows_of(unit[::-1], np.array([1.0, 0.0, 0.0, 1.0])),
        valid=lambda values, classes: (values[..., :2] <= values[..., 2:]).all(axis=-1),
        expects="(x1, y1, x2, y2) with x1 <= x2 and y1 <= y2",
    )


def lengths(most: int = 5) -> Kind:
    """How many entries of a sequence of `most` are meant, at least one."""
    draw: Draw = lambda rng, n: rng.integers(1, most + 1, n)
    return Kind(
        f"lengths <= {most}",
        generic=draw,
        spread=draw,
        singular=np.arange(1, most + 1),
        extreme=np.array([1, most]),
        invalid=np.array([-1, most + 1, 255]),
        valid=lambda values, classes: (values >= 0) & (values <= most),
        expects=f"in [0, {most}]",
        discrete=True,
        differentiable=False,
    )
