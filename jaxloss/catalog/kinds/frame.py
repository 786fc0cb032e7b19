"""Kinds of arguments: what an argument ranges over, and the samples on which losses break.

A kind hands out rows, one for each example, in five modes:

* `generic`: random, asymmetric, of ordinary size, where every formula is smooth;
* `spread`: over many orders of magnitude, and close to each other;
* `singular`: zeros, ties, equal and boundary values, where formulas change character;
* `extreme`: as large and as small as float32 allows;
* `bitwise`: uniform over all finite numbers of float32, where only precision is asked for.

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
      bitwise: draws rows uniform over the bits of float32, or None for those of `spread`.
      steps: where a search for the worst case may step from a row: "free", to any real numbers;
        "mix", to mixtures of rows; "swap", to other rows only.
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
    bitwise: Draw | None = None
    steps: str = "swap"
    discrete: bool = False
    differentiable: bool = True

    @property
    def event(self) -> tuple[int, ...]:
        """Shape of one row."""
        return tuple(self.singular.shape[1:])


def rows_of(*rows: object) -> Array:
    """Return an array of rows."""
    return np.array(rows)


def magnitudes(rng: np.random.Generator, shape: Sequence[int], low: float, high: float) -> Array:
    """Return numbers of both signs between two powers of ten."""
    size = 10 ** rng.uniform(low, high, shape)
    return size * rng.choice([-1.0, 1.0], shape)


def bit_uniform(rng: np.random.Generator, shape: Sequence[int]) -> Array:
    """Return numbers of both signs, each finite normal float32 as likely as any other."""
    one, largest = (int(np.float32(v).view(np.uint32)) for v in (2.0**-126, np.finfo("f4").max))
    bits = rng.integers(one, largest + 1, shape).astype(np.uint32)
    return bits.view(np.float32).astype(np.float64) * rng.choice([-1.0, 1.0], shape)


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
        steps="free",
        singular=np.stack([np.zeros_like(array), np.ones_like(array), array]),
        extreme=np.stack([1e4 * array, 1e-30 * array]),
    )


def grid(modes: Sequence[Array]) -> list[Array]:
    """Combine the rows of several arguments in every way: equal ones, opposite ones, all."""
    index = list(product(*(range(len(rows)) for rows in modes)))
    return [rows[[i[k] for i in index]] for k, rows in enumerate(modes)]
