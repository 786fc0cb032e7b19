"""Is float32 as exact as float32 can be, over all its numbers?"""

from __future__ import annotations

import numpy as np

from jaxloss.verify import ulps
from jaxloss.verify.frame import Outcome, Skip, at, check, under
from jaxloss.verify.subject import Subject

# More than the targets of `ulps`: functions of the compiler's own err by several units. What
# trains is the first argument; in the others terms may cancel that are small beside it.
LIMITS = (16.0, 64.0, 256.0)
CHECKED = 160


@check(
    "V3", "value and gradient to some units in the last place, over all numbers", dtypes=["float32"]
)
def units(subject: Subject) -> Outcome:
    """Compare float32 with mpmath on numbers of every exponent, relative to what rounding does."""
    if subject.reference is None:
        raise Skip("no reference formula was given")
    if not (ulps.elementwise(subject) and any(subject.differentiable)):
        raise Skip("only asked of losses of single numbers")
    args = ulps.inputs(subject, CHECKED)
    for setting in ulps.distinct(subject):
        for i, found in enumerate(ulps.measure(subject, args, setting, subject.rows)):
            if not found.largest <= LIMITS[min(i, len(LIMITS) - 1)]:
                row = [np.array([x]) for x in found.worst]
                yield at(_sentence(found), row, 0, setting=dict(setting), dtype="float32")


def _sentence(found: ulps.Accuracy) -> str:
    return (
        f"{found.quantity}: {found.got:.9g} instead of {found.expected:.9g}, {found.largest:.3g} "
        f"units (condition {found.condition:.2g}) at ({found.place}){under(dict(found.setting))}"
    )


CHECKS = (units,)
