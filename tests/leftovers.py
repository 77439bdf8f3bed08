"""What the suite leaves behind, scanned for canaries (I13): outputs of programs, log files, folders, databases.

What each test itself prints and logs is scanned with its report (tests/conftest.py). Everything else is noted here on
the way, and a session that holds a trace fails when it ends.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

from tests.canaries import Trace, scan

MAX_FILE_BYTES: Final = 64 << 20
"""Of longer files the end is read."""
MAX_TRACES: Final = 100
_TABLES: Final = """
    SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'r' AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
       AND pg_relation_size(c.oid) > 0 ORDER BY 1, 2"""


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
            for names in connection.execute(_TABLES).fetchall():
                copying = sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(*names))
                with connection.cursor().copy(copying) as rows:
                    self.note(f"table {names[1]} of {connection.info.dbname}", b"".join(rows))


LEFT: Final = Leftovers()
"""Of this session."""
