"""Angular margins, proxies and learning without labels: values by hand, edges, states, messages."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

import jaxloss as jl
from jaxloss import NormStatistics, TargetStatistics

NAN, INF = np.nan, np.inf
HALF_PI = np.pi / 2

ANGULAR = {
    "sphereface_loss": {},
    "cosface_loss": {},
    "arcface_loss": {},
    "adaface_loss": {"statistics": NormStatistics(20.0, 4.0)},
    "curricularface_loss": {"statistics": TargetStatistics(0.25)},
}


def array(*values, dtype=np.float32):
    return np.array(values, dtype)


@functools.cache
def compiled(name, **options):
    """Return a function to the loss and the gradient in its first argument."""
    loss = functools.partial(getattr(jl, name), **options)

    @jax.jit
    def run(first, *rest, **more):
        total = lambda x: (lambda v: (jnp.sum(v), v))(loss(x, *rest, **more))
        (_, value), slope = jax.value_and_grad(total, has_aux=True)(first)
        return value, slope

    return run


def evaluate(name, *data, options=None, **traced):
    return [np.asarray(a) for a in compiled(name, **(options or {}))(*data, **traced)]


def angular(name, cosines, labels, **more):
    """Return an angular loss and its gradient; norms are average where they are asked for."""
    labels = np.asarray(labels)
    data = [np.asarray(cosines, np.float32), labels]
    if name == "adaface_loss":
        data.append(np.full(labels.shape, 20.0, np.float32))
    return evaluate(name, *data, options=ANGULAR[name], **more)


# Angular margins


@pytest.mark.parametrize(
    ("name", "cosines", "options", "logits"),
    [
        # 60 degrees and another 30, 60 or 90.
        ("arcface_loss", [0.5, 0.25], {"margin": np.pi / 6}, [0.0, 0.25]),
        ("arcface_loss", [0.5, 0.25], {"margin": np.pi / 3}, [-0.5, 0.25]),
        ("arcface_loss", [0.5, 0.25], {"margin": HALF_PI}, [-(0.75**0.5), 0.25]),
        # 150 degrees and 60 are past 180: the cosine goes on, less 1 - cos(60 degrees).
        ("arcface_loss", [-(0.75**0.5), 0.5], {"margin": np.pi / 3}, [-(0.75**0.5) - 0.5, 0.5]),
        ("arcface_loss", [-1.0, 0.5], {"margin": HALF_PI}, [-2.0, 0.5]),
        ("cosface_loss", [0.5, 0.25], {"margin": 0.5}, [0.0, 0.25]),
        ("cosface_loss", [-1.0, 0.25], {"margin": 0.35}, [-1.35, 0.25]),
    ],
)
def test_values_of_fixed_margins(name, cosines, options, logits):
    value, _ = evaluate(name, array(*cosines), np.array(0), **options, scale=3.0)
    expected = np.log1p(np.exp(3 * (logits[1] - logits[0])))
    np.testing.assert_allclose(value, expected, rtol=2e-6)


@pytest.mark.parametrize(
    ("margin", "degrees", "psi"),
    [
        (2, 60, -0.5),
        (2, 120, -1.5),  # cos(240) = -0.5, turned over and lowered: 0.5 - 2
        (2, 180, -3.0),
        (3, 60, -1.0),
        (3, 90, -2.0),
        (3, 120, -3.0),
        (4, 30, -0.5),
        (4, 180, -7.0),
    ],
)
def test_values_of_the_multiplied_angle(margin, degrees, psi):
    cosines = array(np.cos(np.radians(degrees)), 0.25)
    value, _ = evaluate(
        "sphereface_loss", cosines, np.array(0), options={"margin": margin}, scale=1.0
    )
    np.testing.assert_allclose(value, np.log1p(np.exp(0.25 - psi)), rtol=2e-6)


@pytest.mark.parametrize(
    ("norm", "target"),
    [
        (20.0, 0.75 - 0.25),  # average: the cosine less the margin
        (0.0, np.cos(np.arccos(0.75) + 0.25)),  # far below: the angle and the margin
        (
            1e4,
            np.cos(np.arccos(0.75) - 0.25) - 0.5,
        ),  # far above: turned back, twice the margin less
        (22.0, np.cos(np.arccos(0.75) - 0.0625) - 0.3125),  # half a deviation above, times one half
    ],
)
def test_the_margin_follows_the_norm(norm, target):
    value, _ = evaluate(
        "adaface_loss", array(0.75, 0.25), np.array(0), np.float32(norm),
        options={"statistics": NormStatistics(20.0, 4.0)},
        margin=0.25, scale=2.0, concentration=0.5,
    )  # fmt: skip
    np.testing.assert_allclose(value, np.log1p(np.exp(2 * (0.25 - target))), rtol=2e-6)


def test_norms_are_held_constant_and_a_small_angle_is_not_turned_past_zero():
    loss = functools.partial(jl.adaface_loss, statistics=NormStatistics(20.0, 4.0), margin=0.5)
    cosines, labels, norms = array(0.95, 0.25), np.array(0), np.float32(1e4)
    assert jax.jit(jax.grad(loss, 2))(cosines, labels, norms) == 0
    # An angle of 18 degrees is less than the margin: the cosine becomes 1, less twice the margin.
    expected = np.log1p(np.exp(64 * (0.25 - (1 - 1.0))))
    np.testing.assert_allclose(loss(cosines, labels, norms), expected, rtol=1e-6)
    flat = functools.partial(jl.adaface_loss, statistics=NormStatistics(20.0, 0.0), margin=0.5)
    cosface = jl.cosface_loss(cosines, labels, margin=0.5)
    np.testing.assert_allclose(flat(cosines, labels, norms), cosface, rtol=1e-6)


def test_hard_negatives_are_modulated():
    """The label's cosine becomes 0, above which 0.5 is hard and -0.5 is not."""
    cosines = array(0.5, 0.5, -0.5)
    for r in (0.0, 0.25, 1.0):
        value, _ = evaluate(
            "curricularface_loss", cosines, np.array(0),
            statistics=TargetStatistics(np.float32(r)), margin=np.pi / 6, scale=2.0,
        )  # fmt: skip
        expected = np.log1p(np.exp(2 * 0.5 * (r + 0.5)) + np.exp(-1.0))
        np.testing.assert_allclose(value, expected, rtol=2e-6)


