"""Formulas of listwise losses and smooth metrics, for one list, in the arithmetic of mpmath."""

from __future__ import annotations

from typing import Any

from mpmath import mp


def rank_of(s: Any, i: int) -> int:
    """Return the rank of item `i`; of equal scores the earlier item comes first."""
    return 1 + sum(v > s[i] or (v == s[i] and j < i) for j, v in enumerate(s))


def _lists(segments: Any, n: int) -> list[list[int]]:
    groups = segments or (0,) * n
    return [[i for i in range(n) if groups[i] == g] for g in sorted(set(groups))]


def _log_sum(s: Any, members: Any) -> Any:
    return mp.log(mp.fsum(mp.exp(s[j]) for j in members))


def _gain(y: Any, gain: str) -> Any:
    return mp.mpf(2) ** y - 1 if gain == "exponential" else y


def softmax(s: Any, y: Any, weights: Any = None, segments: Any = None) -> Any:
    """Return the cross-entropy with grades."""
    total = mp.mpf(0)
    for group in _lists(segments, len(s)):
        for i in group:
            weight = 1 if weights is None else weights[i]
            total += weight * y[i] * (_log_sum(s, group) - s[i])
    return total


def listnet(s: Any, y: Any, segments: Any = None) -> Any:
    """Return the cross-entropy of two softmaxes."""
    total = mp.mpf(0)
    for group in _lists(segments, len(s)):
        if any(y[i] > 0 for i in group):
            for i in group:
                share = mp.exp(y[i] - _log_sum(y, group))
                total += share * (_log_sum(s, group) - s[i])
    return total


def unique(s: Any, y: Any, gain: str = "exponential", segments: Any = None) -> Any:
    """Return the softmax loss against less relevant items."""
    total = mp.mpf(0)
    for group in _lists(segments, len(s)):
        for i in group:
            rivals = [i, *(j for j in group if y[j] < y[i])]
            total += _gain(y[i], gain) * (_log_sum(s, rivals) - s[i])
    return total


def listmle(s: Any, y: Any, ties: str = "order", segments: Any = None) -> Any:
    """Return the negative log-likelihood of a ranking."""
    total = mp.mpf(0)
    for group in _lists(segments, len(s)):
        if not any(y[i] > 0 for i in group):
            continue
        order = sorted(group, key=lambda i: (-y[i], i))
        for k, i in enumerate(order):
            left = order[k:] if ties == "order" else [j for j in group if y[j] <= y[i]]
            total += _log_sum(s, left) - s[i]
    return total


def by_segment(formula: Any) -> Any:
    """Extend the formula for one list by `segments`: the sum over the lists that they make."""

    def total(s: Any, y: Any, segments: Any = None, **setting: Any) -> Any:
        parts = _lists(segments, len(s))
        return mp.fsum(formula([s[i] for i in p], [y[i] for i in p], **setting) for p in parts)

    return total


@by_segment
def position_aware(s: Any, y: Any, position_weights: Any = None) -> Any:
    """Return ListMLE with weighted places."""
    n = len(s)
    if not any(v > 0 for v in y):
        return mp.mpf(0)
    order = sorted(range(n), key=lambda i: (-y[i], i))
    weights = position_weights or [mp.mpf(2) ** (n - k) - 1 for k in range(1, n + 1)]
    return mp.fsum(weights[k] * (_log_sum(s, order[k:]) - s[order[k]]) for k in range(n))


def _smooth_rank(s: Any, i: int, temperature: Any) -> Any:
    others = (v for j, v in enumerate(s) if j != i)
    return 1 + mp.fsum(1 / (1 + mp.exp((s[i] - v) / temperature)) for v in others)


def _ideal(gains: Any) -> Any:
    return mp.fsum(g / mp.log(k + 2, 2) for k, g in enumerate(sorted(gains, reverse=True)))


@by_segment
def approx_ndcg(s: Any, y: Any, temperature: Any = 1, gain: str = "exponential") -> Any:
    """Return one less NDCG with smooth ranks."""
    gains = [_gain(v, gain) for v in y]
    if not any(gains):
        return mp.mpf(0)
    ranks = [_smooth_rank(s, i, temperature) for i in range(len(s))]
    got = mp.fsum(g / mp.log(1 + r, 2) for g, r in zip(gains, ranks, strict=True))
    return 1 - got / _ideal(gains)


@by_segment
def approx_mrr(s: Any, y: Any, temperature: Any = 1) -> Any:
    """Return one less the reciprocal of the best smooth rank."""
    ranks = [_smooth_rank(s, i, temperature) for i in range(len(s)) if y[i] > 0]
    return 1 - 1 / min(ranks) if ranks else mp.mpf(0)


def neural_ndcg(
    s: Any, y: Any, temperature: Any = 1, iterations: int = 30, gain: str = "exponential"
) -> Any:
    """Return one less NDCG under a balanced soft permutation."""
    n = len(s)
    gains = [_gain(v, gain) for v in y]
    if not any(gains):
        return mp.mpf(0)
    gaps = [mp.fsum(abs(v - w) for w in s) for v in s]
    rows = []
    for k in range(1, n + 1):
        row = [mp.exp(((n + 1 - 2 * k) * s[j] - gaps[j]) / temperature) for j in range(n)]
        rows.append([v / mp.fsum(row) for v in row])
    for _ in range(iterations):
        sums = [mp.fsum(column) for column in zip(*rows, strict=True)]
        rows = [[v / t for v, t in zip(row, sums, strict=True)] for row in rows]
        rows = [[v / mp.fsum(row) for v in row] for row in rows]
    got = mp.fsum(mp.fdot(row, gains) / mp.log(k + 2, 2) for k, row in enumerate(rows))
    return 1 - got / _ideal(gains)
