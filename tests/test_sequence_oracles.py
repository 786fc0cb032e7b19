"""Losses of sequences against PyTorch, optax and recursions written another way."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxloss as jl

pytestmark = [pytest.mark.oracle, pytest.mark.usefixtures("x64")]

BATCH, FRAMES, SYMBOLS, COUNT = 6, 40, 7, 12
RTOL, ATOL = 1e-11, 1e-12


@pytest.fixture
def speech(rng):
    """Ragged in both lengths, full and empty ones, with repeated labels."""
    lengths, counts = np.array([40, 33, 25, 40, 37, 7]), np.array([12, 9, 12, 0, 1, 5])
    labels = rng.integers(1, 4, (BATCH, COUNT))  # few labels, so that many repeat
    labels[-1, :5] = [1, 2, 2, 3, 3]  # seven frames: one alignment
    return (
        rng.normal(0, 2, (BATCH, FRAMES, SYMBOLS)),
        (np.arange(FRAMES) >= lengths[:, None]).astype(float),
        labels,
        (np.arange(COUNT) >= counts[:, None]).astype(float),
    )


def with_gradient(loss, first, *rest):
    def total(first):
        value = loss(first, *rest)
        return jnp.sum(value), value

    slope, value = jax.jit(jax.grad(total, has_aux=True))(first)
    return np.asarray(value), np.asarray(slope)


def test_ctc_is_torchs(speech):
    """Torch's gradient in log-probabilities is not a derivative; through log_softmax it is."""
    torch = pytest.importorskip("torch", reason="needs torch")
    logits, frames, labels, ends = speech
    tensor = torch.tensor(logits, requires_grad=True)
    theirs = torch.nn.functional.ctc_loss(
        torch.log_softmax(tensor, -1).transpose(0, 1),
        torch.tensor(labels),
        torch.tensor((frames == 0).sum(-1)),
        torch.tensor((ends == 0).sum(-1)),
        reduction="none",
    )
    theirs.sum().backward()
    value, slope = with_gradient(jl.ctc_loss, *speech)
    np.testing.assert_allclose(value, theirs.detach().numpy(), rtol=RTOL, atol=ATOL)
    np.testing.assert_allclose(slope, tensor.grad.numpy(), rtol=RTOL, atol=ATOL)


def test_ctc_is_optaxs_with_its_forward_probabilities(speech):
    with warnings.catch_warnings(), jax.numpy_rank_promotion("allow"):
        warnings.simplefilter("ignore")
        theirs = jax.jit(optax.losses.ctc_loss_with_forward_probs)(*speech)
        slope = with_gradient(optax.losses.ctc_loss, *speech)[1]
    ours = jax.jit(jl.ctc_loss_with_forward_probs)(*speech)
    np.testing.assert_allclose(ours[0], theirs[0], rtol=RTOL, atol=ATOL)
    for got, expected in zip(ours[1:], theirs[1:], strict=True):
        assert got.shape == expected.shape
        # Behind the last label optax's states go on to read what stands in the padding.
        alive = (expected > -1e4) & (got > -1e5)
        assert alive.mean() > 0.3
        np.testing.assert_allclose(got[alive], expected[alive], rtol=RTOL, atol=ATOL)
    np.testing.assert_allclose(with_gradient(jl.ctc_loss, *speech)[1], slope, rtol=1e-9, atol=1e-10)


def _transducer(logits, labels):
    """Forward and backward variables, node by node: the loss and its gradient."""
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    frames, positions, _ = logits.shape
    alpha, beta = np.full((2, frames + 1, positions + 1), -np.inf)
    alpha[0, 0], beta[frames, positions - 1] = 0, 0
    for t in range(frames):
        for u in range(positions):
            if t:
                alpha[t, u] = np.logaddexp(alpha[t, u], alpha[t - 1, u] + log_p[t - 1, u, 0])
            if u:
                label = log_p[t, u - 1, labels[u - 1]]
                alpha[t, u] = np.logaddexp(alpha[t, u], alpha[t, u - 1] + label)
    slope = np.zeros_like(logits)
    for t in reversed(range(frames)):
        for u in reversed(range(positions)):
            beta[t, u] = log_p[t, u, 0] + beta[t + 1, u]
            if u < len(labels):
                beta[t, u] = np.logaddexp(beta[t, u], log_p[t, u, labels[u]] + beta[t, u + 1])
    total = beta[0, 0]
    for t in range(frames):
        for u in range(positions):
            through = np.exp(alpha[t, u] + beta[t, u] - total)
            slope[t, u] = through * np.exp(log_p[t, u])
            slope[t, u, 0] -= np.exp(alpha[t, u] + log_p[t, u, 0] + beta[t + 1, u] - total)
            if u < len(labels):
                on = log_p[t, u, labels[u]] + beta[t, u + 1]
                slope[t, u, labels[u]] -= np.exp(alpha[t, u] + on - total)
    return -total, slope


