"""Discrepancies of samples of which a few rows of pairs are there at a time."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxloss as jl
from jaxloss.divergence import blocks, samples

CHOICES = [("gaussian", False), ("gaussian", True), ("polynomial", True), ("energy", False)]


@pytest.fixture
def taken_apart(monkeypatch):
    """Tells few members from many, or not; blocks have eight rows."""

    def set_(few):
        monkeypatch.setattr(blocks, "_AREA", {"cpu": 256 if few else 2**17})
        monkeypatch.setattr(samples, "_FEW", 0 if few else 2**12)
        jax.clear_caches()

    yield set_
    jax.clear_caches()


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("kernel", "unbiased"), CHOICES)
def test_pairs_in_blocks_are_all_pairs(rng, taken_apart, kernel, unbiased):
    x, y = rng.normal(size=(2, 19, 3)), rng.normal(0.5, 1.5, (2, 13, 3))
    dx, weights = rng.normal(size=x.shape), rng.gamma(1.0, size=(2, 19))
    where = rng.random((2, 13)) < 0.7
    y[~where] = np.nan
    bandwidth = np.array([1.0, 2.5])
    loss = lambda x, y, s, w: (
        3.0
        * jnp.sum(
            jl.maximum_mean_discrepancy(
                x, y, kernel=kernel, bandwidth=s, unbiased=unbiased, weights=w, where_targets=where
            )
        )
    )

    @jax.jit
    def derivatives():
        slope = jax.grad(loss)
        along = jax.jvp(lambda x: slope(x, y, bandwidth, weights), (x,), (dx,))[1]
        return jax.value_and_grad(loss, argnums=(0, 1, 2, 3))(x, y, bandwidth, weights), along

    found = []
    for few in (False, True):
        taken_apart(few)
        found.append(jax.tree.leaves(derivatives()))
        derivatives = jax.jit(derivatives.__wrapped__)
    for whole, apart in zip(*found, strict=True):
        np.testing.assert_allclose(apart, whole, rtol=1e-9, atol=1e-11)


def test_discrepancies_take_no_memory_of_pairs():
    def temp(loss, members):
        shapes = [jax.ShapeDtypeStruct((members, 8), np.float32)] * 2
        program = jax.jit(jax.value_and_grad(loss, argnums=(0, 1))).lower(*shapes).compile()
        return program.memory_analysis().temp_size_in_bytes

    loss = functools.partial(jl.maximum_mean_discrepancy, bandwidth=(1.0, 3.0))
    assert temp(loss, 2000) < 0.4 * 4 * 2000**2
    assert temp(loss, 2000) < 2.2 * temp(loss, 1000)
