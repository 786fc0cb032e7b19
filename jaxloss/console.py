"""Tables and progress for people at a terminal: with rich where it is installed, else plain text.

Tables go to standard output, progress to standard error, so that one can be piped without the
other. Where the stream is no terminal, tables are plain text and progress says nothing.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TextIO, TypeVar

Item = TypeVar("Item")
Advance = Callable[..., None]


def table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None
) -> None:
    """Print a table: the first column to the left, columns of numbers to the right.

    Args:
      columns: the heading of each column.
      rows: for each row its cells, printed with `str`; as many as there are columns.
      title: printed above.
    """
    cells = [[str(cell) for cell in row] for row in rows]
    for row in cells:
        if len(row) != len(columns):
            raise ValueError(f"table: {len(columns)} columns, but a row of {len(row)}: {row}.")
    draw = _rich_table if _rich_on(sys.stdout) else _plain_table
    draw(list(columns), cells, title)


def _rich_on(stream: TextIO) -> bool:
    return stream.isatty() and importlib.util.find_spec("rich") is not None


def _rich_table(columns: list[str], rows: list[list[str]], title: str | None) -> None:
    import rich.console
    import rich.table
    import rich.text

    drawn = rich.table.Table(title=title, title_justify="left")
    for column, right in zip(columns, _to_the_right(columns, rows), strict=True):
        # Folded rather than cut off: half a name is of no use.
        side: Any = "right" if right else "left"
        drawn.add_column(rich.text.Text(column), justify=side, overflow="fold")
    for row in rows:
        # As Text: a cell such as "[0, 1)" is not markup.
        drawn.add_row(*map(rich.text.Text, row))
    rich.console.Console().print(drawn)


def _plain_table(columns: list[str], rows: list[list[str]], title: str | None) -> None:
    lines = [columns, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    right = _to_the_right(columns, rows)

    def text(line: list[str]) -> str:
        cells = zip(line, widths, right, strict=True)
        return "  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in cells).rstrip()

    rule = "  ".join("-" * width for width in widths)
    heading = [title] if title else []
    print("\n".join([*heading, text(columns), rule, *map(text, rows)]))


def _to_the_right(columns: list[str], rows: list[list[str]]) -> list[bool]:
    """Tell which columns hold numbers only; the first one names the rows."""
    return [i > 0 and all(_numeric(row[i]) for row in rows) for i in range(len(columns))]


def _numeric(cell: str) -> bool:
    try:
        float(cell.rstrip("%sx ").replace(",", ""))
    except ValueError:
        return cell in ("", "-")
    return True


@contextlib.contextmanager
def progress(total: int, label: str, *, done: int = 0) -> Iterator[Advance]:
    """Show a progress bar on standard error while the block runs.

    Args:
      total: how many steps there are.
      label: what they are.
      done: how many are done already.

    Yields:
      `advance(steps=1, note="")`; the note is shown beside the bar.
    """
    if not sys.stderr.isatty():
        yield lambda steps=1, note="": None
        return
    show = _rich_progress if _rich_on(sys.stderr) else _plain_progress
    with show(total, label, done) as advance:
        yield advance


@contextlib.contextmanager
def _rich_progress(total: int, label: str, done: int) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = [
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    ]
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(label, total=total, completed=done, note="")
        yield lambda steps=1, note="": bar.update(task, advance=steps, note=note)


@contextlib.contextmanager
def _plain_progress(total: int, label: str, done: int) -> Iterator[Advance]:
    def advance(steps: int = 1, note: str = "") -> None:
        nonlocal done
        done += steps
        # \033[K clears what a longer note has left on the line.
        print(f"\r{label} {done}/{total} {note}\033[K", end="", file=sys.stderr, flush=True)

    advance(0)
    try:
        yield advance
    finally:
        print(file=sys.stderr)


def track(
    items: Sequence[Item], label: str, *, name: Callable[[Item], str] = str
) -> Iterator[Item]:
    """Iterate over items, and show how far it has come and which one is at work.

    Args:
      items: what to iterate over.
      label: what they are.
      name: how to call an item beside the bar.

    Yields:
      The items.
    """
    with progress(len(items), label) as advance:
        for item in items:
            advance(0, note=name(item))
            yield item
            advance(1)
