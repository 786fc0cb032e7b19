"""Rankings: values by hand, brute force with masks and ties, soft operators, metrics, messages."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxloss as jl
from jaxloss import catalog

NAN, INF = float("nan"), float("inf")
SCORES = [0.3, -1.0, 2.0, 0.5]
GRADES = [2.0, 0.0, 1.0, 1.0]
LISTS = [
    jl.pairwise_logistic_loss,
    jl.pairwise_hinge_loss,
    jl.pairwise_squared_loss,
    jl.pairwise_soft_zero_one_loss,
    jl.lambdarank_loss,
    jl.ranking_softmax_loss,
    jl.listnet_loss,
    jl.unique_softmax_loss,
    jl.listmle_loss,
    functools.partial(jl.listmle_loss, ties="breslow"),
    jl.position_aware_listmle_loss,
    jl.approx_ndcg_loss,
    jl.approx_mrr_loss,
    jl.neural_ndcg_loss,
]
METRICS = [jl.ndcg, jl.reciprocal_rank, jl.average_precision, jl.precision, jl.recall]
close = functools.partial(np.testing.assert_allclose, rtol=2e-6, atol=1e-6)


def _name(function):
    return getattr(function, "__name__", "listmle_loss breslow")


def _batch(rng, shape=(5, 6)):
    scores = rng.normal(size=shape)
    scores[0, 1] = scores[0, 4]
    relevance = rng.integers(0, 4, shape).astype(float)
    relevance[1] = 0
    where = rng.random(shape) < 0.7
    where[2] = False
    where[0] = True
    return scores, relevance, where


# Values


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        # Pairs (0, 1), (0, 2), (0, 3), (2, 1), (3, 1) with leads 1.3, -1.7, -0.2, 3, 1.5.
        (jl.pairwise_hinge_loss, 2.7 + 1.2),
        (
            jl.pairwise_logistic_loss,
            sum(math.log(1 + math.exp(-x)) for x in (1.3, -1.7, -0.2, 3, 1.5)),
        ),
        (
            jl.pairwise_soft_zero_one_loss,
            sum(1 / (1 + math.exp(x)) for x in (1.3, -1.7, -0.2, 3, 1.5)),
        ),
        (
            jl.pairwise_squared_loss,
            2 * (0.7**2 + 2.7**2 + 1.2**2 + 2**2 + 0.5**2 + 1.5**2),
        ),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_pairwise_values_by_hand(loss, expected):
    close(loss(jnp.array(SCORES), jnp.array(GRADES)), expected)


def test_listwise_values_by_hand():
    e = [math.exp(v) for v in SCORES]
    log_share = lambda i, members: SCORES[i] - math.log(sum(e[j] for j in members))
    s, y = jnp.array(SCORES), jnp.array(GRADES)
    close(jl.ranking_softmax_loss(s, y), -sum(GRADES[i] * log_share(i, range(4)) for i in range(4)))
    close(
        jl.unique_softmax_loss(s, y),
        -3 * log_share(0, range(4)) - log_share(2, (1, 2)) - log_share(3, (1, 3)),
    )
    # By relevance: 0, then 2 before 3 as it stands earlier, then 1.
    places = [log_share(0, range(4)), log_share(2, (1, 2, 3)), log_share(3, (1, 3)), 0.0]
    close(jl.listmle_loss(s, y), -sum(places))
    close(jl.position_aware_listmle_loss(s, y), -np.dot(places, [7, 3, 1, 0]))
    close(
        jl.position_aware_listmle_loss(s, y, position_weights=[1.0, 0.0, 5.0, 9.0]),
        -np.dot(places, [1, 0, 5, 9]),
    )
    close(
        jl.listmle_loss(s, y, ties="breslow"),
        -places[0] - log_share(2, (1, 2, 3)) - log_share(3, (1, 2, 3)),
    )
    grade = [math.exp(v) for v in GRADES]
    shares = [g / sum(grade) for g in grade]
    close(jl.listnet_loss(s, y), -sum(shares[i] * log_share(i, range(4)) for i in range(4)))


def test_metrics_by_hand():
    # By score: 2 (1), 3 (1), 0 (2), 1 (0).
    s, y = jnp.array(SCORES), jnp.array(GRADES)
    d = [1 / math.log2(1 + k) for k in range(1, 5)]
    best = 3 * d[0] + d[1] + d[2]
    close(jl.ndcg(s, y), (d[0] + d[1] + 3 * d[2]) / best)
    close(jl.ndcg(s, y, top_n=2), (d[0] + d[1]) / (3 * d[0] + d[1]))
    close(jl.ndcg(s, y, gain="linear"), (d[0] + d[1] + 2 * d[2]) / (2 * d[0] + d[1] + d[2]))
    only = jnp.array([1.0, 1.0, 0.0, 0.0])  # at ranks 3 and 4
    close(jl.reciprocal_rank(s, only), 1 / 3)
    close(jl.reciprocal_rank(s, only, top_n=2), 0)
    close(jl.average_precision(s, only), (1 / 3 + 2 / 4) / 2)
    close(jl.average_precision(s, only, top_n=3), 1 / 6)
    close(jl.precision(s, only, top_n=3), 1 / 3)
    close(jl.precision(s, only, top_n=9), 2 / 4)
    close(jl.recall(s, only, top_n=3), 1 / 2)


def test_of_equal_scores_the_earlier_item_ranks_higher():
    assert jl.reciprocal_rank(jnp.zeros(3), jnp.array([0, 1, 0])) == 0.5
    weights = jl.lambda_weights(jnp.zeros(2), jnp.array([0.0, 1.0]))
    close(weights[0, 1], 1 - 1 / math.log2(3))


def test_an_item_with_a_score_of_minus_infinity_is_not_ranked():
    s, y = jnp.array([1.0, -INF, -INF]), jnp.array([0.0, 1.0, 0.0])
    for metric in METRICS:
        assert metric(s, y) == 0, metric.__name__
    assert jl.precision(jnp.array([1.0, -INF]), jnp.array([1, 1])) == 1


# LambdaRank


def _lambda_by_brute_force(s, y, scheme):
    n = len(s)
    order = sorted(range(n), key=lambda i: (-s[i], i))
    rank = {i: k + 1 for k, i in enumerate(order)}
    d = lambda r: 1 / math.log2(1 + r)
    best = sum((2**g - 1) * d(k + 1) for k, g in enumerate(sorted(y, reverse=True)))
    total = 0.0
    for i, j in itertools.permutations(range(n), 2):
        gap, stake = abs(rank[i] - rank[j]), abs(2 ** y[i] - 2 ** y[j]) / best
        swap, step = abs(d(rank[i]) - d(rank[j])), d(gap) - d(gap + 1)
        weight = {
            "lambdarank": stake * swap,
            "ndcg1": (2 ** y[i] - 1) / best * d(rank[i]),
            "ndcg2": stake * step,
            "ndcg2++": stake * (swap + 10 * step),
        }[scheme]
        if y[i] > y[j] or scheme == "ndcg1":
            total += weight * math.log(1 + math.exp(-(s[i] - s[j])))
    return total


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("scheme", ["lambdarank", "ndcg1", "ndcg2", "ndcg2++"])
def test_lambdarank_ranks_by_its_own_scores(rng, scheme):
    """What the catalogue verifies with frozen ranks, with moving ones, ties and masks."""
    scores, relevance, where = _batch(rng)
    got = jl.lambdarank_loss(scores, relevance, scheme=scheme, where=where)
    for row in (0, 3, 4):
        kept = where[row]
        expected = _lambda_by_brute_force(
            scores[row][kept], relevance[row][kept].astype(int).tolist(), scheme
        )
        close(got[row], expected, rtol=1e-12)


def test_lambdarank_is_the_logistic_loss_with_lambda_weights(rng):
    scores, relevance, where = (jnp.asarray(a) for a in _batch(rng))
    scheme = functools.partial(jl.lambda_weights, scheme="ndcg2++", mu=3.0, top_n=2)
    composed = jl.pairwise_logistic_loss(scores, relevance, pair_weights=scheme, where=where)
    more = {"scheme": "ndcg2++", "mu": 3.0, "top_n": 2}
    close(jl.lambdarank_loss(scores, relevance, where=where, **more), composed)
    gradient = jax.grad(lambda s: jl.lambda_weights(s, relevance, where=where).sum())(scores)
    assert not gradient.any(), "the weights must be constants"


def test_the_lambda_weight_is_the_change_of_ndcg_by_a_swap(rng):
    s, y = jnp.array(rng.permutation(6) / 1.0), jnp.array([0.0, 2.0, 1.0, 0.0, 3.0, 1.0])
    weights = jl.lambda_weights(s, y)
    for i, j in itertools.combinations(range(6), 2):
        swapped = s.at[jnp.array([i, j])].set(s[jnp.array([j, i])])
        close(weights[i, j], abs(jl.ndcg(swapped, y) - jl.ndcg(s, y)))


# Pairs of one's own


def test_pairs_are_counted_and_a_mean_is_a_quotient():
    s = jnp.array([SCORES, SCORES])
    y = jnp.array([GRADES, [0.0, 0.0, 0.0, 1.0]])
    count = jl.pairwise_loss(s, y, pair_loss=lambda lead, grade: jnp.ones_like(lead))
    assert count.tolist() == [5, 3]
    every = jl.pairwise_loss(s, y, pair_loss=lambda d, g: jnp.ones_like(d), every_pair=True)
    assert every.tolist() == [12, 12]


def test_pair_weights_may_be_an_array_or_a_function():
    s, y, item = jnp.array(SCORES), jnp.array(GRADES), jnp.array([2.0, 1.0, 3.0, 0.5])
    got = jl.pairwise_hinge_loss(s, y, pair_weights=item[:, None])
    close(got, 2 * 2.7 + 2 * 1.2)
    same = jl.pairwise_hinge_loss(s, y, pair_weights=lambda s, y, where: item[:, None])
    assert got == same
    hidden = jl.pairwise_hinge_loss(
        s, y, pair_weights=jnp.full((4, 4), NAN), where=jnp.array([1, 0, 0, 0], bool)
    )
    assert hidden == 0, "weights of pairs that do not count must not be looked at"


SEGMENTED = [
    jl.pairwise_logistic_loss,
    jl.pairwise_hinge_loss,
    jl.pairwise_squared_loss,
    jl.pairwise_soft_zero_one_loss,
    jl.ranking_softmax_loss,
    jl.listnet_loss,
    jl.unique_softmax_loss,
    jl.listmle_loss,
    jl.position_aware_listmle_loss,
    jl.lambdarank_loss,
    jl.approx_ndcg_loss,
    jl.approx_mrr_loss,
]


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("loss", [*SEGMENTED, *METRICS], ids=_name)
def test_segments_are_lists_of_their_own(rng, loss):
    scores, relevance, where = (a[[0, 1, 3]] for a in _batch(rng, (5, 7)))
    segments = np.array([[5, 2, 5, 5, 2, 9, 2], [1, 1, 1, 0, 0, 0, 0], [3, 3, 3, 3, 3, 3, 3]])
    got = loss(scores, relevance, segments=segments, where=where)
    for row in range(3):
        parts = [
            loss(scores[row][chosen], relevance[row][chosen])
            for group in np.unique(segments[row])
            if (chosen := (segments[row] == group) & where[row]).any()
        ]
        close(got[row], sum(parts), rtol=1e-12, atol=1e-12)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("scheme", ["lambdarank", "ndcg1", "ndcg2", "ndcg2++"])
def test_weights_of_pairs_know_of_segments(rng, scheme):
    scores, relevance, where = (a[0] for a in _batch(rng, (5, 7)))
    segments = np.array([5, 2, 5, 5, 2, 9, 2])
    weights = functools.partial(jl.lambda_weights, scheme=scheme)
    shared = {"segments": segments, "where": where}
    ones = lambda lead, grade: jnp.ones_like(lead)
    got = jl.pairwise_loss(scores, relevance, pair_loss=ones, pair_weights=weights, **shared)
    parts = [
        jl.pairwise_loss(scores[own], relevance[own], pair_loss=ones, pair_weights=weights)
        for group in np.unique(segments)
        if (own := (segments == group) & where).any()
    ]
    close(got, sum(parts), rtol=1e-12, atol=1e-12)
    matrix = jl.lambda_weights(scores, relevance, scheme=scheme, **shared)
    assert not matrix[segments[:, None] != segments[None, :]].any()


# Masks, lists without relevant items, impossible values


@pytest.mark.parametrize("loss", [*LISTS, *METRICS], ids=_name)
def test_a_mask_is_as_good_as_a_shorter_list(rng, loss):
    scores, relevance, where = _batch(rng)
    dirty = np.where(where, scores, NAN), np.where(where, relevance, -100)

    def total(s):
        each = loss(s, dirty[1], where=where)
        return each.sum(), each

    both = jax.jit(jax.value_and_grad(total, has_aux=True))
    (_, each), slope = both(jnp.asarray(dirty[0], jnp.float32))
    assert np.isfinite(slope).all()
    assert not slope[~where].any()
    for row in (0, 3):
        kept = where[row]
        alone = loss(jnp.asarray(scores[row][kept], jnp.float32), relevance[row][kept])
        close(each[row], alone)
    assert each[2] == 0


@pytest.mark.parametrize("loss", LISTS, ids=_name)
def test_no_relevant_item_no_loss_no_gradient(loss):
    value, slope = jax.value_and_grad(loss)(jnp.array(SCORES), jnp.zeros(4))
    if loss is jl.pairwise_squared_loss:  # it wants equal scores
        assert value > 0
    else:
        assert value == 0
        assert not slope.any()


@pytest.mark.parametrize("loss", [*LISTS, *METRICS], ids=_name)
def test_impossible_values_are_never_plausible_numbers(loss):
    s, y = np.array([SCORES] * 4), np.array([GRADES] * 4)
    s[0, 1], y[1, 1], y[2, 1] = NAN, NAN, -1.0
    signed = _name(loss).startswith("pairwise")
    assert np.isnan(loss(s, y)).tolist() == [True, True, not signed, False]


@pytest.mark.parametrize("loss", LISTS[:-1], ids=_name)
def test_padding_with_minus_infinity_leaves_finite_gradients(loss):
    """What NaN comes of elsewhere: two padded items, irrelevant, with no mask."""
    s, y = jnp.array([0.3, -INF, 2.0, -INF]), jnp.array([2.0, 0.0, 1.0, 0.0])
    if loss is jl.pairwise_squared_loss or _name(loss) == "listnet_loss":
        return  # these have a share or a distance for padding, and so an infinite loss
    value, slope = jax.value_and_grad(loss)(s, y)
    assert np.isfinite(value)
    assert np.isfinite(slope).all()


@pytest.mark.parametrize("loss", LISTS, ids=_name)
def test_empty_and_single_lists_and_half_precision(loss):
    assert loss(jnp.zeros((3, 0)), jnp.zeros((3, 0))).tolist() == [0, 0, 0]
    single = loss(jnp.array([0.5]), jnp.array([1.0]))
    assert single == 0
    value, slope = jax.value_and_grad(loss)(
        jnp.array(SCORES, jnp.bfloat16), jnp.array([2, 0, 1, 1])
    )
    assert value.dtype == jnp.float32
    assert slope.dtype == jnp.bfloat16
    close(value, loss(jnp.array(SCORES, jnp.bfloat16).astype(jnp.float32), jnp.array(GRADES)))


def test_losses_beyond_float32_stay_finite_where_they_are():
    s, y = jnp.array([3e38, 0.0, -1e38]), jnp.array([1.0, 0.0, 0.0])
    for loss in (jl.pairwise_logistic_loss, jl.ranking_softmax_loss, jl.approx_ndcg_loss):
        value, slope = jax.value_and_grad(loss)(s, y)
        assert value == 0
        assert not slope.any()


# Ties


def test_listmle_breaks_ties_by_order_or_by_key():
    s, y = jnp.array([1.0, 0.0, 3.0]), jnp.array([1.0, 1.0, 0.0])
    first, second = (jl.listmle_loss(s[jnp.array(order)], y) for order in ([0, 1, 2], [1, 0, 2]))
    assert first != second
    keyed = {float(jl.listmle_loss(s, y, key=jax.random.key(seed))) for seed in range(12)}
    assert keyed == {float(first), float(second)}
    together = [
        jl.listmle_loss(s[jnp.array(order)], y, ties="breslow") for order in ([0, 1, 2], [1, 0, 2])
    ]
    close(together[0], together[1])


@pytest.mark.parametrize("loss", LISTS[5:12], ids=_name)
def test_the_gradient_at_tied_scores_is_the_limit_from_near_them(loss):
    y = jnp.array([3.0, 2.0, 1.0, 0.0])
    near = jax.grad(loss)(1e-5 * jnp.array([1.0, -2.0, 3.0, 0.5]), y)
    close(jax.grad(loss)(jnp.zeros(4), y), near, rtol=1e-3, atol=1e-4)


# Smooth metrics and soft operators


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("loss", "metric"), [
    (jl.approx_ndcg_loss, jl.ndcg),
    (jl.neural_ndcg_loss, jl.ndcg),
    (jl.approx_mrr_loss, jl.reciprocal_rank),
])  # fmt: skip
def test_smooth_metrics_tend_to_exact_ones(rng, loss, metric):
    scores, relevance, where = _batch(rng)
    scores[0, 1] += 0.1
    rows = np.array([0, 3, 4])
    exact = 1 - metric(scores[rows], relevance[rows], where=where[rows])
    gaps = [
        np.abs(loss(scores, relevance, temperature=t, where=where)[rows] - exact).max()
        for t in (1.0, 0.1, 1e-5)
    ]
    assert gaps[0] > gaps[1] > 1e-9
    assert gaps[2] < 1e-12


def test_small_losses_of_smooth_metrics_keep_their_digits():
    """One minus a metric would be 0 here: the lead of 20 costs 2.06e-9 ranks."""
    s, y = jnp.array([20.0, 0.0]), jnp.array([1.0, 0.0])
    close(jl.approx_mrr_loss(s, y), 2.0611537e-09, atol=0)
    slope = 1 / (2 * math.log(2))  # of 1 / log2(1 + rank) at rank 1, negative
    close(jl.approx_ndcg_loss(s, y), slope * 2.0611537e-09, atol=0)


def test_neural_ndcg_hands_out_each_item_about_once(rng):
    """The Sinkhorn steps matter: without them the soft permutation repeats items."""
    s, y = jnp.array(rng.normal(size=(9, 5))), jnp.array(rng.integers(0, 3, (9, 5)))
    few, many = (jl.neural_ndcg_loss(s, y, iterations=k) for k in (0, 60))
    assert many.min() > -1e-5
    assert few.min() < many.min() or np.abs(few - many).max() > 1e-3


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("operator", [jl.neural_sort, jl.soft_sort], ids=_name)
def test_soft_permutations(rng, operator):
    scores, _, where = _batch(rng)
    soft = operator(scores, temperature=0.7, where=where)
    rows = np.arange(6)[None] < where.sum(axis=-1)[:, None]
    close(soft.sum(axis=-1), rows, rtol=1e-12)
    assert not soft.swapaxes(-1, -2)[~where].any()
    assert soft.min() >= 0
    exact = operator(scores[3:], temperature=1e-6)
    close((exact * scores[3:, None]).sum(axis=-1), -np.sort(-scores[3:]), rtol=1e-12)
    order = rng.permutation(6)
    close(operator(scores[3:][:, order]), operator(scores[3:])[:, :, order], rtol=1e-12)
    assert np.isfinite(jax.grad(lambda s: operator(s)[..., 0, 0].sum())(jnp.zeros((1, 4)))).all()


def test_neural_sort_by_its_formula(rng):
    s = rng.normal(size=5)
    gaps = np.abs(s[:, None] - s[None]).sum(axis=0)
    logits = np.array([(6 - 2 * k) * s - gaps for k in range(1, 6)]) / 0.7
    expected = np.exp(logits - logits.max(axis=-1, keepdims=True))
    expected /= expected.sum(axis=-1, keepdims=True)
    close(jl.neural_sort(s.astype(np.float32), temperature=0.7), expected, rtol=1e-5)


@pytest.mark.usefixtures("x64")
def test_soft_ranks_lie_on_the_permutahedron(rng):
    scores, _, where = _batch(rng)
    count = where.sum(axis=-1)
    for strength in (1e-9, 0.3, 2.0, 1e9):
        ranks = np.asarray(jl.soft_rank(scores, regularization=strength, where=where))
        assert not ranks[~where].any()
        close(ranks.sum(axis=-1), count * (count + 1) / 2, rtol=1e-12)
        for row, kept in zip(ranks, where, strict=True):
            least = np.cumsum(np.arange(1, kept.sum() + 1))
            assert (np.cumsum(np.sort(row[kept])) >= least - 1e-9).all()
    exact = jl.soft_rank(scores[3:], regularization=1e-9)
    close(exact, 1 + (scores[3:, None, :] > scores[3:, :, None]).sum(axis=-1), rtol=1e-12)
    flat = jl.soft_rank(scores[3:], regularization=1e9)
    close(flat, 3.5, rtol=1e-6)


@pytest.mark.usefixtures("x64")
def test_the_derivative_of_soft_ranks_is_the_mean_of_a_block(rng):
    s = jnp.array(rng.normal(size=7))
    rank = functools.partial(jl.soft_rank, regularization=0.8)
    slope = jax.jit(jax.jacrev(rank))(s)
    close(slope, jax.jit(jax.jacfwd(rank))(s), rtol=1e-12)
    step = 1e-6 * jnp.eye(7)
    differences = jax.jit(lambda d: (rank(s[None] + d) - rank(s[None] - d)) / 2e-6)(step).T
    close(slope, differences, atol=1e-8)
    close(slope.sum(axis=0), jnp.zeros(7), atol=1e-12)
    assert np.abs(slope).max() > 0.1


def test_soft_ranks_of_large_scores_are_exact():
    s = jnp.array([1e7, 3e7, 2e7, 1e7 + 64])
    assert jl.soft_rank(s).tolist() == [4, 1, 2, 3]


# Messages


def test_messages_name_function_argument_and_finding():
    s, y = jnp.array(SCORES), jnp.array(GRADES)
    with pytest.raises(ValueError, match=r"listmle_loss: relevance must be of the same shape"):
        jl.listmle_loss(s, y[:3])
    with pytest.raises(TypeError, match=r"listnet_loss: scores must be real floating point"):
        jl.listnet_loss(jnp.arange(4), y)
    with pytest.raises(ValueError, match=r"lambda_weights: scheme must be one of 'lambdarank'"):
        jl.lambda_weights(s, y, scheme="ndcg")
    with pytest.raises(ValueError, match=r"ndcg: gain must be 'exponential' or 'linear'"):
        jl.ndcg(s, y, gain="log")
    with pytest.raises(TypeError, match=r"ndcg: top_n must be an integer or None, got 2.0"):
        jl.ndcg(s, y, top_n=2.0)
    with pytest.raises(ValueError, match=r"precision: top_n must be at least 1, or None, got 0"):
        jl.precision(s, y, top_n=0)
    with pytest.raises(ValueError, match=r"listmle_loss: ties must be 'order' or 'breslow'"):
        jl.listmle_loss(s, y, ties="efron")
    with pytest.raises(TypeError, match=r"pairwise_loss: segments must be integers, got float32"):
        jl.pairwise_loss(s, y, pair_loss=lambda d, g: d, segments=jnp.zeros(4))
    with pytest.raises(ValueError, match=r"segments must be of the shape of the scores \(4,\)"):
        jl.pairwise_hinge_loss(s, y, segments=jnp.zeros(3, int))
    with pytest.raises(ValueError, match=r"pair_weights must be a number or broadcastable"):
        jl.pairwise_hinge_loss(s, y, pair_weights=jnp.ones((3, 3)))
    with pytest.raises(ValueError, match=r"pairwise_hinge_loss: margin must be in \[0, inf\)"):
        jl.pairwise_hinge_loss(s, y, margin=-1.0)
    with pytest.raises(TypeError, match=r"neural_ndcg_loss: iterations must be an integer"):
        jl.neural_ndcg_loss(s, y, iterations=2.5)
    with pytest.raises(ValueError, match=r"soft_rank: regularization must be in \(0, inf\)"):
        jl.soft_rank(s, regularization=0.0)


def test_the_surveys_claims_are_made():
    for name in ("approx_ndcg_loss", "neural_ndcg_loss"):
        said = {str(claim) for claim in catalog.get(name).claims}
        assert "tends to 1 - ndcg as the temperature goes to 0" in said
        assert "unchanged when the items of a list change places" in said
    said = {str(claim) for claim in catalog.get("pairwise_hinge_loss").claims}
    assert {"no gradient beyond the margin", "convex in scores"} <= said


@pytest.mark.parametrize(("loss", "name", "bad"), [
    (jl.pairwise_hinge_loss, "margin", -1.0),
    (jl.lambdarank_loss, "sigma", 0.0),
    (jl.approx_ndcg_loss, "temperature", 0.0),
    (jl.approx_mrr_loss, "temperature", 0.0),
    (jl.neural_ndcg_loss, "temperature", 0.0),
    (jl.position_aware_listmle_loss, "position_weights", [1.0, 1.0, -1.0, 1.0]),
], ids=lambda x: getattr(x, "__name__", ""))  # fmt: skip
def test_a_traced_impossible_number_shows_even_where_no_item_is_relevant(loss, name, bad):
    s = jnp.array([SCORES, SCORES])
    y = jnp.array([GRADES, [0.0] * 4])
    got = jax.jit(lambda v: loss(s, y, **{name: v}))(jnp.array(bad))
    assert np.isnan(got).all()
    assert got.dtype == jnp.float32