@pytest.mark.parametrize("name", ANGULAR)
@pytest.mark.parametrize("end", [1.0, -1.0, 1 + 2.0**-23, -1 - 2.0**-23, 1 + 2.0**-7])
def test_ends_of_the_cosine_are_finite(name, end):
    """Where an arc cosine, and its slope, would be NaN; beyond them by rounding, too."""
    for cosines in ([end, 0.0, 0.5], [0.5, end, 0.0], [end] * 3):
        value, slope = angular(name, cosines, 0)
        assert np.isfinite(value)
        assert np.isfinite(slope).all()
        assert slope[0] <= 0  # never pushed away from the label


def test_the_sine_has_no_slope_at_a_perfect_match():
    value, slope = evaluate("arcface_loss", array(1.0, 0.5), np.array(0), margin=0.5, scale=4.0)
    wrong = 1 / (1 + np.exp(4 * (np.cos(0.5) - 0.5)))
    np.testing.assert_allclose(value, -np.log1p(-wrong), rtol=1e-6)
    np.testing.assert_allclose(slope, [-4 * wrong * np.cos(0.5), 4 * wrong], rtol=1e-5)


def test_features_at_their_weights_get_finite_gradients():
    """Through the caller's own normalisation, at exact matches, opposites and near misses."""

    def loss(features, weights):
        units = lambda x: x / jnp.linalg.norm(x, axis=-1, keepdims=True)
        cosines = units(features) @ units(weights).T
        return jl.arcface_loss(cosines, jnp.arange(4) % 3).sum()

    weights = array([1.0, 2.0, 2.0], [0.3, -0.1, 0.7], [0.0, 5.0, 0.0])
    features = np.stack([2 * weights[0], -weights[1], weights[2] * 0.1, weights[0] + 1e-4])
    slopes = jax.jit(jax.grad(loss, (0, 1)))(features, weights)
    assert all(np.isfinite(s).all() for s in slopes)
    assert all(np.abs(s).max() < 1e3 for s in slopes)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("arcface_loss", {"margin": 0.5}),
        ("arcface_loss", {"margin": 1.25}),
        ("sphereface_loss", {"options": {"margin": 4}}),
        ("sphereface_loss", {"options": {"margin": 5}}),
    ],
)
def test_the_loss_falls_as_the_angle_closes(name, options):
    """Strictly, without a jump, from 180 degrees to 0."""
    own = np.cos(np.linspace(np.pi, 0.0, 4001)).astype(np.float32)
    cosines = np.stack([own, np.zeros_like(own)], axis=-1)
    value, _ = evaluate(name, cosines, np.zeros(4001, int), scale=1.0, **options)
    steps = np.diff(value)
    assert steps.max() < 1e-6
    assert value[0] - value[-1] > 0.5
    assert np.abs(steps).max() < 0.01


