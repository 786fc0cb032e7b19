"""Aggregators of tasks' gradients: values worked out by hand, and what each promises."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxloss import multitask as mt

CONFLICT = np.array([[-4.0, 1.0, 1.0], [6.0, 1.0, 1.0]])


def gramian(rows):
    return jnp.asarray(rows @ rows.T, jnp.float32)


# Two tasks: `[[18, -22], [-22, 38]]`, by hand or from the closed forms below


@pytest.mark.parametrize(
    ("weights", "expected", "combined"),
    [
        (mt.mgda_weights, [0.6, 0.4], [0, 1, 1]),
        (lambda g: mt.pcgrad_weights(g, jax.random.key(0)), [20 / 9, 30 / 19], [0.5848, 3.8012]),
        (mt.upgrad_weights, [10 / 9, 15 / 19], [0.2924, 1.9006]),
        (mt.dualproj_weights, [11 / 18, 0.5], [0.5556, 1.1111]),
        (mt.imtl_g_weights, [0.5923, 0.4077], [0.0767, 1]),
        (mt.nash_mtl_weights, [0.59146, 0.40707], [0.0766, 0.9985]),
        (partial(mt.nash_mtl_weights, max_norm=1.0), [0.41822, 0.28784], [0.0542, 0.7061]),
        (partial(mt.fairgrad_weights, alpha=1.0), [0.59146, 0.40707], [0.0766, 0.9985]),
        (mt.fairgrad_weights, [0.4714, 0.3195], [0.0313, 0.7908]),
        (partial(mt.fairgrad_weights, alpha=0.5), [0.7428, 0.5254], [0.181, 1.2682]),
        (partial(mt.cagrad_weights, c=0.5), [0.7041, 0.5], [0.1835, 1.2041]),
    ],
)  # fmt: skip
def test_two_tasks_in_conflict(weights, expected, combined):
    found = weights(gramian(CONFLICT))
    np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_allclose(found @ CONFLICT, [*combined, combined[-1]][:3], atol=1e-4)
