"""Vectors over classes, and their labels."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxloss.catalog.kinds.frame import Array, Draw, Kind, bit_uniform, magnitudes, rows_of


def _is_distribution(values: Any, classes: int) -> Any:
    # A sum in bfloat16 may be off by a hundredth, and then be right.
    slack = 1e-3 if values.dtype.itemsize > 2 else 2e-2
    return (values >= 0).all(axis=-1) & (abs(values.sum(axis=-1) - 1) <= slack)


def logits(classes: int = 4) -> Kind:
    """Scores of classes of which the softmax is taken."""
    base = np.linspace(-1.0, 1.0, classes)

    def one(value: float, at: int = 0) -> Array:
        row = base.copy()
        row[at] = value
        return row

    return Kind(
        f"logits of {classes} classes",
        generic=lambda rng, n: rng.normal(0.0, 2.0, (n, classes)),
        spread=lambda rng, n: magnitudes(rng, (n, classes), -5, 1.7),
        steps="free",
        bitwise=lambda rng, n: bit_uniform(rng, (n, classes)),
        singular=rows_of(
            np.zeros(classes),
            np.ones(classes),
            np.minimum(base, 0.0),  # the largest ones tie
            np.maximum(base, 0.0),  # the smallest ones tie
            np.round(base),  # those between tie
            np.eye(classes)[1],
            one(20.0),
        ),
        extreme=rows_of(
            base * 1e4,
            one(60.0),
            one(1e7) + 1e7,
            base * 1e-30,
            one(-1.5e38),
            one(300.0),
            base * 1e30,
        ),
        infinite=rows_of(one(-np.inf), one(-np.inf, -1), one(np.inf, 1)),
        towards=rows_of(one(-1e5), one(-1e5, -1), one(1e5, 1)),
    )


def scores(classes: int = 4) -> Kind:
    """Scores of classes that are compared, not exponentiated."""
    like = logits(classes)
    return Kind(
        f"scores of {classes} classes",
        generic=like.generic,
        spread=like.spread,
        bitwise=like.bitwise,
        steps=like.steps,
        singular=like.singular,
        extreme=like.extreme[[0, 1, 3, 5]],
        infinite=like.infinite[:2],
        towards=like.towards[:2],
    )


def labels(classes: int = 4) -> Kind:
    """The index of a class."""
    draw: Draw = lambda rng, n: rng.integers(0, classes, n)
    return Kind(
        f"labels < {classes}",
        generic=draw,
        spread=draw,
        singular=np.arange(classes),
        extreme=np.arange(classes),
        invalid=rows_of(-1, classes, 255, -100),
        valid=lambda values, classes: (values >= 0) & (values < classes),
        expects="indices of classes, in [0, {classes})",
        discrete=True,
        differentiable=False,
    )


def simplex(classes: int = 4) -> Kind:
    """A distribution over classes, hard or soft."""
    corners = np.eye(classes)
    return Kind(
        f"distributions over {classes} classes",
        generic=lambda rng, n: rng.dirichlet(np.linspace(1.0, 2.5, classes), n),
        spread=lambda rng, n: corners[rng.integers(0, classes, n)],
        steps="mix",
        singular=rows_of(
            *corners[:3], np.full(classes, 1 / classes), (corners[0] + corners[1]) / 2
        ),
        extreme=corners,
        invalid=rows_of(corners[0] - 0.5 * corners[1], -corners[0]),
        valid=_is_distribution,
        expects="distributions over {classes} classes, >= 0 with the sum 1",
    )


def probabilities(classes: int = 4) -> Kind:
    """Predicted distributions over classes, all entries positive save at the corners."""
    corners = np.eye(classes)

    def spread(rng: np.random.Generator, n: int) -> Array:
        raw = 10 ** rng.uniform(-5, 0, (n, classes))
        return raw / raw.sum(axis=-1, keepdims=True)

    return Kind(
        f"probabilities of {classes} classes",
        generic=lambda rng, n: rng.dirichlet(np.linspace(1.5, 3.0, classes), n),
        spread=spread,
        steps="mix",
        singular=rows_of(
            *corners[:2], np.full(classes, 1 / classes), (corners[0] + corners[1]) / 2
        ),
        extreme=rows_of(*corners[:2]),
        invalid=rows_of(corners[0] - 0.5 * corners[1], -corners[0]),
        valid=_is_distribution,
        expects="distributions over {classes} classes, >= 0 with the sum 1",
    )


def log_probabilities(classes: int = 4) -> Kind:
    """Logarithms of predicted distributions over classes."""
    flat = np.full(classes, -np.log(classes))

    def normal(x: Array) -> Array:
        return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))

    def one(value: float) -> Array:
        return normal(np.where(np.arange(classes) == 0, value, np.linspace(-1, 0, classes)))

    return Kind(
        f"log-probabilities of {classes} classes",
        generic=lambda rng, n: normal(rng.normal(0.0, 1.5, (n, classes))),
        spread=lambda rng, n: normal(magnitudes(rng, (n, classes), -3, 1.5)),
        singular=rows_of(flat, one(0.0), one(20.0)),
        extreme=rows_of(one(-60.0), one(-1e4), one(60.0)),
        infinite=rows_of(np.where(np.arange(classes) == 0, -np.inf, -np.log(classes - 1))),
        towards=rows_of(np.where(np.arange(classes) == 0, -1e5, -np.log(classes - 1))),
    )


def one_hot(classes: int = 4) -> Kind:
    """The class of an example as zeros and a one."""
    corners = np.eye(classes)
    draw: Draw = lambda rng, n: corners[rng.integers(0, classes, n)]
    return Kind(
        f"one-hot labels of {classes} classes",
        generic=draw,
        spread=draw,
        singular=corners,
        extreme=corners,
        invalid=rows_of(corners[0] - 0.5 * corners[1], 0.5 * corners[0], corners[0] + corners[1]),
        valid=lambda values, classes: (
            ((values == 0) | (values == 1)).all(axis=-1) & (values.sum(axis=-1) == 1)
        ),
        expects="a one and zeros",
        differentiable=False,
    )
