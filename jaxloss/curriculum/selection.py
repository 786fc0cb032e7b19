"""Selection by rank: the hardest, the easiest, or the tail of the losses of each batch.

Of `n` valid examples `k` are kept, with weights `n / k`: `jaxloss.reduce_mean()` then gives the
mean over the kept ones. Which are kept is decided by rank, so that a fraction may be scheduled
without recompiling; of equal losses the one that stands first is taken.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxloss import arguments, reduction
from jaxloss.curriculum.examples import curriculum
from jaxloss.curriculum.places import Places, places
from jaxloss.protocol import Decision

Array = jax.Array


def share(function: str, value: Any) -> Array:
    """Convert a fraction of the examples, in (0, 1]."""
    return arguments.hyper(function, "fraction", value, jnp.zeros(()), above=0.0, at_most=1.0)


def first(order: Places, fraction: Array) -> Array:
    """Return `n / k` for the first `k = round(fraction n)`, at least 1, and 0 for the others."""
    kept = jnp.maximum(jnp.round(fraction.astype(order.valid.dtype) * order.valid), 1)
    chosen = jnp.where(order.place < kept, order.valid / kept, 0)
    return jnp.where(jnp.isnan(kept), jnp.nan, chosen)


def ohem(
    fraction: float, *, axis_name: reduction.AxisName = None
) -> optax.GradientTransformationExtraArgs:
    """Online hard example mining: learn from the largest losses of the batch only.

    Of `n` valid examples the `k = round(fraction n)` (at least one) of largest loss have weight
    `n / k`, the others 0; the weights sum to `n`.

    For clean labels where most examples are easy and alike, such as detection with its many
    background boxes. Against wrong labels it is the worst choice: these have the largest losses.

    Args:
      fraction: the share of the valid examples to keep, in (0, 1]. A number, or a traced scalar.
      axis_name: mapped axes over which the batch is split; the largest are those of all shards.

    Returns:
      A transformation with `CurriculumState`; losses keep their shapes.

    Raises:
      ValueError: for a fraction out of range.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> objective = jl.curriculum.ohem(0.5)
      >>> losses = jnp.array([1.0, 4.0, 2.0, 3.0])
      >>> weighted, state = objective.update(losses, objective.init(losses))
      >>> print(weighted, jl.mean(weighted))  # (4 + 3) / 2
      [0. 8. 0. 6.] 3.5

    Reference: Shrivastava et al., Training Region-Based Object Detectors with Online Hard Example
    Mining (2016), section 4.
    """
    part = share("ohem", fraction)

    def step(losses: Array, mask: Array, memory: Any) -> Decision:
        return Decision(first(places(-losses, mask, axis_name), part), memory)

    return curriculum("ohem", step, axis_name=axis_name)


def small_loss(
    fraction: float, *, axis_name: reduction.AxisName = None
) -> optax.GradientTransformationExtraArgs:
    """Small-loss selection: learn from the smallest losses of the batch only.

    Of `n` valid examples the `k = round(fraction n)` (at least one) of smallest loss have weight
    `n / k`, the others 0; the weights sum to `n`.

    For labels of which a share is wrong: a network learns the right ones first, so its large losses
    are mostly wrong labels. Let `fraction` fall from 1 to the share of right labels within the
    first epochs (`keep_schedule`). `co_teaching` does the same with two networks.

    Args:
      fraction: the share of the valid examples to keep, in (0, 1]. A number, or a traced scalar.
      axis_name: mapped axes over which the batch is split; the smallest are those of all shards.

    Returns:
      A transformation with `CurriculumState`; losses keep their shapes.

    Raises:
      ValueError: for a fraction out of range.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> objective = jl.curriculum.small_loss(0.5)
      >>> losses = jnp.array([1.0, 4.0, 2.0, 3.0])
      >>> weighted, state = objective.update(losses, objective.init(losses))
      >>> print(weighted, jl.mean(weighted))  # (1 + 2) / 2
      [2. 0. 4. 0.] 1.5

    Reference: Han et al., Co-teaching (2018), section 2; Shen and Sanghavi, Learning with Bad
    Training Data via Iterative Trimmed Loss Minimization (2019), algorithm 1.
    """
    part = share("small_loss", fraction)

    def step(losses: Array, mask: Array, memory: Any) -> Decision:
        return Decision(first(places(losses, mask, axis_name), part), memory)

    return curriculum("small_loss", step, axis_name=axis_name)


def cvar(
    fraction: float, *, axis_name: reduction.AxisName = None
) -> optax.GradientTransformationExtraArgs:
    """Conditional value at risk: the mean of the largest losses, an example on the edge in part.

    With `j` the number of losses that are larger, the weight is `clip(fraction n - j, 0, 1) /
    fraction`; the weights sum to `n`, and the mean over the valid examples is the CVaR of the batch
    exactly: convex in the losses and continuous in `fraction`, as `ohem` is not. It is the mean at
    1, and the largest loss at `1 / n` and below.

    For the worst cases that a mean hides: rare groups without labels, tails of a risk. The CVaR of
    a batch is on average below that of the data set, the more so the smaller `fraction n`.

    Args:
      fraction: the share of the valid examples in the tail, in (0, 1]: 1 minus the level at which
        finance quotes CVaR. A number, or a traced scalar.
      axis_name: mapped axes over which the batch is split; the tail is that of all shards.

    Returns:
      A transformation with `CurriculumState`; losses keep their shapes.

    Raises:
      ValueError: for a fraction out of range.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> objective = jl.curriculum.cvar(0.5)
      >>> losses = jnp.array([1.0, 3.0, 2.0])
      >>> weighted, state = objective.update(losses, objective.init(losses))
      >>> print(weighted, f"{jl.mean(weighted):.4f}")  # (3 + 2 / 2) / 1.5
      [0. 6. 2.] 2.6667

    Reference: Rockafellar and Uryasev, Conditional Value-at-Risk for General Loss Distributions
    (2002), proposition 8.
    """
    part = share("cvar", fraction)

    def step(losses: Array, mask: Array, memory: Any) -> Decision:
        order = places(-losses, mask, axis_name)
        f = part.astype(losses.dtype)
        return Decision(jnp.clip(f * order.valid - order.place, 0, 1) / f, memory)

    return curriculum("cvar", step, axis_name=axis_name)
