"""The audit as a page of documentation."""

from __future__ import annotations

from peers import known
from peers.findings import Row

_HEAD = """\
# What the verifier finds elsewhere

`jaxloss.verify` run on {losses} losses of other libraries as they are installed: {versions}.
It was told the kinds of the arguments, the settings a user might choose, and what mathematics says
of each loss, and nothing of what is wrong with any. This page is written by

```bash
python benchmarks/audit.py --markdown docs/audit.md
```

An audit by hand had found {asked} defects in these two libraries.
**{found} of them are found**{but}. There are {rows} rows in all: {defects} defects, and {policies}
facts to be judged by a policy, as a library may want them so. Every reproduction was run by the
audit in a namespace of its own, and printed what the check says; rows about a whole sample have
none ({bare}). Under the same descriptions this library's own functions have none
of the rows that were known: `python benchmarks/audit.py --library jaxloss`.

Checks: **V** value, **G** gradient, **H** second derivative, **K** kinks, **S** singular, extreme,
impossible and infinite inputs, **M** masks, **E** errors, **T** transformations, **D** dtypes,
**P** what is claimed of the loss.
"""


def page(rows: list[Row], versions: dict[str, str], losses: list[str]) -> str:
    """Return the page: what was known and is found, what else, and what is a matter of policy.

    Args:
      rows: of the audit.
      versions: of the libraries, by name.
      losses: what was looked at.
    """
    found = {i for r in rows for i in r.known}
    asked = [k for k in known.KNOWN if k.library in versions]
    missed = [k for k in asked if k.id not in found]
    head = _HEAD.format(
        losses=len(losses),
        versions=", ".join(f"{k} {v}" for k, v in versions.items()),
        asked=len(asked),
        found=len(asked) - len(missed),
        but=f"; not {', '.join(k.id for k in missed)}" if missed else "",
        rows=len(rows),
        defects=sum(r.verdict == "defect" for r in rows),
        policies=sum(r.verdict == "policy" for r in rows),
        bare=sum(not r.reproduction for r in rows),
    )
    new = [r for r in rows if not r.known and r.verdict == "defect"]
    facts = [r for r in rows if not r.known and r.verdict == "policy"]
    return "\n".join(
        [head, *_overview(asked, rows), *_missed(missed), *_known(asked, rows), *_new(new),
         *_facts(facts)]
    )  # fmt: skip


def _overview(asked: list[known.Known], rows: list[Row]) -> list[str]:
    lines = ["## What was known", "", "| | severity | loss | defect | found by |"]
    lines += ["|---|---|---|---|---|"]
    for k in asked:
        by = [r for r in rows if k.id in r.known]
        checks = ", ".join(dict.fromkeys(r.check for r in by)) or "-"
        losses = ", ".join(f"`{loss}`" for loss in dict.fromkeys(r.loss for r in by)) or "-"
        policy = " (a policy)" if k.arguable else ""
        lines.append(f"| {k.id} | {k.severity} | {losses} | {k.defect}{policy} | {checks} |")
    return [*lines, ""]


def _missed(missed: list[known.Known]) -> list[str]:
    if not missed:
        return []
    lines = ["Not found:", ""]
    why = lambda k: f": {k.missed}" if k.missed else ""
    return [*lines, *(f"- {k.id}, {k.defect}{why(k)}" for k in missed), ""]


def _known(asked: list[known.Known], rows: list[Row]) -> list[str]:
    """Return for each row that was known what found it, those with a reproduction first."""
    lines = ["## How they were found", ""]
    for k in asked:
        by = sorted((r for r in rows if k.id in r.known), key=lambda r: not r.reproduction)
        for row in by[:1]:
            lines += [f"### {k.id} `{row.loss}`: {k.defect}", "", *_details(row)]
    return lines


def _new(rows: list[Row]) -> list[str]:
    lines = ["## What was not known", "", "Consequences of the same causes among them.", ""]
    for row in rows:
        lines += [f"### `{row.loss}`: {row.check} {row.title}", "", *_details(row)]
    return lines


def _facts(rows: list[Row]) -> list[str]:
    """Return the facts that a policy must judge, in one line each: their lines are in the JSON."""
    lines = ["## Facts, to be judged by a policy", "", "| loss | check | found |", "|---|---|---|"]
    return [*lines, *(f"| `{r.loss}` | {r.check} | {_cell(_cut(r.said[0]))} |" for r in rows), ""]


def _details(row: Row) -> list[str]:
    lines = [f"{row.check}, {row.title}:", "", *(f"- {_cut(said)}" for said in row.said)]
    if row.reproduction:
        lines += ["", "```python", row.reproduction, "```", ""]
        lines += [f"prints `{_cut(row.got)}`, expected: {row.expected}"]
    return [*lines, ""]


def _cut(text: str) -> str:
    """Return the beginning of what may be a page of numbers, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= 240 else f"{line[:240]} ..."


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
