"""A database of its own, and a manager of jobs that works on it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from starlette.testclient import TestClient

from actors.sandbox.host import Limits
from core.candles import CandleColumns
from core.market import Market, Series
from core.timeframe import Timeframe
from exchanges.feeds.generator import GeneratedMarket
from facade.work.manager import Workers
from schema.pg import PgStore
from tests.facade.conftest import runner, store
from tests.facade.world import SmallRunner, client_of
from tests.schema.conftest import Database, admin, copies, database, database_url, template_database

__all__ = [
    "admin",
    "copies",
    "database",
    "database_url",
    "runner",
    "store",
    "template_database",
]

FIRST = datetime(2026, 2, 1, tzinfo=UTC)
DAYS = 12
SERIES = Series(venue="binance", market=Market.PERP, symbol="BTCUSDT", timeframe=Timeframe.M5)


def some_candles(timeframe: Timeframe = Timeframe.M5, days: int = DAYS) -> CandleColumns:
    market = GeneratedMarket(3)
    return market.candles("BTCUSDT", timeframe, FIRST, FIRST + timedelta(days=days))


@pytest.fixture
def workers(database: Database, store: PgStore) -> Iterator[Workers]:
    made = Workers(store.jobs, dsn=database.service_dsn, worker="tests", rest={}, sandbox=Limits())
    made.start()
    yield made
    made.stop()


@pytest.fixture
def http(runner: SmallRunner, workers: Workers) -> Iterator[TestClient]:
    with client_of(runner, job_added=workers.poke) as opened:
        yield opened
