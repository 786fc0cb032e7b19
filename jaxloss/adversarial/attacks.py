"""Perturbations of the inputs that a model takes badly: what adversarial training is trained on.

They are no losses: they return inputs, and the loss is taken of the model there
(`adversarial_cross_entropy`, `trades_loss`, `virtual_adversarial_loss`, or any other).
Conventions shared by all of them:

* `inputs` are `[b, ...]`; `loss_fn` is a function from inputs to one loss for each example, `[b]`,
  with parameters and labels put in. Its examples must not see each other.
* `radius` is the greatest distance from the inputs, >= 0, a number or `[b]`; norms are taken for
  each example over all its other axes. At radius 0 the inputs themselves come back.
* Where the gradient is zero no step is taken.
* `bounds`: the lowest and the highest value that an input can have, in which the inputs lie and
  which the perturbed ones keep; None for no bounds.
* What comes back is data: no gradient passes through it. It is at least float32.
* Randomness comes in by an explicit `key`, or as the random numbers themselves.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxloss import arguments, numerics
from jaxloss.adversarial.penalties import given_or_drawn

Array = jax.Array
Bounds = tuple[float, float] | None
NORMS = ("inf", "l2")


def fgsm(
    loss_fn: Callable[[Array], Array],
    inputs: ArrayLike,
    *,
    radius: ArrayLike,
    bounds: Bounds = None,
) -> Array:
    """One step to the corner of a box: `inputs + radius sign(grad loss_fn(inputs))`.

    The worst perturbation of its size for a loss that is linear in the inputs; for one that is
    convex the loss cannot fall. On other models it can: `pgd` keeps the worst it has seen.

    Args:
      loss_fn: `[b, ...] -> [b]`.
      inputs: `[b, ...]`.
      radius: of the box, >= 0; a number or `[b]`.
      bounds: lowest and highest value of an input, or None.

    Returns:
      `[b, ...]`, the perturbed inputs.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxloss import adversarial
      >>> loss_fn = lambda x: x[:, 0] ** 2 - x[:, 1]
      >>> print(adversarial.fgsm(loss_fn, jnp.array([[1.0, 1.0], [0.0, 0.0]]), radius=0.5))
      [[ 1.5  0.5]
       [ 0.  -0.5]]

    Reference: Goodfellow et al., Explaining and Harnessing Adversarial Examples (2015), section 4.
    """
    x, radius = _prepare("fgsm", inputs, radius)
    _, slope = _loss_and_slope("fgsm", loss_fn, x)
    return lax.stop_gradient(_clip(x + radius * jnp.sign(slope), _limits("fgsm", bounds)))


def pgd(
    loss_fn: Callable[[Array], Array],
    inputs: ArrayLike,
    *,
    radius: ArrayLike,
    step_size: ArrayLike,
    steps: int,
    norm: str = "inf",
    key: Array | None = None,
    bounds: Bounds = None,
) -> Array:
    """Climb the loss in steps of fixed size and project back into a ball around the inputs.

    Each step goes along the sign of the gradient (`norm="inf"`) or its direction (`"l2"`). Of all
    points on the way and the inputs themselves each example keeps the one of greatest loss, so
    that the loss is never below the clean one.

    Args:
      loss_fn: `[b, ...] -> [b]`.
      inputs: `[b, ...]`.
      radius: of the ball, >= 0; a number or `[b]`.
      step_size: >= 0; a number or `[b]`. `2.5 radius / steps` reaches all of the ball.
      steps: how many, >= 1; static.
      norm: "inf" for a box, "l2" for a Euclidean ball; static.
      key: starts from a random point of the ball, uniformly; None starts from the inputs.
      bounds: lowest and highest value of an input, or None.

    Returns:
      `[b, ...]`, the perturbed inputs.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxloss import adversarial
      >>> loss_fn = lambda x: 3.0 * x[:, 0] + 4.0 * x[:, 1]
      >>> print(adversarial.pgd(
      ...     loss_fn, jnp.zeros((1, 2)), radius=5.0, step_size=2.0, steps=4, norm="l2"))
      [[3. 4.]]

    Reference: Madry et al., Towards Deep Learning Models Resistant to Adversarial Attacks (2018),
    section 2.1; the L2 step as in Rice et al., Overfitting in Adversarially Robust Deep Learning
    (2020), section 3.
    """
    function = "pgd"
    x, radius = _prepare(function, inputs, radius)
    _, step_size = _prepare(function, inputs, step_size, "step_size")
    if norm not in NORMS:
        raise arguments.reject(function, "norm", f"one of {', '.join(NORMS)}", repr(norm))
    count = _count(function, "steps", steps)
    limits = _limits(function, bounds)
    direction, inside = (jnp.sign, _in_box) if norm == "inf" else (_unit, _in_ball)

    def into(moved: Array) -> Array:
        return _clip(x + inside(moved, radius), limits)

    def climb(_: Any, state: tuple[Array, tuple[Array, Array]]) -> Any:
        point, best = state
        losses, slope = _loss_and_slope(function, loss_fn, point)
        onward = into(point - x + step_size * direction(slope))
        return onward, _worse(best, point, losses)

    start = x if key is None else into(radius * _random_unit_ball(key, x, norm))
    clean = (x, _losses(function, loss_fn, x))
    point, best = lax.fori_loop(0, count, climb, (start, clean))
    return lax.stop_gradient(_worse(best, point, _losses(function, loss_fn, point))[0])


def virtual_adversarial_perturbation(
    logits_fn: Callable[[Array], Array],
    inputs: ArrayLike,
    *,
    radius: ArrayLike,
    noise: ArrayLike | None = None,
    key: Array | None = None,
    iterations: int = 1,
    bounds: Bounds = None,
) -> Array:
    """Step in the direction in which the predicted distribution changes most, without a label.

    The divergence `KL(p(inputs) || p(inputs + r))` is `r^T H r / 2` for small `r`; the step is
    `radius` times the first eigenvector of `H`, by power iteration from a random start. `H d` is
    computed exactly, from one forward and one backward derivative of the logits, where the paper
    takes a finite difference.

    Args:
      logits_fn: `[b, ...] -> [b, classes]`, with no coupling between examples.
      inputs: `[b, ...]`.
      radius: Euclidean length of the step, >= 0; a number or `[b]`.
      noise: `[b, ...]`, the start of the iteration, of any length; or give a key.
      key: draws `noise` from the standard normal distribution.
      iterations: of the power method, >= 1; 1 is the paper's choice; static.
      bounds: lowest and highest value of an input, or None.

    Returns:
      `[b, ...]`, the perturbed inputs.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from jaxloss import adversarial
      >>> logits_fn = lambda x: jnp.stack([3.0 * x[:, 0], 0.0 * x[:, 1]], axis=-1)
      >>> start = jnp.array([[1.0, 1.0]])
      >>> print(adversarial.virtual_adversarial_perturbation(
      ...     logits_fn, jnp.zeros((1, 2)), radius=2.0, noise=start))
      [[2. 0.]]

    Reference: Miyato et al., Virtual Adversarial Training (2018), section 3.3, eq. 12 to 14.
    """
    function = "virtual_adversarial_perturbation"
    x, radius = _prepare(function, inputs, radius)
    normal = lambda key: jax.random.normal(key, x.shape, x.dtype)
    noise = given_or_drawn(function, "noise", noise, key, normal)
    (start,), _ = arguments.elementwise(function, None, noise=noise)
    arguments.same_shape(function, inputs=x, noise=start)
    count = _count(function, "iterations", iterations)
    logits, push = jax.linearize(logits_fn, x)
    if logits.ndim != 2 or logits.shape[0] != x.shape[0]:
        expected = f"a function to logits of shape ({x.shape[0]}, classes)"
        raise arguments.reject(function, "logits_fn", expected, f"shape {logits.shape}")
    pull = jax.linear_transpose(push, x)
    p = jax.nn.softmax(logits, axis=-1)

    def power(_: Any, d: Array) -> Array:
        change = push(d)
        weighted = p * (change - jnp.sum(p * change, axis=-1, keepdims=True))
        return _unit(pull(weighted)[0])

    direction = lax.fori_loop(0, count, power, _unit(start.astype(x.dtype)))
    return lax.stop_gradient(_clip(x + radius * direction, _limits(function, bounds)))


def _prepare(
    function: str, inputs: Any, distance: Any, name: str = "radius"
) -> tuple[Array, Array]:
    """Return the inputs, and a distance that broadcasts to them."""
    (x,), _ = arguments.elementwise(function, None, inputs=inputs)
    if x.ndim == 0:
        raise arguments.reject(function, "inputs", "a batch, of shape [b, ...]", "shape ()")
    numbers = jnp.zeros(x.shape[:1], x.dtype)
    distance = arguments.hyper(function, name, distance, numbers, at_least=0.0)
    return x, arguments.expand_right(distance, x.ndim)


def _count(function: str, name: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise arguments.reject(function, name, "an integer, at least 1", repr(value))
    return value


def _limits(function: str, bounds: Any) -> Bounds:
    if bounds is not None and not (len(bounds) == 2 and bounds[0] <= bounds[1]):
        expected = "a pair (lowest, highest), or None"
        raise arguments.reject(function, "bounds", expected, bounds)
    return bounds


def _clip(x: Array, limits: Bounds) -> Array:
    return x if limits is None else jnp.clip(x, *limits)


def _losses(function: str, loss_fn: Callable[[Array], Array], x: Array) -> Array:
    losses = loss_fn(x)
    if jnp.shape(losses) != x.shape[:1]:
        expected = f"a function to one loss for each example, shape {x.shape[:1]}"
        raise arguments.reject(function, "loss_fn", expected, f"shape {jnp.shape(losses)}")
    return losses


def _loss_and_slope(
    function: str, loss_fn: Callable[[Array], Array], x: Array
) -> tuple[Array, Array]:
    def total(x: Array) -> tuple[Array, Array]:
        losses = _losses(function, loss_fn, x)
        return jnp.sum(losses), losses

    (_, losses), slope = jax.value_and_grad(total, has_aux=True)(x)
    return losses, slope


def _worse(best: tuple[Array, Array], point: Array, losses: Array) -> tuple[Array, Array]:
    """Return, for each example, the point of greater loss and that loss."""
    greater = losses > best[1]
    chosen = jnp.where(arguments.expand_right(greater, point.ndim), point, best[0])
    return chosen, jnp.where(greater, losses, best[1])


def _in_box(moved: Array, radius: Array) -> Array:
    return jnp.clip(moved, -radius, radius)


def _in_ball(moved: Array, radius: Array) -> Array:
    size = numerics.norm(_flat(moved))
    size = arguments.expand_right(size, moved.ndim)
    return jnp.where(size > radius, radius * _unit(moved), moved)


def _unit(x: Array) -> Array:
    """Return the direction of each example; the zero vector stays."""
    nothing = jnp.zeros(x.shape[:1], x.dtype)
    return numerics.unit(_flat(x), nothing)[0].reshape(x.shape)


def _flat(x: Array) -> Array:
    return x.reshape(x.shape[0], math.prod(x.shape[1:]))


def _random_unit_ball(key: Array, like: Array, norm: str) -> Array:
    """Draw points of the unit ball, uniformly, one for each example."""
    if norm == "inf":
        return jax.random.uniform(key, like.shape, like.dtype, -1, 1)
    direction, length = jax.random.split(key)
    size = _flat(like).shape[-1]
    distance = jax.random.uniform(length, like.shape[:1], like.dtype) ** (1 / size)
    towards = _unit(jax.random.normal(direction, like.shape, like.dtype))
    return arguments.expand_right(distance, like.ndim) * towards
