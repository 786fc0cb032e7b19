"""Methods that decide which examples count, made for a share of wrong labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import optax

import jaxloss as jl
from balance.training import Method
from jaxloss import curriculum


class Setting(NamedTuple):
    """What methods are told of a problem.

    Attributes:
      noise: the share of wrong labels.
      steps: how long it trains.
    """

    noise: float
    steps: int


def _examples(make: Callable[[Setting], Any]) -> Callable[[Setting], Method]:
    return lambda setting: Method(losses=optax.chain(make(setting), jl.reduce_mean()))


def _self_paced(setting: Setting) -> Any:
    # Above all losses at first; from a quarter of the time on only what is learned easily counts.
    threshold = optax.exponential_decay(10.0, setting.steps // 4, 0.1, end_value=1.0)
    make = optax.inject_hyperparams(curriculum.self_paced, static_args="form")
    return make(threshold, form="linear")


METHODS: Mapping[str, Callable[[Setting], Method]] = {
    "cross-entropy": lambda _: Method(losses=jl.reduce_mean()),
    "self_paced": _examples(_self_paced),
}
