"""Pacing: a difficulty known beforehand, and a schedule of the share of the data to learn from."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxloss import arguments, reduction
from jaxloss.curriculum.examples import curriculum
from jaxloss.protocol import Decision

Array = jax.Array


def paced(
    share: float, *, axis_name: reduction.AxisName = None
) -> optax.GradientTransformationExtraArgs:
    """Learn from the easiest share of the data, by a difficulty that is known beforehand.

    `update` needs `difficulty=`, the rank of each example within the whole data set as a number in
    [0, 1] (`difficulty_ranks`); carry it with the data. An example is admitted when its difficulty
    is at most `share`, so that no batch needs to know the others. The `k` admitted of `n` valid
    examples have weight `n / k`, the others 0: the weights sum to `n`, or to 0 where none of a
    batch is admitted, and `jaxloss.reduce_mean()` gives the mean over the admitted.

    Make `share` a schedule, `pacing(...)`, with `optax.inject_hyperparams`. On clean data, with
    time enough, a careful study found little gain in any order; it found some under a short budget
    and with wrong labels. To begin with the hard ones, hand in `1 - difficulty`.

    Args:
      share: of the whole data set, in [0, 1]. A number, or a traced scalar.
      axis_name: mapped axes over which the batch is split; `n` and `k` are those of all shards.

    Returns:
      A transformation with `CurriculumState`; losses keep their shapes.

    Raises:
      TypeError: in `update`, without `difficulty=`.
      ValueError: for a share out of range, or a difficulty whose shape is neither the losses' nor
        that of their leading axes.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> objective = jl.curriculum.paced(0.5)
      >>> losses, difficulty = jnp.array([1.0, 2.0, 3.0]), jnp.array([0.4, 0.9, 0.1])
      >>> state = objective.init(losses)
      >>> weighted, state = objective.update(losses, state, difficulty=difficulty)
      >>> print(weighted, jl.mean(weighted))  # (1 + 3) / 2
      [1.5 0.  4.5] 2.0

    Reference: Bengio et al., Curriculum Learning (2009), section 3; Wu et al., When Do Curricula
    Work? (2021), algorithm 1.
    """
    part = arguments.hyper("paced", "share", share, jnp.zeros(()), at_least=0.0, at_most=1.0)

    def step(losses: Array, mask: Array, memory: Any, difficulty: Any) -> Decision:
        limit = part.astype(losses.dtype)
        admitted = mask & (_difficulty(difficulty, losses) <= limit)
        counts = (jnp.sum(x.astype(losses.dtype)) for x in (mask, admitted))
        n, k = (reduction.sum_across(x, axis_name) for x in counts)
        weights = jnp.where(admitted, n / jnp.maximum(k, 1), 0)
        return Decision(jnp.where(jnp.isnan(limit), jnp.nan, weights), memory)

    return curriculum("paced", step, needs=("difficulty",), axis_name=axis_name)


def _difficulty(difficulty: Any, losses: Array) -> Array:
    array = arguments.real("paced", "difficulty", difficulty)
    if array.shape != losses.shape[: array.ndim]:
        expected = f"of shape {losses.shape}, or of its leading axes"
        raise arguments.reject("paced", "difficulty", expected, array.shape)
    array = arguments.expand_right(array.astype(losses.dtype), losses.ndim)
    return jnp.broadcast_to(array, losses.shape)


_FORMS: dict[str, Callable[[Array], Array]] = {
    "linear": lambda x: x,
    "quadratic": lambda x: x**2,
    "root": jnp.sqrt,
    "exponential": lambda x: jnp.expm1(10 * x) / math.expm1(10),
    "logarithmic": lambda x: 1 + 0.1 * jnp.log(x + math.exp(-10)),
    "step": jnp.floor,
}


def pacing(form: str, steps: float, start: float) -> optax.Schedule:
    """Return a schedule of the share of the data, from `start` to all of it after `steps`.

    `min(start + (1 - start) h(x), 1)` with `x = min(step / steps, 1)`, and `h(x)` by form:

    * `"linear"`: `x`;
    * `"quadratic"`: `x^2`;
    * `"root"`: `sqrt(x)`;
    * `"exponential"`: `(exp(10 x) - 1) / (exp(10) - 1)`;
    * `"logarithmic"`: `1 + log(x + exp(-10)) / 10`;
    * `"step"`: 0 before `steps`, then 1.

    The quicker a form rises, the closer it is to no curriculum: logarithmic, root, linear,
    quadratic, exponential, step. The authors' code of the last goes on beyond all data.

    Args:
      form: one of the six above.
      steps: after how many steps everything is admitted, > 0.
      start: the share at step 0, in [0, 1].

    Returns:
      A function from the step to the share, for `paced`.

    Raises:
      ValueError: for a form unknown or a setting out of range.

    Example:
      >>> import jaxloss as jl
      >>> share = jl.curriculum.pacing("quadratic", steps=100, start=0.2)
      >>> print(f"{share(0):.2f} {share(50):.2f} {share(100):.2f} {share(500):.2f}")
      0.20 0.40 1.00 1.00

    Reference: Wu et al., When Do Curricula Work? (2021), section 3 and its table of pacing
    functions.
    """
    if form not in _FORMS:
        raise arguments.reject("pacing", "form", f"one of {', '.join(_FORMS)}", repr(form))
    one = jnp.zeros(())
    whole = arguments.hyper("pacing", "steps", steps, one, above=0.0)
    first = arguments.hyper("pacing", "start", start, one, at_least=0.0, at_most=1.0)

    def schedule(step: Any) -> Array:
        x = jnp.minimum(jnp.asarray(step, first.dtype) / whole, 1)
        return jnp.minimum(first + (1 - first) * _FORMS[form](x), 1)

    return schedule


def fixed_exponential_pacing(start: float, growth: float, every: float) -> optax.Schedule:
    """Return a schedule of the share of the data: `min(start growth^floor(step / every), 1)`.

    Args:
      start: the share at step 0, in (0, 1]; the paper's is 0.04.
      growth: by what the share is multiplied each time, >= 1; the paper's is 1.9.
      every: after how many steps, > 0; the paper's is 100.

    Returns:
      A function from the step to the share, for `paced`.

    Raises:
      ValueError: for a setting out of range.

    Example:
      >>> import jaxloss as jl
      >>> share = jl.curriculum.fixed_exponential_pacing(0.1, 2.0, 100)
      >>> print(f"{share(99):.2f} {share(100):.2f} {share(399):.2f} {share(400):.2f}")
      0.10 0.20 0.80 1.00

    Reference: Hacohen and Weinshall, On the Power of Curriculum Learning (2019), section 2.
    """
    name, one = "fixed_exponential_pacing", jnp.zeros(())
    first = arguments.hyper(name, "start", start, one, above=0.0, at_most=1.0)
    factor = arguments.hyper(name, "growth", growth, one, at_least=1.0)
    period = arguments.hyper(name, "every", every, one, above=0.0)

    def schedule(step: Any) -> Array:
        raised = jnp.floor(jnp.asarray(step, first.dtype) / period)
        return jnp.minimum(first * factor**raised, 1)

    return schedule
