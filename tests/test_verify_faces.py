"""The smaller tools of `jaxloss.verify`, each on wrong specimens and on right ones."""

import functools
import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import lax
from jax.experimental import checkify
from jax.test_util import check_grads

import jaxloss as jl
from jaxloss import catalog, cli, verify
from jaxloss.verify.report import Finding, Report

REALS = (verify.reals(), verify.reals())


def wrong_by(correction: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    """Make a sum of squares whose derivative along `t` at `x` is off by `correction(x, t)`."""

    @jax.custom_jvp
    def squares(x: Any) -> Any:
        return jnp.sum(x**2)

    squares.defjvp(lambda p, t: (squares(p[0]), jnp.vdot(2 * p[0], t[0]) + correction(p[0], t[0])))
    return squares


def refused(function: Callable[..., Any], *args: Any, **options: Any) -> str:
    with pytest.raises(AssertionError) as caught:
        verify.assert_gradients(function, *args, **{"seed": 0, **options})
    return str(caught.value)


# assert_gradients


@pytest.mark.parametrize(
    ("function", "at"),
    [
        (jnp.square, jnp.array([0.1, 3.0], jnp.bfloat16)),
        (jnp.square, jnp.array([0.1, 3.0], jnp.float16)),
        (jnp.log, jnp.float32(1e-4)),
        (jnp.square, jnp.float32(1e4)),
        (jnp.square, jnp.array([1e-4, 1e4])),
        (jnp.square, jnp.zeros(3)),
        (lambda x: jnp.sum(jnp.exp(x)), np.linspace(-3, 3, 500, dtype=np.float32)),
        (lambda x: 1e-12 * jnp.sum(jnp.sin(x)), jnp.array([0.3, 2.0])),
        (lambda x: 1.0 + 0.0 * x, jnp.array([0.3, 2.0])),
        (lambda x: x * jnp.abs(x), jnp.zeros(2)),
        (lambda x: jnp.sin(1000 * x), 1.0),
        (lambda x: x**3, 1e-20),
        (jax.grad(lambda x: jnp.sum(jnp.log(jnp.cosh(x)))), jnp.array([1.0, -0.5])),
    ],
)
def test_right_gradients_pass(function: Callable[..., Any], at: Any) -> None:
    assert verify.assert_gradients(function, at, seed=0) == []


def test_integers_and_trees_are_arguments_too() -> None:
    def loss(params: dict[str, Any], labels: Any, masked: Any) -> Any:
        logits = params["scale"] * params["logits"]
        return jl.softmax_cross_entropy_with_integer_labels(logits, labels, where=masked)

    params = {"logits": jnp.array([[0.5, 1.0, -2.0], [1.0, 0.0, 3.0]]), "scale": 2.0}
    labels, masked = jnp.array([2, 0]), jnp.array([True, False])
    assert verify.assert_gradients(loss, params, labels, masked) == []
    with pytest.raises(TypeError, match=r"assert_gradients: .* has no floating-point argument"):
        verify.assert_gradients(lambda n: 1.0 * n, 3)
    with pytest.raises(TypeError, match="returns no floating-point array"):
        verify.assert_gradients(jnp.argmax, jnp.ones(3))


def test_an_error_across_a_fixed_draw_is_found() -> None:
    """The direction that `check_grads` draws is always the same, and so can be avoided."""
    drawn = np.random.RandomState(0).randn(5)
    across = np.eye(5)[0] - drawn[0] * drawn / (drawn @ drawn)
    function = wrong_by(lambda x, t: 1000 * jnp.vdot(jnp.asarray(across, t.dtype), t))
    x = jnp.arange(1.0, 6.0)
    check_grads(function, (x,), order=1, modes=["fwd"])
    assert "d/d x[0] = 1: got" in refused(function, x)


def test_an_error_in_one_of_many_components_is_found() -> None:
    x = jnp.linspace(1.0, 2.0, 300)
    message = refused(wrong_by(lambda x, t: x[7] * t[7]), x)
    assert "d/d direction 0, in which most is moved by x[" in message and "(seed 0)" in message


def test_one_percent_in_one_of_four_components_is_named() -> None:
    message = refused(wrong_by(lambda x, t: 0.02 * x[2] * t[2]), jnp.arange(1.0, 5.0))
    assert "d/d x[2] = 3: got 6.06, expected 6 +- " in message


def test_a_nan_equals_nothing() -> None:
    check_grads(lambda x: x * jnp.nan, (jnp.ones(2),), order=1)
    assert "the value is nan" in refused(lambda x: x * jnp.nan, jnp.ones(2))
    assert "d/d x[1] = 0: the gradient is inf" in refused(jnp.sqrt, jnp.array([1.0, 0.0]))
    nan_slope = wrong_by(lambda x, t: jnp.nan * t[0])
    assert "d/d x[0] = 1: the gradient is nan" in refused(nan_slope, jnp.ones(2))


def test_a_small_gradient_is_no_less_wrong() -> None:
    flat = wrong_by(lambda x, t: -jnp.vdot(2 * x, t))
    tiny = lambda x: 1e-7 * flat(x)
    check_grads(tiny, (jnp.ones(3),), order=1)
    assert "got 0, expected 2e-07" in refused(tiny, jnp.ones(3))


def test_forward_mode_is_checked_where_there_is_one() -> None:
    @jax.custom_vjp
    def reverse_only(x: Any) -> Any:
        return x**2

    reverse_only.defvjp(lambda x: (x**2, x), lambda x, g: (2 * x * g,))
    said = ["a custom_vjp inside has no forward mode"]
    assert verify.assert_gradients(reverse_only, 3.0) == said

    # Its transpose, declared and not derived, is another matrix.
    def apply(x: Any, t: Any) -> Any:
        solve = lambda matvec, b: b / 2
        wrong = lambda matvec, b: b / 3
        return lax.custom_linear_solve(lambda y: 2 * y, t, solve, wrong)

    tilted = jax.custom_jvp(lambda x: x / 2)
    tilted.defjvp(lambda p, t: (p[0] / 2, apply(p[0], t[0])))
    assert "forward mode gives 0.5, reverse mode 0.333333333" in refused(tilted, 3.0)


def test_a_kink_is_told_from_a_wrong_derivative() -> None:
    assert verify.assert_gradients(jl.absolute_error, 0.0, 1.0) == []
    notes = verify.assert_gradients(jl.absolute_error, 1.0, 1.0)
    assert notes[0] == "predictions = 1: kink, one-sided derivatives -1 and 1, gradient 0"
    assert "kink" in refused(jl.absolute_error, 1.0, 1.0, kinks=False)
    steep = jax.custom_jvp(jnp.abs)
    steep.defjvp(lambda p, t: (jnp.abs(p[0]), 3 * t[0]))
    assert "gradient 3, which is outside them" in refused(steep, 0.0)
    # Smooth at 0, where the relus inside are not: no kink but a wrong derivative.
    message = refused(lambda x: jax.nn.relu(x) + jnp.log1p(jnp.exp(-jnp.abs(x))), 0.0)
    assert "expected 0.5" in message and "kink" not in message


def test_where_losses_are_least_rounding_is_no_kink() -> None:
    x = jnp.array([0.3, 1.7, -2.0])
    for loss in (jl.squared_error, jl.charbonnier_loss, jl.cosine_distance):
        assert verify.assert_gradients(loss, x, x) == []


def test_jumps_and_edges_are_named() -> None:
    jumps = lambda x: jnp.where(x > 1, x + 1.0, x)
    assert "x = 1: jump" in verify.assert_gradients(jumps, 1.0)[0]
    edge = lambda x: jnp.where(x >= 0, 2.0 * x, jnp.nan)
    assert verify.assert_gradients(edge, 0.0) == []
    wrong = jax.custom_jvp(edge)
    wrong.defjvp(lambda p, t: (edge(p[0]), 3.0 * t[0]))
    assert "got 3, expected 2 from the one side" in refused(wrong, 0.0)


def test_labels_that_are_floats_can_be_left_out() -> None:
    scores, signs = jnp.array([0.3, 1.7]), jnp.array([1.0, -1.0])
    assert "defined on neither side; leave it out" in refused(jl.squared_hinge_loss, scores, signs)
    assert verify.assert_gradients(jl.squared_hinge_loss, scores, signs, argnums=[0]) == []


def test_a_function_in_low_precision_is_suspected() -> None:
    low = lambda x: jnp.sin(x.astype(jnp.bfloat16)).astype(jnp.float32)
    assert "is it computed in lower precision inside?" in refused(low, jnp.array([1.3, 2.0]))


def test_a_failure_prints_the_seed_that_repeats_it() -> None:
    function, x = wrong_by(lambda x, t: x[7] * t[7]), jnp.linspace(1.0, 2.0, 100)
    with pytest.raises(AssertionError, match=r"\(seed \d+\)") as caught:
        verify.assert_gradients(function, x)
    seed = int(str(caught.value).rpartition("seed ")[2][:-1])
    assert refused(function, x, seed=seed) == str(caught.value)


# explain_nan


def looped(xs: Any) -> Any:
    return lax.scan(lambda total, x: (total + jnp.sqrt(x), total), 0.0, xs)[0]


def trapped(x: Any) -> Any:
    return jnp.where(x > 0, jnp.log(x), 0.0)


def counted(x: Any) -> Any:
    down = lambda c: (c[0] + 1, c[1] - 1)
    return lax.while_loop(lambda c: c[0] < 3, down, (0, x))[1] ** 0.5


def chosen(x: Any) -> Any:
    return lax.cond(x > 0, jnp.log, lambda x: 0 / x, x)


def disguised(x: Any) -> Any:
    bottom = jnp.where(x > 0, x, -jnp.inf)
    return bottom - bottom


@pytest.mark.parametrize(
    ("function", "args", "said"),
    [
        (lambda x: jnp.sqrt(x), (0.0,), ["backward: div(0.5, 0.0) = inf"]),
        (
            lambda x: jnp.log(x) * 0,
            (0.0,),
            ["forward: log(0.0) = -inf", "then mul(-inf, 0.0) = nan"],
        ),
        (lambda x, y: x / y, (jnp.arange(2.0), jnp.array([1.0, 0.0])), ["div(1.0, 0.0) = inf"]),
        (lambda x, y: x / y, (jnp.zeros(2), jnp.array([1.0, 0.0])), ["div(0.0, 0.0) = nan at [1]"]),
        (
            lambda x: jnp.linalg.norm(x),
            (jnp.zeros(3),),
            ["backward: div(0.5, 0.0) = inf", "then mul(0.0, inf) = nan at [0]"],
        ),
        (trapped, (0.0,), ["backward: div(0.0, 0.0) = nan"]),
        (jax.jit(trapped), (jnp.array([1.0, 0.0]),), ["backward: div(0.0, 0.0) = nan at [1]"]),
        (jax.checkpoint(trapped), (0.0,), ["backward: div(0.0, 0.0) = nan"]),
        (looped, (jnp.array([1.0, 0.0, 2.0]),), ["backward: div(0.5, 0.0) = inf"]),
        (counted, (2.0,), ["forward: pow(-1.0, 0.5) = nan"]),
        (chosen, (0.0,), ["forward: div(0.0, 0.0) = nan"]),
        # Another element's infinity has no part in it.
        (
            lambda x, y: x / y,
            (jnp.array([-jnp.inf, 0.0]), jnp.array([1.0, 0.0])),
            ["forward: div(0.0, 0.0) = nan at [1]"],
        ),
        (lambda x: jnp.sqrt(x), (jnp.zeros((), jnp.bfloat16),), ["backward: div(0.5, 0"]),
        (disguised, (0.0,), ["forward: a constant = -inf", "then sub(-inf, -inf) = nan"]),
        (lambda x: jnp.sum(x), (jnp.array([1.0, jnp.nan]),), ["forward: an argument = nan at [1]"]),
    ],
)
def test_the_origin_of_a_nan_is_found(
    function: Callable[..., Any], args: Any, said: list[str]
) -> None:
    found = str(verify.explain_nan(function, *args))
    assert all(text in found for text in said), found
    assert "argument" in found or f"{Path(__file__).name}:" in found


def test_the_line_is_that_of_the_program() -> None:
    found = verify.explain_nan(trapped, 0.0)
    assert found.origin is not None and found.origin.operands == (0.0, 0.0)
    number = trapped.__code__.co_firstlineno + 1
    assert found.origin.source == f"{__file__}:{number} (trapped)"


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (lambda x: jnp.exp(x), (1.0,)),
        # An infinity that is discarded explains nothing.
        (lambda x: jnp.where(x > 0, 1 / lax.stop_gradient(x), x), (0.0,)),
        (looped, (jnp.ones(3),)),
        (jl.softmax_cross_entropy, (jnp.array([0.0, -jnp.inf]), jnp.array([1.0, 0.0]))),
        (jl.cosine_distance, (jnp.zeros(3), jnp.zeros(3))),
        (jnp.sum, (jnp.arange(3),)),
        (jnp.argmax, (jnp.ones(3),)),
    ],
)
def test_where_all_is_finite_there_is_no_nan(function: Callable[..., Any], args: Any) -> None:
    found = verify.explain_nan(function, *args)
    assert found.ok and str(found) == "no NaN"


