"""The frame of a check: a small generator function with an id and a title.

A check yields one sentence for each failure, `Note(sentence)` for what is true and worth knowing,
and raises `Skip(reason)` where it does not apply. Yielding nothing is a pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxloss.catalog.claims.frame import Fault, show
from jaxloss.verify import repro, shrink, witness
from jaxloss.verify.precise import Declined
from jaxloss.verify.report import Finding
from jaxloss.verify.subject import Subject

Array = np.ndarray
MOST = 3


class Note(str):
    """A sentence about something true and worth knowing, not a failure.

    Attributes:
      fault: where that is so, if it is a matter of rows.
    """

    fault: Fault | None

    def __new__(cls, text: str, fault: Fault | None = None) -> Note:
        """Attach what is known of the rows to a sentence."""
        note = super().__new__(cls, text)
        note.fault = fault
        return note


class Skip(Exception):
    """Why a check does not apply to a subject."""


Outcome = Iterator[str]


@dataclass(frozen=True)
class Check:
    """A check that can be run on any subject.

    Attributes:
      id: such as `G1`.
      title: what is checked.
      run: yields what is wrong.
      dtypes: those that it tells apart, of which it asks `subject.dtypes`.
    """

    id: str
    title: str
    run: Callable[[Subject], Outcome]
    dtypes: tuple[str, ...] = ()

    def __call__(self, subject: Subject) -> Finding:
        """Run the check; an exception inside the loss is a failure, with its first line."""
        if self.dtypes and not set(self.dtypes) & set(subject.dtypes):
            return Finding(self.id, self.title, "skip", ("none of the dtypes asked for",))
        try:
            said = self.said(subject)
        except (Skip, Declined) as reason:
            return Finding(self.id, self.title, "skip", (str(reason),))
        except Exception as error:
            return self._told("fail", [witness.raised(error, subject)], subject)
        if failures := [s for s in said if isinstance(s, Fault)]:
            smallest = shrink.smallest(self._faults, subject, failures)
            return self._told("fail", smallest[:MOST], subject)
        return self._told("note" if said else "pass", said[:MOST], subject)

    def said(self, subject: Subject) -> list[str]:
        """Run the check; return its notes, and what it found wrong with the rows at fault."""
        subject.calls.clear()
        # The arithmetic of checks meets numbers of all sizes; what is infinite or NaN they look at.
        with np.errstate(all="ignore"):
            return [_located(s, subject) for s in self.run(subject)]

    def _faults(self, subject: Subject) -> list[Fault]:
        return [s for s in self.said(subject) if isinstance(s, Fault)]

    def _told(self, verdict: str, said: Sequence[str], subject: Subject) -> Finding:
        """Return a finding with the input and the lines of the first sentence that has rows."""
        known = (s.fault if isinstance(s, Note) else s for s in said)
        fault = next((f for f in known if isinstance(f, Fault) and f.args), None)
        rows = witness.row(fault) if fault else []
        inputs = {k: a.tolist() for k, a in zip(subject.names, rows, strict=bool(rows))}
        lines = repro.lines(subject, fault) if fault else ""
        return Finding(self.id, self.title, verdict, tuple(map(str, said)), inputs, lines)


def _located(sentence: str, subject: Subject) -> str:
    fault = witness.located(sentence, subject)
    return Note(sentence, fault) if isinstance(sentence, Note) else fault


def check(
    id: str, title: str, *, dtypes: Sequence[str] = ()
) -> Callable[[Callable[[Subject], Outcome]], Check]:
    """Make a check of a generator function."""
    return lambda run: Check(id, title, run, tuple(dtypes))


def rows(wrong: Array, args: list[Array], say: Callable[..., str], **how: Any) -> Outcome:
    """Yield a sentence about the first wrong row, and how many there are.

    `how` is the setting or dtype, where the loss was not evaluated by its subject.
    """
    column = np.array(wrong, ndmin=1)
    flat: Array = np.asarray(column.reshape(column.shape[0], -1).any(axis=-1))
    found = np.flatnonzero(flat)
    if found.size:
        first, count = int(found[0]), f", {found.size} of {len(flat)} rows"
        # One number for the whole batch is about all of its rows.
        faulty = found if len(flat) == len(args[0]) else ()
        yield Fault(f"{say(first)} at {show(args, first)}{count}", args, faulty, count, **how)


def at(sentence: str, args: list[Array], row: int, **how: Any) -> Fault:
    """Say that a sentence is about one row; `how` is the setting, dtype or mask, where known."""
    return Fault(f"{sentence} at {show(args, row)}", args, (row,), **how)


def under(setting: dict[str, object]) -> str:
    """Name the hyper-parameters of a setting, for a sentence."""
    return "".join(f", {k}={v}" for k, v in setting.items())
