"""Independent oracles: other libraries and exact arithmetic on random asymmetric input.

A gradient check passes on a wrong loss; these tests do not. Each case hands the same float64 data
to a loss of this library and to an oracle, and compares values and, where the loss has a true
derivative, gradients. Oracles that are not installed are left out, case by case.
"""

import importlib.util

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import optax
import pytest
import scipy.special
import scipy.stats

import jaxloss as jl

# The one tolerance: a few hundred units in the last place of float64.
RTOL, ATOL = 1e-12, 1e-13

ROWS, CLASSES = 40, 5
needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs torch")
needs_sklearn = pytest.mark.skipif(
    importlib.util.find_spec("sklearn") is None, reason="needs scikit-learn"
)

pytestmark = [pytest.mark.oracle, pytest.mark.usefixtures("x64")]


def data(rng):
    """Random asymmetric input: nothing sums to one by accident, scales differ, some scores tie."""
    logits = rng.normal(0.3, 2.0, size=(ROWS, CLASSES))
    logits[::7] = logits[::7].round()
    labels = rng.choice(CLASSES, size=ROWS, p=[0.4, 0.3, 0.15, 0.1, 0.05])
    predictions = rng.normal(-0.5, 2.5, size=(ROWS, CLASSES))
    return {
        "logits": logits,
        "labels": labels,
        "shares": rng.dirichlet([0.5, 1.0, 2.0, 0.2, 4.0], size=ROWS),
        "bits": (rng.random((ROWS, CLASSES)) < [0.1, 0.3, 0.5, 0.7, 0.9]).astype(float),
        "weights": np.array([0.3, 1.7, 2.2, 0.9, 3.1]),
        "counts": np.array([400.0, 90.0, 33.0, 8.0, 2.0]),
        "predictions": predictions,
        "targets": predictions * rng.normal(0.8, 0.6, size=predictions.shape) + 0.1,
        "positive": rng.gamma(1.5, 2.0, size=(ROWS, CLASSES)),
        "positive_targets": rng.gamma(2.5, 1.2, size=(ROWS, CLASSES)),
        "where": rng.random((ROWS, CLASSES)) < rng.random((ROWS, 1)),
    }


def ours(loss, first, *rest, **options):
    """Return the loss and the gradient of its sum in the first argument."""

    def total(first, *rest):
        value = loss(first, *rest, **options)
        return jnp.sum(value), value

    (_, value), gradient = jax.jit(jax.value_and_grad(total, has_aux=True))(first, *rest)
    assert value.dtype == gradient.dtype == jnp.float64
    return np.asarray(value), np.asarray(gradient)


def value(loss, *arguments, **options):
    return ours(loss, *arguments, **options)[0]


def assert_agree(got, expected):
    for a, b in zip(got, expected, strict=True):
        if b is not None:
            np.testing.assert_allclose(a, b, rtol=RTOL, atol=ATOL)


# PyTorch


def torch_of(function, first, *rest):
    import torch

    tensor = lambda a: torch.as_tensor(np.array(a))
    first = tensor(first).requires_grad_()
    value = function(first, *map(tensor, rest))
    value.sum().backward()
    return value.detach().numpy(), first.grad.numpy()


def functional(name, **options):
    """Return a loss of `torch.nn.functional`, unreduced, with weights as tensors."""

    def call(*arguments):
        import torch

        more = {
            k: torch.as_tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()
        }
        return getattr(torch.nn.functional, name)(*arguments, reduction="none", **more)

    return call


def weights(d):
    return {"class_weights": d["weights"]}


