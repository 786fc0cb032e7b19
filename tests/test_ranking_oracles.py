"""Rankings against rax and optax (their own tests included), SciPy and scikit-learn.

The tests of both name the function under test in their parameters, which are read when the module
of tests is loaded: it is loaded here with our functions in the place of theirs.
"""

import functools
import importlib.util
import itertools
import unittest
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxloss as jl

pytestmark = [pytest.mark.oracle]
rax = pytest.importorskip("rax", reason="needs rax")

LOSSES = {
    "softmax_loss": jl.ranking_softmax_loss,
    "unique_softmax_loss": jl.unique_softmax_loss,
    "listmle_loss": jl.listmle_loss,
    "pairwise_hinge_loss": jl.pairwise_hinge_loss,
    "pairwise_logistic_loss": jl.pairwise_logistic_loss,
    "pairwise_soft_zero_one_loss": jl.pairwise_soft_zero_one_loss,
    "pairwise_mse_loss": jl.pairwise_squared_loss,
}
METRICS = {
    "mrr_metric": jl.reciprocal_rank,
    "recall_metric": jl.recall,
    "precision_metric": jl.precision,
    "ap_metric": jl.average_precision,
    "ndcg_metric": jl.ndcg,
}


def _count(function, scores, labels, where, segments):
    """Return what rax divides by when it takes a mean: pairs, or lists."""
    where = jnp.ones(scores.shape, bool) if where is None else where
    if function.__name__.startswith("pairwise"):
        squared = function is jl.pairwise_squared_loss
        ones = lambda lead, grade: jnp.ones_like(lead)
        pairs = jl.pairwise_loss(
            scores, labels, pair_loss=ones, every_pair=squared, where=where, segments=segments
        )
        # In its squared loss rax counts the pair of each item with itself.
        return jnp.sum(pairs) + squared * jnp.sum(where)
    if segments is None:
        return jnp.sum(jnp.any(where, axis=-1))
    return len(np.unique(np.asarray(segments)[np.asarray(where, bool)]))


def _as_rax(function):
    """Return one of our losses with the interface of rax, which reduces over the lists inside."""
    pairwise = function.__name__.startswith("pairwise")

    def loss(scores, labels, *, where=None, segments=None, weights=None, reduce_fn=jnp.mean):
        more = {}
        if weights is not None:
            more = {"pair_weights": weights[..., :, None]} if pairwise else {"weights": weights}
        losses = function(scores, labels, where=where, segments=segments, **more)
        if reduce_fn is None:
            return losses
        if reduce_fn is jnp.sum:
            return jnp.sum(losses)
        count = _count(function, scores, labels, where, segments)
        return jnp.sum(losses) / jnp.maximum(count, 1)

    loss.__qualname__ = "ours." + function.__name__
    return loss


def _metric_as_rax(function):
    def metric(scores, labels, *, where=None, segments=None, topn=None, reduce_fn=jnp.mean):
        where = None if where is None else jnp.asarray(where)
        values = function(scores, labels, where=where, segments=segments, top_n=topn)
        if reduce_fn is not jnp.mean:
            return values if reduce_fn is None else jnp.sum(values)
        count = _count(function, scores, labels, where, segments)
        return jnp.sum(values) / jnp.maximum(count, 1)

    metric.__qualname__ = "ours." + function.__name__
    return metric


def _tests_of(name, ours):
    """Load the tests of a module with our functions in the place of its own."""
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")
        module = importlib.import_module(name)
        for theirs, function in ours.items():
            patch.setattr(module, theirs, function)
        spec = importlib.util.find_spec(f"{name}_test")
        tests = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(tests)
    for suite in unittest.TestLoader().loadTestsFromModule(tests):
        for test in suite if isinstance(suite, unittest.TestSuite) else ():
            if not hasattr(test, "_testMethodName"):
                continue
            told = getattr(getattr(test, test._testMethodName), "__x_params_repr__", "")
            used = [f.__name__ for f in (*LOSSES.values(), *METRICS.values())]
            for function in used:
                if f"ours.{function} at" in str(told):
                    yield f"{name}-{test._testMethodName}-{function}", test


CASES = dict(
    itertools.chain(
        _tests_of("rax._src.losses", {k: _as_rax(f) for k, f in LOSSES.items()}),
        _tests_of("rax._src.metrics", {k: _metric_as_rax(f) for k, f in METRICS.items()}),
        _tests_of(
            "optax.losses._ranking", {"ranking_softmax_loss": _as_rax(jl.ranking_softmax_loss)}
        ),
    )
)

