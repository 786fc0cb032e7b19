"""Losses against one learned vector for each class: a proxy, or a centre.

Conventions shared by every function of this module:

* `embeddings` are `[..., n, d]` with `labels` `[..., n]`, integers in `[0, classes)`; `proxies` (or
  `centers`) are `[..., classes, d]`, data with a gradient like any other: keep them among the
  parameters. Leading axes are sets that do not see each other.
* A label out of range makes value and gradient NaN.
* `where`: True for what counts, `[..., n]` (members) or `[...]` (sets).
* Cosines with a zero vector are 0, with zero gradient; lengths are divided out by the loss.
* `TypeError` for a wrong kind of number, `ValueError` for a wrong shape or hyper-parameter.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxloss import arguments, numerics, reduction
from jaxloss.contrastive import similarity

Array = jax.Array


class _Against(NamedTuple):
    """Members and the vectors of the classes.

    Attributes:
      embeddings: `[..., n, d]`, 0 where masked, NaN where the label is out of range.
      classes: `[..., classes, d]`.
      labels: `[..., n]`, in range.
      is_label: `[..., n, classes]`, False where masked.
      mask: `[..., n]`.
    """

    embeddings: Array
    classes: Array
    labels: Array
    is_label: Array
    mask: Array

    def cosines(self) -> Array:
        """Return those between members and classes, `[..., n, classes]`."""
        return similarity.cosines(self.embeddings, self.classes)


def _against(
    function: str,
    where: Any,
    embeddings: Any,
    labels: Any,
    axis_name: reduction.AxisName = None,
    **classes: Any,
) -> _Against:
    ((name, value),) = classes.items()
    (members,), labels, mask = arguments.members(
        function, where, embeddings=embeddings, labels=labels
    )
    vectors = arguments.floating(function, name, value)
    *batch, _, size = members.shape
    if (
        vectors.ndim != members.ndim
        or vectors.shape[:-2] != tuple(batch)
        or (vectors.shape[-1] != size)
    ):
        axes = ", ".join(map(str, (*batch, "classes", size)))
        expected = f"of shape ({axes}), as embeddings {members.shape} are"
        raise arguments.reject(function, name, expected, vectors.shape)
    dtype = arguments.working_dtype(members, vectors)
    # What stands in a set without members must not be looked at.
    seen = _count(jnp.any(mask, axis=-1), axis_name) > 0
    vectors = jnp.where(seen[..., None, None], vectors.astype(dtype), 0)
    index = labels.astype(labels.dtype if labels.dtype.itemsize >= 4 else jnp.int32)
    in_range = (index >= 0) & (index < vectors.shape[-2])
    # Multiplied rather than selected: the gradient of an out-of-range label must be NaN as well.
    fate = jnp.where(in_range | ~mask, 1.0, jnp.nan).astype(dtype)
    index = jnp.where(in_range, index, 0)
    shape = (*index.shape, vectors.shape[-2])
    is_label = index[..., None] == lax.broadcasted_iota(index.dtype, shape, len(shape) - 1)
    members = members.astype(dtype) * fate[..., None]
    return _Against(members, vectors, index, is_label & mask[..., None], mask)


def _count(flags: Array, axis_name: reduction.AxisName) -> Array:
    """Count over the devices."""
    return reduction.sum_across(flags.astype(jnp.int32), axis_name)


def proxy_nca_loss(
    embeddings: ArrayLike,
    proxies: ArrayLike,
    labels: ArrayLike,
    *,
    temperature: ArrayLike = 1.0,
    include_positive: bool = True,
    where: ArrayLike | None = None,
) -> Array:
    """Cross-entropy of negative squared distances to proxies, `-log softmax(-d^2 / T)[label]`.

    With unit vectors `d^2` is `2 - 2 cos`. Each anchor meets the proxies only, so that no pairs or
    triplets are mined; members do not see each other.

    Convention: the label's own proxy is in the denominator, as in ProxyNCA++ and in the usual
    libraries: a softmax, never negative. The first paper leaves it out, which
    `include_positive=False` does: the loss is then unbounded below and wants two classes or more.
    ProxyNCA++ has `temperature` 1/9.

    Args:
      embeddings: `[..., n, d]`, real.
      proxies: `[..., classes, d]`, real.
      labels: `[..., n]`, integers in `[0, classes)`.
      temperature: > 0, divides the squared distances; number, or broadcastable to `[..., n]`.
      include_positive: whether the denominator has the label's proxy; static.
      where: True for what counts, `[..., n]` or `[...]`.

    Returns:
      `[..., n]`, for each member; NaN for a label out of range.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> embeddings, proxies = jnp.array([[2.0, 0.0]]), jnp.array([[1.0, 0.0], [0.0, 3.0]])
      >>> print(jl.proxy_nca_loss(embeddings, proxies, jnp.array([0])))  # log(1 + exp(-2))
      [0.126928]

    Reference: Movshovitz-Attias et al., No Fuss Distance Metric Learning (2017), eq. 4; Teh et al.,
    ProxyNCA++ (2020), section 3.
    """
    function = "proxy_nca_loss"
    sets = _against(function, where, embeddings, labels, proxies=proxies)
    cosines = sets.cosines()
    temperature = arguments.per_event(function, "temperature", temperature, cosines, above=0.0)
    # Unit vectors: the squared lengths are the same for all proxies and leave the softmax.
    parts = numerics.softmax(2 * cosines / temperature, jnp.ones_like(sets.is_label))
    cost = parts.surprisal()
    if not include_positive:
        cost = cost + parts.log_complement()
    loss = jnp.sum(jnp.where(sets.is_label, cost, 0), axis=-1)
    return jnp.where(sets.mask, loss, 0)


def proxy_anchor_loss(
    embeddings: ArrayLike,
    proxies: ArrayLike,
    labels: ArrayLike,
    *,
    margin: ArrayLike = 0.1,
    scale: ArrayLike = 32.0,
    where: ArrayLike | None = None,
    axis_name: reduction.AxisName = None,
) -> Array:
    """Each proxy pulls the members of its class and pushes the others, the hardest most.

    With cosines `s`, the mean over the proxies that have members here of
    `log(1 + sum_own exp(-scale (s - margin)))`, plus the mean over all proxies of
    `log(1 + sum_other exp(scale (s + margin)))`. Members see each other through the proxies.

    The two means have different denominators, and so the loss is one number for each set, not one
    for each proxy. The paper calls `scale` alpha and `margin` delta.

    Args:
      embeddings: `[..., n, d]`, real.
      proxies: `[..., classes, d]`, real.
      labels: `[..., n]`, integers in `[0, classes)`.
      margin: by how much cosines must be past 0, on either side; number or `[...]`.
      scale: > 0, how much the hardest members outweigh the others; number or `[...]`.
      where: True for what counts, `[..., n]` or `[...]`.
      axis_name: mapped axes over which the members are split; the proxies are not.

    Returns:
      `[...]`, for each set, non-negative; NaN for a label out of range.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> embeddings, proxies = jnp.array([[1.0, 0.0]]), jnp.array([[0.0, 1.0], [0.0, -1.0]])
      >>> loss = jl.proxy_anchor_loss(embeddings, proxies, jnp.array([0]), margin=0.0)
      >>> print(f"{loss:.4f}")  # log(2) / 1 + log(2) / 2
      1.0397

    Reference: Kim et al., Proxy Anchor Loss (2020), eq. 4.
    """
    function = "proxy_anchor_loss"
    sets = _against(function, where, embeddings, labels, axis_name, proxies=proxies)
    cosines = sets.cosines()
    like = cosines[..., 0, 0]
    margin = arguments.hyper(function, "margin", margin, like)[..., None, None]
    scale = arguments.hyper(function, "scale", scale, like, above=0.0)[..., None, None]
    others = sets.mask[..., None] & ~sets.is_label
    pull = _log1p_sum_exp(-scale * (cosines - margin), sets.is_label, axis_name)
    push = _log1p_sum_exp(scale * (cosines + margin), others, axis_name)
    present = _count(jnp.any(sets.is_label, axis=-2), axis_name) > 0
    pulling = jnp.sum(present.astype(pull.dtype), axis=-1)
    return numerics.divide(jnp.sum(pull, axis=-1), pulling) + jnp.mean(push, axis=-1)


def _log1p_sum_exp(x: Array, mask: Array, axis_name: reduction.AxisName) -> Array:
    """Return `log(1 + sum(exp(x)))` over the last axis but one of what the mask shows."""
    x = jnp.where(mask, x, -jnp.inf)
    top = reduction.largest_across(jnp.max(x, axis=-2, initial=0), axis_name)
    rest = reduction.sum_across(jnp.sum(jnp.exp(x - top[..., None, :]), axis=-2), axis_name)
    # At a top of 0 this is log1p(rest), which keeps small sums.
    return top + jnp.log1p(rest + jnp.expm1(-top))


def center_loss(
    embeddings: ArrayLike,
    centers: ArrayLike,
    labels: ArrayLike,
    *,
    where: ArrayLike | None = None,
) -> Array:
    """Half the squared distance to the centre of one's class, `|embeddings - center|^2 / 2`.

    Makes classes compact; with a weight (0.003 in the paper) beside a cross-entropy that keeps them
    apart, because by itself it is least where everything is one point.

    Convention: the paper's one half, and the sum over the components. The gradient reaches the
    centres as well. For the paper's rule instead stop it, `jax.lax.stop_gradient(centers)`, and
    move them with `center_update`.

    Args:
      embeddings: `[..., n, d]`, real.
      centers: `[..., classes, d]`, real.
      labels: `[..., n]`, integers in `[0, classes)`.
      where: True for what counts, `[..., n]` or `[...]`.

    Returns:
      `[..., n]`, for each member, non-negative; NaN for a label out of range.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> embeddings, centers = jnp.array([[3.0, 4.0]]), jnp.array([[9.0, 9.0], [0.0, 0.0]])
      >>> print(jl.center_loss(embeddings, centers, jnp.array([1])))
      [12.5]

    Reference: Wen et al., A Discriminative Feature Learning Approach (2016), eq. 2.
    """
    sets = _against("center_loss", where, embeddings, labels, centers=centers)
    loss = 0.5 * jnp.sum(_from_center(sets) ** 2, axis=-1)
    return jnp.where(sets.mask, loss, 0)


def _from_center(sets: _Against) -> Array:
    """Return `embeddings - centers[labels]`, 0 where masked."""
    own = jnp.take_along_axis(sets.classes, sets.labels[..., None], axis=-2)
    return jnp.where(sets.mask[..., None], sets.embeddings - own, 0)


def center_update(
    centers: ArrayLike,
    embeddings: ArrayLike,
    labels: ArrayLike,
    *,
    rate: ArrayLike = 0.5,
    where: ArrayLike | None = None,
    axis_name: reduction.AxisName = None,
) -> Array:
    """Return the centres moved towards the members of their classes, by the paper's rule.

    `centers - rate sum(centers - embeddings) / (1 + count)`, both over the class's members.
    The 1 keeps a class with few members from following them wholly; one without stays.

    Args:
      centers: `[..., classes, d]`, real.
      embeddings: `[..., n, d]`, real.
      labels: `[..., n]`, integers in `[0, classes)`; one out of range makes the centres NaN.
      rate: in [0, 1]; number or `[...]`.
      where: True for what counts, `[..., n]` or `[...]`.
      axis_name: mapped axes over which the members are split; the centres are not.

    Returns:
      The shape and dtype of `centers`.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.center_update(jnp.zeros((2, 1)), jnp.array([[4.0]]), jnp.array([1])))
      [[0.]
       [1.]]

    Reference: Wen et al., A Discriminative Feature Learning Approach (2016), eq. 4.
    """
    function = "center_update"
    old = arguments.floating(function, "centers", centers)
    sets = _against(function, where, embeddings, labels, centers=old)
    rate = arguments.hyper(
        function, "rate", rate, sets.classes[..., 0, 0], at_least=0.0, at_most=1.0
    )
    chosen = sets.is_label.astype(sets.classes.dtype)
    step = similarity.dots(jnp.swapaxes(chosen, -1, -2), jnp.swapaxes(_from_center(sets), -1, -2))
    count = jnp.sum(chosen, axis=-2)[..., None]
    if axis_name is not None:
        step, count = lax.psum((step, count), axis_name)
    return old + (rate[..., None, None] * step / (1 + count)).astype(old.dtype)
