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
