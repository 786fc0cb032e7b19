"""Two distributions in logarithms: how the divergences between them are prepared and summed.

`p` are the targets, `q` the predictions, `u = log(q / p)`. What is absent, masked or of
log-probability minus infinity, has a logarithm of `FLOOR` here: its probability is 0, and
differences of logarithms stay finite.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

from jaxloss import arguments, numerics

Array = jax.Array

FLOOR = -1e30


def log_pair(
    function: str, axis: arguments.Axis, where: Any, log_predictions: Any, log_targets: Any
) -> tuple[Array, Array, Array]:
    """Return `log q`, `log p` and the mask, `[..., event]`, for log-probabilities of both."""
    (log_q, log_p), mask = arguments.events(
        function, axis, where, log_predictions=log_predictions, log_targets=log_targets
    )
    return present(log_q, mask), present(log_p, mask), mask


def present(logs: Array, mask: Array) -> Array:
    """Return the logarithms with `FLOOR`, and no gradient, where nothing is there."""
    return jnp.where(mask & ~(logs < FLOOR), logs, FLOOR)


def excess(p: Array, q: Array, u: Array) -> Array:
    """Return `p log(p / q) - p + q` with `u = log(q / p)`: >= 0 term by term, also by rounding."""
    small = jnp.abs(u) < 0.5
    near = p * numerics.exp_remainder_near(jnp.where(small, u, 0))
    return jnp.where(small, near, q - p - p * u)


def mass_difference(log_p: Array, log_q: Array, rounding: float | None) -> tuple[Array, Array]:
    """Return `sum(p) - sum(q)`, and whether it is no more than the rounding of the inputs.

    Args:
      log_p: `[..., event]`.
      log_q: `[..., event]`.
      rounding: machine epsilon of the inputs as they came; None to let no difference pass.
    """
    p, q = jnp.exp(log_p), jnp.exp(log_q)
    difference = jnp.sum(p, axis=-1) - jnp.sum(q, axis=-1)
    if rounding is None:
        return difference, jnp.zeros_like(difference, bool)
    # Half a unit in the last place of each logarithm or probability, and a few of the sums.
    inputs = jnp.sum(p * (1 + jnp.abs(log_p)) + q * (1 + jnp.abs(log_q)), axis=-1)
    epsilon = float(jnp.finfo(p.dtype).eps)
    slack = 0.5 * max(rounding, epsilon) * inputs + 8 * epsilon * jnp.sum(p + q, axis=-1)
    return difference, jnp.abs(difference) <= slack


def rounding_of_mass(mass: Array, entries: int, rounding: float) -> Array:
    """Return how far two masses can be apart that differ by the rounding of the inputs only.

    Args:
      mass: `[...]`, of one of them.
      entries: how many entries it is the sum of.
      rounding: machine epsilon of the inputs as they came.
    """
    # The sum of `p |log p|`, by which roundings of logarithms count, is largest for equal entries.
    most = 1 + math.log(entries) + jnp.abs(numerics.log(mass))
    epsilon = float(jnp.finfo(mass.dtype).eps)
    return (max(rounding, epsilon) * most + 16 * epsilon) * mass


def rounding_of(*data: Any) -> float:
    """Return the machine epsilon of the coarsest of some arrays (0 where none is floating)."""
    types = [x.dtype for x in data if hasattr(x, "dtype")]
    floating = [t for t in types if jnp.issubdtype(t, jnp.floating)]
    return max((float(jnp.finfo(t).eps) for t in floating), default=0.0)
