"""What is true of many divergences at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxloss import divergence
from jaxloss.catalog import claims
from jaxloss.catalog.divergence.ranges import CLASSES

Array = np.ndarray


def _in_logs(subject: Any, args: list[Array]) -> list[Array]:
    """Return the arguments with both distributions as probabilities."""
    logs = [name.startswith("log") for name in subject.names[:2]]
    return [np.exp(a) if is_log else a for a, is_log in zip(args, logs, strict=True)]


def _value(subject: Any, shares: list[Array], setting: Any) -> Array:
    logs = [name.startswith("log") for name in subject.names[:2]]
    args = [np.log(a) if is_log else a for a, is_log in zip(shares, logs, strict=True)]
    value: Array = subject.value(args, setting, "float64")
    return value


def _never_above(text: str, pairs: Callable[[Any, Any], tuple[Array, Array]]) -> claims.Claim:
    def check(subject: Any) -> Iterator[str]:
        for setting in subject.settings:
            args = subject.draw("generic")
            less, more = pairs(subject, setting)
            wrong = less > more + 1e-12 * (1 + np.abs(more))
            say = lambda i, a=less, b=more: f"{a[i]:.9g} above {b[i]:.9g}"
            yield from claims.violations(wrong, args, setting, say)

    return claims.holds(text, check)


def merges() -> claims.Claim:
    """Check that forgetting which of two classes it was brings distributions no further apart."""

    def pairs(subject: Any, setting: Any) -> tuple[Array, Array]:
        shares = _in_logs(subject, subject.draw("generic"))
        # The merged class is split evenly again, so that the number of classes stays.
        merged = [np.copy(a) for a in shares]
        for a in merged:
            a[:, 2:] = a[:, 2:].mean(axis=-1, keepdims=True)
        return _value(subject, merged, setting), _value(subject, shares, setting)

    return _never_above("never greater after two classes are merged", pairs)


def jointly_convex() -> claims.Claim:
    """A mean of pairs is no further apart than the pairs are on average."""

    def pairs(subject: Any, setting: Any) -> tuple[Array, Array]:
        here = _in_logs(subject, subject.draw("generic"))
        there = [np.roll(a, 1, axis=0) for a in here]
        middle = [(a + b) / 2 for a, b in zip(here, there, strict=True)]
        ends = np.stack([_value(subject, here, setting), _value(subject, there, setting)])
        return _value(subject, middle, setting), ends.mean(axis=0)

    return _never_above("jointly convex in the two distributions", pairs)


def triangle(text: str, metric: Callable[[Array], Array]) -> claims.Claim:
    """No detour is shorter, for a function of the divergence."""

    def pairs(subject: Any, setting: Any) -> tuple[Array, Array]:
        x, y = subject.draw("generic")
        z = np.roll(x, 1, axis=0)
        sides = [
            metric(subject.value(ends, setting, "float64")) for ends in ([x, z], [x, y], [y, z])
        ]
        return sides[0], sides[1] + sides[2]

    return claims.by_default(_never_above(text, pairs))


def not_symmetric() -> claims.Claim:
    """Two distributions of which each is differently far from the other."""

    def check(subject: Any) -> Iterator[str]:
        p, q = np.array([[0.85, 0.05, 0.05, 0.05]]), np.full((1, CLASSES), 0.25)
        there, back = _value(subject, [q, p], {}), _value(subject, [p, q], {})
        if not abs(there[0] - back[0]) > 0.05:
            yield f"{there[0]} one way, {back[0]} the other: the witness does not show it"

    return claims.holds("not symmetric: (0.85, 0.05, 0.05, 0.05) and uniform are a witness", check)


def zero_at_probabilities() -> claims.Claim:
    """Zero at equality, where only one of the two comes as a logarithm."""

    def check(subject: Any) -> Iterator[str]:
        p = subject.draw("generic")[1]
        value = subject.value([np.log(p), p], {})
        # The logarithm is rounded, and the divergence is quadratic in that.
        yield from claims.violations(
            value > 1e-11, [np.log(p), p], {}, lambda i: f"value {value[i]}"
        )

    return claims.holds("zero at equal distributions, to the rounding of the logarithm", check)


def vanishing() -> claims.Claim:
    """Check what stalls generators: no slope as the supports part, where the forward one pulls."""
    targets = np.log(np.array([1e-300, 1e-300, 0.3, 0.7])).clip(-1e4)

    def check(subject: Any) -> Iterator[str]:
        def slope(loss: Any, lead: float) -> float:
            logits = jnp.array([lead, lead - 0.3, 0.0, 0.4])
            total = lambda x: loss(jax.nn.log_softmax(x), jnp.asarray(targets))
            return float(jnp.linalg.norm(jax.grad(total)(logits)))

        sizes = [slope(subject.loss, lead) for lead in (4.0, 10.0, 40.0)]
        if not (sizes[0] > sizes[1] > sizes[2] and sizes[2] < 1e-6):
            yield f"gradients in the logits of sizes {sizes} as the supports part"
        if not slope(divergence.kl_divergence_with_log_targets, 40.0) > 0.5:
            yield "the forward divergence has no gradient there either"

    text = "the gradient in the predictions' logits tends to 0 for disjoint supports"
    return claims.holds(text, check)


def grows_with_order() -> claims.Claim:
    """Monotone in its parameter."""

    def check(subject: Any) -> Iterator[str]:
        args = subject.draw("generic")
        orders = (0.1, 0.5, 0.9, 1.0, 1.1, 2.0, 8.0)
        values = [subject.value(args, {"order": order}, "float64") for order in orders]
        for low, high, order in zip(values, values[1:], orders[1:], strict=False):
            say = lambda i, a=low, b=high: f"falls from {a[i]} to {b[i]}"
            yield from claims.violations(high < low - 1e-9, args, {"order": order}, say)

    return claims.holds("grows with the order", check)


def both(loss: Callable[..., Any], *, swap: bool = False) -> Callable[..., Any]:
    """Return a divergence of (logarithms, masses) as one of two logarithms."""

    def other(log_predictions: Any, log_targets: Any, where: Any = None) -> Any:
        x, y = (log_targets, log_predictions) if swap else (log_predictions, log_targets)
        return loss(x, jnp.exp(y), where=where)

    return other


def relabelled(*arguments: str) -> claims.Claim:
    """The classes may change places, in both distributions together."""
    return claims.permutation_invariant(
        *arguments, text="unchanged when the classes are relabelled"
    )
