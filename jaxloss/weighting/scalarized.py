"""Weightings from scalarisers: what a function of all losses makes of each.

A scalariser `phi` maps the losses to one number; descending it is descending the sum of the losses
with weights `grad(phi)(L)`. That is what these are: the weights are constants, the gradient is
exactly that of `phi`, and the losses that come back sum to `phi(L)`, what the weights leave open
spread evenly over them. The formulas, and their hyper-parameters, are those of
`jaxloss.weighting.scalarizers`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxloss import arguments
from jaxloss.protocol import Decision
from jaxloss.weighting import scalarizers
from jaxloss.weighting.tasks import weighting

Array = jax.Array


def from_scalarizer(
    phi: Callable[[Any], Array], *, name: str = "from_scalarizer"
) -> optax.GradientTransformationExtraArgs:
    """Weigh tasks so that the sum of their losses is `phi(losses)`, in value and in gradient.

    The weights are `grad(phi)(losses)`; what they sum to depends on `phi`.

    Args:
      phi: from a tree like the losses to a scalar, differentiable.
      name: by which messages call it.

    Returns:
      A transformation with `WeightingState`.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> product = jl.weighting.from_scalarizer(lambda losses: losses["a"] * losses["b"])
      >>> losses = {"a": jnp.array(2.0), "b": jnp.array(5.0)}
      >>> weighted, state = product.update(losses, product.init(losses))
      >>> print({task: float(weight) for task, weight in state.weights.items()})
      {'a': 5.0, 'b': 2.0}
      >>> print(sum(weighted.values()))
      10.0
    """

    def step(losses: Array, memory: Any, structure: Any) -> Decision:
        of_vector = lambda vector: phi(jax.tree.unflatten(structure, list(vector)))
        value, weights = jax.value_and_grad(of_vector)(losses)
        return Decision(weights, memory, (value - jnp.sum(weights * losses)) / len(losses))

    return weighting(name, step, structure=True)


def geometric_mean() -> optax.GradientTransformationExtraArgs:
    """Geometric mean of the losses: weights `G / (K L)`, with `G` the mean.

    No task's share of the gradient depends on the unit of a loss, and no hyper-parameter is needed.
    The weights sum to at least 1. Losses must be positive. Transformation, formula and reference:
    `from_scalarizer`, `scalarizers.geometric_mean`.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> weighting = jl.weighting.geometric_mean()
      >>> losses = [jnp.array(1.0), jnp.array(2.0), jnp.array(4.0)]
      >>> _, state = weighting.update(losses, weighting.init(losses))
      >>> print(jnp.stack(state.weights))
      [0.667 0.333 0.167]
    """
    return from_scalarizer(scalarizers.geometric_mean, name="geometric_mean")


def scale_invariant() -> optax.GradientTransformationExtraArgs:
    """Sum of the logarithms of the losses: weights `1 / L`.

    Each gradient is that of the logarithm, which no unit changes: a task pulls by the share of its
    loss that a step could remove. Losses must be positive; as one nears 0 its weight grows without
    bound. The weights sum to nothing in particular. See `from_scalarizer`, `scalarizers.log_sum`.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> weighting = jl.weighting.scale_invariant()
      >>> losses = [jnp.array(1.0), jnp.array(4.0)]
      >>> _, state = weighting.update(losses, weighting.init(losses))
      >>> print(jnp.stack(state.weights))
      [1. 0.25]
    """
    return from_scalarizer(scalarizers.log_sum, name="scale_invariant")


def tchebycheff(
    *, weights: Any = None, reference: Any = 0.0
) -> optax.GradientTransformationExtraArgs:
    """Descend the worst task alone: its own weight, 0 for all others.

    Progress zigzags where tasks take turns; `smooth_tchebycheff` does not. The weights sum to that
    of the worst. Arguments: `scalarizers.tchebycheff`.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> weighting = jl.weighting.tchebycheff(weights={"a": 1.0, "b": 0.1})
      >>> losses = {"a": jnp.array(2.0), "b": jnp.array(10.0)}
      >>> weighted, _ = weighting.update(losses, weighting.init(losses))
      >>> print(sum(weighted.values()))
      2.0
    """
    _check("tchebycheff", "weights", weights, at_least=0.0)
    _check("tchebycheff", "reference", reference)
    return _partial(scalarizers.tchebycheff, weights=weights, reference=reference)


def smooth_tchebycheff(
    smoothing: float = 1.0, *, weights: Any = None, reference: Any = 0.0, nadir: Any = None
) -> optax.GradientTransformationExtraArgs:
    """Descend the worst tasks most: weights `w softmax(w (L - z) / m)`.

    Reaches points of concave fronts, where a weighted sum jumps between their ends. The weights sum
    to a mean of `w`, 1 / K by default. Arguments: `scalarizers.smooth_tchebycheff`.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> weighting = jl.weighting.smooth_tchebycheff()
      >>> losses = [jnp.array(1.0), jnp.array(2.0), jnp.array(4.0)]
      >>> _, state = weighting.update(losses, weighting.init(losses))
      >>> print(jnp.stack(state.weights))
      [0.065 0.091 0.177]
    """
    function = "smooth_tchebycheff"
    _check(function, "smoothing", smoothing, above=0.0)
    _check(function, "weights", weights, at_least=0.0)
    _check(function, "reference", reference)
    _check(function, "nadir", nadir)
    hypers = {"weights": weights, "reference": reference, "nadir": nadir}
    return _partial(scalarizers.smooth_tchebycheff, smoothing=smoothing, **hypers)


def pbi(
    penalty: float = 5.0, *, weights: Any = 1.0, reference: Any = 0.0
) -> optax.GradientTransformationExtraArgs:
    """Descend along a preferred proportion of the losses, and punish leaving it.

    Weights may be negative: with a large penalty, a task that is better than its share is made
    worse. They sum to nothing in particular. Arguments: `scalarizers.pbi`.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> weighting = jl.weighting.pbi(0.5, weights=[1.0, 0.0])
      >>> losses = [jnp.array(3.0), jnp.array(4.0)]
      >>> _, state = weighting.update(losses, weighting.init(losses))
      >>> print(jnp.stack(state.weights))
      [1. 0.5]
    """
    _check("pbi", "penalty", penalty, at_least=0.0)
    _check("pbi", "weights", weights, at_least=0.0)
    _check("pbi", "reference", reference)
    return _partial(scalarizers.pbi, penalty=penalty, weights=weights, reference=reference)


def tilted(tilt: float) -> optax.GradientTransformationExtraArgs:
    """Tilt the mean of the losses: weights `softmax(t L)`, which sum to 1.

    At `t = 0` each is 1 / K. A positive tilt is for fairness among tasks, a negative one lets go of
    those that cannot be learned. Formula and reference: `scalarizers.tilted`.

    Args:
      tilt: `t`, any number, in units of one over the loss.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> weighting = jl.weighting.tilted(-1.0)
      >>> losses = [jnp.array(1.0), jnp.array(2.0), jnp.array(4.0)]
      >>> _, state = weighting.update(losses, weighting.init(losses))
      >>> print(jnp.stack(state.weights))
      [0.705 0.26 0.035]
    """
    _check("tilted", "tilt", tilt)
    return _partial(scalarizers.tilted, tilt=tilt)


def _partial(
    scalarizer: Callable[..., Array], **hypers: Any
) -> optax.GradientTransformationExtraArgs:
    return from_scalarizer(functools.partial(scalarizer, **hypers), name=scalarizer.__name__)


def _check(function: str, name: str, value: Any, **bounds: float) -> None:
    """Refuse impossible numbers before there are losses."""
    for number in jax.tree.leaves(value):
        arguments.hyper(function, name, number, jnp.zeros(()), **bounds)
