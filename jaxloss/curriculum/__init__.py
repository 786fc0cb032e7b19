"""Curricula: transformations of per-example losses that decide which examples count now.

Each is an `optax.GradientTransformationExtraArgs` on a tree of losses: a leaf is a task, its axes
are the examples. Chain it before `jaxloss.reduce_mean()`. Masks travel as the extra argument
`where=` (one array, or a tree like the losses); factories take plain floats, so that
`optax.inject_hyperparams` turns any of them into a schedule; state does not depend on the number
of examples. All have one state, `CurriculumState`: the share of examples admitted last, by task,
and what the method remembers. Weights are constants to autodiff. Masked examples become 0 and are
not counted; an infinite loss of weight 0 becomes 0, a NaN goes through, for it is a bug to be seen.
"""

from jaxloss.curriculum.examples import CurriculumState, curriculum
from jaxloss.curriculum.selfpaced import self_paced

__all__ = ["CurriculumState", "curriculum", "self_paced"]
