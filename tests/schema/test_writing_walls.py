"""Row-level security where rows are changed, for every table there is: what forgets its WHERE meets one user's rows."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, Final
from uuid import uuid4

import psycopg
import pytest
from msgspec.structs import replace
from psycopg import sql
from psycopg.conninfo import make_conninfo

from core.errors import Conflict, RunnerError
from core.ids import UserId
from core.job import JobKind
from schema.desk import RetireStrategy, ReviseStrategy
from schema.jobs import JobId
from schema.pg import PgStore
from schema.pg_database import Connection
from schema.pg_rows import one
from schema.tenancy import asked_for, asking
from tests.schema.conftest import Database
from tests.schema.two_users import ANN, BOB, two_users

Told = dict[UserId, list[str]]

WITHOUT_A_USER: Final = {
    "candles",
    "platform_settings",
    "strategies",
    "strategy_executions",
    "strategy_locks",
    "strategy_tick_triggers",
    "strategy_versions",
    "equity_points",
}
"""Walled as well: by run, strategy or account, or open to every reader."""
NEVER_A_REQUESTS: Final = {
    "candles",
    "dropped_links",
    "event_chains",
    "fills",
    "platform_settings",
    "signals",
    "strategy_executions",
    "strategy_tick_runs",
    "strategy_tick_triggers",
    "trades",
}
"""What only trading and triggers write: a request has no right to."""
APPENDED: Final = {"strategy_events"}
LEAST: Final = {
    "uuid": "gen_random_uuid()",
    "text": "gen_random_uuid()::text",
    "timestamptz": "runner_now()",
    "int2": "1",
    "int4": "1",
    "int8": "1",
    "numeric": "1",
    "float8": "1",
    "bool": "false",
    "jsonb": "'{}'",
    "bytea": "''",
}
DENIED: Final = "42501"
"""No right to the table, or a row that the wall refuses."""


@pytest.fixture
def world(database: Database) -> Iterator[tuple[PgStore, Told]]:
    store, told = two_users(database)
    yield store, told
    store.close()


@pytest.fixture
def admin_inside(
    world: tuple[PgStore, Told], database: Database, database_url: str
) -> Iterator[psycopg.Connection[Any]]:
    """A superuser in the database, with triggers and foreign keys out of the way: the wall stands alone."""
    dsn = make_conninfo(database_url, dbname=database.name)
    with psycopg.connect(dsn, connect_timeout=10) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.commit()
        fill_the_rest(connection)
        yield connection
        connection.rollback()


def fill_the_rest(connection: psycopg.Connection[Any]) -> None:
    """A row of each user in every table that has none yet, the least that its columns take."""
    for table, columns in walled_tables(connection).items():
        if (
            "user_id" not in columns
            or connection.execute(sql.SQL("SELECT FROM {}").format(named(table))).rowcount
        ):
            continue
        needed = connection.execute(
            "SELECT attname, typname FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid"
            " WHERE attrelid = to_regclass(%s) AND attnum > 0 AND attnotnull AND NOT atthasdef AND attidentity = ''"
            " AND attname <> 'user_id'",
            [table],
        ).fetchall()
        for (check,) in connection.execute(
            "SELECT conname FROM pg_constraint WHERE conrelid = to_regclass(%s) AND contype = 'c'", [table]
        ).fetchall():  # whose row it is has nothing to do with what else may stand in it
            dropped = sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(named(table), named(check))
            connection.execute(dropped)
        names = [named("user_id"), *(named(name) for name, _ in needed)]
        values = ["%s", *(LEAST[kind] for _, kind in needed)]
        into = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
            named(table), sql.SQL(", ").join(names), sql.SQL(", ".join(values))
        )
        for user in (ANN, BOB):
            connection.execute(into, [user])
    connection.commit()


def walled_tables(connection: psycopg.Connection[Any]) -> dict[str, list[str]]:
    """Each with its columns."""
    found = connection.execute(
        "SELECT c.relname, array_agg(a.attname::text ORDER BY a.attnum) FROM pg_class c"
        " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
        " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
        " AND c.relrowsecurity GROUP BY c.oid ORDER BY c.relname"
    ).fetchall()
    connection.rollback()
    return dict(found)


def as_ann(connection: psycopg.Connection[Any], *statements: sql.Composed) -> list[int] | None:
    """How many rows each touched; None: denied. Whatever they did is undone."""
    connection.execute("SELECT set_config('runner.user', %s, true)", [ANN])
    connection.execute("SET LOCAL ROLE runner_tenant")
    try:
        return [connection.execute(statement).rowcount for statement in statements]
    except psycopg.Error as error:
        if error.sqlstate != DENIED:
            raise
        return None
    finally:
        connection.rollback()


def test_both_users_have_rows_wherever_a_table_knows_its_user(
    world: tuple[PgStore, Told], admin_inside: psycopg.Connection[Any]
) -> None:
    """Without them the tests below prove nothing of a table. One that cannot be filled belongs into two_users.py."""
    tables = walled_tables(admin_inside)
    assert {name for name, columns in tables.items() if "user_id" not in columns} == WITHOUT_A_USER
    for table, columns in tables.items():
        if "user_id" in columns:
            users = admin_inside.execute(sql.SQL("SELECT DISTINCT user_id FROM {}").format(named(table)))
            assert {ANN, BOB} <= {user for (user,) in users}, table


def test_a_change_without_a_where_touches_the_users_own_rows_alone(
    world: tuple[PgStore, Told], admin_inside: psycopg.Connection[Any]
) -> None:
    """I12, for every table. The statements read no column: what is changed need not be seen first."""
    foreign, denied = {}, set()
    for table, columns in walled_tables(admin_inside).items():
        own = admin_inside.execute(
            sql.SQL("SELECT FROM {} t WHERE row_to_json(t)::text LIKE ANY(%s)").format(named(table)),
            [[f"%{word}%" for word in world[1][ANN]]],
        ).rowcount
        admin_inside.rollback()
        statements = [sql.SQL("DELETE FROM {}").format(named(table))]
        if "user_id" in columns:
            statements.insert(0, sql.SQL("UPDATE {} SET user_id = {}").format(named(table), ANN))
        touched = as_ann(admin_inside, *statements)
        if touched is None:
            denied.add(table)
        elif touched != [own] * len(statements) or not own:
            foreign[table] = (touched, own)
    assert foreign == {}
    assert denied == NEVER_A_REQUESTS | APPENDED


def test_a_row_of_another_user_cannot_be_written(
    world: tuple[PgStore, Told], admin_inside: psycopg.Connection[Any]
) -> None:
    """I12: each table's row of bob's, taken out and put in again by ann."""
    words, let_in = [f"%{word}%" for word in world[1][BOB]], []
    for table in walled_tables(admin_inside).keys() - {"candles", "platform_settings"}:
        bobs = sql.SQL("FROM {} t WHERE row_to_json(t)::text LIKE ANY(%s)").format(named(table))
        keep = sql.SQL("CREATE TEMP TABLE taken ON COMMIT DROP AS SELECT * ")
        admin_inside.execute(sql.Composed([keep, bobs]), [words])
        admin_inside.execute("GRANT SELECT ON taken TO runner_tenant")
        gone = admin_inside.execute(sql.Composed([sql.SQL("DELETE "), bobs]), [words])
        assert gone.rowcount > 0, table
        statement = "INSERT INTO {} OVERRIDING SYSTEM VALUE SELECT * FROM taken"
        if as_ann(admin_inside, sql.SQL(statement).format(named(table))) is not None:
            let_in.append(table)
    assert let_in == []


def test_a_strategy_that_others_may_run_is_held_by_them_and_never_changed(
    world: tuple[PgStore, Told], admin_inside: psycopg.Connection[Any]
) -> None:
    admin_inside.execute("UPDATE strategies SET visibility = 'public' WHERE owner_id = %s", [BOB])
    admin_inside.commit()

    def asked(statement: str) -> list[int] | None:
        return as_ann(admin_inside, sql.SQL(statement).format(named("strategies")))

    assert asked("SELECT FROM {} FOR NO KEY UPDATE") == [4]
    assert asked("UPDATE {} SET name = 'mine'") is None
    assert asked("UPDATE {} SET owner_id = 'user-ann'") is None
    assert asked("DELETE FROM {}") == [2]


def test_only_its_owner_changes_what_every_subscriber_follows(world: tuple[PgStore, Told]) -> None:
    """That transaction is everybody's, so it asks for itself whose the strategy is (I12)."""
    store = world[0]
    bobs, anns = (store.runs(user_id=user)[0].strategy for user in (BOB, ANN))
    with asked_for(ANN):
        for op in (
            ReviseStrategy(definition=replace(bobs, version=2, name="mine")),
            ReviseStrategy(definition=replace(bobs, version=2, owner_id=ANN)),
            RetireStrategy(strategy_id=bobs.id, by=ANN),
        ):
            with pytest.raises(Conflict, match="only its owner"):
                store.arrange(op)
        store.arrange(ReviseStrategy(definition=replace(anns, version=2, name="mine")))
    assert store.strategy(bobs.id) == bobs