def test_rnnt_is_the_forward_backward_recursion(rng):
    frames, count, symbols = 15, 6, 5
    logits = rng.normal(0, 2, (4, frames, count + 1, symbols))
    labels = rng.integers(1, symbols, (4, count))
    lengths, counts = np.array([15, 9, 1, 12]), np.array([6, 4, 6, 0])
    paddings = (
        (np.arange(size) >= n[:, None]).astype(float)
        for size, n in ((frames, lengths), (count, counts))
    )
    first, second = paddings
    value, slope = with_gradient(jl.rnnt_loss, logits, first, labels, second)
    for i, (n, m) in enumerate(zip(lengths, counts, strict=True)):
        expected, gradient = _transducer(logits[i, :n, : m + 1], labels[i, :m])
        np.testing.assert_allclose(value[i], expected, rtol=RTOL)
        np.testing.assert_allclose(slope[i, :n, : m + 1], gradient, rtol=1e-10, atol=1e-12)
        outside = np.array(slope[i])
        outside[:n, : m + 1] = 0
        assert not outside.any()


def _soft_alignment(x, y, gamma):
    """Algorithms 1 and 2 of Cuturi and Blondel: value and expected matching, node by node."""
    n, m = len(x), len(y)
    cost = np.zeros((n + 2, m + 2))
    cost[1:-1, 1:-1] = ((x[:, None] - y[None]) ** 2).sum(-1)
    r = np.full((n + 2, m + 2), np.inf)
    r[0, 0] = 0
    for i in range(1, n + 1):
        for j in range(1, m + 1):
            before = np.array([r[i - 1, j - 1], r[i - 1, j], r[i, j - 1]])
            least = before.min()
            soft = least - gamma * np.log(np.exp((least - before) / gamma).sum())
            r[i, j] = cost[i, j] + soft
    value = r[n, m]
    e = np.zeros((n + 2, m + 2))
    e[n + 1, m + 1] = 1
    r[:, m + 1] = r[n + 1, :] = -np.inf
    r[n + 1, m + 1] = value
    for j in reversed(range(1, m + 1)):
        for i in reversed(range(1, n + 1)):
            e[i, j] = sum(
                e[a, b] * np.exp((r[a, b] - r[i, j] - cost[a, b]) / gamma)
                for a, b in ((i + 1, j), (i, j + 1), (i + 1, j + 1))
            )
    matching = e[1:-1, 1:-1]
    return value, 2 * (matching[..., None] * (x[:, None] - y[None])).sum(1)


@pytest.mark.parametrize("gamma", [0.05, 1.0, 30.0])
def test_soft_dtw_is_the_papers_algorithm(rng, gamma):
    x, y = rng.normal(size=(3, 9, 2)), rng.normal(0.3, 2.0, (3, 13, 2))
    value, slope = with_gradient(lambda x: jl.soft_dtw_loss(x, y, gamma=gamma), x)
    apart, toward = with_gradient(lambda x: jl.soft_dtw_divergence(x, y, gamma=gamma), x)
    for i in range(3):
        expected, gradient = _soft_alignment(x[i], y[i], gamma)
        np.testing.assert_allclose(value[i], expected, rtol=RTOL)
        np.testing.assert_allclose(slope[i], gradient, rtol=1e-9, atol=1e-9)
        (own, pull), (other, _) = (_soft_alignment(a, a, gamma) for a in (x[i], y[i]))
        np.testing.assert_allclose(apart[i], expected - (own + other) / 2, rtol=1e-10)
        # A series compared with itself moves on both sides.
        np.testing.assert_allclose(toward[i], gradient - pull, rtol=1e-8, atol=1e-8)


def test_soft_dtw_is_otts(rng):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        costs = pytest.importorskip("ott.geometry.costs", reason="needs ott-jax")
    x, y = rng.normal(size=(9, 2)), rng.normal(size=(13, 2))
    for loss, debiased in ((jl.soft_dtw_loss, False), (jl.soft_dtw_divergence, True)):
        with jax.numpy_rank_promotion("allow"):
            theirs = costs.SoftDTW(gamma=0.8, debiased=debiased)(jnp.asarray(x), jnp.asarray(y))
        np.testing.assert_allclose(loss(x, y, gamma=0.8), theirs, rtol=1e-10)
