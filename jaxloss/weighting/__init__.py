"""Weighting of tasks: transformations of one loss per task.

Each is an `optax.GradientTransformationExtraArgs` on a tree of scalar losses; chain it after
`jaxloss.reduce_mean()`. A leaf of the tree is a task. All have one state, `WeightingState`: the
weights of the last update by task, and what the method remembers. Weights are constants to
autodiff, so a loss keeps its own gradient, only longer or shorter. Each docstring says what the
weights sum to; `renormalize` changes it.

Schedules and moving averages come from optax: `optax.scale_by_schedule`, `optax.ema`, and
`optax.partition` to treat tasks differently.

Tune the plain sum first, its weights by hand on validation data: on balanced tasks careful studies
found no method here better than that. They earn their cost where scales differ by orders of
magnitude or change over training, and where there are too many tasks for a search by hand.

| method | when |
|---|---|
| `equal`, `fixed` | first; few tasks, time to tune |
| `random` | as a baseline that every other method must beat |
| `crossfade` | one loss must prepare the ground for another: a region before its boundary |
| `normalize_by_initial`, `normalize_by_mean` | units differ, and how much tasks matter is known |
| `scale_invariant`, `geometric_mean`, `uncertainty_optimal` | units differ, nothing to tune |
| `uncertainty`, `imtl_l` | the same, slowly, by learned scales: single batches are noisy |
| `revised_uncertainty`, `uncertainty_softmax` | the same, with bounds; units matter |
| `tchebycheff`, `smooth_tchebycheff`, `pbi` | a wanted trade-off, also on a concave front |
| `tilted`, `group_dro` | the worst task or group counts |
| `dwa`, `softadapt`, `relobralo` | tasks are learned at different speeds |
| `causal` | tasks have an order: the past before the future |
| `famo` | many tasks, conflicting, no gradients of single tasks to be had |
| `by_validation`, `reduce_on_plateau` | what counts is measured on held-out data |
| `from_scalarizer` | any other function of the losses |
| `every_k`, `clip_weights`, `renormalize`, `on_log` | around any of them |
"""

from jaxloss.weighting import scalarizers
from jaxloss.weighting.causal import causal
from jaxloss.weighting.exponentiated import by_validation, group_dro
from jaxloss.weighting.fade import CrossfadeMemory, crossfade
from jaxloss.weighting.famo import FamoMemory, famo
from jaxloss.weighting.fixed import equal, fixed, random
from jaxloss.weighting.imtl import ImtlMemory, imtl_l, imtl_l_weighted
from jaxloss.weighting.normalization import (
    InitialMemory,
    MeanMemory,
    normalize_by_initial,
    normalize_by_mean,
)
from jaxloss.weighting.plateau import PlateauMemory, reduce_on_plateau
from jaxloss.weighting.rates import (
    DwaMemory,
    RelobraloMemory,
    SoftAdaptMemory,
    dwa,
    relobralo,
    softadapt,
)
from jaxloss.weighting.scalarized import (
    from_scalarizer,
    geometric_mean,
    pbi,
    scale_invariant,
    smooth_tchebycheff,
    tchebycheff,
    tilted,
)
from jaxloss.weighting.tasks import WeightingState, weighting
from jaxloss.weighting.uncertainty import (
    UncertaintyMemory,
    revised_uncertainty,
    revised_uncertainty_weighted,
    uncertainty,
    uncertainty_optimal,
    uncertainty_softmax,
    uncertainty_weighted,
)
from jaxloss.weighting.wrappers import EveryMemory, clip_weights, every_k, on_log, renormalize

__all__ = [
    "CrossfadeMemory",
    "DwaMemory",
    "EveryMemory",
    "FamoMemory",
    "ImtlMemory",
    "InitialMemory",
    "MeanMemory",
    "PlateauMemory",
    "RelobraloMemory",
    "SoftAdaptMemory",
    "UncertaintyMemory",
    "WeightingState",
    "by_validation",
    "causal",
    "clip_weights",
    "crossfade",
    "dwa",
    "equal",
    "every_k",
    "famo",
    "fixed",
    "from_scalarizer",
    "geometric_mean",
    "group_dro",
    "imtl_l",
    "imtl_l_weighted",
    "normalize_by_initial",
    "normalize_by_mean",
    "on_log",
    "pbi",
    "random",
    "reduce_on_plateau",
    "relobralo",
    "renormalize",
    "revised_uncertainty",
    "revised_uncertainty_weighted",
    "scalarizers",
    "scale_invariant",
    "smooth_tchebycheff",
    "softadapt",
    "tchebycheff",
    "tilted",
    "uncertainty",
    "uncertainty_optimal",
    "uncertainty_softmax",
    "uncertainty_weighted",
    "weighting",
]
