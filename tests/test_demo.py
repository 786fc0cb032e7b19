"""The demo: same numbers again, also after a kill; masks that mask; errors that say what to do."""

import argparse
import gc
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import optax
import pytest

import jaxloss as jl
from jaxloss import console, demo
from jaxloss.demo import checkpoint, data, experiment, model, objective, picture, training

STEPS = 60


def run(folder: Path, name: str = "run", **options) -> experiment.Results:
    folder.mkdir(exist_ok=True)
    where = {"out": folder / f"{name}.png", "checkpoint": folder / name}
    return demo.run(demo.Options(steps=STEPS, **where, **options))


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return run(tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module")
def dataset():
    return data.load(0)


# Data


def test_only_the_training_set_is_spoiled(dataset):
    truth = {"digit": data.WRONG_LABELS, "odd": 0, "ink": data.WRONG_INK}
    for task, share in truth.items():
        assert dataset.train.spoiled[task].mean() == pytest.approx(share, abs=1e-2)
        assert not dataset.validation.spoiled[task].any()
        assert not dataset.test.spoiled[task].any()
    for examples in dataset[1:3]:
        np.testing.assert_array_equal(examples.targets["digit"] % 2, examples.targets["odd"])
        assert np.abs(examples.targets["ink"]).max() < 5


def test_the_training_set_is_long_tailed(dataset):
    wrong = dataset.train.spoiled["digit"]
    counts = np.bincount(dataset.train.targets["digit"][~wrong], minlength=10)
    assert counts[0] > 3 * counts[9] > 0
    assert len(dataset.test.images) == data.TEST


def test_sets_share_no_image(dataset):
    sets = [{image.tobytes() for image in examples.images} for examples in dataset[:3]]
    for i, one in enumerate(sets):
        assert not any(one & other for other in sets[i + 1 :])


def test_an_epoch_shows_every_example_once(dataset):
    epoch = range(data.steps_per_epoch(len(dataset.train.images), 50))
    batches = data.batches(dataset.train, epoch, seed=3, batch_size=50, multiple=8)
    assert batches["valid"].shape == (11, 56)
    shown = np.sort(batches["targets"]["ink"][batches["valid"]])
    np.testing.assert_array_equal(shown, np.sort(dataset.train.targets["ink"]))


def test_batches_depend_on_seed_and_step_only(dataset):
    whole = data.batches(dataset.train, range(30), seed=1, batch_size=64)
    later = data.batches(dataset.train, range(20, 30), seed=1, batch_size=64)
    np.testing.assert_array_equal(whole["images"][20:], later["images"])
    other = data.batches(dataset.train, range(20, 30), seed=2, batch_size=64)
    assert (other["images"] != later["images"]).any()


# Objective and training


@pytest.mark.parametrize("name", ["plain sum", "jaxloss"])
def test_padding_changes_nothing(name, dataset):
    combine, (structure, params) = training.objectives()[name], model.create(0)
    state = combine.init(dict.fromkeys(objective.TASKS, 0.0))

    @jax.jit
    def slope(batch):
        def total(params):
            outputs = model.apply(structure, params, batch["images"])
            losses = objective.losses(outputs, batch["targets"])
            losses, _ = combine.update(losses, state, where=batch["valid"])
            return optax.tree.sum(losses)

        return jax.value_and_grad(total)(params)

    padded = data.batches(dataset.train, range(1), seed=0, batch_size=50, multiple=64)
    padded = jax.tree.map(lambda x: x[0], padded)
    exact = jax.tree.map(lambda x: x[:50], padded)
    assert exact["valid"].all()
    assert not padded["valid"].all()
    for one, other in zip(*map(jax.tree.leaves, (slope(padded), slope(exact))), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_the_objective_shows_what_it_does():
    for combine, weight in ((objective.plain(), 1.0), (objective.composed(), 0.5)):
        state = combine.init(dict.fromkeys(objective.TASKS, 0.0))
        losses = dict.fromkeys(objective.TASKS, np.array([0.5, 100.0], np.float32))
        _, state = combine.update(losses, state)
        assert objective.task_weights(state) == dict.fromkeys(objective.TASKS, weight)
        paced = 1.0 if weight == 1.0 else 0.5
        assert objective.admitted(state) == {"digit": paced, "odd": 1.0, "ink": paced}


def test_training_learns_on_all_devices(results):
    for track in results.tracks.values():
        assert track.history["loss"]["digit"].shape == (STEPS,)
        assert track.history["loss"]["digit"][-10:].mean() < track.history["loss"]["digit"][0]
        assert np.isfinite(track.history["validation"]["digit"]).all()
    assert results.metrics["jaxloss"]["odd accuracy, %"] > 60


def test_killed_and_restarted_it_ends_with_the_same_numbers(results, tmp_path, monkeypatch):
    save = checkpoint.Checkpoints.save

    def save_and_be_killed(self, step, state):
        save(self, step, state)
        raise KeyboardInterrupt

    monkeypatch.setattr(experiment, "SAVE_EVERY", training.EVERY)
    with monkeypatch.context() as context:
        context.setattr(checkpoint.Checkpoints, "save", save_and_be_killed)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path)
    said = []
    options = demo.Options(steps=STEPS, out=tmp_path / "run.png", checkpoint=tmp_path / "run")
    resumed = experiment.run(options, said.append)
    assert f"after step {training.EVERY}" in said[-1]
    assert list(resumed.metrics.items()) == list(results.metrics.items())
    assert jax.tree.structure(resumed.tracks) == jax.tree.structure(results.tracks)
    jax.tree.map(np.testing.assert_array_equal, resumed.tracks, results.tracks)


def test_early_stopping_keeps_the_best_parameters(results):
    track = results.tracks["jaxloss"]
    stopped = track.replace(stopping=track.stopping.replace(should_stop=True))
    assert training.advance(stopped, None, None, range(1)) is stopped
    seen = sum(track.history["validation"].values())
    assert track.best_step == training.looks_at(STEPS)[seen.argmin()]


# Checkpoints, on a state that is quick to save


RUN = {"seed": 0, "steps": 10}
STATE = {"a": np.arange(4096.0, dtype=np.float32), "n": 3}


@pytest.fixture
def saved(tmp_path):
    saver = checkpoint.Checkpoints(tmp_path / "run", RUN)
    saver.save(5, STATE)
    saver.close()
    return tmp_path / "run"


def restore(directory: Path, run=RUN, like=STATE):
    saver = checkpoint.Checkpoints(directory, run)
    try:
        return saver.restore(like)
    finally:
        saver.close()


def test_a_state_comes_back_as_it_was(saved, tmp_path):
    step, state = restore(saved)
    assert step == 5
    jax.tree.map(np.testing.assert_array_equal, state, STATE)
    assert restore(tmp_path / "new") is None


def truncate(directory):
    for file in directory.glob("5/state/**/d/*"):
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip(directory):
    for file in directory.glob("5/state/**/d/*"):
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 0xFF
        file.write_bytes(content)


def empty(directory):
    for file in directory.glob("5/**/*"):
        if file.is_file():
            file.write_bytes(b"")


def other_digest(directory):
    (file,) = directory.glob("5/digest/metadata")
    file.write_text('{"sha256": "0"}')


@pytest.fixture
def given_up():
    """Wait for reads that were given up: they may still end, on an event loop that is closed."""
    yield
    time.sleep(0.5)
    gc.collect()


late = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@late
@pytest.mark.usefixtures("given_up")
@pytest.mark.parametrize("damage", [truncate, flip, empty, other_digest])
def test_a_damaged_state_is_refused(saved, damage):
    damage(saved)
    with pytest.raises(
        ValueError, match=r"step 5 in .*run is corrupted or .*; delete .*5 to go on"
    ):
        restore(saved)


@late
@pytest.mark.usefixtures("given_up")
def test_a_state_of_another_shape_is_refused(saved):
    with pytest.raises(ValueError, match="corrupted"):
        restore(saved, like={"a": np.zeros(3, np.float32), "n": 3})


def test_a_foreign_directory_is_refused(saved, tmp_path):
    with pytest.raises(ValueError, match=r"another run \(seed 0, steps 10\); this one is seed 1"):
        restore(saved, {"seed": 1, "steps": 10})
    with pytest.raises(ValueError, match="not empty and holds no run of the demo"):
        restore(tmp_path)
    (saved / checkpoint.MARK).write_text("{")
    with pytest.raises(ValueError, match=r"is corrupted, so the run in .* is unknown"):
        restore(saved)
    with pytest.raises(ValueError, match="is not a directory"):
        restore(saved / checkpoint.MARK)


def test_a_foreign_directory_is_refused_before_training(tmp_path, monkeypatch):
    (tmp_path / "thesis.txt").touch()
    monkeypatch.setattr(training, "build", lambda *_: SimpleNamespace(devices=1))
    options = demo.Options(steps=1, out=tmp_path / "a.png", checkpoint=tmp_path)
    with pytest.raises(ValueError, match="give a new or an empty directory"):
        demo.run(options)


# Picture, options, report


def test_the_picture_is_a_picture(results):
    content = results.picture.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = (int.from_bytes(content[i : i + 4], "big") for i in (16, 20))
    assert 1000 < width < 2000
    assert 600 < height < 1500


def test_the_picture_shows_all(results):
    figure = picture.draw(results.tracks, STEPS)
    titles = [axis.get_title() for axis in figure.get_axes()]
    assert len(titles) == 6
    assert all(axis.get_xlabel() and axis.get_ylabel() for axis in figure.get_axes())
    assert all(any(task in title for title in titles) for task in objective.TASKS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "--steps must be at least 1, got 0"),
        ({"batch_size": -1}, "--batch-size must be at least 1"),
        ({"seed": -1}, "--seed must be at least 0"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        demo.Options(**options)


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("picture", "--out: .*picture must end in one of"),
        ("nowhere/a.png", "directory that exists"),
        ("folder.png", "directory that exists"),
    ],
)
def test_bad_places_for_the_picture(out, message, tmp_path):
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ValueError, match=message):
        demo.run(demo.Options(out=tmp_path / out))


