"""Curricula one by one: values by hand and of the papers, edges, claims and messages."""

import functools

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, PartitionSpec

import jaxloss as jl
from jaxloss import curriculum

NAN, INF = np.nan, np.inf


def weigh(transformation, losses, **extra):
    losses = jnp.asarray(losses, jnp.float32)
    return transformation.update(losses, transformation.init(losses), **extra)[0]


# Selection by rank


@pytest.mark.parametrize(
    ("make", "fraction", "expected"),
    [
        (curriculum.ohem, 0.5, [0, 2, 0, 2]),
        (curriculum.ohem, 0.01, [0, 4, 0, 0]),
        (curriculum.ohem, 1.0, [1, 1, 1, 1]),
        (curriculum.small_loss, 0.25, [4, 0, 0, 0]),
        (curriculum.small_loss, 0.75, [4 / 3, 0, 4 / 3, 4 / 3]),
        (curriculum.cvar, 0.5, [0, 2, 0, 2]),
        (curriculum.cvar, 0.6, [0, 1 / 0.6, 0.4 / 0.6, 1 / 0.6]),
        (curriculum.cvar, 0.1, [0, 4, 0, 0]),
        (curriculum.cvar, 1.0, [1, 1, 1, 1]),
    ],
)
def test_weights_of_a_selection_by_hand(make, fraction, expected):
    losses = np.float32([1, 9, 2, 5])
    np.testing.assert_allclose(weigh(make(fraction), losses), expected * losses, rtol=1e-6)


@pytest.mark.parametrize(("make", "first"), [(curriculum.ohem, 9.0), (curriculum.small_loss, 1.0)])
def test_the_number_kept_is_that_of_valid_examples_and_of_equals_the_first(make, first):
    losses = np.float32([first, 3, NAN, first, 3, first])
    where = np.array([True, True, False, True, True, False])
    out = weigh(make(0.25), losses, where=where)
    np.testing.assert_array_equal(out, [4 * first, 0, 0, 0, 0, 0])


@pytest.mark.parametrize("make", [curriculum.ohem, curriculum.small_loss, curriculum.cvar])
def test_a_fraction_that_changes_compiles_once(make):
    traces = []

    @jax.jit
    def run(losses, fraction):
        traces.append(fraction)
        transformation = make(fraction)
        return transformation.update(losses, transformation.init(losses))[0]

    losses = jnp.arange(1.0, 11.0)
    kept = [int(jnp.sum(run(losses, fraction) > 0)) for fraction in (0.1, 0.5, 0.8, 1.0)]
    assert kept == [1, 5, 8, 10] and len(traces) == 1


def test_cvar_is_the_least_of_rockafellar_and_uryasev(rng):
    """`min over c of c + mean(max(l - c, 0)) / fraction`, which is attained at a loss."""
    losses = rng.gumbel(size=37).astype(np.float32)
    for fraction in (0.02, 0.1, 0.315, 0.9, 1.0):
        excess = np.maximum(np.float64(losses) - np.float64(losses)[:, None], 0).mean(axis=1)
        least = np.min(losses + excess / fraction)
        mean = jl.mean(weigh(curriculum.cvar(fraction), losses))
        np.testing.assert_allclose(mean, least, rtol=2e-6)


def test_cvar_is_continuous_in_its_fraction_and_falls_to_the_mean(rng):
    losses = rng.exponential(size=8).astype(np.float32)
    fractions = np.linspace(0.01, 1, 400, dtype=np.float32)
    tail = lambda fraction: jl.mean(weigh(curriculum.cvar(fraction), losses))
    means = np.asarray(jax.jit(jax.vmap(tail))(fractions))
    assert np.all(np.diff(means) <= 1e-6) and np.min(np.diff(means)) > -0.1
    np.testing.assert_allclose(means[[0, -1]], [losses.max(), losses.mean()], rtol=1e-6)


def test_selections_see_infinite_losses():
    losses = np.float32([INF, 1, 2, 3])
    np.testing.assert_array_equal(weigh(curriculum.small_loss(0.5), losses), [0, 2, 4, 0])
    np.testing.assert_array_equal(weigh(curriculum.ohem(0.25), losses), [INF, 0, 0, 0])
    np.testing.assert_array_equal(weigh(curriculum.cvar(0.25), losses), [INF, 0, 0, 0])


