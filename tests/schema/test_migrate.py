"""Migrations apply once, in order, all or nothing, and refuse what they do not recognise."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import psycopg
import pytest

from schema.describe import describe
from schema.migrate import (
    MIGRATIONS,
    SNAPSHOT,
    DatabaseTooNew,
    MigrationAltered,
    MigrationError,
    MigrationFailed,
    MigrationFilesInvalid,
    load_migrations,
    migrate,
    pending,
)
from tests.schema.conftest import Database

FIRST = ("0001_runs.sql", "CREATE TABLE runs (id integer PRIMARY KEY, note text DEFAULT 'x%s');")
SECOND = ("0002_ticks.sql", "ALTER TABLE runs ADD slot timestamptz; CREATE TABLE ticks (run integer);")
THIRD = ("0003_more.sql", "CREATE INDEX ticks_run ON ticks (run);")


def write(folder: Path, *files: tuple[str, str]) -> Path:
    for name, text in files:
        (folder / name).write_text(text)
    return folder


def relations(conninfo: str) -> set[str]:
    with psycopg.connect(conninfo, connect_timeout=5) as connection:
        rows = connection.execute("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace")
        return {str(name) for (name,) in rows}


def test_missing_files_are_applied_in_order_and_only_once(empty_database: Database, tmp_path: Path) -> None:
    dsn = empty_database.owner_dsn
    write(tmp_path, SECOND, FIRST)
    assert pending(dsn, tmp_path) == ["0001_runs.sql", "0002_ticks.sql"]
    assert migrate(dsn, tmp_path) == ["0001_runs.sql", "0002_ticks.sql"]
    assert migrate(dsn, tmp_path) == []
    write(tmp_path, THIRD)
    assert pending(dsn, tmp_path) == ["0003_more.sql"]
    assert migrate(dsn, tmp_path) == ["0003_more.sql"]
    assert pending(dsn, tmp_path) == []


def test_pending_changes_nothing(empty_database: Database, tmp_path: Path) -> None:
    pending(empty_database.owner_dsn, write(tmp_path, FIRST))
    assert relations(empty_database.owner_dsn) == set()


def test_a_failing_file_leaves_no_trace_and_keeps_those_before(
    empty_database: Database, tmp_path: Path
) -> None:
    broken = ("0002_broken.sql", "CREATE TABLE half (id integer); SELECT 1 / 0;")
    with pytest.raises(MigrationFailed, match=r"0002_broken\.sql failed: division by zero\.$"):
        migrate(empty_database.owner_dsn, write(tmp_path, FIRST, broken))
    assert "half" not in relations(empty_database.owner_dsn)
    assert pending(empty_database.owner_dsn, tmp_path) == ["0002_broken.sql"]


@pytest.mark.parametrize("statement", ["COMMIT;", "ROLLBACK;"])
def test_a_file_may_not_end_its_transaction(empty_database: Database, tmp_path: Path, statement: str) -> None:
    with pytest.raises(MigrationFailed, match="ends the transaction"):
        migrate(empty_database.owner_dsn, write(tmp_path, FIRST, ("0002_ends.sql", statement)))


def test_a_changed_applied_file_is_refused_by_name(empty_database: Database, tmp_path: Path) -> None:
    migrate(empty_database.owner_dsn, write(tmp_path, FIRST))
    write(tmp_path, (FIRST[0], FIRST[1] + " "), SECOND)
    for refused in (migrate, pending):
        with pytest.raises(MigrationAltered, match=r"0001_runs\.sql"):
            refused(empty_database.owner_dsn, tmp_path)
    assert "ticks" not in relations(empty_database.owner_dsn)


def test_a_renamed_applied_file_is_refused_by_name(empty_database: Database, tmp_path: Path) -> None:
    migrate(empty_database.owner_dsn, write(tmp_path, FIRST))
    (tmp_path / FIRST[0]).rename(tmp_path / "0001_other.sql")
    with pytest.raises(MigrationAltered, match=r"0001_other\.sql"):
        migrate(empty_database.owner_dsn, tmp_path)


def test_a_database_newer_than_the_program_is_refused_in_one_sentence(
    empty_database: Database, tmp_path: Path
) -> None:
    migrate(empty_database.owner_dsn, write(tmp_path, FIRST, SECOND))
    (tmp_path / SECOND[0]).unlink()
    for refused in (migrate, pending):
        with pytest.raises(DatabaseTooNew) as refusal:
            refused(empty_database.owner_dsn, tmp_path)
        assert str(refusal.value) == (
            "The database is newer than this program: it has migration 0002_ticks.sql;"
            " update the program or use another database."
        )


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["0002_first.sql"], "0002_first.sql should be number 0001"),
        (["0001_a.sql", "0003_c.sql"], "0003_c.sql should be number 0002"),
        (["0001_a.sql", "0001_b.sql"], "0001_b.sql should be number 0002"),
        (["1_a.sql"], "1_a.sql is not named"),
        (["0001-a.sql"], "0001-a.sql is not named"),
    ],
)
def test_files_without_an_order_are_refused(tmp_path: Path, names: list[str], sentence: str) -> None:
    write(tmp_path, *((name, "SELECT 1;") for name in names))
    with pytest.raises(MigrationFilesInvalid, match=sentence):
        load_migrations(tmp_path)


def test_programs_migrating_at_once_apply_each_file_exactly_once(
    empty_database: Database, tmp_path: Path
) -> None:
    files = [(f"{n:04}_t.sql", f"CREATE TABLE t{n} (id integer);") for n in range(1, 9)]
    write(tmp_path, *files)
    results: list[list[str]] = []
    threads = [
        threading.Thread(target=lambda: results.append(migrate(empty_database.owner_dsn, tmp_path)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(results) == 4
    assert sorted(name for result in results for name in result) == [name for name, _ in files]


def test_an_unreachable_database_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(MigrationError, match=r"^The database cannot be reached: .*\.$"):
        migrate(f"host={tmp_path} dbname=x user=x", tmp_path)


def test_the_service_role_reads_and_writes_rows_but_changes_no_schema(
    empty_database: Database, tmp_path: Path
) -> None:
    migrate(empty_database.owner_dsn, write(tmp_path, FIRST))
    with psycopg.connect(empty_database.service_dsn, autocommit=True, connect_timeout=5) as service:
        service.execute("INSERT INTO runs (id) VALUES (1)")
        assert service.execute("SELECT note FROM runs").fetchone() == ("x%s",)
        service.execute("SELECT version FROM schema_migrations")
        for refused in (
            "CREATE TABLE mine (id integer)",
            "ALTER TABLE runs ADD more text",
            "DROP TABLE runs",
            "TRUNCATE runs",
            "DELETE FROM schema_migrations",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                service.execute(refused)


def test_the_committed_schema_is_what_the_migrations_make(database: Database) -> None:
    with psycopg.connect(database.owner_dsn, connect_timeout=5) as connection:
        assert describe(connection) == SNAPSHOT.read_text()
    assert pending(database.owner_dsn, MIGRATIONS) == []


def test_who_only_serves_a_migrated_database_finds_nothing_to_do(database: Database) -> None:
    """`serve` migrates at its start, also where its role may not."""
    assert migrate(database.service_dsn) == []


BESIDE_THE_VERSION_BEFORE = 14
"""From this migration on, the version before goes on working while the new one starts."""
_TAKES_AWAY = re.compile(
    r"\b(DROP\s+(TABLE|COLUMN|VIEW|FUNCTION|TRIGGER|TYPE|SEQUENCE)\b(?!\s+%I)|RENAME\b|SET\s+NOT\s+NULL"
    r"|ALTER\s+COLUMN\s+\w+\s+(SET\s+DATA\s+)?TYPE\b|ADD\s+COLUMN\s+\w+\s+\w+\s+NOT\s+NULL(?!\s+DEFAULT))",
    re.IGNORECASE,
)


@pytest.mark.parametrize(
    "name", [each.name for each in load_migrations() if each.version >= BESIDE_THE_VERSION_BEFORE]
)
def test_a_migration_takes_nothing_away_that_the_version_before_uses(name: str) -> None:
    """N and N-1 run side by side: what is there keeps its name, type and meaning; new columns have a default."""
    text = re.sub(r"--[^\n]*", "", (MIGRATIONS / name).read_text())
    assert [found.group(0) for found in _TAKES_AWAY.finditer(text)] == []


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE orders DROP COLUMN leg",
        "ALTER TABLE orders RENAME COLUMN leg TO part",
        "ALTER TABLE orders ALTER COLUMN leg SET NOT NULL",
        "ALTER TABLE orders ALTER COLUMN attempt TYPE bigint",
        "ALTER TABLE orders ADD COLUMN more text NOT NULL",
        "DROP TABLE orders",
    ],
)
def test_what_would_break_the_version_before_is_seen(statement: str) -> None:
    assert _TAKES_AWAY.search(statement)
