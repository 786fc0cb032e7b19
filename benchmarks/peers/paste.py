"""Two lines to paste where a finding names no input: it is about what is refused, or dtypes."""

from __future__ import annotations

import numpy as np

from jaxloss.verify.report import Finding
from jaxloss.verify.subject import Subject
from peers import Peer


def lines(peer: Peer, finding: Finding) -> str:
    """Return two lines that show a finding at ordinary inputs; "" where nothing is to be shown."""
    if finding.check == "T0":
        return _lines(peer, f"print({peer.source})")
    if finding.messages[0].startswith("TypeError"):
        return _lines(peer, f"print({_gradient(peer, 'bfloat16')})")
    call, mapped = _call(peer, arrays(peer, "float32")), _call(peer, "*row")
    shown = {
        "T1": f"print({call})",
        "T2": f"print(jax.vmap(lambda *row: {mapped})({arrays(peer, 'float32')}))",
        "D1": f"with jax.enable_x64(True): print({call}.dtype)",
    }
    return _lines(peer, shown[finding.check]) if finding.check in shown else ""


def _lines(peer: Peer, statement: str) -> str:
    return f"import jax, jax.numpy as jnp, {peer.library}\n{statement}"


def _call(peer: Peer, arguments: str) -> str:
    chosen = "".join(f", {k}={v!r}" for k, v in peer.settings[0].items())
    return f"{peer.source}({arguments}{chosen})"


def _gradient(peer: Peer, dtype: str) -> str:
    return f"jax.grad(lambda *row: {_call(peer, '*row')}.sum())({arrays(peer, dtype)})"


def arrays(peer: Peer, dtype: str) -> str:
    """Return an ordinary row of each argument, in a batch of one."""
    subject = Subject(peer.name, lambda: None, peer.arguments)
    rows = [np.round(a[:1], 2) for a in subject.draw("generic")]
    return ", ".join(
        f"jnp.array({a.tolist()}{'' if k.discrete else f', {dtype!r}'})"
        for a, k in zip(rows, subject.kinds, strict=True)
    )