def test_examples_with_several_axes_are_one_batch():
    out = weigh(curriculum.ohem(0.5), [[1, 9], [2, 5]])
    np.testing.assert_array_equal(out, [[0, 18], [0, 10]])


# Co-teaching


def test_networks_exchange_their_picks():
    teaching = curriculum.co_teaching(0.5)
    losses = {"a": jnp.array([1.0, 2.0, 3.0, 4.0]), "b": jnp.array([8.0, 7.0, 6.0, 5.0])}
    out, state = teaching.update(losses, teaching.init(losses), unknown=3)
    np.testing.assert_array_equal(out["a"], [0, 0, 6, 8])
    np.testing.assert_array_equal(out["b"], [16, 14, 0, 0])
    assert state.admitted == {"a": 0.5, "b": 0.5}
    gradient = jax.grad(lambda l: jnp.sum(teaching.update(l, state)[0]["a"]))(losses)
    np.testing.assert_array_equal(gradient["a"], [0, 0, 2, 2])
    np.testing.assert_array_equal(gradient["b"], np.zeros(4))


@pytest.mark.parametrize("shapes", [[(3,)], [(3,), (3,), (3,)], [(3,), (4,)]])
def test_co_teaching_wants_two_tasks_of_one_shape(shapes):
    teaching, losses = curriculum.co_teaching(0.5), [jnp.zeros(shape) for shape in shapes]
    message = r"^co_teaching: losses must be two tasks of the same shape.*, got shapes \[\(3,\)"
    with pytest.raises(ValueError, match=message):
        teaching.update(losses, teaching.init(losses))


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
def test_the_share_to_keep_follows_the_paper(exponent):
    keep = jax.jit(curriculum.keep_schedule(0.45, 10.0, exponent=exponent, epoch=20))
    for step in (0, 7, 60, 200, 4000):
        expected = 1 - 0.45 * min((step / 20) ** exponent / 10, 1)
        np.testing.assert_allclose(keep(step), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"noise": 1.0}, r"noise must be in \[0, 1\), got 1"),
        ({"ramp": 0.0}, r"ramp must be in \(0, inf\), got 0"),
        ({"exponent": -1.0}, r"exponent must be in \(0, inf\), got -1"),
        ({"epoch": 0}, r"epoch must be in \(0, inf\), got 0"),
    ],
)
def test_impossible_shares_to_keep_raise(options, message):
    with pytest.raises(ValueError, match=f"^keep_schedule: {message}"):
        curriculum.keep_schedule(**{"noise": 0.2, "ramp": 10.0, **options})


# SuperLoss


@pytest.mark.parametrize(
    ("loss", "sigma", "value"),
    [
        (1.0, 1.0, 0.0),
        (1 + 2 * np.e, np.exp(-1), 3.0),
        (1 + 4 * np.exp(2.0), np.exp(-2), 8.0),
        (1 - 2 / np.e, np.e, -1.0),
        (-9.0, np.e, 1 - 10 * np.e),
        (1 - np.exp(-0.5), np.exp(0.5), -0.75),
    ],
)
def test_superloss_by_hand(loss, sigma, value):
    np.testing.assert_allclose(curriculum.confidence(loss, 1.0), sigma, rtol=1e-3)
    np.testing.assert_allclose(weigh(curriculum.superloss(1.0), loss), value, atol=3e-6)


def test_superloss_is_the_least_over_confidences():
    losses, t, r = np.linspace(-1.0, 9, 60, dtype=np.float32), 2.0, 0.7
    sigma = np.exp(np.linspace(-8, 1, 40001))[:, None]
    grid = (np.float64(losses) - t) * sigma + r * np.log(sigma) ** 2
    value = weigh(curriculum.superloss(t, regularization=r), losses)
    np.testing.assert_allclose(value, grid.min(axis=0), atol=2e-6)


