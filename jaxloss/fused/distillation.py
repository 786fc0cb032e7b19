"""Distillation from one last linear layer to another, without the logits of either in memory."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxloss import arguments, reduction
from jaxloss.fused import rows
from jaxloss.fused.layer import layer, product

Array = jax.Array


def average_linear_distillation_loss(
    student_features: ArrayLike,
    student_kernel: ArrayLike,
    teacher_features: ArrayLike,
    teacher_kernel: ArrayLike,
    *,
    student_bias: ArrayLike | None = None,
    teacher_bias: ArrayLike | None = None,
    temperature: ArrayLike = 1.0,
    student_share: ArrayLike = 0.0,
    where: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    axis_name: reduction.AxisName = None,
) -> reduction.Average:
    """Mean divergence of a student's softened predictions from a teacher's, both linear layers.

    With `student_share` 0 the mean of `distillation_loss(student_logits, teacher_logits,
    temperature=T)`, `T^2 KL(t || s)`. Else the generalised Jensen-Shannon divergence `T^2 ((1 - b)
    KL(t || m) + b KL(s || m))` with `m = (1 - b) t + b s` and `b` the share; 0.5 is the symmetric
    one. Four matrix products, three for the student and one for the teacher, which gets no
    gradient. Otherwise as `average_linear_softmax_cross_entropy`.

    Args:
      student_features: `[..., D]`.
      student_kernel: `[D, V]`.
      teacher_features: `[..., E]`, held constant as is all of the teacher.
      teacher_kernel: `[E, V]`.
      student_bias: `[V]`.
      teacher_bias: `[V]`.
      temperature: > 0.
      student_share: in [0, 1).
      where: True for what counts, `[...]`.
      weights: how much each row counts, >= 0, `[...]`.
      axis_name: mapped axes over which the rows are split.

    Returns:
      `Average(total, weight)`, two numbers.

    Raises:
      TypeError, ValueError: for shapes, dtypes or hyper-parameters that do not fit.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> student, teacher = jnp.array([[0.0, 1.0]]), jnp.array([[2.0, 1.0]])
      >>> loss = jl.fused.average_linear_distillation_loss(student, jnp.eye(2), teacher, jnp.eye(2))
      >>> print(loss.value().round(3), jl.distillation_loss(student, teacher)[0].round(3))
      0.462 0.462

    Reference: Hinton et al., Distilling the Knowledge in a Neural Network (2015), section 2;
    Agarwal et al., On-Policy Distillation of Language Models (2024), eq. 1.
    """
    function = "average_linear_distillation_loss"
    student = layer(function, student_features, student_kernel, student_bias, where, "student_")
    teacher = layer(function, teacher_features, teacher_kernel, teacher_bias, where, "teacher_")
    same = {"student_features": student.mask, "teacher_features": teacher.mask}
    arguments.same_shape(function, **same)
    if student.problem.kernel.shape[1] != teacher.problem.kernel.shape[1]:
        expected = f"of {student.problem.kernel.shape[1]} columns, as the student's"
        found = f"{teacher.problem.kernel.shape[1]}"
        raise arguments.reject(function, "teacher_kernel", expected, found)
    like = jnp.zeros((), student.problem.weights.dtype)
    share = arguments.hyper(function, "student_share", student_share, like, at_least=0.0, below=1.0)
    hyper = {"temperature": arguments.hyper(function, "temperature", temperature, like, above=0.0)}
    mixed = not (isinstance(student_share, int | float) and student_share == 0)
    hyper |= {"share": share} if mixed else {}
    held = lax.stop_gradient(teacher.problem)
    given = rows.Given(held.features, (held.kernel, held.bias))
    return student.average(_divergence, given, hyper, weights, axis_name)


def _divergence(logits: Array, given: rows.Given, hyper: dict[str, Array]) -> Array:
    kernel, bias = given.constants
    teacher = product(given.rows, kernel, logits.dtype)
    teacher = teacher if bias is None else teacher + bias[None].astype(logits.dtype)
    temperature = hyper["temperature"]
    log_s, log_t = (jax.nn.log_softmax(x / temperature, axis=-1) for x in (logits, teacher))
    if "share" not in hyper:
        return temperature**2 * _kl(log_t, log_s)
    share = hyper["share"]
    log_m = jnp.logaddexp(jnp.log1p(-share) + log_t, jnp.log(share) + log_s)
    return temperature**2 * ((1 - share) * _kl(log_t, log_m) + share * _kl(log_s, log_m))


def _kl(log_p: Array, log_q: Array) -> Any:
    # Non-negative term by term, so that rounding cannot make the sum negative.
    ratio = log_q - log_p
    return jnp.sum(jnp.exp(log_p) * (jnp.expm1(ratio) - ratio), axis=-1)
