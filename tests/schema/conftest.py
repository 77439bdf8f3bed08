"""A real PostgreSQL for the tests: the one `RUNNER_TEST_DATABASE_URL` names, else our own embedded server."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from bin.kept_server import kept_server
from schema.database_roles import make_database, make_roles
from schema.migrate import migrate
from schema.server_files import OWNER_ROLE, SERVICE_ROLE
from tests.leftovers import LEFT

COPIES_AHEAD = 3
MEMORY = Path("/dev/shm")
MEMORY_BYTES = 2 << 30
"""What three servers side by side do not fill: some databases of 10 MB and 128 MB of log each."""
_numbers = itertools.count(1)


class Database(msgspec.Struct, frozen=True, kw_only=True):
    """One database of a test's own: as its owner, and as the service sees it."""

    name: str
    owner_dsn: str
    service_dsn: str


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder every account can pass through, as `/srv` or `/var/lib` would be."""
    folder = Path(tempfile.mkdtemp(prefix="runner-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def database_url() -> Iterator[str]:
    """A role that may create databases and roles, on a server that lasts as long as the tests."""
    if url := os.environ.get("RUNNER_TEST_DATABASE_URL"):
        yield url
        return
    folder = Path(tempfile.mkdtemp(prefix="runner-test-", dir=_memory_with_room()))
    folder.chmod(0o755)
    try:
        with kept_server(folder / "database") as server:
            _make_quick(server.admin_dsn)
            yield server.admin_dsn
    finally:
        LEFT.note_file(folder / "database" / "server.log")
        shutil.rmtree(folder)


def _memory_with_room() -> Path | None:
    """The file system in memory, where there is one: a copy of a database takes a third of the time there."""
    if not os.access(MEMORY, os.W_OK) or shutil.disk_usage(MEMORY).free < MEMORY_BYTES:
        return None
    return MEMORY


def _make_quick(dsn: str) -> None:
    """Nothing of a test's is to outlive a power cut; copies of a database take less than half the time."""
    with psycopg.connect(dsn, autocommit=True, connect_timeout=10) as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("ALTER SYSTEM SET full_page_writes = off")
        connection.execute("ALTER SYSTEM SET max_wal_size = '128MB'")
        connection.execute("SELECT pg_reload_conf()")


@pytest.fixture(scope="session")
def admin(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database_url, autocommit=True, connect_timeout=10) as connection:
        make_roles(connection)
        yield connection


@pytest.fixture(scope="session")
def template_database(database_url: str, admin: psycopg.Connection[Any]) -> Iterator[str]:
    """The name of a database with all migrations applied, to be copied."""
    with _dropped_afterwards(admin) as name:
        make_database(admin, name)
        migrate(_dsn(database_url, name, OWNER_ROLE))
        yield name


class Copies:
    """Copies of the template, made ahead and dropped on a thread of their own while tests run."""

    def __init__(self, database_url: str, template: str, ahead: int) -> None:
        self._most_ahead = ahead
        self._connection = psycopg.connect(database_url, autocommit=True, connect_timeout=10)
        self._template = template
        self._worker = ThreadPoolExecutor(1)
        self._ahead: deque[Future[str]] = deque()
        self._given_back: list[Future[None]] = []
        self._database_url = database_url

    def take(self) -> str:
        while len(self._ahead) <= self._most_ahead:
            self._ahead.append(self._worker.submit(self._copy))
        return self._ahead.popleft().result(timeout=60)

    def give_back(self, name: str) -> None:
        self._given_back.append(self._worker.submit(self._scan_and_drop, name))

    def close(self) -> None:
        for copy in self._ahead:
            self._worker.submit(_drop, self._connection, copy.result(timeout=60))
        self._worker.shutdown()
        self._connection.close()
        for done in self._given_back:
            done.result()

    def _scan_and_drop(self, name: str) -> None:
        try:
            LEFT.note_database(_dsn(self._database_url, name, OWNER_ROLE))
        finally:
            _drop(self._connection, name)

    def _copy(self) -> str:
        name = _new_name()
        names = [sql.Identifier(part) for part in (name, self._template, OWNER_ROLE)]
        self._connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {} STRATEGY FILE_COPY").format(*names)
        )
        make_database(self._connection, name)
        return name


@pytest.fixture(scope="session")
def copies(database_url: str, template_database: str, request: pytest.FixtureRequest) -> Iterator[Copies]:
    made = Copies(database_url, template_database, min(COPIES_AHEAD, request.session.testscollected - 1))
    yield made
    made.close()


@pytest.fixture
def database(database_url: str, copies: Copies) -> Iterator[Database]:
    """A fresh migrated database."""
    name = copies.take()
    yield _described(database_url, name)
    copies.give_back(name)


@pytest.fixture
def empty_database(database_url: str, admin: psycopg.Connection[Any]) -> Iterator[Database]:
    """A fresh database without a single table."""
    with _dropped_afterwards(admin) as name:
        make_database(admin, name)
        yield _described(database_url, name)


@contextmanager
def _dropped_afterwards(admin: psycopg.Connection[Any]) -> Iterator[str]:
    name = _new_name()
    try:
        yield name
    finally:
        _drop(admin, name)


def _new_name() -> str:
    """The pid keeps two test runs on one server apart."""
    return f"runner_test_{os.getpid()}_{next(_numbers)}"


def _drop(admin: psycopg.Connection[Any], name: str) -> None:
    admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _dsn(database_url: str, name: str, role: str) -> str:
    # As that role without needing its password: the login of RUNNER_TEST_DATABASE_URL is a superuser.
    return make_conninfo(database_url, dbname=name, options=f"-c role={role}")


def _described(database_url: str, name: str) -> Database:
    return Database(
        name=name,
        owner_dsn=_dsn(database_url, name, OWNER_ROLE),
        service_dsn=_dsn(database_url, name, SERVICE_ROLE),
    )
