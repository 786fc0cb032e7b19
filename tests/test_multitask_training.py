"""Tasks balanced by their gradients in training loops: plain JAX, Linen, NNX in both modes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxloss as jl
from jaxloss.multitask import imtl_g, value_and_gradients

STEPS = 60
HEADS = ("near", "far")


@functools.cache
def batch():
    """Two targets that share a feature; the second is measured in a unit a hundred times finer."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 4)).astype(np.float32)
    feature = np.tanh(x @ np.array([1.0, -2.0, 0.5, 0.0], np.float32))
    return {"x": x, "near": 2 * feature, "far": 100 * feature + 50 * x[:, 3]}


def losses_of(apply, params, data):
    outputs = apply(params, data["x"])
    return {
        head: jl.mean(jl.l2_loss(outputs[:, i], data[head] / 10**i)) * 100.0**i
        for i, head in enumerate(HEADS)
    }


def check(before, after):
    """Both tasks have learned, although the loss of one is thousands of times the other's."""
    for head in HEADS:
        assert after[head] < 0.3 * before[head], (head, before[head], after[head])


def balanced(apply, aggregator, params, state, data):
    """Return the losses, the balanced gradient and the aggregator's state."""
    losses, gradients = value_and_gradients(functools.partial(losses_of, apply))(params, data)
    gradient, state = aggregator.update(gradients, state, params)
    return losses, gradient, state


def test_in_plain_jax_with_a_scan():
    keys = jax.random.split(jax.random.key(0), 2)
    params = [jax.random.normal(keys[0], (4, 16)) / 2, jax.random.normal(keys[1], (16, 2)) / 4]
    apply = lambda params, x: jnp.tanh(x @ params[0]) @ params[1]
    optimizer = optax.chain(imtl_g(), optax.adam(5e-2))
    call = value_and_gradients(functools.partial(losses_of, apply))

    @jax.jit
    def train(params):
        def step(carry, _):
            params, state = carry
            losses, gradients = call(params, batch())
            updates, state = optimizer.update(gradients, state, params)
            return (optax.apply_updates(params, updates), state), losses

        return jax.lax.scan(step, (params, optimizer.init(params)), length=STEPS)[1]

    losses = train(params)
    check(*({head: history[i] for head, history in losses.items()} for i in (0, -1)))


def test_with_a_train_state_of_linen():
    """The gradients of all tasks are the `grads` of a `TrainState` as it is."""
    linen = pytest.importorskip("flax.linen")
    train_state = pytest.importorskip("flax.training.train_state")
    network = linen.Sequential([linen.Dense(16), linen.tanh, linen.Dense(2)])
    state = train_state.TrainState.create(
        apply_fn=network.apply,
        params=network.init(jax.random.key(0), batch()["x"]),
        tx=optax.chain(imtl_g(), optax.adam(5e-2)),
    )
    call = value_and_gradients(functools.partial(losses_of, network.apply))

    @jax.jit
    def step(state, data):
        losses, gradients = call(state.params, data)
        return state.apply_gradients(grads=gradients), losses

    first = last = None
    for _ in range(STEPS):
        state, last = step(state, batch())
        first = first or last
    check(first, last)


def test_with_an_optimizer_of_nnx(nnx):
    """An `nnx.Optimizer` takes one gradient: the tasks are balanced before it."""

    class Network(nnx.Module):
        def __init__(self, rngs):
            self.hidden = nnx.Linear(4, 16, rngs=rngs)
            self.out = nnx.Linear(16, 2, rngs=rngs)

        def __call__(self, x):
            return self.out(jnp.tanh(self.hidden(x)))

    network, aggregator = Network(nnx.Rngs(0)), imtl_g()
    optimizer = nnx.Optimizer(network, optax.adam(5e-2), wrt=nnx.Param)

    @nnx.jit
    def step(network, optimizer, state, data):
        structure, params = nnx.split(network)
        apply = lambda params, x: nnx.merge(structure, params)(x)
        losses, gradient, state = balanced(apply, aggregator, params, state, data)
        optimizer.update(network, gradient)
        return losses, state

    state, first, last = aggregator.init(None), None, None
    for _ in range(STEPS):
        last, state = step(network, optimizer, state, batch())
        first = first or last
    check(first, last)
