"""Losses of all pairs of large sets: what the plain form gives, without its memory."""

import functools

import closeness
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxloss as jl
from jaxloss.contrastive import batch, differences, hardest, similarity
from jaxloss.contrastive import mining as miners

CHOICES = list(similarity.DISTANCES)


def draw(rng, *shape):
    return jnp.asarray(rng.normal(size=shape), jnp.float32)


def close(got, expected, rtol=2e-5):
    closeness.close(got, expected, rtol)


# Distances


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("shape", [(1, 70, 31, 33), (2, 40, 57, 16)])
def test_distances_of_many_are_those_of_few(choice, shape, rng):
    *sets, n, m, d = shape
    x, y, dx, dy = (draw(rng, *sets, k, d) for k in (n, m, n, m))
    weights = draw(rng, *sets, n, m)
    many, few = similarity.MANY[choice], similarity.DISTANCES[choice]
    value = lambda f: lambda x, y: jnp.vdot(weights, f(x, y))
    slope = lambda f: lambda x, y: jax.grad(value(f), argnums=(0, 1))(x, y)

    def derivatives(f):
        yield f(x, y), slope(f)(x, y)
        yield jax.jvp(f, (x, y), (dx, dy))
        yield jax.jvp(slope(f), (x, y), (dx, dy))[1]
        yield jax.grad(lambda x: jnp.vdot(slope(f)(x, y)[1], dy))(x)

    close(*(jax.jit(lambda f=f: list(derivatives(f)))() for f in (many, few)), rtol=1e-4)


@pytest.mark.parametrize("choice", CHOICES)
def test_coincident_points_of_many_have_no_gradient(choice, rng):
    x = jnp.repeat(draw(rng, 4, 9), 8, axis=0).at[:8].set(0)
    slope = jax.jit(jax.grad(lambda x: similarity.MANY[choice](x, x).sum()))(x)
    few = jax.grad(lambda x: similarity.DISTANCES[choice](x, x).sum())(x)
    assert np.isfinite(slope).all()
    close(slope, few, rtol=1e-4)


def test_distances_of_many_neither_overflow_nor_cancel():
    x = jnp.float32([[1e30, 0.0], [1e30 + 1e24, 0.0], [-3e38, 0.0]])
    close(similarity.MANY["euclidean"](x, x), similarity.distances(x, x))
    near = jnp.float32([[1000.0], [1000.0 + 2.0**-10]])
    assert similarity.MANY["euclidean"](near, near)[0, 1] == 2.0**-10


# Triplets


def plain(embeddings, labels, margin=0.2, mining="batch_all", distance="euclidean", soft=False):
    """The loss of triplets with all differences and all triplets of the miner at hand."""
    present = jnp.ones((len(labels),) * 2, bool)
    same = labels[:, None] == labels[None]
    positive = same & ~jnp.eye(len(labels), dtype=bool)
    distances = similarity.DISTANCES[distance](embeddings, embeddings)
    near, far, weight = miners.MINERS[mining](distances, positive, present & ~same)
    lag = near - far + margin
    cost = jnp.where(weight > 0, jax.nn.softplus(lag) if soft else jnp.maximum(lag, 0), 0)
    count = jnp.sum(weight, axis=-1)
    return jnp.sum(weight * cost, axis=-1) / jnp.where(count == 0, 1, count)


@pytest.fixture
def taken_apart(monkeypatch):
    """Few members are treated as many."""
    monkeypatch.setattr(differences, "_CHUNK", 64)
    jax.clear_caches()
    yield
    jax.clear_caches()


def labelled(rng, members=23, groups=5):
    return draw(rng, members, 7), jnp.asarray(rng.integers(0, groups, members))


OPTIONS = [
    {"mining": "batch_all", "distance": "euclidean", "soft": True},
    {"mining": "batch_hard", "distance": "cosine", "soft": False},
]


@pytest.mark.usefixtures("taken_apart")
@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: o["mining"])
def test_triplets_and_every_mode_of_differentiation(options, rng):
    x, labels = labelled(rng)
    dx, weights = draw(rng, *x.shape), draw(rng, len(labels))
    value = lambda f: lambda x, m: jnp.vdot(weights, f(x, labels, margin=m, **options))
    margin = jnp.float32(0.3)
    slope = lambda f: lambda x: jax.grad(value(f))(x, margin)

    def derivatives(f):
        yield jax.value_and_grad(value(f), argnums=(0, 1))(x, margin)
        yield jax.jvp(lambda x: f(x, labels, **options), (x,), (dx,))
        yield jax.jvp(slope(f), (x,), (dx,))[1]
        yield jax.grad(lambda x: jnp.vdot(slope(f)(x), dx))(x)

    forms = jl.triplet_loss, plain
    close(*(jax.jit(lambda f=f: list(derivatives(f)))() for f in forms), rtol=1e-4)