@pytest.mark.parametrize("ok", [True, False])
def test_the_report(ok, results, capsys, monkeypatch):
    asked = []

    def entry(name, seed):
        asked.append(name)
        counts = {"pass": 9, "note": 0, "skip": 0, "fail": int(not ok)}
        return SimpleNamespace(ok=ok, counts=counts, seconds=1.0)

    monkeypatch.setattr(jl.verify, "entry", entry)
    monkeypatch.setattr(experiment, "run", lambda options, say: results)
    parser = argparse.ArgumentParser()
    demo.add_arguments(parser)
    assert demo.main(parser.parse_args(["--steps", "60"])) == (0 if ok else 1)
    assert asked == [loss.__name__ for loss in objective.LOSSES.values()]
    printed = capsys.readouterr().out
    for way, metrics in results.metrics.items():
        assert way in printed
        assert all(name in printed and f"{value:.2f}" in printed for name, value in metrics.items())
    assert str(results.picture) in printed


def test_without_the_extra(monkeypatch):
    monkeypatch.delitem(sys.modules, "jaxloss.demo.checkpoint")
    monkeypatch.setitem(sys.modules, "orbax.checkpoint", None)
    with pytest.raises(ImportError, match=r"pip install 'jaxloss\[demo\]'"):
        demo._load("checkpoint")


# Console


def test_a_plain_table(capsys):
    console.table(["name", "number"], [["a", 1], ["long", "22.5"]], title="title")
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["title", "name  number", "----  ------", "a          1", "long    22.5"]
    with pytest.raises(ValueError, match="2 columns, but a row of 1"):
        console.table(["a", "b"], [["c"]])


def test_progress_is_quiet_without_a_terminal(capsys):
    assert list(console.track([1, 2], "counting")) == [1, 2]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("rich", [True, False])
def test_progress_on_a_terminal(rich, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(console, "_rich_on", lambda stream: rich)
    with console.progress(10, "training", done=4) as advance:
        advance(6, note="loss 0.5")
    shown = capsys.readouterr().err
    assert "training" in shown
    assert "10/10" in shown
    assert "loss 0.5" in shown


def test_a_rich_table_shows_cells_as_they_are(capsys, monkeypatch):
    monkeypatch.setattr(console, "_rich_on", lambda stream: True)
    console.table(["name", "[in]"], [["a", "[0, 1]"]])
    shown = capsys.readouterr().out
    assert "[in]" in shown
    assert "[0, 1]" in shown
