"""Angular margins that follow the training: the statistics they follow are explicit state.

The conventions are those of `jaxloss.contrastive.angular`. A loss takes the `statistics` as an
argument; `..._init()` makes the first, `..._update(statistics, ...)` returns the next. They are
small NamedTuples of numbers: carry them through `lax.scan`, save them with the parameters.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxloss import arguments, numerics, reduction
from jaxloss.contrastive import angular

Array = jax.Array


class NormStatistics(NamedTuple):
    """What `adaface_loss` knows of the norms of features, by which it tells good images from bad.

    Attributes:
      mean: their running mean.
      std: their running standard deviation.
    """

    mean: ArrayLike
    std: ArrayLike


class TargetStatistics(NamedTuple):
    """What `curricularface_loss` knows of the progress of training.

    Attributes:
      target_cosine: the running mean of the cosines of the labels.
    """

    target_cosine: ArrayLike


def adaface_loss(
    cosines: ArrayLike,
    labels: ArrayLike,
    norms: ArrayLike,
    *,
    statistics: NormStatistics,
    margin: ArrayLike = 0.4,
    scale: ArrayLike = 64.0,
    concentration: ArrayLike = 0.333,
    where: ArrayLike | None = None,
) -> Array:
    """Cross-entropy with a margin that depends on the image's quality, read off the feature's norm.

    `cos(t)` of the label becomes `cos(t - margin z) - margin (z + 1)`, with
    `z = clip((norms - mean) / std * concentration, -1, 1)`. Norms far below the mean (`z = -1`)
    give `arcface_loss`, average ones `cosface_loss`; norms far above it turn the angle back and
    subtract `2 margin`. So hard examples count where the image is good, and easy ones where it is
    bad. No gradient reaches `norms`, by the paper's design.

    Convention: an angle that would fall below 0 stays at 0, as in the authors' code; past pi the
    loss goes on as `arcface_loss` does. Without spread (`std` 0) every norm counts as average.

    Args:
      cosines: `[..., classes]`, between features and class weights.
      labels: `[...]`, integers in `[0, classes)`.
      norms: `[...]`, the norms of the features before they were normalised, >= 0.
      statistics: running mean and standard deviation of the norms, `NormStatistics`.
      margin: radians in [0, pi / 2]; number or `[...]`.
      scale: what multiplies the cosines, > 0; number or `[...]`.
      concentration: how fast the margin follows the norm, >= 0; number or `[...]`.
      where: True for what counts, `[..., classes]` or `[...]`.

    Returns:
      `[...]`, non-negative; NaN for a label out of range or a negative norm.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> statistics = jl.adaface_init(mean=20.0, std=4.0)
      >>> loss = jl.adaface_loss(  # an average image: the cosine loses 0.5, log(2)
      ...     jnp.array([0.75, 0.25]),
      ...     jnp.array(0),
      ...     jnp.array(20.0),
      ...     statistics=statistics,
      ...     margin=0.5,
      ... )
      >>> print(f"{loss:.4f}")
      0.6931

    Reference: Kim, Jain and Liu, AdaFace (2022), section 3.3.
    """
    function = "adaface_loss"
    cosines, target, is_label, mask = angular.cosines_of(function, cosines, labels, where)
    norms = _norms(function, norms, target, mask)
    margin = arguments.hyper(
        function, "margin", margin, target, at_least=0.0, at_most=angular.RIGHT_ANGLE
    )
    concentration = arguments.hyper(function, "concentration", concentration, target, at_least=0.0)
    mean = arguments.hyper(function, "statistics.mean", statistics.mean, target)
    std = arguments.hyper(function, "statistics.std", statistics.std, target, at_least=0.0)
    # The margin scaler chooses the loss; were it differentiated, norms would grow to change it.
    quality = lax.stop_gradient(numerics.divide(norms - mean, std))
    quality = jnp.clip(quality * concentration, -1, 1)
    target = angular.turned(target, -margin * quality) - margin * (quality + 1)
    return angular.cross_entropy(function, scale, cosines, target, is_label, mask)


def _norms(function: str, norms: Any, target: Array, mask: Array) -> Array:
    norms = arguments.real(function, "norms", norms)
    if norms.shape != target.shape:
        expected = f"of the shape of labels {target.shape}"
        raise arguments.reject(function, "norms", expected, norms.shape)
    norms = jnp.where(jnp.any(mask, axis=-1), norms.astype(target.dtype), 0)
    return jnp.where(norms >= 0, norms, jnp.nan)


def adaface_init(*, mean: float = 20.0, std: float = 100.0) -> NormStatistics:
    """Return the statistics of norms before training; the defaults are the authors'.

    Args:
      mean: a number, the norm expected.
      std: a number >= 0, how much norms are expected to vary.

    Returns:
      `NormStatistics` of two float32 numbers.

    Example:
      >>> import jaxloss as jl
      >>> print(jl.adaface_init().mean)
      20.0
    """
    zero = jnp.zeros((), jnp.float32)
    return NormStatistics(
        arguments.hyper("adaface_init", "mean", mean, zero),
        arguments.hyper("adaface_init", "std", std, zero, at_least=0.0),
    )


def adaface_update(
    statistics: NormStatistics,
    norms: ArrayLike,
    *,
    decay: ArrayLike = 0.99,
    where: ArrayLike | None = None,
    axis_name: reduction.AxisName = None,
) -> NormStatistics:
    """Return the statistics after a batch of norms, `decay * old + (1 - decay) * batch`.

    The standard deviation is the unbiased one; a batch of fewer than two norms leaves it alone, and
    one of none both.

    Args:
      statistics: those so far.
      norms: `[...]`, the batch's.
      decay: how much of the old remains, in [0, 1].
      where: `[...]`, True for what counts.
      axis_name: mapped axes over which the batch is split.

    Returns:
      `NormStatistics`, without gradient.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> before = jl.adaface_init(mean=20.0, std=4.0)
      >>> after = jl.adaface_update(before, jnp.array([30.0, 30.0]), decay=0.5)
      >>> print(after.mean, after.std)
      25.0 2.0
    """
    function = "adaface_update"
    (norms,), mask = arguments.elementwise(function, where, norms=norms)
    norms = lax.stop_gradient(norms)
    batch = reduction.average(norms, where=mask, axis_name=axis_name)
    deviation = norms - batch.value()
    squares = reduction.sum(deviation**2, where=mask, axis_name=axis_name)
    spread = numerics.sqrt(numerics.divide(squares, batch.weight - 1))
    return NormStatistics(
        _moved(function, statistics.mean, batch.value(), batch.weight > 0, decay),
        _moved(function, statistics.std, spread, batch.weight > 1, decay),
    )


def _moved(function: str, old: ArrayLike, new: Array, known: Array, decay: Any) -> Array:
    """Return a running mean after one more number, in the old one's dtype."""
    old = arguments.floating(function, "statistics", old)
    decay = arguments.hyper(function, "decay", decay, old, at_least=0.0, at_most=1.0)
    return jnp.where(known, decay * old + (1 - decay) * new.astype(old.dtype), old)


