"""Exponentiated gradient: weights that grow with what they should look after.

Group DRO grows them with the losses of groups, `by_validation` with held-out losses of tasks.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxloss import arguments
from jaxloss.protocol import Decision
from jaxloss.weighting.tasks import weighting

Array = jax.Array


def group_dro(rate: float = 0.01) -> optax.GradientTransformationExtraArgs:
    """Group DRO: weights `q`, multiplied by `exp(rate L)` and normalised; they sum to 1.

    For the worst group rather than the average one: the leaves of the tree are the losses of
    groups of examples. It needs strong regularisation to help, for once every group is fitted
    there is no worst one.

    A batch may lack a group. Say so by the extra argument `present=`, a tree of booleans like the
    losses: an absent group keeps its weight, where a loss of 0 would make it fall, and the others
    share the rest. Its loss should be 0, as `jaxloss.mean` of nothing is.

    Args:
      rate: >= 0, in units of one over the loss.

    Returns:
      A transformation with `WeightingState`, whose memory are the logarithms of the weights.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> weighting = jl.weighting.group_dro(rate=1.0)
      >>> losses = [jnp.array(0.0), jnp.log(3.0)]
      >>> _, state = weighting.update(losses, weighting.init(losses))
      >>> print(jnp.stack(state.weights))
      [0.25 0.75]
      >>> _, state = weighting.update(losses, state, present=[jnp.array(False), jnp.array(True)])
      >>> print(jnp.stack(state.weights))
      [0.25 0.75]

    Reference: Sagawa et al., Distributionally Robust Neural Networks (2020), algorithm 1.
    """
    eta = arguments.hyper("group_dro", "rate", rate, jnp.zeros(()), at_least=0.0)

    def step(losses: Array, logs: Array, present: Array | None) -> Decision:
        logs = _grown(logs, eta * losses, present)
        return Decision(jnp.exp(logs), logs)

    return weighting("group_dro", step, _uniform, takes=("present",))


def by_validation(rate: float = 0.1) -> optax.GradientTransformationExtraArgs:
    """Weigh tasks by held-out losses: multiplied by `exp(rate * metric)` and normalised to K.

    What validates worse weighs more: the game for the worst task, played on data that training has
    not seen. Metrics are losses, the lower the better, and comparable among tasks (divide by what
    is acceptable); they enter each update as the extra argument `metrics=`, a tree like the losses.
    Validate seldom, and let the weights follow then only: `every_k(by_validation(), k)`. Data that
    choose weights are no test data any more.

    Args:
      rate: >= 0, in units of one over the metric.

    Returns:
      A transformation with `WeightingState`, whose memory are the logarithms of the weights less
      that of K.

    Raises:
      TypeError: in `update`, without `metrics=`.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> weighting = jl.weighting.by_validation(rate=1.0)
      >>> losses = {"a": jnp.array(1.0), "b": jnp.array(1.0)}
      >>> metrics = {"a": jnp.log(3.0), "b": jnp.array(0.0)}
      >>> _, state = weighting.update(losses, weighting.init(losses), metrics=metrics)
      >>> print({task: round(float(weight), 3) for task, weight in state.weights.items()})
      {'a': 1.5, 'b': 0.5}

    Reference: Kivinen and Warmuth, Exponentiated Gradient versus Gradient Descent (1997).
    """
    eta = arguments.hyper("by_validation", "rate", rate, jnp.zeros(()), at_least=0.0)

    def step(losses: Array, logs: Array, metrics: Array) -> Decision:
        logs = _grown(logs, eta * metrics, None)
        return Decision(len(losses) * jnp.exp(logs), logs)

    return weighting("by_validation", step, _uniform, ("metrics",))


def _uniform(like: Array) -> Array:
    return jax.nn.log_softmax(like)


def _grown(logs: Array, gains: Array, present: Any) -> Array:
    """Return the logarithms of weights, of which the present ones grew and kept their sum."""
    mask = jnp.ones_like(logs) if present is None else present
    here = lambda x: jax.nn.logsumexp(jnp.where(mask > 0, x, -jnp.inf))
    grown = logs + gains
    total = 0.0 if present is None else here(logs)
    return jnp.where(mask > 0, grown - here(grown) + total, logs)
