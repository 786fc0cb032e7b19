"""Fused losses against the plain program: values, all derivatives, masks, dtypes, and cost."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

import jaxloss as jl
from jaxloss.fused import (
    average_linear_distillation_loss,
    average_linear_softmax_cross_entropy,
    linear_log_probs,
    linear_softmax_cross_entropy,
    rows,
)

leaves = jax.tree.leaves
SETTINGS = {
    "plain": {},
    "all": {"label_smoothing": 0.1, "z_loss": 0.01, "soft_cap": 3.0, "class_weights": "yes"},
}


def draw(rng, *shape, dtype=jnp.float32):
    return jnp.asarray(rng.normal(size=shape), dtype)


def setting(name, classes, rng):
    given = dict(SETTINGS[name])
    if "class_weights" in given:
        given["class_weights"] = jnp.asarray(rng.uniform(0.5, 2, classes), jnp.float32)
    return given


def plain(features, kernel, labels, bias=None, where=None, soft_cap=None, **hyper):
    """Return the losses of each row, of logits that are held."""
    wide = jnp.promote_types(features.dtype, jnp.float32)
    logits = jnp.matmul(features, kernel, preferred_element_type=wide)
    logits = logits if bias is None else logits + jnp.expand_dims(bias, range(logits.ndim - 1))
    logits = logits if soft_cap is None else soft_cap * jnp.tanh(logits / soft_cap)
    return jl.softmax_cross_entropy_with_integer_labels(logits, labels, where=where, **hyper)


def close(got, expected, rtol=2e-5):
    for a, b in zip(leaves(got), leaves(expected), strict=True):
        assert a.dtype == b.dtype
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * (np.abs(b).max() + 1e-30))


# 128 rows are a chunk on the CPU: fewer, one more, several and an odd rest, batches of batches.
SHAPES = [(1, 3, 2), (129, 5, 7), (300, 8, 33), ((3, 50), 6, 11)]
MASKS = {
    "none": lambda rng, shape: None,
    "some": lambda rng, shape: jnp.asarray(rng.uniform(size=shape) < 0.4),
    "all": lambda rng, shape: jnp.zeros(shape, bool),
    "every": lambda rng, shape: jnp.ones(shape, bool),
}


def problem(shape, mask, rng):
    batch, inner, classes = shape
    batch = batch if isinstance(batch, tuple) else (batch,)
    params = {
        "features": draw(rng, *batch, inner), "kernel": draw(rng, inner, classes),
        "bias": draw(rng, classes),
    }  # fmt: skip
    labels = jnp.asarray(rng.integers(0, classes, batch))
    return params, labels, MASKS[mask](rng, batch)


# Every shape with a mask and everything that can be set, every mask with nothing set.
EVERY = [(shape, "some", "all") for shape in SHAPES] + [(SHAPES[2], m, "plain") for m in MASKS]


@pytest.mark.parametrize(("shape", "mask", "name"), EVERY, ids=str)
def test_mean_and_gradient_are_those_of_the_plain_program(shape, mask, name, rng):
    params, labels, where = problem(shape, mask, rng)
    hyper = setting(name, shape[-1], rng)
    weights = jnp.asarray(rng.uniform(size=labels.shape), jnp.float32)

    def fused(params):
        more = {"where": where, "weights": weights, **hyper}
        return -3 * average_linear_softmax_cross_entropy(labels=labels, **params, **more).value()

    def held(params):
        losses = plain(labels=labels, where=where, **params, **hyper)
        return -3 * jl.mean(losses, where=where, weights=weights)

    close(*(jax.jit(jax.value_and_grad(f))(params) for f in (fused, held)))


@pytest.mark.parametrize(("mask", "name"), [("none", "plain"), ("some", "all"), ("all", "plain")])
def test_each_row_is_that_of_the_plain_program(mask, name, rng):
    params, labels, where = problem((300, 8, 33), mask, rng)
    hyper = setting(name, 33, rng)
    cotangent = draw(rng, 300)

    def pulled(loss, params):
        losses = loss(labels=labels, where=where, **params, **hyper)
        return jnp.vdot(losses, cotangent), losses

    run = lambda loss: jax.jit(jax.value_and_grad(functools.partial(pulled, loss), has_aux=True))
    close(run(linear_softmax_cross_entropy)(params), run(plain)(params))


def test_log_probs_are_the_negative(rng):
    params, labels, where = problem((300, 8, 33), "some", rng)
    got = linear_log_probs(labels=labels, where=where, soft_cap=2.0, **params)
    close(got, -linear_softmax_cross_entropy(labels=labels, where=where, soft_cap=2.0, **params))


def both(rng, mask="some"):
    """Return the fused and the plain mean as functions of parameters and hyper-parameters."""
    params, labels, where = problem((200, 6, 17), mask, rng)
    params["hyper"] = {"z_loss": jnp.float32(0.02), **setting("all", 17, rng)}
    params["hyper"] = jax.tree.map(jnp.float32, params["hyper"])

    def fused(params):
        data = {k: v for k, v in params.items() if k != "hyper"} | params["hyper"]
        return average_linear_softmax_cross_entropy(labels=labels, where=where, **data).value()

    def held(params):
        data = {k: v for k, v in params.items() if k != "hyper"} | params["hyper"]
        return jl.mean(plain(labels=labels, where=where, **data), where=where)

    return fused, held, params


@pytest.mark.parametrize("mask", ["none", "some"])
def test_every_order_and_mode_of_differentiation(mask, rng):
    fused, held, params = both(rng, mask)
    move = jax.tree.map(lambda x: draw(rng, *x.shape), params)
    slope = lambda f: lambda p: jnp.vdot(jax.grad(f)(p)["kernel"], move["kernel"])
    close(*(jax.jit(jax.grad(f))(params) for f in (fused, held)))  # hyper-parameters included
    modes = {
        "jvp": lambda f: jax.jvp(f, (params,), (move,)),
        "forward over reverse": lambda f: jax.jvp(jax.grad(f), (params,), (move,))[1],
        "reverse over reverse": lambda f: jax.grad(slope(f))(params),
        "checkpointed": lambda f: jax.grad(jax.checkpoint(f))(params),
    }
    for run in modes.values():
        close(*(jax.jit(functools.partial(run, f))() for f in (fused, held)), rtol=1e-4)


def test_weights_can_be_differentiated(rng):
    params, labels, where = problem((200, 6, 17), "some", rng)

    def fused(weights):
        more = {"where": where, "weights": weights}
        return average_linear_softmax_cross_entropy(labels=labels, **params, **more).value()

    def held(weights):
        return jl.mean(plain(labels=labels, where=where, **params), where=where, weights=weights)

    weights = jnp.asarray(rng.uniform(0.5, 1, 200), jnp.float32)
    close(*(jax.jit(jax.grad(f))(weights) for f in (fused, held)))


def test_vmap_over_networks_and_masks(rng):
    params, labels, _ = problem((150, 4, 9), "none", rng)
    masks = jnp.asarray(rng.uniform(size=(3, 150)) < 0.5)
    kernels = draw(rng, 3, 4, 9)

    def fused(kernel, where):
        return average_linear_softmax_cross_entropy(
            params["features"], kernel, labels, where=where
        ).value()

    def held(kernel, where):
        return jl.mean(plain(params["features"], kernel, labels, where=where), where=where)

    close(*(jax.jit(jax.vmap(jax.value_and_grad(f)))(kernels, masks) for f in (fused, held)))


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precision_is_summed_in_single(dtype, rng):
    """Gradients come back in half precision, as exact as that can say."""
    params, labels, where = problem((300, 8, 33), "some", rng)
    narrow = jax.tree.map(lambda x: x.astype(dtype), params)

    def fused(params):
        return average_linear_softmax_cross_entropy(labels=labels, where=where, **params).value()

    def held(params):
        wide = jax.tree.map(lambda x: x.astype(jnp.float32), params)
        return jl.mean(plain(labels=labels, where=where, **wide), where=where)

    (value, gradient), (right, exact) = (jax.value_and_grad(f)(narrow) for f in (fused, held))
    assert value.dtype == jnp.float32
    np.testing.assert_allclose(value, right, rtol=1e-6)
    close(gradient, exact, rtol=2 * float(jnp.finfo(dtype).eps))


@pytest.mark.usefixtures("x64")
def test_double_precision_stays(rng):
    params, labels, where = problem((200, 6, 17), "some", rng)
    params = jax.tree.map(lambda x: x.astype(jnp.float64), params)
    fused = lambda p: average_linear_softmax_cross_entropy(labels=labels, where=where, **p).value()
    held = lambda p: jl.mean(plain(labels=labels, where=where, **p), where=where)
    close(*(jax.value_and_grad(f)(params) for f in (fused, held)), rtol=1e-13)


def test_what_is_masked_may_hold_anything(rng):
    params, labels, where = problem((200, 6, 17), "some", rng)
    spoilt = params | {"features": jnp.where(where[:, None], params["features"], jnp.nan)}
    wrong = jnp.where(where, labels, -100)
    fused = lambda p, y: average_linear_softmax_cross_entropy(labels=y, where=where, **p).value()
    clean = jax.value_and_grad(fused)(params, labels)
    close(jax.value_and_grad(fused)(spoilt, wrong), clean, rtol=1e-6)
    nothing = jnp.zeros(200, bool)
    total = average_linear_softmax_cross_entropy(labels=wrong, where=nothing, **spoilt)
    assert total.value() == 0 and total.weight == 0


def test_a_label_out_of_range_is_nan_in_value_and_gradient(rng):
    params, labels, _ = problem((200, 6, 17), "none", rng)
    for bad in (-1, 17):
        wrong = labels.at[3].set(bad)
        losses = linear_softmax_cross_entropy(labels=wrong, **params)
        assert np.isnan(losses[3]) and np.isfinite(np.delete(losses, 3)).all()
        fused = lambda p, y=wrong: average_linear_softmax_cross_entropy(labels=y, **p).value()
        value, gradient = jax.value_and_grad(fused)(params)
        assert np.isnan(value) and np.isnan(gradient["kernel"]).any()


def test_averages_of_parts_merge(rng):
    params, labels, where = problem((300, 8, 33), "some", rng)
    shared = {name: params[name] for name in ("kernel", "bias")}
    part = lambda rows: average_linear_softmax_cross_entropy(
        params["features"][rows], labels=labels[rows], where=where[rows], **shared
    )
    whole = average_linear_softmax_cross_entropy(labels=labels, where=where, **params)
    merged = part(slice(0, 100)).merge(part(slice(100, 300)))
    np.testing.assert_allclose(merged.value(), whole.value(), rtol=1e-6)


# Distillation


@pytest.mark.parametrize("share", [0.0, 0.5, 0.2])
@pytest.mark.parametrize("mask", ["none", "some"])
def test_distillation_is_that_of_the_plain_program(mask, share, rng):
    params, _, where = problem((200, 6, 17), mask, rng)
    teacher = draw(rng, 200, 4), draw(rng, 4, 17)

    def fused(params, temperature, bias):
        return average_linear_distillation_loss(
            params["features"], params["kernel"], *teacher, student_bias=params["bias"],
            teacher_bias=bias, temperature=temperature, student_share=share, where=where,
        ).value()  # fmt: skip

    def held(params, temperature, bias):
        logits = params["features"] @ params["kernel"] + params["bias"][None]
        target = jax.lax.stop_gradient(teacher[0] @ teacher[1] + bias[None])
        t, s = (jax.nn.softmax(x / temperature, axis=-1) for x in (target, logits))
        m = (1 - share) * t + share * s
        kl = lambda p, q: jnp.sum(p * jnp.log(p / q), axis=-1)
        losses = kl(t, s) if share == 0 else (1 - share) * kl(t, m) + share * kl(s, m)
        return jl.mean(temperature**2 * losses, where=where)

    at = params, jnp.float32(2.0), draw(rng, 17)
    run = lambda f: jax.jit(jax.value_and_grad(f, argnums=(0, 1, 2)))(*at)
    got, expected = run(fused), run(held)
    close(got, expected, rtol=1e-4)
    assert np.all(got[1][2] == 0)  # the teacher is held


def test_distillation_is_zero_at_the_teacher(rng):
    params, _, _ = problem((200, 6, 17), "none", rng)
    layer = params["features"], params["kernel"]
    for share in (0.0, 0.5):
        loss = average_linear_distillation_loss(*layer, *layer, student_share=share).value()
        assert 0 <= loss < 1e-12


# What it costs, counted and not timed


def is_jaxpr(x):
    return hasattr(x, "eqns") or hasattr(x, "jaxpr")


def products(jaxpr, trips=1):
    """Count multiplications in matrix products, those of a loop as often as it runs."""
    count = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            contracted = equation.params["dimension_numbers"][0][0]
            left, outcome = equation.invars[0].aval.shape, equation.outvars[0].aval.shape
            inner = int(np.prod([left[i] for i in contracted]))
            count += trips * inner * int(np.prod(outcome)) if len(outcome) == 2 else 0
        again = trips * equation.params.get("length", 1)
        for inside in leaves(list(equation.params.values()), is_leaf=is_jaxpr):
            count += products(getattr(inside, "jaxpr", inside), again) if is_jaxpr(inside) else 0
    return count


BIG = {"rows": 1024, "features": 64, "classes": 4096}


@functools.cache
def compiled(form):
    rng = np.random.default_rng(0)
    features, kernel = draw(rng, BIG["rows"], BIG["features"]), draw(rng, 64, BIG["classes"])
    labels = jnp.asarray(rng.integers(0, BIG["classes"], BIG["rows"]))
    where = jnp.asarray(rng.uniform(size=BIG["rows"]) < 0.5)
    forms = {
        "held": lambda f, k: jl.mean(plain(f, k, labels)),
        "average": lambda f, k: average_linear_softmax_cross_entropy(f, k, labels).value(),
        "masked": lambda f, k: average_linear_softmax_cross_entropy(
            f, k, labels, where=where
        ).value(),
        "each": lambda f, k: jl.mean(linear_softmax_cross_entropy(f, k, labels)),
        "distilled": lambda f, k: average_linear_distillation_loss(f, k, features, kernel).value(),
    }
    step = jax.value_and_grad(forms[form], argnums=(0, 1))
    return jax.make_jaxpr(step)(features, kernel), jax.jit(step).lower(features, kernel).compile()


@pytest.mark.parametrize(("form", "units"), [("average", 3), ("each", 4), ("distilled", 4)])
def test_matrix_products_are_as_few_as_can_be(form, units):
    unit = BIG["rows"] * BIG["features"] * BIG["classes"]
    assert products(compiled(form)[0].jaxpr) == units * unit


@pytest.mark.parametrize("form", ["average", "masked", "each", "distilled"])
def test_nothing_of_the_size_of_the_logits_is_held(form):
    text = compiled(form)[1].as_text()
    shape = f"{BIG['rows']},{BIG['classes']}"
    assert not re.search(rf"\[{shape}\]", text)
    assert re.search(rf"\[{shape}\]", compiled("held")[1].as_text())
    temp = lambda form: compiled(form)[1].memory_analysis().temp_size_in_bytes
    kernel, chunk = BIG["features"] * BIG["classes"] * 4, rows.chunk_rows(BIG["rows"], 64)
    logits = chunk * BIG["classes"] * 4
    held = {"distilled": 4.0}.get(form, 1.25)  # a teacher's and a student's, and their logarithms
    assert temp(form) <= kernel + held * logits + 8 * BIG["rows"] * BIG["features"] * 4
    assert temp(form) <= 0.3 * temp("held")


def test_a_split_batch_is_exchanged_once(rng, two_devices):
    params, labels, where = problem((300, 8, 33), "some", rng)
    mesh = jax.make_mesh((2,), ("batch",), (AxisType.Auto,), devices=two_devices)

    def mean(features, kernel, labels, where):
        return average_linear_softmax_cross_entropy(
            features, kernel, labels, where=where, axis_name="batch"
        ).value()

    def step(features, kernel, labels, where):
        return jax.value_and_grad(mean, argnums=(0, 1))(features, kernel, labels, where)

    specs = P("batch"), P(), P("batch"), P("batch")
    split = jax.jit(
        jax.shard_map(step, mesh=mesh, in_specs=specs, out_specs=(P(), (P("batch"), P())))
    )
    data = params["features"], params["kernel"], labels, where
    held = lambda f, k: jl.mean(plain(f, k, labels, where=where), where=where)
    close(split(*data), jax.value_and_grad(held, argnums=(0, 1))(*data[:2]))
    text = split.lower(*data).compile().as_text()
    kernel = re.findall(r"f32\[8,33\]\S* all-reduce\(|all-reduce\(.*f32\[8,33\]", text)
    body = re.search(r"while\(", text)
    assert body and len(kernel) <= 1


# Bad input


GOOD = {"features": jnp.ones((4, 3)), "kernel": jnp.ones((3, 5)), "labels": jnp.zeros(4, int)}
BAD = [
    ({"kernel": jnp.ones((4, 5))}, ValueError, r"kernel must be of shape \(3, outputs\), got"),
    ({"kernel": jnp.ones(3)}, ValueError, r"kernel must be of shape \(3, outputs\), got shape \(3"),
    ({"features": jnp.ones((4, 3), int)}, TypeError, "features must be real floating point"),
    ({"features": jnp.ones(())}, ValueError, r"features must be of shape \[..., D\], got shape \("),
    ({"labels": jnp.zeros((4, 1), int)}, ValueError, "labels must be of the shape of features wit"),
    ({"labels": jnp.zeros(4)}, TypeError, "labels must be integers, got float32"),
    ({"bias": jnp.ones(3)}, ValueError, r"bias must be of shape \(5,\), got shape \(3,\)"),
    ({"where": jnp.ones(3, bool)}, ValueError, "where must be of shape"),
    ({"class_weights": jnp.ones(3)}, ValueError, "class_weights must be"),
    ({"label_smoothing": 1.5}, ValueError, r"label_smoothing must be in \[0, 1\], got 1.5"),
    ({"z_loss": -1.0}, ValueError, r"z_loss must be in \[0, inf"),
    ({"soft_cap": 0.0}, ValueError, r"soft_cap must be in \(0, inf"),
]


@pytest.mark.parametrize(("change", "error", "message"), BAD)
def test_bad_arguments_say_what_to_do(change, error, message):
    for loss in (linear_softmax_cross_entropy, average_linear_softmax_cross_entropy):
        with pytest.raises(error, match=rf"^{loss.__name__}: {message}"):
            loss(**(GOOD | change))


def test_bad_layers_of_a_teacher_are_named():
    good, narrow = (jnp.ones((4, 3)), jnp.ones((3, 5))), (jnp.ones((4, 2)), jnp.ones((2, 6)))
    with pytest.raises(ValueError, match=r"teacher_kernel must be of 5 columns.*got 6"):
        average_linear_distillation_loss(*good, *narrow)
    with pytest.raises(ValueError, match=r"teacher_features must be of the same shape"):
        average_linear_distillation_loss(*good, jnp.ones((3, 3)), jnp.ones((3, 5)))


def test_no_rows_at_all():
    empty = GOOD | {"features": jnp.ones((0, 3)), "labels": jnp.zeros(0, int)}
    assert linear_softmax_cross_entropy(**empty).shape == (0,)
    assert average_linear_softmax_cross_entropy(**empty).value() == 0


def test_chunks_are_of_nearly_one_size():
    for count in (1, 127, 129, 1000, 2048):
        chunk = rows.chunk_rows(count, 512)
        chunks = -(-count // chunk)
        assert chunks * chunk - count < chunks
