"""The laws, the claims and the references of the catalogue, on every loss in it."""

import pytest
from conftest import SEED, thorough

from jaxloss import catalog, verify


@pytest.mark.parametrize("name", catalog.names())
def test_verification_finds_nothing_wrong(name: str) -> None:
    level = "standard" if thorough(name) else "quick"
    report = verify.entry(name, seed=SEED, level=level).raise_if_failed()
    # A skip is no pass: what may be skipped is what cannot apply.
    entry = catalog.get(name)
    allowed = {"S3": "impossible values", "S4": "infinities", "E2": "hyper", "T3": "hyper"}
    allowed |= {"V2": "V1 compares with a reference formula", "V3": "single numbers"}
    allowed |= {"E3": "only one argument", "V4": "half precision", "V5": "half precision"}
    for finding in report.findings:
        if finding.verdict == "skip" and finding.check != "L1":
            masks = finding.check in ("M1", "M2") and name == "safe_softmax_cross_entropy"
            reason = allowed.get(finding.check)
            assert masks or (reason and reason in finding.messages[0]), finding
    assert len([f for f in report.findings if f.check.startswith("P")]) == len(entry.claims)
