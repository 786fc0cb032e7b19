"""Aligned-MTL: the principal components of the tasks' gradients, all made equally strong."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxloss import arguments, numerics
from jaxloss.multitask.aggregate import mean, non_negative, preferred, square, stateless
from jaxloss.multitask.tasks import Shared

Array = jax.Array
SCALES = ("min", "median", "rmse")


def aligned_mtl_weights(gramian: Array, preference: Any = None, *, scale: str = "min") -> Array:
    """Return the weights of Aligned-MTL, `s G^(-1/2) preference`.

    The gradients are replaced by the nearest orthogonal ones, all of length `s`.

    Args:
      gramian: `[tasks, tasks]`.
      preference: `[tasks]`, at least 0; None for `1 / tasks` each. The authors' code has 1 each.
      scale: `s` is the root of the smallest eigenvalue of the Gramian (`"min"`), of their median
        (the lower one) or of their mean (`"rmse"`). Eigenvalues that are 0 but for rounding are
        left out.

    Returns:
      `[tasks]`; the preference itself where the gradients are orthogonal and of one length.

    Raises:
      ValueError: for a matrix that is not square, a preference of another shape or below 0, or a
        scale unknown.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.multitask.aligned_mtl_weights(jnp.diag(jnp.array([1.0, 16.0]))))
      [0.5   0.125]

    Reference: Senushkin et al., Independent Component Alignment (2023), algorithm 1.
    """
    gramian = square("aligned_mtl_weights", gramian)
    _known("aligned_mtl_weights", scale)
    wanted = preferred("aligned_mtl_weights", preference, mean(gramian))
    unit = numerics.divide(gramian, jnp.max(jnp.diagonal(gramian)))
    values, vectors = jnp.linalg.eigh(unit)
    # In descending order, so that those that count come first.
    values, vectors = values[::-1], vectors[:, ::-1]
    counts = values > len(values) * float(jnp.finfo(values.dtype).eps) * values[0]
    rank = jnp.sum(counts)
    chosen = {
        "min": values[rank - 1],
        "median": values[rank // 2],
        "rmse": numerics.divide(jnp.sum(jnp.where(counts, values, 0)), rank.astype(values.dtype)),
    }[scale]
    inverse = jnp.where(counts, numerics.sqrt(numerics.divide(chosen, jnp.abs(values))), 0)
    weights = vectors @ (inverse * (vectors.T @ wanted))
    return jnp.where(rank == 0, wanted, weights)


def aligned_mtl(
    *, preference: Any = None, scale: str = "min", shared: Shared = None, heads: str = "plain"
) -> optax.GradientTransformationExtraArgs:
    """Combine tasks' gradients after they are made orthogonal and equally long: Aligned-MTL.

    `preference` and `scale` as of `aligned_mtl_weights`, the other arguments, and what comes back,
    as `aggregate` says. The scale is that of a mean of the weakest component.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> align = jl.multitask.aligned_mtl()
      >>> gradients = {"a": jnp.array([-4.0, 1.0, 1.0]), "b": jnp.array([6.0, 1.0, 1.0])}
      >>> combined, _ = align.update(gradients, align.init(jnp.zeros(3)))
      >>> print(combined.tolist())
      [0.213, 0.967, 0.967]
    """
    _known("aligned_mtl", scale)
    preference = non_negative("aligned_mtl", "preference", preference)
    weights = lambda gramian: aligned_mtl_weights(gramian, preference, scale=scale)
    return stateless("aligned_mtl", weights, shared=shared, heads=heads)


def _known(function: str, scale: str) -> None:
    if scale not in SCALES:
        raise arguments.reject(function, "scale", f"one of {', '.join(SCALES)}", repr(scale))