TORCH = {
    "squared_error": (jl.squared_error, lambda d: {}, "mse_loss", lambda d: {}),
    "absolute_error": (jl.absolute_error, lambda d: {}, "l1_loss", lambda d: {}),
    "huber": (jl.huber_loss, lambda d: {"delta": 0.7}, "huber_loss", lambda d: {"delta": 0.7}),
    "smooth l1": (
        jl.smooth_l1_loss,
        lambda d: {"beta": 0.7},
        "smooth_l1_loss",
        lambda d: {"beta": 0.7},
    ),
    "smooth l1 at 0": (
        jl.smooth_l1_loss,
        lambda d: {"beta": 0.0},
        "smooth_l1_loss",
        lambda d: {"beta": 0.0},
    ),
    "bce": (
        jl.sigmoid_binary_cross_entropy,
        lambda d: {},
        "binary_cross_entropy_with_logits",
        lambda d: {},
    ),
    "bce weighted": (
        jl.sigmoid_binary_cross_entropy,
        lambda d: {"pos_weight": d["weights"], "class_weights": d["weights"][::-1].copy()},
        "binary_cross_entropy_with_logits",
        lambda d: {"pos_weight": d["weights"], "weight": d["weights"][::-1].copy()},
    ),
    "ce": (
        jl.softmax_cross_entropy_with_integer_labels,
        lambda d: {},
        "cross_entropy",
        lambda d: {},
    ),
    "ce weighted": (
        jl.softmax_cross_entropy_with_integer_labels,
        weights,
        "cross_entropy",
        lambda d: {"weight": d["weights"]},
    ),
    "ce weighted and smoothed": (
        jl.softmax_cross_entropy_with_integer_labels,
        lambda d: {**weights(d), "label_smoothing": 0.15},
        "cross_entropy",
        lambda d: {"weight": d["weights"], "label_smoothing": 0.15},
    ),
    "soft ce": (jl.softmax_cross_entropy, lambda d: {}, "cross_entropy", lambda d: {}),
    "soft ce weighted and smoothed": (
        jl.softmax_cross_entropy,
        lambda d: {**weights(d), "label_smoothing": 0.15},
        "cross_entropy",
        lambda d: {"weight": d["weights"], "label_smoothing": 0.15},
    ),
}


def arguments_of(name, d):
    if name.startswith("bce"):
        return d["logits"], d["shares"] if name == "bce" else d["bits"]
    if name.startswith("soft"):
        return d["logits"], d["shares"]
    if name.startswith("ce"):
        return d["logits"], d["labels"]
    return d["predictions"], d["targets"]


@needs_torch
@pytest.mark.parametrize("name", TORCH)
def test_torch(name, rng):
    d = data(rng)
    loss, options, theirs, their_options = TORCH[name]
    arguments = arguments_of(name if name != "smooth l1" else "l1", d)
    if name.startswith("smooth l1"):
        arguments = d["predictions"], d["targets"]
    got = ours(loss, *arguments, **options(d))
    assert_agree(got, torch_of(functional(theirs, **their_options(d)), *arguments))


@needs_torch
def test_torch_on_losses_of_vectors_and_margins(rng):
    import torch

    d = data(rng)
    cosine = lambda a, b: torch.nn.functional.cosine_similarity(a, b, eps=0.0)
    expected = torch_of(cosine, d["predictions"], d["targets"])
    assert_agree(ours(jl.cosine_similarity, d["predictions"], d["targets"]), expected)
    got = ours(jl.cosine_distance, d["predictions"], d["targets"])
    assert_agree(got, (1 - expected[0], -expected[1]))
    # Two classes: one rival, so that Weston-Watkins' sum (over C) is Crammer-Singer's maximum.
    pair, label = d["logits"][:, :2], d["labels"] % 2
    margin = lambda s, y: 2 * torch.nn.functional.multi_margin_loss(s, y, reduction="none")
    assert_agree(ours(jl.multiclass_hinge_loss, pair, label), torch_of(margin, pair, label))
    squared = lambda s, y: 2 * torch.nn.functional.multi_margin_loss(s, y, p=2, reduction="none")
    signs, lead = 2.0 * label - 1, (pair[:, 1] - pair[:, 0])
    assert_agree(ours(jl.squared_hinge_loss, lead, signs)[:1], torch_of(squared, pair, label)[:1])
    pinball = lambda p, t: torch.where(t > p, 0.3 * (t - p), 0.7 * (p - t))
    got = ours(jl.quantile_loss, d["predictions"], d["targets"], quantile=0.3)
    assert_agree(got, torch_of(pinball, d["predictions"], d["targets"]))


@needs_torch
def test_the_weighted_mean_of_torch_by_the_stated_recipe(rng):
    """`mean(losses / w, weights=w)` with the weight of each label is torch's weighted mean."""
    import torch

    d = data(rng)
    losses = value(
        jl.softmax_cross_entropy_with_integer_labels,
        d["logits"],
        d["labels"],
        class_weights=d["weights"],
    )
    w = d["weights"][d["labels"]]
    theirs = torch.nn.functional.cross_entropy(
        *map(torch.as_tensor, (d["logits"], d["labels"], d["weights"]))
    )
    np.testing.assert_allclose(jl.mean(losses / w, weights=w), theirs.numpy(), rtol=RTOL)


