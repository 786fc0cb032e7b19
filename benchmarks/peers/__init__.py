"""Losses of other libraries as the audit sees them: data, and no word of what is wrong with them.

A `Peer` says how a function is called, what its arguments are, under which settings it is looked at
and what mathematics says of it. Where this library has a loss of the same name and meaning, all but
the call is what the catalogue says.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from jaxloss import catalog
from jaxloss.catalog.claims import Claim
from jaxloss.catalog.kinds import Kind

_MASKED = inspect.Parameter("where", inspect.Parameter.KEYWORD_ONLY, default=None)


@dataclass(frozen=True)
class Peer:
    """A loss of another library.

    Attributes:
      library: what to import.
      name: what it is called in the table: the function, and what was chosen for it.
      call: an expression for the function, of `jax`, `jnp` and the library.
      arguments: the kind of each data argument, by name, in order.
      settings: hyper-parameters under which it is verified, the defaults first.
      claims: what mathematics says of it.
      reference: its formula for one example in the arithmetic of mpmath; None to do without.
      each: whether it returns one number for all that it is given, so that each example wants a
        call of its own.
      alone: an expression for the same as a function of a batch of one, where that is another one.
      ours: an expression for this library's function of the same meaning; None where there is none.
      origin: the library that was described, where another's function has been put in its place.
    """

    library: str
    name: str
    call: str
    arguments: Mapping[str, Kind]
    settings: tuple[Mapping[str, Any], ...] = ({},)
    claims: tuple[Claim, ...] = ()
    reference: Callable[..., Any] | None = None
    each: bool = False
    alone: str | None = None
    ours: str | None = None
    origin: str = ""

    def __post_init__(self) -> None:
        """Take the library for its origin where none is given."""
        object.__setattr__(self, "origin", self.origin or self.library)

    @property
    def source(self) -> str:
        """How the loss of a batch of one is called."""
        return self.alone or self.call

    def loss(self) -> Callable[..., Any]:
        """Return it as a function of batches: `loss(*arguments, where=None, **setting)`.

        Raises:
          Exception: whatever the library raises when it is asked for.
        """
        inner = evaluated(self.call, self.library)
        loss = _one_by_one(inner) if self.each else inner
        if self.each or not self.call.replace(".", "").isidentifier():
            loss.source = (self.library, self.source)  # type: ignore[attr-defined]
        return loss

    def ours_in_its_place(self) -> Peer:
        """Return this library's function under the same description."""
        assert self.ours is not None
        return replace(self, library="jaxloss", call=self.ours, alone=None)


def evaluated(expression: str, library: str) -> Callable[..., Any]:
    """Return the function that an expression stands for."""
    namespace: dict[str, Any] = {}
    exec(f"import jax, jax.numpy as jnp, {library}", namespace)
    found: Callable[..., Any] = eval(expression, namespace)
    return found


def _one_by_one(inner: Callable[..., Any]) -> Callable[..., Any]:
    """Return a loss of a batch from a loss of one example; `where` is mapped with the arguments."""
    masks = "where" in inspect.signature(inner).parameters

    @functools.wraps(inner)
    def loss(*args: Any, where: Any = None, **setting: Any) -> Any:
        if where is None:
            return jax.vmap(functools.partial(inner, **setting))(*args)
        masked = lambda where, *row: inner(*row, where=where, **setting)
        return jax.vmap(masked)(where, *args)

    parameters = [p for p in inspect.signature(inner).parameters.values() if p.name != "where"]
    has_rest = parameters and parameters[-1].kind is inspect.Parameter.VAR_KEYWORD
    place = len(parameters) - bool(has_rest)
    parameters[place:place] = [_MASKED] if masks else []
    loss.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return loss


def like(
    library: str,
    name: str,
    call: str,
    *more: Mapping[str, Any],
    known: str | None = None,
    ours: str | None = None,
    each: bool = False,
    without: tuple[str, ...] = (),
    function: str | None = None,
    title: str | None = None,
    **changed: Any,
) -> Peer:
    """Describe a loss by the catalogue's entry of the same meaning.

    Args:
      library: what to import.
      name: of the function, which is that of the entry unless `known` says otherwise.
      call: an expression for the function.
      *more: settings that are looked at besides those of the catalogue.
      known: the entry.
      ours: this library's function, if it is not the entry's.
      each: as in `Peer`.
      function: an expression that has the signature, where `call` hides it.
      without: the beginnings of claims that are about conventions in which the two differ.
      title: as `name` in `Peer`.
      **changed: fields of `Peer` that differ.
    """
    entry = catalog.get(known or name)
    taken = _parameters(function or call, library)
    settings = [{}, *entry.settings]
    kept = [{k: v for k, v in s.items() if k in taken} for s in settings]
    claims = tuple(c for c in entry.claims if not str(c).startswith(without or ("\0",)))
    described: dict[str, Any] = {
        "arguments": entry.arguments,
        "settings": _distinct([{**entry.required, **s} for s in (*kept, *more)]),
        "claims": claims,
        "reference": entry.reference,
    }
    own = ours if ours is not None else f"jaxloss.{known or name}"
    return Peer(library, title or name, call, each=each, ours=own, **described | changed)


def _parameters(call: str, library: str) -> set[str]:
    """Return the names of the parameters that a function has."""
    return set(inspect.signature(evaluated(call, library)).parameters)


def _distinct(settings: list[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    """Drop repeated settings; lists become arrays, which libraries expect."""
    arrays = [
        {k: np.asarray(v, np.float32) if isinstance(v, list) else v for k, v in s.items()}
        for s in settings
    ]
    return tuple({repr(s): s for s in arrays}.values())


def installed(library: str) -> bool:
    """Tell whether a library can be imported."""
    return importlib.util.find_spec(library) is not None


def of(library: str) -> tuple[Peer, ...]:
    """Return what is known of a library's losses."""
    module = importlib.import_module(f"peers.{library}_losses")
    peers: tuple[Peer, ...] = module.peers()
    return peers
