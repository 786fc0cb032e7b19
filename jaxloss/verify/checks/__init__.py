"""The checks, by what they ask: a new one is a generator function in the module it belongs to.

`values`: the right number and derivative · `rounding`, `units`, `halves`: how exact in which
precision · `linearity`: of what flows back · `inputs`: singular, extreme, infinite, invalid,
masked · `sizes`: one example, one class, none · `transforms`, `stages`, `devices`: the same under
every transformation, in compiled code, on many devices · `cost`: what it takes.
"""

from jaxloss.verify.checks import (
    cost,
    devices,
    halves,
    inputs,
    linearity,
    rounding,
    sizes,
    stages,
    transforms,
    units,
    values,
)
from jaxloss.verify.frame import Check

__all__ = ["CHECKS", "THOROUGH"]

CHECKS: tuple[Check, ...] = (
    *values.CHECKS, *rounding.CHECKS, *units.CHECKS, *halves.CHECKS, *linearity.CHECKS,
    *inputs.CHECKS, *sizes.CHECKS, *transforms.CHECKS, *stages.CHECKS, *devices.CHECKS,
    *cost.CHECKS,
)  # fmt: skip

# What the level "standard" adds: each of these compiles programs of its own.
THOROUGH = (
    "V3", "V4", "V5", "G1", "G2", "G3", "G5", "H1", "S6", "T1", "T2", "T3", "T4", "T5", "L1", "R1",
)  # fmt: skip
