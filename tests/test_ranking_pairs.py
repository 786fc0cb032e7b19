"""Sums over pairs, ranks and blocks without arrays of pairs, beside programs that hold them."""

import functools
import re

import closeness
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxloss as jl
from jaxloss.ranking import approximate, isotonic, lists, pairs

LISTS, ITEMS = 3, 13


def draw(rng, *shape):
    return jnp.asarray(rng.normal(size=shape), jnp.float32)


def close(got, expected, rtol=1e-5):
    closeness.close(got, expected, rtol)


# The plain forms


def counted(shape, segments, where):
    """Tell which pairs `[..., n, n]` count, and a pair of an item with itself does not."""
    where = jnp.ones(shape, bool) if where is None else where
    both = where[..., :, None] & where[..., None, :]
    if segments is not None:
        segments = jnp.broadcast_to(segments, shape)
        both &= segments[..., :, None] == segments[..., None, :]
    return both & ~jnp.eye(shape[-1], dtype=bool).reshape((1,) * (len(shape) - 1) + both.shape[-2:])


def gaps(x, chosen):
    return jnp.where(chosen, x[..., :, None] - x[..., None, :], 0)


def plain(loss, scores, relevance, weights=1.0, every=False, segments=None, where=None):
    """Sum over all ordered pairs at once."""
    chosen = counted(scores.shape, segments, where)
    if not every:
        chosen &= relevance[..., :, None] > relevance[..., None, :]
    grades = jnp.where(chosen, gaps(relevance, chosen), 1)
    return jnp.sum(
        jnp.where(chosen, weights * loss(gaps(scores, chosen), grades), 0), axis=(-2, -1)
    )


def ahead(keys, segments=None, where=None):
    """Tell at `[i, j]` whether item `j` comes before item `i`; earlier keys decide first."""
    before = jnp.tri(keys[0].shape[-1], k=-1, dtype=bool)
    before = before.reshape((1,) * (keys[0].ndim - 1) + before.shape)
    for key in reversed(keys):
        mine, other = key[..., :, None], key[..., None, :]
        before = (other > mine) | ((other == mine) & before)
    return before & counted(keys[0].shape, segments, where)


def smooth_ndcg(scores, relevance, temperature, segments=None, where=None):
    """ApproxNDCG with all pairs at once."""
    chosen = counted(scores.shape, segments, where)
    rank = 1 + jnp.sum(
        jnp.where(chosen, jax.nn.sigmoid(-gaps(scores, chosen) / temperature[..., None, None]), 0),
        axis=-1,
    )
    gains = 2**relevance - 1 if where is None else jnp.where(where, 2**relevance - 1, 0)
    best = 1 + jnp.sum(ahead([relevance, scores], segments, where), axis=-1)
    mine = (chosen | jnp.eye(scores.shape[-1], dtype=bool)[None]).astype(scores.dtype)
    ideal = jnp.sum(mine * (gains / jnp.log2(1.0 + best))[..., None, :], axis=-1)
    lost = gains * (1 / jnp.log2(1.0 + best) - 1 / jnp.log2(1 + rank))
    return jnp.sum(jnp.where(ideal > 0, lost / jnp.where(ideal > 0, ideal, 1), 0), axis=-1)


# Each is ours and the plain form of scores, relevance, a number for each list, and options.
softplus, relu = jax.nn.softplus, jax.nn.relu


def hinge(scores, relevance, number, **options):
    cost = lambda lead, _: relu(number[..., None, None] - lead)
    return plain(cost, scores, relevance, **options)


def weighted(scores, relevance, number, **options):
    weights = jnp.cos(jnp.arange(1.0, ITEMS**2 + 1)).reshape(1, ITEMS, ITEMS)
    weights = weights * number[..., None, None]
    ours = jl.pairwise_logistic_loss(scores, relevance, pair_weights=weights, **options)
    return ours, plain(lambda d, _: softplus(-d), scores, relevance, weights, **options)


def weighted_by_item(scores, relevance, number, **options):
    weights = (number[..., None] * jnp.arange(1.0, ITEMS + 1)[None])[..., None]
    ours = jl.pairwise_squared_loss(scores, relevance, pair_weights=weights, **options)
    return ours, plain(lambda d, g: (d - g) ** 2, scores, relevance, weights, True, **options)


