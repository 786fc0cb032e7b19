"""What the demo minimises: three losses, and two ways to make one number of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

import jaxloss as jl

Array = jax.Array

# The one place where the losses of the tasks are chosen: training, validation, the verification
# and the printed tables all read it.
LOSSES: dict[str, Callable[..., Array]] = {
    "digit": jl.softmax_cross_entropy_with_integer_labels,
    "odd": jl.sigmoid_binary_cross_entropy,
    "ink": jl.huber_loss,
}
TASKS = tuple(LOSSES)

# Chosen on the validation set, with seeds other than the default.
EASY, HARD, FALL = 6.0, 1.0, 300  # threshold of the digits, first and last, and steps between
INK_THRESHOLD = 3.0
WEIGHT_LEARNING_RATE = 1e-2


def losses(outputs: dict[str, Array], targets: dict[str, Any]) -> dict[str, Array]:
    """Return the losses of each task, one for each example: `[batch]`."""
    return {task: loss(outputs[task], targets[task]) for task, loss in LOSSES.items()}


def plain() -> optax.GradientTransformationExtraArgs:
    """Return the baseline: the mean of each task's losses, every task and example alike."""
    return optax.chain(jl.reduce_mean())


def composed() -> optax.GradientTransformationExtraArgs:
    """Return curriculum, mean and learned weights, in that order.

    The digits' threshold falls: a network learns right labels before it memorises wrong ones, so
    that everything may enter at first, and only what agrees with what was learned later on. Right
    predictions of the ink are within the threshold from the start, lost decimal points never;
    whether a digit is odd needs no curriculum.
    """
    schedule = optax.linear_schedule(EASY, HARD, FALL)
    curricula = {
        "digit": optax.inject_hyperparams(jl.curriculum.self_paced)(threshold=schedule),
        "odd": optax.identity(),
        "ink": jl.curriculum.self_paced(INK_THRESHOLD),
    }
    return optax.chain(
        optax.partition(curricula, {task: task for task in TASKS}),
        jl.reduce_mean(),
        jl.weighting.uncertainty(optax.adam(WEIGHT_LEARNING_RATE)),
    )


def task_weights(state: Any) -> dict[str, Array]:
    """Return by how much each task's loss is multiplied: 1 where nothing weighs it."""
    weights = optax.tree.get(state, "weights")
    return {task: jnp.ones(()) for task in TASKS} if weights is None else weights


def admitted(state: Any) -> dict[str, Array]:
    """Return the share of each task's examples that its curriculum let through; 1 without one."""
    shares = {task: jnp.ones(()) for task in TASKS}
    for _, found in optax.tree.get_all_with_path(state, "admitted"):
        shares |= {task: x for task, x in found.items() if not isinstance(x, optax.MaskedNode)}
    return shares