def curricularface_loss(
    cosines: ArrayLike,
    labels: ArrayLike,
    *,
    statistics: TargetStatistics,
    margin: ArrayLike = 0.5,
    scale: ArrayLike = 64.0,
    where: ArrayLike | None = None,
) -> Array:
    """`arcface_loss` that learns from hard negatives late: easy first, by its own progress.

    A negative class is hard where its cosine `c` exceeds the label's `cos(t + margin)`; it then
    counts as `c (r + c)`, with `r` the running mean of the labels' cosines. Early `r` is about 0
    and hard negatives count less, late they count more. Where a negative becomes hard the loss
    jumps (unless `r + c` is 1): the formula is the paper's, and the gradient that of either side.

    Past pi the label's cosine goes on as in `arcface_loss`.

    Args:
      cosines: `[..., classes]`, between features and class weights.
      labels: `[...]`, integers in `[0, classes)`.
      statistics: running mean of the labels' cosines, `TargetStatistics`; the authors update it
        with a batch before the loss of that batch.
      margin: what is added to the label's angle, radians in [0, pi / 2]; number or `[...]`.
      scale: what multiplies the cosines, > 0; number or `[...]`.
      where: True for what counts, `[..., classes]` or `[...]`.

    Returns:
      `[...]`, non-negative; NaN for a label out of range.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> loss = jl.curricularface_loss(  # 0 against 0.5 * 0.5: log(1 + exp(0.25))
      ...     jnp.array([0.5, 0.5]),
      ...     jnp.array(0),
      ...     statistics=jl.curricularface_init(),
      ...     margin=jnp.pi / 6,
      ...     scale=1.0,
      ... )
      >>> print(f"{loss:.4f}")
      0.8259

    Reference: Huang et al., CurricularFace (2020), section 3.2.
    """
    function = "curricularface_loss"
    cosines, target, is_label, mask = angular.cosines_of(function, cosines, labels, where)
    margin = arguments.hyper(
        function, "margin", margin, target, at_least=0.0, at_most=angular.RIGHT_ANGLE
    )
    progress = arguments.per_event(
        function, "statistics.target_cosine", statistics.target_cosine, cosines,
        at_least=-1.0, at_most=1.0,
    )  # fmt: skip
    target = angular.turned(target, margin)
    hard = cosines > target[..., None]
    cosines = jnp.where(hard, cosines * (progress + cosines), cosines)
    # A value that is not used above would hide what it should show: an impossible one is NaN.
    cosines = cosines * jnp.where(jnp.isnan(progress), jnp.nan, 1).astype(cosines.dtype)
    return angular.cross_entropy(function, scale, cosines, target, is_label, mask)