@pytest.mark.usefixtures("taken_apart")
@pytest.mark.parametrize("mining", ["batch_all", "batch_hard"])
def test_sets_side_by_side_and_masks(mining, rng):
    sets = [labelled(rng) for _ in range(3)]
    x, labels = (jnp.stack(part) for part in zip(*sets, strict=True))
    where = jnp.asarray(rng.uniform(size=labels.shape) < 0.7).at[0].set(False)
    loss = functools.partial(jl.triplet_loss, mining=mining)
    total = lambda x, labels, where: jnp.sum(loss(x, labels, where=where))
    run = jax.value_and_grad(total)
    at_once = jax.jit(run)(x, labels, where)
    mapped = jax.jit(jax.vmap(run))(x, labels, where)
    close(at_once, (mapped[0].sum(), mapped[1]))
    assert not np.any(at_once[1][0])
    kept = np.flatnonzero(where[1])
    alone = plain(x[1][kept], labels[1][kept], mining=mining)
    close(jax.jit(loss)(x[1], labels[1], where=where[1])[kept], alone)


@pytest.mark.usefixtures("taken_apart")
@pytest.mark.parametrize("mining", ["batch_all", "batch_hard"])
def test_ties_share_the_gradient(mining, rng):
    x = jnp.asarray(rng.integers(0, 3, (40, 2)), jnp.float32)
    labels = jnp.asarray(rng.integers(0, 4, 40))
    value = lambda f: lambda x: f(x, labels, mining=mining, margin=0.3, soft=True).sum()
    close(*(jax.jit(jax.value_and_grad(value(f)))(x) for f in (jl.triplet_loss, plain)))


@pytest.mark.usefixtures("taken_apart")
@pytest.mark.parametrize("distance", ["euclidean", "squared_euclidean", "cosine"])
def test_the_hardest_is_told_from_those_nearly_as_hard(distance, rng):
    """By products, by what they leave in question, and by all where they leave too many."""
    loss = jax.jit(functools.partial(jl.triplet_loss, mining="batch_hard", distance=distance))
    right = jax.jit(functools.partial(plain, mining="batch_hard", distance=distance))
    x, labels = draw(rng, 40, 6), jnp.asarray(rng.integers(0, 4, 40))
    near = x.at[10].set(x[11]).at[20].set(x[21] * (1 + 1e-6)).at[30].set(0)
    clear = []
    for away, spread in ((0, 1), (0, 1e15), (0, 1e-15), (10, 1), (1e3, 1), (1e4, 1e-2)):
        points = (away * jnp.arange(6.0)[None] + (near if clear else x)) * spread
        close(loss(points, labels), right(points, labels), rtol=1e-5)
        b = batch.labelled("f", None, None, embeddings=points, labels=labels)
        clear.append(bool(hardest._in_question(distance, b)[2]))
    assert any(clear) and not all(clear)


@pytest.mark.usefixtures("taken_apart", "x64")
@pytest.mark.parametrize("mining", ["batch_all", "batch_hard"])
def test_precision_of_triplets(mining, rng):
    x, labels = labelled(rng)
    run = lambda f: jax.jit(jax.value_and_grad(lambda x: f(x, labels, mining=mining).sum()))
    wide = jnp.asarray(x, jnp.float64)
    close(run(jl.triplet_loss)(wide), run(plain)(wide), rtol=1e-13)
    half = x.astype(jnp.bfloat16)
    got, slope = run(jl.triplet_loss)(half)
    right, exact = run(plain)(half.astype(jnp.float32))
    assert got.dtype == jnp.float32 and slope.dtype == jnp.bfloat16
    close((got, slope.astype(jnp.float32)), (right, exact), rtol=1e-2)


@pytest.mark.usefixtures("taken_apart")
@pytest.mark.parametrize("mining", ["batch_all", "batch_hard"])
def test_groups_of_all_and_of_one(mining, rng):
    x, _ = labelled(rng)
    run = jax.jit(jax.value_and_grad(lambda x, y: jl.triplet_loss(x, y, mining=mining).sum()))
    for labels in (jnp.zeros(23, int), jnp.arange(23), jnp.arange(23) // 22):
        loss, slope = run(x, labels)
        close(loss, jax.jit(functools.partial(plain, mining=mining))(x, labels).sum())
        assert np.isfinite(slope).all()


# What it costs, counted and not timed


def temp(f, members, size=64):
    x = jax.ShapeDtypeStruct((members, size), jnp.float32)
    labels = jax.ShapeDtypeStruct((members,), jnp.int32)
    step = jax.jit(jax.value_and_grad(lambda x, y: f(x, y).sum()))
    return step.lower(x, labels).compile().memory_analysis().temp_size_in_bytes


@pytest.mark.parametrize(("mining", "share"), [("batch_all", 0.04), ("batch_hard", 0.2)])
def test_triplets_take_the_memory_of_pairs(mining, share):
    ours, held = (functools.partial(f, mining=mining) for f in (jl.triplet_loss, plain))
    assert temp(ours, 128) <= share * temp(held, 128)
    assert temp(ours, 512) <= 4.5 * temp(ours, 256)
