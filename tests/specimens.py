"""Deliberately wrong losses, each with the check that must reject it, and right ones.

The right losses are plain JAX, written in another way than this library's, with what is true of
them. No check may be alarmed by one.
"""

import functools
import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
from jax import lax

import jaxloss as jl
from jaxloss import verify

REALS = (verify.reals(), verify.reals())
LOGITS = (verify.logits(4), verify.simplex(4))
INDEXED = (verify.logits(4), verify.labels(4))
BINARY = (verify.log_odds(), verify.shares())


def squared(p: Any, t: Any) -> Any:
    return (p - t) ** 2


def cross_entropy(x: Any, y: Any) -> Any:
    return -jnp.sum(y * jax.nn.log_softmax(x), axis=-1)


def by_index(x: Any, y: Any) -> Any:
    return -jnp.take_along_axis(jax.nn.log_softmax(x), y[..., None], axis=-1)[..., 0]


def late_difference(x: Any, y: Any) -> Any:
    chosen = jnp.take_along_axis(x, y[..., None], axis=-1)[..., 0]
    return jax.nn.logsumexp(x, axis=-1) - chosen


@jax.custom_jvp
def off_by_a_factor(p: Any) -> Any:
    return p**2


off_by_a_factor.defjvp(lambda p, t: (p[0] ** 2, 2.001 * p[0] * t[0]))


@jax.custom_vjp
def reverse_only(p: Any) -> Any:
    return p**2


reverse_only.defvjp(lambda p: (p**2, p), lambda p, g: (2 * p * g,))


@jax.custom_jvp
def forgets_curvature(p: Any) -> Any:
    return p**2


forgets_curvature.defjvp(lambda p, t: (p[0] ** 2, 2 * lax.stop_gradient(p[0]) * t[0]))


def quantised_huber(p: Any, t: Any) -> Any:
    size = jnp.abs(p - t)
    inside = jnp.minimum(size, 1.0)
    return 0.5 * inside**2 + (size - inside)


def relu_form(p: Any, t: Any) -> Any:
    """Cross-entropy of a score, smooth, with a wrong derivative at 0."""
    return jax.nn.relu(p) - p * t + jnp.log1p(jnp.exp(-jnp.abs(p)))


def keeps_its_eyes_open(p: Any, t: Any, where: Any = None) -> Any:
    loss = (p - t) ** 2
    return loss if where is None else jnp.where(where, loss, 0)


def divides_by_the_rest(p: Any, t: Any, where: Any = None) -> Any:
    loss = jl.squared_error(p, t, where=where)
    return loss if where is None else loss * where.size / where.sum()


def branches(p: Any, t: Any) -> Any:
    return (p - t) ** 2 if bool((p > t).all()) else jnp.square(p - t)


def looks_at_the_batch(p: Any, t: Any) -> Any:
    return (p - t) ** 2 * (1 + 1e-2 * jnp.arange(p.size).reshape(p.shape))


def centred(p: Any, t: Any) -> Any:
    return (p - t) ** 2 - jnp.mean((p - t) ** 2)


def static_delta(p: Any, t: Any, delta: float = 1.0) -> Any:
    return jl.huber_loss(p, t, delta=float(delta))


def unchecked_delta(p: Any, t: Any, delta: Any = 1.0) -> Any:
    return jl.regression.error.huber(p - t, delta)


def gathers(x: Any, y: Any) -> Any:
    return -jax.nn.log_softmax(x)[jnp.arange(len(y)), y]


def to_float64(p: Any, t: Any) -> Any:
    return (p - t) ** 2 * jnp.ones(p.shape)


@jax.custom_vjp
def clips_its_cotangent(p: Any) -> Any:
    return p**2


clips_its_cotangent.defvjp(lambda p: (p**2, p), lambda p, g: (2 * p * jnp.clip(g, -1, 1),))


@jax.custom_vjp
def infinite_inside(p: Any) -> Any:
    return p**2


infinite_inside.defvjp(
    lambda p: (p**2, p), lambda p, g: (jnp.where(p == 0, g * jnp.inf * 0, 2 * p * g),)
)


@functools.cache
def places(count: int) -> Any:
    """Remember what was made while tracing, and belongs to that trace."""
    return jnp.arange(count)


def leaks(p: Any, t: Any) -> Any:
    return (p - t) ** 2 + 0 * places(len(p))


