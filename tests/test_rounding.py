"""What checks say of losses without a reference: rounding, kinks and derivatives, told apart."""

from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax import lax
from specimens import BINARY, REALS, off_by_a_factor, quantised_huber, relu_form, squared

import jaxloss as jl
from jaxloss import verify
from jaxloss.verify.subject import Subject


def run(loss: Any, check: str, kinds: Any = REALS, **more: Any) -> verify.Finding:
    return verify.check(loss, *kinds, only=[check], **more)[check]


def naive_log_cosh(p: Any, t: Any) -> Any:
    return jnp.logaddexp(p - t, t - p) - jnp.log(2.0)


def naive_softplus(x: Any, y: Any) -> Any:
    return jnp.log(1 + jnp.exp(x)) - x * y


def nearly_straight(p: Any, t: Any) -> Any:
    """Convex, and rougher in float64 than it bends."""
    return ((p - t + 1e6) ** 2 - 1e12) / 1e6


def windowed(p: Any, t: Any) -> Any:
    return lax.reduce_window((p - t) ** 2, 0.0, lax.add, (1,), (1,), "SAME")


def test_the_operation_that_loses_digits_is_named_with_its_line() -> None:
    finding = run(naive_log_cosh, "V2")
    assert finding.verdict == "fail"
    assert "ulp, condition" in finding.messages[0]
    assert "lost in sub at" in finding.messages[0]
    assert "test_rounding.py" in finding.messages[0]


def test_small_losses_that_round_to_nothing_are_a_note() -> None:
    finding = run(naive_softplus, "V2", BINARY)
    assert finding.verdict == "note"
    assert "lost in log" in finding.messages[0]


@pytest.mark.parametrize("loss", [squared, jl.huber_loss, jl.log_cosh])
def test_accurate_losses_pass(loss: Any) -> None:
    assert run(loss, "V2").verdict == "pass"


def test_a_false_kink_is_told_from_a_true_one() -> None:
    finding = run(relu_form, "K1", BINARY)
    assert finding.verdict == "fail"
    assert (
        "false kink: smooth (left = right = 0.5), but the gradient is -0.5" in finding.messages[0]
    )
    true = run(lambda p, t: jnp.abs(p - t), "K1")
    assert true.verdict == "note"
    assert "kinks in p, t" in true.messages[0]


def test_a_gradient_that_is_quantised_is_found() -> None:
    assert run(quantised_huber, "G3").verdict == "fail"
    assert run(lambda p, t: jnp.square(p - t), "G3").verdict == "pass"


def test_exhaustive_decides_derivatives_without_rounding() -> None:
    finding = run(lambda p, t: off_by_a_factor(p - t), "G1", level="exhaustive")
    assert finding.verdict == "fail"
    assert finding.messages[0].startswith("without rounding, d/dp: gradient")
    assert run(naive_softplus, "G1", BINARY, level="exhaustive").verdict == "pass"


def test_what_has_no_rule_is_named_and_left_to_differences() -> None:
    finding = run(windowed, "G1", level="exhaustive")
    assert finding.verdict == "note"
    assert "falls back to Ridders in float64: primitive reduce_window_sum" in finding.messages[0]
    for check in ("V2", "K1", "G3"):
        finding = run(windowed, check)
        assert (finding.verdict, "reduce_window_sum" in finding.messages[0]) == ("skip", True)


def test_what_is_large_is_declined() -> None:
    finding = run(lambda x: jnp.sum(x**2, axis=-1), "V2", (verify.vectors(300),))
    assert finding.verdict == "skip"
    assert "300 numbers" in finding.messages[0]


def test_rows_that_depend_on_each_other_are_moved_one_at_a_time() -> None:
    def centred(p: Any, t: Any) -> Any:
        return (p - t) ** 2 - jnp.mean(jnp.abs(p - t))

    assert run(centred, "K1").verdict in ("pass", "note")
    assert run(lambda p, t: jnp.mean(jax.nn.relu(p - t)), "K1").verdict in ("pass", "note")


def test_a_violation_that_rounding_makes_is_not_reported(monkeypatch: Any) -> None:
    claims = [verify.convex("p")]
    assert run(nearly_straight, "P1", claims=claims).verdict == "pass"
    monkeypatch.setattr(Subject, "precisely", lambda *_: None)
    assert run(nearly_straight, "P1", claims=claims).verdict == "fail"
