"""."""

from __future__ import annotations

from jaxloss.catalog.entry import Entry

NOT_LOSSES: dict[str, str] = {}

ENTRIES: tuple[Entry, ...] = ()
