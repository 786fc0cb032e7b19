"""Self-paced learning: each example weighed by how small its own loss is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxloss import arguments, numerics, reduction
from jaxloss.curriculum.examples import curriculum
from jaxloss.protocol import Decision

Array = jax.Array


def self_paced(
    threshold: float,
    *,
    form: str = "hard",
    lower: float | None = None,
    axis_name: reduction.AxisName = None,
) -> optax.GradientTransformationExtraArgs:
    """Self-paced learning: weigh each example by how small its loss `l` is against a threshold.

    Raise the threshold over training and the curriculum goes from easy to hard. Begin above the
    losses of the untrained model (`log(classes)` for a cross-entropy), or nothing is admitted and
    nothing learned. Against wrong labels lower it instead: they are learned last, and a threshold
    that falls in time keeps them out.

    With `t` the threshold, for `l < t` (and 0 otherwise):

    * `"hard"`: 1;
    * `"linear"`: `1 - l / t`;
    * `"logarithmic"`: `log(l + z) / log(z)` with `z = 1 - t`; needs `0 < t < 1`;
    * `"mixture"`: 1 up to `lower`, then `z (1 / l - 1 / t)` with `z = lower t / (t - lower)`.

    Losses of several tasks differ in scale: give each its own threshold with `optax.partition`.

    Args:
      threshold: `t`, in units of the loss, > 0. A number, or a traced scalar.
      form: one of the four above.
      lower: for `"mixture"`, in `(0, threshold)`.
      axis_name: mapped axes over which the share in the state is counted.

    Returns:
      A transformation with `CurriculumState`; losses keep their shapes.

    Raises:
      ValueError: for a form unknown, a threshold out of range, `lower` missing or out of place.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> curriculum = jl.curriculum.self_paced(2.0, form="linear")
      >>> losses = {"digit": jnp.array([0.0, 1.0, 8.0])}
      >>> weighted, state = curriculum.update(losses, curriculum.init(losses))
      >>> print(weighted["digit"], f"{state.admitted['digit']:.2f}")
      [0.  0.5 0. ] 0.67

    Reference: Kumar et al., Self-Paced Learning for Latent Variable Models (2010), the hard form;
    Jiang et al., Easy Samples First (2014), the linear, logarithmic and mixture forms.
    """
    weight = _weight_function("self_paced", form, threshold, lower)

    def step(losses: Array, mask: Array, memory: Any) -> Decision:
        del mask
        return Decision(weight(losses), memory)

    return curriculum("self_paced", step, axis_name=axis_name)


def _weight_function(
    function: str, form: str, threshold: Any, lower: Any
) -> Callable[[Array], Array]:
    """Check the hyper-parameters and return the weight as a function of the losses."""
    forms = {"hard": _hard, "linear": _linear, "logarithmic": _logarithmic, "mixture": _mixture}
    if form not in forms:
        raise arguments.reject(function, "form", f"one of {', '.join(forms)}", repr(form))
    if (lower is None) == (form == "mixture"):
        expected = "a number below threshold" if lower is None else "None"
        raise arguments.reject(function, "lower", f"{expected} for form={form!r}", lower)
    most = {"below": 1.0} if form == "logarithmic" else {}

    def weight(losses: Array) -> Array:
        scalar = jnp.zeros((), losses.dtype)
        t = arguments.hyper(function, "threshold", threshold, scalar, above=0.0, **most)
        if lower is None:
            return forms[form](losses, t, t)
        low = arguments.hyper(function, "lower", lower, scalar, above=0.0)
        return forms[form](losses, t, jnp.where(low < t, low, jnp.nan))

    # Called once for the errors of what is known already.
    weight(jnp.zeros((), jnp.float32))
    traced = any(isinstance(x, jax.core.Tracer) for x in (lower, threshold))
    if lower is not None and not traced and lower >= threshold:
        raise arguments.reject(function, "lower", f"below threshold {threshold}", lower)
    return weight


def _hard(losses: Array, threshold: Array, _: Array) -> Array:
    return jnp.where(jnp.isnan(threshold), jnp.nan, (losses < threshold).astype(losses.dtype))


def _linear(losses: Array, threshold: Array, _: Array) -> Array:
    return numerics.positive_part(1 - losses / threshold)


def _logarithmic(losses: Array, threshold: Array, _: Array) -> Array:
    zeta = 1 - threshold
    below = jnp.where(losses < threshold, losses, threshold)
    return jnp.log(below + zeta) / jnp.log(zeta)


def _mixture(losses: Array, threshold: Array, lower: Array) -> Array:
    zeta = lower * threshold / (threshold - lower)
    between = zeta * (1 / jnp.where(losses > lower, losses, threshold) - 1 / threshold)
    return jnp.where(losses <= lower, 1, numerics.positive_part(between))
