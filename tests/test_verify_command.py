"""`verify.check` with all its arguments, and `python -m jaxloss verify` for losses of one's own."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import pytest

import jaxloss as jl
from jaxloss import cli, verify
from jaxloss.catalog import claims, kinds
from jaxloss.cli import baseline, build, request
from jaxloss.verify import files

REALS = (verify.reals(), verify.reals())


def root(predictions: Any, targets: Any) -> Any:
    return jnp.sqrt((predictions - targets) ** 2)


def exact_square(p: Any, t: Any) -> Any:
    return (p - t) ** 2


# The arguments of check


def test_kinds_may_be_given_by_name() -> None:
    named = {"targets": verify.reals(), "predictions": verify.reals()}
    by_name = verify.check(root, kinds=named, only=["S1"])
    assert by_name["S1"] == verify.check(root, *REALS, only=["S1"])["S1"]
    mixed = verify.check(root, verify.reals(), kinds={"targets": verify.reals()}, only=["S1"])
    assert mixed["S1"] == by_name["S1"]
    for wrong in ({"labels": verify.reals()}, {"targets": verify.reals()}):
        with pytest.raises(TypeError, match="kinds must be those of the loss's first arguments, p"):
            verify.check(root, kinds=wrong, only=["S1"])


def test_only_the_arguments_asked_for_are_differentiated_in() -> None:
    report = verify.check(root, *REALS, wrt=["targets"], only=["S1"])
    assert report["S1"].messages == ("d/dtargets is nan at (0., 0.), 7 of 32 rows",)
    with pytest.raises(TypeError, match=r"wrt must name some of predictions, targets, got \['p'\]"):
        verify.check(root, *REALS, wrt=["p"])


def test_only_the_dtypes_asked_for_are_checked() -> None:
    def low(p: Any, t: Any) -> Any:
        return ((p - t) ** 2).astype(jnp.float32)

    assert verify.check(low, *REALS, only=["D1"])["D1"].verdict == "fail"
    assert verify.check(low, *REALS, only=["D1"], dtypes=["f32", "bf16"]).ok
    assert verify.check(low, *REALS, only=["V1"], dtypes=["bf16"])["V1"].verdict == "skip"
    with pytest.raises(ValueError, match="dtypes must be among float64, float32, bfloat16, fl"):
        verify.check(low, *REALS, dtypes=["int8"])


def test_a_waived_failure_is_no_pass_and_no_failure() -> None:
    report = verify.check(root, *REALS, only=["S1", "T1"], waive={"S1": "see #12"})
    assert report.ok and report["S1"].verdict == "waived" and report.counts["waived"] == 1
    assert report["S1"].messages[0] == "waived: see #12" and "nan" in report["S1"].messages[1]
    assert "waived  S1" in str(report) and 'skipped message="waived: see #12"' in report.to_junit()


def test_a_stale_waiver_is_a_failure() -> None:
    report = verify.check(root, *REALS, only=["T1"], waive={"T1": "see #12"})
    stale = "it does not fail any more: take back the waiver (see #12)"
    assert report["T1"].verdict == "fail" and report["T1"].messages == (stale,)


def test_one_dtype_of_a_check_can_be_waived() -> None:
    def promoted(p: Any, t: Any) -> Any:
        return ((p - t) ** 2).astype(jnp.float32 if p.dtype == jnp.float16 else p.dtype) + 0.0

    def run(**waive: str) -> verify.Report:
        keys = {k.replace("_", "."): v for k, v in waive.items()}
        return verify.check(promoted, *REALS, only=["D1"], waive=keys, strict=True)

    report = run(D1_bf16="low precision wanted")
    assert [(f.check, f.verdict) for f in report.findings] == [
        ("D1", "pass"),
        ("D1.bfloat16", "waived"),
    ]
    assert run(D1_bf16="wanted", D1_f16="wanted")["D1.float16"].verdict == "fail"
    with pytest.raises(ValueError, match=r"waive must name checks among V1, .* got Z9"):
        run(Z9="")
    with pytest.raises(ValueError, match="S1 tells dtypes apart among none, not float16"):
        run(S1_f16="")


def test_a_fresh_seed_is_drawn_and_printed() -> None:
    first, second = (verify.check(root, *REALS, only=["S1"], seed=None) for _ in range(2))
    assert first.seed != second.seed and f"(seed {first.seed})" in str(first)


def test_failures_are_raised_where_that_is_asked() -> None:
    assert verify.check(jl.l2_loss, *REALS, only=["S1"], raise_on_fail=True).ok
    with pytest.raises(AssertionError, match=r"root \(seed 0\):\n  fail  S1") as raised:
        verify.check(root, *REALS, only=["S1"], raise_on_fail=True)
    assert "import jax, jax.numpy as jnp" in str(raised.value)


# The command


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module of one's own in the working directory, with a loss that is wrong at 0."""
    name = f"mine_{tmp_path.name.replace('-', '_')}"
    lines = [
        "import jax.numpy as jnp",
        "def root(predictions, targets, scale=1.0):",
        "    return jnp.sqrt(((predictions - targets) / scale) ** 2)",
        "def exact(p, t, scale=1):",
        "    return abs(p - t) / scale",
    ]
    (tmp_path / f"{name}.py").write_text("\n".join(lines))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield name
    sys.modules.pop(name, None)


