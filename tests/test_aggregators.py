"""Aggregators of tasks' gradients: values worked out by hand, and what each promises."""

import functools
import inspect
import itertools
import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.optimize import minimize

from jaxloss import multitask as mt

leaves = jax.tree.leaves
KEY = jax.random.key(0)
CONFLICT = np.array([[-4.0, 1.0, 1.0], [6.0, 1.0, 1.0]])

# What is a function of the Gramian only, and draws nothing
METHODS = {
    "mgda": mt.mgda_weights,
    "upgrad": mt.upgrad_weights,
    "dualproj": mt.dualproj_weights,
    "cagrad": mt.cagrad_weights,
    "cagrad 1": partial(mt.cagrad_weights, c=1.0),
    "nash_mtl": mt.nash_mtl_weights,
    "fairgrad": mt.fairgrad_weights,
    "fairgrad 0.1": partial(mt.fairgrad_weights, alpha=0.1),
    "imtl_g": mt.imtl_g_weights,
    "aligned_mtl": mt.aligned_mtl_weights,
    "conflict_free": mt.conflict_free_weights,
    "krum": partial(mt.krum_weights, faulty=1, selected=2),
}
PROJECTING = ["mgda", "upgrad", "dualproj", "cagrad 1"]


def gramian(rows):
    return jnp.asarray(rows @ np.swapaxes(rows, -1, -2), jnp.float32)


@functools.cache
def compiled(name):
    return jax.jit(jax.vmap(METHODS[name]))


def weigh(name, matrices):
    """Return the weights of a stack of matrices `[12, 5, P]`, in one program for each method."""
    return np.asarray(compiled(name)(gramian(matrices)), np.float64)


def combine(weights, matrices):
    return np.einsum("nk,nkp->np", weights, matrices)


def size(matrices):
    return np.linalg.norm(matrices, axis=(1, 2))


# Matrices of five tasks and eight parameters


def normal(rng, rank=5, tasks=5):
    return rng.normal(size=(tasks, rank)) @ rng.normal(size=(rank, 8))


def strong(rng, tasks=5):
    """Return rows of which a combination by positive weights is 0."""
    weights = rng.uniform(0.5, 1.5, tasks)
    matrix = normal(rng, tasks=tasks)
    return matrix - np.outer(weights, weights @ matrix) / (weights @ weights)


def strictly_weak(rng):
    """Return rows of which a combination is 0 by non-negative weights, and by no positive ones."""
    upper = strong(rng, tasks=3)
    upper[:, 0] = 0
    lower = normal(rng, tasks=2)
    lower[:, 0] = np.abs(lower[:, 0]) + 0.5
    return np.concatenate([upper, lower])


def non_weak(rng):
    """Return rows that all rise along one direction."""
    matrix = normal(rng)
    return matrix * np.sign(matrix[:, :1])


KINDS = {
    "normal": slice(0, 3), "rank 2": slice(3, 6), "strong": slice(6, 8),
    "strictly weak": slice(8, 10), "non weak": slice(10, 12),
}  # fmt: skip
# Where the method has one right answer, with room for rounding
REGULAR = [0, 1, 2, 10, 11]


@functools.cache
def matrices():
    rng = np.random.default_rng(0)
    kinds = [normal] * 3 + [partial(normal, rank=2)] * 3
    kinds += [strong] * 2 + [strictly_weak] * 2 + [non_weak] * 2
    return np.stack([kind(rng) for kind in kinds])


def test_the_matrices_are_of_their_kinds():
    stack = matrices()
    ranks = [np.linalg.matrix_rank(m) for m in stack]
    assert ranks == [5] * 3 + [2] * 3 + [4] * 2 + [4] * 2 + [5] * 2
    shortest = np.linalg.norm(combine(weigh("mgda", stack), stack), axis=1) / size(stack)
    assert np.all(shortest[KINDS["strong"]] < 1e-4)
    assert np.all(shortest[KINDS["strictly weak"]] < 1e-4)
    assert np.all(shortest[KINDS["non weak"]] > 1e-2)


# Two tasks: `[[18, -22], [-22, 38]]`, by hand or from the closed forms below


@pytest.mark.parametrize(
    ("weights", "expected", "combined"),
    [
        (mt.mgda_weights, [0.6, 0.4], [0, 1]),
        (lambda g: mt.pcgrad_weights(g, KEY), [20 / 9, 30 / 19], [0.5848, 3.8012]),
        (mt.upgrad_weights, [10 / 9, 15 / 19], [0.2924, 1.9006]),
        (mt.dualproj_weights, [11 / 18, 0.5], [0.5556, 1.1111]),
        (mt.imtl_g_weights, [0.5923, 0.4077], [0.0767, 1]),
        (mt.conflict_free_weights, [1.2265, 0.8441], [0.1588, 2.0706]),
        (mt.aligned_mtl_weights, [0.5591, 0.4083], [0.2133, 0.9673]),
        (mt.nash_mtl_weights, [0.59146, 0.40707], [0.0766, 0.9985]),
        (partial(mt.nash_mtl_weights, max_norm=1.0), [0.41822, 0.28784], [0.0542, 0.7061]),
        (partial(mt.fairgrad_weights, alpha=1.0), [0.59146, 0.40707], [0.0766, 0.9985]),
        (mt.fairgrad_weights, [0.4714, 0.3195], [0.0313, 0.7908]),
        (partial(mt.fairgrad_weights, alpha=0.5), [0.7428, 0.5254], [0.181, 1.2682]),
        (partial(mt.cagrad_weights, c=0.5), [0.7041, 0.5], [0.1835, 1.2041]),
    ],
)
def test_two_tasks_in_conflict(weights, expected, combined):
    found = weights(gramian(CONFLICT))
    np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_allclose(found @ CONFLICT, [*combined, combined[-1]], atol=1e-4)


def pairs():
    """Return gradients of two tasks at random angles, of random lengths."""
    rng = np.random.default_rng(1)
    angles, lengths = rng.uniform(0.05, 0.95, 8) * np.pi, 10 ** rng.uniform(-2, 2, (8, 2))
    for angle, (a, b) in zip(angles, lengths, strict=True):
        yield np.array([[a, 0.0], [b * np.cos(angle), b * np.sin(angle)]])


def closed_forms(g):
    """Return the weights of two tasks, from their Gramian in float64."""
    n, cosine = np.sqrt(np.diag(g)), g[0, 1] / np.sqrt(g[0, 0] * g[1, 1])
    first = np.clip((g[1, 1] - g[0, 1]) / (g[0, 0] + g[1, 1] - 2 * g[0, 1]), 0, 1)
    surgery = 1 - min(g[0, 1], 0) / np.diag(g)
    root = np.sqrt(np.linalg.det(g))
    half = (g + root * np.eye(2)) / np.sqrt(np.trace(g) + 2 * root)  # the root of the matrix
    smallest = np.linalg.eigvalsh(g)[0]
    return {
        "mgda": [first, 1 - first],
        "pcgrad": surgery,
        "upgrad": surgery / 2,
        "imtl_g": n[::-1] / np.sum(n),
        "nash_mtl": 1 / (n * np.sqrt(1 + cosine)),
        "aligned_mtl": np.sqrt(smallest) * np.linalg.solve(half, [0.5, 0.5]),
    }


