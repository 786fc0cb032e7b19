"""Claims in words of their own, and restricted ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from jaxloss.catalog.claims.frame import Claim


class _Defaults:
    """A subject seen with its default hyper-parameters only."""

    def __init__(self, subject: Any) -> None:
        self._subject = subject
        self.settings = subject.settings[:1]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._subject, name)


def by_default(claim: Claim) -> Claim:
    """Restrict a claim to the default hyper-parameters."""
    check, halves = claim.check, claim.halves
    return Claim(
        f"{claim.text}, by default",
        lambda subject: check(_Defaults(subject)),
        halves and (lambda subject: halves(_Defaults(subject))),
    )


def holds(text: str, check: Callable[[Any], Iterator[str]]) -> Claim:
    """Anything else that can be checked."""
    return Claim(text, check)
