"""Divergences: values worked out by hand, small and infinite values, limits, masks, messages."""

import functools

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import jaxloss as jl

INF, NAN = np.inf, np.nan
ROWS, EVENT = 4, 4

# Divergences of two vectors of log-probabilities, with hyper-parameters that say most.
LOG_PAIRS = [
    ("kl_divergence_with_log_targets", {}),
    ("reverse_kl_divergence", {}),
    ("jensen_shannon_divergence", {}),
    ("jensen_shannon_divergence", {"weight": 0.2}),
    ("alpha_divergence", {"alpha": 0.0}),
    ("alpha_divergence", {"alpha": 0.3}),
    ("alpha_divergence", {"alpha": 1.0}),
    ("alpha_divergence", {"alpha": -1.5}),
    ("alpha_divergence", {"alpha": 4.0}),
    ("renyi_divergence", {"order": 0.3}),
    ("renyi_divergence", {"order": 1.0}),
    ("renyi_divergence", {"order": 4.0}),
    ("chi_squared_divergence", {}),
    ("total_variation_distance", {}),
    ("squared_hellinger_distance", {}),
    ("hellinger_distance", {}),
]
WITH_TARGETS = ["kl_divergence", "generalized_kl_divergence", "convex_kl_divergence"]
NAMES = [*dict(LOG_PAIRS), *WITH_TARGETS]
IDS = [f"{name}-{next(iter(o.values()), '')}" for name, o in LOG_PAIRS]
pairs = pytest.mark.parametrize(("name", "options"), LOG_PAIRS, ids=IDS)


def reference(name, log_q, log_p, options):
    """Sum over the entries with the definitions of the papers, in float64 and with zeros."""
    p, q = np.exp(np.float64(log_p)), np.exp(np.float64(log_q))
    a = options.get("alpha", options.get("order", 0.5))
    with np.errstate(all="ignore"):
        kl = lambda p, q: np.where(p == 0, 0.0, p * (np.log(p) - np.log(q))).sum(-1)
        both, power = (p > 0) | (q > 0), p**a * q ** (1 - a)
        match name:
            case "kl_divergence_with_log_targets":
                return kl(p, q)
            case "reverse_kl_divergence":
                return kl(q, p)
            case "jensen_shannon_divergence":
                w = options.get("weight", 0.5)
                return w * kl(p, w * p + (1 - w) * q) + (1 - w) * kl(q, w * p + (1 - w) * q)
            case "alpha_divergence" if a in (0.0, 1.0):
                return kl(p, q) - (p - q).sum(-1) if a else kl(q, p) - (q - p).sum(-1)
            case "alpha_divergence":
                return np.where(both, a * p + (1 - a) * q - power, 0).sum(-1) / (a * (1 - a))
            case "renyi_divergence" if a == 1:
                return kl(p, q) / p.sum(-1)
            case "renyi_divergence":
                return np.log(np.where(p > 0, power, 0).sum(-1) / p.sum(-1)) / (a - 1)
            case "chi_squared_divergence":
                return np.where(both, (p - q) ** 2 / q, 0).sum(-1)
            case "total_variation_distance":
                return np.abs(p - q).sum(-1) / 2
        squared = ((np.sqrt(p) - np.sqrt(q)) ** 2).sum(-1) / 2
        return squared if name == "squared_hellinger_distance" else np.sqrt(squared)


@functools.cache
def compiled(name, *options):
    loss = functools.partial(getattr(jl, name), **dict(options))

    @jax.jit
    def run(predictions, targets, where):
        value, pull = jax.vjp(lambda x, y: loss(x, y, where=where), predictions, targets)
        return value, *pull(jnp.ones_like(value))

    return run


def evaluate(name, predictions, targets, where=None, **options):
    """Return the loss and both gradients; rows are repeated so that one program serves all."""
    size = len(predictions)
    where = np.ones(np.shape(predictions), bool) if where is None else where
    index = np.arange(ROWS) % size
    data = (np.asarray(a)[index] for a in (predictions, targets, where))
    return [np.asarray(r)[:size] for r in compiled(name, *options.items())(*data)]


def normal(x):
    return np.float32(x - np.log(np.exp(x).sum(axis=-1, keepdims=True)))


@pytest.fixture
def logs(rng):
    return normal(rng.normal(0, 2, (ROWS, EVENT))), normal(rng.normal(0, 1, (ROWS, EVENT)))


def log(*shares):
    with np.errstate(divide="ignore"):
        return np.log(np.float32(shares))


# Values

