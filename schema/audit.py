"""Reads users' chains of events, for verification and export: core/audit.py says what holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg

from core.audit import Head, Link
from core.ids import UserId
from schema.queries import load_queries
from schema.store import StoreUnavailable

_CONNECT_TIMEOUT_S = 10
_STATEMENT_TIMEOUT = "600s"
_ROWS_AT_ONCE = 2_000
_SQL = {name: query.sql for name, query in load_queries().items() if query.file == "audit.sql"}


class Chains:
    """The chains as they stand at one moment: heads and links are read in one snapshot."""

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        self._connection = connection

    def heads(self, user_id: UserId | None = None) -> Sequence[Head]:
        rows = self._connection.execute(_SQL["chain_heads"], {"user_id": user_id}).fetchall()
        return [
            Head(user_id=UserId(user), number=number, hash=bytes(hash_), dropped=dropped)
            for user, number, hash_, dropped in rows
        ]

    def links(self, user_id: UserId) -> Iterator[Link]:
        """In order, a few thousand in memory at a time."""
        with self._connection.cursor(name="links") as cursor:
            cursor.itersize = _ROWS_AT_ONCE
            cursor.execute(_SQL["chain_links"], {"user_id": user_id})
            for number, previous_hash, hash_, content in cursor:
                yield Link(
                    number=number, previous_hash=bytes(previous_hash), hash=bytes(hash_), content=content
                )


@contextmanager
def chains(conninfo: str) -> Iterator[Chains]:
    """Raises StoreUnavailable when the database is away, not migrated, or does not let its chains be read."""
    try:
        with psycopg.connect(conninfo, connect_timeout=_CONNECT_TIMEOUT_S) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            connection.execute(f"SET LOCAL statement_timeout = '{_STATEMENT_TIMEOUT}'".encode())
            yield Chains(connection)
    except psycopg.Error as error:
        reason = (error.diag.message_primary or str(error).strip()).splitlines()[0]
        raise StoreUnavailable(f"The chains of events cannot be read: {reason}.") from error
