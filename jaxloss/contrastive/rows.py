"""What is computed of each member of a set beside all others, for a few members at a time.

What `n` members have to do with `m` others is an array `[..., n, m]`, and a loss makes several of
them. Here it exists for some of the rows only. What happens within is computed again for the
gradient, and not kept: where similarities take three matrix products, a fourth is made, in a
fraction of the memory, and at less time than the large arrays take.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

Array = jax.Array
# (carry, output) = step(carry, some of the rows)
Step = Callable[[Any, Any], tuple[Any, Any]]

# Pairs that are compared at a time, and so many that are not worth dividing.
_PAIRS = {"cpu": (2**19, 2**20), "tpu": (2**22, 2**24), "gpu": (2**25, 2**26)}
# Rows that make a matrix product worth its start.
_LEAST = 128


def by_rows(compute: Callable[[Any], Any], chunk: int, rows: Any, axis: int) -> Any:
    """Return what is computed of the rows, a tree of arrays that have them at `axis`.

    Args:
      compute: from some of the rows to a tree of arrays that have these rows at `axis`, too.
      chunk: how many rows are taken at a time, at the most.
      rows: a tree of arrays.
      axis: not negative.
    """
    return through(lambda carry, some: (carry, compute(some)), None, chunk, rows, axis)[1]


def through(step: Step, start: Any, chunk: int, rows: Any, axis: int) -> tuple[Any, Any]:
    """Go through the rows; return what is carried in the end, and what is said of each row."""
    count = jax.tree.leaves(rows)[0].shape[axis]
    least = -(-count // max(chunk, 1))
    if least <= 1:
        return step(start, rows)
    # Without rows to fill the last chunk up, if the rows can be divided.
    chunks = next((k for k in range(least, 2 * least) if count % k == 0), least)
    chunk = -(-count // chunks)

    def split(x: Array) -> Array:
        missing = chunks * chunk - count
        x = jnp.pad(x, [(0, missing if i == axis else 0) for i in range(x.ndim)])
        x = x.reshape(*x.shape[:axis], chunks, chunk, *x.shape[axis + 1 :])
        return jnp.moveaxis(x, axis, 0)

    def joined(x: Array) -> Array:
        x = jnp.moveaxis(x, 0, axis)
        x = x.reshape(*x.shape[:axis], chunk * chunks, *x.shape[axis + 2 :])
        return lax.slice_in_dim(x, 0, count, axis=axis)

    end, said = lax.scan(jax.checkpoint(step), start, jax.tree.map(split, rows))
    return end, jax.tree.map(joined, said)


def few(pairs: int, count: int) -> int:
    """Return how many rows are taken at a time, of so many rows and pairs.

    As many as stay in a cache, or keep a larger device busy. Of not many more than that all are
    taken at once, which spares the product that is made again.
    """
    some, most = _PAIRS.get(jax.default_backend(), _PAIRS["gpu"])
    return count if pairs <= most else max(some * count // pairs, _LEAST)
