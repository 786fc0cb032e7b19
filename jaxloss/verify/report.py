"""What verification found: verdicts, and reports that print, count and serialise them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

VERDICTS = ("pass", "note", "skip", "fail")


@dataclass(frozen=True)
class Finding:
    """The outcome of one check.

    Attributes:
      check: its id, such as `G1`; claims are numbered `P1`, `P2`, ...
      title: what was checked.
      verdict: `pass`; `note` (true, and worth knowing); `skip` (not checked, with the reason);
        `fail`.
      messages: what was found, one sentence each.
    """

    check: str
    title: str
    verdict: str
    messages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """What verification found of one loss.

    Attributes:
      name: the loss.
      findings: one for each check and claim, in order.
      seed: reproduces the samples: pass it to `check` or `entry`.
      environment: versions and backend.
      seconds: wall time.
    """

    name: str
    findings: tuple[Finding, ...]
    seed: int
    environment: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether no check failed."""
        return not self.failures

    @property
    def failures(self) -> list[Finding]:
        """The findings that failed."""
        return [f for f in self.findings if f.verdict == "fail"]

    @property
    def counts(self) -> dict[str, int]:
        """How many checks came to each verdict."""
        return {v: sum(f.verdict == v for f in self.findings) for v in VERDICTS}

    def __getitem__(self, check: str) -> Finding:
        """Return the finding of a check by its id."""
        for finding in self.findings:
            if finding.check == check:
                return finding
        known = ", ".join(f.check for f in self.findings)
        raise KeyError(f"no check {check!r} in this report; it has {known}")

    def raise_if_failed(self) -> Report:
        """Raise `AssertionError` with the failures, or return the report."""
        if not self.ok:
            raise AssertionError(f"{self.name}:\n" + "\n".join(self._lines(self.failures)))
        return self

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Return the table: id, title, verdict and first message of each finding."""
        return [
            (f.check, f.title, f.verdict, f.messages[0] if f.messages else "")
            for f in self.findings
        ]

    def to_json(self) -> str:
        """Return the whole report as JSON."""
        content: dict[str, Any] = asdict(self) | {"ok": self.ok, "counts": self.counts}
        return json.dumps(content, indent=2)

    def __str__(self) -> str:
        """Return the table of findings, one line each, the messages of all but passes below."""
        counted = ", ".join(f"{n} {v}" for v, n in self.counts.items() if n)
        return "\n".join(
            [f"{self.name}: {counted} (seed {self.seed})", *self._lines(self.findings)]
        )

    @staticmethod
    def _lines(findings: Any) -> Iterator[str]:
        for f in findings:
            yield f"  {f.verdict:4}  {f.check:3}  {f.title}"
            yield from (f"              {m}" for m in f.messages)