@pytest.mark.parametrize("name", ["mgda", "pcgrad", "upgrad", "imtl_g", "nash_mtl", "aligned_mtl"])
def test_closed_forms_of_two_tasks(name, x64):
    method = (lambda g: mt.pcgrad_weights(g, KEY)) if name == "pcgrad" else METHODS[name]
    method = jax.jit(method)
    for rows in pairs():
        expected = closed_forms(rows @ rows.T)[name]
        np.testing.assert_allclose(method(jnp.asarray(rows @ rows.T)), expected, rtol=1e-8)


def test_the_worked_example_at_an_angle_of_120_degrees():
    forms = closed_forms(np.array([[1.0, -1.0], [-1.0, 4.0]]))
    expected = {
        "pcgrad": [2, 1.25], "upgrad": [1, 0.625], "mgda": [5 / 7, 2 / 7],
        "imtl_g": [2 / 3, 1 / 3], "nash_mtl": [2**0.5, 0.5**0.5],
    }  # fmt: skip
    for name, weights in expected.items():
        np.testing.assert_allclose(forms[name], weights, rtol=1e-12)


ORTHOGONAL = {
    "mgda": 0.2, "imtl_g": 0.2, "nash_mtl": 1, "fairgrad": 1, "upgrad": 0.2, "dualproj": 0.2,
    "aligned_mtl": 0.2, "conflict_free": 1, "cagrad": 0.28, "cagrad 1": 0.4,
}  # fmt: skip


@pytest.mark.parametrize("name", ORTHOGONAL)
def test_orthogonal_unit_rows(name):
    found = weigh(name, np.stack([np.eye(5)] * 12))
    np.testing.assert_allclose(found, ORTHOGONAL[name], rtol=1e-5)


def test_pcgrad_leaves_alone_what_does_not_conflict():
    np.testing.assert_array_equal(mt.pcgrad_weights(jnp.eye(4), KEY), np.ones(4))
    np.testing.assert_array_equal(mt.pcgrad_weights(jnp.full((4, 4), 2.0), KEY), np.ones(4))


# What holds for every method


@pytest.mark.parametrize("name", METHODS)
def test_the_order_of_the_tasks_does_not_matter(name):
    order = np.array([3, 0, 4, 1, 2])
    before, after = weigh(name, matrices()), weigh(name, matrices()[:, order])
    np.testing.assert_allclose(after[REGULAR], before[REGULAR][:, order], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("scale", [0.0, 1e-10, 1e3, 1e5, 1e10, 1e15])
@pytest.mark.parametrize("name", METHODS)
def test_weights_are_finite_at_every_scale(name, scale):
    """Rank-deficient matrices and zero rows are among them."""
    stack = matrices().copy()
    stack[3, :2] = 0
    stack[4, 1] = stack[4, 2]
    stack[5] = 0
    found = weigh(name, scale * stack)
    assert np.all(np.isfinite(found))
    assert np.all(np.isfinite(combine(found, scale * stack)))


SCALES = {"nash_mtl": -1, "fairgrad": -4 / 3, "fairgrad 0.1": -2 / 11}


@pytest.mark.parametrize("name", METHODS)
def test_scale_is_seen_to_exactly(name):
    """Weights do not depend on the unit of all gradients, but for those that say so."""
    factor = 1e9 ** SCALES.get(name, 0)
    before, after = weigh(name, matrices()), weigh(name, 1e9 * matrices())
    np.testing.assert_allclose(
        after[REGULAR], factor * before[REGULAR], rtol=2e-3, atol=1e-5 * factor
    )


@pytest.mark.parametrize("name", [*PROJECTING, "fairgrad 0.1"])
def test_nothing_is_in_conflict_with_the_result(name):
    stack = matrices()
    unit = stack / size(stack)[:, None, None]
    if name == "fairgrad 0.1":  # which has no answer for the others
        stack, unit = stack[REGULAR + [0] * 7], unit[REGULAR + [0] * 7]
    gains = np.einsum("nkp,np->nk", unit, combine(weigh(name, unit), unit))
    assert gains.min() >= -4e-4


@pytest.mark.parametrize("name", ["upgrad", "conflict_free"])
def test_the_result_is_linear_in_the_scales_of_the_rows(name):
    rng = np.random.default_rng(2)
    a, b = rng.uniform(0.1, 3.0, (2, 12, 5, 1))
    at = lambda scales: combine(weigh(name, scales * matrices()), scales * matrices())[REGULAR]
    np.testing.assert_allclose(at(a + b), at(a) + at(b), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["upgrad", "dualproj"])
def test_only_strongly_stationary_points_stop_it(name):
    stack = matrices()
    lengths = np.linalg.norm(combine(weigh(name, stack), stack), axis=1) / size(stack)
    assert np.all(lengths[KINDS["strong"]] < 1e-3)
    assert np.all(lengths[KINDS["strictly weak"]] > 1e-2)
    assert np.all(lengths[KINDS["non weak"]] > 1e-2)


def test_mgda_meets_its_optimality_conditions():
    stack = matrices() / size(matrices())[:, None, None]
    weights = weigh("mgda", stack)
    assert np.all(weights >= 0)
    np.testing.assert_allclose(np.sum(weights, axis=1), 1, rtol=1e-6)
    gains = np.einsum("nkp,np->nk", stack, combine(weights, stack))
    assert np.all(gains - np.sum(weights * gains, axis=1, keepdims=True) >= -1e-5)


def test_the_bargain_has_equal_shares():
    stack = matrices()[REGULAR + [0] * 7]
    weights = weigh("nash_mtl", stack)
    gains = np.einsum("nkp,np->nk", stack, combine(weights, stack))
    np.testing.assert_allclose(weights * gains, 1, rtol=1e-3)
    lengths = np.linalg.norm(combine(weights, stack), axis=1)
    np.testing.assert_allclose(lengths, 5**0.5, rtol=1e-4)


def test_fair_weights_solve_their_equation(x64):
    g = matrices()[REGULAR] @ np.swapaxes(matrices()[REGULAR], 1, 2)
    solve = jax.jit(jax.vmap(lambda g, alpha: mt.fairgrad_weights(g, alpha=alpha), (0, None)))
    for alpha in (0.1, 0.5, 1.0, 2.0, 30.0):
        weights = solve(g, alpha)
        gains = jnp.einsum("nkj,nj->nk", g, weights)
        np.testing.assert_allclose(gains, weights ** (-1 / alpha), rtol=1e-6)


UNITS = np.array([1e-3, 1.0, 40.0, 1e3, 0.2])[:, None]


@pytest.mark.parametrize("name", ["nash_mtl", "imtl_g", "conflict_free"])
def test_the_unit_of_a_loss_does_not_matter(name):
    """Nash-MTL gives the same gradient, ConFIG its direction, IMTL-G that or its opposite."""
    before = combine(weigh(name, matrices()), matrices())[REGULAR]
    after = combine(weigh(name, UNITS * matrices()), UNITS * matrices())[REGULAR]
    if name != "nash_mtl":
        before, after = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (before, after))
    if name == "imtl_g":
        before, after = (x * np.sign(x[:, :1]) for x in (before, after))
    np.testing.assert_allclose(after, before, rtol=1e-3, atol=1e-3)


