"""Losses of sequences: values worked out by hand and by enumeration, padding, edges, messages."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxloss as jl

NAN, INF = np.nan, np.inf
ALIGNED = ["ctc_loss", "rnnt_loss"]


def ramp(lengths, size):
    """Paddings of sequences of these lengths."""
    return (np.arange(size) >= np.asarray(lengths)[..., None]).astype(np.float32)


def probabilities(x):
    e = np.exp(np.asarray(x, np.float64) - np.max(x, axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


@functools.cache
def compiled(name, **options):
    loss = functools.partial(getattr(jl, name), **options)

    @jax.jit
    def run(first, *rest, where=None):
        value, pull = jax.vjp(lambda x: loss(x, *rest, where=where), first)
        return value, *pull(jnp.ones_like(value))

    return run


def evaluate(name, *data, where=None, **options):
    """Return the loss and its gradient in the first argument."""
    return [np.asarray(a) for a in compiled(name, **options)(*data, where=where)]


BATCH, FRAMES, LABELS, SYMBOLS = 4, 5, 3, 4


def example(name, rng, batch=(BATCH,), frames=FRAMES, labels=LABELS):
    """Sequences of one size, so that one compiled program serves most tests; nothing padded."""
    inner = (frames,) if name == "ctc_loss" else (frames, labels + 1)
    return (
        rng.normal(0, 1.5, (*batch, *inner, SYMBOLS)).astype(np.float32),
        np.zeros((*batch, frames), np.float32),
        rng.integers(1, SYMBOLS, (*batch, labels)),
        np.zeros((*batch, labels), np.float32),
        np.ones(batch, bool),
    )


def run(name, logits, frames, labels, ends, where=True):
    where = np.broadcast_to(where, labels.shape[:-1])
    return evaluate(name, logits, frames, labels, ends, where=where)


def single(name, logits, labels):
    """Return loss and gradient of one small example, put into the common size by padding."""
    logits, labels = np.asarray(logits, np.float32), np.asarray(labels)
    size = (FRAMES, SYMBOLS) if name == "ctc_loss" else (FRAMES, LABELS + 1, SYMBOLS)
    wide = np.full(size, np.nan, np.float32)
    inside = tuple(slice(n) for n in logits.shape)
    wide[..., logits.shape[-1] :] = -INF  # symbols of probability 0
    wide[inside] = logits
    wide[np.isnan(wide)] = 0
    data = [wide, ramp(len(logits), FRAMES), np.resize([*labels, 1], LABELS)]
    data = [np.stack([a] * BATCH) for a in (*data, ramp(len(labels), LABELS))]
    value, slope = run(name, *data)
    outside = slope[0].copy()
    outside[inside] = 0
    assert not outside.any()
    return value[0], slope[0][inside]


# Connectionist temporal classification


def enumerated(logits, frames, labels, ends, blank_id=0):
    """Sum over every path, for one sequence."""
    p = probabilities(logits)[frames == 0]
    wanted = list(labels[ends == 0])
    total = 0.0
    for path in itertools.product(range(p.shape[-1]), repeat=len(p)):
        merged = [k for k, _ in itertools.groupby(path)]
        if [k for k in merged if k != blank_id] == wanted:
            total += np.prod([p[t, k] for t, k in enumerate(path)])
    return -np.log(total) if total else INF


def test_ctc_by_hand():
    """With two symbols of probability one half every path of T frames has probability 2^-T."""
    paths = {(2, 1): 3, (3, 1): 6, (1, 0): 1, (3, 2): 1}  # 11 01 10; 1 0 1 alone reads as 1 1
    for (frames, count), number in paths.items():
        value, _ = single("ctc_loss", np.zeros((frames, 2)), np.ones(count, int))
        np.testing.assert_allclose(value, -np.log(number / 2**frames), rtol=1e-6)


@pytest.mark.parametrize("blank_id", [0, 2])
def test_ctc_equals_the_sum_over_all_paths(rng, blank_id):
    """Ragged in both lengths, repeated labels, padded frames anywhere, two leading axes."""
    batch, symbols = (2, 8), [k for k in range(4) if k != blank_id]
    logits = rng.normal(0, 2, (*batch, 5, 4)).astype(np.float32)
    labels = rng.choice(symbols, (*batch, 3))
    labels[0, :3] = labels[0, :3, :1]
    frames = (rng.random((*batch, 5)) < 0.2).astype(np.float32)
    ends = ramp(rng.integers(0, 4, batch), 3)
    value, slope = evaluate("ctc_loss", logits, frames, labels, ends, blank_id=blank_id)
    every = np.ndindex(*batch)
    expected = [
        enumerated(logits[i], frames[i], labels[i], ends[i], blank_id=blank_id) for i in every
    ]
    assert value.shape == batch
    assert np.isfinite(expected).sum() > 10
    np.testing.assert_allclose(value.ravel(), expected, rtol=2e-6)
    assert np.isfinite(slope).all()
    assert not slope[frames == 1].any()
    np.testing.assert_allclose(slope.sum(-1), 0, atol=1e-6)


def test_ctc_of_too_many_labels_is_infinite_with_zero_gradient(rng):
    logits, frames, _, ends, _ = example("ctc_loss", rng)
    frames[:, 3:] = 1
    labels = np.array([[1, 2, 1], [1, 1, 2], [1, 1, 1], [2, 1, 2]])
    value, slope = run("ctc_loss", logits, frames, labels, ends)
    np.testing.assert_array_equal(np.isposinf(value), [False, True, True, False])
    assert not slope[1:3].any()
    assert slope[0].any()
    where = np.array([True, False, False, True])
    masked, slope = run("ctc_loss", logits, frames, labels, ends, where)
    np.testing.assert_array_equal(masked, np.where(where, value, 0))
    assert np.isfinite(slope).all()


def test_ctc_keeps_the_digits_of_a_confident_prediction():
    """All paths but the empty one read as the label: `-log(1 - p00)` with p00 = e^-34 or so."""
    value, slope = single("ctc_loss", [[0.0, 17.0]] * 2, [1])
    miss = (np.exp(-17.0) / (1 + np.exp(-17.0))) ** 2
    np.testing.assert_allclose(value, miss, rtol=1e-6)
    np.testing.assert_allclose(slope, [[miss, -miss]] * 2, rtol=1e-6)


def test_ctc_does_not_saturate():
    """A million against every label: the loss says so, and the gradient leads back."""
    value, slope = single("ctc_loss", [[1e6, 0.0, 0.0]] * 4, [1, 2])
    np.testing.assert_allclose(value, 2e6, rtol=1e-5)
    np.testing.assert_allclose(slope[:, 0].sum(), 2.0, rtol=1e-5)


@pytest.mark.parametrize("size", [0.1, 3.0, 40.0])
def test_ctc_of_a_hundred_frames_is_accurate_in_float32(rng, size):
    frames, ends = ramp([100, 83, 61], 100), ramp([30, 10, 25], 30)
    logits = (size * rng.normal(size=(3, 100, 20))).astype(np.float32)
    labels = rng.integers(1, 20, (3, 30))
    value, slope = evaluate("ctc_loss", logits, frames, labels, ends)
    with jax.enable_x64(True):
        exact = evaluate("ctc_loss", logits.astype(np.float64), frames, labels, ends)
    np.testing.assert_allclose(value, exact[0], rtol=1e-6)
    np.testing.assert_allclose(slope, exact[1], atol=2e-6 * max(1, size))


def test_forward_probabilities_are_those_of_the_beginnings_of_paths(rng):
    logits, frames, ends = rng.normal(size=(4, 3)), np.zeros(4), np.zeros(2)
    loss, blank, label = jl.ctc_loss_with_forward_probs(
        logits, frames, np.array([1, 2]), ends, log_epsilon=-77.0
    )
    p = probabilities(logits)
    expected = {}
    for t in range(4):
        for path in itertools.product(range(3), repeat=t + 1):
            read = tuple(k for k, _ in itertools.groupby(path) if k)
            key = (t, read, path[-1] == 0)
            expected[key] = expected.get(key, 0) + np.prod([p[s, k] for s, k in enumerate(path)])
    for t, n in itertools.product(range(4), range(3)):
        in_blank = expected.get((t, (1, 2)[:n], True), 0)
        in_label = expected.get((t, (1, 2)[:n], False), 0)
        both = in_blank + (in_label if t == 3 else 0)
        np.testing.assert_allclose(blank[t, n], np.log(both) if both else -77, rtol=2e-6)
        if n:
            np.testing.assert_allclose(
                label[t, n - 1], np.log(in_label) if in_label else -77, rtol=2e-6
            )
    np.testing.assert_allclose(-blank[-1, 2], loss, rtol=2e-6)


# The transducer


def walked(logits, frames, labels, ends, blank_id=0):
    """Follow every walk to its end, for one sequence."""
    p, wanted = probabilities(logits)[frames == 0], labels[ends == 0]

    def rest(t, u):
        if t == len(p):
            return float(u == len(wanted))
        onward = p[t, u, wanted[u]] * rest(t, u + 1) if u < len(wanted) else 0.0
        return p[t, u, blank_id] * rest(t + 1, u) + onward

    total = rest(0, 0)
    return -np.log(total) if total else INF


@pytest.mark.parametrize("blank_id", [0, 3])
def test_rnnt_equals_the_sum_over_all_walks(rng, blank_id):
    batch, symbols = (2, 6), [k for k in range(4) if k != blank_id]
    logits = rng.normal(0, 2, (*batch, 4, 4, 4)).astype(np.float32)
    labels = rng.choice(symbols, (*batch, 3))
    lengths, counts = rng.integers(0, 5, batch), rng.integers(0, 4, batch)
    lengths[0, :2], counts[0, :2] = 0, [0, 2]  # without frames: 0, and infinite
    frames, ends = ramp(lengths, 4), ramp(counts, 3)
    value, slope = evaluate("rnnt_loss", logits, frames, labels, ends, blank_id=blank_id)
    expected = [
        walked(logits[i], frames[i], labels[i], ends[i], blank_id) for i in np.ndindex(*batch)
    ]
    np.testing.assert_allclose(value.ravel(), expected, rtol=2e-6, atol=1e-7)
    assert value[0, 0] == 0
    assert np.isposinf(value[0, 1])
    assert np.isfinite(slope).all()
    assert not slope[frames == 1].any()
    assert not slope[(np.arange(4) > counts[..., None])[:, :, None].repeat(4, 2)].any()


def test_rnnt_of_one_label_in_one_frame_is_by_hand():
    """One walk: the label at node (0, 0), the blank at node (0, 1)."""
    logits = np.log([[[0.5, 0.25, 0.25], [0.125, 0.5, 0.375]]])
    value, slope = single("rnnt_loss", logits, [2])
    np.testing.assert_allclose(value, -np.log(0.25 * 0.125), rtol=1e-6)
    np.testing.assert_allclose(
        slope, [[[0.5, 0.25, -0.75], [-0.875, 0.5, 0.375]]], rtol=1e-5, atol=1e-7
    )


def test_rnnt_keeps_the_digits_of_a_confident_prediction():
    logits = np.zeros((2, 2, 3))
    logits[0, 0, 1] = logits[0, 1, 0] = logits[1, 1, 0] = 40.0
    value, _ = single("rnnt_loss", logits, [1])
    # A blank first is no mistake yet, but at node (1, 0) two of three symbols are.
    miss = 2 * np.exp(-40.0) * 2 + np.exp(-40.0) * (1 + 2 / 3)
    np.testing.assert_allclose(value, miss, rtol=1e-6)


# Both


@pytest.mark.parametrize("name", ALIGNED)
@pytest.mark.parametrize("garbage", [NAN, INF, -INF, 1e30])
def test_padding_is_not_looked_at(rng, name, garbage):
    logits, _, labels, _, where = example(name, rng)
    frames, ends = ramp([5, 4, 3, 1], FRAMES), ramp([3, 1, 0, 1], LABELS)
    clean = run(name, logits, frames, labels, ends)
    dirty = logits.copy()
    dirty[frames == 1] = garbage
    ignored = np.where(ends == 1, -100, labels)
    for got, expected in zip(run(name, dirty, frames, ignored, ends), clean, strict=True):
        np.testing.assert_array_equal(got, expected)
    assert not clean[1][frames == 1].any()
    # A sequence that does not count is nothing but padding.
    where[0], dirty[0], ignored[0], frames[0], ends[0] = False, garbage, -100, -1, garbage
    value, slope = run(name, dirty, frames, ignored, ends, where)
    np.testing.assert_array_equal(value, np.where(where, clean[0], 0))
    np.testing.assert_array_equal(
        slope, np.where(where.reshape(-1, *[1] * (slope.ndim - 1)), clean[1], 0)
    )


@pytest.mark.parametrize("name", ALIGNED)
@pytest.mark.parametrize(
    ("which", "bad"),
    [
        ("labels", [5, 1, 1]),
        ("labels", [1, 2, -1]),
        ("labels", [-100, 1, 1]),
        ("labels", [1, 0, 1]),  # the blank
        ("label_paddings", [1.0, 0.0, 0.0]),  # on the left
        ("label_paddings", [0.0, 0.0, 0.5]),
        ("label_paddings", [0.0, NAN, 1.0]),
        ("logit_paddings", [0.0, 0.0, 0.0, 0.0, 2.0]),
        ("logit_paddings", [0.5, 1.0, 1.0, 1.0, 1.0]),
    ],
)
def test_what_cannot_be_is_nan_in_value_and_gradient(rng, name, which, bad):
    names = ("logits", "logit_paddings", "labels", "label_paddings", "where")
    data = dict(zip(names, example(name, rng), strict=True))
    data[which][0] = bad
    value, slope = run(name, *data.values())
    assert np.isnan(value[0])
    assert np.isnan(slope[0]).any()
    assert np.isfinite(value[1:]).all()
    assert np.isfinite(slope[1:]).all()
    data["where"][0] = False
    value, slope = run(name, *data.values())
    assert value[0] == 0
    assert not slope[0].any()


def test_rnnt_wants_its_frames_first(rng):
    logits, frames, labels, ends, _ = example("rnnt_loss", rng)
    frames[:2] = [[0, 1, 0, 0, 0], [1, 0, 0, 0, 0]]
    value, slope = run("rnnt_loss", logits, frames, labels, ends)
    np.testing.assert_array_equal(np.isnan(value), [True, True, False, False])
    assert all(np.isnan(slope[i]).any() for i in range(2))


@pytest.mark.parametrize("name", ALIGNED)
def test_no_labels_and_no_frames(rng, name):
    logits, frames, labels, ends, _ = example(name, rng, labels=0)
    expected = -np.log(probabilities(logits)[..., 0]).reshape(BATCH, -1).sum(-1)
    loss = jax.jit(getattr(jl, name))
    np.testing.assert_allclose(loss(logits, frames, labels, ends), expected, rtol=1e-6)
    for labels, expected in ((0, 0), (1, INF)):
        value = loss(*example(name, rng, (2,), frames=0, labels=labels)[:4])
        assert value.tolist() == [expected] * 2
    assert jax.eval_shape(loss, *example(name, rng, (0,))[:4]).shape == (0,)


@pytest.mark.parametrize("name", ALIGNED)
def test_half_precision_booleans_and_small_integers(rng, name):
    logits, frames, labels, ends, where = example(name, rng)
    frames[0, 4] = 1
    coarse = jnp.asarray(logits, jnp.bfloat16)
    small = (coarse, frames == 1, labels.astype(np.int8), ends.astype(int), where)
    value, slope = run(name, *small)
    assert value.dtype == np.float32
    assert slope.dtype == jnp.bfloat16
    rounded = np.asarray(coarse.astype(jnp.float32))
    np.testing.assert_allclose(value, run(name, rounded, frames, labels, ends)[0], rtol=1e-6)


@pytest.mark.parametrize("name", ALIGNED)
def test_messages(rng, name):
    loss = getattr(jl, name)
    logits, frames, labels, ends, _ = example(name, rng)
    for data, error, match in [
        ((logits[0, 0, 0], frames, labels, ends), ValueError, "logits must be of shape"),
        ((labels, frames, labels, ends), TypeError, "logits must be real floating point"),
        ((logits, frames[:, :2], labels, ends), ValueError, r"logit_paddings must be .*\(4, 5\)"),
        ((logits, frames, labels[0], ends), ValueError, "labels must be of shape"),
        ((logits, frames, labels * 1.0, ends), TypeError, "labels must be integers"),
        ((logits, frames, labels, ends[:, :1]), ValueError, r"label_paddings must be .*\(4, 3\)"),
    ]:
        with pytest.raises(error, match=f"^{name}: {match}"):
            loss(*data)
    with pytest.raises(ValueError, match=rf"{name}: blank_id must be an integer in \[0, 4\)"):
        loss(logits, frames, labels, ends, blank_id=4)
    with pytest.raises(TypeError, match="blank_id must be an integer"):
        loss(logits, frames, labels, ends, blank_id=0.5)
    with pytest.raises(ValueError, match="where must be"):
        loss(logits, frames, labels, ends, where=frames == 0)
    if name == "rnnt_loss":
        with pytest.raises(ValueError, match=r"logits must be of shape \[..., T, 2, K\]"):
            loss(logits, frames, labels[:, :1], ends[:, :1])
    else:
        with pytest.raises(ValueError, match="log_epsilon must be in"):
            loss(logits, frames, labels, ends, log_epsilon=1.0)


# Series


def warped(x, y, gamma):
    """The recursion, node by node."""
    n, m = len(x), len(y)
    best = np.full((n + 1, m + 1), INF)
    best[0, 0] = 0
    for i, j in itertools.product(range(n), range(m)):
        before = np.array([best[i, j], best[i, j + 1], best[i + 1, j]])
        least = before.min()
        soft = least - gamma * np.log(np.exp(-(before - least) / gamma).sum())
        best[i + 1, j + 1] = ((x[i] - y[j]) ** 2).sum() + soft
    return best[n, m]


def test_soft_dtw_by_hand():
    zeros = np.zeros((2, 1), np.float32)  # three matchings of no cost
    value, slope = evaluate("soft_dtw_loss", zeros, zeros, gamma=2.0)
    np.testing.assert_allclose(value, -2 * np.log(3), rtol=1e-6)
    assert not slope.any()
    value, slope = evaluate("soft_dtw_loss", np.float32([[1], [2]]), np.float32([[4]]))
    assert value == 9 + 4  # one matching only, whatever gamma
    np.testing.assert_array_equal(slope, [[-6], [-4]])


@pytest.mark.parametrize("shape", [(1, 5), (6, 4)])
def test_soft_dtw_equals_the_recursion_at_every_gamma(rng, shape):
    """Leading axes, series of unequal length, a gamma for each pair."""
    x, y = (rng.normal(size=(2, 3, n, 2)).astype(np.float32) for n in shape)
    gamma = np.array([[0.01, 0.3, 1.0], [3.0, 20.0, 1e-5]], np.float32)
    value = jax.jit(jl.soft_dtw_loss)(x, y, gamma=gamma)
    expected = [warped(x[i], y[i], gamma[i]) for i in np.ndindex(2, 3)]
    np.testing.assert_allclose(value.ravel(), expected, rtol=1e-5, atol=1e-5)


def test_time_warping_forgives_tempo_and_nothing_else():
    x = np.float32([0, 1, 5, 2])[:, None]
    slow = np.repeat(x, [1, 3, 2, 1], axis=0)
    np.testing.assert_allclose(jl.soft_dtw_loss(x, slow, gamma=1e-4), 0, atol=1e-3)
    assert jl.soft_dtw_loss(x, slow + 1, gamma=1e-4) > 1
    assert jl.soft_dtw_loss(x, slow[::-1], gamma=1e-4) > 1


@pytest.mark.parametrize("name", ["soft_dtw_loss", "soft_dtw_divergence"])
def test_a_step_that_does_not_count_is_left_out(rng, name):
    x, y = (rng.normal(size=(2, n, 3)).astype(np.float32) for n in (5, 4))
    where = np.array([[True, False, True, True, False], [False, False, False, False, True]])
    where_targets = np.array([[False, True, True, True], [True, True, True, True]])
    dirty_x, dirty_y = (
        np.where(where[..., None], x, NAN),
        np.where(where_targets[..., None], y, INF),
    )
    loss = getattr(jl, name)

    @jax.jit
    def run(x, y):
        options = {"where": where, "where_targets": where_targets, "gamma": 0.7}
        value, pull = jax.vjp(lambda *a: loss(*a, **options), x, y)
        return value, *pull(jnp.ones_like(value))

    value, slope, slope_targets = run(dirty_x, dirty_y)
    for i in range(2):
        alone = loss(x[i][where[i]], y[i][where_targets[i]], gamma=0.7)
        np.testing.assert_allclose(value[i], alone, rtol=1e-5, atol=1e-6)
    for got, seen in ((slope, where), (slope_targets, where_targets)):
        assert np.isfinite(got).all()
        assert not got[~seen].any()
        assert got[seen].all()


@pytest.mark.parametrize("name", ["soft_dtw_loss", "soft_dtw_divergence"])
def test_a_pair_with_an_empty_series_costs_nothing(rng, name):
    x = rng.normal(size=(2, 3, 2)).astype(np.float32)
    where = np.array([[True, True, False], [False, False, False]])
    value, slope = evaluate(name, x, x[::-1], where=where)
    assert value[1] == 0
    assert value[0] != 0
    assert not slope[1].any()
    assert np.isfinite(slope).all()
    assert getattr(jl, name)(x, x[:, :0]).tolist() == [0, 0]


def test_the_divergence_of_equal_series_is_exactly_zero(rng):
    x = rng.normal(size=(4, 6, 2)).astype(np.float32)
    value, slope = evaluate("soft_dtw_divergence", x, x, gamma=5.0)
    assert not value.any()
    np.testing.assert_allclose(slope, 0, atol=1e-5)
    near = x + 1e-4 * rng.normal(size=x.shape).astype(np.float32)
    assert (evaluate("soft_dtw_divergence", near, x, gamma=5.0)[0] >= 0).all()
    # Equal series are not where the loss itself is least: that is what the divergence is for.
    assert np.abs(evaluate("soft_dtw_loss", x, x, gamma=5.0)[1]).max() > 0.1


def test_extreme_series_overflow_only_where_mathematics_does():
    x, y = np.zeros((2, 1), np.float32), np.full((3, 1), 1e18, np.float32)
    value, slope = evaluate("soft_dtw_loss", x, y, gamma=1e-6)
    np.testing.assert_allclose(value, 3e36, rtol=1e-6)
    assert np.isfinite(slope).all()
    assert np.isposinf(evaluate("soft_dtw_loss", x, 100 * y)[0])


def test_messages_of_series(rng):
    x = rng.normal(size=(2, 3, 2))
    with pytest.raises(ValueError, match=r"soft_dtw_loss: gamma must be in \(0, inf\)"):
        jl.soft_dtw_loss(x, x, gamma=0.0)
    with pytest.raises(ValueError, match="soft_dtw_divergence: targets must be of the shape"):
        jl.soft_dtw_divergence(x, x[..., :1])
    with pytest.raises(ValueError, match="soft_dtw_loss: where_targets must be of shape"):
        jl.soft_dtw_loss(x, x, where_targets=np.ones(3, bool))
    with pytest.raises(ValueError, match="soft_dtw_loss: predictions must be of shape"):
        jl.soft_dtw_loss(x[0, 0], x[0, 0])


# Symbol by symbol


def test_sequence_cross_entropy_adds_up_the_steps_that_count(rng):
    logits = rng.normal(size=(2, 3, 4, 5)).astype(np.float32)
    labels = rng.integers(0, 5, (2, 3, 4))
    where = rng.random((2, 3, 4)) < 0.6
    where[0, 0] = False
    tokens = jl.softmax_cross_entropy_with_integer_labels(logits, labels)
    ignored = np.where(where, labels, -100)
    value, slope = evaluate("sequence_cross_entropy", logits, ignored, where=where)
    np.testing.assert_allclose(value, np.sum(tokens * where, axis=-1), rtol=1e-6)
    assert value[0, 0] == 0
    assert not slope[~where].any()
    few = np.array([[True, False, True], [True, True, True]])
    value, _ = evaluate("sequence_cross_entropy", logits, labels, where=few)
    np.testing.assert_allclose(value, few * np.sum(tokens, axis=-1), rtol=1e-6)


def test_sequence_probabilities_sum_to_one(rng):
    every = np.array(list(itertools.product(range(3), repeat=4)))
    logits = np.tile(rng.normal(size=(4, 3)).astype(np.float32), (len(every), 1, 1))
    value, _ = evaluate("sequence_cross_entropy", logits, every)
    np.testing.assert_allclose(np.exp(-value).sum(), 1, rtol=1e-6)


def test_one_impossible_label_makes_the_sequence_nan(rng):
    logits, labels = rng.normal(size=(2, 3, 4)).astype(np.float32), np.zeros((2, 3), int)
    labels[0, 2] = 4
    value, slope = evaluate("sequence_cross_entropy", logits, labels)
    assert np.isnan(value[0])
    assert np.isnan(slope[0, 2]).all()
    assert np.isfinite(value[1])
    with pytest.raises(ValueError, match="sequence_cross_entropy: labels must be of the shape"):
        jl.sequence_cross_entropy(logits, labels[:, :2])
    with pytest.raises(ValueError, match="sequence_cross_entropy: logits must be of shape"):
        jl.sequence_cross_entropy(logits[0, 0], labels[0, 0])
