"""Reads one HTTP/1.1 answer from bytes as they come. Pure. Source: RFC 9112 sections 4, 6, 7 and 8.

Only what a venue may send is taken: one status line, a length or chunks or the end of the connection. Anything two
readers could read differently is refused, so that no byte of one answer is taken for another's.
"""

from __future__ import annotations

import re
from typing import Final

from core.errors import RunnerError
from exchanges.wire import Answer

MAX_HEAD_BYTES: Final = 65_536
MAX_INTERIM: Final = 8
"""Answers of 1xx before the one that counts."""
MAX_CHUNK_LINE: Final = 1024

_STATUS: Final = re.compile(r"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\x00-\x08\x0a-\x1f]*)?")
_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_LENGTH: Final = re.compile(r"[0-9]{1,15}")
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,12})[ \t]*(?:;[^\r\n]*)?")


class MalformedAnswer(RunnerError):
    """These bytes are no HTTP/1.1 answer, or one beyond the bounds."""


class AnswerReader:
    """`read` until it returns the answer. `keeps`: whether the connection may be used again after it."""

    __slots__ = (
        "_body", "_buffer", "_chunked", "_headers", "_interim", "_left", "_max_body", "_size", "_status", "begun",
        "keeps",
    )  # fmt: skip

    def __init__(self, *, max_body: int) -> None:
        self._max_body = max_body
        self._buffer = b""
        self._status = 0
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._size = 0
        self._left: int | None = None
        """Bytes of the body still to come; None: all until the connection ends."""
        self._chunked = False
        self._interim = 0
        self.begun = False
        self.keeps = True

    def read(self, data: bytes) -> Answer | None:
        """The answer once it is whole. Raises MalformedAnswer."""
        self.begun = True
        if not self._status:
            data = self._buffer + data if self._buffer else data
            rest = self._head(data)
            if rest is None:
                return None
            data = rest
        if self._chunked:
            return self._chunks(data)
        if self._left is None:
            self._keep(data)
            return None
        if len(data) > self._left:
            # Nothing was asked that these bytes could answer.
            self.keeps = False
            data = data[: self._left]
        self._left -= len(data)
        self._keep(data)
        return self._whole() if self._left == 0 else None

    def end(self) -> Answer | None:
        """The answer, where the end of the connection is what ends it; None: it was cut short."""
        self.keeps = False
        return self._whole() if self._status and self._left is None and not self._chunked else None

    def _head(self, data: bytes) -> bytes | None:
        """What follows the head; None: it is not whole yet."""
        while True:
            end = data.find(b"\r\n\r\n", 0, MAX_HEAD_BYTES)
            if end < 0:
                if len(data) >= MAX_HEAD_BYTES:
                    raise MalformedAnswer(f"The head of an answer is longer than {MAX_HEAD_BYTES} bytes.")
                self._buffer = data
                return None
            lines = data[:end].decode("latin-1").split("\r\n")
            data = data[end + 4 :]
            found = _STATUS.fullmatch(lines[0])
            if found is None:
                raise MalformedAnswer("An answer begins with no status line.")
            status = int(found[2])
            if status >= 200:
                break
            self._interim += 1
            if status == 101 or self._interim > MAX_INTERIM:
                raise MalformedAnswer(f"An answer of status {status} has no place here.")
        self._status = status
        self._buffer = b""
        self._headers = headers = _headers(lines)
        self._framing(headers)
        connection = headers.get("connection", "").lower()
        if found[1] == "0" or "close" in connection or self._left is None:
            self.keeps = False
        return data

    def _framing(self, headers: dict[str, str]) -> None:
        length = headers.get("content-length")
        coding = headers.get("transfer-encoding")
        if coding is not None:
            if length is not None or coding.lower() != "chunked":
                raise MalformedAnswer(
                    "An answer says twice how long it is, or in a coding that was not asked for."
                )
            self._chunked = True
            self._left = 0
        elif self._status in (204, 304):
            self._left = 0
        elif length is not None:
            if not _LENGTH.fullmatch(length) or int(length) > self._max_body:
                raise MalformedAnswer(
                    f"An answer has an impossible length, or more than {self._max_body} bytes."
                )
            self._left = int(length)

    def _chunks(self, data: bytes) -> Answer | None:
        buffer, at = (self._buffer + data if self._buffer else data), 0
        while True:
            end = buffer.find(b"\r\n", at, at + MAX_CHUNK_LINE)
            if end < 0:
                if len(buffer) - at >= MAX_CHUNK_LINE:
                    raise MalformedAnswer("An answer has no size where a chunk begins.")
                break
            found = _CHUNK.fullmatch(buffer, at, end)
            if found is None:
                raise MalformedAnswer("An answer has no size where a chunk begins.")
            size = int(found[1], 16)
            begin = end + 2
            if not size:
                # Trailers are not asked for; an answer ends with the empty line.
                if len(buffer) < begin + 2:
                    break
                if buffer[begin : begin + 2] != b"\r\n":
                    raise MalformedAnswer("An answer has trailers.")
                self.keeps = self.keeps and len(buffer) == begin + 2
                return self._whole()
            if self._size + size > self._max_body:
                raise MalformedAnswer(f"An answer has more than {self._max_body} bytes.")
            if len(buffer) < begin + size + 2:
                break
            if buffer[begin + size : begin + size + 2] != b"\r\n":
                raise MalformedAnswer("A chunk of an answer is longer than it says.")
            self._keep(buffer[begin : begin + size])
            at = begin + size + 2
        self._buffer = buffer[at:]
        return None

    def _keep(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._max_body:
            raise MalformedAnswer(f"An answer has more than {self._max_body} bytes.")
        self._body.append(data)

    def _whole(self) -> Answer:
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        return Answer(status=self._status, headers=self._headers, body=body)


def _headers(lines: list[str]) -> dict[str, str]:
    """Names in lower case; a repeated one is joined by commas, but a length may only be repeated as it was."""
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not _NAME.fullmatch(name) or "\n" in value or "\r" in value or "\x00" in value:
            raise MalformedAnswer("An answer has a header line that is none.")
        name, value = name.lower(), value.strip(" \t")
        before = headers.get(name)
        if before is None:
            headers[name] = value
        elif name != "content-length" or before != value:
            headers[name] = f"{before}, {value}"
    return headers
