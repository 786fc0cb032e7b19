"""Each weighting of tasks beside an independent history of its weights, written in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxloss as jl
from jaxloss import weighting as w
from jaxloss.weighting import scalarizers

TASKS = ("a", "b", "c")
NAN = np.nan
softmax = lambda x: np.exp(x - np.max(x)) / np.sum(np.exp(x - np.max(x)))


@pytest.fixture
def history(rng):
    """Losses `[12, 3]`, of different scales and directions."""
    trend = np.linspace(1, 0.3, 12)[:, None] ** [0.5, 1, 2]
    return trend * rng.uniform(0.7, 1.3, (12, 3)) * [0.2, 1.0, 4.0]


def tree(row):
    return {task: jnp.asarray(x) for task, x in zip(TASKS, jnp.asarray(row, float), strict=True)}


def columns(stacked):
    return np.stack([np.asarray(stacked[task]) for task in TASKS], axis=-1)


def run(transformation, history, **extras):
    """Return the weights `[T, K]`, the losses that came back and the last state, from one scan."""
    as_tree = lambda rows: {task: rows[:, i] for i, task in enumerate(TASKS)}
    per_task = lambda x: as_tree(x) if x.ndim == 2 else x
    xs = {name: per_task(jnp.asarray(rows)) for name, rows in extras.items()}

    @jax.jit
    def scan(losses, xs):
        def step(state, row):
            losses, extra = row
            out, state = transformation.update(losses, state, **extra)
            return state, (out, state.weights)

        start = transformation.init(jax.tree.map(lambda x: x[0], losses))
        return jax.lax.scan(step, start, (losses, xs))

    losses = as_tree(jnp.asarray(history, jnp.float32))
    state, (out, weights) = scan(losses, xs)
    return columns(weights), columns(out), state


# Weights that depend on the present losses only


def slopes(phi, losses, step=1e-6):
    """Return the gradient of a NumPy function by central differences."""
    units = np.eye(len(losses)) * step
    return np.array([(phi(losses + u) - phi(losses - u)) / (2 * step) for u in units])


def np_pbi(penalty, direction, reference):
    def phi(losses):
        unit = np.array(direction) / np.sqrt(np.sum(np.square(direction)))
        gap = losses - reference
        along = gap @ unit
        return along + penalty * np.sqrt(np.sum((gap - along * unit) ** 2))

    return phi


def np_stch(m, weights, reference, span=1.0):
    return lambda losses: m * np.log(np.sum(np.exp(weights * (losses - reference) / span / m)))


SCALARIZED = {
    "geometric": (w.geometric_mean(), lambda x: np.prod(x) ** (1 / 3)),
    "logs": (w.scale_invariant(), lambda x: np.sum(np.log(x))),
    "worst": (w.tchebycheff(), lambda x: np.max(x) / 3),
    "worst against references": (
        w.tchebycheff(weights=tree([2.0, 1.0, 0.1]), reference=tree([0.1, 0.2, 3.0])),
        lambda x: np.max(np.array([2.0, 1.0, 0.1]) * (x - [0.1, 0.2, 3.0])),
    ),
    "smooth": (w.smooth_tchebycheff(), np_stch(1, 1 / 3, 0)),
    "smooth against references": (
        w.smooth_tchebycheff(
            0.3, weights=1.0, reference=tree([0.1, 0.0, 0.2]), nadir=tree([1.1, 2.0, 5.0])
        ),
        np_stch(0.3, 1, np.array([0.1, 0, 0.2]), np.array([1.0, 2.0, 4.8])),
    ),
    "pbi": (w.pbi(), np_pbi(5, [1, 1, 1], 0)),
    "pbi along a direction": (
        w.pbi(0.5, weights=tree([0.0, 2.0, 1.0]), reference=-1.0),
        np_pbi(0.5, [0, 2, 1], -1),
    ),
    "tilted up": (w.tilted(2.0), lambda x: np.log(np.mean(np.exp(2 * x))) / 2),
    "tilted down": (w.tilted(-0.7), lambda x: -np.log(np.mean(np.exp(-0.7 * x))) / 0.7),
    "not tilted": (w.tilted(0.0), np.mean),
    "one's own": (
        w.from_scalarizer(lambda t: t["a"] * t["b"] + jnp.sin(t["c"])),
        lambda x: x[0] * x[1] + np.sin(x[2]),
    ),
}


@pytest.mark.parametrize("case", SCALARIZED)
def test_the_losses_of_a_scalarizer_sum_to_it_and_its_gradient_are_the_weights(case, history):
    transformation, phi = SCALARIZED[case]
    weights, out, _ = run(transformation, history)
    np.testing.assert_allclose(out.sum(-1), [phi(row) for row in history], rtol=3e-6, atol=1e-6)
    expected = [slopes(phi, row) for row in history]
    np.testing.assert_allclose(weights, expected, rtol=2e-5, atol=1e-6)


PRESENT = {
    "fixed by one number": (w.fixed(0.3), lambda x: [0.3] * 3),
    "fixed by name": (w.fixed({"c": 2.0, "a": -1}), lambda x: [-1, 1, 2]),
    "equal": (w.equal(), lambda x: [1, 1, 1]),
    "inverse": (w.uncertainty_optimal(), lambda x: 1 / x),
    "softmax of the inverse": (w.uncertainty_softmax(0.5), lambda x: softmax(2 / x)),
    "softmax of the inverse, warmer": (w.uncertainty_softmax(20.0), lambda x: softmax(0.05 / x)),
    "causal": (w.causal(), lambda x: np.exp([0, -x[0], -x[0] - x[1]])),
    "causal and steep": (w.causal(3.0), lambda x: np.exp([0, -3 * x[0], -3 * (x[0] + x[1])])),
    "renormalised": (w.renormalize(w.scale_invariant()), lambda x: 3 / x / np.sum(1 / x)),
    "renormalised to": (
        w.renormalize(w.causal(), 0.5),
        lambda x: 0.5 * softmax([0, -x[0], -x[0] - x[1]]),
    ),
    "clipped": (w.clip_weights(w.scale_invariant(), 0.5, 2.0), lambda x: np.clip(1 / x, 0.5, 2)),
    "clipped above": (w.clip_weights(w.fixed(3.0), -1.0, 2.5), lambda x: [2.5] * 3),
    "logs": (w.on_log(w.equal()), lambda x: 1 / x),
    "softmax of logs": (w.on_log(w.tilted(1.0)), lambda x: np.full(3, 1 / np.sum(x))),
    "smooth Tchebycheff of logs": (
        w.on_log(w.smooth_tchebycheff(0.5, weights=1.0, reference=tree(np.log([1.0, 2.0, 3.0])))),
        lambda x: softmax(2 * np.log(x / [1, 2, 3])) / x,
    ),
}


@pytest.mark.parametrize("case", PRESENT)
def test_weights_of_the_present_losses(case, history):
    transformation, weights = PRESENT[case]
    got, out, _ = run(transformation, history)
    np.testing.assert_allclose(got, [weights(row) for row in history], rtol=1e-5)
    if "log" not in case:
        np.testing.assert_allclose(out, got * history, rtol=1e-6)


def test_on_log_returns_what_was_made_of_the_logarithms(history):
    _, out, _ = run(w.on_log(w.fixed({"b": 0.5})), history)
    np.testing.assert_allclose(out, np.log(history) * [1, 0.5, 1], rtol=1e-5, atol=1e-6)


def test_the_vector_of_three_losses():
    """Losses 1, 2, 4, worked out by hand or to six digits elsewhere."""
    losses = jnp.array([1.0, 2.0, 4.0])
    value, gradient = jax.value_and_grad(scalarizers.geometric_mean)(losses)
    np.testing.assert_allclose(value, 2, rtol=1e-6)
    np.testing.assert_allclose(gradient, [2 / 3, 1 / 3, 1 / 6], rtol=1e-6)
    value, gradient = jax.value_and_grad(scalarizers.smooth_tchebycheff)(losses)
    np.testing.assert_allclose(value, 1.965295, rtol=1e-6)
    np.testing.assert_allclose(gradient, [0.065182, 0.090969, 0.177183], rtol=2e-5)
    tilted = lambda losses: scalarizers.tilted(losses, tilt=-1.0)
    value, gradient = jax.value_and_grad(tilted)(losses)
    np.testing.assert_allclose(value, 1.749600, rtol=1e-6)
    np.testing.assert_allclose(gradient, [0.7054, 0.2595, 0.0351], atol=5e-5)
    tasks, zeros = list(losses), [jnp.array(0.0)] * 3
    assert sum(w.uncertainty_weighted(tasks, zeros)) == 3.5
    assert sum(w.imtl_l_weighted(tasks, zeros)) == 7
    weighted, _ = w.equal().update(tasks, w.equal().init(tasks))
    assert sum(weighted) == 7
    _, state = w.uncertainty_softmax().update(tasks, w.uncertainty_softmax().init(tasks))
    np.testing.assert_allclose(state.weights, [0.481024, 0.291756, 0.227220], atol=1e-6)


def test_scalarizers_take_vectors_and_trees():
    losses = {"a": jnp.array([1.0, 2.0]), "b": (jnp.array(4.0),)}
    reference = {"a": jnp.array([0.0, 1.5]), "b": (jnp.array(3.5),)}
    vector = jnp.array([1.0, 2.0, 4.0])
    of = lambda losses, reference: scalarizers.tchebycheff(losses, weights=1.0, reference=reference)
    assert of(losses, reference) == of(vector, jnp.array([0, 1.5, 3.5])) == 1
    by_reference = jax.grad(of, argnums=1)(vector, jnp.array([0, 1.5, 3.5]))
    np.testing.assert_array_equal(by_reference, [-1, 0, 0])
    with pytest.raises(ValueError, match=r"^tchebycheff: reference must be .* like the losses"):
        of(losses, {"a": 0.0})
    with pytest.raises(ValueError, match=r"^pbi: losses must be at least one number"):
        scalarizers.pbi({})


def test_scalarizers_at_their_edges():
    losses = jnp.array([1e-30, 1e30, 4.0])
    np.testing.assert_allclose(scalarizers.geometric_mean(losses), 4 ** (1 / 3), rtol=1e-5)
    zero = jnp.array([0.0, 2.0])
    value, gradient = jax.value_and_grad(scalarizers.geometric_mean)(zero)
    assert value == 0 and not np.any(gradient)
    assert scalarizers.log_sum(zero) == -np.inf
    np.testing.assert_array_equal(jax.grad(scalarizers.log_sum)(zero), [0, 0.5])
    np.testing.assert_array_equal(jax.grad(scalarizers.tchebycheff)(jnp.array([2.0, 2.0])), 0.25)
    on_the_direction = jnp.array([2.0, 2.0])
    np.testing.assert_allclose(jax.grad(scalarizers.pbi)(on_the_direction), 0.5**0.5, rtol=1e-6)
    steep = lambda x: scalarizers.smooth_tchebycheff(x, smoothing=1e-3, weights=1.0)
    value, gradient = jax.value_and_grad(steep)(jnp.array([1.0, 90.0]))
    assert value == 90 and gradient.tolist() == [0, 1]
    bad = scalarizers.smooth_tchebycheff(zero, reference=1.0, nadir=jnp.array([2.0, 1.0]))
    assert np.isnan(bad)


def test_the_tilt_is_smooth_through_zero():
    losses = jnp.array([1.0, 2.0, 4.0])
    by_tilt = jax.grad(lambda t: scalarizers.tilted(losses, tilt=t))
    np.testing.assert_allclose(by_tilt(0.0), np.var([1, 2, 4]) / 2, rtol=1e-6)


# Weights that remember


def np_mean(decay):
    def weights(losses):
        for t in range(len(losses)):
            past = decay ** np.arange(t, -1.0, -1)[:, None]
            yield np.sum(past) / np.sum(past * losses[: t + 1], 0)

    return weights


def np_dwa(every, temperature):
    def weights(losses):
        for t in range(len(losses)):
            done = t // every
            means = losses[: done * every].reshape(done, every, 3).mean(1)
            yield 3 * softmax(means[-1] / means[-2] / temperature) if done >= 2 else np.ones(3)

    return weights


def np_softadapt(beta, window, weighted=False, normalized=False):
    def weights(losses):
        for t in range(len(losses)):
            if t + 1 < window:
                yield np.full(3, 1 / 3)
                continue
            seen, x = losses[t + 1 - window : t + 1], np.arange(window)
            slope = np.array(
                [np.polyval(np.polyder(np.polyfit(x, y, window - 1)), x[-1]) for y in seen.T]
            )
            slope = slope / np.sum(np.abs(slope)) if normalized else slope
            grown = np.exp(beta * slope) * (seen.mean(0) if weighted else 1)
            yield grown / grown.sum()

    return weights


def np_relobralo(decay, temperature, keep):
    relative = lambda now, then: 3 * softmax(now / (temperature * then))

    def weights(losses):
        lam = np.ones(3)
        for t, now in enumerate(losses):
            if t == 1:
                lam = relative(now, losses[0])
            elif t > 1:
                old = keep * lam + (1 - keep) * relative(now, losses[0])
                lam = decay * old + (1 - decay) * relative(now, losses[t - 1])
            yield lam

    return weights


def np_learned(rate, start, weight, slope):
    def weights(losses):
        s = np.full(3, start)
        for now in losses:
            yield weight(s)
            s = s - rate * slope(s, now)

    return weights


def np_exponentiated(rate, scale=1.0):
    def weights(losses):
        q = np.ones(3) / 3
        for now in losses:
            q = q * np.exp(rate * now)
            q = q / q.sum()
            yield scale * q

    return weights


def np_every(k, inner):
    def weights(losses):
        for now, old in zip(losses, np.repeat(losses[::k], k, axis=0), strict=False):
            yield inner(old) + 0 * now

    return weights


sigmoid = lambda x: 1 / (1 + np.exp(-x))
REMEMBERING = {
    "initial": (w.normalize_by_initial(), lambda x: np.tile(1 / x[0], (len(x), 1))),
    "mean": (w.normalize_by_mean(0.9), np_mean(0.9)),
    "mean of few": (w.normalize_by_mean(0.5), np_mean(0.5)),
    "mean of one": (w.normalize_by_mean(0.0), lambda x: 1 / x),
    "dwa": (w.dwa(), np_dwa(1, 2)),
    "dwa by epochs": (w.dwa(0.5, every=3), np_dwa(3, 0.5)),
    "softadapt": (w.softadapt(), np_softadapt(0.1, 2)),
    "softadapt, long": (w.softadapt(-1.0, window=4), np_softadapt(-1, 4)),
    "softadapt, weighted": (
        w.softadapt(2.0, window=3, weighted=True),
        np_softadapt(2, 3, weighted=True),
    ),
    "softadapt, both": (
        w.softadapt(1.0, window=3, weighted=True, normalized=True),
        np_softadapt(1, 3, weighted=True, normalized=True),
    ),
    "relobralo": (w.relobralo(keep=1.0), np_relobralo(0.999, 1, 1)),
    "relobralo, back": (
        w.relobralo(0.6, temperature=0.3, keep=0.0),
        np_relobralo(0.6, 0.3, 0),
    ),
    "uncertainty": (
        w.uncertainty(optax.sgd(0.1)),
        np_learned(0.1, 0, lambda s: np.exp(-s) / 2, lambda s, x: (1 - np.exp(-s) * x) / 2),
    ),
    "revised": (
        w.revised_uncertainty(optax.sgd(0.2), initial=0.4),
        np_learned(
            0.2, 0.4, lambda s: np.exp(-s) / 2, lambda s, x: sigmoid(s) - np.exp(-s) * x / 2
        ),
    ),
    "imtl": (
        w.imtl_l(optax.sgd(0.1), initial=-0.5),
        np_learned(0.1, -0.5, np.exp, lambda s, x: np.exp(s) * x - 1),
    ),
    "groups": (w.group_dro(), np_exponentiated(0.01)),
    "groups, fast": (w.group_dro(1.0), np_exponentiated(1)),
    "every second": (w.every_k(w.scale_invariant(), 2), np_every(2, lambda x: 1 / x)),
    "every fifth": (w.every_k(w.tilted(1.0), 5), np_every(5, softmax)),
    "every first": (w.every_k(w.tilted(1.0), 1), np_every(1, softmax)),
    "every third, of a memory": (
        w.every_k(w.normalize_by_mean(0.5), 3),
        lambda x: np.repeat(list(np_mean(0.5)(x[::3])), 3, axis=0),
    ),
}


@pytest.mark.parametrize("case", REMEMBERING)
def test_weights_of_the_past_losses(case, history):
    transformation, weights = REMEMBERING[case]
    got, _, _ = run(transformation, history)
    np.testing.assert_allclose(got, list(weights(history)), rtol=3e-5)


def test_random_weights_are_softmaxes_of_normals():
    weights, _, _ = run(w.random(seed=3), np.ones((4000, 3)))
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-6)
    logits = np.log(weights) - np.log(weights).mean(-1, keepdims=True)
    np.testing.assert_allclose(np.cov(logits.T), np.eye(3) - 1 / 3, atol=0.05)
    np.testing.assert_allclose(logits.mean(0), 0, atol=0.05)
    successive = np.corrcoef(logits[:-1, 0], logits[1:, 0])[0, 1]
    assert abs(successive) < 0.05


def test_relobralo_looks_back_as_often_as_it_should():
    """With decay 1 a look back is what changes the weights, to those of the first update."""
    losses = np.ones((2000, 3)) + np.arange(2000)[:, None] * [0.0, 1e-3, 2e-3]
    weights, _, _ = run(w.relobralo(1.0, keep=0.75), losses)
    looked = np.any(np.diff(weights[1:], axis=0) != 0, axis=-1)
    assert abs(looked.mean() - 0.25) < 0.04
    back = 3 * np.exp(losses / losses[0]) / np.exp(losses / losses[0]).sum(-1, keepdims=True)
    np.testing.assert_allclose(weights[2:][looked], back[2:][looked], rtol=1e-5)


# Learned scales


def test_imtl_l_is_twice_the_uncertainty_of_the_negative():
    losses, s = tree([0.5, 1.0, 7.0]), tree([0.3, -1.0, 2.0])
    imtl = w.imtl_l_weighted(losses, s)
    kendall = w.uncertainty_weighted(losses, jax.tree.map(jnp.negative, s))
    for task in TASKS:
        np.testing.assert_allclose(imtl[task], 2 * kendall[task], rtol=1e-6)


def test_learned_scales_converge_where_mathematics_says():
    losses = np.tile([0.5, 2.0, 9.0], (1500, 1))
    _, out, state = run(w.imtl_l(optax.adam(0.05)), losses)
    np.testing.assert_allclose(state.memory.log_scales, -np.log(losses[0]), atol=1e-3)
    np.testing.assert_allclose(out[-1], 1 + np.log(losses[0]), atol=1e-3)
    _, out, state = run(w.revised_uncertainty(optax.adam(0.05)), losses)
    x = losses[0]
    variance = (x + np.sqrt(x**2 + 8 * x)) / 4
    np.testing.assert_allclose(np.exp(state.memory.log_variances), variance, rtol=1e-3)
    np.testing.assert_allclose(out[-1], x / 2 / variance + np.log1p(variance), rtol=1e-3)


def test_the_revised_regulariser_keeps_losses_positive():
    s = jnp.linspace(-30.0, 30.0, 7)
    losses = [jnp.array(1e-6)] * 7
    assert all(x > 0 for x in w.revised_uncertainty_weighted(losses, list(s)))
    assert not all(x > 0 for x in w.uncertainty_weighted(losses, list(s)))


# Cross-fades


@pytest.mark.parametrize(
    "schedule",
    [
        optax.linear_schedule(0.0, 1.0, 7),
        optax.cosine_onecycle_schedule(9, 0.8),
        optax.constant_schedule(0.25),
        lambda count: jnp.where(count < 5, 0.0, 1.0),
    ],
)
def test_a_crossfade_follows_its_schedule_exactly(schedule, history):
    weights, out, _ = run(w.crossfade("a", "c", schedule), history)
    share = jax.jit(lambda: jax.lax.map(schedule, jnp.arange(12)) + jnp.zeros(12))()
    np.testing.assert_array_equal(weights[:, 2], share)
    np.testing.assert_array_equal(weights[:, 0], 1 - share)
    np.testing.assert_array_equal(weights[:, 1], 1)
    np.testing.assert_array_equal(out, weights * np.float32(history))


@pytest.mark.parametrize("direction", ["above", "below"])
def test_a_crossfade_by_metric_begins_when_the_level_is_reached_and_goes_on(direction, history):
    metric = np.array([0.1, NAN, 0.3, 0.2, 0.5, 0.1, 0.9, 0.0, 0.1, 0.2, 0.3, 0.4], np.float32)
    sign = 1 if direction == "above" else -1
    fade = w.crossfade(
        "c", ("b", "a"), optax.linear_schedule(0.0, 1.0, 4), level=sign * 0.5, direction=direction
    )
    weights, _, state = run(fade, history, metric=sign * metric)
    share = np.array([0, 0, 0, 0, 0, 0.25, 0.5, 0.75, 1, 1, 1, 1])
    np.testing.assert_array_equal(weights, np.stack([share, share, 1 - share], axis=-1))
    assert state.memory.updates == 8 and state.memory.started


def test_a_crossfade_takes_numbers_counts_and_trees_as_metric():
    fade = w.crossfade("a", "b", 1.0, level=3.0, direction="above")
    losses = tree([1.0, 2.0, 3.0])
    begun = lambda metric: bool(
        fade.update(losses, fade.init(losses), metric=metric)[1].memory.started
    )
    assert begun(3) and begun(3.5) and not begun(2) and not begun(jnp.array(2.9))
    assert begun(tree([3.0, 4.0, 5.0])) and not begun(tree([3.0, 2.0, 5.0]))


def test_nested_tasks_have_names():
    losses = {
        "seg": {"dice": jnp.array(1.0), "edge": jnp.array(2.0)},
        "digit": [jnp.array(4.0)] * 2,
    }
    fade = w.crossfade("seg/dice", "seg/edge", 0.75)
    faded, _ = fade.update(losses, fade.init(losses))
    assert faded == {"seg": {"dice": 0.25, "edge": 1.5}, "digit": [4.0, 4.0]}
    fixed = w.fixed({"seg": 3.0, "digit": {"1": 0.5}})
    weighted, state = fixed.update(losses, fixed.init(losses))
    assert weighted == {"seg": {"dice": 3.0, "edge": 6.0}, "digit": [4.0, 2.0]}
    assert state.weights == {"seg": {"dice": 3.0, "edge": 3.0}, "digit": [1.0, 0.5]}
    assert w.fixed(losses).update(losses, fixed.init(losses))[0]["seg"]["edge"] == 4


def test_from_the_region_to_the_boundary():
    """A small object: overlap first, the boundary once it is found, beside a task of its own."""
    rows, cols = jnp.mgrid[:12, :12]
    labels = ((jnp.abs(rows - 5) <= 1) & (jnp.abs(cols - 6) <= 2)).astype(jnp.float32)[
        None, ..., None
    ]
    distance = jl.signed_distance_map(labels)
    share = optax.linear_schedule(0.0, 1.0, 20)
    objective = optax.chain(
        jl.reduce_mean(),
        w.crossfade("region", "boundary", share, level=0.8, direction="above"),
    )
    optimizer = optax.adam(0.1)

    def losses_of(params):
        logits = params["logits"]
        return {
            "region": jl.dice_loss(logits, labels),
            "boundary": jl.boundary_loss(logits, distance),
            "other": jl.l2_loss(params["other"]),
        }

    def total(params, state, overlap):
        losses, state = objective.update(losses_of(params), state, metric=overlap)
        return optax.tree.sum(losses), state

    @jax.jit
    def train(params):
        def step(carry, _):
            params, optimizer_state, state = carry
            overlap = 1 - losses_of(params)["region"][0]
            gradient, state = jax.grad(total, has_aux=True)(params, state, overlap)
            updates, optimizer_state = optimizer.update(gradient, optimizer_state, params)
            params = optax.apply_updates(params, updates)
            return (params, optimizer_state, state), (overlap, state[1])

        losses = losses_of(params)
        start = (params, optimizer.init(params), objective.init(losses))
        return jax.lax.scan(step, start, length=120)

    params = {"logits": jnp.zeros((1, 12, 12, 1)), "other": jnp.array(1.0)}
    (params, _, _), (overlap, state) = train(params)
    reached = int(np.argmax(np.asarray(overlap) >= 0.8))
    assert 0 < reached < 90
    expected = np.array([share(max(i - reached, 0)) for i in range(120)])
    np.testing.assert_allclose(state.weights["boundary"], expected, rtol=1e-6)
    np.testing.assert_allclose(state.weights["region"], 1 - expected, rtol=1e-6, atol=1e-7)
    assert np.all(np.asarray(state.weights["other"]) == 1)
    assert overlap[-1] > 0.95 and abs(float(params["other"])) < 0.2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: w.crossfade("a", "b", 0.5, level=0.5), "direction must be 'above' or 'below'"),
        (lambda: w.crossfade("a", "b", 0.5, direction="above"), "direction must be"),
        (lambda: w.crossfade("a", "b", 0.5, level=0.5, direction="up"), "direction must be"),
        (lambda: w.crossfade("a", "b", 1.5), r"schedule must be in \[0, 1\], got 1.5"),
        (lambda: w.crossfade("a", "z", 0.5), "names must be named after tasks, of .*'z'"),
        (lambda: w.crossfade("a", ("b", "a"), 0.5), "after must be other tasks than before='a'"),
    ],
)
def test_impossible_crossfades_raise(make, message):
    losses = tree([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=f"^crossfade: {message}"):
        make().update(losses, make().init(losses))


# FAMO


def np_famo(losses, feedback, optimizer_step, decay, lower):
    """Algorithm 1, with the optimizer `optimizer_step(gradient, memory) -> (change, memory)`."""
    logits, memory, weights = np.zeros(3), None, []
    for t, now in enumerate(losses):
        if t > 0:
            fall = np.log(losses[t - 1] - lower) - np.log(feedback[t] - lower)
            z = softmax(logits)
            jacobian = np.diag(z) - np.outer(z, z)
            change, memory = optimizer_step(jacobian @ fall + decay * logits, memory)
            logits = logits + change
        z = softmax(logits)
        ratio = z / (now - lower)
        weights.append(ratio / ratio.sum())
    return weights


def sgd(rate):
    return lambda gradient, memory: (-rate * gradient, None)


def adam(rate):
    def step(gradient, memory):
        m, v, t = memory or (0, 0, 0)
        m, v, t = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2, t + 1
        unbiased, square = m / (1 - 0.9**t), v / (1 - 0.999**t)
        return -rate * unbiased / (np.sqrt(square) + 1e-8), (m, v, t)

    return step


@pytest.mark.parametrize(
    ("transformation", "settings"),
    [
        (w.famo(), (adam(0.025), 1e-3, 0.0)),
        (w.famo(optax.sgd(2.0), decay=0.0), (sgd(2.0), 0.0, 0.0)),
        (
            w.famo(optax.sgd(1.0), decay=0.3, lower={"a": -1.0, "c": 0.1}),
            (sgd(1.0), 0.3, np.array([-1.0, 0.0, 0.1])),
        ),
    ],
)
def test_famo_follows_its_algorithm(transformation, settings, history, rng):
    feedback = np.roll(history, 1, axis=0) * rng.uniform(0.6, 1.0, history.shape)
    feedback[0] = NAN  # ignored in the first update
    got, out, _ = run(transformation, history, feedback=np.float32(feedback))
    np.testing.assert_allclose(got, np_famo(history, feedback, *settings), rtol=5e-5)
    np.testing.assert_allclose(got.sum(-1), 1, rtol=1e-6)
    np.testing.assert_allclose(out, got * history, rtol=1e-6)


def test_famo_turns_to_the_task_that_falls_behind(history):
    """In logarithms: multiplying a loss by a factor changes no share."""
    feedback = np.float32(history * [1.0, 0.5, 1.0])
    losses = np.tile(history[:1], (12, 1))
    feedback = np.tile(feedback[:1], (12, 1))
    scale = np.array([1000.0, 1.0, 0.1], np.float32)
    shares = []
    for factor in (np.float32([1, 1, 1]), scale):
        _, _, state = run(w.famo(decay=0.0), losses * factor, feedback=feedback * factor)
        shares.append(jax.nn.softmax(state.memory.logits))
    assert shares[0][1] < 1 / 3 < shares[0][0] and np.isclose(shares[0][0], shares[0][2], rtol=1e-4)
    np.testing.assert_allclose(*shares, rtol=1e-4)


def test_famo_balances_a_slow_task_in_training():
    """Two quadratics of one parameter each, one far flatter: both fall at one relative rate."""
    curvature = jnp.array([1.0, 0.05])
    losses_of = lambda x: dict(zip("ab", 0.5 * curvature * x**2 + 1e-3, strict=True))

    def relative_fall(weighting):
        @jax.jit
        def train(x):
            def step(carry, _):
                x, state = carry

                def total(x):
                    losses, new = weighting.update(
                        losses_of(x), state, feedback=jax.lax.stop_gradient(losses_of(x))
                    )
                    return optax.tree.sum(losses), new

                gradient, state = jax.grad(total, has_aux=True)(x)
                return (x - 0.01 * gradient, state), None

            (x, _), _ = jax.lax.scan(step, (x, weighting.init(losses_of(x))), length=150)
            return x

        x = jnp.array([1.0, 1.0])
        before, after = losses_of(x), losses_of(train(x))
        return [float(jnp.log(before[k] / after[k])) for k in "ab"]

    plain = relative_fall(w.fixed(0.5))
    balanced = relative_fall(w.famo(optax.sgd(5.0), decay=0.0))
    assert plain[1] < 0.1 * plain[0]
    assert 0.7 < balanced[1] / balanced[0] < 1.4


# Groups and validation


def test_an_absent_group_keeps_its_weight(history):
    present = np.ones((12, 3), bool)
    present[3:5, 0] = present[4:6, 1] = present[7] = False
    got, _, _ = run(w.group_dro(0.5), np.where(present, history, 0), present=present)
    q = np.ones(3) / 3
    for now, here, weights in zip(history, present, got, strict=True):
        mass = q[here].sum()
        grown = q[here] * np.exp(0.5 * now[here])
        q[here] = mass * grown / grown.sum()
        np.testing.assert_allclose(weights, q, rtol=1e-5)
    assert np.all(got[3:5, 0] == got[2, 0]) and np.all(got[7] == got[6])


def test_group_dro_survives_losses_that_overflow_an_exponential():
    got, _, _ = run(w.group_dro(1.0), np.tile([1e4, 1.0, 0.0], (3, 1)))
    np.testing.assert_array_equal(got, [[1, 0, 0]] * 3)


@pytest.mark.parametrize("rate", [0.1, 2.0])
def test_validation_moves_weights_by_exponentiated_gradients(rate, history):
    metrics = np.roll(history, 1, axis=1)
    got, _, _ = run(w.by_validation(rate), history, metrics=np.float32(metrics))
    np.testing.assert_allclose(got, list(np_exponentiated(rate, 3)(metrics)), rtol=3e-5)


@pytest.mark.parametrize("task", [0, 1, 2])
def test_worse_validation_raises_a_tasks_weight(task):
    metrics = np.tile(np.float32([1.0, 0.5, 2.0]), (4, 1))
    worse = metrics + np.float32(0.3) * (np.arange(3) == task)
    before, after = (
        run(w.by_validation(), np.ones((4, 3)), metrics=np.float32(m))[0] for m in (metrics, worse)
    )
    others = [i for i in range(3) if i != task]
    assert np.all(after[:, task] > before[:, task]) and np.all(after[:, others] < before[:, others])
    np.testing.assert_allclose(after.sum(-1), 3, rtol=1e-6)


@pytest.mark.parametrize(
    "settings",
    [
        {"factor": 0.5, "patience": 1},
        {"factor": 0.3, "patience": 2, "cooldown": 2, "least": 0.05},
        {"factor": 0.9, "patience": 3, "rtol": 0.0, "atol": 0.4, "cooldown": 1},
    ],
)
def test_reduction_on_plateau_is_optaxs_for_each_task(settings, rng):
    metrics = np.float32(rng.uniform(0, 1, (40, 3)) + np.linspace(3, [0, 2, 3], 40))
    got, _, _ = run(w.reduce_on_plateau(**settings), np.ones((40, 3)), metrics=metrics)
    renamed = {"least": "min_scale"}
    single = optax.contrib.reduce_on_plateau(**{renamed.get(k, k): v for k, v in settings.items()})

    @jax.jit
    @jax.vmap
    def scan(column):
        step = lambda state, value: (single.update(1.0, state, value=value)[1],) * 2
        return jax.lax.scan(step, single.init(jnp.array(1.0)), column)[1].scale

    np.testing.assert_array_equal(got, scan(metrics.T).T)
    assert np.any(got < 1)


def test_validation_every_few_updates(history):
    """Metrics in between are not seen."""
    metrics = np.float32(history)
    metrics[np.arange(12) % 4 != 0] = NAN
    got, _, _ = run(w.every_k(w.by_validation(0.5), 4), history, metrics=metrics)
    expected = np.repeat(list(np_exponentiated(0.5, 3)(history[::4])), 4, axis=0)
    np.testing.assert_allclose(got, expected, rtol=1e-5)


# Claims about several methods


def test_the_weighted_sum_is_linear_in_the_weights(history):
    first, second = np.array([0.3, 2.0, 0.0]), np.array([1.0, -1.0, 0.5])
    by = lambda weights: run(w.fixed(tree(weights)), history)[1].sum(-1)
    combined = by(2 * first - 3 * second)
    np.testing.assert_allclose(combined, 2 * by(first) - 3 * by(second), rtol=1e-4, atol=1e-5)


INVARIANT = {
    "logs": w.scale_invariant(),
    "geometric": w.geometric_mean(),
    "inverse": w.uncertainty_optimal(),
    "initial": w.normalize_by_initial(),
    "mean": w.normalize_by_mean(0.8),
    "on logs": w.on_log(w.random(seed=1)),
    "renormalised": w.renormalize(w.scale_invariant()),
}


@pytest.mark.parametrize("name", INVARIANT)
def test_the_unit_of_a_loss_does_not_change_the_balance(name, history):
    """The gradients that tasks contribute keep their proportions."""
    unit = np.array([1.0, 1000.0, 1.0])
    plain, _, _ = run(INVARIANT[name], history)
    scaled = run(INVARIANT[name], history * unit)[0] * unit
    share = lambda pull: pull / pull.sum(-1, keepdims=True)
    np.testing.assert_allclose(share(scaled), share(plain), rtol=1e-4)
    changed = run(w.equal(), history * unit)[0] * unit
    assert np.max(np.abs(share(changed) - 1 / 3)) > 0.6  # the plain sum does change


SUMS = {
    1.0: [w.random(), w.tilted(0.5), w.uncertainty_softmax(), w.softadapt(), w.group_dro()],
    3.0: [w.equal(), w.dwa(), w.relobralo(), w.renormalize(w.geometric_mean())],
}


@pytest.mark.parametrize(("total", "index"), [(t, i) for t in SUMS for i in range(len(SUMS[t]))])
def test_weights_sum_to_what_the_docstring_says(total, index, history):
    weights, _, _ = run(SUMS[total][index], history)
    np.testing.assert_allclose(weights.sum(-1), total, rtol=1e-5)


def test_a_loss_of_zero_makes_no_nan():
    losses = np.tile([0.0, 1.0, 2.0], (4, 1))
    for make in (
        w.scale_invariant,
        w.geometric_mean,
        w.uncertainty_optimal,
        w.uncertainty_softmax,
        w.normalize_by_initial,
        w.normalize_by_mean,
        w.dwa,
        w.relobralo,
    ):
        assert np.all(np.isfinite(run(make(), losses)[0])), make.__name__
    feedback = np.float32(losses)
    weights, _, state = run(w.famo(), losses, feedback=feedback)
    assert np.all(np.isfinite(weights)) and np.all(np.isfinite(state.memory.logits))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: w.fixed({"a": NAN}), "fixed: weights must be in"),
        (lambda: w.fixed({"a": jnp.ones(2)}), "fixed: weights must be a number"),
        (lambda: w.normalize_by_mean(1.0), r"normalize_by_mean: decay must be in \[0, 1\), got 1"),
        (lambda: w.dwa(0.0), r"dwa: temperature must be in \(0"),
        (lambda: w.dwa(every=0), "dwa: every must be at least 1, got 0"),
        (lambda: w.softadapt(window=1), "softadapt: window must be at least 2, got 1"),
        (lambda: w.relobralo(1.1), r"relobralo: decay must be in \[0, 1\], got 1.1"),
        (lambda: w.relobralo(keep=-0.1), "relobralo: keep must be in"),
        (lambda: w.relobralo(temperature=0.0), "relobralo: temperature must be in"),
        (lambda: w.causal(-1.0), "causal: steepness must be in"),
        (lambda: w.uncertainty_softmax(0.0), "uncertainty_softmax: temperature must be in"),
        (lambda: w.tilted(NAN), "tilted: tilt must be in"),
        (lambda: w.tchebycheff(weights={"a": -1.0}), "tchebycheff: weights must be in"),
        (lambda: w.smooth_tchebycheff(0.0), "smooth_tchebycheff: smoothing must be in"),
        (lambda: w.pbi(-1.0), "pbi: penalty must be in"),
        (lambda: w.famo(decay=-1.0), "famo: decay must be in"),
        (lambda: w.famo(lower={"a": NAN}), "famo: lower must be in"),
        (lambda: w.group_dro(-1.0), "group_dro: rate must be in"),
        (lambda: w.by_validation(-1.0), "by_validation: rate must be in"),
        (lambda: w.reduce_on_plateau(1.0), r"reduce_on_plateau: factor must be in \(0, 1\)"),
        (lambda: w.reduce_on_plateau(patience=0), "reduce_on_plateau: patience must be at least 1"),
        (lambda: w.every_k(w.equal(), 0), "every_k: k must be at least 1, got 0"),
        (lambda: w.clip_weights(w.equal(), 2.0, 1.0), "clip_weights: high must be at least low"),
        (lambda: w.renormalize(w.equal(), 0.0), "renormalize: total must be in"),
    ],
)
def test_impossible_settings_raise(make, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        make()


def test_counts_must_be_whole_numbers():
    with pytest.raises(TypeError, match=r"^every_k: k must be a whole number, got 2.5"):
        w.every_k(w.equal(), 2.5)


@pytest.mark.parametrize("wrap", [lambda t: w.every_k(t, 2), w.renormalize, w.on_log])
def test_wrappers_say_what_they_do_not_wrap(wrap):
    with pytest.raises(TypeError, match=r"weighting must have a WeightingState, got EmptyState"):
        wrap(optax.scale(2.0)).init(tree([1.0, 2.0, 3.0]))


def test_unknown_names_raise():
    losses = tree([1.0, 2.0, 3.0])
    for make in (w.fixed, lambda lower: w.famo(lower=lower)):
        transformation = make({"d": 2.0})
        with pytest.raises(ValueError, match=r"named after tasks, of \('a', 'b', 'c'\), got 'd'"):
            transformation.update(losses, transformation.init(losses), feedback=losses)
