"""The command line: `jaxloss demo · list · show · verify`.

Exit status: 0 where all went well, 1 where a verification failed, 2 for a call that cannot be
carried out, with one line that says why.
"""

from __future__ import annotations

import argparse
import inspect
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from jaxloss import __version__, catalog, console, demo


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that `argv` names and return its exit status."""
    options = _parser().parse_args(argv)
    try:
        status: int = options.run(options)
    except (ValueError, KeyError, OSError, ImportError) as error:
        # The text of a KeyError is its argument's representation.
        text = error.args[0] if isinstance(error, KeyError) else error
        print(f"jaxloss {options.command}: {text}", file=sys.stderr)
        return 2
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("jaxloss", description="Loss functions for JAX.")
    parser.add_argument("--version", action="version", version=f"jaxloss {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    add = commands.add_parser("demo", help="train a network on three tasks, in two ways")
    demo.add_arguments(add)
    add.set_defaults(run=demo.main)

    add = commands.add_parser("list", help="compare the losses of a family, or all")
    add.add_argument("--family", help="one of the families, such as regression")
    add.set_defaults(run=_list)

    add = commands.add_parser("show", help="the page of a loss: what it is, and what was verified")
    add.add_argument("name", metavar="NAME")
    add.add_argument("--no-verify", action="store_true", help="print the page without checking it")
    add.set_defaults(run=_show)

    add = commands.add_parser("verify", help="check losses against what the catalogue says of them")
    add.add_argument("names", metavar="NAME", nargs="*", help="losses; all by default")
    add.add_argument("--only", metavar="IDS", help="checks to run, such as V1,G1,M1")
    add.add_argument("--level", default="standard", help="quick or standard (%(default)s)")
    add.add_argument("--seed", type=int, default=0, help="of the random samples (%(default)s)")
    add.add_argument("--json", type=Path, metavar="FILE", help="write all findings there")
    add.add_argument("--markdown", type=Path, metavar="FILE", help="write tables for people there")
    add.add_argument("--junit", type=Path, metavar="FILE", help="write a test report for CI there")
    add.set_defaults(run=_verify)
    return parser


def _list(options: argparse.Namespace) -> int:
    columns = ["loss", "formula", "character", "when to use"]
    for family in [options.family] if options.family else catalog.families():
        entries = [catalog.get(name) for name in catalog.names(family)]
        rows = [(e.name, e.formula, e.character, e.when) for e in entries]
        console.table(columns, rows, title=family)
        print()
    return 0


def _show(options: argparse.Namespace) -> int:
    entry = catalog.get(options.name)
    signature = str(inspect.signature(entry.loss)).replace("'", "")
    print(f"{entry.name}{signature}\n\n{inspect.cleandoc(entry.page)}\n")
    facts = [
        ("family", entry.family),
        ("formula", entry.formula),
        ("when to use", entry.when),
        ("when not", entry.avoid),
        ("source", entry.source),
        ("arguments", ", ".join(f"{name}: {kind.name}" for name, kind in entry.arguments.items())),
        (
            "depends on",
            {
                "example": "its own example",
                "list": "its own list, which must stay whole",
                "batch": "the batch; pass axis_name where it is split",
            }[entry.coupled],
        ),
        *(("is not", text) for text in entry.non_claims),
    ]
    console.table(["about it", ""], facts)
    print()
    if options.no_verify:
        console.table(["claim", ""], [(f"P{i}", str(c)) for i, c in enumerate(entry.claims, 1)])
        return 0
    from jaxloss import verify

    report = verify.entry(entry.name)
    console.table(["check", "what", "verdict", "found"], report.rows(), title="verification")
    return 0 if report.ok else 1


def _verify(options: argparse.Namespace) -> int:
    from jaxloss import verify

    names = options.names or catalog.names()
    for name in names:
        catalog.get(name)
    only = options.only.split(",") if options.only else None
    reports = [
        verify.entry(name, only=only, level=options.level, seed=options.seed)
        for name in console.track(names, "verify")
    ]
    rows = [(r.name, *r.counts.values(), f"{r.seconds:.1f}") for r in reports]
    console.table(["loss", *verify.VERDICTS, "seconds"], rows, title=f"seed {options.seed}")
    for report in reports:
        for finding in report.failures:
            print(f"\n{report.name} fails {finding.check}: {finding.title}")
            print("\n".join(f"  {message}" for message in finding.messages))
    if options.json:
        content = [json.loads(report.to_json()) for report in reports]
        options.json.write_text(json.dumps(content, indent=2) + "\n")
    if options.markdown:
        options.markdown.write_text("\n".join(report.to_markdown() for report in reports))
    if options.junit:
        options.junit.write_text(verify.junit(reports) + "\n")
    return 0 if all(report.ok for report in reports) else 1
