"""What verification says of a peer, as rows of a table, each with a reproduction that was run."""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from jaxloss import verify
from jaxloss.verify.report import Finding
from peers import Peer, known, paste

# What a loss costs, and what becomes of it on eight devices, is another audit.
_LEFT_OUT = ("L1", "R1")
# Each call of these losses is about one example: no others stand beside it.
_NOT_ALONE = ("T2", "M3", "S6", "E3")
# What a check expects where its sentence does not say so.
_EXPECTED = {
    "T0": "a function",
    "T1": "the same under jit",
    "T2": "the same under vmap",
    "T3": "a finite derivative",
    "D1": "the dtype of the input, or float32 for half precision",
    "E3": "one value for each example, or an error",
    "G2": "forward mode equal to reverse mode",
    "H1": "finite, and the same in both orders",
    "M1": "0 where masked, and nothing of it elsewhere",
    "M2": "what there is without a mask",
    "S1": "finite",
    "S3": "NaN in value and gradient, or an error",
    "S5": "NaN",
}
# Notes that are facts to be judged: labels out of range, half precision as it comes, broadcasting.
_POLICY = ("S3", "V5", "E3")
# Failures that are such facts as well: a batch axis that is asked for, NaN among labels.
_ARGUABLE = ("T2", "S5")
_AFTER = (
    r" instead of (.+?)(?: at \(|, \d+ of| with padding|$)",
    r", limit (\S+)",
    r", in float64 (.+?) at \(",
    r" outside (\[.+\]) at \(",
    r", differences say (\S+)",
    r", expected (.+?) at \(",
    r"left = right = (.+?)\)",
)


@dataclass(frozen=True)
class Row:
    """A row of the audit's table.

    Attributes:
      library: whose loss it is.
      loss: which.
      check: the id of the check that found it.
      title: what was checked.
      verdict: "defect", or "policy" for a fact that a library may want so.
      said: all that the check says, one sentence each.
      input: where, by argument.
      got: what the reproduction prints.
      expected: instead.
      reproduction: two lines to follow the preamble.
      reproduced: whether it printed what the check says; None where there is nothing to paste.
      known: ids of the rows of the audit by hand that it is.
    """

    library: str
    loss: str
    check: str
    title: str
    verdict: str
    said: tuple[str, ...]
    input: str
    got: str
    expected: str
    reproduction: str
    reproduced: bool | None
    known: tuple[str, ...]


def look(peer: Peer, *, only: tuple[str, ...] | None = None, seed: int = 0) -> list[Row]:
    """Verify a peer; return a row for each check that fails or notes a policy."""
    with warnings.catch_warnings():
        # What is deprecated in another library is none of this audit's business.
        warnings.simplefilter("ignore")
        try:
            loss = peer.loss()
        except Exception as error:
            return [_row(peer, _unmade(peer, error))]
        with jax.numpy_rank_promotion("allow"):
            report = verify.check(
                loss,
                *peer.arguments.values(),
                claims=peer.claims,
                reference=peer.reference,
                settings=peer.settings,
                only=only or _checks(peer),
                name=peer.name,
                seed=seed,
            )
        return [_row(peer, f) for f in _merged(report.findings) if _worth_a_row(f)]


def _checks(peer: Peer) -> list[str]:
    """Return the checks that make sense for a peer: claims, and all but a few for each example."""
    without = (*_LEFT_OUT, *(_NOT_ALONE if peer.each else ()))
    checks = [c.id for c in verify.CHECKS if c.id not in without]
    return [*checks, *(f"P{i}" for i in range(1, len(peer.claims) + 1))]


def _unmade(peer: Peer, error: Exception) -> Finding:
    said = f"{type(error).__name__}: {error}"
    return Finding("T0", "there is such a function", "fail", (said,))


def _merged(findings: tuple[Finding, ...]) -> Iterator[Finding]:
    """Yield the findings that say something of their own.

    Of those that an exception keeps from running it is one, `T1` if that is among them; and where
    a value is NaN at a singular point, what is said of it must fail as well.
    """
    ordered = sorted(findings, key=lambda f: f.check not in ("T1", "D1"))
    not_a_number = any(f.check == "S1" and "nan" in "".join(f.messages) for f in findings)
    seen: set[str] = set()
    for finding in ordered:
        first = finding.messages[0] if finding.messages else ""
        if raised := _RAISED.match(first):
            if raised.group() in seen or "T1" in seen:
                continue
            seen |= {raised.group(), finding.check}
        if (not_a_number and _follows(finding)) or (finding.check == "T7" and "T1" in seen):
            continue
        yield finding


