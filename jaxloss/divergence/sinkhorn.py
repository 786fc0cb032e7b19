"""Optimal transport with an entropic penalty, in any dimension.

Samples, masks and weights follow the conventions of `jaxloss.divergence.samples`.

The value is made of potentials, numbers for each member that the iteration finds. At the solution
the value does not change with them (they maximise it), so its gradient is that of the formula with
the potentials held fixed, and needs no memory of the iteration. The second derivative needs the
potentials' own derivative, which solves a linear fixed-point equation at the solution.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxloss import arguments, numerics
from jaxloss.divergence import samples, scaling
from jaxloss.divergence.kernel import lifted
from jaxloss.divergence.samples import Options
from jaxloss.divergence.scaling import Problem, Way

Array = jax.Array


def sinkhorn_divergence(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    epsilon: ArrayLike,
    iterations: int = 100,
    where: ArrayLike | None = None,
    where_targets: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    weights_targets: ArrayLike | None = None,
) -> Array:
    """Debiased entropic transport cost, `OT(x, y) - OT(x, x) / 2 - OT(y, y) / 2`.

    `OT(x, y)` is the least of `sum P |x - y|^2 + epsilon KL(P | a b^T)` over the plans `P` that
    carry the masses `a` of one sample to those `b` of the other. The cost is the squared distance,
    not half of it: for that, halve the result at twice the epsilon. As `epsilon` shrinks to 0 this
    tends to the squared Wasserstein-2 distance; as it grows, to the squared distance of the means.

    Every iteration raises the estimate of `OT(x, y)` towards its limit, and it starts from the
    solutions of `OT(x, x)` and `OT(y, y)`, which already pay for the part subtracted: so the
    divergence is non-negative after any number of iterations. What rounding takes below 0 is set
    to 0, and the gradient left as it is. The iterations needed grow like the largest cost divided
    by `epsilon`; with fewer the result is too small. The gradient takes the potentials as
    constants, which is exact at the solution: memory does not grow with the iterations, and
    second derivatives solve for the potentials' own change. It is at most that of one number for
    each pair of members, and of large samples (`scaling`) that of a few rows of them.

    Args:
      predictions: `[..., n, d]`, real.
      targets: `[..., m, d]`, real.
      epsilon: strength of the penalty, in units of the squared distance, > 0; one for all, or
        `[...]`. A hundredth of the squared extent of the data is a start.
      iterations: how many; static.
      where: which predictions count, `[..., n]`, or which pairs of samples, `[...]`.
      where_targets: which targets count, `[..., m]` or `[...]`.
      weights: the predictions' masses, >= 0; None for equal ones.
      weights_targets: the targets' masses, >= 0; None for equal ones.

    Returns:
      `[...]`, non-negative, 0 for equal samples to the rounding of the costs.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> x, y = jnp.array([[0.0], [1.0]]), jnp.array([[3.0], [4.0]])
      >>> print(round(float(jl.sinkhorn_divergence(x, y, epsilon=0.5)), 4))
      9.0

    Reference: Feydy et al., Interpolating between Optimal Transport and MMD using Sinkhorn
    Divergences (2019), eq. 3, 9 and 16 to 18.
    """
    function = "sinkhorn_divergence"
    options = Options(where, where_targets, weights, weights_targets)
    x, y, mask = samples.pair(function, options, 2, predictions=predictions, targets=targets)
    if isinstance(iterations, bool) or not isinstance(iterations, int) or iterations < 1:
        raise arguments.reject(function, "iterations", "an integer of at least 1", repr(iterations))
    epsilon = arguments.hyper(function, "epsilon", epsilon, x.share[..., 0], above=0.0)
    # One for each pair of samples, split over devices as these are.
    epsilon = epsilon * jnp.ones_like(x.share[..., 0])
    problem = Problem(x.points, y.points, x.share, y.share, epsilon)
    solve = functools.partial(_divergence, Way(iterations, math.prod(mask.shape)))
    for _ in mask.shape:
        solve = jax.vmap(solve)
    return arguments.masked(lifted(solve(problem)), mask)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _divergence(way: Way, problem: Problem) -> Array:
    return _value(way, problem, _potentials(way, problem))


@_divergence.defjvp
def _divergence_jvp(way: Way, primals: Any, tangents: Any) -> tuple[Array, Array]:
    # The potentials are constants here, yet not to whoever differentiates this once more.
    potentials = _potentials(way, *primals)
    return jax.jvp(lambda problem: _value(way, problem, potentials), primals, tangents)


def _value(way: Way, problem: Problem, potentials: tuple[Array, Array, Array]) -> Array:
    """Return the divergence, which is largest at the right potentials of each of the problems."""
    f, g, f_across = potentials
    x, y, a, b, epsilon = problem
    across = _answer(way, Question(y, b, x, a, f_across, epsilon)) + jnp.vdot(a, f_across)
    own_x = _answer(way, Question(x, a, x, a, f, epsilon)) + jnp.vdot(a, f)
    own_y = _answer(way, Question(y, b, y, b, g, epsilon)) + jnp.vdot(b, g)
    return across - 0.5 * (own_x + own_y)


class Question(NamedTuple):
    """What potentials `[m]` of one sample say of another, on the average.

    Attributes:
      x: `[n, d]`, whom they are asked of.
      a: `[n]`, their masses.
      y: `[m, d]`.
      b: `[m]`, their masses.
      potential: `[m]`.
      epsilon: `[]`.
    """

    x: Array
    a: Array
    y: Array
    b: Array
    potential: Array
    epsilon: Array


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _answer(way: Way, question: Question) -> Array:
    """Return `-epsilon sum_i a_i log(sum_j b_j exp((potential_j - cost_ij) / epsilon))`."""
    return _slopes(way, question)[0]


@_answer.defjvp
def _answer_jvp(way: Way, primals: Any, tangents: Any) -> tuple[Array, Array]:
    # The gradient is formed in the forward pass, while the pairs are at hand.
    value, slopes = _slopes(way, *primals)
    along = jax.tree.map(jnp.vdot, slopes, tangents[0])
    return value, functools.reduce(jnp.add, along)


def _slopes(way: Way, question: Question) -> tuple[Array, Question]:
    """Return the answer, and its derivatives as a `Question`."""
    x, a, y, b, potential, epsilon = question
    # About a common centre, where products round least.
    centre = lax.stop_gradient(jnp.mean(y, axis=0, keepdims=True))
    beside = lambda points: jnp.pad(points - centre, ((0, 0), (1, 0)), constant_values=1)
    known = b[:, None] * beside(y)

    def add(sums: tuple[Array, Array], members: Any) -> Any:
        seen, by_epsilon = sums
        _, (x_, a_) = members
        top, below = scaling.rows(x_, y, potential, b, epsilon)
        kernel = jnp.exp(below)
        sums_ = samples.product(kernel, known)
        mass, mean = sums_[:, 0], sums_[:, 1:] / sums_[:, :1]
        log_mass = _log(mass, samples.product(jnp.expm1(below), b))
        seen = seen + samples.product(kernel.T, (a_ / mass)[:, None] * beside(x_))
        below_mean = samples.product(kernel * below, b) / mass
        by_epsilon = by_epsilon + jnp.vdot(a_, below_mean - log_mass)
        said = -top - epsilon * log_mass, 2 * a_[:, None] * (x_ - centre - mean)
        return (seen, by_epsilon), said

    blocks, start = way.blocks(x, y), (jnp.zeros_like(known), jnp.zeros_like(epsilon))
    (seen, by_epsilon), said = blocks.fold(add, start, *blocks.fill(x, a))
    by_a, by_x = (s[: len(x)] for s in said)
    share, mean = seen[:, 0], seen[:, 1:]
    by_y = 2 * b[:, None] * (share[:, None] * (y - centre) - mean)
    slopes = Question(by_x, by_a, by_y, -epsilon * share, -b * share, by_epsilon)
    return jnp.vdot(a, by_a), slopes


def _log(mass: Array, less: Array) -> Array:
    """Return the logarithm of a mass of which 1 is known to be the sum with `-less`."""
    near = less > -0.5
    return jnp.where(near, jnp.log1p(jnp.where(near, less, 0)), jnp.log(mass))


def _potentials(way: Way, problem: Problem) -> tuple[Array, Array, Array]:
    """Return the potentials of `OT(x, x)`, of `OT(y, y)`, and that of `x` in `OT(x, y)`."""
    x, y, a, b, epsilon = problem
    f = _own(way, x, a, epsilon, lax.stop_gradient(x[0, 0]))
    g = _own(way, y, b, epsilon, lax.stop_gradient(f[0]))
    return f, g, _across(way, problem, lax.stop_gradient(g))


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _own(way: Way, x: Array, a: Array, epsilon: Array, after: Array) -> Array:
    return scaling.own(way, x, a, epsilon, after)


@_own.defjvp
def _own_jvp(way: Way, primals: Any, tangents: Any) -> tuple[Array, Array]:
    def step(f: Array, x: Array, a: Array, epsilon: Array) -> Array:
        return scaling.symmetric(f, scaling.soft_minimum(way, x, x, f, a, epsilon))

    f = _own(way, *primals)
    return f, _moved(step, scaling.steps_of_own(f), f, primals[:3], tangents[:3])


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _across(way: Way, problem: Problem, g: Array) -> Array:
    return scaling.across(way, problem, g)


@_across.defjvp
def _across_jvp(way: Way, primals: Any, tangents: Any) -> tuple[Array, Array]:
    def step(f: Array, problem: Problem) -> Array:
        x, y, a, b, epsilon = problem
        g = scaling.soft_minimum(way, y, x, f, a, epsilon)
        return scaling.soft_minimum(way, x, y, g, b, epsilon)

    f = _across(way, *primals)
    # Where the iteration began does not matter to where it ends.
    return f, _moved(step, way.iterations, f, primals[:1], tangents[:1])


def _moved(
    step: Callable[..., Array], iterations: int, solution: Array, primals: Any, tangents: Any
) -> Array:
    """Return the change of the solution of `state = step(state, *primals)`.

    It solves the linearised step, and is found by going on from there, at the pace of the iteration
    itself: as the derivative of a loop, through which all versions of JAX go back.
    """

    def onward(*primals: Any) -> Array:
        repeat = lambda state, _: (step(state, *primals), None)
        start = numerics.split_like(solution, *jax.tree.leaves(primals))
        return lax.scan(repeat, start, None, length=iterations)[0]

    return jax.jvp(onward, primals, tangents)[1]
