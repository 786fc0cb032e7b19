"""Metric learning on scikit-learn's digits: the nearest neighbour in four dimensions is right.

Half of the 1,797 images train a small network; recall@1 is measured on the other half: the share of
images whose nearest neighbour among the other held-out images shows the same digit.
"""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxloss as jl

pytestmark = pytest.mark.slow

SIZES = (64, 64, 4)
STEPS, BATCH = 300, 100


def initial(rng):
    return [
        (np.float32(rng.normal(size=(a, b)) / np.sqrt(a)), np.zeros(b, np.float32))
        for a, b in itertools.pairwise(SIZES)
    ]


def embed(parameters, images):
    (first, a), (second, b) = parameters
    return jax.nn.relu(images @ first + a[None]) @ second + b[None]


def recall(embeddings, labels, *, directions):
    x = np.asarray(embeddings, np.float64)
    x = x / np.linalg.norm(x, axis=-1, keepdims=True) if directions else x
    squares = (x**2).sum(axis=-1)
    distance = squares[:, None] + squares - 2 * x @ x.T
    np.fill_diagonal(distance, np.inf)
    return np.mean(labels[distance.argmin(axis=-1)] == labels)


@pytest.fixture(scope="module")
def digits():
    images, labels = pytest.importorskip("sklearn.datasets").load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    images, labels = np.float32(images[order] / 16 - 0.3), labels[order].astype(np.int32)
    half = len(labels) // 2
    return (images[:half], labels[:half]), (images[half:], labels[half:])


@pytest.mark.parametrize(
    ("loss", "directions"),
    [
        (functools.partial(jl.triplet_loss, margin=1.0, mining="semi_hard"), False),
        (functools.partial(jl.triplet_loss, margin=0.0, mining="batch_hard", soft=True), False),
        (jl.supervised_contrastive_loss, True),
        (jl.multi_similarity_loss, True),
    ],
    ids=["semi_hard", "batch_hard", "supervised_contrastive", "multi_similarity"],
)
def test_held_out_digits_find_their_like(loss, directions, digits, rng):
    (images, labels), (test_images, test_labels) = digits
    parameters = initial(rng)
    before = recall(embed(parameters, test_images), test_labels, directions=directions)
    optimizer = optax.adam(1e-2)
    chosen = rng.integers(0, len(labels), (STEPS, BATCH))

    @jax.jit
    def train(parameters):
        def step(carry, index):
            parameters, state = carry
            pick = lambda p: jl.mean(
                loss(embed(p, jnp.take(images, index, axis=0)), jnp.take(labels, index))
            )
            value, slope = jax.value_and_grad(pick)(parameters)
            update, state = optimizer.update(slope, state)
            return (optax.apply_updates(parameters, update), state), value

        start = (parameters, optimizer.init(parameters))
        return jax.lax.scan(step, start, chosen)

    (parameters, _), values = train(jax.tree.map(jnp.asarray, parameters))
    after = recall(embed(parameters, test_images), test_labels, directions=directions)
    assert np.isfinite(values).all()
    assert before < 0.85
    assert after > 0.95
