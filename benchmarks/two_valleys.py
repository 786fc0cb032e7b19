"""Two tasks in the plane whose gradients conflict and differ in scale: who reaches the front.

    python benchmarks/two_valleys.py [METHOD ...] [--steps N] [--seeds N]
        [--json FILE] [--markdown FILE]

The toy of Liu et al., Conflict-Averse Gradient Descent (2021), app. B, with the five starting
points and the small first loss of Navon et al., Multi-Task Learning as a Bargaining Game (2022).
Both losses are counted from their lower bounds, so that none is negative. A start succeeds where
no direction improves both tasks any more: the shortest combination of the unscaled gradients is
shorter than 0.01, in the valley of the front (`x2 < -6`).
"""

from __future__ import annotations

import functools
import sys
from typing import Any

import jax
import jax.numpy as jnp
import optax

import balance
from balance import Method, Problem
from balance.methods import METHODS, Setting

Array = jax.Array
STARTS = ((-8.5, 7.5), (0.0, 0.0), (9.0, 9.0), (-7.5, -0.5), (9.0, -1.0))
SCALES = (0.1, 1.0)  # of the first loss
MOMENTS = (0.35, 0.5, 1.0)  # of training, at which successes are counted
SHORT, VALLEY = 1e-2, -6.0
BOUND = -21.0  # below both losses, unscaled
LOOKS = 20  # along the way


def losses(x: Array, scale: Any = 1.0) -> dict[str, Array]:
    """Return both losses at a point `[2]`, the first multiplied by `scale`."""
    th = jnp.tanh(-x[1])
    well = lambda v: jnp.log(_at_least(jnp.abs(v), 5e-6)) + 6
    f = well(0.5 * (-x[0] - 7) - th), well(0.5 * (-x[0] + 3) + th + 2)
    q = [((x[0] + side) ** 2 + 0.1 * (x[1] + 8) ** 2) / 10 - 20 for side in (-7, 7)]
    above, below = (_at_least(jnp.tanh(0.5 * v), 0.0) for v in (x[1], -x[1]))
    first, second = (f[i] * above + q[i] * below - BOUND for i in range(2))
    return {"first": scale * first, "second": second}


def _at_least(v: Array, low: float) -> Array:
    # The gradient passes at equality, unlike that of `maximum`: one start is such a point.
    return jnp.where(v >= low, v, low)


def shortest(x: Array) -> Array:
    """Return the length of the shortest convex combination of the unscaled gradients."""
    jac = jax.jacrev(losses)(x)
    a, b = jac["first"], jac["second"]
    gap = jnp.sum((a - b) ** 2)
    share = jnp.clip(jnp.sum((b - a) * b) / jnp.where(gap > 0, gap, 1.0), 0.0, 1.0)
    return jnp.linalg.norm(share * a + (1 - share) * b)


def _watch(x: Array) -> dict[str, Array]:
    return {"x": x, "success": (shortest(x) < SHORT) & (x[1] < VALLEY)}


def measure(name: str, steps: int, seeds: int) -> balance.Measured:
    """Return where all starts end and when they succeed, for each scale of the first loss."""
    with jax.enable_x64(True):
        run = functools.partial(_run, name, steps, max(steps // LOOKS, 1))
        for inputs in ((0, None, None), (None, 0, None), (None, None, 0)):
            run = jax.vmap(run, in_axes=inputs)
        seen = jax.jit(run)(jnp.array(STARTS), jnp.array(SCALES), jnp.arange(seeds))
        # [seeds, scales, starts, looks, ...]
        return {
            str(scale): {
                "success": seen["success"][:, i].tolist(),
                "end": seen["x"][:, i, :, -1].tolist(),
            }
            for i, scale in enumerate(SCALES)
        }


def _run(name: str, steps: int, every: int, start: Array, scale: Array, seed: Array) -> Any:
    problem = Problem(
        start=lambda _: start,
        draw=lambda _: (),
        losses=lambda x, _: losses(x, scale),
        watch=_watch,
        optimizer=optax.adam(1e-3),
    )
    nadir = {"first": scale, "second": jnp.ones_like(scale)}
    setting = Setting(seed=seed, learning_rate=0.025, famo_decay=0.0, nadir=nadir)
    method: Method = METHODS[name](setting)
    return balance.train(problem, method, jax.random.key(seed), steps=steps, every=every)


def columns(steps: int) -> list[str]:
    """Return the headings: successes along the way, and where the starts end."""
    at = [f"after {round(share * steps)}" for share in MOMENTS]
    return [*at, *(f"x1 at the end, scale {scale:g}" for scale in SCALES)]


def row(measured: balance.Measured) -> list[str]:
    """Return the cells of a method."""
    success = jnp.array(measured[str(SCALES[0])]["success"])
    looks = [max(round(share * success.shape[-1]), 1) - 1 for share in MOMENTS]
    counts = [f"{int(success[..., i].sum())} of {success[..., i].size}" for i in looks]
    ends = [measured[str(scale)]["end"][0] for scale in SCALES]
    return [*counts, *(", ".join(f"{x1:.2f}" for x1, _ in end) for end in ends)]


BENCHMARK = balance.Benchmark(
    name="two_valleys",
    title="Two valleys: starts of 5 that reach the front, the first loss multiplied by 0.1",
    methods=METHODS,
    steps=100_000,
    seeds=1,
    measure=measure,
    columns=columns,
    row=row,
)

if __name__ == "__main__":
    sys.exit(balance.main(BENCHMARK))
