"""Row-level security: behind a query that forgets its user there is a wall (I12)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from core.errors import RunnerError
from schema.migrate import migrate
from schema.pg import PgStore
from schema.pg_database import SQL, Connection, Walls
from schema.records import SlotReport
from tests.schema.conftest import Database
from tests.schema.pg_world import START, entry, fill_of, make_run, open_store, stand_at, tick_of

TABLES = (
    "SELECT c.relname, bool_or(a.attname = 'user_id'), c.relrowsecurity,"
    " EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid) FROM pg_class c"
    " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0"
    " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
    " GROUP BY c.oid ORDER BY c.relname"
)
SEEN_BY_ALL = {"candles", "platform_settings"}


@pytest.fixture
def store(database: Database) -> Iterator[PgStore]:
    store = open_store(database.service_dsn, pool_size=2)
    stand_at(store, START)
    for user in ("ann", "bob"):
        run = make_run(store, user)
        (claim,) = store.claim([run.id], slot=START, owner="node-1", ttl_s=60)
        proposed = entry(run, claim.fence)
        store.settle([proposed])
        store.settle([fill_of(proposed.order, "100", trade_id=f"t-{user}")])
        store.report(SlotReport(ticks=(tick_of(run, claim.fence, START),)))
    yield store
    store.close()


@pytest.fixture
def owner(database: Database) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database.owner_dsn, autocommit=True, connect_timeout=10) as connection:
        yield connection


def rows(connection: Connection, table: str) -> list[Any]:
    return connection.execute(f"SELECT t, row_to_json(t) FROM {table} t".encode()).fetchall()  # noqa: S608


def test_every_table_with_a_user_is_walled(owner: psycopg.Connection[Any], store: PgStore) -> None:
    tables = owner.execute(TABLES).fetchall()
    assert {name for name, of_user, walled, told in tables if of_user and not (walled and told)} == set()
    assert store.database.walls == Walls(readers=True, writers=True)


def test_a_query_that_forgets_its_user_reads_that_users_rows_alone(
    store: PgStore, owner: psycopg.Connection[Any]
) -> None:
    """Every table and view there is; the rows of the two users are there, as the service sees."""
    readable = {
        name
        for (name,) in owner.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND NOT relispartition"
            " AND relkind IN ('r', 'p', 'v') AND has_table_privilege('runner_reader', oid, 'SELECT')"
        )
    } - SEEN_BY_ALL
    told_of_bob, told_of_ann = set(), set()
    for table in sorted(readable):
        everything = str(store.database.run(lambda c, table=table: rows(c, table)))  # type: ignore[misc]
        seen = str(store.database.read_as("ann", lambda c, table=table: rows(c, table)))  # type: ignore[misc]
        if "ann" in everything and "bob" in everything and "ann" in seen:
            told_of_ann.add(table)
        if "bob" in seen:
            told_of_bob.add(table)
    assert told_of_bob == set()
    assert {"accounts", "strategy_runs", "orders", "fills", "positions", "strategy_events"} <= told_of_ann
    assert {"run_rows", "strategies", "risk_users"} <= told_of_ann


def test_without_a_user_the_reader_sees_nothing_and_it_writes_nowhere(store: PgStore) -> None:
    def as_nobody(connection: Connection) -> int:
        connection.execute("SELECT set_config('role', 'runner_reader', true)")
        row = connection.execute("SELECT count(*) FROM accounts").fetchone()
        assert row is not None
        return int(row[0])

    assert store.database.run(as_nobody) == 0
    for statement in (
        b"UPDATE accounts SET name = 'x'",
        b"DELETE FROM signals",
        b"INSERT INTO idempotency_keys (user_id) VALUES ('ann')",
    ):
        with pytest.raises(RunnerError, match="permission denied"):
            store.database.read_as("ann", lambda c, statement=statement: c.execute(statement))  # type: ignore[misc]


def test_who_was_read_as_is_forgotten_with_the_transaction(store: PgStore) -> None:
    assert len(store.database.read_as("ann", lambda c: rows(c, "accounts"))) == 1
    assert len(store.database.run(lambda c: rows(c, "accounts"))) == 2
    assert len(store.database.read(lambda c: rows(c, "accounts"))) == 2


def test_a_table_of_a_later_migration_is_walled_by_the_next_migrate(
    database: Database, owner: psycopg.Connection[Any]
) -> None:
    owner.execute("CREATE TABLE notes (user_id text, note text)")
    owner.execute("CREATE VIEW all_notes AS SELECT * FROM notes")
    owner.execute("INSERT INTO notes VALUES ('ann', 'a'), ('bob', 'b')")
    migrate(database.owner_dsn)
    store = open_store(database.service_dsn, pool_size=2)
    try:
        for name in ("notes", "all_notes"):
            seen = store.database.read_as(
                "ann", lambda c, name=name: c.execute(f"TABLE {name}".encode()).fetchall()
            )  # type: ignore[misc]
            assert seen == [("ann", "a")]
    finally:
        store.close()


def test_a_service_that_the_wall_would_stop_keeps_its_tables_open(
    database: Database, database_url: str, owner: psycopg.Connection[Any]
) -> None:
    """A server whose roles were made by hand, before there were walls. All in a transaction that never was."""
    owner.execute("CREATE TABLE notes (user_id text)")
    dsn = make_conninfo(database_url, dbname=database.name)
    with psycopg.connect(dsn, connect_timeout=10) as admin:
        admin.execute("ALTER ROLE runner_service NOBYPASSRLS")
        assert admin.execute("SELECT raise_walls()").fetchone() == (False,)
        walled = admin.execute("SELECT relrowsecurity FROM pg_class WHERE relname = 'notes'").fetchone()
        assert walled == (False,)
        admin.rollback()


def test_without_the_role_that_writes_the_wall_before_what_is_read_stands(
    database: Database, database_url: str, owner: psycopg.Connection[Any]
) -> None:
    """A server whose roles were made by hand, of an earlier version. All in a transaction that never was."""
    owner.execute("CREATE TABLE notes (user_id text)")
    dsn = make_conninfo(database_url, dbname=database.name)
    with psycopg.connect(dsn, connect_timeout=10) as admin:
        admin.execute("DROP POLICY update_by_tenant ON strategy_runs")
        admin.execute("ALTER ROLE runner_tenant RENAME TO unheard_of")
        admin.execute("SET LOCAL ROLE runner_owner")
        assert admin.execute("SELECT raise_walls()").fetchone() == (True,)
        assert admin.execute("SELECT has_table_privilege('runner_reader', 'notes', 'SELECT')").fetchone() == (
            True,
        )
        admin.execute("SET LOCAL ROLE runner_service")
        assert admin.execute(SQL["has_walls"]).fetchone() == (True, False)
        admin.rollback()