def draws_anew(p: Any, t: Any) -> Any:
    """Ask the host, which answers differently each time."""
    noise = lambda: np.float32(1e-3) * np.random.default_rng().random(p.shape, np.float32)
    asked = jax.pure_callback(noise, jax.ShapeDtypeStruct(p.shape, "float32"))
    return (p - t) ** 2 + lax.stop_gradient(asked)


def indicator(p: Any, t: Any) -> Any:
    return jnp.where(p > t, 1.0, 0.0)


_CALLS = itertools.count()


def not_twice(p: Any, t: Any) -> Any:
    """Be another loss whenever it is traced again."""
    return (p - t) ** 2 * (1 + 1e-2 * (next(_CALLS) % 3))


def counts_equal_ones_once(p: Any, t: Any) -> Any:
    return (p - t) ** 2 / jnp.sum(p[:, None] == p[None, :], axis=-1)


def of_pairs(p: Any, t: Any) -> Any:
    return jnp.sum((p - t) ** 2) + 0 * jnp.sum(p[:, None] - t[None, :])


class Specimen(NamedTuple):
    """A loss, the kinds of its arguments, and the check that must reject it."""

    check: str
    loss: Callable[..., Any]
    kinds: tuple[Any, ...] = REALS
    reference: Callable[..., Any] | None = None
    claims: tuple[verify.Claim, ...] = ()
    settings: tuple[dict[str, Any], ...] = ({},)
    strict: bool = False


def claimed(
    loss: Callable[..., Any], claim: verify.Claim, kinds: tuple[Any, ...] = REALS
) -> Specimen:
    return Specimen("P1", loss, kinds, claims=(claim,))


def exact_square(p: Any, t: Any) -> Any:
    return (p - t) ** 2


def exact_huber(p: Any, t: Any) -> Any:
    return (p - t) ** 2 / 2 if abs(p - t) < 1 else abs(p - t) - mpmath.mpf(0.5)


def exact_cross_entropy(x: Any, y: Any) -> Any:
    return mpmath.log(1 + mpmath.exp(x)) - x * y


VECTORS = (verify.vectors(), verify.vectors())
SIGNED = (verify.reals(), verify.signs())
SETS = (verify.points(), verify.points())
SHARES = (verify.probabilities(), verify.simplex())


def log_loss(x: Any, y: Any) -> Any:
    return (1 - y) * jnp.logaddexp(0.0, x) + y * jnp.logaddexp(0.0, -x)


def entropy(x: Any, y: Any) -> Any:
    both = np.stack([y, 1 - y])
    return -(both * np.log(np.where(both > 0, both, 1))).sum(axis=0)


