"""Errors in units in the last place: what counts as one, and how many the losses make."""

import importlib.util
import math
from pathlib import Path
from types import ModuleType

import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from jaxloss import catalog, verify
from jaxloss.verify import expansion, ulps
from jaxloss.verify.subject import Subject

ROOT = Path(__file__).parents[1]
TINY = 2.0**-126


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    path = ROOT / "benchmarks" / "accuracy.py"
    if not path.exists():
        pytest.skip("the benchmarks are not installed with the library")
    spec = importlib.util.spec_from_file_location("accuracy_benchmark", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def units(
    got: float, exact: float, scale: float | None = None, other: float | None = None
) -> float:
    sides = (exact, exact if other is None else other)
    arrays = (np.array([x]) for x in (got, *sides, abs(exact) if scale is None else scale))
    return float(ulps.error(*arrays)[0])


def test_a_unit_is_the_last_place_of_the_exact_number() -> None:
    assert units(1 + 2.0**-23, 1) == 1
    assert units(1 - 2.0**-24, 1) == 0.5
    assert units(-3e30, -3e30) == 0


def test_an_ill_conditioned_number_is_judged_by_its_scale() -> None:
    assert units(1 + 2.0**-20, 1, scale=9) == 8
    assert units(1 + 2.0**-20, 1, scale=16) == 1


def test_below_the_smallest_normal_number_all_is_alike() -> None:
    assert units(0, TINY / 2) == 0.5
    assert units(3 * TINY, TINY) == 2


def test_infinity_is_right_only_beyond_the_largest_number() -> None:
    assert units(np.inf, 1e39) == 0
    assert units(np.inf, 3e38) == np.inf
    assert units(-np.inf, 1e39) == np.inf
    assert units(np.nan, 1e39) == np.inf


def test_at_a_kink_all_between_the_sides_is_right() -> None:
    assert units(0, -1, other=1) == 0
    assert units(1 + 2.0**-22, -1, other=1) == 2


def test_what_is_not_known_is_not_judged() -> None:
    assert units(1, np.nan) == 0


def found(quantity: str, *errors: tuple[float, float]) -> ulps.Accuracy:
    """Summarise numbers near 1, each given by its error in last places and its scale."""
    off, scale = np.array(errors).T
    one = np.ones_like(off)
    return ulps._summary(quantity, {}, [one], one + off * 2.0**-23, one, one, scale)


def test_a_derivative_may_be_exact_to_the_last_place_of_its_scale() -> None:
    assert found("d/dx", (8, 1)).ok and found("d/dx", (8, 1)).roundoffs == 0
    assert not found("d/dx", (9, 8)).ok
    near = found("d/dx", (9, 9), (1, 1))
    assert near.ok and near.largest == 9 and near.roundoffs == 2
    assert not found("d/dx", (9, 9), (9, 8)).ok  # at every point
    assert not found("d/dx", (math.inf, 9)).ok
    assert not found("value", (9, 9)).ok


def test_an_expansion_has_slopes_and_scales() -> None:
    formula = lambda p, t: (p - t) ** 2 * t
    found = expansion.expand(formula, [np.array([3.0]), np.array([2.0])], {}, [True, True])
    assert found.value[0] == 2
    np.testing.assert_array_equal(found.right[0], [4, -3])  # 2 (p - t) t, and that with its square
    assert found.value_scale[0] == 2 + 3 * 4 + 2 * 3
    # Of the first slope: |4| + 3 |2 t| + 2 |2 p - 4 t|.
    np.testing.assert_array_equal(found.slope_scale[0], [4 + 12 + 4, 3 + 3 * 2 + 2 * 0])


def test_an_expansion_sees_a_kink_at_any_size() -> None:
    at = [np.array([0.0, 1e-30, -1e38]), np.array([0.0, 1e-30, -1e38])]
    found = expansion.expand(lambda p, t: abs(p - t), at, {}, [True, True])
    np.testing.assert_array_equal(found.left[:, 0], [-1, -1, -1])
    np.testing.assert_array_equal(found.right[:, 0], [1, 1, 1])
    np.testing.assert_array_equal(found.slope_scale, 1)


def test_a_slope_without_end_is_not_known() -> None:
    found = expansion.expand(lambda x: mpmath.sqrt(x), [np.array([0.0, 4.0])], {}, [True])
    np.testing.assert_array_equal(found.right[:, 0], [np.nan, 0.25])


def test_an_exact_number_takes_no_part_in_the_scale() -> None:
    at = [np.array([2.0]), np.array([1.0])]
    formula = lambda p, t: p * t
    found = expansion.expand(formula, at, {}, [True, True], certain=lambda k, x: k == 1)
    assert found.value_scale[0] == 2 + 2


def test_inputs_cover_the_exponents_and_stay_near_each_other() -> None:
    subject = Subject.of(catalog.get("huber_loss"))
    p, t = ulps.inputs(subject, 400)
    assert len(p) == len(t) == 400
    assert np.log2(np.abs(p[p != 0])).min() < -110 and np.log2(np.abs(p[p != 0])).max() > 110
    assert np.isfinite(np.float32(p) - np.float32(t)).all()
    assert ((p != t) & (np.abs(p - t) <= 1e-5 * np.abs(p))).sum() > 30


def test_labels_stay_labels() -> None:
    logits, labels = ulps.inputs(Subject.of(catalog.get("sigmoid_binary_cross_entropy")), 400)
    assert ((labels >= 0) & (labels <= 1)).all()
    assert 0 < labels[labels > 0].min() < 1e-20
    assert np.abs(logits).max() > 1e30


EXACT = ["squared_error", "huber_loss", "log_cosh", "cauchy_loss", "non_saturating.generator"]


@pytest.mark.parametrize("name", EXACT)
def test_losses_are_within_their_target(name: str) -> None:
    found = verify.accuracy(name, rows=120, seed=1)
    assert [a.quantity for a in found[:2]] == [
        "value",
        f"d/d{next(iter(catalog.get(name).arguments))}",
    ]
    assert all(a.ok for a in found), [a for a in found if not a.ok]


def test_the_check_names_the_quantity_and_the_place() -> None:
    report = verify.check(
        lambda p, t: jnp.log1p((p - t) ** 2),
        verify.reals(),
        verify.reals(),
        reference=lambda p, t: mpmath.log(1 + (p - t) ** 2),
        only=["V3"],
    )
    assert report["V3"].verdict == "fail"
    assert "value: " in report["V3"].messages[0] and "units (condition" in report["V3"].messages[0]


def test_losses_of_vectors_are_not_asked() -> None:
    assert verify.entry("cosine_distance", only=["V3"])["V3"].verdict == "skip"


def test_the_page_has_every_elementwise_loss(benchmark: ModuleType) -> None:
    page = (ROOT / "docs" / "accuracy.md").read_text()
    rows = [line.split("`")[1] for line in page.split("## ")[0].splitlines() if line[:3] == "| `"]
    assert list(dict.fromkeys(rows)) == benchmark.elementwise()


def test_what_misses_its_target_has_a_reason(benchmark: ModuleType) -> None:
    missed = (ROOT / "docs" / "accuracy.md").read_text().split("## ")[1]
    rows = {line.split("`")[1] for line in missed.splitlines() if line[:3] == "| `"}
    assert rows <= set(benchmark.REASONS) <= set(benchmark.elementwise())