# Optax, where it is right


def optax_of(loss, first, *rest, **options):
    return ours(loss, first, *rest, **options)


OPTAX = {
    "squared_error": (["predictions", "targets"], {}),
    "l2_loss": (["predictions", "targets"], {}),
    "huber_loss": (["predictions", "targets"], {"delta": 0.7}),
    "log_cosh": (["predictions", "targets"], {}),
    "cosine_distance": (["predictions", "targets"], {}),
    "sigmoid_binary_cross_entropy": (["logits", "shares"], {}),
    "sigmoid_focal_loss": (["logits", "shares"], {"alpha": 0.3, "gamma": 1.7}),
    "softmax_cross_entropy": (["logits", "shares"], {}),
    "softmax_cross_entropy_with_integer_labels": (["logits", "labels"], {}),
    "poly_loss_cross_entropy": (["logits", "shares"], {"epsilon": -0.8}),
    "multiclass_hinge_loss": (["logits", "labels"], {}),
    "multiclass_perceptron_loss": (["logits", "labels"], {}),
    "multiclass_sparsemax_loss": (["logits", "labels"], {}),
    "sparsemax_loss": (["logits", "bits"], {}),
}


@pytest.mark.parametrize("name", OPTAX)
def test_optax(name, rng):
    d = data(rng)
    keys, options = OPTAX[name]
    arguments = [d[key] for key in keys]
    if "sparsemax" in name or "hinge" in name or "perceptron" in name:
        arguments[0] = arguments[0] + 1e-3 * rng.normal(size=arguments[0].shape)  # off the kinks
    if name == "sparsemax_loss":
        arguments[1] = arguments[1].astype(int)
    with jax.numpy_rank_promotion("allow"):
        expected = optax_of(getattr(optax.losses, name), *arguments, **options)
    assert_agree(ours(getattr(jl, name), *arguments, **options), expected)


def test_optax_with_masks(rng):
    d = data(rng)
    for loss in ("softmax_cross_entropy", "poly_loss_cross_entropy", "cosine_similarity"):
        arguments = d["predictions" if loss == "cosine_similarity" else "logits"], d["shares"]
        where = d["where"] | np.eye(ROWS, CLASSES, dtype=bool)
        where[:, 0] = True
        expected = optax_of(getattr(optax.losses, loss), *arguments, where=where)
        assert_agree(ours(getattr(jl, loss), *arguments, where=where), expected)


def test_optax_smoothing(rng):
    shares = data(rng)["shares"]
    np.testing.assert_allclose(
        value(jl.smooth_labels, shares, 0.15),
        value(optax.losses.smooth_labels, shares, 0.15),
        rtol=RTOL,
    )


# SciPy and scikit-learn


def test_scipy(rng):
    d = data(rng)
    r = d["predictions"] - d["targets"]
    np.testing.assert_allclose(
        value(jl.huber_loss, d["predictions"], d["targets"], delta=0.7),
        scipy.special.huber(0.7, r),
        rtol=RTOL,
    )
    np.testing.assert_allclose(
        value(jl.pseudo_huber_loss, d["predictions"], d["targets"], delta=0.7),
        scipy.special.pseudo_huber(0.7, r),
        rtol=RTOL, atol=ATOL,
    )  # fmt: skip
    log_p = scipy.special.log_softmax(d["logits"], axis=-1)
    cross_entropy, gradient = ours(jl.softmax_cross_entropy, d["logits"], d["shares"])
    np.testing.assert_allclose(cross_entropy, -np.sum(d["shares"] * log_p, -1), rtol=RTOL)
    p = scipy.special.softmax(d["logits"], axis=-1)
    np.testing.assert_allclose(gradient, p - d["shares"], rtol=RTOL, atol=ATOL)
    rows = jl.make_fenchel_young_loss(
        jax.nn.logsumexp, lambda y: jnp.sum(jax.scipy.special.xlogy(y, y))
    )
    np.testing.assert_allclose(
        value(rows, d["logits"], d["shares"]),
        scipy.stats.entropy(d["shares"], p, axis=-1),
        atol=1e-12,
    )


