"""Divergences of samples: values worked out by hand, brute force, edges, limits and messages."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

import jaxloss as jl

NAN, INF = np.nan, np.inf
EYE = np.eye(2, dtype=np.float32)
# Every loss of two samples of vectors, with what it needs.
OF_VECTORS = {
    "sliced_wasserstein": {"projections": EYE},
    "sinkhorn_divergence": {"epsilon": 0.7, "iterations": 40},
    "maximum_mean_discrepancy": {},
    "energy_distance": {},
}
LOSSES = {"wasserstein_1d": {}, "kantorovich_rubinstein": {}, **OF_VECTORS}


def column(*values):
    return np.array(values, np.float32)[:, None]


@functools.cache
def compiled(name, static=()):
    """Return a function to the loss and its gradients, compiled once for each shape."""
    loss = functools.partial(getattr(jl, name), **dict(static))

    @jax.jit
    def run(x, y, options):
        value, pull = jax.vjp(lambda x, y: loss(x, y, **options), x, y)
        return value, *pull(jnp.ones_like(value))

    return run


def evaluate(name, x, y, options=None, **static):
    """Return the loss and its gradients in both samples, as NumPy arrays."""
    run = compiled(name, tuple(sorted(static.items())))
    return [np.asarray(a) for a in run(np.asarray(x), np.asarray(y), options or {})]


def plan(cost, a, b):
    """Return the least cost of carrying masses a to b, by linear programming, and the duals."""
    n, m = cost.shape
    rows = np.kron(np.eye(n), np.ones(m))
    columns = np.kron(np.ones(n), np.eye(m))
    result = scipy.optimize.linprog(
        cost.ravel(), A_eq=np.vstack([rows, columns])[:-1], b_eq=np.concatenate([a, b])[:-1]
    )
    assert result.success
    return result.fun, np.append(result.eqlin.marginals, 0.0)


def costs(x, y, power=2.0):
    return np.sqrt(((x[:, None] - y[None]) ** 2).sum(-1)) ** power


def entropic(cost, a, b, epsilon):
    """Return the entropic transport cost, by scaling to convergence."""
    kernel, u = np.exp(-cost / epsilon), np.ones(len(a))
    for _ in range(3000):
        v = 1 / (kernel.T @ (a * u))
        u = 1 / (kernel @ (b * v))
    return epsilon * (a @ np.log(u) + b @ np.log(v))


# Values


@pytest.mark.parametrize(
    ("name", "options", "x", "y", "expected"),
    [
        ("wasserstein_1d", {}, [0.0, 4.0], [5.0, 1.0], 1.0),
        ("wasserstein_1d", {}, [3.0, 1.0, 2.0], [2.0], 2 / 3),
        ("wasserstein_1d", {"p": 2.0}, [0.0, 4.0], [1.0], 5.0),
        ("wasserstein_1d", {"p": 2.0, "root": True}, [3.0, 0.0], [4.0, 7.0], 4.0),
        ("wasserstein_1d", {"p": 3.0}, [0.0, 1.0, 5.0], [2.0, 5.0, 1.0], 2 / 3),
        # A quarter stays, another goes from 0 to 2, the half at 3 goes to 2.
        ("wasserstein_1d", {"weights": (1.0, 1.0), "weights_targets": (1.0, 3.0)},
         [0.0, 3.0], [0.0, 2.0], 1.0),
        ("sliced_wasserstein", {"projections": EYE}, [[0.0, 0.0], [1.0, 0.0]],
         [[3.0, 4.0], [2.0, 4.0]], 10.0),
        ("sliced_wasserstein", {"projections": EYE, "root": True}, [[0.0, 0.0]], [[3.0, 4.0]],
         12.5**0.5),
        ("sliced_wasserstein", {"projections": EYE[:1], "p": 1.0}, [[0.0, 9.0]], [[3.0, 4.0]], 3.0),
        ("kantorovich_rubinstein", {}, [0.0, 1.0], [2.0, 3.0, 4.0], 2.5),
        ("kantorovich_rubinstein", {"weights": (3.0, 1.0)}, [0.0, 4.0], [0.0], -1.0),
        # One member each: nothing to smooth.
        ("sinkhorn_divergence", {"epsilon": 3.0}, [[1.0, 2.0]], [[4.0, 6.0]], 25.0),
        # Translated copies: the squared distance whatever epsilon.
        ("sinkhorn_divergence", {"epsilon": 2.0}, [[0.0], [1.0]], [[4.0], [3.0]], 9.0),
        ("maximum_mean_discrepancy", {}, [[0.0], [0.0]], [[2.0], [2.0]], 2 - 2 * np.exp(-2.0)),
        ("maximum_mean_discrepancy", {"bandwidth": (1.0, 2.0)}, [[0.0]], [[2.0]],
         2 - np.exp(-2.0) - np.exp(-0.5)),
        ("maximum_mean_discrepancy", {"kernel": "laplace", "bandwidth": 5.0},
         [[0.0, 0.0]], [[3.0, 4.0]], 2 - 2 * np.exp(-1.0)),
        ("maximum_mean_discrepancy", {"kernel": "polynomial", "degree": 2}, [[1.0]], [[2.0]],
         4.0 - 2 * 9.0 + 25.0),
        ("maximum_mean_discrepancy", {"kernel": "energy"}, [[0.0], [2.0]], [[3.0]], 3.0),
        ("energy_distance", {}, [[0.0], [2.0]], [[3.0]], 3.0),
        # Pairs of a member with itself left out: 2 * 3 - 2 - 0.
        ("energy_distance", {"unbiased": True}, [[0.0], [2.0]], [[4.0], [4.0]], 4.0),
    ],
)  # fmt: skip
def test_values_worked_out_by_hand(name, options, x, y, expected):
    static = {k: v for k, v in options.items() if isinstance(v, str | int)}
    traced = {k: np.float32(v) for k, v in options.items() if k not in static}
    value, *_ = evaluate(name, np.float32(x), np.float32(y), traced, **static)
    np.testing.assert_allclose(value, expected, rtol=2e-6)


def test_on_the_line_transport_is_the_linear_programme(rng, x64):
    for n, m, p in ((1, 4, 1.0), (5, 3, 1.5), (4, 6, 2.0), (6, 6, 1.0)):
        x, y = rng.normal(size=n).round(1), rng.normal(0.5, 2.0, size=m).round(1)
        a, b = rng.gamma(1.0, size=n), rng.gamma(1.0, size=m)
        options = {"p": p, "weights": a, "weights_targets": b}
        expected, _ = plan(np.abs(x[:, None] - y[None]) ** p, a / a.sum(), b / b.sum())
        value, *_ = evaluate("wasserstein_1d", x, y, options)
        np.testing.assert_allclose(value, expected, rtol=1e-9)


def test_equal_masses_need_no_merging(rng, x64):
    """The short way for equal sizes and no weights is the long way."""
    x, y = rng.normal(size=(2, 5, 7))
    ones = {"weights": np.ones(7)}
    for plain, merged in zip(
        evaluate("wasserstein_1d", x, y, {"p": 2.5}),
        evaluate("wasserstein_1d", x, y, {"p": 2.5, **ones}),
        strict=True,
    ):
        np.testing.assert_allclose(plain, merged, rtol=1e-12, atol=1e-14)


def test_sliced_is_the_mean_over_the_lines(rng, x64):
    x, y, directions = rng.normal(size=(5, 3)), rng.normal(size=(4, 3)), rng.normal(size=(6, 3))
    lines = [jl.wasserstein_1d(x @ d, y @ d, p=3.0) for d in directions]
    value, *_ = evaluate("sliced_wasserstein", x, y, {"projections": directions, "p": 3.0})
    np.testing.assert_allclose(value, np.mean(lines), rtol=1e-12)


def test_sliced_never_exceeds_transport(rng, x64):
    x, y = rng.normal(size=(5, 3)), rng.normal(1.0, 2.0, size=(5, 3))
    directions = jl.random_projections(jax.random.key(1), 40, 3, "float64")
    whole, _ = plan(costs(x, y), np.full(5, 0.2), np.full(5, 0.2))
    assert 0 < jl.sliced_wasserstein(x, y, projections=directions) <= whole


def test_random_projections_are_uniform_unit_vectors():
    directions = np.asarray(jl.random_projections(jax.random.key(0), 4000, 3))
    np.testing.assert_allclose(np.linalg.norm(directions, axis=-1), 1, rtol=1e-6)
    np.testing.assert_allclose(directions.T @ directions / 4000, np.eye(3) / 3, atol=0.03)
    assert jl.random_projections(jax.random.key(0), 2, 5, "float16").dtype == jnp.float16


def test_no_lipschitz_critic_exceeds_the_distance_and_the_best_attains_it(rng, x64):
    x, y = rng.normal(size=(5, 3)), rng.normal(0.7, 1.5, size=(4, 3))
    distance, duals = plan(costs(x, y, 1.0), np.full(5, 0.2), np.full(4, 0.25))
    for _ in range(20):
        # The distance from a set of points is 1-Lipschitz.
        anchors = rng.normal(size=(3, 3))
        critic = lambda z, anchors=anchors: costs(z, anchors, 1.0).min(axis=-1)
        assert jl.kantorovich_rubinstein(critic(x), critic(y)) <= distance + 1e-12
    best = lambda z: (costs(z, y, 1.0) - duals[5:]).min(axis=-1)
    seen = jl.kantorovich_rubinstein(-best(x), -best(y))
    np.testing.assert_allclose(seen, distance, rtol=1e-9)


def test_sinkhorn_is_debiased_entropic_transport(rng, x64):
    x, y = rng.normal(size=(5, 2)), rng.normal(0.5, 1.5, size=(7, 2))
    a, b = rng.gamma(2.0, size=5), rng.gamma(2.0, size=7)
    a, b = a / a.sum(), b / b.sum()
    for epsilon in (1.0, 6.0):
        expected = entropic(costs(x, y), a, b, epsilon) - 0.5 * (
            entropic(costs(x, x), a, a, epsilon) + entropic(costs(y, y), b, b, epsilon)
        )
        options = {"epsilon": epsilon, "weights": 3 * a, "weights_targets": b}
        value, *_ = evaluate("sinkhorn_divergence", x, y, options, iterations=1000)
        np.testing.assert_allclose(value, expected, rtol=1e-10)


def test_sinkhorn_tends_to_transport_and_to_the_means(rng, x64):
    x, y = rng.normal(size=(6, 2)), rng.normal(1.0, 1.0, size=(6, 2))
    exact, _ = plan(costs(x, y), np.full(6, 1 / 6), np.full(6, 1 / 6))
    at = lambda epsilon: evaluate(
        "sinkhorn_divergence", x, y, {"epsilon": epsilon}, iterations=1000
    )[0]
    np.testing.assert_allclose(at(0.02), exact, rtol=2e-3)
    means = ((x.mean(0) - y.mean(0)) ** 2).sum()
    np.testing.assert_allclose(at(1e6), means, rtol=1e-5)


def test_sinkhorn_is_nonnegative_and_rises_with_any_number_of_iterations(rng, x64):
    x = rng.normal(size=(8, 6, 2))
    y = x + 10.0 ** rng.uniform(-3, 0.5, (8, 1, 1)) * rng.normal(size=(8, 6, 2))
    options = {"epsilon": 10.0 ** rng.uniform(-2, 1, 8)}
    values = [
        evaluate("sinkhorn_divergence", x, y, options, iterations=k)[0] for k in (1, 2, 3, 7, 30)
    ]
    assert (np.diff(values, axis=0) >= -1e-13).all()
    assert (values[0] >= 0).all()


def test_sinkhorn_needs_no_memory_of_its_iterations():
    shape = jax.ShapeDtypeStruct((64, 3), np.float32)

    def memory(iterations):
        loss = functools.partial(jl.sinkhorn_divergence, epsilon=0.1, iterations=iterations)
        program = jax.jit(jax.grad(loss, (0, 1))).lower(shape, shape).compile()
        return program.memory_analysis().temp_size_in_bytes

    assert memory(400) == memory(20)


def test_sinkhorn_second_derivatives_see_the_potentials_move(rng, x64):
    x, y, move = rng.normal(size=(3, 4, 2))
    loss = lambda x: jl.sinkhorn_divergence(x, y, epsilon=2.0, iterations=200)
    slope = jax.jit(jax.grad(loss))
    expected = (slope(x + 1e-5 * move) - slope(x - 1e-5 * move)) / 2e-5
    got = jax.jit(lambda x: jax.jvp(jax.grad(loss), (x,), (move,))[1])(x)
    back = jax.jit(jax.grad(lambda x: jnp.vdot(jax.grad(loss)(x), move)))(x)
    np.testing.assert_allclose(got, expected, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(back, got, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("unbiased", [False, True])
@pytest.mark.parametrize("kernel", ["gaussian", "laplace", "polynomial", "energy"])
def test_discrepancy_is_the_double_sum(rng, x64, kernel, unbiased):
    x, y = rng.normal(size=(4, 2)), rng.normal(0.5, 2.0, size=(5, 2))
    a, b = rng.gamma(2.0, size=4), rng.gamma(2.0, size=5)
    gap = lambda v, w: np.linalg.norm(v - w)
    k = {
        "gaussian": lambda v, w: np.exp(-(gap(v, w) ** 2) / (2 * 1.5**2)),
        "laplace": lambda v, w: np.exp(-gap(v, w) / 1.5),
        "polynomial": lambda v, w: (1 + v @ w / 1.5**2) ** 3,
        "energy": lambda v, w: -gap(v, w),
    }[kernel]

    def mean(x, y, a, b):
        pairs = [
            (a[i] * b[j], k(v, w))
            for (i, v), (j, w) in itertools.product(enumerate(x), enumerate(y))
            if not (unbiased and x is y and i == j)
        ]
        return sum(m * value for m, value in pairs) / sum(m for m, _ in pairs)

    expected = mean(x, x, a, a) - 2 * mean(x, y, a, b) + mean(y, y, b, b)
    options = {"bandwidth": 1.5, "weights": a, "weights_targets": b}
    value, *_ = evaluate(
        "maximum_mean_discrepancy", x, y, options, kernel=kernel, unbiased=unbiased
    )
    np.testing.assert_allclose(value, expected, rtol=1e-11)


def test_a_kernel_may_be_a_function(rng):
    x, y = rng.normal(size=(4, 2)).astype("f"), rng.normal(size=(5, 2)).astype("f")
    linear = lambda x, y: jnp.einsum("...nd,...md->...nm", x, y)
    value = jl.maximum_mean_discrepancy(x, y, kernel=linear)
    np.testing.assert_allclose(value, ((x.mean(0) - y.mean(0)) ** 2).sum(), rtol=1e-4)


def test_the_unbiased_estimate_averages_to_zero_where_distributions_agree(rng):
    x, y = rng.normal(size=(2, 4000, 3, 2)).astype("f")
    for name in ("maximum_mean_discrepancy", "energy_distance"):
        plain, unbiased = (evaluate(name, x, y, unbiased=u)[0] for u in (False, True))
        error = unbiased.std() / 4000**0.5
        assert abs(unbiased.mean()) < 4 * error < 0.1 * plain.mean()


def test_energy_distance_is_the_integral_of_the_squared_difference(rng, x64):
    x, y = rng.normal(size=6), rng.normal(0.5, 2.0, size=4)
    ends = np.sort(np.concatenate([x, y]))
    share = lambda z: (z[None] <= ends[:-1, None]).mean(axis=-1)
    expected = 2 * ((share(x) - share(y)) ** 2 * np.diff(ends)).sum()
    value, *_ = evaluate("energy_distance", x[:, None], y[:, None])
    np.testing.assert_allclose(value, expected, rtol=1e-12)


# Gradients where formulas have kinks


def test_a_perfect_fit_is_not_pushed(rng):
    numbers = rng.normal(size=(3, 5)).astype("f")
    numbers[1] = numbers[1].round()
    for p, root in ((1.0, False), (1.5, False), (2.0, True)):
        for zero in evaluate("wasserstein_1d", numbers, numbers, {"p": p}, root=root):
            np.testing.assert_array_equal(zero, 0 * zero)
    x = np.stack([numbers, numbers], axis=-1)
    for name, options in OF_VECTORS.items():
        static = {k: v for k, v in options.items() if isinstance(v, int)}
        traced = {k: v for k, v in options.items() if k not in static}
        value, *slopes = evaluate(name, x, x, traced, **static)
        np.testing.assert_allclose(value, np.zeros(3), atol=1e-6)
        assert (value >= 0).all()
        for slope in slopes:
            np.testing.assert_allclose(slope, 0, atol=3e-6)


def test_ties_on_the_line():
    # At its target a member is not pulled; the others are, each with its share.
    _, slope, back = evaluate("wasserstein_1d", np.float32([1, 2, 5, 9]), np.float32([0, 2, 6, 9]))
    np.testing.assert_array_equal(slope, [0.25, 0, -0.25, 0])
    np.testing.assert_array_equal(back, -slope)
    # Equal members part: the first goes down, the last up.
    _, slope, _ = evaluate("wasserstein_1d", np.float32([1, 1, 1]), np.float32([0, 1, 2]))
    np.testing.assert_allclose(slope, [1 / 3, 0, -1 / 3], rtol=1e-6)
    # Half of the mass at 0 has arrived, the other half goes on to 1.
    _, slope, _ = evaluate("wasserstein_1d", np.zeros(4, "f"), np.float32([1, 0, 0, 1]))
    np.testing.assert_array_equal(slope, [0, 0, -0.25, -0.25])


def test_curvature_at_a_perfect_fit(x64):
    x = np.array([0.5, -1.0, 2.0])
    hessian = lambda p: jax.hessian(lambda z: jl.wasserstein_1d(z, x, p=p))(x)
    np.testing.assert_allclose(hessian(2.0), np.eye(3) * 2 / 3, rtol=1e-12)
    np.testing.assert_array_equal(hessian(3.0), np.zeros((3, 3)))
    np.testing.assert_array_equal(hessian(1.0), np.zeros((3, 3)))


def test_masses_can_be_learned(rng, x64):
    x, y = rng.normal(size=(4, 2)), rng.normal(size=(3, 2))
    a, move = rng.gamma(2.0, size=4), rng.normal(size=4)
    losses = [
        lambda a: jl.wasserstein_1d(x[:, 0], y[:, 0], weights=a),
        lambda a: jl.sinkhorn_divergence(x, y, epsilon=2.0, weights=a, iterations=200),
        lambda a: jl.maximum_mean_discrepancy(x, y, weights=a),
        lambda a: jl.energy_distance(x, y, weights=a),
    ]
    for loss in map(jax.jit, losses):
        expected = (loss(a + 1e-6 * move) - loss(a - 1e-6 * move)) / 2e-6
        np.testing.assert_allclose(jax.grad(loss)(a) @ move, expected, rtol=1e-6)


# Masks, sizes, precision


@pytest.mark.parametrize("name", LOSSES)
def test_what_is_masked_is_as_if_it_were_not_there(rng, name):
    event = (2,) if name in OF_VECTORS else ()
    x = rng.normal(size=(3, 5, *event)).astype("f")
    y = rng.normal(0.5, 1.5, size=(3, 4, *event)).astype("f")
    where, where_targets = rng.random((3, 5)) < 0.6, rng.random((3, 4)) < 0.6
    where[:, 1], where_targets[:, 2], where[2] = True, True, False
    dirty = [
        np.where(w.reshape(w.shape + (1,) * len(event)), z, rng.choice([NAN, INF, -1e30], z.shape))
        for z, w in ((x, where), (y, where_targets))
    ]
    static = {k: v for k, v in LOSSES[name].items() if isinstance(v, int)}
    options = {k: v for k, v in LOSSES[name].items() if k not in static}
    a, b = rng.gamma(2.0, size=(3, 5)).astype("f"), rng.gamma(2.0, size=(3, 4)).astype("f")
    masks = {"where": where, "where_targets": where_targets, "weights": a, "weights_targets": b}
    value, *slopes = evaluate(name, *dirty, {**options, **masks}, **static)
    for i in (0, 1):
        p, q = where[i], where_targets[i]
        alone = getattr(jl, name)(
            x[i][p], y[i][q], weights=a[i][p], weights_targets=b[i][q], **LOSSES[name]
        )
        np.testing.assert_allclose(value[i], alone, rtol=1e-5, atol=1e-6)
    # A sample without members makes the pair worth nothing, and its other sample free.
    assert value[2] == 0
    for slope, w in zip(slopes, (where, where_targets), strict=True):
        assert np.isfinite(slope).all() and not slope[~w].any() and not slope[2].any()
        assert slope[:2].any()


@pytest.mark.parametrize("name", LOSSES)
def test_empty_samples_cost_nothing(name):
    event = (2,) if name in OF_VECTORS else ()
    x, y = np.zeros((3, 0, *event), "f"), np.ones((3, 4, *event), "f")
    for one, two in ((x, y), (y, x), (x, x)):
        value = getattr(jl, name)(one, two, **LOSSES[name])
        np.testing.assert_array_equal(value, np.zeros(3))
    weightless = getattr(jl, name)(y, y + 1, weights=0.0, **LOSSES[name])
    np.testing.assert_array_equal(weightless, np.zeros(3))


def test_the_unbiased_estimate_needs_two_members():
    x, y = column(0.0, 2.0), column(3.0, 5.0)
    alone = np.array([True, False])
    for name in ("maximum_mean_discrepancy", "energy_distance"):
        loss = functools.partial(getattr(jl, name), unbiased=True)
        assert loss(x, y) != 0
        assert loss(x[:1], y) == loss(x, y, where_targets=alone) == 0


@pytest.mark.parametrize("name", LOSSES)
def test_half_precision_is_computed_in_single(rng, name):
    event = (2,) if name in OF_VECTORS else ()
    x, y = (rng.normal(size=(3, 4, *event)).astype(np.float16) for _ in range(2))
    value, slope, _ = evaluate(name, x, y, dict.fromkeys((), 0), **_static_of(name))
    assert value.dtype == np.float32 and slope.dtype == np.float16
    wide, _, _ = evaluate(name, x.astype("f"), y.astype("f"), **_static_of(name))
    np.testing.assert_allclose(value, wide, rtol=1e-6, atol=1e-7)


def _static_of(name):
    """Return options that can be hashed, so that the same program serves both precisions."""
    return {
        k: tuple(map(tuple, v.tolist())) if isinstance(v, np.ndarray) else v
        for k, v in LOSSES[name].items()
    }


@pytest.mark.parametrize("name", ["wasserstein_1d", "sliced_wasserstein", "energy_distance"])
@pytest.mark.parametrize("size", [1e18, 1e-30])
def test_distances_are_exact_at_any_scale(rng, name, size):
    event = (2,) if name in OF_VECTORS else ()
    x, y = (rng.normal(size=(4, *event)).astype("f") for _ in range(2))
    size = np.float32(2.0 ** np.round(np.log2(size)))
    static = {"root": True} if name != "energy_distance" else {}
    options = {"p": np.float32(3.0)} if static else {}
    if name == "sliced_wasserstein":
        options["projections"] = EYE
    value, *slopes = evaluate(name, x, y, options, **static)
    big, *big_slopes = evaluate(name, size * x, size * y, options, **static)
    np.testing.assert_allclose(big, size * value, rtol=1e-5)
    np.testing.assert_allclose(big_slopes, slopes, rtol=1e-4, atol=1e-6)


def test_far_apart_and_large_samples_stay_finite():
    x, y = np.float32([[0, 0], [1e18, 0]]), np.float32([[0, 1e18], [-1e18, 2]])
    value, *slopes = evaluate("sinkhorn_divergence", x, y, {"epsilon": np.float32(0.1)})
    # Both ways of pairing the two members cost the same: 2e36 + 1e36 + ... over two.
    expected, _ = plan(costs(np.float64(x), np.float64(y)) / 1e36, [0.5, 0.5], [0.5, 0.5])
    np.testing.assert_allclose(value / 1e36, expected, rtol=1e-5)
    assert np.isfinite(slopes).all()
    gaussian, *slopes = evaluate("maximum_mean_discrepancy", x * 1e10, y * 1e10)
    assert gaussian == 1.0 and not np.any(slopes)


def test_not_a_number_reaches_its_own_pair_only(rng):
    for name, options in LOSSES.items():
        event = (2,) if name in OF_VECTORS else ()
        x, y = (rng.normal(size=(2, 4, *event)).astype("f") for _ in range(2))
        x[0, 1] = NAN
        value = getattr(jl, name)(x, y, **options)
        assert np.isnan(value[0]) and np.isfinite(value[1]), name


# Messages


@pytest.mark.parametrize(
    ("name", "x", "y", "options", "match"),
    [
        ("wasserstein_1d", np.ones((2, 3), "f"), np.ones((3, 3), "f"), {},
         r"wasserstein_1d: targets must be of the shape of predictions \(2, 3\) on all axes but 1"),
        ("wasserstein_1d", np.float32(1.0), np.ones(3, "f"), {}, r"predictions must be of shape"),
        ("energy_distance", np.ones((3, 2), "f"), np.ones((3, 4), "f"), {},
         r"energy_distance: targets must be of the shape of predictions"),
        ("energy_distance", np.ones(3, "f"), np.ones(3, "f"), {}, r"of shape \[..., n, d\]"),
        ("wasserstein_1d", np.ones(3, "f"), np.ones(2, "f"), {"where_targets": np.ones(3, bool)},
         r"wasserstein_1d: where_targets must be of shape \(2,\) \(members\) or \(\)"),
        ("wasserstein_1d", np.ones(3, "f"), np.ones(2, "f"), {"weights": -1.0}, r"weights must be"),
        ("wasserstein_1d", np.ones(3, "f"), np.ones(2, "f"), {"weights_targets": np.ones(3)},
         r"weights_targets must be a number or broadcastable to \(2,\)"),
        ("wasserstein_1d", np.ones(3, "f"), np.ones(2, "f"), {"p": 0.5}, r"p must be in \[1, inf"),
        ("sliced_wasserstein", np.ones((3, 2), "f"), np.ones((2, 2), "f"),
         {"projections": np.ones(2)}, r"projections must be of shape \[k, 2\]"),
        ("sinkhorn_divergence", np.ones((3, 2), "f"), np.ones((2, 2), "f"), {"epsilon": 0.0},
         r"sinkhorn_divergence: epsilon must be in \(0, inf"),
        ("sinkhorn_divergence", np.ones((3, 2), "f"), np.ones((2, 2), "f"),
         {"epsilon": 1.0, "iterations": 0}, r"iterations must be an integer of at least 1, got 0"),
        ("maximum_mean_discrepancy", np.ones((3, 2), "f"), np.ones((2, 2), "f"),
         {"kernel": "rbf"}, r"kernel must be one of gaussian, .*, or a function, got 'rbf'"),
        ("maximum_mean_discrepancy", np.ones((3, 2), "f"), np.ones((2, 2), "f"),
         {"bandwidth": [1.0, 0.0]}, r"bandwidth must be in \(0, inf"),
        ("maximum_mean_discrepancy", np.ones((3, 2), "f"), np.ones((2, 2), "f"),
         {"bandwidth": [[1.0]]}, r"bandwidth must be a number or a vector"),
        ("maximum_mean_discrepancy", np.ones((3, 2), "f"), np.ones((2, 2), "f"),
         {"degree": 0.5}, r"degree must be an integer"),
    ],
)  # fmt: skip
def test_messages_say_what_and_where(name, x, y, options, match):
    with pytest.raises(ValueError, match=match):
        getattr(jl, name)(x, y, **options)


def test_masks_are_boolean():
    with pytest.raises(TypeError, match="where_targets must be boolean"):
        jl.wasserstein_1d(np.ones(3, "f"), np.ones(2, "f"), where_targets=np.ones(2))
