"""The command line: `jaxloss demo · list · show · verify · bench`.

Exit status: 0 where all went well, 1 where a verification failed, 2 for a call that cannot be
carried out, with one line that says why.
"""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Sequence
from pathlib import Path

from jaxloss import __version__, catalog, console, demo
from jaxloss.cli import options as verify_options


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
    except KeyboardInterrupt:
        print(f"jaxloss {options.command}: interrupted", file=sys.stderr)
        return 130
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

    add = commands.add_parser("verify", help="check losses: of the catalogue, or your own")
    verify_options.add_arguments(add)
    add.set_defaults(run=_verify)

    add = commands.add_parser("bench", help="measure speed and memory beside other libraries")
    _add_bench_arguments(add)
    add.set_defaults(run=_bench)
    return parser


def _add_bench_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("names", metavar="NAME", nargs="*", help="of the operations (default: all)")
    add("--sizes", type=int, default=3, metavar="N", help="only the N smallest (%(default)s)")
    add("--rounds", type=int, default=5, metavar="N", help="samples of each (%(default)s)")
    add("--seed", type=int, default=0, help="of the inputs (%(default)s)")
    add("--json", type=Path, metavar="FILE", help="write all numbers there")
    add("--markdown", type=Path, metavar="FILE", help="write tables of ratios there")
    add("--plot", type=Path, metavar="FILE", help="draw the ratios there")


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


def _bench(options: argparse.Namespace) -> int:
    if options.sizes < 1 or options.rounds < 1:
        raise ValueError("--sizes and --rounds must be at least 1.")
    from jaxloss.bench import command

    return command.main(options)


def _verify(options: argparse.Namespace) -> int:
    from jaxloss.cli import verify

    return verify.main(options)
