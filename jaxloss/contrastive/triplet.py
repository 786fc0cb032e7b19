"""Losses of triplets: an anchor should be nearer to a positive than to a negative, by a margin.

`triplet_margin_loss` takes the triplets as they are; `triplet_loss` finds them in a labelled set.
Both depend on differences of distances only: translating all embeddings changes nothing, and
triplets that keep the margin have no gradient. Where a triplet just keeps it, and where an anchor
coincides with another point, there are kinks: the gradient given is 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxloss import arguments, numerics, reduction
from jaxloss.contrastive import batch
from jaxloss.contrastive import mining as miners
from jaxloss.contrastive import similarity as between
from jaxloss.contrastive.everyone import mean_cost
from jaxloss.contrastive.hardest import hardest

Array = jax.Array
Miner = str | Callable[[Array, Array, Array], miners.Triplets]


def triplet_margin_loss(
    anchors: ArrayLike,
    positives: ArrayLike,
    negatives: ArrayLike,
    axis: arguments.Axis = -1,
    norm_degree: ArrayLike = 2,
    margin: ArrayLike = 1.0,
    eps: ArrayLike = 1e-6,
    *,
    squared: bool = False,
    soft: bool = False,
    swap: bool = False,
    where: ArrayLike | None = None,
) -> Array:
    """By how much a positive fails to be nearer than a negative by the margin.

    `max(0, D(a, p) - D(a, n) + margin)` with `D(x, y) = (sum |x - y|^q + eps)^(1 / q)` and
    `q = norm_degree`. `eps` is optax's: it makes the distance smooth at 0. (PyTorch adds its own to
    the difference instead; at `eps=0` both agree.)

    `squared` takes `D^2`, as FaceNet does; `soft` takes `log(1 + exp(D(a, p) - D(a, n) + margin))`,
    which has no kink and pulls on all triplets, usually with margin 0; `swap` takes for `D(a, n)`
    the lesser of it and `D(p, n)`, the harder of the two.

    Args:
      anchors: `[..., d]`, real (`d` at `axis`).
      positives: `[..., d]`, real; what belongs to the anchors.
      negatives: `[..., d]`, real; what does not.
      axis: the axis or axes of the vectors.
      norm_degree: `q`, in [1, inf); number or `[...]`.
      margin: number or `[...]`.
      eps: >= 0; number or `[...]`.
      squared: whether distances are squared; static.
      soft: whether the hinge is a softplus; static.
      swap: whether the positive may stand for the anchor; static.
      where: True for what counts, `[..., d]` or `[...]`.

    Returns:
      `[...]`, non-negative.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> anchor = jnp.array([0.0, 0.0])
      >>> positive, negative = jnp.array([3.0, 4.0]), jnp.array([4.0, 0.0])
      >>> print(jl.triplet_margin_loss(anchor, positive, negative, eps=0.0))  # 5 - 4 + 1
      2.0

    Reference: Balntas et al., Learning Local Feature Descriptors with Triplets and Shallow
    Convolutional Neural Networks (2016), eq. 3.
    """
    function = "triplet_margin_loss"
    (a, p, n), mask = arguments.events(
        function, axis, where, anchors=anchors, positives=positives, negatives=negatives
    )
    like = a[..., 0]
    degree = arguments.hyper(
        function, "norm_degree", norm_degree, like, at_least=1.0, below=jnp.inf
    )
    eps = arguments.hyper(function, "eps", eps, like, at_least=0.0)
    margin = arguments.hyper(function, "margin", margin, like)
    near, far = (numerics.p_norm(a - other, degree, eps) for other in (p, n))
    if swap:
        far = jnp.minimum(far, numerics.p_norm(p - n, degree, eps))
    # The difference of squares as a product: it keeps its digits, and overflows later.
    lag = (near - far) * (near + far) if squared else near - far
    return arguments.masked(_hinge(lag + margin, soft), mask)


def _hinge(x: Array, soft: bool) -> Array:
    return numerics.softplus(x) if soft else numerics.positive_part(x)


def triplet_loss(
    embeddings: ArrayLike,
    labels: ArrayLike,
    *,
    margin: ArrayLike = 0.2,
    mining: Miner = "batch_hard",
    distance: between.Between = "euclidean",
    soft: bool = False,
    where: ArrayLike | None = None,
    axis_name: reduction.AxisName = None,
) -> Array:
    """Triplets of a labelled set, mined as you choose: each anchor's mean of the triplet loss.

    The mean of `max(0, D(a, p) - D(a, n) + margin)` over the triplets that `mining` takes, by its
    weights: "batch_hard" (furthest positive, nearest negative), "semi_hard" (for each positive the
    nearest negative beyond it), "batch_all", or a function such as
    `functools.partial(jaxloss.distance_weighted, size=d)`; see `jaxloss.contrastive.mining`. What
    is mined is a constant of the gradient. `distance` "squared_euclidean" is FaceNet's.

    Memory grows with the square of the set for all that have a name. Time is that of the triplets
    taken; derivatives of the gradient of "batch_all" take the time of `n^3` triplets.
    Of large sets Euclidean distances below 1e-19 of the largest component count as 0 in float32.

    Args:
      embeddings: `[..., n, d]`, real.
      labels: `[..., n]`, integers; equal ones belong together.
      margin: number or `[...]`.
      mining: name or function; static.
      distance: name or function (see `jaxloss.contrastive.similarity`); static.
      soft: whether the hinge is a softplus, `log(1 + exp(...))`; static.
      where: True for what counts, `[..., n]` for members or `[...]` for sets.
      axis_name: mapped axes over which the members are split.

    Returns:
      `[..., n]`, non-negative; 0 for an anchor without positives, or without negatives.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> points = jnp.array([[0.0], [3.0], [2.0]])  # 3 - 2 + 0.5, 3 - 1 + 0.5
      >>> print(jl.triplet_loss(points, jnp.array([0, 0, 1]), margin=0.5))
      [1.5 2.5 0. ]

    Reference: Hermans, Beyer and Leibe, In Defense of the Triplet Loss (2017), eq. 5; Schroff,
    Kalenichenko and Philbin, FaceNet (2015), eq. 2.
    """
    function = "triplet_loss"
    b = batch.labelled(function, where, axis_name, embeddings=embeddings, labels=labels)
    margin = batch.hyper(function, "margin", margin, b.anchors)
    miner = _miner(function, mining)
    hinge = numerics.softplus if soft else numerics.positive_part
    if miner is miners.batch_hard:
        loss = _mean_of(hinge, margin, hardest(function, distance, b))
    else:
        distances = between.distance(function, distance, b.anchors, b.others)
        if miner is miners.batch_all:
            loss = mean_cost(hinge, distances, margin, b.positive, b.negative)
        else:
            loss = _mean_of(hinge, margin, miner(distances, b.positive, b.negative))
    return arguments.masked(loss, b.mask)


def _mean_of(hinge: Callable[[Array], Array], margin: Array, triplets: miners.Triplets) -> Array:
    near, far, weight = triplets
    weight = lax.stop_gradient(weight)
    cost = jnp.where(weight == 0, 0, weight * hinge(near - far + margin))
    return numerics.divide(jnp.sum(cost, axis=-1), jnp.sum(weight, axis=-1))


def _miner(function: str, choice: Miner) -> Any:
    if callable(choice):
        return choice
    if choice not in miners.MINERS:
        expected = f"one of {', '.join(miners.MINERS)}, or a function"
        raise arguments.reject(function, "mining", expected, repr(choice))
    return miners.MINERS[choice]
