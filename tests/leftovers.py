"""What the suite leaves behind, scanned for canaries (I13): outputs of programs, log files, folders, databases.

What each test itself prints and logs is scanned with its report (tests/conftest.py). Everything else is noted here on
the way, and a session that holds a trace fails when it ends.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import psycopg

from schema.evidence import table_texts
from tests.canaries import Trace, scan

MAX_FILE_BYTES: Final = 64 << 20
"""Of longer files the end is read."""
MAX_TRACES: Final = 100


class Leftovers:
    """`traces`: found so far; `scanned`: bytes."""

    def __init__(self) -> None:
        self.traces: list[Trace] = []
        self.scanned = 0

    def note(self, where: str, text: str | bytes) -> None:
        self.scanned += len(text)
        if len(self.traces) < MAX_TRACES:
            self.traces += scan(where, text)

    def note_file(self, path: Path) -> None:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - MAX_FILE_BYTES))
            self.note(str(path), file.read())

    def note_folder(self, folder: Path) -> None:
        """All files below it that this account may read; names too."""
        for path in sorted(folder.rglob("*")):
            self.note(str(folder), path.name)
            if path.is_file() and not path.is_symlink():
                self.note_file(path)

    def note_database(self, dsn: str) -> None:
        """All rows of all tables as text."""
        with psycopg.connect(dsn, connect_timeout=10) as connection:
            for name, rows in table_texts(connection):
                self.note(f"table {name} of {connection.info.dbname}", rows)


LEFT: Final = Leftovers()
"""Of this session."""
