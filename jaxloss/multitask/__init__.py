"""Balance of tasks by their gradients: one gradient for each task, and what makes one of them.

`value_and_gradients` hands out the gradients of all tasks; an aggregator, an optax transformation,
combines them, and any optimizer follows:

    optimizer = optax.chain(jaxloss.multitask.imtl_g(), optax.adam(1e-3))
    losses, gradients = jaxloss.multitask.value_and_gradients(losses_fn)(params, batch)
    updates, state = optimizer.update(gradients, state, params)

Two conventions hold for all aggregators: `shared=` says which parameters the tasks share (a tree of
booleans, a prefix of one, or a callable, as in `optax.masked`), and only these are balanced;
`heads=` says what happens to the others, "plain" for the gradient of the sum of the losses or
"weighted" for the same weights as the shared ones. What depends on the Gramian only is also there
as a pure function from it to the weights, such as `imtl_g_weights`.

Tune the plain sum first: careful studies found that a well tuned weighted sum is as good as these
methods on most benchmarks, at a fraction of their cost (K backward passes instead of one). They
earn it where gradients conflict and differ in scale by much, or where no weights are known.

All cost K backward passes. What they need besides is small where it is a function of the Gramian
(a problem of K unknowns, solved within jit), and the memory of K gradients where it says "rows".

| method | what holds | needs | when |
|---|---|---|---|
| `total` | linear in fixed weights | | first; a baseline of the others |
| `normalize` | all lengths equal, no unit matters | norms | before any other, scales apart |
| `imtl_g` | equal projections on all gradients | Gramian | units differ, K = 2 |
| `conflict_free` | the same, raises no loss; length of a sum | Gramian | units differ |
| `nash_mtl` | the unit of a loss changes nothing at all | Gramian | units differ by much |
| `fairgrad` | `nash_mtl` to the sum, or to the worst task | Gramian | a choice of fairness |
| `mgda` | raises no loss; 0 on the Pareto front | Gramian | any Pareto point; scales alike |
| `upgrad` | raises no loss; longer gradients count more | Gramian | conflict, scales meant |
| `dualproj` | raises no loss; nearest to the mean | Gramian | the mean, made safe |
| `cagrad` | near the mean, best for the worst | Gramian, 30 times | the mean's minimum is wanted |
| `pcgrad` | the sum where nothing conflicts | Gramian | conflict of a few tasks |
| `gradvac` | cosines as they were on average | Gramian, state | related tasks, many |
| `aligned_mtl` | components orthogonal, of one length | Gramian | one component dominates |
| `gradnorm` | lengths follow the rates of tasks | norms, losses, state | different speeds |
| `db_mtl` | lengths equal, no unit matters | rows, losses, state | the same, gradients noisy |
| `graddrop` | one sign in each element | rows, noise | to leave poor minima |
| `krum`, `trimmed_mean` | a few wrong gradients change nothing | Gramian; rows | workers |
| `moving_average` | around the weights of any of them | Gramian, state | small batches |
| `learning_to_reweight` | what opposes a reference has no effect | reference | a clean batch |
| `gradient_cosine` | the same, by cosines in [0, 1] | reference | auxiliary tasks |
| `ol_aux`, `auto_lambda` | weights learned from a reference | reference, state | the same, noisy |
"""

from jaxloss.multitask.aggregate import AggregateState, aggregate
from jaxloss.multitask.aligned import aligned_mtl, aligned_mtl_weights
from jaxloss.multitask.bargaining import fairgrad, fairgrad_weights, nash_mtl, nash_mtl_weights
from jaxloss.multitask.cagrad import cagrad, cagrad_weights
from jaxloss.multitask.conflict_free import conflict_free, conflict_free_weights
from jaxloss.multitask.db_mtl import DualBalanceMemory, db_mtl
from jaxloss.multitask.dual_cone import dualproj, dualproj_weights, upgrad, upgrad_weights
from jaxloss.multitask.engine import value_and_gradients
from jaxloss.multitask.graddrop import graddrop
from jaxloss.multitask.gradnorm import GradNormMemory, gradnorm
from jaxloss.multitask.gradvac import GradVacMemory, gradvac
from jaxloss.multitask.imtl import imtl_g, imtl_g_weights
from jaxloss.multitask.mgda import mgda, mgda_weights
from jaxloss.multitask.moving_average import MovingAverageMemory, moving_average
from jaxloss.multitask.normalize import normalize
from jaxloss.multitask.outvoted import krum, krum_weights, trimmed_mean
from jaxloss.multitask.pcgrad import pcgrad, pcgrad_weights
from jaxloss.multitask.reference import (
    LearnedMemory,
    auto_lambda,
    gradient_cosine,
    learning_to_reweight,
    ol_aux,
)
from jaxloss.multitask.tasks import Pullback, Rows
from jaxloss.multitask.total import total

__all__ = [
    "AggregateState",
    "DualBalanceMemory",
    "GradNormMemory",
    "GradVacMemory",
    "LearnedMemory",
    "MovingAverageMemory",
    "Pullback",
    "Rows",
    "aggregate",
    "aligned_mtl",
    "aligned_mtl_weights",
    "auto_lambda",
    "cagrad",
    "cagrad_weights",
    "conflict_free",
    "conflict_free_weights",
    "db_mtl",
    "dualproj",
    "dualproj_weights",
    "fairgrad",
    "fairgrad_weights",
    "graddrop",
    "gradient_cosine",
    "gradnorm",
    "gradvac",
    "imtl_g",
    "imtl_g_weights",
    "krum",
    "krum_weights",
    "learning_to_reweight",
    "mgda",
    "mgda_weights",
    "moving_average",
    "nash_mtl",
    "nash_mtl_weights",
    "normalize",
    "ol_aux",
    "pcgrad",
    "pcgrad_weights",
    "total",
    "trimmed_mean",
    "upgrad",
    "upgrad_weights",
    "value_and_gradients",
]
