"""`verify.check` with all its arguments, and `python -m jaxloss verify` for losses of one's own."""

from typing import Any

import jax.numpy as jnp
import pytest

import jaxloss as jl
from jaxloss import verify

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