def test_only_the_value_is_looked_at_where_that_is_asked() -> None:
    assert verify.explain_nan(jnp.sqrt, 0.0, gradient=False).ok


# compare


def test_equal_losses_compare_equal() -> None:
    found = verify.compare(jl.huber_loss, jl.smooth_l1_loss, *REALS)
    assert found.equal and found.largest is None and found.witness is None
    assert str(found) == "huber_loss and smooth_l1_loss: equal"


def test_losses_that_differ_by_a_factor() -> None:
    half = functools.partial(jl.huber_loss, delta=0.5)
    found = verify.compare(
        half, functools.partial(jl.smooth_l1_loss, beta=0.5), *REALS, dtypes=["float32"]
    )
    assert {d.what for d in found.differences} == {"value", "d/dpredictions", "d/dtargets"}
    assert {d.mode for d in found.differences} == {"generic", "spread", "singular", "extreme"}
    assert found.witness is not None and found.witness.inputs == {"predictions": 1, "targets": 0}
    assert (found.witness.first, found.witness.second) == (0.375, 0.75)
    same = lambda p, t: 0.5 * jl.smooth_l1_loss(p, t, beta=0.5)
    assert verify.compare(half, same, *REALS, dtypes=["float32"]).equal


def test_a_gradient_that_vanishes_in_half_precision_is_found() -> None:
    """Optax's gradient is a difference of numbers around 1."""
    found = verify.compare(optax.losses.huber_loss, jl.huber_loss, *REALS, dtypes=["bfloat16"])
    assert {d.what for d in found.differences} == {"d/dpredictions", "d/dtargets"}
    assert found.witness is not None and found.witness.first == 0 != found.witness.second
    assert "optax" in str(found).splitlines()[0] and "simplest: d/d" in str(found)


