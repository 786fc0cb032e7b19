"""Losses of pairs, triplets and batches against pytorch-metric-learning, torch and optax."""

import functools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxloss as jl

torch = pytest.importorskip("torch", reason="needs torch")

pytestmark = [pytest.mark.oracle, pytest.mark.usefixtures("x64")]

RTOL, ATOL = 1e-10, 1e-12
LABELS = np.array([0, 1, 0, 2, 1, 0, 3, 2])


@pytest.fixture
def metric_learning():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(
            "pytorch_metric_learning", reason="needs pytorch-metric-learning"
        )


@pytest.fixture
def points(rng):
    return rng.normal(0.2, 0.8, size=(8, 4))


def ours(loss, *arrays, wrt=1):
    """Return the losses and the gradients of their sum in the first arrays."""

    def total(*arrays):
        value = loss(*arrays)
        return jnp.sum(value), value

    run = jax.jit(jax.value_and_grad(total, tuple(range(wrt)), has_aux=True))
    (_, value), slopes = run(*arrays)
    return [np.asarray(a) for a in (value, *slopes)]


def theirs(function, *arrays, wrt=1):
    tensors = [torch.as_tensor(np.array(a)) for a in arrays]
    for t in tensors[:wrt]:
        t.requires_grad_()
    value = function(*tensors)
    value.sum().backward()
    return [value.detach().numpy(), *(t.grad.numpy() for t in tensors[:wrt])]


def assert_agree(got, expected):
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=RTOL, atol=ATOL)


def by_anchor(name, after=lambda kind, losses: losses, **options):
    """Return the mean, for each anchor, of the losses of its parts in the library."""

    def call(x, labels):
        from pytorch_metric_learning import losses, reducers

        options["reducer"] = reducers.DoNothingReducer()
        parts = getattr(losses, name)(**options)(x, labels)
        total, count = torch.zeros(len(x), dtype=x.dtype), torch.zeros(len(x), dtype=x.dtype)
        for kind, part in parts.items():
            if torch.is_tensor(part["losses"]) and part["losses"].numel():
                index = part["indices"]
                index = index[0] if isinstance(index, tuple) else index
                total = total.index_add(0, index, after(kind, part["losses"].reshape(-1)))
                count = count.index_add(0, index, torch.ones(len(index), dtype=x.dtype))
        return total / count.clamp(min=1)

    return call


def euclidean():
    from pytorch_metric_learning.distances import LpDistance

    return LpDistance(normalize_embeddings=False)


def halved_square(kind, losses):
    return losses**2 / 2


CASES = {
    "contrastive": (
        functools.partial(jl.contrastive_loss, margin=1.75),
        lambda: by_anchor(
            "ContrastiveLoss", halved_square, pos_margin=0, neg_margin=1.75, distance=euclidean()
        ),
    ),
    "lifted structure": (
        functools.partial(jl.lifted_structured_loss, margin=0.75),
        lambda: by_anchor(
            "LiftedStructureLoss", neg_margin=0.75, pos_margin=0, distance=euclidean()
        ),
    ),
    "all triplets": (
        functools.partial(jl.triplet_loss, margin=0.6, mining="batch_all"),
        lambda: by_anchor("TripletMarginLoss", margin=0.6, distance=euclidean()),
    ),
    "all triplets, soft": (
        functools.partial(jl.triplet_loss, margin=0.6, mining="batch_all", soft=True),
        lambda: by_anchor("TripletMarginLoss", margin=0.6, distance=euclidean(), smooth_loss=True),
    ),
    "multi-similarity": (
        jl.multi_similarity_loss,
        lambda: by_anchor("MultiSimilarityLoss", alpha=2, beta=50, base=0.5),
    ),
    "circle, gradient included": (
        functools.partial(jl.circle_loss, margin=0.3, gamma=20.0),
        lambda: by_anchor("CircleLoss", m=0.3, gamma=20),
    ),
    "NT-Xent": (
        functools.partial(jl.ntxent, temperature=0.2),
        lambda: by_anchor("NTXentLoss", temperature=0.2),
    ),
    "SupCon": (
        functools.partial(jl.supervised_contrastive_loss, temperature=0.2),
        lambda: by_anchor("SupConLoss", temperature=0.2),
    ),
}