def test_without_margin_it_is_the_cross_entropy(rng):
    cosines = rng.uniform(-1, 1, (6, 4)).astype(np.float32)
    labels, where = rng.integers(0, 4, 6), rng.random((6, 4)) < 0.7
    for name, options in [
        ("arcface_loss", {"margin": 0.0}),
        ("cosface_loss", {"margin": 0.0}),
        ("sphereface_loss", {"options": {"margin": 1}}),
    ]:
        value, _ = evaluate(name, cosines, labels, scale=7.0, where=where, **options)
        plain, _ = evaluate(
            "softmax_cross_entropy_with_integer_labels", 7 * cosines, labels, where=where
        )
        np.testing.assert_allclose(value, plain, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ANGULAR)
def test_what_is_no_cosine_and_what_is_no_class_is_nan(name):
    for cosines, label in [([1.5, 0.0, 0.5], 0), ([0.5, -3.0, 0.0], 0), ([0.5, 0.0, 0.25], 3),
                           ([0.5, 0.0, 0.25], -100), ([0.5, NAN, 0.25], 0)]:  # fmt: skip
        value, slope = angular(name, cosines, label)
        assert np.isnan(value)
        assert np.isnan(slope).any()


@pytest.mark.parametrize("name", ANGULAR)
def test_what_stands_behind_a_mask_is_not_looked_at(name):
    where = np.array([True, False, True])
    clean = [[0.5, 0.25, 0.0], [0.0, 0.0, 0.0], [0.0, 0.5, 0.75]]
    dirty = [[0.5, 0.25, 0.0], [NAN, INF, 30.0], [0.0, 0.5, 0.75]]
    value, slope = angular(name, dirty, [0, -100, 2], where=where)
    expected, _ = angular(name, clean, [0, 1, 2])
    np.testing.assert_allclose(value[where], expected[where], rtol=1e-6)
    assert value[1] == 0
    assert not slope[1].any()


@pytest.mark.parametrize("name", ANGULAR)
def test_half_precision_is_computed_in_single(name):
    cosines = jnp.asarray([[0.5, 1.0078125, -1.0], [1.0, 0.25, 0.0]], jnp.bfloat16)
    data = [cosines, jnp.array([0, 0])]
    if name == "adaface_loss":
        data.append(jnp.asarray([18.0, 24.0], jnp.bfloat16))
    value, slope = compiled(name, **ANGULAR[name])(*data)
    wide, _ = compiled(name, **ANGULAR[name])(cosines.astype(jnp.float32), *data[1:])
    assert value.dtype == jnp.float32
    assert slope.dtype == jnp.bfloat16
    np.testing.assert_array_equal(value, wide)


# Their states


def test_norm_statistics_follow_mean_and_unbiased_deviation(rng):
    norms = rng.gamma(4.0, 5.0, (3, 5)).astype(np.float32)
    where = rng.random((3, 5)) < 0.6
    got = jl.adaface_update(
        jl.adaface_init(mean=10.0, std=2.0), np.where(where, norms, NAN), decay=0.75, where=where
    )
    seen = norms[where]
    np.testing.assert_allclose(got.mean, 7.5 + 0.25 * seen.mean(), rtol=1e-6)
    np.testing.assert_allclose(got.std, 1.5 + 0.25 * seen.std(ddof=1), rtol=1e-6)


@pytest.mark.parametrize(("count", "mean", "std"), [(0, 10.0, 2.0), (1, 20.0, 2.0)])
def test_too_few_norms_leave_the_statistics_alone(count, mean, std):
    before = jl.adaface_init(mean=10.0, std=2.0)
    after = jl.adaface_update(before, array(30.0, 99.0), decay=0.5, where=np.arange(2) < count)
    assert (after.mean, after.std) == (mean, std)


def test_target_statistics_follow_the_cosines_of_the_labels():
    cosines, labels = array([0.5, 0.1], [0.2, -0.25], [NAN, NAN]), np.array([0, 1, -100])
    update = functools.partial(jl.curricularface_update, TargetStatistics(array(0.5)[0]), cosines)
    after = update(labels, decay=0.5, where=np.array([True, True, False]))
    np.testing.assert_allclose(after.target_cosine, 0.25 + 0.5 * 0.125)
    assert update(labels, where=np.zeros(3, bool)).target_cosine == 0.5
    assert np.isnan(update(np.array([0, 7, 0]), where=np.arange(3) < 2).target_cosine)


def test_the_centre_follows_the_teacher(rng):
    logits = rng.normal(size=(2, 3, 4)).astype(np.float32)
    where = np.array([[True, False, True], [True, True, False]])
    got = jl.dino_center_update(
        jl.dino_center_init(4), np.where(where[..., None], logits, NAN), decay=0.75, where=where
    )
    np.testing.assert_allclose(got.center, 0.25 * logits[where].mean(axis=0), rtol=1e-5, atol=1e-7)
    same = jl.dino_center_update(got, logits, where=np.zeros((2, 3), bool))
    np.testing.assert_array_equal(same.center, got.center)


