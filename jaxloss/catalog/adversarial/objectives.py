"""The objectives of generative adversarial networks, both sides of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import numpy as np
from mpmath import mp

from jaxloss import adversarial
from jaxloss.catalog import claims, kinds
from jaxloss.catalog.adversarial.games import (
    best_discriminator,
    common_shift,
    rests_at_the_data,
    sigmoid,
    softplus,
    where_sure,
)
from jaxloss.catalog.entry import Entry

_LOG_ODDS = {"real_logits": kinds.log_odds(), "fake_logits": kinds.log_odds()}
_REALS = {"real_logits": kinds.reals(), "fake_logits": kinds.reals()}
# The minimax generator's loss has no lower bound: at a logit of infinity it is minus infinity.
_BOUNDED_ABOVE = replace(kinds.log_odds(), infinite=np.array([-np.inf]), towards=np.array([-1e4]))


def _without_real(generator: Callable[..., Any]) -> Callable[..., Any]:
    """Return a generator's loss as a function of the fake logits, to which it owes everything."""

    def specimen(fake_logits: Any, *, where: Any = None, **setting: Any) -> jax.Array:
        return generator(None, fake_logits, where=where, **setting)

    return specimen


def _least_squares_generator(fake_logits: Any, *, target: Any = 1.0, where: Any = None) -> Any:
    return adversarial.least_squares.generator(None, fake_logits, target=target, where=where)


_GAME: dict[str, Any] = {"family": "adversarial"}
_LOG_RATIO = lambda p, q: np.log(p / q)
_CROSS_ENTROPY: dict[str, Any] = {
    **_GAME,
    "purpose": "the discriminator: cross-entropy of real against fake",
    "character": "proper: estimates the ratio of the densities; saturates when sure",
    "formula": "softplus(-real) + softplus(fake)",
    "source": "Goodfellow et al. 2014, eq. 1",
    "arguments": _LOG_ODDS,
    "reference": lambda r, f: softplus(-r) + softplus(f),
    "claims": (
        claims.nonnegative(),
        claims.convex("real_logits"),
        claims.convex("fake_logits"),
        claims.lipschitz(1.0, "real_logits"),
        claims.lipschitz(1.0, "fake_logits"),
        claims.monotone("real_logits", "decreasing"),
        claims.monotone("fake_logits"),
        claims.smooth(0.25, "real_logits"),
        claims.gradient_is("D(fake) in the fake logit", "fake_logits", lambda r, f: sigmoid(f)),
        best_discriminator("the log of the ratio of the densities", _LOG_RATIO),
    ),
}
_LINEAR_GENERATOR: dict[str, Any] = {
    **_GAME,
    "character": "constant gradient -1: never vanishes, whatever the critic says",
    "formula": "-fake",
    "arguments": {"fake_logits": kinds.reals()},
    "reference": lambda f: -f,
    "claims": (
        claims.convex("fake_logits"),
        claims.lipschitz(1.0, "fake_logits"),
        claims.monotone("fake_logits", "decreasing"),
        claims.gradient_is("-1", "fake_logits", lambda f: -np.ones_like(f)),
    ),
    "non_claims": ("bounded below",),
}

