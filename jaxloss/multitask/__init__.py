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
"""

from jaxloss.multitask.aggregate import AggregateState, aggregate
from jaxloss.multitask.bargaining import fairgrad, fairgrad_weights, nash_mtl, nash_mtl_weights
from jaxloss.multitask.cagrad import cagrad, cagrad_weights
from jaxloss.multitask.dual_cone import dualproj, dualproj_weights, upgrad, upgrad_weights
from jaxloss.multitask.engine import value_and_gradients
from jaxloss.multitask.imtl import imtl_g, imtl_g_weights
from jaxloss.multitask.mgda import mgda, mgda_weights
from jaxloss.multitask.pcgrad import pcgrad, pcgrad_weights
from jaxloss.multitask.tasks import Pullback, Rows

__all__ = [
    "AggregateState",
    "Pullback",
    "Rows",
    "aggregate",
    "cagrad",
    "cagrad_weights",
    "dualproj",
    "dualproj_weights",
    "fairgrad",
    "fairgrad_weights",
    "imtl_g",
    "imtl_g_weights",
    "mgda",
    "mgda_weights",
    "nash_mtl",
    "nash_mtl_weights",
    "pcgrad",
    "pcgrad_weights",
    "upgrad",
    "upgrad_weights",
    "value_and_gradients",
]
