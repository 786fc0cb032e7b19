"""Small networks as plain functions of a tree of parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

Array = jax.Array


def layers(key: Array, sizes: Sequence[int]) -> list[dict[str, Array]]:
    """Return the parameters of dense layers, from each size to the next."""
    keys = jax.random.split(key, len(sizes) - 1)
    return [
        {
            "kernel": jnp.sqrt(2 / rows) * jax.random.normal(k, (rows, columns)),
            "bias": jnp.zeros(columns),
        }
        for k, rows, columns in zip(keys, sizes[:-1], sizes[1:], strict=True)
    ]


def dense(layer: dict[str, Array], inputs: Array) -> Array:
    """Return `[batch, columns]` of `[batch, rows]`."""
    return jnp.matmul(inputs, layer["kernel"]) + layer["bias"][None, :]


def trunk(network: Sequence[Any], inputs: Array) -> Array:
    """Return the features `[batch, columns]` after the last of layers with a ReLU behind each."""
    for layer in network:
        inputs = jax.nn.relu(dense(layer, inputs))
    return inputs


def accuracy(logits: Array, labels: Array) -> Array:
    """Return the share of labels `[batch]` that have the largest logit `[batch, classes]`."""
    return jnp.mean(jnp.argmax(logits, axis=-1) == labels)
