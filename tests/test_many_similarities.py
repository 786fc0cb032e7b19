"""Losses of all similarities of large sets: what the plain form gives, without its memory."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import jaxloss as jl
from jaxloss.contrastive import rows

MEMBERS, SIZE = 23, 7


@pytest.fixture
def taken_apart(monkeypatch):
    """Few members are treated as many: five at a time, of which the last are fewer."""
    monkeypatch.setattr(rows, "_PAIRS", dict.fromkeys(rows._PAIRS, (5 * MEMBERS, 0)))
    monkeypatch.setattr(rows, "_LEAST", 1)
    jax.clear_caches()
    yield
    jax.clear_caches()


def draw(rng, *shape):
    return jnp.asarray(rng.normal(size=shape), jnp.float32)


def close(got, expected, rtol=2e-5):
    got, expected = map(jax.tree.leaves, (got, expected))
    for a, b in zip(got, expected, strict=True):
        assert a.dtype == b.dtype
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * (1e-6 + np.abs(b).max(initial=0)))


# The losses with all similarities at hand


def unit(x):
    length = jnp.sqrt(jnp.sum(x**2, axis=-1, keepdims=True))
    return x / jnp.where(length == 0, 1, length)


def log_sum(values, chosen, axis=1):
    some = jnp.any(chosen, axis=axis)
    chosen = chosen | ~jnp.expand_dims(some, axis)
    return some, jax.nn.logsumexp(values, axis=axis, where=chosen)


def paired(row):
    def loss(first, second, t, where):
        first, second = (jnp.where(where[:, None], x, 0) for x in (first, second))
        here = where[:, None] & where[None]
        return jnp.where(where, row(first, second, t, here), 0)

    return loss


def own(s):
    return jnp.diagonal(s)


def plain_info(first, second, t, here):
    s = unit(first) @ unit(second).T / t
    return log_sum(s, here)[1] - own(s)


def plain_n_pairs(first, second, t, here):
    s = first @ second.T + 0 * t
    return log_sum(s, here)[1] - own(s)


def plain_clip(first, second, t, here):
    return (plain_info(first, second, t, here) + plain_info(second, first, t, here)) / 2


def plain_decoupled(first, second, t, here):
    here = here & ~jnp.eye(len(first), dtype=bool)
    across, within = (unit(first) @ unit(x).T / t for x in (second, first))
    some, total = log_sum(jnp.concatenate([across, within], 1), jnp.concatenate([here] * 2, 1))
    return jnp.where(some, total - own(across), 0)


def plain_siglip(first, second, t, here):
    s = unit(first) @ unit(second).T / t - 10
    signed = jnp.where(jnp.eye(len(first), dtype=bool), -s, s)
    return jnp.sum(jnp.where(here, jax.nn.softplus(signed), 0), axis=1)


def grouped(row):
    def loss(x, labels, t, where):
        x = jnp.where(where[:, None], x, 0)
        here = where[:, None] & where[None] & ~jnp.eye(len(x), dtype=bool)
        same = labels[:, None] == labels[None]
        s = unit(x) @ unit(x).T / t
        count = jnp.sum(here & same, axis=1)
        total = jnp.sum(jnp.where(here & same, row(s, here, here & ~same), 0), axis=1)
        return total / jnp.where(count == 0, 1, count)

    return loss


def plain_supervised(s, here, far):
    return log_sum(s, here)[1][:, None] - s


def plain_ntxent(s, here, far):
    some, total = log_sum(s, far)
    return jnp.where(some[:, None], jax.nn.softplus(total[:, None] - s), 0)


def n_pairs(first, second, temperature, where):
    return jl.n_pairs_loss(first, second, where=where) + 0 * temperature


LOSSES = {
    "info_nce_loss": (jl.info_nce_loss, paired(plain_info)),
    "n_pairs_loss": (n_pairs, paired(plain_n_pairs)),
    "clip_loss": (jl.clip_loss, paired(plain_clip)),
    "decoupled_contrastive_loss": (jl.decoupled_contrastive_loss, paired(plain_decoupled)),
    "siglip_loss": (jl.siglip_loss, paired(plain_siglip)),
    "supervised_contrastive_loss": (jl.supervised_contrastive_loss, grouped(plain_supervised)),
    "ntxent": (jl.ntxent, grouped(plain_ntxent)),
}
GROUPED = ("supervised_contrastive_loss", "ntxent")
# Sums over rows and columns, over rows of one of the positives, and a formula of rows.
KINDS = ("clip_loss", "supervised_contrastive_loss", "siglip_loss")


def forms(name):
    """Return ours and the plain form, `f(first, second, temperature, where)`."""
    ours, plain = LOSSES[name]
    return lambda a, b, t, where: ours(a, b, temperature=t, where=where), plain


def second(name, rng, members=MEMBERS):
    return jnp.asarray(rng.integers(0, 6, members)) if name in GROUPED else draw(rng, members, SIZE)


def problem(name, rng, members=MEMBERS):
    where = jnp.asarray(rng.uniform(size=members) < 0.8)
    return draw(rng, members, SIZE), second(name, rng, members), jnp.float32(0.4), where


def slopes(f, name, cotangent):
    """Return the value and the gradient in all that is real, temperature included."""
    kinds = (0, 2) if name in GROUPED else (0, 1, 2)
    value = lambda a, b, t, where: jnp.vdot(f(a, b, t, where), cotangent)
    return jax.value_and_grad(value, kinds)


@pytest.mark.usefixtures("taken_apart")
@pytest.mark.parametrize("name", LOSSES)
def test_value_and_gradient_with_masks_from_none_to_all(name, rng):
    first, other, t, where = problem(name, rng)
    cotangent = draw(rng, MEMBERS)
    run = [jax.jit(slopes(f, name, cotangent)) for f in forms(name)]
    masks = where, jnp.ones_like(where), jnp.zeros_like(where), jnp.arange(MEMBERS) == 3
    for mask in masks:
        spoilt = jnp.where(mask[:, None], first, jnp.nan)
        got, expected = run[0](spoilt, other, t, mask), run[1](first, other, t, mask)
        close(got, expected, rtol=1e-4)
        assert not np.any(got[1][0][~mask])


@pytest.mark.usefixtures("taken_apart")
@pytest.mark.parametrize("name", KINDS)
def test_every_order_and_mode_of_differentiation(name, rng):
    first, other, t, where = problem(name, rng)
    move, cotangent = draw(rng, MEMBERS, SIZE), draw(rng, MEMBERS)

    def derivatives(f):
        along = lambda x, t: f(x, other, t, where)
        slope = lambda x, t: jax.grad(lambda x: jnp.vdot(along(x, t), cotangent))(x)
        yield jax.jvp(along, (first, t), (move, jnp.float32(0.3)))
        yield jax.jvp(slope, (first, t), (move, jnp.float32(0.3)))[1]
        yield jax.grad(lambda x, t: jnp.vdot(slope(x, t), move), (0, 1))(first, t)

    close(*(jax.jit(lambda f=f: list(derivatives(f)))() for f in forms(name)), rtol=2e-4)


@pytest.mark.usefixtures("taken_apart")
@pytest.mark.parametrize("name", KINDS[:2])
def test_sets_side_by_side(name, rng):
    sets = [problem(name, rng) for _ in range(3)]
    first, other, _, where = (jnp.stack(part) for part in zip(*sets, strict=True))
    t = jnp.float32([0.2, 0.5, 1.0])
    ours, plain = (slopes(f, name, jnp.ones(MEMBERS)) for f in forms(name))
    at_once = slopes(forms(name)[0], name, jnp.ones((3, MEMBERS)))
    expected = jax.jit(jax.vmap(plain))(first, other, t, where)
    close(jax.jit(jax.vmap(ours))(first, other, t, where), expected, rtol=1e-4)
    value, slope = jax.jit(at_once)(first, other, t, where)
    close((value, slope), (expected[0].sum(), expected[1]), rtol=1e-4)


@pytest.mark.usefixtures("taken_apart", "x64")
def test_precision(rng):
    first, other, t, where = problem("clip_loss", rng)
    ones = jnp.ones(MEMBERS, jnp.float32)
    ours, plain = (jax.jit(slopes(f, "clip_loss", ones)) for f in forms("clip_loss"))
    wide = jnp.asarray(first, jnp.float64), jnp.asarray(other, jnp.float64)
    close(ours(*wide, 0.4, where), plain(*wide, 0.4, where), rtol=1e-13)
    half = first.astype(jnp.bfloat16), other.astype(jnp.bfloat16)
    value, (slope, *_) = ours(*half, t, where)
    exact, (expected, *_) = plain(*(x.astype(jnp.float32) for x in half), t, where)
    assert value.dtype == jnp.float32 and slope.dtype == jnp.bfloat16
    close((value, slope.astype(jnp.float32)), (exact, expected), rtol=1e-2)


@pytest.mark.usefixtures("taken_apart")
@pytest.mark.parametrize("name", ["clip_loss", "supervised_contrastive_loss"])
def test_confident_anchors_keep_their_small_loss_and_gradient(name, rng):
    """Of pairs far from all others: the others' shares of a sum are about `exp(-30)`."""
    place = jnp.arange(MEMBERS - 1) // (2 if name in GROUPED else 1)
    x = jnp.eye(MEMBERS)[place] + 1e-3 * draw(rng, len(place), MEMBERS)
    other = place if name in GROUPED else jnp.eye(MEMBERS)[place]
    where = jnp.ones(len(place), bool)
    ours, plain = (slopes(f, name, jnp.ones(len(place))) for f in forms(name))
    got = jax.jit(ours)(x, other, jnp.float32(1 / 30), where)
    with jax.enable_x64(True):
        wide = [x, place if name in GROUPED else other]
        wide = [np.asarray(a, np.float64 if a.ndim == 2 else int) for a in wide]
        expected = jax.jit(plain)(*wide, 1 / 30, np.asarray(where))
        expected = jax.tree.map(lambda a: np.asarray(a, np.float32), expected)
    assert 0 < got[0] < 1e-9
    close(got, expected, rtol=1e-3)