def test_a_difference_at_one_class_is_shrunk_within_the_domain() -> None:
    def last_is_lighter(logits: Any, labels: Any) -> Any:
        loss = jl.softmax_cross_entropy_with_integer_labels(logits, labels)
        return jnp.where(labels == 3, 0.9, 1.0) * loss

    right = jl.softmax_cross_entropy_with_integer_labels
    arguments = verify.logits(4), verify.labels(4)
    found = verify.compare(right, last_is_lighter, *arguments, dtypes=["float32"])
    assert found.witness is not None and found.witness.inputs["labels"] == 3
    assert np.count_nonzero(found.witness.inputs["logits"]) <= 1


def test_nan_in_the_same_place_is_no_difference() -> None:
    log = lambda p: jnp.log(p)
    assert verify.compare(log, lambda p: jnp.log(p), verify.reals(), dtypes=["float32"]).equal
    other = verify.compare(log, lambda p: jnp.log(jnp.abs(p)), verify.reals(), dtypes=["float32"])
    assert other.largest is not None and other.largest.size == np.inf


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ValueError, match="compare: the losses return different shapes"):
        verify.compare(jl.l2_loss, lambda p, t: jnp.sum(p - t), *REALS)
    with pytest.raises(ValueError, match="compare: dtypes must be among float64"):
        verify.compare(jl.l2_loss, jl.l2_loss, *REALS, dtypes=["int8"])
    with pytest.raises(TypeError, match="compare: <lambda> takes 1 arguments, got 2"):
        verify.compare(lambda p: p, jl.l2_loss, *REALS)


