"""Curricula: transformations of per-example losses that decide which examples count now.

Each is an `optax.GradientTransformationExtraArgs` on a tree of losses: a leaf is a task, its axes
are the examples. Chain it before `jaxloss.reduce_mean()`. Masks travel as the extra argument
`where=` (one array, or a tree like the losses); factories take plain floats, so that
`optax.inject_hyperparams` turns any of them into a schedule; state does not depend on the number
of examples. All have one state, `CurriculumState`: the share of examples admitted last, by task,
and what the method remembers. Weights are constants to autodiff. Masked examples become 0 and are
not counted; an infinite loss of weight 0 becomes 0, a NaN goes through, for it is a bug to be seen.

When to use which:

* wrong labels, and their share is roughly known: `small_loss`; with twice the time, `co_teaching`;
* wrong labels or outliers, share unknown: `tilted_erm` with a negative tilt, `self_paced`;
* hard or rare cases that a mean hides: `cvar`, `tilted_erm` with a positive tilt, `ohem`;
* a difficulty known beforehand, or a model to ask (`teacher_difficulty`): `paced`;
* no schedule to tune: `superloss`;
* examples that stand in time, the late ones resting on the early: `causal`.

Where a batch is split over devices, `axis_name` makes ranks, sums and means those of the whole.
Tune the plain mean first: on clean data, with time enough, careful studies found no gain from any
order of examples.
"""

from jaxloss.curriculum.causal import causal
from jaxloss.curriculum.coteaching import co_teaching, keep_schedule
from jaxloss.curriculum.examples import CurriculumState, curriculum
from jaxloss.curriculum.pacing import fixed_exponential_pacing, paced, pacing
from jaxloss.curriculum.scoring import (
    difficulty_ranks,
    score,
    self_taught_difficulty,
    teacher_difficulty,
)
from jaxloss.curriculum.selection import cvar, ohem, small_loss
from jaxloss.curriculum.selfpaced import self_paced
from jaxloss.curriculum.superloss import SuperLossMemory, confidence, superloss
from jaxloss.curriculum.tilt import tilted, tilted_erm

__all__ = [
    "CurriculumState",
    "SuperLossMemory",
    "causal",
    "co_teaching",
    "confidence",
    "curriculum",
    "cvar",
    "difficulty_ranks",
    "fixed_exponential_pacing",
    "keep_schedule",
    "ohem",
    "paced",
    "pacing",
    "score",
    "self_paced",
    "self_taught_difficulty",
    "small_loss",
    "superloss",
    "teacher_difficulty",
    "tilted",
    "tilted_erm",
]
