"""Who is easy and who is hard in a batch: the places of its losses in order of size."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec

from jaxloss import numerics, reduction

Array = jax.Array


class Places(NamedTuple):
    """The order of the examples of a batch.

    Attributes:
      place: of the shape of the losses; 0 for the smallest valid one, in their dtype. Of equal
        ones the first is the smaller; NaN comes after infinity.
      valid: the number of valid examples.
    """

    place: Array
    valid: Array


def places(sizes: Array, mask: Array, axis_name: reduction.AxisName = None) -> Places:
    """Return the places of the valid `sizes`, over all shards of a batch split over `axis_name`.

    Shards stand in the order of their index, and masked examples have the last places.
    """
    everyone, present = (_gathered(x, axis_name) for x in (sizes, mask))
    place = numerics.places(~present, everyone)
    if axis_name is not None:
        start = lax.axis_index(axis_name) * sizes.size
        place = lax.dynamic_slice_in_dim(place, start, sizes.size)
    valid = reduction.sum_across(jnp.sum(mask.astype(sizes.dtype)), axis_name)
    place = place.astype(sizes.dtype).reshape(sizes.shape)
    return Places(place + jnp.zeros_like(sizes), valid)  # split as the sizes are


def _gathered(array: Array, axis_name: reduction.AxisName) -> Array:
    """Return the entries of all shards, `[N]`."""
    if axis_name is not None:
        return lax.all_gather(array.reshape(-1), axis_name, tiled=True)
    # Of an array that is split over a mesh of explicit axes, nothing can be sorted.
    sharding = jax.typeof(array).sharding
    if any(part is not None for part in sharding.spec):
        array = jax.sharding.reshard(array, NamedSharding(sharding.mesh, PartitionSpec()))
    return array.reshape(-1)
