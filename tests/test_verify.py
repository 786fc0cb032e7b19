"""The tool as a user meets it: arguments, reports, errors."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxloss as jl
from jaxloss import verify
from jaxloss.verify import oracle


def wrong(predictions: jax.Array, targets: jax.Array) -> jax.Array:
    return predictions**2 * 0.5 - targets**2


QUICK = {"claims": [verify.nonnegative(), verify.symmetric()], "only": ["P1", "P2", "D1"]}


def test_a_report_prints_counts_and_raises() -> None:
    report = verify.check(wrong, verify.reals(), verify.reals(), **QUICK)
    assert not report.ok
    assert report.counts == {"pass": 1, "note": 0, "skip": 0, "waived": 0, "fail": 2}
    assert [f.check for f in report.failures] == ["P1", "P2"]
    lines = str(report).splitlines()
    assert lines[0] == "wrong: 1 pass, 2 fail (seed 0)"
    assert any("fail  P1   non-negative" in line for line in lines)
    with pytest.raises(AssertionError, match=r"wrong \(seed 0\):\n  fail  P1   non-negative"):
        report.raise_if_failed()
    with pytest.raises(KeyError, match="no check 'G9' in this report"):
        report["G9"]


def test_a_report_is_read_back_from_json() -> None:
    report = verify.check(wrong, verify.reals(), verify.reals(), **QUICK)
    content = json.loads(report.to_json())
    assert content["name"] == "wrong" and content["ok"] is False and content["seed"] == 0
    assert [f["check"] for f in content["findings"]] == ["D1", "P1", "P2"]
    assert content["environment"]["jax"] == jax.__version__


def test_the_same_seed_finds_the_same_witness() -> None:
    first, again, other = (
        verify.check(wrong, verify.reals(), verify.reals(), seed=seed, **QUICK)
        for seed in (3, 3, 4)
    )
    assert first.findings == again.findings
    assert first["P1"].messages != other["P1"].messages


def test_example_arrays_stand_for_kinds() -> None:
    predictions, labels = jnp.array([[0.5, 1.0, -2.0], [1.0, 0.0, 3.0]]), jnp.array([2, 0])
    report = verify.check(
        jl.softmax_cross_entropy_with_integer_labels,
        predictions,
        labels,
        claims=[verify.nonnegative()],
        only=["G1", "G2", "S1", "T1", "D1", "P1"],
    )
    assert report.ok, str(report)


def test_a_wrong_one_of_several_numbers_of_a_row_is_shown() -> None:
    def both(predictions: jax.Array, targets: jax.Array) -> jax.Array:
        return jnp.stack([predictions - targets, predictions + targets + 1e-3], axis=-1)

    formula = lambda p, t: [p - t, p + t]
    reals = verify.reals()
    report = verify.check(both, reals, reals, reference=formula, only=["V1"], level="quick")
    assert "0.001 instead of 0 at (0., 0.)" in str(report)


def test_bad_calls_say_what_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"only must name checks among V1, .* got \['Z1'\]"):
        verify.check(wrong, verify.reals(), verify.reals(), only=["Z1"])
    with pytest.raises(TypeError, match="the loss takes 2 data arguments, got 3"):
        verify.check(wrong, *[verify.reals()] * 3)
    with pytest.raises(ValueError, match=r"predictions must be a kind.*got shape \(\);.*vmap"):
        verify.check(wrong, jnp.float32(1.0), verify.reals())
    with pytest.raises(KeyError, match="no loss named 'hubber_loss' in the catalogue; did you"):
        verify.entry("hubber_loss")


def test_an_exception_inside_a_loss_is_a_failure_not_a_crash() -> None:
    def broken(predictions: jax.Array, targets: jax.Array) -> jax.Array:
        raise RuntimeError("out of order")

    report = verify.check(broken, verify.reals(), verify.reals(), only=["S1"])
    assert report["S1"].messages == ("RuntimeError: out of order",)


def test_without_a_reference_values_are_skipped_and_said_to_be() -> None:
    report = verify.check(wrong, verify.reals(), verify.reals(), only=["V1"])
    assert report["V1"].verdict == "skip"
    assert report["V1"].messages == ("no reference formula was given",)


def test_kinks_are_notes_with_the_gradient_in_bounds() -> None:
    report = verify.check(
        jl.absolute_error,
        verify.reals(),
        verify.reals(),
        reference=lambda p, t: abs(p - t),
        only=["K1"],
    )
    assert report["K1"].verdict == "note"
    assert "kinks in predictions, targets" in report["K1"].messages[0]


def test_ridders_is_right_and_knows_how_right() -> None:
    at = np.array([0.3, -1.2, 2.0])
    value, error = oracle.ridders(lambda x: np.exp(x).prod(axis=-1), at, np.eye(3))
    truth = np.exp(at.sum())
    assert np.abs(value - truth).max() < 1e-11 * truth
    assert (np.abs(value - truth) <= error + 1e-13).all()


def test_exact_derivatives_are_one_sided_at_a_kink() -> None:
    found = oracle.exact(lambda x: abs(x), [np.array([0.0, 1e-30, -2.0])], {}, [True])
    np.testing.assert_array_equal(found.left[0], [-1, 1, -1])
    np.testing.assert_array_equal(found.right[0], [1, 1, -1])


def test_one_device_is_split_in_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    import specimens

    monkeypatch.setattr(jax, "devices", lambda *_: [None])
    report = verify.check(specimens.gathers, *specimens.INDEXED, only=["L1"])
    assert report["L1"].verdict == "fail"
    assert "Explicit" in report["L1"].messages[0] or "Sharding" in report["L1"].messages[0]
    report = verify.check(lambda p, t: wrong(p, t), verify.reals(), verify.reals(), only=["L1"])
    assert report["L1"].verdict == "skip"
    assert "cannot import" in report["L1"].messages[0]
