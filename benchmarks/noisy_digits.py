"""Digits of which 43 % carry a wrong label: who learns the digits, and who learns the labels.

    python benchmarks/noisy_digits.py [METHOD ...] [--steps N] [--seeds N]
        [--json FILE] [--markdown FILE]

A network large enough to learn all labels by heart, wrong ones included. The accuracy on clean test
images rises first and falls as wrong labels are memorised: a curriculum that leaves out examples of
large loss keeps it up. Best and last accuracy; the best is what stopping at the right moment would
give, if a clean validation set told it.
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
from balance.curricula import METHODS, Setting

Array = jax.Array
SIZES, BATCH = (64, 256, 256, 10), 128
cross_entropy = jl.softmax_cross_entropy_with_integer_labels
NOISE = 0.43  # share of wrong labels
LOOKS = 60  # along the way
CURVES = ("test", "memorised")


def measure(name: str, steps: int, seeds: int) -> balance.Measured:
    """Return curves over training: accuracy on the test set, and share of wrong labels learned."""
    sets = [digits.noisy(NOISE, seed) for seed in range(seeds)]
    data = jax.tree.map(lambda *leaves: jnp.stack(leaves), *sets)
    run = jax.vmap(functools.partial(_run, name, steps))
    seen = jax.jit(run)(data, jnp.arange(seeds))  # [seeds, looks]
    return {curve: seen[curve].tolist() for curve in CURVES}


def _run(name: str, steps: int, data: Any, seed: Array) -> dict[str, Array]:
    train, test, labels = data.train, data.test, data.train.labels[0]
    chosen = METHODS[name]

    def start(key: Array) -> list[Any]:
        return [networks.layers(k, SIZES) for k in jax.random.split(key, chosen.networks)]

    def losses(params: list[Any], batch: Array) -> list[Array]:
        logits = [_logits(network, train.images[batch]) for network in params]
        return [cross_entropy(x, labels[batch]) for x in logits]

    def reference(params: list[Any]) -> Array:
        logits = _logits(params[0], data.validation.images)
        return jl.mean(cross_entropy(logits, data.validation.labels[0]))

    def watch(params: list[Any]) -> dict[str, Array]:
        answers = jnp.argmax(_logits(params[0], train.images), axis=-1)
        return {
            "test": networks.accuracy(_logits(params[0], test.images), test.labels[0]),
            "memorised": jl.mean((answers == labels).astype(jnp.float32), where=data.wrong),
        }

    draw = lambda key: jax.random.randint(key, (BATCH,), 0, len(labels))
    problem = Problem(start, draw, losses, watch, optax.adam(1e-3), reference)
    method = chosen.method(Setting(NOISE, len(labels) / BATCH))
    every = max(steps // LOOKS, 1)
    return balance.train(problem, method, jax.random.key(seed), steps=steps, every=every)


def _logits(network: Any, images: Array) -> Array:
    return networks.dense(network[-1], networks.trunk(network[:-1], images))


def columns(steps: int) -> list[str]:
    """Return the headings."""
    return ["best accuracy", f"after {steps}", "wrong labels learned"]


def row(measured: balance.Measured) -> list[str]:
    """Return the cells of a method: means over seeds."""
    test, memorised = (np.array(measured[curve]) for curve in CURVES)
    numbers = test.max(axis=1), test[:, -1], memorised[:, -1]
    return [f"{x.mean():.3f}" for x in numbers]


BENCHMARK = balance.Benchmark(
    name="noisy_digits",
    title="Noisy digits: accuracy on clean test images",
    methods=METHODS,
    steps=6000,
    seeds=3,
    measure=measure,
    columns=columns,
    row=row,
)

if __name__ == "__main__":
    sys.exit(balance.main(BENCHMARK))
