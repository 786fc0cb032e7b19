"""Losses against one learned vector for each class."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from mpmath import mp

from jaxloss import contrastive
from jaxloss.catalog import claims, kinds
from jaxloss.catalog.entry import Entry

Array = np.ndarray

MEMBERS, CLASSES, SIZE = 4, 3, 3


def _labels() -> kinds.Kind:
    """The class of each member of a set."""

    def draw(rng: np.random.Generator, n: int) -> Array:
        return rng.integers(0, CLASSES, (n, MEMBERS))

    ordered = np.arange(MEMBERS) % CLASSES
    return kinds.Kind(
        f"classes < {CLASSES} of {MEMBERS} members",
        generic=draw,
        spread=draw,
        singular=np.stack([np.zeros(MEMBERS, int), ordered]),
        extreme=np.stack([np.zeros(MEMBERS, int), ordered]),
        invalid=np.array([[CLASSES] * MEMBERS, [-1] * MEMBERS, [-100] * MEMBERS]),
        discrete=True,
        differentiable=False,
    )


def _arguments(name: str) -> dict[str, kinds.Kind]:
    members, vectors = kinds.points(MEMBERS, SIZE), kinds.points(CLASSES, SIZE)
    return {"embeddings": members, name: vectors, "labels": _labels()}


def whole_sets(loss: Callable[..., Any]) -> Callable[..., Any]:
    """Return the loss for masks of whole sets only.

    What is behind a mask of members is their embeddings, not the proxies that stand at the same
    places: a check that puts garbage behind masks, argument by argument, must not be given one.
    """

    @functools.wraps(loss)
    def masked(*args: Any, where: Any = None, **settings: Any) -> Any:
        if where is not None and np.ndim(where) == np.ndim(args[0]) - 1:
            raise ValueError(f"{loss.__name__}: where must be of sets here, got members.")
        return loss(*args, where=where, **settings)

    return masked


def _cosines(a: Any, b: Any) -> Any:
    """Return all cosines, or None where a vector has no direction."""
    sizes = [[mp.sqrt(mp.fdot(v, v)) for v in rows] for rows in (a, b)]
    if not all(map(all, sizes)):
        return None
    return [
        [mp.fdot(u, v) / (m * n) for v, n in zip(b, sizes[1], strict=True)]
        for u, m in zip(a, sizes[0], strict=True)
    ]


def _proxy_nca(x: Any, p: Any, y: Any, temperature: Any = 1, include_positive: bool = True) -> Any:
    cosines = _cosines(x, p)
    if cosines is None:
        return [mp.nan] * len(x)
    losses = []
    for row, label in zip(cosines, y, strict=True):
        weights = [mp.exp(-(2 - 2 * c) / temperature) for c in row]
        rest = [w for k, w in enumerate(weights) if include_positive or k != label]
        losses.append(-mp.log(weights[label] / mp.fsum(rest)))
    return losses


def _proxy_anchor(x: Any, p: Any, y: Any, margin: Any = mp.mpf(0.1), scale: Any = 32) -> Any:
    cosines = _cosines(x, p)
    if cosines is None:
        return mp.nan
    pull, push = [], []
    for k in range(len(p)):
        own = [mp.exp(-scale * (c[k] - margin)) for c, v in zip(cosines, y, strict=True) if v == k]
        rest = [mp.exp(scale * (c[k] + margin)) for c, v in zip(cosines, y, strict=True) if v != k]
        push.append(mp.log(1 + mp.fsum(rest)))
        if own:
            pull.append(mp.log(1 + mp.fsum(own)))
    return mp.fsum(pull) / len(pull) + mp.fsum(push) / len(push)


def _center(x: Any, c: Any, y: Any) -> Any:
    return [
        mp.fsum((u - v) ** 2 for u, v in zip(row, c[k], strict=True)) / 2
        for row, k in zip(x, y, strict=True)
    ]


def unordered(*arguments: str) -> claims.Claim:
    """The members of a set may change places, in all these arguments together."""
    text = "unchanged when the members change places"
    return claims.permutation_invariant(*arguments, text=text)


def same_in_any_axes(*arguments: str) -> claims.Claim:
    """The components of all embeddings may change places."""
    text = "unchanged when the components change places"
    return claims.permutation_invariant(*arguments, axis=1, text=text)


def _own(c: Array, y: Array) -> Array:
    return np.take_along_axis(c, y[..., None], axis=-2)


ENTRIES = (
    Entry(
        contrastive.proxy_nca_loss,
        family="contrastive",
        purpose="cross-entropy of distances to one proxy for each class",
        character="no pairs to mine: every member meets the proxies only",
        when="metric learning with class labels, fast and steady",
        avoid="where relations between members matter: proxy_anchor_loss, triplet losses",
        formula="-log(softmax(-d^2 / temperature)[label])",
        source="Movshovitz-Attias et al. 2017, eq. 4; Teh et al. 2020",
        arguments=_arguments("proxies"),
        reference=_proxy_nca,
        specimen=whole_sets(contrastive.proxy_nca_loss),
        settings=({"temperature": 0.25, "include_positive": False},),
        impossible={"temperature": (0.0, -1.0, np.nan)},
        claims=(
            claims.by_default(claims.nonnegative()),
            claims.scale_invariant("embeddings"),
            claims.scale_invariant("proxies"),
        ),
        non_claims=("non-negative without the positive in the denominator",),
    ),
    Entry(
        contrastive.proxy_anchor_loss,
        family="contrastive",
        purpose="each proxy pulls its class and pushes the others, the hardest most",
        character="members see each other through the proxies",
        when="metric learning with class labels, best with large batches",
        avoid="a value for each member: proxy_nca_loss",
        formula="mean of log(1 + sum exp(-scale (s - margin))) + mean of "
        "log(1 + sum exp(scale (s + margin)))",
        source="Kim et al. 2020, eq. 4",
        arguments=_arguments("proxies"),
        reference=_proxy_anchor,
        specimen=whole_sets(contrastive.proxy_anchor_loss),
        settings=({"margin": 0.2, "scale": 4.0},),
        impossible={"scale": (0.0, -1.0), "margin": (np.nan,)},
        claims=(
            claims.nonnegative(),
            claims.scale_invariant("embeddings"),
            claims.scale_invariant("proxies"),
            unordered("embeddings", "labels"),
        ),
        non_claims=("the mean over parts of the batch: a sum within the logarithm",),
        coupled="batch",
    ),
    Entry(
        contrastive.center_loss,
        family="contrastive",
        purpose="half the squared distance to the centre of one's class",
        character="makes classes compact, and nothing else",
        when="beside a cross-entropy, to draw the members of a class together",
        avoid="alone: it is least where everything is one point; arcface_loss does both",
        formula="|embeddings - centers[label]|^2 / 2",
        source="Wen et al. 2016, eq. 2",
        arguments=_arguments("centers"),
        reference=_center,
        specimen=whole_sets(contrastive.center_loss),
        claims=(
            claims.nonnegative(),
            claims.convex("embeddings"),
            claims.gradient_is(
                "embeddings - centers[label]", "embeddings", lambda x, c, y: x - _own(c, y)
            ),
            claims.translation_invariant("embeddings", "centers"),
            claims.smooth(1.0, "embeddings"),
        ),
        non_claims=("different classes apart",),
    ),
)
