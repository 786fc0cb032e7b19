"""Entropic transport by kernels that are kept and by sweeps, beside the plainest iteration."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import jaxloss as jl
from jaxloss.divergence import blocks, samples, scaling


def plain(x, y, epsilon, a, b, iterations=60):
    """The iteration in logarithms with all costs at hand, differentiated through its steps."""
    cost = lambda x, y: jnp.sum((x[:, None] - y[None]) ** 2, axis=-1)
    least = lambda f, c, s: -epsilon * jax.nn.logsumexp((f[None] - c) / epsilon, axis=-1, b=s[None])

    def transport(x, y, a, b):
        step = lambda g, _: (least(least(g, cost(x, y), b), cost(y, x), a), None)
        g, _ = lax.scan(step, jnp.zeros_like(b), None, length=iterations)
        return jnp.vdot(a, least(g, cost(x, y), b)) + jnp.vdot(b, g)

    own = transport(x, x, a, a) + transport(y, y, b, b)
    return transport(x, y, a, b) - own / 2


@pytest.fixture(params=["kept", "swept"])
def form(request, monkeypatch):
    """Few members are treated as many, in blocks of eight rows."""
    monkeypatch.setattr(blocks, "_AREA", {"cpu": 64})
    monkeypatch.setattr(samples, "_FEW", 0)
    if request.param == "swept":
        monkeypatch.setattr(scaling, "_ROOM", 0)
    jax.clear_caches()
    yield request.param
    jax.clear_caches()


@pytest.mark.usefixtures("form", "x64")
@pytest.mark.parametrize("form", ["kept"], indirect=True)
def test_every_mode_of_differentiation(rng):
    x, y, dx = rng.normal(size=(19, 3)), rng.normal(0.5, 1.5, (13, 3)), rng.normal(size=(19, 3))
    a, b = (w / w.sum() for w in (rng.gamma(2.0, size=k) for k in (19, 13)))
    ours = lambda x, y, e, a, b: jl.sinkhorn_divergence(
        x, y, epsilon=e, weights=a, weights_targets=b, iterations=60
    )
    data = (x, y, np.float64(9.0))

    def derivatives(loss):
        slope = jax.grad(loss)
        value, pull = jax.vjp(lambda *data: loss(*data, a, b), *data)
        yield value, pull(3.0)
        yield jax.jvp(lambda x: slope(x, *data[1:], a, b), (x,), (dx,))[1]
        yield jax.grad(lambda y: jnp.vdot(slope(x, y, data[2], a, b), dx))(y)

    forms = [jax.jit(lambda f=f: list(derivatives(f)))() for f in (ours, plain)]
    for got, expected in zip(*map(jax.tree.leaves, forms), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-8, atol=1e-10)


@pytest.mark.usefixtures("form")
def test_masks_sets_and_masses_of_zero(rng):
    x, y = rng.normal(size=(3, 19, 2)).astype("f"), rng.normal(0.5, 1.5, (3, 13, 2)).astype("f")
    where, weights = rng.random((3, 19)) < 0.6, rng.gamma(0.5, size=(3, 13)).astype("f")
    weights[:, :4] = 0
    # Of no mass, and beyond all bounds.
    y[:, :2] += 1e6
    where[2], where[:2, 0] = False, True

    def loss(x, y, where, weights):
        value = jl.sinkhorn_divergence(
            x, y, epsilon=2.0, iterations=30, where=where, weights_targets=weights
        )
        return jnp.sum(value), value

    run = jax.value_and_grad(loss, argnums=(0, 1, 3), has_aux=True)
    (_, value), slopes = jax.jit(run)(x, y, where, weights)
    assert all(np.isfinite(slope).all() for slope in slopes)
    assert value[2] == 0 and not slopes[0][2].any() and not slopes[0][~where].any()
    assert not slopes[1][:, :4].any()
    alone, _ = loss(x[:1, where[0]], y[:1, 4:], None, weights[:1, 4:])
    np.testing.assert_allclose(value[0], alone, rtol=1e-5)


@pytest.mark.usefixtures("form")
def test_kernels_that_vanish_and_kernels_that_are_flat(rng):
    """Far clouds at a small epsilon, whose first kernels have columns of zeros."""
    x, y = rng.normal(size=(19, 2)).astype("f"), rng.normal(40.0, 1.5, (13, 2)).astype("f")
    loss = lambda x, epsilon: jl.sinkhorn_divergence(x, y, epsilon=epsilon, iterations=150)
    run = jax.jit(jax.value_and_grad(loss))
    a, b = (jnp.full(k, 1 / k, jnp.float32) for k in (19, 13))
    value, slope = run(x, 2.0)
    expected = jax.jit(functools.partial(plain, iterations=150))(x, y, 2.0, a, b)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    assert np.isfinite(slope).all()
    # Where logarithms in single precision say nothing any more.
    value, _ = run(x, 1e7)
    means = np.sum((x.mean(0) - y.mean(0)) ** 2)
    np.testing.assert_allclose(value, means, rtol=1e-5)


def compiled(members, others, **options):
    shapes = (jax.ShapeDtypeStruct((k, 4), np.float32) for k in (members, others))
    loss = functools.partial(jl.sinkhorn_divergence, epsilon=2.0, iterations=20, **options)
    return jax.jit(jax.value_and_grad(loss, argnums=(0, 1))).lower(*shapes).compile()


def test_one_number_for_each_pair_is_kept_at_most():
    program = compiled(1200, 1101)
    assert program.memory_analysis().temp_size_in_bytes < 4 * 1.8 * 1200**2


def test_large_samples_take_no_memory_of_pairs(monkeypatch):
    monkeypatch.setattr(scaling, "_ROOM", 0)
    jax.clear_caches()
    small, large = (compiled(n, n - 99) for n in (1200, 2400))
    temp = lambda program: program.memory_analysis().temp_size_in_bytes
    assert temp(large) < 0.25 * 4 * 2400**2
    assert temp(large) < 2.2 * temp(small)
    assert not re.search(r"f32\[(2400|2301),(2400|2301)\]", large.as_text())
    jax.clear_caches()
