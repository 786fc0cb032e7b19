"""Methods that decide which examples count, made for a share of wrong labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import optax

import jaxloss as jl
from balance.training import Method
from jaxloss import curriculum, multitask


class Setting(NamedTuple):
    """What methods are told of a problem.

    Attributes:
      noise: the share of wrong labels.
      epoch: how many steps see all examples once.
    """

    noise: float
    epoch: float


class Curriculum(NamedTuple):
    """How to learn from examples, and how many networks do at once: each is a task."""

    method: Callable[[Setting], Method]
    networks: int = 1


def _curriculum(make: Callable[[Setting], Any], networks: int = 1) -> Curriculum:
    follow = lambda setting: Method(losses=optax.chain(make(setting), jl.reduce_mean()))
    return Curriculum(follow, networks)


def _constant(make: Callable[..., Any], value: float) -> Curriculum:
    return _curriculum(lambda _: make(value))


def _self_paced(setting: Setting) -> Any:
    # Above all losses at first, then falling fast: what is not learned early stays out.
    threshold = optax.exponential_decay(10.0, round(20 * setting.epoch), 0.1, end_value=0.3)
    make = optax.inject_hyperparams(curriculum.self_paced, static_args="form")
    return make(threshold, form="linear")


def _keep(make: Callable[..., Any]) -> Callable[[Setting], Any]:
    """Return how to keep all examples at first and the share of right labels after ten epochs."""

    def scheduled(setting: Setting) -> Any:
        keep = curriculum.keep_schedule(setting.noise, 10.0, epoch=setting.epoch)
        return optax.inject_hyperparams(make)(keep)

    return scheduled


def _learning_to_reweight(_: Setting) -> Method:
    # Each example is a task; its gradient is never held.
    examples = optax.stateless(lambda losses, _: list(losses[0]))
    clean = lambda problem, params, *_: {"reference_gradient": jax.grad(problem.reference)(params)}
    return Method(examples, multitask.learning_to_reweight(), mode="gramian", extra=clean)


METHODS: Mapping[str, Curriculum] = {
    "cross-entropy": _curriculum(lambda _: optax.identity()),
    "superloss": _curriculum(lambda _: curriculum.superloss()),
    "self_paced": _curriculum(_self_paced),
    "small_loss": _curriculum(_keep(curriculum.small_loss)),
    "co_teaching": _curriculum(_keep(curriculum.co_teaching), networks=2),
    "tilted_erm -1": _constant(curriculum.tilted_erm, -1.0),
    "tilted_erm 1": _constant(curriculum.tilted_erm, 1.0),
    "ohem": _constant(curriculum.ohem, 0.25),
    "learning_to_reweight": Curriculum(_learning_to_reweight),
}