WRONG = {
    "adds a constant": Specimen("V1", lambda p, t: squared(p, t) + 1e-3, REALS, exact_square),
    "forgets a factor": Specimen("V1", lambda p, t: squared(p, t) / 2, REALS, exact_square),
    "cancels": Specimen("V1", lambda p, t: p**2 - 2 * p * t + t**2, REALS, exact_square),
    "naive softplus": Specimen(
        "V1", lambda x, y: jnp.log(1 + jnp.exp(x)) - x * y, BINARY, exact_cross_entropy
    ),
    "squares on the way": Specimen(
        "V3", lambda p, t: jnp.log1p((p - t) ** 2), REALS, lambda p, t: mpmath.log(1 + (p - t) ** 2)
    ),
    "gradient off by a factor": Specimen("G1", lambda p, t: off_by_a_factor(p - t)),
    "gradient stopped": Specimen("G1", lambda p, t: squared(lax.stop_gradient(p), t)),
    "small and off by a factor": Specimen("G1", lambda p, t: 1e-7 * off_by_a_factor(p - t)),
    "no forward mode": Specimen("G2", lambda p, t: reverse_only(p - t)),
    "quantised gradient": Specimen("G3", quantised_huber, REALS, exact_huber),
    "cancels in half precision": Specimen(
        "V5", lambda p, t: jnp.logaddexp(p - t, t - p) - math.log(2.0), strict=True
    ),
    "overflows in half precision": Specimen("V5", lambda p, t: (p - t) ** 2 * 2.0**-8, strict=True),
    "moves with a shift in half precision": Specimen(
        "V4", late_difference, INDEXED, claims=(verify.shift_invariant("x"),)
    ),
    "negative in half precision": Specimen(
        "V4",
        lambda p, t: jnp.logaddexp(p - t, t - p) - math.log(2.0),
        claims=(verify.nonnegative(),),
    ),
    "second derivative lost": Specimen("H1", lambda p, t: forgets_curvature(p - t)),
    "wrong slope at 0": Specimen("K1", relu_form, BINARY, exact_cross_entropy),
    "wrong slope at 0, no reference": Specimen("K1", relu_form, BINARY),
    "quantised gradient, no reference": Specimen("G3", quantised_huber),
    "cancels, no reference": Specimen(
        "V2", lambda p, t: jnp.logaddexp(p - t, t - p) - jnp.log(2.0)
    ),
    "norm at 0": Specimen("S1", lambda a, b: jnp.linalg.norm(a - b, axis=-1), VECTORS),
    "square root at 0": Specimen("S1", lambda p, t: jnp.sqrt((p - t) ** 2)),
    "overflows": Specimen("S2", lambda p, t: jnp.log(jnp.cosh(p - t))),
    "clamps labels": Specimen(
        "S3", lambda x, y: by_index(x, jnp.clip(y, 0, x.shape[-1] - 1)), INDEXED
    ),
    "value NaN, gradient finite": Specimen("S3", by_index, INDEXED),
    "infinity times 0": Specimen("S4", cross_entropy, LOGITS),
    "swallows NaN": Specimen("S5", lambda p, t: jnp.nan_to_num((p - t) ** 2)),
    "masks after the operation": Specimen("M1", keeps_its_eyes_open),
    "mask rescales": Specimen("M2", divides_by_the_rest),
    "depends on the place": Specimen("M3", looks_at_the_batch),
    "broadcasts": Specimen("E1", squared, strict=True),
    "makes pairs of all examples": Specimen("E3", squared, strict=True),
    "cannot be jitted": Specimen("T1", branches),
    "mean over the batch": Specimen("T2", centred),
    "hyper-parameter static": Specimen("T3", static_delta, settings=({}, {"delta": 0.5})),
    "promotes": Specimen("D1", to_float64),
    "gathers by index": Specimen("L1", gathers, INDEXED),
    "clips its cotangent": Specimen("G5", lambda p, t: clips_its_cotangent(p - t)),
    "hides infinity times 0": Specimen("G5", lambda p, t: infinite_inside(p - t)),
    "remembers its calls": Specimen("T4", not_twice),
    "leaks a tracer": Specimen("T5", leaks),
    "weakly typed": Specimen("T6", indicator),
    "branches on a value": Specimen("T7", branches),
    "asks the host": Specimen("T7", draws_anew),
    "draws anew": Specimen("N1", draws_anew),
    "counts in Python": Specimen("S6", lambda p, t: squared(p, t) * (1 / len(p)) * len(p)),
    "divided by the batch": Specimen("S6", lambda p, t: squared(p, t) / jnp.size(p) * 32),
    "variance of one class": Specimen(
        "S6",
        lambda x, y: (
            jnp.sum(squared(x, jnp.mean(x, -1, keepdims=True)) * y, -1) / (x.shape[-1] - 1)
        ),
        LOGITS,
    ),
    "equal ones count once": Specimen("M3", counts_equal_ones_once),
    "negative": claimed(lambda p, t: squared(p, t) - 1e-6, verify.nonnegative()),
    "out of bounds": claimed(squared, verify.bounded(0, 10)),
    "not zero": claimed(jl.charbonnier_loss, verify.zero_at_target()),
    "zero elsewhere": claimed(
        lambda p, t: jax.nn.relu(jnp.abs(p - t) - 1), verify.positive_off_target()
    ),
    "one-sided": claimed(lambda p, t: jl.quantile_loss(p, t, quantile=0.3), verify.symmetric()),
    "steeper than said": claimed(jl.absolute_error, verify.lipschitz(0.99, "predictions")),
    "not convex": claimed(lambda p, t: jnp.log1p(squared(p, t)), verify.convex("p")),
    "wrong gradient of a convex value": claimed(
        lambda p, t: off_by_a_factor(p - t), verify.convex("p")
    ),
    "moves with a shift": claimed(
        lambda x, y: jnp.sum((x - y) ** 2, -1), verify.shift_invariant("x"), LOGITS
    ),
    "moves with the scale": claimed(
        lambda a, b: jnp.sum(a * b, -1), verify.scale_invariant("a"), VECTORS
    ),
    "another degree": claimed(squared, verify.homogeneous(1)),
    "not proper": claimed(jl.softmax_focal_loss, verify.proper(), LOGITS),
    "absolute error of probabilities": claimed(
        lambda x, y: jnp.abs(jax.nn.sigmoid(x) - y), verify.proper("sigmoid"), BINARY
    ),
    "not calibrated": claimed(lambda s, y: jax.nn.relu(-s * y), verify.calibrated(), SIGNED),
    "another minimiser": claimed(
        jl.huber_loss, verify.elicits("the mean", lambda t: float(t.mean()))
    ),
    "another gradient": claimed(squared, verify.gradient_is("the error", "p", lambda p, t: p - t)),
    "leaks a gradient": claimed(
        lambda s, y: jax.nn.softplus(1 - s * y),
        verify.no_gradient("beyond the margin", "s", lambda s, y: s * y > 1),
        SIGNED,
    ),
    "condition never met": claimed(
        squared, verify.no_gradient("ever", "p", lambda p, t: p > np.inf)
    ),
    "another limit": claimed(
        lambda p, t, delta=1.0: jl.smooth_l1_loss(p, t, beta=delta),
        verify.equals("l2_loss", jl.l2_loss, {"delta": 1e9}),
    ),
    "above the other": claimed(squared, verify.at_most("absolute_error", jl.absolute_error)),
    "kinked": claimed(jl.absolute_error, verify.smooth(10.0, "predictions")),
    "bends more": claimed(jl.huber_loss, verify.smooth(0.9, "predictions")),
    "least elsewhere": claimed(lambda p, t: squared(p, t) + 0.1 * p, verify.minimum_at_target()),
    "falls": claimed(squared, verify.monotone("p")),
    "falls with the error": claimed(
        lambda p, t: squared(p, t) * jnp.exp(-squared(p, t)), verify.monotone("p", along="error")
    ),
    "falls in steps": claimed(
        lambda p, t: jnp.floor(-p) + 0 * t, verify.monotone("p", "increasing")
    ),
    "weighs by place": claimed(
        lambda x, y: squared(x, y) @ jnp.arange(4.0),
        verify.permutation_invariant(),
        VECTORS,
    ),
    "a class of its own": claimed(
        lambda x, y: by_index(x, y) * (1 + (y == 0)),
        verify.permutation_invariant("x", indices=("y",)),
        INDEXED,
    ),
    "a place of its own": claimed(
        lambda a, b: jnp.sum(squared(a, b), -1) * jnp.arange(1.0, 6.0)[None],
        verify.permutation_equivariant(),
        SETS,
    ),
    "knows the origin": claimed(
        lambda a, b: jnp.sum(a * b, -1), verify.translation_invariant("a", "b"), VECTORS
    ),
    "gradient clipped away": claimed(
        lambda x, y: log_loss(jnp.clip(x, -15, 15), y),
        verify.informative_gradient("x", least=entropy),
        BINARY,
    ),
    "not above its minimum": claimed(
        squared, verify.informative_gradient("p", least=lambda p, t: np.full(len(p), np.inf))
    ),
    "sees the batch": claimed(centred, verify.decomposable()),
    "not a mean": claimed(lambda p, t: jnp.max(squared(p, t)), verify.decomposable()),
    "divided by another count": claimed(
        lambda p, t: jnp.sum(squared(p, t)) / 8, verify.decomposable()
    ),
    "pulls the target": claimed(squared, verify.stopped("t")),
    "weight not stopped": claimed(
        lambda p, t: squared(p, t) * jax.nn.sigmoid(p - t),
        verify.stopped(
            "p", like=lambda p, t: squared(p, t) * lax.stop_gradient(jax.nn.sigmoid(p - t))
        ),
    ),
    "smoothed labels": claimed(
        lambda x, y: cross_entropy(x, 0.9 * y + 0.025), verify.proper(), LOGITS
    ),
    "proper, not strictly": claimed(
        lambda x, y: 0 * jnp.sum(x * y, -1), verify.strictly_proper(), LOGITS
    ),
    "absolute error on the simplex": claimed(
        lambda q, y: jnp.sum(jnp.abs(q - y), -1), verify.proper("identity"), SHARES
    ),
    "away from the limit and back": claimed(
        lambda p, t, s=1.0: squared(p, t) + s * (1 - s),
        verify.equals("squared", jl.squared_error, {"s": 1.0}, approach=({"s": 0.1}, {"s": 0.5})),
    ),
    "compares all pairs": claimed(of_pairs, verify.cost_of_order(1)),
    # These samples do not show; a search from them does.
    "negative in a dip": claimed(
        lambda p, t: squared(p, 2.5) + squared(t, -1.5) - 1e-4, verify.nonnegative()
    ),
    "steep in one place": claimed(
        lambda p, t: jnp.tanh(20 * (p - 2.2)) / 20 + 0 * t, verify.lipschitz(0.99, "p")
    ),
}
