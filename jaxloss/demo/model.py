"""The network of the demo: a trunk that all tasks share, and a head for each."""

from __future__ import annotations

from typing import Any

import jax
from flax import nnx

from jaxloss.demo import data

Array = jax.Array
PIXELS, WIDTH = 64, 128


class Network(nnx.Module):
    """Two hidden layers and three linear heads: digit, odd, ink."""

    def __init__(self, *, rngs: nnx.Rngs) -> None:
        """Draw the initial parameters from `rngs`."""
        self.first = nnx.Linear(PIXELS, WIDTH, rngs=rngs)
        self.second = nnx.Linear(WIDTH, WIDTH, rngs=rngs)
        self.digit = nnx.Linear(WIDTH, data.CLASSES, rngs=rngs)
        self.odd = nnx.Linear(WIDTH, 1, rngs=rngs)
        self.ink = nnx.Linear(WIDTH, 1, rngs=rngs)

    def __call__(self, images: Array) -> dict[str, Array]:
        """Map images `[batch, 64]` to digit logits `[batch, 10]`, odd logits and ink `[batch]`."""
        features = nnx.relu(self.second(nnx.relu(self.first(images))))
        odd, ink = self.odd(features)[:, 0], self.ink(features)[:, 0]
        return {"digit": self.digit(features), "odd": odd, "ink": ink}


def create(seed: int) -> tuple[Any, Any]:
    """Return the network as what it is made of, `nnx.split` into structure and parameters."""
    return nnx.split(Network(rngs=nnx.Rngs(seed)), nnx.Param)


def apply(structure: Any, params: Any, images: Any) -> dict[str, Array]:
    """Run the network: the functional form, which jit, grad and scan take as it is."""
    return nnx.merge(structure, params)(images)
