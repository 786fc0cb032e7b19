"""The arguments of a fused loss: a last linear layer, checked once."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxloss import arguments, reduction
from jaxloss.fused import rows

Array = jax.Array
product = rows.product


class Layer(NamedTuple):
    """A last layer and the rows that go through it.

    Attributes:
      function: who asks, for messages.
      problem: of N rows, in which masked ones are harmless.
      mask: `[...]`, which rows count.
      masked: whether a mask was given.
    """

    function: str
    problem: rows.Problem
    mask: Array
    masked: bool

    def average(
        self, loss: rows.Loss, given: rows.Given, hyper: Any, weights: Any, axis_name: Any
    ) -> reduction.Average:
        """Return the weighted mean of a loss of the logits, as a pair."""
        each = jnp.ones(self.mask.shape, self.problem.weights.dtype)
        if weights is not None:
            each = reduction.weights_like(self.function, weights, each)
        each = arguments.masked(each, self.mask).ravel()
        problem = self.problem._replace(hyper=hyper, weights=each)
        chunk = rows.chunk_rows(*problem.features.shape)
        total = rows.total(loss, chunk, problem, given, self.mask.ravel() if self.masked else None)
        pair = total, jnp.sum(each)
        return reduction.Average(*(reduction.sum_across(x, axis_name) for x in pair))

    def each(self, loss: rows.Loss, given: rows.Given, hyper: Any) -> Array:
        """Return a loss of the logits for each row, `[...]`."""
        losses = rows.each(loss, self.problem._replace(hyper=hyper), given)
        return arguments.masked(losses.reshape(self.mask.shape), self.mask)


def layer(
    function: str, features: Any, kernel: Any, bias: Any, where: Any, whose: str = ""
) -> Layer:
    """Check a layer's arguments; `whose` stands before their names."""
    features = arguments.floating(function, f"{whose}features", features)
    kernel = arguments.floating(function, f"{whose}kernel", kernel)
    if features.ndim < 1:
        raise arguments.reject(function, f"{whose}features", "of shape [..., D]", "shape ()")
    if kernel.ndim != 2 or features.shape[-1] != kernel.shape[0]:
        expected = f"of shape ({features.shape[-1]}, outputs)"
        raise arguments.reject(function, f"{whose}kernel", expected, f"shape {kernel.shape}")
    if bias is not None:
        bias = arguments.floating(function, f"{whose}bias", bias)
        if bias.shape != kernel.shape[1:]:
            expected = f"of shape {kernel.shape[1:]}"
            raise arguments.reject(function, f"{whose}bias", expected, f"shape {bias.shape}")
    batch = jnp.zeros(features.shape[:-1])
    mask = arguments.mask_like(function, where, batch)
    if mask is None:
        mask = jnp.ones(batch.shape, bool)
    else:
        # Masked rows become harmless before anything is computed of them.
        features = jnp.where(mask[..., None], features, 0)
    wide = arguments.working_dtype(features, kernel)
    flat = features.reshape(-1, features.shape[-1])
    problem = rows.Problem(flat, kernel, bias, (), jnp.ones(len(flat), wide))
    return Layer(function, problem, mask, where is not None)
