"""What is known of the losses of sequences in `jaxloss.sequence`."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
from mpmath import mp

from jaxloss import sequence
from jaxloss.catalog import claims, kinds
from jaxloss.catalog.entry import Entry
from jaxloss.catalog.kinds import Kind

# The blank, two labels, and a symbol that occurs in no label sequence.
SYMBOLS, LABELS = 4, (1, 3)


def lattice_logits(*positions: int) -> Kind:
    """Logits of `SYMBOLS` symbols at every position of a sequence, or of a lattice."""
    shape = (*positions, SYMBOLS)
    base = np.cos(1.0 + 2.0 * np.arange(np.prod(shape))).reshape(shape)

    def one(value: float, symbol: int) -> Any:
        row = base.copy()
        row[(1,) * len(positions)][symbol] = value
        return row

    def spread(rng: np.random.Generator, n: int) -> Any:
        return 10 ** rng.uniform(-5, 1.7, (n, *shape)) * rng.choice([-1.0, 1.0], (n, *shape))

    return Kind(
        f"logits of {SYMBOLS} symbols",
        generic=lambda rng, n: rng.normal(0.0, 2.0, (n, *shape)),
        spread=spread,
        steps="free",
        singular=np.array([np.zeros(shape), np.ones(shape), np.round(base), one(20.0, 1), base]),
        extreme=np.array(
            [base * 1e4, base * 1e-30, base * 1e6, one(-1.5e38, 3), one(1e7, 0) + 1e7, base * 1e30]
        ),
        infinite=np.array([one(-np.inf, 0), one(-np.inf, 3), one(np.inf, 1)]),
        towards=np.array([one(-1e5, 0), one(-1e5, 3), one(1e5, 1)]),
    )


def labels_of(length: int) -> Kind:
    """Sequences of labels; the first of them is never padding."""
    good = np.resize(LABELS, (2, length))
    good[1] = LABELS[0]
    bad = np.resize(LABELS, (5, length))
    bad[:, 0] = [-1, SYMBOLS, 255, -100, 0]
    draw = lambda rng, n: rng.choice(LABELS, (n, length))
    return Kind(
        f"{length} labels",
        generic=draw,
        spread=draw,
        singular=good,
        extreme=good,
        invalid=bad,
        discrete=True,
        differentiable=False,
    )


def symbols_of(length: int) -> Kind:
    """Sequences of symbols of any kind."""
    good = np.resize(np.arange(SYMBOLS), (2, length))
    bad = np.resize(np.arange(SYMBOLS), (4, length))
    bad[:, 1] = [-1, SYMBOLS, 255, -100]
    draw = lambda rng, n: rng.integers(0, SYMBOLS, (n, length))
    return replace(
        labels_of(length), generic=draw, spread=draw, singular=good, extreme=good, invalid=bad
    )


def paddings(length: int, least: int, generic: int, *bad: Any) -> Kind:
    """Zeros, then ones where a sequence is padded: at least `least` zeros, `generic` as a rule."""
    ramp = lambda present: (np.arange(length) >= np.asarray(present)[..., None]).astype(float)
    draw = lambda rng, n: ramp(rng.integers(generic, length + 1, n))
    return Kind(
        f"paddings of {length} steps",
        generic=draw,
        spread=draw,
        singular=ramp(np.arange(least, length + 1)),
        extreme=ramp(np.arange(least, length + 1)),
        invalid=np.array([np.r_[0.5, np.ones(length - 1)], *bad]),
        differentiable=False,
    )


def series_apart(count: int, size: int) -> Kind:
    """Series that are never nearly equal to those of `kinds.points`."""
    like = kinds.points(count, size)
    return replace(like, spread=lambda rng, n: like.spread(rng, n) + 3.0)


def _both(loss: Any) -> Any:
    """Return the loss with one mask for both series, as a checker of masks expects."""

    @functools.wraps(loss)
    def specimen(x: Any, y: Any, *, where: Any = None, **options: Any) -> Any:
        return loss(x, y, where=where, where_targets=where, **options)

    return specimen


def _probabilities(x: Any) -> Any:
    total = mp.fsum(mp.exp(v) for v in x)
    return [mp.exp(v) / total for v in x]


def _unpadded(row: Any, paddings: Any) -> Any:
    return [v for v, p in zip(row, paddings, strict=True) if p == 0]


def _read(path: Any, blank_id: int) -> list[int]:
    """Merge what repeats, then drop the blanks."""
    return [k for k, _ in itertools.groupby(path) if k != blank_id]


def _ctc(x: Any, frames: Any, labels: Any, label_paddings: Any, blank_id: int = 0) -> Any:
    p = [_probabilities(row) for row in _unpadded(x, frames)]
    wanted = _unpadded(labels, label_paddings)
    paths = itertools.product(range(SYMBOLS), repeat=len(p))
    return -mp.log(
        mp.fsum(
            mp.fprod(p[t][k] for t, k in enumerate(path))
            for path in paths
            if _read(path, blank_id) == wanted
        )
    )


def _rnnt(x: Any, frames: Any, labels: Any, label_paddings: Any, blank_id: int = 0) -> Any:
    wanted = _unpadded(labels, label_paddings)
    p = [[_probabilities(node) for node in row] for row in _unpadded(x, frames)]

    def rest(t: int, u: int) -> Any:
        """Return the probability of all walks from a node on, each followed to its end."""
        if t == len(p):
            return mp.mpf(u == len(wanted))
        label = p[t][u][wanted[u]] * rest(t, u + 1) if u < len(wanted) else mp.mpf(0)
        return p[t][u][blank_id] * rest(t + 1, u) + label

    return -mp.log(rest(0, 0))


def _sequence(x: Any, labels: Any) -> Any:
    return -mp.fsum(
        mp.log(_probabilities(row)[label]) for row, label in zip(x, labels, strict=True)
    )


def _matchings(n: int, m: int) -> Iterator[list[tuple[int, int]]]:
    """Yield every monotone way from the pair (0, 0) to the pair (n - 1, m - 1)."""
    if (n, m) == (1, 1):
        yield [(0, 0)]
    for a, b in ((n - 1, m), (n, m - 1), (n - 1, m - 1)):
        if a and b:
            yield from ([*way, (n - 1, m - 1)] for way in _matchings(a, b))


def _soft_dtw(x: Any, y: Any, gamma: Any = 1) -> Any:
    cost = [[mp.fsum((a - b) ** 2 for a, b in zip(p, q, strict=True)) for q in y] for p in x]
    ways = _matchings(len(x), len(y))
    totals = [mp.fsum(cost[i][j] for i, j in way) for way in ways]
    return -gamma * mp.log(mp.fsum(mp.exp(-c / gamma) for c in totals))


def _soft_dtw_divergence(x: Any, y: Any, gamma: Any = 1) -> Any:
    own = (_soft_dtw(x, x, gamma) + _soft_dtw(y, y, gamma)) / 2
    return _soft_dtw(x, y, gamma) - own


def _time_warping(predictions: Any, targets: Any, where: Any = None) -> Any:
    """Return the least cost of all matchings, by looking at each."""
    del where  # verified where nothing is masked
    cost = jnp.sum((predictions[..., :, None, :] - targets[..., None, :, :]) ** 2, axis=-1)
    ways = _matchings(*cost.shape[-2:])
    totals = [sum(cost[..., i, j] for i, j in way) for way in ways]
    return jnp.min(jnp.stack(totals), axis=0)


def _sums_to_one() -> claims.Claim:
    def check(subject: Any) -> Iterator[str]:
        for setting in subject.settings:
            logits = subject.draw("generic")[0][0]
            symbols = [k for k in range(SYMBOLS) if k != setting.get("blank_id", 0)]
            frames = len(logits)
            found = [row for n in range(frames + 1) for row in itertools.product(symbols, repeat=n)]
            labels = np.array([[*row, *[-1] * (frames - len(row))] for row in found])
            args = [np.tile(logits, (len(found), 1, 1)), np.zeros((len(found), frames))]
            loss = subject.value([*args, labels, (labels < 0) * 1.0], setting, "float64")
            total = np.exp(-loss).sum()
            if abs(total - 1) > 1e-12:
                yield f"the probabilities of all label sequences sum to {total}{setting or ''}"

    return claims.holds("the probabilities of all label sequences sum to 1", check)


def _one_alignment() -> claims.Claim:
    def check(subject: Any) -> Iterator[str]:
        logits = subject.draw("generic")[0]
        path = np.tile(np.resize(LABELS, logits.shape[1]), (len(logits), 1))
        none = np.zeros(path.shape)
        loss = subject.value([logits, none, path, none], {}, "float64")
        normal = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        expected = -np.take_along_axis(normal, path[..., None], axis=-1).sum(axis=(-1, -2))
        if not np.allclose(loss, expected, rtol=1e-12):
            yield f"{loss} instead of the cross-entropy of every frame, {expected}"

    return claims.holds("the cross-entropy of the frames where only one alignment fits", check)


def _ignores_padding() -> claims.Claim:
    """Paddings take the place of `where` for the steps of a sequence."""

    def check(subject: Any) -> Iterator[str]:
        logits, frames, labels, ends = subject.draw("generic")
        frames[:, -1], ends[:, -1] = 1, 1
        clean = subject.evaluate([logits, frames, labels, ends], {})
        for garbage in (np.nan, np.inf, -1e30):
            logits, labels = logits.copy(), labels.copy()
            logits[:, -1], labels[:, -1] = garbage, -100
            args = [logits, frames, labels, ends]
            value, slopes = subject.evaluate(args, {})
            say = lambda i, v=value: f"value {v[i]} instead of {clean[0][i]} with padding"
            yield from claims.violations(value != clean[0], args, {}, say)
            wrong = slopes[0] != clean[1][0]
            say = lambda i, s=slopes[0]: f"gradient {s[i]} with padding"
            yield from claims.violations(wrong, args, {}, say)

    return claims.holds("padding changes neither value nor gradient", check)


def _moves_along() -> claims.Claim:
    text = "unchanged when both series are moved by the same vector"
    return claims.translation_invariant("predictions", "targets", text=text)


def _error(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True) - np.eye(SYMBOLS)[y]


NOT_LOSSES = {
    "ctc_loss_with_forward_probs": "ctc_loss, which has an entry, with the states it went through",
}

_ALIGNED: dict[str, Any] = {
    "family": "sequence",
    "impossible": {"blank_id": (-1, SYMBOLS)},
    "non_claims": ("convex in logits", "comparable between sequences of different lengths"),
}
_WARPED: dict[str, Any] = {
    "family": "sequence",
    "arguments": {"predictions": kinds.points(3, 3), "targets": series_apart(3, 3)},
    "settings": ({"gamma": 0.1}, {"gamma": 10.0}),
    "impossible": {"gamma": (0.0, -1.0)},
}
_SMALL = {"gamma": 1e-9}

ENTRIES: tuple[Entry, ...] = (
    Entry(
        sequence.ctc_loss,
        purpose="sequence labelling without knowing when each label occurs: speech, handwriting",
        character="sums over all alignments; frames are independent given the input",
        when="labels are fewer than frames, in the same order, and their times are not marked",
        avoid="labels depend on one another: rnnt_loss; times are known: "
        "softmax_cross_entropy_with_integer_labels for each frame",
        formula="-log(sum over paths that read as the labels of prod(softmax(logits)[t, path[t]]))",
        source="Graves et al. 2006, eq. 3 and 12",
        arguments={
            "logits": lattice_logits(4),
            "logit_paddings": paddings(4, 3, 3, [0.0, 2.0, 0.0, 0.0], [0.0, 0.0, 0.0, -1.0]),
            "labels": labels_of(2),
            "label_paddings": paddings(2, 0, 1, [1.0, 0.0], [0.0, 2.0]),
        },
        reference=_ctc,
        claims=(
            claims.nonnegative(),
            claims.shift_invariant("logits"),
            claims.lipschitz(8**0.5, "logits", text="the root of twice the number of frames"),
            _sums_to_one(),
            _one_alignment(),
            _ignores_padding(),
            claims.informative_gradient("logits"),
        ),
        **_ALIGNED,
    ),
    Entry(
        sequence.rnnt_loss,
        purpose="sequence labelling where each label depends on those before it: streaming speech",
        character="sums over all walks through frames and labels; several labels fit in a frame",
        when="labels depend on one another, or may outnumber the frames",
        avoid="memory for T x (U + 1) x K logits is short, or labels are nearly independent: "
        "ctc_loss",
        formula="-log(sum over walks from (0, 0) out of the last frame of prod(softmax(logits)))",
        source="Graves 2012, eq. 16 to 18",
        arguments={
            "logits": lattice_logits(3, 3),
            "logit_paddings": paddings(3, 1, 1, [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 2.0]),
            "labels": labels_of(2),
            "label_paddings": paddings(2, 0, 1, [1.0, 0.0], [0.0, 2.0]),
        },
        reference=_rnnt,
        claims=(
            claims.nonnegative(),
            claims.shift_invariant("logits"),
            claims.lipschitz(10**0.5, "logits", text="the root of twice the number of symbols"),
            _ignores_padding(),
            claims.informative_gradient("logits"),
        ),
        **_ALIGNED,
    ),
    Entry(
        sequence.sequence_cross_entropy,
        family="sequence",
        purpose="training and comparing models that predict a sequence symbol by symbol",
        character="adds up over the steps: the surprisal of the sequence as a whole",
        when="one number for each sequence is wanted: its log-likelihood, its perplexity",
        avoid="every token of a batch is to count the same: the mean of "
        "softmax_cross_entropy_with_integer_labels; times are unknown: ctc_loss",
        formula="-sum(log(softmax(logits)[t, labels[t]]))",
        source="Sutskever, Vinyals and Le 2014, eq. 1",
        arguments={"logits": lattice_logits(3), "labels": symbols_of(3)},
        reference=_sequence,
        claims=(
            claims.nonnegative(),
            claims.convex("logits"),
            claims.shift_invariant("logits"),
            claims.lipschitz(6**0.5, "logits", text="the root of twice the number of steps"),
            claims.gradient_is("softmax(logits) - labels", "logits", _error),
            claims.informative_gradient("logits"),
            claims.smooth(0.5, "logits"),
        ),
        non_claims=("comparable between sequences of different lengths",),
    ),
    Entry(
        sequence.soft_dtw_loss,
        purpose="comparing series that run at different speeds, differentiably",
        character="the least cost of a monotone matching, smoothed by gamma",
        when="shape matters and timing does not; the series to be matched differ enough",
        avoid="the loss is to be least at equal series: soft_dtw_divergence; timing matters: "
        "squared_error of each step",
        formula="-gamma log(sum over matchings of exp(-sum(|x[i] - y[j]|^2) / gamma))",
        source="Cuturi and Blondel 2017, eq. 2",
        reference=_soft_dtw,
        specimen=_both(sequence.soft_dtw_loss),
        claims=(
            claims.symmetric(),
            claims.at_most("dynamic time warping", _time_warping),
            claims.equals("dynamic time warping as gamma shrinks", _time_warping, _SMALL),
            _moves_along(),
        ),
        non_claims=("non-negative", "least at equal series", "convex in predictions"),
        **_WARPED,
    ),
    Entry(
        sequence.soft_dtw_divergence,
        purpose="comparing series that run at different speeds, with equal ones at 0",
        character="soft_dtw_loss without its bias; three times the work",
        when="series are to be brought together by gradient descent, or averaged",
        avoid="the bias does no harm and speed counts: soft_dtw_loss",
        formula="L(x, y) - (L(x, x) + L(y, y)) / 2 with L = soft_dtw_loss",
        source="Blondel, Mensch and Vert 2021, eq. 9",
        reference=_soft_dtw_divergence,
        specimen=_both(sequence.soft_dtw_divergence),
        claims=(
            claims.nonnegative(),
            claims.zero_at_target(),
            claims.symmetric(),
            claims.equals("dynamic time warping as gamma shrinks", _time_warping, _SMALL),
            _moves_along(),
        ),
        non_claims=("a metric: it violates the triangle inequality", "convex in predictions"),
        **_WARPED,
    ),
)
