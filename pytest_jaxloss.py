"""The pytest plugin of jaxloss: tests of losses, one for each loss, check and dtype.

It stands beside the package and not in it, and imports nothing of it until a test is marked by
`jaxloss.verify.parametrize`: pytest loads plugins for every project in an environment.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FORMATS = (".json", ".md", ".xml")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("jaxloss", "verification of losses")
    add = group.addoption
    add("--jaxloss-level", default="standard", help="how thoroughly, such as quick (%(default)s)")
    add("--jaxloss-seed", default="0", help="of the samples: a number, or random (%(default)s)")
    add("--jaxloss-report", metavar="FILE", help=f"write findings there: {', '.join(FORMATS)}")


def pytest_configure(config: pytest.Config) -> None:
    """Read the options, and draw a seed if that is asked; processes that share the work get it."""
    config.addinivalue_line("markers", "jaxloss(*groups): see jaxloss.verify.parametrize")
    report, seed = config.option.jaxloss_report, config.option.jaxloss_seed
    if report and Path(report).suffix not in FORMATS:
        raise pytest.UsageError(f"--jaxloss-report must end in {', '.join(FORMATS)}, got {report}")
    if seed == "random":
        config.option.jaxloss_seed = seed = str(random.randrange(2**31))
    if not seed.isdigit():
        raise pytest.UsageError(f"--jaxloss-seed must be a whole number or random, got {seed}")
    if report and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Reports(Path(report)), "jaxloss-reports")


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say under what losses are verified, where that was chosen."""
    level, seed = config.option.jaxloss_level, config.option.jaxloss_seed
    chosen = (level, seed) != ("standard", "0")
    return [f"jaxloss: level {level}, seed {seed}"] if chosen else []


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make the tests of what `jaxloss.verify.parametrize` has marked."""
    marks = list(metafunc.definition.iter_markers("jaxloss"))
    if not marks:
        return
    from jaxloss.verify.parametrize import params

    option = metafunc.config.option
    groups = [group for mark in reversed(marks) for group in mark.args]
    try:
        cases = params(groups, option.jaxloss_level, int(option.jaxloss_seed))
    except (TypeError, ValueError) as error:
        raise pytest.UsageError(str(error)) from error
    metafunc.parametrize("check", cases)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: Any, call: Any) -> Iterator[Any]:
    """Attach what a case has found to pytest's report, which travels between processes."""
    report: Any = yield
    if call.when == "call" and item.get_closest_marker("jaxloss"):
        report.jaxloss = [found.to_json() for found in item.callspec.params["check"].found]
    return report


class _Reports:
    """What all tests have found, in one file."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.found: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Keep what a test has found; where it was run twice, the last."""
        for found in getattr(report, "jaxloss", ()):
            self.found[report.nodeid] = found

    def pytest_sessionfinish(self) -> None:
        """Write the file."""
        from jaxloss.verify import files

        reports = files.merged(text for _, text in sorted(self.found.items()))
        files.write(reports, self.file, self.file.suffix[1:])
