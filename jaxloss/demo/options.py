"""The options of the demo, and what they may be."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, fields
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """What a run depends on.

    Attributes:
      steps: most steps of training; early stopping may end it before.
      seed: of data, parameters and batches; the same seed gives the same numbers.
      out: where the picture goes.
      checkpoint: directory to save in and to go on from; None for neither.
      batch_size: examples in a step.
    """

    steps: int = 1500
    seed: int = 0
    out: Path = Path("jaxloss-demo.png")
    checkpoint: Path | None = None
    batch_size: int = 64

    def __post_init__(self) -> None:
        """Refuse what cannot be, before anything is trained."""
        for name, least in (("steps", 1), ("seed", 0), ("batch_size", 1)):
            if getattr(self, name) < least:
                flag = f"--{name.replace('_', '-')}"
                raise ValueError(f"{flag} must be at least {least}, got {getattr(self, name)}.")
        object.__setattr__(self, "out", Path(self.out))
        if self.checkpoint is not None:
            object.__setattr__(self, "checkpoint", Path(self.checkpoint))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options to argparse."""
    add, default = parser.add_argument, Options()
    add("--steps", type=int, default=default.steps, help="most steps of training (%(default)s)")
    add("--seed", type=int, default=default.seed, help="same seed, same numbers (%(default)s)")
    add("--out", type=Path, default=default.out, help="where the picture goes (%(default)s)")
    add("--checkpoint", type=Path, metavar="DIR", help="save there, and go on from there")
    add("--batch-size", type=int, default=default.batch_size, help="(%(default)s)")


def parsed(arguments: argparse.Namespace) -> Options:
    """Return the options that argparse has read."""
    return Options(**{field.name: getattr(arguments, field.name) for field in fields(Options)})