NO_RELEVANT = "a list without a relevant item costs nothing here, whatever its order"
ONE_A_LIST = "unreduced, rax returns a loss for each pair; here it is one for each list"
GAINS = "weights of gains are no argument of our ndcg"
EXCEPTIONS = {
    "test_computes_loss_for_zero_labels": ({"listmle_loss"}, NO_RELEVANT),
    "test_computes_unreduced_loss": (
        {f.__name__ for f in LOSSES.values() if f.__name__.startswith("pairwise")},
        ONE_A_LIST,
    ),
    "test_computes_weighted_metric": ({"ndcg"}, GAINS),
    "test_computes_weighted_loss_value": ({"unique_softmax_loss"}, "it takes no weights here"),
}


def _exception(identity):
    _, method, function = identity.split("-")
    for start, (functions, reason) in EXCEPTIONS.items():
        if method.startswith(start) and function in functions:
            return reason
    return None


@pytest.mark.parametrize("identity", CASES)
def test_their_test_passes_or_is_excepted_for_a_reason(identity):
    result = unittest.TestResult()
    with warnings.catch_warnings(), jax.numpy_rank_promotion("allow"):
        warnings.simplefilter("ignore")
        CASES[identity].run(result)
    problems = "\n".join(text for _, text in (*result.failures, *result.errors))
    assert result.testsRun == 1
    if _exception(identity):
        assert problems, f"{identity} passes: remove its exception"
    else:
        assert not problems, problems


def test_the_selection_is_what_it_should_be(record_property):
    record_property("tests of rax and optax run", len(CASES))
    tested = {identity.split("-")[2] for identity in CASES}
    assert tested == {f.__name__ for f in (*LOSSES.values(), *METRICS.values())}
    assert len(CASES) > 140
    assert sum(identity.startswith("optax") for identity in CASES) == 13
    unused = {
        start
        for start, (functions, _) in EXCEPTIONS.items()
        if not any(start in i and i.split("-")[2] in functions for i in CASES)
    }
    assert not unused


def test_a_wrong_function_is_noticed():
    """The harness must be able to fail: with half a loss both complain."""
    right = _as_rax(jl.ranking_softmax_loss)
    half = lambda *a, **k: 0.5 * right(*a, **k)
    for name, theirs in (
        ("rax._src.losses", "softmax_loss"),
        ("optax.losses._ranking", "ranking_softmax_loss"),
    ):
        half.__qualname__ = right.__qualname__
        cases = dict(_tests_of(name, {theirs: half}))
        case = next(c for i, c in cases.items() if "-test_computes_loss_value0-" in i)
        result = unittest.TestResult()
        case.run(result)
        assert result.failures


def _lists(rng, shape=(6, 7)):
    scores = rng.normal(size=shape)
    relevance = rng.integers(0, 4, shape).astype(float)
    relevance[0] = 0
    where = rng.random(shape) < 0.8
    where[1] = False
    return scores, relevance, where


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", LOSSES)
def test_values_and_gradients_are_those_of_rax(rng, name):
    """Where rax is right: ListMLE's gradient too, as no scores tie."""
    scores, relevance, where = _lists(rng)
    ours = lambda s: jnp.sum(LOSSES[name](s, relevance, where=where))
    theirs = lambda s: getattr(rax, name)(s, jnp.asarray(relevance), where=where, reduce_fn=jnp.sum)
    if name == "listmle_loss":  # rax learns the list order where nothing is relevant
        scores, relevance, where = scores[2:], relevance[2:], where[2:]
    with jax.numpy_rank_promotion("allow"):
        expected, slope = jax.value_and_grad(theirs)(jnp.asarray(scores))
    got, got_slope = jax.value_and_grad(ours)(scores)
    np.testing.assert_allclose(got, expected, rtol=1e-12)
    np.testing.assert_allclose(got_slope, slope, rtol=1e-10, atol=1e-12)


