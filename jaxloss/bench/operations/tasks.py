"""Gradients of many tasks, combined."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxloss as jl
from jaxloss.bench.contest import Operation, in_jax, in_torch


def _inputs(rng: np.random.Generator, tasks: int, width: int) -> list[Any]:
    draw = lambda *shape: np.asarray(rng.normal(size=shape), np.float32)
    return [draw(64, width) / np.float32(8), draw(width, width), draw(width, tasks),
            draw(256, 64), draw(256, tasks)]  # fmt: skip


def _losses(first: Any, second: Any, heads: Any, inputs: Any, targets: Any) -> Any:
    hidden = jnp.tanh(jnp.tanh(inputs @ first) @ second / second.shape[0] ** 0.5)
    return list(jnp.mean((hidden @ heads / second.shape[0] ** 0.5 - targets) ** 2, axis=0))


def _norm(mode: str) -> Any:
    """Sum of the Gramian: what all of the engine's work comes together in."""

    def gramian(*args: Any) -> Any:
        trunk, rest = args[:2], args[2:]
        call = jl.multitask.value_and_gradients(lambda trunk: _losses(*trunk, *rest), mode=mode)
        return jnp.sum(call(trunk)[1].gramian()) / 1e3

    return gramian


def _jacobian() -> Any:
    def gramian(*args: Any) -> Any:
        trunk, rest = args[:2], args[2:]
        stacked = lambda trunk: jnp.stack(_losses(*trunk, *rest))
        rows = [leaf.reshape(len(leaf), -1) for leaf in jax.jacrev(stacked)(trunk)]
        return sum(jnp.sum(row @ row.T) for row in rows) / 1e3

    return gramian


def _at_features(gramian: Any) -> Any:
    """Balance at what both layers give instead of at their parameters."""

    def run(first: Any, second: Any, heads: Any, inputs: Any, targets: Any) -> Any:
        scale = second.shape[0] ** 0.5
        features = jnp.tanh(jnp.tanh(inputs @ first) @ second / scale)
        losses = lambda z: list(jnp.mean((z @ heads / scale - targets) ** 2, axis=0))
        return jnp.sum(gramian(losses, features)) * 1e3

    return run


def _ours_of(losses: Any, features: Any) -> Any:
    return jl.multitask.value_and_gradients(losses, mode="gramian")(features)[1].gramian()


def _jacobian_of(losses: Any, features: Any) -> Any:
    rows = jax.jacrev(lambda z: jnp.stack(losses(z)))(features)
    return jnp.tensordot(rows, rows, axes=((1, 2), (1, 2)))


def _torchjd() -> Any:
    import torch
    from torchjd.autogram import Engine

    class Trunk(torch.nn.Module):
        """Both hidden layers, whose parameters the gradients are of."""

        def __init__(self, first: Any, second: Any) -> None:
            super().__init__()
            self.first, self.second = torch.nn.Parameter(first), torch.nn.Parameter(second)

        def forward(self, inputs: Any) -> Any:
            hidden = torch.tanh(inputs @ self.first)
            return torch.tanh(hidden @ self.second / self.second.shape[0] ** 0.5)

    made: list[Any] = []

    def gramian(first: Any, second: Any, heads: Any, inputs: Any, targets: Any) -> Any:
        if not made:  # once, as its documentation says
            trunk = Trunk(first, second)
            made.extend([trunk, Engine(trunk, batch_dim=None)])
        trunk, engine = made
        outputs = trunk(inputs) @ heads / second.shape[0] ** 0.5
        return engine.compute_gramian(((outputs - targets) ** 2).mean(dim=0)).sum() / 1e3

    return gramian


OPERATIONS = (
    Operation(
        "task_gramian",
        "products of all tasks' gradients, value only",
        sizes=tuple({"tasks": k, "width": 512} for k in (4, 16, 40)),
        inputs=_inputs,
        ours=_norm("gramian"),
        peers={
            "jaxloss mode=map": (in_jax, lambda: _norm("map")),
            "jacrev": (in_jax, _jacobian),
            "torchjd": (in_torch, _torchjd),
        },
        moving=(),
        reference=_jacobian(),
    ),
    Operation(
        "feature_gramian",
        "products of all tasks' gradients in shared features, value only",
        sizes=tuple({"tasks": k, "width": 512} for k in (4, 16, 40)),
        inputs=_inputs,
        ours=_at_features(_ours_of),
        peers={"jacrev": (in_jax, lambda: _at_features(_jacobian_of))},
        moving=(),
        reference=_at_features(_jacobian_of),
    ),
)
