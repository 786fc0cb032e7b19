"""A concave Pareto front: preferences that a weighted sum cannot follow, whatever its weights.

    python benchmarks/concave_front.py [METHOD ...] [--steps N] [--seeds N]
        [--json FILE] [--markdown FILE]

The synthetic problem of Lin et al., Pareto Multi-Task Learning (2019): `1 - exp(-|x - a|^2)` and
`1 - exp(-|x + a|^2)` in 20 dimensions, whose front is the segment between `a` and `-a`. For ten
preferences `(cos t, sin t)`, from one loss alone to the other, each method descends from random
points. A weighted sum ends at the two ends of the front; of a method that takes the worst of the
weighted losses the eight preferences between want the inside, each its own point.
"""

from __future__ import annotations

import functools
import math
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import balance
from balance import Method, Problem
from balance.scalarizers import METHODS

Array = jax.Array
SIZE, PREFERENCES = 20, 10
INSIDE = 0.9  # of the half length of the front
NEAR = 0.05  # distance to the front, as a share of the same


def losses(x: Array) -> dict[str, Array]:
    """Return both losses at a point `[SIZE]`."""
    a = 1 / math.sqrt(SIZE)
    return {
        "first": 1 - jnp.exp(-jnp.sum((x - a) ** 2)),
        "second": 1 - jnp.exp(-jnp.sum((x + a) ** 2)),
    }


def _watch(x: Array) -> dict[str, Array]:
    """Return where along the front a point is, from -1 to 1, and how far away from it."""
    along = jnp.mean(x) * math.sqrt(SIZE)
    nearest = jnp.clip(along, -1, 1) / math.sqrt(SIZE)
    return {"along": along, "away": jnp.linalg.norm(x - nearest), "losses": losses(x)}


def measure(name: str, steps: int, seeds: int) -> balance.Measured:
    """Return where each preference ends, for each random start."""
    angles = jnp.linspace(0, math.pi / 2, PREFERENCES)
    preferences = jnp.abs(jnp.stack([jnp.cos(angles), jnp.sin(angles)], axis=1))
    run = functools.partial(_run, name, steps)
    seen = jax.jit(jax.vmap(jax.vmap(run, (0, None)), (None, 0)))(preferences, jnp.arange(seeds))
    # [seeds, preferences]
    return {"preferences": preferences.tolist(), **jax.tree.map(lambda x: x.tolist(), seen)}


def _run(name: str, steps: int, preference: Array, seed: Array) -> Any:
    problem = Problem(
        start=lambda key: jax.random.uniform(key, (SIZE,), minval=-0.5, maxval=0.5),
        draw=lambda _: (),
        losses=lambda x, _: losses(x),
        watch=_watch,
        optimizer=optax.sgd(optax.cosine_decay_schedule(0.3, steps)),
    )
    method: Method = METHODS[name]({"first": preference[0], "second": preference[1]})
    seen = balance.train(problem, method, jax.random.key(seed), steps=steps, every=steps)
    return jax.tree.map(lambda x: x[-1], seen)


def columns(steps: int) -> list[str]:
    """Return the headings."""
    del steps
    return ["on the front", "inside", "places, from 1 to -1"]


def row(measured: balance.Measured) -> list[str]:
    """Return the cells of a method."""
    along, away = np.array(measured["along"]), np.array(measured["away"])
    near = away < NEAR
    inside = near & (np.abs(along) < INSIDE)
    places = ", ".join(f"{x:.2f}" for x in along[0])
    return [f"{near.sum()} of {near.size}", f"{inside.sum()} of {near.size}", places]


BENCHMARK = balance.Benchmark(
    name="concave_front",
    title="A concave front: where ten preferences end",
    methods=METHODS,
    steps=300,
    seeds=3,
    measure=measure,
    columns=columns,
    row=row,
)

if __name__ == "__main__":
    sys.exit(balance.main(BENCHMARK))
