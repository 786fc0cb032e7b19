"""The picture of a run: losses, learned weights, and what the curriculum let through."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxloss.demo import objective, training

# Okabe and Ito's colours, which the colour-blind can tell apart; line styles say the same again.
COLOURS = {"plain sum": "#E69F00", "jaxloss": "#0072B2"}
TASK_COLOURS = {"digit": "#0072B2", "odd": "#D55E00", "ink": "#009E73"}
TASK_STYLES = {"digit": "-", "odd": "--", "ink": "-."}
UNITS = {
    "digit": "cross-entropy (nats)",
    "odd": "cross-entropy (nats)",
    "ink": "Huber loss (squared spreads)",
}
SPOILED = {"digit": "wrong labels", "ink": "slipped decimal points"}
RIGHT = {"digit": "right labels", "ink": "right values"}


def draw(tracks: dict[str, training.Track], steps: int) -> Figure:
    """Draw validation and training losses of each task above, weights and curricula below."""
    figure = Figure(figsize=(13, 7.5), layout="constrained")
    figure.suptitle(
        "Three tasks on handwritten digits: jaxloss (curriculum, learned weights) and plain sum",
        fontsize=14,
    )
    axes = figure.subplots(2, 3)
    for axis, task in zip(axes[0], objective.TASKS, strict=True):
        _losses(axis, task, tracks, steps)
    _weights(axes[1, 0], tracks["jaxloss"])
    for axis, task in zip(axes[1, 1:], SPOILED, strict=True):
        _admitted(axis, task, tracks["jaxloss"], steps)
    for axis in axes.flat:
        axis.set_xlabel("step")
        axis.set_xlim(0, _reached(tracks, steps))
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def save(figure: Figure, file: Path) -> None:
    """Write the picture, in the format that the name of the file asks for."""
    figure.savefig(file, dpi=110)


def _reached(tracks: dict[str, training.Track], steps: int) -> int:
    """Return the last step that any track has taken."""
    losses = [track.history["loss"]["digit"] for track in tracks.values()]
    return max(2, *(int(np.isfinite(loss).sum()) for loss in losses), min(steps, 2))


def _losses(axis: Axes, task: str, tracks: dict[str, training.Track], steps: int) -> None:
    """Draw one task's loss: bold on the clean validation set, faint on the spoiled training set."""
    looks = training.looks_at(steps)
    for name, track in tracks.items():
        colour = COLOURS[name]
        style = "-" if name == "jaxloss" else "--"
        seen = track.history["validation"][task]
        axis.plot(looks, seen, style, color=colour, linewidth=2, label=f"{name}, validation")
        smooth = _smooth(track.history["loss"][task])
        axis.plot(
            1 + np.arange(steps), smooth, style, color=colour, alpha=0.4, label=f"{name}, training"
        )
        if track.best_step:
            best = seen[looks.index(track.best_step)]
            axis.plot(track.best_step, best, "o", color=colour, markersize=7)
    axis.set(title=f"{task}: loss (dot: kept)", ylabel=UNITS[task], yscale="log")
    axis.legend(fontsize=8, frameon=False)


def _smooth(values: np.ndarray, width: int = 2 * training.EVERY) -> np.ndarray:
    """Average each value with those before it, at most `width` in all."""
    sums = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    ends = np.arange(1, len(values) + 1)
    begins = np.maximum(ends - width, 0)
    return (sums[ends] - sums[begins]) / (ends - begins)


def _weights(axis: Axes, track: training.Track) -> None:
    weights: dict[str, Any] = track.history["weight"]
    for task, values in weights.items():
        steps = 1 + np.arange(len(values))
        axis.plot(
            steps, values, TASK_STYLES[task], color=TASK_COLOURS[task], linewidth=2, label=task
        )
    axis.set(title="learned weights of the tasks", ylabel="weight, exp(-s) / 2", yscale="log")
    axis.legend(fontsize=8, frameon=False)


def _admitted(axis: Axes, task: str, track: training.Track, steps: int) -> None:
    looks, colour = training.looks_at(steps), TASK_COLOURS[task]
    right = 100 * track.history["admitted"][task]
    spoiled = 100 * track.history["admitted_spoiled"][task]
    axis.plot(looks, right, "-", color=colour, linewidth=2, label=RIGHT[task])
    axis.plot(looks, spoiled, ":", color="#CC79A7", linewidth=2.5, label=SPOILED[task])
    title = f"{task}: admitted by the curriculum"
    axis.set(title=title, ylabel="share of training examples (%)", ylim=(-3, 103))
    axis.legend(fontsize=8, frameon=False, loc="center right")


def require_writable(file: Path) -> None:
    """Raise `ValueError` for a file that cannot be written, before anything is trained."""
    kinds = Figure().canvas.get_supported_filetypes()
    if file.suffix.lower().removeprefix(".") not in kinds:
        raise ValueError(f"--out: {file} must end in one of .{', .'.join(sorted(kinds))}.")
    if file.is_dir() or not file.parent.is_dir():
        raise ValueError(f"--out: {file} must be a file in a directory that exists.")
    if not os.access(file if file.exists() else file.parent, os.W_OK):
        raise ValueError(f"--out: {file} cannot be written; choose another place.")
