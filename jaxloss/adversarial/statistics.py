"""Losses against averages: of what a discriminator says, and of its inner features.

`TypeError` for a wrong kind of number, `ValueError` for a wrong shape or hyper-parameter.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxloss import arguments, numerics, reduction

Array = jax.Array


class LecamAnchors(NamedTuple):
    """Moving averages of what the discriminator says: the state of `lecam_regularization`.

    Attributes:
      real: number, the average of the logits of data.
      fake: number, that of generated samples.
      seen: boolean, whether any batch has gone into them.
    """

    real: Array
    fake: Array
    seen: Array


def lecam_init(dtype: Any = jnp.float32) -> LecamAnchors:
    """Return anchors that have seen nothing; the first batch sets them.

    Args:
      dtype: of the averages, which they keep.
    """
    return LecamAnchors(jnp.zeros((), dtype), jnp.zeros((), dtype), jnp.zeros((), bool))


def lecam_update(
    anchors: LecamAnchors,
    real_logits: ArrayLike,
    fake_logits: ArrayLike,
    *,
    decay: ArrayLike = 0.99,
    where: ArrayLike | None = None,
    axis_name: reduction.AxisName = None,
) -> LecamAnchors:
    """Move the anchors towards the means of a batch, `decay old + (1 - decay) mean`.

    The first batch sets them. A batch that is masked throughout leaves them as they are. No
    gradient passes: anchors are statistics.

    Args:
      anchors: from `lecam_init` or an earlier update.
      real_logits: `[...]`, what the discriminator says of data.
      fake_logits: `[...]`, the same of generated samples.
      decay: in [0, 1), how much of the old averages stays.
      where: True for what counts; shape of the logits or of their leading axes.
      axis_name: mapped axes over which the batch is split; the means are then the global ones.

    Returns:
      The new anchors.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxloss import adversarial
      >>> anchors = adversarial.lecam_init()
      >>> anchors = adversarial.lecam_update(anchors, jnp.array([2.0, 4.0]), jnp.array([-1.0, 0.0]))
      >>> anchors = adversarial.lecam_update(
      ...     anchors, jnp.array([5.0]), jnp.array([0.5]), decay=0.5)
      >>> print(anchors.real, anchors.fake)
      4.0 0.0

    Reference: Tseng et al., Regularizing GANs under Limited Training Data (2021), section 3.2.
    """
    function = "lecam_update"
    logits, mask = arguments.elementwise(
        function, where, real_logits=real_logits, fake_logits=fake_logits
    )
    decay = arguments.hyper(function, "decay", decay, anchors.real, at_least=0.0, below=1.0)
    # Statistics, not a way for gradients to reach what the discriminator said.
    real, fake = (
        reduction.average(lax.stop_gradient(x), where=mask, axis_name=axis_name) for x in logits
    )
    some = real.weight > 0
    kept = jnp.where(some, jnp.where(anchors.seen, decay, 0), 1)

    def moved(old: Array, part: reduction.Average) -> Array:
        return kept * old + (1 - kept) * part.value().astype(old.dtype)

    return LecamAnchors(moved(anchors.real, real), moved(anchors.fake, fake), anchors.seen | some)


def lecam_regularization(
    real_logits: ArrayLike,
    fake_logits: ArrayLike,
    *,
    real_anchor: ArrayLike,
    fake_anchor: ArrayLike,
    where: ArrayLike | None = None,
) -> Array:
    """Keep either side's logits near the other side's average.

    `(real - fake_anchor)^2 + (fake - real_anchor)^2`.

    For little data: it bounds how sure the discriminator may become, and with `wasserstein` it
    turns the game into one for the LeCam divergence. Small weights (0.01, 0.1) are usual.

    Convention: the paper's definition, which pulls on both sides of the anchors and has no one
    half. The code published with it leaves out the term of a real logit below `fake_anchor`, and
    of a fake one above `real_anchor`.

    Args:
      real_logits: `[...]`, what the discriminator says of data.
      fake_logits: `[...]`, the same of generated samples.
      real_anchor: moving average of the real logits (`lecam_update`); may broadcast.
      fake_anchor: moving average of the fake logits; may broadcast.
      where: True for what counts.

    Returns:
      `[...]`, non-negative.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> anchors = jl.adversarial.LecamAnchors(2.0, -1.0, True)
      >>> print(jl.lecam_regularization(
      ...     jnp.array([1.0]), jnp.array([-1.0]),
      ...     real_anchor=anchors.real, fake_anchor=anchors.fake))  # 2^2 + 3^2
      [13.]

    Reference: Tseng et al., Regularizing GANs under Limited Training Data (2021), section 3.2.
    """
    function = "lecam_regularization"
    (real, fake), mask = arguments.elementwise(
        function, where, real_logits=real_logits, fake_logits=fake_logits
    )
    real_anchor = arguments.hyper(function, "real_anchor", real_anchor, real)
    fake_anchor = arguments.hyper(function, "fake_anchor", fake_anchor, fake)
    return arguments.masked((real - fake_anchor) ** 2 + (fake - real_anchor) ** 2, mask)


def feature_matching_loss(
    real_features: ArrayLike,
    fake_features: ArrayLike,
    *,
    where: ArrayLike | None = None,
    axis_name: reduction.AxisName = None,
) -> Array:
    """Squared distance between the mean features of two batches, `norm(mean(real) - mean(fake))^2`.

    A goal for the generator that does not move with every step of the discriminator: the fakes
    are to have the features of data on average, in some inner layer of it. Only means are
    matched, so that it is 0 for quite different distributions. No one half.

    Args:
      real_features: `[..., batch, features]`, of data.
      fake_features: `[..., batch, features]`, of generated samples.
      where: `[..., batch]` or `[...]`, True for what counts, real and fake alike.
      axis_name: mapped axes over which the batch is split; the means are then the global ones, and
        a gradient taken inside `shard_map` is complete, as that of `jaxloss.mean`.

    Returns:
      `[...]`, one number for each batch, non-negative.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> real, fake = jnp.array([[1.0, 2.0], [3.0, 4.0]]), jnp.array([[1.0, 0.0], [1.0, 0.0]])
      >>> print(jl.feature_matching_loss(real, fake))  # (2 - 1)^2 + (3 - 0)^2
      10.0

    Reference: Salimans et al., Improved Techniques for Training GANs (2016), section 3.1.
    """
    (real, fake), _, mask = arguments.members(
        "feature_matching_loss", where, real_features=real_features, fake_features=fake_features
    )
    count = reduction.sum_across(jnp.sum(mask.astype(real.dtype), axis=-1), axis_name)
    # Divided before they are added up: the sum of many large features may not fit.
    shares = numerics.divide(real - fake, count[..., None, None])
    difference = reduction.sum_across(jnp.sum(shares, axis=-2), axis_name)
    return arguments.masked(jnp.sum(difference**2, axis=-1), count > 0)
