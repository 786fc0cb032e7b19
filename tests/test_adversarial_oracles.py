"""Adversarial losses against PyTorch: its losses, and its gradients of gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxloss as jl
from jaxloss import adversarial

torch = pytest.importorskip("torch", reason="needs torch")

pytestmark = [pytest.mark.oracle, pytest.mark.usefixtures("x64")]

RTOL, ATOL = 1e-11, 1e-13
ROWS, CLASSES = 24, 5


def tensor(array):
    return torch.as_tensor(np.array(array)).requires_grad_()


def ours(loss, *arrays):
    """Return the losses and the gradient of their sum in every argument."""
    total = lambda *arrays: (lambda value: (jnp.sum(value), value))(loss(*arrays))
    places = tuple(range(len(arrays)))
    (_, value), slopes = jax.jit(jax.value_and_grad(total, places, has_aux=True))(*arrays)
    return [np.asarray(value), *map(np.asarray, slopes)]


def theirs(loss, *arrays):
    tensors = [tensor(a) for a in arrays]
    value = loss(*tensors)
    slopes = torch.autograd.grad(value.sum(), tensors, allow_unused=True)
    slopes = [torch.zeros_like(t) if s is None else s for t, s in zip(tensors, slopes, strict=True)]
    return [value.detach().numpy(), *(s.numpy() for s in slopes)]


def assert_agree(got, expected):
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=RTOL, atol=ATOL)


def logits(rng):
    real, fake = rng.normal([[0.7], [-0.4]], [[2.0], [3.0]], size=(2, ROWS))
    real[::5], fake[::7] = real[::5].round(), fake[::7].round() * 8
    return real, fake


def _bce(x, target):
    log_loss = torch.nn.functional.binary_cross_entropy_with_logits
    return log_loss(x, torch.full_like(x, target), reduction="none")


def _squared(x, target):
    return torch.nn.functional.mse_loss(x, torch.full_like(x, target), reduction="none")


def _margin(x, sign):
    ones = torch.full_like(x, sign)
    zeros = torch.zeros_like(x)
    # max(0, 1 - sign x) as a ranking loss against zero.
    rank = torch.nn.functional.margin_ranking_loss
    return rank(x, zeros, ones, margin=1.0, reduction="none")


TORCH = {
    "minimax.discriminator": lambda r, f: _bce(r, 1.0) + _bce(f, 0.0),
    "minimax.generator": lambda r, f: -_bce(f, 0.0),
    "non_saturating.discriminator": lambda r, f: _bce(r, 1.0) + _bce(f, 0.0),
    "non_saturating.generator": lambda r, f: _bce(f, 1.0),
    "least_squares.discriminator": lambda r, f: (_squared(r, 1.0) + _squared(f, 0.0)) / 2,
    "least_squares.generator": lambda r, f: _squared(f, 1.0) / 2,
    "hinge.discriminator": lambda r, f: _margin(r, 1.0) + _margin(f, -1.0),
    "hinge.generator": lambda r, f: -f,
    "wasserstein.discriminator": lambda r, f: f - r,
    "wasserstein.generator": lambda r, f: -f,
    "relativistic_average.discriminator": lambda r, f: (
        _bce(r - f.mean(), 1.0) + _bce(f - r.mean(), 0.0)
    ),
    "relativistic_average.generator": lambda r, f: (
        _bce(f - r.mean(), 1.0) + _bce(r - f.mean(), 0.0)
    ),
    "relativistic_pairing.discriminator": lambda r, f: _bce(r - f, 1.0),
    "relativistic_pairing.generator": lambda r, f: _bce(f - r, 1.0),
}


@pytest.mark.parametrize("name", TORCH)
def test_objectives(rng, name):
    objective, side = name.split(".")
    loss = getattr(getattr(adversarial, objective), side)
    data = logits(rng)
    if name == "hinge.discriminator":
        # Off the kinks, where the two libraries choose different slopes.
        data = [a + 0.25 * (np.abs(a) == 1) for a in data]
    assert_agree(ours(loss, *data), theirs(TORCH[name], *data))


# Penalties: the critic is a small network on images, its parameters are differentiated as well.


def network(rng):
    shapes = [(2 * 3 * 2, 7), (7,), (7, 6), (6,), (6,)]
    return [rng.normal(size=s) / np.sqrt(s[0]) for s in shapes]


def critic(arrays, xp):
    first, shift, second, drift, last = arrays

    def call(x):
        hidden = xp.tanh(x.reshape(x.shape[0], -1) @ first + shift)
        return xp.sin(hidden @ second + drift) @ last

    return call


class _Bias:
    """`jnp` and `torch`, but the biases are widened where broadcasting must be explicit."""

    tanh, sin = staticmethod(jnp.tanh), staticmethod(jnp.sin)


def our_critic(first, shift, second, drift, last):
    return critic((first, shift[None], second, drift[None], last), _Bias)


def their_critic(*parameters):
    return critic(parameters, torch)


def norm_of_gradient(net, x):
    x = x if x.requires_grad else x.requires_grad_()
    (slope,) = torch.autograd.grad(net(x).sum(), x, create_graph=True)
    return slope.flatten(1).norm(dim=1)


def test_wgan_gradient_penalty(rng):
    parameters, mix = network(rng), rng.uniform(size=4)
    real, fake = rng.normal(size=(2, 4, 2, 3, 2))

    def torch_penalty(real, fake, *parameters):
        share = torch.as_tensor(mix).reshape(-1, 1, 1, 1)
        between = share * real + (1 - share) * fake
        return (norm_of_gradient(their_critic(*parameters), between) - 0.5) ** 2

    penalty = lambda real, fake, *parameters: jl.wgan_gradient_penalty(
        our_critic(*parameters), real, fake, mix=mix, target_norm=0.5
    )
    arrays = (real, fake, *parameters)
    assert_agree(ours(penalty, *arrays), theirs(torch_penalty, *arrays))


def test_dragan_penalty(rng):
    parameters, (real, noise) = network(rng), rng.normal(size=(2, 4, 2, 3, 2))
    penalty = lambda real, *parameters: jl.dragan_penalty(
        our_critic(*parameters), real, noise=noise, scale=0.3
    )
    torch_penalty = lambda real, *parameters: (
        (norm_of_gradient(their_critic(*parameters), real + 0.3 * torch.as_tensor(noise)) - 1) ** 2
    )
    arrays = (real, *parameters)
    assert_agree(ours(penalty, *arrays), theirs(torch_penalty, *arrays))


@pytest.mark.parametrize("ours_", [jl.r1_penalty, jl.r2_penalty])
def test_r1_and_r2_penalties(rng, ours_):
    arrays = (rng.normal(size=(4, 2, 3, 2)), *network(rng))
    penalty = lambda x, *parameters: ours_(our_critic(*parameters), x)
    torch_penalty = lambda x, *parameters: norm_of_gradient(their_critic(*parameters), x) ** 2 / 2
    assert_agree(ours(penalty, *arrays), theirs(torch_penalty, *arrays))


def test_lecam_regularization(rng):
    penalty = lambda r, f: jl.lecam_regularization(r, f, real_anchor=0.8, fake_anchor=-1.3)
    torch_penalty = lambda r, f: _squared(r, -1.3) + _squared(f, 0.8)
    data = logits(rng)
    assert_agree(ours(penalty, *data), theirs(torch_penalty, *data))


def test_feature_matching(rng):
    data = rng.normal([[[[0.3]]], [[[-0.2]]]], 1.5, size=(2, 3, 9, 4))
    torch_loss = lambda r, f: (r.mean(1) - f.mean(1)).square().sum(-1)
    assert_agree(ours(jl.feature_matching_loss, *data), theirs(torch_loss, *data))


# Adversarial training


def classes(rng):
    clean, moved = rng.normal(0.3, 2.0, size=(2, ROWS, CLASSES))
    moved[::4] = clean[::4] + 1e-3 * moved[::4]
    return clean, moved, rng.choice(CLASSES, size=ROWS, p=[0.4, 0.3, 0.15, 0.1, 0.05])


def torch_divergence(clean, moved):
    given, log_probs = torch.log_softmax(moved, -1), torch.log_softmax(clean, -1)
    kl = torch.nn.functional.kl_div(given, log_probs, log_target=True, reduction="none")
    return kl.sum(-1)


def test_adversarial_cross_entropy(rng):
    clean, moved, labels = classes(rng)
    target = torch.as_tensor(labels)
    log_loss = lambda x: torch.nn.functional.cross_entropy(x, target, reduction="none")
    assert_agree(
        ours(lambda x, z: jl.adversarial_cross_entropy(x, z, labels, weight=0.3), clean, moved),
        theirs(lambda x, z: 0.7 * log_loss(x) + 0.3 * log_loss(z), clean, moved),
    )


def test_trades_loss(rng):
    clean, moved, labels = classes(rng)
    target = torch.as_tensor(labels)
    log_loss = lambda x: torch.nn.functional.cross_entropy(x, target, reduction="none")
    assert_agree(
        ours(lambda x, z: jl.trades_loss(x, z, labels, beta=2.5), clean, moved),
        theirs(lambda x, z: log_loss(x) + 2.5 * torch_divergence(x, z), clean, moved),
    )


def test_virtual_adversarial_loss(rng):
    clean, moved, _ = classes(rng)
    loss = lambda x, z: torch_divergence(x.detach(), z)
    assert_agree(ours(jl.virtual_adversarial_loss, clean, moved), theirs(loss, clean, moved))


# Attacks, step by step in torch


@pytest.mark.parametrize("norm", ["inf", "l2"])
def test_projected_gradient_ascent(rng, norm):
    (clean, _, labels), (first, second) = classes(rng), rng.normal(size=(2, CLASSES, CLASSES))
    target = torch.as_tensor(labels)
    radius, step, steps = 0.7, 0.25, 5

    def torch_losses(x):
        scores = torch.sin(x @ torch.as_tensor(first)) @ torch.as_tensor(second)
        return torch.nn.functional.cross_entropy(scores, target, reduction="none")

    def losses(x):
        return jl.softmax_cross_entropy_with_integer_labels(jnp.sin(x @ first) @ second, labels)

    start = torch.as_tensor(clean)
    point, seen = start, [(torch_losses(start), start)]
    for _ in range(steps):
        point = point.clone().requires_grad_()
        (slope,) = torch.autograd.grad(torch_losses(point).sum(), point)
        if norm == "inf":
            moved = point.detach() + step * slope.sign() - start
            moved = moved.clamp(-radius, radius)
        else:
            moved = point.detach() + step * torch.nn.functional.normalize(slope, eps=0) - start
            moved = torch.renorm(moved, 2, 0, radius)
        point = start + moved
        seen.append((torch_losses(point), point))
    best = torch.stack([v for v, _ in seen]).argmax(0)
    expected = torch.stack([p for _, p in seen])[best, torch.arange(ROWS)]
    got = adversarial.pgd(losses, clean, radius=radius, step_size=step, steps=steps, norm=norm)
    # torch.renorm adds 1e-7 to the norm that it divides by.
    np.testing.assert_allclose(got, expected.numpy(), rtol=1e-6, atol=1e-6)
