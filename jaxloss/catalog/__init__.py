"""What is known of every loss: family, formula, when to choose it, source, claims.

The catalogue is read by `jaxloss.verify`, which checks what it says, by `python -m jaxloss list`
and `show`, and by the tests: a public loss without an entry fails them.
"""

from __future__ import annotations

import difflib
from typing import Any

from jaxloss.catalog import (
    adversarial,
    binary,
    contrastive,
    divergence,
    embedding,
    multiclass,
    ranking,
    regression,
    robust,
    segmentation,
    sequence,
    transport,
)
from jaxloss.catalog.entry import Entry

__all__ = ["ENTRIES", "NOT_LOSSES", "Entry", "families", "get", "names"]

# In the order of the field's chapters, which is that of the listings.
_MODULES: tuple[Any, ...] = (
    regression, binary, multiclass, divergence, transport, adversarial, ranking, contrastive,
    embedding, robust, segmentation, sequence,
)  # fmt: skip

ENTRIES: dict[str, Entry] = {e.name: e for module in _MODULES for e in module.ENTRIES}

# Public functions of the families that are no losses, and why: they have no entry.
NOT_LOSSES: dict[str, str] = {
    name: why for module in _MODULES for name, why in getattr(module, "NOT_LOSSES", {}).items()
}


def names(family: str | None = None) -> list[str]:
    """Return the names of all losses, or of those of a family, in the catalogue's order.

    Raises:
      ValueError: for a family that does not exist.
    """
    if family is not None and family not in families():
        raise ValueError(f"family must be one of {', '.join(families())}, got {family!r}.")
    return [name for name, entry in ENTRIES.items() if family in (None, entry.family)]


def families() -> list[str]:
    """Return the names of the families that have entries."""
    return list(dict.fromkeys(entry.family for entry in ENTRIES.values()))


def get(name: str) -> Entry:
    """Return the entry of a loss.

    Raises:
      KeyError: for a name that is not in the catalogue; the message suggests near ones.
    """
    if name not in ENTRIES:
        near = difflib.get_close_matches(name, ENTRIES, n=3, cutoff=0.4)
        hint = f"; did you mean {' or '.join(near)}?" if near else "; see `jaxloss list`."
        raise KeyError(f"no loss named {name!r} in the catalogue{hint}")
    return ENTRIES[name]
