"""The benchmark measures what it says, names what is missing, and calls a wrong answer wrong."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

import jaxloss as jl
from jaxloss import cli
from jaxloss.bench import OPERATIONS, OURS, Operation, growth, in_jax, in_torch, measure
from jaxloss.bench.operations import heads, ranking, sets


def absent():
    raise ModuleNotFoundError("No module named 'nowhere'", name="nowhere")


def operation(**changes):
    facts = {
        "name": "square",
        "what": "a sum of squares",
        "sizes": ({"n": 10}, {"n": 1000}),
        "inputs": lambda rng, n: [rng.normal(size=n).astype(np.float32)],
        "ours": lambda x: jnp.sum(x**2),
        "peers": {
            "same": (in_jax, lambda: lambda x: jnp.vdot(x, x)),
            "fast and wrong": (in_jax, lambda: lambda x: jnp.sum(x)),
            "absent": (in_jax, absent),
            "broken": (in_jax, lambda: lambda x: x.nothing),
        },
    }
    return Operation(**(facts | changes))


def test_every_contestant_is_measured_or_named():
    found = {m.contestant: m for m in measure(operation(), {"n": 10}, rounds=2)}
    assert list(found) == [OURS, "same", "fast and wrong", "absent", "broken"]
    assert found[OURS].ratio == 1 and found[OURS].problem == ""
    assert found["same"].problem == "" and found["same"].error < 1e-6
    low, middle, high = found["same"].cpu_seconds
    assert 0 < low <= middle <= high
    assert found["same"].ratio > 0 and found["same"].compile_seconds > 0
    assert found["fast and wrong"].problem == "wrong" and found["fast and wrong"].error > 0.1
    assert found["absent"].problem == "not installed: nowhere"
    assert found["broken"].problem.startswith("broken: AttributeError")


def test_ours_is_judged_as_well():
    wrong = operation(ours=lambda x: jnp.sum(x**2), reference=lambda x: 2 * jnp.sum(x**2))
    assert measure(wrong, {"n": 10}, rounds=1)[0].problem == "wrong"


def test_the_reference_is_in_double_precision():
    seen = []

    def reference(x):
        seen.append(x.dtype)
        return jnp.sum(x**2)

    assert measure(operation(peers={}, reference=reference), {"n": 10}, rounds=1)[0].error < 1e-6
    assert seen == [jnp.float64]


def test_growth_is_from_the_first_size_to_the_last():
    found = [m for size in ({"n": 10}, {"n": 1000}) for m in measure(operation(), size, rounds=1)]
    assert set(growth(found)) == {OURS, "same", "fast and wrong"}


def test_torch_is_run_with_its_own_gradients():
    pytest.importorskip("torch")
    peers = {"torch": (in_torch, lambda: lambda x: (x**2).sum())}
    found = {m.contestant: m for m in measure(operation(peers=peers), {"n": 10}, rounds=1)}
    assert found["torch"].error < 1e-6 and found["torch"].temp_bytes is None


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_has_three_growing_sizes_and_a_peer(name):
    of = OPERATIONS[name]
    volume = [int(np.prod(list(size.values()))) for size in of.sizes]
    assert len(volume) == 3 and volume == sorted(volume)
    assert of.name == name and of.what and of.peers


# The plain programs that stand for what users write themselves, against the library's losses.
@pytest.mark.parametrize(
    ("plain", "ours", "args"),
    [
        (sets._plain_lovasz, sets._our_lovasz, lambda rng: sets._pixels(rng, 200)),
        (sets._plain_energy, sets._our_energy, lambda rng: sets._lines(rng, 2, 40)),
        (sets._plain_wasserstein, sets._our_wasserstein, lambda rng: sets._lines(rng, 2, 40)),
        (ranking._plain_ndcg, ranking._ours("approx_ndcg_loss"),
         lambda rng: ranking._inputs(rng, 3, 20)),
        (heads._optax_masked, heads._masked, lambda rng: heads._inputs(rng, 20, 4, 9)),
    ],
)  # fmt: skip
def test_plain_programs_say_the_same(plain, ours, args, rng):
    inputs = [jnp.asarray(x) for x in args(rng)]
    np.testing.assert_allclose(plain()(*inputs), ours(*inputs), rtol=1e-4)


def test_the_command_writes_what_it_shows(tmp_path, capsys):
    files = [str(tmp_path / name) for name in ("found.json", "found.md", "found.png")]
    options = ["--json", files[0], "--markdown", files[1], "--plot", files[2]]
    assert cli.main(["bench", "huber_loss", "--sizes", "1", "--rounds", "1", *options]) == 0
    shown = capsys.readouterr().out
    assert "huber_loss" in shown and "optax" in shown
    found = json.loads((tmp_path / "found.json").read_text())
    of_optax = {m["metric"]: m for m in found["measurements"] if m["peer"] == "optax"}
    assert {"cpu_seconds", "temp_bytes", "compile_seconds", "error"} <= set(of_optax)
    assert len(of_optax["cpu_seconds"]["quartiles"]) == 3 and of_optax["cpu_seconds"]["ratio"] > 0
    assert all(m["ratio"] == 1 for m in found["measurements"] if m["peer"] == OURS)
    assert found["about"]["jaxloss"] == jl.__version__
    assert "| elements=65536 | optax |" in (tmp_path / "found.md").read_text()
    assert (tmp_path / "found.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["hubber_loss"], "no operation named 'hubber_loss'; did you mean huber_loss"),
        (["--rounds", "0"], "--sizes and --rounds must be at least 1"),
    ],
)
def test_bad_calls_say_what_is_wrong(arguments, message, capsys):
    assert cli.main(["bench", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_torch_is_not_set_beside_an_accelerator(monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setattr("jax.default_backend", lambda: "gpu")
    peers = {"torch": (in_torch, lambda: lambda x: (x**2).sum())}
    found = {m.contestant: m for m in measure(operation(peers=peers), {"n": 10}, rounds=1)}
    assert "on the CPU only" in found["torch"].problem
    assert found[OURS].seconds() == found[OURS].wall_seconds
