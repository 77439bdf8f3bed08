"""A demo's candles from before its first minute are there to be backtested on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from msgspec.structs import replace

from actors.backtest import BacktestRequest
from actors.demo import Demo, demo_of
from actors.demo_history import store_history
from actors.work.backtest import BacktestJob, replay_stored
from core.connection import Venue
from core.definition import StrategyKind
from core.market import Market, Series
from core.risk import RiskLimits
from core.signal import Action
from core.strategies.code import StrategyCode
from core.strategies.code_window import CodeWindow
from core.timeframe import Timeframe
from exchanges.feeds.base import ColumnSource, candles_of
from exchanges.feeds.generator import GeneratedMarket
from schema.pg import PgStore
from tests.live.candle_folder import generated_source
from tests.schema.conftest import Database, admin, copies, database, database_url, template_database

__all__ = ["admin", "copies", "database", "database_url", "template_database"]


@pytest.fixture
def store(database: Database) -> Iterator[PgStore]:
    opened = PgStore(database.service_dsn, default_limits=RiskLimits(), worker="tests", pool_size=2)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def demo() -> Demo:
    return demo_of(generated_source(timedelta(days=1), symbols=("BTCUSDT",)))


def perpetual(timeframe: Timeframe) -> Series:
    return Series(venue="binance", market=Market.PERP, symbol="BTCUSDT", timeframe=timeframe)


@pytest.mark.parametrize("round_", [0, 2])
def test_the_warm_up_of_a_round_is_stored_once(store: PgStore, demo: Demo, round_: int) -> None:
    for _ in range(2):
        store_history(store.market, demo, round_)
    [stretch] = store.market.stretches(
        perpetual(Timeframe.M1), demo.source.start_of(round_), demo.source.start_of(round_ + 1)
    )
    assert stretch.first == demo.source.start_of(round_)
    assert stretch.last == demo.start_of(round_) - timedelta(minutes=1)


def test_what_was_played_of_a_larger_timeframe_goes_on_where_the_history_it_is_built_from_ends(
    store: PgStore, demo: Demo
) -> None:
    """The journal keeps five-minute candles of the runs that trade on them, and those begin with the demo."""
    store_history(store.market, demo, 0)
    played = demo.source.candles(
        "BTCUSDT", Timeframe.M5, demo.stage.start, demo.stage.start + timedelta(minutes=20)
    )
    store.market.store(perpetual(Timeframe.M5), played)
    request = BacktestRequest(template="sma_trend", symbol="BTCUSDT", timeframe=Timeframe.M5, limits=None)
    told = replay_stored(
        BacktestJob(venue="binance", request=request), store.market, lambda done, total: None
    )
    warm_up = demo.stage.start - demo.source.start
    assert len(told.candles) == warm_up // timedelta(minutes=5) + 4
    assert set(np.diff(told.candles.open_time)) == {Timeframe.M5.ms}


@pytest.mark.parametrize("timeframe", [Timeframe.M3, Timeframe.M15, Timeframe.H1])
def test_every_larger_timeframe_is_built_from_the_history(
    store: PgStore, demo: Demo, timeframe: Timeframe
) -> None:
    store_history(store.market, demo, 0)
    request = BacktestRequest(template="sma_trend", symbol="BTCUSDT", timeframe=timeframe, limits=None)
    told = replay_stored(
        BacktestJob(venue="binance", request=request), store.market, lambda done, total: None
    )
    assert len(told.candles) == (demo.stage.start - demo.source.start) // timeframe.delta


def test_the_other_venues_perpetuals_are_stored_for_strategies_that_look_at_them(store: PgStore) -> None:
    """A generated demo has them, and downloads nothing."""
    market, start = GeneratedMarket(7, ("BTCUSDT",)), datetime(2026, 1, 5, tzinfo=UTC)
    spans = {
        series: candles_of(market, series, start, start + timedelta(days=2))
        for series in (replace(perpetual(Timeframe.M1), venue=venue) for venue in (market.venue, *Venue))
    }
    demo = demo_of(ColumnSource(origin=market.origin, venue=market.venue, series=spans))
    store_history(store.market, demo, 0)
    code = StrategyCode(
        text="def strategy(context):\n    return 'long' if context.extra.far[-1].close > context.price else 'short'\n",
        lookback=2,
        min_candles=2,
        windows=(CodeWindow(name="far", lookback=1, min_candles=1, venue=Venue.BYBIT),),
    )
    request = BacktestRequest(
        template="python",
        kind=StrategyKind.PYTHON,
        source=code.source(),
        symbol="BTCUSDT",
        timeframe=Timeframe.M15,
        limits=None,
    )
    told = replay_stored(
        BacktestJob(venue=market.venue, request=request), store.market, lambda done, total: None
    )
    assert {signal.action for signal in told.signals} == {Action.LONG, Action.SHORT}
    assert told.origin == "generated candles, stored"
