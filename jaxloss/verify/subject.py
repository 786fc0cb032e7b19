"""A loss under verification: its samples, its evaluation in every dtype, its exact values.

Everything that is compiled or computed to high precision is kept, because many checks ask for it.
"""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxloss.catalog.claims import Claim
from jaxloss.catalog.entry import Entry
from jaxloss.catalog.kinds import Kind, grid
from jaxloss.verify import half_rows, oracle, precise, unrounded

Array = np.ndarray

ROWS = 32
# Of large events (a batch of embeddings, an image) fewer rows say as much and cost less.
ROWS_OF_LARGE_EVENTS, LARGE_EVENT = 8, 8
HALF = ("bfloat16", "float16")
DTYPES: tuple[str, ...] = ("float64", "float32", *HALF)


class Call(NamedTuple):
    """An evaluation of the loss, by which a failure is traced to what was computed."""

    args: Sequence[Array]
    setting: Mapping[str, Any]
    dtype: str
    where: Array | None


class Subject:
    """A loss with the kinds of its arguments and what is claimed of it.

    Attributes:
      name: for messages.
      loss: the function, called as `loss(*args, **setting)`.
      arguments: the kind of each data argument, by name.
      settings: hyper-parameters under which it is verified; the first are the defaults.
      claims: what is claimed of it.
      reference: its formula in mpmath arithmetic, or None.
      impossible: hyper-parameter values that it must refuse.
      masks: whether it takes `where`.
      level: how thoroughly it is verified.
      rng: the source of all random choices.
      dtypes: those under which it is verified, by the checks that tell them apart.
      calls: what was evaluated since it was last cleared.
    """

    def __init__(
        self,
        name: str,
        loss: Callable[..., Any],
        arguments: Mapping[str, Kind],
        *,
        settings: Sequence[Mapping[str, Any]] = ({},),
        claims: Sequence[Claim] = (),
        reference: Callable[..., Any] | None = None,
        impossible: Mapping[str, Sequence[Any]] | None = None,
        strict: bool = True,
        seed: int = 0,
        level: str = "standard",
    ) -> None:
        """Collect what is known; nothing is computed yet."""
        self.name, self.loss, self.arguments = name, loss, dict(arguments)
        self.names = list(arguments)
        self.kinds = list(arguments.values())
        self.settings = [dict(s) for s in settings]
        self._defaults = _numeric_defaults(loss, {k for s in settings for k in s})
        largest = max((int(np.prod(k.event)) for k in self.kinds), default=1)
        self.rows = ROWS if largest <= LARGE_EVENT else ROWS_OF_LARGE_EVENTS
        self.claims, self.reference = tuple(claims), reference
        self.impossible = dict(impossible or {})
        self.masks = "where" in inspect.signature(loss).parameters
        self.strict = strict
        self.seed = seed
        self.level = level
        self.rng = np.random.default_rng(seed)
        self.dtypes = DTYPES
        self.calls: list[Call] = []
        self._drawn: dict[str, tuple[Array, ...]] = {}
        self._exact: dict[Any, oracle.Exact] = {}
        self._programs: dict[Any, Callable[..., Any]] = {}

    def within(self, dtypes: tuple[str, ...]) -> Subject:
        """Return the subject for some dtypes only; all that is kept is shared."""
        other = copy.copy(self)
        other.dtypes = dtypes
        return other

    @classmethod
    def of(cls, entry: Entry, seed: int = 0) -> Subject:
        """Return an entry of the catalogue with everything the catalogue says of it."""
        return cls(
            entry.name,
            entry.specimen or entry.loss,
            entry.arguments,
            settings=[{**entry.required, **s} for s in ({}, *entry.settings)],
            claims=entry.claims,
            reference=entry.reference,
            impossible=entry.impossible,
            seed=seed,
        )

    @property
    def differentiable(self) -> list[bool]:
        """Which arguments the loss is differentiated in."""
        return [k.differentiable for k in self.kinds]

    @property
    def moving(self) -> list[str]:
        """The names of the arguments that the loss is differentiated in."""
        return [n for n, d in zip(self.names, self.differentiable, strict=True) if d]

    # Samples

    def draw(self, mode: str) -> list[Array]:
        """Return rows of every argument in a mode, exact in float32; the same ones each time."""
        if mode not in self._drawn:
            self._drawn[mode] = self._draw(mode)
        return list(self._drawn[mode])

    @property
    def modes(self) -> list[str]:
        """The modes that rows were drawn in so far."""
        return list(self._drawn)

    def mode_of(self, args: Sequence[Array]) -> str | None:
        """Return the mode in which some of these very rows were drawn, None for other rows."""
        drawn = ((mode, a) for mode, rows in self._drawn.items() for a in rows)
        return next((mode for mode, a in drawn if any(a is b for b in args)), None)

    def _draw(self, mode: str) -> tuple[Array, ...]:
        rng = np.random.default_rng([self.seed, *mode.encode()])
        if mode in ("generic", "spread", "bitwise"):
            draws = [getattr(k, mode) or k.spread for k in self.kinds]
            columns = [draw(rng, self.rows) for draw in draws]
        else:
            columns = grid([getattr(k, mode) for k in self.kinds])
            # As many rows as in the other modes, so that all share one compiled program.
            chosen = np.sort(np.resize(rng.permutation(len(columns[0])), self.rows))
            columns = [c[chosen] for c in columns]
        return tuple(
            np.asarray(c) if k.discrete else np.asarray(c, np.float32).astype(np.float64)
            for k, c in zip(self.kinds, columns, strict=True)
        )

    def coarse(self) -> list[Array]:
        """Return generic and small rows that bfloat16 and float16 both hold exactly."""
        return half_rows.with_small_ones(self.kinds, self.draw("generic"))

    def halves(self) -> list[Array]:
        """Return as many singular rows and rows of all sizes, exact in half precision."""
        return half_rows.together(self.kinds, self.draw("singular"), self.draw("spread"))

    # Evaluation

    def value(
        self,
        args: Sequence[Array],
        setting: Mapping[str, Any],
        dtype: str = "float32",
        *,
        loss: Callable[..., Any] | None = None,
        where: Array | None = None,
    ) -> Array:
        """Return the losses, computed in a dtype, as float64."""
        return self.evaluate(args, setting, dtype, loss, where)[0]

    def forward(self, args: Sequence[Array], setting: Mapping[str, Any], dtype: str) -> Array:
        """Return the losses as `value` does, also where they have no gradient in a dtype."""
        try:
            return self.value(args, setting, dtype)
        except TypeError:
            with precision(dtype):
                program, hyper = self.program(_values, setting), self.hyper(setting, dtype)
                return _as_float64(program(self.cast(args, dtype), hyper))

    def slopes(
        self,
        args: Sequence[Array],
        setting: Mapping[str, Any],
        dtype: str = "float64",
        *,
        where: Array | None = None,
    ) -> list[Array]:
        """Return the gradient of the summed losses in each argument, as float64."""
        return self.evaluate(args, setting, dtype, None, where)[1]

    def evaluate(
        self,
        args: Sequence[Array],
        setting: Mapping[str, Any],
        dtype: str = "float32",
        loss: Callable[..., Any] | None = None,
        where: Array | None = None,
    ) -> tuple[Array, list[Array]]:
        """Return the losses and the gradient of their sum, computed in a dtype, as float64."""
        if loss is None:
            self.calls.append(Call(args, setting, dtype, where))
        with precision(dtype):
            # The same program with and without a mask: to compile is what costs.
            if where is None and self.masks and self.strict:
                where = np.ones(len(args[0]), bool)
            value, slopes = self.program(value_and_slopes, setting, loss)(
                self.cast(args, dtype), self.hyper(setting, dtype, loss), where
            )
        filled = iter(slopes)
        gradient = [
            _as_float64(next(filled)) if d else np.zeros(np.shape(a))
            for d, a in zip(self.differentiable, args, strict=True)
        ]
        return _as_float64(value), gradient

    def cast(self, args: Sequence[Array], dtype: str) -> list[jax.Array]:
        """Convert rows to arrays of a dtype; discrete ones stay integers."""
        return [
            jax.device_put(np.asarray(a)) if k.discrete else _converted(a, dtype)
            for k, a in zip(self.kinds, args, strict=True)
        ]

    def hyper(
        self, setting: Mapping[str, Any], dtype: str, loss: Callable[..., Any] | None = None
    ) -> dict[str, jax.Array]:
        """Convert the hyper-parameters that are numbers, for a call with inputs of a dtype.

        Those left out get their defaults, so that all settings share one compiled program.
        """
        return {
            k: v if isinstance(v, jax.Array) else _converted(v, wide(dtype))
            for k, v in ((self._defaults if loss is None else {}) | dict(setting)).items()
            if not is_static(v)
        }

    def bound(
        self, setting: Mapping[str, Any], loss: Callable[..., Any] | None = None
    ) -> Callable[..., Any]:
        """Return the loss with the hyper-parameters that are no numbers put in."""
        static = {k: v for k, v in setting.items() if is_static(v)}
        return functools.partial(loss or self.loss, **static)

    def program(
        self,
        build: Callable[..., Callable[..., Any]],
        setting: Mapping[str, Any],
        loss: Callable[..., Any] | None = None,
    ) -> Callable[..., Any]:
        """Return `jax.jit(build(self, loss))`, the same one each time it is asked for."""
        static = tuple((k, v) for k, v in setting.items() if is_static(v))
        key = (build, loss, static)
        if key not in self._programs:
            self._programs[key] = jax.jit(build(self, self.bound(setting, loss)))
        return self._programs[key]

    def exact(
        self, mode: str, setting: Mapping[str, Any], args: Sequence[Array] | None = None
    ) -> oracle.Exact:
        """Return values and one-sided derivatives on the rows of a mode.

        They are the reference's, or without one those of the loss itself in high precision.
        """
        key = (mode, repr(setting))
        if key not in self._exact:
            rows = self.draw(mode) if args is None else args
            # The loss sees its hyper-parameters in float32, and so must the reference.
            rounded = rounded_setting(setting)
            self._exact[key] = (
                oracle.exact(self.reference, rows, rounded, self.differentiable)
                if self.reference
                else unrounded.exact(self, rows, rounded, 4 if self.level == "quick" else 8)
            )
        return self._exact[key]

    def unrounded(
        self,
        mode: str,
        setting: Mapping[str, Any],
        dtype: str = "float32",
        args: Sequence[Array] | None = None,
    ) -> oracle.Exact:
        """Return the loss and the gradient autodiff gives of it, both without rounding."""
        key = (mode, repr(setting), dtype)
        if key not in self._exact:
            rows = self.draw(mode) if args is None else args
            self._exact[key] = unrounded.rounded(self, rows, rounded_setting(setting), dtype)
        return self._exact[key]

    def precisely(
        self, args: Sequence[Array], setting: Mapping[str, Any]
    ) -> tuple[Array, list[Array]] | None:
        """Return losses and gradients without rounding, of mpmath's numbers; None if they defy it.

        Rows that depend on each other defy it, too: what one of them is, none says alone.
        """
        if not self.apart:
            return None
        try:
            return unrounded.value_and_gradient(self, args, setting)
        except precise.Declined:
            return None

    @functools.cached_property
    def apart(self) -> bool:
        """Whether there is one value, or more, for each row, and none depends on another row."""
        args = self.draw("generic")
        value = self.value(args, self.default, "float64")
        if value.ndim == 0 or len(value) != len(args[0]):
            return False
        return all(
            np.allclose(self.value(_all_but(args, i), self.default, "float64")[i], value[i], 1e-12)
            for i in (0, -1)
        )

    @property
    def default(self) -> dict[str, Any]:
        """The setting without choices."""
        return self.settings[0]

    @property
    def tuned(self) -> list[dict[str, Any]]:
        """The settings with choices, or the default where there are none."""
        return self.settings[1:] or self.settings

    @property
    def ends(self) -> list[dict[str, Any]]:
        """The first and the last setting."""
        return self.settings if len(self.settings) < 2 else [self.settings[0], self.settings[-1]]


