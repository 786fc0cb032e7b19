"""What holds for every curriculum: masks, dtypes, transformations of JAX and of optax."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from curricula import METHODS
from jax.sharding import AxisType, PartitionSpec

import jaxloss as jl
from jaxloss.demo.checkpoint import Checkpoints

NAN, INF = np.nan, np.inf
leaves = jax.tree.leaves
each_method = pytest.mark.parametrize("name", METHODS)
# The moving average is the one memory there is.
TASKS = ("one", "two")
WHERE = np.arange(12) % 5 != 3
DIFFICULTY = np.float32(np.random.default_rng(1).permutation(12) + 0.5) / 12


def drawn(seed, size=12, dtype=np.float32):
    rng = np.random.default_rng(seed)
    return {task: rng.exponential(size=size).astype(dtype) for task in TASKS}


def make(name, **other):
    method = METHODS[name]
    return method.make(**{**method.settings, **method.static, **other})


def extras(size=12):
    return {"where": WHERE[:size], "difficulty": DIFFICULTY[:size]}


def objective(transformation, losses, state, extra):
    """Return the sum of the tasks' means, and what the transformation returned."""
    out, state = transformation.update(losses, state, **extra)
    means = [jl.mean(out[task], where=extra["where"]) for task in TASKS]
    return sum(means), (out, state)


@functools.cache
def compiled(name):
    """Return `f(losses, state, extra) -> (out, state, gradient of the sum of means)`."""
    transformation = make(name)

    @jax.jit
    def run(losses, state, extra):
        graded = jax.grad(functools.partial(objective, transformation), has_aux=True)
        gradient, (out, state) = graded(losses, state, extra)
        return out, state, gradient

    return run


def update(name, losses, state=None, **other):
    state = make(name).init(losses) if state is None else state
    return compiled(name)(losses, state, {**extras(), **other})


def expected(name, losses, where=WHERE):
    """Return values and weights by task, 0 where masked."""
    method = METHODS[name]
    found = []
    for task, other in (TASKS, TASKS[::-1]):
        data = [np.float64(x)[where] for x in (losses[task], losses[other], DIFFICULTY)]
        weights = method.weights(*data)
        values = weights * data[0] if method.values is None else method.values(*data)
        for row in (values, weights):
            whole = np.zeros(where.shape)
            whole[where] = row
            found.append(whole)
    return dict(zip(TASKS, found[::2], strict=True)), dict(zip(TASKS, found[1::2], strict=True))


def same(got, right, rtol=2e-6, atol=2e-6):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=atol), got, right)


def at(tree, index):
    return jax.tree.map(lambda a: a[index], tree)


def shapes(tree):
    return jax.tree.map(lambda a: (jnp.shape(a), jnp.result_type(a)), tree)


@each_method
@pytest.mark.parametrize("fill", [0.0, NAN, INF])
def test_values_and_gradient_are_those_of_the_formula_whatever_the_mask_hides(name, fill):
    losses = drawn(0)
    hidden = {task: np.where(WHERE, x, np.float32(fill)) for task, x in losses.items()}
    out, state, gradient = update(name, hidden)
    values, weights = expected(name, losses)
    same(out, values, atol=5e-6)
    same(gradient, {task: w / WHERE.sum() for task, w in weights.items()})
    shares = {task: np.mean(w[WHERE] > 0) for task, w in weights.items()}
    same(state.admitted, shares)
    for row in (*leaves(out), *leaves(gradient)):
        np.testing.assert_array_equal(row[~WHERE], np.zeros((~WHERE).sum()))


@each_method
def test_where_all_is_masked_nothing_happens(name):
    losses = {task: np.full(12, NAN, np.float32) for task in TASKS}
    _, state, _ = update(name, drawn(0))
    out, after, gradient = update(name, losses, state, where=np.zeros(12, bool))
    for row in (*leaves(out), *leaves(gradient)):
        np.testing.assert_array_equal(row, np.zeros(12))
    np.testing.assert_array_equal(leaves(after.admitted), [0, 0])
    same(after.memory, state.memory, rtol=0, atol=0)


