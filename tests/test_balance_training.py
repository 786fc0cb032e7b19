"""The benchmarks of balance end as they must, with fewer methods, steps and seeds than by command.

Who reaches a front, who does not care about the scale of a loss, and who learns wrong labels.
"""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import SEED

import concave_front
import digit_pair
import noisy_digits
import two_valleys
from balance import main

# How many steps of two_valleys suffice from all starts.
REACH = {"mgda": 35_000, "imtl_g": 50_000, "gradnorm": 35_000, "famo": 35_000}
ROBUST = ("scale_invariant", "nash_mtl", "imtl_g")  # against the scale of a loss


def succeed(name, steps):
    """Return whether each start is on the front at the end, for the small first loss."""
    return np.array(two_valleys.measure(name, steps, 1)["0.1"]["success"])[0, :, -1]


def test_the_valleys_lie_where_they_should(x64):
    front, beside = [[-5.0, -8.37], [0.0, -8.3552]], [[0.0, 2.0], [-5.0, 5.0]]
    lengths = jax.vmap(two_valleys.shortest)(jnp.array(front + beside, jnp.float64))
    np.testing.assert_array_equal(lengths < two_valleys.SHORT, [True, True, False, False])
    # There the tasks are equal but for the scale.
    losses = two_valleys.losses(jnp.array([0.0, -8.3552], jnp.float64), 0.1)
    np.testing.assert_allclose(losses["first"], 0.1 * losses["second"], rtol=1e-9)


@pytest.mark.slow
def test_the_plain_sum_stays_in_a_valley():
    assert two_valleys.STARTS[2] == (9.0, 9.0)
    np.testing.assert_array_equal(succeed("plain sum", 50_000), [1, 1, 0, 1, 1])


@pytest.mark.slow
@pytest.mark.parametrize("name", REACH)
def test_all_starts_reach_the_front(name):
    assert succeed(name, REACH[name]).all()


@pytest.mark.slow
def test_nash_mtl_reaches_the_front_by_the_same_way_whatever_the_scale():
    small, equal = two_valleys.measure("nash_mtl", 20_000, 1).values()
    assert np.array(small["success"])[..., -1].all()
    np.testing.assert_allclose(small["end"], equal["end"], atol=0.05)


def along(name):
    """Return where the preferences end, from one end of the front, 1, to the other, -1."""
    measured = concave_front.measure(name, 300, 1)
    assert np.max(measured["away"]) < concave_front.NEAR
    return np.array(measured["along"])[0]


@pytest.mark.slow
def test_a_weighted_sum_ends_at_the_ends_of_a_concave_front():
    assert (np.abs(along("weighted sum")) > concave_front.INSIDE).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tchebycheff", "smooth_tchebycheff", "pbi"])
def test_each_preference_has_its_place_inside_a_concave_front(name):
    places = along(name)
    assert (np.abs(places[1:-1]) < concave_front.INSIDE).all()
    assert (np.diff(places) < -0.05).all()
    np.testing.assert_allclose(places, -places[::-1], atol=0.02)


@pytest.mark.slow
def test_tchebycheff_and_pbi_stop_where_the_weighted_losses_are_equal():
    for name in ("tchebycheff", "pbi"):
        measured = concave_front.measure(name, 300, 1)
        first, second = (np.array(measured["losses"][task])[0] for task in ("first", "second"))
        cos, sin = np.transpose(measured["preferences"])
        np.testing.assert_allclose((cos * first)[1:-1], (sin * second)[1:-1], rtol=0.03)


@pytest.fixture(scope="module")
def accuracies():
    """Return for each method the accuracies `[seeds, tasks]`, the second loss a hundredth."""
    names = ("plain sum", "mgda", *ROBUST)
    return {name: np.array(digit_pair.measure(name, 500, 2)["0.01"]) for name in names}


@pytest.mark.slow
@pytest.mark.parametrize("name", ROBUST)
def test_a_scale_robust_method_learns_the_small_loss_as_well(accuracies, name):
    gap = accuracies[name] - accuracies["plain sum"]
    assert gap[:, 1].mean() >= 0.03
    assert gap[:, 0].mean() >= -0.03


@pytest.mark.slow
def test_mgda_neglects_the_large_loss(accuracies):
    left, right = accuracies["mgda"].mean(axis=0)
    assert left <= 0.90
    assert right >= accuracies["plain sum"][:, 1].mean() + 0.03


@pytest.fixture(scope="module")
def curves():
    """Return for each method the accuracy on clean test images over training, `[looks]`."""
    names = ("cross-entropy", "small_loss", "co_teaching", "tilted_erm -1", "ohem")
    return {name: noisy_digits.measure(name, 1200, 1) for name in names}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["small_loss", "co_teaching", "tilted_erm -1"])
def test_a_curriculum_keeps_wrong_labels_from_being_learned(curves, name):
    ours, plain = curves[name], curves["cross-entropy"]
    assert ours["test"][0][-1] - plain["test"][0][-1] >= 0.15
    assert plain["memorised"][0][-1] > 0.9 > 2 * ours["memorised"][0][-1]


@pytest.mark.slow
def test_hard_examples_with_wrong_labels_teach_nothing_good(curves):
    assert max(curves["ohem"]["test"][0]) < max(curves["cross-entropy"]["test"][0]) - 0.05


@pytest.mark.slow
@pytest.mark.parametrize("benchmark", [two_valleys, noisy_digits])
def test_the_methods_of_a_benchmark_run(benchmark):
    # To compile is what costs: one in four, another one for each seed.
    for name in list(benchmark.BENCHMARK.methods)[SEED % 4 :: 4]:
        cells = benchmark.row(benchmark.measure(name, 20, 1))
        assert len(cells) == len(benchmark.columns(20))
        assert "nan" not in " ".join(cells), name


def test_a_command_prints_a_table_and_writes_what_is_asked_for(tmp_path, capsys):
    page, numbers = tmp_path / "page.md", tmp_path / "numbers.json"
    page.write_text("before\n<!-- concave_front -->\nold\n<!-- end -->\nafter\n")
    files = ["--json", str(numbers), "--markdown", str(page)]
    arguments = ["weighted sum", "--steps", "3", "--seeds", "1", *files]
    assert main(concave_front.BENCHMARK, arguments) == 0
    assert "weighted sum" in capsys.readouterr().out
    content = json.loads(numbers.read_text())
    assert (content["steps"], content["seeds"]) == (3, 1)
    assert np.shape(content["methods"]["weighted sum"]["along"]) == (1, 10)
    before, _, heading, rule, row, _, after = page.read_text().splitlines()
    assert (before, after) == ("before", "after")
    assert heading.count("|") == rule.count("|") == row.count("|") == 5


def test_an_unknown_method_is_named(capsys):
    assert main(concave_front.BENCHMARK, ["no_such"]) == 2
    assert "no method no_such; there are weighted sum" in capsys.readouterr().err
