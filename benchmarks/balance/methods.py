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
      epoch: how many steps count as one.
      famo_decay: of FAMO's shares towards equal ones.
      nadir: a large value of each loss, a tree like them; None where the first ones are to serve.
      shared: which parameters the tasks share, as of `jaxloss.multitask.aggregate`.
    """

    seed: Any = 0
    learning_rate: float = 1e-2
    epoch: int = 50
    famo_decay: float = 1e-3
    nadir: Any = None
    shared: Any = None


def _losses(make: Callable[[Setting], Any]) -> Callable[[Setting], Method]:
    return lambda setting: Method(losses=make(setting))


def _gradients(make: Callable[..., Any], **options: Any) -> Callable[[Setting], Method]:
    return lambda setting: Method(gradients=make(shared=setting.shared, **options))


def _seeded(make: Callable[..., Any]) -> Callable[[Setting], Method]:
    return lambda setting: Method(gradients=make(shared=setting.shared, seed=setting.seed))


def _learned(make: Callable[..., Any], **options: Any) -> Callable[[Setting], Method]:
    def method(setting: Setting) -> Method:
        adam = optax.adam(setting.learning_rate)
        return Method(gradients=make(adam, shared=setting.shared, **options))

    return method


def _famo(setting: Setting) -> Method:
    adam = optax.adam(setting.learning_rate)
    feedback = lambda problem, params, _, previous: {"feedback": problem.losses(params, previous)}
    return Method(losses=weighting.famo(adam, decay=setting.famo_decay), extra=feedback)


def _smooth_tchebycheff(setting: Setting) -> Any:
    if setting.nadir is not None:
        return weighting.smooth_tchebycheff(0.1, weights=1.0, nadir=setting.nadir)
    return optax.chain(
        weighting.normalize_by_initial(), weighting.smooth_tchebycheff(0.1, weights=1.0)
    )


ON_LOSSES: dict[str, Callable[[Setting], Method]] = {
    "plain sum": _losses(lambda _: weighting.equal()),
    "random": _losses(lambda s: weighting.random(s.seed)),
    "dwa": _losses(lambda s: weighting.dwa(every=s.epoch)),
    "relobralo": _losses(lambda s: weighting.relobralo(seed=s.seed)),
    "uncertainty": _losses(lambda s: weighting.uncertainty(optax.adam(s.learning_rate))),
    "uncertainty_softmax": _losses(lambda _: weighting.uncertainty_softmax(20.0)),
    "imtl_l": _losses(lambda s: weighting.imtl_l(optax.adam(s.learning_rate))),
    "scale_invariant": _losses(lambda _: weighting.scale_invariant()),
    "geometric_mean": _losses(lambda _: weighting.geometric_mean()),
    "smooth_tchebycheff": _losses(_smooth_tchebycheff),
    "famo": _famo,
}

ON_GRADIENTS: dict[str, Callable[[Setting], Method]] = {
    "gradnorm": _learned(multitask.gradnorm, tasks=2),
    "mgda": _gradients(multitask.mgda),
    "pcgrad": _gradients(multitask.pcgrad),
    "gradvac": _gradients(multitask.gradvac, tasks=2),
    "graddrop": _seeded(multitask.graddrop),
    "cagrad": _gradients(multitask.cagrad),
    "nash_mtl": _gradients(multitask.nash_mtl, max_norm=1.0),
    "fairgrad": _gradients(multitask.fairgrad),
    "imtl_g": _gradients(multitask.imtl_g),
    "aligned_mtl": _gradients(multitask.aligned_mtl),
    "upgrad": _gradients(multitask.upgrad),
    "dualproj": _gradients(multitask.dualproj),
    "conflict_free": _gradients(multitask.conflict_free),
    "db_mtl": _gradients(multitask.db_mtl, tasks=2),
}

METHODS: Mapping[str, Callable[[Setting], Method]] = {**ON_LOSSES, **ON_GRADIENTS}
