"""Every loss of the catalogue under chex: shapes, dtypes, and the variants of a call.

Those whose turn it is (see conftest; JAXLOSS_LEVEL=standard takes all). `vmap`, `shard_map` and
meshes are checked, with their gradients, by `jaxloss.verify` (T2, L1).
"""

import functools
from collections.abc import Iterator
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized
from conftest import thorough

from jaxloss import catalog

ROWS = 8


def _cases() -> Iterator[dict[str, Any]]:
    for name in filter(thorough, catalog.names()):
        yield {"testcase_name": name, "name": name}


@functools.cache
def _case(name: str) -> tuple[Any, list[np.ndarray], np.ndarray]:
    """Return a loss with its required settings, its arguments, and its values row by row."""
    entry = catalog.get(name)
    rng = np.random.default_rng(1)
    required = {k: _converted(v) for k, v in entry.required.items()}
    loss = functools.partial(entry.specimen or entry.loss, **required)
    args = [
        kind.generic(rng, ROWS).astype(np.int32 if kind.discrete else np.float32)
        for kind in entry.arguments.values()
    ]
    # Row by row, but never without the axis of examples: some losses reduce all axes but the first.
    one = jax.jit(loss)
    rows = [one(*(a[i : i + 1] for a in args)) for i in range(ROWS)]
    return loss, args, np.concatenate(rows)


def _converted(value: Any) -> Any:
    """Convert a hyper-parameter that is a number; choices, keys and functions stay."""
    return jnp.asarray(value, jnp.float32) if isinstance(value, float | list) else value


class VariantsTest(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True, with_device=True, without_device=True)
    @parameterized.named_parameters(*_cases())
    def test_value_shape_and_dtype(self, name: str) -> None:
        loss, args, expected = _case(name)
        value = self.variant(loss)(*args)
        chex.assert_shape(value, expected.shape)
        assert len(value) == ROWS
        chex.assert_type(value, jnp.float32)
        chex.assert_tree_all_finite(value)
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)

    @chex.variants(with_pmap=True)
    @parameterized.named_parameters(*_cases())
    def test_pmap(self, name: str) -> None:
        loss, args, expected = _case(name)
        value = self.variant(loss)(*args)
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)