@pytest.mark.usefixtures("taken_apart")
def test_a_similarity_of_your_own_sees_all_vectors_at_once(rng):
    centred = lambda a, b: (a - a.mean(0)[None]) @ (b - b.mean(0)[None]).T
    first, other, t, where = problem("clip_loss", rng)
    every = jnp.ones_like(where)
    got = jl.clip_loss(first, other, temperature=t, similarity=centred)
    s = centred(first, other) / t
    rows_, columns = (log_sum(s, every[:, None] & every[None], axis=axis)[1] for axis in (1, 0))
    close(got, (rows_ + columns) / 2 - own(s))


@pytest.mark.usefixtures("taken_apart")
@pytest.mark.parametrize("name", KINDS)
def test_a_split_batch_is_the_whole_batch(name, rng, two_devices):
    first, other, t, where = problem(name, rng, MEMBERS - 1)
    mesh = jax.make_mesh((2,), ("batch",), (AxisType.Auto,), devices=two_devices)
    plain = forms(name)[1]
    loss = functools.partial(LOSSES[name][0], axis_name="batch")

    def local(first, other, where):
        total = lambda a: jnp.sum(loss(a, other, temperature=t, where=where))
        return jax.grad(total)(first)

    spread = P("batch")
    split = jax.jit(jax.shard_map(local, mesh=mesh, in_specs=spread, out_specs=spread))
    whole = jax.jit(jax.grad(lambda a: jnp.sum(plain(a, other, t, where))))(first)
    close(split(first, other, where), whole, rtol=1e-4)


