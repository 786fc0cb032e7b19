"""Is the derivative that autodiff gives the derivative of the function? For any function, in tests.

Everything is evaluated in float64 at the inputs given, whatever their dtype: a difference of
float32 numbers says little about a derivative. A derivative is compared with extrapolated central
differences that estimate their own error (`oracle.ridders`); where the two disagree, differences
from either side tell a kink from a wrong derivative.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxloss.verify import oracle

Array = np.ndarray

# Up to this many components each is checked on its own; of more, as many directions as below.
MOST_COMPONENTS, DIRECTIONS = 64, 8
# Steps relative to each entry, far smaller ones (near a kink), and relative to the largest entry.
NEAR = 1e-3
# A difference that trusts itself less than this decides nothing.
VAGUE = 1e-3
UNIT = 2.0**-52
LOW = ": is it computed in lower precision inside?"


def assert_gradients(
    function: Callable[..., Any],
    *args: Any,
    argnums: Sequence[int] | None = None,
    rtol: float = 1e-6,
    kinks: bool = True,
    seed: int | None = None,
) -> list[str]:
    """Assert that reverse and forward mode give the derivative of a function.

    Unlike `jax.test_util.check_grads`: integer arguments are left alone, a NaN equals nothing,
    tolerances do not grow with the size of the arrays, inputs in half precision are judged like any
    other, and each component is compared (of more than 64, eight directions, other ones each run).
    For second derivatives, pass `jax.grad(function)`.

    Args:
      function: takes `args`, returns arrays of floats of any shape; it must work in float64 and
        under `jax.vmap`.
      *args: arrays or pytrees of them, with which the function is called.
      argnums: positions of the arguments to differentiate in; None means all that hold floats.
      rtol: by how much a derivative may be off, relative to itself.
      kinks: whether a gradient between the one-sided derivatives of a kink is accepted; False
        makes every kink an error.
      seed: of the random directions, and of the weights from 0.5 to 1.5 with which the entries of
        an output that is no single number are summed; None draws a new one, which a failure prints.

    Returns:
      A sentence for each kink, or mode that does not exist, that was accepted: [] in general.

    Raises:
      AssertionError: with the argument, component, derivative, what differences say and their error
        estimate; for a value or derivative that is not finite; where both modes disagree.
      TypeError: if no argument, or nothing that is returned, is real floating-point.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxloss import verify
      >>> verify.assert_gradients(jnp.square, jnp.array([1e4, 1e-4], jnp.bfloat16))
      []
      >>> print(*verify.assert_gradients(jnp.abs, 0.0))
      x = 0: kink, one-sided derivatives -1 and 1, gradient 1
    """
    seed = int(np.random.default_rng().integers(2**31)) if seed is None else seed
    with jax.enable_x64(True):
        problem = _Problem(function, args, argnums, np.random.default_rng(seed))
        notes: list[str] = []
        for found in _compare(problem, rtol):
            if found.wrong or (found.kink and not kinks):
                raise AssertionError(f"{_name(function)}: {found.text} (seed {seed})")
            notes.append(found.text)
    return notes


def _name(function: Callable[..., Any]) -> str:
    return str(getattr(function, "__name__", function))


class _Finding(NamedTuple):
    text: str
    wrong: bool
    kink: bool = False


class _Problem:
    """A function of one flat float64 vector with one output, its gradient and its directions."""

    def __init__(
        self, function: Callable[..., Any], args: Any, argnums: Any, rng: np.random.Generator
    ) -> None:
        paths, self.tree = jax.tree_util.tree_flatten_with_path(args)
        self.leaves = [jnp.asarray(leaf) for _, leaf in paths]
        chosen = range(len(args)) if argnums is None else argnums
        self.moving = [
            i
            for i, (path, a) in enumerate(
                zip((path for path, _ in paths), self.leaves, strict=True)
            )
            if _is_floating(a) and path[0].idx in chosen
        ]
        if not self.moving:
            raise TypeError(f"assert_gradients: {_name(function)} has no floating-point argument.")
        self.leaves = [
            jnp.asarray(a, np.float64 if i in self.moving else None)
            for i, a in enumerate(self.leaves)
        ]
        names = _argument_names(function, len(args))
        self.names = [names[path[0].idx] + jax.tree_util.keystr(path[1:]) for path, _ in paths]
        self.function = function
        self.at = np.concatenate([self.leaves[i].ravel() for i in self.moving])
        outputs = jax.eval_shape(self._call, self.at)
        if not outputs:
            raise TypeError(f"assert_gradients: {_name(function)} returns no floating-point array.")
        self.weights = [_weights(rng, out) for out in outputs]
        self.value, self.gradient = jax.jit(jax.value_and_grad(self.total))(self.at)
        self.gradient = np.asarray(self.gradient)
        self.many = jax.jit(jax.vmap(self.total))
        n = self.at.size
        self.every = n <= MOST_COMPONENTS
        self.directions = np.eye(n) if self.every else rng.normal(size=(DIRECTIONS, n))
        # The last is along another direction where it is not one component's.
        steps = _step_sizes(self.at)[: 3 if self.every else 2]
        self.moves = [self.directions * step for step in steps]
        self.rounding, self.variation = self._variation(rng)

    def _call(self, x: Any) -> list[Any]:
        leaves, start = list(self.leaves), 0
        for i in self.moving:
            leaves[i] = x[start : start + leaves[i].size].reshape(leaves[i].shape)
            start += leaves[i].size
        out = self.function(*jax.tree.unflatten(self.tree, leaves))
        return [o for o in map(jnp.asarray, jax.tree.leaves(out)) if _is_floating(o)]

    def total(self, x: Any) -> Any:
        """Return the weighted sum of all outputs at a flat input."""
        return sum(jnp.vdot(w, o) for w, o in zip(self.weights, self._call(x), strict=True))

    def _variation(self, rng: np.random.Generator) -> tuple[Array, Array]:
        """Return `[k]` how rounding changes derivatives, and how they vary close by."""
        spread = 2.0**-20
        close = self.at + spread * _step_sizes(self.at)[0] * rng.uniform(-2, 2, (4, self.at.size))
        near = np.asarray(jax.jit(jax.vmap(jax.grad(self.total)))(close))
        with np.errstate(invalid="ignore"):
            change = _finite(np.abs(near - self.gradient)).max(axis=0) / spread
            # Without the gradient itself, which may be wrong at this point alone.
            range_ = _finite(near.max(axis=0) - near.min(axis=0)) / spread
        size = _finite(np.abs(self.gradient))
        moves = np.abs(self.moves[0])
        return moves @ (16 * UNIT * (size + change)), moves @ range_

    def component(self, flat: int) -> str:
        """Name an entry of the flat vector, with its value: `logits[0, 2] = 1.5`."""
        start = 0
        for i in self.moving:
            shape, size = self.leaves[i].shape, self.leaves[i].size
            if flat < start + size:
                index = ", ".join(map(str, np.unravel_index(flat - start, shape)))
                place = f"{self.names[i]}[{index}]" if shape else self.names[i]
                return f"{place} = {self.at[flat]:.9g}"
            start += size
        raise IndexError(flat)

    def place(self, k: int) -> str:
        """Name what the k-th direction moves."""
        if self.every:
            return self.component(k)
        largest = int(np.argmax(np.abs(self.moves[0][k] * self.gradient)))
        return f"direction {k}, in which most is moved by {self.component(largest)}"


def _step_sizes(at: Array) -> list[Array]:
    """Return steps `[n]` of the size of each entry, of a part of it, and of the largest entry."""
    size = np.abs(at)
    largest = max(float(size.max(initial=0.0)), 1.0)
    own = np.where(size > 0, size, 1e-2 * largest)
    return [own, NEAR * own, np.full_like(own, largest)]


def _finite(array: Array) -> Array:
    return np.where(np.isfinite(array), array, 0.0)


def _is_floating(array: Any) -> bool:
    return bool(jnp.issubdtype(array.dtype, jnp.floating))


def _weights(rng: np.random.Generator, out: Any) -> Array:
    # A lone output keeps its own derivative, which can then be recognised in the message.
    return np.ones(()) if out.shape == () else rng.uniform(0.5, 1.5, out.shape)


def _argument_names(function: Callable[..., Any], count: int) -> list[str]:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return names[:count] + [f"argument {i}" for i in range(len(names), count)]


def _compare(problem: _Problem, rtol: float) -> Any:
    """Yield what is wrong with the gradient, and what should be known of it."""
    if not np.isfinite(problem.value):
        yield _Finding(f"the value is {problem.value}, which has no derivative", wrong=True)
    for flat in np.flatnonzero(~np.isfinite(problem.gradient))[:1]:
        text = f"d/d {problem.component(flat)}: the gradient is {problem.gradient[flat]}"
        yield _Finding(text, wrong=True)
    yield from _forward(problem)
    yield from _reverse(problem, rtol)


def _forward(problem: _Problem) -> Any:
    """Compare forward mode with reverse mode, which perform the same additions."""
    push = jax.jit(jax.vmap(lambda d: jax.jvp(problem.total, (problem.at,), (d,))[1]))
    try:
        forward = np.asarray(push(problem.moves[0]))
    except TypeError as error:
        if "custom_vjp" not in str(error):
            raise
        yield _Finding("a custom_vjp inside has no forward mode", wrong=False)
        return
    reverse = problem.moves[0] @ problem.gradient
    moves = problem.moves[0]
    slack = 1e-10 * (np.abs(moves) @ np.abs(problem.gradient)) + problem.rounding + 1e-300
    for k in np.flatnonzero(~(np.abs(forward - reverse) <= slack))[:1]:
        unit = float(problem.moves[0][k, k]) if problem.every else 1.0
        text = f"forward mode gives {forward[k] / unit:.9g}, reverse mode {reverse[k] / unit:.9g}"
        text += LOW if abs(forward[k] - reverse[k]) <= 1e-2 * abs(reverse[k]) else ""
        yield _Finding(f"d/d {problem.place(k)}: {text}", wrong=True)


def _reverse(problem: _Problem, rtol: float) -> Any:
    """Compare the gradient with differences, in every direction."""
    got, central = problem.moves[0] @ problem.gradient, _differences(problem)
    size = np.abs(central.value)
    slack = rtol * size + np.minimum(20 * central.error, VAGUE * size) + 4 * central.noise
    # A derivative that vanishes has no size of its own to be compared with.
    slack = slack + problem.rounding + 4 * rtol * problem.variation
    sides = _sides(problem)
    for k in range(len(got)):
        # From the derivative along the move back to that of the component itself.
        unit = float(problem.moves[0][k, k]) if problem.every else 1.0
        place, left, right = problem.place(k), sides.left[k] / unit, sides.right[k] / unit
        if sides.bent[k] or sides.torn[k]:
            yield _at_kink(place, "jump" if sides.torn[k] else "kink", got[k] / unit, left, right)
        elif not np.isfinite(central.value[k]):
            yield from _at_edge(place, got[k] / unit, left, right, sides.doubt[k] / abs(unit))
        elif not abs(got[k] - central.value[k]) <= slack[k]:
            text = f"d/d {place}: got {got[k] / unit:.9g}, expected "
            text += f"{central.value[k] / unit:.9g} +- {central.error[k] / unit:.1g} by differences"
            if not central.error[k] <= VAGUE * size[k]:
                text += f", which are too rough to tell{LOW}"
            yield _Finding(text, wrong=True)


def _at_kink(place: str, what: str, got: float, left: float, right: float) -> _Finding:
    low, high = min(left, right), max(left, right)
    slack = 1e-3 * (abs(low) + abs(high))
    inside = low - slack <= got <= high + slack
    said = f"gradient {got:.6g}" + ("" if inside else ", which is outside them")
    text = f"{place}: {what}, one-sided derivatives {left:.6g} and {right:.6g}, {said}"
    return _Finding(text, wrong=not inside, kink=True)


def _at_edge(place: str, got: float, left: float, right: float, doubt: float) -> Any:
    """Compare at the edge of the domain, where differences exist on one side only."""
    known = [side for side in (left, right) if np.isfinite(side)]
    if not known:
        text = f"{place}: the function is defined on neither side; leave it out with argnums"
        yield _Finding(text, wrong=True)
    elif not abs(got - known[0]) <= 1e-4 * abs(known[0]) + 10 * doubt:
        text = f"d/d {place}: got {got:.9g}, expected {known[0]:.6g} from the one side that exists"
        yield _Finding(text, wrong=True)


class _Central(NamedTuple):
    value: Array
    error: Array
    noise: Array


def _differences(problem: _Problem) -> _Central:
    """Return the best differences along own-sized moves, their errors and what rounding does."""
    own = problem.moves[0]
    best = _Central(*(np.full(len(own), fill) for fill in (np.nan, np.inf, 0.0)))
    size = abs(float(problem.value)) + float(np.abs(problem.at) @ np.abs(problem.gradient))
    for moves in problem.moves:
        value, error = _extrapolated(problem, moves)
        # In units of the own-sized move: derivatives along parallel moves differ by a factor.
        factor = np.linalg.norm(own, axis=1) / np.linalg.norm(moves, axis=1)
        # The smallest step that differences take is about a thousandth of the move.
        noise = np.full(len(own), UNIT * size / 1e-3)
        better = (error + noise) * factor < best.error + best.noise
        found = _Central(value * factor, error * factor, noise * factor)
        best = _Central(*(np.where(better, f, b) for f, b in zip(found, best, strict=True)))
    return best


def _extrapolated(problem: _Problem, moves: Array) -> tuple[Array, Array]:
    """Differentiate along moves `[k, n]`, one after the other where they are large."""
    values, errors = np.zeros(len(moves)), np.zeros(len(moves))
    everything = np.arange(len(moves))
    for group in [everything] if problem.every else everything[:, None]:
        # Ridders takes its step relative to a point, here 1, along each of the moves.
        along = lambda y, m=moves[group]: np.asarray(problem.many(problem.at + (y - 1) @ m))
        with np.errstate(invalid="ignore", over="ignore"):  # steps may leave the domain
            values[group], errors[group] = oracle.ridders(
                along, np.ones(len(group)), np.eye(len(group))
            )
    return values, errors


class _Sides(NamedTuple):
    left: Array
    right: Array
    doubt: Array
    bent: Array
    torn: Array


def _sides(problem: _Problem) -> _Sides:
    """Return the derivatives from below and above, and where they differ.

    At a kink they keep their distance however small the step, at a jump of the value it grows, and
    where the function is smooth it shrinks.
    """
    (left, right, doubt), (nearer_left, nearer_right, most) = (
        _one_sided(problem, step) for step in (1e-6, 2.5e-7)
    )
    gap, nearer = np.abs(right - left), np.abs(nearer_right - nearer_left)
    size = np.abs(nearer_left) + np.abs(nearer_right)
    apart = (nearer > 10 * (1e-3 * size + most)) & (nearer > 0.5 * gap)
    torn = apart & (nearer > 2 * gap)
    return _Sides(left, right, doubt, apart & ~torn, torn)


def _one_sided(problem: _Problem, step: float) -> tuple[Array, Array, Array]:
    """Return derivatives along own-sized moves from below and above, and what rounding does."""
    offsets = np.array([0.0, -step, -2 * step, step, 2 * step])[:, None]
    f = np.array([problem.many(problem.at + offsets * move) for move in problem.moves[0]])
    # Second order: exact for parabolas.
    left = -(4 * f[:, 1] - f[:, 2] - 3 * f[:, 0]) / (2 * step)
    right = (4 * f[:, 3] - f[:, 4] - 3 * f[:, 0]) / (2 * step)
    # Rounding of the value, and of the input, which moves the value by its slope.
    with np.errstate(invalid="ignore"):
        change = _finite(np.abs(f - f[:, :1])).max(axis=1)
    doubt = 16 * UNIT * (_finite(np.abs(f)).max(axis=1) + change / step) / step
    return left, right, doubt
