"""The formulas again, for one pair of samples, in the arithmetic of mpmath."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mpmath import mp


def _shares(weights: Any, count: int) -> list[Any]:
    weights = weights or [mp.mpf(1)] * count
    return [w / mp.fsum(weights) for w in weights]


def line(
    x: Any, y: Any, p: Any = 1, root: bool = False, weights: Any = None, weights_targets: Any = None
) -> Any:
    """Carry mass from the smallest member on to the smallest that has room."""
    left = sorted(map(list, zip(x, _shares(weights, len(x)), strict=True)))
    room = sorted(map(list, zip(y, _shares(weights_targets, len(y)), strict=True)))
    cost, i, j = mp.mpf(0), 0, 0
    while i < len(left) and j < len(room):
        piece = min(left[i][1], room[j][1])
        cost += piece * abs(left[i][0] - room[j][0]) ** p
        left[i][1] -= piece
        room[j][1] -= piece
        i, j = i + (left[i][1] <= 0), j + (room[j][1] <= 0)
    return cost ** (1 / mp.mpf(p)) if root else cost


def sliced(x: Any, y: Any, projections: Any, p: Any = 2, root: bool = False, **masses: Any) -> Any:
    """Average the transport on the lines."""
    costs = [
        line([mp.fdot(v, d) for v in x], [mp.fdot(v, d) for v in y], p, **masses)
        for d in projections
    ]
    mean = mp.fsum(costs) / len(costs)
    return mean ** (1 / mp.mpf(p)) if root else mean


def dual(s: Any, t: Any, weights: Any = None, weights_targets: Any = None) -> Any:
    """Subtract the means of the critic's scores."""
    return mp.fdot(_shares(weights_targets, len(t)), t) - mp.fdot(_shares(weights, len(s)), s)


def _square(v: Any, w: Any) -> Any:
    return mp.fsum((a - b) ** 2 for a, b in zip(v, w, strict=True))


def _entropic(x: Any, y: Any, a: Any, b: Any, epsilon: Any) -> Any:
    """Solve by scaling the kernel's rows and columns in turn."""
    rows = [[mp.exp(-_square(v, w) / epsilon) for w in y] for v in x]
    columns = list(zip(*rows, strict=True))
    u = [mp.mpf(1)] * len(x)
    # Few are enough for the epsilons used here: the error at least falls to a third each time.
    for _ in range(20):
        mass = [s * t for s, t in zip(a, u, strict=True)]
        v = [1 / mp.fdot(mass, column) for column in columns]
        mass = [s * t for s, t in zip(b, v, strict=True)]
        u = [1 / mp.fdot(mass, row) for row in rows]
    potentials = (mp.fdot(m, map(mp.log, p)) for m, p in ((a, u), (b, v)))
    return epsilon * mp.fsum(potentials)


def sinkhorn(x: Any, y: Any, epsilon: Any, weights: Any = None, weights_targets: Any = None) -> Any:
    """Subtract what each sample costs by itself."""
    a, b = _shares(weights, len(x)), _shares(weights_targets, len(y))
    own = _entropic(x, x, a, a, epsilon) + _entropic(y, y, b, b, epsilon)
    return _entropic(x, y, a, b, epsilon) - own / 2


def _kernels(kernel: str, s: Any, degree: int) -> Callable[..., Any]:
    return {
        "gaussian": lambda v, w: mp.exp(-_square(v, w) / (2 * s**2)),
        "laplace": lambda v, w: mp.exp(-mp.sqrt(_square(v, w)) / s),
        "polynomial": lambda v, w: (1 + mp.fdot(v, w) / s**2) ** degree,
        "energy": lambda v, w: -mp.sqrt(_square(v, w)),
    }[kernel]


def discrepancy(
    x: Any,
    y: Any,
    kernel: str = "gaussian",
    bandwidth: Any = 1,
    degree: int = 3,
    unbiased: bool = False,
    weights: Any = None,
    weights_targets: Any = None,
) -> Any:
    """Average the kernel over pairs."""
    widths = bandwidth if isinstance(bandwidth, list) else [mp.mpf(bandwidth)]
    each = [_kernels(kernel, s, degree) for s in widths]
    k = lambda v, w: mp.fsum(one(v, w) for one in each) / len(each)
    a, b = _shares(weights, len(x)), _shares(weights_targets, len(y))

    def within(z: Any, mass: Any) -> Any:
        pairs = [(i, j) for i in range(len(z)) for j in range(len(z)) if i != j or not unbiased]
        whole = mp.fsum(mass[i] * mass[j] for i, j in pairs)
        return mp.fsum(mass[i] * mass[j] * k(z[i], z[j]) for i, j in pairs) / whole

    across = mp.fsum(
        s * t * k(v, w) for s, v in zip(a, x, strict=True) for t, w in zip(b, y, strict=True)
    )
    return within(x, a) + within(y, b) - 2 * across
