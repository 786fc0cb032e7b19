"""What is claimed of segmentation losses in particular."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from jaxloss.catalog import claims

Array = np.ndarray


def pixels_in_any_order() -> claims.Claim:
    """The pixels of an image may change places, in all arguments together."""
    return claims.permutation_invariant(text="unchanged when the pixels change places")


def relabelled() -> claims.Claim:
    """The classes may change places, in all arguments together, where they weigh the same."""
    return claims.by_default(
        claims.permutation_invariant(axis=1, text="unchanged when the classes are relabelled")
    )


def _sure(labels: Array) -> Array:
    """Return logits by which float32 is certain of hard labels."""
    return 4e4 * (2 * labels - 1)


def zero_when_right() -> claims.Claim:
    """Exactly 0 for a certain and right prediction of hard labels, with no gradient."""

    def check(subject: Any) -> Iterator[str]:
        for setting in subject.settings:
            labels = subject.draw("spread")[1]
            args = [_sure(labels), labels]
            wrong = np.abs(subject.value(args, setting)) != 0
            yield from claims.violations(wrong, args, setting, lambda i: "not 0")

    return claims.holds("zero at hard labels", check)


def least_at_soft_labels() -> claims.Claim:
    """With `soft_labels` no prediction beats the labels themselves; without it some do."""

    def logits_of(labels: Array) -> Array:
        odds = np.log(labels) if labels.ndim > 2 else np.log(labels / (1 - labels))
        return odds.astype(np.float64)

    def check(subject: Any) -> Iterator[str]:
        labels = subject.draw("generic")[1]
        labels = labels / labels.sum(-1, keepdims=True) if labels.ndim > 2 else labels
        at = logits_of(labels)
        for choice in (True, False):
            setting = {**subject.default, "soft_labels": choice}
            least = subject.value([at, labels], setting, "float64")
            lower = np.zeros(len(at), bool)
            for size in (1e-3, 0.1, 1.0, 5.0):
                # Sharpened predictions are what the form for hard labels prefers.
                for move in (subject.rng.normal(size=at.shape), at):
                    value = subject.value([at + size * move, labels], setting, "float64")
                    lower |= value < least - 1e-12
            if choice:
                yield from claims.violations(lower, [at, labels], setting, lambda i: "lower by it")
            elif not lower.any():
                yield "the form for hard labels is least at soft ones too: say so"

    return claims.holds("least at soft labels with soft_labels=True", check)


def wrong_costs_whatever_is_absent() -> claims.Claim:
    """Perfectly wrong predictions cost more than one half, also where a class is absent."""

    def check(subject: Any) -> Iterator[str]:
        labels = np.repeat(np.eye(3)[[0, 0, 0, 1, 1, 1]][None], 8, axis=0)
        args = [_sure(labels[:, ::-1]), labels]
        value = subject.value(args, subject.default)
        yield from claims.violations(value < 0.5, args, {}, lambda i: f"only {value[i]}")

    return claims.holds("a wrong prediction costs, also where a class is absent", check)


def _misses(decided: Array, truth: Array) -> Array:
    """Return one minus intersection over union, over the second axis; 0 for nothing."""
    union = (decided | truth).sum(1)
    return 1 - np.where(union, (decided & truth).sum(1) / np.maximum(union, 1), 1)


def not_below_the_decisions() -> claims.Claim:
    """At least the Jaccard loss of the decisions `logits > 0`."""

    def check(subject: Any) -> Iterator[str]:
        for setting, args in claims.samples(subject):
            limit = _misses(args[0] > 0, args[1] == 1)
            value = subject.value(args, setting, "float64")
            say = lambda i, a=value, b=limit: f"{a[i]} below {b[i]}"
            yield from claims.violations(value < limit - 1e-12, args, setting, say)

    return claims.holds("at least the Jaccard loss of the decisions", check)


def jaccard_of_decisions() -> claims.Claim:
    """For certain predictions it is the mean Jaccard loss of the classes that count."""

    def check(subject: Any) -> Iterator[str]:
        for setting in subject.settings:
            decided, truth = (subject.draw(m)[1] == 1 for m in ("generic", "spread"))
            args = [_sure(decided.astype(float)), truth.astype(float)]
            losses = _misses(decided, truth)
            counted = truth.any(1) | (setting.get("classes") == "all")
            expected = (losses * counted).sum(-1) / counted.sum(-1)
            value = subject.value(args, setting, "float64")
            say = lambda i, a=value, b=expected: f"{a[i]} instead of {b[i]}"
            yield from claims.violations(np.abs(value - expected) > 1e-12, args, setting, say)

    return claims.holds("the mean Jaccard loss of certain predictions", check)
