"""Means and sums: values, masks, and equality of the split batch with the whole one."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import lax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jaxloss as jl

NAN, INF = jnp.nan, jnp.inf
SPLIT = PartitionSpec("batch")

# The batch that every way of splitting must reproduce: two halves with 4 and 1 valid examples,
# garbage behind the mask.
INPUTS = jnp.array([1.0, -2.0, 3.0, 0.5, 4.0, 9.0, 3e38, -1.0])
TARGETS = jnp.array([0.5, -1.0, 3.0, 2.0, -1.0, NAN, INF, 7.0])
VALID = jnp.array([True, True, True, True, True, False, False, False])
WEIGHTS = jnp.array([1.0, 2.0, 0.5, 3.0, 1.5, 1.0, 1.0, 1.0])
PARAMETER = jnp.float32(0.7)


def loss(parameter, inputs, targets, valid, weights=None, axis_name=None):
    losses = jl.squared_error(parameter * inputs, targets, where=valid)
    return jl.mean(losses, where=valid, weights=weights, axis_name=axis_name)


def whole(weights=None):
    """Value and gradient of the one big batch, in NumPy and float64."""
    keep = np.asarray(VALID)
    x, y = (np.asarray(a, np.float64)[keep] for a in (INPUTS, TARGETS))
    w = np.ones_like(x) if weights is None else np.asarray(weights, np.float64)[keep]
    r = float(PARAMETER) * x - y
    return np.sum(w * r**2) / np.sum(w), np.sum(w * 2 * r * x) / np.sum(w)


def assert_whole(value, gradient, weights=None):
    expected = whole(weights)
    np.testing.assert_allclose(value, expected[0], rtol=1e-6)
    np.testing.assert_allclose(gradient, expected[1], rtol=1e-6)


# Values


@pytest.mark.parametrize(
    ("options", "mean", "total"),
    [
        ({}, 3.5, 21.0),
        ({"axis": 0}, [2.5, 3.5, 4.5], [5.0, 7.0, 9.0]),
        ({"axis": 1}, [2.0, 5.0], [6.0, 15.0]),
        ({"axis": -1}, [2.0, 5.0], [6.0, 15.0]),
        ({"axis": (0, 1)}, 3.5, 21.0),
        ({"axis": ()}, [[1.0, 2, 3], [4, 5, 6]], [[1.0, 2, 3], [4, 5, 6]]),
        ({"where": [True, False]}, 2.0, 6.0),
        ({"where": [[True, True, False], [False, False, True]]}, 3.0, 9.0),
        ({"where": [[True, True, False], [False] * 3], "axis": 1}, [1.5, 0.0], [3.0, 0.0]),
        ({"weights": [3.0, 1.0]}, 33 / 12, 33.0),
        ({"weights": [3, 1]}, 33 / 12, 33.0),
        ({"weights": [3.0, 0.0], "where": [False, True]}, 0.0, 0.0),
        ({"weights": [[0.0, 0, 2], [0, 0, 1]]}, 4.0, 12.0),
        ({"weights": [[1.0, 2, 3], [1, 1, 2]], "where": [False, True], "axis": 0},
         [4.0, 5.0, 6.0], [4.0, 5.0, 12.0]),
        ({"weights": 2.0}, 3.5, 42.0),
        ({"where": True}, 3.5, 21.0),
        ({"where": [1, 0]}, 2.0, 6.0),
    ],
)  # fmt: skip
def test_values_worked_out_by_hand(options, mean, total):
    losses = jnp.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    np.testing.assert_array_equal(jl.mean(losses, **options), np.float32(mean))
    np.testing.assert_array_equal(jl.sum(losses, **options), np.float32(total))
    pair = jl.average(losses, **options)
    np.testing.assert_array_equal(pair.total, np.float32(total))
    np.testing.assert_array_equal(pair.value(), np.float32(mean))


@pytest.mark.parametrize("reduce", [jl.mean, jl.sum])
@pytest.mark.parametrize("garbage", [NAN, INF, -INF, 3e38])
def test_what_is_masked_does_not_exist(reduce, garbage):
    def reduced(losses):
        return reduce(losses, where=jnp.array([True, False, True]), weights=jnp.ones(3))

    value, gradient = jax.value_and_grad(reduced)(jnp.array([1.0, garbage, 4.0]))
    clean, clean_gradient = jax.value_and_grad(reduced)(jnp.array([1.0, 7.0, 4.0]))
    assert value == clean
    np.testing.assert_array_equal(gradient, clean_gradient)
    assert gradient[1] == 0


def test_garbage_weights_behind_the_mask_do_not_exist():
    where = jnp.array([True, False])

    def weighted_mean(weights):
        return jl.mean(jnp.array([2.0, 3.0]), weights=weights, where=where)

    value, gradient = jax.value_and_grad(weighted_mean)(jnp.array([1.5, NAN]))
    assert value == 2.0
    np.testing.assert_array_equal(gradient, [0.0, 0.0])


@pytest.mark.parametrize("reduce", [jl.mean, jl.sum])
@pytest.mark.parametrize(
    ("losses", "options"),
    [
        (jnp.array([NAN, 1.0]), {"where": jnp.zeros(2, bool)}),
        (jnp.array([2.0, 1.0]), {"weights": jnp.zeros(2)}),
        (jnp.zeros((0,)), {}),
        (jnp.zeros((3, 0)), {"where": jnp.ones(3, bool)}),
    ],
    ids=["all masked", "all weights zero", "empty", "empty rows"],
)
def test_nothing_that_counts_is_zero_with_zero_gradient(reduce, losses, options):
    value, gradient = jax.value_and_grad(lambda x: reduce(x, **options))(losses)
    assert value == 0
    np.testing.assert_array_equal(gradient, np.zeros(losses.shape))


def test_an_empty_axis_leaves_the_others():
    np.testing.assert_array_equal(jl.mean(jnp.zeros((3, 0)), axis=1), np.zeros(3))
    assert jl.mean(jnp.zeros((3, 0)), axis=0).shape == (0,)


def test_a_nan_that_counts_is_seen():
    assert jnp.isnan(jl.mean(jnp.array([1.0, NAN])))
    assert jl.mean(jnp.array([1.0, INF])) == INF


def test_half_precision_is_summed_in_float32():
    losses = jnp.ones(70_000, jnp.bfloat16)
    assert jl.sum(losses).dtype == jnp.float32
    assert jl.sum(losses) == 70_000
    gradient = jax.grad(lambda x: jl.mean(x))(losses)
    assert gradient.dtype == jnp.bfloat16
    assert jl.mean(jnp.ones(3, jnp.float16)).dtype == jnp.float32


@pytest.mark.usefixtures("x64")
def test_double_precision_stays():
    assert jl.mean(jnp.ones(3, jnp.float64)).dtype == jnp.float64
    assert jl.mean(jnp.ones(3, jnp.float32), weights=jnp.ones(3)).dtype == jnp.float32


def test_weights_are_differentiable():
    losses, weights = jnp.array([1.0, 4.0]), jnp.array([1.0, 2.0])
    gradient = jax.grad(lambda w: jl.mean(losses, weights=w))(weights)
    np.testing.assert_allclose(gradient, [-2 / 3, 1 / 3], rtol=1e-6)  # (l - mean) / sum(w)


# Errors


@pytest.mark.parametrize("name", ["mean", "sum", "average"])
@pytest.mark.parametrize(
    ("losses", "options", "error", "message"),
    [
        ([1, 2], {}, TypeError, r"losses must be real floating point, got int32"),
        ([1.0, 1j], {}, TypeError, r"losses must be real floating point, got complex64"),
        ("loss", {}, TypeError, r"losses must be an array of numbers, got 'loss'"),
        (None, {}, TypeError, r"losses must be an array of numbers, got None"),
        ([1.0, 2.0], {"where": [True]}, ValueError, r"where must be of shape \(2,\).*\(1,\)"),
        ([[1.0, 2.0]], {"where": [True, True]}, ValueError, r"where must be of shape \(1, 2\)"),
        ([1.0, 2.0], {"where": [[True, True]]}, ValueError, r"where must be"),
        ([1.0, 2.0], {"where": [0.5, 1.0]}, TypeError, r"where must be boolean.*float32"),
        ([1.0, 2.0], {"weights": [1.0]}, ValueError, r"weights must be of shape \(2,\).*\(1,\)"),
        ([1.0, 2.0], {"weights": [1.0, -1.0]}, ValueError, r"weights must be in \[0, inf\)"),
        ([1.0, 2.0], {"weights": [1.0, INF]}, ValueError, r"weights must be in \[0, inf\)"),
        ([1.0, 2.0], {"weights": ["a", "b"]}, TypeError, r"weights must be an array"),
        ([1.0, 2.0], {"axis": 1}, ValueError, r"axis must be an axis.*1 dimensions, got 1"),
        ([[1.0], [2.0]], {"axis": (0, -2)}, ValueError, r"axis must be.*distinct"),
        ([1.0, 2.0], {"axis": "rows"}, TypeError, r"axis must be.*'rows'"),
    ],
)
def test_errors_name_the_function_and_the_argument(name, losses, options, error, message):
    with pytest.raises(error, match=f"^{name}: {message}"):
        getattr(jl, name)(losses, **options)


def test_a_traced_negative_weight_gives_nan():
    mean = jax.jit(lambda weights: jl.mean(jnp.ones(2), weights=weights))
    assert jnp.isnan(mean(jnp.array([1.0, -1.0])))
    assert mean(jnp.array([1.0, 2.0])) == 1.0


# Splitting


def test_merging_is_exact_where_the_mean_of_means_is_not():
    parts = [jl.average(jnp.array([1.0, 2.0, 3.0])), jl.average(jnp.array([10.0]))]
    parts.append(jl.average(jnp.array([5.0, NAN]), where=jnp.zeros(2, bool)))
    assert parts[0].merge(*parts[1:]).value() == 4.0
    assert parts[2].merge(parts[1], parts[0]).value() == 4.0
    assert parts[0].merge() == parts[0]
    assert (parts[0].value() + parts[1].value()) / 2 == 6.0


def test_merging_keeps_axes_apart():
    halves = jnp.arange(12.0).reshape(2, 3, 2)
    merged = jl.average(halves[0], axis=0).merge(jl.average(halves[1], axis=0))
    np.testing.assert_array_equal(merged.value(), jl.mean(halves.reshape(6, 2), axis=0))


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["unweighted", "weighted"])
def test_gradient_accumulation_in_a_scan_equals_the_whole_batch(weights):
    steps = jax.tree.map(lambda a: a.reshape(4, 2), (INPUTS, TARGETS, VALID, weights))

    @jax.jit
    def accumulate(parameter):
        def total(parameter, step):
            x, y, valid, w = step
            losses = jl.squared_error(parameter * x, y, where=valid)
            pair = jl.average(losses, where=valid, weights=w)
            return pair.total, pair

        def body(carry, step):
            gradient, pair = jax.grad(total, has_aux=True)(parameter, step)
            return jax.tree.map(jnp.add, carry, (gradient, pair)), None

        start = (jnp.float32(0), jl.Average(jnp.float32(0), jnp.float32(0)))
        (gradient, pair), _ = lax.scan(body, start, steps)
        return pair.value(), gradient / pair.weight

    assert_whole(*accumulate(PARAMETER), weights)


def test_an_average_differentiates_through_a_scan():
    steps = jax.tree.map(lambda a: a.reshape(4, 2), (INPUTS, TARGETS, VALID))

    def scanned(parameter):
        def body(carry, step):
            x, y, valid = step
            losses = jl.squared_error(parameter * x, y, where=valid)
            pair = jl.average(losses, where=valid)
            return carry.merge(pair), None

        return lax.scan(body, jl.Average(jnp.zeros(()), jnp.zeros(())), steps)[0].value()

    assert_whole(*jax.jit(jax.value_and_grad(scanned))(PARAMETER))


@pytest.fixture
def mesh(two_devices):
    return jax.sharding.Mesh(np.array(two_devices), ("batch",))


global_loss = functools.partial(loss, axis_name="batch")


def sharded(function, mesh, **options):
    """Map over shards of the data, parameters replicated."""
    specs = (PartitionSpec(), SPLIT, SPLIT, SPLIT, SPLIT)
    mapped = jax.shard_map(
        function, mesh=mesh, in_specs=specs, out_specs=PartitionSpec(), **options
    )
    return jax.jit(mapped)(PARAMETER, INPUTS, TARGETS, VALID, WEIGHTS)


def test_the_gradient_inside_shard_map_is_complete(mesh):
    assert_whole(*sharded(jax.value_and_grad(global_loss), mesh), WEIGHTS)


def test_the_gradient_outside_shard_map_is_complete(mesh):
    def outside(parameter):
        specs = (PartitionSpec(), SPLIT, SPLIT, SPLIT, SPLIT)
        mapped = jax.shard_map(global_loss, mesh=mesh, in_specs=specs, out_specs=PartitionSpec())
        return mapped(parameter, INPUTS, TARGETS, VALID, WEIGHTS)

    assert_whole(*jax.jit(jax.value_and_grad(outside))(PARAMETER), WEIGHTS)


def test_the_mean_of_local_means_is_another_number(mesh):
    """The mistake that `axis_name` is there to prevent, so that the tests around can fail."""

    def local(*arguments):
        return lax.pmean(loss(*arguments), "batch")

    assert abs(sharded(local, mesh) - whole(WEIGHTS)[0]) > 0.1


@pytest.mark.skipif(not hasattr(lax, "pcast"), reason="this jax has no pcast")
def test_reducing_the_gradient_again_inside_shard_map_would_not_be_complete(mesh):
    def summed_twice(*arguments):
        return lax.psum(
            lax.pcast(jax.grad(global_loss)(*arguments), "batch", to="varying"), "batch"
        )

    np.testing.assert_allclose(sharded(summed_twice, mesh), 2 * whole(WEIGHTS)[1], rtol=1e-6)


def halves():
    return [a.reshape(2, 4) for a in (INPUTS, TARGETS, VALID, WEIGHTS)]


def test_under_vmap_and_pmap_the_gradient_still_wants_pmean(two_devices):
    def local(*arguments):
        value, gradient = jax.value_and_grad(global_loss)(*arguments)
        return value, gradient, lax.pmean(gradient, "batch")

    axes = (None, 0, 0, 0, 0)
    for mapped in (
        jax.vmap(local, in_axes=axes, axis_name="batch"),
        jax.pmap(local, in_axes=axes, axis_name="batch", devices=two_devices),
    ):
        value, partial, gradient = mapped(PARAMETER, *halves())
        for i in (0, 1):
            assert_whole(value[i], gradient[i], WEIGHTS)
            assert abs(partial[i] - whole(WEIGHTS)[1]) > 0.1


def test_without_vma_checks_shard_map_is_as_pmap(mesh):
    def local(*arguments):
        value, gradient = jax.value_and_grad(global_loss)(*arguments)
        return value, lax.pmean(gradient, "batch")

    assert_whole(*sharded(local, mesh, check_vma=False), WEIGHTS)


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit])
def test_named_sharding_needs_no_change(two_devices, kind):
    mesh = jax.make_mesh((2,), ("batch",), axis_types=(kind,), devices=two_devices)
    split = NamedSharding(mesh, SPLIT)
    data = jax.device_put([INPUTS, TARGETS, VALID, WEIGHTS], split)
    parameter = jax.device_put(PARAMETER, NamedSharding(mesh, PartitionSpec()))
    assert_whole(*jax.jit(jax.value_and_grad(loss))(parameter, *data), WEIGHTS)
    with jax.set_mesh(mesh):
        assert_whole(*jax.jit(jax.value_and_grad(loss))(parameter, *data), WEIGHTS)


@pytest.mark.parametrize("reduce", [jl.reduce_mean, jl.reduce_sum])
def test_a_transformation_is_global_under_axis_name(reduce):
    losses = jl.squared_error(PARAMETER * INPUTS, TARGETS)
    transformation = reduce(axis_name="batch")

    def local(losses, valid, weights):
        return transformation.update(
            {"task": losses}, optax.EmptyState(), where=valid, weights=weights
        )[0]["task"]

    shards = [a.reshape(2, 4) for a in (losses, VALID, WEIGHTS)]
    values = jax.vmap(local, axis_name="batch")(*shards)
    one = reduce().update(losses, optax.EmptyState(), where=VALID, weights=WEIGHTS)[0]
    np.testing.assert_allclose(values, [one, one], rtol=1e-6)


def test_two_mapped_axes_at_once():
    losses = jnp.arange(24.0).reshape(2, 3, 4)
    where = losses % 5 != 0
    local = lambda x, w: jl.mean(x, where=w, axis_name=("a", "b"))
    means = jax.vmap(jax.vmap(local, axis_name="b"), axis_name="a")(losses, where)
    np.testing.assert_allclose(means, np.full((2, 3), jl.mean(losses, where=where)), rtol=1e-6)


# Trees of losses

TREE = {
    "a": jnp.array([1.0, 3.0]),
    "b": (jnp.array([5.0, NAN]), jnp.array([[1.0, 2.0], [6.0, 9.0]])),
}


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (jnp.array([True, False]), {"a": 1.0, "b": (5.0, 1.5)}),
        (None, {"a": 2.0, "b": (NAN, 4.5)}),
        ({"a": None, "b": (jnp.array([True, False]), None)}, {"a": 2.0, "b": (5.0, 4.5)}),
        (
            {"a": jnp.array([False, True]), "b": (jnp.zeros(2, bool), TREE["b"][1] > 5)},
            {"a": 3.0, "b": (0.0, 7.5)},
        ),
    ],
    ids=["one for all", "none", "some", "each its own"],
)
def test_masks_may_be_one_array_or_a_tree(where, expected):
    reduce = jl.reduce_mean()
    means, state = jax.jit(reduce.update)(TREE, reduce.init(TREE), where=where)
    assert jax.tree.structure(means) == jax.tree.structure(expected)
    for value, right in zip(jax.tree.leaves(means), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(value, np.float32(right))
    assert jax.tree.leaves(state) == []


def test_weights_may_be_a_tree():
    losses = {"a": jnp.array([1.0, 3.0]), "b": jnp.array([1.0, 3.0])}
    reduce = jl.reduce_mean()
    weights = {"a": None, "b": jnp.array([3.0, 1.0])}
    means, _ = reduce.update(losses, reduce.init(losses), weights=weights)
    assert means == {"a": 2.0, "b": 1.5}


def test_sums_of_a_tree():
    reduce = jl.reduce_sum()
    sums, _ = reduce.update(TREE, reduce.init(TREE), where=jnp.array([True, False]))
    assert jax.tree.leaves(sums) == [1.0, 5.0, 3.0]


def test_a_tree_of_masks_of_another_shape_is_an_error():
    reduce = jl.reduce_mean()
    losses = {"a": jnp.ones(2), "b": jnp.ones(2)}
    with pytest.raises(ValueError, match=r"mean: where must be of shape \(2,\)"):
        reduce.update(losses, reduce.init(losses), where={"a": jnp.ones(3, bool), "b": None})
    with pytest.raises(ValueError, match="b"):
        reduce.update(losses, reduce.init(losses), where={"a": jnp.ones(2, bool)})


def test_unknown_extra_arguments_pass():
    reduce = jl.reduce_mean()
    means, _ = reduce.update(TREE["a"], reduce.init(TREE["a"]), None, step=3, key=None)
    assert means == 2.0


def test_masked_tasks_keep_their_examples():
    """`optax.masked` hides the other tasks; masks and weights still line up with the rest."""
    losses = {"a": jnp.array([1.0, 3.0]), "b": jnp.array([5.0, 7.0])}
    where = {"a": jnp.array([True, False]), "b": None}
    only_a = optax.masked(jl.reduce_mean(), {"a": True, "b": False})
    out, _ = only_a.update(losses, only_a.init(losses), where=jnp.array([True, False]))
    assert out["a"] == 1.0
    np.testing.assert_array_equal(out["b"], losses["b"])
    out, _ = jax.jit(only_a.update)(losses, only_a.init(losses), where=where)
    assert out["a"] == 1.0


def test_partition_reduces_each_task_its_own_way():
    losses = {"a": jnp.array([1.0, 3.0]), "b": jnp.array([5.0, 7.0]), "c": jnp.array([2.0, 4.0])}
    kinds = {"mean": jl.reduce_mean(), "sum": jl.reduce_sum()}
    split = optax.partition(kinds, {"a": "mean", "b": "sum", "c": "mean"})
    out, _ = jax.jit(split.update)(losses, split.init(losses))
    assert out == {"a": 2.0, "b": 12.0, "c": 3.0}
    out, _ = split.update(losses, split.init(losses), where=jnp.array([False, True]))
    assert out == {"a": 3.0, "b": 7.0, "c": 4.0}
    where = {"a": None, "b": jnp.array([True, False]), "c": jnp.array([True, False])}
    out, _ = split.update(losses, split.init(losses), where=where)
    assert out == {"a": 2.0, "b": 5.0, "c": 2.0}


def test_changing_the_mask_does_not_recompile():
    traces = []

    @jax.jit
    def mean(losses, where):
        traces.append(None)
        return jl.mean(losses, where=where)

    assert mean(jnp.array([1.0, 2.0]), jnp.array([True, False])) == 1.0
    assert mean(jnp.array([1.0, 2.0]), jnp.array([False, True])) == 2.0
    assert len(traces) == 1
