"""Alignments of sequences."""

from __future__ import annotations

from typing import Any

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
)
