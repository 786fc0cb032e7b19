"""Waivers: failures that are known and may stay, each with its reason, until they are mended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from jaxloss.verify.frame import Check
from jaxloss.verify.report import Finding
from jaxloss.verify.subject import DTYPES, Subject

SHORT = {"f64": "float64", "f32": "float32", "bf16": "bfloat16", "f16": "float16"}


def read(waive: Mapping[str, str], checks: Sequence[Check]) -> dict[tuple[str, str], str]:
    """Return the reasons by check and dtype, which is `""` where the whole check is waived.

    Args:
      waive: reasons by `"S4"`, `"G3.float16"` or `"G3.f16"`.
      checks: all there are.

    Raises:
      ValueError: for a check that does not exist, or does not tell that dtype from others.
    """
    known = {c.id: c for c in checks}
    found = {}
    for key, reason in waive.items():
        id, _, dtype = key.partition(".")
        dtype = SHORT.get(dtype, dtype)
        if id not in known:
            raise ValueError(f"verify: waive must name checks among {', '.join(known)}, got {key}.")
        if dtype and dtype not in known[id].dtypes:
            among = ", ".join(known[id].dtypes) or "none"
            raise ValueError(f"verify: {id} tells dtypes apart among {among}, not {dtype}.")
        found[id, dtype] = reason
    return found


def of(loss: str, waive: Mapping[str, str]) -> dict[str, str]:
    """Return the waivers of a loss: those that name it, as `"loss:S4"` does, or none."""
    split = [(*key.rpartition(":")[::2], reason) for key, reason in waive.items()]
    return {check: reason for name, check, reason in split if name in ("", loss)}


def run(
    check: Check, subject: Subject, reasons: Mapping[tuple[str, str], str]
) -> Iterator[Finding]:
    """Run a check; where a dtype of it is waived, yield that as a finding of its own."""
    if (check.id, "") in reasons:
        yield judged(check(subject), reasons[check.id, ""])
        return
    waived = [d for d in subject.dtypes if (check.id, d) in reasons]
    others = tuple(d for d in subject.dtypes if d not in waived)
    if not waived or set(others) & set(check.dtypes):
        yield check(subject.within(others))
    for dtype in waived:
        finding = replace(check(subject.within((dtype,))), check=f"{check.id}.{dtype}")
        yield judged(finding, reasons[check.id, dtype])


def judged(finding: Finding, reason: str) -> Finding:
    """Return the finding of a waived check: a waiver of what does not fail is itself a failure."""
    if finding.verdict == "fail":
        messages = (f"waived: {reason}", *finding.messages)
        return replace(finding, verdict="waived", messages=messages)
    if finding.verdict == "skip":
        return finding
    stale = f"it does not fail any more: take back the waiver ({reason})"
    return replace(finding, verdict="fail", messages=(stale,))


def among(dtypes: Sequence[str] | None) -> tuple[str, ...]:
    """Return dtypes by their full names; all for None.

    Raises:
      ValueError: for one that does not exist.
    """
    found = DTYPES if dtypes is None else tuple(SHORT.get(d, d) for d in dtypes)
    if unknown := set(found) - set(DTYPES):
        raise ValueError(f"verify: dtypes must be among {', '.join(DTYPES)}, got {unknown}.")
    return found
