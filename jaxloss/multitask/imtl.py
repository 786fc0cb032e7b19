"""IMTL-G: the combination whose projections on all tasks' gradients are equal."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

from jaxloss import numerics
from jaxloss.multitask.aggregate import square, stateless
from jaxloss.multitask.tasks import Shared

Array = jax.Array


def imtl_g_weights(gramian: Array) -> Array:
    """Return the weights of IMTL-G, `G^+ d / sum(G^+ d)` with `d` the norms of the gradients.

    Args:
      gramian: `[tasks, tasks]`.

    Returns:
      `[tasks]`; they sum to 1, some may be negative. All 0 where all gradients are.

    Raises:
      ValueError: for a matrix that is not square.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.multitask.imtl_g_weights(jnp.array([[1.0, -1.0], [-1.0, 4.0]])))
      [0.667 0.333]

    Reference: Liu et al., Towards Impartial Multi-task Learning (2021), eq. 6 to 9.
    """
    gramian = square("imtl_g_weights", gramian)
    solved = jnp.linalg.pinv(gramian, hermitian=True) @ jnp.sqrt(jnp.diagonal(gramian))
    return numerics.divide(solved, jnp.sum(solved))


def imtl_g(*, shared: Shared = None, heads: str = "plain") -> optax.GradientTransformationExtraArgs:
    """Combine tasks' gradients so that all have the same projection on the sum: IMTL-G.

    Whatever factor a loss is multiplied by, its gradient pulls no further than the others'. The
    weights sum to 1; see `imtl_g_weights`. Arguments, and what comes back, as `aggregate` says.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> balance = jl.multitask.imtl_g()
      >>> gradients = {"a": jnp.array([-4.0, 1.0, 1.0]), "b": jnp.array([6.0, 1.0, 1.0])}
      >>> combined, _ = balance.update(gradients, balance.init(jnp.zeros(3)))
      >>> print(combined)
      [0.077 1.    1.   ]
    """
    return stateless("imtl_g", imtl_g_weights, shared=shared, heads=heads)
