"""A test for each loss, check and dtype, by pytest's own means.

`parametrize` marks a test; the plugin `pytest_jaxloss` asks `params` for its cases, and gathers
what they have found. Each case runs its check alone, and those of a loss share what is compiled.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from jaxloss import catalog, verify
from jaxloss.verify import signature, waiver
from jaxloss.verify.frame import Check
from jaxloss.verify.report import Finding, Report, environment
from jaxloss.verify.subject import Subject

Loss = str | catalog.Entry | Callable[..., Any]


def parametrize(
    loss: Loss | Sequence[str],
    *arguments: Any,
    checks: str | Sequence[str] = "all",
    level: str | None = None,
    dtypes: Sequence[str] | None = None,
    waive: Mapping[str, str] | None = None,
    seed: int | None = None,
    **described: Any,
) -> Any:
    """Make one test of each check: `test_losses[huber_loss-G3-float32]`.

    The test takes the argument `check`, and calls it. What does not apply is skipped with its
    reason, what is waived is expected to fail, strictly. Decorators may be stacked.

    Args:
      loss: the name of a loss of the catalogue, or several; or a function of one's own.
      *arguments: the kinds of its arguments, where it is one's own.
      checks: their ids, or "all" of the level.
      level: as for `verify.check`; None for `--jaxloss-level`.
      dtypes: for the checks that tell them apart; None for all of theirs.
      waive: reasons for known failures, `{"S4": "see #12", "huber_loss:G3.float16": "see #13"}`.
      seed: of the samples; None for `--jaxloss-seed`.
      **described: of a loss of one's own what `verify.check` takes: `claims`, `reference`, ...

    Returns:
      A mark for a test function. It needs pytest, and the plugin that comes with this library.

    Raises:
      KeyError: for a loss that is not in the catalogue.

    Example:
      >>> from jaxloss import verify
      >>> @verify.parametrize(["l2_loss", "huber_loss"], checks=["S1", "G3"])
      ... def test_losses(check):
      ...     check()
    """
    import pytest

    names = loss if isinstance(loss, list | tuple) else [loss]
    groups = [
        _Group(_source(each, arguments, described), checks, level, dtypes, waive or {}, seed)
        for each in names
    ]
    return pytest.mark.jaxloss(*groups)


def _source(
    loss: Any, arguments: Sequence[Any], described: Mapping[str, Any]
) -> Callable[[int], Subject]:
    """Return what makes a subject from a seed."""
    if isinstance(loss, str | catalog.Entry):
        entry = catalog.get(loss) if isinstance(loss, str) else loss
        return functools.partial(Subject.of, entry)
    return lambda seed: signature.subject(loss, *arguments, seed=seed, **described)


@dataclass(frozen=True, eq=False)
class _Group:
    """The checks of one loss."""

    make: Callable[[int], Subject]
    checks: str | Sequence[str]
    level: str | None
    dtypes: Sequence[str] | None
    waive: Mapping[str, str]
    seed: int | None

    def cases(self, level: str, seed: int) -> Iterator[Case]:
        """Yield the cases, for a level and a seed where none were given."""
        seed = seed if self.seed is None else self.seed
        subject = self.make(seed)
        only = None if self.checks == "all" else self.checks
        level = self.level or level
        checks = verify.chosen(subject, only, level)
        reasons = waiver.read(waiver.of(subject.name, self.waive), verify.all_checks(subject))
        asked = waiver.among(self.dtypes)
        for check in checks:
            whole = not check.dtypes or (check.id, "") in reasons
            for dtype in [""] if whole else [d for d in asked if d in check.dtypes]:
                reason = reasons.get((check.id, dtype))
                yield Case(self, check, dtype, reason, subject.name, seed, level)


@functools.lru_cache(maxsize=2)
def _subject(group: _Group, seed: int) -> Subject:
    # The cases of a loss follow each other; what was compiled for earlier ones is freed.
    return group.make(seed)


@dataclass(eq=False)
class Case:
    """One check of a loss in one dtype, or in all that it knows.

    Attributes:
      group: what it is of.
      check: the check.
      dtype: `""` where the check does not tell dtypes apart.
      reason: why it may fail, if it may.
      loss: the name of the loss.
      seed: of the samples.
      level: how thoroughly it is verified.
      found: what it found, once it was called.
    """

    group: _Group
    check: Check
    dtype: str
    reason: str | None
    loss: str
    seed: int
    level: str
    found: list[Report] = field(default_factory=list)

    @property
    def id(self) -> str:
        """How the test is called: `huber_loss-G3-float32`."""
        return "-".join(filter(None, (self.loss, self.check.id, self.dtype)))

    def __call__(self) -> Finding:
        """Run the check; skip or fail the test, or return what was found."""
        import pytest

        subject = _subject(self.group, self.seed)
        subject = subject.within((self.dtype,) if self.dtype else waiver.among(self.group.dtypes))
        # Whatever ran before, as in a run of this check alone.
        subject.rng, subject.level = np.random.default_rng(self.seed), self.level
        start = time.perf_counter()
        finding = self.check(subject)
        if self.dtype:
            finding = replace(finding, check=f"{finding.check}.{self.dtype}")
        seconds = time.perf_counter() - start
        report = Report(self.loss, (finding,), self.seed, environment(), seconds)
        known = finding if self.reason is None else waiver.judged(finding, self.reason)
        self.found.append(replace(report, findings=(known,)))
        if finding.verdict == "skip":
            pytest.skip(finding.messages[0])
        report.raise_if_failed()
        return finding


def params(groups: Sequence[_Group], level: str, seed: int) -> list[Any]:
    """Return pytest's parameters for groups, those that are waived marked as failing."""
    import pytest

    return [
        pytest.param(case, id=case.id, marks=[] if case.reason is None else [_fails(case.reason)])
        for group in groups
        for case in group.cases(level, seed)
    ]


def _fails(reason: str) -> Any:
    import pytest

    return pytest.mark.xfail(strict=True, raises=AssertionError, reason=reason)
