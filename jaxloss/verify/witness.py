"""What a failure speaks of: the rows at fault, and how the loss was evaluated there."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxloss.catalog.claims import Fault
from jaxloss.verify.subject import (
    HALF,
    Call,
    Subject,
    precision,
    rounded_setting,
    value_and_slopes,
)

Array = np.ndarray

# The larger, the less likely it is to be the one at fault.
_WIDTH = {**dict.fromkeys(HALF, 16), "float32": 32, "float64": 64}
_MODES = {"generic", "spread", "bitwise", "singular", "extreme", "coarse"}


def located(sentence: str, subject: Subject) -> Fault:
    """Attach to a sentence what it speaks of: its rows, and how the loss was evaluated there."""
    fault = Fault.within(sentence)
    # A claim may show other arrays than the arguments: they are no call of the loss.
    if fault is None or len(fault.args) != len(subject.names):
        return Fault(sentence, [], ())
    call = _evaluation(fault, subject)
    setting = call.setting if fault.setting is None else fault.setting
    dtype = fault.dtype or call.dtype
    where = call.where if fault.where is None else fault.where
    setting = _as_given(setting, subject)
    return Fault(sentence, fault.args, fault.rows, fault.counted, setting, dtype, where)


def raised(error: Exception, subject: Subject) -> Fault:
    """Return an exception's first line, with the fewest rows of what was evaluated that raise it.

    A loss may only be wrong for a batch: `[1]` and `[1, 4]` broadcast where `[2]` and `[2, 4]` do
    not.
    """
    text = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    for call in subject.calls[-1:]:
        for count in (1, 2, 3, len(call.args[0]) if call.args[0].ndim else 1):
            args = [a[:count] for a in call.args]
            where = None if call.where is None else call.where[:count]
            if _raises(Call(args, call.setting, call.dtype, where), subject):
                setting = _as_given(call.setting, subject)
                return Fault(text, args, (), "", setting, call.dtype, where)
    return Fault(text, [], ())


def _raises(call: Call, subject: Subject) -> bool:
    run = value_and_slopes(subject, subject.bound(call.setting))
    try:
        with precision(call.dtype):
            args, hyper = (
                subject.cast(call.args, call.dtype),
                subject.hyper(call.setting, call.dtype),
            )
            jax.eval_shape(run, args, hyper, call.where)
    except Exception:
        return True
    return False


def _evaluation(fault: Fault, subject: Subject) -> Call:
    """Return the evaluation at fault: of those of its arguments the last with the fewest bits.

    The others are what it was compared with.
    """
    same = [c for c in subject.calls if _all_are(c.args, fault.args)]
    latest = [c for c in same if _rounded(c.setting) == _rounded(same[-1].setting)]
    unknown = Call(fault.args, subject.default, "float32", None)
    return min(reversed(latest), key=lambda c: _WIDTH[c.dtype], default=unknown)


def _all_are(some: Sequence[Array], others: Sequence[Array]) -> bool:
    return len(some) == len(others) and all(a is b for a, b in zip(some, others, strict=True))


def _as_given(setting: Mapping[str, Any], subject: Subject) -> dict[str, Any]:
    """Return hyper-parameters as the subject has them, before they were rounded."""
    given = (s for s in subject.settings if _rounded(s) == _rounded(setting))
    return next(given, dict(setting))


def _rounded(setting: Mapping[str, Any]) -> str:
    # As text: arrays among them are not equal or different but both.
    return repr(sorted(rounded_setting(setting).items()))


def kind_of(fault: Fault) -> tuple[str, ...]:
    """Return the words of a sentence without its numbers: what is wrong, wherever it is."""
    words = re.findall(r"(?<![\w.])[^\W\d][\w/]*", fault.partition(" at (")[0])
    return tuple(w for w in dict.fromkeys(words) if w not in _MODES)


def row(fault: Fault) -> list[Array]:
    """Return the first row at fault of each argument, or all of them where none is singled out."""
    return [np.asarray(a[fault.rows[0]] if fault.rows else a) for a in fault.args]


def batch(fault: Fault) -> tuple[list[Array], Array | None]:
    """Return arguments and mask that hold the row at fault and no other."""
    if not fault.rows:
        return fault.args, fault.where
    cut = lambda a: a[fault.rows[0] : fault.rows[0] + 1]
    return [cut(a) for a in fault.args], None if fault.where is None else cut(fault.where)


def alone(fault: Fault, subject: Subject) -> Fault:
    """Return the fault, with all rows where one on its own has not the loss it has among them."""
    return fault if not fault.rows or _independent(fault, subject) else whole(fault)


def whole(fault: Fault) -> Fault:
    """Return the fault with all rows of its arguments."""
    facts = fault.counted, fault.setting, fault.dtype, fault.where
    return Fault(str(fault), fault.args, (), *facts)


def _independent(fault: Fault, subject: Subject) -> bool:
    """Tell whether a row has the same loss and gradient in a batch of copies of itself."""
    setting, dtype, where = fault.setting or {}, fault.dtype, fault.where
    at, count = fault.rows[0], len(fault.args[0])
    if any(len(a) != count for a in fault.args):
        return False
    copies = [np.repeat(a[at : at + 1], count, axis=0) for a in fault.args]
    mask = where if where is None else np.repeat(where[at : at + 1], count, axis=0)
    try:
        one = subject.evaluate(copies, setting, dtype, where=mask)
        among = subject.evaluate(fault.args, setting, dtype, where=where)
    except Exception:  # what the loss cannot be called with shows that with one row as well
        return True
    return one[0].shape[:1] == (count,) and all(
        np.allclose(a[at], b[at], rtol=1e-4, atol=1e-30, equal_nan=True)
        for a, b in zip([one[0], *one[1]], [among[0], *among[1]], strict=True)
    )