def test_numpy_on_the_losses_that_no_other_library_shares(rng):
    """Formulas of the papers, in plain NumPy, on well-behaved input."""
    d = data(rng)
    y, labels = d["shares"], d["labels"]
    one_hot = np.eye(CLASSES)[labels]
    log_p = scipy.special.log_softmax(d["logits"], axis=-1)
    focal = -np.sum(d["weights"] * y * (1 - np.exp(log_p)) ** 1.7 * log_p, -1)
    np.testing.assert_allclose(
        value(jl.softmax_focal_loss, d["logits"], y, alpha=d["weights"], gamma=1.7),
        focal,
        rtol=RTOL,
    )
    shifted = d["logits"] + 0.7 * np.log(d["counts"])
    adjusted = scipy.special.logsumexp(shifted, -1) - np.sum(one_hot * shifted, -1)
    np.testing.assert_allclose(
        value(
            jl.logit_adjusted_cross_entropy, d["logits"], labels, class_counts=d["counts"], tau=0.7
        ),
        adjusted,
        rtol=1e-11,
        atol=ATOL,
    )
    margins = 0.4 * (d["counts"].min() / d["counts"]) ** 0.25
    shifted = 3.0 * (d["logits"] - one_hot * margins)
    np.testing.assert_allclose(
        value(
            jl.ldam_loss, d["logits"], labels, class_counts=d["counts"], max_margin=0.4, scale=3.0
        ),
        scipy.special.logsumexp(shifted, -1) - np.sum(one_hot * shifted, -1),
        rtol=1e-11,
        atol=1e-12,
    )
    p = scipy.special.expit(d["logits"])
    q = np.maximum(p - 0.1, 0)
    ours_ = value(
        jl.asymmetric_loss, d["logits"], y, gamma_negative=2.5, gamma_positive=0.7, clip=0.1
    )
    theirs = -y * (1 - p) ** 0.7 * np.log(p) - (1 - y) * q**2.5 * np.log(1 - q)
    np.testing.assert_allclose(ours_, theirs, rtol=1e-11, atol=ATOL)
    r = d["targets"] - d["predictions"]
    side = np.where(r > 0, 0.3, 0.7)
    np.testing.assert_allclose(
        value(jl.expectile_loss, d["predictions"], d["targets"], expectile=0.3),
        side * r**2,
        rtol=RTOL,
    )
    np.testing.assert_allclose(
        value(jl.huberized_quantile_loss, d["predictions"], d["targets"], quantile=0.3, delta=0.7),
        side * scipy.special.huber(0.7, r),
        rtol=RTOL,
    )
    np.testing.assert_allclose(
        value(jl.charbonnier_loss, d["predictions"], d["targets"], epsilon=0.3),
        np.hypot(r, 0.3),
        rtol=RTOL,
    )
    np.testing.assert_allclose(
        value(jl.symmetric_absolute_percentage_error, d["predictions"], d["targets"]),
        2 * np.abs(r) / (np.abs(d["predictions"]) + np.abs(d["targets"])), rtol=RTOL,
    )  # fmt: skip


@needs_sklearn
def test_scikit_learn(rng):
    from sklearn import metrics

    d = data(rng)
    keep = d["where"]
    case = lambda loss, a, b, **options: float(
        jl.mean(value(loss, a, b, where=keep, **options), where=keep)
    )
    p, t = d["predictions"], d["targets"]
    positive, targets = d["positive"], d["positive_targets"]
    checks = [
        (case(jl.squared_error, p, t), metrics.mean_squared_error(t[keep], p[keep])),
        (case(jl.absolute_error, p, t), metrics.mean_absolute_error(t[keep], p[keep])),
        (case(jl.quantile_loss, p, t, quantile=0.3),
         metrics.mean_pinball_loss(t[keep], p[keep], alpha=0.3)),
        (case(jl.squared_logarithmic_error, positive, targets),
         metrics.mean_squared_log_error(targets[keep], positive[keep])),
        (case(jl.absolute_percentage_error, p, t),
         metrics.mean_absolute_percentage_error(t[keep], p[keep])),
    ]  # fmt: skip
    example_weights = rng.gamma(2.0, size=ROWS)
    probabilities = scipy.special.softmax(d["logits"], axis=-1)
    losses = value(jl.softmax_cross_entropy_with_integer_labels, d["logits"], d["labels"])
    given = {"labels": range(CLASSES), "sample_weight": example_weights}
    checks.append((
        float(jl.mean(losses, weights=example_weights)),
        metrics.log_loss(d["labels"], probabilities, **given),
    ))  # fmt: skip
    hinge = value(jl.multiclass_hinge_loss, d["logits"], d["labels"])
    checks.append((
        float(jl.mean(hinge, weights=example_weights)),
        metrics.hinge_loss(d["labels"], d["logits"], **given),
    ))  # fmt: skip
    signs = 2 * d["bits"][:, 2] - 1
    binary = value(jl.hinge_loss, d["logits"][:, 2], signs)
    checks.append((float(jl.mean(binary)), metrics.hinge_loss(signs, d["logits"][:, 2])))
    for got, expected in checks:
        np.testing.assert_allclose(got, expected, rtol=RTOL)


