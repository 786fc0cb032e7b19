"""Gradients of tasks: the ways to them agree, heads are as asked for, errors say what to do."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

import jaxloss as jl
from jaxloss.multitask import Rows, imtl_g, imtl_g_weights, value_and_gradients

MODES = ("map", "vmap", "gramian")
SHARED = {"trunk": True, "heads": False}
leaves = jax.tree.leaves


def network(tasks=3):
    rng = np.random.default_rng(0)
    draw = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)
    params = {"trunk": draw(5, 4), "heads": [draw(4) for _ in range(tasks)]}
    return params, draw(8, 5), draw(8, tasks)


def losses_fn(params, inputs, targets):
    features = jnp.tanh(inputs @ params["trunk"])
    return {
        f"task{i}": jl.mean(jl.huber_loss(features @ head, targets[:, i])) * 10.0**i
        for i, head in enumerate(params["heads"])
    }


def jacobian():
    params, *batch = network()
    return jax.jacrev(losses_fn)(params, *batch)


def flat(tree, part=lambda tree: tree):
    return jnp.concatenate([leaf.ravel() for leaf in leaves(part(tree))])


@pytest.mark.parametrize("mode", MODES)
def test_every_way_gives_the_gramian_and_the_sum(mode):
    params, *batch = network()
    jac = jnp.stack([flat(g) for g in jacobian().values()])
    trunk = jnp.stack([flat(g, lambda t: t["trunk"]) for g in jacobian().values()])

    @jax.jit
    def run(params):
        losses, gradients = value_and_gradients(losses_fn, mode=mode)(params, *batch)
        weights = jnp.array([1.0, -2.0, 0.5])
        scaled = gradients.scaled(weights)
        return (
            losses, gradients.gramian(), gradients.gramian(SHARED),
            gradients.combine(weights), scaled.gramian(), scaled.combine(jnp.ones(3)),
        )  # fmt: skip

    losses, gramian, of_trunk, combined, scaled, again = run(params)
    for task, loss in losses_fn(params, *batch).items():
        np.testing.assert_allclose(losses[task], loss, rtol=1e-6)
    np.testing.assert_allclose(gramian, jac @ jac.T, rtol=2e-5)
    np.testing.assert_allclose(of_trunk, trunk @ trunk.T, rtol=2e-5)
    weights = np.array([1.0, -2.0, 0.5])
    np.testing.assert_allclose(flat(combined), weights @ jac, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(scaled, np.outer(weights, weights) * (jac @ jac.T), rtol=2e-5)
    np.testing.assert_allclose(flat(again), flat(combined), rtol=1e-5, atol=1e-5)


def update(mode, **options):
    params, *batch = network()
    aggregator = imtl_g(**options)

    @jax.jit
    def run(params):
        _, gradients = value_and_gradients(losses_fn, mode=mode)(params, *batch)
        return aggregator.update(gradients, aggregator.init(params), params)[0]

    return run(params)


@pytest.mark.parametrize("mode", MODES)
def test_heads_get_what_was_asked_for(mode):
    rows = jacobian()
    trunk = jnp.stack([flat(g, lambda t: t["trunk"]) for g in rows.values()])
    weights = imtl_g_weights(trunk @ trunk.T)
    plain, weighted = update(mode, shared=SHARED), update(mode, shared=SHARED, heads="weighted")
    for i, gradient in enumerate(rows.values()):
        own = gradient["heads"][i]
        np.testing.assert_allclose(plain["heads"][i], own, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(weighted["heads"][i], weights[i] * own, rtol=2e-3, atol=1e-6)
    for got in (plain, weighted):
        np.testing.assert_allclose(flat(got["trunk"]), weights @ trunk, rtol=2e-3, atol=1e-6)


@pytest.mark.parametrize("turn", [0.0, 1e-9, 1e-4, 1e-2])
def test_imtl_g_comes_to_rest_where_gradients_oppose_each_other(turn):
    rows = jnp.array([[-3.0, 0.0], [jnp.cos(turn), jnp.sin(turn)]])
    weights = jax.jit(imtl_g_weights)(rows @ rows.T)
    np.testing.assert_allclose(weights, [0.25, 0.75], rtol=1e-6)  # the inverse norms: 1/3 and 1
    assert jnp.linalg.norm(weights @ rows) <= 0.76 * turn + 1e-6


def test_a_task_without_gradient_has_no_weight_in_imtl_g():
    np.testing.assert_array_equal(imtl_g_weights(jnp.diag(jnp.array([0.0, 4.0]))), [0.0, 1.0])
    np.testing.assert_array_equal(imtl_g_weights(jnp.zeros((2, 2))), [0.0, 0.0])


def test_shared_may_be_a_callable_or_a_full_tree():
    choose = lambda tree: jax.tree_util.tree_map_with_path(lambda k, _: k[0].key == "trunk", tree)
    full = choose(network()[0])
    for a, b in zip(
        leaves(update("map", shared=choose)), leaves(update("map", shared=full)), strict=True
    ):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(
        leaves(update("map", shared=full)), leaves(update("map", shared=SHARED)), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_a_dict_of_tasks_is_as_good_as_rows():
    by_name, params = jacobian(), network()[0]
    stacked = Rows(jax.tree.map(lambda *leaves: jnp.stack(leaves), *by_name.values()))
    aggregator = imtl_g()
    state = aggregator.init(params)
    outputs = [
        aggregator.update(g, state, params)[0] for g in (by_name, list(by_name.values()), stacked)
    ]
    for other in outputs[1:]:
        for a, b in zip(leaves(outputs[0]), leaves(other), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("mode", ["map", "gramian"])
def test_gradients_can_be_balanced_at_a_shared_representation(mode, rng):
    inputs, trunk, heads = (rng.normal(size=s).astype(np.float32) for s in ((6, 4), (4, 3), (3, 2)))
    losses = lambda features: list(jnp.mean(jnp.square(features @ heads), axis=0))
    aggregator = imtl_g()

    @jax.jit
    def step(trunk):
        features, pull = jax.vjp(lambda trunk: jnp.tanh(inputs @ trunk), trunk)
        _, gradients = jl.multitask.value_and_gradients(losses, mode=mode)(features)
        state = aggregator.init(features)
        return features, gradients.gramian(), pull(aggregator.update(gradients, state)[0])[0]

    features, gramian, gradient = step(trunk)
    rows = np.stack([jax.grad(lambda z, k=k: losses(z)[k])(features) for k in range(2)])
    flat = rows.reshape(2, -1)
    np.testing.assert_allclose(gramian, flat @ flat.T, rtol=1e-5)
    direction = aggregator.update(list(rows), aggregator.init(features))[0]
    expected = inputs.T @ (direction * (1 - np.square(features)))
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-6)


def test_aux_is_handed_through():
    both = lambda x: ({"a": x**2, "b": 3 * x}, {"seen": x + 1})
    for mode in MODES:
        run = jax.jit(lambda x, mode=mode: value_and_gradients(both, has_aux=True, mode=mode)(x)[0])
        losses, aux = run(jnp.float32(2.0))
        assert losses == {"a": 4.0, "b": 6.0} and aux == {"seen": 3.0}


def split(function, devices):
    mesh = jax.make_mesh((2,), ("batch",), (AxisType.Auto,), devices=devices)
    specs = {"in_specs": (P(), P("batch"), P("batch")), "out_specs": P()}
    return jax.jit(jax.shard_map(function, mesh=mesh, **specs))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("how", ["shard_map", "pmap", "vmap"])
def test_a_split_batch_is_averaged_before_it_is_balanced(mode, how, two_devices):
    params, *batch = network()

    def step(params, *batch):
        call = value_and_gradients(losses_fn, mode=mode, axis_name="batch")
        losses, gradients = call(params, *batch)
        aggregator = imtl_g(shared=SHARED)
        return losses, aggregator.update(gradients, aggregator.init(params), params)[0]

    halves = [x.reshape(2, -1, *x.shape[1:]) for x in batch]
    if how == "shard_map":
        losses, got = split(step, two_devices)(params, *batch)
    elif how == "pmap":
        out = jax.pmap(step, "batch", in_axes=(None, 0, 0), devices=two_devices)(params, *halves)
        losses, got = jax.tree.map(lambda x: x[0], out)
    else:
        out = jax.jit(jax.vmap(step, in_axes=(None, 0, 0), axis_name="batch"))(params, *halves)
        losses, got = jax.tree.map(lambda x: x[0], out)
    for task, loss in losses_fn(params, *batch).items():
        np.testing.assert_allclose(losses[task], loss, rtol=1e-5)
    for a, b in zip(leaves(got), leaves(update("map", shared=SHARED)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def test_global_losses_need_no_axis_name(two_devices):
    """Under `shard_map` the losses may average by themselves; the gradients are then complete."""
    params, *batch = network()

    def global_losses(params, *batch):
        return jax.tree.map(lambda x: jax.lax.pmean(x, "batch"), losses_fn(params, *batch))

    def gramian(params, *batch):
        return value_and_gradients(global_losses)(params, *batch)[1].gramian()

    got = split(gramian, two_devices)(params, *batch)
    jac = jnp.stack([flat(g) for g in jacobian().values()])
    np.testing.assert_allclose(got, jac @ jac.T, rtol=2e-5)


@functools.cache
def temp_bytes(mode, tasks=40):
    """Temp memory of one balanced step on a network whose trunk is most of its parameters."""
    rng = np.random.default_rng(0)
    draw = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)
    params = {"trunk": [draw(64, 256), draw(256, 256)], "heads": draw(256, tasks)}
    inputs, targets = draw(64, 64), draw(64, tasks)

    def many(params):
        x = inputs
        for layer in params["trunk"]:
            x = jnp.tanh(x @ layer)
        return list(jnp.mean((x @ params["heads"] - targets) ** 2, axis=0))

    def step(params):
        _, gradients = value_and_gradients(many, mode=mode)(params)
        return gradients.combine(imtl_g_weights(gradients.gramian()))

    return jax.jit(step).lower(params).compile().memory_analysis().temp_size_in_bytes


def test_forty_tasks_without_their_jacobian():
    assert temp_bytes("gramian") < 0.15 * temp_bytes("vmap")
    assert temp_bytes("map") <= temp_bytes("vmap")


def test_rows_keep_the_dtype_of_the_parameters():
    gradients = [jnp.array([1.0, 2.0], jnp.bfloat16), jnp.array([-1.0, 1.0], jnp.bfloat16)]
    combined, _ = imtl_g().update(gradients, imtl_g().init(None))
    assert combined.dtype == jnp.bfloat16
    assert Rows(jnp.stack(gradients)).gramian().dtype == jnp.float32


@pytest.mark.parametrize(
    "gradients",
    [
        jnp.ones((2, 3)),
        {"a": jnp.ones(3), "b": jnp.ones(2)},
        {"a": {"w": jnp.ones(3)}, "b": jnp.ones(3)},
        {},
    ],
)
def test_what_is_not_one_gradient_per_task_is_refused(gradients):
    with pytest.raises(ValueError, match=r"^imtl_g: gradients must be a dict \(or list\) of tasks"):
        imtl_g().update(gradients, imtl_g().init(None))


def test_gradients_unlike_the_parameters_are_refused():
    """A plain gradient given by mistake: its leaves would be taken for tasks."""
    params = {"w": jnp.ones(3), "b": jnp.ones(3)}
    with pytest.raises(ValueError, match="one gradient each, all like the parameters"):
        imtl_g().update(params, imtl_g().init(params), params)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: value_and_gradients(losses_fn, mode="x"), ValueError, "mode must be one of map"),
        (lambda: imtl_g(heads="same"), ValueError, "imtl_g: heads must be 'plain' or 'weighted'"),
        (lambda: imtl_g_weights(jnp.ones((2, 3))), ValueError, "gramian must be of shape"),
        (
            lambda: value_and_gradients(lambda x: {"a": x})(jnp.ones(3)),
            ValueError,
            r"losses must be one number for each task .*shape \(3,\)",
        ),
    ],
)  # fmt: skip
def test_bad_arguments_say_what_to_do(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_it_chains_with_any_optimizer():
    optimizer = optax.chain(imtl_g(), optax.clip_by_global_norm(1.0), optax.adam(1e-2))
    params, *batch = network()

    @jax.jit
    def train(params):
        def step(carry, _):
            params, state = carry
            losses, gradients = value_and_gradients(losses_fn)(params, *batch)
            updates, state = optimizer.update(gradients, state, params)
            return (optax.apply_updates(params, updates), state), losses

        return jax.lax.scan(step, (params, optimizer.init(params)), length=100)

    _, losses = train(params)
    for history in losses.values():
        assert history[-1] < 0.5 * history[0]
