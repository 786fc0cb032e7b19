"""What mathematics says of a loss: small objects that carry their own check and print themselves.

`size`: how large value and gradient are, and how they bend · `invariance`: what leaves the loss
unchanged · `relation`: how it relates to other formulas and to predictions · `general`: anything
else, and restrictions · `frame`: what a claim is.
"""

from jaxloss.catalog.claims.frame import EPSILON, MODES, Claim, Subject, samples, violations
from jaxloss.catalog.claims.general import by_default, holds
from jaxloss.catalog.claims.invariance import (
    homogeneous,
    scale_invariant,
    shift_invariant,
    symmetric,
)
from jaxloss.catalog.claims.relation import (
    at_most,
    calibrated,
    elicits,
    equals,
    gradient_is,
    proper,
)
from jaxloss.catalog.claims.size import (
    bounded,
    convex,
    lipschitz,
    no_gradient,
    nonnegative,
    positive_off_target,
    zero_at_target,
)

__all__ = [
    "EPSILON",
    "MODES",
    "Claim",
    "Subject",
    "at_most",
    "bounded",
    "by_default",
    "calibrated",
    "convex",
    "elicits",
    "equals",
    "gradient_is",
    "holds",
    "homogeneous",
    "lipschitz",
    "no_gradient",
    "nonnegative",
    "positive_off_target",
    "proper",
    "samples",
    "scale_invariant",
    "shift_invariant",
    "symmetric",
    "violations",
    "zero_at_target",
]
