"""Bad values under `jit`, where no exception can be raised: a loss that reports them instead."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import checkify

from jaxloss import arguments, catalog
from jaxloss.catalog.kinds import Kind


def checked(loss: Callable[..., Any], **kinds: Kind) -> Callable[..., Any]:
    """Make a loss report values that its arguments cannot have, under `jit` as well.

    Labels must be in range, distributions on the simplex, signs -1 or 1: whatever the catalogue
    says of the loss's arguments. Masked entries may hold anything. To be used inside
    `jax.experimental.checkify.checkify`, and for debugging: each check costs a pass over the data.

    Args:
      loss: a loss of this library, or any function if its `kinds` are given. Class axes are those
        that it takes as `axis` (the last by default) in its first argument.
      **kinds: the kind of an argument, by name, such as `labels=verify.labels()`; the number of
        classes is that of the loss's first argument, whatever the kind says.

    Returns:
      A function with the signature and value of `loss`.

    Raises:
      TypeError: for a function that is not in the catalogue when no kinds are given, or for kinds
        of arguments that it does not have.

    Example:
      >>> import jax, jax.numpy as jnp, jaxloss as jl
      >>> from jax.experimental import checkify
      >>> from jaxloss import verify
      >>> loss = verify.checked(jl.softmax_cross_entropy_with_integer_labels)
      >>> error, value = checkify.checkify(jax.jit(loss))(jnp.zeros((2, 3)), jnp.array([0, 3]))
      >>> print(error.get().splitlines()[0])  # doctest: +ELLIPSIS
      softmax_cross_entropy_with_integer_labels: labels must be indices of classes, in [0, 3), ...
    """
    name = _name(loss)
    known = kinds or _catalogued(loss)
    signature = inspect.signature(loss)
    if unknown := set(known) - set(signature.parameters):
        raise TypeError(f"checked: {name} has no argument {', '.join(sorted(unknown))}.")
    first = next(iter(signature.parameters if kinds else known), "")

    @functools.wraps(loss)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        # What is missing is the loss's own to complain about.
        call = signature.bind_partial(*args, **kwargs)
        call.apply_defaults()
        for argument, kind in known.items():
            # Where nothing is impossible, as with targets of any convex set, nothing is asked.
            if kind.valid and kind.invalid.size and call.arguments.get(argument) is not None:
                _demand(name, argument, kind, call.arguments, first)
        return loss(*args, **kwargs)

    return guarded


def _name(loss: Callable[..., Any]) -> str:
    inner = loss.func if isinstance(loss, functools.partial) else loss
    return str(getattr(inner, "__name__", inner))


def _catalogued(loss: Callable[..., Any]) -> dict[str, Kind]:
    inner = loss.func if isinstance(loss, functools.partial) else loss
    for entry in catalog.ENTRIES.values():
        if entry.loss is inner:
            taken = inspect.signature(loss).parameters
            return {k: v for k, v in entry.arguments.items() if k in taken}
    raise TypeError(
        f"checked: {_name(loss)} is not in the catalogue; say what its arguments are, such as "
        "checked(loss, labels=verify.labels())."
    )


def _demand(name: str, argument: str, kind: Kind, call: dict[str, Any], first: str) -> None:
    """Check one argument of a call."""
    values, where, classes = jnp.asarray(call[argument]), call.get("where"), 0
    if kind.discrete or kind.event:
        scores = jnp.asarray(call[first])
        axes = arguments.normal_axes(name, call.get("axis", -1), scores.ndim)
        mask = arguments.last(arguments.event_mask(name, where, axes, scores), axes)
        counts, classes = mask.any(axis=-1), mask.shape[-1]
        if values.shape != (scores.shape if kind.event else counts.shape):
            return  # which the loss refuses, with a message of its own
        if kind.event:
            values = jnp.where(mask, arguments.last(values, axes), 0)
    else:
        given = arguments.mask_like(name, where, values)
        counts = jnp.ones(values.shape, bool) if given is None else given
    assert kind.valid is not None
    right = kind.valid(values, classes)
    _report(f"{name}: {argument} must be {kind.expects.format(classes=classes)}", values,
            right | ~counts)  # fmt: skip


def _report(text: str, values: jax.Array, right: jax.Array) -> None:
    wrong = ~right.ravel()
    if not wrong.size:
        return
    witness = values.reshape(wrong.size, -1)[jnp.argmax(wrong)]
    # Braces of an interval or a set would be taken for fields of the message.
    text = text.replace("{", "{{").replace("}", "}}")
    checkify.check(
        ~wrong.any(),
        f"{text}, but {{count}} of {wrong.size} are not; the first is {{witness}}",
        count=wrong.sum(),
        witness=witness[0] if values.shape == right.shape else witness,
    )
