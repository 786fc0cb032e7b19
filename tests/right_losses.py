"""Right losses in plain JAX, of many kinds, with what mathematics says of them."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from specimens import (
    BINARY,
    INDEXED,
    LOGITS,
    REALS,
    SETS,
    SHARES,
    SIGNED,
    VECTORS,
    Specimen,
    by_index,
    cross_entropy,
    entropy,
    exact_square,
    log_loss,
)  # fmt: skip

from jaxloss import verify
from jaxloss.verify import images

LOGS = (verify.log_probabilities(4), verify.log_probabilities(4))
LISTS = (verify.logits(5), verify.relevance(5))
PIXELS = (images.scores(), images.shares())


def right(loss: Any, kinds: tuple[Any, ...], *claims: verify.Claim, **more: Any) -> Specimen:
    return Specimen("", loss, kinds, claims=claims, **more)


def pinball(p: Any, t: Any, level: Any = 0.5) -> Any:
    return jnp.maximum(level * (t - p), (level - 1) * (t - p))


def log_cosh(p: Any, t: Any) -> Any:
    a = jnp.abs(p - t)
    small = 0.5 * jnp.log1p(jnp.sinh(jnp.minimum(a, 1)) ** 2)
    return jnp.where(a < 1, small, a + jnp.log1p(jnp.exp(-2 * a)) - jnp.log(2.0))


def pseudo_huber(p: Any, t: Any) -> Any:
    square = (p - t) ** 2
    return square / (1 + jnp.sqrt(1 + square))


def brier(x: Any, y: Any) -> Any:
    return jnp.sum((jax.nn.softmax(x) - y) ** 2, axis=-1)


def crammer_singer(x: Any, y: Any) -> Any:
    own = jax.nn.one_hot(y, 4, dtype=x.dtype)
    return jnp.max(x - jnp.sum(x * own, -1, keepdims=True) + 1 - own, axis=-1)


def unit(v: Any) -> Any:
    largest = jnp.max(jnp.abs(v), -1, keepdims=True)
    scaled = v / jnp.where(largest > 0, largest, 1)
    square = jnp.sum(scaled**2, -1, keepdims=True)
    return scaled / jnp.sqrt(jnp.where(square > 0, square, 1))


def half_chord(a: Any, b: Any) -> Any:
    return 0.5 * jnp.sum((unit(a) - unit(b)) ** 2, axis=-1)


def relative_entropy(q: Any, p: Any) -> Any:
    return jnp.sum(jnp.exp(p) * (jnp.expm1(q - p) - (q - p)), axis=-1)


def total_variation(q: Any, p: Any) -> Any:
    return 0.5 * jnp.sum(jnp.abs(jnp.exp(q) - jnp.exp(p)), axis=-1)


def hellinger(q: Any, p: Any) -> Any:
    return 0.5 * jnp.sum((jnp.exp(q / 2) - jnp.exp(p / 2)) ** 2, axis=-1)


def jensen_shannon(q: Any, p: Any) -> Any:
    middle = jnp.logaddexp(q, p) - jnp.log(2.0)
    return 0.5 * jnp.sum(jnp.exp(q) * (q - middle) + jnp.exp(p) * (p - middle), axis=-1)


def squared_triplet(a: Any, p: Any, n: Any) -> Any:
    # The difference of both squared distances, which would cancel where they are large.
    return jax.nn.relu(jnp.sum((n - p) * (2 * a - p - n), -1) + 1)


def pairwise_logistic(s: Any, r: Any) -> Any:
    lag = s[..., None, :] - s[..., :, None]
    lead = jnp.maximum(r[..., :, None] - r[..., None, :], 0)
    return jnp.sum(lead * jnp.logaddexp(0.0, lag), axis=(-2, -1))


def list_net(s: Any, r: Any) -> Any:
    return -jnp.sum(jax.nn.softmax(r) * jax.nn.log_softmax(s), axis=-1)


def in_batch(a: Any, b: Any) -> Any:
    scores = jnp.einsum("...id,...jd->...ij", a, b)
    return -jnp.diagonal(jax.nn.log_softmax(scores), axis1=-2, axis2=-1)


def spread_of_set(x: Any) -> Any:
    return jnp.sum((x - jnp.mean(x, -2, keepdims=True)) ** 2, axis=(-2, -1))


def soft_dice(x: Any, y: Any) -> Any:
    p = jax.nn.sigmoid(x)
    return jnp.sum((p - y) ** 2, -1) / (jnp.sum(p**2, -1) + jnp.sum(y**2, -1))


def soft_jaccard(x: Any, y: Any) -> Any:
    p = jax.nn.sigmoid(x)
    both = jnp.sum(p * y, -1)
    return 1 - (both + 1) / (jnp.sum(p, -1) + jnp.sum(y, -1) - both + 1)


def gaussian(m: Any, s: Any, t: Any) -> Any:
    return 0.5 * (s + (t - m) ** 2 * jnp.exp(-s))


def squared_until(x: Any, y: Any, n: Any) -> Any:
    meant = lax.broadcasted_iota(n.dtype, x.shape, x.ndim - 1) < n[..., None]
    return jnp.sum(jnp.where(meant, (x - y) ** 2, 0), axis=-1)


def corners(a: Any, b: Any) -> Any:
    r = jnp.abs(a - b)
    return jnp.sum(jnp.where(r < 1, 0.5 * r**2, r - 0.5), axis=-1)


def tempered(x: Any, y: Any, temperature: Any) -> Any:
    return temperature**2 * cross_entropy(x / temperature[..., None], y)


def focal(x: Any, y: Any) -> Any:
    loss = log_loss(x, y)
    return jnp.expm1(-loss) ** 2 * loss


_DISTANCE = (verify.nonnegative(), verify.symmetric(), verify.zero_at_target())
_SHIFTED = verify.translation_invariant("p", "t")
_ERROR = verify.monotone("p", along="error")
_ANY_CLASSES = verify.permutation_invariant()

RIGHT = {
    "squared error": right(
        lambda p, t: jnp.square(p - t), REALS, *_DISTANCE, verify.convex("p"),
        verify.homogeneous(2), verify.smooth(2.0, "p"), verify.decomposable(),
        verify.informative_gradient("p"), _SHIFTED, _ERROR, reference=exact_square,
    ),
    "absolute error as a maximum": right(
        lambda p, t: jnp.maximum(p - t, t - p), REALS, *_DISTANCE, verify.convex("p"),
        verify.lipschitz(1.0, "p"), verify.homogeneous(1), _ERROR,
    ),
    "huber by clipping": right(
        lambda p, t: jnp.clip(p - t, -1, 1) * (p - t - 0.5 * jnp.clip(p - t, -1, 1)), REALS,
        *_DISTANCE, verify.convex("p"), verify.lipschitz(1.0, "p"), verify.smooth(1.0, "p"),
        _SHIFTED, _ERROR,
    ),
    "pinball": right(
        pinball, REALS, verify.nonnegative(), verify.convex("p"), verify.minimum_at_target(),
        _SHIFTED, _ERROR, settings=({}, {"level": 0.3}),
    ),
    "log-cosh": right(
        log_cosh, REALS, verify.symmetric(), verify.convex("p"), verify.lipschitz(1.0, "p"),
        verify.smooth(1.0, "p"), verify.minimum_at_target(), _ERROR,
    ),
    "pseudo-huber": right(
        pseudo_huber, REALS, *_DISTANCE, verify.convex("p"), verify.smooth(1.0, "p"), _ERROR
    ),
    "one number for the batch": right(
        lambda p, t: jnp.mean((p - t) ** 2), REALS, verify.decomposable()
    ),
    "weighted": right(
        lambda p, t, w: w * (p - t) ** 2, (*REALS, verify.weights()),
        verify.nonnegative(), verify.convex("p"), verify.decomposable(),
    ),
    "masked": right(
        lambda p, t, m: jnp.where(m, (p - t) ** 2, 0), (*REALS, verify.mask()),
        verify.nonnegative(), verify.minimum_at_target(),
    ),
    "gaussian likelihood": right(
        gaussian, (verify.reals(), verify.log_odds(), verify.reals()), verify.convex("m")
    ),
    "poisson likelihood": right(
        lambda x, t: jnp.exp(x) - t * x, (verify.log_odds(), verify.shares()),
        verify.convex("x"), verify.minimum_at_target(lambda t: np.log(np.maximum(t, 1e-300))),
    ),
    "exponential likelihood": right(
        lambda m, t: jnp.log(m) + t / m, (verify.positive(), verify.positive()),
        verify.minimum_at_target(),
    ),
    "log loss from logaddexp": right(
        log_loss, BINARY, verify.nonnegative(), verify.convex("x"), verify.smooth(0.25, "x"),
        verify.lipschitz(1.0, "x"), verify.strictly_proper("sigmoid"),
        verify.informative_gradient("x", least=entropy),
        verify.monotone("x", "decreasing", along="label"),
    ),
    "log loss of a probability": right(
        lambda q, y: -y * jnp.log(q) - (1 - y) * jnp.log1p(-q),
        (verify.probability(), verify.shares()), verify.convex("q"),
    ),
    "focal": right(
        focal, BINARY, verify.nonnegative(), verify.monotone("x", "decreasing", along="label")
    ),
    "squared hinge": right(
        lambda s, y: jax.nn.relu(1 - s * y) ** 2, SIGNED, verify.nonnegative(),
        verify.convex("s"), verify.smooth(2.0, "s"), verify.calibrated(),
        verify.informative_gradient("s"), verify.monotone("s", "decreasing", along="label"),
    ),
    "logistic": right(
        lambda s, y: jax.nn.softplus(-s * y), SIGNED, verify.nonnegative(), verify.convex("s"),
        verify.lipschitz(1.0, "s"), verify.calibrated(), verify.strictly_proper("sigmoid"),
    ),
    "softmax loss from log_softmax": right(
        cross_entropy, LOGITS, verify.nonnegative(), verify.convex("x"),
        verify.strictly_proper(), verify.smooth(0.5, "x"), _ANY_CLASSES,
    ),
    "softmax loss of one-hot labels": right(
        cross_entropy, (verify.logits(4), verify.one_hot(4)), verify.nonnegative(),
        verify.informative_gradient("x"), verify.shift_invariant("x"),
    ),
    "softmax loss by index": right(
        by_index, INDEXED, verify.nonnegative(), verify.convex("x"), verify.strictly_proper(),
        verify.permutation_invariant("x", indices=("y",)),
        verify.monotone("x", "decreasing", along="label"), verify.lipschitz(2**0.5, "x"),
    ),
    "softmax loss at a temperature": right(
        tempered, (*LOGITS, verify.temperature()), verify.convex("x"),
        verify.smooth(0.5, "x"),
    ),
    "brier": right(
        brier, LOGITS, verify.bounded(0, 2), verify.strictly_proper(),
        verify.shift_invariant("x"), _ANY_CLASSES,
    ),
    "brier of probabilities": right(
        lambda q, y: jnp.sum((q - y) ** 2, -1), SHARES, verify.strictly_proper("identity"),
        verify.convex("q"), verify.symmetric(),
    ),
    "multiclass hinge": right(
        crammer_singer, INDEXED, verify.nonnegative(), verify.convex("x"),
        verify.shift_invariant("x"), verify.lipschitz(2**0.5, "x"),
        verify.permutation_invariant("x", indices=("y",)), verify.informative_gradient("x"),
    ),
    "half the squared chord": right(
        # The two directions are two pieces of compiled code, which may round the same in two ways.
        half_chord, VECTORS, verify.nonnegative(), verify.symmetric(),
        verify.zero_at_target(rounding=1e-12), verify.bounded(0, 2), verify.scale_invariant("a"),
        verify.permutation_invariant(),
    ),
    "squared distance": right(
        lambda a, b: jnp.sum((a - b) ** 2, -1), VECTORS, *_DISTANCE, verify.homogeneous(2),
        verify.smooth(2.0, "a"), verify.translation_invariant("a", "b"),
    ),
    "first entries only": right(
        squared_until, (*VECTORS, verify.lengths(4)), verify.nonnegative(), verify.convex("x"),
        verify.minimum_at_target(),
    ),
    "triplets": right(
        squared_triplet, (verify.vectors(),) * 3, verify.nonnegative(), verify.convex("p"),
        verify.translation_invariant("a", "p", "n"),
    ),
    "relative entropy": right(
        relative_entropy, LOGS, verify.nonnegative(), verify.zero_at_target(),
        verify.positive_off_target(), _ANY_CLASSES,
    ),
    "total variation": right(
        total_variation, LOGS, *_DISTANCE, verify.bounded(0, 1), _ANY_CLASSES
    ),
    "hellinger": right(hellinger, LOGS, *_DISTANCE, verify.bounded(0, 1), _ANY_CLASSES),
    "jensen-shannon": right(
        jensen_shannon, LOGS, verify.symmetric(), verify.minimum_at_target(), _ANY_CLASSES
    ),
    "pairs of scores": right(
        lambda a, b: jnp.logaddexp(0.0, b - a), REALS, verify.nonnegative(),
        verify.monotone("a", "decreasing"), verify.monotone("b"), verify.smooth(0.25, "a"),
    ),
    "pairs of a list": right(
        pairwise_logistic, LISTS, verify.nonnegative(), verify.convex("s"),
        verify.shift_invariant("s"), verify.permutation_invariant(),
    ),
    "softmax of a list": right(
        list_net, LISTS, verify.nonnegative(), verify.convex("s"), verify.smooth(0.5, "s"),
        verify.permutation_invariant(),
    ),
    "in-batch negatives": right(
        in_batch, SETS, verify.nonnegative(), verify.permutation_equivariant(),
        verify.permutation_invariant(axis=1), verify.convex("b"),
    ),
    "spread of a set": right(
        spread_of_set, SETS[:1], verify.nonnegative(), verify.convex("x"),
        verify.permutation_invariant(), verify.translation_invariant("x"),
        verify.homogeneous(2), verify.smooth(2.0, "x"),
    ),
    "soft dice": right(
        soft_dice, PIXELS, verify.bounded(0, 1), verify.nonnegative(),
        verify.permutation_invariant(),
    ),
    "soft jaccard": right(
        soft_jaccard, PIXELS, verify.bounded(0, 1), verify.permutation_invariant()
    ),
    "log loss of pixels": right(
        lambda x, y: jnp.mean(log_loss(x, y), -1), PIXELS, verify.nonnegative(),
        verify.convex("x"), verify.lipschitz(6**-0.5, "x"),
    ),
    "boxes by their corners": right(
        corners, (verify.boxes(), verify.boxes()), *_DISTANCE, verify.convex("a"),
        verify.smooth(1.0, "a"), verify.translation_invariant("a", "b"),
    ),
}  # fmt: skip
