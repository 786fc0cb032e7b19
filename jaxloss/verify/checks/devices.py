"""Is it the same loss when the batch is split over devices?"""

from __future__ import annotations

import importlib
import json
import os
import pickle
import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxloss import catalog
from jaxloss.catalog.kinds import Kind
from jaxloss.verify.checks.transforms import differs
from jaxloss.verify.frame import Outcome, Skip, check
from jaxloss.verify.subject import Subject, value_and_slopes

Array = np.ndarray
DEVICES = 8
SECONDS = 300


@check("L1", "split over devices it is the same: auto and explicit meshes, shard_map, pmap")
def sharded(subject: Subject) -> Outcome:
    """Per-example losses need no word about devices.

    Where there is one device, another process splits the processor into eight.
    """
    if len(jax.devices()) < 2:
        yield from _elsewhere(subject)
        return
    args = subject.draw("generic")
    count = _divisor(args)
    expected = subject.evaluate(args, subject.default)
    if expected[0].ndim == 0:
        raise Skip("the loss returns one number for the whole batch")
    arrays, hyper = subject.cast(args, "float32"), subject.hyper(subject.default, "float32")
    both = value_and_slopes(subject, subject.bound(subject.default))
    work = lambda *a: both(list(a), hyper)
    devices = jax.devices()[:count]
    for kind in (AxisType.Auto, AxisType.Explicit):
        mesh = jax.make_mesh((count,), ("batch",), axis_types=(kind,), devices=devices)
        placed = [jax.device_put(a, NamedSharding(mesh, P("batch"))) for a in arrays]
        yield from _same(jax.jit(work)(*placed), expected, subject, f"{kind.name} mesh")
        if kind is AxisType.Auto:
            split = jax.shard_map(work, mesh=mesh, in_specs=P("batch"), out_specs=P("batch"))
            yield from _same(jax.jit(split)(*placed), expected, subject, "shard_map")
    shards = [a.reshape(count, -1, *a.shape[1:]) for a in arrays]
    parts = jax.pmap(work, devices=devices)(*shards)
    merged = jax.tree.map(lambda a: jnp.reshape(a, (-1, *a.shape[2:])), parts)
    yield from _same(merged, expected, subject, "pmap")


def _divisor(args: list[Array]) -> int:
    """Return over how many devices the batch can be split evenly."""
    if any(a.ndim == 0 or len(a) != len(args[0]) for a in args):
        raise Skip("the arguments share no batch axis")
    fitting = [n for n in range(2, len(jax.devices()) + 1) if len(args[0]) % n == 0]
    if not fitting:
        raise Skip("no number of devices divides the batch")
    return fitting[-1]


def _same(got: Any, expected: Any, subject: Subject, how: str) -> Outcome:
    if differs(got[0], expected[0]):
        yield f"{how}: another value"
    kept = [s for s, d in zip(expected[1], subject.differentiable, strict=True) if d]
    if any(differs(a, b) for a, b in zip(got[1], kept, strict=True)):
        yield f"{how}: another gradient"


# In another process


def _elsewhere(subject: Subject) -> Outcome:
    order = _order(subject)
    finished = subprocess.run(
        [sys.executable, "-m", "jaxloss.verify.checks.devices"],
        input=pickle.dumps(order),
        capture_output=True,
        timeout=SECONDS,
        env=_surroundings(),
    )
    if finished.returncode:
        last = finished.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise Skip(f"a process with {DEVICES} devices failed: {' '.join(last)}")
    verdict, messages = json.loads(finished.stdout.splitlines()[-1])
    if verdict == "skip":
        raise Skip(messages[0])
    yield from messages


def _surroundings() -> dict[str, str]:
    """Return the variables of a process on the processor that finds the same modules."""
    mine = {k: v for k, v in os.environ.items() if not (k == "XLA_FLAGS" and "device_count" in v)}
    return mine | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": os.pathsep.join(sys.path)}


def _order(subject: Subject) -> dict[str, Any]:
    """Return what another process needs to find the loss and to draw the same rows."""
    known = catalog.ENTRIES.get(subject.name)
    if known is not None and (known.specimen or known.loss) is subject.loss:
        return {"entry": subject.name, "seed": subject.seed}
    module, name = (getattr(subject.loss, a, "") for a in ("__module__", "__qualname__"))
    if module in ("", "__main__") or _found(module, name) is not subject.loss:
        raise Skip("one device only, and another process cannot import the loss")
    return {
        "loss": (module, name),
        "rows": dict(zip(subject.names, subject.draw("generic"), strict=True)),
        "differentiable": subject.differentiable,
        "setting": subject.default,
    }


def _found(module: str, name: str) -> Any:
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError):
        return None
    return found


def _given(rows: Array, differentiable: bool) -> Kind:
    """Return a kind that has these rows only."""
    draw = lambda rng, n: rows
    discrete = rows.dtype.kind != "f"
    return Kind(
        "as drawn", draw, draw, rows, rows, discrete=discrete, differentiable=differentiable
    )


def _subject(order: dict[str, Any]) -> Subject:
    moves = zip(order["rows"].items(), order["differentiable"], strict=True)
    kinds = {name: _given(rows, d) for (name, rows), d in moves}
    module, name = order["loss"]
    return Subject(name, _found(module, name), kinds, settings=[order["setting"]], strict=False)


def _main() -> None:
    order = pickle.load(sys.stdin.buffer)
    jax.config.update("jax_num_cpu_devices", DEVICES)
    if "entry" in order:
        from jaxloss import verify

        finding = verify.entry(order["entry"], only=["L1"], seed=order["seed"])["L1"]
    else:
        finding = sharded(_subject(order))
    print(json.dumps([finding.verdict, finding.messages]))


CHECKS = (sharded,)

if __name__ == "__main__":
    _main()
