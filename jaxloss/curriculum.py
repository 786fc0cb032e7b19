"""Curricula: transformations of per-example losses that decide which examples count now.

Each is an `optax.GradientTransformationExtraArgs` on a tree of losses: a leaf is a task, its axes
are the examples. Chain it before `jaxloss.reduce_mean()`. Masks travel as the extra argument
`where=` (one array, or a tree like the losses); factories take plain floats, so that
`optax.inject_hyperparams` turns any of them into a schedule; state does not depend on the number
of examples.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from jaxloss import arguments, numerics, reduction

Array = jax.Array


class SelfPacedState(NamedTuple):
    """What the curriculum let through.

    Attributes:
      admitted: a tree like the losses; for each task the share in [0, 1] of valid examples with a
        positive weight in the last update.
    """

    admitted: Any


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

    Weights are constants to autodiff. With `t` the threshold, for `l < t` (and 0 otherwise):

    * `"hard"`: 1;
    * `"linear"`: `1 - l / t`;
    * `"logarithmic"`: `log(l + z) / log(z)` with `z = 1 - t`; needs `0 < t < 1`;
    * `"mixture"`: 1 up to `lower`, then `z (1 / l - 1 / t)` with `z = lower t / (t - lower)`.

    Masked examples become 0 and are not counted; an infinite loss is never admitted, a NaN goes
    through, for it is a bug to be seen. Losses of several tasks differ in scale: give each its
    own threshold with `optax.partition`.

    Args:
      threshold: `t`, in units of the loss, > 0. A number, or a traced scalar.
      form: one of the four above.
      lower: for `"mixture"`, in `(0, threshold)`.
      axis_name: mapped axes over which the share in the state is counted.

    Returns:
      A transformation with `SelfPacedState`; losses keep their shapes.

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

    Reference: Kumar et al., Self-Paced Learning for Latent Variable Models (2010), eq. 4; Jiang et
    al., Easy Samples First (2014), eq. 5 to 9.
    """
    function = "self_paced"
    weight = _weight_function(function, form, threshold, lower)

    def init(losses: Any) -> SelfPacedState:
        return SelfPacedState(jax.tree.map(lambda _: jnp.zeros((), jnp.float32), losses))

    def one(losses: Array, where: Any) -> tuple[Array, Array]:
        losses = arguments.floating(function, "losses", losses)
        losses = losses.astype(arguments.working_dtype(losses))
        mask = arguments.mask_like(function, where, losses)
        losses = arguments.masked(losses, mask)
        weights = lax.stop_gradient(weight(losses))
        kept = ~(weights <= 0)  # NaN, of a traced threshold out of range, is kept and seen
        admitted = reduction.mean(
            (weights > 0).astype(jnp.float32), where=mask, axis_name=axis_name
        )
        # Selected, not only multiplied: of a weight of 0, an infinite loss would make NaN, and XLA
        # would make 0 of a NaN.
        paced = jnp.where(kept, weights * jnp.where(kept, losses, 0), 0)
        paced = jnp.where(jnp.isnan(losses), losses, paced)
        return arguments.masked(paced, mask), lax.stop_gradient(admitted)

    def update(
        losses: Any, state: SelfPacedState, params: Any = None, *, where: Any = None, **_: Any
    ) -> tuple[Any, SelfPacedState]:
        del state, params
        pairs = reduction.map_tasks(one, losses, where)
        paced, admitted = (_pick(pairs, i) for i in (0, 1))
        return paced, SelfPacedState(admitted)

    return optax.GradientTransformationExtraArgs(init, update)


def _pick(pairs: Any, index: int) -> Any:
    return jax.tree.map(lambda pair: pair[index], pairs, is_leaf=lambda x: type(x) is tuple)


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
