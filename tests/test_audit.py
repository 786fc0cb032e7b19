"""The audit finds what is known to be wrong elsewhere, and none of it here.

A few of optax's losses and the checks that find their defects; the whole table is `slow`.
"""

import dataclasses
import json
from pathlib import Path

import pytest

import audit
from peers import Peer, findings, known, of, paste
from peers.page import page

# A loss, the checks to run on it, and the rows that they must find.
CHEAP = {
    "huber_loss": (("G3", "E3"), {"O5", "O29"}),
    "softmax_cross_entropy_with_integer_labels": (("S3", "M1"), {"O9", "O26"}),
    "dice_loss(apply_softmax=False)": (("T1",), {"O15"}),
    "sparsemax_loss": (("V1",), {"O28"}),
}


def peer(name: str) -> Peer:
    return next(p for p in of("optax") if p.name == name)


@pytest.mark.parametrize("name", CHEAP)
def test_known_rows_are_found_and_reproduced(name: str) -> None:
    only, expected = CHEAP[name]
    rows = findings.look(peer(name), only=only)
    assert expected <= {i for r in rows for i in r.known}
    assert all(r.reproduced for r in rows), rows


@pytest.mark.parametrize("name", CHEAP)
def test_none_of_them_is_here(name: str) -> None:
    only, _ = CHEAP[name]
    rows = findings.look(peer(name).ours_in_its_place(), only=only)
    assert not rows, rows


def test_a_number_that_is_not_printed_is_no_reproduction() -> None:
    said = "value nan, limit 0 at (inf, 1.), 18 of 32 rows"
    assert findings.agrees(said, "(Array(nan, dtype=float32), Array([0.], dtype=float32))")
    assert not findings.agrees(said, "(Array(0., dtype=float32), Array([0.], dtype=float32))")
    assert not findings.agrees("ValueError: no", "TypeError: no")
    assert not findings.agrees("1 becomes 2 by +1 at (0.)", "TypeError: no")


def test_what_cannot_be_made_is_a_row() -> None:
    gone = dataclasses.replace(peer("huber_loss"), call="optax.losses.no_such_loss")
    (row,) = findings.look(gone)
    assert (row.check, row.reproduced) == ("T0", True)
    assert "no_such_loss" in row.got


def test_the_page_says_what_is_found_and_what_is_not(tmp_path: Path) -> None:
    rows = findings.look(peer("sparsemax_loss"), only=("V1",))
    text = page(rows, {"jax": "1", "optax": "2"}, ["sparsemax_loss"])
    assert "**1 of them are found**" in text
    assert "O28 `sparsemax_loss`" in text
    assert rows[0].reproduction in text
    written = json.loads(audit.as_json(rows, {"jax": "1"}))
    assert written["found"] == ["O28"]
    assert written["rows"][0]["reproduced"]


def test_a_library_that_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("peers.installed", lambda library: False)
    assert audit.main([]) == 2
    assert "optax is not installed" in capsys.readouterr().err


def test_every_known_row_is_about_a_loss_that_is_looked_at() -> None:
    names = {p.name for p in of("optax")}
    for row in known.KNOWN:
        if row.library == "optax":
            assert any(n.startswith(row.losses) for n in names), row.id
    assert len(known.KNOWN) == 36


def test_a_call_to_paste_is_a_batch_of_one() -> None:
    text = paste.arrays(peer("huber_loss"), "float32")
    assert text.count("jnp.array([") == 2


@pytest.mark.slow
@pytest.mark.oracle
def test_at_least_thirty_rows_are_found() -> None:
    pytest.importorskip("rax")
    rows = [row for library in audit.LIBRARIES for p in of(library) for row in findings.look(p)]
    found = {i for r in rows for i in r.known}
    assert len(found) >= 30, sorted(found)
    assert not [r for r in rows if r.reproduced is False]
