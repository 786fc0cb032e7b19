"""Optimal transport with an entropic penalty, in any dimension.

Samples, masks and weights follow the conventions of `jaxloss.divergence.samples`.

The value is made of potentials, numbers for each member that the iteration finds. At the solution
the value does not change with them (they maximise it), so its gradient is that of the formula with
the potentials held fixed, and needs no memory of the iteration. The second derivative needs the
potentials' own derivative, which solves a linear fixed-point equation at the solution.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxloss import arguments
from jaxloss.divergence import samples
from jaxloss.divergence.kernel import lifted
from jaxloss.divergence.samples import Options

Array = jax.Array


class Problem(NamedTuple):
    """Two weighted samples as transport sees them.

    Attributes:
      across: `[..., n, m]`, costs from one sample to the other.
      within_x: `[..., n, n]`, costs within the first.
      within_y: `[..., m, m]`, costs within the second.
      a: `[..., n]`, masses of the first.
      b: `[..., m]`, masses of the second.
      epsilon: `[...]`.
    """

    across: Array
    within_x: Array
    within_y: Array
    a: Array
    b: Array
    epsilon: Array


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
    second derivatives solve for the potentials' own change.

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
    problem = Problem(
        across=samples.squared_distances(x.points, y.points),
        within_x=samples.squared_distances(x.points, x.points),
        within_y=samples.squared_distances(y.points, y.points),
        a=x.share,
        b=y.share,
        epsilon=arguments.hyper(function, "epsilon", epsilon, x.share[..., 0], above=0.0),
    )
    return arguments.masked(lifted(_divergence(iterations, problem)), mask)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _divergence(iterations: int, problem: Problem) -> Array:
    return _value(problem, _potentials(iterations, problem))


@_divergence.defjvp
def _divergence_jvp(iterations: int, primals: Any, tangents: Any) -> tuple[Array, Array]:
    # The potentials are constants here, yet not to whoever differentiates this once more.
    potentials = _potentials(iterations, *primals)
    return jax.jvp(lambda problem: _value(problem, potentials), primals, tangents)


def _value(problem: Problem, potentials: tuple[Array, Array, Array]) -> Array:
    """Return the divergence, which is largest at the right potentials of each of the problems."""
    f, g, f_across = potentials
    across, within_x, within_y, a, b, epsilon = problem
    g_across = soft_minimum(f_across, jnp.swapaxes(across, -1, -2), a, epsilon, exact=True)
    own_x = 0.5 * (f + soft_minimum(f, within_x, a, epsilon, exact=True))
    own_y = 0.5 * (g + soft_minimum(g, within_y, b, epsilon, exact=True))
    return jnp.sum(a * (f_across - own_x), axis=-1) + jnp.sum(b * (g_across - own_y), axis=-1)


def _potentials(iterations: int, problem: Problem) -> tuple[Array, Array, Array]:
    """Return the potentials of `OT(x, x)`, of `OT(y, y)`, and that of `x` in `OT(x, y)`."""
    across, within_x, within_y, a, b, epsilon = problem
    # Near the solution a symmetric step at least halves the error: one for each bit, and a few.
    enough = jnp.finfo(a.dtype).nmant + 8
    f = _settled(_symmetric_step, enough, (within_x, a, epsilon))
    g = _settled(_symmetric_step, enough, (within_y, b, epsilon))
    own_x, own_y = soft_minimum(f, within_x, a, epsilon), soft_minimum(g, within_y, b, epsilon)
    excess = _settled(_step, iterations, (across, f, g, own_x, own_y, a, b, epsilon))
    return f, g, f + excess


def _symmetric_step(f: Array, problem: Any) -> Array:
    return 0.5 * (f + soft_minimum(f, *problem))


def _step(excess: Array, problem: Any) -> Array:
    """Improve the potentials of `OT(x, y)`, counted from those of `OT(x, x)` and `OT(y, y)`.

    Counted so, because for equal samples nothing is left to round.
    """
    across, f, g, own_x, own_y, a, b, epsilon = problem
    back = soft_minimum(f + excess, jnp.swapaxes(across, -1, -2), a, epsilon) - own_y
    return soft_minimum(g + back, across, b, epsilon) - own_x


def soft_minimum(
    potential: Array, cost: Array, share: Array, epsilon: Array, exact: bool = False
) -> Array:
    """Return `-epsilon log(sum_j share_j exp((potential_j - cost_ij) / epsilon))`, `[..., i]`.

    `exact` also where that is far smaller than epsilon, at the price of a second exponential; the
    steps do not need it, because small errors of the potentials hardly change the value.
    """
    epsilon, share = epsilon[..., None], share[..., None, :]
    present = share != 0
    gain = potential[..., None, :] - cost
    top = lax.stop_gradient(jnp.max(jnp.where(present, gain, -jnp.inf), axis=-1, keepdims=True))
    # What is absent is selected away before the exponential, which could overflow.
    below = jnp.where(present, gain - top, 0) / epsilon[..., None]
    mass = jnp.sum(share * jnp.exp(below), axis=-1)
    log_mass = jnp.log(mass)
    if exact:
        less = jnp.sum(share * jnp.expm1(below), axis=-1)
        near = less > -0.5
        log_mass = jnp.where(near, jnp.log1p(jnp.where(near, less, 0)), log_mass)
    return -top[..., 0] - epsilon * log_mass


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _settled(step: Callable[[Array, Any], Array], iterations: int, problem: Any) -> Array:
    """Return what `iterations` steps make of 0; the problem begins with costs `[..., n, m]`."""
    start = jnp.zeros_like(problem[0][..., 0])
    return lax.fori_loop(0, iterations, lambda _, state: step(state, problem), start)


@_settled.defjvp
def _settled_jvp(
    step: Callable[[Array, Any], Array], iterations: int, primals: Any, tangents: Any
) -> tuple[Array, Array]:
    # Where a step changes nothing, the change of the solution solves the linearised step; found by
    # iterating that, at the pace of the iteration itself.
    state = _settled(step, iterations, *primals)
    _, linear = jax.linearize(step, state, *primals)
    repeat = lambda move, _: (linear(move, *tangents), None)
    move, _ = lax.scan(repeat, jnp.zeros_like(state), None, length=iterations)
    return state, move