# What it costs, counted and not timed


@functools.cache
def compiled(name, form, members, size=32, devices=None):
    f = forms(name)[form]
    where = jnp.ones(members, bool)
    kinds = 0 if name in GROUPED else (0, 1)
    step = jax.value_and_grad(lambda a, b: jnp.mean(f(a, b, jnp.float32(0.1), where)), kinds)
    spread = devices and NamedSharding(jax.sharding.Mesh(np.array(devices), "batch"), P("batch"))
    real = jax.ShapeDtypeStruct((members, size), jnp.float32, sharding=spread)
    whole = jax.ShapeDtypeStruct((members,), jnp.int32, sharding=spread)
    return jax.jit(step).lower(real, whole if name in GROUPED else real).compile()


@pytest.fixture
def sixteen_rows(monkeypatch):
    monkeypatch.setattr(rows, "_PAIRS", dict.fromkeys(rows._PAIRS, (2**13, 2**13)))
    monkeypatch.setattr(rows, "_LEAST", 16)


@pytest.mark.usefixtures("sixteen_rows")
@pytest.mark.parametrize("name", KINDS)
def test_memory_is_that_of_some_rows(name):
    temp = lambda *args: compiled(name, *args).memory_analysis().temp_size_in_bytes
    assert temp(0, 512) <= 0.3 * temp(1, 512)
    assert temp(0, 1024) <= 2.2 * temp(0, 512)
    shapes = [re.search(r"f32\[512,512\]", compiled(name, form, 512).as_text()) for form in (0, 1)]
    assert not shapes[0] and shapes[1]


@pytest.mark.usefixtures("sixteen_rows")
def test_a_batch_that_the_compiler_splits_is_worked_by_all(two_devices):
    text = compiled("siglip_loss", 0, 512, devices=tuple(two_devices)).as_text()
    products = re.findall(r"f32\[(\d+),(\d+)\]\S* dot\(", text)
    assert ("16", "256") in products and not any("512" in product for product in products)