def test_partitions_are_closed_to_both_roles_those_to_come_too(
    world: tuple[PgStore, Told], admin_inside: psycopg.Connection[Any]
) -> None:
    """A policy stands before the parent: the way around it by a partition's own name is shut."""
    admin_inside.execute("SELECT ensure_partitions(runner_now() + '90 days', runner_now() + '120 days')")
    reached = admin_inside.execute(
        "SELECT c.relname FROM pg_class c, unnest(ARRAY['runner_reader', 'runner_tenant']) AS role,"
        " unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS privilege"
        " WHERE c.relispartition AND c.relkind = 'r' AND has_table_privilege(role, c.oid, privilege)"
    ).fetchall()
    assert reached == []


def test_who_is_asked_for_holds_for_the_block_and_its_thread(world: tuple[PgStore, Told]) -> None:
    store, elsewhere = world[0], []

    def role(connection: Connection) -> str:
        return str(connection.execute("SELECT current_user").fetchone())

    with asked_for(ANN):
        assert "runner_tenant" in store.database.run(role)
        assert "runner_reader" in store.database.read(role)
        other = threading.Thread(target=lambda: elsewhere.append(asking()))
        other.start()
        other.join(10)
        with asked_for(None):
            assert "runner_service" in store.database.run(role)
        with pytest.raises(RunnerError, match="permission denied"):
            store.database.read(lambda connection: connection.execute(b"DELETE FROM accounts"))
    assert elsewhere == [None]
    assert "runner_service" in store.database.run(role)
    assert "runner_service" in store.database.read(role)


def test_how_many_jobs_there_are_is_counted_beyond_the_wall(world: tuple[PgStore, Told]) -> None:
    store = world[0]
    for user in (ANN, BOB):
        store.jobs.add(JobId(uuid4()), user, JobKind.BACKTEST, {})
    with asked_for(ANN):
        open_ = store.database.read(lambda connection: one(connection, "count_open_jobs", {"user_id": ANN}))
    assert open_ == {"everybodys": 2, "own": 1}


def named(name: str) -> sql.Identifier:
    return sql.Identifier(name)
