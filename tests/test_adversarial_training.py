"""A generative adversarial network learns a ring of Gaussians: objective and penalties together."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxloss as jl
from jaxloss import adversarial

pytestmark = pytest.mark.slow

MODES, RADIUS, WIDTH = 8, 1.0, 0.05
BATCH, STEPS, NOISE = 128, 16_000, 8
GAMMA = 0.02


def network(key, sizes):
    keys = jax.random.split(key, len(sizes) - 1)
    pairs = zip(keys, sizes[:-1], sizes[1:], strict=True)
    return [(jax.random.normal(k, (m, n)) * (2 / m) ** 0.5, jnp.zeros((1, n))) for k, m, n in pairs]


def apply(layers, x):
    for weights, shift in layers[:-1]:
        x = jax.nn.leaky_relu(x @ weights + shift)
    return x @ layers[-1][0] + layers[-1][1]


def critic(layers, x):
    return apply(layers, x)[:, 0]


def ring(key):
    which, where = jax.random.split(key)
    angle = 2 * jnp.pi * jax.random.randint(which, (BATCH, 1), 0, MODES) / MODES
    centre = RADIUS * jnp.concatenate([jnp.cos(angle), jnp.sin(angle)], axis=-1)
    return centre + WIDTH * jax.random.normal(where, (BATCH, 2))


def generate(layers, key, count=BATCH):
    return apply(layers, jax.random.normal(key, (count, NOISE)))


@jax.jit
def train(key, gamma):
    """Play `relativistic_pairing` with both penalties; return the generator."""
    rate = optax.cosine_decay_schedule(1e-3, STEPS, 0.05)
    objective, optimizer = adversarial.relativistic_pairing, optax.adam(rate, b1=0.5, b2=0.95)
    first, second, rest = jax.random.split(key, 3)
    players = network(first, [NOISE, 64, 64, 2]), network(second, [2, 64, 64, 1])

    def discriminator_loss(layers, real, fake):
        net = functools.partial(critic, layers)
        penalties = jl.r1_penalty(net, real) + jl.r2_penalty(net, fake)
        return jl.mean(objective.discriminator(net(real), net(fake)) + gamma * penalties)

    def generator_loss(layers, net, real, key):
        return jl.mean(objective.generator(net(real), net(generate(layers, key))))

    def step(carry, key):
        (generator, discriminator), (one, two) = carry
        data, noise = jax.random.split(key)
        real = ring(data)
        fake = generate(generator, noise)
        slope = jax.grad(discriminator_loss)(discriminator, real, fake)
        moves, two = optimizer.update(slope, two)
        discriminator = optax.apply_updates(discriminator, moves)
        net = functools.partial(critic, discriminator)
        slope = jax.grad(generator_loss)(generator, net, real, noise)
        moves, one = optimizer.update(slope, one)
        return ((optax.apply_updates(generator, moves), discriminator), (one, two)), None

    states = tuple(map(optimizer.init, players))
    (players, _), _ = jax.lax.scan(step, (players, states), jax.random.split(rest, STEPS))
    return players[0]


def quality(samples):
    """Return the smallest share of samples that a mode gets, and the share near any mode."""
    angle = 2 * np.pi * np.arange(MODES) / MODES
    centres = RADIUS * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    distance = np.linalg.norm(np.asarray(samples)[:, None] - centres, axis=-1)
    near = distance < 4 * WIDTH
    return near.mean(axis=0).min(), near.any(axis=-1).mean()


def test_the_quality_tells_data_from_noise():
    least, near = quality(jax.vmap(ring)(jax.random.split(jax.random.key(1), 16)).reshape(-1, 2))
    assert least > 1 / 12 and near > 0.99
    untrained = network(jax.random.key(2), [NOISE, 64, 64, 2])
    least, near = quality(generate(untrained, jax.random.key(3), 2000))
    assert least < 1 / 16 and near < 0.5


def test_a_generator_covers_the_ring():
    """All eight modes, each with at least half of its share; nine samples of ten near one."""
    generator = train(jax.random.key(0), GAMMA)
    least, near = quality(generate(generator, jax.random.key(99), 2000))
    assert least > 1 / 16
    assert near > 0.9