def curricularface_init() -> TargetStatistics:
    """Return the statistics before training: a mean cosine of 0.

    Returns:
      `TargetStatistics` of one float32 number.

    Example:
      >>> import jaxloss as jl
      >>> print(jl.curricularface_init().target_cosine)
      0.0
    """
    return TargetStatistics(jnp.zeros((), jnp.float32))


def curricularface_update(
    statistics: TargetStatistics,
    cosines: ArrayLike,
    labels: ArrayLike,
    *,
    decay: ArrayLike = 0.99,
    where: ArrayLike | None = None,
    axis_name: reduction.AxisName = None,
) -> TargetStatistics:
    """Return the statistics after a batch: the mean cosine of its labels is mixed in.

    `decay * old + (1 - decay) * mean`, the mean over all examples that count; none leave it alone.

    Args:
      statistics: those so far.
      cosines: `[..., classes]`, between features and class weights.
      labels: `[...]`, integers in `[0, classes)`; one out of range makes the statistics NaN.
      decay: how much of the old remains, in [0, 1].
      where: True for what counts, `[..., classes]` or `[...]`.
      axis_name: mapped axes over which the batch is split.

    Returns:
      `TargetStatistics`, without gradient.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> cosines = jnp.array([[0.75, 0.0], [0.5, 0.25]])
      >>> after = jl.curricularface_update(
      ...     jl.curricularface_init(), cosines, jnp.array([0, 1]), decay=0.5
      ... )
      >>> print(after.target_cosine)  # half of (0.75 + 0.25) / 2
      0.25
    """
    function = "curricularface_update"
    cosines, target, is_label, mask = angular.cosines_of(function, cosines, labels, where)
    # A label out of range is no class's: the NaN that it made of the cosines must not be lost.
    target = lax.stop_gradient(target + 0 * jnp.sum(jnp.where(mask, cosines, 0), axis=-1))
    seen = jnp.any(is_label, axis=-1) | (jnp.isnan(target) & jnp.any(mask, axis=-1))
    batch = reduction.average(target, where=seen, axis_name=axis_name)
    return TargetStatistics(
        _moved(function, statistics.target_cosine, batch.value(), batch.weight > 0, decay)
    )
