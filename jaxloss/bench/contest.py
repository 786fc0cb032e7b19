"""What is measured: an operation, ours and what a user would pick instead, at three sizes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np

Array = np.ndarray
Inputs = Sequence[Any]


class Answer(NamedTuple):
    """What a contestant says of given inputs.

    Attributes:
      value: a number.
      gradients: one array for each argument that is differentiated in.
    """

    value: float
    gradients: list[Array]


class Runner(NamedTuple):
    """A contestant that is ready to run on given inputs.

    Attributes:
      run: computes value and gradients and waits for them.
      answer: the same as NumPy arrays.
      temp_bytes: the memory the compiled program needs besides inputs and outputs, if known.
      compile_seconds: CPU seconds to trace and compile, if it is compiled.
    """

    run: Callable[[], Any]
    answer: Callable[[], Answer]
    temp_bytes: int | None = None
    compile_seconds: float | None = None


# From inputs and the positions to differentiate in to a contestant that is ready.
Contestant = Callable[[Inputs, Sequence[int]], Runner]


@dataclass(frozen=True)
class Operation:
    """A loss or what losses are made of, at three sizes.

    Attributes:
      name: on the command line.
      what: in a line.
      sizes: the parameters of `inputs`, small to large.
      inputs: `inputs(rng, **size)`, the arguments of every contestant.
      ours: a function of them to a number.
      peers: for each what makes its function: `(form, builder)` in which `form` says how it runs
        and the builder may fail to import. A name may stand for a plain program written here.
      moving: positions of the arguments to differentiate in; none to measure the value alone.
      reference: the same in the plainest form, to be run in float64; None for `ours` in float64,
        where a plain form is not to be had at these sizes.
      tolerance: how far from the reference a gradient may be, relative to its largest entry.
    """

    name: str
    what: str
    sizes: Sequence[Mapping[str, int]]
    inputs: Callable[..., Inputs]
    ours: Callable[..., Any]
    peers: Mapping[str, tuple[Callable[[Callable[..., Any]], Contestant], Callable[[], Any]]]
    moving: Sequence[int] = (0,)
    reference: Callable[..., Any] | None = None
    tolerance: float = 1e-3


def in_jax(function: Callable[..., Any]) -> Contestant:
    """Return a contestant that is a JAX function to a number, compiled with its gradient."""

    def ready(inputs: Inputs, moving: Sequence[int]) -> Runner:
        start = time.process_time()
        slope = jax.value_and_grad(function, argnums=tuple(moving)) if moving else None
        step = jax.jit(slope or (lambda *args: (function(*args), ())))
        arrays = [jax.numpy.asarray(x) for x in inputs]
        compiled = step.lower(*arrays).compile()
        spent = time.process_time() - start
        memory = compiled.memory_analysis()
        temp = None if memory is None else int(memory.temp_size_in_bytes)
        run = lambda: jax.block_until_ready(compiled(*arrays))

        def answer() -> Answer:
            value, gradients = run()
            return Answer(float(value), [np.asarray(g, np.float64) for g in gradients])

        return Runner(run, answer, temp, spent)

    return ready


def in_torch(function: Callable[..., Any]) -> Contestant:
    """Return a contestant that is a PyTorch function to a number, run eagerly on the CPU."""

    def ready(inputs: Inputs, moving: Sequence[int]) -> Runner:
        import torch

        if jax.default_backend() != "cpu":
            raise RuntimeError("PyTorch is measured on the CPU only")

        tensors = [torch.tensor(np.asarray(x)) for x in inputs]
        tensors = [t.long() if not t.is_floating_point() else t for t in tensors]
        for i in moving:
            tensors[i].requires_grad_(True)

        def run() -> Any:
            for i in moving:
                tensors[i].grad = None
            value = function(*tensors)
            if moving:
                value.backward()
            return value

        def answer() -> Answer:
            value = float(run().detach())
            gradients: list[Any] = [tensors[i].grad for i in moving]
            return Answer(value, [g.double().numpy().copy() for g in gradients])

        return Runner(run, answer)

    return ready


def exact(operation: Operation, inputs: Inputs) -> Answer:
    """Return value and gradients in float64."""
    wide = [np.asarray(x, np.float64) if np.asarray(x).dtype.kind == "f" else x for x in inputs]
    with jax.enable_x64(True):
        return in_jax(operation.reference or operation.ours)(wide, operation.moving).answer()