@pytest.mark.usefixtures("x64")
def test_the_gradient_is_that_of_autodiff_through_the_minimisation():
    """Of the minimum, found by Newton's method that autodiff passes through step by step."""
    t, r = 1.5, 0.6
    losses = jnp.array([1.1, 1.2, 1.5, 2.0, 4.0, 30.0], jnp.float64)
    transformation = curriculum.superloss(t, regularization=r)

    def least(l):
        def step(s, _):
            # In the logarithm s of the confidence: (l - t) exp(s) + 2 r s is 0 there.
            slope, bend = (l - t) * jnp.exp(s) + 2 * r * s, (l - t) * jnp.exp(s) + 2 * r
            return s - slope / bend, None

        s, _ = jax.lax.scan(step, jnp.zeros_like(l), length=60)
        return (l - t) * jnp.exp(s) + r * s**2

    ours = lambda l: transformation.update(l, transformation.init(l))[0]
    value, gradient = jax.jit(jax.vmap(jax.value_and_grad(ours)))(losses)
    right, slope = jax.jit(jax.vmap(jax.value_and_grad(least)))(losses)
    np.testing.assert_allclose(value, right, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(gradient, slope, rtol=1e-10)
    bend = jax.jit(jax.vmap(jax.grad(jax.grad(least))))(losses)
    of_confidence = jax.jit(jax.vmap(jax.grad(lambda l: curriculum.confidence(l, t, r))))(losses)
    np.testing.assert_allclose(of_confidence, bend, rtol=1e-9)


def test_confidence_keeps_its_digits_beside_the_branch_point():
    """Of losses a few units in the last place above the one where it reaches e."""
    least = np.float32(-2 / np.e)
    losses = least * (1 - np.arange(0, 4000, 7, dtype=np.float32) * np.float32(2.0**-24))
    got = np.asarray(curriculum.confidence(losses, 0.0), np.float64)
    with mpmath.workdps(40):
        at = [max(mpmath.mpf(float(l)) / 2, -mpmath.exp(-1)) for l in losses]
        right = np.float64([mpmath.exp(-mpmath.lambertw(x).real) for x in at])
    assert np.max(np.abs(got / right - 1)) < 4 * 2.0**-24
    assert np.all(np.diff(got) <= 0) and got[0] == np.float32(np.e)


def test_confidence_is_differentiable_in_all_of_its_arguments():
    slopes = jax.grad(curriculum.confidence, argnums=(0, 1, 2))(3.0, 1.0, 2.0)
    near = lambda *x: float(curriculum.confidence(*x))
    step = 1e-2
    for i, slope in enumerate(slopes):
        up, down = ([3.0, 1.0, 2.0] for _ in "ud")
        up[i], down[i] = up[i] + step, down[i] - step
        np.testing.assert_allclose(slope, (near(*up) - near(*down)) / (2 * step), rtol=2e-3)


def test_the_threshold_is_the_moving_average_of_what_could_be_counted():
    transformation = curriculum.superloss(decay=0.5)
    state = transformation.init(jnp.zeros(3))
    means, weights, where = [], [], jnp.array([True, True, False])
    for losses in ([1.0, 3.0, 9.0], [NAN, INF, 9.0], [5.0, INF, 9.0], [0.0, 1.0, 9.0]):
        out, state = transformation.update(jnp.array(losses), state, where=where)
        finite = [l for l in losses[:2] if np.isfinite(l)]
        if finite:
            means.append(np.mean(finite))
            weights = [w / 2 for w in weights] + [0.5]
        threshold = np.dot(weights, means) / np.sum(weights)
        np.testing.assert_allclose(state.memory.threshold, threshold, rtol=1e-6)
        np.testing.assert_allclose(state.memory.weight, np.sum(weights), rtol=1e-6)
        np.testing.assert_array_equal(jnp.isnan(out), np.isnan(np.float32(losses)))
        assert np.all(np.asarray(out)[np.isinf(losses)] == 0)


@pytest.mark.usefixtures("x64")
def test_a_state_made_of_another_precision_keeps_its_own():
    transformation = curriculum.superloss()
    state = transformation.init(jnp.zeros(3, jnp.float32))
    out, after = transformation.update(jnp.ones(3, jnp.float64), state)
    assert out.dtype == jnp.float64
    assert {x.dtype for x in jax.tree.leaves(after)} == {jnp.dtype(jnp.float32)}


def test_a_threshold_may_be_scheduled():
    scheduled = optax.inject_hyperparams(curriculum.superloss)(
        threshold=optax.linear_schedule(0.0, 2.0, 2)
    )
    state, outs = scheduled.init(jnp.zeros(())), []
    for _ in range(3):
        out, state = scheduled.update(jnp.float32(1.0), state)
        outs.append(out)
    expected = [weigh(curriculum.superloss(t), 1.0) for t in (0.0, 1.0, 2.0)]
    np.testing.assert_allclose(outs, expected, rtol=1e-6)


def test_confidence_of_impossible_arguments_raises():
    with pytest.raises(TypeError, match=r"^confidence: losses must be real floating point"):
        curriculum.confidence(3, 1.0)
    with pytest.raises(ValueError, match=r"^confidence: regularization must be in"):
        curriculum.confidence(3.0, 1.0, 0.0)


# Tilted risk


def test_the_vectors_of_the_tilt():
    losses = jnp.array([1.0, 2.0, 4.0])
    np.testing.assert_allclose(curriculum.tilted(losses, -1.0), 1.749600, atol=1e-6)
    gradient = jax.grad(curriculum.tilted)(losses, -1.0)
    np.testing.assert_allclose(gradient, [0.7054, 0.2595, 0.0351], atol=5e-5)
    np.testing.assert_allclose(
        curriculum.tilted(losses, np.log(2.0)), np.log2((2 + 4 + 16) / 3), rtol=1e-6
    )


@functools.cache
def tilted_at():
    losses = np.random.default_rng(3).exponential(size=40).astype(np.float32)
    where = np.arange(40) % 4 != 1
    value = functools.partial(curriculum.tilted, where=where)
    by_tilt = jax.grad(value, argnums=1)
    functions = (value, jax.grad(value), by_tilt, jax.grad(by_tilt, argnums=1))
    run = jax.jit(lambda l, t: [f(l, t) for f in functions])
    return losses, where, run


POWERS = 10.0 ** np.array([-36, -20, -8, -6, -4, -2, -1, 0, 1, 4, 20, 36])


@pytest.mark.parametrize("t", [*-POWERS, 0, *POWERS])
def test_the_tilt_is_exact_from_the_smallest_to_the_largest(t):
    """Against 60 digits and more: value, gradient, and two derivatives in the tilt, through 0."""
    losses, where, run = tilted_at()
    value, gradient, slope, bend = run(losses, np.float32(t))
    with mpmath.workdps(200):
        l, t = [mpmath.mpf(float(x)) for x in losses[where]], mpmath.mpf(float(np.float32(t)))
        top = max(l, key=lambda x: x * t)
        powers = [mpmath.exp(t * (x - top)) for x in l]
        total, n = mpmath.fsum(powers), len(l)
        p = [x / total for x in powers]
        mean = mpmath.fsum(a * b for a, b in zip(p, l, strict=True))
        moment = lambda k: mpmath.fsum(a * (b - mean) ** k for a, b in zip(p, l, strict=True))
        v = top + mpmath.log(total / n) / t if t else mean
        first = (mean - v) / t if t else moment(2) / 2
        second = (moment(2) - 2 * first) / t if t else moment(3) / 3
        v, first, second = (float(x) for x in (v, first, second))
        weights = np.zeros(40)
        weights[where] = np.float64(p)
    np.testing.assert_allclose(value, v, rtol=3e-7)
    np.testing.assert_allclose(gradient, weights, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(slope, first, rtol=2e-5, atol=1e-35)
    np.testing.assert_allclose(bend, second, rtol=2e-4, atol=1e-35)


def test_infinite_losses_are_all_or_nothing_to_a_tilt():
    losses = jnp.array([1.0, INF, 2.0, INF])
    assert curriculum.tilted(losses, 1.0) == curriculum.tilted(losses, 0.0) == INF
    np.testing.assert_allclose(
        curriculum.tilted(losses, -1.0), -np.log((np.exp(-1) + np.exp(-2)) / 4), rtol=1e-6
    )
    run = jax.jit(jax.value_and_grad(curriculum.tilted, argnums=(0, 1)))
    value, (gradient, slope) = run(losses, -1.0)
    p = np.exp(-1) / (np.exp(-1) + np.exp(-2))
    np.testing.assert_allclose(gradient, [p, 0, 1 - p, 0], rtol=1e-6)
    np.testing.assert_allclose(slope, value - (2 - p), rtol=1e-5)  # (mean under p - value) / t
    np.testing.assert_array_equal(weigh(curriculum.tilted_erm(1.0), losses), [0, INF, 0, INF])
    easy = weigh(curriculum.tilted_erm(-1.0), losses)
    assert np.all(np.isfinite(easy))
    np.testing.assert_allclose(jl.mean(easy), curriculum.tilted(losses, -1.0), rtol=1e-6)


def test_nothing_to_tilt_is_0_without_a_gradient():
    value = functools.partial(curriculum.tilted, where=jnp.zeros(2, bool))
    run = jax.jit(jax.value_and_grad(value, argnums=(0, 1)))
    for losses in ([NAN, INF], [0.0, 1.0]):
        for t in (-1.0, 0.0, 1.0):
            value, (gradient, slope) = run(jnp.array(losses), t)
            np.testing.assert_array_equal([value, slope, *gradient], np.zeros(4))
    assert curriculum.tilted(jnp.zeros(0), 1.0) == 0


def test_a_tilt_of_losses_split_over_devices(two_devices):
    losses, where, run = tilted_at()
    mesh = jax.make_mesh((2,), ("batch",), axis_types=(AxisType.Auto,), devices=two_devices)
    split, whole = PartitionSpec("batch"), PartitionSpec()

    def local(losses, where, t):
        return curriculum.tilted(losses, t, where=where, axis_name="batch")

    specs = {"mesh": mesh, "in_specs": (split, split, whole), "out_specs": whole}
    sharded = jax.jit(jax.value_and_grad(jax.shard_map(local, **specs), argnums=(0, 2)))
    for t in (-3.0, 0.0, 0.1, 2.0):
        value, (gradient, slope) = sharded(losses, where, np.float32(t))
        right = run(losses, np.float32(t))
        np.testing.assert_allclose(value, right[0], rtol=1e-6)
        np.testing.assert_allclose(gradient, right[1], rtol=1e-5, atol=1e-8)
        np.testing.assert_allclose(slope, right[2], rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([1, 2], 1.0), TypeError, "losses must be real floating point"),
        (([1.0, 2.0], [1.0, 1.0]), ValueError, "tilt must be a number"),
        (([1.0, 2.0], NAN), ValueError, "tilt must be in"),
    ],
)
def test_impossible_tilts_raise(arguments, error, message):
    with pytest.raises(error, match=f"^tilted: {message}"):
        curriculum.tilted(*arguments)


