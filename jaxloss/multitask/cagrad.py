"""CAGrad: near the mean gradient, the direction that serves the worst task best."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from jaxloss import arguments, numerics
from jaxloss.multitask import solvers
from jaxloss.multitask.aggregate import square, stateless
from jaxloss.multitask.tasks import Shared

Array = jax.Array


def cagrad_weights(gramian: Array, *, c: Any = 0.4, rescale: bool = False) -> Array:
    """Return the weights of CAGrad, of the `d` that maximises `min_i g_i . d` near the mean.

    With `g` the mean gradient, `d` is at most `c |g|` away from it: `d = g + c |g| g_w / |g_w|`,
    where `g_w`, a convex combination by `w`, minimises `g_w . g + c |g| |g_w|`. Where that is 0, at
    Pareto-stationary points, `d` is the nearest to the mean that conflicts with none, by
    `dualproj_weights`; other implementations take the mean there, or 0.

    Args:
      gramian: `[tasks, tasks]`.
      c: at least 0; 0 is the mean, and from 1 on no gradient is in conflict with `d`.
      rescale: whether to divide by `1 + c^2`, as the authors' code does in its benchmarks.

    Returns:
      `[tasks]`, each at least `1 / tasks` (before rescaling).

    Raises:
      ValueError: for a matrix that is not square, or a `c` below 0.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> gramian = jnp.array([[18.0, -22.0], [-22.0, 38.0]])
      >>> print(jl.multitask.cagrad_weights(gramian, c=0.5))
      [0.704 0.5  ]

    Reference: Liu et al., Conflict-Averse Gradient Descent (2021), algorithm 1.
    """
    gramian = square("cagrad_weights", gramian)
    c = arguments.hyper("cagrad_weights", "c", c, gramian[0, 0], at_least=0.0)
    unit = numerics.divide(gramian, jnp.max(jnp.diagonal(gramian)))
    mean = jnp.full(len(unit), 1 / len(unit), unit.dtype)
    radius = c * _length(unit, mean)
    worst = _worst(unit, mean, radius)
    length = _length(unit, worst)
    weights = mean + worst * numerics.divide(radius, length)
    # No direction is better for the worst than the nearest that is bad for none.
    parts = worst @ numerics.sqrt(jnp.diagonal(unit))
    stationary = length**2 <= 4 * len(unit) * float(jnp.finfo(unit.dtype).eps) * parts**2
    weights = jnp.where(stationary & (radius > 0), solvers.dual_cone(unit, mean), weights)
    return weights / (1 + c**2) if rescale else weights


class _Bracket(NamedTuple):
    """Two lengths with the right one between them, and the weights that belong to them."""

    low: Array
    high: Array
    at_low: Array
    at_high: Array


def _worst(gramian: Array, mean: Array, radius: Array) -> Array:
    """Return the convex combination that minimises `g_w . g + radius |g_w|`.

    Its length `t` known, it is the one for which `g_w + t / radius * g` is shortest. That one's
    length grows more slowly than `t`, and its weights go along straight lines, with a bend where
    one comes to 0: on a line `t` solves a quadratic equation, and halving finds the line.
    """
    eps = float(jnp.finfo(gramian.dtype).eps)

    def weigh(length: Array) -> Array:
        shift = jnp.outer(jnp.ones_like(mean), mean) * numerics.divide(length, radius)
        shift = shift + jnp.eye(len(mean), dtype=mean.dtype)
        return solvers.min_norm(shift @ gramian @ shift.T)

    def narrower(carry: Any) -> Any:
        bracket, _, _, count = carry
        line, half = _on_line(gramian, bracket), (bracket.low + bracket.high) / 2
        tried = jnp.where(count == 0, least, jnp.where(count % 2 == 0, half, line))
        weights = weigh(tried)
        miss = _length(gramian, weights) - tried
        longer = bracket._replace(low=tried, at_low=weights)
        shorter = bracket._replace(high=tried, at_high=weights)
        bracket = jax.tree.map(lambda a, b: jnp.where(miss > 0, a, b), longer, shorter)
        return bracket, weights, jnp.abs(miss), count + 1

    def wide(carry: Any) -> Array:
        bracket, _, miss, count = carry
        apart = jnp.minimum(miss, bracket.high - bracket.low) > eps * bracket.high
        return apart & (count < 2 * jnp.finfo(gramian.dtype).nmant)

    ends = jnp.zeros_like(radius), jnp.ones_like(radius)
    start = _Bracket(*ends, *map(weigh, ends))
    # Gradients that can cancel have a solution at 0, too, but not the one that is looked for where
    # lengths near it are longer than `t`. This near they are more than rounding.
    least = 8 * (len(mean) * eps) ** 0.5 * (start.at_low @ numerics.sqrt(jnp.diagonal(gramian)))
    return lax.while_loop(wide, narrower, (start, start.at_high, ends[1], 0))[1]


def _on_line(gramian: Array, bracket: _Bracket) -> Array:
    """Return the `t` at which weights on the line between the ends of a bracket have length `t`."""
    low, high, start, end = bracket
    step, width = end - start, high - low
    a = step @ gramian @ step - width**2
    b = step @ gramian @ start - width * low
    c = start @ gramian @ start - low**2
    # `c` is not below 0, the sum of all not above: the root in the interval, stably for either `b`.
    root = numerics.sqrt(jnp.maximum(b * b - a * c, 0))
    share = jnp.where(b > 0, numerics.divide(-b - root, a), numerics.divide(c, root - b))
    return low + width * jnp.clip(share, 0, 1)


def _length(gramian: Array, weights: Array) -> Array:
    return numerics.sqrt(jnp.maximum(weights @ gramian @ weights, 0))


def cagrad(
    *, c: Any = 0.4, rescale: bool = False, shared: Shared = None, heads: str = "plain"
) -> optax.GradientTransformationExtraArgs:
    """Combine tasks' gradients to the direction near their mean that is best for the worst: CAGrad.

    It still goes to a minimum of the mean loss, for `c` below 1. Its scale is that of a mean; where
    others sum, chain `optax.scale(tasks)`. `c` and `rescale` as of `cagrad_weights`, the other
    arguments, and what comes back, as `aggregate` says.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> averse = jl.multitask.cagrad(c=0.5)
      >>> gradients = {"a": jnp.array([-4.0, 1.0, 1.0]), "b": jnp.array([6.0, 1.0, 1.0])}
      >>> combined, _ = averse.update(gradients, averse.init(jnp.zeros(3)))
      >>> print(combined.tolist())
      [0.184, 1.204, 1.204]
    """
    c = arguments.hyper("cagrad", "c", c, jnp.zeros(()), at_least=0.0)
    weights = lambda gramian: cagrad_weights(gramian, c=c, rescale=rescale)
    return stateless("cagrad", weights, shared=shared, heads=heads)
