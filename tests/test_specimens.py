"""Every check rejects its specimen, and none is alarmed by a right loss.

A check that has never failed proves nothing. Every check of `verify.CHECKS` and every claim has
its specimen in `specimens`.
"""

from typing import Any

import jax
import pytest
from conftest import LEVEL, SEED, SHARE
from right_losses import RIGHT
from specimens import WRONG, Specimen, unchecked_delta

from jaxloss import verify

# Checks that judge policy at infinity and at labels out of range, which plain formulas do not meet.
POLICY = {"S2", "S3", "S4"}


def run(specimen: Specimen, **more: Any) -> verify.Report:
    options = specimen._asdict()
    loss, kinds, _ = (options.pop(name) for name in ("loss", "kinds", "check"))
    return verify.check(loss, *kinds, **options, **more)


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_loss_is_rejected_by_its_check(name: str) -> None:
    specimen = WRONG[name]
    if specimen.check == "L1" and jax.device_count() < 2:
        pytest.skip("needs two devices")
    finding = run(specimen, only=[specimen.check])[specimen.check]
    assert finding.verdict == "fail", finding
    assert finding.messages[0]


# To compile is what costs: by default each loss at one of two seeds, and some of them thoroughly.
TEN = LEVEL == "standard"
TURNS = [
    (name, seed, "standard" if TEN or (k + SEED) % SHARE == 0 else "quick")
    for k, name in enumerate(RIGHT)
    for seed in (range(10) if TEN else [SEED + k % 2])
]


@pytest.mark.parametrize(("name", "seed", "level"), TURNS)
def test_a_right_loss_raises_no_alarm(name: str, seed: int, level: str) -> None:
    report = run(RIGHT[name], seed=seed, level=level)
    alarms = [f for f in report.failures if f.check not in POLICY]
    assert not alarms, alarms


def test_every_check_has_a_specimen() -> None:
    missing = {c.id for c in verify.CHECKS} - {s.check for s in WRONG.values()}
    assert missing == {"E2", "R1"}, "E2 is tried below, and R1 states facts"


def test_an_unchecked_hyper_parameter_is_found() -> None:
    from jaxloss.verify.checks import inputs
    from jaxloss.verify.subject import Subject

    subject = Subject(
        "unchecked_delta",
        unchecked_delta,
        {"p": verify.reals(), "t": verify.reals()},
        settings=({}, {"delta": 0.5}),
        impossible={"delta": (-1.0,)},
    )
    finding = inputs.impossible(subject)
    assert finding.verdict == "fail"
    assert "delta: accepted" in finding.messages[0]
