"""ConFIG: the direction with the same angle to all gradients, as long as their projections."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

from jaxloss import numerics
from jaxloss.multitask import solvers
from jaxloss.multitask.aggregate import square, stateless
from jaxloss.multitask.tasks import Shared

Array = jax.Array


def conflict_free_weights(gramian: Array) -> Array:
    """Return the weights of ConFIG.

    The direction is that of `a = C^+ 1 / n`, with `C` the cosines and `n` the norms: it has the
    same angle to all gradients, as in IMTL-G. Its length is the sum of their projections on it,
    `w = a sum(G a) / (a G a)`.

    Args:
      gramian: `[tasks, tasks]`.

    Returns:
      `[tasks]`; some may be negative. All 0 where all gradients are.

    Raises:
      ValueError: for a matrix that is not square.

    Example: orthogonal gradients of lengths 1 and 4.
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.multitask.conflict_free_weights(jnp.diag(jnp.array([1.0, 16.0]))))
      [2.5   0.625]

    Reference: Liu et al., ConFIG (2024), eq. 2 and 3.
    """
    cosine, norms = solvers.cosines(square("conflict_free_weights", gramian))
    solved = jnp.where(norms > 0, solvers.equal_projections(cosine), 0)
    size = jnp.max(norms)
    # In units of the longest gradient: `a n = solved`, so that `G a` is `n (C solved)`.
    projected = cosine @ solved
    length = numerics.divide(
        jnp.sum(numerics.divide(norms, size) * projected), jnp.sum(solved * projected)
    )
    return length * solved * numerics.divide(size, norms)


def conflict_free(
    *, shared: Shared = None, heads: str = "plain"
) -> optax.GradientTransformationExtraArgs:
    """Combine tasks' gradients to one with the same angle to all of them: ConFIG.

    As `imtl_g`, with the length of a sum: it grows with every gradient, and shrinks where they
    conflict. Arguments, and what comes back, as `aggregate` says.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> free = jl.multitask.conflict_free()
      >>> gradients = {"a": jnp.array([-4.0, 1.0, 1.0]), "b": jnp.array([6.0, 1.0, 1.0])}
      >>> combined, _ = free.update(gradients, free.init(jnp.zeros(3)))
      >>> print(combined.tolist())
      [0.159, 2.071, 2.071]
    """
    return stateless("conflict_free", conflict_free_weights, shared=shared, heads=heads)
