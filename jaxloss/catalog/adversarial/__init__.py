"""What is known of the losses of `jaxloss.adversarial`."""

from __future__ import annotations

from jaxloss.catalog.adversarial import objectives, penalties, relativistic, training

__all__ = ["ENTRIES"]

ENTRIES = (
    *objectives.ENTRIES,
    *relativistic.ENTRIES,
    *penalties.ENTRIES,
    *training.ENTRIES,
)
