"""Known failures: a report of an earlier run, in which only what is new counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxloss.verify import Finding, Report, files

Key = tuple[str, str]


@dataclass(frozen=True)
class Changes:
    """How failures differ from those of an earlier run, by loss and check.

    Attributes:
      new: that were not there.
      known: that were there and still are.
      fixed: that were there, and now the check was made and does not fail.
    """

    new: list[Key]
    known: list[Key]
    fixed: list[Key]


def update(reports: Sequence[Report], before: Sequence[Report], file: Path) -> None:
    """Write reports, with those from before of losses that were not verified again."""
    names = {report.name for report in reports}
    files.write([*(r for r in before if r.name not in names), *reports], file)


def changes(reports: Sequence[Report], before: Sequence[Report]) -> Changes:
    """Compare failures with those of an earlier run."""
    failing = _with(reports, "fail")
    settled = _with(reports, "pass", "note")
    known = set(_with(before, "fail"))
    return Changes(
        [k for k in failing if k not in known],
        [k for k in failing if k in known],
        [k for k in settled if k in known],
    )


def key(report: Report, finding: Finding) -> Key:
    """Return by what a finding is known: a claim by its text, as its number is its place."""
    return report.name, finding.title if finding.check.startswith("P") else finding.check


def _with(reports: Sequence[Report], *verdicts: str) -> list[Key]:
    return [key(r, f) for r in reports for f in r.findings if f.verdict in verdicts]
