"""Divergences against PyTorch, SciPy and kornia, on the same float64 data."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxloss as jl

pytestmark = [pytest.mark.oracle, pytest.mark.usefixtures("x64")]

RTOL, ATOL = 1e-12, 1e-14


def distributions(rng):
    """Two asymmetric distributions, the second with zeros, and logarithms of both."""
    q, p = rng.dirichlet([0.5, 1.0, 3.0, 0.3, 2.0], 30), rng.dirichlet(np.full(5, 0.7), 30)
    p[::3, 1] = 0
    p /= p.sum(axis=-1, keepdims=True)
    with np.errstate(divide="ignore"):
        return q, p, np.log(q), np.log(p)


def ours(loss, *arguments, **options):
    total = lambda first: jnp.sum(loss(first, *arguments[1:], **options))
    slope = jax.jit(jax.grad(total))(arguments[0])
    return np.asarray(loss(*arguments, **options)), np.asarray(slope)


def theirs(function, first):
    import torch

    tensor = torch.tensor(np.asarray(first), requires_grad=True)
    value = function(tensor)
    value.sum().backward()
    return value.detach().numpy(), tensor.grad.numpy()


def assert_agree(got, expected, **tolerance):
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, **({"rtol": RTOL, "atol": ATOL} | tolerance))


def test_torch_kl_div(rng):
    torch = pytest.importorskip("torch", reason="needs torch")
    kl = torch.nn.functional.kl_div
    _, p, log_q, log_p = distributions(rng)
    target, log_target = torch.tensor(p), torch.tensor(np.maximum(log_p, -700.0))
    expected = theirs(lambda x: kl(x, target, reduction="none").sum(-1), log_q)
    assert_agree(ours(jl.kl_divergence, log_q, p), expected)
    assert_agree(ours(jl.kl_divergence_with_log_targets, log_q, log_p), expected)
    backward = lambda x: kl(log_target[1::3], x, reduction="none", log_target=True).sum(-1)
    expected = theirs(backward, log_q[1::3])
    assert_agree(ours(jl.reverse_kl_divergence, log_q[1::3], log_p[1::3]), expected)


def test_torch_distillation(rng):
    torch = pytest.importorskip("torch", reason="needs torch")
    functional = torch.nn.functional
    student, teacher = rng.normal(0, 3, (2, 30, 6))

    def distill(x, temperature=2.5):
        soft = functional.softmax(torch.tensor(teacher) / temperature, dim=-1)
        logs = functional.log_softmax(x / temperature, dim=-1)
        return functional.kl_div(logs, soft, reduction="none").sum(-1) * temperature**2

    got = ours(jl.distillation_loss, student, teacher, temperature=2.5)
    assert_agree(got, theirs(distill, student), atol=1e-13)


def test_torch_gaussians(rng):
    torch = pytest.importorskip("torch", reason="needs torch")
    from torch.distributions import Independent, Normal, kl_divergence

    mean, log_variance, prior_mean, prior_log_variance = rng.normal(0, 1, (4, 20, 3))
    normal = lambda m, v: Independent(Normal(m, torch.exp(torch.tensor(v) / 2)), 1)
    prior = normal(torch.tensor(prior_mean), prior_log_variance)
    expected = theirs(lambda m: kl_divergence(normal(m, log_variance), prior), mean)
    data = (mean, log_variance, prior_mean, prior_log_variance)
    assert_agree(ours(jl.gaussian_kl_divergence, *data), expected)
    standard = Independent(Normal(torch.zeros(20, 3).double(), torch.ones(20, 3).double()), 1)
    expected = theirs(lambda m: kl_divergence(normal(m, log_variance), standard), mean)
    assert_agree(ours(jl.gaussian_kl_divergence, mean, log_variance), expected)


def test_torch_categorical_kl(rng):
    torch = pytest.importorskip("torch", reason="needs torch")
    from torch.distributions import Categorical, kl_divergence

    q, p, log_q, log_p = distributions(rng)
    forward = kl_divergence(Categorical(torch.tensor(p)), Categorical(torch.tensor(q))).numpy()
    value = jl.kl_divergence_with_log_targets(log_q, log_p)
    # It replaces a probability of 0 by the machine epsilon.
    np.testing.assert_allclose(value[1::3], forward[1::3], rtol=1e-10)


def test_scipy(rng):
    special = pytest.importorskip("scipy.special", reason="needs scipy")
    from scipy.spatial import distance

    q, p, log_q, log_p = distributions(rng)
    agree = lambda a, b: np.testing.assert_allclose(a, b, rtol=RTOL, atol=ATOL)
    agree(jl.kl_divergence(log_q, p), special.rel_entr(p, q).sum(-1))
    masses = 3 * q
    agree(jl.generalized_kl_divergence(np.log(masses), p), special.kl_div(p, masses).sum(-1))
    agree(jl.alpha_divergence(np.log(masses), log_p, alpha=1.0), special.kl_div(p, masses).sum(-1))
    agree(jl.reverse_kl_divergence(log_q, log_p), special.rel_entr(q, p).sum(-1))
    agree(jl.jensen_shannon_divergence(log_q, log_p), distance.jensenshannon(p, q, axis=-1) ** 2)
    rows = [distance.cityblock(a, b) / 2 for a, b in zip(p, q, strict=True)]
    agree(jl.total_variation_distance(log_q, log_p), rows)


def test_scipy_power_divergence(rng):
    """The power divergence of Cressie and Read with `lambda` is twice ours at `lambda + 1`."""
    stats = pytest.importorskip("scipy.stats", reason="needs scipy")
    q, p, log_q, log_p = distributions(rng)
    for exponent in (2 / 3, 1.0, 2.5):
        expected = stats.power_divergence(p.T, q.T, lambda_=exponent).statistic
        value = 2 * jl.alpha_divergence(log_q, log_p, alpha=exponent + 1)
        np.testing.assert_allclose(value, expected, rtol=1e-10)
    expected = stats.power_divergence(p[1::3].T, q[1::3].T, lambda_=-1.7).statistic
    value = 2 * jl.alpha_divergence(log_q[1::3], log_p[1::3], alpha=-0.7)
    np.testing.assert_allclose(value, expected, rtol=1e-10)
    expected = stats.chisquare(p.T, q.T).statistic
    np.testing.assert_allclose(jl.chi_squared_divergence(log_q, log_p), expected, rtol=1e-10)


def test_kornia_jensen_shannon(rng):
    torch = pytest.importorskip("torch", reason="needs torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        losses = pytest.importorskip("kornia.losses", reason="needs kornia")
    _, p, log_q, _ = distributions(rng)
    p = 0.9 * p + 0.02
    maps = lambda a: torch.as_tensor(a).reshape(30, 1, 1, 5)
    js = lambda x: losses.js_div_loss_2d(maps(torch.exp(x)), maps(p), reduction="none").flatten()
    got = ours(jl.jensen_shannon_divergence, log_q, np.log(p))
    # It adds an epsilon of its own.
    assert_agree(got, theirs(js, log_q), rtol=1e-6, atol=1e-7)
