"""The frame of a claim: a sentence, and a check that yields how it fails.

A check sees the subject under verification (see `jaxloss.verify.subject`). Rounding is not a
failure: tolerances are stated in units of the values that were rounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

Array = np.ndarray
Setting = Mapping[str, Any]
Number = float | Callable[[Setting], float]

MODES = ("generic", "spread", "singular")
EPSILON = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
HALF = ("bfloat16", "float16")


class Subject(Protocol):
    """The part of a subject under verification that claims use."""

    names: list[str]
    kinds: list[Any]
    settings: list[dict[str, Any]]
    rng: np.random.Generator
    seed: int
    dtypes: tuple[str, ...]

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

    def bound(self, setting: Setting) -> Any:
        """Return the loss with the hyper-parameters that are no numbers put in."""

    def precisely(self, args: list[Array], setting: Setting) -> tuple[Array, list[Array]] | None:
        """Return losses and gradients without rounding, or None if they defy it."""

    def forward(self, args: list[Array], setting: Setting, dtype: str) -> Array:
        """Return losses, also where they have no gradient in a dtype."""

    def coarse(self) -> list[Array]:
        """Return ordinary and small rows that half precision holds exactly."""

    def halves(self) -> list[Array]:
        """Return singular rows and rows of all sizes that half precision holds exactly."""

    def program(self, build: Any, setting: Setting) -> Any:
        """Return `jax.jit(build(self, loss))`, compiled once."""

    def cast(self, args: list[Array], dtype: str) -> list[Any]:
        """Return rows as arrays of a dtype."""

    def hyper(self, setting: Setting, dtype: str) -> dict[str, Any]:
        """Return the hyper-parameters that are numbers, as arrays."""


class Fault(str):
    """A sentence about rows at fault, which knows them.

    Attributes:
      args: the arguments among which they are, `[n, *event]` each.
      rows: their numbers; the sentence is about the first. Empty where it is about all of them.
      counted: the part of the sentence that says how many there are.
      setting: the hyper-parameters, None where they are not known.
      dtype: in which the loss was computed, "" where that is not known.
      where: the mask, if there was one.
    """

    args: list[Array]
    rows: tuple[int, ...]
    counted: str
    setting: Setting | None
    dtype: str
    where: Array | None

    def __new__(
        cls, text: str, args: Sequence[Array], rows: Iterable[int], counted: str = "",
        setting: Setting | None = None, dtype: str = "", where: Array | None = None,
    ) -> Fault:  # fmt: skip
        """Attach what is known of the rows to a sentence."""
        fault = super().__new__(cls, text)
        fault.args, fault.rows, fault.counted = list(args), tuple(map(int, rows)), counted
        fault.setting, fault.dtype, fault.where = setting, dtype, where
        _LATEST.set(fault)
        return fault

    @staticmethod
    def within(sentence: str) -> Fault | None:
        """Return the fault that a sentence is, or that an f-string has put into it."""
        latest = sentence if isinstance(sentence, Fault) else _LATEST.get()
        return latest if latest is not None and str(latest) in sentence else None


_LATEST: ContextVar[Fault | None] = ContextVar("latest", default=None)


@dataclass(frozen=True)
class Claim:
    """A statement about a loss and the check of it.

    Attributes:
      text: the statement.
      check: yields how it fails.
      halves: yields how it fails in half precision, where that is asked apart.
    """

    text: str
    check: Callable[[Any], Iterator[str]]
    halves: Callable[[Any], Iterator[str]] | None = None

    def __str__(self) -> str:
        """Return the statement."""
        return self.text


def halves_of(subject: Subject) -> list[str]:
    """Return the dtypes of half precision under which a subject is verified."""
    return [dtype for dtype in HALF if dtype in subject.dtypes]


def number(value: Number, setting: Setting) -> float:
    """Return a number that may depend on the setting."""
    return value(setting) if callable(value) else value


def show(args: list[Array], row: int) -> str:
    """Show one row of the arguments."""
    return "(" + ", ".join(np.array2string(short(a[row]), precision=9) for a in args) + ")"


def short(array: Array) -> Array:
    """Return the same numbers in float32, whose digits are fewer, where nothing is lost by that."""
    with np.errstate(over="ignore"):
        single = np.asarray(array, np.float32 if np.asarray(array).dtype.kind == "f" else None)
    return single if np.array_equal(single, array, equal_nan=True) else np.asarray(array)


def under(setting: Setting) -> str:
    """Show the hyper-parameters, where there are any."""
    return "".join(f", {k}={v!r}" for k, v in setting.items())


def samples(subject: Subject) -> Iterator[tuple[Setting, list[Array]]]:
    """Yield every setting with rows of every mode."""
    for setting in subject.settings:
        for mode in MODES:
            yield setting, subject.draw(mode)


def confirmed(wrong: Array, args: list[Array], real: Callable[[list[Array]], bool]) -> Array:
    """Return the rows that are wrong without those, up to the first real one, that only round so.

    Args:
      wrong: `[n]`, candidates.
      args: `[n, *event]` each.
      real: tells for a row, as arrays `[1, *event]`, whether it is one also without rounding.
    """
    wrong = wrong.copy()
    for row in np.flatnonzero(wrong):
        if real([a[row : row + 1] for a in args]):
            break
        wrong[row] = False
    return wrong


def rowwise(values: Array, rows: int) -> Array:
    """Reduce to one number for each row: the worst."""
    return values.reshape(rows, -1).max(axis=-1) if values.size else np.zeros(rows)


def total(values: Array) -> Array:
    """Reduce to one number for each row: the sum, whose gradient `slopes` gives."""
    return values.reshape(len(values), -1).sum(axis=-1)


def column(numbers: Array, like: Array) -> Array:
    """Shape one number for each row so that it meets the rows of another array."""
    return numbers.reshape((-1,) + (1,) * (like.ndim - 1))


def sensitivity(args: list[Array], slopes: list[Array]) -> Array:
    """Return for each row how much changing every input by one in proportion may change it."""
    terms = (np.nan_to_num(np.abs(a * s)) for a, s in zip(args, slopes, strict=True))
    return np.sum([t.reshape(len(t), -1).sum(axis=-1) for t in terms], axis=0)


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
        row, count = int(rows[0]), f" ({rows.size} such rows)"
        text = f"{say(row)} at {show(args, row)}{under(setting)}{count}"
        yield Fault(text, args, rows, count, setting)
