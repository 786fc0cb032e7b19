"""The high-precision oracle: every rule, whole losses with their gradients, and what it exposes."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import optax
import pytest
from jax import lax
from mpmath import mp, mpf

import jaxloss as jl
from jaxloss.verify import precise
from jaxloss.verify.precise import arithmetic, rules, structure

NORMAL = np.random.default_rng(0).normal(size=(3, 4))
UNIT = np.array([0.1, 0.25, 0.5, 0.9])
POSITIVE = np.array([[[2.0, 0.5, 0.1], [0.5, 1.0, 0.3], [0.1, 0.3, 3.0]]] * 2)
WHOLE = np.array([[2, 0, 1], [1, 1, 5]])


def floats(array: Any) -> np.ndarray:
    return np.asarray(array).astype(np.float64)


def in_float64(function: Callable[..., Any], *args: Any) -> Any:
    with jax.enable_x64(True):
        return jax.tree.map(np.asarray, function(*map(jnp.asarray, args)))


# Each rule at ordinary points, against JAX in float64.
NUMERIC: dict[str, tuple[Any, ...]] = {
    "add": (NORMAL, NORMAL.T.reshape(3, 4)),
    "sub": (NORMAL, UNIT * np.ones((3, 1))),
    "mul": (NORMAL, UNIT * np.ones((3, 1))),
    "div": (NORMAL, UNIT * np.ones((3, 1))),
    "rem": (np.array([5.5, -5.5, 5.5, 1.0]), np.array([2.0, 2.0, -2.0, 0.25])),
    "max": (NORMAL, -NORMAL),
    "min": (NORMAL, -NORMAL),
    "pow": (np.array([2.0, 0.5, -2.0, 3.0]), np.array([0.5, -1.5, 3.0, 0.0])),
    "atan2": (NORMAL, NORMAL[::-1]),
    "acosh": (1 + UNIT,),
    "igamma": (1 + UNIT, 2 * UNIT),
    "igammac": (1 + UNIT, 2 * UNIT),
    "polygamma": (np.array([1.0, 2.0]), np.array([1.5, 2.5])),
    "zeta": (np.array([2.0, 3.5]), np.array([1.0, 2.5])),
    "regularized_incomplete_beta": (1 + UNIT, 2 - UNIT, UNIT),
    "clamp": (-UNIT, np.array([-1.0, 0.1, 1.0, np.nan]), UNIT),
}
LAX = {"erf_inv": lax.erf_inv, "regularized_incomplete_beta": lax.betainc}
SIGNED = {"neg", "abs", "sign", "floor", "ceil", "square", "cbrt", "exp", "exp2", "expm1"}
SIGNED |= {"logistic", "sin", "cos", "tan", "atan", "sinh", "cosh", "tanh", "asinh", "erf", "erfc"}
SIGNED |= {"bessel_i0e", "bessel_i1e"}


@pytest.mark.parametrize("name", sorted(set(rules.NUMERIC) - {"add_any"}))
def test_a_rule_gives_what_float64_gives(name: str) -> None:
    function = LAX.get(name) or getattr(lax, name)
    args = NUMERIC.get(name, (NORMAL if name in SIGNED else UNIT,))
    got = precise.evaluate(function, *args)
    np.testing.assert_allclose(floats(got), in_float64(function, *args), rtol=1e-11)


def test_rules_have_all_digits() -> None:
    with mp.workdps(60):
        x = mpf(0.3)
        exact = [mp.exp(x), mp.log1p(x), mp.tanh(x), mp.erf(x), 1 / mp.sqrt(x), mp.digamma(x)]
        functions = [jnp.exp, jnp.log1p, jnp.tanh, lax.erf, lax.rsqrt, lax.digamma]
        for function, value in zip(functions, exact, strict=True):
            assert abs(precise.evaluate(function, 0.3)[()] / value - 1) < mpf(10) ** -38


CONVENTIONS: list[tuple[Callable[..., Any], tuple[float, ...], float]] = [
    (lax.div, (1.0, 0.0), np.inf),
    (lax.div, (-1.0, 0.0), -np.inf),
    (lax.div, (0.0, 0.0), np.nan),
    (lax.div, (1.0, np.inf), 0.0),
    (lax.sub, (np.inf, np.inf), np.nan),
    (lax.mul, (0.0, np.inf), np.nan),
    (lax.log, (0.0,), -np.inf),
    (lax.log, (-1.0,), np.nan),
    (lax.log1p, (-1.0,), -np.inf),
    (lax.log1p, (np.inf,), np.inf),
    (lax.expm1, (-np.inf,), -1.0),
    (lax.exp, (-np.inf,), 0.0),
    (lax.exp, (1e30,), np.inf),
    (lax.sqrt, (-1.0,), np.nan),
    (lax.rsqrt, (0.0,), np.inf),
    (lax.pow, (0.0, 0.0), 1.0),
    (lax.pow, (0.0, -1.0), np.inf),
    (lax.pow, (-8.0, 0.5), np.nan),
    (lax.pow, (np.nan, 0.0), 1.0),
    (lax.pow, (0.5, np.inf), 0.0),
    (lax.max, (np.nan, 1.0), np.nan),
    (lax.min, (1.0, np.nan), np.nan),
    (lax.sign, (np.nan,), np.nan),
    (lax.atanh, (1.0,), np.inf),
    (lax.logistic, (-np.inf,), 0.0),
    (lax.sin, (np.inf,), np.nan),
    (lax.lgamma, (0.0,), np.inf),
    (lax.floor, (-np.inf,), -np.inf),
    (lambda x: lax.integer_pow(x, -2), (0.0,), np.inf),
    (lax.exp, (np.nan,), np.nan),
]


@pytest.mark.parametrize("case", CONVENTIONS)
def test_infinity_and_nan_follow_ieee(case: Any) -> None:
    function, args, expected = case
    np.testing.assert_equal(float(precise.evaluate(function, *args)[()]), expected)


def _scatter(kind: str, mode: str) -> Callable[..., Any]:
    return lambda x, u: getattr(x.at[jnp.array([2, 0, 2, 7])], kind)(u, mode=mode)


# Whatever moves entries about gives the very entries that JAX gives.
STRUCTURAL: dict[str, tuple[Any, ...]] = {
    "take": (lambda x, i: x[i], NORMAL, WHOLE),
    "take and fill": (lambda x, i: x.at[i].get(mode="fill"), NORMAL, WHOLE),
    "take and fill with a number": (
        lambda x, i: x.at[i].get(mode="fill", fill_value=3.0),
        NORMAL,
        WHOLE,
    ),
    "take along an axis": (
        lambda x: jnp.take_along_axis(x, jnp.array([[1], [0], [3]]), 1),
        NORMAL,
    ),
    "dynamic slice": (lambda x, i: lax.dynamic_slice(x, (i, i), (2, 2)), NORMAL, 1),
    "update": (lambda x, i: lax.dynamic_update_slice(x, x[:1] + 1, (i, 0)), NORMAL, 2),
    "pad": (lambda x: lax.pad(x, 0.5, ((1, -1, 1), (-1, 2, 0))), NORMAL),
    "flip": (jnp.flip, NORMAL),
    "transpose": (lambda x: x.T, NORMAL),
    "power": (lambda x: x**3, NORMAL),
    "join and stack": (lambda x: jnp.stack([jnp.concatenate([x, 2 * x], 1)] * 2, 1), NORMAL),
    "split": (lambda x: jnp.split(x, [1, 3], axis=1), NORMAL),
    "unstack": (lambda x: jnp.unstack(x, axis=1), NORMAL),
    "tile": (lambda x: jnp.tile(x, (2, 1)), NORMAL),
    "strided slice": (lambda x: x[::2, 1:4:2], NORMAL),
    "choose": (lambda x, i: lax.select_n(i, x, -x, 2 * x), NORMAL[:2, :3], np.minimum(WHOLE, 2)),
    "where": (lambda x: jnp.where(x > 0, x, 0.0), NORMAL),
    "sort": (lambda x: jnp.sort(x, axis=0), np.array([[3.0, np.nan], [1.0, 2.0], [2.0, np.inf]])),
    "sort by two keys": (
        lambda x, i: lax.sort((i, x, -x), num_keys=2),
        NORMAL[:2, :3],
        WHOLE,
    ),
    "argsort": (jnp.argsort, np.array([2.0, 1.0, 2.0, -1.0])),
    "top k": (lambda x: lax.top_k(x, 2), NORMAL),
    "argmax": (lambda x: jnp.argmax(x, axis=1), np.array([[1.0, 2.0, 2.0], [0.0, np.nan, 1.0]])),
    "argmin": (lambda x: jnp.argmin(x, axis=0), NORMAL),
    "sum": (lambda x: jnp.sum(x, axis=(0, 2)), NORMAL.reshape(3, 2, 2)),
    "sum of nothing": (lambda x: jnp.sum(x[:0], axis=0), NORMAL),
    "product": (jnp.prod, NORMAL),
    "largest": (lambda x: jnp.max(x, axis=1), NORMAL),
    "smallest": (lambda x: jnp.min(x, axis=-1), NORMAL),
    "running sum": (lambda x: lax.cumsum(x, 1, reverse=True), NORMAL),
    "running product": (lambda x: lax.cumprod(x, 0), NORMAL),
    "running maximum": (lambda x: lax.cummax(x, 1), NORMAL),
    "running minimum": (lambda x: lax.cummin(x, 1), NORMAL),
    "running log sum": (lambda x: lax.cumlogsumexp(x, 1), NORMAL),
    "products": (
        lambda x, y: jnp.einsum("bij,bkj->bik", x, y),
        NORMAL.reshape(3, 2, 2),
        NORMAL.reshape(3, 2, 2),
    ),
    "scalar product": (jnp.vdot, NORMAL[0], NORMAL[1]),
    "to integers": (lambda x: (10 * x).astype(jnp.int32), NORMAL),
    "to booleans": (lambda x: x.astype(bool), np.array([0.0, 0.5])),
    "from integers": (lambda i: i / 3, WHOLE),
    "sign bit": (jnp.signbit, NORMAL),
    "round half to even": (jnp.round, np.array([0.5, 1.5, -0.5, 2.3])),
    "round half away": (lax.round, np.array([0.5, 1.5, -0.5, 2.3])),
    "is finite": (jnp.isfinite, np.array([1.0, np.inf, np.nan])),
    "random numbers": (lambda x: x + jax.random.normal(jax.random.key(0), (4,)), UNIT),
    "scan": (lambda x: lax.scan(lambda c, r: (c + r, c * r), x[0], x, reverse=True), NORMAL),
    "scan without rows": (lambda x: lax.scan(lambda c, r: (c, r), 0.0, x[:0])[1], NORMAL),
    "while": (lambda x: lax.while_loop(lambda c: c.sum() < 50, lambda c: c * 2, x), UNIT),
    "branch": (lambda x, i: lax.switch(i, [jnp.sin, jnp.cos], x), UNIT, 1),
    "batched take": (jax.vmap(lambda x, i: x[i]), NORMAL, np.array([1, 0, 3])),
    "batched scatter": (jax.vmap(lambda x, i: x.at[i].add(1.0)), NORMAL, np.array([1, 0, 3])),
    "cholesky": (jnp.linalg.cholesky, POSITIVE),
    "determinant": (lambda x: jnp.linalg.slogdet(x)[1], POSITIVE),
    "inverse": (jnp.linalg.inv, POSITIVE[:, ::-1] + 1.0),
    "triangular system": (
        lambda x: jax.scipy.linalg.solve_triangular(x, x[..., :1], lower=True, trans=1),
        POSITIVE[0],
    ),
    "set a window": (lambda x: x.at[1:, 2].set(7.0), NORMAL),
    **{
        f"scatter {kind}, {mode}": (_scatter(kind, mode), UNIT, 1 + UNIT)
        for kind in ("set", "add", "mul", "max", "min")
        for mode in ("drop", "clip")
    },
}


@pytest.mark.parametrize("name", STRUCTURAL)
def test_structure_gives_what_jax_gives(name: str) -> None:
    function, *args = STRUCTURAL[name]
    got, expected = precise.evaluate(function, *args), in_float64(function, *args)
    for g, e in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        assert np.shape(g) == np.shape(e)
        np.testing.assert_allclose(floats(g), floats(e), rtol=1e-13, atol=1e-15)


def _primitives(jaxpr: Any) -> set[str]:
    """Return the names of all primitives, those of inner programs too."""
    met = set()
    for equation in jaxpr.eqns:
        inner = [getattr(p, "jaxpr", p) for p in jax.tree.leaves(list(equation.params.values()))]
        bodies = [p for p in inner if hasattr(p, "eqns")]
        met |= {equation.primitive.name}.union(*map(_primitives, bodies))
    return met


def test_every_rule_of_structure_is_tried() -> None:
    traced = [jax.make_jaxpr(f)(*map(jnp.asarray, args)).jaxpr for f, *args in STRUCTURAL.values()]
    met = set().union(*map(_primitives, traced))
    tables = (structure.MOVES, structure.INDEXED, rules.FOLDS, rules.CUMULATIVE, arithmetic.OTHERS)
    # These came with later releases of JAX.
    assert set().union(*tables) - met <= {"expand_dims", "stack", "tile", "unstack"}


def central(function: Callable[..., Any], args: Any, argnum: int, digits: int = 120) -> Any:
    """Differentiate the sum of a function in every entry, by central differences."""
    program = precise.Program(lambda *a: jnp.sum(function(*a)), *args)
    step = mpf(10) ** -40
    with mp.workdps(digits):
        out = np.empty(np.shape(args[argnum]), object)
        for entry in np.ndindex(out.shape):
            ends = []
            for sign in (1, -1):
                there = [np.copy(a) for a in program.given]
                there[argnum][entry] += sign * step
                ends.append(program(*there)[0][()])
            out[entry] = (ends[0] - ends[1]) / (2 * step)
    return out


@jax.custom_jvp
def smooth_square(x: Any) -> Any:
    return jnp.square(x)


smooth_square.defjvp(lambda p, t: (p[0] ** 2, 2 * p[0] * t[0]))


@jax.custom_jvp
def off_by_little(x: Any) -> Any:
    return jnp.square(x)


off_by_little.defjvp(lambda p, t: (p[0] ** 2, 2.001 * p[0] * t[0]))

ROWS = np.random.default_rng(1).normal(size=(2, 4))
SHARES = np.array([[0.1, 0.2, 0.3, 0.4], [0.25, 0.5, 0.125, 0.125]])
LABELS = np.array([2, 0])
LOSSES: dict[str, tuple[Any, ...]] = {
    "optax softmax": (optax.losses.softmax_cross_entropy, ROWS, SHARES),
    "optax integer labels": (
        optax.losses.softmax_cross_entropy_with_integer_labels,
        ROWS,
        LABELS,
    ),
    "optax huber": (optax.losses.huber_loss, ROWS, SHARES),
    "optax focal": (optax.losses.sigmoid_focal_loss, ROWS, SHARES),
    "optax sparsemax": (optax.losses.multiclass_sparsemax_loss, ROWS, LABELS),
    "optax CTC": (
        lambda x, y: optax.losses.ctc_loss(x[None], jnp.zeros((1, 5)), y[None], jnp.zeros((1, 2))),
        np.random.default_rng(2).normal(size=(5, 3)),
        np.array([1, 1]),
    ),
    "optax triplet": (optax.losses.triplet_margin_loss, ROWS, -ROWS, SHARES),
    "optax cosine": (optax.losses.cosine_distance, ROWS, SHARES),
    "optax KL": (optax.losses.kl_divergence, np.log(SHARES), SHARES[::-1].copy()),
    "focal": (jl.softmax_focal_loss, ROWS, SHARES),
    "sparsemax": (jl.sparsemax_loss, ROWS, SHARES),
    "lovasz": (jl.lovasz_hinge_loss, ROWS, np.array([[1, 0, 1, 1], [0, 0, 1, 0]])),
    "listMLE": (jl.listmle_loss, ROWS, np.array([[3.0, 1.0, 2.0, 0.0]] * 2)),
    "soft DTW": (jl.soft_dtw_loss, ROWS[None], SHARES[None]),
    "determinant": (lambda x: jnp.linalg.slogdet(x)[1], POSITIVE[0]),
    "cholesky": (lambda x: jnp.sin(jnp.linalg.cholesky(x)), POSITIVE[0]),
    "custom rule": (smooth_square, ROWS),
}


@pytest.mark.parametrize("name", LOSSES)
def test_the_gradient_is_the_derivative_of_the_value(name: str) -> None:
    function, *args = LOSSES[name]
    got, expected = precise.gradient(function, *args), central(function, args, 0)
    largest = abs(expected).max()
    assert largest > 0
    assert (abs(got - expected) <= mpf(10) ** -25 * largest).all()


def test_a_derivative_off_by_little_is_off_by_that() -> None:
    got, expected = precise.gradient(off_by_little, 3.0), central(off_by_little, (3.0,), 0)
    assert abs(got[()] / expected[()] - mpf("1.0005")) < mpf(10) ** -17


def test_digits_are_added_until_two_precisions_agree() -> None:
    softplus = lambda x: jnp.log(1 + jnp.exp(x))
    program = precise.Program(softplus, -90.0)
    with mp.workdps(30):
        assert program()[0][()] == 0
    exact = mpmath.exp(mpf(-90))
    assert abs(precise.evaluate(softplus, -90.0)[()] / exact - 1) < mpf(10) ** -25
    # Twice 40 digits would agree here: on 0.
    lost = lambda x: (1 + jnp.exp(x) - 1) / jnp.exp(x)
    assert abs(precise.evaluate(lost, -300.0)[()] - 1) < mpf(10) ** -25


def test_what_depends_on_every_digit_is_said_to() -> None:
    with pytest.raises(precise.Unsettled, match="400 and 800 digits"):
        precise.evaluate(lambda x: jnp.sin(jnp.sqrt(x) * 1e300 * 1e300 * 1e300), 2.0)


def test_rounding_is_told_from_a_wrong_formula() -> None:
    naive = lambda x: jnp.log(1 + jnp.exp(x))
    formula = precise.evaluate(naive, -20.0)[()]
    assert abs(formula / mpmath.log1p(mpmath.exp(mpf(-20))) - 1) < 1e-14
    assert float(naive(jnp.float32(-20))) == 0
    wrong = precise.evaluate(lambda x: 1.001 * naive(x), -20.0)[()]
    assert wrong / formula == pytest.approx(1.001)


def test_both_sides_of_a_kink_are_exact() -> None:
    assert precise.sides(jnp.abs, (0.0,)) == (-1, 1)
    left, right = precise.sides(lambda x: jnp.maximum(2 * x, x[::-1]), (np.ones(2),), 0, (1,))
    assert (float(left), float(right)) == pytest.approx((2.0, 2.0))
    left, right = precise.sides(lambda x: jnp.max(x, -1), (np.ones((2, 2)),), 0, (1, 0))
    assert (float(left), float(right)) == pytest.approx((0.0, 1.0))


def test_an_unsupported_primitive_is_named() -> None:
    with pytest.raises(precise.Unsupported, match="nextafter"):
        precise.evaluate(lambda x: jnp.nextafter(x, 1.0), 0.5)
    with pytest.raises(precise.Unsupported, match="complex"):
        precise.evaluate(lambda x: jnp.abs(x * 1j), 0.5)


def test_the_user_s_configuration_is_left_alone() -> None:
    before = jax.config.jax_enable_x64
    precise.evaluate(jnp.sin, np.ones(2, np.float32))
    assert jax.config.jax_enable_x64 == before


def test_a_dtype_brings_its_own_constants() -> None:
    smallest = lambda x: x + jnp.finfo(x.dtype).eps
    assert precise.evaluate(smallest, 0.0)[()] == 2.0**-52
    assert precise.evaluate(smallest, 0.0, dtype="float32")[()] == 2.0**-23
