"""A user's chain of events as a file that needs no database to be verified: a JSON document a line.

First the head, then a line for each link: its hash and the very text the hash was taken of.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from core.audit import Head, Link, Verdict, verify
from core.errors import RunnerError
from core.ids import UserId

T = TypeVar("T")

FORMAT = "strategy-runner events 1"
MAX_LINE = 16_777_216


class _FirstLine(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    format: str
    user: str
    links: int
    dropped: int
    head: str


class _Line(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    link: int
    previous: str
    hash: str
    content: str


class AuditFileInvalid(RunnerError):
    """The file is no export; the message names the line."""


def write(path: Path, head: Head, links: Iterable[Link]) -> int:
    """Writes the file whole or not at all; how many links it has."""
    made = path.with_name(f"{path.name}.part")
    count = 0
    with made.open("wb") as file:
        first = _FirstLine(
            format=FORMAT, user=head.user_id, links=head.number, dropped=head.dropped, head=head.hash.hex()
        )
        file.write(msgspec.json.encode(first) + b"\n")
        for link in links:
            line = _Line(
                link=link.number,
                previous=link.previous_hash.hex(),
                hash=link.hash.hex(),
                content=link.content,
            )
            file.write(msgspec.json.encode(line) + b"\n")
            count += 1
    made.replace(path)
    return count


def verify_file(path: Path, *, known: Head | None = None) -> Verdict:
    """Raises AuditFileInvalid for what is no export."""
    try:
        with path.open("rb") as file:
            lines = _lines(file)
            number, text = next(lines, (1, b""))
            first = _decoded(text, number, _FirstLine)
            if first.format != FORMAT:
                raise AuditFileInvalid(f"{path}: this is no export of events that this version knows.")
            head = Head(
                user_id=UserId(first.user),
                number=first.links,
                hash=_hash(first.head, number),
                dropped=first.dropped,
            )
            return verify(head, (_link(text, number) for number, text in lines), known=known)
    except OSError as error:
        raise AuditFileInvalid(f"{path}: {error.strerror}.") from error


def _lines(file: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    for number, text in enumerate(file, 1):
        if len(text) > MAX_LINE:
            raise AuditFileInvalid(f"Line {number} is longer than any event.")
        yield number, text


def _link(text: bytes, number: int) -> Link:
    line = _decoded(text, number, _Line)
    return Link(
        number=line.link,
        previous_hash=_hash(line.previous, number),
        hash=_hash(line.hash, number),
        content=line.content,
    )


def _decoded(text: bytes, number: int, type_: type[T]) -> T:
    try:
        return msgspec.json.decode(text, type=type_)
    except msgspec.MsgspecError as error:
        raise AuditFileInvalid(f"Line {number} is no line of an export: {error}.") from error


def _hash(text: str, number: int) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise AuditFileInvalid(f"Line {number} has a hash that is none.") from error
