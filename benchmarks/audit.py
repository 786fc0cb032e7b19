"""What `jaxloss.verify` finds in the losses of other libraries, as they are installed.

    python benchmarks/audit.py [LOSS ...] [--json FILE] [--markdown FILE] [--library NAME ...]

The checks are told the kinds of the arguments, the settings, and what mathematics says of a loss
(`benchmarks/peers/`), and nothing of what is known to be wrong. `--library jaxloss` puts this
library's functions in the place of the others under the same descriptions. Exit status: 0 where
the audit was made, 1 where a reproduction does not print what the table says, 2 for a call that
cannot be carried out.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.metadata
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import peers
from jaxloss import console
from peers import Peer, known
from peers.findings import Row, look
from peers.page import page

LIBRARIES = ("optax", "rax")


def main(argv: Sequence[str] | None = None) -> int:
    """Audit, print the tables and write the files that are asked for."""
    options = _parser().parse_args(argv)
    chosen = _chosen(options.library, options.losses)
    if not chosen:
        print("audit: no such losses are installed", file=sys.stderr)
        return 2
    rows = [
        row for peer in console.track(chosen, "losses", name=lambda p: p.name) for row in look(peer)
    ]
    _print(rows, chosen)
    versions = _versions(chosen)
    if options.json:
        options.json.write_text(as_json(rows, versions))
    if options.markdown:
        options.markdown.write_text(page(rows, versions, [p.name for p in chosen]))
    wrong = [r for r in rows if r.reproduced is False]
    for row in wrong:
        print(f"not reproduced: {row.loss}, {row.check}: {row.said[0]}\n  printed {row.got}")
    return 1 if wrong else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("audit.py", description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    add("losses", metavar="LOSS", nargs="*", help="beginnings of names; all of them by default")
    add("--library", choices=(*LIBRARIES, "jaxloss"), help="to look at; both by default")
    add("--json", type=Path, metavar="FILE", help="write all rows there")
    add("--markdown", type=Path, metavar="FILE", help="write a page for people there")
    return parser


def _chosen(library: str | None, losses: Sequence[str]) -> list[Peer]:
    """Return what is to be looked at, naming what is not installed."""
    found: list[Peer] = []
    for name in (library,) if library in LIBRARIES else LIBRARIES:
        if peers.installed(name):
            found += peers.of(name)
        else:
            print(f"{name} is not installed: its losses are left out", file=sys.stderr)
    if library == "jaxloss":
        found = [p.ours_in_its_place() for p in found if p.ours]
    return [p for p in found if not losses or p.name.startswith(tuple(losses))]


def _print(rows: list[Row], chosen: list[Peer]) -> None:
    table = [
        (r.loss, r.check, r.verdict, ", ".join(r.known) or "-", " ".join(r.said[0].split())[:90])
        for r in rows
    ]
    console.table(("loss", "check", "verdict", "known as", "found"), table)
    found = {i for r in rows for i in r.known}
    asked = [k.id for k in known.KNOWN if k.library in {p.origin for p in chosen}]
    missed = [i for i in asked if i not in found]
    print(f"\n{len(rows)} rows; of {len(asked)} known before {len(asked) - len(missed)} are found"
          f"{', not ' + ', '.join(missed) if missed and found else ''}")  # fmt: skip


def _versions(chosen: list[Peer]) -> dict[str, str]:
    return {n: importlib.metadata.version(n) for n in ("jax", *{p.library: 0 for p in chosen})}


def as_json(rows: list[Row], versions: dict[str, str]) -> str:
    """Return the rows, what is found of what was known, and the versions, as JSON."""
    content: dict[str, Any] = {
        "versions": versions,
        "found": sorted({i for r in rows for i in r.known}),
        "rows": [dataclasses.asdict(r) for r in rows],
    }
    return json.dumps(content, indent=2) + "\n"


if __name__ == "__main__":
    sys.exit(main())