HALF, QUARTER = log(0.5, 0.5, 0, 0), log(0.25, 0.75, 0, 0)
BY_HAND = [
    ("kl_divergence_with_log_targets", {}, 0.5 * np.log(0.5 / 0.25) + 0.5 * np.log(0.5 / 0.75)),
    ("reverse_kl_divergence", {}, 0.25 * np.log(0.5) + 0.75 * np.log(1.5)),
    ("alpha_divergence", {"alpha": 2.0}, (0.0625 / 0.25 + 0.0625 / 0.75) / 2),
    ("alpha_divergence", {"alpha": -1.0}, (0.0625 / 0.5 + 0.0625 / 0.5) / 2),
    ("renyi_divergence", {"order": 2.0}, np.log(0.25 / 0.25 + 0.25 / 0.75)),
    ("chi_squared_divergence", {}, 0.0625 / 0.25 + 0.0625 / 0.75),
    ("total_variation_distance", {}, 0.25),
    ("squared_hellinger_distance", {}, 1 - np.sqrt(0.125) - np.sqrt(0.375)),
]


@pytest.mark.parametrize(("name", "options", "expected"), BY_HAND)
def test_values_by_hand(name, options, expected):
    value, *_ = evaluate(name, QUARTER[None], HALF[None], **options)
    np.testing.assert_allclose(value, [expected], rtol=2e-6)


