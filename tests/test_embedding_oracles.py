"""Angular margins, proxies and learning without labels against other libraries and formulas."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxloss as jl
from jaxloss import NormStatistics, TargetStatistics

pytestmark = [pytest.mark.oracle, pytest.mark.usefixtures("x64")]

RTOL, ATOL = 1e-10, 1e-12
MEMBERS, CLASSES, SIZE = 12, 5, 6


@pytest.fixture
def data(rng):
    """Features and class weights of unequal lengths; the last class has no members."""
    return {
        "features": rng.normal(0.2, 1.0, (MEMBERS, SIZE)),
        "weights": rng.normal(-0.1, 2.0, (CLASSES, SIZE)),
        "labels": rng.integers(0, CLASSES - 1, MEMBERS),
        "second": rng.normal(-0.3, 0.8, (MEMBERS, SIZE)),
    }


def units(x):
    return x / jnp.linalg.norm(x, axis=-1, keepdims=True)


def cosines(features, weights):
    return units(features) @ units(weights).T


def ours(loss, *arguments):
    """Return the mean loss and its gradients in all arguments."""
    total = lambda *a: jnp.mean(loss(*a))
    value, slopes = jax.jit(jax.value_and_grad(total, tuple(range(len(arguments)))))(*arguments)
    assert value.dtype == jnp.float64
    return [np.asarray(a) for a in (value, *slopes)]


def metric_learning(build, features, labels=None, proxies=None, second=None, transposed=False):
    """Return the mean loss of a pytorch-metric-learning loss and its gradients."""
    torch = pytest.importorskip("torch", reason="needs torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("pytorch_metric_learning", reason="needs pytorch-metric-learning")
        from pytorch_metric_learning import losses

        loss = build(losses)
        x = torch.tensor(features, requires_grad=True)
        leaves = [x]
        more = {}
        if proxies is not None:
            held = torch.nn.Parameter(torch.tensor(proxies.T if transposed else proxies))
            setattr(loss, "W" if transposed else "proxies", held)
            leaves.append(held)
        if second is not None:
            more["ref_emb"] = torch.tensor(second, requires_grad=True)
            leaves.append(more["ref_emb"])
        value = loss(x, None if labels is None else torch.tensor(labels), **more)
        slopes = [g.numpy() for g in torch.autograd.grad(value, leaves)]
    if transposed:
        slopes[1] = slopes[1].T
    return [value.item(), *slopes]


def assert_agree(got, expected):
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=RTOL, atol=ATOL)


# pytorch-metric-learning


def test_arcface(data):
    """Its margin is in degrees; where the angle passes 180 degrees it goes on otherwise."""
    x, w, y = data["features"], data["weights"], data["labels"]
    own = np.take_along_axis(np.asarray(cosines(x, w)), y[:, None], axis=-1)
    assert (own > -np.cos(np.radians(28.6))).all()
    expected = metric_learning(
        lambda losses: losses.ArcFaceLoss(CLASSES, SIZE, margin=28.6, scale=16),
        x, y, w, transposed=True,
    )  # fmt: skip
    loss = lambda x, w: jl.arcface_loss(cosines(x, w), y, margin=np.radians(28.6), scale=16.0)
    assert_agree(ours(loss, x, w), expected)


def test_cosface(data):
    x, w, y = data["features"], data["weights"], data["labels"]
    expected = metric_learning(
        lambda losses: losses.CosFaceLoss(CLASSES, SIZE, margin=0.35, scale=16),
        x, y, w, transposed=True,
    )  # fmt: skip
    loss = lambda x, w: jl.cosface_loss(cosines(x, w), y, margin=0.35, scale=16.0)
    assert_agree(ours(loss, x, w), expected)


@pytest.mark.parametrize("margin", [2, 4, 5])
def test_sphereface(data, margin):
    """It scales by the norms of the features, and their gradient is the paper's."""
    x, w, y = data["features"], data["weights"], data["labels"]
    expected = metric_learning(
        lambda losses: losses.SphereFaceLoss(CLASSES, SIZE, margin=margin, scale=1),
        x, y, w, transposed=True,
    )  # fmt: skip

    def loss(x, w):
        norms = jnp.linalg.norm(x, axis=-1)
        return jl.sphereface_loss(cosines(x, w), y, margin=margin, scale=norms)

    assert_agree(ours(loss, x, w), expected)


