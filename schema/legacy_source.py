"""Reads the database of an older deployment, in one snapshot and without writing to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from core.errors import RunnerError
from core.legacy.columns import Layout, layout_of
from schema.queries import load_queries
from schema.store import StoreUnavailable

MOST_ROWS = 100_000
"""Of one table; they are all in memory at once."""
_CONNECT_TIMEOUT_S = 10
_STATEMENT_TIMEOUT = b"SET LOCAL statement_timeout = '60s'"
_TABLES = load_queries()["legacy_tables"].sql


class LegacySource(msgspec.Struct, frozen=True, kw_only=True):
    """What stood there. `name`: the database's, for ids that are its own."""

    name: str
    layout: Layout
    rows: Mapping[str, Sequence[Mapping[str, object]]]


def read_legacy(url: str) -> LegacySource:
    """Raises UnknownLayout; StoreUnavailable where it cannot be read; RunnerError where there is too much."""
    try:
        with psycopg.connect(url, connect_timeout=_CONNECT_TIMEOUT_S) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            connection.execute(_STATEMENT_TIMEOUT)
            layout = layout_of(dict(connection.execute(_TABLES).fetchall()))
            rows = {table.name: _rows(connection, table.name, table.columns["id"]) for table in layout.tables}
            return LegacySource(name=connection.info.dbname, layout=layout, rows=rows)
    except psycopg.Error as error:
        reason = (error.diag.message_primary or str(error).strip() or "no reason given").splitlines()[0]
        raise StoreUnavailable(f"The older deployment's database cannot be read: {reason}.") from None


def _rows(
    connection: psycopg.Connection[tuple[object, ...]], table: str, key: str
) -> list[Mapping[str, object]]:
    query = sql.SQL("SELECT * FROM {} ORDER BY {} LIMIT {}").format(
        sql.Identifier(table), sql.Identifier(key), sql.Literal(MOST_ROWS + 1)
    )
    with connection.cursor(row_factory=dict_row) as cursor:
        rows: list[Mapping[str, object]] = list(cursor.execute(query).fetchall())
    if len(rows) > MOST_ROWS:
        raise RunnerError(f"Table {table} has more than the {MOST_ROWS:,} rows that are read at once.")
    return rows
