"""Reports as files, in JSON, Markdown and JUnit's XML."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from jaxloss.verify.report import Report, junit


def write(reports: Sequence[Report], file: Path, format: str = "json") -> None:
    """Write reports as "json", "md" or "xml"."""
    if format == "md":
        text = "\n".join(report.to_markdown() for report in reports)
    elif format == "xml":
        text = junit(reports) + "\n"
    else:
        content = [json.loads(report.to_json()) for report in reports]
        text = json.dumps(content, indent=2) + "\n"
    file.write_text(text)


def read(file: Path) -> list[Report]:
    """Read the reports that `write` has written as JSON.

    Raises:
      ValueError: if the file holds something else.
    """
    try:
        contents = json.loads(file.read_text())
        return [Report.from_json(json.dumps(contents[i])) for i in range(len(contents))]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file} holds no reports: {error!r}") from error


def merged(texts: Iterable[str]) -> list[Report]:
    """Return one report for each loss and seed, from those of single checks in JSON."""
    found: dict[tuple[str, int], Report] = {}
    for report in map(Report.from_json, texts):
        before = found.get((report.name, report.seed))
        found[report.name, report.seed] = report if before is None else _both(before, report)
    return list(found.values())


def _both(one: Report, two: Report) -> Report:
    seconds = one.seconds + two.seconds
    return replace(one, findings=one.findings + two.findings, seconds=seconds)
