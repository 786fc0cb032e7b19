"""What is known of the mixtures, powers and distances of two distributions."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from mpmath import mp

from jaxloss import divergence
from jaxloss.catalog import claims
from jaxloss.catalog.divergence import formulas, properties, ranges
from jaxloss.catalog.entry import Entry


def _swapped(x: Any, y: Any, where: Any = None) -> Any:
    return divergence.chi_squared_divergence(y, x, where=where)


def _largest_ratio(x: Any, y: Any, where: Any = None) -> Any:
    return jnp.max(y - x, axis=-1)


def _pinsker(x: Any, y: Any, where: Any = None) -> Any:
    return jnp.sqrt(0.5 * properties.both(divergence.generalized_kl_divergence)(x, y, where=where))


_RELABELLED = properties.relabelled("log_predictions", "log_targets")

ENTRIES = (
    Entry(
        divergence.jensen_shannon_divergence,
        family="divergence",
        purpose="bounded, symmetric divergence through the mixture",
        character="never infinite; at most log(2); no gradient for disjoint supports",
        when="two distributions on equal terms, also with zeros; consistency of predictions",
        avoid="distributions far apart that must be pulled together: kl_divergence or a "
        "Wasserstein distance",
        formula="w KL(p || m) + (1 - w) KL(q || m), m = w p + (1 - w) q, p = exp(log_targets)",
        source="Lin 1991, eq. 4.1",
        arguments=ranges.BOTH,
        reference=formulas.mixed,
        settings=({"weight": 0.5}, {"weight": 0.1}, {"weight": 0.999}),
        impossible={"weight": (0.0, 1.0, -0.5, np.nan)},
        claims=(
            claims.nonnegative(),
            claims.zero_at_target(),
            claims.positive_off_target(),
            claims.by_default(claims.symmetric()),
            claims.by_default(claims.bounded(0.0, float(np.log(2)))),
            properties.vanishing(),
            properties.jointly_convex(),
            properties.merges(),
            properties.triangle("its root has the triangle inequality", np.sqrt),
            claims.equals(
                "kl_divergence, divided by a small weight",
                properties.both(divergence.generalized_kl_divergence),
                {"weight": 1e-7},
                scale=1e-7,
                tolerance=1e-4,
            ),
            _RELABELLED,
        ),
        non_claims=("a pull between disjoint supports", "convex in log_predictions"),
    ),
    Entry(
        divergence.alpha_divergence,
        family="divergence",
        purpose="a family that leads from reverse to forward divergence",
        character="alpha adjusts between settling on a mode (low) and covering all (high)",
        when="between the two Kullback-Leibler divergences, or beyond",
        avoid="where one of its members is meant: name that one",
        formula="sum(alpha p + (1 - alpha) q - p^alpha q^(1 - alpha)) / (alpha (1 - alpha))",
        source="Minka 2005, section 2; Cichocki and Amari 2010",
        arguments=ranges.BOTH_FINITE,
        reference=formulas.alpha,
        settings=(
            {"alpha": 0.5},
            {"alpha": 1.0},
            {"alpha": 2.0**-17},
            {"alpha": 2.5},
        ),
        impossible={"alpha": (np.nan, np.inf)},
        claims=(
            claims.nonnegative(),
            claims.zero_at_target(),
            claims.positive_off_target(),
            claims.by_default(claims.symmetric()),
            properties.jointly_convex(),
            properties.merges(),
            *(
                claims.equals(text, other, {"alpha": alpha}, scale=scale)
                for text, other, alpha, scale in (
                    (
                        "the forward divergence at alpha 1",
                        properties.both(divergence.generalized_kl_divergence),
                        1.0,
                        1.0,
                    ),
                    (
                        "the reverse divergence at alpha 0",
                        properties.both(divergence.generalized_kl_divergence, swap=True),
                        0.0,
                        1.0,
                    ),
                    (
                        "squared_hellinger_distance at 1/2, times 4",
                        divergence.squared_hellinger_distance,
                        0.5,
                        4.0,
                    ),
                    (
                        "chi_squared_divergence at 2, halved",
                        divergence.chi_squared_divergence,
                        2.0,
                        0.5,
                    ),
                    ("Neyman's chi-squared at -1, halved", _swapped, -1.0, 0.5),
                )
            ),
            _RELABELLED,
        ),
        non_claims=("symmetric for other alpha than 1/2", "bounded for alpha outside (0, 1)"),
    ),
    Entry(
        divergence.renyi_divergence,
        family="divergence",
        purpose="logarithmic family of divergences that grows with its order",
        character="additive over independent events; high orders count the worst ratio",
        when="privacy accounting, variational bounds, ratios that must stay bounded",
        avoid="a mean over examples that should not be dominated by logarithms of sums: "
        "alpha_divergence",
        formula="log(sum(p^order q^(1 - order)) / sum(p)) / (order - 1)",
        source="Renyi 1961, eq. 3.3; van Erven and Harremoes 2014, eq. 9",
        arguments=ranges.BOTH,
        reference=formulas.renyi,
        settings=(
            {"order": 0.5},
            {"order": 1.0},
            {"order": 1 - 2.0**-17},
            {"order": 2.5},
        ),
        impossible={"order": (0.0, -1.0, np.nan, np.inf)},
        claims=(
            claims.nonnegative(),
            claims.zero_at_target(),
            claims.positive_off_target(),
            claims.by_default(claims.symmetric()),
            properties.grows_with_order(),
            claims.equals(
                "kl_divergence at order 1",
                divergence.kl_divergence_with_log_targets,
                {"order": 1.0},
                tolerance=1e-6,
                approach=({"order": 0.5}, {"order": 0.9}, {"order": 0.999}),
            ),
            claims.equals(
                "the largest log-ratio as the order grows",
                _largest_ratio,
                {"order": 1e6},
                tolerance=1e-4,
            ),
            _RELABELLED,
        ),
        non_claims=("symmetric for other orders than 1/2", "jointly convex for orders above 1"),
    ),
    Entry(
        divergence.chi_squared_divergence,
        family="divergence",
        purpose="squared differences in units of the prediction",
        character="heavy penalty for what predictions miss; smooth, unbounded",
        when="goodness of fit, importance weights whose variance must be small",
        avoid="predictions near 0: jensen_shannon_divergence or squared_hellinger_distance",
        formula="sum((p - q)^2 / q), p = exp(log_targets), q = exp(log_predictions)",
        source="Pearson 1900; van Erven and Harremoes 2014, eq. 6",
        arguments=ranges.BOTH_FINITE,
        reference=formulas.chi_squared,
        claims=(
            claims.nonnegative(),
            claims.zero_at_target(),
            claims.positive_off_target(),
            properties.not_symmetric(),
            properties.jointly_convex(),
            properties.merges(),
            _RELABELLED,
        ),
        non_claims=("symmetric: exchange the arguments for Neyman's", "bounded"),
    ),
    Entry(
        divergence.total_variation_distance,
        family="divergence",
        purpose="largest difference of the probabilities of any event",
        character="bounded by 1; a metric; kinks where entries are equal",
        when="a distance to report or to bound errors with",
        avoid="gradients that shrink towards the fit: squared_hellinger_distance",
        formula="sum(|exp(log_targets) - exp(log_predictions)|) / 2",
        source="Tsybakov 2009, definition 2.4",
        arguments=ranges.BOTH,
        reference=formulas.total_variation,
        claims=(
            claims.nonnegative(),
            claims.zero_at_target(),
            claims.positive_off_target(),
            claims.symmetric(),
            claims.bounded(0.0, 1.0),
            properties.triangle("the triangle inequality", lambda x: x),
            properties.jointly_convex(),
            properties.merges(),
            claims.at_most("sqrt(kl_divergence / 2) (Pinsker)", _pinsker),
            _RELABELLED,
        ),
        non_claims=("differentiable at equal entries",),
    ),
    Entry(
        divergence.squared_hellinger_distance,
        family="divergence",
        purpose="squared distance of the roots of two distributions",
        character="bounded by 1; smooth everywhere; symmetric",
        when="a bounded divergence that is finite for zeros and smooth at equality",
        avoid="a metric: hellinger_distance",
        formula="sum((sqrt(p) - sqrt(q))^2) / 2",
        source="Tsybakov 2009, definition 2.3, halved",
        arguments=ranges.BOTH,
        reference=formulas.hellinger,
        claims=(
            claims.nonnegative(),
            claims.zero_at_target(),
            claims.positive_off_target(),
            claims.symmetric(),
            claims.bounded(0.0, 1.0),
            properties.jointly_convex(),
            properties.merges(),
            claims.at_most("total_variation_distance", divergence.total_variation_distance),
            _RELABELLED,
        ),
        non_claims=("the triangle inequality",),
    ),
    Entry(
        divergence.hellinger_distance,
        family="divergence",
        purpose="distance of the roots of two distributions",
        character="bounded by 1; a metric; kink at equality",
        when="a metric between distributions with zeros",
        avoid="training to equality: squared_hellinger_distance is smooth there",
        formula="sqrt(sum((sqrt(p) - sqrt(q))^2) / 2)",
        source="Tsybakov 2009, definition 2.3, halved",
        arguments=ranges.BOTH,
        reference=lambda x, y: mp.sqrt(formulas.hellinger(x, y)),
        claims=(
            claims.nonnegative(),
            claims.zero_at_target(),
            claims.positive_off_target(),
            claims.symmetric(),
            claims.bounded(0.0, 1.0),
            properties.triangle("the triangle inequality", lambda x: x),
            properties.merges(),
            _RELABELLED,
        ),
        non_claims=("differentiable at equality", "jointly convex"),
    ),
)
