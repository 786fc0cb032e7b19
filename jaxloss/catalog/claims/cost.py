"""What a loss and its gradient cost, as the compiler counts it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxloss.catalog.claims.frame import Claim, Setting, Subject

# How many times as many rows the larger batch has.
TIMES = 4


class Cost(NamedTuple):
    """What value and gradient cost.

    Attributes:
      flops: floating-point operations.
      temporary: bytes of memory besides inputs and results.
    """

    flops: float
    temporary: float


def cost(subject: Subject, setting: Setting, copies: int = 1) -> Cost:
    """Return what a batch of generic rows costs, or of several copies of them."""
    rows = [np.concatenate([a] * copies) for a in subject.draw("generic")]
    arrays, hyper = subject.cast(rows, "float32"), subject.hyper(setting, "float32")
    loss = subject.bound(setting)
    moving = [i for i, kind in enumerate(subject.kinds) if kind.differentiable]

    def total(some: dict[int, Any], hyper: dict[str, Any]) -> Any:
        return jnp.sum(loss(*(some.get(i, a) for i, a in enumerate(arrays)), **hyper))

    both: Callable[..., Any] = jax.value_and_grad(total)
    compiled = jax.jit(both).lower({i: arrays[i] for i in moving}, hyper).compile()
    memory = compiled.memory_analysis()
    counted = dict(compiled.cost_analysis() or {})
    return Cost(float(counted.get("flops", 0)), float(getattr(memory, "temp_size_in_bytes", 0)))


def growth(small: float, large: float) -> float:
    """Return the power of the number of rows with which a cost grows; 0 for none."""
    return math.log(large / small, TIMES) if small > 0 and large > 0 else 0.0


def cost_of_order(order: float) -> Claim:
    """Neither operations nor memory grow faster than a power of the number of rows.

    1 for losses of single examples; 2 for those that compare all examples of a batch.
    """

    def check(subject: Subject) -> Iterator[str]:
        small, large = (cost(subject, subject.settings[0], copies) for copies in (1, TIMES))
        for what, one, many in zip(Cost._fields, small, large, strict=True):
            if growth(one, many) > order + 0.25:
                yield f"{what} {one:g} become {many:g} for {TIMES} times as many rows"

    return Claim(f"its cost grows with power {order:g} of the batch", check)
