"""The download of what is missing: nothing that is stored is asked for again, and no more than the venue allows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from actors.work.backfill import BackfillJob, Filled, fill_holes
from core.errors import RunnerError
from core.market import Market, Series
from core.risk import RiskLimits
from core.timeframe import Timeframe
from exchanges.feeds.binance_public import BinancePublic
from schema.pg import PgStore
from tests.core.candle_cases import START
from tests.exchanges.feeds.public_venue import CANDLES, Venue, running
from tests.schema.conftest import Database, admin, copies, database, database_url, template_database

__all__ = ["admin", "copies", "database", "database_url", "template_database"]

SERIES = Series(venue="binance", market=Market.PERP, symbol="BTCUSDT", timeframe=Timeframe.M1)
JOB = BackfillJob(series=SERIES, start=START, end=START + timedelta(minutes=3_000))


@pytest.fixture
def venue() -> Iterator[Venue]:
    with running() as server:
        yield server


@pytest.fixture
def store(database: Database) -> Iterator[PgStore]:
    opened = PgStore(database.service_dsn, default_limits=RiskLimits(), worker="tests", pool_size=2)
    yield opened
    opened.close()


def fill(store: PgStore, venue: Venue, told: Callable[[int, int], None] = lambda done, total: None) -> Filled:
    return asyncio.run(fill_holes(JOB, store.market, BinancePublic(venue.url), told))


def stored(store: PgStore) -> int:
    return len(store.market.columns(SERIES, JOB.start, JOB.end))


def test_only_holes_are_asked_for_and_then_there_are_none(store: PgStore, venue: Venue) -> None:
    store.market.store(SERIES, CANDLES.part(500, 1_500))
    told: list[tuple[int, int]] = []
    assert fill(store, venue, lambda *far: told.append(far)) == Filled(missing=2_000, added=2_000, absent=0)
    assert stored(store) == 3_000
    assert told[0] == (0, 2_000)
    assert told[-1] == (2_000, 2_000)
    asked = sum(int(each["limit"]) for each in venue.asked if each["path"] == "/fapi/v1/klines")
    assert asked == 2_000
    venue.asked.clear()
    assert fill(store, venue).missing == 0
    assert venue.asked == []


def test_one_that_was_cut_off_goes_on_where_it_was(store: PgStore, venue: Venue) -> None:
    """I16 for downloads: what had come is not asked for again."""
    store.market.store(SERIES, CANDLES.part(1_000, 1_100))

    def cut(done: int, total: int) -> None:
        if done:
            raise RunnerError("cancelled")

    with pytest.raises(RunnerError, match="cancelled"):
        fill(store, venue, cut)
    assert stored(store) == 1_100
    assert fill(store, venue) == Filled(missing=1_900, added=1_900, absent=0)


def test_what_the_venue_has_not_is_counted(store: PgStore, venue: Venue) -> None:
    venue.served["1m"] = CANDLES.part(100, 4_000)
    assert fill(store, venue) == Filled(missing=3_000, added=2_900, absent=100)