def test_conflict_free_lowers_every_loss_where_imtl_g_may_raise_them():
    stack = matrices()[REGULAR + [0] * 7] * UNITS
    unit = stack / np.linalg.norm(stack, axis=2, keepdims=True)
    along = lambda name: np.einsum("nkp,np->nk", unit, combine(weigh(name, stack), stack))
    equal = along("conflict_free")
    assert np.all(equal > 0)
    np.testing.assert_allclose(equal, equal[:, :1] * np.ones(5), rtol=1e-2)
    assert np.any(along("imtl_g") < 0)


def test_conflict_free_is_parallel_to_imtl_g():
    stack = matrices()[REGULAR + [0] * 7]
    a, b = (combine(weigh(name, stack), stack) for name in ("imtl_g", "conflict_free"))
    cosine = np.sum(a * b, 1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    np.testing.assert_allclose(np.abs(cosine), 1, rtol=1e-5)


# Optimality, against SciPy's general solver


def slsqp(objective, start, bounds, sum_to=None):
    constraint = {"type": "eq", "fun": lambda w: np.sum(w) - sum_to}
    found = minimize(
        objective, start, bounds=bounds, method="SLSQP", options={"ftol": 1e-14, "maxiter": 500},
        constraints=[] if sum_to is None else [constraint],
    )  # fmt: skip
    return found.fun


@pytest.mark.parametrize("tasks", [12])
def test_no_general_solver_finds_better_weights(tasks, rng, x64):
    rows = rng.normal(size=(tasks, 9))
    g = rows @ rows.T / tasks
    mean, unit = np.full(tasks, 1 / tasks), [(0, 1)] * tasks
    square = lambda w: w @ g @ w
    ours = jax.jit(mt.mgda_weights)(jnp.asarray(g))
    assert square(ours) <= slsqp(square, mean, unit, 1) + 1e-10
    radius = 0.4 * np.sqrt(mean @ g @ mean)
    worst = lambda w: w @ g @ mean + radius * np.sqrt(max(w @ g @ w, 1e-30))
    ours = jax.jit(mt.cagrad_weights)(jnp.asarray(g)) - mean
    assert np.all(ours >= 0)
    np.testing.assert_allclose(np.sqrt(ours @ g @ ours), radius, rtol=1e-9)
    assert worst(ours / np.sum(ours)) <= slsqp(worst, mean, unit, 1) + 1e-7
    above = [(m, None) for m in mean]
    ours = jax.jit(mt.dualproj_weights)(jnp.asarray(g))
    assert np.all(ours >= mean) and square(ours) <= slsqp(square, mean, above) + 1e-10
    one = mean * (np.arange(tasks) == 1)
    ours = jax.jit(mt.upgrad_weights)(jnp.asarray(g), one)
    least = slsqp(square, one, [(o, None) for o in one])
    assert np.all(ours >= one) and square(ours) <= least + 1e-10


def test_forty_tasks_are_solved_exactly(rng, x64):
    g = rng.normal(size=(40, 100)) + 0.2
    g = jnp.asarray(g @ g.T)
    weights = jax.jit(mt.mgda_weights)(g)
    gains = g @ weights
    assert jnp.min(gains) >= weights @ gains * (1 - 1e-10)
    weights = jax.jit(mt.dualproj_weights)(g) - 1 / 40
    gains = g @ (weights + 1 / 40)
    np.testing.assert_allclose(weights * gains, 0, atol=1e-10)  # either no push or no gain
    assert jnp.min(gains) > -1e-8


# Cases of each method's own


def test_mgda_of_orthogonal_and_of_parallel_gradients():
    """Orthogonal ones are weighed by their inverse squares, of parallel ones the shortest wins."""
    orthogonal = jnp.diag(jnp.array([1.0, 4.0, 16.0]))
    np.testing.assert_allclose(mt.mgda_weights(orthogonal), np.array([16, 4, 1]) / 21, rtol=1e-6)
    lengths = jnp.array([3.0, 2.0, 5.0])
    np.testing.assert_allclose(mt.mgda_weights(jnp.outer(lengths, lengths)), [0, 1, 0], atol=1e-6)


def test_mgda_of_a_task_without_gradient():
    np.testing.assert_array_equal(mt.mgda_weights(jnp.diag(jnp.array([0.0, 4.0]))), [1, 0])
    np.testing.assert_allclose(mt.mgda_weights(jnp.zeros((4, 4))), 0.25)


def test_pcgrad_sums_what_each_task_makes_of_its_orders():
    """Three tasks that all conflict: whatever is drawn is one of the eight outcomes."""
    g = np.array([[4.0, -1.5, -1.0], [-1.5, 1.0, -0.2], [-1.0, -0.2, 1.0]])

    def surgery(task, order):
        weights = np.eye(3)[task]
        for j in order:
            weights[j] -= min(g[j] @ weights, 0) / g[j, j]
        return weights

    others = lambda task: itertools.permutations([j for j in range(3) if j != task])
    each = [[surgery(task, order) for order in others(task)] for task in range(3)]
    outcomes = np.array([sum(choice) for choice in itertools.product(*each)])
    keys = jax.random.split(KEY, 60)
    found = jax.vmap(lambda key: mt.pcgrad_weights(jnp.asarray(g, jnp.float32), key))(keys)
    distance = np.max(np.abs(np.asarray(found)[:, None] - outcomes), axis=2)
    assert np.all(np.min(distance, axis=1) < 1e-5)
    assert len(np.unique(np.argmin(distance, axis=1))) == 8


def test_pcgrad_draws_an_order_for_each_task():
    """Where 1 and 2 overlap, the first of them to be met by 0 takes the overlap away, too.

    With `g1 . g2 = 0.5`: 1 first gives `v1 = 1`, then `g2 . v = -1 + 0.5`, `v2 = 0.5`.
    """
    g = jnp.array([[9.0, -1.0, -1.0], [-1.0, 1.0, 0.5], [-1.0, 0.5, 1.0]])
    keys = jax.random.split(KEY, 40)
    found = np.asarray(jax.jit(jax.vmap(lambda key: mt.pcgrad_weights(g, key)))(keys))
    np.testing.assert_allclose(found[:, 0], 1 + 2 / 9, rtol=1e-5)
    first = np.isclose(found[:, 1], 2)
    assert 8 < np.sum(first) < 32
    np.testing.assert_allclose(
        found[:, 1:], np.where(first[:, None], [2, 1.5], [1.5, 2]), rtol=1e-5
    )


def updated(aggregator, rows, state=None, **extra):
    """Return what one update makes of rows, and the state after it."""
    rows = mt.Rows(jnp.asarray(rows, jnp.float32))
    state = aggregator.init(rows.stacked[0]) if state is None else state
    return aggregator.update(rows, state, **extra)


def test_gradvac_reaches_its_targets():
    """Two tasks: after the turn the cosines are the targets, which move towards those met."""
    aggregator = mt.gradvac(tasks=2, beta=0.25)
    rows = np.array([[1.0, 0.0], [0.0, 2.0]])
    state = aggregator.init(jnp.zeros(2))
    targets = jnp.array([[0.0, 0.6], [-0.5, 0.0]])
    state = state._replace(memory=state.memory._replace(targets=targets))
    combined, state = updated(aggregator, rows, state)
    # The first is turned until its cosine with the second is 0.6: (1, 0.75). The second is already
    # above its target of -0.5.
    np.testing.assert_allclose(combined, [1, 2.75], rtol=1e-6)
    np.testing.assert_allclose(state.memory.targets, [[0, 0.45], [-0.375, 0]], rtol=1e-6)


def test_gradvac_first_is_pcgrad():
    combined, state = updated(mt.gradvac(tasks=2), CONFLICT)
    np.testing.assert_allclose(combined, [0.5848, 3.8012, 3.8012], atol=1e-4)
    cosine = -22 / np.sqrt(18 * 38)
    np.testing.assert_allclose(state.memory.targets, 0.01 * cosine * (1 - np.eye(2)), rtol=1e-5)


def test_graddrop_draws_each_sign_as_often_as_it_should():
    rows = np.stack([np.full(4000, -4.0), np.full(4000, 6.0)])
    combined, _ = updated(mt.graddrop(seed=3), rows)
    assert set(np.unique(combined)) == {-4.0, 6.0}
    np.testing.assert_allclose(np.mean(combined == 6), 0.6, atol=0.03)
    leaking, _ = updated(mt.graddrop(seed=3, leak=[0.5, 0.0]), rows)
    np.testing.assert_array_equal(leaking, np.where(combined == 6, 6 - 2, -4))


def test_graddrop_is_the_sum_where_signs_agree_or_all_leaks():
    rows = np.array([[1.0, -2.0, 0.0], [3.0, -1.0, 5.0]])
    np.testing.assert_array_equal(updated(mt.graddrop(), rows)[0], [4, -3, 5])
    np.testing.assert_array_equal(updated(mt.graddrop(leak=1.0), CONFLICT)[0], [2, 2, 2])


def test_cagrad_between_the_mean_and_the_worst():
    g = gramian(CONFLICT)
    np.testing.assert_allclose(mt.cagrad_weights(g, c=0.0), [0.5, 0.5], rtol=1e-6)
    weights = mt.cagrad_weights(g, c=0.5)
    np.testing.assert_allclose(mt.cagrad_weights(g, c=0.5, rescale=True), weights / 1.25, rtol=1e-6)
    far = mt.cagrad_weights(g, c=100.0)  # the direction of MGDA
    np.testing.assert_allclose(far / np.sum(far), [0.6, 0.4], rtol=2e-2)


def test_cagrad_of_gradients_of_lengths_far_apart():
    """Orthogonal ones of lengths 1 and e: the shorter is the worst, and gets all of the radius.

    The mean is (1, e) / 2, of length 1 / 2 or little more; `d` is that and `(0, c / 2)`.
    """
    for short in (1e-2, 1e-5):
        g = jnp.diag(jnp.array([1.0, short**2]))
        combined = mt.cagrad_weights(g, c=0.4) * jnp.array([1.0, short])
        np.testing.assert_allclose(combined, [0.5, 0.2 + short / 2], rtol=2e-2)


@pytest.mark.parametrize(("first", "second"), [(28.0, -0.8), (-0.5, 1.6), (0.002, -0.8)])
def test_cagrad_where_gradients_can_cancel(first, second):
    """On a line the worst has the other sign: within the radius nothing but the mean's own side.

    The two can cancel, which is a solution of the equation for the length, too, and not this one.
    """
    rows = np.array([[first], [second]])
    mean = rows.mean()
    found = mt.cagrad_weights(gramian(rows), c=0.4) @ rows
    np.testing.assert_allclose(found, [mean - 0.4 * mean], rtol=1e-4)


def test_cagrad_stands_still_where_nothing_helps():
    rows = np.array([[-3.0, 0.0], [1.0, 0.0]])
    np.testing.assert_allclose(mt.cagrad_weights(gramian(rows), c=1.0) @ rows, 0, atol=1e-6)


def test_nash_weighs_orthogonal_gradients_by_their_inverse_lengths():
    g = jnp.diag(jnp.array([1.0, 4.0, 1e8]))
    np.testing.assert_allclose(mt.nash_mtl_weights(g), [1, 0.5, 1e-4], rtol=1e-6)
    found = mt.nash_mtl_weights(g, max_norm=1.0)
    np.testing.assert_allclose(found, np.array([1, 0.5, 1e-4]) / 3**0.5, rtol=1e-6)
    np.testing.assert_allclose(mt.nash_mtl_weights(g, max_norm=9.0), [1, 0.5, 1e-4], rtol=1e-6)


def test_nash_gives_nothing_to_a_task_without_gradient():
    np.testing.assert_allclose(
        mt.nash_mtl_weights(jnp.diag(jnp.array([0.0, 4.0]))), [0, 0.5], rtol=1e-6
    )


def test_fairgrad_from_the_sum_to_the_worst():
    """Alpha near 0 is the sum; orthogonal lengths n get `n^(-2 alpha / (1 + alpha))`."""
    rows = np.array([[1.0, 2.0], [2.0, 1.0]])
    np.testing.assert_allclose(mt.fairgrad_weights(gramian(rows), alpha=1e-3), 1, atol=1e-2)
    g = jnp.diag(jnp.array([1.0, 4.0, 64.0]))
    expected = np.array([1.0, 2.0, 8.0]) ** (-2 * 3 / 4)
    np.testing.assert_allclose(mt.fairgrad_weights(g, alpha=3.0), expected, rtol=1e-6)


def test_aligned_mtl_by_its_scales():
    """Orthogonal gradients of lengths 1, 2, 4: each becomes as long as the scale says."""
    g, inverse = jnp.diag(jnp.array([1.0, 4.0, 16.0])), np.array([1, 0.5, 0.25]) / 3
    for scale, length in (("min", 1), ("median", 2), ("rmse", 7**0.5)):
        found = mt.aligned_mtl_weights(g, scale=scale)
        np.testing.assert_allclose(found, length * inverse, rtol=1e-5)
    found = mt.aligned_mtl_weights(g, jnp.array([1.0, 0.0, 4.0]))
    np.testing.assert_allclose(found, [1, 0, 1], atol=1e-6)


def test_aligned_mtl_leaves_out_what_is_not_there():
    """Two tasks with the gradient (3, 4): one component, of length sqrt(50), kept as it is."""
    found = mt.aligned_mtl_weights(jnp.full((2, 2), 25.0))
    np.testing.assert_allclose(found, [0.5, 0.5], rtol=1e-5)


def test_upgrad_and_dualproj_leave_the_mean_alone_without_conflict():
    g = jnp.array([[1.0, 0.5, 0.0], [0.5, 2.0, 0.1], [0.0, 0.1, 3.0]])
    for weights in (mt.upgrad_weights, mt.dualproj_weights):
        np.testing.assert_allclose(weights(g), 1 / 3, rtol=1e-6)
        np.testing.assert_allclose(weights(g, jnp.array([1.0, 0.0, 2.0])), [1, 0, 2], atol=1e-6)


def test_upgrad_projects_row_by_row_and_dualproj_their_mean():
    """A third task, orthogonal to a pair in conflict, keeps its share."""
    g = jnp.array([[1.0, -1.0, 0.0], [-1.0, 4.0, 0.0], [0.0, 0.0, 9.0]])
    np.testing.assert_allclose(mt.upgrad_weights(g), np.array([2, 1.25, 1]) / 3, rtol=1e-6)
    np.testing.assert_allclose(mt.dualproj_weights(g), np.ones(3) / 3, rtol=1e-6)


def test_conflict_free_is_as_long_as_the_projections():
    combined = mt.conflict_free_weights(gramian(CONFLICT)) @ CONFLICT
    unit = combined / np.linalg.norm(combined)
    np.testing.assert_allclose(np.linalg.norm(combined), np.sum(CONFLICT @ unit), rtol=1e-5)
    cosines = CONFLICT @ unit / np.linalg.norm(CONFLICT, axis=1)
    np.testing.assert_allclose(cosines[0], cosines[1], rtol=1e-4)


def test_imtl_g_projects_three_tasks_alike():
    rows = np.array([[1.0, 0.0, 0.0], [1.0, 2.0, 0.0], [0.0, 1.0, 5.0]])
    weights = mt.imtl_g_weights(gramian(rows))
    along = rows @ (weights @ rows) / np.linalg.norm(rows, axis=1)
    np.testing.assert_allclose(along, along[0], rtol=1e-5)
    np.testing.assert_allclose(np.sum(weights), 1, rtol=1e-6)


WORKERS = np.array([[1.0, 1, 1], [1, 0, 1], [75, -666, 23], [1, 2, 3], [2, 0, 1]])


def test_krum_leaves_out_the_liar():
    found = mt.krum_weights(gramian(WORKERS), faulty=1, selected=4)
    np.testing.assert_array_equal(found, [0.25, 0.25, 0, 0.25, 0.25])
    np.testing.assert_array_equal(found @ WORKERS, [1.25, 0.75, 1.5])
    # Squared distances to the two nearest others: 1 + 2, 1 + 1, far, 5 + 8, 1 + 2.
    np.testing.assert_array_equal(mt.krum_weights(gramian(WORKERS), faulty=1), [0, 1, 0, 0, 0])


def test_the_trimmed_mean():
    rows = np.array([[1e11, 3], [1, -1e11], [-1e10, 1e10], [2, 2]])
    np.testing.assert_array_equal(updated(mt.trimmed_mean(trim=1), rows)[0], [1.5, 2.5])
    np.testing.assert_allclose(updated(mt.trimmed_mean(trim=0), CONFLICT)[0], [1, 1, 1])


def test_the_total_is_linear_in_its_weights():
    plain, _ = updated(mt.total(), CONFLICT)
    np.testing.assert_array_equal(plain, [2, 2, 2])
    a, b = jnp.array([1.0, 0.5]), jnp.array([0.25, 3.0])
    at = lambda weights: updated(mt.total(weights=weights), CONFLICT)[0]
    np.testing.assert_allclose(at(a + b), at(a) + at(b), rtol=1e-6)


def test_the_total_is_the_gradient_of_the_weighted_sum_of_the_losses():
    losses = lambda x: {"a": jnp.sum(x**3), "b": jnp.prod(jnp.sin(x))}
    x = jnp.array([0.5, -1.5, 2.0])
    _, rows = mt.value_and_gradients(losses)(x)
    found, _ = mt.total(weights=jnp.array([0.25, 3.0])).update(rows, mt.total().init(x))
    expected = jax.grad(lambda x: 0.25 * losses(x)["a"] + 3 * losses(x)["b"])(x)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_plain_mean_by_hand_and_linear_in_the_scale_of_each_row():
    mean, _ = updated(mt.total(weights=jnp.array([0.5, 0.5])), CONFLICT)
    np.testing.assert_allclose(mean, [1.0, 1.0, 1.0], rtol=1e-6)
    rng = np.random.default_rng(0)
    rows, one, other = rng.normal(size=(3, 5)), rng.uniform(size=(3, 1)), rng.uniform(size=(3, 1))
    at = lambda scale: np.asarray(updated(mt.total(), scale * rows)[0])
    np.testing.assert_allclose(at(one + 2 * other), at(one) + 2 * at(other), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("to", "length"), [("one", 1.0), ("mean", (18**0.5 + 38**0.5) / 2)])
def test_normalised_gradients_have_one_length(to, length):
    rows = mt.Rows({"a": jnp.asarray(CONFLICT), "b": jnp.zeros((2, 2))})
    scaled, _ = mt.normalize(to=to).update(rows, optax.EmptyState())
    np.testing.assert_allclose(scaled.norms(), length, rtol=1e-6)
    still, _ = mt.normalize().update([jnp.zeros(2), jnp.ones(2)], optax.EmptyState())
    np.testing.assert_allclose(still.norms(), [0, 1], rtol=1e-6)


def test_gradients_that_are_not_held_are_normalised_as_well():
    rows = jnp.asarray(CONFLICT, jnp.float32)
    lazy = mt.Pullback(lambda t: rows @ t, lambda w: w @ rows, jnp.array([1.0, 10.0]))
    scaled, _ = mt.normalize().update(lazy, optax.EmptyState())
    unit = CONFLICT / np.linalg.norm(CONFLICT, axis=1, keepdims=True)
    np.testing.assert_allclose(scaled.gramian(), unit @ unit.T, rtol=1e-5)
    np.testing.assert_allclose(scaled.norms(), 1, rtol=1e-6)
    np.testing.assert_allclose(scaled.alignments(jnp.ones(3)), unit @ np.ones(3), rtol=1e-5)
    np.testing.assert_allclose(scaled.combine(jnp.ones(2)), np.sum(unit, axis=0), rtol=1e-5)


LOSSES = jnp.array([5.0, 2.0])


def test_gradnorm_by_hand():
    """Lengths 3 and 1 with mean 2; at first no task is behind, so both targets are 2.

    The slopes are 3 and -1, the step of 0.1 leads to 0.7 and 1.1, scaled to the sum 2.
    """
    rows = np.array([[3.0, 0.0], [0.0, 1.0]])
    aggregator = mt.gradnorm(optax.sgd(0.1), tasks=2, alpha=1.0)
    combined, state = updated(aggregator, rows, losses=LOSSES)
    np.testing.assert_allclose(combined, [3, 1])
    np.testing.assert_allclose(state.memory.weights, [0.7 / 0.9, 1.1 / 0.9], rtol=1e-6)
    # Now the first loss is a fifth, the second a half of what it was: 0.4 / 0.7 and 1 / 0.7 of
    # the mean rate. The targets are 1.72 * (0.57, 1.43), both weights change as before.
    combined, state = updated(aggregator, rows, state, losses=jnp.array([1.0, 1.0]))
    np.testing.assert_allclose(combined, [3 * 0.7 / 0.9, 1.1 / 0.9], rtol=1e-6)
    learned = np.array([0.7 / 0.9 - 0.3, 1.1 / 0.9 + 0.1])
    np.testing.assert_allclose(state.memory.weights, 2 * learned / learned.sum(), rtol=1e-6)


def test_gradnorm_pulls_the_task_that_is_behind():
    """The exponent is positive: with one length for all, the slower task gets the longer one."""
    aggregator = mt.gradnorm(optax.sgd(0.01), tasks=2, alpha=1.5)
    _, state = updated(aggregator, np.eye(2), losses=LOSSES)
    for _ in range(3):
        _, state = updated(aggregator, np.eye(2), state, losses=LOSSES * jnp.array([0.1, 0.9]))
    assert state.memory.weights[1] > 1.02 > 0.98 > state.memory.weights[0]


def test_gradnorm_with_alpha_0_makes_lengths_equal():
    aggregator = mt.gradnorm(optax.sgd(2e-3), tasks=3, alpha=0.0)
    rows = mt.Rows(jnp.diag(jnp.array([1.0, 2.0, 4.0])))

    @jax.jit
    def learn(state):
        step = lambda state, _: (aggregator.update(rows, state, losses=jnp.ones(3))[1], None)
        return jax.lax.scan(step, state, length=1000)[0]

    weights = learn(aggregator.init(jnp.zeros(3))).memory.weights
    np.testing.assert_allclose(weights, np.array([4, 2, 1]) * 3 / 7, atol=0.03)


def test_db_mtl_by_hand():
    """Gradients of log losses are (0.6, 0.8), (0, 1); then (0.6, 0.8), (2, 0)."""
    aggregator = mt.db_mtl(tasks=2, decay=0.5, power=1.0)
    combined, state = updated(aggregator, [[3.0, 4.0], [0.0, 2.0]], losses=LOSSES)
    np.testing.assert_allclose(combined, [0.6, 1.8], rtol=1e-6)
    combined, state = updated(aggregator, [[3.0, 4.0], [4.0, 0.0]], state, losses=LOSSES)
    # The past has the share 0.5 / 2: the averages are (0.6, 0.8) and (1.5, 0.25).
    np.testing.assert_allclose(state.memory.average, [[0.6, 0.8], [1.5, 0.25]], rtol=1e-6)
    longest = np.hypot(1.5, 0.25)
    expected = np.array([0.6, 0.8]) * longest + [1.5, 0.25]
    np.testing.assert_allclose(combined, expected, rtol=1e-6)


def test_a_moving_average_of_weights():
    aggregator = mt.moving_average(mt.mgda_weights, tasks=2, decay=0.75)
    _, state = updated(aggregator, [[1.0, 0.0], [0.0, 1.0]])
    combined, state = updated(aggregator, [[1.0, 0.0], [0.0, 3.0]], state)
    np.testing.assert_allclose(state.memory.weights, [0.6, 0.4], rtol=1e-6)  # 0.5, and 0.9 next
    np.testing.assert_allclose(combined, [0.6, 1.2], rtol=1e-6)
    now = mt.moving_average(mt.mgda_weights, tasks=2, decay=0.0)
    np.testing.assert_allclose(updated(now, CONFLICT, state)[0], [0, 1, 1], atol=1e-6)


# A reference gradient: two tasks that disagree about a plane, and a validation loss


def plane():
    tasks = lambda x: jnp.stack([x[0] ** 2 + x[1], -3.0 * x[0] + x[1] ** 2, x[0] * x[1]])
    return tasks, lambda x: jnp.sum((x - 1) ** 2 * jnp.array([1.0, 2.0])), jnp.array([2.0, 0.5])


def test_learning_to_reweight_is_a_step_on_the_validation_loss():
    """By its definition: how weights of 0 change the validation loss one step later."""
    tasks, validate, x = plane()
    rows, reference = jax.jacobian(tasks)(x), jax.grad(validate)(x)
    later = lambda weights: validate(x - 1e-3 * weights @ rows)
    expected = np.maximum(-jax.grad(later)(jnp.zeros(3)), 0)
    combined, _ = updated(mt.learning_to_reweight(), rows, reference_gradient=reference)
    np.testing.assert_allclose(combined, expected / expected.sum() @ rows, rtol=1e-5)
    none, _ = updated(mt.learning_to_reweight(), rows, reference_gradient=jnp.zeros(2))
    np.testing.assert_array_equal(none, 0)


def test_learning_to_reweight_examples():
    """Four examples, two of them labelled the wrong way round: these have no weight."""
    features = jnp.array([[1.0, 0.0], [1.0, 1.0], [2.0, 1.0], [0.0, 1.0]])
    labels = jnp.array([1.0, 1.0, -1.0, -1.0])
    loss = lambda w, x, y: jnp.log1p(jnp.exp(-y * (w @ x)))
    rows = jax.vmap(jax.grad(loss), (None, 0, 0))(jnp.zeros(2), features, labels)
    clean = -jnp.ones(2)  # all features speak for the label 1
    combined, _ = updated(mt.learning_to_reweight(), rows, reference_gradient=clean)
    np.testing.assert_allclose(combined, [-0.5, -1 / 3], rtol=1e-6)  # (1 e0 + 2 e1) / 3, halved


def test_gradient_cosine():
    rows = np.array([[3.0, 4.0], [-1.0, 1.0], [5.0, 0.0]])
    main = jnp.array([2.0, 0.0])
    combined, _ = updated(mt.gradient_cosine(), rows, reference_gradient=main)
    np.testing.assert_allclose(combined, [0.6 * 3 + 5, 0.6 * 4], rtol=1e-6)
    combined, _ = updated(mt.gradient_cosine(weighted=False), rows, reference_gradient=main)
    np.testing.assert_allclose(combined, [8, 4], rtol=1e-6)


def test_ol_aux_adds_up_alignments_of_several_updates():
    """Alignments (6, -2) and (2, 0), added up before a step of 0.1."""
    optimizer = optax.MultiSteps(optax.sgd(0.2), 2).gradient_transformation()
    aggregator = mt.ol_aux(optimizer, tasks=2)
    rows, main = np.array([[3.0, 4.0], [-1.0, 1.0]]), jnp.array([2.0, 0.0])
    combined, state = updated(aggregator, rows, reference_gradient=main)
    np.testing.assert_allclose(combined, [2, 5], rtol=1e-6)
    rows = np.array([[1.0, 0.0], [0.0, 1.0]])
    combined, state = updated(aggregator, rows, state, reference_gradient=main)
    np.testing.assert_allclose(state.memory.weights, [1.8, 0.8], rtol=1e-6)
    np.testing.assert_allclose(combined, [1.8, 0.8], rtol=1e-6)


def test_ol_aux_descends_the_speed_of_the_main_loss():
    """By its definition, the paper's equation for the speed at which the main loss changes."""
    tasks, main, x = plane()
    rows = jax.jacobian(tasks)(x)
    learn = mt.ol_aux(optax.sgd(0.1), tasks=3, initial=[0.3, 0.2, 0.5])
    before = learn.init(x).memory.weights
    moved = lambda weights: lambda time: main(x - time * weights @ rows)
    speed = lambda weights: jax.jvp(moved(weights), (0.0,), (1.0,))[1]
    _, state = updated(learn, rows, learn.init(x), reference_gradient=jax.grad(main)(x))
    np.testing.assert_allclose(
        state.memory.weights, before - 0.1 * jax.grad(speed)(before), rtol=1e-5
    )


def test_auto_lambda_is_the_derivative_of_the_loss_one_step_ahead():
    tasks, validate, x = plane()
    rows, rate = jax.jacobian(tasks)(x), 0.1
    aggregator = mt.auto_lambda(
        optax.sgd(2.0), tasks=3, learning_rate=rate, initial=[0.1, 0.2, 0.3]
    )
    state = aggregator.init(x)
    ahead = lambda weights: x - rate * weights @ rows
    weights = state.memory.weights
    expected = weights - 2.0 * jax.grad(lambda w: validate(ahead(w)))(weights)
    reference = jax.grad(validate)(ahead(weights))
    combined, state = updated(aggregator, rows, state, reference_gradient=reference)
    np.testing.assert_allclose(state.memory.weights, expected, rtol=1e-5)
    np.testing.assert_allclose(combined, expected @ rows, rtol=1e-5)


# Gradient balance: none dominates, and no unit of a loss matters


def balanced(aggregator, unit):
    """Return the gradient of the first update where the second loss is in another unit."""
    rows = mt.Rows(jnp.asarray(CONFLICT * [[1.0], [unit]], jnp.float32))
    losses = LOSSES * jnp.array([1.0, unit])
    return aggregator.update(rows, aggregator.init(jnp.zeros(3)), losses=losses)[0]


INVARIANT = {
    "normalize": lambda: optax.chain(mt.normalize(), mt.total()),
    "normalize and mgda": lambda: optax.chain(mt.normalize(), mt.mgda()),
    "normalize and pcgrad": lambda: optax.chain(mt.normalize(), mt.pcgrad()),
    "nash_mtl": mt.nash_mtl,
    "db_mtl": lambda: mt.db_mtl(tasks=2),
}


@pytest.mark.parametrize("name", INVARIANT)
def test_balanced_gradients_do_not_see_the_unit_of_a_loss(name):
    aggregator = INVARIANT[name]()
    with_extra = optax.with_extra_args_support(aggregator)
    for unit in (1e-3, 50.0):
        np.testing.assert_allclose(
            balanced(with_extra, unit), balanced(with_extra, 1.0), rtol=1e-4, atol=1e-5
        )
    assert not np.allclose(balanced(mt.total(), 50.0), balanced(mt.total(), 1.0))


# Whatever the aggregator: one protocol

KNOWN = {
    "losses": jnp.array([1.0, 2.0, 3.0, 4.0]),
    "reference_gradient": {
        "trunk": jnp.array([1.0, -1.0, 0.5, 0.2, -0.7, 1.5]),
        "head": jnp.zeros((2, 4)),
    },
}
FACTORIES = {
    "total": mt.total,
    "mgda": mt.mgda,
    "pcgrad": mt.pcgrad,
    "gradvac": partial(mt.gradvac, tasks=4),
    "graddrop": mt.graddrop,
    "cagrad": mt.cagrad,
    "nash_mtl": mt.nash_mtl,
    "fairgrad": mt.fairgrad,
    "imtl_g": mt.imtl_g,
    "aligned_mtl": mt.aligned_mtl,
    "upgrad": mt.upgrad,
    "dualproj": mt.dualproj,
    "conflict_free": mt.conflict_free,
    "krum": partial(mt.krum, faulty=1),
    "trimmed_mean": partial(mt.trimmed_mean, trim=1),
    "gradnorm": partial(mt.gradnorm, optax.adam(0.01), tasks=4),
    "db_mtl": partial(mt.db_mtl, tasks=4),
    "moving_average": partial(mt.moving_average, mt.mgda_weights, tasks=4),
    "learning_to_reweight": mt.learning_to_reweight,
    "gradient_cosine": mt.gradient_cosine,
    "ol_aux": partial(mt.ol_aux, optax.adam(0.01), tasks=4),
    "auto_lambda": partial(mt.auto_lambda, optax.adam(0.01), tasks=4),
}
NEEDS = {
    "gradnorm": "losses", "db_mtl": "losses", "learning_to_reweight": "reference_gradient",
    "gradient_cosine": "reference_gradient", "ol_aux": "reference_gradient",
    "auto_lambda": "reference_gradient",
}  # fmt: skip
ELEMENTWISE = ["graddrop", "trimmed_mean", "db_mtl"]


def test_every_aggregator_is_here():
    others = {"aggregate", "normalize", "value_and_gradients"}
    public = {name for name in mt.__all__ if name.islower() and not name.endswith("_weights")}
    assert set(FACTORIES) == public - others


def four_tasks():
    rng = np.random.default_rng(3)
    draw = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)
    return mt.Rows({"trunk": draw(4, 6), "head": draw(4, 2, 4)})