OWN = ["--arg", "predictions=reals", "--arg", "targets=reals"]


def test_a_loss_of_ones_own_is_verified(mine: str, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["verify", f"{mine}:root", *OWN, "--set", "scale=0.5", "--reference", f"{mine}:exact"]
    claims = ["--claim", "lipschitz:2.0,predictions", "--claim", "nonnegative"]
    assert cli.main([*call, *claims, "--only", "V1,S1,P2", "--seed", "3"]) == 1
    out = capsys.readouterr().out
    assert f"{mine}:root     2     0     0       0     1" in out and "seed 3" in out
    assert "d/dpredictions is nan, scale=0.5 at (0., 0.)" in out
    assert f"import jax, jax.numpy as jnp, {mine}\nprint(" in out
    assert cli.main([*call, "--only", "S1", "--waive", "S1=see #12"]) == 0


def test_own_and_catalogued_losses_may_be_mixed(mine: str, tmp_path: Path) -> None:
    file = tmp_path / "found.json"
    call = ["verify", "l2_loss", f"{mine}:root", *OWN, "--only", "D1", "--seed", "random"]
    assert cli.main([*call, "--json", str(file)]) == 0
    found = files.read(file)
    assert [r.name for r in found] == ["l2_loss", f"{mine}:root"]
    assert found[0].seed == found[1].seed


def test_only_new_failures_count_beside_a_baseline(
    mine: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = ["--baseline", str(tmp_path / "known.json")]
    call = ["verify", f"{mine}:root", *OWN, "--claim", "homogeneous:2", *known]
    assert cli.main([*call, "--only", "S1"]) == 2
    assert "No such file" in capsys.readouterr().err
    assert cli.main([*call, "--only", "S1,D1", "--update-baseline"]) == 0
    assert cli.main([*call, "--only", "S1,D1"]) == 0
    assert f"{mine}:root fails S1 (known): finite value" in capsys.readouterr().out
    assert cli.main([*call, "--only", "S1,P1"]) == 1
    assert f"{mine}:root fails P1: homogeneous of degree 2" in capsys.readouterr().out
    failed = (verify.Finding("D1", "dtypes", "fail"),)
    files.write([verify.Report("l2_loss", failed, 0)], tmp_path / "known.json")
    assert cli.main(["verify", "l2_loss", "--only", "D1", *known]) == 0
    assert "l2_loss no longer fails D1: --update-baseline takes" in capsys.readouterr().out


def test_a_baseline_keeps_what_was_not_verified_again(tmp_path: Path) -> None:
    finding = lambda verdict: (verify.Finding("P1", "convex", verdict),)
    first, second = (verify.Report(name, finding("fail"), 0) for name in "ab")
    better = verify.Report("a", finding("pass"), 0)
    file = tmp_path / "known.json"
    baseline.update([better], [first, second], file)
    assert files.read(file) == [second, better]
    changes = baseline.changes([better, second], [first])
    assert changes == baseline.Changes([("b", "convex")], [], [("a", "convex")])
    for other in ("", '{"name": 3}', '[{"name": 3}]', "[3]"):
        file.write_text(other)
        with pytest.raises(ValueError, match="holds no reports"):
            files.read(file)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--arg", "predictions=realz"], "there is no kind 'realz'; there are above_minus_one, "),
        (["--arg", "predictions=logits:x"], "kind logits: classes must be a number, got 'x'"),
        (["--arg", "predictions=logits:1,2"], "kind logits(classes=4): too many positional"),
        (["--arg", "predictions"], "--arg must be NAME=..., got 'predictions'"),
        (["--arg", "labels=reals"], "check: kinds must be those of the loss's first arguments"),
        ([], "say what the arguments of "),
        ([*OWN, "--claim", "concave"], "there is no claim 'concave'; there are bounded(low, high)"),
        ([*OWN, "--claim", "convex"], "claim convex(argument): missing a required argument"),
        ([*OWN, "--claim", "convex:p"], "claim convex: argument must be one of predictions, targ"),
        ([*OWN, "--set", "delta=1"], "root has no delta; it has predictions, targets, scale"),
        ([*OWN, "--reference", "nowhere:f"], "nowhere cannot be imported: ModuleNotFoundError"),
        ([*OWN, "--wrt", "p"], "check: wrt must name some of predictions, targets, got ['p']"),
        ([*OWN, "--waive", "l2_loss:S1=x"], "--waive names l2_loss, which is not verified"),
        ([*OWN, "--waive", "S7=x", "--only", "D1"], "verify: waive must name checks among V1"),
        ([*OWN, "--seed", "x"], "--seed must be a whole number or 'random', got 'x'"),
        ([*OWN, "--jobs", "0"], "--jobs must be at least 1, got 0"),
        ([*OWN, "--dtypes", "int8"], "verify: dtypes must be among float64"),
        ([*OWN, "--level", "high"], "verify: level must be one of"),
        ([*OWN, "--update-baseline"], "--update-baseline needs --baseline FILE"),
    ],
)
def test_what_cannot_be_run_is_said_in_a_line(
    words: list[str], said: str, mine: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["verify", f"{mine}:root", *words]) == 2
    error = capsys.readouterr().err
    assert said in error and error.startswith("jaxloss verify: ") and error.count("\n") == 1


