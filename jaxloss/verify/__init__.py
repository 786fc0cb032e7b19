"""Does a loss do what mathematics says? The tool this library tests itself with, for any loss.

`check` takes any function, `entry` a loss of the catalogue. Both return a `Report`:

>>> import jax.numpy as jnp
>>> from jaxloss import verify
>>> def halved(predictions, targets):
...     return 0.5 * jnp.abs(predictions - targets)
>>> claims = [verify.convex("predictions")]
>>> report = verify.check(halved, verify.reals(), verify.reals(), claims=claims)
>>> report["P1"].verdict, report["G1"].verdict
('pass', 'pass')

Smaller tools stand beside it: `assert_gradients` for tests, `explain_nan` for where a NaN comes
from, `compare` for where two losses differ, `checked` for bad values under `jit`, `precise` for
what a function and its gradient are without rounding:

>>> print(verify.precise.evaluate(lambda x: jnp.log(1 + jnp.exp(x)), -90.0))
8.19401262399052e-40

A new check is a generator function under `@check(id, title)` in a module of
`jaxloss.verify.checks`, in its `CHECKS`; a new claim is a function that returns a `Claim`
(`jaxloss.catalog.claims`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from jaxloss import catalog
from jaxloss.catalog.claims import (
    Claim,
    at_most,
    bounded,
    by_default,
    calibrated,
    convex,
    cost_of_order,
    decomposable,
    elicits,
    equals,
    gradient_is,
    holds,
    homogeneous,
    informative_gradient,
    lipschitz,
    minimum_at_target,
    monotone,
    no_gradient,
    nonnegative,
    permutation_equivariant,
    permutation_invariant,
    positive_off_target,
    proper,
    scale_invariant,
    shift_invariant,
    smooth,
    stopped,
    strictly_proper,
    symmetric,
    translation_invariant,
    zero_at_target,
)
from jaxloss.catalog.kinds import (
    Kind,
    above_minus_one,
    boxes,
    example,
    groups,
    images,
    labels,
    lengths,
    log_odds,
    log_probabilities,
    logits,
    mask,
    one_hot,
    points,
    positive,
    probabilities,
    probability,
    reals,
    relevance,
    scores,
    shares,
    signs,
    simplex,
    temperature,
    vectors,
    weights,
)
from jaxloss.verify import precise, signature, waiver
from jaxloss.verify.checked import checked
from jaxloss.verify.checks import CHECKS, THOROUGH
from jaxloss.verify.compare import Comparison, Difference, compare
from jaxloss.verify.explain import Explanation, Step, explain_nan
from jaxloss.verify.frame import Check
from jaxloss.verify.gradients import assert_gradients
from jaxloss.verify.parametrize import parametrize
from jaxloss.verify.report import VERDICTS, Finding, Report, environment, junit
from jaxloss.verify.subject import Subject
from jaxloss.verify.ulps import Accuracy, accuracy

__all__ = [
    "CHECKS",
    "LEVELS",
    "VERDICTS",
    "Accuracy",
    "Claim",
    "Comparison",
    "Difference",
    "Explanation",
    "Finding",
    "Kind",
    "Report",
    "Step",
    "above_minus_one",
    "accuracy",
    "assert_gradients",
    "at_most",
    "bounded",
    "boxes",
    "by_default",
    "calibrated",
    "check",
    "checked",
    "compare",
    "convex",
    "cost_of_order",
    "decomposable",
    "elicits",
    "entry",
    "equals",
    "example",
    "explain_nan",
    "gradient_is",
    "groups",
    "holds",
    "homogeneous",
    "images",
    "informative_gradient",
    "junit",
    "labels",
    "lengths",
    "lipschitz",
    "log_odds",
    "log_probabilities",
    "logits",
    "mask",
    "minimum_at_target",
    "monotone",
    "no_gradient",
    "nonnegative",
    "one_hot",
    "parametrize",
    "permutation_equivariant",
    "permutation_invariant",
    "points",
    "positive",
    "positive_off_target",
    "precise",
    "probabilities",
    "probability",
    "proper",
    "reals",
    "relevance",
    "scale_invariant",
    "scores",
    "shares",
    "shift_invariant",
    "signs",
    "simplex",
    "smooth",
    "stopped",
    "strictly_proper",
    "symmetric",
    "temperature",
    "translation_invariant",
    "vectors",
    "weights",
    "zero_at_target",
]

LEVELS = ("quick", "standard", "exhaustive")


def check(
    loss: Callable[..., Any],
    *arguments: Any,
    kinds: Mapping[str, Any] | None = None,
    wrt: Sequence[str] | None = None,
    claims: Sequence[Claim] = (),
    reference: Callable[..., Any] | None = None,
    settings: Sequence[Mapping[str, Any]] = ({},),
    only: Sequence[str] | None = None,
    level: str = "standard",
    dtypes: Sequence[str] | None = None,
    waive: Mapping[str, str] | None = None,
    strict: bool = False,
    name: str | None = None,
    seed: int | None = 0,
    raise_on_fail: bool = False,
) -> Report:
    """Verify any loss.

    Args:
      loss: called as `loss(*arguments, **setting)`; returns one value for each example (or any
        array, when the checks of single examples are skipped).
      *arguments: for each data argument its kind (`verify.reals()`, `verify.labels(10)`), or an
        example array, around which samples are then drawn.
      kinds: the same by name, for those that `arguments` leave out.
      wrt: the arguments to differentiate in, by name; None for all that hold real numbers.
      claims: what mathematics says of it (`verify.convex("predictions")`).
      reference: the formula for one example in mpmath arithmetic; takes a number, an integer or a
        list for each argument, and the hyper-parameters. Without it values are only checked for
        rounding.
      settings: hyper-parameters to verify it under; the first are taken as the defaults.
      only: ids of the checks to run (claims are `P1`, `P2`, ...); None for all of the level.
      level: "quick" (values, kinks, edges, masks, errors, dtypes and claims); "standard" (also
        other ways to differentiate, low precision, transformations and devices); or "exhaustive"
        (also what `precise` says of derivatives, and of values that have a reference).
      dtypes: of the inputs, for the checks that tell them apart; None for float64, float32,
        bfloat16 and float16.
      waive: failures that are known, as reasons by check: `{"S4": "see #12"}`, or of one dtype,
        `{"G3.float16": "see #13"}`. They are shown as waived; what does not fail any more, fails.
      strict: also demand this library's error messages.
      name: for the report; the function's own by default.
      seed: of all random choices; None draws one, which the report prints.
      raise_on_fail: raise what failed, in tests.

    Returns:
      A `Report`.

    Raises:
      AssertionError: if asked to, with each failure, its input and its reproduction.
      TypeError: if there are more arguments than the loss takes, or others.
      ValueError: if `only` or `waive` names a check that does not exist, `dtypes` another dtype.
    """
    subject = signature.subject(
        loss,
        *arguments,
        kinds=kinds,
        wrt=wrt,
        name=name,
        settings=settings,
        claims=claims,
        reference=reference,
        strict=strict,
        seed=_seed(seed),
    )
    report = _run(subject, only, level, dtypes, waive)
    return report.raise_if_failed() if raise_on_fail else report


def entry(
    name: str | catalog.Entry,
    *,
    only: Sequence[str] | None = None,
    level: str = "standard",
    dtypes: Sequence[str] | None = None,
    waive: Mapping[str, str] | None = None,
    seed: int | None = 0,
) -> Report:
    """Verify a loss of the catalogue against everything the catalogue says of it.

    Args:
      name: the public name of a loss; or an entry that is not in the catalogue yet.
      only: ids of the checks to run; None for all of the level.
      level: "quick", "standard" or "exhaustive", as for `check`.
      dtypes: of the inputs, as for `check`.
      waive: reasons for failures that are known, as for `check`.
      seed: of all random choices; None draws one.

    Returns:
      A `Report`.

    Raises:
      KeyError: for a loss that is not in the catalogue.

    Example:
      >>> from jaxloss import verify
      >>> verify.entry("huber_loss", only=["V1", "D1"]).ok
      True
    """
    known = name if isinstance(name, catalog.Entry) else catalog.get(name)
    return _run(Subject.of(known, _seed(seed)), only, level, dtypes, waive)


def _seed(seed: int | None) -> int:
    return int(np.random.default_rng().integers(2**31)) if seed is None else seed


def _run(
    subject: Subject,
    only: Sequence[str] | None,
    level: str,
    dtypes: Sequence[str] | None,
    waive: Mapping[str, str] | None,
) -> Report:
    subject.dtypes, subject.level = waiver.among(dtypes), level
    checks = chosen(subject, only, level)
    reasons = waiver.read(waive or {}, all_checks(subject))
    start = time.perf_counter()
    findings = tuple(f for c in checks for f in waiver.run(c, subject, reasons))
    return Report(subject.name, findings, subject.seed, environment(), time.perf_counter() - start)


def all_checks(subject: Subject) -> list[Check]:
    """Return the checks there are, and the claims of a subject as `P1`, `P2`, ..."""
    claims = [Check(f"P{i}", str(c), c.check) for i, c in enumerate(subject.claims, 1)]
    return [*CHECKS, *claims]


def chosen(subject: Subject, only: Sequence[str] | None, level: str) -> list[Check]:
    """Return the checks of a level, or those named."""
    if level not in LEVELS:
        raise ValueError(f"verify: level must be one of {LEVELS}, got {level!r}.")
    checks = all_checks(subject)
    if only is None:
        return [c for c in checks if level != "quick" or c.id not in THOROUGH]
    if unknown := set(only) - {c.id for c in checks}:
        have = ", ".join(c.id for c in checks)
        raise ValueError(f"verify: only must name checks among {have}, got {sorted(unknown)}.")
    return [c for c in checks if c.id in only]