def test_states_are_carried_by_a_scan_and_get_no_gradient():
    def step(states, norms):
        norm, center = states
        norm = jl.adaface_update(norm, norms)
        center = jl.dino_center_update(center, jnp.stack([norms, norms]))
        return (norm, center), norm.mean

    start = (jl.adaface_init(), jl.dino_center_init(3))
    batches = jnp.ones((5, 3)) * 40
    (norm, _), means = jax.lax.scan(step, start, batches)
    np.testing.assert_allclose(means, 40 - 20 * 0.99 ** np.arange(1, 6), rtol=1e-5)
    assert norm.std < 100
    moved = jax.grad(lambda x: jl.adaface_update(jl.adaface_init(), x).mean)
    assert not np.asarray(moved(jnp.ones(3))).any()


def test_states_of_split_batches_are_those_of_the_whole(two_devices, rng):
    norms = rng.gamma(4.0, 5.0, 6).astype(np.float32)
    cosines, labels = rng.uniform(-1, 1, (6, 3)).astype(np.float32), rng.integers(0, 3, 6)
    where = np.array([True, True, True, True, False, False])

    def update(norms, cosines, labels, where, axis_name=None):
        more = {"where": where, "axis_name": axis_name, "decay": 0.5}
        return (
            jl.adaface_update(jl.adaface_init(), norms, **more),
            jl.curricularface_update(jl.curricularface_init(), cosines, labels, **more),
            jl.dino_center_update(jl.dino_center_init(3), cosines, **more),
            jl.center_update(jnp.ones((3, 3)), cosines, labels, rate=0.5, where=where,
                             axis_name=axis_name),
        )  # fmt: skip

    mesh = jax.make_mesh((2,), ("batch",), axis_types=(AxisType.Auto,), devices=two_devices)
    split = jax.shard_map(
        functools.partial(update, axis_name="batch"),
        mesh=mesh, in_specs=P("batch"), out_specs=P(),
    )  # fmt: skip
    data = (norms, cosines, labels, where)
    got, whole = jax.jit(split)(*data), jax.jit(update)(*data)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


# Proxies


def _proxies(rng, n=7, classes=4, size=3):
    return (
        rng.normal(size=(2, n, size)).astype(np.float32),
        rng.normal(size=(2, classes, size)).astype(np.float32),
        rng.integers(0, classes - 1, (2, n)),  # the last class has no members
        rng.random((2, n)) < 0.7,
    )


def _units(x):
    x = np.asarray(x, np.float64)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def test_proxy_nca_by_brute_force(rng):
    embeddings, proxies, labels, where = _proxies(rng)
    square = np.sum((_units(embeddings)[:, :, None] - _units(proxies)[:, None]) ** 2, axis=-1)
    for own in (True, False):
        value, _ = evaluate(
            "proxy_nca_loss", embeddings, proxies, labels,
            options={"include_positive": own}, temperature=0.25, where=where,
        )  # fmt: skip
        for s, i in np.ndindex(labels.shape):
            weight = np.exp(-square[s, i] / 0.25)
            rest = weight.sum() - (0 if own else weight[labels[s, i]])
            expected = -np.log(weight[labels[s, i]] / rest) if where[s, i] else 0
            np.testing.assert_allclose(value[s, i], expected, rtol=2e-5, atol=1e-5)


def test_proxy_anchor_by_brute_force(rng):
    embeddings, proxies, labels, where = _proxies(rng)
    cosines = _units(embeddings) @ _units(proxies).transpose(0, 2, 1)
    value, _ = evaluate(
        "proxy_anchor_loss", embeddings, proxies, labels, margin=0.2, scale=8.0, where=where
    )
    for s in range(2):
        pull, push = [], []
        for k in range(4):
            own = where[s] & (labels[s] == k)
            push.append(np.log1p(np.exp(8 * (cosines[s, where[s] & ~own, k] + 0.2)).sum()))
            if own.any():
                pull.append(np.log1p(np.exp(-8 * (cosines[s, own, k] - 0.2)).sum()))
        np.testing.assert_allclose(value[s], np.mean(pull) + np.mean(push), rtol=1e-5)