@pairs
def test_values_at_random(name, options, logs):
    value, *_ = evaluate(name, *logs, **options)
    np.testing.assert_allclose(value, reference(name, *logs, options), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_masses_that_are_not_one_are_taken_as_they_are(logs, scale):
    log_q, log_p = logs
    log_q = log_q + np.float32(np.log(scale))
    for name, options in LOG_PAIRS:
        value, *_ = evaluate(name, log_q, log_p, **options)
        expected = reference(name, log_q, log_p, options)
        np.testing.assert_allclose(value, expected, rtol=2e-5, atol=2e-6, err_msg=name)
    plain, generalized = (evaluate(name, log_q, np.exp(log_p))[0] for name in WITH_TARGETS[:2])
    np.testing.assert_allclose(generalized, plain + scale - 1, rtol=1e-5, atol=2e-6)
    assert (plain < 0).any() == (scale == 3.0)


def test_directions():
    """Forward divergence is infinite where the targets are missed, reverse where they have none."""
    one, both = log(1, 0, 0, 0)[None], log(0.5, 0.5, 0, 0)[None]
    forward, reverse = "kl_divergence_with_log_targets", "reverse_kl_divergence"
    assert evaluate(forward, both, one)[0] == evaluate(reverse, one, both)[0] == np.float32(log(2))
    assert evaluate(forward, one, both)[0] == evaluate(reverse, both, one)[0] == INF


# Never negative, and right when small


def test_the_divergence_of_equal_distributions_is_not_negative():
    """Rows O12 of the audit: the plain formula gives -7e-8, and -2e-3 in bfloat16."""
    x = jax.random.normal(jax.random.key(0), (1000, 16))
    for dtype in (jnp.float32, jnp.bfloat16):
        log_p = jax.nn.log_softmax(x).astype(dtype)
        value = jl.kl_divergence(log_p, jnp.exp(log_p))
        assert value.dtype == jnp.float32
        assert value.min() >= 0
        assert value.max() < 30 * float(jnp.finfo(dtype).eps) ** 2 + 1e-12
        cooked = jax.nn.log_softmax(x.astype(dtype))
        assert jl.kl_divergence(cooked, jax.nn.softmax(x.astype(dtype))).min() >= 0
        for name in ("kl_divergence_with_log_targets", "renyi_divergence"):
            near = (cooked + 0.01 * jnp.sin(x)).astype(dtype)
            near = jax.nn.log_softmax(near)
            assert getattr(jl, name)(near, cooked).min() >= 0


@pytest.mark.parametrize(
    ("name", "factor", "power"),
    [
        ("kl_divergence_with_log_targets", 0.5, 2), ("reverse_kl_divergence", 0.5, 2),
        ("jensen_shannon_divergence", 0.125, 2), ("alpha_divergence", 0.5, 2),
        ("renyi_divergence", 0.25, 2), ("chi_squared_divergence", 1.0, 2),
        ("squared_hellinger_distance", 0.125, 2), ("hellinger_distance", 0.125**0.5, 1),
    ],
)  # fmt: skip
def test_small_divergences_keep_their_digits(name, factor, power):
    """All are multiples of the variance of the log-ratio to leading order; here that is 1e-10."""
    log_p = jnp.log(jnp.array([0.25, 0.25, 0.25, 0.25]))[None]
    step = 2.0**-16 * np.float32([1, -1, 2, -2])
    log_q = np.asarray(log_p) + step
    variance = np.mean(np.float64(log_q - np.asarray(log_p)) ** 2)
    value, *_ = evaluate(name, log_q, np.asarray(log_p))
    np.testing.assert_allclose(value, [factor * variance ** (power / 2)], rtol=1e-4)


@pytest.mark.parametrize("name", dict(LOG_PAIRS))
def test_equal_arguments_give_zero_and_no_gradient(name, logs):
    value, by_q, by_p = evaluate(name, logs[0], logs[0])
    np.testing.assert_array_equal(value, np.zeros(ROWS))
    if "kl" not in name and "renyi" not in name:
        np.testing.assert_array_equal([by_q, by_p], np.zeros((2, ROWS, EVENT)))


# Zeros and infinities


@pairs
def test_probabilities_of_zero(name, options):
    log_q = np.stack([log(0.2, 0.3, 0, 0.5), log(0, 0, 0.4, 0.6), log(0.5, 0.5, 0, 0)])
    log_p = np.stack([log(0.5, 0, 0.1, 0.4), log(0.1, 0.2, 0.3, 0.4), log(0, 0, 0.7, 0.3)])
    with np.errstate(divide="ignore"):
        value, by_q, by_p = evaluate(name, log_q, log_p, **options)
    expected = reference(name, log_q, log_p, options)
    np.testing.assert_allclose(value, expected, rtol=2e-5)
    finite = np.isfinite(expected)
    assert np.isfinite(by_q[finite]).all()
    assert np.isfinite(by_p[finite]).all()
    assert not by_q[np.isinf(log_q)].any()
    assert not by_p[np.isinf(log_p)].any()


def test_one_hot_targets_in_logarithms():
    """Row O22 of the audit."""
    one_hot, half = jnp.array([-INF, 0.0]), jnp.log(jnp.array([0.5, 0.5]))
    value, slope = jax.value_and_grad(jl.kl_divergence_with_log_targets)(half, one_hot)
    assert value == np.float32(np.log(2))
    np.testing.assert_array_equal(slope, [0, -1])
    assert jl.kl_divergence(one_hot, jnp.array([0.0, 1.0])) == 0
    assert jl.kl_divergence(one_hot, jnp.array([1.0, 0.0])) == INF


@pytest.mark.parametrize("name", WITH_TARGETS)
def test_targets_of_zero_and_below(name):
    log_q = log([0.1, 0.2, 0.3, 0.4])
    value, by_q, by_p = evaluate(name, log_q, np.float32([[0.0, 0.5, 0.5, 0.0]]))
    assert np.isfinite(value).all()
    np.testing.assert_array_equal(by_p[0, [0, 3]] == 0, name == "kl_divergence")
    assert np.isfinite(by_p).all()
    assert (by_q[0, [0, 3]] == 0).all() == (name == "kl_divergence")
    value, by_q, _ = evaluate(name, log_q, np.float32([[-0.1, 0.6, 0.5, 0.0]]))
    assert np.isnan(value).all()
    assert np.isnan(by_q).any()


def test_bounds_are_reached_by_disjoint_supports():
    left, right = log(0.3, 0.7, 0, 0)[None], log(0, 0, 0.6, 0.4)[None]
    for name, options, bound in [
        ("jensen_shannon_divergence", {}, np.log(2)),
        ("jensen_shannon_divergence", {"weight": 0.2}, -0.2 * np.log(0.2) - 0.8 * np.log(0.8)),
        ("total_variation_distance", {}, 1.0),
        ("hellinger_distance", {}, 1.0),
        ("alpha_divergence", {"alpha": 0.3}, 1 / 0.21),
        ("renyi_divergence", {"order": 0.3}, INF),
    ]:
        value, *_ = evaluate(name, left, right, **options)
        np.testing.assert_allclose(value, [bound], rtol=1e-6, err_msg=name)


def test_jensen_shannon_has_no_pull_between_disjoint_supports():
    targets = jnp.array([-INF, -INF, np.log(0.5), np.log(0.5)])
    slope = jax.jit(
        jax.grad(lambda x: jl.jensen_shannon_divergence(jax.nn.log_softmax(x), targets))
    )
    sizes = [float(jnp.abs(slope(jnp.array([a, a, 0.0, 0.0]))).max()) for a in (0.0, 8.0, 30.0)]
    assert sizes[0] > 0.05 > 1e-3 > sizes[1] > sizes[2]
    assert sizes[2] < 1e-7


# Limits in the parameter


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("name", "parameter", "at"),
    [("alpha_divergence", "alpha", a) for a in (0.0, 1e-12, 0.5, 1.0, 1 - 1e-9, 2.0, -3.0)]
    + [("renyi_divergence", "order", a) for a in (0.2, 1.0, 1 + 1e-9, 1.01, 3.0)],
)
def test_derivative_in_the_parameter(name, parameter, at, logs):
    log_q, log_p = map(np.float64, logs)
    loss = jax.jit(
        jax.value_and_grad(
            lambda a: getattr(jl, name)(log_q, log_p, **{parameter: a})[0], allow_int=False
        )
    )
    from jaxloss.catalog.divergence import formulas

    formula = formulas.alpha if "alpha" in name else formulas.renyi
    value, slope = loss(at)
    with mpmath.workdps(60):
        row = [[mpmath.mpf(v) for v in a[0]] for a in (log_q, log_p)]
        step = mpmath.mpf(10) ** -20
        # Off the singular points, which the formula takes by themselves.
        up, down = (formula(*row, mpmath.mpf(at) + s * step) for s in (1, -1))
        np.testing.assert_allclose(value, float((up + down) / 2), rtol=1e-12)
        np.testing.assert_allclose(slope, float((up - down) / (2 * step)), rtol=1e-9)