@each_method
def test_ties_are_decided_the_same_way_as_written_down(name):
    losses = {task: np.float32([1, 0.5, 1, 2] * 3) for task in TASKS}
    same(update(name, losses)[0], expected(name, losses)[0], atol=5e-6)


@each_method
def test_a_scan_under_vmap_is_a_loop(name):
    """Over seeds at once, each a history of updates in a state of fixed shapes and dtypes."""
    seeds = [[drawn(10 * seed + i) for i in range(3)] for seed in range(2)]
    stacked = jax.tree.map(
        lambda *x: np.stack(x),
        *[jax.tree.map(lambda *x: np.stack(x), *history) for history in seeds],
    )
    transformation = make(name)

    def history(losses):
        def step(state, now):
            out, state = transformation.update(now, state, **extras())
            return state, out

        return jax.lax.scan(step, transformation.init(drawn(0)), losses)

    states, outs = jax.jit(jax.vmap(history))(stacked)
    for seed, batches in enumerate(seeds):
        state = transformation.init(drawn(0))
        for i, batch in enumerate(batches):
            out, state, _ = update(name, batch, state)
            same(at(outs, (seed, i)), out)
        same(at(states, seed), state)


@each_method
def test_half_precision_is_computed_in_float32(name):
    narrow = jax.tree.map(lambda x: jnp.asarray(x, jnp.bfloat16), drawn(0))
    out, _ = jax.jit(make(name).update)(narrow, make(name).init(narrow), **extras())
    wide = jax.tree.map(lambda x: np.float32(x), narrow)
    assert {x.dtype for x in leaves(out)} == {jnp.dtype(jnp.float32)}
    same(out, update(name, wide)[0])


@each_method
@pytest.mark.usefixtures("x64")
def test_double_precision_stays(name):
    losses = drawn(0, dtype=np.float64)
    transformation = make(name)
    state = transformation.init(losses)
    out, after = jax.jit(transformation.update)(losses, state, **extras())
    assert {x.dtype for x in leaves(out)} == {jnp.dtype(jnp.float64)}
    assert shapes(after) == shapes(state)
    same(out, expected(name, losses)[0], rtol=1e-11, atol=1e-11)


@each_method
def test_every_float_is_a_schedule_and_tasks_are_chosen_by_partition(name):
    method = METHODS[name]
    schedules = {key: optax.constant_schedule(x) for key, x in method.settings.items()}
    inject = optax.inject_hyperparams(method.make, static_args=tuple(method.static))
    scheduled = inject(**schedules, **method.static)
    rules = {"here": scheduled, "elsewhere": optax.scale(3.0)}
    transformation = optax.partition(rules, {"one": "here", "two": "here", "else": "elsewhere"})
    losses = {**drawn(0), "else": np.float32([7.0])}
    where = {"one": WHERE, "two": WHERE, "else": None}
    difficulty = {"one": DIFFICULTY, "two": DIFFICULTY, "else": None}
    state = transformation.init(losses)
    out, _ = jax.jit(transformation.update)(losses, state, where=where, difficulty=difficulty)
    assert out.pop("else") == 21.0
    same(out, update(name, drawn(0))[0])


@each_method
def test_masked_leaves_other_tasks_alone(name):
    losses = {**drawn(0), "else": np.float32([7.0])}
    seen = {"one": True, "two": True, "else": False}
    transformation = optax.masked(make(name), seen)
    where = {"one": WHERE, "two": WHERE, "else": None}
    extra = {"where": where, "difficulty": {**where, "one": DIFFICULTY, "two": DIFFICULTY}}
    out, _ = transformation.update(losses, transformation.init(losses), **extra, another=1)
    assert out.pop("else") == 7.0
    same(out, update(name, drawn(0))[0])


@each_method
def test_the_last_batch_may_be_smaller(name):
    _, state, _ = update(name, drawn(0))
    out, after = make(name).update(drawn(1, size=5), state, **extras(5))
    assert shapes(after) == shapes(state)
    assert {x.shape for x in leaves(out)} == {(5,)}
    assert np.all(np.isfinite(leaves(out)))


