"""What verification found: verdicts, and reports that print, count and serialise them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any
from xml.etree import ElementTree

import jax
import numpy as np

VERDICTS = ("pass", "note", "skip", "waived", "fail")


@dataclass(frozen=True)
class Finding:
    """The outcome of one check.

    Attributes:
      check: its id, such as `G1`; claims are numbered `P1`, `P2`, ...
      title: what was checked.
      verdict: `pass`; `note` (true, and worth knowing); `skip` (not checked, with the reason);
        `waived` (failed, and a reason was given beforehand); `fail`.
      messages: what was found, one sentence each.
      inputs: of a failure: the simplest input found at which the check fails, by argument name, a
        row each (the whole sample where no single row is at fault).
      repro: two lines that print value and gradient there.
    """

    check: str
    title: str
    verdict: str
    messages: tuple[str, ...] = ()
    inputs: dict[str, Any] = field(default_factory=dict)
    repro: str = ""


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
            said = "\n".join(self._lines(self.failures, repro=True))
            raise AssertionError(f"{self.name} (seed {self.seed}):\n{said}")
        return self

    def repro(self, check: str) -> str:
        """Return two lines that show the failure of a check, to paste; "" where there are none."""
        return self[check].repro

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Return the table: id, title, verdict and first message of each finding."""
        return [
            (f.check, f.title, f.verdict, f.messages[0] if f.messages else "")
            for f in self.findings
        ]

    def to_json(self) -> str:
        """Return the whole report as JSON."""
        content: dict[str, Any] = asdict(self) | {"ok": self.ok, "counts": self.counts}
        for finding in content["findings"]:
            finding["inputs"] = _spelled(finding["inputs"])
        return json.dumps(content, indent=2, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Report:
        """Return the report that `to_json` has written."""
        content = json.loads(text)
        findings = tuple(
            Finding(**{**f, "messages": tuple(f["messages"]), "inputs": _read(f["inputs"])})
            for f in content["findings"]
        )
        facts = {k: content[k] for k in ("name", "seed", "environment", "seconds")}
        return cls(findings=findings, **facts)

    def to_markdown(self) -> str:
        """Return a heading, the table of findings, and every message of the failures."""
        counted = ", ".join(f"{n} {v}" for v, n in self.counts.items() if n)
        surroundings = ", ".join(f"{k} {v}" for k, v in self.environment.items())
        lines = [f"## {self.name}: {counted}", "", "| check | what | verdict | found |"]
        lines += ["|---|---|---|---|"]
        lines += [f"| {' | '.join(map(_cell, row))} |" for row in self.rows()]
        for f in self.failures:
            lines += ["", f"**{f.check}** {f.title}", ""]
            lines += [f"- {_cell(m)}" for m in f.messages]
            lines += ["", "```python", f.repro, "```"] if f.repro else []
        return "\n".join([*lines, "", f"seed {self.seed}, {surroundings}".rstrip(", "), ""])

    def to_junit(self) -> str:
        """Return the report as XML that continuous integration reads: a test case per check."""
        return junit([self])

    def __str__(self) -> str:
        """Return the table of findings, one line each, the messages of all but passes below."""
        counted = ", ".join(f"{n} {v}" for v, n in self.counts.items() if n)
        return "\n".join(
            [f"{self.name}: {counted} (seed {self.seed})", *self._lines(self.findings)]
        )

    @staticmethod
    def _lines(findings: Any, *, repro: bool = False) -> Iterator[str]:
        for f in findings:
            yield f"  {f.verdict:4}  {f.check:3}  {f.title}"
            yield from (f"              {m}" for m in f.messages)
            yield from f.repro.splitlines() if repro else ()


def environment() -> dict[str, str]:
    """Return the versions and devices on which something was found."""
    return {
        "jax": jax.__version__,
        "numpy": np.__version__,
        "backend": jax.default_backend(),
        "devices": str(len(jax.devices())),
    }


def junit(reports: Sequence[Report]) -> str:
    """Return several reports as one JUnit file.

    A failed check is a `failure`, one that was not made or is waived a `skipped`, never a silent
    pass; a note is a pass with its sentence as output.

    Args:
      reports: of one loss each; each becomes a `testsuite`.

    Returns:
      XML.

    Example:
      >>> from jaxloss.verify.report import Finding, Report, junit
      >>> junit([Report("my_loss", (Finding("D1", "dtypes", "pass"),), seed=0)])[-74:]
      '<testcase classname="my_loss" name="D1 dtypes" /></testsuite></testsuites>'
    """
    root = ElementTree.Element("testsuites")
    for report in reports:
        skipped = report.counts["skip"] + report.counts["waived"]
        counts = {"failures": report.counts["fail"], "skipped": skipped}
        facts = {"name": report.name, "tests": len(report.findings), **counts, "errors": 0}
        facts["time"] = f"{report.seconds:.3f}"
        suite = ElementTree.SubElement(root, "testsuite", {k: str(v) for k, v in facts.items()})
        properties = ElementTree.SubElement(suite, "properties")
        for name, value in {"seed": str(report.seed), **report.environment}.items():
            ElementTree.SubElement(properties, "property", name=name, value=value)
        for finding in report.findings:
            _testcase(suite, report.name, finding)
    return ElementTree.tostring(root, encoding="unicode")


def _testcase(suite: ElementTree.Element, loss: str, finding: Finding) -> None:
    name = _printable(f"{finding.check} {finding.title}")
    case = ElementTree.SubElement(suite, "testcase", classname=loss, name=name)
    text = _printable("\n".join([*finding.messages, *finding.repro.splitlines()]))
    if finding.verdict == "note":
        ElementTree.SubElement(case, "system-out").text = text
    elif finding.verdict != "pass":
        tag = "failure" if finding.verdict == "fail" else "skipped"
        first = text.partition("\n")[0]
        ElementTree.SubElement(case, tag, message=first).text = text


def _printable(text: str) -> str:
    """Return the text without the control characters that XML forbids."""
    return re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "?", text)


def _spelled(value: Any) -> Any:
    """Return nested numbers in which those that JSON does not have are words."""
    if isinstance(value, dict):
        return {k: _spelled(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_spelled(v) for v in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _read(value: Any) -> Any:
    """Return nested numbers as they were before `_spelled`."""
    if isinstance(value, dict):
        return {k: _read(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_read(v) for v in value]
    return float(value) if isinstance(value, str) else value


def _cell(text: str) -> str:
    """Return text that stays in one cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")
