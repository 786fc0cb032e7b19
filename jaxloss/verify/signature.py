"""Which arguments of a function are data, and of what kind: a subject to be verified."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from jaxloss.catalog.kinds import Kind, example
from jaxloss.verify.subject import Subject


def data(
    loss: Callable[..., Any],
    arguments: Sequence[Any],
    kinds: Mapping[str, Any] | None = None,
    wrt: Sequence[str] | None = None,
) -> dict[str, Kind]:
    """Return the kinds of a loss's data arguments by name, in its own order.

    Args:
      loss: whose first positional arguments are the data.
      arguments: their kinds, or example arrays.
      kinds: those that follow, by name.
      wrt: names of the arguments to differentiate in; None for all that the kinds allow.

    Raises:
      TypeError: for more arguments than the loss takes, others than its first ones, or a name in
        `wrt` that cannot be differentiated in.
      ValueError: for an example array without axes.
    """
    positional = [
        p.name
        for p in inspect.signature(loss).parameters.values()
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    count = len(arguments) + len(kinds or {})
    if len(positional) < count:
        raise TypeError(f"check: the loss takes {len(positional)} data arguments, got {count}.")
    given = dict(zip(positional, arguments, strict=False)) | dict(kinds or {})
    names = positional[:count]
    if set(given) != set(names):
        raise TypeError(
            f"check: kinds must be those of the loss's first arguments, {', '.join(positional)}, "
            f"each once, got {', '.join(given)}."
        )
    found = {n: k if isinstance(k := given[n], Kind) else _around(n, k) for n in names}
    return found if wrt is None else _moving(found, wrt)


def _around(name: str, value: Any) -> Kind:
    if np.ndim(value) == 0:
        raise ValueError(
            f"check: {name} must be a kind, such as verify.reals(), or an array of examples along "
            f"its first axis, got shape (); for a loss of one example check jax.vmap(loss)."
        )
    return example(value)


def subject(
    loss: Callable[..., Any],
    *arguments: Any,
    kinds: Mapping[str, Any] | None = None,
    wrt: Sequence[str] | None = None,
    name: str | None = None,
    strict: bool = False,
    **facts: Any,
) -> Subject:
    """Return a loss with the kinds of its arguments, and what else is known of it."""
    title = name or str(getattr(loss, "__name__", loss))
    return Subject(title, loss, data(loss, arguments, kinds, wrt), strict=strict, **facts)


def _moving(kinds: dict[str, Kind], wrt: Sequence[str]) -> dict[str, Kind]:
    """Return kinds of which only those named are differentiated in."""
    can = [n for n, k in kinds.items() if not k.discrete]
    if unknown := set(wrt) - set(can):
        raise TypeError(f"check: wrt must name some of {', '.join(can)}, got {sorted(unknown)}.")
    return {n: replace(k, differentiable=n in wrt) for n, k in kinds.items()}
