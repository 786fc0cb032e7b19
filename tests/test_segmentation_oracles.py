"""Segmentation losses against MONAI, kornia and SciPy, in float64, values and gradients."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxloss as jl

pytestmark = [pytest.mark.oracle, pytest.mark.usefixtures("x64")]

BATCH, HEIGHT, WIDTH, CLASSES = 3, 5, 6, 4
RTOL, ATOL = 1e-10, 1e-12


def load(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name, reason=f"needs {name}")


def data(rng):
    """Random logits, hard labels of unequal sizes (one class absent from an image), soft labels."""
    shape = (BATCH, HEIGHT, WIDTH)
    index = rng.choice(CLASSES, shape, p=[0.5, 0.3, 0.15, 0.05])
    index[1] = np.where(index[1] == 3, 0, index[1])
    index[:, 0, :4] = [[0, 1, 2, 3], [0, 1, 2, 0], [3, 2, 1, 0]]
    logits = rng.normal(0.0, 2.0, (*shape, CLASSES))
    return logits, np.eye(CLASSES)[index], rng.dirichlet([2.0, 1.0, 0.5, 1.5], shape)


def ours(loss, first, second, **options):
    def total(x):
        value = loss(x, second, **options)
        return jnp.sum(value), value

    (_, value), slope = jax.jit(jax.value_and_grad(total, has_aux=True))(first)
    assert value.dtype == slope.dtype == jnp.float64
    return np.asarray(value), np.asarray(slope)


def theirs(function, first, second):
    """Return the values for each example (and class, summed) and the gradient, classes last."""
    import torch

    x = torch.as_tensor(np.moveaxis(first, -1, 1).copy()).requires_grad_()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        value = function(x, torch.as_tensor(np.moveaxis(second, -1, 1).copy()))
    value.sum().backward()
    return value.detach().numpy().reshape(len(first), -1), np.moveaxis(x.grad.numpy(), 1, -1)


def assert_agree(got, expected, rtol=RTOL, atol=ATOL):
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize(
    ("name", "oracle", "options", "their_options"),
    [
        # Their Dice loss has 2 TP and so twice the constant.
        ("dice_loss", "DiceLoss", {"smooth": 0.4}, {"smooth_nr": 0.8, "smooth_dr": 0.8}),
        ("jaccard_loss", "DiceLoss", {"smooth": 0.0},
         {"smooth_nr": 0.0, "smooth_dr": 0.0, "jaccard": True}),
        ("tversky_loss", "TverskyLoss", {"smooth": 0.4, "alpha": 0.2, "beta": 0.9},
         {"smooth_nr": 0.4, "smooth_dr": 0.4, "alpha": 0.2, "beta": 0.9}),
        ("multiclass_generalized_dice_loss", "GeneralizedDiceLoss", {"smooth": 0.0},
         {"smooth_nr": 0.0, "smooth_dr": 0.0}),
    ],
)  # fmt: skip
def test_overlaps_of_monai(rng, soft, name, oracle, options, their_options):
    """One value for each example and class (MONAI's with `batch=False`), also with soft labels."""
    losses = load("monai.losses")
    logits, hard, shares = data(rng)
    labels = shares if soft else hard
    function = getattr(losses, oracle)(
        softmax=True, reduction="none", soft_label=soft, **their_options
    )
    value, slope = theirs(function, logits, labels)
    got = ours(getattr(jl, name), logits, labels, soft_labels=soft, **options)
    if name == "multiclass_generalized_dice_loss":
        # It does not average over classes, and computes their weights in float32.
        assert_agree(got, (value[:, 0], slope), rtol=1e-6, atol=1e-8)
    else:
        assert_agree(got, (value.mean(-1), slope / CLASSES))


def test_matthews_of_monai(rng):
    losses = load("monai.losses.mcc_loss")
    logits, hard, _ = data(rng)
    hard[1, 2, 2] = np.eye(CLASSES)[3]  # theirs needs every class
    function = losses.MCCLoss(softmax=True, reduction="none", smooth_nr=0.0, smooth_dr=0.0)
    value, slope = theirs(function, logits, hard)
    got = ours(jl.matthews_loss, logits, hard)
    assert_agree(got, (value.mean(-1), slope / CLASSES))


def test_dice_cross_entropy_of_torch_and_monai(rng):
    """The sum of MONAI's Dice loss and torch's cross-entropy, image by image."""
    losses = load("monai.losses")
    import torch

    logits, hard, _ = data(rng)
    dice = losses.DiceLoss(softmax=True, reduction="none", smooth_nr=2.0, smooth_dr=2.0)
    entropy = lambda x, t: torch.nn.functional.cross_entropy(x, t, reduction="none")
    both = lambda x, t: 0.7 * dice(x, t).mean(1) + 1.3 * entropy(x, t).mean((1, 2), True)
    value, slope = theirs(both, logits, hard)
    got = ours(jl.dice_cross_entropy_loss, logits, hard, dice_weight=0.7, cross_entropy_weight=1.3)
    assert_agree(got, (value[:, 0], slope))


@pytest.mark.parametrize("iterations", [0, 1, 3])
def test_centreline_dice_of_monai(rng, iterations):
    """Theirs adds a constant to the harmonic mean, which is made negligible."""
    losses = load("monai.losses.cldice")
    p = rng.random((BATCH, 9, 8, 1))
    t = (rng.random((BATCH, 9, 8, 1)) < 0.6).astype(float)
    function = losses.SoftclDiceLoss(
        iter_=iterations, smooth_nr=0.5, smooth_dr=0.5, smooth=1e-14, reduction="none"
    )
    value, slope = theirs(function, p, t)
    got = ours(jl.cldice_loss, p[..., 0], t[..., 0], iterations=iterations, smooth=0.5)
    assert_agree(got, (value[:, 0], slope[..., 0]))


def test_the_lovasz_hinge_of_kornia(rng):
    """Kornia averages over the batch: it is asked for each image by itself. No errors tie."""
    import_losses = load("kornia.losses")
    logits, hard, _ = data(rng)
    x, t = logits[..., 1:2], hard[..., 1:2]
    for i in range(BATCH):
        function = lambda a, b: import_losses.lovasz_hinge_loss(a, b[:, 0])
        value, slope = theirs(function, x[i : i + 1], t[i : i + 1])
        got = ours(jl.lovasz_hinge_loss, x[i : i + 1, ..., 0], t[i : i + 1, ..., 0])
        assert_agree(got, (value[:, 0], slope[..., 0]))


def test_the_lovasz_softmax_of_kornia(rng):
    """Kornia averages over all classes and the batch."""
    import_losses = load("kornia.losses")
    logits, hard, _ = data(rng)
    function = lambda a, b: import_losses.lovasz_softmax_loss(a, b.argmax(1))
    for i in range(BATCH):
        value, slope = theirs(function, logits[i : i + 1], hard[i : i + 1])
        got = ours(jl.lovasz_softmax_loss, logits[i : i + 1], hard[i : i + 1], classes="all")
        assert_agree(got, (value[:, 0], slope))


@pytest.mark.parametrize("shape", [(40,), (17, 23), (7, 9, 8)])
def test_distances_of_scipy(rng, shape):
    ndimage = load("scipy.ndimage")
    mask = rng.random((3, *shape)) < 0.93
    mask[:, 0] = False
    spacing = (0.7, 1.0, 2.5)[: len(shape)]
    for sizes in (None, spacing):
        got = jl.distance_transform(mask, spacing=sizes)
        expected = [ndimage.distance_transform_edt(m, sampling=sizes) for m in mask]
        np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_signed_distances_of_scipy(rng):
    """In the form of the boundary loss's authors: outside, and inside less one, in float64."""
    ndimage = load("scipy.ndimage")
    labels = (ndimage.gaussian_filter(rng.normal(size=(2, 20, 24)), (0, 2, 2)) > 0).astype(float)
    edt = ndimage.distance_transform_edt
    expected = [edt(1 - m) * (1 - m) - (edt(m) - 1) * m for m in labels]
    got = jl.signed_distance_map(labels[..., None])[..., 0]
    assert got.dtype == jnp.float64
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)
