"""How exact every elementwise loss is in float32, in units in the last place.

    python benchmarks/accuracy.py [LOSS ...] [--rows N] [--seed N] [--json FILE] [--markdown FILE]

`jaxloss.verify.accuracy` says what a unit is and over which inputs the errors are taken. To be run
as users run the library: without `XLA_FLAGS`. Exit status: 0 where all is within its target or
among what is known to miss it, 1 where something else misses it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxloss import catalog, console, verify

ROWS = 1000
# Why a loss misses a target, where it is known and no simple formula would help.
_BALANCE = (
    "where the terms for a positive and a negative label nearly balance, each is right to a unit "
    "or two of its own size, of which their sum, the derivative, is a small part"
)
REASONS: dict[str, str] = {
    "squared_logarithmic_error": "the compiler's logarithm errs by 1 unit, and the square doubles "
    "the relative error",
    "sigmoid_focal_loss": "`gamma` multiplies the relative error of `1 - p_t`, about that of the "
    f"exponential; {_BALANCE}",
    "asymmetric_loss": "the derivative by the label is the loss of a positive less that of a "
    "negative: where they nearly balance, rounding one of them to float32 can be 8 units of the "
    "difference; likewise the two sides of the derivative by the logit",
    "relativistic_pairing.discriminator": "the difference of the two logits is rounded before its "
    "exponential is taken, which multiplies that by the difference",
    "relativistic_pairing.generator": "as relativistic_pairing.discriminator",
    "bayesian_personalized_ranking_loss": "as relativistic_pairing.discriminator",
    "general_robust_loss": "the squared ratio to the scale is rounded several times; at `alpha` "
    "-10000 the exponential multiplies that",
    "welsch_loss": "the exponential multiplies the rounding of its argument, the squared ratio",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the losses that miss their target and write the files asked for."""
    options = _parser().parse_args(argv)
    if os.environ.get("XLA_FLAGS"):
        print("accuracy: XLA_FLAGS are set, which changes what is measured", file=sys.stderr)
    found = {
        name: verify.accuracy(name, rows=options.rows, seed=options.seed)
        for name in console.track(options.losses or elementwise(), "losses")
    }
    if options.json:
        options.json.write_text(json.dumps(_plain(found), indent=1) + "\n")
    if options.markdown:
        options.markdown.write_text(page(found, options.rows))
    for name, accuracies in found.items():
        for miss in (a for a in accuracies if not a.ok):
            print(
                f"{name}{_under(miss.setting)}: {miss.quantity} {miss.largest:.3g} "
                f"({miss.roundoffs:.3g} roundoffs), {miss.place}"
            )
    missed = {name for name, all_ in found.items() if not all(a.ok for a in all_)}
    return 1 if missed - set(REASONS) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("accuracy.py", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("losses", metavar="LOSS", nargs="*", help="names; all elementwise ones")
    parser.add_argument("--rows", type=int, default=ROWS, help="inputs a setting")
    parser.add_argument("--seed", type=int, default=0, help="of the inputs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers there")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write a page for people")
    return parser


def elementwise() -> list[str]:
    """Return the names of the losses that take single numbers to a single number."""
    entries = catalog.ENTRIES.items()
    return [name for name, e in entries if all(k.event == () for k in e.arguments.values())]


def _plain(found: Mapping[str, list[verify.Accuracy]]) -> list[dict[str, Any]]:
    return [
        {
            "loss": name,
            **a._asdict(),
            "setting": _setting(a.setting),
            "worst": np.array(a.worst).tolist(),
            "target": a.target,
        }
        for name, accuracies in found.items()
        for a in accuracies
    ]


def _setting(setting: Mapping[str, Any]) -> dict[str, Any]:
    """Return the hyper-parameters as they were written, not as float32 holds them."""
    return {k: float(f"{v:.6g}") if isinstance(v, np.floating) else v for k, v in setting.items()}


def _under(setting: Mapping[str, Any]) -> str:
    return "".join(f", {k}={v:g}" for k, v in _setting(setting).items())


def page(found: Mapping[str, list[verify.Accuracy]], rows: int) -> str:
    """Return the tables as a page of documentation."""
    lines = [_HEAD.format(rows=rows, jax=jax.__version__, backend=jax.default_backend())]
    for name, accuracies in found.items():
        for setting in {_under(a.setting): None for a in accuracies}:
            lines.append(_row(name, [a for a in accuracies if _under(a.setting) == setting]))
    lines += [_MISSED]
    for name, accuracies in found.items():
        lines += [_miss(name, a) for a in accuracies if not a.ok]
    missed = [n for n, accuracies in found.items() if not all(a.ok for a in accuracies)]
    lines += ["", *(f"* `{n}`: {REASONS.get(n, 'not explained')}." for n in missed), ""]
    return "\n".join(lines)


def _row(name: str, accuracies: list[verify.Accuracy]) -> str:
    value, slope, *others = accuracies
    worst = max(accuracies, key=lambda a: (not a.ok, a.largest / a.target))
    cells = [
        f"`{name}`{_under(worst.setting)}",
        *_numbers(value),
        *_numbers(slope),
        _largest(max(others, key=lambda a: (not a.ok, a.largest))) if others else "",
        f"{worst.place}",
    ]
    return f"| {' | '.join(cells)} |"


def _numbers(a: verify.Accuracy) -> tuple[str, str]:
    return _largest(a), f"{a.median:.2f}"


def _largest(a: verify.Accuracy) -> str:
    if not a.ok:
        return f"**{a.largest:.2g}**"
    return f"{a.largest:.2g}" + (f" ({a.roundoffs:.2g} of `S`)" if a.largest > a.target else "")


def _miss(name: str, a: verify.Accuracy) -> str:
    cells = [
        f"`{name}`{_under(a.setting)}",
        a.quantity,
        f"{a.largest:.3g}",
        f"{a.roundoffs:.2g}",
        f"{a.place}",
        f"{a.got:.9g}",
        f"{a.expected:.9g}",
        f"{a.condition:.2g}",
    ]
    return f"| {' | '.join(cells)} |"


_HEAD = """# Accuracy in float32

Errors of every elementwise loss and its gradient over the whole float32 range, in units in the
last place: {rows} inputs a setting, spread over all exponents and both signs, over ordinary sizes,
in pairs from one unit to a factor of 2 apart, and at the singular and extreme values of their
kinds. Exact values and derivatives are those of the catalogue's formulas in 250 digits. Compiled
with jax {jax} for the {backend}, as anyone runs it; written by

    python benchmarks/accuracy.py --markdown docs/accuracy.md

**The unit.** Let `q` be the exact number, a loss or a derivative, and `S = |q| + sum |x_i dq/dx_i|`
its scale: by how much it changes when its inputs change in proportion. Where the condition number
`S / |q|` is below 10, the unit is the last place of `q` in float32. Beyond, where the inputs' own
rounding says more, it is the unit roundoff of the scale, `2^-24 S`. A label of 0 or 1 was not
rounded and takes no part in the scale. No unit is smaller than the smallest normal number,
`2^-126`: the compiler takes smaller ones for 0. At a kink, or where the inputs' rounding steps
over one, a derivative is right anywhere between the one-sided ones. Infinity is right where `q` is
beyond the largest number, and infinitely wrong elsewhere; inputs are below half the largest, so
that their differences are numbers.

**The targets**: for a value 4 units; for a derivative 8, or exact to the last place of its scale,
`2^-23 S` (two unit roundoffs), at every point where it errs by more than 8 units. Those of the
second kind are marked with their largest error there in roundoffs of the scale; what misses its
target is **bold**. `verify` fails a loss (check V3) above 16 units and 64, and 256 for arguments
after the first. The worst input is that of the number that is worst in relation to its target.

| loss | value, largest | median | gradient, largest | median | other arguments | worst input |
|---|---|---|---|---|---|---|"""

_MISSED = """
## What misses its target, and why

The error is the largest, at the input given; beside it the largest in unit roundoffs of the scale
where the units are more than the target.

| loss | of | error | in roundoffs of the scale | at | got | exact | condition |
|---|---|---|---|---|---|---|---|"""


if __name__ == "__main__":
    sys.exit(main())
