"""CTC by the shares of its states against autodiff through the recursion: slopes, modes, cost."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from closeness import close_where_finite as close

import jaxloss as jl
from jaxloss.sequence import ctc

# Fewer states than a vector has lanes, as many, one more; no labels at all.
SIZES = [(3, 7, 4, 5), (2, 40, 15, 6), (2, 40, 16, 3), (2, 4, 0, 3)]
CASES = list(zip(SIZES, [2.0, 30.0, 0.1, 2.0], strict=True))


def draw(rng, batch, frames, labels, symbols, size=2.0):
    """Ragged in both lengths, labels that repeat, padded frames anywhere, some impossible."""
    logits = size * rng.normal(size=(batch, frames, symbols))
    padding = (rng.random((batch, frames)) < 0.2).astype(np.float32)
    count = rng.integers(0, labels + 1, (batch, 1))
    ends = (np.arange(labels) >= count).astype(np.float32)
    return jnp.asarray(logits, jnp.float32), padding, rng.integers(1, symbols, ends.shape), ends


def plain(logits, *rest, blank_id=0, where=None):
    pairing = ctc._prepare("ctc_loss", blank_id, -1e5, where, (logits, *rest))
    return ctc._forward(pairing, blank_id, keep=False)[0]


def pulled(loss, data, cotangent):
    value, pull = jax.vjp(lambda x: loss(x, *data[1:]), data[0])
    return value, *pull(cotangent)


@pytest.mark.parametrize(("shape", "size"), CASES, ids=str)
def test_value_and_gradient_are_those_of_the_plain_form(shape, size, rng):
    data = draw(rng, *shape, size=size)
    cotangent = jnp.asarray(rng.normal(size=shape[0]), jnp.float32)
    run = jax.jit(lambda loss: pulled(loss, data, cotangent), static_argnums=0)
    close(run(jl.ctc_loss), run(plain), 3e-6 * max(size, 2))


def test_in_float64_they_agree_to_its_digits(rng):
    with jax.enable_x64(True):
        data = draw(rng, *SIZES[1])
        data = data[0].astype(jnp.float64), *data[1:]
        run = jax.jit(lambda loss: pulled(loss, data, jnp.ones(2)), static_argnums=0)
        close(run(jl.ctc_loss), run(plain), 1e-12)


def test_every_mode_and_order_of_differentiation(rng):
    data = draw(rng, 2, 9, 3, 4)
    data = data[0], np.zeros((2, 9), np.float32), *data[2:]
    move = jnp.asarray(rng.normal(size=data[0].shape), jnp.float32)

    def several(loss):
        total = lambda x: jnp.sum(loss(x, *data[1:]) * jnp.array([1.0, -2.0]))
        along = lambda x: jax.jvp(total, (x,), (move,))[1]
        forward = jax.jvp(jax.grad(total), (data[0],), (move,))[1]
        reverse = jax.grad(lambda x: jnp.vdot(jax.grad(total)(x), move))(data[0])
        one = lambda x, *rest: jax.grad(lambda x: loss(x, *rest))(x)
        return along(data[0]), forward, reverse, jax.grad(along)(data[0]), jax.vmap(one)(*data)

    run = jax.jit(several, static_argnums=0)
    close(run(jl.ctc_loss), run(plain), 2e-5)


@pytest.mark.parametrize("kind", ["none", "all"])
def test_sequences_that_do_not_count(kind, rng):
    data = draw(rng, *SIZES[0])
    where = jnp.full(3, kind == "all")
    run = lambda loss: pulled(functools.partial(loss, where=where), data, jnp.ones(3))
    close(run(jl.ctc_loss), run(plain))


@functools.cache
def compiled(form, symbols, frames=128):
    data = draw(np.random.default_rng(0), 8, frames, 31, symbols)
    loss = {"shares": jl.ctc_loss, "plain": plain}[form]
    step = jax.value_and_grad(lambda x: jnp.mean(loss(x, *data[1:])))
    return jax.jit(step).lower(data[0]).compile().memory_analysis().temp_size_in_bytes


def test_less_is_kept_than_by_autodiff():
    logits, states = (8 * 128 * n * 4 for n in (512, 32))
    assert compiled("shares", 512) <= 0.35 * compiled("plain", 512)
    # Nothing of the size of the logits but the gradient, and seven arrays of that of the states.
    assert compiled("shares", 512) <= 0.2 * logits + 7 * states
    assert compiled("shares", 64, 256) <= 2.1 * compiled("shares", 64)


def test_a_confident_network_keeps_the_digits_of_its_gradient(rng):
    """Of labels that repeat, with a border between label and blank anywhere in between."""
    labels, frames, symbols = np.array([2, 2, 1, 3]), 14, 5
    path = np.array([2, 0, 2, 2, 1, 0, 0, 3, 3, 0, 0, 0, 0, 0])
    logits = rng.normal(size=(3, frames, symbols))
    lead = np.array([10.0, 20.0, 40.0])
    logits[:, np.arange(frames), path] += lead[:, None]
    logits[:, 6, [0, 3]] = lead[:, None]
    logits = logits.astype(np.float32)
    rest = np.zeros((3, frames)), np.stack([labels] * 3), np.zeros((3, 4))
    run = jax.jit(lambda data, cotangent: pulled(jl.ctc_loss, data, cotangent))
    value, slope = run((logits, *rest), jnp.ones(3))
    with jax.enable_x64(True):
        exact, right = map(np.asarray, run((logits.astype(np.float64), *rest), jnp.ones(3)))
    np.testing.assert_allclose(value, exact, rtol=1e-6)
    largest = np.abs(right).max(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(slope / largest, right / largest, atol=2e-6, rtol=0)
    assert (largest.ravel() < 100 * np.exp(-lead)).all()
