"""Methods that weigh tasks, by their losses or by their gradients, made for a problem's setting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import optax

from balance.training import Method
from jaxloss import multitask, weighting


class Setting(NamedTuple):
    """What methods are told of a problem.

    Attributes:
      seed: of methods that draw random numbers; may be traced.
      learning_rate: of weights that are learned.
      shared: which parameters the tasks share, as of `jaxloss.multitask.aggregate`.
    """

    seed: Any = 0
    learning_rate: float = 1e-2
    shared: Any = None


def _losses(make: Callable[[Setting], Any]) -> Callable[[Setting], Method]:
    return lambda setting: Method(losses=make(setting))


def _gradients(make: Callable[..., Any]) -> Callable[[Setting], Method]:
    return lambda setting: Method(gradients=make(shared=setting.shared))


of_tasks: Mapping[str, Callable[[Setting], Method]] = {
    "plain sum": lambda _: Method(),
    "uncertainty": _losses(lambda s: weighting.uncertainty(optax.adam(s.learning_rate))),
    "imtl_g": _gradients(multitask.imtl_g),
}