@pytest.mark.parametrize("scale", [1.0, 9.0])
def test_proxy_nca(data, scale):
    x, w, y = data["features"], data["weights"], data["labels"]
    expected = metric_learning(
        lambda losses: losses.ProxyNCALoss(CLASSES, SIZE, softmax_scale=scale), x, y, w
    )
    loss = lambda x, w: jl.proxy_nca_loss(x, w, y, temperature=1 / scale)
    assert_agree(ours(loss, x, w), expected)


@pytest.mark.parametrize(("margin", "scale"), [(0.1, 32.0), (0.25, 2.0)])
def test_proxy_anchor(data, margin, scale):
    x, w, y = data["features"], data["weights"], data["labels"]
    expected = metric_learning(
        lambda losses: losses.ProxyAnchorLoss(CLASSES, SIZE, margin=margin, alpha=scale), x, y, w
    )
    loss = lambda x, w: jl.proxy_anchor_loss(x, w, y, margin=margin, scale=scale)
    assert_agree(ours(loss, x, w), expected)


@pytest.mark.parametrize("weights", [(25.0, 25.0, 1.0), (2.0, 7.0, 0.5)])
def test_vicreg(data, weights):
    x, z = data["features"], data["second"]
    names = ("invariance_lambda", "variance_mu", "covariance_v")
    expected = metric_learning(
        lambda losses: losses.VICRegLoss(**dict(zip(names, weights, strict=True))), x, second=z
    )
    a, b, c = weights
    loss = lambda x, z: jl.vicreg_loss(
        x, z, invariance_weight=a, variance_weight=b, covariance_weight=c
    )
    assert_agree(ours(loss, x, z), expected)


# The papers' algorithms, in torch, with torch's gradients


def torch_of(function, *arrays):
    torch = pytest.importorskip("torch", reason="needs torch")
    tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
    value = function(torch, *tensors)
    slopes = torch.autograd.grad(value, tensors, allow_unused=True)
    return [value.item(), *(np.zeros(a.shape) if g is None else g.numpy()
                            for a, g in zip(arrays, slopes, strict=True))]  # fmt: skip


def test_barlow_twins(data):
    """Batch normalisation with next to no epsilon, then the product of the views over n."""

    def algorithm(torch, a, b):
        norm = lambda x: torch.nn.functional.batch_norm(x, None, None, training=True, eps=1e-30)
        c = norm(a).T @ norm(b) / MEMBERS
        on = (torch.diagonal(c) - 1).pow(2).sum()
        return on + 0.1 * (c.pow(2).sum() - torch.diagonal(c).pow(2).sum())

    loss = lambda a, b: jl.barlow_twins_loss(a, b, off_diagonal_weight=0.1)
    views = (data["features"], data["second"])
    assert_agree(ours(loss, *views), torch_of(algorithm, *views))


def test_byol_and_simsiam(data):
    def byol(torch, p, t):
        norm = lambda x: torch.nn.functional.normalize(x, dim=-1)
        return (2 - 2 * (norm(p) * norm(t.detach())).sum(-1)).mean()

    def simsiam(torch, p, t):
        return -torch.nn.functional.cosine_similarity(p, t.detach(), dim=-1).mean()

    views = (data["features"], data["second"])
    assert_agree(ours(jl.byol_loss, *views), torch_of(byol, *views))
    assert_agree(ours(jl.simsiam_loss, *views), torch_of(simsiam, *views))


def test_dino(data):
    center = np.linspace(-1, 1, SIZE)

    def algorithm(torch, s, t):
        target = ((t - torch.tensor(center)) / 0.3).softmax(-1).detach()
        return -(target * (s / 0.2).log_softmax(-1)).sum(-1).mean()

    loss = lambda s, t: jl.dino_loss(
        s, t, center=center, student_temperature=0.2, teacher_temperature=0.3
    )
    views = (data["features"], data["second"])
    assert_agree(ours(loss, *views), torch_of(algorithm, *views))


