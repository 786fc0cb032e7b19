"""Soft-DTW by the shares of its nodes against autodiff through the recursion."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxloss as jl
from jaxloss.sequence import warping


def plain(x, y, gamma, **options):
    """Return the loss without its rule."""
    x, y, _ = warping._series("soft_dtw_loss", *options.values(), x, y)
    costs = warping.diagonals(warping.samples.squared_distances(x.points, y.points), jnp.inf)
    steps = [jnp.sum(s.present, axis=-1, dtype=jnp.int32) for s in (x, y)]
    there = jnp.arange(costs.shape[-1])[None] == steps[1][..., None] - 1
    return warping._forward(warping._Goal(steps[0] + steps[1] - 2, there), gamma, costs)[0]


def close(got, expected, tolerance):
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * np.abs(b).max())


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (7, 4), (16, 16)])
def test_every_mode_and_order_of_differentiation(shape, rng):
    x, y, to = (jnp.asarray(rng.normal(size=(3, n, 2)), jnp.float32) for n in (*shape, shape[0]))
    gamma = jnp.array([0.05, 1.0, 30.0])
    where = jnp.asarray(rng.random((3, shape[0])) < 0.7).at[:, 0].set(True)
    where_targets = jnp.ones((3, shape[1]), bool)

    def several(loss):
        loss = functools.partial(loss, where=where, where_targets=where_targets)
        total = lambda x, y, g: jnp.vdot(loss(x, y, gamma=g), jnp.array([1.0, -2.0, 0.5]))
        along = lambda x: jax.jvp(lambda x: total(x, y, gamma), (x,), (to,))[1]
        return jax.value_and_grad(total, (0, 1, 2))(x, y, gamma), along(x), jax.grad(along)(x)

    run = jax.jit(several, static_argnums=0)
    close(run(jl.soft_dtw_loss), run(lambda x, y, gamma, **o: plain(x, y, gamma, **o)), 2e-5)


def test_less_is_kept_than_by_autodiff(rng):
    x, y = (jnp.asarray(rng.normal(size=(8, 64, 2)), jnp.float32) for _ in range(2))
    options = {"where": None, "where_targets": None}

    def temp(loss):
        step = jax.value_and_grad(lambda x: jnp.mean(loss(x, y, gamma=jnp.ones(8), **options)))
        return jax.jit(step).lower(x).compile().memory_analysis().temp_size_in_bytes

    assert temp(jl.soft_dtw_loss) <= 0.9 * temp(plain)