def own(scores, relevance, number, **options):
    cost = lambda d, g: jnp.exp(-d * number[..., None, None]) * g
    ours = jl.pairwise_loss(scores, relevance, pair_loss=cost, **options)
    return ours, plain(cost, scores, relevance, **options)


def lambdas(scheme, scores, relevance, number, **options):
    more = {"scheme": scheme, "mu": 3.0, "top_n": 4}
    ours = jl.lambdarank_loss(scores, relevance, sigma=number, **more, **options)
    weights = jl.lambda_weights(scores, relevance, **more, **options)
    cost = lambda d, _: softplus(-number[..., None, None] * d)
    return ours, plain(cost, scores, relevance, weights, scheme == "ndcg1", **options)


CASES = {
    "hinge": lambda s, y, x, **o: (
        jl.pairwise_hinge_loss(s, y, margin=x, **o),
        hinge(s, y, x, **o),
    ),
    "squared": lambda s, y, x, **o: (
        jl.pairwise_squared_loss(s, y, **o) * x,
        plain(lambda d, g: (d - g) ** 2, s, y, every=True, **o) * x,
    ),
    "weighted": weighted,
    "weighted by item": weighted_by_item,
    "own": own,
    "lambdarank ndcg1": functools.partial(lambdas, "ndcg1"),
    "lambdarank ndcg2++": functools.partial(lambdas, "ndcg2++"),
    "approx_ndcg": lambda s, y, x, **o: (
        jl.approx_ndcg_loss(s, y, temperature=x, **o),
        smooth_ndcg(s, y, x, **o),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_sums_over_pairs_and_every_mode_of_differentiation(case, rng):
    s, move, weights = draw(rng, LISTS, ITEMS), draw(rng, LISTS, ITEMS), draw(rng, LISTS)
    y = jnp.asarray(rng.integers(0, 4, (LISTS, ITEMS)), jnp.float32)
    number = jnp.asarray(rng.uniform(0.5, 2, LISTS), jnp.float32)
    where = jnp.asarray(rng.uniform(size=s.shape) < 0.8).at[0].set(True)
    segments = jnp.asarray(rng.integers(0, 3, ITEMS))

    # Each half of the options, and the modes of reverse within reverse, once.
    options = {} if case in ("hinge", "own") else {"where": where, "segments": segments}

    def derivatives(side):
        total = lambda *args: jnp.vdot(weights, CASES[case](*args, **options)[side])
        slope = jax.grad(total)
        yield jax.value_and_grad(total, argnums=(0, 1, 2))(s, y, number)
        yield jax.jvp(slope, (s, y, number), (move, move, weights))[1]
        if case in ("hinge", "approx_ndcg"):
            yield jax.grad(lambda s: jnp.vdot(slope(s, y, number), move))(s)

    close(*jax.jit(lambda: [list(derivatives(side)) for side in (0, 1)])(), rtol=3e-5)


@pytest.mark.parametrize("chunk", [1, 5, 40])
def test_sums_are_the_same_some_others_at_a_time(chunk, rng):
    given = lists.Lists(
        draw(rng, LISTS, ITEMS), draw(rng, LISTS, ITEMS), jnp.ones((LISTS, ITEMS), bool), None
    )
    between = (draw(rng, LISTS, ITEMS, ITEMS), draw(rng, 1, 1, ITEMS))
    each = pairs.items(given)

    def term(mine, other, scale, weights):
        value = scale * jnp.sin(mine.scores - 2 * other.scores) * (weights[0] + weights[1])
        return jnp.where(mine.mask & other.mask, value, 0)

    run = jax.jit(functools.partial(pairs._in_steps, term, chunk))
    found = run(each, (jnp.float32(3),), between)
    others = given.scores[..., :, None]
    expected = 3 * jnp.sin(given.scores[..., None, :] - 2 * others) * (between[0] + between[1])
    close(found, jnp.sum(expected, axis=-2))
    ranked = approximate._ranked(given, lists.ranks(given, given.scores))
    drift = functools.partial(pairs._in_steps, approximate._doubt)
    close(*(jax.jit(functools.partial(drift, k))(ranked, (1.0,), ()) for k in (1, chunk)))


def test_under_vmap_and_with_lists_on_no_axis(rng):
    s, y = draw(rng, 2, LISTS, ITEMS), draw(rng, 2, LISTS, ITEMS) ** 2
    for loss in (jl.pairwise_logistic_loss, jl.approx_ndcg_loss):
        slope = jax.grad(lambda s, y, loss=loss: jnp.sum(loss(s, y) ** 2))
        close(*jax.jit(lambda s, y, f=slope: (jax.vmap(jax.vmap(f))(s, y), f(s, y)))(s, y))


# Ranks


@pytest.mark.parametrize("segmented", [False, True])
def test_ranks_are_those_of_comparisons(segmented, rng):
    s, y = (jnp.asarray(rng.integers(-2, 2, (4, 29)), jnp.float32) for _ in range(2))
    s = s.at[0, ::3].set(-jnp.inf).at[1, 4].set(-0.0)
    where = jnp.asarray(rng.uniform(size=s.shape) < 0.7).at[2].set(False)
    segments = jnp.asarray(rng.integers(-1, 3, s.shape)) if segmented else None
    given = lists.Lists(s, y, where, None, segments)
    for keys in ((s,), (y, s)):
        found = jax.jit(lambda *keys: lists.ranks(given, *keys))(*keys)
        expected = 1 + jnp.sum(ahead(keys, segments, where), axis=-1)
        np.testing.assert_array_equal(np.where(where, found, 0), np.where(where, expected, 0))
    chosen = where & (y > 0)
    found = jax.jit(lists.counts_ahead)(given, chosen, s)
    expected = jnp.sum(ahead([s], segments, where) & chosen[..., None, :], axis=-1)
    np.testing.assert_array_equal(np.where(where, found, 0), np.where(where, expected, 0))


# Blocks


@pytest.mark.parametrize("length", [1, 33])
def test_blocks_are_those_of_the_closed_form(length, rng):
    values = draw(rng, 5, length) + jnp.linspace(0, 3, length)[None]
    taken = jnp.arange(length)[None] < jnp.asarray([[0], [1], [length // 2], [length], [length]])
    padded = jnp.where(taken, values, jnp.inf)
    found = jax.jit(isotonic.blocks)(values, taken)
    others = jax.jit(isotonic._by_starts)(padded)
    np.testing.assert_array_equal(np.where(taken, found, 0), np.where(taken, others, 0))
    index = np.arange(length)
    starts, ends = np.meshgrid(index, index, indexing="ij")
    for row, block, count in zip(np.asarray(values, float), found, taken.sum(axis=-1), strict=True):
        sums = np.cumsum(row)
        means = (sums[None] - (sums - row)[:, None]) / np.maximum(ends - starts + 1, 1)
        means = np.where(ends >= starts, means, np.inf)[:count, :count]
        fitted = [means[: k + 1, k:].min(axis=1).max() for k in range(count)]
        mine = [row[:count][block[:count] == b].mean() for b in block[:count]]
        np.testing.assert_allclose(mine, fitted, rtol=1e-5, atol=1e-6)


# What it costs, counted and not timed


def compiled(loss, items):
    data = [jax.ShapeDtypeStruct((2, items), jnp.float32)] * 2
    return jax.jit(jax.value_and_grad(lambda s, y: loss(s, y).sum())).lower(*data).compile()


PLAIN = {
    "pairwise_logistic_loss": functools.partial(plain, lambda d, _: softplus(-d)),
    "lambdarank_loss": lambda s, y: plain(lambda d, _: softplus(-d), s, y, jl.lambda_weights(s, y)),
    "approx_ndcg_loss": lambda s, y: smooth_ndcg(s, y, jnp.ones(2)),
}


@pytest.mark.parametrize("name", PLAIN)
def test_memory_grows_with_items_and_not_with_pairs(name):
    small, large, held = (
        compiled(loss, n)
        for loss, n in ((getattr(jl, name), 257), (getattr(jl, name), 514), (PLAIN[name], 257))
    )
    temp = [x.memory_analysis().temp_size_in_bytes for x in (small, large, held)]
    assert temp[0] <= 0.08 * temp[2]
    assert temp[1] <= 2.2 * temp[0]
    square = re.compile(r"257,257\]")
    assert square.search(held.as_text())
    assert not square.search(small.as_text())


def test_metrics_and_soft_ranks_take_the_memory_of_items():
    for function in (jl.ndcg, jl.average_precision, lambda s, y: jl.soft_rank(s) * y):
        assert not re.search(r"257,257\]", compiled(function, 257).as_text())
