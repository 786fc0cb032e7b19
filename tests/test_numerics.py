"""Arithmetic whose rounding is recovered: what no other test of a loss would point at."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from jaxloss import numerics


def test_a_sum_knows_what_it_lost() -> None:
    total, lost = numerics.add(*jnp.float32([1, -0.05, -0.95]))
    exact = 1 - np.float64(np.float32(0.05)) - np.float64(np.float32(0.95))
    assert np.float64(total) + np.float64(lost) == exact != 0


def test_a_sum_has_the_plain_derivative() -> None:
    slopes = jax.jacobian(lambda x: jnp.stack(numerics.add(*x)))(jnp.array([0.5, 0.3, -0.1]))
    np.testing.assert_array_equal(slopes, [[1, 1, 1], [0, 0, 0]])


def test_a_power_of_a_sum_is_that_of_the_exact_one() -> None:
    pairs = np.random.default_rng(0).uniform(0.1, 0.5, (2, 500)).astype(np.float32)
    total, lost = numerics.add(*pairs)
    got = numerics.power(total, jnp.full_like(total, 5), lost)
    exact = np.float64(pairs).sum(axis=0) ** 5
    assert np.abs(np.float64(got) / exact - 1).max() < 2.0**-23


def test_a_large_power_is_infinite() -> None:
    assert numerics.power(jnp.float32(1e30), jnp.float32(2.0)) == jnp.inf


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_sigmoid_in_two_terms_keeps_digits_that_their_sum_loses(dtype: str) -> None:
    x = np.concatenate([np.linspace(-1.49, 1.49, 98), [1e-30, -1e-9, 40, -40]]).astype(dtype)
    with jax.enable_x64(dtype == "float64"):
        step, more = map(np.asarray, numerics.sigmoid_terms(jnp.asarray(x)))
        slope = jax.vmap(jax.grad(lambda v: numerics.sigmoid_terms(v)[1]))(jnp.asarray(x))
    with mpmath.workdps(50):
        p = [1 / (1 + mpmath.exp(-mpmath.mpf(float(v)))) for v in x]
        rest = np.array([float(v - float(s)) for v, s in zip(p, step, strict=True)])
        bend = np.array([float(v * (1 - v)) for v in p])
    assert set(step) == {0, 0.5, 1}
    np.testing.assert_allclose(more, rest, rtol=2 * np.finfo(dtype).eps)
    np.testing.assert_allclose(slope, bend, rtol=4 * np.finfo(dtype).eps)


# Lambert's W


def arguments_of_w(dtype):
    """The branch point and its neighbours, the ways out of it, around 0, and up to the largest."""
    rng, info = np.random.default_rng(0), np.finfo(dtype)
    branch, tiny = dtype(-1 / np.e), np.log10(float(info.tiny))
    near = branch * (1 - np.arange(1, 200) * info.epsneg)
    away = branch + 10.0 ** rng.uniform(np.log10(info.eps) - 1, np.log10(0.36), 600)
    small = 10.0 ** rng.uniform(tiny, -1, 100)
    large = 10.0 ** rng.uniform(-1, np.log10(float(info.max)), 400)
    ends = [branch, -0.25, np.nextafter(dtype(-0.25), dtype(-1)), 0, info.tiny, info.max]
    parts = [near, away, small, -small, large, rng.uniform(-0.3, 1, 600), ends]
    x = np.concatenate([np.asarray(part, dtype) for part in parts])
    return x[x >= branch]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lambert_w_is_right_to_the_last_digits(dtype) -> None:
    x = arguments_of_w(dtype)
    with jax.enable_x64(dtype == np.float64):
        got = jax.jit(lambda x: (*numerics.lambert_terms(x), numerics.lambert_decay(x)))(x)
        slope = jax.jit(jax.vmap(jax.grad(numerics.lambert_w)))(x)
        bend = jax.jit(jax.vmap(jax.grad(jax.grad(numerics.lambert_w))))(x)
    one, e, branch = mpmath.mpf(1), mpmath.e, dtype(-1 / np.e)
    with mpmath.workdps(50):
        w = [-one if v == branch else mpmath.lambertw(mpmath.mpf(float(v))).real for v in x]
        right = [w, [1 + v for v in w], [e**-v for v in w]]
        slopes = [mpmath.mpf(0) if v == -1 else e**-v / (1 + v) for v in w]
        bends = [mpmath.mpf(0) if v == -1 else -(e ** (-2 * v)) * (v + 2) / (1 + v) ** 3 for v in w]
        # What is below the smallest normal number the compiler takes for 0, parts of sums too.
        least = float(np.finfo(dtype).tiny)
        limits = [(4, least)] * 3 + [(5, least), (16, least / np.finfo(dtype).eps)]
        for found, true, (most, above) in zip(
            (*got, slope, bend), (*right, slopes, bends), limits, strict=True
        ):
            assert found.dtype == dtype
            size = np.abs(np.float64(true))
            missed = [abs(mpmath.mpf(float(f)) - t) for f, t in zip(found, true, strict=True)]
            units = np.float64(missed) / np.spacing(np.maximum(size, least).astype(dtype))
            assert np.max(units[(size > above) | (size == 0)]) <= most


def test_lambert_w_at_its_ends() -> None:
    branch = np.float32(-1 / np.e)
    x = jnp.array([branch, np.nextafter(branch, np.float32(-1)), -jnp.inf, jnp.inf, jnp.nan, 0])
    nan, inf = np.nan, np.inf
    np.testing.assert_array_equal(numerics.lambert_w(x), [-1, nan, nan, inf, nan, 0])
    decay = numerics.lambert_decay(x)
    np.testing.assert_allclose(decay, [np.e, nan, nan, 0, nan, 1], rtol=1e-7)
    slope = jax.vmap(jax.grad(numerics.lambert_w))(x)
    np.testing.assert_allclose(slope, [0, nan, nan, 0, nan, 1])


def test_lambert_w_in_forward_mode_and_beyond_first_order() -> None:
    x = jnp.array([-0.36, -0.2, 0.5, 30.0])
    w, change = jax.jvp(numerics.lambert_w, (x,), (jnp.full(4, 2.0),))
    np.testing.assert_allclose(w * jnp.exp(w), x, rtol=1e-5)
    np.testing.assert_allclose(change, 2 / (jnp.exp(w) * (1 + w)), rtol=1e-4)
    function = numerics.lambert_w
    for derivative in (1.0, -2.0, 9.0):  # of x - x^2 + 3/2 x^3
        function = jax.grad(function)
        np.testing.assert_allclose(function(0.0), derivative, rtol=1e-6)
