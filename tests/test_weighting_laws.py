"""What holds for every weighting of tasks: one table of all, one test for each law."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxloss as jl
from jaxloss import weighting as w
from jaxloss.protocol import Decision
from jaxloss.weighting import WeightingState

leaves = jax.tree.leaves
structure = jax.tree.structure
LOSSES = {"a": jnp.array(2.0), "b": [jnp.array(0.5), jnp.array(9.0)]}
EXTRAS = {
    "feedback": {"a": jnp.array(1.5), "b": [jnp.array(0.4), jnp.array(8.0)]},
    "metrics": {"a": jnp.array(0.3), "b": [jnp.array(0.9), jnp.array(0.1)]},
    "metric": jnp.array(0.7),
    "present": {"a": jnp.array(True), "b": [jnp.array(True), jnp.array(False)]},
    "where": jnp.ones(5, bool),
    "unknown": {"z": "any"},
}

# The table: whatever the room exports that makes a transformation. What a factory asks for is found
# by its argument's name.
REQUIRED = {
    "weights": {"a": 2.0, "b": 0.5},
    "before": "a",
    "after": "b/0",
    "schedule": optax.linear_schedule(0.0, 1.0, 3),
    "phi": lambda losses: losses["a"] * losses["b"][0] + losses["b"][1],
    "tilt": 0.5,
    "optimizer": optax.sgd(0.1),
    "weighting": w.geometric_mean(),
    "k": 2,
    "low": 0.2,
    "high": 0.9,
}


def makes_a_transformation(factory):
    if not inspect.isfunction(factory) or factory is w.weighting:
        return False
    returned = inspect.signature(factory).return_annotation
    return returned in ("optax.GradientTransformationExtraArgs", "Weighting")


def required(factory):
    parameters = inspect.signature(factory).parameters.values()
    return {p.name: REQUIRED[p.name] for p in parameters if p.default is p.empty}


FACTORIES = {n: getattr(w, n) for n in w.__all__ if makes_a_transformation(getattr(w, n))}
CASES = {name: (factory, required(factory)) for name, factory in FACTORIES.items()} | {
    "crossfade by metric": (
        w.crossfade,
        {**required(w.crossfade), "level": 0.5, "direction": "above"},
    ),
    "smooth_tchebycheff with a nadir": (
        w.smooth_tchebycheff,
        {"weights": 2.0, "reference": -0.5, "nadir": 10.0},
    ),
    "uncertainty by adam": (w.uncertainty, {"optimizer": optax.adam(0.1), "initial": 0.2}),
    "famo with bounds": (w.famo, {"lower": {"a": -1.0, "b/1": 1.0}}),
    "softadapt in full": (w.softadapt, {"window": 3, "weighted": True, "normalized": True}),
    "renormalize to 1": (w.renormalize, {"weighting": w.random(), "total": 1.0}),
    "every_k of famo": (w.every_k, {"weighting": w.famo(), "k": 1}),
    "on_log of uncertainty": (w.on_log, {"weighting": w.uncertainty(optax.sgd(0.1))}),
    "wrapped thrice": (
        w.clip_weights,
        {
            "weighting": w.renormalize(w.every_k(w.on_log(w.tilted(1.0)), 2)),
            "low": 0.1,
            "high": 2.0,
        },
    ),
}


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


@pytest.fixture
def transformation(case):
    factory, settings = case
    return factory(**settings)


def losses_at(t, scale=1.0, dtype=jnp.float32):
    t = jnp.asarray(t, dtype)
    b = [0.5 + 0.1 * jnp.sin(t), 9 / (1 + t)]
    return jax.tree.map(lambda x: (scale * x).astype(dtype), {"a": 2 * jnp.exp(-0.3 * t), "b": b})


def scanned(transformation, scale=1.0, steps=5):
    def step(state, t):
        out, state = transformation.update(losses_at(t, scale), state, **EXTRAS)
        return state, (out, state.weights)

    return jax.lax.scan(step, transformation.init(losses_at(0)), jnp.arange(steps))


def assert_close(a, b, rtol=1e-5, **tolerance):
    assert structure(a) == structure(b)
    for x, y in zip(leaves(a), leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=rtol, **tolerance)


def shapes(tree):
    return jax.tree.map(lambda x: (jnp.shape(x), jnp.asarray(x).dtype), tree)


def after(transformation, steps, losses=None):
    """Return the state after some updates, eager."""
    state = transformation.init(LOSSES if losses is None else losses)
    for t in range(steps):
        _, state = transformation.update(losses_at(t), state, **EXTRAS)
    return state


def test_the_table_is_whole():
    assert {"famo", "dwa", "crossfade", "every_k", "pbi", "equal"} < set(FACTORIES)
    assert len(FACTORIES) >= 28


def floats(case):
    factory, settings = case
    bound = inspect.signature(factory).bind(**settings)
    bound.apply_defaults()
    return {name: value for name, value in bound.arguments.items() if type(value) is float}


@functools.cache
def compiled(name):
    """Run with traced settings; return losses and weights, and derivatives by the losses' scale.

    Side by side: scale 1, scale 3, and then scale 1 with one setting after the other NaN.
    """
    factory, settings = CASES[name]
    given = floats(CASES[name])

    def run(numbers, scale):
        made = factory(**{**settings, **dict(zip(given, numbers, strict=True))})
        return jax.jvp(lambda scale: scanned(made, scale)[1], (scale,), (1.0,))

    right = jnp.array([*given.values()], jnp.float32)[None]
    wrong = jnp.where(jnp.eye(len(given), dtype=bool), jnp.nan, right)
    scales = jnp.ones(2 + len(given)).at[1].set(3.0)
    return jax.jit(jax.vmap(run))(jnp.concatenate([right, right, wrong]), scales)


def row(tree, *index):
    return jax.tree.map(lambda x: x[index], tree)


@pytest.mark.parametrize("name", CASES)
def test_jit_vmap_and_scan_equal_eager(name):
    factory, settings = CASES[name]
    transformation = factory(**settings)
    found, _ = compiled(name)
    state = transformation.init(LOSSES)
    for t in range(4):
        out, state = transformation.update(losses_at(t, 3.0), state, **EXTRAS)
        assert_close(row(found, 1, t), (out, state.weights), atol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_gradients_are_weights_times_gradients(name):
    """Weights, offsets and the past are constants to autodiff."""
    (_, weights), (slopes, by_weights) = row(compiled(name), slice(2))
    own = jax.vmap(losses_at)(jnp.arange(5))  # linear in the scale
    assert_close(slopes, jax.tree.map(lambda w, x: w * x[None], weights, own), atol=1e-6)
    assert not any(np.any(slope) for slope in leaves(by_weights))


SEEDED = [n for n, f in FACTORIES.items() if "seed" in inspect.signature(f).parameters]


@pytest.mark.parametrize("name", SEEDED)
def test_vmap_over_seeds_equals_a_loop(name):
    assert SEEDED == ["random", "relobralo"]
    settings = {"keep": 0.5} if name == "relobralo" else {}
    run = lambda seed: scanned(FACTORIES[name](seed=seed, **settings), steps=8)[1][1]
    together = jax.jit(jax.vmap(run))(jnp.arange(3))
    for i in range(3):
        assert_close(jax.tree.map(lambda x, i=i: x[i], together), jax.jit(run)(i))
    assert len({float(x) for x in together["a"][:, -1]}) > 1


def test_the_state_is_stable_arrays_of_no_examples(transformation):
    examples = jax.tree.map(lambda x: jnp.full((4,), x), LOSSES)
    state = transformation.init(LOSSES)
    assert isinstance(state, WeightingState)
    assert all(isinstance(leaf, jax.Array) for leaf in leaves(state))
    assert structure(state.weights) == structure(LOSSES)
    assert shapes(transformation.init(examples)) == shapes(state)
    _, new = jax.eval_shape(lambda s: transformation.update(LOSSES, s, **EXTRAS), state)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), new) == shapes(state)


def test_half_precision_is_weighed_in_float32(transformation):
    half = jax.tree.map(lambda x: x.astype(jnp.bfloat16), LOSSES)
    state = transformation.init(half)
    assert shapes(state) == shapes(transformation.init(LOSSES))
    out, new = transformation.update(half, state, **EXTRAS)
    assert all(x.dtype == jnp.float32 for x in leaves(out))
    assert shapes(new) == shapes(state)
    exact, _ = transformation.update(LOSSES, state, **EXTRAS)
    assert_close(out, exact, rtol=1e-6)  # these losses are exact in bfloat16


@pytest.mark.usefixtures("x64")
def test_double_precision_and_float32_beside_it(case):
    factory, settings = case
    transformation = factory(**settings)
    for dtype in (jnp.float64, jnp.float32):
        losses = losses_at(1, dtype=dtype)
        state = transformation.init(losses)
        new = jax.eval_shape(lambda s, x: transformation.update(x, s, **EXTRAS), state, losses)
        assert all(x.dtype == dtype for x in leaves(new[0]))
        assert all(x.dtype == dtype for x in leaves(new[1].weights))
        assert jax.tree.map(lambda x: (x.shape, x.dtype), new[1]) == shapes(state)


def test_the_state_is_a_constant_to_autodiff(transformation):
    state = after(transformation, 1)

    def of_state(scale):
        scaled = lambda x: x * scale if jnp.issubdtype(x.dtype, jnp.floating) else x
        return transformation.update(LOSSES, jax.tree.map(scaled, state), **EXTRAS)[0]

    out, slope = jax.jvp(of_state, (jnp.array(1.0),), (jnp.array(1.0),))
    assert structure(out) == structure(LOSSES)
    assert not any(np.any(x) for x in leaves(slope))


def test_unknown_arguments_and_parameters_pass(transformation):
    state = after(transformation, 1)
    with_all = transformation.update(LOSSES, state, {"p": jnp.nan}, **EXTRAS)
    known = {k: v for k, v in EXTRAS.items() if k not in ("where", "unknown")}
    assert_close(with_all, transformation.update(LOSSES, state, None, **known), rtol=0)


NEEDED = {
    "crossfade by metric": "metric",
    "famo": "feedback",
    "famo with bounds": "feedback",
    "every_k of famo": "feedback",
    "by_validation": "metrics",
    "reduce_on_plateau": "metrics",
}


@pytest.mark.parametrize("name", CASES)
def test_missing_arguments_are_named(name):
    factory, settings = CASES[name]
    transformation = factory(**settings)
    state = transformation.init(LOSSES)
    if name not in NEEDED:
        transformation.update(LOSSES, state)
        return
    function = "famo" if "famo" in name else factory.__name__
    message = rf"^{function}: update needs the extra argument {NEEDED[name]}="
    with pytest.raises(TypeError, match=message):
        transformation.update(LOSSES, state, **{NEEDED[name]: None})


def test_losses_unlike_those_of_init_raise(transformation):
    state = transformation.init(LOSSES)
    other = {"a": jnp.array(1.0), "b": jnp.array(2.0)}
    with pytest.raises(ValueError, match=r"losses must be a tree like init's losses"):
        transformation.update(other, state, **EXTRAS)
    examples = jax.tree.map(lambda x: jnp.full((4,), x), LOSSES)
    with pytest.raises(ValueError, match=r"losses must be one number for each task .chain"):
        transformation.update(examples, state, **EXTRAS)


@pytest.mark.parametrize("name", sorted(set(NEEDED) - {"crossfade by metric"}))
def test_arguments_unlike_the_losses_raise(name):
    factory, settings = CASES[name]
    transformation = factory(**settings)
    wrong = {**EXTRAS, NEEDED[name]: {"a": jnp.array(1.0)}}
    with pytest.raises(ValueError, match=f"{NEEDED[name]} must be a tree like init's losses"):
        transformation.update(LOSSES, transformation.init(LOSSES), **wrong)


def test_states_survive_numpy(transformation):
    state = after(transformation, 2)
    rebuilt = jax.tree.unflatten(structure(state), [np.asarray(x) for x in leaves(state)])
    expected = transformation.update(LOSSES, state, **EXTRAS)
    assert_close(transformation.update(LOSSES, rebuilt, **EXTRAS), expected, rtol=1e-6)


def test_states_are_saved_and_restored_by_orbax(tmp_path):
    ocp = pytest.importorskip("orbax.checkpoint")
    made = {name: factory(**settings) for name, (factory, settings) in CASES.items()}
    states = {name: after(transformation, 2) for name, transformation in made.items()}
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "states", states)
        checkpointer.wait_until_finished()
        fresh = {name: transformation.init(LOSSES) for name, transformation in made.items()}
        restored = checkpointer.restore(tmp_path / "states", fresh)
    assert shapes(restored) == shapes(states)
    assert_close(restored, states, rtol=0)


# Optax's combinators


def test_in_a_chain(transformation):
    chain = optax.chain(jl.reduce_mean(), transformation, optax.scale(2.0))
    examples = jax.tree.map(lambda x: jnp.stack([x - 1, x + 1, jnp.nan]), LOSSES)
    extras = {**EXTRAS, "where": jnp.array([True, True, False])}
    out, state = chain.update(examples, chain.init(examples), **extras)
    expected, inner = transformation.update(LOSSES, transformation.init(LOSSES), **EXTRAS)
    assert_close(out, jax.tree.map(lambda x: 2 * x, expected))
    assert_close(state[1], inner)


# These name a task that is hidden in the next test.
ALL_TASKS = {"phi", "lower"}


@pytest.mark.parametrize("combinator", ["masked", "partition"])
@pytest.mark.parametrize("name", [n for n, c in CASES.items() if not ALL_TASKS & set(c[1])])
def test_masked_and_partitioned_tasks_are_not_seen(name, combinator):
    """What arguments say of hidden tasks is not read."""
    factory, settings = CASES[name]
    transformation = factory(**settings)
    shown = {"a": LOSSES["a"], "b": LOSSES["b"][:1]}
    if combinator == "masked":
        combined = optax.masked(transformation, {"a": True, "b": [True, False]})
    else:
        rules = {"ours": transformation, "theirs": optax.scale(-1.0)}
        combined = optax.partition(rules, {"a": "ours", "b": ["ours", "theirs"]})
    out, _ = combined.update(LOSSES, combined.init(LOSSES), **EXTRAS)
    extras = {
        n: {"a": x["a"], "b": x["b"][:1]}
        for n, x in EXTRAS.items()
        if isinstance(x, dict) and "a" in x
    }
    alone, _ = transformation.update(shown, transformation.init(shown), metric=0.7, **extras)
    assert_close({"a": out["a"], "b": out["b"][:1]}, alone)
    assert out["b"][1] == (9.0 if combinator == "masked" else -9.0)


def injected(case, **changed):
    factory, settings = case
    static = set(inspect.signature(factory).parameters) - set(floats(case))
    return optax.inject_hyperparams(factory, static_args=static)(**{**settings, **changed})


ARRAYS = {name: extra for name, extra in EXTRAS.items() if name != "unknown"}


def test_every_float_can_be_injected(case):
    transformation = injected(case)
    state = transformation.init(LOSSES)
    assert set(state.hyperparams) == set(floats(case))
    update = lambda losses, state: transformation.update(losses, state, **ARRAYS)
    _, new = jax.eval_shape(update, LOSSES, state)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), new) == shapes(state)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if floats(case)])
def test_an_impossible_traced_setting_is_seen(name):
    """A setting out of range, known only when the program runs, makes no plausible weights."""
    found, _ = compiled(name)
    for i, hyper in enumerate(floats(CASES[name])):
        assert any(np.any(np.isnan(x)) for x in leaves(row(found, i + 2))), hyper


def test_schedules_of_settings_reach_the_weights():
    tilt = optax.linear_schedule(-1.0, 1.0, 2)
    transformation = optax.inject_hyperparams(w.tilted)(tilt=tilt)
    state = transformation.init(LOSSES)
    update = jax.jit(transformation.update)
    for t in (-1.0, 0.0, 1.0, 1.0):
        _, state = update(LOSSES, state)
        assert_close(state.inner_state.weights, after(w.tilted(t), 0).weights | _tilted(t))


def _tilted(t):
    x = np.exp(t * np.array(leaves(LOSSES)))
    return jax.tree.unflatten(structure(LOSSES), list(x / x.sum()))


# Wrappers around everything


def test_wrappers_take_any_weighting_also_with_injected_settings(case):
    plain = injected(case)
    wrapped = w.renormalize(w.every_k(w.clip_weights(plain, -1e9, 1e9), 1))
    out, state = wrapped.update(LOSSES, wrapped.init(LOSSES), **ARRAYS)
    inner = state.memory.memory.inner.memory
    weights = np.array(leaves(inner.inner_state.weights))
    weights = weights * 3 / weights.sum()
    np.testing.assert_allclose(leaves(state.weights), weights, rtol=1e-5)
    np.testing.assert_allclose(leaves(out), weights * np.array(leaves(LOSSES)), rtol=1e-5)


# The laws reject what is wrong


@pytest.fixture
def wrong(monkeypatch):
    def register(transformation):
        monkeypatch.setitem(CASES, "wrong", (lambda: transformation, {}))
        compiled.cache_clear()
        return transformation

    yield register
    compiled.cache_clear()


def test_a_weight_that_leaks_its_gradient_is_rejected(wrong):
    def update(losses, state, params=None, **_):
        weighted = jax.tree.map(jnp.square, losses)
        return weighted, WeightingState(losses, state.memory)

    wrong(optax.GradientTransformationExtraArgs(w.equal().init, update))
    test_jit_vmap_and_scan_equal_eager("wrong")
    with pytest.raises(AssertionError):
        test_gradients_are_weights_times_gradients("wrong")


def test_a_memory_on_the_host_is_rejected():
    step = lambda losses, memory: Decision(losses, memory + 1)
    with pytest.raises(AssertionError):
        test_the_state_is_stable_arrays_of_no_examples(
            w.weighting("host", step, lambda like: np.zeros(()))
        )
