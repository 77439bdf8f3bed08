"""The application over a real database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from core.risk import RiskLimits
from schema.pg import PgStore
from tests.facade.world import START, WORKER, SmallRunner, client_of
from tests.schema.conformance.world import World
from tests.schema.conftest import Database, admin, copies, database, database_url, template_database

__all__ = ["admin", "copies", "database", "database_url", "template_database"]


@pytest.fixture
def store(database: Database) -> Iterator[PgStore]:
    opened = PgStore(database.service_dsn, default_limits=RiskLimits(), worker=WORKER, pool_size=4)
    opened.mark_demo(start=START - timedelta(minutes=1), rate=1.0)
    opened.set_clock(at=START, ceiling=START)
    yield opened
    opened.close()


@pytest.fixture
def runner(store: PgStore) -> SmallRunner:
    return SmallRunner(store)


@pytest.fixture
def client(runner: SmallRunner) -> Iterator[TestClient]:
    with client_of(runner) as opened:
        yield opened


@pytest.fixture
def world(store: PgStore) -> World:
    def set_now(at: datetime) -> None:
        store.set_clock(at=at, ceiling=at)

    def nothing(_: Any) -> None:
        raise NotImplementedError

    return World(store, set_now=set_now, expire_leases=nothing, forget_lease=nothing)
