"""IMTL-G: the combination whose projections on all tasks' gradients are equal."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

from jaxloss import numerics
from jaxloss.multitask import solvers
from jaxloss.multitask.aggregate import square, stateless
from jaxloss.multitask.tasks import Shared

Array = jax.Array


def imtl_g_weights(gramian: Array) -> Array:
    """Return the weights of IMTL-G, `a / sum(a)`, `a = G^-1 d` with `d` the norms of the gradients.

    Solved for gradients of unit length, `C (d a) = 1` with `C` their cosines, and a ridge of some
    roundoffs on `C`: where gradients depend on each other, as they do on the Pareto front, the
    weights go to those that make the combination vanish. A pseudo-inverse of `G` would take the
    other solutions, and walk along the front.

    Args:
      gramian: `[tasks, tasks]`.

    Returns:
      `[tasks]`; they sum to 1, some may be negative. 0 for a task without gradient.

    Raises:
      ValueError: for a matrix that is not square.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.multitask.imtl_g_weights(jnp.array([[1.0, -1.0], [-1.0, 4.0]])))
      [0.667 0.333]

    Reference: Liu et al., Towards Impartial Multi-task Learning (2021), IMTL-G.
    """
    gramian = square("imtl_g_weights", gramian)
    cosine, norms = solvers.cosines(gramian)
    inverse = numerics.divide(jnp.min(jnp.where(norms > 0, norms, jnp.inf)), norms)
    weights = inverse * solvers.equal_projections(cosine)
    return numerics.divide(weights, jnp.sum(weights))


def imtl_g(*, shared: Shared = None, heads: str = "plain") -> optax.GradientTransformationExtraArgs:
    """Combine tasks' gradients so that all have the same projection on the sum: IMTL-G.

    Whatever factor a loss is multiplied by, its gradient pulls no further than the others'. The
    weights sum to 1; see `imtl_g_weights`. With more than two tasks those that give equal, positive
    projections can have a negative sum: scaled to 1 they then raise all losses, which
    `conflict_free`, of the same direction, never does. Arguments, and what comes back, as
    `aggregate` says.

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
