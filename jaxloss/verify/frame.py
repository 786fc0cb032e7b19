"""The frame of a check: a small generator function with an id and a title.

A check yields one sentence for each failure, `Note(sentence)` for what is true and worth knowing,
and raises `Skip(reason)` where it does not apply. Yielding nothing is a pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from jaxloss.verify.report import Finding
from jaxloss.verify.subject import Subject

Array = np.ndarray
MOST = 3


class Note(str):
    """A sentence about something true and worth knowing, not a failure."""


class Skip(Exception):
    """Why a check does not apply to a subject."""


Outcome = Iterator[str]


@dataclass(frozen=True)
class Check:
    """A check that can be run on any subject."""

    id: str
    title: str
    run: Callable[[Subject], Outcome]

    def __call__(self, subject: Subject) -> Finding:
        """Run the check; an exception inside the loss is a failure, with its first line."""
        try:
            said = list(self.run(subject))
        except Skip as reason:
            return Finding(self.id, self.title, "skip", (str(reason),))
        except Exception as error:
            what = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            return Finding(self.id, self.title, "fail", (what,))
        failures = [s for s in said if not isinstance(s, Note)]
        verdict = "fail" if failures else "note" if said else "pass"
        return Finding(self.id, self.title, verdict, tuple(map(str, (failures or said)[:MOST])))


def check(id: str, title: str) -> Callable[[Callable[[Subject], Outcome]], Check]:
    """Make a check of a generator function."""
    return lambda run: Check(id, title, run)


def rows(wrong: Array, args: list[Array], say: Callable[..., str]) -> Outcome:
    """Yield a sentence about the first wrong row, and how many there are."""
    column = np.array(wrong, ndmin=1)
    flat: Array = np.asarray(column.reshape(column.shape[0], -1).any(axis=-1))
    found = np.flatnonzero(flat)
    if found.size:
        first = int(found[0])
        where = ", ".join(np.array2string(np.asarray(a[first]), precision=9) for a in args)
        yield f"{say(first)} at ({where}), {found.size} of {len(flat)} rows"


def under(setting: dict[str, object]) -> str:
    """Name the hyper-parameters of a setting, for a sentence."""
    return "".join(f", {k}={v}" for k, v in setting.items())
