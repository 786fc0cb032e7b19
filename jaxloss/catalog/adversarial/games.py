"""Claims about games of a discriminator and a generator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from mpmath import mp

from jaxloss.catalog import claims

Array = np.ndarray


def softplus(x: Any) -> Any:
    """Return `log(1 + exp(x))` in the arithmetic of mpmath."""
    return mp.log(1 + mp.exp(x))


def sigmoid(x: Array) -> Array:
    """Return `1 / (1 + exp(-x))`."""
    return np.exp(-np.logaddexp(0, -x))


def _filled(subject: Any, numbers: Any) -> Array:
    """Repeat numbers to as many rows as the subject is compiled for."""
    return np.resize(np.asarray(numbers, float), len(subject.draw("generic")[0]))


def where_sure(text: str, right: Callable[[Array, Array], Array]) -> claims.Claim:
    """Compare the generator's slope with what is claimed of it at very negative logits."""

    def check(subject: Any) -> Iterator[str]:
        fake = _filled(subject, [-5.0, -10.0, -20.0, -40.0])
        for setting in subject.settings:
            (slope,) = subject.slopes([fake], setting)
            if not right(slope, fake).all():
                yield f"slopes {slope[:4]} at fake logits {fake[:4]}"

    return claims.holds(text, check)


def rests_at_the_data(text: str, best: Callable[[Array, Array], Array]) -> claims.Claim:
    """Against the best discriminator a distribution of fakes is at rest iff it is the data's."""

    def check(subject: Any) -> Iterator[str]:
        p, other = subject.rng.dirichlet(np.linspace(1, 3, 6), 2)
        for setting in subject.settings:
            for share in (0.0, 0.01, 0.3, 1.0):
                q = (1 - share) * p + share * other
                logits = _filled(subject, best(p, q))
                cost = subject.value([logits], setting, "float64")[:6]
                # Of the mean cost under a softmax whose probabilities are q, in its logits.
                slope = q * (cost - q @ cost)
                if (np.abs(slope).max() < 1e-12) != (share == 0):
                    yield f"slope {slope} at a share {share} of another distribution"

    return claims.holds(text, check)


def best_discriminator(text: str, best: Callable[..., Array]) -> claims.Claim:
    """The mean loss is stationary where the discriminator is the best one for two densities."""

    def check(subject: Any) -> Iterator[str]:
        for setting in subject.settings:
            p, q = (_filled(subject, subject.rng.dirichlet(np.ones(6))) for _ in range(2))
            logits = best(p, q, **setting)
            real, fake = subject.slopes([logits, logits], setting)
            slope = p * real + q * fake
            if np.abs(slope).max() > 1e-12:
                yield f"slope {slope[:6]} at {logits[:6]}"

    return claims.holds(f"least at {text}", check)


def common_shift() -> claims.Claim:
    """Only differences of logits count."""

    def check(subject: Any) -> Iterator[str]:
        args = subject.draw("generic")
        before = subject.value(args, {}, "float64")
        for shift in (1.0, -64.0, 4096.0):
            after = subject.value([a + shift for a in args], {}, "float64")
            if np.abs(after - before).max() > 1e-11:
                yield f"{before[0]} becomes {after[0]} when {shift:+g} is added to all"

    return claims.holds("unchanged when a constant is added to all logits", check)


def exchanged(loss: Callable[..., Any], name: str) -> claims.Claim:
    """The other side's loss, with the roles exchanged."""
    back = lambda real, fake, where=None: loss(fake, real, where=where)
    return claims.equals(f"{name} with real and fake exchanged", back, {})