ENTRIES = (
    Entry(
        adversarial.minimax.discriminator,
        name="minimax.discriminator",
        when="the original game, and its theory",
        avoid="discriminators that win early: least_squares, or r1_penalty beside it",
        **_CROSS_ENTROPY,
    ),
    Entry(
        adversarial.minimax.generator,
        name="minimax.generator",
        specimen=_without_real(adversarial.minimax.generator),
        purpose="the generator of the original game: the discriminator's loss, reversed",
        character="saturates: no gradient where the discriminator is sure",
        when="analysis; games that must be of value zero",
        avoid="training from scratch, where it stalls: non_saturating",
        formula="-softplus(fake)",
        source="Goodfellow et al. 2014, eq. 1",
        arguments={"fake_logits": _BOUNDED_ABOVE},
        reference=lambda f: -softplus(f),
        claims=(
            claims.lipschitz(1.0, "fake_logits"),
            claims.gradient_is("-D(fake)", "fake_logits", lambda f: -sigmoid(f)),
            where_sure(
                "its gradient vanishes where the discriminator is sure",
                lambda slope, fake: (slope < 0) & (-slope <= np.exp(fake)),
            ),
            rests_at_the_data("at rest only where fakes are distributed as data", _LOG_RATIO),
            claims.monotone("fake_logits", "decreasing"),
        ),
        non_claims=("non-negative", "convex in fake_logits: it is concave"),
        **_GAME,
    ),
    Entry(
        adversarial.non_saturating.discriminator,
        name="non_saturating.discriminator",
        when="the usual start: with r1_penalty a strong baseline",
        avoid="discriminators that win early: least_squares, or r1_penalty beside it",
        **_CROSS_ENTROPY,
    ),
    Entry(
        adversarial.non_saturating.generator,
        name="non_saturating.generator",
        specimen=_without_real(adversarial.non_saturating.generator),
        purpose="the generator: cross-entropy of a fake passed off as real",
        character="steadier training: greatest gradient where the discriminator is sure",
        when="the usual start: with r1_penalty a strong baseline",
        avoid="missing modes: relativistic_pairing",
        formula="softplus(-fake)",
        source="Goodfellow et al. 2014, section 3",
        arguments={"fake_logits": kinds.log_odds()},
        reference=lambda f: softplus(-f),
        claims=(
            claims.nonnegative(),
            claims.convex("fake_logits"),
            claims.lipschitz(1.0, "fake_logits"),
            claims.gradient_is("D(fake) - 1", "fake_logits", lambda f: -sigmoid(-f)),
            where_sure(
                "its gradient is alive where minimax's is dead",
                lambda slope, fake: slope <= -0.99,
            ),
            rests_at_the_data("same fixed point as minimax", _LOG_RATIO),
            claims.monotone("fake_logits", "decreasing"),
            claims.informative_gradient("fake_logits"),
            claims.smooth(0.25, "fake_logits"),
        ),
        **_GAME,
    ),
    Entry(
        adversarial.least_squares.discriminator,
        name="least_squares.discriminator",
        purpose="the discriminator: squared distance from a target for each side",
        character="eases vanishing gradients: never sure for good",
        when="cross-entropy saturates; image translation",
        avoid="outliers among the samples: hinge",
        formula="(real - real_target)^2 / 2 + (fake - fake_target)^2 / 2",
        source="Mao et al. 2017, eq. 2",
        arguments=_REALS,
        reference=lambda r, f, real_target=1, fake_target=0: (
            ((r - real_target) ** 2 + (f - fake_target) ** 2) / 2
        ),
        settings=({"real_target": 0.9, "fake_target": -1.0},),
        impossible={"real_target": (np.nan,), "fake_target": (np.nan,)},
        claims=(
            claims.nonnegative(),
            claims.convex("real_logits"),
            claims.convex("fake_logits"),
            best_discriminator(
                "the average of the targets weighted with the densities",
                lambda p, q, real_target=1.0, fake_target=0.0: (
                    (real_target * p + fake_target * q) / (p + q)
                ),
            ),
            claims.smooth(1.0, "real_logits"),
        ),
        **_GAME,
    ),
    Entry(
        adversarial.least_squares.generator,
        name="least_squares.generator",
        specimen=_least_squares_generator,
        purpose="the generator: squared distance from what the discriminator should say",
        character="eases vanishing gradients: grows with the distance",
        when="cross-entropy saturates; image translation",
        avoid="outliers among the samples: non_saturating, whose gradient is bounded",
        formula="(fake - target)^2 / 2",
        source="Mao et al. 2017, eq. 2",
        arguments={"fake_logits": kinds.reals()},
        reference=lambda f, target=1: (f - target) ** 2 / 2,
        settings=({"target": -0.5},),
        impossible={"target": (np.nan,)},
        claims=(
            claims.nonnegative(),
            claims.convex("fake_logits"),
            claims.gradient_is("fake - target", "fake_logits", lambda f, target=1.0: f - target),
            where_sure(
                "its gradient does not vanish where the discriminator is sure",
                lambda slope, fake: slope <= 0.9 * fake,
            ),
            rests_at_the_data(
                "at rest only where fakes are distributed as data", lambda p, q: p / (p + q)
            ),
            claims.smooth(1.0, "fake_logits"),
            claims.informative_gradient("fake_logits"),
        ),
        **_GAME,
    ),
    Entry(
        adversarial.hinge.discriminator,
        name="hinge.discriminator",
        purpose="the discriminator: margins on either side",
        character="samples beyond their margin no longer count",
        when="large image models with spectral normalisation",
        avoid="estimating density ratios: minimax",
        formula="max(0, 1 - real) + max(0, 1 + fake)",
        source="Lim and Ye 2017; Miyato et al. 2018, eq. 16",
        arguments=_REALS,
        reference=lambda r, f: max(mp.mpf(0), 1 - r) + max(mp.mpf(0), 1 + f),
        claims=(
            claims.nonnegative(),
            claims.convex("real_logits"),
            claims.convex("fake_logits"),
            claims.lipschitz(1.0, "real_logits"),
            claims.no_gradient(
                "from a real sample beyond its margin", "real_logits", lambda r, f: r >= 1
            ),
            claims.no_gradient(
                "from a fake beyond its margin", "fake_logits", lambda r, f: f <= -1
            ),
            claims.monotone("real_logits", "decreasing"),
            claims.monotone("fake_logits"),
        ),
        non_claims=("smooth: kinks at the margins",),
        **_GAME,
    ),
    Entry(
        adversarial.hinge.generator,
        name="hinge.generator",
        specimen=_without_real(adversarial.hinge.generator),
        purpose="the generator against a discriminator with margins",
        when="beside hinge.discriminator",
        avoid="a discriminator without bound on its slope: non_saturating",
        source="Miyato et al. 2018, eq. 17",
        **_LINEAR_GENERATOR,
    ),
    Entry(
        adversarial.wasserstein.discriminator,
        name="wasserstein.discriminator",
        purpose="the critic: how far apart it can set real and fake",
        character="tracks a distance; means nothing without a bound on the critic's slope",
        when="a loss that says how far the fakes are; with wgan_gradient_penalty",
        avoid="a critic without bound on its slope: non_saturating",
        formula="fake - real",
        source="Arjovsky et al. 2017, eq. 2 and 3",
        arguments=_REALS,
        reference=lambda r, f: f - r,
        claims=(
            claims.convex("real_logits"),
            claims.zero_at_target(),
            claims.gradient_is("1 in the fake logit", "fake_logits", lambda r, f: np.ones_like(f)),
            claims.gradient_is(
                "-1 in the real logit", "real_logits", lambda r, f: -np.ones_like(f)
            ),
            common_shift(),
        ),
        non_claims=("non-negative", "bounded below"),
        **_GAME,
    ),
    Entry(
        adversarial.wasserstein.generator,
        name="wasserstein.generator",
        specimen=_without_real(adversarial.wasserstein.generator),
        purpose="the generator against a critic of bounded slope",
        when="beside wasserstein.discriminator",
        avoid="a critic without bound on its slope: non_saturating",
        source="Arjovsky et al. 2017, theorem 3",
        **_LINEAR_GENERATOR,
    ),
)
