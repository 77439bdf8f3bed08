"""A store, its users' orders, and permits on the same database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import psycopg
import pytest

from core.ids import RunId
from schema.pg import PgStore
from schema.pg_permits import PgPermits
from tests.schema.conformance.world import START, World
from tests.schema.conftest import Database
from tests.schema.permits.kit import WORKER, Admin, Sessions
from tests.schema.pg_world import open_store


@pytest.fixture
def owner(database: Database) -> Iterator[Admin]:
    with psycopg.connect(database.owner_dsn, autocommit=True, connect_timeout=10) as connection:
        yield connection


@pytest.fixture
def store(database: Database) -> Iterator[PgStore]:
    store = open_store(database.service_dsn, pool_size=2)
    store.mark_demo(start=START, rate=0.0)
    yield store
    store.close()


@pytest.fixture
def world(store: PgStore, owner: Admin) -> World:
    def set_now(at: datetime) -> None:
        store.set_clock(at=at, ceiling=at)

    def expire_leases(seconds: float) -> None:
        owner.execute(
            "UPDATE strategy_locks SET locked_until = clock_timestamp() - make_interval(secs => %s)",
            [1 + seconds],
        )

    def forget_lease(run_id: RunId) -> None:
        owner.execute("DELETE FROM strategy_locks WHERE run_id = %s", [run_id])

    return World(store, set_now=set_now, expire_leases=expire_leases, forget_lease=forget_lease)


@pytest.fixture
def permits(database: Database) -> Iterator[PgPermits]:
    permits = PgPermits(database.service_dsn, worker=WORKER)
    yield permits
    permits.close()


@pytest.fixture
def sessions(admin: Admin, database: Database) -> Sessions:
    return Sessions(admin, database)
