"""The chunk driver: losses of linear maps of many rows, a chunk of rows at a time.

With N rows of D features and V outputs the logits are `[N, V]`, often the largest array of a
training step by far. Here they exist for one chunk of rows only. The gradient is formed in the
forward pass, while they are at hand: three matrix products in all, as many as the plain program
has, and nothing of size `[N, V]` is kept. Since this is done by a rule for tangents, forward mode,
Hessian-vector products, `vmap` and outer checkpoints work as for any other function.

Rows that a mask leaves out are moved to the end, and the loop ends before them: its time is
proportional to what counts.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxloss import numerics

Array = jax.Array
# losses [C] = loss(logits [C, V], given, hyper), with the rows of the chunk in `given`.
Loss = Callable[[Array, "Given", Any], Array]


class Given(NamedTuple):
    """What a loss takes besides, and is not differentiated in.

    Attributes:
      rows: a tree of leaves `[N, ...]`, such as labels.
      constants: a tree of arrays that all rows share.
    """

    rows: Any
    constants: Any = ()


class Problem(NamedTuple):
    """What a sum of losses of a linear map depends on, and is differentiated in.

    Attributes:
      features: `[N, D]`.
      kernel: `[D, V]`.
      bias: `[V]`, or None.
      hyper: a tree of floats that the loss takes.
      weights: `[N]`, by which the losses are multiplied.
    """

    features: Array
    kernel: Array
    bias: Array | None
    hyper: Any
    weights: Array


def chunk_rows(rows: int, features: int) -> int:
    """Return how many rows a chunk has: few enough to save memory, enough to keep the cores busy.

    With somewhat fewer than D rows their logits take no more than the gradient of the kernel,
    which is there in any case.
    """
    least = {"cpu": 128, "tpu": 1024}.get(jax.default_backend(), 4096)
    most = min(max(least, features - features // 16), max(rows, 1))
    # Chunks of nearly one size, so that the last is not mostly padding.
    return -(-rows // -(-rows // most)) if rows else 1


def each(loss: Loss, problem: Problem, given: Given) -> Array:
    """Return the losses of all rows `[N]`; their logits are computed again for the gradient."""
    chunk = chunk_rows(*problem.features.shape)

    rows, constants = given

    @jax.checkpoint
    def one(part: _Part) -> Array:
        given = Given(part.rows, constants)
        return loss(_logits(part.features, problem), given, problem.hyper)

    count = len(problem.weights)
    whole = _Part(problem.features, rows, problem.weights)
    parts = jax.tree.map(lambda x: _split(x, -(-count // chunk), chunk), whole)
    return lax.map(one, parts).ravel()[:count]


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def total(loss: Loss, chunk: int, problem: Problem, given: Given, active: Array | None) -> Array:
    """Return the weighted sum of the losses of all rows, without their logits.

    Args:
      loss: of a chunk of logits.
      chunk: how many rows are taken at a time.
      problem: see there.
      given: see there.
      active: `[N]` booleans, which rows are to be looked at (those of weight 0 need not be); None
        for all of them.
    """

    def add(sum_: Array, part: _Part) -> tuple[Array, None]:
        here = given._replace(rows=part.rows)
        losses = loss(_logits(part.features, problem), here, problem.hyper)
        return sum_ + jnp.vdot(losses, part.weights), None

    return _fold(add, jnp.zeros((), problem.weights.dtype), chunk, problem, given.rows, active)[0]


@total.defjvp
def _total_jvp(loss: Loss, chunk: int, primals: Any, tangents: Any) -> tuple[Array, Array]:
    value, slopes = _value_and_slopes(loss, chunk, *primals)
    along = jax.tree.map(_inner, slopes, tangents[0])
    return value, functools.reduce(jnp.add, jax.tree.leaves(along))


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _value_and_slopes(
    loss: Loss, chunk: int, problem: Problem, given: Given, active: Array | None
) -> tuple[Array, Problem]:
    """Return the sum, and its derivatives as a `Problem`."""
    return _derived(loss, chunk, problem, given, active)


@_value_and_slopes.defjvp
def _slopes_jvp(loss: Loss, chunk: int, primals: Any, tangents: Any) -> Any:
    problem, given, _ = primals
    # Derivatives of derivatives may be asked for in reverse mode, which needs a loop of known
    # length: one over all rows.
    again = lambda problem: _derived(loss, chunk, problem, given, None)
    return jax.jvp(again, (problem,), (tangents[0],))


def _derived(
    loss: Loss, chunk: int, problem: Problem, given: Given, active: Array | None
) -> tuple[Array, Problem]:
    wide = problem.weights.dtype
    zeros = lambda x: None if x is None else jnp.zeros(x.shape, wide)

    def add(sums: Any, part: _Part) -> tuple[Any, tuple[Array, Array]]:
        value, kernel, bias, hyper = sums
        here = given._replace(rows=part.rows)
        weighted = lambda logits, hyper: _weighted(loss, logits, here, hyper, part.weights)
        logits = _logits(part.features, problem)
        (slopes, slopes_hyper), losses = jax.grad(weighted, argnums=(0, 1), has_aux=True)(
            logits, problem.hyper
        )
        value = value + jnp.vdot(losses, part.weights)
        # As narrow as the operands, for a matrix unit; what is summed is wide.
        narrow = slopes.astype(problem.kernel.dtype)
        kernel = kernel + product(part.features.T, narrow, wide)
        bias = None if bias is None else bias + slopes.sum(axis=0)
        hyper = jax.tree.map(jnp.add, hyper, slopes_hyper)
        return (value, kernel, bias, hyper), (product(narrow, problem.kernel.T, wide), losses)

    start = (
        jnp.zeros((), wide), zeros(problem.kernel), zeros(problem.bias),
        jax.tree.map(jnp.zeros_like, problem.hyper),
    )  # fmt: skip
    sums, (features, losses) = _fold(add, start, chunk, problem, given.rows, active)
    value, kernel, bias, hyper = sums
    return value, Problem(features, kernel, bias, hyper, losses)


def _weighted(
    loss: Loss, logits: Array, given: Given, hyper: Any, weights: Array
) -> tuple[Array, Array]:
    losses = loss(logits, given, hyper)
    return jnp.vdot(losses, weights), losses


class _Part(NamedTuple):
    features: Array
    rows: Any
    weights: Array


def _fold(
    add: Callable[[Any, _Part], tuple[Any, Any]],
    start: Any,
    chunk: int,
    problem: Problem,
    rows: Any,
    active: Array | None,
) -> tuple[Any, Any]:
    """Go through the rows a chunk at a time; return the sums, and what is said of each row."""
    whole = _Part(problem.features, rows, problem.weights)
    count = len(problem.weights)
    chunks = -(-count // chunk)
    start = numerics.split_like(start, whole.weights, whole.features)
    if active is None:
        parts = jax.tree.map(lambda x: _split(x, chunks, chunk), whole)
        sums, said = lax.scan(add, start, parts)
        return sums, jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[:count], said)

    order = jnp.argsort(~active, stable=True)
    padded = jnp.pad(order, (0, chunks * chunk - count))
    counted = jnp.arange(chunks * chunk) < count

    def part(i: Any) -> _Part:
        at = lax.dynamic_slice_in_dim(padded, i * chunk, chunk)
        some = jax.tree.map(lambda x: jnp.take(x, at, axis=0), whole)
        here = lax.dynamic_slice_in_dim(counted, i * chunk, chunk)
        return some._replace(weights=jnp.where(here, some.weights, 0))

    _, form = jax.eval_shape(add, start, jax.eval_shape(part, 0))
    blank = jax.tree.map(lambda x: jnp.zeros((chunks * chunk, *x.shape[1:]), x.dtype), form)
    blank = numerics.split_like(blank, whole.weights, whole.features)

    def body(i: Any, carry: Any) -> Any:
        sums, said = carry
        sums, new = add(sums, part(i))
        put = lambda all_, x: lax.dynamic_update_slice_in_dim(all_, x, i * chunk, axis=0)
        return sums, jax.tree.map(put, said, new)

    needed = (jnp.sum(active) + chunk - 1) // chunk
    sums, said = lax.fori_loop(0, needed, body, (start, blank))
    back = lambda x: jnp.zeros_like(x[:count]).at[order].set(x[:count], unique_indices=True)
    return sums, jax.tree.map(back, said)


def _split(x: Array, chunks: int, chunk: int) -> Array:
    """Return `[chunks, chunk, ...]`, the last padded with zeros."""
    padding = ((0, chunks * chunk - len(x)),) + ((0, 0),) * (x.ndim - 1)
    return jnp.pad(x, padding).reshape(chunks, chunk, *x.shape[1:])


def _logits(features: Array, problem: Problem) -> Array:
    logits = product(features, problem.kernel, problem.weights.dtype)
    return logits if problem.bias is None else logits + problem.bias[None].astype(logits.dtype)


def product(a: Array, b: Array, dtype: Any) -> Array:
    """Return the matrix product, summed in `dtype` whatever the operands are."""
    return jnp.matmul(a, b, preferred_element_type=dtype)


def _inner(slope: Array, tangent: Array) -> Array:
    return jnp.vdot(slope, tangent.astype(slope.dtype))
