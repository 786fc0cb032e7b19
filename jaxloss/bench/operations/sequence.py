"""Alignments of sequences."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxloss as jl
from jaxloss.bench.contest import Operation, in_jax, in_torch


def _ctc(rng: np.random.Generator, batch: int, frames: int, labels: int, words: int) -> list[Any]:
    logits = rng.normal(size=(batch, frames, words)).astype(np.float32)
    lengths = rng.integers(3 * frames // 4, frames + 1, batch)
    counts = rng.integers(labels // 2, labels + 1, batch)
    padding = lambda n, most: (np.arange(most)[None] >= n[:, None]).astype(np.float32)
    targets = rng.integers(1, words, (batch, labels)).astype(np.int32)
    return [logits, padding(lengths, frames), targets, padding(counts, labels)]


def _ours(*args: Any) -> Any:
    return jnp.mean(jl.ctc_loss(*args))


def _optax() -> Any:
    import optax

    return lambda *args: jnp.mean(optax.losses.ctc_loss(*args))


def _torch() -> Any:
    import torch

    def loss(logits: Any, frame_padding: Any, labels: Any, label_padding: Any) -> Any:
        log_probs = torch.log_softmax(logits, dim=-1).transpose(0, 1)
        frames, count = ((1 - p).sum(dim=1).long() for p in (frame_padding, label_padding))
        losses = torch.nn.functional.ctc_loss(log_probs, labels, frames, count, reduction="none")
        return losses.mean()

    return loss


def _rnnt(rng: np.random.Generator, batch: int, frames: int, labels: int, words: int) -> list[Any]:
    _, *rest = _ctc(rng, batch, frames, labels, words)
    logits = rng.normal(size=(batch, frames, labels + 1, words)).astype(np.float32)
    return [logits, *rest]


def _transducer(logits: Any, frame_padding: Any, labels: Any, label_padding: Any) -> Any:
    """Add up the walks, one anti-diagonal of the lattice after the other."""
    log_p = jax.nn.log_softmax(logits)
    frames, count = (jnp.sum(1 - p, axis=1).astype(int) for p in (frame_padding, label_padding))
    blank = log_p[..., 0]
    index = jnp.broadcast_to(labels[:, None, :, None], (*log_p[:, :, :-1].shape[:3], 1))
    label = jnp.take_along_axis(log_p[:, :, :-1], index, axis=-1)[..., 0]
    u = jnp.arange(labels.shape[1] + 1)[None]

    def at(x: Any, t: Any, u: Any) -> Any:
        inside = (t >= 0) & (t < x.shape[1]) & (u >= 0) & (u < x.shape[2])
        pick = lambda x, t, u: x[jnp.clip(t, 0, x.shape[0] - 1), jnp.clip(u, 0, x.shape[1] - 1)]
        return jnp.where(inside, jax.vmap(pick, (0, None, None))(x, t[0], u[0]), -1e30)

    def step(alpha: Any, d: Any) -> Any:
        before = jnp.pad(alpha, ((0, 0), (1, 0)), constant_values=-1e30)[:, :-1]
        alpha = jnp.logaddexp(alpha + at(blank, d - 1 - u, u), before + at(label, d - u, u - 1))
        return alpha, alpha

    start = jnp.broadcast_to(jnp.where(u == 0, 0.0, -1e30), (len(labels), u.shape[1]))
    alphas = jax.lax.scan(step, start.astype(log_p.dtype), jnp.arange(1, sum(log_p.shape[1:3])))[1]
    # The last symbol is a blank, out of the lattice.
    each = jnp.arange(len(labels))
    last = jnp.concatenate([start[None], alphas])[frames - 1 + count, each, count]
    return -jnp.mean(last + blank[each, frames - 1, count])


def _series(rng: np.random.Generator, batch: int, steps: int) -> list[Any]:
    return [rng.normal(size=(batch, steps, 4)).astype(np.float32) for _ in range(2)]


def _warped(x: Any, y: Any) -> Any:
    """Soft-DTW of series of one length, one anti-diagonal of the costs after the other."""
    batch, n, _ = x.shape
    costs = jnp.sum((x[:, :, None] - y[:, None]) ** 2, axis=-1)
    i, j = jnp.arange(2 * n - 1)[:, None] - jnp.arange(n)[None], jnp.arange(n)[None]
    inside = (i >= 0) & (i < n)
    skewed = costs[:, jnp.clip(i, 0, n - 1), jnp.broadcast_to(j, i.shape)]
    skewed = jnp.moveaxis(jnp.where(inside, skewed, 1e30), 1, 0)
    onward = lambda x: jnp.pad(x, ((0, 0), (1, 0)), constant_values=1e30)[:, :-1]

    def step(carry: Any, cost: Any) -> Any:
        before, last = carry
        ways = jnp.stack([last, onward(last), onward(before)])
        new = cost - jax.nn.logsumexp(-ways, axis=0)
        return (last, new), None

    nowhere = jnp.full((batch, n), 1e30, x.dtype)
    (_, last), _ = jax.lax.scan(step, (nowhere, skewed[0]), skewed[1:])
    return jnp.mean(last[:, -1])


OPERATIONS = (
    Operation(
        "ctc_loss",
        "with log-softmax, variable lengths",
        sizes=(
            {"batch": 16, "frames": 200, "labels": 30, "words": 64},
            {"batch": 32, "frames": 400, "labels": 50, "words": 256},
            {"batch": 32, "frames": 800, "labels": 100, "words": 256},
        ),
        inputs=_ctc,
        ours=_ours,
        peers={"optax": (in_jax, _optax), "torch": (in_torch, _torch)},
        reference=_optax(),
        tolerance=5e-3,
    ),
    Operation(
        "rnnt_loss",
        "with log-softmax, variable lengths",
        sizes=(
            {"batch": 8, "frames": 50, "labels": 12, "words": 64},
            {"batch": 8, "frames": 100, "labels": 25, "words": 128},
            {"batch": 8, "frames": 200, "labels": 40, "words": 256},
        ),
        inputs=_rnnt,
        ours=lambda *args: jnp.mean(jl.rnnt_loss(*args)),
        peers={"plain jax": (in_jax, lambda: _transducer)},
        reference=_transducer,
    ),
    Operation(
        "soft_dtw_loss",
        "series of 4 features, gradients in both",
        sizes=(
            {"batch": 32, "steps": 64},
            {"batch": 64, "steps": 128},
            {"batch": 32, "steps": 256},
        ),
        inputs=_series,
        ours=lambda x, y: jnp.mean(jl.soft_dtw_loss(x, y)),
        peers={"plain jax": (in_jax, lambda: _warped)},
        moving=(0, 1),
        reference=_warped,
    ),
)
