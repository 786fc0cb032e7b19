"""Adversarial losses: values worked out by hand, edges, attacks and messages."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

import jaxloss as jl
from jaxloss import adversarial

NAN, INF = np.nan, np.inf
LOG2 = np.log(2.0)
OBJECTIVES = [
    "minimax",
    "non_saturating",
    "least_squares",
    "hinge",
    "wasserstein",
    "relativistic_average",
    "relativistic_pairing",
]
# Generators that do not look at the real logits.
ALONE = OBJECTIVES[:5]
SIDES = [f"{name}.{side}" for name in OBJECTIVES for side in adversarial.Objective._fields]


def side(name):
    objective, which = name.split(".")
    return getattr(getattr(adversarial, objective), which)


@functools.cache
def compiled(name):
    """Return a function to the loss and its two gradients, compiled once for the whole module."""
    loss = side(name)

    @jax.jit
    def run(real, fake, where):
        value, pull = jax.vjp(lambda r, f: loss(r, f, where=where), real, fake)
        return value, *pull(jnp.ones_like(value))

    return run


def evaluate(name, real, fake, where=None):
    """Return the loss and both gradients of four pairs of logits."""
    real, fake = np.asarray(real), np.asarray(fake)
    where = np.ones(real.shape, bool) if where is None else np.asarray(where)
    return [np.asarray(a) for a in compiled(name)(real, fake, where)]


def array(*values):
    return np.array(values, np.float32)


# Objectives: values

REAL, FAKE = array(0.0, 2.0, -1.0, 0.5), array(0.0, -3.0, 4.0, 0.5)
sp = lambda x: np.logaddexp(0.0, np.asarray(x, np.float64))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("minimax.discriminator", sp(-REAL) + sp(FAKE)),
        ("minimax.generator", -sp(FAKE)),
        ("non_saturating.discriminator", sp(-REAL) + sp(FAKE)),
        ("non_saturating.generator", sp(-FAKE)),
        ("least_squares.discriminator", [0.5, 5.0, 10.0, 0.25]),
        ("least_squares.generator", [0.5, 8.0, 4.5, 0.125]),
        ("hinge.discriminator", [2.0, 0.0, 7.0, 2.0]),
        ("hinge.generator", [0.0, 3.0, -4.0, -0.5]),
        ("wasserstein.discriminator", [0.0, -5.0, 5.0, 0.0]),
        ("wasserstein.generator", [0.0, 3.0, -4.0, -0.5]),
        # Both means are 0.375.
        ("relativistic_average.discriminator", sp(0.375 - REAL) + sp(FAKE - 0.375)),
        ("relativistic_average.generator", sp(REAL - 0.375) + sp(0.375 - FAKE)),
        ("relativistic_pairing.discriminator", sp(FAKE - REAL)),
        ("relativistic_pairing.generator", sp(REAL - FAKE)),
    ],
)
def test_values_of_objectives(name, expected):
    np.testing.assert_allclose(evaluate(name, REAL, FAKE)[0], expected, rtol=2e-6, atol=1e-7)


def test_an_objective_is_a_pair_with_one_order_of_arguments():
    for name in OBJECTIVES:
        objective = getattr(adversarial, name)
        assert isinstance(objective, adversarial.Objective)
        for loss in objective:
            code = loss.__code__
            assert code.co_varnames[: code.co_argcount] == ("real_logits", "fake_logits")


@pytest.mark.parametrize("name", ALONE)
def test_generators_that_need_no_real_logits_take_none(name):
    generator = getattr(adversarial, name).generator
    np.testing.assert_array_equal(generator(None, FAKE), generator(REAL, FAKE))
    unknown = np.full(4, NAN, np.float32)
    np.testing.assert_array_equal(generator(unknown, FAKE), generator(None, FAKE))


@pytest.mark.parametrize("name", ["relativistic_average", "relativistic_pairing"])
def test_relativistic_generators_need_the_real_logits(name):
    with pytest.raises(TypeError, match=rf"^{name}.generator: real_logits must be an array"):
        getattr(adversarial, name).generator(None, FAKE)


def test_targets_of_least_squares_broadcast_and_are_traced():
    objective = adversarial.least_squares
    loss = objective.discriminator(REAL, FAKE, real_target=0.9, fake_target=array(0, 0, 1, 1))
    np.testing.assert_allclose(loss, [0.405, 5.105, 6.305, 0.205], rtol=1e-6)
    slope = jax.grad(lambda c: objective.generator(None, FAKE, target=c).sum())(0.0)
    np.testing.assert_allclose(slope, -FAKE.sum())


# Objectives: edges


@pytest.mark.parametrize("name", SIDES)
def test_extreme_logits_are_finite(name):
    value, *slopes = evaluate(name, array(1e4, -1e4, 1e4, -1e4), array(1e4, 1e4, -1e4, -1e4))
    assert np.isfinite(value).all() and all(np.isfinite(s).all() for s in slopes)


@pytest.mark.parametrize("name", SIDES)
def test_what_is_masked_is_not_looked_at(name):
    where = np.array([True, False, True, False])
    dirty = [
        np.where(where, a, array(0, b, 0, c)) for a, b, c in ((REAL, NAN, -INF), (FAKE, INF, NAN))
    ]
    value, *slopes = evaluate(name, *dirty, where)
    clean = side(name)(REAL[where], FAKE[where])
    np.testing.assert_allclose(value[where], clean, rtol=1e-6)
    for a in (value, *slopes):
        assert np.isfinite(a).all() and not a[~where].any()
    nothing = evaluate(name, *dirty, np.zeros(4, bool))
    assert not any(a.any() for a in nothing)


def test_gradients_where_the_discriminator_is_sure():
    """At D(fake) = exp(-10): minimax is dead, non-saturating alive, least squares strong."""
    fake = array(-10.0, -10.0, -10.0, -10.0)
    slope = {name: evaluate(f"{name}.generator", REAL, fake)[2][0] for name in OBJECTIVES}
    np.testing.assert_allclose(slope["minimax"], -np.exp(-10.0), rtol=1e-4)
    np.testing.assert_allclose(slope["non_saturating"], -1, rtol=1e-4)
    assert slope["least_squares"] == -11
    assert slope["hinge"] == slope["wasserstein"] == -1
    assert slope["relativistic_pairing"] < -0.99


def test_hinge_takes_the_least_slope_at_its_kinks():
    _, real, fake = evaluate("hinge.discriminator", array(1, 1, 0, 2), array(-1, 0, -1, -2))
    np.testing.assert_array_equal(real, [0, 0, -1, 0])
    np.testing.assert_array_equal(fake, [0, 1, 0, 0])


def test_the_average_opponent_is_that_of_each_batch():
    rng = np.random.default_rng(3)
    real, fake = rng.normal(size=(2, 2, 5)).astype(np.float32)
    where = np.array([[1, 1, 0, 1, 1], [0, 1, 0, 0, 1]], bool)
    loss = adversarial.relativistic_average.discriminator(real, fake, where=where)
    for i in range(2):
        r, f = real[i][where[i]], fake[i][where[i]]
        np.testing.assert_allclose(
            loss[i][where[i]], sp(f.mean() - r) + sp(f - r.mean()), rtol=1e-5
        )


def test_infinite_logits_make_a_sure_average():
    loss = adversarial.relativistic_average.discriminator(array(INF, 0.0), array(0.0, 0.0))
    np.testing.assert_array_equal(loss, array(0.0, LOG2))


@pytest.mark.parametrize("which", adversarial.Objective._fields)
def test_the_average_opponent_is_global_when_the_batch_is_split(two_devices, rng, which):
    loss = side(f"relativistic_average.{which}")
    real, fake = rng.normal(size=(2, 6)).astype(np.float32)
    where = np.array([True, True, False, True, True, True])
    mesh = jax.make_mesh((2,), ("batch",), axis_types=(jax.sharding.AxisType.Auto,))
    split = jax.shard_map(
        lambda r, f, w: loss(r, f, where=w, axis_name="batch"),
        mesh=mesh,
        in_specs=P("batch"),
        out_specs=P("batch"),
    )
    whole = lambda r, f, w: loss(r, f, where=w)
    weights = np.arange(6, dtype=np.float32)

    def slopes(call):
        total = lambda r, f: (weights * call(r, f, where)).sum()
        return jax.tree.leaves(jax.jit(jax.value_and_grad(total, (0, 1)))(real, fake))

    for one, two in zip(slopes(split), slopes(whole), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)


def test_matched_features_are_global_means_when_the_batch_is_split(two_devices, rng):
    real, fake = rng.normal(size=(2, 6, 3)).astype(np.float32)
    where = np.array([True, True, False, True, True, True])

    def work(real, fake, where, axis_name=None):
        loss = lambda r, f: jl.feature_matching_loss(r, f, where=where, axis_name=axis_name)
        return jax.value_and_grad(loss, (0, 1))(real, fake)

    mesh = jax.make_mesh((2,), ("batch",), axis_types=(jax.sharding.AxisType.Auto,))
    split = jax.shard_map(
        functools.partial(work, axis_name="batch"),
        mesh=mesh,
        in_specs=P("batch"),
        out_specs=(P(), P("batch")),
    )
    got, whole = (jax.tree.leaves(jax.jit(f)(real, fake, where)) for f in (split, work))
    for one, two in zip(got, whole, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)


# Penalties


def quartic(x):
    """A critic whose gradient is `x^3 w`, for examples of any shape."""
    w = jnp.arange(1, 1 + x[0].size, dtype=x.dtype).reshape(1, *x.shape[1:])
    return jnp.sum(w * x**4 / 4, axis=tuple(range(1, x.ndim)))


def slope_of_quartic(x):
    return x**3 * np.arange(1, 1 + x[0].size).reshape(x.shape[1:])


@pytest.mark.parametrize("shape", [(3, 4), (3, 2, 2)])
def test_the_norm_is_over_all_axes_of_an_example(rng, shape):
    real, fake, noise = rng.normal(size=(3, *shape)).astype(np.float32)
    mix = array(0.0, 0.25, 1.0)
    wide = mix.reshape(-1, *[1] * (len(shape) - 1))
    norm = lambda x: np.sqrt((slope_of_quartic(x).reshape(3, -1) ** 2).sum(-1))
    cases = [
        (jl.wgan_gradient_penalty(quartic, real, fake, mix=mix, target_norm=array(0, 1, 2)),
         (norm(wide * real + (1 - wide) * fake) - [0, 1, 2]) ** 2),
        (jl.r1_penalty(quartic, real), norm(real) ** 2 / 2),
        (jl.r2_penalty(quartic, fake), norm(fake) ** 2 / 2),
        (jl.dragan_penalty(quartic, real, noise=noise, scale=0.25),
         (norm(real + noise / 4) - 1) ** 2),
    ]  # fmt: skip
    for got, expected in cases:
        assert got.shape == (3,)
        np.testing.assert_allclose(got, expected, rtol=2e-5)


def test_a_flat_critic_has_zero_gradients_not_nan():
    flat = lambda weights, x: (x @ weights) ** 2
    real, fake = np.zeros((2, 3), np.float32), np.zeros((2, 3), np.float32)
    weights = array(1.0, -2.0, 0.5)
    penalties = [
        lambda w, r, f: jl.wgan_gradient_penalty(functools.partial(flat, w), r, f, mix=0.5),
        lambda w, r, f: jl.dragan_penalty(functools.partial(flat, w), r, noise=f),
        lambda w, r, f: jl.r1_penalty(functools.partial(flat, w), r),
        lambda w, r, f: jl.r2_penalty(functools.partial(flat, w), f),
    ]
    for penalty, value in zip(penalties, (1.0, 1.0, 0.0, 0.0), strict=True):
        total = lambda *args, penalty=penalty: penalty(*args).sum()
        got, slopes = jax.value_and_grad(total, (0, 1, 2))(weights, real, fake)
        assert got == 2 * value
        assert not any(np.any(s) for s in slopes)


def test_penalties_of_masked_examples_are_zero_and_unseen():
    where = np.array([True, False, True])
    x = np.array([[1.0, 2.0], [NAN, INF], [0.5, -1.0]], np.float32)
    mix = array(0.5, NAN, 0.5)
    calls = [
        lambda x: jl.wgan_gradient_penalty(quartic, x, x, mix=mix, where=where),
        lambda x: jl.dragan_penalty(quartic, x, noise=x, where=where),
        lambda x: jl.r1_penalty(quartic, x, where=where),
        lambda x: jl.r2_penalty(quartic, x, where=where),
    ]
    for call in calls:
        value, slope = jax.value_and_grad(lambda x, call=call: call(x).sum())(x)
        kept = call(np.where(where[:, None], x, 0))
        assert value == kept.sum() and kept[1] == 0
        assert np.isfinite(slope).all() and not slope[1].any()


def test_keys_draw_one_share_for_each_example():
    key = jax.random.key(5)
    real, fake = np.ones((64, 2), np.float32), np.zeros((64, 2), np.float32)
    # The critic's slope is its argument, which is the share itself in both entries.
    bowl = lambda x: jnp.sum(x**2, axis=-1) / 2
    penalty = jl.wgan_gradient_penalty(bowl, real, fake, key=key, target_norm=0.0)
    shares = np.sqrt(np.asarray(penalty) / 2)
    assert 0 <= shares.min() < 0.1 and 0.9 < shares.max() < 1 and 0.4 < shares.mean() < 0.6
    np.testing.assert_array_equal(
        penalty, jl.wgan_gradient_penalty(bowl, real, fake, key=key, target_norm=0.0)
    )
    noisy = jl.dragan_penalty(bowl, fake, key=key, scale=2.0, target_norm=0.0)
    np.testing.assert_allclose(noisy.mean(), 8.0, rtol=0.3)  # two entries of variance 4


def test_half_precision_is_penalised_in_float32():
    x = np.array([[1.0, 2.0]], jnp.bfloat16)
    value, slope = jax.value_and_grad(lambda x: jl.r1_penalty(quartic, x).sum())(x)
    assert value.dtype == np.float32 and slope.dtype == jnp.bfloat16
    assert value == (1 + 16**2) / 2


def test_lecam_anchors_follow_the_means():
    update = jax.jit(functools.partial(adversarial.lecam_update, decay=0.75))
    anchors = adversarial.lecam_init()
    where = np.array([True, True, False, False])
    anchors = update(anchors, array(2, 4, NAN, 0), array(-1, -3, INF, 0), where=where)
    assert (anchors.real, anchors.fake, bool(anchors.seen)) == (3.0, -2.0, True)
    anchors = update(anchors, array(7, 7, 7, 7), array(2, 2, 2, 2), where=~where)
    assert (anchors.real, anchors.fake) == (4.0, -1.0)
    still = update(anchors, array(9, 9, 9, 9), array(9, 9, 9, 9), where=np.zeros(4, bool))
    assert jax.tree.map(float, still) == jax.tree.map(float, anchors)
    loss = jl.lecam_regularization(
        array(1.0), array(0.0), real_anchor=anchors.real, fake_anchor=anchors.fake
    )
    np.testing.assert_array_equal(loss, [20.0])  # (1 + 1)^2 + (0 - 4)^2


def test_lecam_anchors_are_scanned_and_stop_gradients(x64):
    def total(logits):
        step = lambda anchors, x: (adversarial.lecam_update(anchors, x, -x), None)
        anchors, _ = jax.lax.scan(step, adversarial.lecam_init(), logits)
        return anchors.real + anchors.fake, anchors

    slope, anchors = jax.grad(total, has_aux=True)(np.arange(6.0).reshape(3, 2))
    assert not slope.any()
    assert anchors.real.dtype == np.float32
    np.testing.assert_allclose(anchors.real, 0.99 * (0.99 * 0.5 + 0.01 * 2.5) + 0.01 * 4.5)


def test_feature_matching_leaves_masked_members_out(rng):
    real, fake = rng.normal(size=(2, 2, 4, 3)).astype(np.float32)
    where = np.array([[True, False, True, True], [False] * 4])
    real[0, 1], fake[1] = NAN, INF
    loss, slope = jax.value_and_grad(
        lambda f: jl.feature_matching_loss(real, f, where=where).sum()
    )(fake)
    gap = real[0][where[0]].mean(0) - fake[0][where[0]].mean(0)
    np.testing.assert_allclose(loss, (gap**2).sum(), rtol=1e-5)
    np.testing.assert_allclose(slope[0][where[0]], np.tile(-2 * gap / 3, (3, 1)), rtol=1e-5)
    assert not slope[~where].any()


# Attacks


def linear_losses(rng, classes=4, size=6, count=8):
    weights = rng.normal(size=(size, classes)).astype(np.float32)
    x = rng.normal(size=(count, size)).astype(np.float32)
    labels = rng.integers(0, classes, count)
    model = lambda x: x @ weights
    losses = lambda x: jl.softmax_cross_entropy_with_integer_labels(model(x), labels)
    return losses, model, x, labels


def bent_losses(rng):
    _, _, x, labels = linear_losses(rng)
    inner, outer = rng.normal(size=(6, 6)).astype(np.float32), rng.normal(size=(6, 4))
    model = lambda x: jnp.sin(3.0 * x @ inner) @ outer.astype(np.float32)
    losses = lambda x: jl.softmax_cross_entropy_with_integer_labels(model(x), labels)
    return losses, model, x, labels


def length(x, norm="inf"):
    flat = np.asarray(x).reshape(len(x), -1)
    return np.abs(flat).max(-1) if norm == "inf" else np.sqrt((flat**2).sum(-1))


def attacks():
    pgd = functools.partial(adversarial.pgd, steps=4)
    return {
        "fgsm": lambda loss, x, r, **more: adversarial.fgsm(loss, x, radius=r, **more),
        "inf": lambda loss, x, r, **more: pgd(loss, x, radius=r, step_size=0.6 * r, **more),
        "l2": lambda loss, x, r, **more: pgd(
            loss, x, radius=r, step_size=0.6 * r, norm="l2", **more
        ),
        "inf, random start": lambda loss, x, r, **more: pgd(
            loss, x, radius=r, step_size=0.6 * r, key=jax.random.key(1), **more
        ),
        "l2, random start": lambda loss, x, r, **more: pgd(
            loss, x, radius=r, step_size=0.6 * r, norm="l2", key=jax.random.key(1), **more
        ),
    }


@pytest.mark.parametrize("name", ["fgsm", "inf", "l2, random start"])
def test_attacks_stay_inside_and_never_lower_a_convex_loss(rng, name):
    losses, _, x, _ = linear_losses(rng)
    attack = jax.jit(functools.partial(attacks()[name], losses))
    for radius in (0.1, 2.0):
        found = attack(x, radius)
        size = length(found - x, "l2" if "l2" in name else "inf")
        assert (size <= radius * (1 + 1e-5)).all() and (size > 0.3 * radius).all()
        assert (losses(found) > losses(x)).all()
    np.testing.assert_array_equal(attack(x, 0.0), x)


@pytest.mark.parametrize("name", ["inf, random start", "l2"])
def test_pgd_keeps_the_worst_point_of_any_model(rng, name):
    losses, model, x, labels = bent_losses(rng)
    attack = jax.jit(functools.partial(attacks()[name], losses))
    for radius in (0.05, 0.5, 3.0):
        found = attack(x, radius)
        assert (losses(found) >= losses(x) * (1 - 1e-6)).all()
        assert losses(found).sum() > losses(x).sum() * 1.01
        mixed = jl.adversarial_cross_entropy(model(x), model(found), labels)
        assert (mixed >= losses(x) * (1 - 1e-6)).all()


def test_fgsm_may_lower_the_loss_of_a_model_that_is_bent(rng):
    """What the best iterate of `pgd` is for."""
    losses, _, x, _ = bent_losses(rng)
    assert (losses(adversarial.fgsm(losses, x, radius=0.5)) < losses(x)).any()


def test_an_l2_attack_on_a_linear_loss_finds_the_worst_point():
    w = array(3.0, -4.0)
    found = adversarial.pgd(
        lambda x: x @ w, np.zeros((2, 2), np.float32), radius=array(1, 5), step_size=1.0,
        steps=6, norm="l2",
    )  # fmt: skip
    np.testing.assert_allclose(found, [[0.6, -0.8], [3, -4]], atol=2e-5)


def test_no_gradient_no_step():
    x = array(0.5, -0.5)[:, None]
    flat = lambda x: 0.0 * x[:, 0]
    np.testing.assert_array_equal(adversarial.fgsm(flat, x, radius=1.0), x)
    for norm in ("inf", "l2"):
        found = adversarial.pgd(flat, x, radius=1.0, step_size=1.0, steps=2, norm=norm)
        np.testing.assert_array_equal(found, x)
    found = adversarial.virtual_adversarial_perturbation(
        lambda x: jnp.zeros((2, 3)) * x, x, radius=1.0, key=jax.random.key(0)
    )
    np.testing.assert_array_equal(found, x)


def test_bounds_are_kept_and_no_gradient_passes(rng):
    losses, _, x, _ = linear_losses(rng)
    x = np.clip(x, -1, 1)
    for name in ("fgsm", "l2, random start"):
        found = attacks()[name](losses, x, 0.5, bounds=(-1.0, 1.0))
        assert np.abs(found).max() <= 1, name
    slope = jax.grad(lambda x: jnp.sum(adversarial.fgsm(losses, x, radius=0.1)))(x)
    assert not slope.any()


def test_random_starts_fill_the_ball():
    x = np.zeros((512, 3), np.float32)
    for norm in ("inf", "l2"):
        start = adversarial.attacks._random_unit_ball(jax.random.key(2), x, norm)
        size = length(start, norm)
        assert size.max() <= 1 + 1e-6
        # Both balls hold one eighth of their volume within half of their radius.
        assert abs((size < 0.5).mean() - 1 / 8) < 0.05
        assert np.abs(np.mean(start, axis=0)).max() < 0.1


def test_the_virtual_direction_is_the_first_eigenvector(rng):
    weights = rng.normal(size=(3, 4))
    logits_fn = lambda x: jnp.sin(x @ weights.astype(np.float32))
    x = rng.normal(size=(2, 3)).astype(np.float32)
    found = adversarial.virtual_adversarial_perturbation(
        logits_fn, x, radius=0.5, key=jax.random.key(0), iterations=60
    )
    for i in range(2):
        slope = np.cos(x[i] @ weights)[:, None] * weights.T
        p = np.asarray(jax.nn.softmax(logits_fn(x[i : i + 1])[0]), np.float64)
        hessian = slope.T @ (np.diag(p) - np.outer(p, p)) @ slope
        first = np.linalg.eigh(hessian)[1][:, -1]
        np.testing.assert_allclose(abs((found - x)[i] @ first), 0.5, rtol=1e-4)


# Adversarial training


def test_values_of_adversarial_training():
    clean, moved = np.log(array(1, 1, 2))[None], np.log(array(1, 2, 1))[None]
    label = np.array([2])
    at = lambda **more: float(jl.adversarial_cross_entropy(clean, moved, label, **more)[0])
    np.testing.assert_allclose(at(), 1.5 * LOG2, rtol=1e-6)
    np.testing.assert_allclose([at(weight=0.0), at(weight=1.0)], [LOG2, 2 * LOG2], rtol=1e-6)
    divergence = 0.25 * LOG2  # of (1/4, 1/4, 1/2) from (1/4, 1/2, 1/4)
    np.testing.assert_allclose(jl.virtual_adversarial_loss(clean, moved), [divergence], rtol=1e-6)
    trades = jl.trades_loss(clean, moved, label, beta=2.0)
    np.testing.assert_allclose(trades, [LOG2 + 2 * divergence], rtol=1e-6)


def test_a_divergence_of_near_predictions_keeps_its_digits():
    logits = array(0.3, -1.2, 0.7, 2.0)
    step = 1e-4 * array(1.0, -2.0, 0.5, 0.25)
    p = np.exp(logits.astype(float)) / np.exp(logits.astype(float)).sum()
    step = (logits + step).astype(float) - logits
    expected = (p @ step**2 - (p @ step) ** 2) / 2
    got = jl.virtual_adversarial_loss(logits, (logits + step).astype(np.float32))
    np.testing.assert_allclose(got, expected, rtol=1e-2)
    assert jl.virtual_adversarial_loss(logits, logits) == 0


def test_no_gradient_flows_through_the_clean_prediction_of_vat():
    clean, moved = array(0.0, 1.0), array(1.0, -1.0)
    slopes = jax.grad(jl.virtual_adversarial_loss, (0, 1))(clean, moved)
    assert not slopes[0].any()
    np.testing.assert_allclose(slopes[1], jax.nn.softmax(moved) - jax.nn.softmax(clean), rtol=1e-5)
    both = jax.grad(lambda c, m: jl.trades_loss(c, m, 0), (0, 1))(clean, moved)
    assert all(s.any() for s in both)


def test_impossible_classes_and_masks():
    clean, moved = array(0.0, 0.0, -INF), array(1.0, 1.0, 5.0)
    # Class 2 has probability 0 in the first: what the second gives it is lost to the others.
    expected = np.log((2 * np.e + np.exp(5)) / (2 * np.e))
    np.testing.assert_allclose(jl.virtual_adversarial_loss(clean, moved), expected, rtol=1e-6)
    assert jl.virtual_adversarial_loss(moved, clean) == INF
    where = np.array([True, True, False])
    assert jl.virtual_adversarial_loss(moved, clean, where=where) == 0
    dirty = array(1.0, 1.0, NAN)
    loss, slope = jax.value_and_grad(lambda m: jl.trades_loss(clean, m, 0, where=where))(dirty)
    np.testing.assert_allclose(loss, LOG2, rtol=1e-6)
    assert not slope.any()
    assert np.isnan(jl.trades_loss(moved, moved, 3))
    assert np.isnan(jl.adversarial_cross_entropy(moved, moved, -100))
    ignored = jl.adversarial_cross_entropy(moved, moved, -100, where=np.array(False))
    assert ignored == 0


# Messages

X = np.ones((2, 3), np.float32)
SUM = lambda x: jnp.sum(x, axis=-1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: adversarial.hinge.discriminator(X, X[:, :1]),
         r"^hinge.discriminator: fake_logits must be of the same shape as real_logits \(2, 3\)"),
        (lambda: adversarial.minimax.generator(X[0], X),
         "^minimax.generator: fake_logits must be of the same shape"),
        (lambda: adversarial.minimax.discriminator(X, X, where=X[0] > 0),
         "^minimax.discriminator: where must be of shape"),
        (lambda: adversarial.relativistic_average.discriminator(np.float32(1), np.float32(1)),
         r"^relativistic_average.discriminator: real_logits must be of shape \[..., batch\]"),
        (lambda: jl.wgan_gradient_penalty(SUM, X, X),
         "^wgan_gradient_penalty: mix must be given, or a key to draw it with, got neither"),
        (lambda: jl.wgan_gradient_penalty(SUM, X, X, mix=0.5, key=jax.random.key(0)),
         "^wgan_gradient_penalty: mix .* got both"),
        (lambda: jl.wgan_gradient_penalty(SUM, X, X, mix=X),
         r"^wgan_gradient_penalty: mix must be a number or broadcastable to \(2,\)"),
        (lambda: jl.wgan_gradient_penalty(SUM, X, X, mix=0.5, target_norm=-1.0),
         "^wgan_gradient_penalty: target_norm must be in"),
        (lambda: jl.wgan_gradient_penalty(SUM, X, X[:, :2], mix=0.5),
         "^wgan_gradient_penalty: fake must be of the same shape as real"),
        (lambda: jl.dragan_penalty(SUM, X), "^dragan_penalty: noise must be given, or a key"),
        (lambda: jl.r1_penalty(lambda x: x, X),
         r"^r1_penalty: critic must be a function to one number for each example, shape \(2,\)"),
        (lambda: jl.r1_penalty(lambda x: SUM(x)[:, None], X), "^r1_penalty: critic must be"),
        (lambda: jl.r1_penalty(SUM, X, where=X > 0), "^r1_penalty: where must be of shape"),
        (lambda: jl.r2_penalty(SUM, np.float32(1)), r"^r2_penalty: fake must be a batch"),
        (lambda: adversarial.lecam_update(adversarial.lecam_init(), X, X, decay=1.0),
         r"^lecam_update: decay must be in \[0, 1\)"),
        (lambda: jl.feature_matching_loss(X[0], X[0]),
         r"^feature_matching_loss: real_features must be of shape \[..., n, d\]"),
        (lambda: adversarial.fgsm(SUM, X, radius=-0.1), "^fgsm: radius must be in"),
        (lambda: adversarial.fgsm(jnp.sum, X, radius=0.1),
         "^fgsm: loss_fn must be a function to one loss for each example"),
        (lambda: adversarial.fgsm(SUM, X, radius=0.1, bounds=(1.0, 0.0)),
         "^fgsm: bounds must be a pair"),
        (lambda: adversarial.pgd(SUM, X, radius=1.0, step_size=1.0, steps=1, norm="l1"),
         "^pgd: norm must be one of inf, l2, got 'l1'"),
        (lambda: adversarial.pgd(SUM, X, radius=1.0, step_size=1.0, steps=0),
         "^pgd: steps must be an integer, at least 1, got 0"),
        (lambda: adversarial.pgd(SUM, X, radius=1.0, step_size=-1.0, steps=1),
         "^pgd: step_size must be in"),
        (lambda: adversarial.virtual_adversarial_perturbation(lambda x: x, X, radius=1.0),
         "^virtual_adversarial_perturbation: noise must be given, or a key"),
        (lambda: adversarial.virtual_adversarial_perturbation(SUM, X, radius=1.0, noise=X),
         "^virtual_adversarial_perturbation: logits_fn must be a function to logits"),
        (lambda: jl.trades_loss(X, X[:, :2], np.zeros(2, int)),
         "^trades_loss: adversarial_logits must be of the same shape as logits"),
        (lambda: jl.adversarial_cross_entropy(X, X, np.zeros(2, int), weight=1.5),
         "^adversarial_cross_entropy: weight must be in"),
    ],
)  # fmt: skip
def test_messages(call, message):
    with pytest.raises(ValueError, match=message):
        call()
