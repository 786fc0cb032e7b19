"""What transformations of losses and of tasks' gradients share beyond optax's protocol.

A method decides by what numbers losses or gradients are multiplied, and remembers; `Decision` is
what it says. Extra arguments of `update` that a method cannot do without are asked for here, and
random numbers drawn: a state carries the data of a key, plain integers that any checkpoint saves.
"""

from __future__ import annotations

import operator
from typing import Any, NamedTuple

import jax

from jaxloss import arguments

Array = jax.Array


class Decision(NamedTuple):
    """What a method decides.

    Attributes:
      weights: one for each loss, by which it is multiplied.
      memory: what to remember; of the same shapes and dtypes as before.
      offsets: like the weights, or a number; added to the weighted losses, without effect on
        gradients.
    """

    weights: Array
    memory: Any = ()
    offsets: Any = 0.0


def needed(function: str, name: str, extra: dict[str, Any], what: str) -> Any:
    """Return an extra argument of `update`, or say that it is missing.

    Raises:
      TypeError: where it was not given.
    """
    if extra.get(name) is None:
        raise TypeError(f"{function}: update needs the extra argument {name}=({what}).")
    return extra[name]


def key_data(seed: Any) -> Array:
    """Return what a state keeps of a random key, from a seed that may be traced."""
    return jax.random.key_data(jax.random.key(seed))


def next_key(data: Array) -> tuple[Array, Array]:
    """Return a key to draw from now, and what the state keeps of the one for the next time."""
    now, later = jax.random.split(jax.random.wrap_key_data(data))
    return now, jax.random.key_data(later)


def counted(
    function: str, name: str, value: Any, *, at_least: int = 1, static: bool = False
) -> Any:
    """Return a count, an integer, checked; one that is traced, where it may be, as it is."""
    if isinstance(value, jax.core.Tracer) and not static:
        return value
    try:
        count = operator.index(value)
    except TypeError as error:
        raise TypeError(f"{function}: {name} must be a whole number, got {value!r}.") from error
    if count < at_least:
        raise arguments.reject(function, name, f"at least {at_least}", count)
    return count
