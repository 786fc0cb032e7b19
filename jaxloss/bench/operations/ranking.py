"""Losses of ranked lists, beside rax."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

import jaxloss as jl
from jaxloss.bench.contest import Operation, in_jax, in_torch

_SIZES = ({"lists": 64, "items": 128}, {"lists": 64, "items": 512}, {"lists": 16, "items": 2048})


def _inputs(rng: np.random.Generator, lists: int, items: int) -> list[Any]:
    scores = rng.normal(size=(lists, items)).astype(np.float32)
    # Without ties, of which the peers have views of their own.
    relevance = np.stack([rng.permutation(items) for _ in range(lists)]).astype(np.float32)
    return [scores, relevance / items * 4]


def _rax_ndcg() -> Any:
    import rax

    loss = rax.approx_t12n(rax.ndcg_metric)
    return lambda scores, grades: loss(scores, grades) / scores.shape[0] + 1


def _plain_ndcg() -> Any:
    """ApproxNDCG as one writes it, with all pairs at once."""

    def loss(scores: Any, grades: Any) -> Any:
        import jax

        gaps = scores[:, None, :] - scores[:, :, None]
        ranks = 0.5 + jnp.sum(jax.nn.sigmoid(gaps), axis=-1)
        gains = 2**grades - 1
        positions = jnp.arange(1, scores.shape[1] + 1, dtype=scores.dtype)
        best = jnp.sum(-jnp.sort(-gains, axis=-1) / jnp.log2(1 + positions)[None], axis=-1)
        return jnp.mean(1 - jnp.sum(gains / jnp.log2(1 + ranks), axis=-1) / best)

    return loss


def _rax(name: str) -> Callable[[], Any]:
    def build() -> Any:
        import rax

        loss = getattr(rax, name)
        return lambda scores, grades: jnp.mean(loss(scores, grades, reduce_fn=None))

    return build


def _rax_pairwise() -> Any:
    import rax

    def loss(scores: Any, grades: Any) -> Any:
        return rax.pairwise_logistic_loss(scores, grades, reduce_fn=jnp.sum) / scores.shape[0]

    return loss


def _torch_mle() -> Any:
    import torch

    def loss(scores: Any, grades: Any) -> Any:
        ordered = scores.gather(1, grades.argsort(dim=1, descending=True))
        rest = torch.logcumsumexp(ordered.flip(1), dim=1).flip(1)
        return (rest - ordered).sum(dim=1).mean()

    return loss


def _torch_pairwise() -> Any:
    import torch

    def loss(scores: Any, grades: Any) -> Any:
        lead = scores[:, :, None] - scores[:, None, :]
        better = grades[:, :, None] > grades[:, None, :]
        costs = torch.where(better, torch.nn.functional.softplus(-lead), 0)
        return costs.sum(dim=(1, 2)).mean()

    return loss


def _soft_rank(scores: Any, grades: Any) -> Any:
    return jnp.mean(jl.soft_rank(scores, regularization=grades.shape[1] / 4) * grades)


def _pooling() -> Any:
    """Soft ranks by a loop that pools adjacent violators, batched by `vmap`."""
    import jax

    def blocks(values: Any) -> Any:
        count = values.shape[0]

        def step(state: Any) -> Any:
            level, size, at = state
            back = jnp.maximum(at - size[at], 0)
            pool = (at - size[at] >= 0) & (level[back] >= level[at])
            both = size[back] + size[at]
            mean = (level[back] * size[back] + level[at] * size[at]) / both
            level = level.at[at].set(jnp.where(pool, mean, level[at]))
            size = size.at[at].set(jnp.where(pool, both, size[at]))
            return level, size, jnp.where(pool, at, at + 1)

        start = (values, jnp.ones(count, int), jnp.zeros((), int))
        size = jax.lax.while_loop(lambda s: s[2] < count, step, start)[1]

        def spread(end: Any, at: Any) -> Any:
            start, now = end
            inside = at >= start
            now = jnp.where(inside, now, at)
            return (jnp.where(inside, start, at - size[at] + 1), now), now

        index = jnp.arange(count)
        return jax.lax.scan(spread, (jnp.asarray(count), index[-1]), index, reverse=True)[1]

    def one(scores: Any, strength: Any) -> Any:
        order = jnp.argsort(-scores)
        target = -scores[order] / strength
        place = jnp.arange(1, len(scores) + 1, dtype=scores.dtype)
        ends = blocks(jax.lax.stop_gradient(target) - place)
        sizes = jnp.maximum(jnp.zeros_like(target).at[ends].add(1.0), 1)
        mean = lambda x: (jnp.zeros_like(x).at[ends].add(x) / sizes)[ends]
        return jnp.zeros_like(scores).at[order].set(target - mean(target - place))

    def loss(scores: Any, grades: Any) -> Any:
        ranks = jax.vmap(lambda s: one(s, grades.shape[1] / 4))(scores)
        return jnp.mean(ranks * grades)

    return loss


def _ours(name: str) -> Callable[..., Any]:
    loss = getattr(jl, name)
    return lambda scores, grades: jnp.mean(loss(scores, grades))


OPERATIONS = (
    Operation("approx_ndcg_loss", "smooth ranks of all items", _SIZES, _inputs,
              _ours("approx_ndcg_loss"),
              {"rax": (in_jax, _rax_ndcg), "plain jax": (in_jax, _plain_ndcg)},
              reference=_plain_ndcg()),
    Operation("pairwise_logistic_loss", "all pairs of different relevance", _SIZES, _inputs,
              _ours("pairwise_logistic_loss"),
              {"rax": (in_jax, _rax_pairwise), "torch": (in_torch, _torch_pairwise)}),
    Operation("listmle_loss", "likelihood of the right order", _SIZES, _inputs,
              _ours("listmle_loss"),
              {"rax": (in_jax, _rax("listmle_loss")), "torch": (in_torch, _torch_mle)}),
    Operation("soft_rank", "blocks of isotonic regression", _SIZES, _inputs, _soft_rank,
              {"plain jax": (in_jax, _pooling)}),
)  # fmt: skip
