"""What a request asks of the database: each statement by its name, and whether the wall stood before it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import psycopg
from psycopg.pq import TransactionStatus

from schema.pg import PgStore
from schema.pg_database import SQL, Connection

BECOMING = {"become_reader", "become_tenant"}
_NAMES = {text: name for name, text in SQL.items()}


class Statement(NamedTuple):
    name: str
    behind_the_wall: bool
    rows: int


@contextmanager
def traced(store: PgStore) -> Iterator[list[Statement]]:
    """What is asked from here on. The store's pool has one connection, whose cursors take notes."""
    seen: list[Statement] = []
    walled = False

    class Noting(psycopg.Cursor[Any]):
        def execute(self, query: Any, *more: Any, **named: Any) -> Any:
            nonlocal walled
            if self.connection.info.transaction_status is TransactionStatus.IDLE:
                walled = False
            name = _NAMES.get(query, str(query))
            walled = walled or name in BECOMING
            done = super().execute(query, *more, **named)
            if name not in BECOMING:
                seen.append(Statement(name, walled, self.rowcount))
            return done

    def note_with(factory: type[psycopg.Cursor[Any]]) -> None:
        def set_factory(connection: Connection) -> None:
            connection.cursor_factory = factory

        store.database.run(set_factory)

    note_with(Noting)
    try:
        yield seen
    finally:
        note_with(psycopg.Cursor)
