"""From what was measured to a table on the screen, in a page, and numbers in a file."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

from jaxloss import console

Measured = dict[str, Any]


class Benchmark(NamedTuple):
    """A benchmark as its command sees it.

    Attributes:
      name: of its file, and of its table in a page.
      title: what it is about, a line.
      methods: by name; what is measured by default.
      steps: of training by default.
      seeds: by default.
      measure: `measure(name, steps, seeds)`, numbers and lists that JSON can hold.
      columns: headings of what `row` gives, with the number of steps.
      row: the cells of one method.
    """

    name: str
    title: str
    methods: Mapping[str, Any]
    steps: int
    seeds: int
    measure: Callable[[str, int, int], Measured]
    columns: Callable[[int], Sequence[str]]
    row: Callable[[Measured], Sequence[str]]


def main(benchmark: Benchmark, argv: Sequence[str] | None = None) -> int:
    """Measure, print the table and write the files that are asked for."""
    options = _parser(benchmark).parse_args(argv)
    names = options.methods or list(benchmark.methods)
    unknown = [name for name in names if name not in benchmark.methods]
    if unknown:
        known = ", ".join(benchmark.methods)
        print(f"{benchmark.name}: no method {', '.join(unknown)}; there are {known}",
              file=sys.stderr)  # fmt: skip
        return 2
    found = {
        name: benchmark.measure(name, options.steps, options.seeds)
        for name in console.track(names, "methods")
    }
    columns = ["method", *benchmark.columns(options.steps)]
    rows = [[name, *benchmark.row(measured)] for name, measured in found.items()]
    console.table(columns, rows, title=benchmark.title)
    if options.json:
        options.json.write_text(as_json(benchmark, options, found))
    if options.markdown:
        options.markdown.write_text(placed(options.markdown, benchmark.name, columns, rows))
    return 0


def _parser(benchmark: Benchmark) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(f"{benchmark.name}.py", description=benchmark.title)
    add = parser.add_argument
    add("methods", metavar="METHOD", nargs="*", help=f"of {', '.join(benchmark.methods)}; all")
    add("--steps", type=int, default=benchmark.steps, help="of training (%(default)s)")
    add("--seeds", type=int, default=benchmark.seeds, help="how many (%(default)s)")
    add("--json", type=Path, metavar="FILE", help="write all numbers there")
    add("--markdown", type=Path, metavar="FILE", help="write the table there, in its place if any")
    return parser


def as_json(
    benchmark: Benchmark, options: argparse.Namespace, found: Mapping[str, Measured]
) -> str:
    """Return what was measured and how, as JSON."""
    content = {
        "benchmark": benchmark.name,
        "jax": jax.__version__,
        "backend": jax.default_backend(),
        "steps": options.steps,
        "seeds": options.seeds,
        "methods": found,
    }
    return json.dumps(content, indent=1) + "\n"


def placed(page: Path, name: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a page with the table between its marks, or the marked table where there is none."""
    lines = [columns, ["---"] * len(columns), *rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    marked = f"<!-- {name} -->\n{table}\n<!-- end -->"
    text = page.read_text() if page.exists() else ""
    place = re.compile(rf"<!-- {name} -->.*?<!-- end -->", re.DOTALL)
    return place.sub(lambda _: marked, text) if place.search(text) else f"{text}{marked}\n"