@needs_sklearn
def test_thresholds_reach_the_best_f_beta_of_scikit_learn(rng):
    from sklearn import metrics

    d = data(rng)
    thresholds = np.asarray(jax.jit(jl.fbeta_thresholds)(d["logits"], d["bits"], beta=0.7))
    for i in range(CLASSES):
        scores, labels = d["logits"][:, i], d["bits"][:, i]
        cuts = [thresholds[i], *scores]
        chosen, *others = (
            metrics.fbeta_score(labels, scores >= cut, beta=0.7, zero_division=0) for cut in cuts
        )
        np.testing.assert_allclose(chosen, max(others), rtol=RTOL)


# Arithmetic with so many digits that nothing rounds, where a plain formula loses its own

# exp(-200) has its first digit in place 87; a difference quotient takes more than twice as many.
DIGITS = 250

TINY = [1e-12, 1e-8, 1e-5, 1e-3, 0.3, 1.0, 3.0, 30.0, 700.0, 1e5]
SIGNED = np.array([*TINY, *(-np.array(TINY))])


def mp(function):
    """Evaluate a function of numbers, and its derivative in the first, with `DIGITS` digits."""

    def values(first, *rest):
        with mpmath.workdps(DIGITS):
            rows = np.broadcast(first, *rest)
            out = []
            for row in rows:
                x, *more = (mpmath.mpf(float(v)) for v in row)
                slope = mpmath.diff(lambda z, more=more: function(z, *more), x)
                out.append((float(function(x, *more)), float(slope)))
        return np.array(out).T

    return values


log_sigmoid = lambda x: -mpmath.log1p(mpmath.exp(-x))


def mp_focal(x, y, gamma):
    p = 1 / (1 + mpmath.exp(-x))
    p_t = p * y + (1 - p) * (1 - y)
    return (1 - p_t) ** gamma * (-y * log_sigmoid(x) - (1 - y) * log_sigmoid(-x))


def mp_asymmetric(x, y, up, down, clip):
    p = 1 / (1 + mpmath.exp(-x))
    q = max(p - clip, mpmath.mpf(0))
    positive = -((1 - p) ** up) * log_sigmoid(x)
    negative = -(q**down) * (mpmath.log1p(-q) if q else mpmath.mpf(0))
    return y * positive + (1 - y) * negative


def grid(*axes):
    return [a.ravel() for a in np.meshgrid(*axes, indexing="ij")]


LOGITS = np.array([-200.0, -60.0, -9.0, -1.0, 1e-9, 0.4, 7.0, 50.0, 200.0])


