"""A real PostgreSQL for the tests: the one `RUNNER_TEST_DATABASE_URL` names, else our own embedded server."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from schema.database_roles import make_database, make_roles
from schema.embedded import EmbeddedPostgres
from schema.migrate import migrate
from schema.server_files import OWNER_ROLE, SERVICE_ROLE

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
    folder = Path(tempfile.mkdtemp(prefix="runner-test-"))
    folder.chmod(0o755)
    try:
        with EmbeddedPostgres(folder / "database") as server:
            yield server.admin_dsn
    finally:
        shutil.rmtree(folder)


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


@pytest.fixture
def database(database_url: str, admin: psycopg.Connection[Any], template_database: str) -> Iterator[Database]:
    """A fresh migrated database."""
    with _dropped_afterwards(admin) as name:
        names = [sql.Identifier(part) for part in (name, template_database, OWNER_ROLE)]
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}").format(*names))
        make_database(admin, name)
        yield _described(database_url, name)


@pytest.fixture
def empty_database(database_url: str, admin: psycopg.Connection[Any]) -> Iterator[Database]:
    """A fresh database without a single table."""
    with _dropped_afterwards(admin) as name:
        make_database(admin, name)
        yield _described(database_url, name)


@contextmanager
def _dropped_afterwards(admin: psycopg.Connection[Any]) -> Iterator[str]:
    # The pid keeps two test runs on one server apart.
    name = f"runner_test_{os.getpid()}_{next(_numbers)}"
    try:
        yield name
    finally:
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
