"""The command line: what it prints, and its exit status."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from jaxloss import catalog, cli


def test_list_compares_the_losses_of_a_family(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list", "--family", "regression"]) == 0
    out = capsys.readouterr().out
    for name in catalog.names("regression"):
        assert f"\n{name} " in out
    assert "softmax" not in out
    assert "when to use" in out


def test_list_shows_all_families(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in catalog.names())


def test_show_prints_the_page_and_what_was_verified(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["show", "hinge_loss"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("hinge_loss(predictor_outputs")
    assert "classification-calibrated" in out and "verdict" in out


def test_show_without_verification_prints_the_claims(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["show", "huber_loss", "--no-verify"]) == 0
    out = capsys.readouterr().out
    assert "convex in predictions" in out and "verdict" not in out


def test_verify_prints_a_table_and_writes_json(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "found.json"
    assert (
        cli.main(["verify", "l2_loss", "hinge_loss", "--only", "V1,D1", "--json", str(file)]) == 0
    )
    assert "l2_loss" in capsys.readouterr().out
    reports = json.loads(file.read_text())
    assert [r["name"] for r in reports] == ["l2_loss", "hinge_loss"]
    assert all(r["ok"] and len(r["findings"]) == 2 for r in reports)


def test_a_failed_verification_exits_with_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import dataclasses

    wrong = dataclasses.replace(catalog.get("l2_loss"), reference=lambda p, t: (p - t) ** 2)
    monkeypatch.setitem(catalog.ENTRIES, "l2_loss", wrong)
    assert cli.main(["verify", "l2_loss", "--only", "V1"]) == 1
    assert "l2_loss fails V1: value equals the reference formula" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (["show", "huber"], "jaxloss show: no loss named 'huber' in the catalogue; did you mean"),
        (["list", "--family", "x"], "jaxloss list: family must be one of regression"),
        (["verify", "l2_loss", "--only", "Z1"], "jaxloss verify: verify: only must name checks"),
        (["verify", "nothing"], "jaxloss verify: no loss named 'nothing'"),
        (["demo", "--steps", "0"], "jaxloss demo: --steps must be at least 1, got 0"),
    ],
)
def test_bad_use_exits_with_2_and_one_line(
    call: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(call) == 2
    error = capsys.readouterr().err
    assert error.startswith(message) and error.count("\n") == 1


def test_it_runs_as_a_module() -> None:
    call = [sys.executable, "-m", "jaxloss"]
    done = subprocess.run([*call, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("jaxloss ")
    wrong = subprocess.run([*call, "dance"], capture_output=True, text=True)
    assert wrong.returncode == 2 and "invalid choice" in wrong.stderr