def test_parameters_are_traced_and_mapped(logs):
    alphas = np.float32([0.0, 1.0, 0.5, NAN])
    loss = lambda a: jl.alpha_divergence(*logs, alpha=a)
    values = np.asarray(jax.jit(jax.vmap(loss))(alphas))
    for alpha, value in zip(alphas[:3], values, strict=False):
        expected = reference("alpha_divergence", *logs, {"alpha": float(alpha)})
        np.testing.assert_allclose(value, expected, rtol=2e-5)
    assert np.isnan(values[3]).all()
    each = jl.renyi_divergence(*logs, order=np.float32([0.5, 1, 2, 3]))
    for i, order in enumerate((0.5, 1.0, 2.0, 3.0)):
        expected = reference("renyi_divergence", *logs, {"order": order})[i]
        np.testing.assert_allclose(each[i], expected, rtol=2e-5)


# Gaussians


def test_gaussian_by_hand():
    mean, log_variance = np.float32([[1.0, -2.0]]), np.log(np.float32([[4.0, 1.0]]))
    value = jl.gaussian_kl_divergence(mean, log_variance)
    np.testing.assert_allclose(value, [(4 - 1 - np.log(4) + 1 + 4) / 2], rtol=1e-6)
    zero = np.zeros_like(mean)
    np.testing.assert_array_equal(value, jl.gaussian_kl_divergence(mean, log_variance, zero, zero))
    value = jl.gaussian_kl_divergence(mean, log_variance, mean + 2, log_variance)
    np.testing.assert_allclose(value, [(4 / 4 + 4) / 2], rtol=1e-6)
    assert jl.gaussian_kl_divergence(mean, log_variance, mean, log_variance) == 0


def test_gaussian_at_the_edge():
    slope = jax.grad(lambda *a: jl.gaussian_kl_divergence(*a), argnums=(0, 1, 2, 3))
    narrow = np.float32([-1e4])
    assert jl.gaussian_kl_divergence(*[narrow] * 4) == 0
    assert np.isfinite(slope(*[narrow] * 4)).all()
    small = jl.gaussian_kl_divergence(np.float32([0.0]), np.float32([1e-4]))
    np.testing.assert_allclose(small, 1e-8 / 4, rtol=1e-4)
    with pytest.raises(ValueError, match=r"^gaussian_kl_divergence: prior_mean must be of"):
        jl.gaussian_kl_divergence(np.ones(3), np.ones(3), 0.0)


# Distillation


def test_distillation_by_hand():
    student, teacher = np.zeros((1, 4), np.float32), 2 * log(0.1, 0.2, 0.3, 0.4)[None]
    value, by_student, by_teacher = evaluate("distillation_loss", student, teacher, temperature=2.0)
    p = np.array([0.1, 0.2, 0.3, 0.4])
    np.testing.assert_allclose(value, [4 * (p * np.log(p / 0.25)).sum()], rtol=1e-5)
    np.testing.assert_allclose(by_student, [2 * (0.25 - p)], rtol=1e-5)
    np.testing.assert_array_equal(by_teacher, np.zeros((1, 4)))