def test_where_rax_is_wrong_at_tied_scores_we_are_right():
    relevance = jnp.array([3.0, 2.0, 1.0, 0.0])
    slope = jax.grad(jl.listmle_loss)(jnp.zeros(4), relevance)
    np.testing.assert_allclose(slope, [-3 / 4, -5 / 12, 1 / 12, 13 / 12], rtol=1e-6)
    with jax.numpy_rank_promotion("allow"):
        theirs = jax.grad(rax.listmle_loss)(jnp.zeros(4), relevance)
    assert np.abs(theirs - slope).max() > 0.1, "rax has been repaired: say so in the docs"


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("scheme", "theirs"), [
    ("lambdarank", rax.dcg_lambdaweight),
    ("ndcg2", rax.dcg2_lambdaweight),
])  # fmt: skip
def test_lambda_weights_are_those_of_rax_without_the_length_of_the_list(rng, scheme, theirs):
    scores, relevance, where = _lists(rng)
    scores[2, 3] = scores[2, 5]
    got = jl.lambda_weights(scores, relevance, scheme=scheme, where=where)
    with jax.numpy_rank_promotion("allow"):
        expected = theirs(
            jnp.asarray(scores), jnp.asarray(relevance), where=jnp.asarray(where), normalize=True
        )
    expected = np.asarray(expected).reshape(got.shape) / scores.shape[-1]
    counted = where[:, :, None] & where[:, None, :]
    np.testing.assert_allclose(got, np.where(counted, expected, 0), atol=1e-12)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("top_n", [None, 1, 3])
def test_metrics_are_those_of_rax_ties_included(rng, name, top_n):
    scores, relevance, where = _lists(rng)
    scores = np.round(scores)
    got = METRICS[name](scores, relevance, where=where, top_n=top_n)
    more = {"topn": top_n, "reduce_fn": None}
    with jax.numpy_rank_promotion("allow"):
        expected = getattr(rax, name)(
            jnp.asarray(scores), jnp.asarray(relevance), where=jnp.asarray(where), **more
        )
    np.testing.assert_allclose(got, np.where(where.any(axis=-1), expected, 0), rtol=1e-6)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("top_n", [None, 2])
def test_ndcg_and_average_precision_are_those_of_scikit_learn(rng, top_n):
    metrics = pytest.importorskip("sklearn.metrics", reason="needs scikit-learn")
    scores, relevance = rng.normal(size=(5, 6)), rng.integers(0, 4, (5, 6)).astype(float)
    got = jl.mean(jl.ndcg(scores, relevance, top_n=top_n, gain="linear"))
    np.testing.assert_allclose(got, metrics.ndcg_score(relevance, scores, k=top_n), rtol=1e-12)
    relevant = relevance > 1
    got = jl.average_precision(scores, relevant)
    expected = [metrics.average_precision_score(*row) for row in zip(relevant, scores, strict=True)]
    np.testing.assert_allclose(got, expected, rtol=1e-12)


@pytest.mark.usefixtures("x64")
def test_smooth_ranks_give_the_metrics_of_rax(rng):
    scores, relevance, where = _lists(rng)
    rank = functools.partial(rax.utils.approx_ranks, step_fn=lambda x: jax.nn.sigmoid(x / 0.3))
    for loss, metric in (
        (jl.approx_ndcg_loss, rax.ndcg_metric),
        (jl.approx_mrr_loss, rax.mrr_metric),
    ):
        with jax.numpy_rank_promotion("allow"):
            smooth = metric(
                jnp.asarray(scores), jnp.asarray(relevance), where=jnp.asarray(where),
                rank_fn=rank, reduce_fn=None,
            )  # fmt: skip
        relevant = (where & (relevance > 0)).any(axis=-1)
        got = loss(scores, relevance, temperature=0.3, where=where)
        np.testing.assert_allclose(got, np.where(relevant, 1 - smooth, 0), rtol=1e-6, atol=1e-9)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("strength", [0.05, 0.7, 3.0, 40.0])
def test_soft_ranks_are_those_of_isotonic_regression_by_scipy(rng, strength):
    optimize = pytest.importorskip("scipy.optimize", reason="needs SciPy")
    scores = np.round(rng.normal(size=(4, 9)), 1)
    got = jl.soft_rank(scores, regularization=strength)
    for row, ranks in zip(scores, got, strict=True):
        order = np.argsort(-row, kind="stable")
        target = -row[order] / strength
        fit = optimize.isotonic_regression(target - np.arange(1, 10), increasing=True).x
        np.testing.assert_allclose(np.asarray(ranks)[order], target - fit, rtol=1e-10, atol=1e-10)
