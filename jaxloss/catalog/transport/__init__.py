"""What is known of the divergences that compare samples, in `jaxloss.divergence`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from jaxloss import divergence
from jaxloss.catalog import claims, kinds
from jaxloss.catalog.entry import Entry
from jaxloss.catalog.kinds import Kind
from jaxloss.catalog.transport import claims_of_samples, references

COUNT, SIZE = 3, 3
ON_THE_LINE = 4
_HEAVY, _LIGHT = [0.5, 2.0, 1.0], [1.0, 0.25, 3.0]


def numbers(offset: float = 0.0, count: int = ON_THE_LINE) -> Kind:
    """A sample of real numbers, in no order; none near one of a sample with another offset."""
    base = np.linspace(-1.0, 2.0, count) + 0.25 * np.cos(7.0 * np.arange(count))

    def generic(rng: np.random.Generator, n: int) -> np.ndarray:
        # Apart, because differences across a kink are no derivatives.
        rows = 1.5 * np.arange(count) + rng.uniform(-0.2, 0.2, (n, count)) + offset
        return rng.permuted(rows + 1.5 * rng.integers(-2, 2, (n, 1)) - 2.0, axis=1)

    def spread(rng: np.random.Generator, n: int) -> np.ndarray:
        return base * 10.0 ** rng.uniform(-4, 4, (n, 1)) * rng.choice([-1.0, 1.0], (n, 1))

    return Kind(
        f"{count} numbers",
        generic=generic,
        spread=spread,
        steps="mix",
        # Members that tie, in one sample and across both; but no ties of which some have arrived
        # and some have not: there the gradient's entries belong to no one member.
        singular=np.array(
            [np.zeros(count), np.ones(count), 1.5 * (np.arange(count) // 2) + 0.5, base]
        ),
        extreme=np.array([base * 1e4, base * 1e18, base * 1e-30, 1 + 1e-6 * base]),
    )


def vectors(side: float, largest: float = 1e18) -> Kind:
    """A sample of vectors; those of all sizes lie on one side of the origin.

    Not near a sample on the other side: what is left there of large costs is their rounding.
    """
    like = kinds.points(COUNT, SIZE)

    def spread(rng: np.random.Generator, n: int) -> np.ndarray:
        rows = side + 0.6 * rng.normal(size=(n, COUNT, SIZE))
        return rows * 10.0 ** rng.uniform(-1.5, 0.2, (n, 1, 1))

    extreme = like.extreme.copy()
    extreme[2] *= largest / 1e18
    return replace(like, spread=spread, extreme=extreme)


def apart(side: float, offset: float) -> Kind:
    """A sample of vectors whose members keep apart on lines that point to positive numbers."""

    def generic(rng: np.random.Generator, n: int) -> np.ndarray:
        # Apart, because differences across a kink are no derivatives.
        steps = np.arange(COUNT) + rng.integers(-2, 2, (n, 1)) + offset
        order = rng.permuted(1.5 * steps, axis=1)
        return order[..., None] + rng.uniform(-0.15, 0.15, (n, COUNT, SIZE))

    return replace(vectors(side), generic=generic)


def _both(loss: Callable[..., Any]) -> Callable[..., Any]:
    """Return a loss of two samples that takes one mask for both of them."""

    @functools.wraps(loss)
    def specimen(x: Any, y: Any, *, where: Any = None, **options: Any) -> Any:
        return loss(x, y, where=where, where_targets=where, **options)

    return specimen


_SAMPLES = {"predictions": vectors(-1.0), "targets": vectors(1.0)}
_LINE = {"predictions": numbers(), "targets": numbers(0.75)}
_MASSES = {"weights": [0.5, 2.0, 1.0, 0.25], "weights_targets": [1.0, 1.0, 0.5, 3.0]}
_VECTOR_MASSES = {"weights": _HEAVY, "weights_targets": _LIGHT}
_BAD_MASSES: dict[str, tuple[Any, ...]] = {"weights": (-1.0,), "weights_targets": (-1.0, np.nan)}
_DIRECTIONS = [[0.6, 0.8, 0.0], [0.0, 0.6, 0.8], [1.0, 0.0, 0.0]]


def _unordered(sample: str) -> claims.Claim:
    """The members of a sample may change places, where they weigh the same."""
    text = "unchanged when the members of a sample change places"
    return claims.by_default(claims.permutation_invariant(sample, text=text))


_MOVED = claims.by_default(
    claims.translation_invariant(
        "predictions", "targets", text="unchanged when both samples are moved by one vector"
    )
)
_DISTANCE = (
    claims.nonnegative(),
    claims.by_default(claims.symmetric()),
    claims.by_default(claims.zero_at_target()),
    claims.positive_off_target(),
)

NOT_LOSSES = {"random_projections": "draws the directions of sliced_wasserstein"}

ENTRIES = (
    Entry(
        divergence.wasserstein_1d,
        family="divergence",
        purpose="least cost of carrying one sample of numbers to another",
        character="knows how far apart the samples are; gradient alive for disjoint supports",
        when="samples of numbers, histograms of scores, quantiles, fairness of score distributions",
        avoid="vectors: sliced_wasserstein or sinkhorn_divergence",
        formula="integral |F^-1(u) - G^-1(u)|^p du",
        source="Peyre and Cuturi 2019, remark 2.30",
        arguments=_LINE,
        reference=references.line,
        specimen=_both(divergence.wasserstein_1d),
        settings=(
            {"p": 2.0, **_MASSES},
            {"p": 1.5, "root": True, **_MASSES},
        ),
        impossible={"p": (0.5, np.nan), **_BAD_MASSES},
        claims=(
            *_DISTANCE,
            claims.by_default(claims.homogeneous(1)),
            claims.by_default(claims.lipschitz(ON_THE_LINE**-0.5, "predictions")),
            claims.at_most(
                "the Wasserstein-2 distance, at p = 1",
                functools.partial(divergence.wasserstein_1d, p=2.0, root=True),
                {"p": 1.0},
            ),
            claims_of_samples.pulls(),
            _unordered("predictions"),
        ),
        non_claims=("convex in predictions", "smooth where members of a sample tie"),
    ),
    Entry(
        divergence.sliced_wasserstein,
        family="divergence",
        purpose="mean Wasserstein distance of two samples' projections on lines",
        character="transport at the price of sorting, in any dimension",
        when="samples of vectors, many of them: generative models, colours, features",
        avoid="few directions in many dimensions: sinkhorn_divergence",
        formula="mean_k W_p^p(predictions @ v_k, targets @ v_k)",
        source="Bonneel et al. 2015, eq. 8",
        arguments={"predictions": apart(-1.0, 0.0), "targets": apart(1.0, 0.5)},
        reference=references.sliced,
        specimen=_both(divergence.sliced_wasserstein),
        required={"projections": _DIRECTIONS},
        settings=({"p": 1.5, "root": True, **_VECTOR_MASSES},),
        impossible={"p": (0.5, np.nan), "projections": ([[1.0, 0.0]],), **_BAD_MASSES},
        claims=(
            *_DISTANCE,
            claims.by_default(claims.homogeneous(2)),
            claims_of_samples.moves_with_the_means(10.0),
            _unordered("predictions"),
            _MOVED,
        ),
        non_claims=("positive for different samples that share their projections",),
    ),
    Entry(
        divergence.kantorovich_rubinstein,
        family="divergence",
        purpose="what a critic sees of the Wasserstein-1 distance",
        character="linear in the critic's scores; never above the distance for a 1-Lipschitz one",
        when="Wasserstein GANs; estimates of the distance from a trained critic",
        avoid="numbers, whose distance is exact: wasserstein_1d",
        formula="mean(target_scores) - mean(scores)",
        source="Villani 2009, eq. 5.11; Arjovsky et al. 2017, eq. 2",
        arguments={"scores": numbers(), "target_scores": numbers(0.75)},
        reference=references.dual,
        specimen=_both(divergence.kantorovich_rubinstein),
        settings=(_MASSES,),
        impossible=_BAD_MASSES,
        claims=(
            claims.convex("scores"),
            claims.by_default(claims.lipschitz(ON_THE_LINE**-0.5, "scores")),
            claims.at_most("the Wasserstein-1 distance", divergence.wasserstein_1d, {}),
            claims.by_default(
                claims.gradient_is(
                    "minus each member's share",
                    "scores",
                    lambda s, t: np.full(s.shape, -1 / ON_THE_LINE),
                )
            ),
            _unordered("scores"),
        ),
        non_claims=("non-negative: a poor critic sees the samples the wrong way round",),
    ),
    Entry(
        divergence.sinkhorn_divergence,
        family="divergence",
        purpose="least cost of carrying one sample of vectors to another, smoothed",
        character="epsilon moves it from transport to the distance of the means",
        when="samples of vectors up to a few thousand: generative models, domain shift, shapes",
        avoid="very large samples: sliced_wasserstein; numbers: wasserstein_1d",
        formula="OT(x, y) - OT(x, x) / 2 - OT(y, y) / 2, cost |x - y|^2",
        source="Feydy et al. 2019, eq. 3 and 9",
        arguments=_SAMPLES,
        reference=references.sinkhorn,
        specimen=_both(divergence.sinkhorn_divergence),
        required={"epsilon": 12.0},
        settings=({"epsilon": 20.0, **_VECTOR_MASSES},),
        impossible={"epsilon": (0.0, -1.0, np.nan), **_BAD_MASSES},
        claims=(
            claims.nonnegative(),
            claims_of_samples.zero_to_rounding(),
            claims.positive_off_target(),
            claims_of_samples.symmetric_to_rounding(),
            claims_of_samples.to_rounding(
                "unchanged by a common shift", lambda x, y: [x + 8, y + 8], lambda v: v
            ),
            claims.equals(
                "the squared distance of the means as epsilon grows",
                claims_of_samples.squared_gap,
                {"epsilon": 1e7},
                tolerance=1e-5,
            ),
            claims_of_samples.moves_with_the_means(10.0),
            _unordered("predictions"),
        ),
        non_claims=("the transport cost itself: that is the limit of epsilon 0",),
    ),
    Entry(
        divergence.maximum_mean_discrepancy,
        family="divergence",
        purpose="squared distance of two samples' means in the space of a kernel",
        character="sees differences at the scale of its bandwidths, and no further",
        when="two-sample tests, matching of features, generative models with few samples",
        avoid="samples many bandwidths apart: energy_distance, or several bandwidths",
        formula="mean k(x, x') - 2 mean k(x, y) + mean k(y, y')",
        source="Gretton et al. 2012, eq. 5 and 3",
        arguments={"predictions": vectors(-1.0, 1e8), "targets": vectors(1.0, 1e8)},
        reference=references.discrepancy,
        specimen=_both(divergence.maximum_mean_discrepancy),
        settings=(
            {"bandwidth": [0.5, 2.0], **_VECTOR_MASSES},
            {"kernel": "polynomial", "bandwidth": 3.0, "degree": 2},
            {"kernel": "laplace", "bandwidth": 2.0, "unbiased": True, **_VECTOR_MASSES},
        ),
        impossible={"bandwidth": (0.0, -1.0, np.nan), **_BAD_MASSES},
        claims=(
            claims.by_default(claims.nonnegative()),
            claims_of_samples.symmetric_to_rounding(),
            claims_of_samples.zero_to_rounding(),
            claims.by_default(claims.positive_off_target()),
            claims.by_default(claims.bounded(0.0, 2.0)),
            claims_of_samples.fades(),
            claims.equals(
                "the squared distance of the means as the bandwidth grows",
                claims_of_samples.squared_gap,
                {"bandwidth": 1e5},
                scale=1e-10,
                tolerance=1e-5,
            ),
            _unordered("predictions"),
            _MOVED,
        ),
        non_claims=("non-negative where unbiased", "alive for samples many bandwidths apart"),
    ),
    Entry(
        divergence.energy_distance,
        family="divergence",
        purpose="how much further apart two samples are than each in itself",
        character="no bandwidth; grows with the distance of the samples",
        when="samples of vectors of any scale; scoring of ensembles",
        avoid="heavy tails, whose mean distance is infinite: maximum_mean_discrepancy",
        formula="2 mean |x - y| - mean |x - x'| - mean |y - y'|",
        source="Szekely and Rizzo 2013, eq. 5 and 6",
        arguments=_SAMPLES,
        reference=functools.partial(references.discrepancy, kernel="energy"),
        specimen=_both(divergence.energy_distance),
        settings=({"unbiased": True, **_VECTOR_MASSES},),
        impossible=_BAD_MASSES,
        claims=(
            claims.by_default(claims.nonnegative()),
            claims_of_samples.symmetric_to_rounding(),
            claims_of_samples.zero_to_rounding(),
            claims.by_default(claims.positive_off_target()),
            claims.by_default(claims.homogeneous(1)),
            claims.equals(
                "the maximum mean discrepancy with the kernel -|x - y|, which it is",
                functools.partial(divergence.maximum_mean_discrepancy, kernel="energy"),
                {},
            ),
            claims_of_samples.moves_with_the_means(1.0),
            _unordered("predictions"),
            _MOVED,
        ),
        non_claims=("non-negative where unbiased",),
    ),
)
