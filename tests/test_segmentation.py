"""Segmentation losses: values worked out by hand, brute force, edges, masks and messages."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxloss as jl

NAN, INF = np.nan, np.inf

# Losses of (logits, labels) with an axis of classes, and those of one foreground.
OF_CLASSES = [
    "dice_loss", "multiclass_generalized_dice_loss", "log_cosh_dice_loss",
    "dice_cross_entropy_loss", "tversky_loss", "focal_tversky_loss", "jaccard_loss",
    "matthews_loss", "lovasz_softmax_loss", "boundary_loss",
]  # fmt: skip
OF_FOREGROUND = ["binary_dice_loss", "lovasz_hinge_loss", "cldice_loss"]
ALL = OF_CLASSES + OF_FOREGROUND
SMOOTHED = [n for n in OF_CLASSES[:7] if n != "dice_cross_entropy_loss"]


def array(*values, dtype=np.float32):
    return np.array(values, dtype)


@functools.cache
def compiled(name, **options):
    """Return a function to the loss and its gradient in the first argument, compiled once."""
    loss = functools.partial(getattr(jl, name), **options)

    @jax.jit
    def run(first, second, where):
        value, pull = jax.vjp(lambda x: loss(x, second, where=where), first)
        return value, *pull(jnp.ones_like(value))

    return run


@functools.cache
def forward(name, **options):
    """Return the loss alone, compiled: step by step these programs take longer."""
    return jax.jit(functools.partial(getattr(jl, name), **options))


def evaluate(name, first, second, where=None, **options):
    where = np.ones(np.shape(first)[0], bool) if where is None else where
    return [np.asarray(a) for a in compiled(name, **options)(first, second, where)]


def draw(rng, name, batch=3, pixels=6, classes=3):
    """Return random logits (or shares) and hard labels."""
    if name in OF_FOREGROUND:
        labels = (rng.random((batch, pixels)) < 0.4).astype(np.float32)
        logits = rng.normal(0.2, 2.0, (batch, pixels)).astype(np.float32)
        return (1 / (1 + np.exp(-logits)) if name == "cldice_loss" else logits), labels
    logits = rng.normal(0.0, 2.0, (batch, pixels, classes)).astype(np.float32)
    if name == "boundary_loss":
        return logits, rng.normal(1.0, 3.0, logits.shape).astype(np.float32)
    return logits, np.eye(classes, dtype=np.float32)[rng.integers(0, classes, (batch, pixels))]


# Values


def brute_tversky(p, t, alpha, beta, smooth):
    """Add up pixel by pixel, in the classical form."""
    both = false = missed = 0.0
    for a, b in zip(p.ravel().tolist(), t.ravel().tolist(), strict=True):
        both += a * b
        false += a * (1 - b)
        missed += (1 - a) * b
    return 1 - (both + smooth) / (both + alpha * false + beta * missed + smooth)


@pytest.mark.usefixtures("x64")
def test_overlaps_against_sums_over_the_pixels(rng):
    """Two spatial axes, a ragged mask, soft labels, weights of classes: by plain loops."""
    logits = rng.normal(0.0, 2.0, (2, 3, 4, 3))
    labels = rng.dirichlet([1.0, 2.0, 0.5], (2, 3, 4))
    where = rng.random((2, 3, 4)) < 0.7
    weights = np.array([0.5, 2.0, 1.25])
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)

    def expected(alpha, beta, smooth, gamma=1.0):
        return [
            np.mean(
                [
                    weights[c]
                    * brute_tversky(p[i, where[i], c], labels[i, where[i], c], alpha, beta, smooth)
                    ** gamma
                    for c in (1, 2)
                ]
            )
            for i in range(2)
        ]

    def compute(name, **numbers):
        loss = functools.partial(getattr(jl, name), ignore_background=True)
        return jax.jit(loss)(logits, labels, where=where, class_weights=weights, **numbers)

    for name, numbers, expect in (
        ("dice_loss", {"smooth": 0.0}, (0.5, 0.5, 0.0)),
        ("dice_loss", {"smooth": 0.8, "alpha": 0.2, "beta": 0.9}, (0.2, 0.9, 0.8)),
        ("tversky_loss", {"smooth": 0.8}, (0.3, 0.7, 0.8)),
        ("jaccard_loss", {"smooth": 0.8}, (1.0, 1.0, 0.8)),
        ("focal_tversky_loss", {"smooth": 0.0}, (0.3, 0.7, 0.0, 0.75)),
        ("focal_tversky_loss", {"smooth": 0.8, "gamma": 2.0, "alpha": 0.9}, (0.9, 0.7, 0.8, 2.0)),
    ):
        np.testing.assert_allclose(compute(name, **numbers), expected(*expect), rtol=1e-12)
    got = compute("log_cosh_dice_loss", smooth=0.8)
    np.testing.assert_allclose(got, np.log(np.cosh(expected(0.5, 0.5, 0.8))), rtol=1e-12)


def test_alpha_weighs_false_positives_and_beta_false_negatives():
    truth = array([[1], [1], [0], [0]])
    too_much = array([[9], [9], [9], [-9]])
    too_little = array([[9], [-9], [-9], [-9]])
    for loss in map(forward, ("dice_loss", "tversky_loss", "focal_tversky_loss")):
        strict = functools.partial(loss, alpha=0.9, beta=0.1)
        lax = functools.partial(loss, alpha=0.1, beta=0.9)
        assert strict(too_much, truth)[0] > 2 * lax(too_much, truth)[0]
        assert lax(too_little, truth)[0] > 2 * strict(too_little, truth)[0]


def test_the_exponent_of_the_focal_tversky_loss_is_gamma():
    logits, labels = np.zeros((1, 2, 1), np.float32), array([[1], [0]])
    for gamma, expected in ((2.0, 1 / 16), (0.5, 0.5)):  # of a Dice loss of 1/4
        got = jl.focal_tversky_loss(logits, labels, alpha=0.5, beta=0.5, gamma=gamma)
        np.testing.assert_allclose(got, [expected], rtol=1e-6)


def test_generalized_dice_is_a_ratio_of_sums():
    # Sizes 3, 1 and 0: weights 1/9, 1 and (as the rarest) 1, scaled by 27/19 in total 3.
    labels = np.eye(3, dtype=np.float32)[[[0, 0, 0, 1]]]
    found = np.eye(3, dtype=np.float32)[[[0, 0, 2, 1]]]
    scale = 27 / 19
    wrong = scale * (0.5 / 9 + 0.5)  # one of class 0 is missed, one of class 2 is false
    right = scale * (2 / 9 + 1)
    for smooth in (0.0, 1.0):
        got = jl.multiclass_generalized_dice_loss(found, labels, apply_softmax=False, smooth=smooth)
        np.testing.assert_allclose(got, [wrong / (right + wrong + smooth)], rtol=1e-6)


@pytest.mark.parametrize("name", SMOOTHED)
def test_soft_labels_change_nothing_for_hard_ones(rng, name):
    logits, labels = draw(rng, name)
    plain, soft = (evaluate(name, logits, labels, soft_labels=s) for s in (False, True))
    for a, b in zip(plain, soft, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_soft_labels_are_met_by_the_smaller_share():
    p, t = array([[0.5], [0.75]]), array([[0.25], [1.0]])
    options = {"apply_softmax": False, "smooth": 0.0}
    # Smaller shares 0.25 + 0.75, absolute differences 0.25 + 0.25.
    np.testing.assert_allclose(jl.dice_loss(p, t, soft_labels=True, **options), [0.2], rtol=1e-6)
    assert jl.dice_loss(t, t, soft_labels=True, **options) == 0
    np.testing.assert_allclose(jl.dice_loss(t, t, **options), [1 - 1.0625 / 1.25], rtol=1e-6)


def test_reductions_and_weights_of_classes(rng):
    logits, labels = draw(rng, "dice_loss")
    each = np.asarray(jl.dice_loss(logits, labels, reduction="none"))
    assert each.shape == (3, 3)
    weights = array(0.5, 0.0, 2.0)
    total = jl.dice_loss(logits, labels, reduction="sum", class_weights=weights)
    np.testing.assert_allclose(total, each @ weights, rtol=1e-6)
    mean = jl.dice_loss(logits, labels, ignore_background=True)
    np.testing.assert_allclose(mean, each[:, 1:].mean(-1), rtol=1e-6)
    hidden = jl.dice_loss(logits, labels, reduction="none", where=array(1, 0, 1, dtype=bool))
    assert not hidden[1].any()
    np.testing.assert_array_equal(hidden[0], each[0])


@pytest.mark.parametrize("name", [n for n in OF_CLASSES if n not in ("lovasz_softmax_loss",)])
def test_a_single_class_is_the_foreground_of_two(rng, name):
    x = rng.normal(0.3, 2.0, (3, 6, 1)).astype(np.float32)
    t = (rng.random((3, 6, 1)) < 0.4).astype(np.float32)
    one = evaluate(name, x, t)
    two = evaluate(name, np.concatenate([0 * x, x], -1), np.concatenate([1 - t, t], -1),
                   ignore_background=True)  # fmt: skip
    np.testing.assert_allclose(one[0], two[0], rtol=1e-5)
    np.testing.assert_allclose(one[1][..., 0], two[1][..., 1], rtol=1e-4, atol=1e-6)


def test_dice_of_one_foreground_in_its_three_forms(rng):
    x, t = draw(rng, "binary_dice_loss")
    expected = jl.dice_loss(x[..., None], t[..., None])
    np.testing.assert_array_equal(jl.binary_dice_loss(x, t), expected)
    np.testing.assert_array_equal(jl.binary_dice_loss(x[..., None], t[..., None]), expected)
    np.testing.assert_array_equal(jl.dice_loss(x[..., None], t), expected)
    np.testing.assert_array_equal(jl.dice_loss(x, t[..., None]), expected)
    p = jax.nn.sigmoid(x)
    np.testing.assert_allclose(jl.binary_dice_loss(p, t, apply_sigmoid=False), expected, rtol=1e-5)


@pytest.mark.parametrize("name", ALL)
def test_axes_that_are_not_spatial_are_examples(rng, name):
    """Pixels may stand anywhere; several labels at once become examples."""
    first, second = draw(rng, name)
    expected = evaluate(name, first, second)[0]
    turned = [np.swapaxes(a, 0, 1) for a in (first, second)]
    np.testing.assert_allclose(forward(name, axis=0)(*turned), expected, rtol=1e-5)
    cubes = [a.reshape(3, 2, 3, *a.shape[2:]) for a in (first, second)]
    last = -1 if name in OF_FOREGROUND else -2
    if name != "cldice_loss":  # which looks at neighbours
        np.testing.assert_allclose(forward(name, axis=(1, last))(*cubes), expected, rtol=1e-5)


# Lovasz


def brute_lovasz(errors, truth):
    """Add pixels to the set of errors, largest first, and watch the Jaccard loss grow."""
    total, wrong, before = 0.0, np.zeros(len(errors), bool), 0.0
    for i in np.argsort(-errors, kind="stable"):
        wrong[i] = True
        found = (truth & ~wrong).sum() / (truth | wrong).sum()
        total += errors[i] * ((1 - found) - before)
        before = 1 - found
    return total


@pytest.mark.usefixtures("x64")
def test_lovasz_by_sets(rng):
    logits = rng.normal(0.0, 1.5, (6, 9)).round(1)  # some errors tie
    labels = rng.random((6, 9)) < 0.4
    labels[0], labels[1] = False, True
    where = rng.random((6, 9)) < 0.8
    errors = np.maximum(0, 1 - logits * (2 * labels - 1))
    expected = [brute_lovasz(errors[i, where[i]], labels[i, where[i]]) for i in range(6)]
    got = forward("lovasz_hinge_loss")(logits, labels, where=where)
    np.testing.assert_allclose(got, expected, rtol=1e-12)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("classes", ["present", "all"])
def test_lovasz_softmax_by_sets(rng, classes):
    logits = rng.normal(0.0, 1.5, (6, 9, 3)).round(0)
    labels = np.eye(3)[rng.integers(0, 3, (6, 9))]
    labels[0], labels[1] = np.eye(3)[0], np.eye(3)[rng.integers(0, 2, 9)]
    where = rng.random((6, 9)) < 0.8
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    expected = []
    for i in range(6):
        truth = labels[i, where[i]] == 1
        errors = np.abs(truth - p[i, where[i]])
        kept = [c for c in range(3) if classes == "all" or truth[:, c].any()]
        expected.append(np.mean([brute_lovasz(errors[:, c], truth[:, c]) for c in kept]))
    got = forward("lovasz_softmax_loss", classes=classes)(logits, labels, where=where)
    np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_tied_errors_count_in_their_order():
    """All errors are 1: the first pixel raises the Jaccard loss to 1/2, the second to 1."""
    value, slope = evaluate("lovasz_hinge_loss", array([0, 0]), array([1, 0]))
    np.testing.assert_array_equal(value, [1.0])
    np.testing.assert_array_equal(slope, [[-1.0, 0.0]])
    value, slope = evaluate("lovasz_hinge_loss", array([0, 0]), array([0, 1]))
    np.testing.assert_array_equal(slope, [[0.5, -0.5]])


def test_lovasz_steps_do_not_cancel_in_large_images():
    """A pixel among a hundred thousand still has its slope to full accuracy."""
    pixels = 100_000
    labels = (np.arange(pixels) % 1000 == 0).astype(np.float32)[None]
    logits = -np.linspace(2.0, 0.0, pixels, dtype=np.float32)[None] * (2 * labels - 1)
    _, slope = evaluate("lovasz_hinge_loss", logits, labels)
    # In falling order of errors pixel 5 is the fifth background pixel, after the foreground's 0.
    expected = (100 - 1) / ((100 + 4) * (100 + 5))
    np.testing.assert_allclose(slope[0, 5], expected, rtol=1e-6)
    np.testing.assert_allclose(np.abs(slope).sum(), 1.0, rtol=1e-5)


# Matthews


def test_matthews_is_the_correlation_of_hard_predictions(rng):
    found, truth = (rng.random((4, 30, 1)) < share for share in (0.3, 0.5))
    got = jl.matthews_loss(np.where(found, 50.0, -50.0).astype(np.float32), truth)
    expected = [1 - np.corrcoef(found[i, :, 0], truth[i, :, 0])[0, 1] for i in range(4)]
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    swapped = jl.matthews_loss(np.where(found, -50.0, 50.0).astype(np.float32), ~truth)
    np.testing.assert_allclose(got, swapped, rtol=1e-5)


def test_matthews_keeps_a_small_loss():
    """Each pixel is wrong by exp(-20): so is the loss, of which float32 knows nothing by 1 - c."""
    logits = array([[20], [-20], [20], [-20]])
    value, slope = evaluate("matthews_loss", logits, array([[1], [0], [1], [0]]))
    np.testing.assert_allclose(value, [2 * np.exp(-20.0)], rtol=1e-5)
    np.testing.assert_allclose(slope.ravel(), np.exp(-20.0) * array(-1, 1, -1, 1) / 2, rtol=1e-5)


def test_matthews_is_one_where_undefined():
    value, slope = evaluate("matthews_loss", array([[3], [-1]]), array([[0], [0]]))
    assert value == [1.0] and not slope.any()
    assert jl.matthews_loss(array([[-200], [-200]]), array([[0], [0]]))[0] == 0


# Distances


def brute_distance(mask, spacing):
    """Look at every pair of pixels."""
    grid = np.stack(np.meshgrid(*map(np.arange, mask.shape), indexing="ij"), -1) * spacing
    outside = grid[~mask]
    gaps = np.linalg.norm(grid[..., None, :] - outside, axis=-1)
    return np.where(mask, gaps.min(-1, initial=INF), 0)


@pytest.mark.parametrize("shape", [(9,), (5, 7), (3, 4, 5)])
def test_distances_by_brute_force(rng, shape):
    mask = rng.random((4, *shape)) < 0.85
    mask[0] = True
    spacing = (1.0, 0.5, 2.5)[: len(shape)]
    got = jax.jit(functools.partial(jl.distance_transform, spacing=spacing))(mask)
    assert got.dtype == jnp.float32
    for i in range(4):
        np.testing.assert_allclose(got[i], brute_distance(mask[i], np.array(spacing)), rtol=1e-6)


def test_signed_distances_are_negative_inside():
    labels = np.zeros((1, 5, 5, 2), np.float32)
    labels[0, 1:4, 1:4, 1] = 1
    got = np.asarray(jl.signed_distance_map(labels))[0]
    assert not got[..., 0].any(), "nothing is foreground: no boundary"
    np.testing.assert_array_equal(got[2, :, 1], [1, 0, -1, 0, 1])
    np.testing.assert_allclose(got[0, :2, 1], [2**0.5, 1], rtol=1e-6)
    assert not np.asarray(jl.signed_distance_map(np.ones((1, 4, 1)))).any()
    scaled = np.asarray(jl.signed_distance_map(labels, spacing=(2.0, 2.0)))[0, 2, :, 1]
    np.testing.assert_array_equal(scaled, [2, 0, -2, 0, 2])


def test_the_boundary_loss_is_least_at_the_truth(rng):
    labels = np.eye(2, dtype=np.float32)[(rng.random((1, 4, 5)) < 0.4).astype(int)]
    distance = np.asarray(forward("signed_distance_map")(labels))
    logits = rng.normal(0, 3, (50, 4, 5, 2)).astype(np.float32)
    logits[0] = 1e4 * (2 * labels - 1)
    losses = np.asarray(forward("boundary_loss")(logits, np.repeat(distance, 50, 0)))
    assert losses.argmin() == 0


# Centrelines


def test_the_skeleton_of_a_block_is_its_middle():
    block = np.zeros((1, 5, 7), np.float32)
    block[0, 1:4, 1:6] = 1
    middle = np.zeros_like(block)
    middle[0, 2, 2:5] = 1
    np.testing.assert_array_equal(jl.soft_skeleton(block, iterations=1), middle)
    np.testing.assert_array_equal(jl.soft_skeleton(block, iterations=4), middle)
    assert not np.asarray(jl.soft_skeleton(block, iterations=0)).any()


def test_a_gap_costs_the_centreline_and_not_the_overlap():
    truth = np.zeros((1, 7, 9), np.float32)
    truth[0, 2:5, :] = 1
    gap, shrunk = truth.copy(), truth.copy()
    gap[0, 2:5, 4] = 0
    shrunk[0, 2, :] = 0
    centreline = lambda p: float(jl.cldice_loss(p, truth)[0])
    overlap = lambda p: float(jl.binary_dice_loss(p, truth, apply_sigmoid=False)[0])
    assert overlap(gap) < overlap(shrunk)
    assert centreline(gap) > centreline(truth) == 0


def test_centreline_masks_are_borders(rng):
    """Masking the last columns is the same as not having them, also for what is next to them."""
    p, t = (rng.random((2, 5, 6)).astype(np.float32) for _ in range(2))
    where = np.zeros((2, 5, 6), bool)
    where[:, :, :4] = True
    dirty = np.where(where, p, NAN)
    value, slope = evaluate("cldice_loss", dirty, np.where(where, t, INF), where)
    cut, cut_slope = evaluate("cldice_loss", p[:, :, :4], t[:, :, :4])
    np.testing.assert_allclose(value, cut, rtol=1e-6)
    np.testing.assert_allclose(slope[:, :, :4], cut_slope, rtol=1e-5, atol=1e-7)
    assert not slope[:, :, 4:].any()


# Masks and edges


@pytest.mark.parametrize("name", [n for n in ALL if n != "cldice_loss"])
def test_a_masked_pixel_is_no_pixel(rng, name):
    """Value and gradients are those of the image without it, whatever stands there."""
    first, second = draw(rng, name)
    where = np.ones((3, 6), bool)
    where[:, 2], where[:, 5] = False, False
    dirty = [np.where(where.reshape(3, 6, *[1] * (a.ndim - 2)), a, NAN) for a in (first, second)]
    value, slope = evaluate(name, *dirty, where)
    kept = [0, 1, 3, 4]
    cut, cut_slope = evaluate(name, first[:, kept], second[:, kept])
    np.testing.assert_allclose(value, cut, rtol=1e-5)
    np.testing.assert_allclose(slope[:, kept], cut_slope, rtol=1e-4, atol=1e-6)
    assert not slope[:, [2, 5]].any()


@pytest.mark.parametrize("name", [*SMOOTHED, "binary_dice_loss", "cldice_loss"])
def test_nothing_predicted_of_nothing_costs_nothing(name):
    """Without smoothing, 0/0 is 0 with zero gradient: an absent class, an empty image."""
    if name in OF_FOREGROUND:
        first = np.full((1, 6), 0.0 if name == "cldice_loss" else -200.0, np.float32)
        second = np.zeros((1, 6), np.float32)
    else:
        first = np.tile(array(200, -200), (1, 6, 1)).reshape(1, 6, 2)
        second = np.tile(array(1, 0), (1, 6, 1)).reshape(1, 6, 2)
    value, slope = evaluate(name, first, second, smooth=0.0)
    assert value == [0.0] and not slope.any()


def test_a_right_prediction_keeps_its_small_loss():
    """Near certainty one minus the overlap would be 0 in float32."""
    value = jl.dice_loss(array([[20], [-20]]), array([[1], [0]]), smooth=0.0)
    np.testing.assert_allclose(value, [np.exp(-20.0)], rtol=1e-5)


@pytest.mark.parametrize("name", ALL)
def test_half_precision_is_computed_in_float32(rng, name):
    first, second = draw(rng, name)
    dtype = jnp.float16 if name in SMOOTHED else jnp.bfloat16
    first = jnp.asarray(first, dtype)
    value, slope = compiled(name)(first, second, np.ones(3, bool))
    assert value.dtype == jnp.float32 and slope.dtype == dtype
    expected = evaluate(name, np.asarray(first, np.float32), second)[0]
    np.testing.assert_allclose(value, expected, rtol=1e-5)


@pytest.mark.parametrize("name", ALL)
def test_images_without_pixels_or_examples(name):
    tail = () if name in OF_FOREGROUND else (2,)
    empty = np.zeros((2, 0, *tail), np.float32)
    np.testing.assert_array_equal(forward(name)(empty, empty), [0.0, 0.0])
    nothing = np.zeros((0, 3, *tail), np.float32)
    assert jax.eval_shape(getattr(jl, name), nothing, nothing).shape == (0,)


def test_what_other_libraries_get_wrong():
    """Absent classes, half precision, probabilities under jit and of one class."""
    labels = np.eye(3, dtype=np.float32)[[[0, 0, 1, 1]]]
    wrong = np.eye(3, dtype=np.float32)[[[1, 1, 0, 0]]]
    generalized = jl.multiclass_generalized_dice_loss
    assert generalized(50.0 * wrong, labels)[0] > 0.5
    assert generalized(50.0 * labels, labels)[0] == pytest.approx(0, abs=1e-6)
    value, slope = evaluate("multiclass_generalized_dice_loss", np.zeros((1, 4, 3), np.float16),
                            labels.astype(np.float16))  # fmt: skip
    assert np.isfinite(value).all() and np.isfinite(slope).all()
    p, t = array([[0.5, 0.5], [0.2, 0.8]]), array([[1, 0], [0, 1]])
    compute = jax.jit(functools.partial(jl.dice_loss, apply_softmax=False, smooth=0.0))
    np.testing.assert_allclose(compute(p, t), [(1 - 1 / 1.7 + 1 - 1.6 / 2.3) / 2], rtol=1e-6)
    p, t = array([0.9, 0.1]), array([1, 0])
    np.testing.assert_allclose(jl.binary_dice_loss(p, t, apply_sigmoid=False), [0.05], rtol=1e-5)


# Messages


@pytest.mark.parametrize("name", ALL)
def test_shapes_that_do_not_fit_are_named(rng, name):
    first, second = draw(rng, name)
    loss = getattr(jl, name)
    argument = {"dice_loss": "targets", "multiclass_generalized_dice_loss": "targets",
                "binary_dice_loss": "targets", "cldice_loss": "targets",
                "boundary_loss": "distance_map"}.get(name, "labels")  # fmt: skip
    with pytest.raises(ValueError, match=f"^{name}: {argument} must be of the same shape"):
        loss(first, second[:, :4])
    with pytest.raises(ValueError, match=f"^{name}: where must be of shape .* or \\(3,\\)"):
        loss(first, second, where=np.ones((3, 5), bool))
    with pytest.raises(ValueError, match=f"^{name}: axis must be "):
        loss(first, second, axis=-1 if name in OF_CLASSES else 2)


def test_impossible_choices_are_named(rng):
    logits, labels = draw(rng, "dice_loss")
    with pytest.raises(ValueError, match="dice_loss: reduction must be 'mean', 'sum' or 'none'"):
        jl.dice_loss(logits, labels, reduction="max")
    with pytest.raises(ValueError, match="dice_loss: smooth must be in"):
        jl.dice_loss(logits, labels, smooth=-1.0)
    with pytest.raises(ValueError, match=r"tversky_loss: class_weights must be a number or broad"):
        jl.tversky_loss(logits, labels, class_weights=[1.0, 2.0])
    with pytest.raises(ValueError, match="lovasz_softmax_loss: classes must be 'present' or 'all'"):
        jl.lovasz_softmax_loss(logits, labels, classes="some")
    with pytest.raises(ValueError, match="focal_tversky_loss: gamma must be in"):
        jl.focal_tversky_loss(logits, labels, gamma=0.0)
    with pytest.raises(ValueError, match=r"jaccard_loss: logits must be of shape .* at least one"):
        jl.jaccard_loss(np.zeros((2, 3, 0)), np.zeros((2, 3, 0)))
    for bad in (-1, 1.5, True):
        with pytest.raises(ValueError, match="cldice_loss: iterations must be an integer >= 0"):
            jl.cldice_loss(labels, labels, iterations=bad)
    for bad in ((1.0,), (1.0, 0.0), (1.0, NAN)):
        with pytest.raises(ValueError, match="distance_transform: spacing must be 2 positive numb"):
            jl.distance_transform(labels[..., 0].astype(bool)[:, None], spacing=bad)
    with pytest.raises(TypeError, match="distance_transform: mask must be boolean or integer"):
        jl.distance_transform(labels)


@pytest.mark.parametrize("name", [n for n in ALL if n != "boundary_loss"])
@pytest.mark.parametrize("bad", [-0.5, 2.0, NAN])
def test_a_label_that_cannot_be_is_nan(rng, name, bad):
    first, second = draw(rng, name)
    second[1].flat[0] = bad
    value, slope = evaluate(name, first, second)
    np.testing.assert_array_equal(np.isnan(value), [False, True, False])
    assert np.isnan(slope[1]).any() and np.isfinite(slope[[0, 2]]).all()


def test_a_probability_that_cannot_be_is_nan(rng):
    p = rng.dirichlet([1.0, 1.0], (2, 4)).astype(np.float32)
    p[1, 0, 0] = 1.5
    loss = functools.partial(jl.dice_loss, apply_softmax=False)
    value = loss(p, np.eye(2)[[[0, 1, 1, 0]] * 2])
    np.testing.assert_array_equal(np.isnan(value), [False, True])
