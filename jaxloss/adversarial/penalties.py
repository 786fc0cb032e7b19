"""Penalties of a discriminator's slope, which keep it smooth.

Conventions shared by every function of this module:

* `critic` is a function from a batch `[b, ...]` to one number for each example `[b]`, with its
  parameters put in. Its examples must not see each other (no batch normalisation): the gradient of
  one example's value would then be that of its neighbours' as well.
* `real` and `fake` are `[b, ...]`, of equal shapes; the penalty is `[b]`.
* The norm of the gradient is taken for each example over all its other axes.
* Where the gradient is the zero vector its norm is given the gradient 0, the one of least norm.
* Nothing is multiplied by a weight: that of the penalty in the whole loss (`lambda`, 10 in most
  papers; `gamma`) is yours. A penalty used every k-th step only wants k times the weight.
* `where`: `[b]`, True for what counts. What is masked reaches the critic as zeros.
* Randomness comes in by an explicit `key`, or as the random numbers themselves.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloss import arguments, numerics

Array = jax.Array
Critic = Callable[[Array], Array]


def wgan_gradient_penalty(
    critic: Critic,
    real: ArrayLike,
    fake: ArrayLike,
    *,
    mix: ArrayLike | None = None,
    key: Array | None = None,
    target_norm: ArrayLike = 1.0,
    where: ArrayLike | None = None,
) -> Array:
    """Squared distance of the critic's slope from 1 between real and fake.

    `(norm(grad critic(x)) - target_norm)^2` at `x = mix real + (1 - mix) fake`.

    A critic that attains the Wasserstein distance has slope 1 almost everywhere on the lines
    between the samples that it pairs. `target_norm = 0` penalises any slope. There is no one half,
    and slopes below the target cost as well as those above.

    Args:
      critic: `[b, ...] -> [b]`, with no coupling between examples.
      real: `[b, ...]`, data.
      fake: `[b, ...]`, generated samples.
      mix: `[b]` or a number, in [0, 1], the share of the real sample; or give a key.
      key: draws `mix` uniformly, one for each example.
      target_norm: >= 0; a number or `[b]`.
      where: `[b]`, True for what counts.

    Returns:
      `[b]`, non-negative.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> import jaxloss as jl
      >>> critic = lambda x: 3.0 * x[:, 0] + 4.0 * x[:, 1]  # slope 5 everywhere
      >>> real, fake = jnp.ones((2, 2)), jnp.zeros((2, 2))
      >>> print(jl.wgan_gradient_penalty(critic, real, fake, key=jax.random.key(0)))
      [16. 16.]

    Reference: Gulrajani et al., Improved Training of Wasserstein GANs (2017), eq. 3.
    """
    function = "wgan_gradient_penalty"
    (real, fake), mask = _batches(function, where, real=real, fake=fake)
    shape, dtype = real.shape[:1], real.dtype
    uniform = lambda key: jax.random.uniform(key, shape, dtype)
    mix = given_or_drawn(function, "mix", mix, key, uniform)
    mix = arguments.expand_right(_shares(function, mix, _numbers(real), mask), real.ndim)
    between = mix * real + (1 - mix) * fake
    return _distance_from_norm(function, critic, between, target_norm, mask)


def _shares(function: str, mix: Any, like: Array, mask: Array | None) -> Array:
    """Convert the shares of the real samples; one that is no share becomes NaN."""
    mix = arguments.real(function, "mix", mix)
    arguments.broadcastable(function, "mix", mix.shape, like.shape)
    mix = jnp.broadcast_to(mix.astype(like.dtype), like.shape)
    mix = jnp.where((mix >= 0) & (mix <= 1), mix, jnp.nan)
    return mix if mask is None else jnp.where(mask, mix, 0)


def dragan_penalty(
    critic: Critic,
    real: ArrayLike,
    *,
    noise: ArrayLike | None = None,
    key: Array | None = None,
    scale: ArrayLike = 0.5,
    target_norm: ArrayLike = 1.0,
    where: ArrayLike | None = None,
) -> Array:
    """Squared distance of the discriminator's slope from 1 around the data.

    `(norm(grad critic(x)) - target_norm)^2` at `x = real + scale noise`.

    Convention: the paper's Gaussian noise, of standard deviation `scale` in the units of the data.
    The code published with it draws `0.5 std(real)` times a number in [0, 1), to one side only:
    `noise=jax.random.uniform(key, real.shape), scale=0.5 * jnp.std(real)`.

    Args:
      critic: `[b, ...] -> [b]`, with no coupling between examples.
      real: `[b, ...]`, data.
      noise: `[b, ...]`; or give a key.
      key: draws `noise` from the standard normal distribution.
      scale: what the noise is multiplied by, >= 0; a number or `[b]`.
      target_norm: >= 0; a number or `[b]`.
      where: `[b]`, True for what counts.

    Returns:
      `[b]`, non-negative.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> import jaxloss as jl
      >>> critic = lambda x: 3.0 * x[:, 0] + 4.0 * x[:, 1]  # slope 5 everywhere
      >>> print(jl.dragan_penalty(critic, jnp.ones((2, 2)), key=jax.random.key(0)))
      [16. 16.]

    Reference: Kodali et al., On Convergence and Stability of GANs (2017), section 2.
    """
    function = "dragan_penalty"
    real = arguments.floating(function, "real", real)
    dtype = arguments.working_dtype(real)
    normal = lambda key: jax.random.normal(key, real.shape, dtype)
    noise = given_or_drawn(function, "noise", noise, key, normal)
    (real, noise), mask = _batches(function, where, real=real, noise=noise)
    scale = arguments.hyper(function, "scale", scale, _numbers(real), at_least=0.0)
    scale = arguments.expand_right(scale, real.ndim)
    return _distance_from_norm(function, critic, real + scale * noise, target_norm, mask)


def r1_penalty(critic: Critic, real: ArrayLike, *, where: ArrayLike | None = None) -> Array:
    """Half the squared slope of the discriminator on data, `norm(grad critic(real))^2 / 2`.

    It takes from the discriminator the slope across the data that lets the game circle without
    end: with it, training converges locally. Zero where the discriminator is flat.

    Convention: the paper's one half is in here and its weight gamma is not; `gamma * mean(...)` is
    the paper's regulariser. Where a code writes `gamma mean(norm^2)`, its gamma is half of ours.

    Args:
      critic: `[b, ...] -> [b]`, with no coupling between examples.
      real: `[b, ...]`, data.
      where: `[b]`, True for what counts.

    Returns:
      `[b]`, non-negative.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> critic = lambda x: jnp.sum(x**2, axis=-1)
      >>> print(jl.r1_penalty(critic, jnp.array([[3.0, 4.0], [0.0, 0.0]])))  # slope 10, and 0
      [50.  0.]

    Reference: Mescheder et al., Which Training Methods for GANs do actually Converge? (2018),
    eq. 9.
    """
    (real,), mask = _batches("r1_penalty", where, real=real)
    return arguments.masked(_half_square(_gradients("r1_penalty", critic, real)), mask)


def r2_penalty(critic: Critic, fake: ArrayLike, *, where: ArrayLike | None = None) -> Array:
    """Half the squared slope of the discriminator on fakes, `norm(grad critic(fake))^2 / 2`.

    `r1_penalty` on generated samples. Early in training, when the two do not overlap, R1 says
    nothing of where the fakes are; both together are the regularisers of R3GAN. Stop the gradient
    into the generator where only the discriminator is to be penalised.

    Args:
      critic: `[b, ...] -> [b]`, with no coupling between examples.
      fake: `[b, ...]`, generated samples.
      where: `[b]`, True for what counts.

    Returns:
      `[b]`, non-negative.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> critic = lambda x: jnp.sum(x**2, axis=-1)
      >>> print(jl.r2_penalty(critic, jnp.array([[3.0, 4.0], [0.0, 0.0]])))  # slope 10, and 0
      [50.  0.]

    Reference: Mescheder et al., Which Training Methods for GANs do actually Converge? (2018),
    eq. 10.
    """
    (fake,), mask = _batches("r2_penalty", where, fake=fake)
    return arguments.masked(_half_square(_gradients("r2_penalty", critic, fake)), mask)


def _batches(function: str, where: Any, **data: Any) -> tuple[list[Array], Array | None]:
    """Prepare batches `[b, ...]` whose mask is `[b]`."""
    (name, first), *_ = data.items()
    first = arguments.floating(function, name, first)
    if first.ndim == 0:
        raise arguments.reject(function, name, "a batch, of shape [b, ...]", "shape ()")
    arrays, _ = arguments.elementwise(function, None, **data)
    mask = arguments.mask_like(function, where, _numbers(first))
    if mask is not None:
        wide = arguments.expand_right(mask, first.ndim)
        arrays = [jnp.where(wide, a, 0) for a in arrays]
    return arrays, mask


def _numbers(batch: Array) -> Array:
    """Return an array with one number for each example of a batch."""
    return jnp.zeros(batch.shape[:1], arguments.working_dtype(batch))


def given_or_drawn(
    function: str, name: str, given: Any, key: Any, draw: Callable[[Array], Array]
) -> Any:
    """Return the random numbers that were given, or draw them; exactly one must be possible."""
    if (given is None) == (key is None):
        found = "neither" if given is None else "both"
        raise arguments.reject(function, name, "given, or a key to draw it with", found)
    return draw(key) if given is None else given


def _gradients(function: str, critic: Critic, batch: Array) -> Array:
    """Return the gradient of each example's value, flattened to `[b, entries]`."""

    def total(batch: Array) -> Array:
        values = critic(batch)
        if jnp.shape(values) != batch.shape[:1]:
            expected = f"a function to one number for each example, shape {batch.shape[:1]}"
            raise arguments.reject(function, "critic", expected, f"shape {jnp.shape(values)}")
        return jnp.sum(values)

    return jax.grad(total)(batch).reshape(batch.shape[0], math.prod(batch.shape[1:]))


def _half_square(gradients: Array) -> Array:
    return 0.5 * jnp.sum(gradients**2, axis=-1)


def _distance_from_norm(
    function: str, critic: Critic, batch: Array, target_norm: Any, mask: Array | None
) -> Array:
    target = arguments.hyper(function, "target_norm", target_norm, _numbers(batch), at_least=0.0)
    size = numerics.norm(_gradients(function, critic, batch))
    return arguments.masked((size - target) ** 2, mask)
