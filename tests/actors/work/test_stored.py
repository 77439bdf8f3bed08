"""A backtest over stored candles of a strategy that looks at spot beside the perpetual."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from msgspec.structs import replace

from actors.backtest import NO_GATES, BacktestRequest, run_backtest
from actors.sandbox.host import Limits
from actors.work.backtest import BacktestJob, replay_stored
from actors.work.what_if import Variant, WhatIfJob, what_if
from core.definition import StrategyDefinition, StrategyKind
from core.errors import RunnerError
from core.ids import AccountId, RunId, StrategyId, UserId
from core.market import Market, Series
from core.risk import RiskLimits
from core.run import Run
from core.signal import Action
from core.strategies.declaration import declared_code
from core.timeframe import Timeframe
from exchanges.feeds.base import candles_of
from exchanges.feeds.generator import GeneratedMarket
from schema.pg import PgStore
from schema.records import Account
from tests.schema.conftest import Database, admin, copies, database, database_url, template_database

__all__ = ["admin", "copies", "database", "database_url", "template_database"]

START = datetime(2026, 2, 4, tzinfo=UTC)
END = START + timedelta(hours=6)
GENERATED = GeneratedMarket(5, venue="binance")
JOB = BacktestJob(
    venue="binance",
    request=BacktestRequest(
        template="squeezeflow", symbol="BTCUSDT", timeframe=Timeframe.M15, start=START, end=END, limits=None
    ),
)


@pytest.fixture
def store(database: Database) -> Iterator[PgStore]:
    opened = PgStore(database.service_dsn, default_limits=RiskLimits(), worker="tests", pool_size=2)
    yield opened
    opened.close()


def keep(store: PgStore, market: Market) -> None:
    for timeframe in (Timeframe.M5, Timeframe.M15):
        series = Series(venue="binance", market=market, symbol="BTCUSDT", timeframe=timeframe)
        store.market.store(series, candles_of(GENERATED, series, START - timedelta(days=3), END))


def test_both_markets_are_read_with_what_lies_before_the_start(store: PgStore) -> None:
    for market in Market:
        keep(store, market)
    told = replay_stored(JOB, store.market, lambda done, total: None)
    same = run_backtest(JOB.request, GENERATED)
    assert told.charted is not None
    assert same.charted is not None
    assert told.charted.values.tolist() == same.charted.values.tolist()
    assert (len(told.charted.slot_ms), list(told.signals)) == (24, list(same.signals))


def test_a_what_if_reads_both_markets_too(store: PgStore) -> None:
    for market in Market:
        keep(store, market)
    user, account = UserId("ann"), AccountId(UUID(int=2))
    strategy = StrategyDefinition(
        id=StrategyId(UUID(int=1)), owner_id=user, name="flow", template="squeezeflow", parameters={},
        symbol="BTCUSDT", timeframe=Timeframe.M15,
    )  # fmt: skip
    run = Run(id=RunId(UUID(int=3)), user_id=user, strategy=strategy, account_id=account)
    variant = Variant(runs=(run,), limits=NO_GATES)
    accounts = (Account(id=account, user_id=user, name="paper"),)
    job = WhatIfJob(venue="binance", start=START, end=END, accounts=accounts, before=variant, after=variant)
    told = what_if(job, store.market, lambda done, total: None, Limits())
    backtest = replay_stored(JOB, store.market, lambda done, total: None)
    assert told.before == told.after
    assert told.before.orders == len(backtest.trades) * 2 + (backtest.open_position is not None) > 0


def test_spot_that_is_not_stored_is_asked_for_by_name(store: PgStore) -> None:
    keep(store, Market.PERP)
    with pytest.raises(RunnerError, match=r'no spot candles of BTCUSDT stored for 5m.*"market": "spot"'):
        replay_stored(JOB, store.market, lambda done, total: None)


def test_another_venues_window_is_read_of_that_venue_or_asked_for_by_name(store: PgStore) -> None:
    keep(store, Market.PERP)
    source = declared_code(
        "LOOKBACK = 3\nWINDOWS = {'far': {'venue': 'bybit', 'timeframe': '15m'}}\n"
        "def strategy(context):\n    far = context.extra.far[-1].close - context.price\n"
        "    return {'action': 'long' if far > 0 else 'short'}\n",
        {"LOOKBACK": 3, "WINDOWS": {"far": {"venue": "bybit", "timeframe": "15m"}}},
    ).source()
    request = replace(JOB.request, template="python", kind=StrategyKind.PYTHON, source=source)
    job = replace(JOB, request=request)
    with pytest.raises(
        RunnerError, match=r'no candles of BTCUSDT stored for 15m at bybit.*"venue": "bybit"\.$'
    ):
        replay_stored(job, store.market, lambda done, total: None)
    far = Series(venue="bybit", market=Market.PERP, symbol="BTCUSDT", timeframe=Timeframe.M5)
    store.market.store(far, candles_of(GENERATED, far, START - timedelta(days=1), END))
    told = replay_stored(job, store.market, lambda done, total: None)
    same = run_backtest(request, GENERATED)
    assert len(told.signals) == 24
    assert (list(told.signals), told.ticks) == (list(same.signals), same.ticks)
    assert {signal.action for signal in told.signals} == {Action.LONG, Action.SHORT}
