"""The demo: three tasks on handwritten digits, with losses, curriculum and weights of this library.

`python -m jaxloss demo` trains a network with a trunk and three heads in two ways, by the plain sum
of its losses and by a composed objective, and shows both on a clean test set. `data` spoils the
digits, `model` is the network, `objective` what is minimised, `training` the loop, `checkpoint`
saves it, `picture` draws it, `experiment` puts all together.
"""

from __future__ import annotations

import argparse
import importlib
from typing import TYPE_CHECKING, Any

from jaxloss.demo.options import Options, add_arguments, parsed

if TYPE_CHECKING:
    from jaxloss.demo.experiment import Results

__all__ = ["Options", "add_arguments", "main", "run"]


def run(options: Options) -> Results:
    """Train, test and draw, without a word; see `jaxloss.demo.experiment.run`."""
    return _load("experiment").run(options)


def main(arguments: argparse.Namespace) -> int:
    """Run the demo as the command line asks, print what came out, and return the exit status."""
    options = parsed(arguments)
    report = _load("report")
    report.print_results(_load("experiment").run(options, say=print))
    return 0 if report.print_verification(options.seed) else 1


def _load(module: str) -> Any:
    """Import a module of the demo, or say what is missing."""
    try:
        return importlib.import_module(f"jaxloss.demo.{module}")
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.startswith("jaxloss"):
            raise
        raise ImportError(
            f"The demo needs {error.name}: pip install 'jaxloss[demo]' brings all that it needs."
        ) from error
