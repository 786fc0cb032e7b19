"""The objectives that compare real with fake."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from mpmath import mp

from jaxloss import adversarial
from jaxloss.catalog import claims, kinds
from jaxloss.catalog.adversarial.games import common_shift, exchanged, sigmoid, softplus
from jaxloss.catalog.entry import Entry

BATCH = 5
_LOG_ODDS = {"real_logits": kinds.log_odds(), "fake_logits": kinds.log_odds()}
# Infinite logits make means, and with them the losses of the whole batch, infinite.
_FINITE = replace(kinds.logits(BATCH), infinite=np.zeros(0), towards=np.zeros(0))
_BATCHES = {"real_logits": _FINITE, "fake_logits": _FINITE}


def _mean(x: Any) -> Any:
    return mp.fsum(x) / len(x)


def _against_average(first: Any, second: Any) -> Any:
    """Return the loss of wanting `first` above the mean of `second` and the reverse below."""
    a, b = _mean(first), _mean(second)
    return [softplus(b - x) + softplus(y - a) for x, y in zip(first, second, strict=True)]


_GAME: dict[str, Any] = {"family": "adversarial"}

ENTRIES = (
    Entry(
        adversarial.relativistic_average.discriminator,
        name="relativistic_average.discriminator",
        purpose="the discriminator: each sample against the average of the other side",
        character="couples the batch; only differences of logits count",
        when="super-resolution (ESRGAN), small batches without pairing",
        avoid="batches split over devices without axis_name: relativistic_pairing",
        formula="softplus(mean(fake) - real) + softplus(fake - mean(real))",
        source="Jolicoeur-Martineau 2019, section 4.2",
        arguments=_BATCHES,
        reference=lambda r, f: _against_average(r, f),
        claims=(
            claims.nonnegative(),
            claims.convex("real_logits"),
            claims.convex("fake_logits"),
            common_shift(),
        ),
        coupled="batch",
        **_GAME,
    ),
    Entry(
        adversarial.relativistic_average.generator,
        name="relativistic_average.generator",
        purpose="the generator: fakes that look more real than the average of data",
        character="couples the batch; only differences of logits count",
        when="super-resolution (ESRGAN), small batches without pairing",
        avoid="batches split over devices without axis_name: relativistic_pairing",
        formula="softplus(real - mean(fake)) + softplus(mean(real) - fake)",
        source="Jolicoeur-Martineau 2019, section 4.2",
        arguments=_BATCHES,
        reference=lambda r, f: _against_average(f, r),
        claims=(
            claims.nonnegative(),
            claims.convex("real_logits"),
            claims.convex("fake_logits"),
            common_shift(),
            exchanged(adversarial.relativistic_average.discriminator, "the discriminator's loss"),
        ),
        coupled="batch",
        **_GAME,
    ),
    Entry(
        adversarial.relativistic_pairing.discriminator,
        name="relativistic_pairing.discriminator",
        purpose="the discriminator: which of a pair is real",
        character="only the difference in a pair counts; no mode can be given up",
        when="missing modes; with r1_penalty and r2_penalty it is R3GAN",
        avoid="estimating density ratios: minimax",
        formula="softplus(fake - real)",
        source="Jolicoeur-Martineau 2019, section 4.1; Huang et al. 2024, section 2",
        arguments=_LOG_ODDS,
        reference=lambda r, f: softplus(f - r),
        claims=(
            claims.nonnegative(),
            claims.convex("real_logits"),
            claims.convex("fake_logits"),
            claims.lipschitz(1.0, "fake_logits"),
            claims.gradient_is(
                "sigmoid(fake - real) in the fake logit",
                "fake_logits",
                lambda r, f: sigmoid(f - r),
            ),
            common_shift(),
            claims.monotone("real_logits", "decreasing"),
            claims.monotone("fake_logits"),
        ),
        **_GAME,
    ),
    Entry(
        adversarial.relativistic_pairing.generator,
        name="relativistic_pairing.generator",
        purpose="the generator: which of a pair is fake",
        character="only the difference in a pair counts; gradient alive where it is clear",
        when="missing modes; with r1_penalty and r2_penalty it is R3GAN",
        avoid="real logits that are not at hand: non_saturating",
        formula="softplus(real - fake)",
        source="Jolicoeur-Martineau 2019, section 4.1; Huang et al. 2024, section 2",
        arguments=_LOG_ODDS,
        reference=lambda r, f: softplus(r - f),
        claims=(
            claims.nonnegative(),
            claims.convex("real_logits"),
            claims.convex("fake_logits"),
            claims.lipschitz(1.0, "fake_logits"),
            common_shift(),
            exchanged(adversarial.relativistic_pairing.discriminator, "the discriminator's loss"),
        ),
        **_GAME,
    ),
)