@pytest.mark.parametrize("alpha", [1.0, 2.0, 3.5])
def test_alignment_and_uniformity(data, alpha):
    def align(torch, a, b):
        norm = lambda x: torch.nn.functional.normalize(x, dim=-1)
        return (norm(a) - norm(b)).norm(p=2, dim=1).pow(alpha).mean()

    def uniform(torch, x):
        x = torch.nn.functional.normalize(x, dim=-1)
        return torch.pdist(x, p=2).pow(2).mul(-2 * alpha).exp().mean().log()

    views = (data["features"], data["second"])
    loss = lambda a, b: jl.alignment_loss(a, b, alpha=alpha)
    assert_agree(ours(loss, *views), torch_of(align, *views))
    spread = lambda x: jl.uniformity_loss(x, scale=2 * alpha)
    assert_agree(ours(spread, views[0]), torch_of(uniform, views[0]))


def test_adaface(data):
    """By way of the angle itself, as the paper writes it."""
    x, w, y = data["features"], data["weights"], data["labels"]
    norms = np.linalg.norm(x, axis=-1)
    mean, std = norms.mean(), norms.std(ddof=1)

    def algorithm(torch, c):
        z = torch.tensor(np.clip((norms - mean) / std * 0.7, -1, 1))
        own = torch.nn.functional.one_hot(torch.tensor(y), CLASSES).bool()
        angle = torch.acos(c) - 0.4 * z[:, None]
        moved = torch.cos(angle) - 0.4 * (z[:, None] + 1)
        assert ((angle > 0) & (angle < np.pi))[own].all()
        return torch.nn.functional.cross_entropy(torch.where(own, moved, c) * 8, torch.tensor(y))

    c = np.asarray(cosines(x, w))
    loss = lambda c: jl.adaface_loss(
        c, y, norms, statistics=NormStatistics(mean, std), margin=0.4, scale=8.0, concentration=0.7
    )
    assert_agree(ours(loss, c), torch_of(algorithm, c))


def test_curricularface(data):
    """The authors' steps: the label's new logit, the hard mask, the modulation."""
    x, w, y = data["features"], data["weights"], data["labels"]
    margin, r = 0.5, 0.3

    def algorithm(torch, c):
        target = c[torch.arange(MEMBERS), torch.tensor(y)][:, None]
        sine = torch.sqrt(1 - target**2)
        moved = target * np.cos(margin) - sine * np.sin(margin)
        assert (target > -np.cos(margin)).all()
        hard = c > moved
        assert hard.any()
        assert not hard.all()
        c = torch.where(hard, c * (r + c), c)
        c = c.scatter(1, torch.tensor(y)[:, None], moved)
        return torch.nn.functional.cross_entropy(c * 8, torch.tensor(y))

    c = np.asarray(cosines(x, w))
    loss = lambda c: jl.curricularface_loss(
        c, y, statistics=TargetStatistics(r), margin=margin, scale=8.0
    )
    assert_agree(ours(loss, c), torch_of(algorithm, c))


def test_center_loss_and_its_rule(data):
    """The rule is a step against the gradient, divided by one more than the members."""
    x, w, y = data["features"], data["weights"], data["labels"]

    def algorithm(torch, x, c):
        return 0.5 * (x - c[torch.tensor(y)]).pow(2).sum() / MEMBERS

    loss = lambda x, c: jl.center_loss(x, c, y)
    expected = torch_of(algorithm, x, w)
    assert_agree(ours(loss, x, w), expected)
    count = np.bincount(y, minlength=CLASSES)[:, None]
    step = MEMBERS * expected[2] / (1 + count)
    np.testing.assert_allclose(
        jl.center_update(w, x, y, rate=0.5), w - 0.5 * step, rtol=RTOL, atol=ATOL
    )