def test_examples_are_compared_as_well() -> None:
    logits, labels = jnp.array([[0.5, 1.0, -2.0], [1.0, 0.0, 3.0]]), jnp.array([2, 0])
    ours = jl.softmax_cross_entropy_with_integer_labels
    theirs = lambda x, y: -jnp.take_along_axis(jax.nn.log_softmax(x), y[..., None], -1)[..., 0]
    twice = lambda x, y: 2 * theirs(x, y)
    assert verify.compare(ours, theirs, logits, labels, dtypes=["float64"]).equal
    assert not verify.compare(ours, twice, logits, labels, dtypes=["float64"]).equal


# checked


def error(loss: Callable[..., Any], *args: Any, **options: Any) -> str:
    """Return what is reported under `jit`, or ""."""
    call = jax.jit(functools.partial(loss, **options))
    return checkify.checkify(call)(*args)[0].get() or ""


INDEXED = verify.checked(jl.softmax_cross_entropy_with_integer_labels)


def test_right_inputs_pass_with_their_value() -> None:
    logits, labels = jnp.array([[0.5, 1.0, -2.0], [1.0, 0.0, 3.0]]), jnp.array([2, 0])
    problem, value = checkify.checkify(jax.jit(INDEXED))(logits, labels)
    problem.throw()
    expected = jl.softmax_cross_entropy_with_integer_labels(logits, labels)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    slope = checkify.checkify(jax.grad(lambda x: jnp.sum(INDEXED(x, labels))))
    assert slope(logits)[0].get() is None


