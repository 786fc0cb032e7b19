"""What losses of logits need besides their inputs, beside the plainest formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxloss as jl
from jaxloss.bench import OPERATIONS

# How a program is cut into sweeps is the compiler's, and changes with it.
by_a_recent_compiler = pytest.mark.skipif(
    jax.__version_info__ < (0, 10), reason="XLA of that time cuts programs otherwise"
)


def temp(loss, *shape):
    data = [jax.ShapeDtypeStruct(shape, np.float32)] * 2
    step = jax.jit(jax.value_and_grad(lambda x, y: jnp.mean(loss(x, y))))
    return step.lower(*data).compile().memory_analysis().temp_size_in_bytes


def plain_binary(logits, labels):
    sides = jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)
    return -labels * sides[0] - (1 - labels) * sides[1]


def plain_divergence(logits, targets):
    log_probs = jax.nn.log_softmax(logits)
    return jnp.sum(targets * (jnp.log(targets) - log_probs), axis=-1)


# Of an element: bytes read and written, exponentials and the like, bytes of temporary arrays.
SWEEPS = {
    "squared_error": (24, 0, 0),
    "huber_loss": (60, 0, 5),
    "sigmoid_binary_cross_entropy": (52, 2, 4),
    "sigmoid_focal_loss": (160, 4, 20),
    "softmax_kl": (101, 3.1, 16.1),
}


@by_a_recent_compiler
@pytest.mark.parametrize("name", SWEEPS)
def test_elementwise_losses_take_as_many_sweeps_as_they_did(name, rng):
    operation = OPERATIONS[name]
    data = operation.inputs(rng, **operation.sizes[0])
    step = jax.jit(jax.value_and_grad(operation.ours, tuple(operation.moving)))
    compiled = step.lower(*data).compile()
    cost = compiled.cost_analysis()
    counted = cost["bytes accessed"], cost.get("transcendentals", 0)
    counted = *counted, compiled.memory_analysis().temp_size_in_bytes
    assert np.all(np.divide(counted, data[0].size) <= np.array(SWEEPS[name]) + 0.01)


@by_a_recent_compiler
def test_binary_cross_entropy_needs_one_array():
    ours, plain = (temp(f, 2**16) for f in (jl.sigmoid_binary_cross_entropy, plain_binary))
    assert ours <= 0.5 * plain
    assert ours <= 1.1 * 4 * 2**16


@by_a_recent_compiler
def test_divergence_of_a_softmax_needs_little_more_than_the_formula():
    ours = temp(lambda x, y: jl.kl_divergence(jax.nn.log_softmax(x), y), 64, 1024)
    assert ours <= 2.1 * temp(plain_divergence, 64, 1024)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("scale", [0.0, 1e-6, 1e-3, 0.1, 3.0])
def test_divergences_of_every_size_are_right(rng, scale):
    """Near and far from the targets, in one precision and in two."""
    log_p = rng.normal(size=(64, 300))
    log_q = log_p + scale * rng.normal(size=log_p.shape)
    log_p, log_q = (np.asarray(jax.nn.log_softmax(x)) for x in (log_p, log_q))
    u = log_q - log_p
    remainder = np.where(np.abs(u) < 1e-2, u**2 / 2 + u**3 / 6 + u**4 / 24, np.expm1(u) - u)
    expected = np.sum(np.exp(log_p) * remainder, axis=-1)
    p = np.exp(log_p)
    np.testing.assert_allclose(jl.kl_divergence(log_q, p), expected, rtol=1e-6, atol=1e-18)
    single = jl.kl_divergence(np.float32(log_q), np.float32(p))
    assert (single >= 0).all()
    np.testing.assert_allclose(single, expected, rtol=1e-3 if scale > 1e-4 else 0.5, atol=2e-13)
    # Where masses differ it is the formula.
    raised = jl.kl_divergence(np.float32(log_q + 0.5), np.float32(p))
    np.testing.assert_allclose(raised, expected - 0.5, rtol=1e-5, atol=1e-6)
