"""Losses of embeddings of a batch, beside PyTorch Metric Learning and plain programs."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxloss as jl
from jaxloss.bench.contest import Operation, in_jax, in_torch


def _labelled(rng: np.random.Generator, members: int) -> list[Any]:
    embeddings = rng.normal(size=(members, 128)).astype(np.float32)
    return [embeddings, rng.permutation(np.arange(members, dtype=np.int32) // 8)]


def _pairs(rng: np.random.Generator, members: int) -> list[Any]:
    first = rng.normal(size=(members, 256))
    second = first + rng.normal(size=(members, 256))
    return [x.astype(np.float32) for x in (first, second)]


def _our_supcon(embeddings: Any, labels: Any) -> Any:
    return jnp.mean(jl.supervised_contrastive_loss(embeddings, labels))


def _plain_supcon() -> Any:
    def loss(embeddings: Any, labels: Any) -> Any:
        unit = embeddings / jnp.linalg.norm(embeddings, axis=1, keepdims=True)
        other = ~jnp.eye(len(labels), dtype=bool)
        logits = jnp.where(other, unit @ unit.T / 0.1, -jnp.inf)
        surprisal = jax.nn.logsumexp(logits, axis=1, keepdims=True) - jnp.where(other, logits, 0)
        positive = (labels[:, None] == labels[None]) & other
        each = jnp.sum(jnp.where(positive, surprisal, 0), axis=1) / jnp.sum(positive, axis=1)
        return jnp.mean(each)

    return loss


def _their_supcon() -> Any:
    from pytorch_metric_learning import losses

    return losses.SupConLoss(temperature=0.1)


def _our_ntxent(embeddings: Any, labels: Any) -> Any:
    return jnp.mean(jl.ntxent(embeddings, labels))


def _plain_ntxent() -> Any:
    def loss(embeddings: Any, labels: Any) -> Any:
        unit = embeddings / jnp.linalg.norm(embeddings, axis=1, keepdims=True)
        logits, same = unit @ unit.T / 0.07, labels[:, None] == labels[None]
        positive = same & ~jnp.eye(len(labels), dtype=bool)
        rivals = jax.nn.logsumexp(jnp.where(same, -jnp.inf, logits), axis=1, keepdims=True)
        each = jnp.where(positive, jax.nn.softplus(rivals - logits), 0)
        return jnp.mean(jnp.sum(each, axis=1) / jnp.sum(positive, axis=1))

    return loss


def _their_ntxent() -> Any:
    from pytorch_metric_learning import losses

    loss = losses.NTXentLoss(temperature=0.07)

    def within_memory(embeddings: Any, labels: Any) -> Any:
        if len(labels) > 256:
            raise MemoryError("it would take more than 12 GB")
        return loss(embeddings, labels)

    return within_memory


def _our_triplets(mining: str) -> Any:
    loss = lambda embeddings, labels: jl.triplet_loss(embeddings, labels, mining=mining)
    return lambda embeddings, labels: jnp.mean(loss(embeddings, labels))


def _their_batch_all() -> Any:
    from pytorch_metric_learning import distances, losses, reducers

    distance = distances.LpDistance(normalize_embeddings=False)
    mean = reducers.MeanReducer()
    # Of groups of one size the mean over all triplets is that of the means of the anchors.
    return losses.TripletMarginLoss(margin=0.2, distance=distance, reducer=mean)


def _their_batch_hard() -> Any:
    from pytorch_metric_learning import distances, losses, miners, reducers

    distance = distances.LpDistance(normalize_embeddings=False)
    miner = miners.BatchHardMiner(distance=distance)
    mean = reducers.MeanReducer()
    loss = losses.TripletMarginLoss(margin=0.2, distance=distance, reducer=mean)
    return lambda embeddings, labels: loss(embeddings, labels, miner(embeddings, labels))


def _our_clip(images: Any, texts: Any) -> Any:
    return jnp.mean(jl.clip_loss(images, texts))


def _plain_clip() -> Any:
    def loss(images: Any, texts: Any) -> Any:
        a, b = (x / jnp.linalg.norm(x, axis=1, keepdims=True) for x in (images, texts))
        logits = a @ b.T / 0.07
        own = jnp.diagonal(logits)
        rows, columns = (jax.nn.logsumexp(logits, axis=k) for k in (1, 0))
        return jnp.mean(0.5 * (rows + columns) - own)

    return loss


def _our_info(images: Any, texts: Any) -> Any:
    return jnp.mean(jl.info_nce_loss(images, texts))


def _plain_info() -> Any:
    def loss(images: Any, texts: Any) -> Any:
        a, b = (x / jnp.linalg.norm(x, axis=1, keepdims=True) for x in (images, texts))
        logits = a @ b.T / 0.07
        return jnp.mean(jax.nn.logsumexp(logits, axis=1) - jnp.diagonal(logits))

    return loss


def _torch_info() -> Any:
    from torch import arange
    from torch.nn.functional import cross_entropy, normalize

    def loss(images: Any, texts: Any) -> Any:
        logits = normalize(images, dim=1) @ normalize(texts, dim=1).T / 0.07
        return cross_entropy(logits, arange(len(images)))

    return loss


def _our_siglip(images: Any, texts: Any) -> Any:
    return jnp.mean(jl.siglip_loss(images, texts))


def _plain_siglip() -> Any:
    def loss(images: Any, texts: Any) -> Any:
        a, b = (x / jnp.linalg.norm(x, axis=1, keepdims=True) for x in (images, texts))
        logits = a @ b.T / 0.1 - 10.0
        signs = 2 * jnp.eye(len(a)) - 1
        return jnp.mean(jnp.sum(jax.nn.softplus(-signs * logits), axis=1))

    return loss


_SIZES = tuple({"members": n} for n in (256, 1024, 2048))

OPERATIONS = (
    Operation("supervised_contrastive_loss", "groups of 8", _SIZES, _labelled, _our_supcon,
              {"plain jax": (in_jax, _plain_supcon),
               "pytorch-metric-learning": (in_torch, _their_supcon)}, reference=_plain_supcon()),
    Operation("ntxent", "each positive by itself against the negatives, groups of 8", _SIZES,
              _labelled, _our_ntxent,
              {"plain jax": (in_jax, _plain_ntxent),
               "pytorch-metric-learning": (in_torch, _their_ntxent)}, reference=_plain_ntxent()),
    Operation("triplet_batch_hard", "hardest positive and negative, groups of 8", _SIZES,
              _labelled, _our_triplets("batch_hard"),
              {"pytorch-metric-learning": (in_torch, _their_batch_hard)}),
    Operation("triplet_batch_all", "all triplets, groups of 8",
              tuple({"members": n} for n in (64, 256, 1024)), _labelled, _our_triplets("batch_all"),
              {"pytorch-metric-learning": (in_torch, _their_batch_all)}),
    Operation("clip_loss", "pairs in 256 dimensions", _SIZES, _pairs, _our_clip,
              {"plain jax": (in_jax, _plain_clip)}, moving=(0, 1), reference=_plain_clip()),
    Operation("info_nce_loss", "pairs in 256 dimensions, one way", _SIZES, _pairs, _our_info,
              {"plain jax": (in_jax, _plain_info), "torch": (in_torch, _torch_info)},
              moving=(0, 1), reference=_plain_info()),
    Operation("siglip_loss", "pairs in 256 dimensions", _SIZES, _pairs, _our_siglip,
              {"plain jax": (in_jax, _plain_siglip)}, moving=(0, 1), reference=_plain_siglip()),
)  # fmt: skip
