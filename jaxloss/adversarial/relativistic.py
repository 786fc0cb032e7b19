"""Objectives that ask whether a real sample looks more real than a fake one.

Conventions as in `jaxloss.adversarial.objectives`, but for these two: both functions look at both
logits, and the generator's is the discriminator's with real and fake exchanged. Adding a constant
to all logits changes nothing.
"""

from __future__ import annotations

from typing import Any

import jax
from jax.typing import ArrayLike

from jaxloss import arguments, numerics, reduction
from jaxloss.adversarial.objectives import Objective, prepare

Array = jax.Array


def relativistic_average_discriminator(
    real_logits: ArrayLike,
    fake_logits: ArrayLike,
    *,
    where: ArrayLike | None = None,
    axis_name: reduction.AxisName = None,
) -> Array:
    """Real against the average fake and fake against the average real.

    `softplus(mean(fake) - real) + softplus(fake - mean(real))`, means over the last axis.

    Args:
      real_logits: `[..., batch]`, what the discriminator says of data.
      fake_logits: `[..., batch]`, the same of generated samples.
      where: True for what counts, `[..., batch]` or `[...]`; what is masked is in no mean.
      axis_name: mapped axes over which the batch is split; the means are then the global ones.

    Returns:
      `[..., batch]`, non-negative; each depends on its whole batch.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> objective = jl.adversarial.relativistic_average
      >>> print(objective.discriminator(jnp.array([2.0, 2.0]), jnp.array([1.0, 3.0])))
      [1.0064089 2.006409 ]

    Reference: Jolicoeur-Martineau, The Relativistic Discriminator (2019), section 4.2, RaSGAN.
    """
    name = "relativistic_average.discriminator"
    return _against_average(name, real_logits, fake_logits, where, axis_name, sign=1)


def relativistic_average_generator(
    real_logits: ArrayLike,
    fake_logits: ArrayLike,
    *,
    where: ArrayLike | None = None,
    axis_name: reduction.AxisName = None,
) -> Array:
    """Fake against the average real and real against the average fake.

    `softplus(real - mean(fake)) + softplus(mean(real) - fake)`, means over the last axis. It wants
    fakes that look more real than data, and data that look less so.

    Args:
      real_logits: `[..., batch]`, what the discriminator says of data.
      fake_logits: `[..., batch]`, the same of generated samples.
      where: True for what counts, `[..., batch]` or `[...]`; what is masked is in no mean.
      axis_name: mapped axes over which the batch is split; the means are then the global ones.

    Returns:
      `[..., batch]`, non-negative; each depends on its whole batch.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> objective = jl.adversarial.relativistic_average
      >>> print(objective.generator(jnp.array([2.0, 2.0]), jnp.array([1.0, 3.0])))
      [2.006409  1.0064089]

    Reference: Jolicoeur-Martineau, The Relativistic Discriminator (2019), section 4.2, RaSGAN.
    """
    name = "relativistic_average.generator"
    return _against_average(name, real_logits, fake_logits, where, axis_name, sign=-1)


def _against_average(
    function: str, real: Any, fake: Any, where: Any, axis_name: Any, *, sign: int
) -> Array:
    (real, fake), mask = prepare(function, real, fake, where)
    if real.ndim == 0:
        raise arguments.reject(function, "real_logits", "of shape [..., batch]", "shape ()")
    mean = lambda x: reduction.mean(x, where=mask, axis=-1, axis_name=axis_name)[..., None]
    loss = numerics.softplus(sign * (mean(fake) - real))
    loss = loss + numerics.softplus(sign * (fake - mean(real)))
    return arguments.masked(loss, mask)


def relativistic_pairing_discriminator(
    real_logits: ArrayLike, fake_logits: ArrayLike, *, where: ArrayLike | None = None
) -> Array:
    """Cross-entropy of which of the two is real, `softplus(fake - real)`.

    Each fake is judged against its own real sample, so that no mode can be given up as a whole:
    the loss landscape has none of the bad basins that separable objectives have. With `r1_penalty`
    and `r2_penalty` it is the objective of R3GAN, and training converges locally.

    Args:
      real_logits: `[...]`, what the discriminator says of data.
      fake_logits: `[...]`, the same of generated samples.
      where: True for what counts.

    Returns:
      `[...]`, non-negative.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> objective = jl.adversarial.relativistic_pairing
      >>> print(objective.discriminator(jnp.array([5.0, 20.0]), jnp.array([5.0, 0.0])))
      [6.9314718e-01 2.0611537e-09]

    Reference: Jolicoeur-Martineau, The Relativistic Discriminator (2019), section 4.1, RSGAN; Huang
    et al., The GAN is dead; long live the GAN! (2024), section 2.
    """
    return _against_pair("relativistic_pairing.discriminator", real_logits, fake_logits, where, 1)


def relativistic_pairing_generator(
    real_logits: ArrayLike, fake_logits: ArrayLike, *, where: ArrayLike | None = None
) -> Array:
    """Cross-entropy of which of the two is fake, `softplus(real - fake)`.

    The gradient is close to -1 in the fake logit where the discriminator is sure of the pair.

    Args:
      real_logits: `[...]`, what the discriminator says of data.
      fake_logits: `[...]`, the same of generated samples.
      where: True for what counts.

    Returns:
      `[...]`, non-negative.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> objective = jl.adversarial.relativistic_pairing
      >>> print(objective.generator(jnp.array([5.0, 20.0]), jnp.array([5.0, 0.0])))
      [ 0.6931472 20.       ]

    Reference: Jolicoeur-Martineau, The Relativistic Discriminator (2019), section 4.1, RSGAN; Huang
    et al., The GAN is dead; long live the GAN! (2024), section 2.
    """
    return _against_pair("relativistic_pairing.generator", real_logits, fake_logits, where, -1)


def _against_pair(function: str, real: Any, fake: Any, where: Any, sign: int) -> Array:
    (real, fake), mask = prepare(function, real, fake, where)
    return arguments.masked(numerics.softplus(sign * (fake - real)), mask)


relativistic_average = Objective(relativistic_average_discriminator, relativistic_average_generator)
relativistic_pairing = Objective(relativistic_pairing_discriminator, relativistic_pairing_generator)
