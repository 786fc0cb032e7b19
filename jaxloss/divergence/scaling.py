"""The iteration of entropic transport: the potentials of two samples, and of each with itself.

A step in each direction sums `exp((f_i + g_j - cost_ij) / epsilon)` over rows and columns. It is
done in one of two forms:

* *Swept*: the costs are formed a few rows at a time, each row's exponentials relative to its
  largest, so that nothing over- or underflows whatever epsilon is.
* *Scaled*: where there is room for them, the exponentials of a sweep are kept, and the steps that
  follow are products of that matrix with vectors. This holds while the potentials stay within
  `_DRIFT` of what they were; then another sweep is due.

A step never overshoots: a column whose exponentials all vanish moves by what its largest one says,
which is less than what is due.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxloss import numerics
from jaxloss.divergence import samples
from jaxloss.divergence.blocks import Blocks

Array = jax.Array

# Entries of a kernel that is kept; larger ones are formed a few rows at a time, again and again.
_ROOM = 2**25
# What the exponents may move by before what has vanished from the kernel would matter.
_DRIFT = 15.0


class Problem(NamedTuple):
    """Two weighted samples as transport sees them.

    Attributes:
      x: `[n, d]`, the first.
      y: `[m, d]`, the second.
      a: `[n]`, masses of the first.
      b: `[m]`, masses of the second.
      epsilon: `[]`.
    """

    x: Array
    y: Array
    a: Array
    b: Array
    epsilon: Array


class Way(NamedTuple):
    """How the iteration goes, all static.

    Attributes:
      iterations: steps in both directions.
      sets: how many problems are solved side by side.
    """

    iterations: int
    sets: int

    def keeps(self, x: Array, y: Array) -> bool:
        """Tell whether there is room for a number for each pair of members."""
        return self.sets * len(x) * len(y) <= _ROOM

    def blocks(self, x: Array, y: Array) -> Blocks:
        """Return the blocks in which rows `x` meet columns `y`."""
        return Blocks.of(self.sets, len(x), len(y))


def own(way: Way, x: Array, a: Array, epsilon: Array, after: Array) -> Array:
    """Return the potential `[n]` of a sample with itself, once the number `after` is known.

    It is bounded by the logarithms of the masses times epsilon, so that one kernel serves all
    steps.
    """
    if way.keeps(x, x):
        top, kernel = _kept(way.blocks(x, x), x, a, epsilon, after)
        # Of what has no mass the potential may be beyond all bounds.
        seen = lambda f: samples.product(kernel, a * jnp.exp(jnp.where(a > 0, f, 0) / epsilon))
        step = lambda f: (-top - epsilon * jnp.log(seen(f)))[: len(x)]
    else:
        step = lambda f: soft_minimum(way, x, x, f, a, epsilon)
    relax = lambda _, f: symmetric(f, step(f))
    return lax.fori_loop(
        0, steps_of_own(a), relax, numerics.split_like(jnp.zeros_like(a), x, a, epsilon)
    )


def _kept(blocks: Blocks, x: Array, a: Array, epsilon: Array, after: Array) -> tuple[Array, Array]:
    """Return the largest gain of each row, and the exponentials relative to it, `[n, n]`."""
    (filled,) = blocks.fill(x)

    def add(kernel: Array, members: Any) -> Any:
        at, (x_,) = members
        top, below = rows(x_, x, jnp.zeros_like(a), a, epsilon)
        return blocks.put(kernel, at, jnp.exp(below)), top

    return blocks.fold(add, blocks.space(after, filled, a), filled)[::-1]


def symmetric(f: Array, step: Array) -> Array:
    """Return the next potential of a sample with itself.

    The derivative of a step has its eigenvalues in [-1, 0], so that two thirds of it leave at most
    a third of an error near the solution.
    """
    return f + (step - f) * (2 / 3)


def steps_of_own(like: Array) -> int:
    """Return how many of these steps reach the last bit, and a few for the way there."""
    return math.ceil((int(jnp.finfo(like.dtype).nmant) + 8) / math.log2(3))


def across(way: Way, problem: Problem, g: Array) -> Array:
    """Return the potential `[n]` of `x` in `OT(x, y)`, improving on a potential `[m]` of `y`."""
    x, y, a, b, epsilon = problem
    keep, blocks = way.keeps(x, y), way.blocks(x, y)
    filled, a = blocks.fill(x, a)
    problem = problem._replace(x=filled, a=a)

    def outer(state: tuple[Array, Array]) -> tuple[Array, Array]:
        count, g = state
        move, kernel = _sweep(blocks, problem, g, keep)
        count = count + 1
        if kernel is not None:
            count, move = lax.while_loop(near, scaled(kernel), (count, move))
        return count, g + epsilon * move

    def near(state: tuple[Array, Array]) -> Array:
        count, move = state
        return (count < way.iterations) & (jnp.max(jnp.abs(move)) <= _DRIFT)

    def scaled(kernel: Array) -> Any:
        def step(state: tuple[Array, Array]) -> tuple[Array, Array]:
            count, move = state
            mass = a / samples.product(kernel, b * jnp.exp(move))
            return count + 1, jnp.where(b > 0, -jnp.log(samples.product(mass, kernel)), 0)

        return step

    start = numerics.split_like((jnp.zeros((), jnp.int32), g), *problem, g)
    _, g = lax.while_loop(lambda state: state[0] < way.iterations, outer, start)
    return soft_minimum(way, x, y, g, b, epsilon)


def _sweep(blocks: Blocks, problem: Problem, g: Array, keep: bool) -> tuple[Array, Array | None]:
    """Do a step in both directions, whatever the potentials are.

    Returns:
      By how many epsilons `g` rises, `[m]`, and the exponentials `[n, m]` if they are to be kept.
    """
    x, y, a, b, epsilon = problem

    def add(sums: Any, members: Any) -> Any:
        total, largest, kept = sums
        at, (x_, a_) = members
        _, below = rows(x_, y, g, b, epsilon)
        kernel = jnp.exp(below)
        mass = samples.product(kernel, b)
        here = jnp.where(a_ > 0, -jnp.log(mass), -jnp.inf)
        largest = jnp.maximum(largest, jnp.max(below + here[:, None], axis=0))
        kept = blocks.put(kept, at, kernel) if keep else None
        return (total + samples.product(a_ / mass, kernel), largest, kept), ()

    space = blocks.space(g[0], x, b) if keep else None
    start = (jnp.zeros_like(b), jnp.full_like(b, -jnp.inf), space)
    (total, largest, kernel), _ = blocks.fold(add, start, x, a)
    vanished = total < math.sqrt(float(jnp.finfo(a.dtype).tiny))
    move = -jnp.where(vanished, largest, jnp.log(jnp.where(vanished, 1, total)))
    return jnp.where(b > 0, move, 0), kernel


def rows(x: Array, y: Array, potential: Array, share: Array, epsilon: Array) -> tuple[Array, Array]:
    """Return the largest of `potential_j - cost_ij` of each row, `[n]`, and how far all are below.

    The latter, `[n, m]`, is in units of epsilon. What has no mass takes no part, and is 0 there.
    """
    present = (share != 0)[None]
    gain = potential[None] - samples.squared_distances(x, y)
    top = jnp.max(jnp.where(present, gain, -jnp.inf), axis=-1)
    top = lax.stop_gradient(top)
    # What is absent is selected away before the exponential, which could overflow.
    return top, jnp.where(present, gain - top[:, None], 0) / epsilon


def soft_minimum(
    way: Way, x: Array, y: Array, potential: Array, share: Array, epsilon: Array
) -> Array:
    """Return `-epsilon log(sum_j share_j exp((potential_j - cost_ij) / epsilon))`, `[n]`."""

    def one(x_: Array) -> Array:
        top, below = rows(x_, y, potential, share, epsilon)
        return -top - epsilon * jnp.log(samples.product(jnp.exp(below), share))

    return way.blocks(x, y).each(one, x)