@functools.cache
def history(name):
    """Return gradients and states of three updates in one scan; the trunk is shared."""
    aggregator = FACTORIES[name](shared={"trunk": True, "head": False})
    rows = four_tasks()
    params = jax.tree.map(lambda leaf: leaf[0], rows.stacked)

    @jax.jit
    def run(state):
        def step(state, scale):
            scaled = rows.scaled(jnp.full(4, scale))
            out, state = aggregator.update(scaled, state, params, unknown="passes", **KNOWN)
            return state, (out, state)

        return jax.lax.scan(step, state, jnp.array([1.0, 0.5, 2.0]))[1]

    return aggregator, params, run(aggregator.init(params))


@pytest.mark.parametrize("name", FACTORIES)
def test_states_are_stable_and_heads_plain(name):
    aggregator, params, (out, states) = history(name)
    for before, after in zip(leaves(aggregator.init(params)), leaves(states), strict=True):
        assert (3, *before.shape) == after.shape and before.dtype == after.dtype
    head = jnp.sum(four_tasks().stacked["head"], axis=0)
    np.testing.assert_allclose(out["head"], np.multiply.outer([1, 0.5, 2], head), rtol=1e-5)
    assert np.all(np.isfinite(out["trunk"])) and np.any(out["trunk"] != 0)


