"""One run of the demo: train both ways, go on where an earlier run was killed, test, draw."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from jaxloss import console
from jaxloss.demo import checkpoint, data, objective, picture, training
from jaxloss.demo.options import Options

SAVE_EVERY = 5 * training.EVERY  # steps
Tracks = dict[str, training.Track]


class Results(NamedTuple):
    """What came out.

    Attributes:
      metrics: for each way of training its numbers on the test set.
      weights: the learned weight of each task, at the step that was kept.
      tracks: both trainings, with their histories.
      picture: where it was written.
    """

    metrics: dict[str, dict[str, float]]
    weights: dict[str, float]
    tracks: Tracks
    picture: Path


def run(options: Options, say: Callable[[str], None] = lambda line: None) -> Results:
    """Train, test and draw.

    Args:
      options: of the run.
      say: called with what the reader should know before training begins.

    Returns:
      The results; the picture is written.

    Raises:
      ValueError, OSError: for a directory of checkpoints or a picture's file that cannot be used.
    """
    picture.require_writable(options.out)
    dataset = data.load(options.seed)
    say(describe(dataset))
    tracks = train(options, dataset, say)
    metrics = {
        name: training.evaluate(track.best, dataset.test, dataset) for name, track in tracks.items()
    }
    picture.save(picture.draw(tracks, options.steps), options.out)
    return Results(metrics, _kept_weights(tracks["jaxloss"]), tracks, options.out)


def describe(dataset: data.Data) -> str:
    """Say in words what the data are."""
    train = dataset.train
    counts = [int((train.targets["digit"] == k).sum()) for k in range(data.CLASSES)]
    return (
        f"Handwritten digits, 8 x 8: {len(train.images)} for training, "
        f"{len(dataset.validation.images)} for validation, {len(dataset.test.images)} for the "
        "test.\n"
        f"Training set only: {train.spoiled['digit'].mean():.0%} of the digit labels are wrong "
        f"(labelled 0 to 9: {', '.join(map(str, counts))}),\n"
        f"{train.spoiled['ink'].mean():.0%} of the ink values are ten times too large. Validation "
        "and test set are clean and balanced."
    )


def train(
    options: Options, dataset: data.Data, say: Callable[[str], None] = lambda line: None
) -> Tracks:
    """Train until both ways have stopped, saving and resuming where options say so."""
    ways = training.objectives()
    machines = {
        name: training.build(combine, dataset, options.seed) for name, combine in ways.items()
    }
    tracks = {
        name: training.start(combine, options.seed, options.steps) for name, combine in ways.items()
    }
    saved = _open(options)
    try:
        begun, tracks = _resume(saved, tracks, say)
        with console.progress(options.steps, "training", done=begun) as advance:
            for steps in _chunks(begun, options.steps):
                if all(track.stopping.should_stop for track in tracks.values()):
                    break
                tracks = _advance(tracks, machines, dataset, options, steps)
                advance(len(steps), note=_losses(tracks))
                if saved is not None and _to_be_saved(steps.stop, tracks, options):
                    saved.save(steps.stop, tracks)
    finally:
        if saved is not None:
            saved.close()
    return tracks


def _open(options: Options) -> checkpoint.Checkpoints | None:
    if options.checkpoint is None:
        return None
    identity = {"seed": options.seed, "steps": options.steps, "batch size": options.batch_size}
    return checkpoint.Checkpoints(options.checkpoint, identity)


def _resume(
    saved: checkpoint.Checkpoints | None, tracks: Tracks, say: Callable[[str], None]
) -> tuple[int, Tracks]:
    if saved is None or (found := saved.restore(tracks)) is None:
        return 0, tracks
    begun, restored = found
    say(f"Going on after step {begun}, from {saved.directory}.")
    return begun, {name: restored[name] for name in tracks}  # orbax sorts the names


def _chunks(begun: int, steps: int) -> list[range]:
    """Cut the steps that are left so that each piece ends with a look at the validation set."""
    ends = [end for end in training.looks_at(steps) if end > begun]
    return [range(a, b) for a, b in zip([begun, *ends], ends, strict=False)]


def _advance(
    tracks: Tracks,
    machines: dict[str, training.Machinery],
    dataset: data.Data,
    options: Options,
    steps: range,
) -> Tracks:
    def one(name: str) -> training.Track:
        return training.advance(tracks[name], machines[name], batches, steps)

    devices = next(iter(machines.values())).devices
    batches = data.batches(
        dataset.train, steps, seed=options.seed, batch_size=options.batch_size, multiple=devices
    )
    return {name: one(name) for name in tracks}


def _to_be_saved(step: int, tracks: Tracks, options: Options) -> bool:
    stopped = all(track.stopping.should_stop for track in tracks.values())
    return stopped or step == options.steps or step % SAVE_EVERY == 0


def _losses(tracks: Tracks) -> str:
    best = {name: track.stopping.best_metric for name, track in tracks.items()}
    return "best validation loss: " + ", ".join(f"{name} {x:.3f}" for name, x in best.items())


def _kept_weights(track: training.Track) -> dict[str, float]:
    weights: dict[str, Any] = track.history["weight"]
    return {task: float(weights[task][track.best_step - 1]) for task in objective.TASKS}
