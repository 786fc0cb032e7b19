"""Self-paced learning against the papers' formulas, and as an optax transformation."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxloss as jl
from jaxloss.curriculum import self_paced

NAN, INF = jnp.nan, jnp.inf
LOSSES = np.float32([0.0, 0.1, 0.25, 0.3, 0.5, 0.79, 0.8, 0.81, 2.0, 50.0])
FORMS = {
    "hard": {"threshold": 0.8},
    "linear": {"threshold": 0.8},
    "logarithmic": {"threshold": 0.8},
    "mixture": {"threshold": 0.8, "lower": 0.25},
}
each_form = pytest.mark.parametrize("form", FORMS)


def pace(losses, where=None, **options):
    """Return the weighted losses and the admitted share of one update."""
    return _compiled(tuple(options.items()))(losses, where)


@functools.cache
def _compiled(options):
    return jax.jit(functools.partial(_pace, dict(options)))


def _pace(options, losses, where=None):
    curriculum = self_paced(**options)
    out, state = curriculum.update(losses, curriculum.init(losses), where=where)
    return out, state.admitted


def weight_of_the_paper(form, l, threshold, lower=None):
    """The weights of Kumar et al. (2010) and Jiang et al. (2014), one loss at a time."""
    if l >= threshold:
        return 0.0
    if form == "hard":
        return 1.0
    if form == "linear":
        return 1 - l / threshold
    if form == "logarithmic":
        return np.log(l + 1 - threshold) / np.log(1 - threshold)
    if l <= lower:
        return 1.0
    zeta = threshold * lower / (threshold - lower)
    return zeta / l - zeta / threshold


@each_form
def test_weights_are_those_of_the_paper(form):
    options = FORMS[form]
    paced, admitted = pace(LOSSES, form=form, **options)
    losses = np.asarray(LOSSES, np.float64)
    weights = np.array([weight_of_the_paper(form, l, **options) for l in losses])
    np.testing.assert_allclose(paced, weights * losses, rtol=2e-6, atol=1e-7)
    assert admitted == np.float32(0.6)
    assert paced[6] == 0  # exactly at the threshold


@each_form
def test_weights_lie_between_0_and_1_and_fall_with_difficulty(form):
    losses = jnp.linspace(1e-3, 1.0, 301)
    weights = np.asarray(pace(losses, form=form, **FORMS[form])[0] / losses)
    assert weights.min() == 0 and weights.max() <= 1 + 1e-6
    assert np.all(np.diff(weights) <= 1e-6)


@pytest.mark.parametrize("form", ["linear", "logarithmic", "mixture"])
def test_soft_weights_are_continuous_at_the_threshold(form):
    near = jnp.array([0.8 - 1e-6, 0.8, 0.8 + 1e-6])
    paced, _ = pace(near, form=form, **FORMS[form])
    assert abs(paced[0]) < 1e-5 and paced[1] == 0 and paced[2] == 0


def test_mixture_is_continuous_at_its_lower_end():
    near = jnp.array([0.25 - 1e-6, 0.25, 0.25 + 1e-6])
    paced, _ = pace(near, form="mixture", **FORMS["mixture"])
    np.testing.assert_allclose(paced / near, np.ones(3), atol=2e-5)


def test_mixture_tends_to_hard_as_the_bounds_meet():
    mixture, _ = pace(LOSSES, form="mixture", threshold=0.8, lower=0.79999)
    np.testing.assert_allclose(mixture, pace(LOSSES, threshold=0.8)[0], atol=1e-4)


@each_form
def test_the_gradient_takes_the_weights_as_constants(form):
    options = FORMS[form]
    gradient = jax.grad(lambda x: jnp.sum(pace(x, form=form, **options)[0]))(LOSSES)
    weights = [weight_of_the_paper(form, l, **options) for l in np.asarray(LOSSES, float)]
    np.testing.assert_allclose(gradient, weights, rtol=2e-6, atol=1e-7)


@each_form
def test_what_is_masked_is_neither_seen_nor_counted(form):
    losses = jnp.array([0.1, NAN, 3.0, INF])
    where = jnp.array([True, False, True, False])

    def total(losses):
        paced, admitted = pace(losses, where=where, form=form, **FORMS[form])
        return jnp.sum(paced), (paced, admitted)

    (_, (paced, admitted)), gradient = jax.value_and_grad(total, has_aux=True)(losses)
    np.testing.assert_array_equal(paced[1:], np.zeros(3))
    assert paced[0] > 0
    assert admitted == 0.5
    np.testing.assert_array_equal(gradient[1:], np.zeros(3))


@each_form
def test_an_infinite_loss_is_refused_and_a_nan_goes_through(form):
    losses = jnp.array([0.1, INF, NAN])
    paced, admitted = pace(losses, form=form, **FORMS[form])
    assert paced[0] > 0 and paced[1] == 0 and jnp.isnan(paced[2])
    np.testing.assert_allclose(admitted, 1 / 3, rtol=1e-6)
    gradient = jax.grad(lambda x: jnp.sum(pace(x, form=form, **FORMS[form])[0]))(losses)
    assert gradient[1] == 0 and jnp.isfinite(gradient[0])


@pytest.mark.parametrize("where", [jnp.zeros(2, bool), None])
def test_nothing_valid_admits_nothing(where):
    losses = jnp.ones(2) if where is not None else jnp.zeros(0)
    paced, admitted = pace(losses, where=where, threshold=2.0)
    np.testing.assert_array_equal(paced, np.zeros(losses.shape))
    assert admitted == 0


@each_form
def test_half_precision_is_computed_in_float32(form):
    losses = LOSSES.astype(jnp.bfloat16)
    paced, admitted = pace(losses, form=form, **FORMS[form])
    wide, _ = pace(losses.astype(jnp.float32), form=form, **FORMS[form])
    assert paced.dtype == jnp.float32 and admitted.dtype == jnp.float32
    np.testing.assert_array_equal(paced, wide)


def test_examples_may_have_several_axes():
    losses = jnp.array([[0.1, 9.0], [0.2, 0.3]])
    paced, admitted = pace(losses, where=jnp.array([True, False]), threshold=1.0)
    np.testing.assert_array_equal(paced, np.float32([[0.1, 0.0], [0.0, 0.0]]))
    assert admitted == 0.5


# As an optax transformation


def test_the_admitted_share_grows_with_the_schedule_and_easy_comes_first(rng):
    losses = jnp.asarray(rng.exponential(size=200), jnp.float32)
    schedule = optax.linear_schedule(0.1, 3.0, 20)
    curriculum = optax.inject_hyperparams(self_paced)(threshold=schedule)

    @jax.jit
    def run(state):
        def step(state, _):
            paced, state = curriculum.update({"task": losses}, state)
            return state, (paced["task"] > 0, state.inner_state.admitted["task"])

        return jax.lax.scan(step, state, length=20)

    _, (admitted, share) = run(curriculum.init({"task": losses}))
    thresholds = np.array([schedule(i) for i in range(20)], np.float32)
    np.testing.assert_array_equal(admitted, np.asarray(losses) < thresholds[:, None])
    np.testing.assert_allclose(share, np.mean(admitted, axis=1), rtol=1e-6)
    assert np.all(np.diff(share) >= 0) and share[0] < 0.2 and share[-1] > 0.9
    easiest = np.asarray(admitted)[:, np.argsort(losses)]
    assert np.all(np.diff(easiest.astype(int), axis=1) <= 0)


@each_form
def test_every_form_can_be_scheduled_under_jit(form):
    options = {**FORMS[form], "threshold": optax.constant_schedule(0.8)}
    scheduled = optax.inject_hyperparams(self_paced)(form=form, **options)
    paced, _ = jax.jit(scheduled.update)(LOSSES, scheduled.init(LOSSES))
    np.testing.assert_allclose(paced, pace(LOSSES, form=form, **FORMS[form])[0], atol=2e-7)


def test_state_does_not_depend_on_the_batch():
    curriculum = self_paced(1.0)
    shapes = lambda tree: jax.tree.map(lambda a: (a.shape, a.dtype), tree)
    large = curriculum.init({"a": jnp.ones(8), "b": jnp.ones((4, 3))})
    update = jax.jit(curriculum.update)
    for losses in ({"a": jnp.ones(8), "b": jnp.ones((4, 3))}, {"a": jnp.ones(5), "b": jnp.ones(2)}):
        _, state = update(losses, large)
        assert shapes(state) == shapes(large)


def test_tasks_have_their_own_thresholds_by_partition():
    losses = {"small": jnp.array([0.1, 0.3]), "large": jnp.array([10.0, 30.0])}
    pacers = {"small": self_paced(0.2), "large": self_paced(20.0)}
    curriculum = optax.partition(pacers, {"small": "small", "large": "large"})
    where = {"small": None, "large": jnp.array([False, True])}
    paced, _ = jax.jit(curriculum.update)(losses, curriculum.init(losses))
    np.testing.assert_array_equal(paced["small"], np.float32([0.1, 0.0]))
    np.testing.assert_array_equal(paced["large"], np.float32([10.0, 0.0]))
    paced, _ = curriculum.update(losses, curriculum.init(losses), where=where)
    np.testing.assert_array_equal(paced["large"], np.zeros(2))


def test_masks_may_be_a_tree():
    losses = {"a": jnp.array([0.1, 0.2]), "b": jnp.array([0.1, 9.0])}
    where = {"a": jnp.array([True, False]), "b": None}
    _, admitted = pace(losses, where=where, threshold=1.0)
    assert admitted == {"a": 1.0, "b": 0.5}


def test_the_share_is_global_under_axis_name():
    losses = jnp.array([[0.1, 0.2, 9.0], [9.0, 9.0, 9.0]])
    where = jnp.array([[True, True, True], [True, False, False]])
    update = functools.partial(pace, threshold=1.0, axis_name="batch")
    _, admitted = jax.vmap(lambda l, w: update(l, where=w), axis_name="batch")(losses, where)
    np.testing.assert_array_equal(admitted, np.float32([0.5, 0.5]))


def test_a_chain_reduces_what_the_curriculum_let_through():
    objective = optax.chain(self_paced(1.0), jl.reduce_mean())
    losses = {"task": jnp.array([0.5, 0.25, 8.0, NAN])}
    where = jnp.array([True, True, True, False])
    mean, state = objective.update(losses, objective.init(losses), where=where)
    assert mean["task"] == 0.25  # refused examples still count in the mean
    np.testing.assert_allclose(state[0].admitted["task"], 2 / 3, rtol=1e-6)


# Errors


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"threshold": 0.0}, ValueError, r"threshold must be in \(0, inf\), got 0"),
        ({"threshold": -1.0}, ValueError, r"threshold must be in \(0, inf\), got -1"),
        ({"threshold": NAN}, ValueError, r"threshold must be in \(0, inf\), got nan"),
        ({"threshold": [1.0, 2.0]}, ValueError, r"threshold must be a number"),
        ({"threshold": "easy"}, TypeError, r"threshold must be a real number, got 'easy'"),
        ({"threshold": None}, TypeError, r"threshold must be a real number, got None"),
        ({"threshold": 1.0, "form": "cubic"}, ValueError, r"form must be one of hard, .*'cubic'"),
        ({"threshold": 1.0, "form": "logarithmic"}, ValueError, r"threshold must be in \(0, 1\)"),
        ({"threshold": 1.0, "form": "mixture"}, ValueError, r"lower must be a number.*got None"),
        ({"threshold": 1.0, "lower": 0.5}, ValueError, r"lower must be None for form='hard'"),
        (
            {"threshold": 1.0, "form": "mixture", "lower": 1.0},
            ValueError,
            r"lower must be below threshold 1.0, got 1.0",
        ),
        (
            {"threshold": 1.0, "form": "mixture", "lower": 0.0},
            ValueError,
            r"lower must be in \(0, inf\), got 0",
        ),
    ],
)
def test_impossible_settings_raise(options, error, message):
    with pytest.raises(error, match=f"^self_paced: {message}"):
        self_paced(**options)


@pytest.mark.parametrize(
    ("losses", "where", "error", "message"),
    [
        ([1, 2], None, TypeError, "losses must be real floating point"),
        ([1.0, 2.0], [True], ValueError, r"where must be of shape \(2,\)"),
        ([1.0, 2.0], [0.5, 0.5], TypeError, "where must be boolean"),
    ],
)
def test_wrong_losses_and_masks_raise(losses, where, error, message):
    where = None if where is None else jnp.array(where)
    with pytest.raises(error, match=f"^self_paced: {message}"):
        pace(jnp.array(losses), where=where, threshold=1.0)


@each_form
def test_traced_settings_out_of_range_give_nan(form):
    paced = jax.jit(lambda options: _pace({"form": form, **options}, LOSSES)[0])
    assert jnp.all(jnp.isfinite(paced(FORMS[form])))
    impossible = [{"threshold": -1.0}, {"threshold": 0.0}, {"threshold": NAN}]
    impossible += [{"threshold": 1.5}] if form == "logarithmic" else []
    impossible += [{"lower": 0.9}, {"lower": -0.1}] if form == "mixture" else []
    for bad in impossible:
        assert jnp.all(jnp.isnan(paced({**FORMS[form], **bad}))), bad
