"""GradDrop: each element of the gradient takes one sign only, drawn by how much speaks for it."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxloss import arguments, numerics, protocol
from jaxloss.multitask.aggregate import combination
from jaxloss.multitask.tasks import Rows, Shared, Tasks, rows
from jaxloss.protocol import Decision

Array = jax.Array


def graddrop(
    *, leak: Any = 0.0, seed: Any = 0, shared: Shared = None, heads: str = "plain"
) -> optax.GradientTransformationExtraArgs:
    """Sum tasks' gradients, of each element only those of one sign, chosen at random: GradDrop.

    An element keeps its positive parts with probability `(1 + sum(g) / sum(|g|)) / 2`, else its
    negative ones. Noise where tasks disagree, the plain sum where they do not.

    Looks at elements: it needs the gradients at hand, not `mode="gramian"`. Some implementations
    apply it to the gradients of a representation instead of the parameters'; for that, call
    `value_and_gradients` on the function from the features to the losses.

    Args:
      leak: how much of what is dropped passes, in [0, 1]; one number, or `[tasks]`.
      seed: of the random signs.
      shared: as of `aggregate`, and so is `heads`, and what comes back.
      heads: what the gradient of a head is.

    Returns:
      A transformation whose memory is the data of a random key.

    Raises:
      ValueError: for a `leak` out of range, and for gradients that are not held.

    Example: the first element is either -4 or 6, with probability 0.6 for the latter.
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> drop = jl.multitask.graddrop(seed=1)
      >>> gradients = {"a": jnp.array([-4.0, 1.0, 1.0]), "b": jnp.array([6.0, 1.0, 1.0])}
      >>> print(drop.update(gradients, drop.init(jnp.zeros(3)))[0])
      [6. 2. 2.]

    Reference: Chen et al., Just Pick a Sign (2020), algorithm 1.
    """
    shape = jnp.zeros(np.shape(leak))
    leak = arguments.hyper("graddrop", "leak", leak, shape, at_least=0.0, at_most=1.0)

    def decide(tasks: Tasks, memory: Array, **extra: Any) -> tuple[Tasks, Decision]:
        del extra
        given = rows("graddrop", tasks)
        each = jnp.ones(tasks.tasks)
        arguments.broadcastable("graddrop", "leak", leak.shape, each.shape)
        passing = jnp.broadcast_to(leak, each.shape)
        key, memory = protocol.next_key(memory)
        leaves, structure = jax.tree.flatten(given.stacked)
        keys = list(jax.random.split(key, len(leaves)))
        kept = [_kept(leaf, passing, k) for leaf, k in zip(leaves, keys, strict=True)]
        return Rows(jax.tree.unflatten(structure, kept)), Decision(each, memory)

    start = lambda params: protocol.key_data(seed)
    return combination("graddrop", decide, start, shared=shared, heads=heads)


def _kept(leaf: Array, leak: Array, key: Array) -> Array:
    wide = leaf.astype(arguments.working_dtype(leaf))
    purity = 0.5 + 0.5 * numerics.divide(jnp.sum(wide, axis=0), jnp.sum(jnp.abs(wide), axis=0))
    positive = purity > jax.random.uniform(key, purity.shape, wide.dtype)
    dropped = (wide > 0) != positive[None]
    leak = arguments.expand_right(leak, leaf.ndim).astype(wide.dtype)
    return (wide * jnp.where(dropped, leak, 1)).astype(leaf.dtype)
