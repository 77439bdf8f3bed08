"""What a drill leaves behind, looked through for the keys it made up (I13): logs, words of commands, rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from bin.traces import Scanner
from schema import evidence

SECRETS: Final = "I13: no piece of a key or secret of a venue stands in a log or a row"


def traces_left(
    secrets: Sequence[str],
    folder: Path,
    connections: Sequence[evidence.Connection],
    said: Iterable[str] = (),
) -> tuple[list[str], int]:
    """Where a piece was found and in what form, never the text; and how many bytes were read."""
    scanner = Scanner(secrets)
    found: set[str] = set()
    read = 0

    def look(where: str, text: bytes) -> None:
        nonlocal read
        read += len(text)
        found.update(f"{trace.where} ({trace.form})" for trace in scanner.scan(where, text))

    for log in folder.rglob("*.log"):
        look(log.name, log.read_bytes())
    for words in said:
        look("what a command said", words.encode())
    for connection in connections:
        for name, rows in evidence.table_texts(connection):
            look(f"table {name}", rows)
    return sorted(found), read
