"""Kinds of arguments hand out what they say, in every mode."""

import numpy as np
import pytest

from jaxloss import verify
from jaxloss.catalog import kinds

# Made of an example, or of functions: not called without arguments.
MADE = {"Kind", "bit_uniform", "example", "grid", "images"}
KINDS = {name: getattr(kinds, name)() for name in set(kinds.__all__) - MADE}
MODES = ("generic", "spread", "singular", "extreme")


def rows(kind: kinds.Kind, mode: str, rng: np.random.Generator) -> np.ndarray:
    drawn = getattr(kind, mode)
    return np.asarray(drawn(rng, 64) if callable(drawn) else drawn)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_rows_have_the_shape_of_the_event_and_are_valid(
    name: str, rng: np.random.Generator
) -> None:
    kind = KINDS[name]
    count = lambda rows: {"lengths": 5}.get(name, rows.shape[-1] if rows.ndim > 1 else 4)
    for mode in MODES:
        drawn = rows(kind, mode, rng)
        assert drawn.shape[1:] == kind.event, mode
        assert (drawn.dtype.kind != "f") == kind.discrete, mode
        assert kind.valid is None or np.all(kind.valid(drawn, count(drawn))), mode
    if kind.valid is not None and kind.invalid.size:
        assert not np.any(kind.valid(kind.invalid, count(kind.invalid)))


@pytest.mark.parametrize("name", sorted(KINDS))
def test_what_a_search_steps_to_is_still_such_an_argument(
    name: str, rng: np.random.Generator
) -> None:
    kind = KINDS[name]
    assert kind.steps in ("free", "mix", "swap")
    if kind.steps == "mix":
        one, other = rows(kind, "spread", rng), rows(kind, "generic", rng)
        share = rng.random((64,) + (1,) * len(kind.event))
        assert np.all(kind.valid(share * one + (1 - share) * other, one.shape[-1]))


def test_every_kind_is_for_users() -> None:
    assert set(kinds.__all__) - {"bit_uniform", "grid"} <= set(verify.__all__)


def test_bits_are_uniform_over_all_of_float32(rng: np.random.Generator) -> None:
    drawn = kinds.bit_uniform(rng, (100_000,))
    assert np.isfinite(np.float32(drawn)).all() and (np.float32(drawn) == drawn).all()
    _, exponent = np.frexp(drawn)
    assert exponent.min() == -125 and exponent.max() == 128
    # Every power of two as often, either sign as often, and every first bit of the mantissa.
    assert abs(np.mean(exponent) - 1.5) < 2 and abs(np.mean(drawn > 0) - 0.5) < 0.01
    assert abs(np.mean(np.abs(np.frexp(drawn)[0]) < 0.75) - 0.5) < 0.01


def test_ties_are_among_the_singular_rows() -> None:
    for kind in (kinds.logits(4), kinds.scores(5)):
        ordered = np.sort(kind.singular, axis=-1)
        ties = (np.diff(ordered, axis=-1) == 0).any(axis=-1)
        partly = ties & (ordered[:, 0] < ordered[:, -1])
        assert partly.sum() >= 3, "all of them tie, or none"