@pytest.mark.parametrize(
    ("loss", "oracle", "arguments"),
    [
        (jl.log_cosh, lambda r: mpmath.log(mpmath.cosh(r)), [SIGNED]),
        (
            lambda r, d: jl.pseudo_huber_loss(r, delta=d),
            lambda r, d: d**2 * (mpmath.sqrt(1 + (r / d) ** 2) - 1),
            grid(SIGNED, [1e-3, 1.0, 50.0]),
        ),
        (
            lambda r, d: jl.charbonnier_loss(r, epsilon=d),
            lambda r, d: mpmath.sqrt(r**2 + d**2),
            grid(SIGNED, [1e-3, 1.0, 50.0]),
        ),
        (
            jl.sigmoid_binary_cross_entropy,
            lambda x, y: -y * log_sigmoid(x) - (1 - y) * log_sigmoid(-x),
            grid(LOGITS, [0.0, 0.3, 1.0]),
        ),
        (
            lambda x, y, g: jl.sigmoid_focal_loss(x, y, gamma=g),
            mp_focal,
            grid(LOGITS, [0.0, 0.3, 1.0], [0.3, 2.0]),
        ),
        (
            lambda x, y, u, d, c: jl.asymmetric_loss(
                x, y, gamma_positive=u, gamma_negative=d, clip=c
            ),
            mp_asymmetric,
            grid(LOGITS, [0.0, 0.3, 1.0], [0.0, 0.7], [0.5, 4.0], [0.0, 0.05]),
        ),
        (
            jl.squared_logarithmic_error,
            lambda p, t: (mpmath.log1p(p) - mpmath.log1p(t)) ** 2,
            [
                np.array([1e-9, 0.5, 1.0 + 1e-9, 3.0, 1e8]),
                np.array([1e-3, 0.5 + 1e-12, 1.0, 90.0, 1.0]),
            ],
        ),
    ],
    ids=["log_cosh", "pseudo_huber", "charbonnier", "bce", "focal", "asymmetric", "msle"],
)
def test_exact_arithmetic(loss, oracle, arguments):
    got = ours(loss, *map(jnp.asarray, arguments))
    expected = mp(oracle)(*arguments)
    np.testing.assert_allclose(got[0], expected[0], rtol=RTOL, atol=1e-300)
    np.testing.assert_allclose(got[1], expected[1], rtol=RTOL, atol=1e-300)


def test_exact_arithmetic_on_a_confident_softmax():
    logits = np.array(
        [[30.0, 0.0, -2.0], [0.0, 30.0, 29.0], [-600.0, 600.0, 0.0], [1e6, 1e6 + 1, 0.0]]
    )
    for row in logits:
        loss, gradient = [], []
        with mpmath.workdps(DIGITS):
            z = [mpmath.exp(mpmath.mpf(float(x)) - mpmath.mpf(1e6)) for x in row]
            total = mpmath.fsum(z)
            for i in range(3):
                rest = mpmath.fsum(v for j, v in enumerate(z) if j != i)
                loss.append(float(mpmath.log1p(rest / z[i])))
                gradient.append(
                    [float(-rest / total if i == j else z[j] / total) for j in range(3)]
                )
        got = ours(
            jl.softmax_cross_entropy_with_integer_labels, jnp.asarray([row] * 3), jnp.arange(3)
        )
        np.testing.assert_allclose(got[0], loss, rtol=RTOL, atol=1e-300)
        np.testing.assert_allclose(got[1], gradient, rtol=RTOL, atol=1e-300)


@pytest.mark.parametrize("apart", [1e-9, 1e-6, 1e-3, 0.5])
def test_exact_arithmetic_on_the_distance_of_nearly_parallel_vectors(apart):
    a = np.array([0.3, -1.7, 2.2, 0.05])
    b = 7.0 * (a + apart * np.array([1.0, 0.4, -0.2, 0.9]))
    with mpmath.workdps(DIGITS):
        x, y = ([mpmath.mpf(float(v)) for v in vector] for vector in (a, b))
        dot = mpmath.fsum(map(mpmath.fprod, zip(x, y, strict=True)))
        length, other = (mpmath.sqrt(mpmath.fsum(v * v for v in vector)) for vector in (x, y))
        cosine = dot / length / other
        distance = float(1 - cosine)
        gradient = [
            float((cosine * u / length - v / other) / length) for u, v in zip(x, y, strict=True)
        ]
    got = ours(jl.cosine_distance, jnp.asarray(a), jnp.asarray(b))
    # The distance of unit vectors is known to the rounding of their components.
    np.testing.assert_allclose(got[0], distance, rtol=4e-16 / apart + RTOL)
    np.testing.assert_allclose(got[1], gradient, atol=2e-15)


def test_the_oracles_can_fail():
    """Each comparison rejects a loss that is off by one part in a billion."""
    off = lambda r: jl.log_cosh(r) * (1 + 1e-9)
    got, expected = ours(off, jnp.asarray(SIGNED)), mp(lambda r: mpmath.log(mpmath.cosh(r)))(SIGNED)
    with pytest.raises(AssertionError):
        assert_agree(got, expected)
