"""The scanner finds what is planted, in whatever form, and nothing where nothing is."""

from __future__ import annotations

import base64
import json
from random import Random
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.canaries import CANARIES, PIECE, forms_of, scan
from tests.conftest import told_no_secret

NOISE = st.text(max_size=60)
BYTES = st.binary(max_size=40)
WHICH = st.integers(0, len(CANARIES) - 1)


def found(text: str) -> set[int]:
    return {trace.canary for trace in scan("here", text)}


@given(WHICH, NOISE, NOISE, st.data())
def test_any_piece_is_found_wherever_it_stands(
    which: int, before: str, behind: str, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(CANARIES[which]) - PIECE))
    assert which in found(before + CANARIES[which][start : start + PIECE] + behind)


@given(WHICH, BYTES, BYTES)
def test_a_canary_inside_something_encoded_is_found(which: int, before: bytes, behind: bytes) -> None:
    inside = before + CANARIES[which].encode() + behind
    shapes = (
        base64.b64encode(inside).decode(),
        base64.urlsafe_b64encode(inside).decode(),
        inside.hex(),
        inside.hex().upper(),
        quote(inside, safe=""),
        "\\x" + inside.hex(),
    )
    for shape in shapes:
        assert which in found(shape), shape


@pytest.mark.parametrize("which", range(len(CANARIES)))
def test_every_form_of_every_canary_is_found_as_itself(which: int) -> None:
    for text in forms_of(CANARIES[which]).values():
        assert found(text) == {which}
    assert found(quote_plus(CANARIES[which])) == {which}
    assert found(json.dumps({"key": CANARIES[which]})) == {which}


def test_less_than_a_piece_is_no_trace() -> None:
    for canary in CANARIES:
        for start in range(len(canary) - PIECE + 2):
            assert found(f"¤{canary[start : start + PIECE - 1]}¤") == set()


def test_what_holds_no_canary_is_clean() -> None:
    random = Random(1)
    assert found(random.randbytes(100_000).hex()) == set()
    assert found(base64.b64encode(random.randbytes(100_000)).decode()) == set()
    assert found("".join(map(chr, random.choices(range(32, 127), k=100_000)))) == set()


def test_a_trace_does_not_repeat_what_it_found() -> None:
    (trace,) = scan("a log", f"told {CANARIES[0]}")
    assert (trace.where, trace.canary, trace.form) == ("a log", 0, "raw")
    assert CANARIES[0][:PIECE] not in repr(trace)


@pytest.mark.parametrize("section", ["Captured stdout call", "Captured stderr setup", "Captured log call"])
def test_i13_a_test_whose_output_holds_a_canary_fails(section: str) -> None:
    def judged(text: str) -> str:
        report = pytest.TestReport(
            nodeid="tests/x.py::test_x",
            location=("tests/x.py", 1, "test_x"),
            keywords={},
            outcome="passed",
            longrepr=None,
            when="call",
            sections=[("Captured log setup", "nothing"), (section, text)],
        )
        return told_no_secret(report).outcome

    assert judged("a quiet line") == "passed"
    assert judged(f"a line with {CANARIES[3][5 : 5 + PIECE]} in it") == "failed"
