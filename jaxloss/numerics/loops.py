"""What loops start from."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp


def split_like(start: Any, *data: jax.Array) -> Any:
    """Return what a loop starts from, as something that differs between shards where data do.

    Under `shard_map` the type of what is carried says so, from the first. A choice between equals
    that depends on the data says it for any number of axes; the compiler drops it.
    """
    # Sums, since there may be no data at all.
    first = (jnp.sum(x[(slice(0, 1),) * x.ndim]) for x in data)
    here = functools.reduce(jnp.add, first)
    return jax.tree.map(lambda x: jnp.where(here > 0, x, x), start)
