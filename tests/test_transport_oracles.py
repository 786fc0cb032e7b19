"""Divergences of samples against the libraries for optimal transport, values and gradients."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import jaxloss as jl

pytestmark = [pytest.mark.oracle, pytest.mark.usefixtures("x64")]


def quietly(name):
    """Import a library whose own imports warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name, reason=f"needs {name}")


@pytest.fixture
def clouds(rng):
    """Two weighted samples of vectors, of different sizes and spreads."""
    x, y = rng.normal(size=(7, 3)), rng.normal(0.5, 1.5, size=(9, 3))
    a, b = rng.gamma(1.0, size=7), rng.gamma(1.0, size=9)
    return x, y, a / a.sum(), b / b.sum()


def ours(loss, x, y, a, b, **options):
    total = lambda x: loss(x, y, weights=a, weights_targets=b, **options)
    value, slope = jax.jit(jax.value_and_grad(total))(x)
    return np.asarray(value), np.asarray(slope)


def test_wasserstein_and_energy_of_numbers_against_scipy(rng):
    for n, m in ((5, 8), (6, 6)):
        x, y = rng.normal(size=n).round(1), rng.gamma(2.0, size=m).round(1)
        a, b = rng.gamma(1.0, size=n), rng.gamma(1.0, size=m)
        value, _ = ours(jl.wasserstein_1d, x, y, a, b)
        expected = scipy.stats.wasserstein_distance(x, y, a, b)
        np.testing.assert_allclose(value, expected, rtol=1e-12)
        value, _ = ours(jl.energy_distance, x[:, None], y[:, None], a, b)
        expected = scipy.stats.energy_distance(x, y, a, b) ** 2
        np.testing.assert_allclose(value, expected, rtol=1e-12)


def test_transport_on_the_line_against_pot(clouds):
    ot = quietly("ot")
    torch = quietly("torch")
    x, y, a, b = clouds
    for p in (1.0, 2.0, 3.0):
        other = torch.tensor(x[:, 0], requires_grad=True)
        rest = (torch.tensor(v) for v in (y[:, 0], a, b))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = ot.wasserstein_1d(other, *rest, p=p)
            expected.backward()
        value, slope = ours(jl.wasserstein_1d, x[:, 0], y[:, 0], a, b, p=p)
        np.testing.assert_allclose(value, expected.item(), rtol=1e-12)
        np.testing.assert_allclose(slope, other.grad.numpy(), rtol=1e-10, atol=1e-14)


def test_sliced_transport_against_pot(clouds):
    ot = quietly("ot")
    x, y, a, b = clouds
    directions = np.asarray(jl.random_projections(jax.random.key(3), 25, 3, "float64"))
    for p in (1.0, 2.0):
        expected = ot.sliced_wasserstein_distance(x, y, a, b, projections=directions.T, p=p)
        value, _ = ours(jl.sliced_wasserstein, x, y, a, b, projections=directions, p=p, root=True)
        np.testing.assert_allclose(value, expected, rtol=1e-10)


def test_sinkhorn_at_small_epsilon_against_exact_transport(clouds):
    ot = quietly("ot")
    x, y, a, b = clouds
    value, slope = ours(jl.sinkhorn_divergence, x, y, a, b, epsilon=0.03, iterations=3000)
    plan = ot.emd(a, b, ot.dist(x, y))
    np.testing.assert_allclose(value, (plan * ot.dist(x, y)).sum(), rtol=5e-3)
    expected = 2 * (a[:, None] * x - plan @ y)
    np.testing.assert_allclose(slope, expected, atol=0.02)


@pytest.mark.parametrize("epsilon", [2.0, 10.0])
def test_sinkhorn_against_ott(clouds, epsilon):
    quietly("ott")
    with warnings.catch_warnings(), jax.numpy_rank_promotion("allow"):
        warnings.simplefilter("ignore")
        from ott.tools import sinkhorn_divergence

        x, y, a, b = map(jnp.asarray, clouds)
        expected = sinkhorn_divergence.sinkdiv(
            x, y, a=a, b=b, epsilon=epsilon,
            solve_kwargs={"threshold": 1e-13, "max_iterations": 5000},
        )[0]  # fmt: skip
    value, _ = ours(jl.sinkhorn_divergence, x, y, a, b, epsilon=epsilon, iterations=1000)
    np.testing.assert_allclose(value, expected, rtol=1e-9)


@pytest.mark.parametrize("epsilon", [2.0, 10.0])
def test_sinkhorn_against_geomloss(clouds, epsilon):
    """Their cost is half the squared distance, so theirs is half of ours at twice the epsilon."""
    torch, geomloss = quietly("torch"), quietly("geomloss")
    x, y, a, b = map(torch.tensor, clouds)
    x.requires_grad_()
    # Their annealing stops at blur^2 = epsilon / 2 after many small steps.
    loss = geomloss.SamplesLoss(
        "sinkhorn", p=2, blur=(epsilon / 2) ** 0.5, scaling=0.999, backend="tensorized"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = 2 * loss(a, x, b, y)
        expected.backward()
    value, slope = ours(jl.sinkhorn_divergence, *clouds, epsilon=epsilon, iterations=1000)
    np.testing.assert_allclose(value, expected.item(), rtol=1e-4)
    np.testing.assert_allclose(slope, x.grad.numpy(), atol=4e-3)


@pytest.mark.parametrize(
    ("theirs", "kernel"),
    [("gaussian", "gaussian"), ("laplacian", "laplace"), ("energy", "energy")],
)
def test_kernel_discrepancies_against_geomloss(clouds, theirs, kernel):
    """Theirs are half of ours."""
    torch, geomloss = quietly("torch"), quietly("geomloss")
    x, y, a, b = map(torch.tensor, clouds)
    x.requires_grad_()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loss = geomloss.SamplesLoss(theirs, blur=0.8, backend="tensorized")
        expected = 2 * loss(a, x, b, y)
        expected.backward()
    value, slope = ours(jl.maximum_mean_discrepancy, *clouds, kernel=kernel, bandwidth=0.8)
    # They take the distance of a member from itself for 1e-4.
    np.testing.assert_allclose(value, expected.item(), rtol=3e-4)
    np.testing.assert_allclose(slope, x.grad.numpy(), rtol=1e-6, atol=1e-9)
