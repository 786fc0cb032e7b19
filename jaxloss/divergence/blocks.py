"""Sums over all pairs of two samples' members, for a few rows of pairs at a time.

What is formed for a block of rows fits a cache, and is formed again for the gradient instead of
being kept: memory grows like the samples, and not like their pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxloss import numerics

Array = jax.Array

# Pairs of a block: what a cache holds where there is one, else what keeps the machine busy.
_AREA = {"cpu": 2**17}
_AREA_ELSEWHERE = 2**24
# Rows of a block come in eights, see `samples.squared_distances`.
_ROWS = 8


class Blocks(NamedTuple):
    """Rows in blocks.

    Attributes:
      size: rows of a block.
    """

    size: int

    @classmethod
    def of(cls, sets: int, rows: int, columns: int) -> Blocks:
        """Choose blocks for `[sets, rows, columns]` pairs, of about the same size."""
        area = _AREA.get(jax.default_backend(), _AREA_ELSEWHERE)
        most = max(area // (max(sets, 1) * columns), 1)
        count = -(-rows // most)
        size = -(-rows // count)
        return cls(size if count == 1 else -(-size // _ROWS) * _ROWS)

    def fold(
        self, add: Callable[[Any, Any], tuple[Any, Any]], start: Any, *rows: Array
    ) -> tuple[Any, Any]:
        """Return `start` after `add(sums, (at, rows)) -> sums, said` of every block, and the said.

        The rows are `[n, ...]`, as many as fill the blocks; `at` is which block it is.
        """
        count = len(rows[0]) // self.size
        if count == 1:
            return add(start, (0, rows))
        split = lambda x: x.reshape(count, self.size, *x.shape[1:])
        parts = (jnp.arange(count), tuple(map(split, rows)))
        sums, said = lax.scan(jax.checkpoint(add), numerics.split_like(start, *rows), parts)
        return sums, jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), said)

    def each(self, compute: Callable[..., Any], *rows: Array) -> Any:
        """Return what is computed of every block of any number of rows, `[n, ...]`."""
        said = self.fold(lambda _, parts: ((), compute(*parts[1])), (), *self.fill(*rows))[1]
        return jax.tree.map(lambda x: x[: len(rows[0])], said)

    def fill(self, *rows: Array) -> list[Array]:
        """Return the rows with as many zeros after them as fill the last block."""
        missing = -len(rows[0]) % self.size
        return [jnp.pad(x, ((0, missing),) + ((0, 0),) * (x.ndim - 1)) for x in rows]

    def space(self, after: Array, x: Array, y: Array) -> Array:
        """Return an array `[n, m]` to put blocks into, once a number is known.

        Of that number and not of zeros, so that the compiler keeps no common copy of such arrays,
        and makes none while the one is in use from which the number came.
        """
        return jnp.broadcast_to(after, (len(x), len(y)))

    def put(self, space: Array, at: Any, block: Array) -> Array:
        """Return the array with a block in its place."""
        return lax.dynamic_update_slice_in_dim(space, block, at * self.size, axis=0)
