"""Kinds of arguments: what an argument ranges over, and the samples on which losses break.

A kind hands out rows, one for each example, in four modes:

* `generic`: random, asymmetric, of ordinary size, where every formula is smooth;
* `spread`: over many orders of magnitude, and close to each other;
* `singular`: zeros, ties, equal and boundary values, where formulas change character;
* `extreme`: as large and as small as float32 allows.

and, for values that must not pass unnoticed, `invalid`, and `infinite` ones with the finite
values `towards` them, by which a limit is recognised.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np

Array = np.ndarray
Draw = Callable[[np.random.Generator, int], Array]
# From values, NumPy's or JAX's, and the number of classes to whether each row is such an argument.
Predicate = Callable[[Any, int], Any]


@dataclass(frozen=True)
class Kind:
    """What an argument ranges over.

    Attributes:
      name: printed in reports.
      generic: draws `[n, *event]` rows of ordinary size.
      spread: draws `[n, *event]` rows of all sizes.
      singular: the rows at which to look closely, `[k, *event]`.
      extreme: the largest and smallest rows, `[k, *event]`.
      invalid: rows that are no such argument, `[k, *event]`.
      valid: tells for each row whether it is one; asked where there are invalid ones.
      expects: what `valid` demands, to follow "must be"; `{classes}` stands for their number.
      infinite: rows with infinite entries that have a meaning.
      towards: for each infinite row one, large but finite, that stands for the limit.
      discrete: whether the rows are integers.
      differentiable: whether losses are differentiated in it.
    """

    name: str
    generic: Draw
    spread: Draw
    singular: Array
    extreme: Array
    invalid: Array = field(default_factory=lambda: np.zeros(0))
    valid: Predicate | None = None
    expects: str = ""
    infinite: Array = field(default_factory=lambda: np.zeros(0))
    towards: Array = field(default_factory=lambda: np.zeros(0))
    discrete: bool = False
    differentiable: bool = True

    @property
    def event(self) -> tuple[int, ...]:
        """Shape of one row."""
        return tuple(self.singular.shape[1:])


def _rows(*rows: object) -> Array:
    return np.array(rows)


def _magnitudes(rng: np.random.Generator, shape: Sequence[int], low: float, high: float) -> Array:
    size = 10 ** rng.uniform(low, high, shape)
    return size * rng.choice([-1.0, 1.0], shape)


def _is_distribution(values: Any, classes: int) -> Any:
    # A sum in bfloat16 may be off by a hundredth, and then be right.
    slack = 1e-3 if values.dtype.itemsize > 2 else 2e-2
    return (values >= 0).all(axis=-1) & (abs(values.sum(axis=-1) - 1) <= slack)


def reals() -> Kind:
    """Any real number, one for each element."""

    def spread(rng: np.random.Generator, n: int) -> Array:
        # Half of them around 1, to differ from another such argument by little.
        return np.where(
            np.arange(n) % 2, _magnitudes(rng, (n,), -8, 6), 1 + _magnitudes(rng, (n,), -6, -2)
        )

    return Kind(
        "reals",
        generic=lambda rng, n: rng.normal(0.3, 2.0, n),
        spread=spread,
        singular=_rows(0.0, -0.0, 1.0, -1.0, 2.0, 0.5),
        extreme=_rows(1e4, -300.0, 1e18, -1.5e38, 1e-30, -1e-36),
    )


def above_minus_one() -> Kind:
    """Real numbers above -1, mostly positive: counts, prices."""
    return Kind(
        "reals > -1",
        generic=lambda rng, n: rng.gamma(2.0, 2.0, n) - 0.5,
        spread=lambda rng, n: np.abs(_magnitudes(rng, (n,), -6, 5)),
        singular=_rows(0.0, 1.0, 2.0, -0.5, 0.5),
        extreme=_rows(1e4, 1e18, 1.5e38, 1e-30, -0.999),
        invalid=_rows(-1.5, -100.0),
        valid=lambda values, classes: values > -1,
        expects="greater than -1",
    )


def log_odds() -> Kind:
    """The logit of one yes-or-no label."""
    return Kind(
        "log-odds",
        generic=lambda rng, n: rng.normal(0.3, 2.0, n),
        spread=lambda rng, n: _magnitudes(rng, (n,), -6, 1.8),
        singular=_rows(0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 20.0, -20.0),
        extreme=_rows(1e4, -1e4, 60.0, -60.0, 100.0, -1.5e38, 1e-30),
        infinite=_rows(np.inf, -np.inf),
        towards=_rows(1e4, -1e4),
    )


def shares() -> Kind:
    """A yes-or-no label, hard or soft: numbers in [0, 1]."""
    return Kind(
        "labels in [0, 1]",
        generic=lambda rng, n: rng.uniform(0.05, 0.95, n),
        spread=lambda rng, n: rng.integers(0, 2, n).astype(float),
        singular=_rows(0.0, 1.0, 0.5),
        extreme=_rows(0.0, 1.0, 1e-30, 1 - 2.0**-20),
        invalid=_rows(-0.5, 2.0, -100.0, 255.0),
        valid=lambda values, classes: (values >= 0) & (values <= 1),
        expects="in [0, 1]",
    )


def signs() -> Kind:
    """A label of two classes as a sign."""
    return Kind(
        "labels in {-1, 1}",
        generic=lambda rng, n: rng.choice([-1.0, 1.0], n),
        spread=lambda rng, n: rng.choice([-1.0, 1.0], n),
        singular=_rows(-1.0, 1.0),
        extreme=_rows(-1.0, 1.0),
        invalid=_rows(0.0, 0.5, 2.0, -100.0),
        valid=lambda values, classes: abs(values) == 1,
        expects="-1 or 1",
        differentiable=False,
    )


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
        spread=lambda rng, n: _magnitudes(rng, (n, classes), -5, 1.7),
        singular=_rows(
            np.zeros(classes),
            np.ones(classes),
            np.minimum(base, 0.0),  # the largest ones tie
            np.maximum(base, 0.0),  # the smallest ones tie
            np.eye(classes)[1],
            one(20.0),
        ),
        extreme=_rows(
            base * 1e4,
            one(60.0),
            one(1e7) + 1e7,
            base * 1e-30,
            one(-1.5e38),
            one(300.0),
            base * 1e30,
        ),
        infinite=_rows(one(-np.inf), one(-np.inf, -1), one(np.inf, 1)),
        towards=_rows(one(-1e5), one(-1e5, -1), one(1e5, 1)),
    )


def scores(classes: int = 4) -> Kind:
    """Scores of classes that are compared, not exponentiated."""
    like = logits(classes)
    return Kind(
        f"scores of {classes} classes",
        generic=like.generic,
        spread=like.spread,
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
        invalid=_rows(-1, classes, 255, -100),
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
        singular=_rows(*corners[:3], np.full(classes, 1 / classes), (corners[0] + corners[1]) / 2),
        extreme=corners,
        invalid=_rows(corners[0] - 0.5 * corners[1], -corners[0]),
        valid=_is_distribution,
        expects="distributions over {classes} classes, >= 0 with the sum 1",
    )


def vectors(size: int = 4) -> Kind:
    """Vectors of which the direction counts."""
    base = np.linspace(-1.0, 2.0, size)

    def spread(rng: np.random.Generator, n: int) -> Array:
        return (base + 1e-3 * rng.normal(size=(n, size))) * 10 ** rng.uniform(-4, 4, (n, 1))

    return Kind(
        f"vectors of length {size}",
        generic=lambda rng, n: rng.normal(0.2, 1.0, (n, size)),
        spread=spread,
        singular=_rows(np.zeros(size), base, -base, np.ones(size), np.eye(size)[0]),
        extreme=_rows(base * 1e20, base * 1e-30, np.eye(size)[0] * 1.5e38, base * 1e4),
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
        singular=_rows(np.zeros((count, size)), np.ones((count, size)), twins, np.eye(count, size)),
        extreme=_rows(base * 1e4, base * 1e-30, base * 1e18, 1 + 1e-6 * base),
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
        singular=_rows(np.zeros(count, int), np.arange(count), np.arange(count) // 2),
        extreme=_rows(np.arange(count) // 2, np.arange(count) // 3),
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
        singular=_rows(np.zeros(count), np.ones(count), grades, np.eye(count)[1]),
        extreme=_rows(grades, 4.0 * np.eye(count)[0]),
        differentiable=False,
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
        singular=_rows(*corners[:2], np.full(classes, 1 / classes), (corners[0] + corners[1]) / 2),
        extreme=_rows(*corners[:2]),
        invalid=_rows(corners[0] - 0.5 * corners[1], -corners[0]),
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
        spread=lambda rng, n: normal(_magnitudes(rng, (n, classes), -3, 1.5)),
        singular=_rows(flat, one(0.0), one(20.0)),
        extreme=_rows(one(-60.0), one(-1e4), one(60.0)),
        infinite=_rows(np.where(np.arange(classes) == 0, -np.inf, -np.log(classes - 1))),
        towards=_rows(np.where(np.arange(classes) == 0, -1e5, -np.log(classes - 1))),
    )


def example(value: object) -> Kind:
    """A kind guessed from an example: what varies around the array given."""
    array = np.asarray(value)
    if not np.issubdtype(array.dtype, np.floating):
        fixed: Draw = lambda rng, n: array
        return Kind(
            "as given", fixed, fixed, array[None], array[None], discrete=True, differentiable=False
        )
    array = array.astype(np.float64)
    return Kind(
        f"around the example {array.shape}",
        generic=lambda rng, n: array + 0.1 * rng.normal(size=array.shape),
        spread=lambda rng, n: array * 10 ** rng.uniform(-3, 1, array.shape),
        singular=np.stack([np.zeros_like(array), np.ones_like(array), array]),
        extreme=np.stack([1e4 * array, 1e-30 * array]),
    )


def grid(modes: Sequence[Array]) -> list[Array]:
    """Combine the rows of several arguments in every way: equal ones, opposite ones, all."""
    index = list(product(*(range(len(rows)) for rows in modes)))
    return [rows[[i[k] for i in index]] for k, rows in enumerate(modes)]
