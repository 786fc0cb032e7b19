"""Numbers, one for each example: errors, odds, shares, weights."""

from __future__ import annotations

import numpy as np

from jaxloss.catalog.kinds.frame import Array, Draw, Kind, bit_uniform, magnitudes, rows_of


def reals() -> Kind:
    """Any real number, one for each element."""

    def spread(rng: np.random.Generator, n: int) -> Array:
        # Half of them around 1, to differ from another such argument by little.
        return np.where(
            np.arange(n) % 2, magnitudes(rng, (n,), -8, 6), 1 + magnitudes(rng, (n,), -6, -2)
        )

    return Kind(
        "reals",
        generic=lambda rng, n: rng.normal(0.3, 2.0, n),
        spread=spread,
        steps="free",
        bitwise=lambda rng, n: bit_uniform(rng, (n,)),
        singular=rows_of(0.0, -0.0, 1.0, -1.0, 2.0, 0.5),
        extreme=rows_of(1e4, -300.0, 1e18, -1.5e38, 1e-30, -1e-36),
    )


def above_minus_one() -> Kind:
    """Real numbers above -1, mostly positive: counts, prices."""
    return Kind(
        "reals > -1",
        generic=lambda rng, n: rng.gamma(2.0, 2.0, n) - 0.5,
        spread=lambda rng, n: np.abs(magnitudes(rng, (n,), -6, 5)),
        steps="mix",
        singular=rows_of(0.0, 1.0, 2.0, -0.5, 0.5),
        extreme=rows_of(1e4, 1e18, 1.5e38, 1e-30, -0.999),
        invalid=rows_of(-1.5, -100.0),
        valid=lambda values, classes: values > -1,
        expects="greater than -1",
    )


def log_odds() -> Kind:
    """The logit of one yes-or-no label."""
    return Kind(
        "log-odds",
        generic=lambda rng, n: rng.normal(0.3, 2.0, n),
        spread=lambda rng, n: magnitudes(rng, (n,), -6, 1.8),
        steps="free",
        bitwise=lambda rng, n: bit_uniform(rng, (n,)),
        singular=rows_of(0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 20.0, -20.0),
        extreme=rows_of(1e4, -1e4, 60.0, -60.0, 100.0, -1.5e38, 1e-30),
        infinite=rows_of(np.inf, -np.inf),
        towards=rows_of(1e4, -1e4),
    )


def shares() -> Kind:
    """A yes-or-no label, hard or soft: numbers in [0, 1]."""
    return Kind(
        "labels in [0, 1]",
        generic=lambda rng, n: rng.uniform(0.05, 0.95, n),
        spread=lambda rng, n: rng.integers(0, 2, n).astype(float),
        steps="mix",
        singular=rows_of(0.0, 1.0, 0.5),
        extreme=rows_of(0.0, 1.0, 1e-30, 1 - 2.0**-20),
        invalid=rows_of(-0.5, 2.0, -100.0, 255.0),
        valid=lambda values, classes: (values >= 0) & (values <= 1),
        expects="in [0, 1]",
    )


def signs() -> Kind:
    """A label of two classes as a sign."""
    return Kind(
        "labels in {-1, 1}",
        generic=lambda rng, n: rng.choice([-1.0, 1.0], n),
        spread=lambda rng, n: rng.choice([-1.0, 1.0], n),
        singular=rows_of(-1.0, 1.0),
        extreme=rows_of(-1.0, 1.0),
        invalid=rows_of(0.0, 0.5, 2.0, -100.0),
        valid=lambda values, classes: abs(values) == 1,
        expects="-1 or 1",
        differentiable=False,
    )


def positive() -> Kind:
    """Real numbers above 0: rates, scales, durations."""
    return Kind(
        "reals > 0",
        generic=lambda rng, n: rng.gamma(3.0, 0.7, n) + 0.05,
        spread=lambda rng, n: 10 ** rng.uniform(-6, 6, n),
        bitwise=lambda rng, n: np.abs(bit_uniform(rng, (n,))),
        steps="mix",
        singular=rows_of(1.0, 2.0, 0.5, 2.0**-10),
        extreme=rows_of(1e4, 1e18, 1.5e38, 1e-30),
        invalid=rows_of(0.0, -1.0, -100.0),
        valid=lambda values, classes: values > 0,
        expects="greater than 0",
    )


def temperature() -> Kind:
    """A positive number of ordinary size by which scores are divided."""
    return Kind(
        "temperatures",
        generic=lambda rng, n: rng.uniform(0.3, 3.0, n),
        spread=lambda rng, n: 10 ** rng.uniform(-2, 2, n),
        steps="mix",
        singular=rows_of(1.0, 0.5, 2.0),
        extreme=rows_of(1e-3, 1e3),
        invalid=rows_of(0.0, -1.0),
        valid=lambda values, classes: values > 0,
        expects="greater than 0",
    )


def probability() -> Kind:
    """A predicted probability of yes, 0 and 1 only at the extremes."""

    def spread(rng: np.random.Generator, n: int) -> Array:
        small = 10 ** rng.uniform(-7, -1, n)
        return np.where(rng.random(n) < 0.5, small, 1 - small)

    return Kind(
        "probabilities of yes",
        generic=lambda rng, n: rng.uniform(0.05, 0.95, n),
        spread=spread,
        steps="mix",
        singular=rows_of(0.5, 0.25, 1 - 2.0**-10, 2.0**-10),
        extreme=rows_of(0.0, 1.0, 1e-30, 1 - 2.0**-20),
        invalid=rows_of(-0.5, 2.0, -100.0),
        valid=lambda values, classes: (values >= 0) & (values <= 1),
        expects="in [0, 1]",
    )


def weights() -> Kind:
    """Weights >= 0, some of them 0."""
    return Kind(
        "weights >= 0",
        generic=lambda rng, n: rng.uniform(0.2, 2.0, n),
        spread=lambda rng, n: 10 ** rng.uniform(-4, 4, n) * (rng.random(n) < 0.8),
        steps="mix",
        singular=rows_of(0.0, 1.0, 2.0),
        extreme=rows_of(0.0, 1e4, 1e-30),
        invalid=rows_of(-1.0, -100.0),
        valid=lambda values, classes: values >= 0,
        expects=">= 0",
    )


def mask() -> Kind:
    """Whether an example counts, True or False."""
    draw: Draw = lambda rng, n: rng.random(n) < 0.7
    return Kind(
        "masks",
        generic=draw,
        spread=draw,
        singular=rows_of(True, False),
        extreme=rows_of(False, True),
        discrete=True,
        differentiable=False,
    )
