"""Failures come with the simplest input at which they happen, and two lines that show it."""

import contextlib
import dataclasses
import functools
import io
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxloss as jl
from jaxloss import catalog, verify
from jaxloss.catalog import claims
from jaxloss.verify import shrink
from jaxloss.verify.report import Report
from jaxloss.verify.repro import public_module

REALS = (verify.reals(), verify.reals())


def root(predictions: Any, targets: Any) -> Any:
    return jnp.sqrt((predictions - targets) ** 2)


def steep(predictions: Any, targets: Any, scale: float = 1.0) -> Any:
    return jnp.log(jnp.cosh((predictions - targets) / scale))


def quantised(p: Any, t: Any) -> Any:
    inside = jnp.minimum(jnp.abs(p - t), 1.0)
    return 0.5 * inside**2 + (jnp.abs(p - t) - inside)


def pasted(repro: str, **names: Any) -> str:
    """Run a reproduction, with what it cannot import, and return what it prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(repro, dict(names))
    return out.getvalue()


def failure(loss: Callable[..., Any], *kinds: Any, check: str, **options: Any) -> verify.Finding:
    finding = verify.check(loss, *kinds, only=[check], **options)[check]
    assert finding.verdict == "fail", finding
    return finding


def test_a_failure_carries_its_simplest_input() -> None:
    finding = failure(root, *REALS, check="S1")
    assert finding.inputs == {"predictions": 0.0, "targets": 0.0}
    assert finding.messages[0] == "d/dpredictions is nan at (0., 0.), 7 of 32 rows"
    assert "nan" in pasted(finding.repro, root=root)


def test_the_reproduction_is_two_lines_from_public_names() -> None:
    report = verify.check(
        optax.losses.softmax_cross_entropy_with_integer_labels,
        verify.logits(4),
        verify.labels(4),
        only=["S3"],
    )
    lines = report.repro("S3").splitlines()
    assert lines[0] == "import jax, jax.numpy as jnp, optax.losses" and len(lines) == 2
    assert "optax.losses.softmax_cross_entropy_with_integer_labels(logits, labels)" in lines[1]
    assert "jnp.array([-1]))" in lines[1]
    value = report["S3"].messages[0].partition("value ")[2][:6]
    assert value in pasted(report.repro("S3"))


def test_hyper_parameters_are_part_of_it() -> None:
    finding = failure(steep, *REALS, check="S2", settings=[{"scale": 0.5}])
    assert "steep(predictions, targets, scale=0.5)" in finding.repro
    assert "inf" in pasted(finding.repro, steep=steep)
    partial = functools.partial(optax.losses.huber_loss, delta=0.5)
    finding = failure(partial, *REALS, check="P1", claims=[verify.lipschitz(0.1, "predictions")])
    assert "optax.losses.huber_loss(predictions, targets, delta=0.5)" in finding.repro
    assert "0.5" in pasted(finding.repro)


def test_half_precision_and_infinities_are_written_out() -> None:
    infinite = failure(
        optax.losses.softmax_cross_entropy, verify.logits(3), verify.simplex(3), check="S4"
    )
    assert "jnp.inf" in infinite.repro and "nan" in pasted(infinite.repro)
    reference = lambda p, t: (p - t) ** 2 / 2 if abs(p - t) < 1 else abs(p - t) - 0.5
    rounded = failure(quantised, *REALS, reference=reference, check="G3")
    assert rounded.messages[-1].startswith("bfloat16, d/d")
    assert "'float32')" in rounded.repro and "e-0" in pasted(rounded.repro, quantised=quantised)


def test_what_is_claimed_of_double_precision_is_shown_in_it() -> None:
    concave = lambda p, t: jnp.log1p((p - t) ** 2)
    finding = failure(concave, *REALS, check="P1", claims=[verify.convex("p")])
    assert finding.repro.startswith("import jax, jax.numpy as jnp  # and define loss\nwith jax.ena")
    assert "dtype=float64" in pasted(finding.repro, loss=concave)


def test_an_exception_is_reproduced_with_as_many_rows_as_it_takes() -> None:
    def crossed(p: Any, t: Any) -> Any:
        return p - t + jnp.ones(2)

    finding = failure(crossed, *REALS, check="S1")
    assert finding.messages[0].startswith("TypeError: add got incompatible shapes")
    # One row broadcasts, and two are right.
    assert np.shape(finding.inputs["p"]) == (3,)
    with pytest.raises(TypeError, match="incompatible shapes"):
        pasted(finding.repro, crossed=crossed)


def test_a_masked_failure_shows_the_mask() -> None:
    def peeks(p: Any, t: Any, where: Any = None) -> Any:
        loss = (p - t) ** 2
        return loss if where is None else jnp.where(where, loss, 0)

    finding = failure(peeks, *REALS, check="M1")
    assert "where=jnp.array([False])" in finding.repro
    assert "nan" in pasted(finding.repro, peeks=peeks)


def test_where_rows_depend_on_each_other_all_of_them_are_shown() -> None:
    centred = lambda p, t: (p - t) ** 2 - jnp.mean((p - t) ** 2)
    finding = failure(centred, *REALS, check="P1", claims=[verify.nonnegative()])
    assert np.shape(finding.inputs["p"]) == (32,)
    assert "-19351.88" in pasted(finding.repro, loss=centred)
    assert "value -19351.88 at" in finding.messages[0]


def test_reports_keep_inputs_and_reproductions() -> None:
    report = verify.check(
        optax.losses.softmax_cross_entropy, verify.logits(3), verify.simplex(3), only=["S4"]
    )
    read = Report.from_json(report.to_json())
    assert read == report and read["S4"].inputs["logits"][0] == -np.inf
    assert report.repro("S4") in report.to_markdown()
    with pytest.raises(AssertionError, match=r"softmax_cross_entropy \(seed 0\):\n  fail") as told:
        report.raise_if_failed()
    assert report.repro("S4") in str(told.value)


def test_public_paths_are_preferred() -> None:
    assert public_module(jl.huber_loss) == "jaxloss"
    assert public_module(optax.losses.huber_loss) == "optax.losses"
    assert public_module(lambda p: p) is None


def test_rows_become_simpler_and_stay_what_they_are() -> None:
    kinds = [verify.logits(3), verify.labels(3)]
    row = [np.array([0.123456, -7.5, 0.0]), np.array(2)]
    tried = shrink.simpler(row, kinds)
    assert shrink.cost(tried[0]) == min(map(shrink.cost, tried)) < shrink.cost(row)
    assert all(0 <= int(r[1]) < 3 for r in tried)

    def still(rows: list[Any]) -> Any:
        good = [r for r in rows if r[0][1] < -2]
        return (good[0], "steep") if good else None

    simplest, found = shrink.shrink(row, kinds, still, at_once=5)
    assert found == "steep"
    assert simplest[0].tolist() == [0, -8, 0]
    assert simplest[1] == 0


def test_checks_that_look_at_derivatives_and_dtypes_show_where() -> None:
    @jax.custom_jvp
    def triple(x: Any) -> Any:
        return x**2

    triple.defjvp(lambda p, t: (triple(p[0]), 3 * p[0] * t[0]))
    steep = lambda p, t: triple(p - t)
    finding = failure(steep, *REALS, check="G1")
    inside = finding.inputs["p"] - finding.inputs["t"]
    assert f"Array([{3 * inside:.6g}" in pasted(finding.repro, loss=steep)
    curved = failure(lambda p, t: jnp.abs(p - t) ** 1.5, *REALS, check="H1")
    assert curved.messages[0].startswith("singular: second derivatives")
    assert curved.inputs["p"] == curved.inputs["t"]
    low = lambda p, t: (p - t).astype(jnp.bfloat16)
    finding = failure(low, *REALS, check="D1", dtypes=["float32"])
    assert "dtype=bfloat16" in pasted(finding.repro, loss=low)


def test_a_wrong_slope_is_not_simplified_into_a_kink() -> None:
    @jax.custom_jvp
    def size(x: Any) -> Any:
        return jnp.abs(x)

    size.defjvp(lambda p, t: (size(p[0]), jnp.where(p[0] < 0, -1.1, 1.1) * t[0]))
    finding = failure(lambda p, t: size(p - t), *REALS, check="G1")
    # At p = t, the simplest input of all, a kink has no derivative that could be wrong.
    assert finding.inputs["p"] != finding.inputs["t"]


def test_a_loss_without_a_gradient_in_a_dtype_is_reproduced_in_it() -> None:
    sparsemax = optax.losses.multiclass_sparsemax_loss
    finding = failure(sparsemax, verify.scores(3), verify.labels(3), check="D1")
    assert "'bfloat16')" in finding.repro
    with pytest.raises(TypeError, match="Custom JVP rule must produce"):
        pasted(finding.repro)


def test_what_cannot_be_imported_is_found_in_the_catalogue() -> None:
    def nothing(subject: Any) -> Any:
        for setting in subject.settings[-1:]:
            args = subject.draw("generic")
            value = subject.value(args, setting)
            yield from claims.violations(
                value > -np.inf, args, setting, lambda i, v=value: f"{v[i]}"
            )

    for name, said in [
        ("minimax.generator", "jaxloss.catalog.get('minimax.generator').specimen(fake_logits)"),
        ("curricularface_loss", "statistics=jaxloss."),
        ("softmax_cross_entropy", "class_weights=jnp.array([0.5, 2.0, 0.0, 1.25])"),
    ]:
        claim = claims.holds("nothing", nothing)
        entry = dataclasses.replace(catalog.get(name), claims=(claim,))
        finding = verify.entry(entry, only=["P1"])["P1"]
        assert said in finding.repro
        assert finding.messages[0][:5] in pasted(finding.repro)


def test_a_single_row_is_made_simpler_too() -> None:
    ce = optax.losses.softmax_cross_entropy_with_integer_labels
    finding = failure(ce, verify.logits(3), verify.labels(3), check="S3")
    assert finding.inputs == {"logits": [0.0, 0.0, 0.0], "labels": -1}
    assert "value 1.0986123" in finding.messages[0]
