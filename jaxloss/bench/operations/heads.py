"""A last linear layer and its loss."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

import jaxloss as jl
from jaxloss.bench.contest import Operation, in_jax, in_torch


def _inputs(rng: np.random.Generator, rows: int, features: int, classes: int) -> list[Any]:
    return [
        rng.normal(size=(rows, features)).astype(np.float32),
        (rng.normal(size=(features, classes)) / features**0.5).astype(np.float32),
        rng.integers(0, classes, rows).astype(np.int32),
    ]


def _ours(features: Any, kernel: Any, labels: Any) -> Any:
    return jl.fused.average_linear_softmax_cross_entropy(features, kernel, labels).value()


def _masked(features: Any, kernel: Any, labels: Any) -> Any:
    where = labels % 4 == 0
    return jl.fused.average_linear_softmax_cross_entropy(
        features, kernel, labels, where=where
    ).value()


def _optax() -> Any:
    from optax.losses import softmax_cross_entropy_with_integer_labels as cross_entropy

    return lambda features, kernel, labels: jnp.mean(cross_entropy(features @ kernel, labels))


def _optax_masked() -> Any:
    from optax.losses import softmax_cross_entropy_with_integer_labels as cross_entropy

    def loss(features: Any, kernel: Any, labels: Any) -> Any:
        return jnp.mean(cross_entropy(features @ kernel, labels), where=labels % 4 == 0)

    return loss


def _torch() -> Any:
    from torch.nn.functional import cross_entropy

    return lambda features, kernel, labels: cross_entropy(features @ kernel, labels)


def _torch_linear() -> Any:
    from torch.nn.functional import linear_cross_entropy

    return lambda features, kernel, labels: linear_cross_entropy(features, kernel.T, labels)


def _cce() -> Any:
    from jax_cce import linear_cross_entropy

    return lambda features, kernel, labels: linear_cross_entropy(features, kernel.T, labels)


_SIZES = (
    {"rows": 512, "features": 128, "classes": 4096},
    {"rows": 1024, "features": 256, "classes": 16384},
    {"rows": 2048, "features": 512, "classes": 32768},
)

OPERATIONS = (
    Operation(
        "linear_cross_entropy",
        "last layer and cross-entropy, gradients of features and kernel",
        sizes=_SIZES,
        inputs=_inputs,
        ours=_ours,
        peers={
            "optax": (in_jax, _optax),
            "jax-cce": (in_jax, _cce),
            "torch": (in_torch, _torch),
            "torch linear_cross_entropy": (in_torch, _torch_linear),
        },
        moving=(0, 1),
        reference=_optax(),
    ),
    Operation(
        "masked_linear_cross_entropy",
        "the same, of which a quarter of the rows counts",
        sizes=_SIZES,
        inputs=_inputs,
        ours=_masked,
        peers={"optax": (in_jax, _optax_masked)},
        moving=(0, 1),
        reference=_optax_masked(),
    ),
)
