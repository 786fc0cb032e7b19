"""Losses of each element by itself, whose floor is the memory's bandwidth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxloss as jl
from jaxloss.bench.contest import Operation, in_jax, in_torch

_SIZES = tuple({"elements": 4**k * 65536} for k in (0, 2, 4))


def _reals(rng: np.random.Generator, elements: int) -> list[Any]:
    return [rng.normal(size=elements).astype(np.float32) * 2 for _ in range(2)]


def _binary(rng: np.random.Generator, elements: int) -> list[Any]:
    labels = (rng.uniform(size=elements) < 0.3).astype(np.float32)
    return [rng.normal(size=elements).astype(np.float32) * 3, labels]


def _rows(rng: np.random.Generator, elements: int) -> list[Any]:
    logits = rng.normal(size=(elements // 1024, 1024)).astype(np.float32) * 3
    targets = rng.dirichlet(np.ones(1024), elements // 1024).astype(np.float32)
    return [logits, targets]


def _from_optax(name: str) -> Callable[[], Any]:
    def build() -> Any:
        import optax

        loss = getattr(optax.losses, name)
        return lambda *args: jnp.mean(loss(*args))

    return build


def _from_torch(name: str, **options: Any) -> Callable[[], Any]:
    def build() -> Any:
        import torch

        loss = getattr(torch.nn.functional, name)
        return lambda predictions, targets: loss(predictions, targets, **options)

    return build


def _torch_focal() -> Any:
    import torch

    def loss(logits: Any, labels: Any) -> Any:
        entropy = torch.nn.functional.binary_cross_entropy_with_logits(
            logits, labels, reduction="none"
        )
        p = torch.sigmoid(logits)
        return (((1 - p) * labels + p * (1 - labels)) ** 2 * entropy).mean()

    return loss


def _torch_kl() -> Any:
    import torch

    def loss(logits: Any, targets: Any) -> Any:
        log_probs = torch.log_softmax(logits, dim=-1)
        return torch.nn.functional.kl_div(log_probs, targets, reduction="batchmean")

    return loss


def _optax_kl() -> Any:
    import optax

    def loss(logits: Any, targets: Any) -> Any:
        return jnp.mean(optax.losses.kl_divergence(jax.nn.log_softmax(logits, axis=-1), targets))

    return loss


def _ours(name: str, **options: Any) -> Callable[..., Any]:
    loss = getattr(jl, name)
    return lambda *args: jnp.mean(loss(*args, **options))


def _our_kl(logits: Any, targets: Any) -> Any:
    return jnp.mean(jl.kl_divergence(jax.nn.log_softmax(logits, axis=-1), targets))


def _operation(
    name: str, inputs: Any, ours: Any, optax_name: str | None, torch: Any, what: str = ""
) -> Operation:
    peers = {"torch": (in_torch, torch)}
    if optax_name:
        peers = {"optax": (in_jax, _from_optax(optax_name)), **peers}
    return Operation(name, what or "value and gradient", _SIZES, inputs, ours, peers)


OPERATIONS = (
    _operation("squared_error", _reals, _ours("squared_error"), "squared_error",
               _from_torch("mse_loss")),
    _operation("huber_loss", _reals, _ours("huber_loss"), "huber_loss", _from_torch("huber_loss")),
    _operation("sigmoid_binary_cross_entropy", _binary, _ours("sigmoid_binary_cross_entropy"),
               "sigmoid_binary_cross_entropy", _from_torch("binary_cross_entropy_with_logits")),
    _operation("sigmoid_focal_loss", _binary, _ours("sigmoid_focal_loss"), "sigmoid_focal_loss",
               _torch_focal),
    Operation("softmax_kl", "KL divergence of softmax of 1024 logits", _SIZES, _rows, _our_kl,
              {"optax": (in_jax, _optax_kl), "torch": (in_torch, _torch_kl)}),
)  # fmt: skip
