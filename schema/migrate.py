"""Brings a database to the program's schema: numbered SQL files, applied once, in order, never changed.

    MigrationError (a RunnerError)
    ├── MigrationFilesInvalid  the folder itself: a gap, a duplicate, a badly named file
    ├── MigrationAltered       a file that was applied has another text now
    ├── DatabaseTooNew         the database has a migration this program does not know
    └── MigrationFailed        the database refused a statement; that file changed nothing

`python -m schema.migrate --write-schema` writes the snapshot `schema/schema.sql` anew.
"""

from __future__ import annotations

import hashlib
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import psycopg
from psycopg.pq import TransactionStatus

from core.errors import RunnerError
from schema.describe import describe
from schema.embedded import EmbeddedPostgres
from schema.server_files import SERVICE_ROLE

MIGRATIONS = Path(__file__).with_name("migrations")
SNAPSHOT = Path(__file__).with_name("schema.sql")

_LOCK = 0x52554E4E4552  # "RUNNER": one number for all programs that migrate this database
_LOCK_TIMEOUT = "60s"
_CONNECT_TIMEOUT_S = 10

_BOOKKEEPING = f"""
CREATE TABLE schema_migrations (
    version integer PRIMARY KEY,
    name text NOT NULL,
    sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{SERVICE_ROLE}') THEN
        REVOKE ALL ON schema_migrations FROM {SERVICE_ROLE};
        GRANT SELECT ON schema_migrations TO {SERVICE_ROLE};
    END IF;
END $$;
"""  # noqa: S608 - a constant of ours


class MigrationError(RunnerError):
    """The database was left as it was."""


class MigrationFilesInvalid(MigrationError):
    """The migration files cannot be put in order."""


class MigrationAltered(MigrationError):
    """An applied migration's file is not what was applied."""


class DatabaseTooNew(MigrationError):
    """A newer program migrated this database."""


class MigrationFailed(MigrationError):
    """The database refused a migration, which left no trace."""


class Migration(msgspec.Struct, frozen=True, kw_only=True):
    """One file: its number, its file name, its text and the text's SHA-256."""

    version: int
    name: str
    text: str
    sha256: str


def load_migrations(folder: Path = MIGRATIONS) -> tuple[Migration, ...]:
    """The files `NNNN_name.sql` in order, numbered from 0001 without a gap."""
    found: list[Migration] = []
    for file in sorted(folder.glob("*.sql")):
        if re.fullmatch(r"\d{4}_[a-z0-9_]+\.sql", file.name) is None:
            raise MigrationFilesInvalid(f"The migration file {file.name} is not named NNNN_words.sql.")
        content = file.read_bytes()
        found.append(
            Migration(
                version=int(file.name[:4]),
                name=file.name,
                text=content.decode(),
                sha256=hashlib.sha256(content).hexdigest(),
            )
        )
        if found[-1].version != len(found):
            raise MigrationFilesInvalid(f"The migration file {file.name} should be number {len(found):04}.")
    return tuple(found)


def pending(conninfo: str, folder: Path = MIGRATIONS) -> list[str]:
    """The file names still to be applied, in order. Refuses what `migrate` would refuse."""
    with _connect(conninfo) as connection:
        return [migration.name for migration in _unapplied(connection, load_migrations(folder))]


def is_foreign(conninfo: str) -> bool:
    """Whether nothing was ever migrated there: it is empty, or somebody else's."""
    with _connect(conninfo) as connection:
        return not _has_bookkeeping(connection)


def migrate(conninfo: str, folder: Path = MIGRATIONS) -> list[str]:
    """Applies what is missing, each file in its own transaction, and returns those file names.

    Several programs may call it at once: each file is applied by exactly one of them.
    """
    migrations = load_migrations(folder)
    applied: list[str] = []
    with _connect(conninfo) as connection:
        while (name := _apply_next(connection, migrations)) is not None:
            applied.append(name)
    return applied


