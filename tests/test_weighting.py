"""Weights of tasks: learned uncertainty, optax's own combinators on losses, and training loops."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxloss as jl
from jaxloss.weighting import uncertainty, uncertainty_weighted

NAN, INF = jnp.nan, jnp.inf
TASKS = {"digit": jnp.array(2.0), "depth": (jnp.array(0.5), jnp.array(9.0))}
leaves = jax.tree.leaves


def run(transformation, losses, steps):
    """Hand the same losses to a transformation again and again; return every output and state."""

    @jax.jit
    def scan(state):
        def step(state, _):
            out, state = transformation.update(losses, state)
            return state, (out, state)

        return jax.lax.scan(step, state, length=steps)[1]

    return scan(transformation.init(losses))


# Uncertainty


@pytest.mark.parametrize(
    ("loss", "log_variance", "expected"),
    [
        (3.0, 0.0, 1.5),
        (2.0, np.log(2.0), 0.5 + np.log(2.0) / 2),
        (4.0, np.log(0.5), 4 - np.log(2.0) / 2),
    ],
)
def test_the_formula_by_hand(loss, log_variance, expected):
    value = uncertainty_weighted(jnp.float32(loss), jnp.float32(log_variance))
    np.testing.assert_allclose(value, expected, rtol=1e-6)


def test_the_formula_is_differentiable_in_both():
    loss, s = jnp.float32(3.0), jnp.float32(0.5)
    by_loss, by_s = jax.grad(uncertainty_weighted, argnums=(0, 1))(loss, s)
    np.testing.assert_allclose(by_loss, np.exp(-0.5) / 2, rtol=1e-6)
    np.testing.assert_allclose(by_s, (1 - np.exp(-0.5) * 3) / 2, rtol=1e-6)


def test_the_first_step_follows_autodiff_of_the_formula():
    rate = 0.1
    weighting = uncertainty(optax.sgd(rate), initial=0.3)
    weighted, state = weighting.update(TASKS, weighting.init(TASKS))
    start = jax.tree.map(lambda _: jnp.float32(0.3), TASKS)
    total = lambda s: sum(leaves(uncertainty_weighted(TASKS, s)))
    expected = jax.tree.map(lambda s, g: s - rate * g, start, jax.grad(total)(start))
    for got, right in zip(state.memory.log_variances, leaves(expected), strict=True):
        np.testing.assert_allclose(got, right, rtol=1e-6)
    for got, right in zip(
        leaves(weighted), leaves(uncertainty_weighted(TASKS, start)), strict=True
    ):
        np.testing.assert_allclose(got, right, rtol=1e-6)


@pytest.mark.parametrize("optimizer", [optax.sgd(0.2), optax.adam(0.05)], ids=["sgd", "adam"])
def test_log_variances_converge_to_the_log_of_the_losses(optimizer):
    weighted, states = run(uncertainty(optimizer), TASKS, 1000)
    for s, out, loss in zip(
        states.memory.log_variances.T, leaves(weighted), leaves(TASKS), strict=True
    ):
        np.testing.assert_allclose(s[-1], np.log(loss), atol=1e-3)
        np.testing.assert_allclose(out[-1], 0.5 + np.log(loss) / 2, atol=1e-3)


def test_rescaling_a_task_leaves_its_converged_gradient_alone():
    """At convergence the weight is half the inverse loss: millimetres weigh as metres do."""
    weighting = uncertainty(optax.adam(0.05))

    def gradient(scale):
        _, states = run(weighting, jnp.float32(2.0 * scale), 8000)
        state = jax.tree.map(lambda a: a[-1], states)
        return jax.grad(lambda x: weighting.update(scale * x**2, state)[0])(jnp.float32(2**0.5))

    np.testing.assert_allclose(gradient(1.0), gradient(1000.0), rtol=1e-3)


def test_parameters_see_the_weight_and_nothing_else():
    """The gradient is `exp(-s) / 2` times that of the loss; the state is a constant."""
    weighting = uncertainty(optax.sgd(1.0))
    state = weighting.init(TASKS)
    s = jnp.log(jnp.array(leaves(TASKS))) + 1
    state = state._replace(memory=state.memory._replace(log_variances=s))

    def total(losses):
        weighted, new = weighting.update(losses, state)
        return sum(leaves(weighted)), new

    gradient, new = jax.grad(total, has_aux=True)(TASKS)
    np.testing.assert_allclose(leaves(gradient), np.exp(-s) / 2, rtol=1e-6)
    by_state = jax.grad(
        lambda memory: sum(leaves(weighting.update(TASKS, state._replace(memory=memory))[0])),
        allow_int=True,
    )(state.memory)
    assert np.all(by_state.log_variances == 0)
    assert jax.tree.structure(new) == jax.tree.structure(state)


def test_params_of_the_user_have_no_effect():
    weighting = uncertainty(optax.adamw(0.1))
    state = weighting.init(TASKS)
    without = weighting.update(TASKS, state)
    params = {"weights": jnp.full((3, 2), NAN)}
    same = weighting.update(TASKS, state, params, where=jnp.ones(4, bool), value=jnp.array(1.0))
    for a, b in zip(leaves(without), leaves(same), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_state_is_a_tree_of_arrays():
    state = uncertainty(optax.adam(0.1)).init(TASKS)
    assert all(isinstance(leaf, jax.Array) for leaf in leaves(state))
    assert [w.dtype for w in leaves(state)] == [jnp.float32] * 4 + [jnp.int32] + [jnp.float32] * 2
    rebuilt = jax.tree.unflatten(jax.tree.structure(state), [np.asarray(a) for a in leaves(state)])
    out, _ = uncertainty(optax.adam(0.1)).update(TASKS, rebuilt)
    assert jax.tree.structure(out) == jax.tree.structure(TASKS)


def test_init_accepts_losses_of_examples():
    examples = jax.tree.map(lambda l: jnp.full((4,), l), TASKS)
    weighting = uncertainty(optax.adam(0.1))
    by_example, by_task = weighting.init(examples), weighting.init(TASKS)
    shapes = lambda tree: jax.tree.map(lambda a: (a.shape, a.dtype), tree)
    assert shapes(by_example) == shapes(by_task)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precision_losses_are_weighed_in_float32(dtype):
    weighting = uncertainty(optax.sgd(0.1))
    loss = jnp.array(3.0, dtype)
    weighted, state = weighting.update(loss, weighting.init(loss))
    assert weighted.dtype == jnp.float32 and state.memory.log_variances.dtype == jnp.float32
    assert weighted == 1.5


@pytest.mark.usefixtures("x64")
def test_double_precision_losses_stay_and_the_state_is_stable():
    weighting = uncertainty(optax.sgd(0.1))
    loss = jnp.array(3.0, jnp.float64)
    state = weighting.init(loss)
    weighted, new = weighting.update(loss, state)
    assert weighted.dtype == jnp.float64
    assert new.memory.log_variances.dtype == state.memory.log_variances.dtype == jnp.float64
    # A state made of placeholders of another precision keeps its own.
    narrow = weighting.init(jnp.float32(0.0))
    weighted, new = weighting.update(loss, narrow)
    assert weighted.dtype == jnp.float64
    assert new.memory.log_variances.dtype == new.weights.dtype == jnp.float32


def test_hyperparameters_of_the_inner_optimizer_can_be_scheduled():
    rate = optax.piecewise_constant_schedule(0.1, {2: 0.0})
    _, states = run(uncertainty(optax.sgd(rate)), jnp.float32(5.0), 6)
    s = np.asarray(states.memory.log_variances)
    assert s[1] > s[0] > 0
    assert np.all(s[2:] == s[1])


def test_the_start_can_be_injected():
    injected = optax.inject_hyperparams(uncertainty, static_args="optimizer")
    weighting = injected(optax.sgd(0.1), initial=1.0)
    out, _ = jax.jit(weighting.update)(jnp.float32(2.0), weighting.init(jnp.float32(2.0)))
    np.testing.assert_allclose(out, np.exp(-1.0) + 0.5, rtol=1e-6)


@pytest.mark.parametrize(
    ("losses", "error", "message"),
    [
        ({"a": jnp.ones(3)}, ValueError, r"losses must be one number.*reduce_mean.*shape \(3,\)"),
        ({"a": jnp.ones((1,))}, ValueError, r"losses must be one number"),
        ({"a": jnp.array(2)}, TypeError, "losses must be real floating point, got int32"),
        ({"a": jnp.array(2j)}, TypeError, "losses must be real floating point, got complex64"),
    ],
)
def test_losses_that_are_no_single_numbers_raise(losses, error, message):
    weighting = uncertainty(optax.sgd(0.1))
    with pytest.raises(error, match=f"^uncertainty: {message}"):
        weighting.update(losses, weighting.init(losses))
    with pytest.raises(error, match=message):
        uncertainty_weighted(losses, {"a": jnp.array(0.0)})


@pytest.mark.parametrize(
    ("initial", "error", "message"),
    [
        (NAN, ValueError, "initial must be in"),
        ([0.0, 1.0], ValueError, "initial must be a number"),
        ("zero", TypeError, "initial must be a real number, got 'zero'"),
    ],
)
def test_an_impossible_start_raises(initial, error, message):
    with pytest.raises(error, match=f"^uncertainty: {message}"):
        uncertainty(optax.sgd(0.1), initial=initial)


def test_trees_that_differ_raise():
    with pytest.raises(ValueError, match="b"):
        uncertainty_weighted({"a": jnp.ones(()), "b": jnp.ones(())}, {"a": jnp.zeros(())})


# Optax's combinators on losses


def test_weights_follow_their_schedules_exactly():
    """First the classes, later the boundary: each task under a schedule of its own."""
    early, late = optax.cosine_decay_schedule(1.0, 10), optax.linear_schedule(0.0, 2.0, 10)
    weighting = optax.partition(
        {"early": optax.scale_by_schedule(early), "late": optax.scale_by_schedule(late)},
        {"classes": "early", "boundary": "late"},
    )
    losses = {"classes": jnp.array(3.0), "boundary": jnp.array(0.25)}
    weighted, _ = run(weighting, losses, 12)
    steps = jnp.arange(12)
    np.testing.assert_array_equal(weighted["classes"], 3.0 * jax.jit(early)(steps))
    np.testing.assert_array_equal(weighted["boundary"], 0.25 * jax.jit(late)(steps))


def test_schedules_weigh_gradients_too():
    weighting = optax.scale_by_schedule(optax.linear_schedule(0.0, 1.0, 4))
    state = weighting.init(jnp.array(0.0))

    @jax.jit
    def step(x, state):
        def objective(x):
            loss, new = weighting.update(jl.l2_loss(x), state)
            return loss, new

        return jax.grad(objective, has_aux=True)(x)

    for i in range(6):
        gradient, state = step(jnp.float32(3.0), state)
        assert gradient == 3.0 * min(i / 4, 1.0)


def test_a_named_chain_names_its_states():
    weighting = optax.named_chain(
        ("mean", jl.reduce_mean()),
        ("history", optax.ema(0.5, debias=True)),
        ("uncertainty", uncertainty(optax.sgd(0.1))),
    )
    examples = {"a": jnp.array([1.0, 3.0]), "b": jnp.array([4.0, NAN])}
    state = weighting.init(jax.tree.map(lambda _: jnp.zeros(()), examples))
    where = {"a": None, "b": jnp.array([True, False])}
    out, state = jax.jit(weighting.update)(examples, state, where=where)
    assert set(state) == {"mean", "history", "uncertainty"}
    assert out == {"a": 1.0, "b": 2.0}
    assert state["history"].ema == {"a": 1.0, "b": 2.0}
    np.testing.assert_allclose(state["uncertainty"].memory.log_variances[1], 0.1 * 1.5, rtol=1e-6)


def test_ema_is_the_debiased_history():
    history = optax.ema(0.9, debias=True)
    state = history.init(jnp.array(0.0))
    seen = []
    for loss in (4.0, 2.0, 1.0):
        out, state = history.update(jnp.float32(loss), state)
        seen.append(loss)
        weights = 0.9 ** np.arange(len(seen))[::-1]
        np.testing.assert_allclose(out, np.sum(weights * seen) / np.sum(weights), rtol=1e-6)


def test_masked_weighs_some_tasks_only():
    losses = {"learned": jnp.array(2.0), "fixed": jnp.array(5.0)}
    weighting = optax.masked(uncertainty(optax.adam(0.1)), {"learned": True, "fixed": False})
    weighted, states = run(weighting, losses, 3)
    np.testing.assert_array_equal(weighted["fixed"], [5.0, 5.0, 5.0])
    assert weighted["learned"][0] == 1.0 and weighted["learned"][2] != 1.0
    assert isinstance(states.inner_state.weights["fixed"], optax.MaskedNode)


def test_partition_of_weightings():
    losses = {"a": jnp.array(2.0), "b": jnp.array(5.0), "c": jnp.array(7.0)}
    rules = {"learned": uncertainty(optax.sgd(0.1)), "fixed": optax.scale(3.0)}
    weighting = optax.partition(rules, {"a": "learned", "b": "fixed", "c": "learned"})
    out, state = weighting.update(losses, weighting.init(losses))
    assert out == {"a": 1.0, "b": 15.0, "c": 3.5}
    again, _ = jax.jit(weighting.update)(losses, state)
    assert again["a"] != 1.0 and again["b"] == 15.0


# Training loops: two tasks on one small network, the objective composed as in the documentation


def composed():
    threshold = optax.linear_schedule(1.0, 5.0, 20)
    return optax.chain(
        optax.inject_hyperparams(jl.curriculum.self_paced)(threshold=threshold),
        jl.reduce_mean(),
        uncertainty(optax.adam(1e-2)),
    )


@functools.cache
def batch():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 4)).astype(np.float32)
    depth = x @ np.array([1.0, -2.0, 0.5, 0.0], np.float32)
    digit = (x[:, 0] > 0).astype(np.int32) + (x[:, 1] > 0)
    valid = np.arange(64) % 7 != 0
    digit = np.where(valid, digit, -100)
    return {"x": x, "depth": depth, "digit": digit, "valid": valid}


def example_losses(outputs, data):
    valid = data["valid"]
    return {
        "digit": jl.softmax_cross_entropy_with_integer_labels(
            outputs[:, :3], data["digit"], where=valid
        ),
        "depth": jl.huber_loss(outputs[:, 3], data["depth"], where=valid),
    }


def loss_fn(apply, objective, params, loss_state, data):
    losses = example_losses(apply(params, data["x"]), data)
    losses, loss_state = objective.update(losses, loss_state, where=data["valid"])
    return optax.tree.sum(losses), loss_state


def initial_loss_state(objective):
    return objective.init({"digit": jnp.zeros(()), "depth": jnp.zeros(())})


def plain_error(outputs):
    losses = example_losses(outputs, batch())
    return sum(float(jl.mean(l, where=batch()["valid"])) for l in losses.values())


def check(before, after, loss_state):
    """Training helped, the curriculum is open, and the harder task has the larger variance."""
    assert plain_error(after) < 0.7 * plain_error(before)
    admitted, (_, _, learned) = loss_state[0].inner_state.admitted, loss_state
    assert admitted["digit"] > 0.9 and admitted["depth"] > 0.9
    assert all(np.isfinite(s) for s in learned.memory.log_variances)
    assert loss_state[0].count == 40


@functools.cache
def dense_params():
    keys = jax.random.split(jax.random.key(0), 2)
    return [jax.random.normal(keys[0], (4, 16)) / 2, jax.random.normal(keys[1], (16, 4)) / 4]


def dense(params, x):
    return jnp.tanh(x @ params[0]) @ params[1]


def test_training_in_plain_jax_with_a_scan():
    objective, optimizer = composed(), optax.adam(3e-2)
    params = dense_params()

    @jax.jit
    def train(carry):
        def step(carry, _):
            params, state, loss_state = carry
            gradient, loss_state = jax.grad(
                functools.partial(loss_fn, dense, objective), has_aux=True
            )(params, loss_state, batch())
            updates, state = optimizer.update(gradient, state, params)
            return (optax.apply_updates(params, updates), state, loss_state), None

        return jax.lax.scan(step, carry, length=40)[0]

    start = (params, optimizer.init(params), initial_loss_state(objective))
    trained, _, loss_state = train(start)
    check(dense(params, batch()["x"]), dense(trained, batch()["x"]), loss_state)


def test_training_with_linen():
    nn = pytest.importorskip("flax.linen")
    train_state = pytest.importorskip("flax.training.train_state")

    class State(train_state.TrainState):
        loss_state: optax.OptState

    network, objective = nn.Sequential([nn.Dense(16), nn.tanh, nn.Dense(4)]), composed()
    state = State.create(
        apply_fn=network.apply,
        params=network.init(jax.random.key(0), batch()["x"]),
        tx=optax.adam(3e-2),
        loss_state=initial_loss_state(objective),
    )

    @jax.jit
    def step(state, data):
        gradient, loss_state = jax.grad(
            functools.partial(loss_fn, state.apply_fn, objective), has_aux=True
        )(state.params, state.loss_state, data)
        return state.apply_gradients(grads=gradient, loss_state=loss_state)

    before = network.apply(state.params, batch()["x"])
    for _ in range(40):
        state = step(state, batch())
    check(before, network.apply(state.params, batch()["x"]), state.loss_state)


def test_training_with_nnx(nnx):
    class Network(nnx.Module):
        def __init__(self, rngs):
            self.hidden = nnx.Linear(4, 16, rngs=rngs)
            self.out = nnx.Linear(16, 4, rngs=rngs)

        def __call__(self, x):
            return self.out(jnp.tanh(self.hidden(x)))

    objective = composed()
    structure, params = nnx.split(Network(nnx.Rngs(0)))
    optimizer = optax.adam(3e-2)
    apply = lambda params, x: nnx.merge(structure, params)(x)

    @jax.jit
    def step(params, state, loss_state, data):
        gradient, loss_state = jax.grad(functools.partial(loss_fn, apply, objective), has_aux=True)(
            params, loss_state, data
        )
        updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), state, loss_state

    before = apply(params, batch()["x"])
    state, loss_state = optimizer.init(params), initial_loss_state(objective)
    for _ in range(40):
        params, state, loss_state = step(params, state, loss_state, batch())
    check(before, apply(params, batch()["x"]), loss_state)


def test_training_with_nnx_modules(nnx):
    class Network(nnx.Module):
        def __init__(self, rngs):
            self.hidden = nnx.Linear(4, 16, rngs=rngs)
            self.out = nnx.Linear(16, 4, rngs=rngs)

        def __call__(self, x):
            return self.out(jnp.tanh(self.hidden(x)))

    objective = composed()
    network = Network(nnx.Rngs(0))
    optimizer = nnx.Optimizer(network, optax.adam(3e-2), wrt=nnx.Param)
    loss = functools.partial(loss_fn, lambda network, x: network(x), objective)

    @nnx.jit
    def step(network, optimizer, loss_state, data):
        gradient, loss_state = nnx.grad(loss, has_aux=True)(network, loss_state, data)
        optimizer.update(network, gradient)
        return loss_state

    before = network(batch()["x"])
    loss_state = initial_loss_state(objective)
    for _ in range(40):
        loss_state = step(network, optimizer, loss_state, batch())
    check(before, network(batch()["x"]), loss_state)


def test_losses_take_nnx_parameters_as_they_are(nnx):
    scale = nnx.Param(jnp.array([1.0, 3.0]))
    np.testing.assert_array_equal(jl.l2_loss(scale, jnp.array([1.0, 1.0])), [0.0, 2.0])
    assert jl.mean(scale) == 2.0