def test_a_label_out_of_range_is_reported_under_jit() -> None:
    call = checkify.checkify(jax.jit(INDEXED))
    with pytest.raises(checkify.JaxRuntimeError) as caught:
        call(jnp.zeros((3, 10)), jnp.array([0, 10, -100]))[0].throw()
    assert str(caught.value).startswith(
        "softmax_cross_entropy_with_integer_labels: labels must be indices of classes, in [0, 10), "
        "but 2 of 3 are not; the first is 10"
    )


def test_masked_labels_may_hold_anything() -> None:
    logits, labels = jnp.zeros((2, 3)), jnp.array([0, -100])
    masked = jnp.array([True, False])
    assert not error(INDEXED, logits, labels, where=masked)
    assert not error(INDEXED, logits, labels, where=masked[:, None] & jnp.ones((2, 3), bool))
    assert "the first is -100" in error(INDEXED, logits, labels, where=~masked)


def test_a_wrong_shape_is_left_for_the_loss_to_refuse() -> None:
    with pytest.raises(ValueError, match="labels must be of the shape of logits"):
        INDEXED(jnp.zeros((2, 3)), jnp.array([[0], [1]]))


def test_classes_are_counted_along_the_axis() -> None:
    tall = jnp.zeros((5, 2))
    along = functools.partial(jl.softmax_cross_entropy_with_integer_labels, axis=0)
    assert not error(verify.checked(along), tall, jnp.array([4, 0]))
    assert "in [0, 5)" in error(verify.checked(along), tall, jnp.array([5, 0]))


@pytest.mark.parametrize(
    ("loss", "good", "bad", "said"),
    [
        (
            jl.softmax_cross_entropy,
            [0.2, 0.8, 0.0],
            [0.2, 0.7, 0.0],
            "labels must be distributions",
        ),
        (jl.softmax_cross_entropy, [0.0, 1.0, 0.0], [-0.5, 1.5, 0.0], "over 3 classes, >= 0"),
        (jl.sigmoid_binary_cross_entropy, [0.0, 1.0, 0.3], [0.0, 2.0, 1.0], "must be in [0, 1], "),
        (jl.sigmoid_binary_cross_entropy, [0.0, 1.0, 0.3], [0.0, jnp.nan, 1.0], "first is nan"),
        (jl.hinge_loss, [1.0, -1.0, 1.0], [0.0, 1.0, 1.0], "targets must be -1 or 1, but 1 of 3"),
        (
            jl.squared_logarithmic_error,
            [1.0, 0.0, 3.0],
            [-2.0, 0.0, 1.0],
            "must be greater than -1, but",
        ),
    ],
)
def test_each_expectation_is_named(
    loss: Callable[..., Any], good: list[float], bad: list[float], said: str
) -> None:
    scores = jnp.array([0.5, 1.0, 2.0])
    assert not error(verify.checked(loss), scores, jnp.array(good))
    found = error(verify.checked(loss), scores, jnp.array(bad))
    assert said in found and found.startswith(loss.__name__)


def test_bfloat16_distributions_are_right_within_their_rounding() -> None:
    labels = jax.nn.softmax(jnp.sin(jnp.arange(64.0))).astype(jnp.bfloat16)
    assert not error(verify.checked(jl.softmax_cross_entropy), jnp.zeros(64), labels)


