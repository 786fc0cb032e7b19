"""What mathematics says of a loss: small objects that carry their own check and print themselves.

`size`: how large a loss is · `slope`: how it changes · `invariance`: what leaves it unchanged ·
`relation`: to other formulas and to parts of a batch · `prediction`: what it is least at ·
`cost`: what it costs ·
`general`: anything else, and restrictions · `frame`: what a claim is · `search`: its worst case.
"""

from jaxloss.catalog.claims.cost import cost_of_order
from jaxloss.catalog.claims.frame import EPSILON, MODES, Claim, Fault, Subject, samples, violations
from jaxloss.catalog.claims.general import by_default, holds
from jaxloss.catalog.claims.invariance import (
    homogeneous,
    permutation_equivariant,
    permutation_invariant,
    scale_invariant,
    shift_invariant,
    symmetric,
    translation_invariant,
)
from jaxloss.catalog.claims.prediction import calibrated, elicits, proper, strictly_proper
from jaxloss.catalog.claims.relation import at_most, decomposable, equals, gradient_is
from jaxloss.catalog.claims.search import worst
from jaxloss.catalog.claims.size import (
    bounded,
    minimum_at_target,
    nonnegative,
    positive_off_target,
    zero_at_target,
)
from jaxloss.catalog.claims.slope import (
    convex,
    informative_gradient,
    lipschitz,
    monotone,
    no_gradient,
    smooth,
    stopped,
)

__all__ = [
    "EPSILON",
    "MODES",
    "Claim",
    "Fault",
    "Subject",
    "at_most",
    "bounded",
    "by_default",
    "calibrated",
    "convex",
    "cost_of_order",
    "decomposable",
    "elicits",
    "equals",
    "gradient_is",
    "holds",
    "homogeneous",
    "informative_gradient",
    "lipschitz",
    "minimum_at_target",
    "monotone",
    "no_gradient",
    "nonnegative",
    "permutation_equivariant",
    "permutation_invariant",
    "positive_off_target",
    "proper",
    "samples",
    "scale_invariant",
    "shift_invariant",
    "smooth",
    "stopped",
    "strictly_proper",
    "symmetric",
    "translation_invariant",
    "violations",
    "worst",
    "zero_at_target",
]
