"""Difficulty: how hard each example of a data set is, by the losses of a model that has learned."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxloss import arguments

Array = jax.Array


def difficulty_ranks(scores: ArrayLike) -> Array:
    """Return each example's rank by score in the whole data set, as a number in (0, 1).

    `(j + 1/2) / N`, with `j` of `N` scores smaller: a share `s` of the data has ranks of at most
    `s`, to the nearest example, whatever the scale of the scores. Of equal scores the one that
    stands first is the easier: shuffle before, if the order of the data means anything. NaN is
    harder than infinity.

    Args:
      scores: `[N]`, larger is harder: losses, lengths of sentences, anything.

    Returns:
      `[N]`, at least float32.

    Raises:
      ValueError: for scores that are not a vector.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.curriculum.difficulty_ranks(jnp.array([7.0, 0.5, 300.0, 2.0])))
      [0.625 0.125 0.875 0.375]
    """
    array = arguments.real("difficulty_ranks", "scores", scores)
    if array.ndim != 1:
        raise arguments.reject("difficulty_ranks", "scores", "a vector [N]", f"shape {array.shape}")
    place = jnp.argsort(jnp.argsort(array)).astype(arguments.working_dtype(array))
    return (place + 0.5) / max(array.size, 1)


def score(losses: Callable[[Any], Array], data: Any, *, batch_size: int) -> Array:
    """Evaluate losses of examples over a whole data set, batch by batch, without gradients.

    Args:
      losses: `losses(batch) -> [batch_size]`, of rows of `data`, which do not see each other.
      data: a tree of arrays `[N, ...]`.
      batch_size: rows at a time; the last batch is filled up with rows that are not returned.

    Returns:
      `[N]`.

    Raises:
      ValueError: for a batch size below 1, data of different lengths, or losses that are not one
        for each row.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.curriculum.score(jnp.square, jnp.arange(5.0), batch_size=2))
      [ 0.  1.  4.  9. 16.]
    """
    if batch_size < 1:
        raise arguments.reject("score", "batch_size", "at least 1", batch_size)
    lengths = {x.shape[0] for x in jax.tree.leaves(data)}
    if len(lengths) != 1:
        raise arguments.reject("score", "data", "arrays of one length", f"lengths {lengths}")
    (length,) = lengths
    rows = jnp.arange(-(-length // batch_size) * batch_size).reshape(-1, batch_size)

    def one(index: Array) -> Array:
        batch = jax.tree.map(lambda x: jnp.take(x, index, axis=0, mode="clip"), data)
        found = losses(batch)
        if found.shape != (batch_size,):
            expected = f"one for each row, shape ({batch_size},)"
            raise arguments.reject("score", "losses", expected, found.shape)
        return lax.stop_gradient(found)

    return lax.map(one, rows).reshape(-1)[:length]


def teacher_difficulty(
    losses: Callable[[Any, Any], Array], teacher: Any, data: Any, *, batch_size: int
) -> Array:
    """Return difficulty ranks by the losses of a model that was trained before: the teacher.

    Args:
      losses: `losses(parameters, batch) -> [batch_size]`, those of examples.
      teacher: the parameters of the trained model, which may be a larger one, or of another task.
      data: a tree of arrays `[N, ...]`.
      batch_size: rows at a time.

    Returns:
      `[N]`, in (0, 1), as `difficulty_ranks`; for `paced`.

    Raises:
      ValueError: as `score`.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> losses = lambda slope, batch: (slope * batch["x"] - batch["y"]) ** 2
      >>> data = {"x": jnp.array([1.0, 2.0, 3.0, 4.0]), "y": jnp.array([2.5, 4.0, 9.0, 7.0])}
      >>> print(jl.curriculum.teacher_difficulty(losses, 2.0, data, batch_size=4))
      [0.375 0.125 0.875 0.625]

    Reference: Hacohen and Weinshall, On the Power of Curriculum Learning (2019), section 2.
    """
    of = functools.partial(losses, teacher)
    return difficulty_ranks(score(of, data, batch_size=batch_size))


def self_taught_difficulty(
    losses: Callable[[Any, Any], Array],
    train: Callable[[Any], Any],
    initial: Any,
    data: Any,
    *,
    batch_size: int,
) -> Array:
    """Return difficulty ranks by the losses of the model itself, trained once without a curriculum.

    Train again from `initial` with these ranks. Not to be confused with `self_paced`, which follows
    the losses of the present.

    Args:
      losses: `losses(parameters, batch) -> [batch_size]`, those of examples.
      train: `train(initial) -> parameters`, on uniformly drawn batches.
      initial: the parameters at the start.
      data: a tree of arrays `[N, ...]`.
      batch_size: rows at a time.

    Returns:
      `[N]`, in (0, 1), as `difficulty_ranks`; for `paced`.

    Raises:
      ValueError: as `score`.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> losses = lambda center, batch: jnp.abs(batch - center)
      >>> data = jnp.array([0.0, 1.0, 5.0])
      >>> train = lambda center: jnp.mean(data)  # what training would find
      >>> rank = jl.curriculum.self_taught_difficulty(losses, train, 0.0, data, batch_size=2)
      >>> print(rank.round(3))
      [0.5   0.167 0.833]

    Reference: Hacohen and Weinshall, On the Power of Curriculum Learning (2019), section 2.
    """
    return teacher_difficulty(losses, train(initial), data, batch_size=batch_size)
