"""How fast and how lean the library is beside what a user would pick instead, as ratios.

`python -m jaxloss bench` runs it. Each operation is measured at three sizes, in one process, in
turns with every peer that is installed (the `bench` extra), value and gradients together; the
gradients are compared with float64 in the same run, since a fast wrong answer is a failure.
"""

from jaxloss.bench.contest import Operation, in_jax, in_torch
from jaxloss.bench.measure import OURS, Measurement, growth, measure
from jaxloss.bench.operations import OPERATIONS

__all__ = [
    "OPERATIONS",
    "OURS",
    "Measurement",
    "Operation",
    "growth",
    "in_jax",
    "in_torch",
    "measure",
]
