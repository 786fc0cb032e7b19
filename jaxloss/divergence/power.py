"""Divergences made of powers of the two distributions: alpha, Renyi, chi-squared.

Conventions shared by every function of this module, and by `mixture` and `distance`:

* Both distributions come as logarithms of probabilities, `log_predictions` first, best from
  `jax.nn.log_softmax`: there every gradient is finite. Of probabilities take `jnp.log`; minus
  infinity is a probability of 0, and gets no gradient.
* `p = exp(log_targets)`, `q = exp(log_predictions)`, and a divergence `D(p || q)` has the targets
  first: `D(targets || predictions)`. Exchange the arguments for the other direction.
* Masses need not be 1 unless the docstring says so.
* `axis`: the axis or axes of the event, None for all. `where`: True for what counts, of the shape
  of the predictions or that shape without `axis`. No broadcasting; what is wrong raises.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloss import arguments, numerics
from jaxloss.divergence import pair

Array = jax.Array


def alpha_divergence(
    log_predictions: ArrayLike,
    log_targets: ArrayLike,
    *,
    alpha: ArrayLike = 0.5,
    axis: arguments.Axis = -1,
    where: ArrayLike | None = None,
) -> Array:
    """One family from reverse to forward divergence and beyond.

    `sum(alpha p + (1 - alpha) q - p^alpha q^(1 - alpha)) / (alpha (1 - alpha))`.

    At `alpha = 1` it is `KL(p || q)` of masses (`generalized_kl_divergence`), at 0 the reverse one;
    both are limits that are taken exactly, derivatives in `alpha` included. At 1/2 it is four times
    `squared_hellinger_distance`, at 2 half of `chi_squared_divergence`, at -1 half of that with the
    arguments exchanged. The larger `alpha`, the more predictions are made to cover the targets.

    Convention: Minka's. Amari's parameter is `2 alpha - 1`; the power divergence of Cressie and
    Read with `lambda` is twice this one at `alpha = lambda + 1`.

    Args:
      log_predictions: `[..., event]`, logarithms of probabilities or masses.
      log_targets: `[..., event]`, logarithms of probabilities or masses.
      alpha: any real number; number or `[...]`.
      axis: the axis or axes of the event.
      where: True for what counts, `[..., event]` or `[...]`.

    Returns:
      `[...]`, non-negative, 0 only where the two are equal; infinite where `alpha >= 1` and
      something is that was given probability 0, or `alpha <= 0` and the reverse.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> one, half = jnp.log(jnp.array([1.0, 0.0])), jnp.log(jnp.array([0.5, 0.5]))
      >>> print(jl.alpha_divergence(half, one, alpha=2.0))  # (1 / 0.5 - 1) / 2
      0.5

    Reference: Minka, Divergence Measures and Message Passing (2005), section 2; Cichocki and Amari,
    Families of Alpha- Beta- and Gamma-Divergences (2010), section 2.
    """
    function = "alpha_divergence"
    log_q, log_p, mask = pair.log_pair(function, axis, where, log_predictions, log_targets)
    alpha = arguments.per_event(function, "alpha", alpha, log_q)
    return arguments.masked(jnp.sum(_alpha_terms(log_p, log_q, alpha), axis=-1), mask)


def _alpha_terms(log_p: Array, log_q: Array, alpha: Array) -> Array:
    """Return the terms of the alpha-divergence, each >= 0, smooth through alpha 0 and 1."""
    alpha, log_p, log_q = jnp.broadcast_arrays(alpha, log_p, log_q)
    # D(p || q) at alpha is D(q || p) at 1 - alpha: so the alpha below is at least one half.
    swap = alpha < 0.5
    alpha, beta = jnp.where(swap, 1 - alpha, alpha), jnp.where(swap, alpha, 1 - alpha)
    log_p, log_q = jnp.where(swap, log_q, log_p), jnp.where(swap, log_p, log_q)
    p, u = jnp.exp(log_p), log_q - log_p
    infinite = (log_q <= pair.FLOOR) & (p > 0) & (beta <= 0)
    small = (jnp.abs(u) < 0.5) & (jnp.abs(beta * u) < 0.5)
    near = p * _power_series(jnp.where(small, u, 0), jnp.where(small, beta, 0))
    exponent = jnp.where(infinite, pair.FLOOR, alpha * log_p + beta * log_q)
    far = (jnp.exp(log_q) - p) / alpha - _rise(log_p, log_q, alpha, beta, exponent)
    return jnp.where(infinite, jnp.inf, jnp.where(small, near, far))


def _rise(log_p: Array, log_q: Array, alpha: Array, beta: Array, exponent: Array) -> Array:
    """Return `(exp(exponent) - p) / (alpha beta)`, a removable quotient at beta 0."""
    p, u = jnp.exp(log_p), log_q - log_p
    both = (log_p > pair.FLOOR) & (log_q > pair.FLOOR)
    near = (jnp.abs(beta * u) < 0.5) & both
    slow = numerics.power_excess(jnp.where(near, u, 0), jnp.where(near, beta, 0)) / alpha
    # Divided in the exponent, because the power alone may overflow.
    factor = jnp.where(near, 1, alpha * beta)
    size = jnp.maximum(jnp.abs(factor), 1)
    risen = jnp.exp(exponent - jnp.log(size)) - p / size
    return jnp.where(near, p * slow, risen * numerics.divide(size, factor))


def _power_series(u: Array, beta: Array) -> Array:
    """Return `(1 - beta + beta exp(u) - exp(beta u)) / (beta (1 - beta))` for small exponents.

    The coefficient of `u^n / n!` is `1 + beta + ... + beta^(n - 2)`: nothing cancels or divides.
    """
    power, geometric = 0.5 * u**2, jnp.ones_like(u)
    total = power
    for n in range(3, 18):
        power, geometric = power * u / n, 1 + beta * geometric
        total = total + power * geometric
    return total


def renyi_divergence(
    log_predictions: ArrayLike,
    log_targets: ArrayLike,
    *,
    order: ArrayLike = 0.5,
    axis: arguments.Axis = -1,
    where: ArrayLike | None = None,
) -> Array:
    """Renyi's divergence, `log(sum(p^order q^(1 - order)) / sum(p)) / (order - 1)`.

    It grows with the order: from 0 at order 0 (for common supports) over twice the Bhattacharyya
    distance at 1/2 and `kl_divergence` at 1, a limit that is taken exactly, its derivative in the
    order included, to `max(log_targets - log_predictions)`, the limit at infinity (write that
    one yourself). The gradient in the log-predictions is minus the distribution in proportion to
    `p^order q^(1 - order)`.

    Masses that are equal up to the rounding of the inputs count as equal, so that the value of
    two distributions is never negative.

    Args:
      log_predictions: `[..., event]`, logarithms of probabilities.
      log_targets: `[..., event]`, logarithms of probabilities.
      order: > 0; number or `[...]`.
      axis: the axis or axes of the event.
      where: True for what counts, `[..., event]` or `[...]`.

    Returns:
      `[...]`, non-negative for two distributions; infinite for disjoint supports, and from order 1
      on where something is that was given probability 0.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> one, half = jnp.log(jnp.array([1.0, 0.0])), jnp.log(jnp.array([0.5, 0.5]))
      >>> print(jl.renyi_divergence(half, one, order=2.0))  # log(2)
      0.6931472

    Reference: Renyi, On Measures of Entropy and Information (1961), eq. 3.3; van Erven and
    Harremoes, Renyi Divergence and Kullback-Leibler Divergence (2014), eq. 9.
    """
    function = "renyi_divergence"
    log_q, log_p, mask = pair.log_pair(function, axis, where, log_predictions, log_targets)
    order = arguments.hyper(function, "order", order, log_q[..., 0], above=0.0)
    order = jnp.broadcast_to(order, log_q.shape[:-1])
    rounding = pair.rounding_of(log_predictions, log_targets)
    return arguments.masked(_renyi(rounding, log_p, log_q, order), mask)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _renyi(rounding: float | None, log_p: Array, log_q: Array, order: Array) -> Array:
    """Return the divergence through the alpha-divergence where it is small, else by its formula.

    Masses that differ by no more than rounding count as equal, unless `rounding` is None.
    """
    mass, more = jnp.sum(jnp.exp(log_p), axis=-1), order - 1
    difference, equal = pair.mass_difference(log_p, log_q, rounding)
    alpha = jnp.sum(_alpha_terms(log_p, log_q, order[..., None]), axis=-1)
    rise = numerics.divide(order * alpha + jnp.where(equal, 0, difference), mass)
    small = jnp.abs(more * rise) < 0.5
    change = jnp.where(small, more * rise, 1)
    slow = jnp.where(change == 0, 1, numerics.log1p(change) / jnp.where(change == 0, 1, change))
    near = jnp.where(small, rise, 0) * slow
    change_of_log = _log_sum(log_p, log_q, order) - numerics.log(mass)
    far = change_of_log / jnp.where(small, 1, more)
    in_p, absent_in_q = ~(log_p <= pair.FLOOR), log_q <= pair.FLOOR
    disjoint, missed = jnp.all(~in_p | absent_in_q, axis=-1), jnp.any(in_p & absent_in_q, axis=-1)
    infinite = disjoint | missed & (order >= 1)
    return jnp.where(infinite, jnp.inf, jnp.where(small, near, far))


@_renyi.defjvp
def _renyi_jvp(rounding: float | None, primals: Any, tangents: Any) -> tuple[Array, Array]:
    # With p scaled to mass 1, tilted is p exp(more surplus): each slope is a removable quotient.
    log_p, log_q, order = primals
    divergence = _renyi(None, *primals)
    more = (order - 1)[..., None]
    log_mass = jax.nn.logsumexp(log_p, axis=-1, keepdims=True)
    p = jnp.exp(log_p - log_mass)
    tilted = jnp.exp(_exponent(log_p, log_q, order) - _log_sum(log_p, log_q, order)[..., None])
    finite = jnp.where(jnp.isinf(divergence), 0, divergence)
    surplus = log_p - log_q - finite[..., None]
    near = jnp.abs(more * surplus) < 0.5
    surplus_near, more_far = jnp.where(near, surplus, 0), jnp.where(near, 1, more)
    slow = p * numerics.power_excess(surplus_near, jnp.broadcast_to(more, surplus.shape))
    by_p = tilted + jnp.where(near, slow, (tilted - p) / more_far)
    drift = jnp.where(near, 0, more * surplus)
    second = tilted * surplus_near**2 * numerics.exp_curvature(-more * surplus_near)
    by_order = jnp.where(near, second, (p - tilted + tilted * drift) / more_far**2)
    slopes = by_p * tangents[0] - tilted * tangents[1] + by_order * tangents[2][..., None]
    return _renyi(rounding, *primals), jnp.sum(slopes, axis=-1)


def _exponent(log_p: Array, log_q: Array, order: Array) -> Array:
    order = order[..., None]
    return order * log_p + (1 - order) * log_q


def _log_sum(log_p: Array, log_q: Array, order: Array) -> Array:
    return jax.nn.logsumexp(_exponent(log_p, log_q, order), axis=-1)


def chi_squared_divergence(
    log_predictions: ArrayLike,
    log_targets: ArrayLike,
    *,
    axis: arguments.Axis = -1,
    where: ArrayLike | None = None,
) -> Array:
    """Pearson's chi-squared, `sum((p - q)^2 / q)`.

    The targets `p` are what was observed, the predictions `q` what was expected. For Neyman's,
    `sum((p - q)^2 / p)`, exchange the arguments. It bounds `kl_divergence` from above, and grows
    without limit where the predictions miss what is there: a heavy penalty, of large variance.

    Args:
      log_predictions: `[..., event]`, logarithms of probabilities or masses.
      log_targets: `[..., event]`, logarithms of probabilities or masses.
      axis: the axis or axes of the event.
      where: True for what counts, `[..., event]` or `[...]`.

    Returns:
      `[...]`, non-negative, 0 only where the two are equal.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> one, half = jnp.log(jnp.array([1.0, 0.0])), jnp.log(jnp.array([0.5, 0.5]))
      >>> print(jl.chi_squared_divergence(half, one))  # (0.25 + 0.25) / 0.5
      1.0

    Reference: Pearson, On the Criterion (1900); van Erven and Harremoes, Renyi Divergence and
    Kullback-Leibler Divergence (2014), eq. 6.
    """
    function = "chi_squared_divergence"
    log_q, log_p, mask = pair.log_pair(function, axis, where, log_predictions, log_targets)
    positive, size = numerics.fold(log_p - log_q)
    larger = jnp.where(positive, log_p, log_q)
    # The difference p - q is the larger of them times a factor in [0, 1).
    ratio = jnp.exp(larger - 0.5 * log_q) * jnp.expm1(-size)
    return arguments.masked(jnp.sum(ratio**2, axis=-1), mask)
