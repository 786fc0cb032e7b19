"""Losses of the pairs of a labelled set: equal labels attract, others repel.

Conventions shared by every function of this module:

* `embeddings` are `[..., n, d]`, `labels` `[..., n]` integers: members of equal label are each
  other's positives, those of other labels the negatives. Leading axes are sets that do not see each
  other. The loss is `[..., n]`, one for each member as an anchor.
* An anchor without the pairs that a loss needs has loss 0 with zero gradient.
* `where`: True for what counts, `[..., n]` for members or `[...]` for sets. A masked member is no
  anchor, no positive and no negative.
* `distance` and `similarity` are names (see `jaxloss.contrastive.similarity`) or functions of
  `[..., n, d]` and `[..., m, d]` to `[..., n, m]`.
* Hyper-parameters are numbers, or one for each set, `[...]`.
* `axis_name`: mapped axes over which the members are split (see `jaxloss.contrastive.batch`).
* `TypeError` for a wrong kind of number, `ValueError` for a wrong shape or hyper-parameter.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxloss import arguments, numerics, reduction
from jaxloss.contrastive import batch
from jaxloss.contrastive import similarity as between

Array = jax.Array


def contrastive_loss(
    embeddings: ArrayLike,
    labels: ArrayLike,
    *,
    margin: ArrayLike = 1.0,
    distance: between.Between = "euclidean",
    where: ArrayLike | None = None,
    axis_name: reduction.AxisName = None,
) -> Array:
    """Half the squared distance of equals, half the squared shortfall of others to a margin.

    The mean, over all other members of the set, of `D^2 / 2` for a positive and of
    `max(0, margin - D)^2 / 2` for a negative. So equals are drawn to one point, which
    `triplet_loss` does not ask. Convention: squared and halved as in the paper; some libraries
    have plain `D` and `max(0, margin - D)`. The mean is over an anchor's pairs of both kinds.

    Kink where a negative coincides with its anchor: the gradient given is 0.
    Of large sets Euclidean distances below 1e-19 of the largest component count as 0 in float32.

    Args:
      embeddings: `[..., n, d]`, real.
      labels: `[..., n]`, integers.
      margin: distance at which negatives stop to repel, >= 0; number or `[...]`.
      distance: name or function.
      where: True for what counts, `[..., n]` or `[...]`.
      axis_name: mapped axes over which the members are split.

    Returns:
      `[..., n]`, non-negative; 0 for a member that is alone.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> points = jnp.array([[0.0], [2.0], [0.5]])  # (2^2 / 2 + (1 - 0.5)^2 / 2) / 2, ...
      >>> print(jl.contrastive_loss(points, jnp.array([0, 0, 1])))
      [1.0625 1.     0.0625]

    Reference: Hadsell, Chopra and LeCun, Dimensionality Reduction by Learning an Invariant Mapping
    (2006), eq. 4.
    """
    function = "contrastive_loss"
    b = batch.labelled(function, where, axis_name, embeddings=embeddings, labels=labels)
    margin = batch.hyper(function, "margin", margin, b.anchors, at_least=0.0)
    far = between.distance(function, distance, b.anchors, b.others)
    # The square of a norm would have no second derivative at coincident points.
    square = far**2 if distance != "euclidean" else between.squared_distances(b.anchors, b.others)
    pull, push = 0.5 * square, 0.5 * numerics.positive_part(margin - far) ** 2
    loss = batch.mean_over(b.positive | b.negative, jnp.where(b.positive, pull, push))
    return arguments.masked(loss, b.mask)


def lifted_structured_loss(
    embeddings: ArrayLike,
    labels: ArrayLike,
    *,
    margin: ArrayLike = 1.0,
    distance: between.Between = "euclidean",
    where: ArrayLike | None = None,
    axis_name: reduction.AxisName = None,
) -> Array:
    """Each pair of equals against all negatives of both its members at once.

    The mean over the positives `j` of `max(0, J_ij)^2 / 2`, where `J_ij` is
    `log(sum_k exp(margin - D_ik) + sum_l exp(margin - D_jl)) + D_ij` with `k` the negatives of `i`
    and `l` those of `j`: the smooth upper bound of the hardest negative, which the paper trains.

    The paper's mean over all pairs is `mean(losses, weights=positives)` with the number of each
    anchor's positives. Without negatives of either member a pair costs nothing. Kink where a pair
    coincides: the gradient given is 0.
    Of large sets Euclidean distances below 1e-19 of the largest component count as 0 in float32.

    Args:
      embeddings: `[..., n, d]`, real.
      labels: `[..., n]`, integers.
      margin: how much further than a positive a negative should be; number or `[...]`.
      distance: name or function.
      where: True for what counts, `[..., n]` or `[...]`.
      axis_name: mapped axes over which the members are split.

    Returns:
      `[..., n]`, non-negative; 0 for an anchor without positives.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> points = jnp.array([[0.0], [0.0], [1.0]])  # J = log(exp(0) + exp(0)), J^2 / 2
      >>> print(jl.lifted_structured_loss(points, jnp.array([0, 0, 1])))
      [0.2402265 0.2402265 0.       ]

    Reference: Song et al., Deep Metric Learning via Lifted Structured Feature Embedding (2016),
    eq. 4.
    """
    function = "lifted_structured_loss"
    b = batch.labelled(function, where, axis_name, embeddings=embeddings, labels=labels)
    margin = batch.hyper(function, "margin", margin, b.anchors)
    far = between.distance(function, distance, b.anchors, b.others)
    mine = batch.log_sum(b.negative, margin - far)
    theirs = batch.gathered(mine, axis_name, -1)
    both = jnp.stack(jnp.broadcast_arrays(mine[..., :, None], theirs[..., None, :]), axis=-1)
    rivals = batch.log_sum(both > -jnp.inf, both)
    loss = batch.mean_over(b.positive, 0.5 * numerics.positive_part(rivals + far) ** 2)
    return arguments.masked(loss, b.mask)


def multi_similarity_loss(
    embeddings: ArrayLike,
    labels: ArrayLike,
    *,
    positive_scale: ArrayLike = 2.0,
    negative_scale: ArrayLike = 50.0,
    threshold: ArrayLike = 0.5,
    similarity: between.Between = "cosine",
    where: ArrayLike | None = None,
    axis_name: reduction.AxisName = None,
) -> Array:
    """Soft hinges on the least similar positives and the most similar negatives.

    `log(1 + sum_p exp(-a (S_p - threshold))) / a + log(1 + sum_n exp(b (S_n - threshold))) / b`,
    with `a = positive_scale`, `b = negative_scale` and the similarities `S` of the anchor. Pairs
    are weighted by how they compare with the threshold and with each other. A sum without members
    is 0: an anchor without positives still repels its negatives.

    The paper also drops pairs that are easy beforehand; here all take part, and easy ones have an
    exponentially small share.

    Args:
      embeddings: `[..., n, d]`, real.
      labels: `[..., n]`, integers.
      positive_scale: sharpness for positives, > 0; number or `[...]`.
      negative_scale: sharpness for negatives, > 0; number or `[...]`.
      threshold: similarity that positives should exceed and negatives stay below; number or
        `[...]`.
      similarity: name or function.
      where: True for what counts, `[..., n]` or `[...]`.
      axis_name: mapped axes over which the members are split.

    Returns:
      `[..., n]`, non-negative; 0 for a member that is alone.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> points = jnp.array([[1.0, 0.0], [1.0, 0.0]])  # log(1 + exp(-2 (1 - 1))) / 2
      >>> print(jl.multi_similarity_loss(points, jnp.array([0, 0]), threshold=1.0))
      [0.34657359 0.34657359]

    Reference: Wang et al., Multi-Similarity Loss with General Pair Weighting for Deep Metric
    Learning (2019), eq. 15.
    """
    function = "multi_similarity_loss"
    b = batch.labelled(function, where, axis_name, embeddings=embeddings, labels=labels)
    pull, push = (
        batch.hyper(function, name, value, b.anchors, above=0.0)
        for name, value in (("positive_scale", positive_scale), ("negative_scale", negative_scale))
    )
    threshold = batch.hyper(function, "threshold", threshold, b.anchors)
    excess = between.similarity(function, similarity, b.anchors, b.others) - threshold
    near = numerics.softplus(batch.log_sum(b.positive, -pull * excess)) / pull[..., 0]
    far = numerics.softplus(batch.log_sum(b.negative, push * excess)) / push[..., 0]
    return arguments.masked(near + far, b.mask)


def circle_loss(
    embeddings: ArrayLike,
    labels: ArrayLike,
    *,
    margin: ArrayLike = 0.4,
    gamma: ArrayLike = 80.0,
    detach: bool = True,
    similarity: between.Between = "cosine",
    where: ArrayLike | None = None,
    axis_name: reduction.AxisName = None,
) -> Array:
    """Every positive against every negative, each pulled as far as it is from its optimum.

    `log(1 + sum_n exp(gamma a_n (S_n - margin)) sum_p exp(-gamma a_p (S_p - 1 + margin)))` with the
    weights `a_n = max(0, S_n + margin)` and `a_p = max(0, 1 + margin - S_p)`. Where `S_n` has
    little left to fall, its weight is small: the boundary between the two is a circle, not a line.

    The weights are held constant in the gradient, as the paper prescribes: what the optimiser
    follows is not the derivative of the value. `detach=False` differentiates them, too, as Keras
    does. The paper has `margin` 0.25 and `gamma` 256 for faces, 0.4 and 80 for objects.

    Args:
      embeddings: `[..., n, d]`, real.
      labels: `[..., n]`, integers.
      margin: the relaxation; optima are `1 + margin` and `-margin`; number or `[...]`.
      gamma: sharpness, > 0; number or `[...]`.
      detach: whether the weights are constants of the gradient; static.
      similarity: name or function.
      where: True for what counts, `[..., n]` or `[...]`.
      axis_name: mapped axes over which the members are split.

    Returns:
      `[..., n]`, non-negative; 0 for an anchor without positives or without negatives.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> points = jnp.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])  # log(1 + 1 * exp(-0.25))
      >>> loss = jl.circle_loss(points, jnp.array([0, 0, 1]), margin=0.5, gamma=0.5)
      >>> print(f"{loss[0]:.4f}")
      0.5759

    Reference: Sun et al., Circle Loss: A Unified Perspective of Pair Similarity Optimization
    (2020), eq. 4 to 8.
    """
    function = "circle_loss"
    b = batch.labelled(function, where, axis_name, embeddings=embeddings, labels=labels)
    margin = batch.hyper(function, "margin", margin, b.anchors)
    gamma = batch.hyper(function, "gamma", gamma, b.anchors, above=0.0)
    s = between.similarity(function, similarity, b.anchors, b.others)
    near, far = numerics.positive_part(1 + margin - s), numerics.positive_part(s + margin)
    if detach:
        near, far = lax.stop_gradient((near, far))
    pull = batch.log_sum(b.positive, -gamma * near * (s - 1 + margin))
    push = batch.log_sum(b.negative, gamma * far * (s - margin))
    return arguments.masked(numerics.softplus(pull + push), b.mask)
