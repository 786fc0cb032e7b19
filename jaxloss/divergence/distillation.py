"""Divergences of a student's predictions from a teacher's."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxloss import arguments, numerics
from jaxloss.divergence import pair

Array = jax.Array


def distillation_loss(
    student_logits: ArrayLike,
    teacher_logits: ArrayLike,
    *,
    temperature: ArrayLike = 1.0,
    axis: arguments.Axis = -1,
    where: ArrayLike | None = None,
) -> Array:
    """Forward divergence of softened predictions, `T^2 KL(softmax(t / T) || softmax(s / T))`.

    `s` are the student's logits, `t` the teacher's, `T` the temperature. The factor `T^2` keeps
    gradients of one size at all temperatures; as `T` grows the loss tends to half the variance of
    `s - t` over the classes, which matches logits. The gradient is `T (softmax(s / T) -
    softmax(t / T))`; the teacher gets none (exchange roles by hand to train it). A share of hard
    labels is for you to add: `a * distillation_loss(...) + (1 - a) * cross_entropy`.

    Convention: a sum over the classes, not a mean; hard labels' cross-entropy is not included.

    Args:
      student_logits: `[..., classes]`, unnormalised log-probabilities.
      teacher_logits: `[..., classes]`, unnormalised log-probabilities, held constant.
      temperature: > 0; 1 is none, 2 to 5 is usual; number or `[...]`.
      axis: the axis or axes of the classes.
      where: True for what counts, `[..., classes]` to leave classes out of both softmaxes or
        `[...]`.

    Returns:
      `[...]`, non-negative, 0 only where the two predict the same.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.distillation_loss(jnp.array([1.0, 1.0]), jnp.array([0.0, -jnp.inf])))  # log(2)
      0.6931472

    Reference: Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network (2015),
    section 2.
    """
    function = "distillation_loss"
    (student, teacher), mask = arguments.events(
        function, axis, where, student_logits=student_logits, teacher_logits=teacher_logits
    )
    temperature = arguments.per_event(function, "temperature", temperature, student, above=0.0)
    log_q = _log_softmax(student / temperature, mask)
    # The teacher is what is imitated: it must not move towards its student.
    log_p = _log_softmax(lax.stop_gradient(teacher) / temperature, mask)
    p = jnp.exp(log_p)
    terms = pair.excess(p, jnp.exp(log_q), log_q - log_p)
    impossible = (p > 0) & (log_q <= pair.FLOOR)
    terms = temperature**2 * jnp.where(impossible, jnp.inf, terms)
    return arguments.masked(jnp.sum(terms, axis=-1), mask)


def _log_softmax(logits: Array, mask: Array) -> Array:
    return pair.present(-numerics.softmax(logits, mask).surprisal(), mask)
