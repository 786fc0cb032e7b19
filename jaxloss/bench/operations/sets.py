"""Distances of samples, and what is sorted for them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxloss as jl
from jaxloss.bench.contest import Operation, in_jax, in_torch


def _lines(rng: np.random.Generator, batch: int, points: int) -> list[Any]:
    return [rng.normal(size=(batch, points)).astype(np.float32) for _ in range(2)]


def _clouds(rng: np.random.Generator, points: int) -> list[Any]:
    shift = rng.normal(size=(1, 16)) / 4
    clouds = rng.normal(size=(points, 16)), rng.normal(size=(points, 16)) + shift
    return [cloud.astype(np.float32) for cloud in clouds]


def _pixels(rng: np.random.Generator, pixels: int) -> list[Any]:
    labels = (rng.uniform(size=pixels) < 0.2).astype(np.int32)
    return [rng.normal(size=pixels).astype(np.float32), labels]


def _our_wasserstein(x: Any, y: Any) -> Any:
    return jnp.mean(jl.wasserstein_1d(x, y))


def _plain_wasserstein() -> Any:
    def loss(x: Any, y: Any) -> Any:
        return jnp.mean(jnp.abs(jnp.sort(x, axis=-1) - jnp.sort(y, axis=-1)))

    return loss


def _torch_wasserstein() -> Any:
    return lambda x, y: (x.sort(dim=-1).values - y.sort(dim=-1).values).abs().mean()


def _our_energy(x: Any, y: Any) -> Any:
    return jnp.mean(jl.energy_distance(x[..., None], y[..., None]))


def _plain_energy() -> Any:
    def loss(x: Any, y: Any) -> Any:
        mean = lambda a, b: jnp.mean(jnp.abs(a[:, :, None] - b[:, None, :]), axis=(1, 2))
        return jnp.mean(2 * mean(x, y) - mean(x, x) - mean(y, y))

    return loss


def _our_sinkhorn(x: Any, y: Any) -> Any:
    return jl.sinkhorn_divergence(x, y, epsilon=8.0, iterations=50)


def _ott() -> Any:
    from ott.geometry import pointcloud
    from ott.tools import sinkhorn_divergence

    def loss(x: Any, y: Any) -> Any:
        options = {"min_iterations": 50, "max_iterations": 50, "threshold": -1.0}
        return sinkhorn_divergence.sinkhorn_divergence(
            pointcloud.PointCloud, x, y, epsilon=8.0, solve_kwargs=options
        )[0]

    return loss


_DIRECTIONS = np.random.default_rng(1).normal(size=(32, 16)).astype(np.float32) / 4
_BANDWIDTHS = (2.0, 4.0, 8.0)


def _our_sliced(x: Any, y: Any) -> Any:
    return jl.sliced_wasserstein(x, y, projections=_DIRECTIONS)


def _plain_sliced() -> Any:
    def loss(x: Any, y: Any) -> Any:
        shadows = (jnp.sort(points @ _DIRECTIONS.T, axis=0) for points in (x, y))
        return jnp.mean((next(shadows) - next(shadows)) ** 2)

    return loss


def _torch_sliced() -> Any:
    import torch

    directions = torch.tensor(_DIRECTIONS.T)
    shadow = lambda points: (points @ directions).sort(dim=0).values
    return lambda x, y: ((shadow(x) - shadow(y)) ** 2).mean()


def _our_discrepancy(x: Any, y: Any) -> Any:
    return jl.maximum_mean_discrepancy(x, y, bandwidth=np.array(_BANDWIDTHS, np.float32))


def _plain_discrepancy() -> Any:
    def mean(x: Any, y: Any) -> Any:
        own = (jnp.sum(points**2, axis=-1) for points in (x, y))
        square = next(own)[:, None] + next(own)[None] - 2 * x @ y.T
        return sum(jnp.mean(jnp.exp(-square / (2 * s**2))) for s in _BANDWIDTHS) / len(_BANDWIDTHS)

    return lambda x, y: mean(x, x) - 2 * mean(x, y) + mean(y, y)


def _our_lovasz(logits: Any, labels: Any) -> Any:
    return jl.lovasz_hinge_loss(logits[None], labels[None])[0]


def _plain_lovasz() -> Any:
    def loss(logits: Any, labels: Any) -> Any:
        errors = 1 - logits * (2.0 * labels - 1)
        order = jnp.argsort(-errors)
        truth = labels[order].astype(logits.dtype)
        total = jnp.sum(truth)
        jaccard = 1 - (total - jnp.cumsum(truth)) / (total + jnp.cumsum(1 - truth))
        steps = jax.lax.stop_gradient(jnp.diff(jaccard, prepend=0.0))
        return jnp.vdot(jax.nn.relu(errors[order]), steps)

    return loss


def _torch_lovasz() -> Any:
    import torch

    def loss(logits: Any, labels: Any) -> Any:
        errors = 1 - logits * (2.0 * labels - 1)
        ordered, order = errors.sort(descending=True)
        truth = labels[order].to(logits.dtype)
        total = truth.sum()
        jaccard = 1 - (total - truth.cumsum(0)) / (total + (1 - truth).cumsum(0))
        steps = torch.diff(jaccard, prepend=jaccard.new_zeros(1))
        return torch.relu(ordered) @ steps

    return loss


_LINES = tuple({"batch": 64, "points": n} for n in (250, 1000, 4000))

OPERATIONS = (
    Operation("wasserstein_1d", "samples of numbers, sorted", _LINES, _lines, _our_wasserstein,
              {"plain jax": (in_jax, _plain_wasserstein), "torch": (in_torch, _torch_wasserstein)},
              moving=(0, 1)),
    Operation("energy_distance", "samples of numbers",
              tuple({"batch": 8, "points": n} for n in (250, 1000, 2000)), _lines, _our_energy,
              {"plain jax": (in_jax, _plain_energy)}, moving=(0, 1), reference=_plain_energy()),
    Operation("sinkhorn_divergence", "clouds in 16 dimensions, 50 iterations",
              tuple({"points": n} for n in (250, 1000, 2000)), _clouds, _our_sinkhorn,
              {"ott": (in_jax, _ott)}, moving=(0, 1), tolerance=2e-2),
    Operation("sliced_wasserstein", "clouds in 16 dimensions, 32 directions",
              tuple({"points": n} for n in (250, 1000, 4000)), _clouds, _our_sliced,
              {"plain jax": (in_jax, _plain_sliced), "torch": (in_torch, _torch_sliced)},
              moving=(0, 1)),
    Operation("maximum_mean_discrepancy", "clouds in 16 dimensions, three bandwidths",
              tuple({"points": n} for n in (250, 1000, 2000)), _clouds, _our_discrepancy,
              {"plain jax": (in_jax, _plain_discrepancy)}, moving=(0, 1)),
    Operation("lovasz_hinge_loss", "the errors of all pixels, sorted",
              tuple({"pixels": 4**k * 4096} for k in (0, 2, 3)), _pixels, _our_lovasz,
              {"plain jax": (in_jax, _plain_lovasz), "torch": (in_torch, _torch_lovasz)},
              reference=_plain_lovasz()),
)  # fmt: skip
