"""One number of many losses, as plain differentiable functions.

Each takes `losses`, a tree of numbers or a vector, and returns a scalar in at least float32; its
hyper-parameters for each loss (`weights`, `reference` ...) are one number, or like the losses.
`jaxloss.weighting.from_scalarizer` makes a weighting of tasks of any of them.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxloss import arguments, curriculum, numerics

Array = jax.Array


def geometric_mean(losses: Any) -> Array:
    """Return `prod(L) ** (1 / K)`, computed from logarithms.

    Multiplying one loss by a factor multiplies the gradient of all by the same: their balance does
    not depend on units. Losses must be positive; if one is exactly 0, so are value and gradient.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxloss.weighting import scalarizers
      >>> print(scalarizers.geometric_mean(jnp.array([1.0, 2.0, 4.0])))
      2.0

    Reference: Chennupati et al., MultiNet++ (2019).
    """
    return jnp.exp(jnp.mean(numerics.log(_vector("geometric_mean", losses))))


def log_sum(losses: Any) -> Array:
    """Return `sum(log(L))`, whose gradient no unit of a loss changes.

    Losses must be positive. One that is exactly 0 has gradient 0, and the value is minus infinity.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxloss.weighting import scalarizers
      >>> print(scalarizers.log_sum(jnp.array([1.0, 2.0, 4.0])))  # log(8)
      2.079
    """
    return jnp.sum(numerics.log(_vector("log_sum", losses)))


def tchebycheff(losses: Any, *, weights: Any = None, reference: Any = 0.0) -> Array:
    """Return `max(w (L - z))`: the worst task alone counts.

    Minimised for all `w > 0` it reaches every point of a Pareto front, concave parts included,
    which no weighted sum does. Where several are worst they share the gradient equally.

    Args:
      losses: the losses.
      weights: `w >= 0`; None is 1 / K for each.
      reference: `z`, what each loss could reach alone.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxloss.weighting import scalarizers
      >>> print(scalarizers.tchebycheff({"a": jnp.array(3.0), "b": jnp.array(1.0)}, weights=1.0))
      3.0

    Reference: Bowman, On the Relationship of the Tchebycheff Norm and the Efficient Frontier
    (1976).
    """
    return jnp.max(_gaps("tchebycheff", losses, weights, reference, None))


def smooth_tchebycheff(
    losses: Any,
    *,
    smoothing: Any = 1.0,
    weights: Any = None,
    reference: Any = 0.0,
    nadir: Any = None,
) -> Array:
    """Return `m log(sum(exp(w (L - z) / m)))`: the worst task counts most.

    Between `tchebycheff`, at `m` to 0, and the weighted sum, at large `m`. With `nadir` the gaps
    `L - z` are divided by `nadir - z`, so that losses of different scales compare.

    The form published for multi-task learning is this one of the logarithms of the losses, with
    the logarithm of the nadir as reference and weights 1, times K:
    `on_log(smooth_tchebycheff(m, weights=1.0, reference=log_nadir))` balances as it does.

    Args:
      losses: the losses.
      smoothing: `m > 0`, in units of the weighted gaps.
      weights: `w >= 0`; None is 1 / K for each.
      reference: `z`, what each loss could reach alone.
      nadir: the worst value of each on the front, above the reference; None: gaps stay as they are.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxloss.weighting import scalarizers
      >>> losses = {"a": jnp.array(0.0), "b": jnp.array(0.0)}
      >>> print(scalarizers.smooth_tchebycheff(losses))  # log(2)
      0.693

    Reference: Lin et al., Smooth Tchebycheff Scalarization (2024).
    """
    gaps = _gaps("smooth_tchebycheff", losses, weights, reference, nadir)
    m = arguments.hyper("smooth_tchebycheff", "smoothing", smoothing, gaps[0], above=0.0)
    return m * numerics.log_sum_exp(gaps / m)


def pbi(losses: Any, *, penalty: Any = 5.0, weights: Any = 1.0, reference: Any = 0.0) -> Array:
    """Return `d1 + penalty d2`: how far along a preferred direction, and how far off it.

    `d1` is the length of the projection of `L - z` on the direction `weights`, `d2` the distance
    from it: penalty boundary intersection. The larger the penalty, the more the losses are held in
    the proportion of the weights. On the direction itself `d2` has gradient 0.

    Args:
      losses: the losses.
      penalty: >= 0.
      weights: the direction, >= 0: the proportion in which the losses should stand.
      reference: `z`, below the losses.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxloss.weighting import scalarizers
      >>> losses = jnp.array([3.0, 4.0])  # 3 along the first axis, 4 off it
      >>> print(scalarizers.pbi(losses, penalty=0.5, weights=jnp.array([1.0, 0.0])))
      5.0

    Reference: Zhang and Li, MOEA/D (2007), section III.
    """
    vector = _vector("pbi", losses)
    direction = _like("pbi", "weights", weights, losses, at_least=0.0)
    direction = numerics.divide(direction, numerics.norm(direction))
    gap = vector - _like("pbi", "reference", reference, losses)
    along = jnp.sum(gap * direction)
    penalty = arguments.hyper("pbi", "penalty", penalty, along, at_least=0.0)
    return along + penalty * numerics.norm(gap - along * direction)


def tilted(losses: Any, *, tilt: Any = 1.0) -> Array:
    """Return `log(mean(exp(t L))) / t`, and the mean at `t = 0`, smooth through it.

    A positive tilt counts the worst tasks most, the maximum at infinity; a negative one the best.
    It is `jaxloss.curriculum.tilted` of all the numbers.

    Args:
      losses: the losses.
      tilt: `t`, any number, in units of one over the loss.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxloss.weighting import scalarizers
      >>> print(scalarizers.tilted({"a": jnp.array(0.0), "b": jnp.log(3.0)}))  # log((1 + 3) / 2)
      0.693

    Reference: Li et al., Tilted Empirical Risk Minimization (2021), eq. 2.
    """
    return curriculum.tilted(_vector("tilted", losses), tilt)


def _gaps(function: str, losses: Any, weights: Any, reference: Any, nadir: Any) -> Array:
    """Return `w (L - z)`, or `w (L - z) / (nadir - z)`, as `[K]`."""
    vector = _vector(function, losses)
    weights = 1 / len(vector) if weights is None else weights
    reference = _like(function, "reference", reference, losses)
    gap = vector - reference
    if nadir is not None:
        span = _like(function, "nadir", nadir, losses) - reference
        gap = gap / jnp.where(span > 0, span, jnp.nan)
    return _like(function, "weights", weights, losses, at_least=0.0) * gap


def _vector(function: str, losses: Any) -> Array:
    """Return all numbers of a tree of losses as one vector."""
    leaves = [arguments.floating(function, "losses", leaf) for leaf in jax.tree.leaves(losses)]
    if not any(leaf.size for leaf in leaves):
        raise arguments.reject(function, "losses", "at least one number", "none")
    dtype = arguments.working_dtype(*leaves)
    return jnp.concatenate([leaf.astype(dtype).reshape(-1) for leaf in leaves])


def _like(function: str, name: str, value: Any, losses: Any, **bounds: float) -> Array:
    """Return a hyper-parameter for each loss, one number for all or like the losses, as `[K]`."""
    if jax.tree_util.treedef_is_leaf(jax.tree.structure(value)):
        one = value
        value = jax.tree.map(lambda _: one, losses)
    expected: Any = jax.tree.structure(losses)
    found: Any = jax.tree.structure(value)
    if expected != found:
        raise arguments.reject(function, name, f"one number or like the losses, {expected}", found)

    def one_leaf(entry: Any, loss: Any) -> Array:
        like = jnp.asarray(loss)
        like = like.astype(arguments.working_dtype(like))
        entry = arguments.hyper(function, name, entry, like, **bounds)
        return jnp.broadcast_to(entry, like.shape)

    return _vector(function, jax.tree.map(one_leaf, value, losses))
