"""Optax's own shipped tests, run against this library's functions of the same names.

Each absl test of optax that concerns a function which is also ours is run with ours in its place.
Which tests those are is read off their source: all public losses that a test's code names must
exist here. Where this library is stricter on purpose, the test is named below with the reason, and
must then fail: an entry that is no longer true fails the suite.
"""

import ast
import functools
import importlib
import inspect
import unittest
import warnings

import jax
import numpy as np
import pytest

import jaxloss as jl

MODULES = (
    "_regression",
    "_classification",
    "_smoothing",
    "_fenchel_young",
    "_segmentation",
    "_self_supervised",
)

NEGATIVE_SHARES = (
    "differences labels across 0 by finite differences: a negative share is no label here, and "
    "gives NaN instead of a number"
)
ONE_PER_EXAMPLE = "averages over the batch; here there is one value for each example"
STRICTER = {
    "NtxentTest.test_batched": ONE_PER_EXAMPLE,
    "DiceLossTest.test_multiclass_generalized_dice_loss": ONE_PER_EXAMPLE,
    "DiceLossTest.test_generalized_dice_loss_ignore_background": ONE_PER_EXAMPLE,
    "DiceLossTest.test_probability_validation": (
        "raises on values, which cannot be compiled: here predictions outside [0, 1] give NaN, and "
        "classes may overlap"
    ),
    "SoftmaxCrossEntropyTest.test_gradient": NEGATIVE_SHARES,
    "SafeSoftmaxCrossEntropyTest.test_gradient": NEGATIVE_SHARES,
    "GeneralizedKLDivergenceTest.test_deprecated_alias": (
        "expects a warning of a deprecated name: here convex_kl_divergence is one of two names"
    ),
}


def _modules(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [importlib.import_module(f"optax.losses.{name}{end}") for end in ("", "_test")]


def _losses(module):
    """Return the names of the public functions that a module of optax defines."""
    return {
        name
        for name, value in vars(module).items()
        if callable(value)
        and not name.startswith("_")
        and getattr(value, "__module__", None) == module.__name__
    }


def _named(tree, alias):
    """Return the attributes of the module `alias` that a piece of source names."""
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == alias
    }


def _tests(name):
    """Yield the absl tests of a module that concern our functions, one by one."""
    module, tests = _modules(name)
    losses = _losses(module)
    used = {}
    for node in ast.parse(inspect.getsource(tests)).body:
        if isinstance(node, ast.ClassDef):
            parts = {f.name: _named(f, name) & losses for f in node.body if hasattr(f, "name")}
            for part, names in parts.items():
                # A test that names no loss calls what the set-up of its class names.
                used[node.name, part] = names or parts.get("setUp", set())
    for suite in unittest.defaultTestLoader.loadTestsFromModule(tests):
        for test in suite:
            class_name, method = type(test).__name__, test._testMethodName
            candidates = [part for c, part in used if c == class_name and method.startswith(part)]
            if not candidates:
                raise LookupError(f"{class_name}.{method} is not in the source of {tests}")
            names = used[class_name, max(candidates, key=len)]
            if names and names <= set(jl.__all__):
                yield f"{class_name}.{method}", test


CASES = {identity: (name, test) for name in MODULES for identity, test in _tests(name)}


STATIC = ("axis", "reduction", "apply_softmax", "apply_sigmoid", "ignore_background")


@functools.cache
def _ours(name):
    """Return our function, compiled where it computes: optax's tests call it once a shape."""
    function = getattr(jl, name)
    if name == "make_fenchel_young_loss":
        return function
    parameters = inspect.signature(function).parameters
    return jax.jit(function, static_argnames=[p for p in STATIC if p in parameters])


@pytest.fixture
def in_the_place_of_optax(monkeypatch):
    for name in MODULES:
        module, _ = _modules(name)
        for loss in _losses(module) & set(jl.__all__):
            monkeypatch.setattr(module, loss, _ours(loss))
    np.random.seed(0)  # optax's tests draw from the global generator
    with warnings.catch_warnings(), jax.numpy_rank_promotion("allow"):
        warnings.simplefilter("ignore")
        yield


def _run(test):
    result = unittest.TestResult()
    test.run(result)
    assert result.testsRun == 1
    problems = [text for _, text in (*result.failures, *result.errors)]
    return "skipped" if result.skipped else "\n".join(problems)


@pytest.mark.parametrize("identity", CASES)
@pytest.mark.usefixtures("in_the_place_of_optax")
def test_optax_test_passes_or_is_stricter_for_a_reason(identity):
    problem = _run(CASES[identity][1])
    assert problem != "skipped"
    if identity in STRICTER:
        assert problem, f"{identity} passes: remove it from the list of what is stricter"
    else:
        assert not problem, problem


def test_the_selection_is_what_it_should_be(record_property):
    """Shared losses are tested, no named exception is stale, and others are left out."""
    record_property("optax tests run", len(CASES))
    assert len(CASES) > 80
    assert set(STRICTER) <= set(CASES)
    classes = {identity.split(".")[0] for identity in CASES}
    assert {"HuberLossTest", "SparsemaxTest", "SigmoidFocalLossTest", "FenchelYoungTest"} <= classes
    absent = {name for module in MODULES for name in _losses(_modules(module)[0])} - set(jl.__all__)
    assert ("CTCTest" in classes) == ("ctc_loss" not in absent)
    assert ("KLDivergenceTest" in classes) == ("kl_divergence" not in absent)


@pytest.mark.usefixtures("in_the_place_of_optax")
def test_a_wrong_function_is_noticed(monkeypatch):
    """The harness must be able to fail: with half a Huber loss optax's test complains."""
    module, _ = _modules("_regression")
    monkeypatch.setattr(module, "huber_loss", lambda *a, **k: 0.5 * jl.huber_loss(*a, **k))
    assert "AssertionError" in _run(CASES["HuberLossTest.test_batched"][1])
