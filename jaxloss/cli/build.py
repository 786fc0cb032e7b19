"""Kinds, claims and functions from the words of a command line."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import sys
import typing
from collections.abc import Callable, Sequence
from types import ModuleType, UnionType
from typing import Any

from jaxloss.catalog import claims, kinds
from jaxloss.catalog.claims import Claim
from jaxloss.catalog.kinds import Kind

_READABLE = (int, float, str)
Maker = Callable[..., Any]


def kind(text: str) -> Kind:
    """Return a kind by name and numbers.

    Raises:
      ValueError: for a kind that does not exist, or other numbers than it takes.

    Example:
      >>> kind("logits:10").name
      'logits of 10 classes'
    """
    built: Kind = _built("kind", makers(kinds, Kind), text)
    return built


def claim(text: str, arguments: Sequence[str]) -> Claim:
    """Return a claim by name, numbers and names of arguments.

    Raises:
      ValueError: for a claim that does not exist, other parameters than it takes, or an argument
        that is not among those of the loss.

    Example:
      >>> print(claim("lipschitz:0.5,predictions", ["predictions"]))
      Lipschitz in predictions with 0.5
    """
    built: Claim = _built("claim", makers(claims, Claim), text, arguments)
    return built


def makers(room: ModuleType, made: type) -> dict[str, Maker]:
    """Return the functions of a module that make something of numbers and words alone."""
    functions = {n: f for n in room.__all__ if inspect.isfunction(f := getattr(room, n))}
    return {n: f for n, f in functions.items() if _hints(f).get("return") is made and _plain(f)}


def _hints(function: Maker) -> dict[str, Any]:
    return typing.get_type_hints(function)


def _plain(function: Maker) -> bool:
    """Tell whether a command line can hold all that a function asks for."""
    parameters = inspect.signature(function).parameters.values()
    needed = [p.name for p in parameters if p.default is p.empty]
    return all(_types(_hints(function)[name]) for name in needed)


def _types(hint: Any) -> list[type]:
    """Return what a word may be read as, of what a parameter may be."""
    union = typing.get_origin(hint) in (typing.Union, UnionType)
    options = typing.get_args(hint) if union else (hint,)
    return [t for t in _READABLE if t in options]


def _built(
    what: str, known: dict[str, Maker], text: str, arguments: Sequence[str] | None = None
) -> Any:
    name, _, rest = text.partition(":")
    if name not in known:
        listed = ", ".join(f"{n}{_parameters(f)}" for n, f in known.items())
        raise ValueError(f"there is no {what} {name!r}; there are {listed}")
    words = [word.partition("=") for word in rest.split(",")] if rest else []
    try:
        call = inspect.signature(known[name]).bind(
            *(key for key, given, _ in words if not given),
            **{key: value for key, given, value in words if given},
        )
    except TypeError as error:
        told = f"{what} {name}{_parameters(known[name])}"
        raise ValueError(f"{told}: {error}, in {text!r}") from None
    for parameter, value in call.arguments.items():
        read = lambda word, p=parameter: _read(what, known[name], p, word)
        call.arguments[parameter] = tuple(map(read, value)) if type(value) is tuple else read(value)
    given = call.arguments.get("argument", call.arguments.get("arguments", ()))
    for argument in (given,) if isinstance(given, str) else given:
        if arguments is not None and argument not in arguments:
            told = f"must be one of {', '.join(arguments)}, got {argument!r}"
            raise ValueError(f"{what} {name}: argument {told}")
    return known[name](*call.args, **call.kwargs)


def _parameters(function: Maker) -> str:
    """Return what a function can be given here, as in its call."""
    hints = _hints(function)
    parameters = inspect.signature(function).parameters.values()
    shown = [str(p.replace(annotation=p.empty)) for p in parameters if _types(hints[p.name])]
    return f"({', '.join(shown)})" if shown else ""


def _read(what: str, function: Maker, parameter: str, word: str) -> Any:
    for kind_of_number in _types(_hints(function)[parameter]):
        try:
            return kind_of_number(word)
        except ValueError:
            continue
    raise ValueError(f"{what} {function.__name__}: {parameter} must be a number, got {word!r}")


def value(text: str) -> Any:
    """Return a Python literal, or the word itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def function(path: str) -> Callable[..., Any]:
    """Import `module:function`, from the working directory too.

    Raises:
      ValueError: if there is no such module or function, or the module cannot be imported.
    """
    module, _, name = path.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found = importlib.import_module(module)
    except Exception as error:
        # Whatever a user's module raises, it is why nothing can be verified.
        text = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ValueError(f"{module} cannot be imported: {text}") from error
    for part in name.split("."):
        if not hasattr(found, part):
            raise ValueError(f"{module} has no {name!r}")
        found = getattr(found, part)
    if not callable(found):
        raise ValueError(f"{path} is no function")
    return typing.cast(Callable[..., Any], found)
