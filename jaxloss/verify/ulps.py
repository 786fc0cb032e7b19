"""How exact is a loss in float32? Its errors in units in the last place, over the whole range.

Of a quantity, the loss or a derivative, with the exact value `q` and the scale
`S = |q| + sum |x_i dq/dx_i|` (by how much it changes when its inputs change in proportion):

* The condition number is `S / |q|`. A label that is 0 or 1 was not rounded and takes no part.
* Below a condition of 10 the unit of the error is the last place of `q` in float32. Where the
  inputs' own rounding counts for more, it is the unit roundoff of the scale, `2^-24 S`.
* No unit is smaller than the smallest normal number: below it the CPU knows only 0.
* At a kink a derivative is right anywhere between the one-sided ones.
* Infinity is right where `q` is beyond the largest number, and nowhere else.

The target of a value is 4 units. That of a derivative is 8, or exact to the last place of its
scale: two of its unit roundoffs, `2^-23 S`, at every point where it errs by more than 8 units.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxloss import catalog
from jaxloss.catalog.kinds import Kind, grid
from jaxloss.verify import expansion
from jaxloss.verify.subject import Subject, rounded_setting

Array = np.ndarray

TINY, LARGEST = 2.0**-126, float(np.finfo(np.float32).max)
UNIT = 2.0**-24
ILL = 10.0
# By how much a number is moved to find a kink that its rounding may step over.
NEAR = 2.0**-22
# Exponents of the numbers tried: so that differences are finite; usual ones; and those of which
# even numbers next to each other have a normal difference.
ALL, SOME, MOST = (-126, 127), (-24, 8), (-100, 120)
# What is hoped for, in units; and of derivatives, which may cancel, in roundoffs of their scale.
TARGETS = {"value": 4.0, "gradient": 8.0}
ROUNDOFFS = 2.0


class Accuracy(NamedTuple):
    """The errors of one quantity of a loss.

    Attributes:
      setting: the hyper-parameters.
      quantity: "value", or "d/d" and the name of an argument.
      largest: the largest error, in the units that the module describes.
      median: the median of the errors.
      roundoffs: the largest error of the points that err by more units than the target, in unit
        roundoffs `2^-24 S` of their scale; 0 where there are none.
      worst: the inputs with the largest error.
      got: what the loss gives there.
      expected: what is right there.
      condition: the condition number there.
    """

    setting: Mapping[str, Any]
    quantity: str
    largest: float
    median: float
    roundoffs: float
    worst: tuple[Any, ...]
    got: float
    expected: float
    condition: float

    @property
    def target(self) -> float:
        """The largest error in units that is as good as it gets."""
        return _target(self.quantity)

    @property
    def place(self) -> str:
        """The worst inputs, to be read."""
        return ", ".join(np.array2string(np.asarray(x), precision=9) for x in self.worst)

    @property
    def ok(self) -> bool:
        """Whether the target is met: in units or, by a derivative, in roundoffs of its scale."""
        exact = self.quantity != "value" and self.roundoffs <= ROUNDOFFS
        return self.largest <= self.target or exact


def _target(quantity: str) -> float:
    return TARGETS["value" if quantity == "value" else "gradient"]


def accuracy(name: str | catalog.Entry, *, rows: int = 2000, seed: int = 0) -> list[Accuracy]:
    """Measure the errors of value and gradient in float32, in units in the last place.

    Inputs are spread over all exponents and both signs, over ordinary sizes, and in pairs that
    differ by a unit up to a factor of 2; exact results come from the entry's reference in mpmath.

    Args:
      name: of a loss in the catalogue; or an entry.
      rows: how many inputs to try.
      seed: of the inputs.

    Returns:
      An `Accuracy` for the value and each derivative, under each setting.

    Raises:
      KeyError: for a loss that is not in the catalogue.

    Example:
      >>> from jaxloss import verify
      >>> all(found.ok for found in verify.accuracy("absolute_error", rows=50))
      True
    """
    known = name if isinstance(name, catalog.Entry) else catalog.get(name)
    subject = Subject.of(known, seed)
    args = inputs(subject, rows)
    return [found for s in distinct(subject) for found in measure(subject, args, s, rows)]


def elementwise(subject: Subject) -> bool:
    """Tell whether a loss takes one number of each argument to one number."""
    return all(k.event == () for k in subject.kinds)


def inputs(subject: Subject, rows: int) -> list[Array]:
    """Return `[rows, *event]` of every argument, exact in float32.

    A quarter each over all exponents, of ordinary size, close to each other, and at the edges.
    """
    rng = np.random.default_rng([subject.seed, 32])
    edges = grid([np.concatenate([k.singular, k.extreme]) for k in subject.kinds])
    chosen = rng.permutation(len(edges[0]))[: rows // 4]
    share = (rows - len(chosen)) // 3
    wide, ordinary, close = (
        [_bits(k, rng, n, *exponents) for k in subject.kinds]
        for n, exponents in ((rows - len(chosen) - 2 * share, ALL), (share, SOME), (share, MOST))
    )
    for i, kind in enumerate(subject.kinds[1:], 1):
        if kind.name == subject.kinds[0].name and not kind.event:
            close[i] = _nearby(rng, close[0])
    parts = (wide, ordinary, close, [e[chosen] for e in edges])
    columns = map(np.concatenate, zip(*parts, strict=True))
    return [
        c if k.discrete else c.astype(np.float32).astype(np.float64)
        for k, c in zip(subject.kinds, columns, strict=True)
    ]


def _bits(kind: Kind, rng: np.random.Generator, n: int, low: int, high: int) -> Array:
    """Draw numbers uniform in their bits, of exponents in `[low, high)`, where the kind allows."""
    own = kind.generic(rng, n), kind.spread(rng, n)
    pick = rng.random((n,) + (1,) * len(kind.event)) < 0.5
    known = np.where(pick, *own)
    if kind.event or kind.discrete or not kind.differentiable:
        return known
    sizes = np.ldexp(rng.uniform(1, 2, n), rng.integers(low, high, n)) * rng.choice([-1, 1], n)
    return sizes if kind.valid is None else np.where(kind.valid(sizes, 0), sizes, known)


def _nearby(rng: np.random.Generator, numbers: Array) -> Array:
    """Return numbers from one unit in the last place to a factor of 2 away."""
    bits = numbers.astype(np.float32).view(np.int32)
    steps = (2 ** rng.uniform(0, 23, len(bits))).astype(np.int32) * rng.choice([-1, 1], len(bits))
    return (bits + steps).astype(np.int32).view(np.float32)


def measure(
    subject: Subject, args: list[Array], setting: Mapping[str, Any], chunk: int
) -> list[Accuracy]:
    """Return the accuracy of the value and of each derivative, evaluated by `chunk` rows."""
    exact = _expand(subject, args, setting)
    value, slopes = _evaluate(subject, args, setting, chunk)
    found = [_summary("value", setting, args, value, exact.value, exact.value, exact.value_scale)]
    slope = np.concatenate([s.reshape(len(value), -1) for s in slopes], axis=1)
    left, right = _nearby_kinks(subject, args, setting, exact, slope)
    start = 0
    for name, size in zip(subject.moving, (s[0].size for s in slopes), strict=True):
        columns = slice(start, start := start + size)
        parts = (a[:, columns] for a in (slope, left, right, exact.slope_scale))
        found.append(_summary(f"d/d{name}", setting, args, *parts))
    return found


def _expand(subject: Subject, args: list[Array], setting: Mapping[str, Any]) -> expansion.Expansion:
    assert subject.reference is not None
    hard = [k.expects == "in [0, 1]" for k in subject.kinds]
    certain = lambda k, x: hard[k] and x in (0.0, 1.0)
    return expansion.expand(subject.reference, args, setting, subject.differentiable, certain)


def _nearby_kinks(
    subject: Subject,
    args: list[Array],
    setting: Mapping[str, Any],
    exact: expansion.Expansion,
    got: Array,
) -> tuple[Array, Array]:
    """Return the one-sided derivatives; of kinks so near that rounding steps over them, too.

    These are looked for where the derivative seems wrong, by moving the inputs a little.
    """
    left, right = np.minimum(exact.left, exact.right), np.maximum(exact.left, exact.right)
    wrong = error(got, left, right, exact.slope_scale) > TARGETS["gradient"]
    rows = np.flatnonzero(wrong.any(axis=1))
    slack = 2 * NEAR * ILL * np.abs(exact.slope_scale[rows])
    for signs in itertools.product((-1, 1), repeat=len(args)) if len(rows) else ():
        moved = [
            a[rows] if k.discrete or not k.differentiable else a[rows] * (1 + s * NEAR)
            for s, k, a in zip(signs, subject.kinds, args, strict=True)
        ]
        there = _expand(subject, moved, setting)
        with np.errstate(invalid="ignore"):
            jumps = np.abs(there.right - exact.right[rows]) > slack
        left[rows] = np.where(jumps, np.fmin(left[rows], there.left), left[rows])
        right[rows] = np.where(jumps, np.fmax(right[rows], there.right), right[rows])
    return left, right


def distinct(subject: Subject) -> list[dict[str, Any]]:
    """Return the settings, each once, with the defaults that are numbers and in float32.

    As the loss sees its hyper-parameters, so must the reference.
    """
    assert subject.reference is not None
    taken = inspect.signature(subject.reference).parameters
    known = inspect.signature(subject.loss).parameters
    defaults = {k: p.default for k, p in known.items() if k in taken}
    numbers = {k: v for k, v in defaults.items() if isinstance(v, float)}
    settings = [rounded_setting(numbers | dict(s)) for s in subject.settings]
    return list({repr(sorted(s.items())): s for s in settings}.values())


def _evaluate(
    subject: Subject, args: list[Array], setting: Mapping[str, Any], chunk: int
) -> tuple[Array, list[Array]]:
    parts = [
        subject.evaluate([a[i : i + chunk] for a in args], setting)
        for i in range(0, len(args[0]), chunk)
    ]
    value = np.concatenate([v for v, _ in parts])
    slopes = zip(*(s for _, s in parts), strict=True)
    joined = [np.concatenate(s) for s in slopes]
    return value, [s for s, d in zip(joined, subject.differentiable, strict=True) if d]


def _summary(
    quantity: str,
    setting: Mapping[str, Any],
    args: list[Array],
    got: Array,
    left: Array,
    right: Array,
    scale: Array,
) -> Accuracy:
    errors = error(got, left, right, scale).reshape(len(got), -1)
    far = roundoffs(got, left, right, scale).reshape(errors.shape)[errors > _target(quantity)]
    row, column = np.unravel_index(np.argmax(errors), errors.shape)
    at = lambda a: float(a.reshape(len(got), -1)[row, column])
    with np.errstate(divide="ignore", invalid="ignore"):
        condition = np.float64(at(scale)) / abs(at(right))
    worst = tuple(a[row] for a in args)
    return Accuracy(
        setting, quantity, float(errors.max()), float(np.median(errors)),
        float(far.max(initial=0)), worst, at(got), at(right), float(condition),
    )  # fmt: skip


def error(got: Array, left: Array, right: Array, scale: Array) -> Array:
    """Return the errors, in the units that the module describes; 0 where nothing is known."""
    size = np.maximum(np.abs(left), np.abs(right))
    with np.errstate(invalid="ignore"):
        place = np.ldexp(1.0, np.frexp(np.minimum(size, LARGEST))[1] - 24)
        ill = ~(scale < ILL * size)
    return _errors(got, left, right, np.where(ill, _roundoff(scale), place))


def roundoffs(got: Array, left: Array, right: Array, scale: Array) -> Array:
    """Return the errors in unit roundoffs of the scale; 0 where nothing is known."""
    return _errors(got, left, right, _roundoff(scale))


def _roundoff(scale: Array) -> Array:
    return UNIT * np.minimum(scale, LARGEST)


def _errors(got: Array, left: Array, right: Array, unit: Array) -> Array:
    low, high = np.minimum(left, right), np.maximum(left, right)
    with np.errstate(invalid="ignore", over="ignore"):
        off = np.maximum(np.maximum(low - got, got - high), 0)
        size = np.maximum(np.abs(low), np.abs(high))
        beyond = (np.abs(got) >= LARGEST) & (size >= LARGEST) & (np.sign(got) == np.sign(high))
        errors = np.where(beyond, 0, off / np.maximum(unit, TINY))
    errors = np.where(np.isnan(errors), np.inf, errors)
    return np.where(np.isnan(left), 0, errors)
