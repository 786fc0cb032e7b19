"""What the entries of losses over sets of embeddings share: formulas in mpmath, and claims."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from mpmath import mp

from jaxloss.catalog import claims, kinds

MEMBERS, SIZE = 5, 3
# Of everybody together or everybody alone there is little to say: more rows that have both sides.
GROUPS = replace(
    kinds.groups(MEMBERS),
    singular=np.array(
        [[0, 0, 0, 0, 0], [0, 1, 2, 3, 4], [0, 0, 1, 1, 2], [1, 1, 0, 0, 0], [2, 2, 2, 0, 0]]
    ),
)
LABELLED = {"embeddings": kinds.points(MEMBERS, SIZE), "labels": GROUPS}
# A zero vector has no direction, and no reference: the tests say what losses make of it.
_DIRECTIONS = replace(
    kinds.points(MEMBERS, SIZE),
    singular=np.concatenate(
        [kinds.points(MEMBERS, SIZE).singular[1:3], np.tile(np.eye(SIZE), (2, 1))[None, :MEMBERS]]
    ),
)
PAIRED = {"anchors": kinds.points(MEMBERS, SIZE), "positives": kinds.points(MEMBERS, SIZE)}
DIRECTED = {"embeddings": _DIRECTIONS, "labels": GROUPS}
VIEWS = {"anchors": _DIRECTIONS, "positives": _DIRECTIONS}
SHOWN = {"images": _DIRECTIONS, "texts": _DIRECTIONS}

# Formulas


def _squared(x: Any, y: Any) -> Any:
    steps = [a - b for a, b in zip(x, y, strict=True)]
    return mp.fdot(steps, steps)


def _unit(x: Any) -> list[Any]:
    """Return the direction of a vector, which a zero vector does not have."""
    size = mp.sqrt(mp.fdot(x, x))
    return [v / size if size else mp.nan for v in x]


_BETWEEN: dict[str, Callable[[Any, Any], Any]] = {
    "cosine": mp.fdot,
    "dot": mp.fdot,
    "euclidean": lambda x, y: mp.sqrt(_squared(x, y)),
    "squared_euclidean": _squared,
    "manhattan": lambda x, y: mp.fsum(abs(a - b) for a, b in zip(x, y, strict=True)),
}


def matrix(between: str, xs: Any, ys: Any) -> list[list[Any]]:
    """Return the distances or similarities of all members of two sets."""
    if between == "cosine":
        xs, ys = ([_unit(v) for v in s] for s in (xs, ys))
    return [[_BETWEEN[between](x, y) for y in ys] for x in xs]


def sides(labels: Any) -> list[tuple[list[int], list[int]]]:
    """Return for each anchor the indices of its positives and of its negatives."""
    everyone = range(len(labels))
    return [
        (
            [j for j in everyone if j != i and labels[j] == labels[i]],
            [j for j in everyone if labels[j] != labels[i]],
        )
        for i in everyone
    ]


def mean(values: Any) -> Any:
    """Return the mean, 0 of none."""
    values = list(values)
    return mp.fsum(values) / len(values) if values else mp.mpf(0)


def exp_sum(values: Any) -> Any:
    """Return the sum of exponentials."""
    return mp.fsum(mp.exp(v) for v in values)


# Claims


def reordered() -> claims.Claim:
    """Reordering the members of a set reorders their losses."""
    return claims.permutation_equivariant(text="reordering the members reorders the losses")


def same_in_any_axes(*arguments: str) -> claims.Claim:
    """The components of all embeddings may change places."""
    text = "unchanged when the components change places"
    return claims.permutation_invariant(*arguments, axis=1, text=text)


def needs_positives() -> claims.Claim:
    """Exactly 0, with zero gradient, for anchors without positives."""

    def check(subject: Any) -> Iterator[str]:
        for setting in subject.settings:
            args = subject.draw("spread")
            args[1] = np.broadcast_to(np.arange(args[1].shape[1]), args[1].shape)
            value, slope = subject.value(args, setting), subject.slopes(args, setting)[0]
            wrong = (value != 0).any(axis=-1) | (slope != 0).any(axis=(-1, -2))
            yield from claims.violations(wrong, args, setting, lambda i, v=value: f"value {v[i]}")

    return claims.holds("0 with zero gradient without positives", check)


def only_directions(*arguments: str) -> tuple[claims.Claim, ...]:
    """By default the lengths of embeddings have no effect."""
    return tuple(claims.by_default(claims.scale_invariant(name)) for name in arguments)
