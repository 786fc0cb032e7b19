"""Every loss of the catalogue under chex: shapes, dtypes, and the variants of a call."""

import functools
from collections.abc import Iterator
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxloss import catalog

ROWS = 8


def _cases() -> Iterator[dict[str, Any]]:
    for name in catalog.names():
        yield {"testcase_name": name, "name": name}


@functools.cache
def _case(name: str) -> tuple[Any, list[np.ndarray], np.ndarray]:
    """Return a loss with its required settings, its arguments, and its values row by row."""
    entry = catalog.get(name)
    rng = np.random.default_rng(1)
    required = {k: jnp.asarray(v, jnp.float32) for k, v in entry.required.items()}
    loss = functools.partial(entry.loss, **required)
    args = [
        kind.generic(rng, ROWS).astype(np.int32 if kind.discrete else np.float32)
        for kind in entry.arguments.values()
    ]
    one = jax.jit(loss)
    return loss, args, np.stack([one(*(a[i] for a in args)) for i in range(ROWS)])


class VariantsTest(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True, with_device=True, without_device=True)
    @parameterized.named_parameters(*_cases())
    def test_value_shape_and_dtype(self, name: str) -> None:
        loss, args, expected = _case(name)
        value = self.variant(loss)(*args)
        chex.assert_shape(value, (ROWS,))
        chex.assert_type(value, jnp.float32)
        chex.assert_tree_all_finite(value)
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)

    @chex.variants(with_pmap=True)
    @parameterized.named_parameters(*_cases())
    def test_pmap(self, name: str) -> None:
        loss, args, expected = _case(name)
        value = self.variant(loss)(*args)
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)

    @parameterized.named_parameters(*_cases())
    def test_vmap_equals_a_loop(self, name: str) -> None:
        loss, args, expected = _case(name)
        value = jax.jit(jax.vmap(loss))(*args)
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)

    @parameterized.named_parameters(*_cases())
    def test_split_over_devices(self, name: str) -> None:
        if jax.device_count() < 2:
            self.skipTest("needs two devices")
        loss, args, expected = _case(name)
        for kind in (AxisType.Auto, AxisType.Explicit):
            mesh = jax.make_mesh((2,), ("batch",), axis_types=(kind,))
            placed = [jax.device_put(a, NamedSharding(mesh, P("batch"))) for a in args]
            value = jax.jit(loss)(*placed)
            np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)
        mesh = jax.make_mesh((2,), ("batch",), axis_types=(AxisType.Auto,))
        split = jax.shard_map(loss, mesh=mesh, in_specs=P("batch"), out_specs=P("batch"))
        np.testing.assert_allclose(jax.jit(split)(*args), expected, rtol=1e-5, atol=1e-6)