@pytest.mark.usefixtures("metric_learning")
@pytest.mark.parametrize("name", CASES)
def test_pytorch_metric_learning(name, points):
    loss, oracle = CASES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = theirs(oracle(), points, LABELS)
    assert np.count_nonzero(expected[0]) > 3
    assert_agree(ours(lambda x: loss(x, LABELS), points), expected)


@pytest.mark.usefixtures("metric_learning")
def test_batch_hard_mining(points):
    def hard(x, labels):
        from pytorch_metric_learning import miners

        a, p, n = miners.BatchHardMiner(distance=euclidean())(x, labels)
        cost = torch.relu((x[a] - x[p]).norm(dim=1) - (x[a] - x[n]).norm(dim=1) + 0.9)
        return torch.zeros(len(x), dtype=x.dtype).index_add(0, a, cost)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = theirs(hard, points, LABELS)
    assert_agree(ours(lambda x: jl.triplet_loss(x, LABELS, margin=0.9), points), expected)


# torch


def cosines(a, b):
    unit = torch.nn.functional.normalize
    return unit(a, dim=-1, eps=0) @ unit(b, dim=-1, eps=0).T


def cross_entropy(logits):
    return torch.nn.functional.cross_entropy(logits, torch.arange(len(logits)), reduction="none")


def siglip(a, b):
    signs = 2 * torch.eye(len(a), dtype=a.dtype) - 1
    return -torch.nn.functional.logsigmoid(signs * (cosines(a, b) / 0.3 - 2.5)).sum(dim=-1)


TORCH = {
    "n-pairs": (jl.n_pairs_loss, lambda a, b: cross_entropy(a @ b.T)),
    "InfoNCE": (
        functools.partial(jl.info_nce_loss, temperature=0.15),
        lambda a, b: cross_entropy(cosines(a, b) / 0.15),
    ),
    "CLIP": (
        functools.partial(jl.clip_loss, temperature=0.15),
        lambda a, b: (
            (cross_entropy(cosines(a, b) / 0.15) + cross_entropy(cosines(b, a) / 0.15)) / 2
        ),
    ),
    "SigLIP": (functools.partial(jl.siglip_loss, temperature=0.3, bias=-2.5), siglip),
}


@pytest.mark.parametrize("name", TORCH)
def test_torch_on_pairs_of_views(name, points, rng):
    views = points + 0.7 * rng.normal(size=points.shape)
    loss, oracle = TORCH[name]
    assert_agree(ours(loss, points, views, wrt=2), theirs(oracle, points, views, wrt=2))


@pytest.mark.parametrize("degree", [1.0, 1.5, 2.0, 3.0])
@pytest.mark.parametrize("swap", [False, True])
def test_torch_on_triplets(degree, swap, points, rng):
    positives, negatives = (points + rng.normal(size=points.shape) for _ in range(2))
    triplets = (points, positives, negatives)
    oracle = functools.partial(
        torch.nn.functional.triplet_margin_loss,
        p=degree, margin=0.4, eps=0.0, swap=swap, reduction="none",
    )  # fmt: skip
    loss = functools.partial(
        jl.triplet_margin_loss, norm_degree=degree, margin=0.4, eps=0.0, swap=swap
    )
    assert_agree(ours(loss, *triplets, wrt=3), theirs(oracle, *triplets, wrt=3))


# Optax, where it is right


def test_optax_on_triplets(points, rng):
    triplets = (points, *(points + rng.normal(size=points.shape) for _ in range(2)))
    options = {"margin": 0.4, "eps": 0.01}
    expected = ours(lambda *a: optax.losses.triplet_margin_loss(*a, **options), *triplets, wrt=3)
    assert_agree(ours(lambda *a: jl.triplet_margin_loss(*a, **options), *triplets, wrt=3), expected)


def test_optax_on_ntxent(points):
    positives = (LABELS[:, None] == LABELS).sum(axis=-1) - 1.0
    mean = lambda x: jl.mean(jl.ntxent(x, LABELS, 0.2), weights=positives)
    with jax.numpy_rank_promotion("allow"):
        theirs_mean = lambda x: optax.losses.ntxent(x, jnp.asarray(LABELS), 0.2)
        assert_agree(ours(mean, points), ours(theirs_mean, points))
