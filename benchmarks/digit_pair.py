"""Two digits in one image, equally hard: what happens when one loss is a hundredth of the other.

    python benchmarks/digit_pair.py [METHOD ...] [--steps N] [--seeds N]
        [--json FILE] [--markdown FILE]

As MultiMNIST (Sabour et al. 2017, Sener and Koltun 2018), from the small digits of scikit-learn: a
trunk that both tasks share and a linear head for each. Each method trains twice, with the losses
as they are, and with the second multiplied by 0.01. A method that does not care about the scales
of losses ends at the same accuracies. Gradient methods balance the trunk; heads follow their own
loss.
"""

from __future__ import annotations

import functools
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import balance
import jaxloss as jl
from balance import Problem, digits, networks
from balance.methods import METHODS, Setting

Array = jax.Array
SCALES = (1.0, 0.01)  # of the second loss
SIZES, BATCH = (144, 64, 64), 128
TASKS = ("left", "right")


def measure(name: str, steps: int, seeds: int) -> balance.Measured:
    """Return the accuracies on the test set at the end, for each scale of the second loss."""
    run = jax.vmap(jax.vmap(functools.partial(_run, name, steps), (0, None)), (None, 0))
    seen = jax.jit(run)(jnp.arange(seeds), jnp.array(SCALES))  # [scales, seeds, tasks]
    return {str(scale): seen[i].tolist() for i, scale in enumerate(SCALES)}


def _run(name: str, steps: int, seed: Array, scale: Array) -> Array:
    train, test = digits.pairs()
    images, labels = jnp.asarray(train.images), jnp.asarray(train.labels)

    def losses(params: Any, chosen: Array) -> dict[str, Array]:
        logits = _logits(params, images[chosen])
        cross_entropy = jl.softmax_cross_entropy_with_integer_labels
        means = {
            t: jl.mean(cross_entropy(logits[t], labels[i, chosen])) for i, t in enumerate(TASKS)
        }
        return {"left": means["left"], "right": scale * means["right"]}

    def watch(params: Any) -> Array:
        logits = _logits(params, jnp.asarray(test.images))
        shares = [
            networks.accuracy(logits[t], jnp.asarray(test.labels[i])) for i, t in enumerate(TASKS)
        ]
        return jnp.stack(shares)

    draw = lambda key: jax.random.randint(key, (BATCH,), 0, len(images))
    problem = Problem(_start, draw, losses, watch, optax.adam(1e-3))
    method = METHODS[name](
        Setting(seed=seed, shared={"trunk": True, **dict.fromkeys(TASKS, False)})
    )
    return balance.train(problem, method, jax.random.key(seed), steps=steps, every=steps)[-1]


def _start(key: Array) -> dict[str, Any]:
    first, *others = jax.random.split(key, 1 + len(TASKS))
    heads = [networks.layers(k, (SIZES[-1], digits.CLASSES))[0] for k in others]
    return {"trunk": networks.layers(first, SIZES), **dict(zip(TASKS, heads, strict=True))}


def _logits(params: Any, images: Array) -> dict[str, Array]:
    features = networks.trunk(params["trunk"], images)
    return {task: networks.dense(params[task], features) for task in TASKS}


def columns(steps: int) -> list[str]:
    """Return the headings: the accuracies of both tasks, at each scale of the second loss."""
    del steps
    return [f"{task}, right loss x {scale:g}" for scale in SCALES for task in TASKS]


def row(measured: balance.Measured) -> list[str]:
    """Return the cells of a method: means over seeds."""
    means = np.concatenate([np.mean(measured[str(scale)], axis=0) for scale in SCALES])
    return [f"{x:.3f}" for x in means]


BENCHMARK = balance.Benchmark(
    name="digit_pair",
    title="A pair of digits: accuracy on the test set",
    methods=METHODS,
    steps=3000,
    seeds=3,
    measure=measure,
    columns=columns,
    row=row,
)

if __name__ == "__main__":
    sys.exit(balance.main(BENCHMARK))
