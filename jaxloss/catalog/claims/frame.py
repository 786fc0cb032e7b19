"""The frame of a claim: a sentence, and a check that yields how it fails.

A check sees the subject under verification (see `jaxloss.verify.subject`). Rounding is not a
failure: tolerances are stated in units of the values that were rounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

Array = np.ndarray
Setting = Mapping[str, Any]
Number = float | Callable[[Setting], float]

MODES = ("generic", "spread", "singular")
EPSILON = {"float64": 2.0**-52, "float32": 2.0**-23}


class Subject(Protocol):
    """The part of a subject under verification that claims use."""

    names: list[str]
    kinds: list[Any]
    settings: list[dict[str, Any]]
    rng: np.random.Generator
    seed: int

    def draw(self, mode: str) -> list[Array]:
        """Return rows of every argument, `[n, *event]` each."""

    def value(
        self, args: list[Array], setting: Setting, dtype: str = ..., *, loss: Any = ...
    ) -> Array:
        """Return the losses in float64, computed in `dtype`, or those of another `loss`."""

    def slopes(self, args: list[Array], setting: Setting, dtype: str = ...) -> list[Array]:
        """Return the gradient of each argument in float64 (zeros where it has none)."""

    def evaluate(
        self, args: list[Array], setting: Setting, dtype: str = ..., loss: Any = ...
    ) -> tuple[Array, list[Array]]:
        """Return losses and gradients."""

    def program(self, build: Any, setting: Setting) -> Any:
        """Return `jax.jit(build(self, loss))`, compiled once."""

    def cast(self, args: list[Array], dtype: str) -> list[Any]:
        """Return rows as arrays of a dtype."""

    def hyper(self, setting: Setting, dtype: str) -> dict[str, Any]:
        """Return the hyper-parameters that are numbers, as arrays."""


@dataclass(frozen=True)
class Claim:
    """A statement about a loss and the check of it."""

    text: str
    check: Callable[[Any], Iterator[str]]

    def __str__(self) -> str:
        """Return the statement."""
        return self.text


def number(value: Number, setting: Setting) -> float:
    """Return a number that may depend on the setting."""
    return value(setting) if callable(value) else value


def show(args: list[Array], row: int) -> str:
    """Show one row of the arguments."""
    return "(" + ", ".join(np.array2string(a[row], precision=6) for a in args) + ")"


def under(setting: Setting) -> str:
    """Show the hyper-parameters, where there are any."""
    return "".join(f", {k}={v!r}" for k, v in setting.items())


def samples(subject: Subject) -> Iterator[tuple[Setting, list[Array]]]:
    """Yield every setting with rows of every mode."""
    for setting in subject.settings:
        for mode in MODES:
            yield setting, subject.draw(mode)


def rowwise(values: Array, rows: int) -> Array:
    """Reduce to one number for each row: the worst."""
    return values.reshape(rows, -1).max(axis=-1) if values.size else np.zeros(rows)


def total(values: Array) -> Array:
    """Reduce to one number for each row: the sum, whose gradient `slopes` gives."""
    return values.reshape(len(values), -1).sum(axis=-1)


def column(numbers: Array, like: Array) -> Array:
    """Shape one number for each row so that it meets the rows of another array."""
    return numbers.reshape((-1,) + (1,) * (like.ndim - 1))


def shown(value: Any) -> str:
    """Show a number, or the numbers of a loss that has several for a row."""
    return f"{value:.7g}" if np.ndim(value) == 0 else np.array2string(value, precision=7)


def differ(got: Array, expected: Array, slack: Array | float) -> Array:
    """Tell where two arrays are not equal up to a slack; NaN differs from everything."""
    with np.errstate(invalid="ignore"):
        return ~((np.abs(got - expected) <= slack) | (got == expected))


def violations(
    wrong: Array, args: list[Array], setting: Setting, say: Callable[..., str]
) -> Iterator[str]:
    """Yield one sentence, about the first row that is wrong, if any is."""
    rows = np.flatnonzero(wrong.reshape(len(wrong), -1).any(axis=-1))
    if rows.size:
        row = int(rows[0])
        yield f"{say(row)} at {show(args, row)}{under(setting)} ({rows.size} such rows)"