def _all_but(args: Sequence[Array], i: int) -> list[Array]:
    """Return rows of which only the i-th is what it was: the others come in another order."""
    moved = [np.roll(a, 1, axis=0) for a in args]
    for m, a in zip(moved, args, strict=True):
        m[i] = a[i]
    return moved


def _numeric_defaults(loss: Callable[..., Any], names: set[str]) -> dict[str, float]:
    """Return the defaults, where they are numbers, of some hyper-parameters."""
    parameters = inspect.signature(loss).parameters
    defaults = ((k, parameters[k].default) for k in names & parameters.keys())
    return {k: v for k, v in defaults if isinstance(v, float)}


def is_static(value: Any) -> bool:
    """Tell whether a hyper-parameter is a choice, which is compiled in, and not a number."""
    return value is None or isinstance(value, bool | int | str | tuple) or callable(value)


def rounded_setting(setting: Mapping[str, Any]) -> dict[str, Any]:
    """Round the hyper-parameters to float32, as a loss in float32 sees them."""
    keep = lambda v: is_static(v) or isinstance(v, jax.Array)
    return {k: v if keep(v) else np.float32(v) for k, v in setting.items()}


def value_and_slopes(subject: Subject, loss: Callable[..., Any]) -> Callable[..., Any]:
    """Build the losses and their gradient in every differentiable argument."""
    chosen = [i for i, d in enumerate(subject.differentiable) if d]

    def program(arrays: list[Any], hyper: dict[str, Any], where: Any = None) -> Any:
        def total(*moving: Any) -> Any:
            full = list(arrays)
            for i, m in zip(chosen, moving, strict=True):
                full[i] = m
            value = loss(*full, **hyper) if where is None else loss(*full, where=where, **hyper)
            return jnp.sum(value), value

        moving = tuple(arrays[i] for i in chosen)
        differentiate = jax.value_and_grad(total, tuple(range(len(moving))), has_aux=True)
        (_, value), slopes = differentiate(*moving)
        return value, list(slopes)

    return program


def _values(_: Subject, loss: Callable[..., Any]) -> Callable[..., Any]:
    return lambda arrays, hyper: loss(*arrays, **hyper)


def precision(dtype: str) -> Any:
    """Return the context in which a dtype exists: 64-bit types on for float64 only."""
    return jax.enable_x64(dtype == "float64")


def wide(dtype: str) -> str:
    """Return the dtype in which a loss of inputs of `dtype` must be computed."""
    return "float32" if dtype in HALF else dtype


def _converted(values: Any, dtype: str) -> jax.Array:
    """Convert to an array of a dtype, by NumPy: JAX would compile a program for each shape."""
    with np.errstate(over="ignore"):
        return jax.device_put(np.asarray(values, jnp.dtype(dtype)))


def _as_float64(array: Any) -> Array:
    return np.asarray(array).astype(np.float64)