def test_functions_are_looked_for_and_missed(
    mine: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / f"{mine}_broken.py").write_text("1 / 0")
    for target, said in [
        (f"{mine}:rot", f"{mine} has no 'rot'"),
        (f"{mine}:__name__", f"{mine}:__name__ is no function"),
        (f"{mine}_broken:root", f"{mine}_broken cannot be imported: ZeroDivisionError: division"),
    ]:
        assert cli.main(["verify", target, *OWN]) == 2
        assert said in capsys.readouterr().err
    assert cli.main(["verify", "l2_loss", *OWN]) == 2
    assert "are for module:function" in capsys.readouterr().err


def test_every_kind_and_claim_that_words_can_make_is_found() -> None:
    assert build.kind("points:7,size=2").event == (7, 2)
    for name in build.makers(kinds, verify.Kind):
        assert build.kind(name) is not None
    made = build.makers(claims, verify.Claim)
    assert {"convex", "bounded", "proper", "symmetric"} <= set(made)
    assert not {"equals", "holds", "by_default", "samples"} & set(made)
    assert str(build.claim("lipschitz:constant=2,argument=p", ["p"])) == "Lipschitz in p with 2"


def test_losses_are_verified_in_several_processes_in_order(
    mine: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["hinge_loss", "l2_loss", f"{mine}:root"]
    written = [tmp_path / "one.json", tmp_path / "two.json"]
    for jobs, file in zip(("1", "2"), written, strict=True):
        call = ["verify", *names, *OWN, "--only", "S1", "--jobs", jobs, "--json", str(file)]
        assert cli.main(call) == 1
    one, two = map(files.read, written)
    assert [r.name for r in one] == names and [r.findings for r in one] == [r.findings for r in two]


def test_few_losses_are_verified_in_one_process() -> None:
    assert request.jobs(None, 2) == 1 and request.jobs(8, 3) == 3 and request.jobs(None, 100) >= 1


def test_a_process_that_ends_early_is_said_in_a_line(
    mine: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # In this process the module is known already, and the other imports it again.
    __import__(mine)
    (tmp_path / f"{mine}.py").write_text("import os; os._exit(3)")
    call = ["verify", f"{mine}:root", "l2_loss", *OWN, "--only", "D1", "--jobs", "2"]
    assert cli.main(call) == 2
    assert "a process ended before its time; try --jobs 1" in capsys.readouterr().err
