"""Losses of the outputs of a last linear layer, without its logits in memory."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxloss import arguments, reduction
from jaxloss.fused import rows
from jaxloss.fused.layer import Layer, layer

Array = jax.Array


def linear_softmax_cross_entropy(
    features: ArrayLike,
    kernel: ArrayLike,
    labels: ArrayLike,
    *,
    bias: ArrayLike | None = None,
    where: ArrayLike | None = None,
    class_weights: ArrayLike | None = None,
    label_smoothing: ArrayLike = 0.0,
    z_loss: ArrayLike = 0.0,
    soft_cap: ArrayLike | None = None,
) -> Array:
    """Cross-entropy of `features @ kernel + bias`, whose logits are never held all at once.

    The value and gradient of `softmax_cross_entropy_with_integer_labels(logits, labels, ...)`,
    with logits capped softly first, `c tanh(logits / c)`, where `soft_cap` is given. One value a
    row costs a fourth matrix product: the logits are computed again for the gradient. Where all
    you want is the mean, `average_linear_softmax_cross_entropy` needs three.

    Args:
      features: `[..., D]`; half precision is multiplied as it is and summed in float32.
      kernel: `[D, V]`.
      labels: `[...]`, integers in `[0, V)`.
      bias: `[V]`.
      where: True for what counts, `[...]`.
      class_weights: `[V]`, >= 0, multiplies each class's term.
      label_smoothing: in [0, 1].
      z_loss: >= 0, weight of the squared log-normaliser.
      soft_cap: > 0; None for none.

    Returns:
      `[...]`, non-negative; NaN for a label out of range.

    Raises:
      TypeError, ValueError: for shapes, dtypes or hyper-parameters that do not fit.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> features, kernel = jnp.array([[1.0, 0.0], [0.0, 2.0]]), jnp.diag(jnp.array([1.0, 0.0]))
      >>> print(jl.fused.linear_softmax_cross_entropy(features, kernel, jnp.array([0, 1])))
      [0.313 0.693 ]
    """
    function = "linear_softmax_cross_entropy"
    last, labels = _labelled(function, features, kernel, labels, bias, where)
    hyper = _hyper(last, class_weights, label_smoothing, z_loss, soft_cap)
    return last.each(_cross_entropy, rows.Given(labels), hyper)


def average_linear_softmax_cross_entropy(
    features: ArrayLike,
    kernel: ArrayLike,
    labels: ArrayLike,
    *,
    bias: ArrayLike | None = None,
    where: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    class_weights: ArrayLike | None = None,
    label_smoothing: ArrayLike = 0.0,
    z_loss: ArrayLike = 0.0,
    soft_cap: ArrayLike | None = None,
    axis_name: reduction.AxisName = None,
) -> reduction.Average:
    """Mean cross-entropy of `features @ kernel + bias`, gradient formed in the forward pass.

    `average(linear_softmax_cross_entropy(...), where=where, weights=weights)`, in three matrix
    products and without anything of the size of the logits. Rows that `where` leaves out cost
    nothing. The pair that comes back merges with those of other parts of the batch; `.value()`
    divides.

    For Hessian-vector products take forward over reverse, `jax.jvp(jax.grad(f), ...)`: reverse over
    reverse keeps every chunk. Under `vmap` a mask no longer saves time. Where the rows are sharded
    call it inside `jax.shard_map`, with `axis_name`: what is summed is then exchanged once.

    Args:
      features: `[..., D]`; half precision is multiplied as it is and summed in float32.
      kernel: `[D, V]`.
      labels: `[...]`, integers in `[0, V)`.
      bias: `[V]`.
      where: True for what counts, `[...]`.
      weights: how much each row counts, >= 0, `[...]`.
      class_weights: `[V]`, >= 0, multiplies each class's term.
      label_smoothing: in [0, 1].
      z_loss: >= 0, weight of the squared log-normaliser.
      soft_cap: > 0; None for none.
      axis_name: mapped axes over which the rows are split.

    Returns:
      `Average(total, weight)`, two numbers; `total` is NaN where a label that counts is out of
      range.

    Raises:
      TypeError, ValueError: for shapes, dtypes or hyper-parameters that do not fit.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> features, kernel = jnp.array([[1.0, 0.0], [0.0, 2.0]]), jnp.diag(jnp.array([1.0, 0.0]))
      >>> labels = jnp.array([0, 1])
      >>> loss = jl.fused.average_linear_softmax_cross_entropy(features, kernel, labels)
      >>> print(loss.value().round(3), loss.weight)
      0.503 2.0

    Reference: the gradient in the forward pass is that of Hsu et al., Liger Kernel (2024), section
    3.2.
    """
    function = "average_linear_softmax_cross_entropy"
    last, labels = _labelled(function, features, kernel, labels, bias, where)
    hyper = _hyper(last, class_weights, label_smoothing, z_loss, soft_cap)
    return last.average(_cross_entropy, rows.Given(labels), hyper, weights, axis_name)


def linear_log_probs(
    features: ArrayLike,
    kernel: ArrayLike,
    labels: ArrayLike,
    *,
    bias: ArrayLike | None = None,
    where: ArrayLike | None = None,
    soft_cap: ArrayLike | None = None,
) -> Array:
    """Log-probability of each label under `softmax(features @ kernel + bias)`.

    What losses of preferences are made of: sum it over the tokens of an answer. The logits are
    never held all at once; see `linear_softmax_cross_entropy`, whose negative this is.

    Args:
      features: `[..., D]`.
      kernel: `[D, V]`.
      labels: `[...]`, integers in `[0, V)`.
      bias: `[V]`.
      where: True for what counts, `[...]`.
      soft_cap: > 0; None for none.

    Returns:
      `[...]`, at most 0; 0 where masked.

    Raises:
      TypeError, ValueError: as `linear_softmax_cross_entropy`.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.fused.linear_log_probs(jnp.ones((1, 2)), jnp.eye(2), jnp.array([1])).round(3))
      [-0.693]
    """
    function = "linear_log_probs"
    last, labels = _labelled(function, features, kernel, labels, bias, where)
    hyper = _hyper(last, None, 0.0, 0.0, soft_cap)
    return -last.each(_cross_entropy, rows.Given(labels), hyper)


def _labelled(
    function: str, features: Any, kernel: Any, labels: Any, bias: Any, where: Any
) -> tuple[Layer, Array]:
    """Check the arguments; return the layer, and the labels of its N rows."""
    last = layer(function, features, kernel, bias, where)
    labels = arguments.integers(function, "labels", labels)
    if labels.shape != last.mask.shape:
        expected = f"of the shape of features without its last axis, {last.mask.shape}"
        raise arguments.reject(function, "labels", expected, labels.shape)
    return last, jnp.where(last.mask, labels, 0).ravel()


def _hyper(last: Layer, class_weights: Any, smoothing: Any, z: Any, cap: Any) -> dict[str, Array]:
    """Check the hyper-parameters; those that change nothing are left out."""
    like = jnp.zeros((), last.problem.weights.dtype)
    classes = jnp.zeros(last.problem.kernel.shape[1:], like.dtype)

    def hyper(name: str, value: Any, **range_: float) -> Array:
        return arguments.hyper(last.function, name, value, like, **range_)

    found = {
        "smoothing": hyper("label_smoothing", smoothing, at_least=0.0, at_most=1.0),
        "z": hyper("z_loss", z, at_least=0.0),
    }
    idle = [name for name, given in (("smoothing", smoothing), ("z", z)) if _is_zero(given)]
    if cap is not None:
        found["cap"] = hyper("soft_cap", cap, above=0.0)
    if class_weights is not None:
        found["classes"] = arguments.class_vector(
            last.function, "class_weights", class_weights, classes, at_least=0.0
        )
    return {name: value for name, value in found.items() if name not in idle}


def _is_zero(value: Any) -> bool:
    return isinstance(value, int | float) and value == 0


def _cross_entropy(logits: Array, given: rows.Given, hyper: dict[str, Array]) -> Array:
    """Return `[C]` cross-entropies, by as few passes over the logits as there can be."""
    if "cap" in hyper:
        logits = hyper["cap"] * jnp.tanh(logits / hyper["cap"])
    classes, labels = logits.shape[-1], given.rows
    normalizer = jax.nn.logsumexp(logits, axis=-1)
    loss = normalizer - _pick(logits, labels)
    if "classes" in hyper:
        loss = loss * hyper["classes"].at[labels].get(mode="clip")
    if "smoothing" in hyper:
        shares = hyper.get("classes", jnp.ones((classes,), logits.dtype)) / classes
        even = jnp.sum(shares[None] * (normalizer[:, None] - logits), axis=-1)
        loss = loss + hyper["smoothing"] * (even - loss)
    if "z" in hyper:
        loss = loss + hyper["z"] * normalizer**2
    # Multiplied rather than selected: the gradient of an out-of-range label must be NaN as well.
    return loss * jnp.where((labels >= 0) & (labels < classes), 1.0, jnp.nan)


@jax.custom_jvp
def _pick(logits: Array, labels: Array) -> Array:
    """Return the logit of each label. Its derivative is a comparison, not a scatter.

    So it is written in the same pass as that of the normaliser, without a buffer of its own.
    """
    return jnp.take_along_axis(logits, labels[:, None], axis=1, mode="clip")[:, 0]


@_pick.defjvp
def _pick_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    logits, labels = primals
    is_label = labels[:, None] == lax.broadcasted_iota(labels.dtype, logits.shape, 1)
    return _pick(logits, labels), jnp.sum(jnp.where(is_label, tangents[0], 0), axis=-1)
