"""The transducer by the shares of its nodes against autodiff through the recursion."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from closeness import close_where_finite as close

import jaxloss as jl
from jaxloss.sequence import transducer
from jaxloss.sequence.alignment import diagonals, lattice

# More of everything, one frame only, no labels at all.
SIZES = [(3, 6, 4, 5), (2, 1, 1, 3), (2, 4, 0, 3)]
CASES = list(zip(SIZES, [2.0, 30.0, 2.0], strict=True))


def draw(rng, batch, frames, labels, symbols, size=2.0):
    """Ragged in both lengths, without a frame or a label now and then."""
    logits = size * rng.normal(size=(batch, frames, labels + 1, symbols))
    ramp = lambda most: np.arange(most) >= rng.integers(0, most + 1, (batch, 1))
    labels = rng.integers(0, symbols - 1, (batch, labels))
    return jnp.asarray(logits, jnp.float32), ramp(frames), labels, ramp(labels.shape[1])


def plain(logits, *rest, where=None):
    data = (logits, *rest)
    last = logits.shape[-1] - 1
    pairing = transducer.prepare("rnnt_loss", "T, U + 1, K", last, where, *data)
    return transducer._walk(pairing.with_frames_first(), last)


def ours(logits, *rest, where=None):
    return jl.rnnt_loss(logits, *rest, blank_id=logits.shape[-1] - 1, where=where)


def pulled(loss, data, cotangent, where=None):
    value, pull = jax.vjp(lambda x: loss(x, *data[1:], where=where), data[0])
    return value, *pull(cotangent)


@pytest.mark.parametrize(("shape", "size"), CASES, ids=str)
def test_value_and_gradient_are_those_of_the_plain_form(shape, size, rng):
    data = draw(rng, *shape, size=size)
    cotangent = jnp.asarray(rng.normal(size=shape[0]), jnp.float32)
    for where in (np.ones(shape[0], bool), rng.random(shape[0]) < 0.5):
        run = jax.jit(pulled, static_argnums=0)
        close(run(ours, data, cotangent, where), run(plain, data, cotangent, where), 3e-6)


def test_in_float64_they_agree_to_its_digits(rng):
    with jax.enable_x64(True):
        data = draw(rng, 3, 12, 7, 6)
        data = data[0].astype(jnp.float64), *data[1:]
        run = jax.jit(pulled, static_argnums=0)
        close(run(ours, data, jnp.ones(3)), run(plain, data, jnp.ones(3)), 1e-12)


def test_every_mode_and_order_of_differentiation(rng):
    data = draw(rng, 2, 5, 3, 4)
    move = jnp.asarray(rng.normal(size=data[0].shape), jnp.float32)

    def several(loss):
        total = lambda x: jnp.sum(loss(x, *data[1:]) * jnp.array([1.0, -2.0]))
        along = lambda x: jax.jvp(total, (x,), (move,))[1]
        forward = jax.jvp(jax.grad(total), (data[0],), (move,))[1]
        one = lambda x, *rest: jax.grad(lambda x: loss(x, *rest))(x)
        return along(data[0]), forward, jax.grad(along)(data[0]), jax.vmap(one)(*data)

    run = jax.jit(several, static_argnums=0)
    close(run(ours), run(plain), 2e-5)


@pytest.mark.parametrize("lead", [10.0, 40.0])
def test_a_confident_network_keeps_the_digits_of_its_gradient(lead, rng):
    """What is left of the loss is e^-lead or so, and each gradient a part of it."""
    frames, count, symbols = 9, 4, 5
    labels = rng.integers(0, symbols - 1, count)
    logits = rng.normal(size=(frames, count + 1, symbols))
    when = np.sort(rng.integers(0, frames, count))
    for t, u in np.ndindex(frames, count + 1):
        logits[t, u, labels[u] if u < count and when[u] <= t else symbols - 1] += lead
    data = logits.astype(np.float32), np.zeros(frames), labels, np.zeros(count)
    run = jax.jit(pulled, static_argnums=0)
    value, slope = run(ours, data, jnp.ones(()))
    with jax.enable_x64(True):
        right = run(ours, (data[0].astype(np.float64), *data[1:]), jnp.ones(()))
    np.testing.assert_allclose(value, right[0], rtol=2e-6)
    np.testing.assert_allclose(slope, right[1], atol=5e-6 * np.abs(right[1]).max(), rtol=0)
    assert 0 < np.abs(slope).max() < 100 * np.exp(-lead)


def test_a_lattice_comes_back_from_its_diagonals(rng):
    for n, m in ((1, 1), (3, 5), (5, 3), (0, 2)):
        x = jnp.asarray(rng.normal(size=(2, n, m)), jnp.float32)
        np.testing.assert_array_equal(lattice(diagonals(x, 0.0), n), x)


@functools.cache
def compiled(form, symbols):
    data = draw(np.random.default_rng(0), 4, 24, 7, symbols)
    step = jax.value_and_grad(lambda x: jnp.mean(form(x, *data[1:])))
    return jax.jit(step).lower(data[0]).compile()


def test_nothing_of_the_size_of_the_logits_is_kept_besides_the_gradient():
    temp = lambda form, symbols: compiled(form, symbols).memory_analysis().temp_size_in_bytes
    logits = 4 * 24 * 8 * 512 * 4
    assert temp(ours, 512) <= 0.2 * logits
    assert temp(ours, 512) <= 0.1 * temp(plain, 512)
    # What grows with the symbols is the table of where the labels stand among them.
    assert temp(ours, 512) - temp(ours, 64) <= 0.1 * logits
