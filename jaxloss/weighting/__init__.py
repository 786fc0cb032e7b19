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
"""

from jaxloss.weighting.tasks import WeightingState, weighting
from jaxloss.weighting.uncertainty import UncertaintyMemory, uncertainty, uncertainty_weighted

__all__ = [
    "UncertaintyMemory",
    "WeightingState",
    "uncertainty",
    "uncertainty_weighted",
    "weighting",
]