# Pacing

FORMS = {
    "linear": lambda x: x,
    "quadratic": lambda x: x**2,
    "root": lambda x: x**0.5,
    "exponential": lambda x: (np.exp(10 * x) - 1) / (np.exp(10) - 1),
    "logarithmic": lambda x: 1 + np.log(x + np.exp(-10)) / 10,
    "step": lambda x: float(x >= 1),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_share_follows_the_paper_and_never_falls(form):
    steps = np.arange(0, 260, 4)
    share = np.asarray(jax.jit(curriculum.pacing(form, 200, 0.1))(steps))
    expected = [min(0.1 + 0.9 * FORMS[form](min(step / 200, 1)), 1) for step in steps]
    np.testing.assert_allclose(share, expected, rtol=2e-6, atol=1e-6)
    np.testing.assert_allclose(share[[0, -1]], [0.1, 1.0], atol=1e-6)
    assert np.all(np.diff(share) >= 0) and share.max() == 1


def test_the_fixed_exponential_share_of_its_paper():
    share = jax.jit(curriculum.fixed_exponential_pacing(0.04, 1.9, 100))
    for step in (0, 99, 100, 250, 499, 500, 600, 10**6):
        expected = min(0.04 * 1.9 ** min(step // 100, 50), 1)
        np.testing.assert_allclose(share(step), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: curriculum.pacing("cubic", 10, 0.1),
            "pacing: form must be one of linear.*'cubic'",
        ),
        (lambda: curriculum.pacing("root", 0, 0.1), r"pacing: steps must be in \(0, inf\), got 0"),
        (lambda: curriculum.pacing("root", 9, 1.5), r"pacing: start must be in \[0, 1\], got 1.5"),
        (
            lambda: curriculum.fixed_exponential_pacing(0.0, 1.9, 100),
            r"fixed_exponential_pacing: start must be in \(0, 1\]",
        ),
        (
            lambda: curriculum.fixed_exponential_pacing(0.1, 0.9, 100),
            r"fixed_exponential_pacing: growth must be in \[1, inf\), got 0.9",
        ),
        (
            lambda: curriculum.fixed_exponential_pacing(0.1, 1.9, -1),
            r"fixed_exponential_pacing: every must be in \(0, inf\), got -1",
        ),
    ],
)
def test_impossible_paces_raise(make, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        make()


@pytest.mark.parametrize("form", FORMS)
def test_the_admitted_share_grows_with_the_schedule_and_the_order_follows_difficulty(form, rng):
    """Of a data set of 120 whose batches of 24 do not know each other."""
    scores = rng.gumbel(size=120).astype(np.float32)
    difficulty = curriculum.difficulty_ranks(scores).reshape(5, 24)
    schedule = curriculum.pacing(form, 20, 0.1)
    transformation = optax.inject_hyperparams(curriculum.paced)(share=schedule)
    losses = jnp.ones(24)

    @jax.jit
    def epochs(state):
        def epoch(state, _):
            one = lambda d: transformation.update(losses, state, difficulty=d)
            out, states = jax.vmap(one)(difficulty)
            shares = states.inner_state.admitted
            return jax.tree.map(lambda x: x[0], states), (out > 0, jnp.mean(shares))

        return jax.lax.scan(epoch, state, length=24)[1]

    admitted, share = epochs(transformation.init(losses))
    admitted = np.asarray(admitted).reshape(24, 120)
    np.testing.assert_allclose(admitted.mean(axis=1), schedule(np.arange(24)), atol=1 / 120)
    np.testing.assert_allclose(share, admitted.mean(axis=1), rtol=1e-5)
    assert np.all(np.diff(share) >= 0) and share[-1] == 1
    easiest = admitted[:, np.argsort(scores)].astype(int)
    assert np.all(np.diff(easiest, axis=1) <= 0)


def test_the_mean_of_paced_losses_is_that_of_the_admitted():
    losses, difficulty = [1.0, 2.0, 3.0, NAN], np.array([0.1, 0.9, 0.2, 0.1])
    where = np.array([True, True, True, False])
    out = weigh(curriculum.paced(0.5), losses, difficulty=difficulty, where=where)
    np.testing.assert_array_equal(out, [1.5, 0, 4.5, 0])
    assert jl.mean(out, where=where) == 2.0
    nobody = weigh(curriculum.paced(0.0), losses[:3], difficulty=difficulty[:3])
    np.testing.assert_array_equal(nobody, np.zeros(3))


def test_the_difficulty_of_an_example_is_that_of_its_parts():
    out = weigh(curriculum.paced(0.5), [[1.0, 2.0], [3.0, 4.0]], difficulty=np.array([1, 0]))
    np.testing.assert_array_equal(out, [[0, 0], [6, 8]])


def test_a_difficulty_that_is_missing_or_of_another_shape_is_named():
    transformation = curriculum.paced(0.5)
    state = transformation.init(jnp.ones(3))
    message = r"^paced: update needs the extra argument difficulty="
    with pytest.raises(TypeError, match=message):
        transformation.update(jnp.ones(3), state)
    message = r"^paced: difficulty must be of shape \(3,\), or of its leading axes, got \(2,\)"
    with pytest.raises(ValueError, match=message):
        transformation.update(jnp.ones(3), state, difficulty=jnp.zeros(2))


# Difficulty


def test_ranks_of_difficulty():
    ranks = curriculum.difficulty_ranks(np.array([3.0, NAN, -1.0, 3.0, INF]))
    np.testing.assert_allclose(ranks, [0.3, 0.9, 0.1, 0.5, 0.7], rtol=1e-6)
    np.testing.assert_allclose(curriculum.difficulty_ranks(np.array([5, 4])), [0.75, 0.25])
    for share in (0.0, 0.3, 0.7, 1.0):
        ranks = curriculum.difficulty_ranks(np.arange(10.0))
        assert np.sum(np.asarray(ranks) <= share) == round(10 * share)
    assert curriculum.difficulty_ranks(np.zeros(0)).shape == (0,)
    with pytest.raises(ValueError, match=r"^difficulty_ranks: scores must be a vector.*\(2, 1\)"):
        curriculum.difficulty_ranks(np.zeros((2, 1)))


def squares(slope, batch):
    return (slope * batch["x"] - batch["y"]) ** 2


DATA = {"x": np.float32([1, 2, 3, 4, 5]), "y": np.float32([2, 5, 6, 10, 7])}


@pytest.mark.parametrize("batch_size", [1, 2, 5, 8])
def test_scores_do_not_depend_on_the_batches(batch_size):
    run = jax.jit(
        lambda slope: curriculum.score(
            functools.partial(squares, slope), DATA, batch_size=batch_size
        )
    )
    np.testing.assert_array_equal(run(2.0), [0, 1, 0, 4, 9])


def test_a_teacher_and_oneself_rank_the_data():
    ranks = curriculum.teacher_difficulty(squares, 2.0, DATA, batch_size=2)
    np.testing.assert_allclose(ranks, [0.1, 0.5, 0.3, 0.7, 0.9], rtol=1e-6)

    def train(slope):
        step = lambda slope, _: (slope - 0.01 * jax.grad(_mean)(slope), None)
        return jax.lax.scan(step, slope, length=200)[0]

    ours = curriculum.self_taught_difficulty(squares, train, 0.0, DATA, batch_size=3)
    slope = np.dot(DATA["x"], DATA["y"]) / np.dot(DATA["x"], DATA["x"])
    order = np.argsort(np.argsort(squares(slope, DATA)))
    np.testing.assert_allclose(ours, (order + 0.5) / 5, rtol=1e-6)


def _mean(slope):
    return jnp.mean(squares(slope, DATA))


@pytest.mark.parametrize(
    ("losses", "data", "size", "message"),
    [
        (jnp.square, jnp.zeros(3), 0, "batch_size must be at least 1, got 0"),
        (jnp.sum, jnp.zeros(3), 2, r"losses must be one for each row, shape \(2,\), got \(\)"),
        (lambda b: b[0], [jnp.zeros(3), jnp.zeros(2)], 2, r"data must be arrays of one length"),
    ],
)
def test_impossible_scores_raise(losses, data, size, message):
    with pytest.raises(ValueError, match=f"^score: {message}"):
        curriculum.score(losses, data, batch_size=size)


# Causal weighting


def test_causal_weights_by_hand():
    """Two chunks of two times each: the second waits for the mean of the first."""
    half = float(np.log(2.0))
    losses = np.float32([1, 3, 5, 7])
    out = weigh(curriculum.causal(half, chunks=2), losses)
    np.testing.assert_allclose(out, [1, 3, 5 / 4, 7 / 4], rtol=1e-6)
    out = weigh(curriculum.causal(half), losses)
    np.testing.assert_allclose(out, [1, 3 / 2, 5 / 2**4, 7 / 2**9], rtol=1e-6)
    np.testing.assert_array_equal(weigh(curriculum.causal(0.0), losses), losses)
    np.testing.assert_array_equal(weigh(curriculum.causal(9.0, chunks=1), losses), losses)


def test_times_may_be_a_later_axis_and_chunks_unequal(rng):
    losses = rng.exponential(size=(3, 7)).astype(np.float32)
    where = rng.uniform(size=(3, 7)) < 0.7
    where[:, 3:5] = False  # the second of three chunks, of times 0 to 2, 3 to 4, 5 to 6
    out = weigh(curriculum.causal(0.8, axis=1, chunks=3), losses, where=where)
    first = losses[:, :3][where[:, :3]].mean()
    weights = np.repeat([1.0, 0.0, np.exp(-0.8 * first)], [3, 2, 2])
    np.testing.assert_allclose(out, np.where(where, losses * weights, 0), rtol=1e-5)


def test_nothing_counts_after_an_infinite_loss():
    losses = np.float32([1, INF, 2, 0])
    np.testing.assert_array_equal(weigh(curriculum.causal(1.0), losses)[1:], [INF, 0, 0])
    np.testing.assert_array_equal(weigh(curriculum.causal(0.0), losses), losses)


def test_causal_weights_of_a_batch_split_over_shards(rng):
    losses = rng.exponential(size=(4, 6)).astype(np.float32)
    transformation = curriculum.causal(0.5, axis=-1, axis_name="batch")
    local = lambda l: transformation.update(l, transformation.init(l))[0]
    out = jax.vmap(local, axis_name="batch")(losses.reshape(2, 2, 6)).reshape(4, 6)
    np.testing.assert_allclose(out, weigh(curriculum.causal(0.5, axis=-1), losses), rtol=1e-5)


def test_impossible_times_raise():
    with pytest.raises(ValueError, match=r"^causal: chunks must be at least 1, or None, got 0"):
        curriculum.causal(1.0, chunks=0)
    with pytest.raises(ValueError, match=r"^causal: axis must be an axis"):
        weigh(curriculum.causal(1.0, axis=1), [1.0, 2.0])