@pytest.mark.parametrize("name", sorted(set(FACTORIES) - set(METHODS)))
def test_eager_is_jit(name):
    """The first update, by itself and without a program."""
    aggregator, params, (out, _) = history(name)
    eager, _ = aggregator.update(four_tasks(), aggregator.init(params), params, **KNOWN)
    np.testing.assert_allclose(eager["trunk"], out["trunk"][0], rtol=2e-4, atol=1e-5)


@pytest.mark.parametrize("name", sorted(set(FACTORIES) - set(ELEMENTWISE)))
def test_heads_may_be_weighted_and_gradients_need_not_be_held(name):
    """The weights of the trunk, found again in the heads; the same by `Pullback`."""
    aggregator = FACTORIES[name](shared={"trunk": True, "head": False}, heads="weighted")
    rows, (_, params, (out, _)) = four_tasks(), history(name)
    size = lambda x: x.reshape(4, -1)
    push = lambda t: (
        size(rows.stacked["trunk"]) @ t["trunk"] + size(rows.stacked["head"]) @ t["head"].ravel()
    )
    lazy = mt.Pullback(push, rows.combine, jnp.ones(4))
    got, _ = jax.jit(lambda state: aggregator.update(lazy, state, params, **KNOWN))(
        aggregator.init(params)
    )
    np.testing.assert_allclose(got["trunk"], out["trunk"][0], rtol=1e-3, atol=1e-4)
    flat = np.concatenate([size(rows.stacked["trunk"]), size(rows.stacked["head"])], axis=1)
    weights, *_ = np.linalg.lstsq(flat.T, np.concatenate([got["trunk"], got["head"].ravel()]))
    np.testing.assert_allclose(weights @ size(rows.stacked["trunk"]), out["trunk"][0], atol=1e-4)
    if name not in ("total", "gradnorm"):
        assert not np.allclose(got["head"], out["head"][0], atol=1e-3)


