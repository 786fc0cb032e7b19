"""Classification losses: values worked out by hand, edges, limits and messages."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.special import logsumexp, xlogy
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jaxloss as jl

NAN, INF = np.nan, np.inf
LOG2 = np.log(2.0)
INTEGER_CE = "softmax_cross_entropy_with_integer_labels"

# Losses by the kind of their labels.
BINARY = ["sigmoid_binary_cross_entropy", "sigmoid_focal_loss", "asymmetric_loss", "sparsemax_loss"]
SIGNED = ["hinge_loss", "perceptron_loss", "squared_hinge_loss"]
SOFT = ["softmax_cross_entropy", "softmax_focal_loss", "poly_loss_cross_entropy"]
INTEGER = [INTEGER_CE, "logit_adjusted_cross_entropy", "ldam_loss", "multiclass_hinge_loss",
           "multiclass_perceptron_loss", "multiclass_sparsemax_loss"]  # fmt: skip
WITH_AXIS = [*SOFT, INTEGER_CE, "logit_adjusted_cross_entropy", "ldam_loss"]
COUNTS = (5.0, 1.0, 20.0)
NEEDED = {name: {"class_counts": COUNTS} for name in ("logit_adjusted_cross_entropy", "ldam_loss")}

neg_entropy = lambda p: jnp.sum(xlogy(p, p))
fenchel_young = jl.make_fenchel_young_loss(logsumexp, neg_entropy)


def loss_of(name, **options):
    return functools.partial(getattr(jl, name), **{**NEEDED.get(name, {}), **options})


def array(*values, dtype=np.float32):
    return np.array(values, dtype)


def one_hot(labels, classes=3):
    return np.eye(classes, dtype=np.float32)[labels]


@functools.cache
def _compiled(name, options):
    loss = loss_of(name, **dict(options))

    def total(scores, labels, where):
        value = loss(scores, labels, where=where)
        return jnp.sum(value), value

    return jax.jit(jax.value_and_grad(total, has_aux=True))


def evaluate(name, scores, labels, where=None, **options):
    """Return the loss and its gradient in the scores, as NumPy arrays.

    Compiling is what takes the time. So the data are padded to four rows (of three elements, where
    labels are binary), which do not see each other, and one program serves all tests of a loss.
    """
    scores, labels = np.asarray(scores), np.asarray(labels)
    where = np.ones(scores.shape, bool) if where is None else np.asarray(where)
    where = np.broadcast_to(
        where.reshape(where.shape + (1,) * (scores.ndim - where.ndim)), scores.shape
    )
    shape = scores.shape
    if name in (*BINARY, *SIGNED):
        scores, labels, where = (
            np.resize(np.append(a, np.ones(12, a.dtype)), (4, 3)) for a in (scores, labels, where)
        )
    else:
        pad = lambda a: np.concatenate(
            [a, np.broadcast_to(a.dtype.type(1), (4 - len(a), *a.shape[1:]))]
        )
        scores, labels, where = map(pad, (scores, labels, where))
    (_, value), gradient = _compiled(name, tuple(options.items()))(scores, labels, where)
    value, gradient = np.asarray(value), np.asarray(gradient)
    if name in (*BINARY, *SIGNED):
        size = int(np.prod(shape))
        return value.ravel()[:size].reshape(shape), gradient.ravel()[:size].reshape(shape)
    return value[: shape[0]], gradient[: shape[0]]


# Values

RIGHT, WRONG_CLASS = np.log(0.75), np.log(0.25)  # log p at a logit of log 3


@pytest.mark.parametrize(
    ("name", "options", "scores", "labels", "expected"),
    [
        ("sigmoid_binary_cross_entropy", {}, [0.0, np.log(3), np.log(3)], [1.0, 1.0, 0.0],
         [LOG2, -RIGHT, -WRONG_CLASS]),
        ("sigmoid_binary_cross_entropy", {}, [0.0, np.log(3)], [0.5, 0.25],
         [LOG2, -0.25 * RIGHT - 0.75 * WRONG_CLASS]),
        ("sigmoid_binary_cross_entropy", {"pos_weight": 3.0, "class_weights": (1.0, 2.0, 1.0)},
         [np.log(3)] * 3, [1, 0, 1], [-3 * RIGHT, -2 * WRONG_CLASS, -3 * RIGHT]),
        ("sigmoid_binary_cross_entropy", {"label_smoothing": 0.5}, [np.log(3)], [True],
         [-0.75 * RIGHT - 0.25 * WRONG_CLASS]),
        ("sigmoid_focal_loss", {}, [0.0, np.log(3), np.log(3)], [1.0, 1.0, 0.0],
         [LOG2 / 4, -RIGHT / 16, -WRONG_CLASS * 9 / 16]),
        ("sigmoid_focal_loss", {"alpha": 0.25, "gamma": 1.0}, [0.0, 0.0], [1.0, 0.0],
         [LOG2 / 8, 3 * LOG2 / 8]),
        ("sigmoid_focal_loss", {"gamma": 0.5}, [np.log(3)], [1.0], [-RIGHT / 2]),
        ("asymmetric_loss", {"clip": 0.25, "gamma_negative": 2.0}, [np.log(3), np.log(3), -3.0],
         [1, 0, 0], [-RIGHT / 4, LOG2 / 4, 0.0]),
        ("sparsemax_loss", {}, [2.0, 0.0, -3.0, 0.5], [1, 1, 1, 0], [0.0, 0.25, 3.0, 0.5625]),
        ("hinge_loss", {}, [2.0, 0.25, -1.0], [1, -1, 1], [0.0, 1.25, 2.0]),
        ("squared_hinge_loss", {}, [2.0, 0.5, -1.0], [1, -1, 1], [0.0, 2.25, 4.0]),
        ("perceptron_loss", {}, [2.0, 0.25, -1.0], [1, -1, 1], [0.0, 0.25, 1.0]),
        ("softmax_cross_entropy", {}, [[0.0, 0.0, LOG2]], [[0.5, 0.25, 0.25]], [1.75 * LOG2]),
        ("softmax_cross_entropy", {"class_weights": (1.0, 2.0, 4.0)}, [[0.0, 0.0, LOG2]],
         [[0.5, 0.25, 0.25]], [3 * LOG2]),
        (INTEGER_CE, {}, [[0.0, 0.0, LOG2]] * 3, [0, 1, 2], [2 * LOG2, 2 * LOG2, LOG2]),
        (INTEGER_CE, {"label_smoothing": 0.75}, [[0.0, 0.0, LOG2]], [2], [1.5 * LOG2]),
        (INTEGER_CE, {"z_loss": 0.5}, [[0.0, 0.0, LOG2]], [2], [LOG2 + 2 * LOG2**2]),
        ("softmax_focal_loss", {"gamma": 1.0, "alpha": (1.0, 2.0, 4.0)}, [[0.0, 0.0, LOG2]],
         [[0.5, 0.25, 0.25]], [2 * LOG2]),
        ("poly_loss_cross_entropy", {"epsilon": -1.0}, [[0.0, 0.0, LOG2]], [[0.5, 0.25, 0.25]],
         [1.75 * LOG2 - 0.6875]),
        ("logit_adjusted_cross_entropy", {"class_counts": (1.0, 1.0, 2.0)}, [[0.0] * 3] * 2, [0, 2],
         [2 * LOG2, LOG2]),
        ("logit_adjusted_cross_entropy", {"class_counts": (1.0, 1.0, 4.0), "tau": 0.5},
         [[0.0] * 3] * 2, [0, 2], [2 * LOG2, LOG2]),
        ("ldam_loss", {"class_counts": (16.0, 1.0, 1.0), "max_margin": 1.0, "scale": 2.0},
         [[0.5, 0.0, 0.0], [0.0, 1.0, 0.0]], [0, 1], [np.log(3.0)] * 2),
        ("multiclass_hinge_loss", {}, [[3.0, 0.0, 2.5], [0.0, 4.0, 1.0]], [0, 2], [0.5, 4.0]),
        ("multiclass_perceptron_loss", {}, [[3.0, 0.0, 2.5], [0.0, 4.0, 1.0]], [0, 2], [0.0, 3.0]),
        ("multiclass_sparsemax_loss", {}, [[0.0, 0.0, -9.0], [5.0, 0.0, 0.0], [0.0, 2.0, 0.0]],
         [0, 0, 0], [0.25, 0.0, 2.0]),
    ],
)  # fmt: skip
def test_values_worked_out_by_hand(name, options, scores, labels, expected):
    value, _ = evaluate(name, np.float32(scores), np.array(labels), **options)
    np.testing.assert_allclose(value, np.float32(expected), rtol=5e-7, atol=2e-7)


def test_smooth_labels_by_hand():
    labels = array([0.0, 1.0, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0])

    @jax.jit
    def smooth():
        return [
            jl.smooth_labels(labels, array(0.5, 0.0)),
            jl.smooth_labels(labels, 1.0),
            jl.smooth_labels(labels, 0.5),
            jl.smooth_labels(labels.T, 0.5, axis=0).T,
            jl.smooth_labels(labels.reshape(2, 2, 2), 0.5, axis=(1, 2)).reshape(2, 4),
        ]

    each, full, half, turned, flat = smooth()
    np.testing.assert_array_equal(each, [[0.125, 0.625, 0.125, 0.125], labels[1]])
    np.testing.assert_array_equal(full, np.full((2, 4), 0.25))
    np.testing.assert_array_equal(turned, half)
    np.testing.assert_array_equal(flat, half)
    assert jax.eval_shape(jl.smooth_labels, labels.astype(jnp.bfloat16), 0.1).dtype == jnp.float32


def test_smoothing_knows_of_masked_classes():
    smooth = jax.jit(lambda labels, where: jl.smooth_labels(labels, 0.1, where=where))
    two = np.array([[True, True, False]])
    kept = smooth(one_hot([1]), two)
    np.testing.assert_allclose(kept, [[0.05, 0.95, 0.0]], rtol=1e-6)
    np.testing.assert_array_equal(smooth(array([0.0, 1.0, NAN]), two), kept)
    np.testing.assert_array_equal(smooth(one_hot([1]), np.zeros((1, 3), bool)), [[0, 0, 0]])
    np.testing.assert_array_equal(smooth(one_hot([1]), np.zeros(1, bool)), [[0, 0, 0]])


# Kinks and joints


@pytest.mark.parametrize(
    ("name", "options", "scores", "labels", "expected"),
    [
        ("hinge_loss", {}, [1.0, -1.0, 0.0, 2.0], [1, -1, 1, 1], [0.0, 0.0, -1.0, 0.0]),
        ("squared_hinge_loss", {}, [1.0, -1.0, 0.0, 2.0], [1, -1, 1, 1], [0.0, 0.0, -2.0, 0.0]),
        ("perceptron_loss", {}, [0.0, 0.0, -1.0, 2.0], [1, -1, 1, 1], [-1.0, 1.0, -1.0, 0.0]),
        ("sparsemax_loss", {}, [1.0, -1.0, 0.0, 1.0], [1, 1, 1, 0], [0.0, -1.0, -0.5, 1.0]),
        ("multiclass_hinge_loss", {}, [[2.0, 1.0, 0.0]], [0], [[0.0, 0.0, 0.0]]),
        ("multiclass_hinge_loss", {}, [[0.0, 1.0, 1.0]], [0], [[-1.0, 0.5, 0.5]]),
        ("multiclass_perceptron_loss", {}, [[0.0, 0.0, -1.0]], [0], [[-1.0, 1.0, 0.0]]),
        ("multiclass_perceptron_loss", {}, [[0.0, 0.0, 0.0]], [0], [[-1.0, 0.5, 0.5]]),
        ("multiclass_perceptron_loss", {}, [[1.0, 0.0, 0.0]], [0], [[0.0, 0.0, 0.0]]),
        # A class that is just about to enter the support: gradient p - y from either side.
        ("multiclass_sparsemax_loss", {}, [[1.0, 0.0, -5.0]], [0], [[0.0, 0.0, 0.0]]),
        ("multiclass_sparsemax_loss", {}, [[1.0, 0.0, -5.0]], [1], [[1.0, -1.0, 0.0]]),
        ("multiclass_sparsemax_loss", {}, [[0.0, 0.0, 0.0]], [2], [[1 / 3, 1 / 3, -2 / 3]]),
        ("sigmoid_binary_cross_entropy", {}, [0.0, 0.0, 0.0], [1.0, 0.0, 0.25], [-0.5, 0.5, 0.25]),
        (
            "softmax_cross_entropy",
            {},
            [[0.0, 0.0, 0.0]],
            [[1.0, 0.0, 0.0]],
            [[-2 / 3, 1 / 3, 1 / 3]],
        ),
    ],
)
def test_gradients_at_kinks_and_joints(name, options, scores, labels, expected):
    _, gradient = evaluate(name, np.float32(scores), np.array(labels), **options)
    np.testing.assert_allclose(gradient, np.float32(expected), rtol=2e-7, atol=1e-7)


def test_no_gradient_at_the_clip_of_the_asymmetric_loss():
    for gamma in (0.0, 1.0, 4.0):
        _, gradient = evaluate(
            "asymmetric_loss", array(0.0, -1.0, 1.0), np.zeros(3), clip=0.5, gamma_negative=gamma
        )
        assert gradient[0] == 0  # p = 1/2, exactly the clip
        assert gradient[1] == 0
        assert gradient[2] > 0


# Ends of the parameters

LOGITS = array([2.0, -1.0, 0.5], [0.0, 0.0, 3.0], [-40.0, 1.0, 1.0], [20.0, 0.0, -90.0])
SHARES = array([0.2, 0.3, 0.5], [0.0, 1.0, 0.0], [0.25, 0.5, 0.25], [1.0, 0.0, 0.0])
INDICES = np.array([2, 1, 0, 0])
bce = lambda x, y: jl.sigmoid_binary_cross_entropy(x, y)


@pytest.mark.parametrize(
    ("loss", "limit", "labels"),
    [
        (lambda x, y: jl.sigmoid_focal_loss(x, y, gamma=0.0), bce, SHARES),
        (lambda x, y: 2 * jl.sigmoid_focal_loss(x, y, gamma=0.0, alpha=0.5), bce, SHARES),
        (
            lambda x, y: jl.asymmetric_loss(x, y, gamma_negative=0.0, gamma_positive=0.0, clip=0.0),
            bce,
            SHARES,
        ),
        (
            lambda x, y: jl.asymmetric_loss(x, y, gamma_negative=2.0, gamma_positive=2.0, clip=0.0),
            lambda x, y: jl.sigmoid_focal_loss(x, y, gamma=2.0),
            one_hot(INDICES),
        ),
        (lambda x, y: jl.softmax_focal_loss(x, y, gamma=0.0), jl.softmax_cross_entropy, SHARES),
        (
            lambda x, y: jl.poly_loss_cross_entropy(x, y, epsilon=0.0),
            jl.softmax_cross_entropy,
            SHARES,
        ),
        (
            lambda x, y: jl.logit_adjusted_cross_entropy(x, y, class_counts=COUNTS, tau=0.0),
            jl.softmax_cross_entropy_with_integer_labels,
            INDICES,
        ),
        (
            lambda x, y: jl.logit_adjusted_cross_entropy(x, y, class_counts=(7.0,) * 3),
            jl.softmax_cross_entropy_with_integer_labels,
            INDICES,
        ),
        (
            lambda x, y: jl.ldam_loss(x, y, class_counts=COUNTS, max_margin=0.0, scale=3.0),
            lambda x, y: jl.softmax_cross_entropy_with_integer_labels(3 * x, y),
            INDICES,
        ),
        (jl.safe_softmax_cross_entropy, jl.softmax_cross_entropy, SHARES),
        # One label against two classes.
        (
            lambda x, y: jl.softmax_cross_entropy(
                jnp.stack([x, 0 * x], -1), jnp.stack([y, 1 - y], -1)
            ),
            bce,
            SHARES,
        ),
    ],
)
def test_a_loss_becomes_another_at_the_end_of_its_parameter(loss, limit, labels):

    @jax.jit
    def both(logits):
        pairs = [jax.vjp(lambda x, f=f: f(x, labels), logits) for f in (loss, limit)]
        return [(value, pull(jnp.ones_like(value))[0]) for value, pull in pairs]

    for got, expected in zip(*both(LOGITS), strict=True):
        np.testing.assert_allclose(got, expected, rtol=2e-6, atol=1e-9)


def test_positive_weight_moves_the_optimum_to_the_stated_odds():
    optimum = array(np.log(3.0 * 0.2 / 0.8))
    _, gradient = evaluate("sigmoid_binary_cross_entropy", optimum, array(0.2), pos_weight=3.0)
    np.testing.assert_allclose(gradient, [0], atol=1e-7)


def test_proper_losses_are_least_at_the_truth():
    truth = array(0.2, 0.3, 0.5)
    _, slope = evaluate("softmax_cross_entropy", np.log(truth)[None], truth[None])
    np.testing.assert_allclose(slope, np.zeros((1, 3)), atol=1e-7)
    _, slope = evaluate("softmax_focal_loss", np.log(truth)[None], truth[None])
    assert np.max(np.abs(slope)) > 0.01


# Conventions of classes: axes, masks, weights, soft against integer labels

OPTIONS = {
    "plain": {},
    "weights": {"class_weights": (0.5, 2.0, 3.0)},
    "smoothing": {"label_smoothing": 0.2},
    "weights and smoothing": {"class_weights": (0.5, 2.0, 3.0), "label_smoothing": 0.2},
    "z-loss": {"z_loss": 0.3, "class_weights": (0.5, 2.0, 3.0), "label_smoothing": 0.2},
}


@pytest.mark.parametrize("where", [None, "classes", "examples"])
@pytest.mark.parametrize("options", OPTIONS)
def test_soft_and_integer_labels_agree(options, where):
    classes = np.array([[True, False, True], [True, True, False], [True] * 3, [False] * 3])
    where = {"classes": classes, "examples": np.array([True, False, True, True])}.get(where)
    options = OPTIONS[options]
    soft = evaluate("softmax_cross_entropy", LOGITS, one_hot(INDICES), where, **options)
    hard = evaluate(INTEGER_CE, LOGITS, INDICES, where, **options)
    for a, b in zip(soft, hard, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize("name", [*SOFT, *INTEGER])
def test_a_label_on_a_class_that_is_left_out_is_no_label(name):
    where = np.array([[True, False, True]])
    label = one_hot([1]) if name in SOFT else np.array([1])
    value, gradient = evaluate(name, array([0.0, 1.0, 2.0]), label, where)
    assert value == [0]
    assert gradient[0, 1] == 0


@pytest.mark.parametrize("name", WITH_AXIS)
def test_leaving_a_class_out_equals_deleting_it(name):
    where = np.array([[True, False, True]] * 4)
    labels = np.array([2, 0, 0, 2])
    kept = np.where(labels == 2, 1, 0)
    if name in SOFT:
        labels, kept = one_hot(labels), one_hot(kept, 2)
    options, fewer = {}, {}
    if name in NEEDED:
        options, fewer = {"class_counts": (5.0, 5.0, 20.0)}, {"class_counts": (5.0, 20.0)}
    whole, _ = evaluate(name, LOGITS, labels, where, **options)
    cut, _ = evaluate(name, LOGITS[:, ::2], kept, **fewer)
    np.testing.assert_allclose(whole, cut, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", WITH_AXIS)
def test_classes_may_lie_on_any_axis_or_several(name):
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(2, 3, 4)).astype(np.float32)
    soft = rng.dirichlet(np.ones(4), size=(2, 3)).astype(np.float32)
    hard = np.argmax(soft, -1)

    options = {"class_counts": np.arange(1.0, 5.0)} if name in NEEDED else {}

    @jax.jit
    def all_of_them(logits, soft, hard):
        def run(turn, axis):
            """Lay logits and soft labels out by `turn`, the classes then being on `axis`."""
            labels = turn(soft) if name in SOFT else hard
            return getattr(jl, name)(turn(logits), labels, axis=axis, **options)

        square = lambda a: a.reshape(2, 3, 2, 2)
        return run(lambda a: a, -1), [
            run(lambda a: a.transpose(0, 2, 1), 1),
            run(lambda a: a.transpose(2, 0, 1), 0),
            run(lambda a: a.transpose(2, 0, 1), -3),
            # Several axes are one, flattened in the order given.
            run(square, (2, 3)),
            run(lambda a: square(a).transpose(3, 0, 1, 2), (3, 0)),
            run(lambda a: square(a).transpose(3, 0, 1, 2), [-1, 0]),
        ]

    reference, others = all_of_them(logits, soft, hard)
    assert reference.shape == (2, 3)
    for other in others:
        np.testing.assert_allclose(other, reference, rtol=1e-5)


@pytest.mark.parametrize("name", WITH_AXIS)
def test_all_axes_are_one(name):
    logits, shares = LOGITS, SHARES / 4
    labels, flat = (shares, shares.ravel()) if name in SOFT else (np.array(7), np.array(7))
    options = {"class_counts": np.arange(1.0, 13.0)} if name in NEEDED else {}
    loss = functools.partial(getattr(jl, name), **options)
    whole, line = jax.jit(lambda: (loss(logits, labels, axis=None), loss(logits.ravel(), flat)))()
    assert whole.shape == ()
    np.testing.assert_allclose(whole, line, rtol=1e-6)


def test_hyperparameters_of_an_example_have_its_shape():
    smoothing, z = array(0.0, 0.1, 0.2, 0.3), array(0.0, 1.0, 0.0, 1.0)
    loss = lambda x, y, a, z: jl.softmax_cross_entropy(x, y, label_smoothing=a, z_loss=z)
    together, alone = jax.jit(lambda *a: (loss(*a), jax.vmap(loss)(*a)))(
        LOGITS, SHARES, smoothing, z
    )
    np.testing.assert_allclose(together, alone, rtol=1e-6)


def test_numbers_of_a_label_broadcast():
    weights = array(1.0, 2.0, 3.0)
    loss = lambda x, y, w: jl.sigmoid_binary_cross_entropy(x, y, pos_weight=w)
    mapped = jax.vmap(loss, in_axes=1, out_axes=1)
    together, alone = jax.jit(lambda *a: (loss(*a), mapped(*a[:2], weights[None])))(
        LOGITS, SHARES, weights
    )
    np.testing.assert_allclose(together, alone, rtol=1e-6)


# Labels that cannot be


@pytest.mark.parametrize("name", INTEGER)
@pytest.mark.parametrize("label", [-100, -1, 3, 2**31 - 1, -(2**31)])
def test_a_label_out_of_range_is_nan_and_behind_a_mask_nothing(name, label):
    logits, labels = array([0.0, 1.0, 2.0], [0.0, 1.0, 2.0]), np.array([label, 1], np.int32)
    value, gradient = evaluate(name, logits, labels)
    assert np.isnan(value[0]) and np.isfinite(value[1])
    assert np.all(np.isnan(gradient[0])) and np.all(np.isfinite(gradient[1]))
    masked, gradient = evaluate(name, logits, labels, np.array([False, True]))
    assert masked[0] == 0 and masked[1] == value[1]
    np.testing.assert_array_equal(gradient[0], np.zeros(3))
    assert np.all(np.isfinite(gradient[1]))
    partly, _ = evaluate(name, logits, labels, np.array([[True, True, False], [True] * 3]))
    assert np.isnan(partly[0]) and partly[1] == value[1]


@pytest.mark.parametrize("name", INTEGER)
def test_small_integer_labels_do_not_overflow(name):
    """Neither a label above 127 nor a number of classes above 255 may wrap around."""
    logits = np.zeros((2, 300), np.float32)
    logits[:, 200] = 3.0
    options = {"class_counts": np.ones(300)} if name in NEEDED else {}
    loss = functools.partial(getattr(jl, name), logits, **options)
    labels = [np.array([200, 5], dtype) for dtype in (np.int32, np.uint8, np.int16)]
    wide, *narrow = jax.jit(lambda *labels: [loss(y) for y in labels])(*labels)
    for value in narrow:
        np.testing.assert_array_equal(value, wide)


@pytest.mark.parametrize(
    ("name", "bad"),
    [*((name, bad) for name in BINARY for bad in (-0.5, 1.5, 2.0, NAN)),
     *((name, bad) for name in SIGNED for bad in (0.0, 0.5, 2.0, NAN)),
     *((name, bad) for name in SOFT for bad in (-0.5, NAN))],
)  # fmt: skip
def test_a_label_that_cannot_be_is_nan_and_behind_a_mask_nothing(name, bad):
    labels = array([bad, 1.0, 1.0], [1.0, 1.0, 1.0])
    value, gradient = evaluate(name, SMALL, labels)
    assert np.isnan(value.reshape(2, -1)[0, 0]) and np.all(np.isfinite(value[1]))
    assert np.isnan(gradient[0, 0]) and np.all(np.isfinite(gradient[1]))
    value, gradient = evaluate(name, SMALL, labels, np.array([False, True]))
    assert np.all(value[0] == 0) and np.all(gradient[0] == 0)


def test_sparsemax_takes_soft_labels_at_their_word():
    labels = array(0.01, 0.3, 1.0, 0.01, -1.0)
    value, _ = evaluate("sparsemax_loss", array(-0.98, -0.4, 1.0, 1.0, 2.0), labels)
    np.testing.assert_allclose(value[:3], np.zeros(3), atol=1e-7)
    assert value[3] > 0.9
    assert np.isnan(value[4])


# Masks


@pytest.mark.parametrize("garbage", [NAN, INF, -INF, 3e38])
@pytest.mark.parametrize("name", [*BINARY, *SIGNED, *SOFT, *INTEGER])
def test_what_is_masked_is_zero_in_value_and_gradient(name, garbage):
    scores = array([1.0, 0.5, -0.5], [garbage, 1.0, garbage])
    labels = np.array([0, -100]) if name in INTEGER else array([1.0, 1.0, 1.0], [garbage] * 3)
    value, gradient = evaluate(name, scores, labels, np.array([True, False]))
    assert np.all(value[1] == 0) and np.all(np.isfinite(value))
    assert np.all(gradient[1] == 0) and np.all(np.isfinite(gradient))
    alone, alone_gradient = evaluate(name, scores[:1], labels[:1])
    np.testing.assert_array_equal(value[:1], alone)
    np.testing.assert_array_equal(gradient[:1], alone_gradient)


@pytest.mark.parametrize("name", [*SOFT, *INTEGER])
@pytest.mark.parametrize("garbage", [NAN, INF, -INF])
def test_garbage_in_a_class_that_is_left_out_is_not_seen(name, garbage):
    where = np.array([[True, False, True]])
    labels = np.array([2]) if name in INTEGER else array([0.25, garbage, 0.75])
    clean = np.array([2]) if name in INTEGER else array([0.25, 0.0, 0.75])
    got = evaluate(name, array([1.0, garbage, 0.5]), labels, where)
    expected = evaluate(name, array([1.0, 0.0, 0.5]), clean, where)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_array_equal(a, b)


# Extreme logits


CLASS_0 = {INTEGER_CE: np.array([0]), "softmax_cross_entropy": one_hot([0])}


@pytest.mark.parametrize("name", CLASS_0)
def test_cross_entropy_of_equal_large_logits_is_log_2(name):
    for dtype, size in ((jnp.bfloat16, 256.0), (jnp.float16, 6e4), (jnp.float32, 1e30)):
        logits = np.array([[size, size, -size]], dtype)
        value, gradient = evaluate(name, logits, CLASS_0[name])
        np.testing.assert_allclose(value, [LOG2], rtol=1e-6)
        np.testing.assert_array_equal(gradient, [[-0.5, 0.5, 0.0]])


@pytest.mark.parametrize("name", CLASS_0)
def test_cross_entropy_is_invariant_to_a_shift(name):
    value, _ = evaluate(name, array([1e7, 1e7 + 1, -1e7]), CLASS_0[name])
    np.testing.assert_allclose(value, [np.log1p(np.e)], rtol=1e-6)


def test_a_confident_right_prediction_keeps_its_loss_and_gradient():
    small = np.log1p(np.exp(-20.0))
    for name, label in CLASS_0.items():
        value, gradient = evaluate(name, array([20.0, 0.0, -200.0]), label)
        np.testing.assert_allclose(value, [small], rtol=1e-6)
        np.testing.assert_allclose(gradient, [[-small, small, 0]], rtol=1e-6)
    value, gradient = evaluate("sigmoid_binary_cross_entropy", array(20.0), array(1.0))
    np.testing.assert_allclose(value, [small], rtol=1e-6)
    np.testing.assert_allclose(gradient, [-small], rtol=1e-6)


def test_infinite_logits_have_their_limits():
    for name in ("sigmoid_binary_cross_entropy", "sigmoid_focal_loss"):
        logits, labels = array(INF, -INF, INF, -INF), array(1.0, 0.0, 0.0, 1.0)
        value, gradient = evaluate(name, logits, labels)
        np.testing.assert_array_equal(value, np.float32([0, 0, INF, INF]))
        np.testing.assert_array_equal(gradient[:2], [0, 0])


@pytest.mark.parametrize("name", [*SOFT, *INTEGER])
def test_a_logit_of_minus_infinity_is_a_class_of_no_probability(name):
    logits, finite = array([-INF, 0.0, 1.0]), array([-1e3, 0.0, 1.0])
    labels = np.array([1]) if name in INTEGER else one_hot([1])
    value, gradient = evaluate(name, logits, labels)
    assert np.all(np.isfinite(value))
    assert np.all(np.isfinite(gradient)) and gradient[0, 0] == 0
    expected = evaluate(name, finite, labels)
    np.testing.assert_allclose(value, expected[0], rtol=1e-6)
    np.testing.assert_allclose(gradient, expected[1], rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("sigmoid_binary_cross_entropy", {}),
        ("sigmoid_focal_loss", {"gamma": 0.3}),
        ("sigmoid_focal_loss", {"gamma": 2.0, "alpha": 0.25}),
        ("asymmetric_loss", {"gamma_positive": 0.3, "gamma_negative": 0.7, "clip": 0.0}),
        ("asymmetric_loss", {}),
    ],
)
def test_derivatives_at_extreme_logits_are_finite(name, options):
    """Exponents below one included: a power of a probability that underflows has infinite slope."""
    loss = loss_of(name, **options)
    points = array(
        -3e4,
        -500.0,
        -104.0,
        -90.0,
        -80.0,
        -60.0,
        -50.0,
        -17.0,
        0.0,
        17.0,
        50.0,
        60.0,
        80.0,
        90.0,
        104.0,
        500.0,
        3e4,
    )

    @jax.jit
    def derivatives(labels):
        functions = (jax.grad(loss), jax.grad(jax.grad(loss)), jax.grad(loss, argnums=1))
        return [jax.vmap(f, (0, None))(points, labels) for f in functions]

    for label in (0.0, 0.3, 1.0):
        assert np.all(np.isfinite(derivatives(label))), label


@pytest.mark.parametrize("name", [*SOFT, INTEGER_CE])
def test_hessians_at_extreme_logits_are_finite(name):
    options = {"gamma": 0.3} if name == "softmax_focal_loss" else {}
    loss = loss_of(name, **options)
    logits = array([0.0, 1.0, 2.0], [500.0, 0.0, -500.0], [-104.0, 104.0, 0.0], [3e4, 0.0, 1.0])
    hessians = jax.jit(jax.vmap(jax.hessian(loss), (0, None)))
    for label in range(3):
        target = one_hot(label) if name in SOFT else np.array(label)
        assert np.all(np.isfinite(hessians(logits, target))), label


def test_the_focal_loss_is_smooth_in_its_labels():
    slope = jax.jit(jax.vmap(jax.grad(lambda y: jl.sigmoid_focal_loss(jnp.float32(3.0), y))))
    near = slope(array(1.0, 1 - 1e-5, 0.0, 1e-5))
    np.testing.assert_allclose(near[0], near[1], rtol=2e-3)
    np.testing.assert_allclose(near[2], near[3], rtol=2e-3)
    np.testing.assert_allclose(near[0], -0.0110, atol=1e-4)


@pytest.mark.parametrize("name", [*BINARY, *SIGNED, *SOFT, *INTEGER])
def test_losses_are_never_negative(name):
    rng = np.random.default_rng(2)
    value = jax.jit(loss_of(name))
    for scale in (20.0, 1e-3):
        scores = (rng.normal(size=(2000, 3)) * scale).astype(jnp.bfloat16).astype(np.float32)
        if name in INTEGER:
            labels = np.argmax(scores, -1)
        elif name in SOFT:
            labels = one_hot(np.argmax(scores, -1))
        else:
            labels = (scores > 0).astype(np.float32)
            labels = 2 * labels - 1 if name in SIGNED else labels
        assert np.all(np.asarray(value(scores, labels)) >= 0)


# Sparsemax and Fenchel-Young


def project_on_the_simplex(scores):
    """Try every support: the projection is the feasible candidate nearest to the scores."""
    candidates = []
    for size in range(1, len(scores) + 1):
        for support in itertools.combinations(range(len(scores)), size):
            p = np.zeros(len(scores))
            p[list(support)] = scores[list(support)] - (scores[list(support)].sum() - 1) / size
            candidates.append(p)
    feasible = [p for p in candidates if np.all(p >= -1e-12)]
    return min(feasible, key=lambda p: np.sum((p - scores) ** 2))


@pytest.mark.parametrize("scale", [0.3, 1.0, 5.0])
def test_multiclass_sparsemax_against_a_projection_by_brute_force(rng, scale):
    scores = (rng.normal(size=(30, 5)) * scale).round(1)  # rounding makes ties
    labels = rng.integers(5, size=30)
    projections = np.array([project_on_the_simplex(s) for s in scores])
    targets = np.eye(5)[labels]
    expected = (
        np.sum(scores * projections, -1)
        - np.sum(projections**2, -1) / 2
        - np.sum(scores * targets, -1)
        + 0.5
    )
    value, pull = jax.vjp(lambda s: jl.multiclass_sparsemax_loss(s, labels), np.float32(scores))
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=2e-6)
    np.testing.assert_allclose(pull(np.ones(30, np.float32))[0], projections - targets, atol=2e-6)


def test_multiclass_sparsemax_in_half_precision(rng):
    scores = (rng.normal(size=(5000, 10)) * 20).astype(jnp.bfloat16)
    labels = np.argmax(scores, -1)

    @jax.jit
    def both(scores):
        value, pull = jax.vjp(lambda s: jl.multiclass_sparsemax_loss(s, labels), scores)
        return value, pull(jnp.ones_like(value))[0]

    value, gradient = both(scores)
    assert np.all(np.asarray(value) >= 0)
    assert gradient.dtype == jnp.bfloat16 and np.all(np.isfinite(np.asarray(gradient, np.float32)))


@pytest.mark.parametrize("name", INTEGER)
def test_multiclass_losses_take_any_number_of_batch_axes(name):
    loss = loss_of(name)
    grid, one = jax.jit(
        lambda: (loss(LOGITS.reshape(2, 2, 3), INDICES.reshape(2, 2)), loss(LOGITS[0], INDICES[0]))
    )()
    flat, _ = evaluate(name, LOGITS, INDICES)
    np.testing.assert_allclose(np.asarray(grid).ravel(), flat, rtol=1e-6)
    np.testing.assert_allclose(one, flat[0], rtol=1e-6)


def test_a_fenchel_young_loss_is_the_divergence_and_never_negative(rng):
    scores = rng.normal(size=(200, 4)).astype(np.float32)
    targets = rng.dirichlet(np.ones(4), size=200).astype(np.float32)
    p = np.exp(np.float64(scores))
    p /= p.sum(-1, keepdims=True)

    @jax.jit
    def both(targets):
        value, pull = jax.vjp(lambda s: fenchel_young(s, targets), scores)
        return value, pull(jnp.ones_like(value))[0]

    value, gradient = both(targets)
    np.testing.assert_allclose(value, np.sum(targets * np.log(targets / p), -1), atol=2e-6)
    np.testing.assert_allclose(gradient, p - targets, atol=1e-6)
    value, _ = both(np.float32(p))
    assert np.min(value) >= 0 and np.max(value) < 1e-6


def test_a_fenchel_young_loss_without_regulariser_is_offset_by_the_entropy():
    plain = jl.make_fenchel_young_loss(logsumexp)
    expected, _ = evaluate("softmax_cross_entropy", LOGITS, SHARES)
    np.testing.assert_allclose(jax.jit(plain)(LOGITS, SHARES), expected, rtol=1e-5, atol=1e-6)
    # A class of probability 0 costs nothing where its share is 0.
    assert np.isfinite(jax.jit(plain)(array([-INF, 0.0, 1.0]), one_hot([1])))
    hands_on = jl.make_fenchel_young_loss(lambda s, scale, power=1: scale * jnp.max(s) ** power)
    value = hands_on(array(1.0, 3.0), array(1.0, 0.0), 2.0, power=2)
    assert value == 2 * 9 - 1


def test_fenchel_young_masks_and_messages():
    where = np.array([True, False])
    scores, halves = array([1.0, 2.0], [NAN, INF]), np.full((2, 2), 0.5, np.float32)
    value, gradient = jax.jit(
        jax.value_and_grad(lambda s: jnp.sum(fenchel_young(s, halves, where=where)))
    )(scores)
    assert np.isfinite(value) and np.all(np.isfinite(gradient))
    np.testing.assert_array_equal(gradient[1], [0, 0])
    for where in (jnp.ones((2, 2), bool), [[True, True], [True, True]]):
        with pytest.raises(ValueError, match=r"^fenchel_young_loss: where must be of shape \(2,\)"):
            fenchel_young(scores, scores, where=where)
    with pytest.raises(ValueError, match=r"^fenchel_young_loss: targets must be of the same shape"):
        fenchel_young(jnp.ones((2, 2)), jnp.ones(2))
    with pytest.raises(TypeError, match=r"^fenchel_young_loss: scores must be real floating"):
        fenchel_young(jnp.ones(2, jnp.int32), jnp.ones(2))
    with pytest.raises(TypeError, match=r"^fenchel_young_loss: scores must be an array of numbers"):
        fenchel_young("scores", jnp.ones(2))


# Thresholds


def fbeta(accepted, labels, beta=1.0):
    hits = np.sum(accepted & (labels == 1))
    denominator = beta**2 * np.sum(labels == 1) + np.sum(accepted)
    return (1 + beta**2) * hits / denominator if denominator else 0.0


def best_cut(scores, labels, beta):
    """Return the greatest F-beta over all cuts, and what the highest best cut accepts."""
    cuts = sorted(set(scores.tolist()), reverse=True)
    values = [fbeta(scores >= cut, labels, beta) for cut in cuts]
    return max(values), scores >= cuts[int(np.argmax(values))]


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("masked", [False, True])
def test_thresholds_against_all_cuts(rng, beta, masked):
    scores = rng.normal(size=(40, 25)).round(1).astype(np.float32)
    labels = (rng.random(size=scores.shape) < rng.random(25)).astype(np.int32)
    labels[:, 0], labels[:, 1] = 0, 1
    keep = rng.random(size=scores.shape) < 0.6 if masked else np.ones(scores.shape, bool)
    filled = np.where(keep, scores, NAN)
    thresholds = jax.jit(jl.fbeta_thresholds)(
        filled, np.where(keep, labels, -1), beta=beta, where=keep if masked else None
    )
    assert thresholds.shape == (25,)
    for i, threshold in enumerate(np.asarray(thresholds)):
        s, y = scores[keep[:, i], i], labels[keep[:, i], i]
        best, accepted = best_cut(s, y, beta)
        if not y.any():
            assert threshold == INF
            continue
        assert np.array_equal(s >= threshold, accepted)
        np.testing.assert_allclose(fbeta(s >= threshold, y, beta), best, rtol=1e-6)


@functools.cache
def _thresholds():
    return jax.jit(jl.fbeta_thresholds)


def threshold(scores, labels):
    """Choose one threshold; masked examples fill up to three, and one program serves all tests."""
    fill = np.zeros(3 - len(scores), np.float32)
    where = np.arange(3) < len(scores)
    return _thresholds()(
        np.append(np.float32(scores), fill), np.append(np.float32(labels), fill), where=where
    )


def test_thresholds_lie_halfway_and_at_the_last_score():
    assert threshold([0.0, 1.0], [0, 1]) == 0.5
    assert threshold([2.0, 1.0], [1, 1]) == 1.0
    assert threshold([2.0, 1.0], [0, 0]) == INF
    assert threshold([3.0], [1]) == 3.0
    assert threshold([2.0, 2.0, 1.0], [1, 0, 0]) == 1.5
    # Neighbouring floats: the threshold must still refuse the lower one.
    low = np.float32(1.0)
    high = np.nextafter(low, np.float32(2.0))
    assert low < threshold([low, high], [0, 1]) <= high
    assert threshold([1e38, 3e38], [0, 1]) == np.float32(2e38)
    assert threshold([-3e38, 3e38], [0, 1]) > -3e38


def test_thresholds_of_infinite_and_nan_scores():
    assert threshold([-INF, 1.0], [0, 1]) == 1.0
    assert threshold([0.0, INF], [0, 1]) > 0
    assert np.isnan(threshold([0.0, NAN], [0, 1]))
    assert np.isnan(threshold([0.0, 1.0], [0.5, 1.0]))
    assert np.isnan(threshold([0.0, 1.0], [2, 1]))


def test_thresholds_improve_f_beta_on_held_out_data(rng):
    labels = (rng.random((4000, 6)) < np.array([0.03, 0.05, 0.1, 0.2, 0.3, 0.4])).astype(np.int32)
    logits = rng.normal(size=labels.shape) + 1.5 * labels + np.log(0.1 / 0.9)
    scores = 1 / (1 + np.exp(-logits))
    thresholds = np.asarray(
        jax.jit(jl.fbeta_thresholds)(np.float32(scores[:2000]), labels[:2000], beta=2.0)
    )
    for i in range(6):
        held_out = labels[2000:, i]
        at_half = fbeta(scores[2000:, i] >= 0.5, held_out, 2.0)
        assert fbeta(scores[2000:, i] >= thresholds[i], held_out, 2.0) > at_half + 0.05


@pytest.mark.parametrize(
    ("scores", "labels", "options", "error", "message"),
    [
        (
            np.ones((0, 2), np.float32),
            np.ones((0, 2)),
            {},
            ValueError,
            "scores must be of shape.*at least one",
        ),
        (np.float32(1.0), 1.0, {}, ValueError, "scores must be of shape"),
        (
            np.ones(3, np.float32),
            np.ones((3, 1)),
            {},
            ValueError,
            "labels must be of the same shape",
        ),
        (np.ones(3, np.int32), np.ones(3), {}, TypeError, "scores must be real floating"),
        (
            np.ones(3, np.float32),
            np.ones(3),
            {"beta": 0.0},
            ValueError,
            r"beta must be in \(0, inf\)",
        ),
        (
            np.ones(3, np.float32),
            np.ones(3),
            {"beta": "one"},
            TypeError,
            "beta must be a real number",
        ),
        (
            np.ones((3, 2), np.float32),
            np.ones((3, 2)),
            {"beta": [1.0] * 3},
            ValueError,
            "beta must be a number",
        ),
        (
            np.ones(3, np.float32),
            np.ones(3),
            {"where": [True]},
            ValueError,
            "where must be of shape",
        ),
    ],
)
def test_wrong_arguments_of_thresholds_raise(scores, labels, options, error, message):
    with pytest.raises(error, match=f"^fbeta_thresholds: {message}"):
        jl.fbeta_thresholds(scores, labels, **options)


# Hyper-parameters: traced, mapped, differentiated

HYPER = [
    ("sigmoid_binary_cross_entropy", "pos_weight", (0.5, 2.0), (-0.1,)),
    ("sigmoid_binary_cross_entropy", "class_weights", (0.5, 2.0), (-0.1,)),
    ("sigmoid_binary_cross_entropy", "label_smoothing", (0.2, 0.5), (-0.1, 1.1)),
    ("sigmoid_focal_loss", "gamma", (0.3, 2.0), (-0.1,)),
    ("sigmoid_focal_loss", "alpha", (0.25, 0.75), (-0.1, 1.1)),
    ("asymmetric_loss", "gamma_negative", (0.3, 4.0), (-0.1,)),
    ("asymmetric_loss", "gamma_positive", (0.3, 4.0), (-0.1,)),
    ("asymmetric_loss", "clip", (0.05, 0.2), (-0.1, 1.0)),
    ("softmax_cross_entropy", "label_smoothing", (0.2, 0.5), (-0.1, 1.1)),
    ("softmax_cross_entropy", "z_loss", (0.2, 0.5), (-0.1,)),
    (INTEGER_CE, "label_smoothing", (0.2, 0.5), (-0.1, 1.1)),
    (INTEGER_CE, "z_loss", (0.2, 0.5), (-0.1,)),
    ("softmax_focal_loss", "gamma", (0.3, 2.0), (-0.1,)),
    ("softmax_focal_loss", "alpha", (0.3, 2.0), (-0.1,)),
    ("poly_loss_cross_entropy", "epsilon", (-1.0, 2.0), ()),
    ("logit_adjusted_cross_entropy", "tau", (0.5, 1.5), ()),
    ("ldam_loss", "max_margin", (0.2, 0.5), (-0.1,)),
    ("ldam_loss", "scale", (3.0, 30.0), (0.0, -1.0)),
]
SMALL = array([0.3, -0.2, 0.5], [1.0, 0.1, -0.4])
SMALL_LABELS = {
    **dict.fromkeys(BINARY, array([1.0, 0.0, 0.0], [0.0, 1.0, 1.0])),
    **dict.fromkeys(SIGNED, array([1.0, -1.0, -1.0], [-1.0, 1.0, 1.0])),
    **dict.fromkeys(SOFT, array([0.5, 0.25, 0.25], [0.0, 1.0, 0.0])),
    **dict.fromkeys(INTEGER, np.array([2, 1])),
}


def of_hyper(name, parameter):
    """Return the loss as a function of one hyper-parameter alone."""
    return lambda value: loss_of(name)(SMALL, SMALL_LABELS[name], **{parameter: value})


@pytest.mark.parametrize(("name", "parameter", "good", "bad"), HYPER)
def test_hyperparameters_can_be_traced_mapped_and_differentiated(name, parameter, good, bad):
    loss = of_hyper(name, parameter)
    values = np.float32([v for g in good for v in (g, g * 0.99, g * 1.01)] + [*bad, NAN])

    @jax.jit
    @jax.vmap
    def mapped(value):
        return loss(value), jax.grad(lambda value: jnp.sum(loss(value)))(value)

    rows, derivative = map(np.asarray, mapped(values))
    rows = rows.reshape(len(values), -1)
    for i in (0, 3):
        assert np.all(np.isfinite(rows[i]))
        numerical = np.sum(rows[i + 2] - rows[i + 1], dtype=np.float64) / (0.02 * values[i])
        np.testing.assert_allclose(derivative[i], numerical, rtol=5e-3, atol=2e-3)
    # A parameter may weigh one kind of label only, and the other kind does not see it.
    assert np.all(np.any(np.isnan(rows[6:]), axis=1)), "a traced impossible value must give NaN"
    static = jax.jit(lambda: loss(good[0]))()
    np.testing.assert_allclose(rows[0], np.ravel(static), rtol=1e-5)


@pytest.mark.parametrize(("name", "parameter", "good", "bad"), HYPER)
def test_impossible_hyperparameters_raise(name, parameter, good, bad):
    loss = of_hyper(name, parameter)
    for value in (*bad, NAN, INF):
        with pytest.raises(ValueError, match=rf"^{name}: {parameter} must be in [\[(]"):
            loss(value)
    with pytest.raises(ValueError, match=rf"^{name}: {parameter} must be in"):
        jax.eval_shape(lambda x: loss(NAN) + x, 0.0)
    for value in ("large", 1j, True):
        with pytest.raises(TypeError, match=f"^{name}: {parameter} must be a real number"):
            loss(value)
    with pytest.raises(ValueError, match=f"^{name}: {parameter} must be"):
        loss(np.full((5, 1, 1), 0.5))


@pytest.mark.parametrize(
    ("name", "parameter"),
    [("softmax_cross_entropy", "class_weights"), (INTEGER_CE, "class_weights"),
     ("logit_adjusted_cross_entropy", "class_counts"), ("ldam_loss", "class_counts"),
     ("softmax_focal_loss", "alpha")],
)  # fmt: skip
def test_numbers_of_classes_are_checked(name, parameter):
    loss = lambda value: getattr(jl, name)(SMALL, SMALL_LABELS[name], **{parameter: value})
    lowest = r"\(0" if parameter == "class_counts" else r"\[0"
    for bad in ((1.0, -1.0, 1.0), (1.0, NAN, 1.0), (1.0, INF, 1.0)):
        with pytest.raises(ValueError, match=rf"^{name}: {parameter} must be in {lowest}, inf\)"):
            loss(bad)
    for wrong in (np.ones(2), np.ones(4), np.ones((2, 3)), np.ones((2, 1))):
        with pytest.raises(ValueError, match=rf"^{name}: {parameter} must be"):
            loss(wrong)
    with pytest.raises(TypeError, match=rf"^{name}: {parameter} must be a real number"):
        loss(["a", "b", "c"])
    if parameter != "alpha":
        with pytest.raises(ValueError, match=rf"^{name}: {parameter} must be one number for each"):
            loss(1.0)
    traced = jax.jit(loss)
    assert np.all(np.isnan(traced(array(-1.0, -1.0, -1.0))))
    assert np.all(np.isfinite(traced(array(1.0, 2.0, 3.0))))


@pytest.mark.parametrize("alpha", [-0.1, 1.1, NAN])
def test_smoothing_checks_its_share(alpha):
    with pytest.raises(ValueError, match=r"^smooth_labels: alpha must be in \[0, 1\]"):
        jl.smooth_labels(SHARES, alpha)
    assert np.all(np.isnan(jax.jit(jl.smooth_labels)(SHARES, alpha)))


# Errors

EQUAL_SHAPES = [*BINARY, *SIGNED, *SOFT, "safe_softmax_cross_entropy"]
FIRST = {
    **dict.fromkeys(SIGNED, "predictor_outputs"),
    **dict.fromkeys(
        ["multiclass_hinge_loss", "multiclass_perceptron_loss", "multiclass_sparsemax_loss"],
        "scores",
    ),
}
ROW, COLUMN = np.ones(3, np.float32), np.ones((3, 1), np.float32)


@pytest.mark.parametrize("name", EQUAL_SHAPES)
@pytest.mark.parametrize(
    ("scores", "labels", "error", "message"),
    [
        (
            ROW,
            COLUMN,
            ValueError,
            r"SECOND must be of the same shape as FIRST \(3,\), got \(3, 1\)",
        ),
        (ROW, ROW[:2], ValueError, r"SECOND must be of the same shape"),
        (ROW, 1.0, ValueError, r"SECOND must be of the same shape"),
        (ROW.astype(int), ROW, TypeError, "FIRST must be real floating point, got int32"),
        (ROW.astype(bool), ROW, TypeError, "FIRST must be real floating point, got bool"),
        (1j * ROW, ROW, TypeError, "FIRST must be real floating point, got complex64"),
        (ROW, 1j * ROW, TypeError, "SECOND must be real numbers, got complex64"),
        ("text", ROW, TypeError, "FIRST must be an array of numbers, got 'text'"),
        (ROW, "text", TypeError, "SECOND must be an array of numbers, got 'text'"),
        (ROW, None, TypeError, "SECOND must be an array of numbers, got None"),
    ],
)
def test_wrong_data_raises(name, scores, labels, error, message):
    message = message.replace("FIRST", FIRST.get(name, "logits"))
    message = message.replace("SECOND", "targets" if name in SIGNED else "labels")
    name = "softmax_cross_entropy" if name.startswith("safe") else name
    with pytest.raises(error, match=f"{name}: {message}"):
        loss_of(name)(scores, labels)


@pytest.mark.parametrize("name", INTEGER)
@pytest.mark.parametrize(
    ("scores", "labels", "error", "message"),
    [
        (
            ROW,
            np.zeros(3, int),
            ValueError,
            r"labels must be of the shape of FIRST \(3,\) without axis -1, \(\)",
        ),
        (ROW[None], np.zeros((1, 1), int), ValueError, r"labels must be of the shape.*\(1, 1\)"),
        (ROW[None], np.zeros((1, 3), int), ValueError, r"labels must be of the shape"),
        (np.float32(1.0), 0, ValueError, "axis must be an axis"),
        (ROW[None], np.zeros(1, np.float32), TypeError, "labels must be integers, got float32"),
        (ROW[None], np.zeros(1, bool), TypeError, "labels must be integers, got bool"),
        (ROW[None], "text", TypeError, "labels must be an array of numbers, got 'text'"),
        (
            ROW[None].astype(int),
            np.zeros(1, int),
            TypeError,
            "FIRST must be real floating point, got int32",
        ),
        (
            1j * ROW[None],
            np.zeros(1, int),
            TypeError,
            "FIRST must be real floating point, got complex64",
        ),
        (None, np.zeros(1, int), TypeError, "FIRST must be an array of numbers, got None"),
    ],
)
def test_wrong_data_of_integer_labels_raises(name, scores, labels, error, message):
    message = message.replace("FIRST", FIRST.get(name, "logits"))
    with pytest.raises(error, match=f"^{name}: {message}"):
        loss_of(name)(scores, labels)


@pytest.mark.parametrize("name", [*BINARY, *SIGNED, *SOFT, *INTEGER, "smooth_labels"])
@pytest.mark.parametrize(
    ("where", "error", "message"),
    [
        (np.ones(3, bool), ValueError, r"where must be of shape \(2, 3\)"),
        (np.ones((2, 1), bool), ValueError, "where must be of shape"),
        (np.ones((2, 3, 1), bool), ValueError, "where must be of shape"),
        (np.ones((2, 3), np.float32), TypeError, "where must be boolean.*float32"),
        ("all", TypeError, "where must be an array"),
    ],
)
def test_wrong_masks_raise(name, where, error, message):
    labels = 0.1 if name == "smooth_labels" else SMALL_LABELS[name]
    with pytest.raises(error, match=f"^{name}: {message}"):
        loss_of(name)(SMALL, labels, where=where)


@pytest.mark.parametrize("name", [*WITH_AXIS, "smooth_labels"])
@pytest.mark.parametrize(
    ("axis", "error"),
    [(2, ValueError), (-3, ValueError), ((1, 1), ValueError), ((1, -1), ValueError),
     ("last", TypeError), (0.5, TypeError)],
)  # fmt: skip
def test_wrong_axes_raise(name, axis, error):
    labels = 0.1 if name == "smooth_labels" else SMALL_LABELS[name]
    with pytest.raises(error, match=f"^{name}: axis must be an axis, or distinct axes"):
        loss_of(name)(SMALL, labels, axis=axis)


def test_empty_arrays_have_documented_values():
    none = np.zeros((0, 3), np.float32)
    for name in [*BINARY, *SIGNED, *SOFT]:
        assert jax.eval_shape(loss_of(name), none, none).shape[0] == 0
    for name in INTEGER:
        assert jax.eval_shape(loss_of(name), none, np.zeros(0, int)).shape == (0,)
    # Without classes an event is masked throughout.
    none = np.zeros((2, 0), np.float32)
    for values in jax.jit(lambda: [loss_of(name)(none, none) for name in SOFT])():
        np.testing.assert_array_equal(values, [0, 0])


@pytest.mark.parametrize("name", [*BINARY, *SIGNED, *SOFT, *INTEGER])
def test_dtypes(name):
    loss, labels = loss_of(name), SMALL_LABELS[name]
    slope = jax.grad(lambda scores, labels: jnp.sum(loss(scores, labels)))
    for dtype in (jnp.bfloat16, jnp.float16):
        assert jax.eval_shape(loss, SMALL.astype(dtype), labels).dtype == jnp.float32
        assert jax.eval_shape(slope, SMALL.astype(dtype), labels).dtype == dtype
    with jax.enable_x64(True):
        assert jax.eval_shape(loss, SMALL, labels).dtype == jnp.float32
        assert jax.eval_shape(loss, SMALL.astype(np.float64), labels).dtype == jnp.float64


@pytest.mark.parametrize("name", [*BINARY, *SIGNED, *SOFT, *INTEGER])
def test_strict_promotion_is_obeyed(name):
    """A user's `jax_numpy_dtype_promotion=strict` must not break the library."""
    labels = SMALL_LABELS[name]
    slope = jax.grad(lambda x: jnp.sum(loss_of(name, where=np.ones(2, bool))(x, labels)))
    with jax.numpy_dtype_promotion("strict"):
        for dtype in (jnp.float32, jnp.bfloat16):
            jax.eval_shape(slope, jax.ShapeDtypeStruct((2, 3), dtype))
        with jax.enable_x64(True):
            jax.eval_shape(slope, jax.ShapeDtypeStruct((2, 3), np.float64))


@pytest.mark.parametrize("name", [*BINARY, *SIGNED, *SOFT, *INTEGER])
def test_examples_may_be_split_over_an_explicit_mesh(two_devices, name):
    mesh = jax.make_mesh((2,), ("batch",), axis_types=(AxisType.Explicit,), devices=two_devices)
    labels, where = SMALL_LABELS[name], np.array([True, False])
    data = jax.device_put((SMALL, labels, where), NamedSharding(mesh, PartitionSpec("batch")))

    @jax.jit
    def both(scores, labels, where):
        value, pull = jax.vjp(lambda s: loss_of(name)(s, labels, where=where), scores)
        return value, pull(jnp.ones_like(value))[0]

    expected = evaluate(name, SMALL, labels, where)
    for a, b in zip(both(*data), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)