def test_distillation_leaves_masked_classes_out(rng):
    student, teacher = rng.normal(size=(2, ROWS, EVENT)).astype(np.float32)
    where = np.ones((ROWS, EVENT), bool)
    where[:, 1] = False
    garbage = np.where(where, teacher, NAN)
    value, by_student, _ = evaluate("distillation_loss", student, garbage, where, temperature=3.0)
    kept = [np.delete(a, 1, axis=1) for a in (student, teacher)]
    expected = jl.distillation_loss(*kept, temperature=3.0)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_array_equal(by_student[:, 1], np.zeros(ROWS))


# Masks, axes, dtypes


@pytest.mark.parametrize("name", NAMES)
def test_masks_of_entries(name, logs, rng):
    """A mask leaves entries out of the sums, whatever stands there."""
    where = np.array([[1, 1, 0, 1], [0, 1, 1, 1], [0, 0, 0, 0], [1, 1, 1, 1]], bool)
    log_q, targets = logs[0], np.exp(logs[1]) if name in WITH_TARGETS else logs[1]
    hide = lambda a: np.where(where, a, rng.choice([NAN, INF, -INF, -1.0, 1e30], a.shape))
    value, by_q, by_p = evaluate(name, np.float32(hide(log_q)), np.float32(hide(targets)), where)
    loss = getattr(jl, name)
    for i in range(ROWS):
        rest = loss(log_q[i][where[i]], targets[i][where[i]]) if where[i].any() else 0.0
        np.testing.assert_allclose(value[i], rest, rtol=1e-5, atol=1e-7)
    assert np.isfinite(by_q).all()
    assert np.isfinite(by_p).all()
    assert not by_q[~where].any()
    assert not by_p[~where].any()


@pytest.mark.parametrize("name", NAMES)
def test_axes(name, logs):
    loss = getattr(jl, name)
    x, y = logs[0], np.exp(logs[1]) if name in WITH_TARGETS else logs[1]
    expected = loss(x, y)
    np.testing.assert_allclose(loss(x.T, y.T, axis=0), expected, rtol=1e-6)
    assert jax.eval_shape(functools.partial(loss, axis=None), x, y).shape == ()
    x, y = (a.reshape(ROWS, 2, 2) for a in (x, y))
    np.testing.assert_allclose(loss(x, y, axis=(1, 2)), expected, rtol=1e-6)


@pytest.mark.parametrize("name", [*NAMES, "distillation_loss", "gaussian_kl_divergence"])
def test_dtypes(name):
    loss, single = getattr(jl, name), np.full((2, 3), 0.25, np.float32)
    slope = jax.grad(lambda x, y: jnp.sum(loss(x, y)))
    shape = lambda function, *data: jax.eval_shape(function, *data).dtype
    for dtype in (jnp.bfloat16, jnp.float16):
        assert shape(loss, single.astype(dtype), single) == jnp.float32
        assert shape(slope, single.astype(dtype), single) == dtype
    with jax.enable_x64(True):
        assert shape(loss, single, single) == jnp.float32
        assert shape(loss, single.astype(np.float64), single) == jnp.float64


# Errors


@pytest.mark.parametrize("name", NAMES)
def test_wrong_data_raises(name):
    loss, second = getattr(jl, name), "targets" if name in WITH_TARGETS else "log_targets"
    with pytest.raises(ValueError, match=f"^{name}: {second} must be of the same shape"):
        loss(np.zeros((3, 4)), np.zeros((3, 1)))
    with pytest.raises(TypeError, match=f"^{name}: log_predictions must be real floating"):
        loss(np.zeros(3, int), np.zeros(3))
    with pytest.raises(ValueError, match=f"^{name}: where must be of shape"):
        loss(np.zeros((3, 4)), np.zeros((3, 4)), where=np.ones(4, bool))
    with pytest.raises(ValueError, match=f"^{name}: axis must be an axis"):
        loss(np.zeros((3, 4)), np.zeros((3, 4)), axis=2)


@pytest.mark.parametrize(
    ("name", "parameter", "bad"),
    [
        ("jensen_shannon_divergence", "weight", (0.0, 1.0, NAN)),
        ("renyi_divergence", "order", (0.0, -1.0, INF)),
        ("alpha_divergence", "alpha", (NAN, INF)),
        ("distillation_loss", "temperature", (0.0, -2.0, INF)),
    ],
)
def test_impossible_parameters(name, parameter, bad):
    loss = lambda value: getattr(jl, name)(HALF, HALF, **{parameter: value})
    for value in bad:
        with pytest.raises(ValueError, match=rf"^{name}: {parameter} must be in"):
            loss(value)
    assert np.isnan(jax.jit(jax.vmap(loss))(np.float32(bad))).all()
