"""What is to be verified, in words, so that another process can be asked for it."""

from __future__ import annotations

import argparse
import contextlib
import inspect
import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from jaxloss import catalog, verify
from jaxloss.cli import build
from jaxloss.verify import Report, waiver

# Fewer losses are verified sooner than another process has started.
FEW = 8


@dataclass(frozen=True)
class Request:
    """A loss, of the catalogue or `module:function`, and how to verify it.

    Attributes:
      target: its name.
      call: what `verify.check` and `verify.entry` both take.
      own: what only a loss of one's own needs said: arguments, claims and so on, in words.
    """

    target: str
    call: dict[str, Any]
    own: dict[str, Any]

    def checked(self) -> Request:
        """Return the request, if what it names exists.

        Raises:
          ValueError: if something does not.
          KeyError: for a loss that is not in the catalogue.
        """
        if ":" in self.target:
            self._built()
        else:
            catalog.get(self.target)
        return self

    def report(self) -> Report:
        """Carry it out."""
        if ":" not in self.target:
            return verify.entry(self.target, **self.call)
        loss, kinds, more = self._built()
        return verify.check(loss, kinds=kinds, name=self.target, **more, **self.call)

    def _built(self) -> tuple[Any, dict[str, Any], dict[str, Any]]:
        loss = build.function(self.target)
        if not self.own["args"]:
            raise ValueError(f"say what the arguments of {self.target} are: --arg NAME=KIND")
        kinds = {k: build.kind(v) for k, v in self.own["args"].items()}
        _takes(self.target, loss, self.own["setting"])
        try:
            verify.signature.data(loss, (), kinds, self.own["wrt"])
        except TypeError as error:
            raise ValueError(f"{self.target}: {error}") from error
        reference = self.own["reference"]
        return loss, kinds, {
            "claims": [build.claim(c, list(kinds)) for c in self.own["claims"]],
            "settings": [self.own["setting"]],
            "reference": build.function(reference) if reference else None,
            "wrt": self.own["wrt"],
        }  # fmt: skip


def _takes(target: str, loss: Any, setting: dict[str, Any]) -> None:
    parameters = inspect.signature(loss).parameters
    known = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    if not known and (unknown := set(setting) - set(parameters)):
        raise ValueError(
            f"{target} has no {', '.join(sorted(unknown))}; it has {', '.join(parameters)}"
        )


def requests(options: argparse.Namespace) -> list[Request]:
    """Return what the options ask for.

    Raises:
      ValueError: for options that cannot be read.
    """
    targets = options.names or catalog.names()
    own = {
        "args": dict(_pair(text, "--arg") for text in options.arg),
        "claims": options.claim,
        "setting": {k: build.value(v) for k, v in (_pair(t, "--set") for t in options.set)},
        "reference": options.reference,
        "wrt": options.wrt.split(",") if options.wrt else None,
    }
    if any(own.values()) and not any(":" in t for t in targets):
        raise ValueError("--arg, --claim, --set, --wrt and --reference are for module:function")
    split = lambda text: text.split(",") if text else None
    call = {"only": split(options.only), "level": options.level, "dtypes": split(options.dtypes)}
    call["seed"] = _seed(options.seed)
    waive = dict(_pair(text, "--waive") for text in options.waive)
    if strangers := {key.rpartition(":")[0] for key in waive} - {"", *targets}:
        raise ValueError(f"--waive names {', '.join(strangers)}, which is not verified")
    return [
        Request(target, {**call, "waive": waiver.of(target, waive)}, own).checked()
        for target in targets
    ]


def _pair(text: str, option: str) -> tuple[str, str]:
    key, given, value = text.partition("=")
    if not given:
        raise ValueError(f"{option} must be NAME=..., got {text!r}")
    return key, value


def _seed(text: str) -> int:
    if text == "random":
        return int(np.random.default_rng().integers(2**31))
    if not text.isdigit():
        raise ValueError(f"--seed must be a whole number or 'random', got {text!r}")
    return int(text)


def jobs(asked: int | None, count: int) -> int:
    """Return in how many processes to verify a number of losses: as many as there are cores.

    Raises:
      ValueError: for less than one.
    """
    if asked is not None and asked < 1:
        raise ValueError(f"--jobs must be at least 1, got {asked}")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(asked or (cores or 1 if count >= FEW else 1), count)


def reports(wanted: Sequence[Request], processes: int) -> Iterator[Report]:
    """Carry out requests, and yield their reports in order."""
    if processes == 1:
        _split_the_processor()
        yield from map(Request.report, wanted)
        return
    # They share an accelerator, if there is one.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    spawned = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, spawned, _prepare)
    try:
        for future in [pool.submit(request.report) for request in wanted]:
            yield future.result()
    except BrokenProcessPool as error:
        raise ValueError("a process ended before its time; try --jobs 1") from error
    finally:
        # Nothing is cancelled: the pool of Python 3.11 cannot end what is.
        for child in multiprocessing.active_children():
            child.terminate()
        pool.shutdown()


def _prepare() -> None:
    # The parent ends its children itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _split_the_processor()


def _split_the_processor() -> None:
    """Make two devices of it, without which each loss needs another process to be split."""
    if "device_count" not in os.environ.get("XLA_FLAGS", ""):
        # Too late where a loss of one's own has computed something while it was imported.
        with contextlib.suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", 2)
