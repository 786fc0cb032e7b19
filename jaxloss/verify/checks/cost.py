"""What does it cost, and how does that grow?"""

from __future__ import annotations

from jaxloss.catalog.claims.cost import TIMES, cost, growth
from jaxloss.verify.frame import Note, Outcome, Skip, check
from jaxloss.verify.subject import Subject


@check("R1", "cost of value and gradient")
def resources(subject: Subject) -> Outcome:
    """Facts, no judgement: `claims.cost_of_order` says what must not be exceeded."""
    if not any(subject.differentiable):
        raise Skip("no differentiable argument")
    if any(a.ndim == 0 for a in subject.draw("generic")):
        raise Skip("the arguments have no batch axis")
    small, large = (cost(subject, subject.default, copies) for copies in (1, TIMES))
    if not small.flops:
        raise Skip("the compiler does not count operations here")
    power = growth(small.flops, large.flops)
    space = f"{small.temporary:.0f} bytes of temporaries, {large.temporary:.0f}"
    yield Note(
        f"{small.flops:.0f} operations for {len(subject.draw('generic')[0])} rows, growing with "
        f"power {power:.2f}; {space} for {TIMES} times as many rows"
    )


CHECKS = (resources,)
