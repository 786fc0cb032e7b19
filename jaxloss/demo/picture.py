"""The picture of a run: losses, learned weights, and what the curriculum let through."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from jaxloss.demo import objective, training

# Okabe and Ito's colours, which the colour-blind can tell apart; line styles say the same again.
COLOURS = {"plain sum": "#E69F00", "jaxloss": "#0072B2"}
STYLES = {"plain sum": "--", "jaxloss": "-"}
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
    figure = Figure(figsize=(13, 8), layout=ConstrainedLayoutEngine(h_pad=0.08, w_pad=0.08))
    figure.suptitle("Three tasks on handwritten digits, trained in two ways", fontsize=15)
    halves: Any = figure.subfigures(2, 1)
    upper, lower = halves
    above, below = upper.subplots(1, 3), lower.subplots(1, 3)
    for axis, task in zip(above, objective.TASKS, strict=True):
        _losses(axis, task, tracks, steps)
    _weights(below[0], tracks["jaxloss"])
    for axis, task in zip(below[1:], SPOILED, strict=True):
        _admitted(axis, task, tracks["jaxloss"], steps)
    for axis in (*above, *below):
        axis.set_xlabel("step")
        axis.set_xlim(0, _reached(tracks))
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    # One legend for the upper row, below it: the curves leave no room inside the axes.
    lines = above[0].get_legend_handles_labels()
    upper.legend(*lines, loc="outside lower center", ncols=len(lines[0]), frameon=False)
    return figure


def save(figure: Figure, file: Path) -> None:
    """Write the picture, in the format that the name of the file asks for."""
    figure.savefig(file, dpi=110)


def _reached(tracks: dict[str, training.Track]) -> int:
    """Return the last step that any track has taken, at least 2: an axis needs a length."""
    losses = [track.history["loss"]["digit"] for track in tracks.values()]
    return max(2, *(int(np.isfinite(loss).sum()) for loss in losses))


def _losses(axis: Axes, task: str, tracks: dict[str, training.Track], steps: int) -> None:
    """Draw one task's loss: bold on the clean validation set, faint on the spoiled training set."""
    looks = training.looks_at(steps)
    for name, track in tracks.items():
        line: dict[str, Any] = {"color": COLOURS[name], "linestyle": STYLES[name]}
        seen = track.history["validation"][task]
        axis.plot(looks, seen, **line, linewidth=2.2, label=f"{name}, validation")
        smooth = _smooth(track.history["loss"][task])
        axis.plot(1 + np.arange(steps), smooth, **line, alpha=0.4, label=f"{name}, training")
        best = seen[looks.index(track.best_step)]
        axis.plot(track.best_step, best, "o", color=COLOURS[name], markersize=7)
    axis.set(title=f"{task}: loss (dot: parameters kept)", ylabel=UNITS[task], yscale="log")
    _plain_ticks(axis)


def _plain_ticks(axis: Axes) -> None:
    """Write 0.2 and 5 rather than powers of ten, and not so many that they collide."""
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.yaxis.set_minor_formatter(NullFormatter())


def _smooth(values: np.ndarray, width: int = 2 * training.EVERY) -> np.ndarray:
    """Average each value with those before it, at most `width` in all."""
    sums = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    ends = np.arange(1, len(values) + 1)
    begins = np.maximum(ends - width, 0)
    return (sums[ends] - sums[begins]) / (ends - begins)


def _weights(axis: Axes, track: training.Track) -> None:
    for task in objective.TASKS:
        values = track.history["weight"][task]
        steps = 1 + np.arange(len(values))
        axis.plot(
            steps, values, TASK_STYLES[task], color=TASK_COLOURS[task], linewidth=2, label=task
        )
    axis.set(
        title="jaxloss: learned weights of the tasks", ylabel="weight, exp(-s) / 2", yscale="log"
    )
    _plain_ticks(axis)
    axis.legend(frameon=False)


def _admitted(axis: Axes, task: str, track: training.Track, steps: int) -> None:
    looks, colour = training.looks_at(steps), TASK_COLOURS[task]
    right = 100 * track.history["admitted"][task]
    spoiled = 100 * track.history["admitted_spoiled"][task]
    axis.plot(looks, right, "-", color=colour, linewidth=2, label=RIGHT[task])
    axis.plot(looks, spoiled, ":", color="#CC79A7", linewidth=2.5, label=SPOILED[task])
    title = f"jaxloss: {task}s" if task == "digit" else f"jaxloss: {task}"
    title += " admitted by the curriculum"
    axis.set(title=title, ylabel="share of training examples (%)", ylim=(-3, 103))
    axis.legend(frameon=False, loc="center right")


def require_writable(file: Path) -> None:
    """Raise `ValueError` for a file that cannot be written, before anything is trained."""
    kinds = Figure().canvas.get_supported_filetypes()
    if file.suffix.lower().removeprefix(".") not in kinds:
        raise ValueError(f"--out: {file} must end in one of .{', .'.join(sorted(kinds))}.")
    if file.is_dir() or not file.parent.is_dir():
        raise ValueError(f"--out: {file} must be a file in a directory that exists.")
    if not os.access(file if file.exists() else file.parent, os.W_OK):
        raise ValueError(f"--out: {file} cannot be written; choose another place.")
