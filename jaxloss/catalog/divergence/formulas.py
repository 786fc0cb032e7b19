"""Divergences as the papers write them, in the arithmetic of mpmath.

`p` are the targets, `q` the predictions, given as logarithms `y` and `x`.
"""

from __future__ import annotations

from typing import Any

from mpmath import mp


def _log_of_share(p: Any) -> Any:
    if 0 < p < mp.mpf(10) ** -50:
        raise ValueError("the slope of p log p at 0 is infinite: no difference can show it")
    return mp.log(p)


def kl(x: Any, p: Any) -> Any:
    """`sum(p log(p / q))`, of targets that are probabilities."""
    return mp.fsum(v * (_log_of_share(v) - lq) for lq, v in zip(x, p, strict=True) if v != 0)


def kl_logs(x: Any, y: Any) -> Any:
    """`sum(p log(p / q))`."""
    return mp.fsum(mp.exp(lp) * (lp - lq) for lq, lp in zip(x, y, strict=True))


def generalized(x: Any, p: Any) -> Any:
    """`sum(p log(p / q) - p + q)`, of targets that are masses."""
    return kl(x, p) - mp.fsum(p) + mp.fsum(mp.exp(lq) for lq in x)


def mixed(x: Any, y: Any, weight: Any = mp.mpf(0.5)) -> Any:
    """Jensen-Shannon, from the mixture."""
    p, q = [mp.exp(v) for v in y], [mp.exp(v) for v in x]
    m = [weight * a + (1 - weight) * b for a, b in zip(p, q, strict=True)]
    forward = mp.fsum(a * mp.log(a / c) for a, c in zip(p, m, strict=True))
    backward = mp.fsum(b * mp.log(b / c) for b, c in zip(q, m, strict=True))
    return weight * forward + (1 - weight) * backward


def alpha(x: Any, y: Any, alpha: Any = mp.mpf(0.5)) -> Any:
    """Minka's alpha-divergence, its limits apart."""
    p, q = [mp.exp(v) for v in y], [mp.exp(v) for v in x]
    if alpha == 1:
        return kl_logs(x, y) - mp.fsum(p) + mp.fsum(q)
    if alpha == 0:
        return kl_logs(y, x) - mp.fsum(q) + mp.fsum(p)
    terms = (
        alpha * a + (1 - alpha) * b - a**alpha * b ** (1 - alpha) for a, b in zip(p, q, strict=True)
    )
    return mp.fsum(terms) / (alpha * (1 - alpha))


def renyi(x: Any, y: Any, order: Any = mp.mpf(0.5)) -> Any:
    """Renyi's divergence, its limit apart."""
    mass = mp.fsum(mp.exp(v) for v in y)
    if order == 1:
        return kl_logs(x, y) / mass
    terms = (mp.exp(order * lp + (1 - order) * lq) for lq, lp in zip(x, y, strict=True))
    return mp.log(mp.fsum(terms) / mass) / (order - 1)


def chi_squared(x: Any, y: Any) -> Any:
    """Pearson's chi-squared."""
    return mp.fsum((mp.exp(b) - mp.exp(a)) ** 2 / mp.exp(a) for a, b in zip(x, y, strict=True))


def total_variation(x: Any, y: Any) -> Any:
    """Half the sum of the absolute differences."""
    return mp.fsum(abs(mp.exp(b) - mp.exp(a)) for a, b in zip(x, y, strict=True)) / 2


def hellinger(x: Any, y: Any) -> Any:
    """The squared Hellinger distance."""
    return mp.fsum((mp.exp(b / 2) - mp.exp(a / 2)) ** 2 for a, b in zip(x, y, strict=True)) / 2


def gaussian(m: Any, v: Any, prior_m: Any, prior_v: Any) -> Any:
    """KL of two diagonal Gaussians."""
    return mp.fsum(
        (mp.exp(b - d) - 1 - (b - d) + (a - c) ** 2 / mp.exp(d)) / 2
        for a, b, c, d in zip(m, v, prior_m, prior_v, strict=True)
    )


def distillation(s: Any, t: Any, temperature: Any = 1) -> Any:
    """`T^2` KL of two softmaxes."""

    def logs(z: Any) -> Any:
        normaliser = mp.log(mp.fsum(mp.exp(v / temperature) for v in z))
        return [v / temperature - normaliser for v in z]

    return temperature**2 * kl_logs(logs(s), logs(t))
