"""The options of `jaxloss verify`, apart from what carries them out, which takes long to import."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add = parser.add_argument
    words: Any = {"action": "append", "default": []}
    add(
        "names",
        metavar="NAME",
        nargs="*",
        help="of the catalogue (default: all), or module:function",
    )
    own = parser.add_argument_group("of a module:function")
    own.add_argument("--arg", metavar="NAME=KIND", **words, help="such as labels=labels:10")
    own.add_argument("--claim", metavar="CLAIM", **words, help="such as lipschitz:1.0,predictions")
    own.add_argument("--set", metavar="NAME=VALUE", **words, help="a hyper-parameter")
    own.add_argument("--wrt", metavar="NAMES", help="arguments to differentiate in")
    own.add_argument("--reference", metavar="MODULE:FUNCTION", help="the formula, in mpmath")
    add("--only", metavar="IDS", help="checks to run, such as V1,G1,M1")
    add("--level", default="standard", help="how thoroughly, such as quick (%(default)s)")
    add("--dtypes", metavar="DTYPES", help="such as float32,bfloat16; all by default")
    add("--waive", metavar="[NAME:]ID=REASON", **words, help="a failure that is known")
    add("--seed", default="0", help="of the random samples: a number or random (%(default)s)")
    add("--jobs", type=int, metavar="N", help="processes (the cores; 1 for few losses)")
    add("--baseline", type=Path, metavar="FILE", help="known failures: fail for new ones only")
    add("--update-baseline", action="store_true", help="make what fails now the known failures")
    add("--json", type=Path, metavar="FILE", help="write all findings there")
    add("--markdown", type=Path, metavar="FILE", help="write tables for people there")
    add("--junit", type=Path, metavar="FILE", help="write a test report for CI there")
