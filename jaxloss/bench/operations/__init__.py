"""The operations that are measured, by name."""

from jaxloss.bench.operations import contrastive, elementwise, heads, ranking, sequence, sets, tasks

# In the order of the listings.
OPERATIONS = {
    operation.name: operation
    for module in (heads, elementwise, sequence, ranking, sets, contrastive, tasks)
    for operation in module.OPERATIONS
}