def _follows(finding: Finding) -> bool:
    """Tell whether a finding is but another view of a NaN at a singular point."""
    echoes = finding.check in ("G1", "G2", "H1", "T3") or finding.check.startswith("P")
    return echoes and all(re.search(r"\bnan\b|not finite", m) for m in finding.messages)


def _worth_a_row(finding: Finding) -> bool:
    if finding.verdict == "note":
        return finding.check in _POLICY
    lacks = any("unexpected keyword argument" in m for m in finding.messages)
    return finding.verdict == "fail" and not lacks


def _row(peer: Peer, finding: Finding) -> Row:
    # Where a library is installed is nobody's business.
    messages = tuple(re.sub(r"[^\s:]*site-packages/", "", m) for m in finding.messages)
    said = "\n".join(messages)
    rows = known.recognised(peer.origin, peer.name, finding.check, finding.title, said)
    judged = finding.verdict == "note" or finding.check in _ARGUABLE
    arguable = all(k.arguable for k in rows) if rows else judged
    lines = finding.repro or paste.lines(peer, finding)
    printed = run(lines) if lines else ""
    return Row(
        peer.library,
        peer.name,
        finding.check,
        finding.title,
        "policy" if arguable else "defect",
        messages,
        "; ".join(f"{k} = {_short(v)}" for k, v in finding.inputs.items()),
        printed,
        _expected(finding),
        lines,
        agrees(finding.messages[0], printed) if lines else None,
        tuple(k.id for k in rows),
    )


def _short(value: Any) -> str:
    return np.array2string(np.asarray(value), precision=6, separator=", ").replace("\n", "")


def _expected(finding: Finding) -> str:
    first = finding.messages[0]
    found = [m.group(1) for pattern in _AFTER if (m := re.search(pattern, first))]
    return found[0] if found else _EXPECTED.get(finding.check, finding.title)


# Reproductions


def run(lines: str) -> str:
    """Return what lines print in a namespace of their own, or the first line of what they raise."""
    output = io.StringIO()
    try:
        with contextlib.redirect_stdout(output), jax.numpy_rank_promotion("allow"):
            exec(lines, {})
    except Exception as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    return " ".join(output.getvalue().split())


def agrees(said: str, printed: str) -> bool:
    """Tell whether what was printed has the numbers, or the error, that a sentence begins with."""
    if raised := _RAISED.match(said):
        return printed.startswith(raised.group())
    if promoted := re.search(r" in, (?:gradient )?(\w+)", said):
        return promoted.group(1) in printed
    said = said.partition("but the gradient is ")[2] or said
    if _COMPARED.search(said):
        return not _RAISED.match(printed)
    got = _SETTING.sub("", re.split(r" instead of | outside | at \(|, limit|, in float64", said)[0])
    there = [float(n) for n in _numbers(printed)]
    got = got.partition(": value")[2] or got
    # Of a loss with several numbers for a row the lines print the sum.
    value, _, slope = got.partition(", gradient")
    asked = slope if "[" in value else got
    return all(_among(float(n), there) for n in _numbers(asked))


# What is said of two evaluations, of which the lines print one.
_COMPARED = re.compile(
    r"lower than|below its|becomes|one way|by differences|forward |orders|mask|changes|not 0|"
    r"not finite|values instead|only|differences say|expected"
)
_RAISED = re.compile(r"\w*(Error|Exception): ")
_SETTING = re.compile(r", \w+=(\[[^\]]*\]|[^\s,]+)")
_NUMBER = re.compile(r"(?<![\w.])-?(?:nan|inf|\d+\.?\d*(?:e[+-]?\d+)?)(?![\w])")


def _numbers(text: str) -> list[str]:
    return _NUMBER.findall(text)


def _among(number: float, others: list[float]) -> bool:
    return any(np.isclose(number, other, rtol=2e-2, atol=1e-30, equal_nan=True) for other in others)
