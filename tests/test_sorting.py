"""The one sort, and the running sums of rankings, against plain programs."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

import jaxloss as jl
from jaxloss import numerics
from jaxloss.divergence import kernel, samples
from jaxloss.numerics import sorting
from jaxloss.ranking import lists, lotteries

DTYPES = ("float32", "float16", "bfloat16", "int32", "int8", "uint8", "bool", "float64", "int64")


def keys(rng, shape, dtype):
    """Return numbers with ties, of both signs, and of floats all that are special."""
    if dtype == "bool":
        return jnp.asarray(rng.integers(0, 2, shape), bool)
    if not jnp.issubdtype(dtype, jnp.floating):
        low = 0 if dtype.startswith("u") else -100
        return jnp.asarray(rng.integers(low, 100, shape), dtype)
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, -np.nan, 2.0, -2.0, 1.5, -1.5]
    drawn = np.where(
        rng.uniform(size=shape) < 0.5, rng.choice(special, shape), rng.normal(size=shape)
    )
    return jnp.asarray(drawn, dtype)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1,), (257,), (3, 64), (2, 3, 5), (4, 0)], ids=str)
def test_order_and_values_are_those_of_the_plain_sort(shape, dtype, rng):
    x = keys(rng, shape, dtype)
    order = jax.jit(numerics.argsort)(x)
    assert order.dtype == jnp.int32
    np.testing.assert_array_equal(order, jnp.argsort(x, axis=-1, stable=True))
    found = jax.jit(numerics.sort)(x)
    assert found.dtype == x.dtype
    # NumPy knows no NaN of bfloat16.
    plain, where = sorting._plain(x)
    for expected in (jnp.sort(x, axis=-1), plain):
        np.testing.assert_array_equal(*(y.astype(jnp.float64) for y in (found, expected)))
    np.testing.assert_array_equal(where, order)


def test_without_64_bit_types_it_is_the_same(rng):
    x = keys(rng, (7, 300), "float32")
    assert not jax.config.jax_enable_x64
    for run in (numerics.argsort, jax.jit(numerics.argsort), jax.vmap(numerics.argsort)):
        np.testing.assert_array_equal(run(x), np.argsort(x, axis=-1, kind="stable"))


def test_next_keys_decide_ties(rng):
    first, second, third = (jnp.asarray(rng.integers(0, 3, (4, 50))) for _ in range(3))
    expected = np.lexsort((third, second, first))
    np.testing.assert_array_equal(numerics.argsort(first, second, third), expected)
    back = numerics.places(first, second, third)
    np.testing.assert_array_equal(back, np.argsort(expected, axis=-1))


def test_put_undoes_take(rng):
    x = jnp.asarray(rng.normal(size=(2, 3, 17)), jnp.float32)
    order = numerics.argsort(x)
    np.testing.assert_array_equal(numerics.put(numerics.take(x, order), order), x)
    np.testing.assert_array_equal(numerics.take(x, order), jnp.take_along_axis(x, order, axis=-1))


@pytest.mark.parametrize("shape", [(40,), (3, 21)])
def test_derivatives_are_those_of_the_plain_sort(shape, rng):
    x, move, weights = (jnp.asarray(rng.normal(size=shape), jnp.float32) for _ in range(3))
    x = jnp.round(4 * x) / 4
    loss = lambda sort, x: jnp.sum(weights * sort(x) ** 3)
    ours, plain = functools.partial(loss, numerics.sort), functools.partial(loss, jnp.sort)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-6)
    close(jax.jit(jax.grad(ours))(x), jax.grad(plain)(x))
    close(jax.jvp(ours, (x,), (move,))[1], jax.jvp(plain, (x,), (move,))[1], rtol=1e-5)
    close(jax.hessian(ours)(x), jax.hessian(plain)(x))
    by_argsort = lambda x: loss(lambda x: numerics.take(x, numerics.argsort(x)), x)
    close(jax.grad(by_argsort)(x), jax.grad(plain)(x))


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit], ids=str)
def test_it_sorts_shards(kind, rng, two_devices):
    x = jnp.asarray(rng.normal(size=(4, 9)), jnp.float32)
    mesh = jax.make_mesh((2,), ("data",), axis_types=(kind,), devices=two_devices)
    slope = jax.grad(lambda x: jnp.sum(numerics.sort(x) * jnp.sin(numerics.sort(x))))
    split = jax.device_put(x, jax.NamedSharding(mesh, P("data", None)))
    with jax.set_mesh(mesh):
        np.testing.assert_allclose(jax.jit(slope)(split), slope(x), rtol=1e-6)
        specs = {"in_specs": P("data", None), "out_specs": P("data", None)}
        mapped = jax.jit(jax.shard_map(numerics.places, **specs))(split)
        np.testing.assert_allclose(jax.jit(jax.shard_map(slope, **specs))(split), slope(x), 1e-6)
    np.testing.assert_array_equal(mapped, numerics.places(x))


def test_on_the_cpu_one_integer_is_compared_at_a_time():
    text = jax.jit(numerics.argsort).lower(jnp.zeros((2, 9))).as_text()
    assert text.count("stablehlo.sort") == 1
    assert "tensor<2x9xi64>) -> tensor<2x9xi64>" in text
    elsewhere = (
        jax.jit(numerics.argsort).trace(jnp.zeros((2, 9))).lower(lowering_platforms=("cuda",))
    )
    assert "i64>)" not in elsewhere.as_text()


# Running sums


@pytest.mark.parametrize("length", [1, 2, 3, 8, 33])
def test_one_by_one_and_doubling_agree(length, rng):
    values, keep = (jnp.asarray(rng.uniform(size=(2, length)), jnp.float32) for _ in range(2))
    keep = keep.at[:, -1].set(0).at[0, length // 2].set(0)
    walls = jnp.where(keep > 0, jnp.inf, -jnp.inf)
    for plus, times, passing in ((jnp.add, jnp.multiply, keep), (jnp.maximum, jnp.minimum, walls)):
        a, b = (
            f(plus, times, values, passing) for f in (lotteries._one_by_one, lotteries._doubling)
        )
        np.testing.assert_allclose(a, b, rtol=1e-6)


def pairwise(scores, relevance, weights, segments, where):
    """ListMLE as it is defined, with all pairs at once."""
    given, _ = lists.prepare("plain", where, segments=segments, scores=scores, relevance=relevance)
    mine, other = given.relevance[..., :, None], given.relevance[..., None, :]
    index = jnp.arange(scores.shape[-1])
    later = (index[None, :] >= index[:, None])[(None,) * (mine.ndim - 2)]
    remain = given.pairs() & ((other < mine) | ((other == mine) & later))
    place = given.sums(jnp.ones_like(given.scores)) - jnp.sum(remain, axis=-1)
    at = jnp.broadcast_to(weights, scores.shape)
    at = jnp.take_along_axis(at, jnp.where(given.mask, place, 0).astype(int), axis=-1)
    good = given.mask & (given.largest(given.relevance, 0) > 0)
    return jnp.sum(jnp.where(good, at * lists.surprisal_within(given.scores, remain), 0), axis=-1)


CASES = {
    "plain": {},
    "segments": {"segments": lambda rng, shape: jnp.asarray(rng.integers(-1, 3, shape))},
    "mask": {"where": lambda rng, shape: jnp.asarray(rng.uniform(size=shape) < 0.6)},
    "both": {
        "segments": lambda rng, shape: jnp.asarray(rng.integers(0, 3, shape[-1:])),
        "where": lambda rng, shape: jnp.asarray(rng.uniform(size=shape) < 0.6),
    },
}


@pytest.mark.parametrize(("case", "scale"), [*((case, 1.0) for case in CASES), ("both", 300.0)])
def test_listmle_is_that_of_all_pairs(case, scale, rng):
    scores, move = (jnp.asarray(rng.normal(size=(3, 19)), jnp.float32) for _ in range(2))
    relevance = jnp.asarray(rng.integers(0, 4, (3, 19)), jnp.float32)
    weights = jnp.asarray(rng.uniform(size=19), jnp.float32)
    more = {"segments": None, "where": None}
    more |= {name: make(rng, scores.shape) for name, make in CASES[case].items()}
    cotangent = jnp.asarray([1.0, -2.0, 0.5])

    def ours(scores, weights):
        losses = jl.position_aware_listmle_loss(scores, relevance, position_weights=weights, **more)
        return jnp.vdot(cotangent, losses)

    def plain(scores, weights):
        return jnp.vdot(cotangent, pairwise(scores, relevance, weights[None], **more))

    close = lambda a, b: np.testing.assert_allclose(
        a, b, rtol=1e-4, atol=1e-6 + 1e-5 * np.abs(b).max()
    )
    at = (scale * scores, weights)
    close(ours(*at), plain(*at))
    for i in (0, 1):
        close(jax.jit(jax.grad(ours, i))(*at), jax.jit(jax.grad(plain, i))(*at))
    if case != "both":
        return
    along = lambda f: jax.jvp(jax.grad(f), at, (move, jnp.zeros_like(weights)))[1]
    close(jax.jit(along, static_argnums=0)(ours), jax.jit(along, static_argnums=0)(plain))


def test_listmle_under_vmap_is_that_of_each_list(rng):
    scores, relevance = jnp.asarray(rng.uniform(0, 9, size=(2, 3, 6)), jnp.float32)
    each = jax.jit(jax.vmap(jl.listmle_loss))(scores, relevance)
    np.testing.assert_allclose(each, jax.jit(jl.listmle_loss)(scores, relevance), rtol=1e-6)


def test_memory_of_sorted_losses_grows_with_the_number_of_items():
    def temp(loss, *shapes):
        total = jax.grad(lambda *args: jnp.sum(loss(*args)))
        compiled = jax.jit(total).lower(*(jnp.zeros(shape) for shape in shapes)).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    energy = lambda x, y: jl.energy_distance(x[..., None], y[..., None])
    for loss in (jl.listmle_loss, jl.lovasz_hinge_loss, jl.wasserstein_1d, energy):
        small, large = (temp(loss, (2, n), (2, n)) for n in (512, 1024))
        assert large <= 2.2 * small


# Energy distance of numbers


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("unbiased", [False, True])
def test_energy_of_numbers_is_that_of_all_pairs(unbiased, ties, rng):
    x, y = (jnp.asarray(rng.normal(size=(2, n, 1)), jnp.float32) for n in (9, 7))
    x, y = (jnp.round(2 * z) / 2 for z in (x, y)) if ties else (x, y + 100)
    weights = jnp.asarray(rng.uniform(size=(2, 9)), jnp.float32)
    where = jnp.asarray(rng.uniform(size=(2, 7)) < 0.7)
    cotangent = jnp.asarray([1.0, -2.0])

    def ours(x, y, weights):
        more = {"unbiased": unbiased, "weights": weights, "where_targets": where}
        return jnp.vdot(cotangent, jl.energy_distance(x, y, **more))

    def plain(x, y, weights):
        options = samples.Options(None, where, weights, None)
        one, two, _ = samples.pair("plain", options, 2, predictions=x, targets=y)
        return jnp.vdot(cotangent, kernel._over_pairs(kernel._energy, one, two, unbiased))

    found, expected = (
        jax.jit(jax.value_and_grad(f, (0, 1, 2)))(x, y, weights) for f in (ours, plain)
    )
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * np.abs(b).max())
