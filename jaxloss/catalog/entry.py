"""What is known of a loss, in one place and readable by machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from jaxloss.catalog.claims import Claim, decomposable
from jaxloss.catalog.kinds import Kind

_DECOMPOSABLE = decomposable()


@dataclass(frozen=True)
class Entry:
    """What is known of a loss.

    Attributes:
      loss: the function itself.
      family: the room it lives in.
      purpose: what it is for, in one line.
      character: what it does with errors, in one line: a column of the comparison table.
      when: when to choose it.
      avoid: when to choose another, and which.
      formula: in the names of its arguments.
      source: the publication and equation.
      arguments: the kind of each data argument, by name, in order.
      reference: the formula again, for one example, in the arithmetic of mpmath; independent of
        the loss, and never clever.
      claims: what mathematics says of it, each checked by `jaxloss.verify`.
      non_claims: what one might expect and should not.
      settings: hyper-parameters under which it is verified, besides the defaults.
      impossible: for hyper-parameters, values that must be refused.
      required: arguments without a default, for calls with default settings.
      coupled: what one value of the loss depends on: "example", "list" or "batch". Only losses of
        examples may be split over shards anywhere; a list must stay whole, and a batch wants
        `axis_name`, or is another loss when it is split. The first two are decomposable, which is
        added to the claims.
      specimen: what is verified where the loss itself takes a function (a critic, a kernel): the
        loss with one put in. It takes the data arguments and the hyper-parameters.
      name: the public name, where it is not the function's own.
    """

    loss: Callable[..., Any]
    family: str
    purpose: str
    character: str
    when: str
    avoid: str
    formula: str
    source: str
    arguments: Mapping[str, Kind]
    reference: Callable[..., Any]
    claims: tuple[Claim, ...] = ()
    non_claims: tuple[str, ...] = ()
    settings: tuple[Mapping[str, Any], ...] = ()
    impossible: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    required: Mapping[str, Any] = field(default_factory=dict)
    coupled: str = "example"
    specimen: Callable[..., Any] | None = None
    name: str = ""

    def __post_init__(self) -> None:
        """Take the name of the loss where none is given, and claim what `coupled` says."""
        object.__setattr__(self, "name", self.name or self.loss.__name__)
        if self.coupled != "batch" and _DECOMPOSABLE not in self.claims:
            object.__setattr__(self, "claims", (*self.claims, _DECOMPOSABLE))

    @property
    def page(self) -> str:
        """The loss's own documentation."""
        return self.loss.__doc__ or ""