@pytest.mark.parametrize("name", ["pcgrad", "gradnorm"])
def test_a_batch_of_problems(name):
    aggregator, params, (out, _) = history(name)
    scales = jnp.array([1.0, 0.5])

    def first(scale):
        rows = four_tasks().scaled(jnp.full(4, scale))
        return aggregator.update(rows, aggregator.init(params), params, **KNOWN)[0]["trunk"]

    both = jax.jit(jax.vmap(first))(scales)
    np.testing.assert_allclose(both[0], out["trunk"][0], rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(both[1], first(0.5), rtol=1e-3, atol=1e-5)


def test_seeds_give_other_orders():
    rows = np.linalg.cholesky([[9.0, -1.0, -1.0], [-1.0, 1.0, 0.5], [-1.0, 0.5, 1.0]])
    draw = jax.jit(jax.vmap(lambda seed: updated(mt.pcgrad(seed=seed), rows)[0]))
    assert len(np.unique(draw(jnp.arange(20)).round(4), axis=0)) > 1


@pytest.mark.parametrize("name", NEEDS)
def test_what_is_missing_is_named(name):
    aggregator, params, _ = history(name)
    known = {key: value for key, value in KNOWN.items() if key != NEEDS[name]}
    with pytest.raises(TypeError, match=f"^{name}: update needs the extra argument {NEEDS[name]}="):
        aggregator.update(four_tasks(), aggregator.init(params), params, **known)


@pytest.mark.parametrize(
    "name", ["gradvac", "gradnorm", "db_mtl", "moving_average", "ol_aux", "auto_lambda"]
)
def test_another_number_of_tasks_is_refused(name):
    aggregator, params, _ = history(name)
    three = jax.tree.map(lambda leaf: leaf[:3], four_tasks())
    with pytest.raises(ValueError, match=f"^{name}: gradients must be those of 4 tasks.*got 3"):
        aggregator.update(three, aggregator.init(params), params, **KNOWN)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_gradients_that_are_not_held_are_refused(name):
    aggregator, params, _ = history(name)
    lazy = mt.Pullback(lambda t: jnp.zeros(4), four_tasks().combine, jnp.ones(4))
    with pytest.raises(ValueError, match=rf"^{name}: gradients must be rows \(mode='map'\)"):
        aggregator.update(lazy, aggregator.init(params), params, **KNOWN)


FLOATS = {
    "cagrad": {"c": 0.3}, "fairgrad": {"alpha": 1.5}, "nash_mtl": {"max_norm": 2.0},
    "graddrop": {"leak": 0.2}, "gradvac": {"beta": 0.3}, "gradnorm": {"alpha": 0.5},
    "db_mtl": {"decay": 0.8, "power": 0.2}, "moving_average": {"decay": 0.4},
    "auto_lambda": {"learning_rate": 0.1, "initial": 0.3}, "ol_aux": {"initial": 0.5},
}  # fmt: skip


@pytest.mark.parametrize("name", FLOATS)
def test_every_number_may_follow_a_schedule(name):
    factory = FACTORIES[name]
    fixed, inner = {}, factory
    if isinstance(factory, partial):
        inner, fixed = factory.func, dict(factory.keywords)
        fixed |= zip(inspect.signature(inner).parameters, factory.args, strict=False)
    schedules = {k: optax.constant_schedule(v) for k, v in FLOATS[name].items()}
    scheduled = optax.inject_hyperparams(inner, static_args=tuple(fixed))(**fixed, **schedules)
    plain = inner(**fixed, **FLOATS[name])
    params = history(name)[1]
    run = jax.jit(
        lambda a, rows: a.update(rows, a.init(params), params, **KNOWN)[0], static_argnums=0
    )
    a, b = run(scheduled, four_tasks()), run(plain, four_tasks())
    np.testing.assert_allclose(a["trunk"], b["trunk"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mt.cagrad(c=-1.0), "cagrad: c must be in [0, inf)"),
        (lambda: mt.nash_mtl(max_norm=0.0), "nash_mtl: max_norm must be in (0, inf)"),
        (lambda: mt.fairgrad(alpha=0.0), "fairgrad: alpha must be in (0, inf)"),
        (lambda: mt.gradvac(tasks=0), "gradvac: tasks must be at least 1"),
        (lambda: mt.gradvac(tasks=2, beta=2.0), "gradvac: beta must be in [0, 1]"),
        (lambda: mt.graddrop(leak=2.0), "graddrop: leak must be in [0, 1]"),
        (lambda: mt.gradnorm(optax.sgd(1.0), tasks=2, alpha=-1.0), "gradnorm: alpha must be in [0"),
        (lambda: mt.db_mtl(tasks=2, decay=1.0), "db_mtl: decay must be in [0, 1)"),
        (lambda: mt.moving_average(mt.mgda_weights, tasks=2, decay=-1.0), "moving_average: decay"),
        (lambda: mt.auto_lambda(optax.sgd(1.0), tasks=2, learning_rate=-1.0), "learning_rate must"),
        (lambda: mt.ol_aux(optax.sgd(1.0), tasks=2, initial=[1.0, 2.0, 3.0]), "ol_aux: initial"),
        (lambda: mt.aligned_mtl(scale="max"), "aligned_mtl: scale must be one of min, median"),
        (lambda: mt.normalize(to="two"), "normalize: to must be 'one' or 'mean'"),
        (lambda: mt.krum(faulty=-1), "krum: faulty must be at least 0"),
        (lambda: mt.krum_weights(jnp.eye(4), faulty=2), "krum_weights: faulty must be at most 1"),
        (lambda: mt.trimmed_mean(trim=-1), "trimmed_mean: trim must be at least 0"),
        (lambda: updated(mt.trimmed_mean(trim=1), CONFLICT), "trimmed_mean: trim must be at most"),
        (lambda: mt.total(weights=[-1.0, 2.0]), "total: weights must be in [0, inf)"),
        (lambda: mt.upgrad(preference=[-1.0, 2.0]), "upgrad: preference must be in [0, inf)"),
        (lambda: mt.upgrad_weights(jnp.eye(3), jnp.ones(2)), "upgrad_weights: preference must be"),
        (lambda: updated(mt.total(weights=1.0), CONFLICT), "weights must be one number for each"),
        (lambda: mt.mgda(heads="none"), "mgda: heads must be 'plain' or 'weighted'"),
        (lambda: mt.mgda_weights(jnp.ones((2, 3))), "mgda_weights: gramian must be of shape"),
    ],
)  # fmt: skip
def test_bad_arguments_say_what_to_do(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


def test_states_are_saved_and_restored(tmp_path):
    from jaxloss.demo.checkpoint import Checkpoints

    states = {name: jax.tree.map(lambda x: x[-1], history(name)[2][1]) for name in FACTORIES}
    like = {name: history(name)[0].init(history(name)[1]) for name in FACTORIES}
    for attempt in range(2):
        checkpoints = Checkpoints(tmp_path / "run", {"run": 1})
        if not attempt:
            checkpoints.save(3, states)
        else:
            step, restored = checkpoints.restore(like)
            assert step == 3
            for a, b in zip(leaves(states), leaves(restored), strict=True):
                np.testing.assert_array_equal(a, b)
        checkpoints.close()
