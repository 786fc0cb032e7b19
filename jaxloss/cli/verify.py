"""The command `jaxloss verify`: losses of the catalogue and of one's own."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from jaxloss import console, verify
from jaxloss.cli import baseline, request
from jaxloss.verify import Finding, Report, files


def main(options: argparse.Namespace) -> int:
    """Verify what the options name, print and write what was found, return the exit status."""
    wanted = request.requests(options)
    processes = request.jobs(options.jobs, len(wanted))
    before = _before(options)
    at_work = console.track(wanted, "verify", name=lambda r: r.target)
    reports = [r for _, r in zip(at_work, request.reports(wanted, processes), strict=True)]
    _table(reports)
    changes = baseline.changes(reports, before)
    for report in reports:
        for finding in report.failures:
            _failure(report, finding, known=baseline.key(report, finding) in changes.known)
    for name, check in changes.fixed:
        print(f"\n{name} no longer fails {check}: --update-baseline takes it out of the known")
    _write(options, reports)
    if options.update_baseline:
        baseline.update(reports, before, options.baseline)
        return 0
    return 1 if changes.new else 0


def _before(options: argparse.Namespace) -> list[Report]:
    if options.baseline is None:
        if options.update_baseline:
            raise ValueError("--update-baseline needs --baseline FILE")
        return []
    if options.update_baseline and not options.baseline.exists():
        return []
    return files.read(options.baseline)


def _table(reports: Sequence[Report]) -> None:
    rows = [(r.name, *r.counts.values(), f"{r.seconds:.1f}") for r in reports]
    console.table(["loss", *verify.VERDICTS, "seconds"], rows, title=f"seed {reports[0].seed}")


def _failure(report: Report, finding: Finding, *, known: bool) -> None:
    print(f"\n{report.name} fails {finding.check}{' (known)' if known else ''}: {finding.title}")
    print("\n".join(f"  {message}" for message in finding.messages))
    if finding.repro:
        print(finding.repro)


def _write(options: argparse.Namespace, reports: Sequence[Report]) -> None:
    for file, format in ((options.json, "json"), (options.markdown, "md"), (options.junit, "xml")):
        if file:
            files.write(reports, file, format)
