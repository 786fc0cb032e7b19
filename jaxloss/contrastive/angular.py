"""Softmax losses with a margin in the angle between features and the weights of their class.

Conventions shared by every function of this module:

* `cosines` are `[..., classes]`: the cosines of the angles between an example's features and each
  class's weights, both normalised by the caller: `units(features) @ units(weights).T` with
  `units = lambda x: x / jnp.linalg.norm(x, axis=-1, keepdims=True)`. A cosine outside [-1, 1] by
  more than half-precision rounding (1/64) is no cosine: value and gradient are NaN.
* `labels` are `[...]`, integers in `[0, classes)`; one out of range makes value and gradient NaN.
* The loss is `[...]`, one value for each example: the cross-entropy of `scale` times the cosines,
  of which that of the label was made smaller by a margin. Angles and margins are in radians.
* Everything is computed from the cosine: no arc cosine, whose slope is infinite at a perfect match.
  The sine's slope is infinite there, too; at cosines of -1 and 1, and beyond them by rounding, the
  sine is 0 with slope 0. As a function of the features that is the sub-gradient of least norm.
* `where`: True for what counts, `[..., classes]` to leave classes out or `[...]` for examples.
* `TypeError` for a wrong kind of number, `ValueError` for a wrong shape or hyper-parameter.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxloss import arguments, numerics

Array = jax.Array

# The largest margin: beyond it a perfect match could do better by being worse. As float32 has it.
RIGHT_ANGLE = float(np.float32(np.pi / 2))

# How far a cosine may leave [-1, 1]: what products and sums in bfloat16 can do.
ROUNDING = 1 / 64


def cosines_of(
    function: str, cosines: Any, labels: Any, where: Any
) -> tuple[Array, Array, Array, Array]:
    """Return cosines, those of the labels `[...]`, the labels as a mask, and the mask."""
    cosines, is_label, mask = arguments.classes(function, -1, where, cosines=cosines, labels=labels)
    possible = jnp.abs(cosines) <= 1 + ROUNDING
    # Multiplied rather than selected: the gradient must be NaN as well.
    cosines = cosines * jnp.where(possible, 1.0, jnp.nan).astype(cosines.dtype)
    return cosines, jnp.sum(jnp.where(is_label, cosines, 0), axis=-1), is_label, mask


def cross_entropy(
    function: str, scale: Any, cosines: Array, target: Array, is_label: Array, mask: Array
) -> Array:
    """Return the cross-entropy of scaled cosines with another one, `[...]`, for the label."""
    scale = arguments.per_event(function, "scale", scale, cosines, above=0.0)
    logits = scale * jnp.where(is_label, target[..., None], cosines)
    surprisal = numerics.softmax(logits, mask).surprisal()
    loss = jnp.sum(numerics.weighted(is_label.astype(logits.dtype), surprisal), axis=-1)
    return arguments.masked(loss, mask)


def turned(cosine: Array, margin: Array) -> Array:
    """Return the cosine of an angle to which a margin in [-pi / 2, pi / 2] is added.

    It never rises with the angle: past pi it goes on as the cosine less a constant, and an angle
    that a negative margin would turn past 0 stays at 0.
    """
    cos, sin = jnp.cos(margin), jnp.sin(margin)
    sine = numerics.sqrt(numerics.positive_part((1 - cosine) * (1 + cosine)))
    # 1 - cos(margin), without the subtraction that loses small margins.
    constant = 2 * jnp.sin(0.5 * margin) ** 2
    result = cosine * cos - sine * sin
    result = jnp.where((margin > 0) & (cosine < -cos), cosine - constant, result)
    return jnp.where((margin < 0) & (cosine > cos), 1, result)


def sphereface_loss(
    cosines: ArrayLike,
    labels: ArrayLike,
    *,
    margin: int = 4,
    scale: ArrayLike = 30.0,
    where: ArrayLike | None = None,
) -> Array:
    """Cross-entropy in which the label's angle counts `margin` times.

    `cos(t)` of the label becomes `psi(t) = (-1)^k cos(margin t) - 2 k` for `t` between
    `k pi / margin` and `(k + 1) pi / margin`: continuous, once continuously differentiable, and
    falling from 1 to `1 - 2 margin`. Evaluated as a polynomial of the cosine.

    The margin grows with the angle, so that easy examples are asked little. It is hard to train
    from scratch with a margin of 4; `cosface_loss` and `arcface_loss` are steadier. A margin of 1
    is the cross-entropy of the scaled cosines. The paper scales by the norm of the features: pass
    it as `scale`, `[...]`.

    Args:
      cosines: `[..., classes]`, between features and class weights.
      labels: `[...]`, integers in `[0, classes)`.
      margin: by how much the angle is multiplied, an integer >= 1; static.
      scale: what multiplies the cosines, > 0; number or `[...]`.
      where: True for what counts, `[..., classes]` or `[...]`.

    Returns:
      `[...]`, non-negative; NaN for a label out of range.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> cosines = jnp.array([0.5, -0.5])  # 60 degrees become 120: no better than the other
      >>> print(f"{jl.sphereface_loss(cosines, jnp.array(0), margin=2, scale=1.0):.4f}")
      0.6931

    Reference: Liu et al., SphereFace (2017), eq. 7.
    """
    function = "sphereface_loss"
    if isinstance(margin, bool) or not isinstance(margin, int | np.integer):
        kind = type(margin).__name__
        raise TypeError(f"{function}: margin must be a whole number, got {margin!r} ({kind}).")
    if margin < 1:
        raise arguments.reject(function, "margin", "at least 1", margin)
    cosines, target, is_label, mask = cosines_of(function, cosines, labels, where)
    target = _multiplied(target, int(margin))
    return cross_entropy(function, scale, cosines, target, is_label, mask)


def _multiplied(cosine: Array, margin: int) -> Array:
    """Return `psi`: the cosine of `margin` times the angle, made to fall throughout."""
    before, power = jnp.ones_like(cosine), cosine
    for _ in range(margin - 1):
        before, power = power, 2 * cosine * power - before
    # The number of borders passed, k, by comparing cosines.
    borders = np.cos(np.pi * np.arange(1, margin) / margin)
    passed = sum(((cosine < b).astype(cosine.dtype) for b in borders), jnp.zeros_like(cosine))
    return (1 - 2 * (passed % 2)) * power - 2 * passed


def cosface_loss(
    cosines: ArrayLike,
    labels: ArrayLike,
    *,
    margin: ArrayLike = 0.35,
    scale: ArrayLike = 64.0,
    where: ArrayLike | None = None,
) -> Array:
    """Cross-entropy in which the label's cosine must win by `margin`.

    `cos(t)` of the label becomes `cos(t) - margin`: the simplest of the margins, smooth everywhere,
    and convex in the cosines. At margin 0 it is the cross-entropy of the scaled cosines. The
    margin is one of cosines, not of angles; 0.35 is the paper's, 0.4 that of insightface.

    Args:
      cosines: `[..., classes]`, between features and class weights.
      labels: `[...]`, integers in `[0, classes)`.
      margin: what the label's cosine loses, >= 0; number or `[...]`.
      scale: what multiplies the cosines, > 0; number or `[...]`.
      where: True for what counts, `[..., classes]` or `[...]`.

    Returns:
      `[...]`, non-negative; NaN for a label out of range.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> cosines = jnp.array([0.75, 0.25])
      >>> print(f"{jl.cosface_loss(cosines, jnp.array(0), margin=0.5, scale=8.0):.4f}")  # log(2)
      0.6931

    Reference: Wang et al., CosFace (2018), eq. 4.
    """
    function = "cosface_loss"
    cosines, target, is_label, mask = cosines_of(function, cosines, labels, where)
    margin = arguments.hyper(function, "margin", margin, target, at_least=0.0)
    return cross_entropy(function, scale, cosines, target - margin, is_label, mask)


def arcface_loss(
    cosines: ArrayLike,
    labels: ArrayLike,
    *,
    margin: ArrayLike = 0.5,
    scale: ArrayLike = 64.0,
    where: ArrayLike | None = None,
) -> Array:
    """Cross-entropy in which `margin` radians are added to the label's angle.

    `cos(t)` of the label becomes `cos(t + margin) = cos(t) cos(margin) - sin(t) sin(margin)`. The
    margin is the same arc on the sphere wherever the features are: the usual choice for faces and
    other embeddings of many classes. At margin 0 it is the cross-entropy of the scaled cosines.

    Convention: where `t + margin` exceeds pi, the cosine would rise again; instead it goes on as
    `cos(t) - (1 - cos(margin))`, which meets it at -1, with a kink, and falls on. The authors'
    code has `cos(t) - margin sin(margin)` there, which jumps; both agree up to that angle. Margins
    in degrees, as some libraries have them, want `jnp.radians`: 28.6 degrees are 0.499 radians.

    Finite in value and gradient at a perfect match: the module's text says how.

    Args:
      cosines: `[..., classes]`, between features and class weights.
      labels: `[...]`, integers in `[0, classes)`.
      margin: what is added to the label's angle, radians in [0, pi / 2]; number or `[...]`.
      scale: what multiplies the cosines, > 0; number or `[...]`.
      where: True for what counts, `[..., classes]` or `[...]`.

    Returns:
      `[...]`, non-negative; NaN for a label out of range.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> cosines = jnp.array([0.5, 0.0])  # 60 degrees and 30 are as bad as 90: log(2)
      >>> print(f"{jl.arcface_loss(cosines, jnp.array(0), margin=jnp.pi / 6, scale=1.0):.4f}")
      0.6931

    Reference: Deng et al., ArcFace (2019), eq. 3.
    """
    function = "arcface_loss"
    cosines, target, is_label, mask = cosines_of(function, cosines, labels, where)
    margin = arguments.hyper(function, "margin", margin, target, at_least=0.0, at_most=RIGHT_ANGLE)
    return cross_entropy(function, scale, cosines, turned(target, margin), is_label, mask)