@pytest.mark.parametrize("name", ["proxy_nca_loss", "proxy_anchor_loss", "center_loss"])
def test_masked_members_are_not_looked_at(name, rng):
    embeddings, proxies, labels, where = _proxies(rng)
    value, slope = evaluate(name, embeddings, proxies, labels, where=where)
    hidden = np.where(where[..., None], embeddings, NAN)
    dirty, dirty_slope = evaluate(name, hidden, proxies, np.where(where, labels, -100), where=where)
    np.testing.assert_array_equal(value, dirty)
    np.testing.assert_array_equal(slope, dirty_slope)
    assert not slope[~where].any()
    nothing = np.zeros_like(where)
    for vectors in (proxies, np.full_like(proxies, NAN)):
        value, slope = evaluate(name, np.full_like(hidden, NAN), vectors, labels, where=nothing)
        assert not value.any()
        assert not slope.any()
    loss = lambda p: jnp.sum(getattr(jl, name)(hidden, p, labels, where=nothing))
    assert not np.asarray(jax.jit(jax.grad(loss))(np.full_like(proxies, NAN))).any()


@pytest.mark.parametrize("name", ["proxy_nca_loss", "proxy_anchor_loss", "center_loss"])
def test_a_label_out_of_range_shows(name, rng):
    embeddings, proxies, labels, where = _proxies(rng)
    for bad in (4, -1, -100):
        labels[0, 2] = bad
        value, slope = evaluate(name, embeddings, proxies, labels, where=np.ones_like(where))
        assert np.isnan(value[0]).any()
        assert np.isnan(slope[0, 2]).all()
        assert np.isfinite(value[1]).all()


@pytest.mark.parametrize("name", ["proxy_nca_loss", "proxy_anchor_loss"])
def test_zero_vectors_have_no_direction_and_no_gradient(name):
    embeddings = array([[0.0, 0.0], [1.0, 2.0]])
    proxies = array([[0.0, 0.0], [3.0, 0.0], [0.0, 1e-30]])
    value, slope = evaluate(name, embeddings, proxies, np.array([[0, 1]]))
    assert np.isfinite(value).all()
    assert np.isfinite(slope).all()
    assert not slope[0, 0].any()
    assert slope[0, 1].any()


def test_proxy_anchor_stays_finite_at_large_scales():
    embeddings, proxies = array([1.0, 0.0], [-1.0, 0.0]), array([1.0, 0.0], [0.0, 1.0])
    value, slope = evaluate("proxy_anchor_loss", embeddings, proxies, np.array([1, 0]), scale=1e4)
    # The first proxy is 1.1 short of its member and 1.1 past the other; the second 0.1 both ways.
    expected = (11_000 + 1_000 + 11_000 + 1_000) / 2
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    assert np.isfinite(slope).all()


def test_center_loss_pulls_members_and_centres_together(rng):
    embeddings, centers, labels, where = _proxies(rng)
    loss = lambda e, c: jnp.sum(jl.center_loss(e, c, labels, where=where))
    move, back = jax.jit(jax.grad(loss, (0, 1)))(embeddings, centers)
    own = np.stack([c[k] for c, k in zip(centers, labels, strict=True)])
    error = np.where(where[..., None], embeddings - own, 0)
    np.testing.assert_allclose(move, error, rtol=1e-6)
    expected = np.zeros_like(centers)
    for s, i in np.ndindex(labels.shape):
        expected[s, labels[s, i]] -= error[s, i]
    np.testing.assert_allclose(back, expected, rtol=1e-5, atol=1e-6)


def test_center_update_is_the_papers_rule(rng):
    embeddings, centers, labels, where = _proxies(rng)
    got = jl.center_update(
        centers, np.where(where[..., None], embeddings, NAN), labels, rate=0.25, where=where
    )
    for s, k in np.ndindex(2, 4):
        mine = embeddings[s, where[s] & (labels[s] == k)]
        step = (centers[s, k] - mine).sum(axis=0) / (1 + len(mine))
        np.testing.assert_allclose(got[s, k], centers[s, k] - 0.25 * step, rtol=1e-5, atol=1e-6)


# Statistics of sets


def _vicreg(x, z, weights=(25.0, 25.0, 1.0), target_std=1.0, epsilon=1e-4):
    d = x.shape[1]
    invariance = np.mean((x - z) ** 2)
    variance = covariance = 0.0
    for view in (x, z):
        c = np.cov(view, rowvar=False)
        variance += np.maximum(0, target_std - np.sqrt(np.diag(c) + epsilon)).mean() / 2
        covariance += (c**2).sum() / d - (np.diag(c) ** 2).sum() / d
    return weights[0] * invariance + weights[1] * variance + weights[2] * covariance


def _barlow(x, z, weight=5e-3):
    c = np.corrcoef(x, z, rowvar=False)[: x.shape[1], x.shape[1] :]
    diagonal = np.diag(c)
    return np.sum((1 - diagonal) ** 2) + weight * ((c**2).sum() - (diagonal**2).sum())


