"""Is what flows back linear in what flows in, as a derivative must be?"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxloss.verify.frame import Note, Outcome, Skip, check, rows, under
from jaxloss.verify.subject import Subject

Array = np.ndarray


@check("G5", "the pullback is linear: 0 gives 0, and twice gives twice")
def cotangents(subject: Subject) -> Outcome:
    """A hidden infinity times 0 is NaN; a rule that clips or forgets its cotangent is not linear.

    A loss with the weight 0 must not move anything, at singular points neither.
    """
    if not any(subject.differentiable):
        raise Skip("no differentiable argument")
    for setting in subject.ends:
        for mode in ("generic", "singular"):
            args = subject.draw(mode)
            once, minus_twice, none = _pulled(subject, args, setting)
            for name, one, two, zero in zip(subject.names, once, minus_twice, none, strict=True):
                what = f"d/d{name}{under(setting)}"
                moved = lambda i, z=zero, w=what: f"{w} is {z[i]} for a cotangent of 0"
                yield from rows(~(zero == 0), args, moved)
                bent = ~(np.abs(two + 2 * one) <= 1e-6 * np.abs(one) + 1e-30) & np.isfinite(one)
                say = lambda i, a=one, b=two, w=what: (
                    f"{w} is {b[i]} for -2 times the cotangent that gives {a[i]}"
                )
                yield from rows(bent, args, say)
    yield from _still(subject)


def _pulled(subject: Subject, args: list[Array], setting: Any) -> list[list[Array]]:
    """Return what flows back for cotangents of random weights, -2 times as large, and 0."""
    weights = np.random.default_rng([subject.seed, 10]).uniform(0.5, 1.5, len(args[0]))
    program = subject.program(_pullback, setting)
    arrays, hyper = subject.cast(args, "float32"), subject.hyper(setting, "float32")
    results = []
    for factor in (1.0, -2.0, 0.0):
        got = iter(program(arrays, jnp.asarray(factor * weights, "float32"), hyper))
        results.append(
            [
                np.asarray(next(got), np.float64) if d else np.zeros(a.shape)
                for d, a in zip(subject.differentiable, args, strict=True)
            ]
        )
    return results


def _pullback(subject: Subject, loss: Any) -> Any:
    chosen = [i for i, d in enumerate(subject.differentiable) if d]

    def program(arrays: list[Any], weights: Any, hyper: dict[str, Any]) -> Any:
        def moved(*moving: Any) -> Any:
            full = list(arrays)
            for i, m in zip(chosen, moving, strict=True):
                full[i] = m
            return loss(*full, **hyper)

        value, pull = jax.vjp(moved, *(arrays[i] for i in chosen))
        # One weight for each example, or the first for a loss of the whole batch.
        fits = value.ndim and len(value) == len(weights)
        shaped = weights.reshape((-1,) + (1,) * (value.ndim - 1)) if fits else weights[0]
        return pull(jnp.broadcast_to(shaped, value.shape).astype(value.dtype))

    return program


def _still(subject: Subject) -> Outcome:
    """Note the differentiable arguments into which no gradient flows at any generic point."""
    slopes = subject.slopes(subject.draw("generic"), subject.default)
    for name, slope, moves in zip(subject.names, slopes, subject.differentiable, strict=True):
        if moves and not slope.any():
            yield Note(f"no gradient flows into {name}")


CHECKS = (cotangents,)
