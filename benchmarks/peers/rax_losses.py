"""The losses of `rax`: of lists of items, summed over items or pairs rather than averaged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from mpmath import mp

from jaxloss import catalog
from jaxloss.catalog import claims
from jaxloss.catalog.kinds import Kind
from jaxloss.catalog.ranking.statements import ITEMS, REAL_GRADES, SCORES
from peers import Peer

_SUM = (
    "(lambda scores, labels, *, where=None: rax.{}(scores, labels, where=where, reduce_fn=jnp.sum))"
)


def _orders() -> Kind:
    """Return grades without ties, which a ranking as a whole wants."""
    draw = lambda rng, n: rng.permuted(np.tile(np.arange(float(ITEMS)), (n, 1)), axis=1)
    first = np.arange(float(ITEMS))
    return replace(
        REAL_GRADES,
        name=f"the order of {ITEMS} items",
        generic=draw,
        spread=draw,
        singular=np.array([first, first[::-1], [2.0, 0.0, 1.0, 4.0, 3.0]]),
        extreme=np.array([first, first[::-1]]),
    )


def _poly(s: Any, y: Any) -> Any:
    logs = [v - mp.log(mp.fsum(map(mp.exp, s))) for v in s]
    # Without a relevant item the target is the uniform distribution.
    shares = [v / mp.fsum(y) for v in y] if any(y) else [mp.mpf(1) / len(y)] * len(y)
    right = mp.fsum(a * mp.exp(v) for a, v in zip(shares, logs, strict=True))
    return -mp.fdot(y, logs) + 1 - right


def _quantile(s: Any, y: Any) -> Any:
    pairs = [(i, j) for i in range(len(s)) for j in range(len(s)) if y[i] > y[j]]
    return mp.fsum(abs((y[i] - y[j]) - (s[i] - s[j])) / 2 for i, j in pairs)


_SHIFT = (claims.nonnegative(), claims.convex("scores"), claims.shift_invariant("scores"))
# Name, the entry with the same formula, what is claimed where there is no such entry.
_LIKE = {
    "softmax_loss": "ranking_softmax_loss",
    "unique_softmax_loss": "unique_softmax_loss",
    "pairwise_logistic_loss": "pairwise_logistic_loss",
    "pairwise_hinge_loss": "pairwise_hinge_loss",
    "pairwise_mse_loss": "pairwise_squared_loss",
    "pairwise_soft_zero_one_loss": "pairwise_soft_zero_one_loss",
}


# This library's functions by the names of the arguments here.
_OURS = "(lambda scores, labels, *, where=None: jaxloss.{}(scores, labels, where=where))"


def _listed(name: str, labels: Kind, scores: Kind = SCORES, **known: Any) -> Peer:
    arguments = {"scores": scores, "labels": labels}
    call = known.pop("call", _SUM.format(name))
    return Peer("rax", name, call, arguments, each=True, **known)


def _known(name: str, entry: str) -> Peer:
    """Describe a loss whose formula the catalogue has."""
    convex = () if "zero_one" in name else (claims.convex("scores"),)
    stated = (claims.nonnegative(), *convex, claims.shift_invariant("scores"))
    known = catalog.get(entry)
    return _listed(
        name,
        REAL_GRADES,
        next(iter(known.arguments.values())),
        reference=known.reference,
        claims=stated,
        ours=_OURS.format(entry),
    )


def _pointwise(name: str, entry: str) -> Peer:
    """Describe a loss of single items, which is not summed at all."""
    known = catalog.get(entry)
    call = _SUM.replace("jnp.sum", "None").format(name)
    arguments = dict(zip(("scores", "labels"), known.arguments.values(), strict=True))
    stated = (claims.nonnegative(), claims.convex("scores"))
    return Peer("rax", name, call, arguments, reference=known.reference, claims=stated,
                ours=_OURS.format(entry))  # fmt: skip


def _made(maker: str) -> Peer:
    """Describe a loss that a transformation makes of a metric."""
    call = f"rax.{maker}(rax.ndcg_metric)"
    return _listed(f"{maker}(ndcg_metric)", REAL_GRADES, call=call)


def peers() -> tuple[Peer, ...]:
    """Return what is known of them; a function, because the library may not be installed."""
    listmle = catalog.get("listmle_loss").reference
    return (
        *(_known(name, entry) for name, entry in _LIKE.items()),
        _listed("listmle_loss", _orders(), reference=listmle, claims=_SHIFT,
                ours=_OURS.format("listmle_loss")),
        _listed("poly1_softmax_loss", REAL_GRADES, reference=_poly,
                claims=(claims.nonnegative(), claims.shift_invariant("scores"))),
        _listed("pairwise_qr_loss", REAL_GRADES, reference=_quantile, claims=_SHIFT),
        _pointwise("pointwise_mse_loss", "squared_error"),
        _pointwise("pointwise_sigmoid_loss", "sigmoid_binary_cross_entropy"),
        _made("approx_t12n"),
        _made("bound_t12n"),
    )  # fmt: skip
