"""Answers read from bytes: however they are cut, the same answer; what two readers could read differently, none."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchanges.http_answer import MAX_HEAD_BYTES, AnswerReader, MalformedAnswer
from exchanges.wire import Answer

MAX_BODY = 1000


def read(data: bytes, cuts: list[int] | None = None) -> tuple[Answer | None, AnswerReader]:
    reader = AnswerReader(max_body=MAX_BODY)
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts or ()), len(data)]
    answer = None
    for start, stop in pairwise(places):
        if answer is None and start < stop:
            answer = reader.read(data[start:stop])
    return answer, reader


LENGTH = b'HTTP/1.1 200 OK\r\nX-MBX-USED-WEIGHT-1M: 12\r\nContent-Length: 7\r\n\r\n{"a":1}'
CHUNKS = b'HTTP/1.1 503 Nope\r\ntransfer-encoding: Chunked\r\n\r\n3\r\n{"a\r\n04;x=y\r\n":1}\r\n0\r\n\r\n'


@pytest.mark.parametrize(
    ("data", "status", "body", "keeps"),
    [
        (LENGTH, 200, b'{"a":1}', True),
        (CHUNKS, 503, b'{"a":1}', True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, b"", True),
        (b"HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx", 200, b"x", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 418 Teapot\r\nContent-Length: 2\r\n\r\nno",
            418,
            b"no",
            True,
        ),
        (b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 1\r\n\r\nx", 200, b"x", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, b"x", False),
        # More than the answer came: the connection is not trusted with a second one.
        (LENGTH + b"HTTP/1.1 200 OK\r\n\r\n", 200, b'{"a":1}', False),
        (CHUNKS + b"x", 503, b'{"a":1}', False),
        # Said twice, and the same both times.
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\ncontent-length: 1\r\n\r\nx", 200, b"x", True),
    ],
)
def test_an_answer_is_read(data: bytes, status: int, body: bytes, keeps: bool) -> None:
    answer, reader = read(data)
    assert answer is not None
    assert (answer.status, answer.body, reader.keeps) == (status, body, keeps)


def test_header_names_are_in_lower_case_and_repeated_ones_joined() -> None:
    answer, _ = read(b"HTTP/1.1 200 OK\r\nX-A:  1 \r\nx-a: 2\r\nContent-Length: 0\r\n\r\n")
    assert answer is not None
    assert answer.headers == {"x-a": "1, 2", "content-length": "0"}


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/2 200 OK\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 9,
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n folded: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX A: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: x\ny\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1e3\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nTrailer: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"0" * 1100,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3E9\r\n" + b"x" * 1001,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + (b"1F4\r\n" + b"x" * 500 + b"\r\n") * 3,
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1001,
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * MAX_HEAD_BYTES,
    ],
)
def test_what_could_be_read_in_two_ways_or_is_too_much_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        read(data)


@pytest.mark.parametrize("whole", [LENGTH, CHUNKS])
@given(data=st.data())
def test_however_the_bytes_are_cut_the_answer_is_the_same(whole: bytes, data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(whole)), max_size=20))
    answer, reader = read(whole, cuts)
    assert answer == read(whole)[0]
    assert reader.keeps


@pytest.mark.parametrize("whole", [LENGTH, CHUNKS])
@given(data=st.data())
def test_an_answer_cut_short_is_no_answer(whole: bytes, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(whole) - 1))
    answer, reader = read(whole[:cut])
    assert answer is None
    assert reader.end() is None


def test_an_answer_without_a_length_ends_with_the_connection() -> None:
    answer, reader = read(b"HTTP/1.1 200 OK\r\n\r\nsome", [20])
    assert answer is None
    ended = reader.end()
    assert ended is not None
    assert ended.body == b"some"
    assert not reader.keeps


@given(st.binary(max_size=200))
def test_any_bytes_are_an_answer_or_refused(tail: bytes) -> None:
    for head in (b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"):
        try:
            read(head + tail, [7, 60])
        except MalformedAnswer:
            continue