def _uniformity(x, scale=2.0):
    square = np.sum((_units(x)[:, None] - _units(x)[None]) ** 2, axis=-1)
    return np.log(np.exp(-scale * square[np.triu_indices(len(x), 1)]).mean())


def _views(rng, n=8, size=3):
    first = rng.normal(0.5, [0.6, 1.0, 1.5], (2, n, size)).astype(np.float32)
    second = (0.7 * first + rng.normal(0, 0.5, first.shape)).astype(np.float32)
    where = rng.random((2, n)) < 0.7
    where[:, :3] = True
    return first, second, where


@pytest.mark.parametrize(
    ("name", "expected"), [("vicreg_loss", _vicreg), ("barlow_twins_loss", _barlow)]
)
def test_statistics_of_two_views_by_brute_force(name, expected, rng):
    first, second, where = _views(rng)
    dirty = [np.where(where[..., None], x, NAN) for x in (first, second)]
    value, slope = evaluate(name, *dirty, where=where)
    np.testing.assert_allclose(
        value,
        [expected(x[w], z[w]) for x, z, w in zip(first, second, where, strict=True)],
        rtol=2e-5,
    )
    assert np.isfinite(slope).all()
    assert not slope[~where].any()


def test_uniformity_by_brute_force(rng):
    first, _, where = _views(rng)
    value, slope = evaluate(
        "uniformity_loss", np.where(where[..., None], first, INF), where=where, scale=3.0
    )
    expected = [_uniformity(x[w], 3.0) for x, w in zip(first, where, strict=True)]
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    assert not slope[~where].any()


def test_the_papers_vicreg_is_had_by_its_weights(rng):
    """Invariance summed over components and variance over views, as in its equations."""
    x, z, _ = _views(rng)
    n, d = x.shape[1:]
    value, _ = evaluate("vicreg_loss", x, z, invariance_weight=2.0 * d, variance_weight=2 * 3.0)
    for s in range(2):
        short = [np.maximum(0, 1 - np.sqrt(v[s].var(0, ddof=1) + 1e-4)).mean() for v in (x, z)]
        expected = 2 * np.sum((x[s] - z[s]) ** 2) / n + 3 * sum(short)
        expected += _vicreg(x[s], z[s], (0.0, 0.0, 1.0))
        np.testing.assert_allclose(value[s], expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "collapsed"), [("vicreg_loss", 25 * 0.99), ("barlow_twins_loss", 3.0)]
)
def test_a_collapsed_set_has_no_gradient_and_a_known_cost(name, collapsed):
    """0.1 times 7 divided by 7 is not 0.1 in float32: rounding must not look like variance."""
    points = np.full((1, 7, 3), 0.1, np.float32)
    value, slope = evaluate(name, points, points, where=np.ones((1, 7), bool))
    np.testing.assert_allclose(value, collapsed, rtol=1e-6)
    assert not slope.any()


def test_one_constant_component_leaves_the_others_alone(rng):
    first, second, _ = _views(rng)
    first[..., 1] = 0.3
    value, slope = evaluate("barlow_twins_loss", first, second, where=np.ones((2, 8), bool))
    for s in range(2):
        c = np.corrcoef(first[s][:, ::2], second[s], rowvar=False)[:2, 2:]
        square = (c**2).sum() - c[0, 0] ** 2 - c[1, 2] ** 2
        expected = (1 - c[0, 0]) ** 2 + 1 + (1 - c[1, 2]) ** 2 + 5e-3 * square
        np.testing.assert_allclose(value[s], expected, rtol=1e-5)
    assert not slope[..., 1].any()
    assert slope[..., 0].any()


@pytest.mark.parametrize("name", ["vicreg_loss", "barlow_twins_loss", "uniformity_loss"])
@pytest.mark.parametrize("count", [0, 1])
def test_too_few_members(name, count, rng):
    first, second, _ = _views(rng)
    views = (first,) if name == "uniformity_loss" else (first, second)
    where = np.broadcast_to(np.arange(8) < count, (2, 8))
    value, slope = evaluate(name, *views, where=where)
    assert np.isfinite(value).all()
    assert np.isfinite(slope).all()
    if count == 0 or name == "uniformity_loss":
        assert not value.any()
        assert not slope.any()


def test_uniformity_of_one_point_is_zero_and_of_opposites_least():
    assert evaluate("uniformity_loss", np.full((4, 3), 0.1, np.float32))[0] == 0
    value, slope = evaluate("uniformity_loss", array([2.0, 0.0], [-3.0, 0.0]))
    np.testing.assert_allclose(value, -8.0)
    np.testing.assert_allclose(slope, 0, atol=1e-6)
    # A zero vector is at right angles with everything.
    value, slope = evaluate("uniformity_loss", array([2.0, 0.0], [0.0, 0.0]))
    np.testing.assert_allclose(value, -4.0)
    assert np.isfinite(slope).all()


