"""Two losses that play against each other: the objectives of generative adversarial networks.

Each objective is a value of `Objective`. Conventions shared by all of them:

* A logit is what the discriminator (critic) says of one sample; high means real. `real_logits` are
  of data, `fake_logits` of samples of the generator, both `[...]`, in this order in both functions
  of every objective, so that one objective can be put in the place of another.
* The loss is `[...]`, one value for each pair of a real and a fake sample. The discriminator's is
  the sum of its two halves, not their average. Both functions are minimised.
* A generator that does not look at the real logits takes None for them; if they are given they
  must have the shape of the fake ones. No broadcasting.
* `where`: True for what counts, real and fake alike; shape of the logits or of their leading axes.
* `TypeError` for a wrong kind of number, `ValueError` for a wrong shape or hyper-parameter.

>>> import jax.numpy as jnp
>>> import jaxloss as jl
>>> objective = jl.adversarial.non_saturating
>>> real, fake = jnp.array([1.0, 0.0]), jnp.array([-1.0, 0.0])
>>> print(objective.discriminator(real, fake), objective.generator(real, fake))
[0.6265234 1.3862944] [1.3132617 0.6931472]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax.typing import ArrayLike

from jaxloss import arguments, numerics

Array = jax.Array


class Objective(NamedTuple):
    """What the discriminator and what the generator minimise.

    Both are called as `(real_logits, fake_logits, *, where=None)` and return one loss for each
    pair. An objective of your own is two such functions; hyper-parameters are put in with
    `functools.partial`.

    Attributes:
      discriminator: the loss of the discriminator.
      generator: the loss of the generator.
    """

    discriminator: Callable[..., Array]
    generator: Callable[..., Array]


def prepare(function: str, real: Any, fake: Any, where: Any) -> tuple[list[Array], Array | None]:
    """Convert, check and mask the logits of an objective."""
    return arguments.elementwise(function, where, real_logits=real, fake_logits=fake)


def prepare_fake(function: str, real: Any, fake: Any, where: Any) -> tuple[Array, Array | None]:
    """Do the same for a generator that does not look at the real logits, which may be None."""
    if real is None:
        (fake,), mask = arguments.elementwise(function, where, fake_logits=fake)
        return fake, mask
    (_, fake), mask = prepare(function, real, fake, where)
    return fake, mask


def minimax_discriminator(
    real_logits: ArrayLike, fake_logits: ArrayLike, *, where: ArrayLike | None = None
) -> Array:
    """Cross-entropy of telling real from fake, `softplus(-real) + softplus(fake)`.

    With `D = sigmoid(logit)` it is `-log D(real) - log(1 - D(fake))`. Its mean is least at the log
    of the ratio of the two densities, where it is `2 log 2` less twice the Jensen-Shannon
    divergence. The discriminator of `minimax` and of `non_saturating`.

    Args:
      real_logits: `[...]`, log-odds of being real, of data.
      fake_logits: `[...]`, the same of generated samples.
      where: True for what counts.

    Returns:
      `[...]`, non-negative.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.adversarial.minimax.discriminator(jnp.zeros(1), jnp.zeros(1)))  # 2 log(2)
      [1.3862944]

    Reference: Goodfellow et al., Generative Adversarial Nets (2014), eq. 1 and theorem 1.
    """
    return _cross_entropy("minimax.discriminator", real_logits, fake_logits, where)


def _cross_entropy(function: str, real: Any, fake: Any, where: Any) -> Array:
    (real, fake), mask = prepare(function, real, fake, where)
    return arguments.masked(numerics.softplus(-real) + numerics.softplus(fake), mask)


def minimax_generator(
    real_logits: ArrayLike | None, fake_logits: ArrayLike, *, where: ArrayLike | None = None
) -> Array:
    """What the discriminator wins of a fake, `log(1 - D(fake)) = -softplus(fake)`.

    The original game, of value zero. Its gradient `-D(fake)` vanishes where the discriminator is
    sure that the sample is fake, which is where the generator has most to learn:
    `non_saturating` is the same game with a gradient there.

    Args:
      real_logits: `[...]` or None, not looked at.
      fake_logits: `[...]`, log-odds of being real, of generated samples.
      where: True for what counts.

    Returns:
      `[...]`, at most 0, without lower bound.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.adversarial.minimax.generator(None, jnp.zeros(1)))  # -log(2)
      [-0.6931472]

    Reference: Goodfellow et al., Generative Adversarial Nets (2014), eq. 1.
    """
    fake, mask = prepare_fake("minimax.generator", real_logits, fake_logits, where)
    return arguments.masked(-numerics.softplus(fake), mask)


def non_saturating_discriminator(
    real_logits: ArrayLike, fake_logits: ArrayLike, *, where: ArrayLike | None = None
) -> Array:
    """Cross-entropy of telling real from fake, `softplus(-real) + softplus(fake)`.

    The discriminator of `minimax`; only the generators differ.

    Args:
      real_logits: `[...]`, log-odds of being real, of data.
      fake_logits: `[...]`, the same of generated samples.
      where: True for what counts.

    Returns:
      `[...]`, non-negative.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.adversarial.non_saturating.discriminator(jnp.zeros(1), jnp.zeros(1)))
      [1.3862944]

    Reference: Goodfellow et al., Generative Adversarial Nets (2014), eq. 1.
    """
    return _cross_entropy("non_saturating.discriminator", real_logits, fake_logits, where)


def non_saturating_generator(
    real_logits: ArrayLike | None, fake_logits: ArrayLike, *, where: ArrayLike | None = None
) -> Array:
    """Cross-entropy of a fake passed off as real, `-log D(fake) = softplus(-fake)`.

    Its gradient is that of `minimax` times `(1 - D) / D`, which is positive: the fixed point is
    the same, and the gradient is close to -1 where that of `minimax` is dead.

    Args:
      real_logits: `[...]` or None, not looked at.
      fake_logits: `[...]`, log-odds of being real, of generated samples.
      where: True for what counts.

    Returns:
      `[...]`, non-negative.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.adversarial.non_saturating.generator(None, jnp.array([0.0, -20.0])))
      [ 0.6931472 20.       ]

    Reference: Goodfellow et al., Generative Adversarial Nets (2014), section 3.
    """
    fake, mask = prepare_fake("non_saturating.generator", real_logits, fake_logits, where)
    return arguments.masked(numerics.softplus(-fake), mask)


def least_squares_discriminator(
    real_logits: ArrayLike,
    fake_logits: ArrayLike,
    *,
    real_target: ArrayLike = 1.0,
    fake_target: ArrayLike = 0.0,
    where: ArrayLike | None = None,
) -> Array:
    """Squared distance from two targets, `(real - real_target)^2 / 2 + (fake - fake_target)^2 / 2`.

    Convention: with the paper's one half, which some codes leave out; `real_target` is the
    paper's b and `fake_target` its a. The logit is not squashed. The mean is least at the average
    of the targets weighted with the two densities. With targets 1 and -1, and 0 for the
    generator, the game is one for the Pearson chi-squared divergence.

    Args:
      real_logits: `[...]`, what the discriminator says of data.
      fake_logits: `[...]`, the same of generated samples.
      real_target: what it should say of data; may broadcast.
      fake_target: what it should say of generated samples; may broadcast.
      where: True for what counts.

    Returns:
      `[...]`, non-negative.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.adversarial.least_squares.discriminator(jnp.array([3.0]), jnp.array([1.0])))
      [2.5]

    Reference: Mao et al., Least Squares Generative Adversarial Networks (2017), eq. 2.
    """
    function = "least_squares.discriminator"
    (real, fake), mask = prepare(function, real_logits, fake_logits, where)
    real_target = arguments.hyper(function, "real_target", real_target, real)
    fake_target = arguments.hyper(function, "fake_target", fake_target, fake)
    real_loss, fake_loss = map(numerics.half_square, (real - real_target, fake - fake_target))
    return arguments.masked(real_loss + fake_loss, mask)


def least_squares_generator(
    real_logits: ArrayLike | None,
    fake_logits: ArrayLike,
    *,
    target: ArrayLike = 1.0,
    where: ArrayLike | None = None,
) -> Array:
    """Squared distance from what the discriminator should say, `(fake - target)^2 / 2`.

    The gradient `fake - target` grows with the distance: it does not vanish where the
    discriminator is sure, and it pulls samples back that lie on the right side but far off.

    Args:
      real_logits: `[...]` or None, not looked at.
      fake_logits: `[...]`, what the discriminator says of generated samples.
      target: what it should say of them, the paper's c; may broadcast.
      where: True for what counts.

    Returns:
      `[...]`, non-negative.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.adversarial.least_squares.generator(None, jnp.array([-1.0, 1.0])))
      [2. 0.]

    Reference: Mao et al., Least Squares Generative Adversarial Networks (2017), eq. 2.
    """
    function = "least_squares.generator"
    fake, mask = prepare_fake(function, real_logits, fake_logits, where)
    target = arguments.hyper(function, "target", target, fake)
    return arguments.masked(numerics.half_square(fake - target), mask)


def hinge_discriminator(
    real_logits: ArrayLike, fake_logits: ArrayLike, *, where: ArrayLike | None = None
) -> Array:
    """Margins on either side, `max(0, 1 - real) + max(0, 1 + fake)`.

    Samples beyond their margin of 1 no longer train the discriminator. Kinks at `real = 1` and
    `fake = -1`, where the gradient given is 0.

    Args:
      real_logits: `[...]`, what the discriminator says of data.
      fake_logits: `[...]`, the same of generated samples.
      where: True for what counts.

    Returns:
      `[...]`, non-negative.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.adversarial.hinge.discriminator(jnp.array([0.5, 2.0]), jnp.array([0.5, -3.0])))
      [2. 0.]

    Reference: Lim and Ye, Geometric GAN (2017); Miyato et al., Spectral Normalization for
    Generative Adversarial Networks (2018), eq. 16.
    """
    (real, fake), mask = prepare("hinge.discriminator", real_logits, fake_logits, where)
    loss = numerics.positive_part(1 - real) + numerics.positive_part(1 + fake)
    return arguments.masked(loss, mask)


def hinge_generator(
    real_logits: ArrayLike | None, fake_logits: ArrayLike, *, where: ArrayLike | None = None
) -> Array:
    """The logit with its sign changed, `-fake`; no margin here.

    Args:
      real_logits: `[...]` or None, not looked at.
      fake_logits: `[...]`, what the discriminator says of generated samples.
      where: True for what counts.

    Returns:
      `[...]`, unbounded.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.adversarial.hinge.generator(None, jnp.array([0.5, -3.0])))
      [-0.5  3. ]

    Reference: Miyato et al., Spectral Normalization for Generative Adversarial Networks (2018),
    eq. 17.
    """
    fake, mask = prepare_fake("hinge.generator", real_logits, fake_logits, where)
    return arguments.masked(-fake, mask)


def wasserstein_discriminator(
    real_logits: ArrayLike, fake_logits: ArrayLike, *, where: ArrayLike | None = None
) -> Array:
    """How much higher the critic sets the fake than the real sample, `fake - real`.

    Its mean, with the sign changed, is at most the Wasserstein-1 distance of the two
    distributions for a critic that is 1-Lipschitz, and as large as one likes for others: see
    `wgan_gradient_penalty`.

    Args:
      real_logits: `[...]`, what the critic says of data.
      fake_logits: `[...]`, the same of generated samples.
      where: True for what counts.

    Returns:
      `[...]`, unbounded.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.adversarial.wasserstein.discriminator(jnp.array([3.0]), jnp.array([1.0])))
      [-2.]

    Reference: Arjovsky et al., Wasserstein Generative Adversarial Networks (2017), eq. 2 and 3.
    """
    (real, fake), mask = prepare("wasserstein.discriminator", real_logits, fake_logits, where)
    return arguments.masked(fake - real, mask)


def wasserstein_generator(
    real_logits: ArrayLike | None, fake_logits: ArrayLike, *, where: ArrayLike | None = None
) -> Array:
    """The critic's value with its sign changed, `-fake`.

    Args:
      real_logits: `[...]` or None, not looked at.
      fake_logits: `[...]`, what the critic says of generated samples.
      where: True for what counts.

    Returns:
      `[...]`, unbounded.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.adversarial.wasserstein.generator(None, jnp.array([3.0])))
      [-3.]

    Reference: Arjovsky et al., Wasserstein Generative Adversarial Networks (2017), theorem 3.
    """
    fake, mask = prepare_fake("wasserstein.generator", real_logits, fake_logits, where)
    return arguments.masked(-fake, mask)


minimax = Objective(minimax_discriminator, minimax_generator)
non_saturating = Objective(non_saturating_discriminator, non_saturating_generator)
least_squares = Objective(least_squares_discriminator, least_squares_generator)
hinge = Objective(hinge_discriminator, hinge_generator)
wasserstein = Objective(wasserstein_discriminator, wasserstein_generator)
