"""How it is measured: side by side in one process, in turns, as CPU seconds.

A ratio of two numbers taken in turns outlives changes of the machine's load; a time on its own
does not. CPU seconds count what all threads of the process did, and leave out what others did; they
say nothing of an accelerator, where seconds by the clock until the result is there are compared.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np

from jaxloss.bench.contest import Answer, Operation, Runner, exact, in_jax

# A sample is at least this long, so that the clock's grain and the call's overhead do not count.
SAMPLE_SECONDS = 0.05


class Measurement(NamedTuple):
    """What was found for one contestant at one size.

    Attributes:
      operation: the name.
      size: the parameters.
      contestant: ours or a peer.
      cpu_seconds: the quartiles of one evaluation of value and gradients; empty if it failed.
      wall_seconds: the same by the clock.
      ratio: ours divided by this one, median over the rounds; below 1 we are faster. Of CPU seconds
        on a CPU, by the clock on an accelerator.
      temp_bytes: of the compiled program; None where it is not known.
      memory_ratio: ours divided by this one.
      compile_seconds: None where nothing is compiled.
      error: the largest error of a gradient, relative to its largest entry.
      problem: why there are no numbers, or "wrong" for an error above the tolerance; else "".
    """

    operation: str
    size: str
    contestant: str
    cpu_seconds: tuple[float, ...] = ()
    wall_seconds: tuple[float, ...] = ()
    ratio: float | None = None
    temp_bytes: int | None = None
    memory_ratio: float | None = None
    compile_seconds: float | None = None
    error: float | None = None
    problem: str = ""

    def seconds(self) -> tuple[float, ...]:
        """Return the quartiles that are compared on the device at hand."""
        return self.cpu_seconds if jax.default_backend() == "cpu" else self.wall_seconds


OURS = "jaxloss"


class Spent(NamedTuple):
    """Seconds that one evaluation took."""

    cpu: float
    wall: float

    def compared(self) -> float:
        """Return the one that counts on the device at hand."""
        return self.cpu if jax.default_backend() == "cpu" else self.wall


def measure(
    operation: Operation, size: Mapping[str, int], *, rounds: int = 5, seed: int = 0
) -> list[Measurement]:
    """Measure all contestants of an operation at a size, ours first."""
    inputs = operation.inputs(np.random.default_rng(seed), **size)
    label = " ".join(f"{k}={v}" for k, v in size.items())
    right = exact(operation, inputs)
    runners, problems = _ready(operation, inputs)
    errors = {}
    for name in list(runners):
        try:
            errors[name] = _error(runners[name].answer(), right)
        except Exception as error:
            problems[name] = _first_line(error)
            del runners[name]
    spent = _in_turns(runners, rounds)
    found = [_measurement(operation, label, name, runners, spent, errors[name]) for name in runners]
    failed = [Measurement(operation.name, label, n, problem=p) for n, p in problems.items()]
    return found + failed


def _ready(
    operation: Operation, inputs: Sequence[object]
) -> tuple[dict[str, Runner], dict[str, str]]:
    """Make the contestants ready; what is missing or broken is named, never left out in silence."""
    builders = {OURS: (in_jax, lambda: operation.ours), **operation.peers}
    runners, problems = {}, {}
    for name, (form, build) in builders.items():
        try:
            runners[name] = form(build())(inputs, operation.moving)
        except ImportError as error:
            problems[name] = f"not installed: {error.name or error}"
        except Exception as error:
            problems[name] = _first_line(error)
    return runners, problems


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines() or [""]
    return f"broken: {type(error).__name__}: {lines[0][:100]}"


def _error(answer: Answer, right: Answer) -> float:
    largest = 0.0
    for got, exact_ in zip(answer.gradients, right.gradients, strict=True):
        scale = float(np.abs(exact_).max(initial=0.0)) or 1.0
        largest = max(largest, float(np.abs(got - exact_).max(initial=0.0)) / scale)
    return max(largest, abs(answer.value - right.value) / (abs(right.value) or 1.0))


def _in_turns(runners: Mapping[str, Runner], rounds: int) -> dict[str, list[Spent]]:
    """Return what one evaluation took, once for each round; who begins rotates."""
    names = list(runners)
    times = {name: _repeats(runners[name]) for name in names}
    spent: dict[str, list[Spent]] = {name: [] for name in names}
    for r in range(rounds):
        for name in names[r % len(names) :] + names[: r % len(names)]:
            spent[name].append(_spent(runners[name], times[name]))
    return spent


def _spent(runner: Runner, times: int) -> Spent:
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(times):
        runner.run()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return Spent(cpu / times, wall / times)


def _repeats(runner: Runner) -> int:
    runner.run()
    once = max(_spent(runner, 1).compared(), 1e-7)
    return max(1, int(np.ceil(SAMPLE_SECONDS / once)))


def _measurement(
    operation: Operation,
    size: str,
    name: str,
    runners: Mapping[str, Runner],
    spent: Mapping[str, list[Spent]],
    error: float,
) -> Measurement:
    ours, runner = runners.get(OURS), runners[name]
    cpu, wall = (
        tuple(float(q) for q in np.percentile(seconds, [25, 50, 75]))
        for seconds in zip(*spent[name], strict=True)
    )
    ratio = memory = None
    if OURS in spent:
        pairs = zip(spent[OURS], spent[name], strict=True)
        ratio = float(np.median([own.compared() / theirs.compared() for own, theirs in pairs]))
    if ours and ours.temp_bytes is not None and runner.temp_bytes:
        memory = ours.temp_bytes / runner.temp_bytes
    return Measurement(
        operation.name, size, name, cpu, wall, ratio, runner.temp_bytes, memory,
        runner.compile_seconds, error, "" if error <= operation.tolerance else "wrong",
    )  # fmt: skip


def growth(measurements: Sequence[Measurement]) -> dict[str, float]:
    """Return for each contestant by what factor its time grew from the first size to the last."""
    found = {}
    for name in dict.fromkeys(m.contestant for m in measurements):
        own = [m.seconds()[1] for m in measurements if m.contestant == name and m.seconds()]
        if len(own) > 1:
            found[name] = own[-1] / own[0]
    return found
