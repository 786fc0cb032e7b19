"""Pairs, triplets and batches: brute force, mining, splitting over devices, edges, messages."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

import jaxloss as jl
from jaxloss.contrastive import similarity

NAN, INF = np.nan, np.inf

LABELLED = [
    "circle_loss",
    "contrastive_loss",
    "lifted_structured_loss",
    "multi_similarity_loss",
    "ntxent",
    "supervised_contrastive_loss",
    "triplet_loss",
]
PAIRED = [
    "clip_loss",
    "decoupled_contrastive_loss",
    "info_nce_loss",
    "n_pairs_loss",
    "siglip_loss",
]
DISTANCES = ["contrastive_loss", "lifted_structured_loss", "triplet_loss"]
SIX = np.array([0, 1, 0, 2, 1, 0])


@functools.cache
def compiled(name, **options):
    """Return a function to the losses and the gradients of their sum, compiled once."""
    loss = functools.partial(getattr(jl, name), **options)

    @jax.jit
    def run(first, second, where):
        if name in PAIRED:
            value, pull = jax.vjp(lambda a, b: loss(a, b, where=where), first, second)
            return value, *pull(jnp.ones_like(value))
        value, pull = jax.vjp(lambda x: loss(x, second, where=where), first)
        return value, *pull(jnp.ones_like(value))

    return run


def evaluate(name, first, second, where=None, **options):
    """Return the losses and gradients of a set, or of two.

    Compiling is what takes the time. So one set is evaluated as two of it, and one program serves
    nearly all tests of a loss.
    """
    where = np.ones(np.shape(first)[:-1], bool) if where is None else np.asarray(where)
    run = compiled(name, **options)
    if np.ndim(first) == 3:
        return [np.asarray(a) for a in run(first, second, where)]
    return [np.asarray(a)[0] for a in run(*(np.stack([a, a]) for a in (first, second, where)))]


def second_argument(name, rng, labels=SIX):
    return rng.normal(size=(6, 3)).astype(np.float32) if name in PAIRED else labels


# Distances and similarities


@pytest.mark.parametrize("p", [1.0, 1.5, 2.0, 3.0, 7.0])
def test_distances_are_norms_of_differences(rng, p):
    x, y = rng.normal(size=(2, 5, 3)), rng.normal(size=(2, 4, 3))
    expected = np.linalg.norm(x[:, :, None] - y[:, None], ord=p, axis=-1)
    got = similarity.distances(*map(jnp.float32, (x, y)), p=p)
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    np.testing.assert_allclose(
        similarity.distances(jnp.float32(x), jnp.float32(y), p=jnp.float32(p)), expected, rtol=1e-5
    )


def test_similarities_by_name(rng):
    x, y = rng.normal(size=(2, 5, 3)), rng.normal(size=(2, 4, 3))
    cosines = np.einsum("bnd,bmd->bnm", x, y)
    cosines /= np.linalg.norm(x, axis=-1)[:, :, None] * np.linalg.norm(y, axis=-1)[:, None]
    difference = x[:, :, None] - y[:, None]
    expected = {
        "euclidean": np.sqrt((difference**2).sum(-1)),
        "squared_euclidean": (difference**2).sum(-1),
        "manhattan": np.abs(difference).sum(-1),
        "cosine": 1 - cosines,
    }
    assert set(expected) == set(similarity.DISTANCES)
    for name, value in expected.items():
        got = similarity.distance("f", name, jnp.float32(x), jnp.float32(y))
        np.testing.assert_allclose(got, value, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        similarity.similarity("f", "dot", jnp.float32(x), jnp.float32(y)),
        np.einsum("bnd,bmd->bnm", x, y),
        atol=1e-5,
    )
    np.testing.assert_allclose(
        similarity.similarity("f", "cosine", jnp.float32(x), jnp.float32(y)), cosines, atol=1e-6
    )


@pytest.mark.parametrize("name", similarity.DISTANCES)
def test_coincident_points_have_distance_0_and_no_gradient(name):
    x = jnp.array([[3.0, -4.0], [0.1, 0.7]])
    value, pull = jax.vjp(lambda x: jnp.diagonal(similarity.distance("f", name, x, x + 0.0)), x)
    np.testing.assert_array_equal(value, 0)
    np.testing.assert_array_equal(pull(jnp.ones(2))[0], 0)


def test_near_points_keep_their_digits():
    """By the expansion |x|^2 - 2 <x, y> + |y|^2 both would be 0, or negative."""
    x = jnp.array([[1000.0, 1.0]])
    y = x + jnp.array([[0.0, 2.0**-20]])
    assert similarity.distances(x, y)[0, 0] == 2.0**-20
    assert similarity.distances(x, y, squared=True)[0, 0] == 2.0**-40
    np.testing.assert_allclose(similarity.cosine_distances(x, y), 0.5 * 2.0**-40 / 1e6, rtol=0.1)


# Values, by brute force in NumPy over every anchor


def brute(name, x, second, where):
    """Straight from the formulas, with loops; float64."""
    x = np.asarray(x, np.float64)
    n = len(x)
    losses = np.zeros(n)
    unit = lambda v: v / np.linalg.norm(v)
    cos = lambda a, b: unit(a) @ unit(b)
    dist = lambda i, j: np.linalg.norm(x[i] - x[j])
    for i in np.flatnonzero(where):
        others = [j for j in range(n) if where[j] and j != i]
        if name in PAIRED:
            y = np.asarray(second, np.float64)
            rivals = [*others, i]
            if name == "n_pairs_loss":
                losses[i] = np.log(sum(np.exp(x[i] @ y[j] - x[i] @ y[i]) for j in rivals))
            elif name == "siglip_loss":
                losses[i] = sum(
                    np.log1p(np.exp((-1 if j == i else 1) * (cos(x[i], y[j]) / 0.1 - 10)))
                    for j in rivals
                )
            elif name == "decoupled_contrastive_loss":
                rest = sum(np.exp(cos(x[i], z[j]) / 0.1) for j in others for z in (x, y))
                losses[i] = np.log(rest) - cos(x[i], y[i]) / 0.1 if others else 0
            else:
                row = np.log(
                    sum(np.exp((cos(x[i], y[j]) - cos(x[i], y[i])) / 0.07) for j in rivals)
                )
                column = sum(np.exp((cos(x[j], y[i]) - cos(x[i], y[i])) / 0.07) for j in rivals)
                losses[i] = (row + np.log(column)) / 2 if name == "clip_loss" else row
            continue
        near = [j for j in others if second[j] == second[i]]
        far = [j for j in others if second[j] != second[i]]
        s = lambda j, i=i: cos(x[i], x[j])
        if name == "contrastive_loss":
            terms = [dist(i, j) ** 2 / 2 for j in near]
            terms += [max(0, 1 - dist(i, j)) ** 2 / 2 for j in far]
            losses[i] = np.mean(terms) if terms else 0
        elif name == "multi_similarity_loss":
            losses[i] = np.log1p(sum(np.exp(-2 * (s(j) - 0.5)) for j in near)) / 2
            losses[i] += np.log1p(sum(np.exp(50 * (s(j) - 0.5)) for j in far)) / 50
        elif name == "circle_loss":
            pull = sum(np.exp(-80 * max(0, 1.4 - s(j)) * (s(j) - 0.6)) for j in near)
            push = sum(np.exp(80 * max(0, s(j) + 0.4) * (s(j) - 0.4)) for j in far)
            losses[i] = np.log1p(pull * push)
        elif not near:
            continue
        elif name == "ntxent":
            rest = sum(np.exp(s(k) / 0.07) for k in far)
            losses[i] = np.mean([np.log1p(rest / np.exp(s(j) / 0.07)) for j in near])
        elif name == "supervised_contrastive_loss":
            rest = sum(np.exp(s(k) / 0.1) for k in others)
            losses[i] = np.mean([np.log(rest) - s(j) / 0.1 for j in near])
        elif name == "lifted_structured_loss":
            for j in near:
                far_j = [k for k in range(n) if where[k] and second[k] != second[j]]
                rest = sum(np.exp(1 - dist(i, k)) for k in far)
                rest += sum(np.exp(1 - dist(j, k)) for k in far_j)
                if rest:
                    losses[i] += max(0, np.log(rest) + dist(i, j)) ** 2 / 2 / len(near)
        elif far:
            hard = max(dist(i, j) for j in near) - min(dist(i, k) for k in far)
            losses[i] = max(0, hard + 0.2)
    return losses


@pytest.mark.parametrize("name", LABELLED + PAIRED)
def test_brute_force_with_ragged_masks(name, rng):
    for _ in range(4):
        x = rng.normal(size=(6, 3)).astype(np.float32)
        second = second_argument(name, rng, rng.integers(0, 3, 6))
        where = rng.random(6) < 0.8
        value = evaluate(name, x, second, where)[0]
        expected = brute(name, x, second, where)
        np.testing.assert_allclose(value, expected, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", LABELLED + PAIRED)
def test_sets_do_not_see_each_other(name, rng):
    x = rng.normal(size=(2, 6, 3)).astype(np.float32)
    second = np.stack([second_argument(name, rng), second_argument(name, rng)])
    together = evaluate(name, x, second)
    for k in range(2):
        for got, expected in zip(together, evaluate(name, x[k], second[k]), strict=True):
            np.testing.assert_allclose(got[k], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", LABELLED + PAIRED)
def test_a_masked_member_does_not_exist(name, rng):
    """Leaving a member out is the same as never having had it, whatever stands there."""
    x = rng.normal(size=(6, 3)).astype(np.float32)
    second = second_argument(name, rng)
    where = np.array([True, True, False, True, True, True])
    x[2] = NAN
    if name in PAIRED:
        second[2] = INF
    value, *slopes = evaluate(name, x, second, where)
    np.testing.assert_allclose(value, brute(name, x, second, where), rtol=2e-5, atol=2e-6)
    assert value[2] == 0
    for slope in slopes:
        assert np.isfinite(slope).all() and not slope[2].any()


# Mining: weights against brute force


def mined(miner, distances, labels):
    n = len(labels)
    same = labels[:, None] == labels
    positive = same & ~np.eye(n, dtype=bool)
    return [np.asarray(a) for a in miner(jnp.float32(distances), positive, ~same)]


@pytest.mark.parametrize("trial", range(6))
def test_miners_take_the_triplets_they_should(trial, rng):
    rng = np.random.default_rng(trial)
    labels = rng.integers(0, 3, 7)
    distances = rng.integers(1, 9, size=(7, 7)).astype(float)  # with many ties
    sides = [
        (
            [j for j in range(7) if j != i and labels[j] == labels[i]],
            np.flatnonzero(labels != labels[i]),
        )
        for i in range(7)
    ]
    everything = {
        miner: mined(getattr(jl, miner), distances, labels)
        for miner in jl.contrastive.mining.MINERS
    }
    for i, (near, far) in enumerate(sides):
        d = distances[i]
        expected = {"batch_all": [], "batch_hard": [], "semi_hard": []}
        if near and len(far):
            expected["batch_all"] = [(d[j], d[k]) for j in near for k in far]
            expected["batch_hard"] = [(d[near].max(), d[far].min())]
            for j in near:
                beyond = d[far][d[far] > d[j]]
                expected["semi_hard"].append((d[j], beyond.min() if beyond.size else d[far].max()))
        for miner, (positive, negative, weight) in everything.items():
            assert set(np.unique(weight[i])) <= {0.0, 1.0}
            taken = weight[i] > 0
            got = sorted(zip(positive[i][taken], negative[i][taken], strict=True))
            assert got == sorted(expected[miner]), (miner, i)


def test_distance_weighted_takes_negatives_by_the_inverse_density(rng):
    labels = np.array([0, 0, 1, 1, 2, 2])
    x = rng.normal(size=(6, 4))
    x /= np.linalg.norm(x, axis=-1, keepdims=True)
    distances = np.linalg.norm(x[:, None] - x, axis=-1)
    miner = functools.partial(jl.distance_weighted, size=4, nearest=0.75, furthest=1.5)
    positive, negative, weight = mined(miner, distances, labels)
    for i in range(6):
        (j,) = [j for j in range(6) if j != i and labels[j] == labels[i]]
        far = [k for k in range(6) if labels[k] != labels[i] and distances[i, k] < 1.5]
        d = np.maximum(distances[i, far], 0.75)
        inverse = 1 / (d**2 * np.sqrt(1 - d**2 / 4))
        taken = weight[i] > 0
        np.testing.assert_allclose(positive[i][taken], distances[i, j], rtol=1e-6)
        np.testing.assert_allclose(negative[i][taken], distances[i, far], rtol=1e-6)
        np.testing.assert_allclose(weight[i][taken], inverse / inverse.sum(), rtol=1e-5)
    assert not mined(miner, 0 * distances + 1.6, labels)[2].any()
    options = {"mining": miner, "margin": 0.5}
    loss = np.asarray(jl.triplet_loss(x.astype(np.float32), labels, **options))
    cost = np.maximum(positive - negative + 0.5, 0)
    total = weight.sum(axis=-1)
    np.testing.assert_allclose(
        loss, (weight * cost).sum(axis=-1) / np.where(total == 0, 1, total), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("mining", ["batch_all", "batch_hard", "semi_hard"])
def test_what_is_unknown_is_not_mined_away(mining):
    x = np.float32([[0.0], [1.0], [5.0], [NAN]])
    got = jax.jit(jl.triplet_loss, static_argnames="mining")(
        x, np.array([0, 0, 1, 1]), mining=mining
    )
    assert np.isnan(got).all()


def test_the_weights_of_a_miner_have_no_gradient():
    def closeness(distances, positive, negative):
        near, far, weight = jl.batch_all(distances, positive, negative)
        return jl.Triplets(near, far, weight * far)

    x, labels = np.float32([[0.0], [1.0], [1.5], [3.0]]), np.array([0, 0, 1, 1])
    anchor = lambda x: jl.triplet_loss(x, labels, mining=closeness, margin=9.0)[0]
    slope = jax.jit(jax.grad(anchor))(x)
    # Anchor 0: distance 1 less the mean of 1.5 and 3, weighted by 1.5 and 3.
    np.testing.assert_allclose(slope.ravel(), [0.0, 1.0, -1 / 3, -2 / 3], atol=1e-6)


# The defects that others have


def test_triplet_margin_loss_in_every_norm():
    a, p, n = (np.float32([v]) for v in ([1, 2, 3], [2, 1, 5], [5, -2, 1]))
    run = jax.jit(
        jax.value_and_grad(
            lambda a, q, m: jl.triplet_margin_loss(a, p, n, norm_degree=q, margin=m, eps=0.0).sum()
        )
    )
    value, slope = run(a, 1.0, 20.0)
    np.testing.assert_allclose(value, 14.0)  # 4 - 10 + 20
    np.testing.assert_allclose(slope, [[0.0, 0.0, -2.0]])
    value, slope = run(a, 3.0, 20.0)
    np.testing.assert_allclose(value, 10 ** (1 / 3) - 136 ** (1 / 3) + 20, rtol=1e-6)
    expected = np.array([-1, 1, -4]) / 10 ** (2 / 3) - np.array([-16, 16, 4]) / 136 ** (2 / 3)
    np.testing.assert_allclose(slope[0], expected, rtol=1e-5)


def test_triplet_margin_loss_variants_by_hand():
    a, p, n = np.float32([0.0, 0.0]), np.float32([3.0, 4.0]), np.float32([4.0, 0.0])
    hand = functools.partial(jl.triplet_margin_loss, eps=0.0)
    loss = lambda **options: jax.jit(functools.partial(hand, **options))(a, p, n)
    np.testing.assert_allclose(loss(), 2.0)
    np.testing.assert_allclose(loss(squared=True), 25 - 16 + 1)
    closer = jl.triplet_margin_loss(a, p, np.float32([3.0, 9.0]), eps=0.0, swap=True)
    np.testing.assert_allclose(closer, 5 - 5 + 1, rtol=1e-6)
    np.testing.assert_allclose(loss(soft=True, margin=0.0), np.log1p(np.e), rtol=1e-6)
    np.testing.assert_allclose(loss(norm_degree=1, margin=-2.5), 0.5)
    assert jl.triplet_margin_loss(a, n, p, eps=0.0) == 0


def test_triplet_margin_loss_is_smooth_at_coincident_points_by_its_epsilon():
    at = lambda x: jl.triplet_margin_loss(x, jnp.zeros(2), jnp.ones(2), margin=5.0, eps=0.25)
    curvature = np.asarray(jax.jit(jax.hessian(at))(jnp.zeros(2)))
    # |x - p| bends by 1 / sqrt(eps); -|x - n| of norm 1.5 by -(I - uu^T / 2.25) / 1.5.
    np.testing.assert_allclose(
        curvature, 2 * np.eye(2) - (np.eye(2) - np.ones((2, 2)) / 2.25) / 1.5, rtol=1e-5
    )


@pytest.mark.parametrize("name", LABELLED)
def test_nobody_belongs_together(name):
    value, slope = evaluate(name, np.eye(6, 3, dtype=np.float32), np.arange(6))
    assert np.isfinite(value).all() and np.isfinite(slope).all()
    if name not in ("contrastive_loss", "multi_similarity_loss"):
        assert not value.any() and not slope.any()


@pytest.mark.parametrize("name", sorted({*LABELLED, *PAIRED} - {"n_pairs_loss"}))
def test_a_zero_vector_has_no_direction_and_no_gradient(name, rng):
    x = rng.normal(size=(6, 3)).astype(np.float32)
    x[1] = 0
    second = x[::-1].copy() if name in PAIRED else SIX
    options = {"distance": "cosine"} if name in DISTANCES else {}
    value, *slopes = evaluate(name, x, second, **options)
    assert np.isfinite(value).all() and not slopes[0][1].any()
    assert all(np.isfinite(slope).all() for slope in slopes)
    assert slopes[0][0].any()


def test_ntxent_at_low_temperature():
    x = np.float32([[1.0, 1e-3], [1.0, -1e-3], [-1.0, 1e-3], [-1.0, -2e-3]])
    value, slope = evaluate("ntxent", x, np.array([0, 0, 1, 1]), temperature=0.015)
    expected = 2 * np.exp(-2 / 0.015)  # at the far end of float32's range
    np.testing.assert_allclose(value, expected, atol=1e-38)
    assert np.isfinite(slope).all()
    value, slope = evaluate("ntxent", x, np.array([0, 0, 1, 1]), temperature=0.1)
    np.testing.assert_allclose(value, 2 * np.exp(-20), rtol=1e-4)
    assert slope.any()


@pytest.mark.parametrize("labels", [[0, 0, 1, 1], [0, 0, 0, 1]])
def test_ntxent_weighed_by_positives_is_optax(labels):
    import optax

    x = np.float32([[-1.9540, 1.0780], [0.2380, -0.5703], [1.8745, -0.0195], [-0.6719, -1.9210]])
    labels = np.array(labels)
    positives = (labels[:, None] == labels).sum(axis=-1) - 1.0
    got = jl.mean(jl.ntxent(x, labels), weights=positives)
    with jax.numpy_rank_promotion("allow"):
        np.testing.assert_allclose(got, optax.losses.ntxent(x, labels), rtol=1e-5)


# Sums that stay small, and designed gradients


@pytest.mark.parametrize("name", ["info_nce_loss", "clip_loss", "n_pairs_loss"])
def test_confident_pairs_keep_their_small_loss(name):
    x = np.float32(np.sqrt(30.0) * np.eye(3))
    options = {} if name == "n_pairs_loss" else {"temperature": 1 / 30}
    value, first, _ = evaluate(name, x, x, **options)
    np.testing.assert_allclose(value, 2 * np.exp(-30.0), rtol=1e-4)
    assert first.any() or name != "n_pairs_loss"


def test_circle_loss_holds_its_weights_constant():
    """The gradient is that of the formula with the weights as numbers."""
    x, labels = (
        np.float32([[1.0, 0.2], [0.7, 0.9], [0.1, 1.0], [0.8, -0.3]]),
        np.array([0, 0, 1, 1]),
    )
    cosines = similarity.cosines(jnp.asarray(x), jnp.asarray(x))
    near, far = np.maximum(1.25 - cosines, 0), np.maximum(cosines + 0.25, 0)
    same = labels[:, None] == labels
    positive = same & ~np.eye(4, dtype=bool)

    def frozen(x):
        s = similarity.cosines(x, x)
        pull = jnp.where(positive, jnp.exp(-4 * near * (s - 0.75)), 0).sum(axis=-1)
        push = jnp.where(same, 0, jnp.exp(4 * far * (s - 0.25))).sum(axis=-1)
        return jnp.log1p(pull * push).sum()

    options = {"margin": 0.25, "gamma": 4.0}
    value, slope = evaluate("circle_loss", x, labels, **options)
    total, expected = jax.value_and_grad(frozen)(jnp.asarray(x))
    np.testing.assert_allclose(value.sum(), total, rtol=1e-5)
    np.testing.assert_allclose(slope, expected, rtol=1e-4, atol=1e-5)
    same_value, other = evaluate("circle_loss", x, labels, detach=False, **options)
    np.testing.assert_array_equal(same_value, value)
    assert np.abs(other - expected).max() > 0.1


def test_contrastive_loss_bends_at_coincident_points():
    x, labels = jnp.zeros((2, 2)), np.array([0, 0])
    curvature = jax.jit(jax.hessian(lambda x: jl.contrastive_loss(x, labels).sum()))(x)
    np.testing.assert_allclose(curvature[0, :, 0, :], 2 * np.eye(2))


def test_distances_and_similarities_of_your_own(rng):
    x = rng.normal(size=(6, 3)).astype(np.float32)
    largest = lambda a, b: jnp.max(jnp.abs(a[..., :, None, :] - b[..., None, :, :]), axis=-1)
    d = np.abs(x[:, None] - x).max(axis=-1)
    got = jax.jit(functools.partial(jl.contrastive_loss, distance=largest))(x, SIX)
    same = SIX[:, None] == SIX
    terms = np.where(same, d**2, np.maximum(1 - d, 0) ** 2) / 2
    np.testing.assert_allclose(got, terms.sum(axis=-1) / 5, rtol=1e-5)
    scaled = lambda a, b: 2 * similarity.cosines(a, b)
    got = evaluate("ntxent", x, SIX, temperature=1.0, similarity=scaled)[0]
    np.testing.assert_allclose(got, evaluate("ntxent", x, SIX, temperature=0.5)[0], rtol=1e-5)


def test_a_temperature_for_each_set(rng):
    x, y = (rng.normal(size=(2, 6, 3)).astype(np.float32) for _ in range(2))
    loss = jax.jit(lambda t: jl.clip_loss(x, y, temperature=t))
    got = loss(np.float32([0.2, 0.7]))
    for k, temperature in enumerate((0.2, 0.7)):
        np.testing.assert_allclose(got[k], loss(np.float32([temperature] * 2))[k], rtol=1e-6)


# Split over devices


def split(name, devices, **options):
    mesh = jax.make_mesh((2,), ("data",), devices=devices, axis_types=(jax.sharding.AxisType.Auto,))
    loss = functools.partial(getattr(jl, name), axis_name="data", **options)
    kinds = (0, 1) if name in PAIRED else (0,)

    def local(first, second, where):
        def total(first, second):
            value = loss(first, second, where=where)
            return value.sum(), value

        slopes, value = jax.grad(total, kinds, has_aux=True)(first, second)
        return value, *slopes

    spread = P("data")
    return jax.jit(jax.shard_map(local, mesh=mesh, in_specs=spread, out_specs=spread))


@pytest.mark.parametrize("name", LABELLED + PAIRED)
def test_a_split_batch_is_the_whole_batch(name, rng, two_devices):
    """The value and the gradient of the sum over all anchors, from two shards of three members."""
    x = rng.normal(size=(6, 3)).astype(np.float32)
    second = second_argument(name, rng)
    where = np.array([True, True, True, True, False, True])
    whole = evaluate(name, x, second, where)
    parts = split(name, two_devices)(x, second, where)
    for got, expected in zip(parts, whole, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
    alone = np.concatenate(
        [evaluate(name, x[s], second[s], where[s])[0] for s in (slice(3), slice(3, 6))]
    )
    assert np.abs(alone - whole[0]).max() > 1e-3  # without axis_name it is another loss


def test_sets_of_sets_are_split_at_their_members(rng):
    """Under vmap with a named axis, for leading axes as well."""
    x = rng.normal(size=(2, 4, 6, 3)).astype(np.float32)  # shards, sets, members
    labels = rng.integers(0, 3, (2, 4, 6))
    loss = lambda x, y: jl.triplet_loss(x, y, axis_name="shard", mining="semi_hard")
    got = jax.jit(jax.vmap(loss, axis_name="shard"))(x, labels)
    joined = [np.concatenate(list(a), axis=1) for a in (x, labels)]
    expected = jax.jit(functools.partial(jl.triplet_loss, mining="semi_hard"))(*joined)
    np.testing.assert_allclose(np.concatenate(list(got), axis=1), expected, rtol=1e-5, atol=1e-6)


# Edges and messages


@pytest.mark.parametrize("name", LABELLED + PAIRED)
def test_empty_lonely_and_masked_sets(name):
    empty = np.zeros((2, 0, 3), np.float32)
    second = empty if name in PAIRED else np.zeros((2, 0), int)
    assert jax.eval_shape(getattr(jl, name), empty, second).shape == (2, 0)
    if name in ("clip_loss", "triplet_loss"):  # whose compiled programs stand for all
        assert jax.jit(getattr(jl, name))(empty, second).shape == (2, 0)
    ones = np.ones((6, 3), np.float32)
    lonely = evaluate(name, ones, ones if name in PAIRED else SIX, np.arange(6) == 3)
    expected = np.log1p(np.exp(-(1 / 0.1 - 10))) if name == "siglip_loss" else 0
    np.testing.assert_allclose(lonely[0], expected * (np.arange(6) == 3), rtol=1e-5, atol=1e-7)
    assert name == "siglip_loss" or not any(a.any() for a in lonely)
    x = np.full((6, 3), NAN, np.float32)
    results = evaluate(name, x, x if name in PAIRED else SIX, np.zeros(6, bool))
    assert not any(a.any() for a in results)


@pytest.mark.parametrize("name", LABELLED + PAIRED)
@pytest.mark.parametrize("size", [1e-20, 1e18])
def test_extreme_embeddings_are_finite(name, size, rng):
    x = (size * rng.normal(size=(6, 3))).astype(np.float32)
    second = second_argument(name, rng)
    second = (size * second).astype(np.float32) if name in PAIRED else second
    assert all(np.isfinite(a).all() for a in evaluate(name, x, second))


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precision_is_computed_in_float32(dtype, rng):
    x = jnp.asarray(rng.normal(size=(6, 3)), dtype)
    for name, second in (("triplet_loss", SIX), ("clip_loss", x[::-1])):
        value, slope = evaluate(name, x, second)[:2]
        assert value.dtype == np.float32 and slope.dtype == dtype
        wide = second if name == "triplet_loss" else second.astype(jnp.float32)
        np.testing.assert_allclose(value, evaluate(name, x.astype(jnp.float32), wide)[0], rtol=1e-6)


def test_memory_of_mining_grows_with_the_square():
    """A hard-mined batch of 512 in 16 dimensions needs no 512^3 array: that would be 512 MiB."""
    x, labels = jnp.zeros((512, 16)), jnp.zeros(512, jnp.int32)
    for mining in ("batch_hard", "semi_hard"):
        step = jax.grad(lambda x, m=mining: jl.triplet_loss(x, labels, mining=m).sum())
        used = jax.jit(step).lower(x).compile().memory_analysis().temp_size_in_bytes
        assert used < 64 * 2**20, (mining, used)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x, y: jl.triplet_loss(x, y, mining="hardest"), "mining must be one of batch_all"),
        (lambda x, y: jl.triplet_loss(x, y, distance="far"), "distance must be one of euclidean"),
        (lambda x, y: jl.ntxent(x, y, similarity="near"), "similarity must be one of cosine, dot"),
        (lambda x, y: jl.ntxent(x, y, 0.0), r"temperature must be in \(0, inf\), got 0.0"),
        (lambda x, y: jl.ntxent(x, y[:3]), "labels must be of the shape of embeddings"),
        (lambda x, y: jl.ntxent(x[0], y), r"embeddings must be of shape \[..., n, d\]"),
        (lambda x, y: jl.clip_loss(x, x[:3]), "texts must be of the same shape as images"),
        (lambda x, y: jl.triplet_margin_loss(x, x, x[:3]), "negatives must be of the same shape"),
        (
            lambda x, y: jl.triplet_margin_loss(x, x, x, norm_degree=0.5),
            r"norm_degree must be in \[1, inf\)",
        ),
        (
            lambda x, y: jl.distance_weighted(x, x, x, size=1),
            "distance_weighted: size must be at least 2, got 1",
        ),
        (
            lambda x, y: jl.distance_weighted(x, x, x, size=8, furthest=2.5),
            "0 < nearest < furthest <= 2",
        ),
        (lambda x, y: jl.siglip_loss(x, x, where=y[:2]), "where must be of shape"),
    ],
)
def test_messages(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.ones((6, 3), np.float32), SIX)


def test_labels_are_integers():
    with pytest.raises(TypeError, match="labels must be integers"):
        jl.contrastive_loss(np.ones((6, 3), np.float32), SIX.astype(np.float32))


def test_every_batch_loss_is_tried_here():
    named = set(LABELLED) | set(PAIRED) | {"triplet_margin_loss"}
    rooms = (getattr(jl.contrastive, room) for room in ("pairs", "triplet", "infonce"))
    public = {
        n for room in rooms for n in vars(room) if n in jl.__all__ and callable(getattr(jl, n))
    }
    assert named == public
    assert len(list(itertools.chain(LABELLED, PAIRED))) == len(set(LABELLED) | set(PAIRED))
