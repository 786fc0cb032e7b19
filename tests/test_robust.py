"""Robust losses: values by hand and by brute force, ends of parameters, state, messages."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

import jaxloss as jl

LOGITS = np.array([[2.0, -1.0, 0.5], [0.1, 0.2, -3.0], [-2.0, 4.0, 1.0], [0.0, 0.0, 0.0]])
LABELS = np.array([0, 2, 0, 1])
NOISE = np.array([[0.8, 0.15, 0.05], [0.1, 0.9, 0.0], [0.3, 0.1, 0.6]])


def probabilities(logits):
    shares = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shares / shares.sum(axis=-1, keepdims=True)


P = probabilities(LOGITS)
OWN = P[np.arange(4), LABELS]


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (jl.absolute_probability_error, np.abs(P - np.eye(3)[LABELS]).sum(axis=-1)),
        (lambda x, y: jl.generalized_cross_entropy(x, y, q=0.3), (1 - OWN**0.3) / 0.3),
        (jl.reverse_cross_entropy, 4 * (1 - OWN)),
        (
            lambda x, y: jl.symmetric_cross_entropy(x, y, alpha=0.1, beta=2.0, log_zero=-3.0),
            -0.1 * np.log(OWN) + 6 * (1 - OWN),
        ),
        (jl.normalized_cross_entropy, np.log(OWN) / np.log(P).sum(axis=-1)),
        (
            lambda x, y: jl.normalized_focal_loss(x, y, gamma=2.0),
            ((1 - OWN) ** 2 * np.log(OWN)) / ((1 - P) ** 2 * np.log(P)).sum(axis=-1),
        ),
        (
            lambda x, y: jl.taylor_cross_entropy(x, y, order=3),
            (1 - OWN) + (1 - OWN) ** 2 / 2 + (1 - OWN) ** 3 / 3,
        ),
        (
            lambda x, y: jl.forward_corrected_cross_entropy(x, y, transition=NOISE),
            -np.log((P @ NOISE)[np.arange(4), LABELS]),
        ),
        (
            lambda x, y: jl.backward_corrected_cross_entropy(x, y, transition=NOISE),
            (-np.log(P) @ np.linalg.inv(NOISE).T)[np.arange(4), LABELS],
        ),
        (
            lambda x, y: jl.bootstrapped_cross_entropy(x, y, beta=0.6),
            -0.6 * np.log(OWN) - 0.4 * (P * np.log(P)).sum(axis=-1),
        ),
        (
            lambda x, y: jl.bootstrapped_cross_entropy(x, y, beta=0.6, hard=True),
            -0.6 * np.log(OWN) - 0.4 * np.log(P.max(axis=-1)),
        ),
        (
            lambda x, y: jl.early_learning_loss(x, y, jnp.asarray(P[::-1].copy())),
            -np.log(OWN) + 3 * np.log(1 - (P * P[::-1]).sum(axis=-1)),
        ),
    ],
)
@pytest.mark.usefixtures("x64")
def test_values_equal_the_formula_in_numpy(loss, expected):
    np.testing.assert_allclose(loss(jnp.asarray(LOGITS), LABELS), expected, rtol=1e-12)


@pytest.mark.parametrize(("t1", "t2"), [(0.3, 1.7), (0.9, 1.01), (0.0, 4.0)])
@pytest.mark.usefixtures("x64")
def test_bi_tempered_loss_equals_a_bracketed_solution(t1, t2):
    share = lambda x, n: (1 + (t2 - 1) * (n - x)) ** (-1 / (t2 - 1))
    expected = []
    for x, y in zip(LOGITS, LABELS, strict=True):
        n = scipy.optimize.brentq(lambda n, x=x: share(x, n).sum() - 1, x.max(), x.max() + 1e4)
        p = share(x, n)
        rest = (1 - (p ** (2 - t1)).sum()) / (2 - t1)
        expected.append(-(p[y] ** (1 - t1) - 1) / (1 - t1) - rest)
    loss = jl.bi_tempered_logistic_loss(jnp.asarray(LOGITS), LABELS, t1=t1, t2=t2)
    np.testing.assert_allclose(loss, expected, rtol=1e-9)


@pytest.mark.usefixtures("x64")
def test_bi_tempered_loss_of_a_right_and_sure_prediction_does_not_cancel():
    """It is about `s^2 / 2` there, for a surprisal s; the two terms alone are about s."""
    sure = jnp.array([18.0, 0.0])
    loss = jl.bi_tempered_logistic_loss(sure, jnp.array(0), t1=0.0, t2=1.0)
    s = np.log1p(np.exp(-18.0))
    assert loss == pytest.approx(s**2, rel=1e-6)  # half of it from either class


@pytest.mark.parametrize("alpha", [2.0, 0.0, 1e-7, -1e-7, 2.0 - 1e-7, 2.0 + 1e-7, -np.inf, -1e8])
def test_general_loss_passes_smoothly_through_its_special_shapes(alpha):
    errors = jnp.array([0.0, 1e-3, 0.5, 3.0, 100.0])
    z = np.asarray(errors, np.float64) ** 2
    if alpha > 1:
        expected = z / 2
    elif alpha > -1:
        expected = np.log1p(z / 2)
    else:
        expected = -np.expm1(-z / 2)
    loss = jl.general_robust_loss(errors, alpha=alpha)
    np.testing.assert_allclose(loss, expected, rtol=3e-6)
    slope = jax.grad(lambda a: jl.general_robust_loss(errors, alpha=a).sum())(alpha)
    assert np.isfinite(slope)  # at minus infinity, too, where it is 0


def test_general_loss_slope_at_shape_zero_is_that_of_the_formula():
    """The value that libraries which clamp the shape get wrong: 0.0299 at an error of 1."""
    slope = jax.grad(lambda a: jl.general_robust_loss(jnp.float32(1.0), alpha=a))
    u = np.log(1.5)
    # Second-order expansion of 2 / alpha (exp(alpha u / 2) - 1), with b = 2 - alpha.
    expected = u**2 / 4 - u / 2 + 1 / 6
    assert slope(0.0) == pytest.approx(expected, rel=1e-5)
    assert slope(1e-9) == pytest.approx(expected, rel=1e-5)


def test_wrong_labels_are_outvoted():
    """With 40 % uniform noise symmetric losses keep the clean minimiser, cross-entropy does not."""
    right = jnp.array([6.0, 0.0, 0.0])
    noisy = jnp.array([0.6, 0.2, 0.2])
    labels = jnp.arange(3)

    def slope(loss):
        risk = lambda x: jnp.sum(noisy * loss(jnp.broadcast_to(x, (3, 3)), labels))
        return jax.grad(risk)(right)[0]

    assert slope(jl.absolute_probability_error) < 0  # still wants more of the true class
    assert slope(jl.normalized_cross_entropy) < 0
    assert slope(jl.softmax_cross_entropy_with_integer_labels) > 0


def test_early_learning_state_averages_and_keeps_the_others():
    state = jl.early_learning_init(4, 2)
    logits = jnp.array([[0.0, 0.0], [np.log(3.0), 0.0]])
    targets, state = jl.early_learning_update(state, jnp.array([1, 3]), logits, momentum=0.5)
    np.testing.assert_allclose(targets, [[0.25, 0.25], [0.375, 0.125]], rtol=1e-6)
    np.testing.assert_allclose(state.targets[jnp.array([0, 2])], 0)
    again, _ = jl.early_learning_update(state, jnp.array([3]), logits[1:], momentum=0.5)
    np.testing.assert_allclose(again, [[0.5625, 0.1875]], rtol=1e-6)


def test_early_learning_pull_is_bounded_where_target_and_prediction_are_both_sure():
    target, logits = jnp.array([1.0, 0.0]), jnp.array([40.0, 0.0])
    slope = jax.grad(lambda x: jl.early_learning_loss(x, jnp.array(0), target))(logits)
    np.testing.assert_allclose(slope, [-3.0, 3.0], rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: jl.cauchy_loss(1.0, scale=0.0), r"cauchy_loss: scale must be in \(0"),
        (lambda: jl.general_robust_loss(1.0, alpha=np.nan), "general_robust_loss: alpha"),
        (
            lambda: jl.generalized_cross_entropy(LOGITS, LABELS, q=2.0),
            r"generalized_cross_entropy: q must be in \[0, 1\], got 2.0",
        ),
        (
            lambda: jl.taylor_cross_entropy(LOGITS, LABELS, order=1.5),
            "taylor_cross_entropy: order must be an integer >= 1, got 1.5",
        ),
        (
            lambda: jl.active_passive_loss(LOGITS, LABELS, active="mae"),
            "active_passive_loss: active must be one of",
        ),
        (
            lambda: jl.forward_corrected_cross_entropy(LOGITS, LABELS, transition=np.eye(2)),
            r"transition must be of shape \(3, 3\), one row for each true class",
        ),
        (
            lambda: jl.backward_corrected_cross_entropy(LOGITS, LABELS, transition=2 * np.eye(3)),
            "transition must be non-negative with rows that sum to 1",
        ),
        (
            lambda: jl.early_learning_loss(LOGITS, LABELS, jnp.zeros((4, 2))),
            "early_learning_loss: targets must be of the same shape as logits",
        ),
        (
            lambda: jl.bi_tempered_logistic_loss(LOGITS, LABELS, t2=0.5),
            r"bi_tempered_logistic_loss: t2 must be in \[1",
        ),
    ],
)
def test_what_cannot_be_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_half_precision_is_computed_in_float32():
    logits = jnp.asarray(LOGITS, jnp.bfloat16)
    loss = jl.generalized_cross_entropy(logits, LABELS)
    assert loss.dtype == jnp.float32
    np.testing.assert_allclose(
        loss, jl.generalized_cross_entropy(logits.astype(jnp.float32), LABELS), rtol=1e-6
    )