def test_a_loss_of_ones_own_is_checked_by_kinds() -> None:
    def mine(scores: Any, labels: Any) -> Any:
        return scores[labels]

    guarded = verify.checked(mine, labels=verify.labels())
    assert not error(guarded, jnp.zeros(3), 2)
    assert "mine: labels must be indices of classes, in [0, 3)" in error(guarded, jnp.zeros(3), 3)
    with pytest.raises(TypeError, match="checked: mine is not in the catalogue; say what its"):
        verify.checked(mine)
    with pytest.raises(TypeError, match="checked: mine has no argument targets"):
        verify.checked(mine, targets=verify.signs())


PREDICATES = {
    f"{entry.name}-{name}": (entry, name)
    for entry in catalog.ENTRIES.values()
    for name, kind in entry.arguments.items()
    # A specimen has arguments that its loss has not.
    if kind.valid and kind.invalid.size and name in inspect.signature(entry.loss).parameters
}


def _holds(entry: catalog.Entry, name: str, args: list[np.ndarray]) -> bool:
    stand_in = functools.wraps(entry.loss)(lambda *args, **kwargs: 0.0)
    kinds = {name: entry.arguments[name]}
    guarded = verify.checked(stand_in, **kinds)
    named = {k: jnp.asarray(a) for k, a in zip(entry.arguments, args, strict=True)}
    return checkify.checkify(guarded)(**named)[0].get() is None


@pytest.mark.parametrize("case", PREDICATES)
def test_the_predicates_of_the_catalogue_know_its_samples(case: str) -> None:
    entry, name = PREDICATES[case]
    kind, names = entry.arguments[name], list(entry.arguments)
    classes = next((k.event[0] for k in entry.arguments.values() if k.event), 0)
    assert kind.valid is not None and kind.expects
    rng = np.random.default_rng(0)
    for rows in (kind.generic(rng, 8), kind.spread(rng, 8), kind.singular, kind.extreme):
        assert np.all(kind.valid(rows, classes))
    assert not np.any(kind.valid(kind.invalid, classes))
    args = [k.generic(rng, 8) for k in entry.arguments.values()]
    assert _holds(entry, name, args)
    args[names.index(name)][3] = kind.invalid[0]
    assert not _holds(entry, name, args)


# reports

REPORT = Report(
    "my_loss",
    (
        Finding("V1", "value", "skip", ("no reference formula was given",)),
        Finding("D1", "dtypes", "pass"),
        Finding("K1", "kinks", "note", ("kinks in predictions",)),
        Finding("P1", "|f| < 1 & more", "fail", ("got a|b\nat \x00<0>", "second")),
    ),
    seed=7,
    environment={"jax": "0.10"},
    seconds=1.5,
)


def test_a_report_is_a_table_in_markdown() -> None:
    text = REPORT.to_markdown()
    assert text.startswith("## my_loss: 1 pass, 1 note, 1 skip, 1 fail\n\n| check | what |")
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 2 + len(REPORT.findings)
    assert {line.replace("\\|", "").count("|") for line in table} == {5}
    assert "| skip | no reference formula was given |" in text and "- second" in text
    assert text.endswith("seed 7, jax 0.10\n")


def test_a_report_is_read_by_continuous_integration() -> None:
    root = ElementTree.fromstring(REPORT.to_junit())
    (suite,) = root.findall("testsuite")
    assert suite.attrib == {
        "name": "my_loss", "tests": "4", "failures": "1", "skipped": "1", "errors": "0",
        "time": "1.500",
    }  # fmt: skip
    skipped, passed, note, failed = suite.findall("testcase")
    assert skipped[0].tag == "skipped" and "no reference" in skipped[0].attrib["message"]
    assert len(passed) == 0 and note[0].tag == "system-out"
    assert failed.attrib["name"] == "P1 |f| < 1 & more"
    assert failed[0].tag == "failure" and (failed[0].text or "").endswith("at ?<0>\nsecond")
    assert len(ElementTree.fromstring(verify.junit([REPORT, REPORT]))) == 2


def test_the_command_writes_all_formats(tmp_path: Path) -> None:
    files = {kind: tmp_path / kind for kind in ("json", "markdown", "junit")}
    options = [text for kind, file in files.items() for text in (f"--{kind}", str(file))]
    assert cli.main(["verify", "l2_loss", "hinge_loss", "--only", "D1", *options]) == 0
    assert files["markdown"].read_text().count("## ") == 2
    assert len(ElementTree.parse(files["junit"]).findall(".//testcase")) == 2
    assert len(json.loads(files["json"].read_text())) == 2