@pytest.mark.parametrize("name", [n for n in METHODS if n != "causal"])  # it has a test of its own
def test_a_batch_split_over_devices_is_one_batch(name, two_devices):
    """With unequal numbers of valid examples on the two."""
    transformation = make(name, axis_name="batch")
    auto = (AxisType.Auto,)
    mesh = jax.make_mesh((2,), ("batch",), axis_types=auto, devices=two_devices)
    split, whole = PartitionSpec("batch"), PartitionSpec()

    def local(losses, state, extra):
        return transformation.update(losses, state, **extra)

    specs = {"mesh": mesh, "in_specs": (split, whole, split), "out_specs": (split, whole)}
    extra = {**extras(), "where": np.arange(12) < 7}
    state = transformation.init(drawn(0))
    out, after = jax.jit(jax.shard_map(local, **specs))(drawn(0), state, extra)
    right, right_state, _ = update(name, drawn(0), **extra)
    same(out, right)
    same(after, right_state)


@pytest.mark.parametrize(
    "name", ["ohem", "cvar", "co_teaching", "tilted_erm, to the hard", "paced"]
)
def test_a_mesh_of_explicit_axes_changes_nothing(name, two_devices):
    explicit = (AxisType.Explicit,)
    mesh = jax.make_mesh((2,), ("batch",), axis_types=explicit, devices=two_devices)
    transformation = make(name)
    with jax.set_mesh(mesh):
        split = jax.NamedSharding(mesh, PartitionSpec("batch"))
        losses, extra = jax.device_put((drawn(0), extras()), split)
        out, _ = jax.jit(transformation.update)(losses, transformation.init(drawn(0)), **extra)
    assert out["one"].sharding.is_equivalent_to(split, 1)
    same(out, update(name, drawn(0))[0])


@each_method
def test_a_state_that_was_saved_goes_on(name, tmp_path):
    _, state, _ = update(name, drawn(0))
    saver = Checkpoints(tmp_path / "run", {"method": name})
    saver.save(1, state)
    _, restored = saver.restore(make(name).init(drawn(0)))
    saver.close()
    assert jax.tree.structure(restored) == jax.tree.structure(state)
    assert shapes(restored) == shapes(state)
    same(update(name, drawn(1), restored)[:2], update(name, drawn(1), state)[:2], rtol=0, atol=0)


@each_method
def test_a_nan_is_seen(name):
    losses = drawn(0)
    losses["one"][1] = NAN
    out, _, _ = update(name, losses)
    assert np.isnan(out["one"][1])


@pytest.mark.parametrize("name", [n for n in METHODS if METHODS[n].impossible])
def test_impossible_settings_raise_and_traced_ones_give_nan(name):
    method = METHODS[name]
    ((key, value),) = method.impossible.items()
    title = name.partition(",")[0]
    for wrong in (value, NAN):
        with pytest.raises(ValueError, match=rf"^{title}: {key} must be in .*, got {wrong}"):
            make(name, **{key: wrong})
    with pytest.raises(TypeError, match=f"^{title}: {key} must be a real number, got 'half'"):
        make(name, **{key: "half"})
    with pytest.raises(ValueError, match=f"^{title}: {key} must be a number"):
        make(name, **{key: [0.5, 0.5]})

    @jax.jit
    def traced(value):
        transformation = make(name, **{key: value})
        return transformation.update(drawn(0), transformation.init(drawn(0)), **extras())[0]

    for row in leaves(traced(value)):
        assert np.any(np.isnan(row[WHERE])), name


@each_method
@pytest.mark.parametrize(
    ("losses", "where", "error", "message"),
    [
        ([1, 2], None, TypeError, "losses must be real floating point"),
        ([1.0, 2.0], [True], ValueError, r"where must be of shape \(2,\)"),
        ([1.0, 2.0], [0.5, 0.5], TypeError, "where must be boolean"),
    ],
)
def test_wrong_losses_and_masks_raise(name, losses, where, error, message):
    losses = {task: jnp.array(losses) for task in TASKS}
    where = None if where is None else jnp.array(where)
    transformation = make(name)
    with pytest.raises(error, match=f"^{name.partition(',')[0]}: {message}"):
        transformation.update(
            losses, transformation.init(losses), where=where, difficulty=jnp.zeros(2)
        )
