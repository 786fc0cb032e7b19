"""Regression losses: values worked out by hand, edges, limits and messages."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxloss as jl

NAN, INF = np.nan, np.inf

# Every loss of predictions against targets, element by element; and those of an axis.
ELEMENTWISE = [name for name in jl.regression.__all__ if not name.startswith("cosine")]
COSINES = ["cosine_distance", "cosine_similarity"]
# The losses of this family that are zero at the target.
LOSSES = [*ELEMENTWISE, "cosine_distance"]


def array(*values, dtype=np.float32):
    return np.array(values, dtype)


@functools.cache
def compiled(name, **options):
    """Return a function to the loss and its two gradients, compiled once for the whole module."""
    loss = functools.partial(getattr(jl, name), **options)

    @jax.jit
    def run(predictions, targets, where):
        value, pull = jax.vjp(lambda p, t: loss(p, t, where=where), predictions, targets)
        return value, *pull(jnp.ones_like(value))

    return run


def evaluate(name, predictions, targets=None, where=None, **options):
    """Return the loss and its gradients in predictions and targets, as NumPy arrays.

    Compiling is what takes the time. So losses of elements are evaluated on three columns of four
    (a row of three is repeated), and one program serves all tests of a loss.
    """
    predictions = np.asarray(predictions)
    targets = (
        np.zeros_like(predictions) if targets is None else np.asarray(targets, predictions.dtype)
    )
    where = np.ones(predictions.shape, bool) if where is None else np.asarray(where)
    if name in COSINES:
        return [np.asarray(a) for a in compiled(name, **options)(predictions, targets, where)]
    size, shape = predictions.size, predictions.shape
    data = [np.resize(a, (4, 3)) if size <= 12 else a for a in (predictions, targets, where)]
    results = [np.asarray(a) for a in compiled(name, **options)(*data)]
    return [a.ravel()[:size].reshape(shape) for a in results]


# Values


@pytest.mark.parametrize(
    ("name", "options", "predictions", "targets", "expected"),
    [
        ("squared_error", {}, [1.0, -2.0, 0.5], [3.0, -2.0, 0.0], [4.0, 0.0, 0.25]),
        ("l2_loss", {}, [1.0, -2.0, 0.5], [3.0, -2.0, 0.0], [2.0, 0.0, 0.125]),
        ("absolute_error", {}, [1.0, -2.0, 0.5], [3.0, -2.0, 0.0], [2.0, 0.0, 0.5]),
        ("huber_loss", {"delta": 0.5}, [2.0, 0.25, -0.5], [0.0] * 3, [0.875, 0.03125, 0.125]),
        ("huber_loss", {"delta": (1.0, 2.0, 4.0)}, [3.0] * 3, [0.0] * 3, [2.5, 4.0, 4.5]),
        ("smooth_l1_loss", {"beta": 0.5}, [2.0, 0.25, -0.5], [0.0] * 3, [1.75, 0.0625, 0.25]),
        ("pseudo_huber_loss", {"delta": 4.0}, [3.0, -3.0, 0.0], [0.0] * 3, [4.0, 4.0, 0.0]),
        ("pseudo_huber_loss", {"delta": 0.75}, [1.0, 2.0, 0.0], [0.0, 1.0, 0.0], [0.375, 0.375, 0]),
        ("charbonnier_loss", {"epsilon": 4.0}, [3.0, -3.0, 0.0], [0.0] * 3, [5.0, 5.0, 4.0]),
        ("log_cosh", {}, [np.log(2.0), 0.0, -50.0], [0.0] * 3,
         [np.log(1.25), 0.0, 50 - np.log(2.0)]),
        ("quantile_loss", {"quantile": 0.25}, [1.0, 3.0, 2.0], [3.0, 1.0, 2.0], [0.5, 1.5, 0.0]),
        ("huberized_quantile_loss", {"quantile": 0.25, "delta": 2.0}, [-1.0, 1.0, 4.0], [0.0] * 3,
         [0.125, 0.375, 4.5]),
        ("expectile_loss", {"expectile": 0.25}, [1.0, 3.0, 2.0], [3.0, 1.0, 2.0], [1.0, 3.0, 0.0]),
        ("squared_logarithmic_error", {}, [3.0, 0.0, 7.0], [1.0, 1.0, 7.0],
         [np.log(2.0) ** 2, np.log(2.0) ** 2, 0.0]),
        ("absolute_percentage_error", {}, [3.0, 3.0, -1.0], [4.0, -4.0, 0.5], [0.25, 1.75, 3.0]),
        ("absolute_percentage_error", {"epsilon": 2.0}, [1.0, 3.0, 4.0], [0.0, 1.0, 8.0],
         [0.5, 1.0, 0.5]),
        ("symmetric_absolute_percentage_error", {}, [3.0, 3.0, 0.0], [1.0, -1.0, 0.0],
         [1.0, 2.0, 0.0]),
        ("symmetric_absolute_percentage_error", {"epsilon": 8.0}, [3.0, 3.0, 12.0],
         [1.0, 1.0, 4.0], [0.5, 0.5, 1.0]),
        ("cosine_similarity", {}, [[3.0, 4.0], [1.0, 0.0], [2.0, 0.0]],
         [[4.0, 3.0], [0.0, 5.0], [-7.0, 0.0]], [0.96, 0.0, -1.0]),
        ("cosine_distance", {}, [[3.0, 4.0], [1.0, 0.0], [2.0, 0.0]],
         [[4.0, 3.0], [0.0, 5.0], [-7.0, 0.0]], [0.04, 1.0, 2.0]),
        ("cosine_similarity", {"epsilon": 10.0}, [[3.0, 4.0]], [[4.0, 3.0]], [0.24]),
        ("cosine_distance", {"epsilon": 10.0}, [[3.0, 4.0]], [[4.0, 3.0]], [0.76]),
    ],
)  # fmt: skip
def test_values_worked_out_by_hand(name, options, predictions, targets, expected):
    value, *_ = evaluate(name, np.float32(predictions), np.float32(targets), **options)
    np.testing.assert_allclose(value, np.float32(expected), rtol=3e-7, atol=1e-7)
    if name not in (*COSINES, "charbonnier_loss"):
        same = array(0.75, -0.5, 1e4)
        np.testing.assert_array_equal(evaluate(name, same, same, **options)[0], np.zeros(3))


@pytest.mark.parametrize(
    "name",
    ["squared_error", "l2_loss", "absolute_error", "huber_loss", "smooth_l1_loss", "log_cosh",
     "pseudo_huber_loss", "charbonnier_loss"],
)  # fmt: skip
def test_without_targets_the_predictions_are_the_errors(name):
    loss, errors = getattr(jl, name), array(-2.0, 0.0, 0.25)
    zero, one = np.zeros(3, int), np.ones(3, bool)
    plain, listed, *others = jax.jit(
        lambda: (loss(errors), loss([-2.0, 0.0, 0.25]), loss(errors, zero), loss(errors + 1, one))
    )()
    np.testing.assert_array_equal(listed, plain)
    for other in others:
        np.testing.assert_array_equal(other, plain)


# Kinks: the sub-gradient that the docstring promises


@pytest.mark.parametrize(
    ("name", "options", "predictions", "targets", "expected"),
    [
        ("absolute_error", {}, [1.0, 2.0, 0.0], [1.0, 1.0, 3.0], [0.0, 1.0, -1.0]),
        ("smooth_l1_loss", {"beta": 0.0}, [1.0, 2.0, 0.0], [1.0, 1.0, 3.0], [0.0, 1.0, -1.0]),
        ("quantile_loss", {"quantile": 0.25}, [1.0, 2.0, 0.0], [1.0, 1.0, 3.0], [0, 0.75, -0.25]),
        ("absolute_percentage_error", {}, [2.0, 3.0, 1.0], [2.0, 2.0, 2.0], [0.0, 0.5, -0.5]),
        ("symmetric_absolute_percentage_error", {}, [2.0, -1.0, 0.0], [2.0, 1.0, 0.0], [0, 0, 0]),
        # Once differentiable where the pieces meet, from either side.
        ("huber_loss", {"delta": 1.0}, [1.0, -1.0, 0.0], [0.0] * 3, [1.0, -1.0, 0.0]),
        ("smooth_l1_loss", {"beta": 2.0}, [2.0, -2.0, 0.0], [0.0] * 3, [1.0, -1.0, 0.0]),
        (
            "huberized_quantile_loss",
            {"quantile": 0.25},
            [1.0, -1.0, 0.0],
            [0] * 3,
            [0.75, -0.25, 0],
        ),
        ("expectile_loss", {"expectile": 0.25}, [0.0, 1.0, -1.0], [0.0] * 3, [0.0, 1.5, -0.5]),
        ("log_cosh", {}, [0.0, 200.0, -200.0], [0.0] * 3, [0.0, 1.0, -1.0]),
        ("pseudo_huber_loss", {"delta": 4.0}, [0.0, 3.0, -3.0], [0.0] * 3, [0.0, 2.4, -2.4]),
        ("charbonnier_loss", {"epsilon": 4.0}, [0.0, 3.0, -3.0], [0.0] * 3, [0.0, 0.6, -0.6]),
    ],
)
def test_gradients_at_kinks_and_joints(name, options, predictions, targets, expected):
    _, gradient, _ = evaluate(name, array(*predictions), array(*targets), **options)
    np.testing.assert_allclose(gradient, np.float32(expected), rtol=2e-7)


def test_a_perfect_fit_is_left_alone():
    for name in LOSSES:
        fit = array([1.0, 2.0, 0.5])
        for gradient in evaluate(name, fit, fit)[1:]:
            np.testing.assert_allclose(gradient, np.zeros((1, 3)), atol=1e-7, err_msg=name)


@pytest.mark.parametrize("name", ["huber_loss", "log_cosh", "pseudo_huber_loss", "l2_loss"])
def test_the_curvature_at_the_target_is_one(name):
    loss = getattr(jl, name)
    forms = (jax.grad(jax.grad(loss)), jax.hessian(loss), jax.jacfwd(jax.jacfwd(loss)))
    assert jax.jit(lambda x: [form(x) for form in forms])(0.0) == [1.0, 1.0, 1.0]


# Ends of the parameters

ERRORS = array(-30.0, -2.0, -0.25, 0.0, 1e-3, 0.75, 5.0)


@pytest.mark.parametrize(
    ("loss", "limit"),
    [
        (lambda r: jl.huber_loss(r, delta=1e6), jl.l2_loss),
        (lambda r: jl.pseudo_huber_loss(r, delta=1e6), jl.l2_loss),
        (lambda r: jl.huber_loss(r, delta=1e-6) / 1e-6, jl.absolute_error),
        (lambda r: jl.smooth_l1_loss(r, beta=1e-6), jl.absolute_error),
        (lambda r: jl.smooth_l1_loss(r, beta=0.0), jl.absolute_error),
        (lambda r: jl.smooth_l1_loss(r, beta=0.5) * 0.5, lambda r: jl.huber_loss(r, delta=0.5)),
        (lambda r: jl.smooth_l1_loss(r, beta=1e9), jnp.zeros_like),
        (lambda r: jl.charbonnier_loss(r, epsilon=1e-6), jl.absolute_error),
        (
            lambda r: jl.charbonnier_loss(r, epsilon=0.5) - 0.5,
            lambda r: jl.pseudo_huber_loss(r, delta=0.5) / 0.5,
        ),
        (lambda r: jl.quantile_loss(r, jnp.zeros(7)), lambda r: jl.absolute_error(r) / 2),
        (lambda r: jl.expectile_loss(r, jnp.zeros(7)), lambda r: jl.squared_error(r) / 2),
        (
            lambda r: jl.huberized_quantile_loss(r, jnp.zeros(7), delta=0.5),
            lambda r: jl.huber_loss(r, delta=0.5) / 2,
        ),
        (
            lambda r: jl.huberized_quantile_loss(r, jnp.zeros(7), quantile=0.2, delta=1e-6) / 1e-6,
            lambda r: jl.quantile_loss(r, jnp.zeros(7), quantile=0.2),
        ),
        (
            lambda r: jl.quantile_loss(r, jnp.zeros(7), quantile=0.2),
            lambda r: jl.quantile_loss(-r, jnp.zeros(7), quantile=0.8),
        ),
    ],
)
def test_a_loss_becomes_another_at_the_end_of_its_parameter(loss, limit):
    got, expected = jax.jit(lambda errors: (loss(errors), limit(errors)))(ERRORS)
    np.testing.assert_allclose(got, expected, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize(
    ("name", "parameter"),
    [("quantile_loss", "quantile"), ("huberized_quantile_loss", "quantile"),
     ("expectile_loss", "expectile")],
)  # fmt: skip
def test_many_levels_share_the_targets(name, parameter):
    predictions = np.arange(12.0, dtype=np.float32).reshape(2, 2, 3)
    targets, levels = array([3.0, 4.0], [5.0, 9.0]), array(0.1, 0.5, 0.9)
    where = np.array([[True, False], [False, True]])
    loss = lambda p, level, **more: getattr(jl, name)(p, targets, **{parameter: level}, **more)
    together, masked, alone = jax.jit(
        lambda p: (
            loss(p, levels),
            loss(p, levels, where=where),
            jax.vmap(loss, in_axes=(2, 0), out_axes=2)(p, levels),
        )
    )(predictions)
    assert together.shape == (2, 2, 3)
    np.testing.assert_allclose(together, alone, rtol=1e-6)
    np.testing.assert_array_equal(masked, np.where(where[..., None], together, 0))


@pytest.mark.parametrize("level", [0.1, 0.5, 0.8])
def test_the_minimiser_of_the_quantile_loss_is_the_quantile(rng, level):
    sample = rng.gamma(2.0, size=501).astype(np.float32)
    mean = lambda p: jnp.mean(jl.quantile_loss(p + 0 * sample, sample, quantile=level))
    best = sample[np.argmin(jax.jit(jax.vmap(mean))(sample))]
    assert best == np.sort(sample)[int(np.ceil(501 * level)) - 1]


def test_the_minimisers_of_squared_and_expectile_errors():
    sample = array(0.0, 1.0, 5.0)
    _, gradient, _ = evaluate("squared_error", np.full(3, 2.0, np.float32), sample)
    assert gradient.sum() == 0
    # An expectile balances tau times the excesses with 1 - tau times the deficits.
    _, gradient, _ = evaluate("expectile_loss", np.full(3, 3.2, np.float32), sample, expectile=0.75)
    np.testing.assert_allclose(gradient.sum(), 0, atol=1e-6)  # 0.75 * 1.8 = 0.25 * (3.2 + 2.2)


# Precision: what a plain formula loses


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_the_gradient_of_a_small_huber_error_is_the_error(dtype):
    errors = array(1e-3, 3e-3, -2e-3, 1e-4, dtype=dtype)
    _, gradient, _ = evaluate("huber_loss", errors)
    np.testing.assert_array_equal(gradient, errors)
    assert gradient.dtype == dtype
    assert evaluate("huber_loss", array(1e-8))[1] == np.float32(1e-8)


def test_log_cosh_keeps_its_digits_near_zero_and_is_never_negative(rng):
    value, *_ = evaluate("log_cosh", array(1e-4, 1e-3, 1e-2, 1e30, -1e30))
    np.testing.assert_allclose(value, [5e-9, 4.9999992e-7, 4.9999167e-5, 1e30, 1e30], rtol=1e-6)
    small = (rng.normal(size=20_000) * 1e-2).astype(np.float16)
    value, *_ = evaluate("log_cosh", small)
    assert np.all(value >= 0)
    exact = 0.5 * np.float64(small) ** 2
    np.testing.assert_allclose(value, exact, rtol=1e-3)


@pytest.mark.parametrize(
    ("name", "bound"),
    [("huber_loss", 1.0), ("pseudo_huber_loss", 1.0), ("log_cosh", 1.0), ("charbonnier_loss", 1.0),
     ("smooth_l1_loss", 1.0), ("absolute_error", 1.0)],
)  # fmt: skip
def test_bounded_gradients_are_bounded_on_the_whole_line(name, bound):
    errors = np.geomspace(1e-30, 3e38, 400)
    errors = np.concatenate([errors, -errors]).astype(np.float32)
    value, gradient, _ = evaluate(name, errors)
    assert np.all(np.abs(gradient) <= bound * (1 + 1e-6))
    np.testing.assert_allclose(gradient[errors > 1e10], bound, rtol=1e-6)
    assert np.all(np.isfinite(value))


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12, 1e20, 1e30])
def test_relative_errors_do_not_depend_on_the_unit(scale):
    predictions, targets = array(3.0, 1.0, -2.0), array(1.0, 4.0, -8.0)
    for name in ("absolute_percentage_error", "symmetric_absolute_percentage_error"):
        plain = evaluate(name, predictions, targets, epsilon=1e-30)
        scale = np.float32(scale)
        scaled = evaluate(name, scale * predictions, scale * targets, epsilon=1e-30)
        np.testing.assert_allclose(scaled[0], plain[0], rtol=1e-6)
        np.testing.assert_allclose(scale * scaled[1], plain[1], rtol=1e-5, err_msg=name)
        np.testing.assert_allclose(scale * scaled[2], plain[2], rtol=1e-5, err_msg=name)


def test_logarithmic_error_keeps_its_digits_near_the_target():
    targets = array(1e-6, 1.0, 1e6)
    predictions = targets * np.float32(1 + 2.0**-20)
    ratio = (1 + np.asarray(predictions, np.float64)) / (1 + np.asarray(targets, np.float64))
    value, *_ = evaluate("squared_logarithmic_error", predictions, targets)
    np.testing.assert_allclose(value, np.log(ratio) ** 2, rtol=1e-5)


def test_logarithmic_error_outside_its_domain():
    predictions, targets = array(-1.0, -2.0, 5.0, 0.0), array(0.0, 0.0, -1.0, -3.0)
    value, *_ = evaluate("squared_logarithmic_error", predictions, targets)
    np.testing.assert_array_equal(value, np.float32([INF, NAN, INF, NAN]))


@pytest.mark.parametrize("size", [100.0, 1e-4, 1e20, 1e-30, 3e38])
def test_the_cosine_neither_overflows_nor_underflows(size):
    dtype = np.float16 if 1e-5 < size < 1e4 else np.float32
    u = np.full(8, size, dtype)
    half = np.where(np.arange(8) < 4, u, -u)
    a, b = np.stack([u, u, u]), np.stack([u, -u, half])
    expected = array(1.0, -1.0, 0.0)
    value, gradient, _ = evaluate("cosine_similarity", a, b)
    np.testing.assert_allclose(value, expected, atol=2e-7)
    np.testing.assert_allclose(evaluate("cosine_distance", a, b)[0], 1 - expected, atol=3e-7)
    slope = (half.astype(np.float64) / (8 * np.float64(size) ** 2)).astype(dtype)
    # At 3e38 the gradient is subnormal, which XLA flushes to 0.
    rtol = 2e-3 if dtype == np.float16 else 1e-5
    np.testing.assert_allclose(gradient[2], slope, rtol=rtol, atol=1.2e-38)


def test_the_cosine_of_a_zero_vector_is_zero_with_zero_gradient():
    zero, other = np.zeros(3), np.array([1.0, 2.0, 3.0])
    first, second = np.float32([zero, other, zero]), np.float32([other, zero, zero])
    for name, expected in (("cosine_similarity", 0), ("cosine_distance", 1)):
        value, *gradients = evaluate(name, first, second)
        np.testing.assert_array_equal(value, np.full(3, expected))
        np.testing.assert_allclose(gradients, np.zeros((2, 3, 3)), atol=2e-8)


def test_a_fully_masked_vector_is_zero_with_zero_gradient():
    vectors = np.full((3, 3), [NAN, INF, 3.0], np.float32)
    for name in COSINES:
        for where in (np.zeros((3, 3), bool), np.zeros(3, bool)):
            value, *gradients = evaluate(name, vectors, np.ones((3, 3)), where)
            np.testing.assert_array_equal(value, np.zeros(3))
            np.testing.assert_array_equal(gradients, np.zeros((2, 3, 3)))


def test_distances_are_never_negative(rng):
    x = rng.normal(size=(1000, 16)).astype(np.float32)
    near = x + np.float32(1e-4) * np.eye(1, 16, dtype=np.float32)
    same, scaled, near = (evaluate("cosine_distance", x, y)[0] for y in (x, 3 * x, near))
    for distance in (same, scaled):
        assert np.all(distance >= 0) and np.all(distance < 1e-12)
    assert np.all(near >= 0)


def test_the_angle_over_several_axes():
    a, b = (np.random.default_rng(i).normal(size=(2, 3, 4)).astype(np.float32) for i in (1, 2))
    where = np.arange(24).reshape(2, 3, 4) % 3 != 0
    flat = lambda x: x.transpose(1, 0, 2).reshape(3, 8)
    cosine = jl.cosine_similarity

    # As arguments: compilers fold constants, and what is folded is not what users run.
    @jax.jit
    def pairs(a, b, where):
        rows = cosine(flat(a), flat(b))
        kept = cosine(jnp.where(where, a, 0), jnp.where(where, b, 0), axis=(0, 2))
        return [
            (cosine(a, b, axis=1), cosine(a.swapaxes(1, 2), b.swapaxes(1, 2))),
            *((cosine(a, b, axis=axis), rows) for axis in ((0, 2), (-1, 0), [0, -1])),
            (cosine(a, b, axis=None), cosine(a.ravel(), b.ravel())),
            (cosine(a, b, axis=(0, 2), where=where), kept),
        ]

    for got, expected in pairs(a, b, where):
        assert got.shape == expected.shape
        np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_epsilon_bounds_the_gradient_at_small_vectors():
    targets = array([1.0, 0.0], [1.0, 0.0])
    _, slope, _ = evaluate(
        "cosine_similarity", array([0.01, 0.0], [1.0, 0.0]), targets, epsilon=0.1
    )
    np.testing.assert_allclose(slope, [[10.0, 0.0], [0.0, 0.0]], rtol=1e-6)


# Masks, infinities, NaN


@pytest.mark.parametrize("name", ELEMENTWISE)
@pytest.mark.parametrize("garbage", [NAN, INF, -INF, -1.0])
def test_masked_elements_are_zero_in_value_and_gradient(name, garbage):
    where = np.array([True, False, False, False])
    predictions, targets = array(1.0, garbage, 0.5, garbage), array(2.0, 0.5, garbage, garbage)
    results = evaluate(name, predictions, targets, where)
    alone = evaluate(name, predictions[:1], targets[:1])
    for masked, clean in zip(results, alone, strict=True):
        np.testing.assert_array_equal(masked[1:], np.zeros(3))
        np.testing.assert_array_equal(masked[:1], clean)
        assert np.isfinite(masked[0])


def test_masks_of_leading_axes():
    predictions, zeros = np.ones((2, 3), np.float32), np.zeros((2, 3))
    value = jl.squared_error(predictions, zeros, where=np.array([True, False]))
    np.testing.assert_array_equal(value, [[1, 1, 1], [0, 0, 0]])
    assert jl.squared_error(2.0, 0.0, where=False) == 0


@pytest.mark.parametrize("name", [n for n in ELEMENTWISE if "percent" not in n and "log" not in n])
def test_infinite_errors_cost_infinitely_and_nan_shows(name):
    value, *_ = evaluate(name, array(INF, -INF, NAN), np.zeros(3))
    np.testing.assert_array_equal(value, np.float32([INF, INF, NAN]))


@pytest.mark.parametrize("name", LOSSES)
def test_nothing_gives_nothing(name):
    none = np.zeros((0, 3), np.float32)
    assert jax.eval_shape(getattr(jl, name), none, none).shape[0] == 0


def test_an_empty_event_is_masked_throughout():
    none = np.zeros((2, 0), np.float32)
    for name in COSINES:
        np.testing.assert_array_equal(evaluate(name, none, none)[0], [0, 0])


# Hyper-parameters: traced, mapped, differentiated

HYPER = {
    "huber_loss": ("delta", (0.3, 2.0), (0.0, -1.0)),
    "smooth_l1_loss": ("beta", (0.3, 2.0), (-0.1,)),
    "pseudo_huber_loss": ("delta", (0.3, 2.0), (0.0, -1.0)),
    "charbonnier_loss": ("epsilon", (0.3, 2.0), (0.0, -1.0)),
    "quantile_loss": ("quantile", (0.3, 0.9), (0.0, 1.0, -0.5, 1.5)),
    "expectile_loss": ("expectile", (0.3, 0.9), (0.0, 1.0, -0.5, 1.5)),
    "huberized_quantile_loss": ("quantile", (0.3, 0.9), (0.0, 1.0, -0.5, 1.5)),
    "absolute_percentage_error": ("epsilon", (0.3, 20.0), (0.0, -1.0)),
    "symmetric_absolute_percentage_error": ("epsilon", (0.3, 20.0), (0.0, -1.0)),
    "cosine_similarity": ("epsilon", (0.0, 20.0), (-1.0,)),
    "cosine_distance": ("epsilon", (0.0, 20.0), (-1.0,)),
}
PREDICTIONS, TARGETS = array(1.5, -0.2, 4.0), array(1.0, 0.25, -3.0)


def of_hyper(name):
    """Return the loss as a function of its hyper-parameter alone."""
    parameter = HYPER[name][0]
    return lambda value: getattr(jl, name)(PREDICTIONS, TARGETS, **{parameter: value})


@pytest.mark.parametrize("name", HYPER)
def test_hyperparameters_can_be_traced_mapped_and_differentiated(name):
    _, good, bad = HYPER[name]
    loss = of_hyper(name)
    values = array(*(v for g in good for v in (g, g * 0.99, g * 1.01)), *bad, NAN)

    @jax.jit
    @jax.vmap
    def mapped(value):
        return loss(value), jax.grad(lambda value: jnp.sum(loss(value)))(value)

    rows, derivative = map(np.asarray, mapped(values))
    rows = rows.reshape(len(values), -1)
    assert np.all(np.isnan(rows[6:])), "a traced impossible value must give NaN"
    for i in (0, 3):
        assert np.all(np.isfinite(rows[i]))
        if values[i] > 0:
            numerical = np.sum(rows[i + 2] - rows[i + 1], dtype=np.float64) / (0.02 * values[i])
            np.testing.assert_allclose(derivative[i], numerical, rtol=5e-3, atol=1e-4)
    np.testing.assert_allclose(rows[0], np.ravel(jax.jit(lambda: loss(good[0]))()), rtol=1e-6)


@pytest.mark.parametrize("name", HYPER)
def test_known_impossible_hyperparameters_raise(name):
    parameter, _, bad = HYPER[name]
    for value in (*bad, NAN, INF):
        with pytest.raises(ValueError, match=rf"^{name}: {parameter} must be in [\[(]"):
            of_hyper(name)(value)
        with pytest.raises(ValueError, match=rf"^{name}: {parameter} must be in"):
            jax.eval_shape(lambda x, value=value: of_hyper(name)(value) + x, 0.0)
    for value in ("large", None, 1j, True):
        with pytest.raises(TypeError, match=f"^{name}: {parameter} must be a real number"):
            of_hyper(name)(value)
    with pytest.raises(ValueError, match=f"^{name}: {parameter} must be a number"):
        of_hyper(name)(np.full((1, 1, 5), 0.5))


def test_the_second_hyperparameter_of_the_huberised_quantile_loss():
    loss = lambda delta: jl.huberized_quantile_loss(PREDICTIONS, TARGETS, delta=delta)
    with pytest.raises(ValueError, match=r"^huberized_quantile_loss: delta must be in \(0, inf\)"):
        loss(0.0)
    assert np.all(np.isnan(jax.jit(loss)(-1.0)))
    with pytest.raises(ValueError, match=r"quantile must be in \(0, 1\), got \[0.1, 1.0"):
        jl.quantile_loss(np.zeros((3, 2), np.float32), np.zeros(3), quantile=[0.1, 1.0])


def test_changing_a_hyperparameter_does_not_recompile():
    traces = []

    @jax.jit
    def loss(delta):
        traces.append(None)
        return jl.huber_loss(PREDICTIONS, delta=delta)

    assert not np.array_equal(loss(1.0), loss(0.1))
    assert len(traces) == 1


# Errors

WRONG = [
    (
        np.ones(3),
        np.ones((3, 1)),
        ValueError,
        r"targets must be of the same shape.*\(3,\).*\(3, 1\)",
    ),
    (np.ones(3), np.ones(1), ValueError, r"targets must be of the same shape"),
    (np.ones(3), 1.0, ValueError, r"targets must be of the same shape.*got \(\)"),
    (np.arange(3), np.ones(3), TypeError, "predictions must be real floating point, got int32"),
    (np.ones(3, bool), np.ones(3), TypeError, "predictions must be real floating point, got bool"),
    (1j * np.ones(3), np.ones(3), TypeError, "predictions must be real floating.*complex64"),
    (np.ones(3), 1j * np.ones(3), TypeError, "targets must be real numbers, got complex64"),
    ("text", np.ones(3), TypeError, "predictions must be an array of numbers, got 'text'"),
    (np.ones(3), "text", TypeError, "targets must be an array of numbers, got 'text'"),
    (None, np.ones(3), TypeError, "predictions must be an array of numbers, got None"),
    ({"a": 1.0}, np.ones(3), TypeError, "predictions must be an array of numbers, got dict"),
]


@pytest.mark.parametrize("name", jl.regression.__all__)
@pytest.mark.parametrize(("predictions", "targets", "error", "message"), WRONG)
def test_wrong_data_raises(name, predictions, targets, error, message):
    with pytest.raises(error, match=f"^{name}: {message}"):
        getattr(jl, name)(predictions, targets)


@pytest.mark.parametrize("name", jl.regression.__all__)
@pytest.mark.parametrize(
    ("where", "error", "message"),
    [
        (np.ones(2, bool), ValueError, r"where must be of shape \(3,\).*\(2,\)"),
        (np.ones((3, 1), bool), ValueError, r"where must be of shape \(3,\)"),
        (np.ones(3), TypeError, "where must be boolean.*float32"),
        ("all", TypeError, "where must be an array"),
    ],
)
def test_wrong_masks_raise(name, where, error, message):
    with pytest.raises(error, match=f"^{name}: {message}"):
        getattr(jl, name)(np.ones(3), np.ones(3), where=where)


@pytest.mark.parametrize("name", COSINES)
@pytest.mark.parametrize(
    ("axis", "error"),
    [(2, ValueError), (-3, ValueError), ((0, 0), ValueError), ((0, -2), ValueError),
     ("last", TypeError), (0.5, TypeError)],
)  # fmt: skip
def test_wrong_axes_raise(name, axis, error):
    with pytest.raises(error, match=f"^{name}: axis must be an axis, or distinct axes"):
        getattr(jl, name)(np.ones((2, 3)), np.ones((2, 3)), axis=axis)


def test_levels_need_a_prediction_each():
    with pytest.raises(ValueError, match=r"^quantile_loss: predictions must be of shape \(4, 2\)"):
        jl.quantile_loss(np.ones(4), np.ones(4), quantile=[0.1, 0.9])
    with pytest.raises(
        ValueError, match=r"^expectile_loss: expectile must be a number or a vector"
    ):
        jl.expectile_loss(np.ones(4), np.ones(4), expectile=[[0.1]])
    with pytest.raises(TypeError, match=r"^quantile_loss: targets must be an array.*None"):
        jl.quantile_loss(np.ones(4), None)


# Precision of the result


@pytest.mark.parametrize("name", jl.regression.__all__)
def test_dtypes(name):
    loss = getattr(jl, name)
    slope = jax.grad(lambda predictions, targets: jnp.sum(loss(predictions, targets)))
    shape = lambda function, *data: jax.eval_shape(function, *data).dtype
    single, double = array(1.0, 0.5), array(0.5, 0.25, dtype=np.float64)
    for dtype in (jnp.bfloat16, jnp.float16):
        assert shape(loss, single.astype(dtype), single) == jnp.float32
        assert shape(slope, single.astype(dtype), single) == dtype
    for targets in (np.array([1, 2]), np.array([True, False])):
        assert shape(loss, single, targets) == jnp.float32
    with jax.enable_x64(True):
        assert shape(loss, single, single) == shape(loss, single, np.array([1, 2])) == jnp.float32
        assert shape(loss, double, double) == jnp.float64
        assert shape(loss, single, double) == shape(loss, double, single) == jnp.float64


@pytest.mark.parametrize("name", jl.regression.__all__)
def test_strict_promotion_is_obeyed(name):
    """A user's `jax_numpy_dtype_promotion=strict` must not break the library."""
    parameter = HYPER.get(name, (None,))[0]
    options = {parameter: np.float32([0.5])} if parameter and name not in COSINES else {}
    levels = parameter in ("quantile", "expectile")
    single, where = np.ones((3, 1), np.float32), np.ones(3, bool)
    slope = jax.grad(lambda p, t: jnp.sum(getattr(jl, name)(p, t, where=where, **options)))
    with jax.numpy_dtype_promotion("strict"):
        for dtype in (jnp.float32, jnp.bfloat16):
            jax.eval_shape(slope, single.astype(dtype), single[:, 0] if levels else single)
        with jax.enable_x64(True):
            double = single.astype(np.float64)
            jax.eval_shape(slope, double, single[:, 0] if levels else single)