def _apply_next(connection: psycopg.Connection[Any], migrations: tuple[Migration, ...]) -> str | None:
    """The name of the one file applied, or None when nothing was missing.

    The lock ends with the transaction, not with the session, so that a pooler between is no trap;
    hence what is missing is read again under each lock.
    """
    with connection.transaction():
        connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'".encode())
        try:
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        except psycopg.errors.LockNotAvailable as error:
            message = f"Another program has been migrating this database for more than {_LOCK_TIMEOUT}."
            raise MigrationError(message) from error
        if not _has_bookkeeping(connection):
            _keep_books(connection)
        missing = _unapplied(connection, migrations)
        if not missing:
            _raise_walls(connection)
            return None
        migration = missing[0]
        try:
            connection.execute(migration.text.encode())
        except psycopg.Error as error:
            reason = error.diag.message_primary or str(error).strip()
            raise MigrationFailed(f"The migration {migration.name} failed: {reason}.") from error
        if connection.info.transaction_status != TransactionStatus.INTRANS:
            raise MigrationFailed(f"The migration {migration.name} ends the transaction it runs in.")
        connection.execute(
            "INSERT INTO schema_migrations (version, name, sha256) VALUES (%s, %s, %s)",
            [migration.version, migration.name, migration.sha256],
        )
        return migration.name


def _keep_books(connection: psycopg.Connection[Any]) -> None:
    try:
        connection.execute(_BOOKKEEPING.encode())
    except psycopg.errors.InsufficientPrivilege as error:
        role, name = connection.info.user, connection.info.dbname
        raise MigrationError(
            f"The role {role} may not make tables in the database {name}: let it own the database"
            f" (ALTER DATABASE {name} OWNER TO {role}), or migrate with the role that does."
        ) from error


def _raise_walls(connection: psycopg.Connection[Any]) -> None:
    """Row-level security on every table there is by now (0022_walls.sql). Where it stands already, a few reads."""
    # The service's own role may not; whoever migrated for it has.
    may = connection.execute("SELECT has_function_privilege(to_regproc('raise_walls'), 'EXECUTE')").fetchone()
    if may and may[0]:
        connection.execute("SELECT raise_walls()")


def _unapplied(
    connection: psycopg.Connection[Any], migrations: tuple[Migration, ...]
) -> tuple[Migration, ...]:
    """What the database lacks; raises when what it has is not what the files say."""
    if not _has_bookkeeping(connection):
        return migrations
    rows = connection.execute("SELECT version, name, sha256 FROM schema_migrations ORDER BY version")
    known = {migration.version: migration for migration in migrations}
    done = set()
    for version, name, sha256 in rows:
        if version not in known:
            raise DatabaseTooNew(
                f"The database is newer than this program: it has migration {name};"
                " update the program or use another database."
            )
        if known[version].sha256 != sha256 or known[version].name != name:
            raise MigrationAltered(
                f"The migration {known[version].name} is not the one applied to this database"
                f" ({name}): an applied file is never changed."
            )
        done.add(version)
    return tuple(migration for migration in migrations if migration.version not in done)


def _has_bookkeeping(connection: psycopg.Connection[Any]) -> bool:
    row = connection.execute("SELECT to_regclass('schema_migrations') IS NOT NULL").fetchone()
    return bool(row and row[0])


@contextmanager
def _connect(conninfo: str) -> Iterator[psycopg.Connection[Any]]:
    try:
        connection = psycopg.connect(conninfo, autocommit=True, connect_timeout=_CONNECT_TIMEOUT_S)
    except psycopg.OperationalError as error:
        reason = str(error).strip().splitlines()[0]
        raise MigrationError(f"The database cannot be reached: {reason}.") from error
    with connection:
        yield connection


def _write_schema() -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedPostgres(Path(folder) / "database") as server,
    ):
        migrate(server.owner_dsn)
        with psycopg.connect(server.owner_dsn, connect_timeout=_CONNECT_TIMEOUT_S) as connection:
            SNAPSHOT.write_text(describe(connection))


if __name__ == "__main__":
    if sys.argv[1:] != ["--write-schema"]:
        sys.exit("usage: python -m schema.migrate --write-schema")
    _write_schema()
