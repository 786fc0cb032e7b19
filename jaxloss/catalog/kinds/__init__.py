"""Kinds of arguments: `numbers`, `classes`, `sets`, `images`; `frame` says what a kind is."""

from jaxloss.catalog.kinds import images
from jaxloss.catalog.kinds.classes import (
    labels,
    log_probabilities,
    logits,
    one_hot,
    probabilities,
    scores,
    simplex,
)
from jaxloss.catalog.kinds.frame import (
    Kind,
    bit_uniform,
    example,
    grid,
)
from jaxloss.catalog.kinds.numbers import (
    above_minus_one,
    log_odds,
    mask,
    positive,
    probability,
    reals,
    shares,
    signs,
    temperature,
    weights,
)
from jaxloss.catalog.kinds.sets import (
    boxes,
    groups,
    lengths,
    points,
    relevance,
    vectors,
)

__all__ = [
    "Kind",
    "above_minus_one",
    "bit_uniform",
    "boxes",
    "example",
    "grid",
    "groups",
    "images",
    "labels",
    "lengths",
    "log_odds",
    "log_probabilities",
    "logits",
    "mask",
    "one_hot",
    "points",
    "positive",
    "probabilities",
    "probability",
    "reals",
    "relevance",
    "scores",
    "shares",
    "signs",
    "simplex",
    "temperature",
    "vectors",
    "weights",
]
