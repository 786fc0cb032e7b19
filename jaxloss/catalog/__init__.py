"""What is known of every loss: family, formula, when to choose it, source, claims.

The catalogue is read by `jaxloss.verify`, which checks what it says, by `python -m jaxloss list`
and `show`, and by the tests: a public loss without an entry fails them.
"""

from __future__ import annotations

import difflib

from jaxloss.catalog import binary, multiclass, regression
from jaxloss.catalog.entry import Entry

__all__ = ["ENTRIES", "NOT_LOSSES", "Entry", "families", "get", "names"]

ENTRIES: dict[str, Entry] = {
    entry.name: entry for entry in (*regression.ENTRIES, *binary.ENTRIES, *multiclass.ENTRIES)
}

# Public functions of the families that are no losses, and why: they have no entry.
NOT_LOSSES = {
    "fbeta_thresholds": "chooses decision thresholds; nothing is differentiated",
    "smooth_labels": "prepares the labels of a loss",
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