@pytest.mark.parametrize(
    "name", ["vicreg_loss", "barlow_twins_loss", "proxy_anchor_loss", "uniformity_loss"]
)
def test_split_over_devices_it_is_the_loss_of_the_whole(name, two_devices, rng):
    """Value on every device, and gradients in what is split and in what is not."""
    n = 8
    first, second, where = _views(rng, n)
    labels = rng.integers(0, 4, (2, n))
    # The second device has fewer members, of one set none.
    where[0, n // 2 :] = False
    proxies = rng.normal(size=(2, 4, 3)).astype(np.float32)

    def work(first, second, labels, where, proxies, axis_name=None):
        def total(first, other):
            data = (first, other, labels) if "proxy" in name else (first, other)
            data = data[:1] if name == "uniformity_loss" else data
            value = getattr(jl, name)(*data, where=where, axis_name=axis_name)
            return jnp.sum(value), value

        other = proxies if "proxy" in name else second
        (_, value), slopes = jax.value_and_grad(total, (0, 1), has_aux=True)(first, other)
        return value, *slopes

    data = (first, second, labels, where, proxies)
    mesh = jax.make_mesh((2,), ("batch",), axis_types=(AxisType.Auto,), devices=two_devices)
    members = P(None, "batch")
    split = jax.shard_map(
        functools.partial(work, axis_name="batch"),
        mesh=mesh,
        in_specs=(members, members, members, members, P()),
        out_specs=(P(), members, P() if "proxy" in name else members),
    )
    for got, whole in zip(jax.jit(split)(*data), jax.jit(work)(*data), strict=True):
        np.testing.assert_allclose(got, whole, rtol=2e-5, atol=1e-6)


# Pairs of views, and a teacher


def test_byol_and_simsiam_by_hand():
    predictions = array([3.0, 4.0], [2.0, 0.0], [1.0, 0.0], [0.0, 0.0])
    targets = array([10.0, 0.0], [5.0, 0.0], [-2.0, 0.0], [1.0, 0.0])
    cosines = array(0.6, 1.0, -1.0, 0.0)
    byol, slope = evaluate("byol_loss", predictions, targets)
    np.testing.assert_allclose(byol, 2 - 2 * cosines, atol=1e-6)
    assert byol[1] == 0
    assert np.isfinite(slope).all()
    assert not slope[3].any()
    simsiam, _ = evaluate("simsiam_loss", predictions, targets)
    np.testing.assert_allclose(simsiam, -cosines, rtol=1e-6)


@pytest.mark.parametrize("name", ["byol_loss", "simsiam_loss"])
def test_targets_get_no_gradient(name, rng):
    predictions, targets = rng.normal(size=(2, 4, 3)).astype(np.float32)
    total = lambda p, t: jnp.sum(getattr(jl, name)(p, t))
    slopes = jax.jit(jax.grad(total, (0, 1)))(predictions, targets)
    assert np.asarray(slopes[0]).any()
    assert not np.asarray(slopes[1]).any()


@pytest.mark.parametrize(("alpha", "expected"), [(1.0, 2**0.5), (2.0, 2.0), (3.0, 8**0.5)])
def test_alignment_by_hand(alpha, expected):
    first, second = array([2.0, 0.0], [1.0, 1.0], [0.0, 0.0]), array([0, 5], [1, 1], [1, 0])
    value, slope = evaluate("alignment_loss", first, second, alpha=alpha)
    np.testing.assert_allclose(value, [expected, 0, expected], rtol=1e-6)
    assert np.isfinite(slope).all()
    assert not slope[1:].any()


def test_alignment_keeps_its_curvature_at_equal_directions():
    point = jnp.array([1.0, 0.0])
    hessian = jax.jit(jax.hessian(lambda x: jl.alignment_loss(x, point)))(point)
    np.testing.assert_allclose(hessian, [[0.0, 0.0], [0.0, 2.0]], atol=1e-6)


def test_dino_by_hand():
    """Centred teacher logits of 0 and log(3) at temperature 1: shares of 1/4 and 3/4."""
    student = array(1.0, 0.0)
    teacher = array(5.0, np.log(3.0) - 1)
    value, slope = evaluate(
        "dino_loss", student, teacher, center=array(5.0, -1.0),
        student_temperature=0.5, teacher_temperature=1.0,
    )  # fmt: skip
    p = np.exp([2.0, 0.0]) / np.exp([2.0, 0.0]).sum()
    np.testing.assert_allclose(value, -0.25 * np.log(p[0]) - 0.75 * np.log(p[1]), rtol=1e-6)
    np.testing.assert_allclose(slope, (p - [0.25, 0.75]) / 0.5, rtol=1e-5)


def test_the_teacher_gets_no_gradient_and_classes_can_be_masked():
    loss = functools.partial(jl.dino_loss, center=jnp.zeros(3))
    student, teacher = jnp.array([1.0, 0.5, 9.0]), jnp.array([0.5, 0.25, 1.0])
    slope = jax.jit(jax.grad(lambda t: loss(student, t)))(teacher)
    assert not np.asarray(slope).any()
    where = jnp.array([[True, True, False]])
    masked = loss(student[None].at[0, 2].set(jnp.nan), teacher[None], where=where)
    short = jl.dino_loss(student[:2], teacher[:2], center=jnp.zeros(2))
    np.testing.assert_allclose(masked[0], short, rtol=1e-6)


def test_dino_where_the_teacher_is_sure_costs_nothing_for_an_impossible_class():
    teacher, student = array(100.0, -INF), array(1.0, -INF)
    value, slope = evaluate("dino_loss", student, teacher, center=np.zeros(2, np.float32))
    assert value == 0
    assert np.isfinite(slope).all()


# Messages


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: jl.sphereface_loss(jnp.zeros(3), jnp.array(0), margin=2.0), TypeError,
         r"sphereface_loss: margin must be a whole number, got 2.0 \(float\)"),
        (lambda: jl.sphereface_loss(jnp.zeros(3), jnp.array(0), margin=0), ValueError,
         "sphereface_loss: margin must be at least 1, got 0"),
        (lambda: jl.arcface_loss(jnp.zeros(3), jnp.array(0), margin=28.6), ValueError,
         "arcface_loss: margin must be in .0, 1.57"),
        (lambda: jl.arcface_loss(jnp.zeros((2, 3)), jnp.zeros(2)), TypeError,
         "arcface_loss: labels must be integers"),
        (lambda: jl.cosface_loss(jnp.zeros((2, 3)), jnp.zeros(3, int)), ValueError,
         "cosface_loss: labels must be of the shape of cosines"),
        (lambda: jl.adaface_loss(jnp.zeros((2, 3)), jnp.zeros(2, int), jnp.ones((2, 1)),
                                 statistics=jl.adaface_init()), ValueError,
         "adaface_loss: norms must be of the shape of labels"),
        (lambda: jl.adaface_loss(jnp.zeros(3), jnp.array(0), jnp.array(1.0),
                                 statistics=NormStatistics(1.0, -1.0)), ValueError,
         "adaface_loss: statistics.std must be in"),
        (lambda: jl.adaface_update(jl.adaface_init(), jnp.ones(3), decay=1.5), ValueError,
         "adaface_update: decay must be in"),
        (lambda: jl.proxy_nca_loss(jnp.zeros((5, 3)), jnp.zeros((4, 2)), jnp.zeros(5, int)),
         ValueError,
         r"proxy_nca_loss: proxies must be of shape \(classes, 3\), as embeddings \(5, 3\)"),
        (lambda: jl.center_loss(jnp.zeros((2, 5, 3)), jnp.zeros((4, 3)), jnp.zeros((2, 5), int)),
         ValueError, "center_loss: centers must be of shape"),
        (lambda: jl.proxy_anchor_loss(jnp.zeros((5, 3)), jnp.zeros((4, 3)), jnp.zeros(5)),
         TypeError, "proxy_anchor_loss: labels must be integers"),
        (lambda: jl.vicreg_loss(jnp.zeros((5, 3)), jnp.zeros((4, 3))), ValueError,
         "vicreg_loss: second must be of the same shape as first"),
        (lambda: jl.barlow_twins_loss(jnp.zeros(3), jnp.zeros(3)), ValueError,
         "barlow_twins_loss: first must be of shape"),
        (lambda: jl.alignment_loss(jnp.zeros(3), jnp.zeros(3), alpha=0.5), ValueError,
         "alignment_loss: alpha must be in .1, inf"),
        (lambda: jl.dino_loss(jnp.zeros((2, 3)), jnp.zeros((2, 3)), center=jnp.zeros(2)),
         ValueError, "dino_loss: center must be"),
        (lambda: jl.dino_center_update(jl.dino_center_init(2), jnp.zeros((2, 3))), ValueError,
         "dino_center_update: statistics must be of shape"),
    ],
)  # fmt: skip
def test_messages(call, error, message):
    with pytest.raises(error, match=message):
        call()
