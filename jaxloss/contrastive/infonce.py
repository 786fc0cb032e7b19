"""Losses in which a member must find its positives among all others: cross-entropy over a batch.

Conventions shared by every function of this module:

* Sets with groups are `embeddings` `[..., n, d]` and `labels` `[..., n]`, integers; members of
  equal label are positives of each other, all the rest negatives. Pairs are two arrays
  `[..., n, d]`: member `i` of one belongs to member `i` of the other. Leading axes are sets that do
  not see each other. The loss is `[..., n]`, one for each anchor.
* An anchor without what a loss needs (positives, or negatives) has loss 0 with zero gradient.
* `temperature` divides the similarities. To learn it, hand in `jnp.exp(log_temperature)`.
* `similarity` is "cosine", "dot", or a function of `[..., n, d]` and `[..., m, d]` to
  `[..., n, m]`. The cosine with a zero vector is 0.
* Small losses of confident anchors do not cancel to 0, at any temperature.
* `where`: True for what counts, `[..., n]` for members or `[...]` for sets. A masked member is no
  anchor, no positive and no negative.
* Hyper-parameters are numbers, or one for each set, `[...]`.
* `axis_name`: mapped axes over which the members are split (see `jaxloss.contrastive.batch`).
* Of large sets the similarities `[..., n, m]` are never all there, unless they are a function of
  yours: memory is that of a few rows of them.
* `TypeError` for a wrong kind of number, `ValueError` for a wrong shape or hyper-parameter.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloss import arguments, numerics, reduction
from jaxloss.contrastive import batch, logsums
from jaxloss.contrastive import similarity as between

Array = jax.Array


def n_pairs_loss(
    anchors: ArrayLike,
    positives: ArrayLike,
    *,
    where: ArrayLike | None = None,
    axis_name: reduction.AxisName = None,
) -> Array:
    """One positive against the positives of all other anchors, by inner products.

    `log(1 + sum_j exp(<a_i, p_j> - <a_i, p_i>))` over `j != i`: `info_nce_loss` of inner products
    at temperature 1. Longer embeddings lower it, so the paper adds a penalty on squared norms,
    which is left to the caller.

    Args:
      anchors: `[..., n, d]`, real.
      positives: `[..., n, d]`, real.
      where: True for what counts, `[..., n]` or `[...]`.
      axis_name: mapped axes over which the pairs are split.

    Returns:
      `[..., n]`, non-negative.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> views = jnp.eye(2)  # log(1 + exp(0 - 1)) each
      >>> print(jl.n_pairs_loss(views, views))
      [0.31326169 0.31326169]

    Reference: Sohn, Improved Deep Metric Learning with Multi-class N-pair Loss Objective (2016),
    eq. 7.
    """
    function = "n_pairs_loss"
    b = batch.paired(function, where, axis_name, anchors=anchors, positives=positives)
    logits = between.matrix(function, "dot", b.first, b.all_second)
    return arguments.masked(_surprisal(logsums.sums(b, logits)), b.mask)


def _surprisal(found: logsums.Sums) -> Array:
    """Return the cross-entropy of each anchor with its counterpart, `[..., n]`."""
    return numerics.softplus(found.rows.beyond(found.own))


def _temperature(function: str, value: Any, like: Any) -> Array:
    """Convert and check the temperature."""
    return batch.hyper(function, "temperature", value, like, above=0.0)


def ntxent(
    embeddings: ArrayLike,
    labels: ArrayLike,
    temperature: ArrayLike = 0.07,
    *,
    similarity: between.Between = "cosine",
    where: ArrayLike | None = None,
    axis_name: reduction.AxisName = None,
) -> Array:
    """Each positive by itself against all negatives: SimCLR's loss.

    The mean, over the positives `p` of an anchor, of `-log(e_p / (e_p + sum_k e_k))` with `k` its
    negatives and `e = exp(cosine / temperature)`. Other positives are not in the denominator, which
    is what tells it from `supervised_contrastive_loss`; with one positive each they are equal.

    Convention: one value for each anchor. The mean over all positive pairs, which optax returns, is
    `mean(losses, weights=positives)` with the number of each anchor's positives. Without any, the
    losses are 0 where optax has NaN.

    Args:
      embeddings: `[..., n, d]`, real.
      labels: `[..., n]`, integers.
      temperature: > 0; number or `[...]`.
      similarity: name or function.
      where: True for what counts, `[..., n]` or `[...]`.
      axis_name: mapped axes over which the members are split.

    Returns:
      `[..., n]`, non-negative; 0 for an anchor without positives, or without negatives.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> views = jnp.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
      >>> losses = jl.ntxent(views, jnp.array([0, 0, 1, 1]), temperature=1.0)
      >>> print(f"{losses[0]:.4f}")  # log(1 + 2 exp(-1))
      0.5514

    Reference: Chen et al., A Simple Framework for Contrastive Learning (2020), eq. 1.
    """
    function = "ntxent"
    b = batch.labelled(function, where, axis_name, embeddings=embeddings, labels=labels)
    temperature = _temperature(function, temperature, b.anchors)
    logits = between.matrix(function, similarity, b.anchors, b.others, temperature)

    def loss(b: batch.Labelled, logits: Array) -> Array:
        rivals = batch.log_sum(b.negative, logits)
        lag = jnp.where(b.positive, rivals[..., None] - logits, -jnp.inf)
        return batch.mean_over(b.positive, numerics.softplus(lag))

    return arguments.masked(batch.known(batch.each(loss, b, logits), temperature), b.mask)


def info_nce_loss(
    anchors: ArrayLike,
    positives: ArrayLike,
    *,
    temperature: ArrayLike = 0.07,
    similarity: between.Between = "cosine",
    where: ArrayLike | None = None,
    axis_name: reduction.AxisName = None,
) -> Array:
    """Cross-entropy of telling an anchor's positive from those of all other anchors.

    `-log(exp(s_ii) / sum_j exp(s_ij))` with `s_ij` the similarity of anchor `i` and positive `j`
    over the temperature. `log(n)` less its mean bounds the mutual information of the two views from
    below, so that larger batches can tell more. Anchors are not compared with each other, as
    they are in `ntxent`; `clip_loss` is the mean of both directions.

    Args:
      anchors: `[..., n, d]`, real.
      positives: `[..., n, d]`, real.
      temperature: > 0; number or `[...]`.
      similarity: name or function.
      where: True for what counts, `[..., n]` or `[...]`.
      axis_name: mapped axes over which the pairs are split.

    Returns:
      `[..., n]`, non-negative.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> views = jnp.eye(2)  # log(1 + exp(0 - 20)) each, not cancelled to 0
      >>> print(jl.info_nce_loss(views, views, temperature=0.05))
      [2.0611537e-09 2.0611537e-09]

    Reference: van den Oord, Li and Vinyals, Representation Learning with Contrastive Predictive
    Coding (2018), eq. 4.
    """
    function = "info_nce_loss"
    b = batch.paired(function, where, axis_name, anchors=anchors, positives=positives)
    temperature = _temperature(function, temperature, b.first)
    logits = between.matrix(function, similarity, b.first, b.all_second, temperature)
    return arguments.masked(_surprisal(logsums.sums(b, logits)), b.mask)


def supervised_contrastive_loss(
    embeddings: ArrayLike,
    labels: ArrayLike,
    *,
    temperature: ArrayLike = 0.1,
    similarity: between.Between = "cosine",
    where: ArrayLike | None = None,
    axis_name: reduction.AxisName = None,
) -> Array:
    """Each positive against all other members, positives included; then their mean.

    The mean over the positives `p` of `-log(e_p / sum_k e_k)` with `k` all members but the anchor
    and `e = exp(cosine / temperature)`: the paper's `L_out`, with the mean outside the logarithm.
    An anchor with `P` equally similar positives cannot get below `log(P)`. The factor
    `temperature / base_temperature` of the authors' code is left to the caller.

    Args:
      embeddings: `[..., n, d]`, real.
      labels: `[..., n]`, integers.
      temperature: > 0; number or `[...]`.
      similarity: name or function.
      where: True for what counts, `[..., n]` or `[...]`.
      axis_name: mapped axes over which the members are split.

    Returns:
      `[..., n]`, non-negative; 0 for an anchor without positives.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> points = jnp.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])  # two of two: log(2) each
      >>> losses = jl.supervised_contrastive_loss(points, jnp.array([4, 4, 4]))
      >>> print(f"{losses[0]:.4f}")
      0.6931

    Reference: Khosla et al., Supervised Contrastive Learning (2020), eq. 2.
    """
    function = "supervised_contrastive_loss"
    b = batch.labelled(function, where, axis_name, embeddings=embeddings, labels=labels)
    temperature = _temperature(function, temperature, b.anchors)
    logits = between.matrix(function, similarity, b.anchors, b.others, temperature)
    partnered, count = batch.partnered(b)
    found = logsums.sums(partnered, logits)
    # Told from one positive: of an anchor that has no other, what is small keeps its digits.
    spread = (count - 1) * found.own - found.friends
    loss = _surprisal(found) + numerics.divide(spread, count.astype(spread.dtype))
    return arguments.masked(batch.known(jnp.where(count > 0, loss, 0), temperature), b.mask)


def decoupled_contrastive_loss(
    anchors: ArrayLike,
    positives: ArrayLike,
    *,
    temperature: ArrayLike = 0.1,
    similarity: between.Between = "cosine",
    where: ArrayLike | None = None,
    axis_name: reduction.AxisName = None,
) -> Array:
    """SimCLR's loss without the positive in the denominator.

    `log(sum_j (exp(s(a_i, a_j)) + exp(s(a_i, p_j)))) - s(a_i, p_i)` over `j != i`, with `s` the
    similarity over the temperature. The gradient no longer fades where the positive is found
    easily, so that small batches train, too. It can be negative, and has no least value but that of
    the similarities: `-2 / temperature + log(2 (n - 1))`.

    The paper's loss of both views is the sum of this and the one with the arguments exchanged.

    Args:
      anchors: `[..., n, d]`, real.
      positives: `[..., n, d]`, real.
      temperature: > 0; number or `[...]`.
      similarity: name or function.
      where: True for what counts, `[..., n]` or `[...]`.
      axis_name: mapped axes over which the pairs are split.

    Returns:
      `[..., n]`, of either sign; 0 for an anchor without negatives.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> views = jnp.eye(2)  # log(exp(0) + exp(0)) - 1
      >>> print(jl.decoupled_contrastive_loss(views, views, temperature=1.0))
      [-0.30685282 -0.30685282]

    Reference: Yeh et al., Decoupled Contrastive Learning (2022), eq. 6.
    """
    function = "decoupled_contrastive_loss"
    b = batch.paired(function, where, axis_name, anchors=anchors, positives=positives)
    temperature = _temperature(function, temperature, b.first)
    across, within = (
        between.matrix(function, similarity, b.first, others, temperature)
        for others in (b.all_second, b.all_first)
    )
    found, beside = (logsums.sums(b, matrix) for matrix in (across, within))
    gaps = jnp.stack([x.rows.beyond(found.own) for x in (found, beside)], axis=-1)
    rivals = batch.log_sum(gaps != -jnp.inf, gaps)
    return arguments.masked(jnp.where(rivals == -jnp.inf, 0, rivals), b.mask)


def clip_loss(
    images: ArrayLike,
    texts: ArrayLike,
    *,
    temperature: ArrayLike = 0.07,
    similarity: between.Between = "cosine",
    where: ArrayLike | None = None,
    axis_name: reduction.AxisName = None,
) -> Array:
    """Find the text of an image and the image of a text: `info_nce_loss` in both directions.

    `(info_nce(images, texts) + info_nce(texts, images)) / 2`, pair by pair. The paper learns the
    logarithm of `1 / temperature`, starting at 0.07, with the factor held at most 100:
    `temperature=jnp.exp(-jnp.minimum(log_scale, jnp.log(100.0)))`.

    Args:
      images: `[..., n, d]`, real.
      texts: `[..., n, d]`, real; text `i` belongs to image `i`.
      temperature: > 0; number or `[...]`.
      similarity: name or function.
      where: True for what counts, `[..., n]` or `[...]`.
      axis_name: mapped axes over which the pairs are split.

    Returns:
      `[..., n]`, non-negative, symmetric in its arguments.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> views = jnp.eye(2)  # log(1 + exp(0 - 1)), both ways
      >>> print(jl.clip_loss(views, views, temperature=1.0))
      [0.31326169 0.31326169]

    Reference: Radford et al., Learning Transferable Visual Models From Natural Language Supervision
    (2021), fig. 3.
    """
    function = "clip_loss"
    b = batch.paired(function, where, axis_name, images=images, texts=texts)
    temperature = _temperature(function, temperature, b.first)
    logits = between.matrix(function, similarity, b.first, b.all_second, temperature)
    found = logsums.sums(b, logits, columns=True)
    back = found._replace(rows=found.columns.over(axis_name).at(b.place))
    return arguments.masked(0.5 * (_surprisal(found) + _surprisal(back)), b.mask)


def siglip_loss(
    images: ArrayLike,
    texts: ArrayLike,
    *,
    temperature: ArrayLike = 0.1,
    bias: ArrayLike = -10.0,
    similarity: between.Between = "cosine",
    where: ArrayLike | None = None,
    axis_name: reduction.AxisName = None,
) -> Array:
    """Yes or no for every pair of image and text, instead of one among many.

    `sum_j log(1 + exp(-z_ij (s_ij / temperature + bias)))` with `z_ij` 1 for `i = j` and -1
    elsewhere: a sum over the texts, one value for each image. There is no softmax, so that
    pairs need no global normaliser. The paper's scale is `1 / temperature`; it starts at 10 with
    `bias` -10, because nearly all pairs are negatives, and learns both.

    Args:
      images: `[..., n, d]`, real.
      texts: `[..., n, d]`, real; text `i` belongs to image `i`.
      temperature: > 0; number or `[...]`.
      bias: added to the scaled similarities; number or `[...]`.
      similarity: name or function.
      where: True for what counts, `[..., n]` or `[...]`.
      axis_name: mapped axes over which the pairs are split.

    Returns:
      `[..., n]`, non-negative.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> views = jnp.eye(2)  # log(1 + exp(-1)) for its text, log(1 + exp(0)) for the other
      >>> losses = jl.siglip_loss(views, views, temperature=1.0, bias=0.0)
      >>> print(f"{losses[0]:.4f}")
      1.0064

    Reference: Zhai et al., Sigmoid Loss for Language Image Pre-Training (2023), section 3.2.
    """
    function = "siglip_loss"
    b = batch.paired(function, where, axis_name, images=images, texts=texts)
    temperature = _temperature(function, temperature, b.first)
    bias = batch.hyper(function, "bias", bias, b.first)
    matrix = between.matrix(function, similarity, b.first, b.all_second, temperature)

    def loss(b: batch.Paired, logits: Array) -> Array:
        logits = logits + bias
        signed = jnp.where(b.own, -logits, jnp.where(b.rival, logits, -jnp.inf))
        return jnp.sum(numerics.softplus(signed), axis=-1)

    return arguments.masked(batch.each(loss, b, matrix), b.mask)
