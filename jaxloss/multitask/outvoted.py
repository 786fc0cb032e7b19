"""Krum and the trimmed mean: combinations that a few wrong gradients cannot spoil."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxloss import arguments, protocol
from jaxloss.multitask.aggregate import combination, square, stateless
from jaxloss.multitask.tasks import Rows, Shared, Tasks, rows
from jaxloss.protocol import Decision

Array = jax.Array


def krum_weights(gramian: Array, *, faulty: int, selected: int = 1) -> Array:
    """Return the weights of Krum: the mean of the gradients that are nearest to most others.

    Each is scored by the sum of its squared distances to the `K - faulty - 2` nearest others; the
    `selected` with the smallest scores are averaged.

    Args:
      gramian: `[tasks, tasks]`.
      faulty: how many gradients may be wrong; at most `K - 3`.
      selected: how many are averaged.

    Returns:
      `[tasks]`, `1 / selected` or 0.

    Raises:
      ValueError: for a matrix that is not square, or numbers that do not fit it.

    Example: rows 0, 1, 3 and 10 of a line, the last one wrong.
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> line = jnp.array([0.0, 1.0, 3.0, 10.0])
      >>> print(jl.multitask.krum_weights(jnp.outer(line, line), faulty=1, selected=2))
      [0.5 0.5 0.  0. ]

    Reference: Blanchard et al., Machine Learning with Adversaries (2017), section 4.
    """
    gramian = square("krum_weights", gramian)
    faulty = _count("krum_weights", "faulty", faulty, 0, len(gramian) - 3)
    selected = _count("krum_weights", "selected", selected, 1, len(gramian))
    squares = jnp.diagonal(gramian)
    distances = jnp.maximum(squares[:, None] + squares[None] - 2 * gramian, 0)
    # The nearest of all is the gradient itself.
    distances = jnp.where(jnp.eye(len(squares), dtype=bool), 0, distances)
    scores = jnp.sum(jnp.sort(distances, axis=1)[:, : len(squares) - faulty - 1], axis=1)
    ranks = jnp.argsort(jnp.argsort(scores))
    return (ranks < selected).astype(gramian.dtype) / selected


def krum(
    *, faulty: int, selected: int = 1, shared: Shared = None, heads: str = "plain"
) -> optax.GradientTransformationExtraArgs:
    """Average the gradients that are nearest to most others: Krum, and Multi-Krum for several.

    For rows that estimate one gradient (of workers, of annotators), some of them wrong in any way,
    rather than for tasks of different kinds. Some implementations add up distances, ours their
    squares, as the paper does. `faulty` and `selected` as of `krum_weights`, the other arguments,
    and what comes back, as `aggregate` says.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> vote = jl.multitask.krum(faulty=1)
      >>> gradients = [jnp.array([x]) for x in (0.0, 1.0, 3.0, 1e9)]
      >>> print(vote.update(gradients, vote.init(jnp.zeros(1)))[0])
      [0.]
    """
    weights = lambda gramian: krum_weights(gramian, faulty=faulty, selected=selected)
    _count("krum", "faulty", faulty, 0)
    _count("krum", "selected", selected, 1)
    return stateless("krum", weights, shared=shared, heads=heads)


def trimmed_mean(
    *, trim: int, shared: Shared = None, heads: str = "plain"
) -> optax.GradientTransformationExtraArgs:
    """Average the gradients, element by element, without the `trim` largest and smallest.

    For rows that estimate one gradient, up to `trim` of them wrong. Looks at elements: it needs the
    gradients at hand, not `mode="gramian"`.

    Args:
      trim: how many are left out on either side; fewer than half of the tasks.
      shared: as of `aggregate`, and so is `heads`, and what comes back.
      heads: what the gradient of a head is.

    Raises:
      ValueError: for a `trim` that does not fit, and for gradients that are not held.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> vote = jl.multitask.trimmed_mean(trim=1)
      >>> gradients = [jnp.array([1e11, 3.0]), jnp.array([1.0, -1e11]), jnp.array([2.0, 2.0])]
      >>> print(vote.update(gradients, vote.init(jnp.zeros(2)))[0])
      [2. 2.]

    Reference: Yin et al., Byzantine-Robust Distributed Learning (2018), definition 2.
    """
    _count("trimmed_mean", "trim", trim, 0)

    def decide(tasks: Tasks, memory: Any, **extra: Any) -> tuple[Tasks, Decision]:
        del extra
        number = tasks.tasks
        _count("trimmed_mean", "trim", trim, 0, (number - 1) // 2)
        middle = lambda leaf: jnp.sort(leaf, axis=0)[trim : number - trim]
        given = Rows(jax.tree.map(middle, rows("trimmed_mean", tasks).stacked))
        return given, Decision(jnp.full(given.tasks, 1 / given.tasks), memory)

    return combination("trimmed_mean", decide, shared=shared, heads=heads)


def _count(function: str, name: str, value: Any, least: int, most: int | None = None) -> int:
    count = protocol.counted(function, name, value, at_least=least, static=True)
    if most is not None and count > most:
        raise arguments.reject(function, name, f"at most {most} for these tasks", count)
    return count
