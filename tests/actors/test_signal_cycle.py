"""A cycle looks at each symbol once, at what a run would see, and tells each signal once."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from actors.publishers.redis import RedisAddress, RedisSignals
from actors.signal_cycle import CYCLE_USER, Looked, deliver, look
from core.candles import CandleColumns
from core.errors import RunnerError
from core.market import Market, Series
from core.published_signal import Announced
from core.risk import RiskLimits
from core.signal_policy import SignalLimits
from core.timeframe import Timeframe
from exchanges.feeds.base import candles_of
from exchanges.feeds.generator import GeneratedMarket
from schema.pg import PgStore
from schema.pg_published import Receiver
from tests.actors.publishers.servers import Valkey, valkey
from tests.schema.conftest import Database, admin, copies, database, database_url, template_database

__all__ = ["admin", "copies", "database", "database_url", "template_database"]

SLOT = datetime(2026, 1, 8, 12, 0, tzinfo=UTC)
MARKET = GeneratedMarket(1)
SLOT_ID = UUID(int=9)
LIMITS = SignalLimits(cooldown=timedelta(minutes=15), ttl=timedelta(minutes=5), max_alive=5)


def generated(series: Series, start: datetime, end: datetime) -> CandleColumns:
    return candles_of(MARKET, msgspec.structs.replace(series, venue=MARKET.venue), start, end)


def perps_alone(series: Series, start: datetime, end: datetime) -> CandleColumns:
    if series.market is not Market.PERP:
        raise RunnerError(f"There are no {series.market} candles of {series.symbol}.")
    return generated(series, start, end)


def looked(template: str, slot: datetime = SLOT, candles: object = generated) -> Looked:
    return look(
        "BTCUSDT",
        template=template,
        venue="binance",
        parameters={},
        timeframe=Timeframe.M5,
        slot=slot,
        ttl_s=300,
        candles=candles,  # type: ignore[arg-type]
    )


def a_signal() -> Looked:
    return next(
        found
        for number in range(500)
        if (found := looked("rsi_oversold_overbought", SLOT + number * timedelta(minutes=5))).signal
    )


def test_what_a_strategy_says_at_the_last_close_is_a_signal_in_the_one_form() -> None:
    found = a_signal()
    assert found.signal is not None
    assert found.signal.action is Announced(found.action.upper())
    assert (found.signal.symbol, found.signal.timestamp, found.signal.ttl) == ("BTC", found.slot, 300)
    own = Series(venue="binance", market=Market.PERP, symbol="BTCUSDT", timeframe=Timeframe.M5)
    last = generated(own, found.slot - timedelta(minutes=5), found.slot)
    assert found.signal.entry_price == float(last.close[-1])
    again = looked("rsi_oversold_overbought", found.slot)
    assert again.signal is not None
    assert again.signal.signal_id == found.signal.signal_id


@pytest.mark.parametrize(
    ("template", "candles", "why"),
    [
        ("squeezeflow", perps_alone, "There are no spot candles of BTCUSDT."),
        ("nothing", generated, "There is no template 'nothing'"),
    ],
)
def test_a_symbol_that_cannot_be_looked_at_says_why(template: str, candles: object, why: str) -> None:
    found = looked(template, candles=candles)
    assert found.signal is None
    assert found.why is not None
    assert found.why.startswith(why)


def test_order_flow_is_looked_at_where_both_markets_are_there() -> None:
    found = looked("squeezeflow")
    assert found.why is None or "candles" not in found.why


@pytest.fixture
def store(database: Database) -> Iterator[PgStore]:
    opened = PgStore(database.service_dsn, default_limits=RiskLimits(), worker="test", pool_size=2)
    yield opened
    opened.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Valkey]:
    with valkey(tmp_path) as started:
        started.open()
        yield started


def test_a_cycle_repeated_tells_nothing_twice(store: PgStore, server: Valkey) -> None:
    signal = a_signal().signal
    assert signal is not None
    signal = msgspec.structs.replace(signal, timestamp=store.clock().database_now)
    address = RedisAddress(host="127.0.0.1", port=server.port)
    redis = RedisSignals(address, key_prefix="k:", channel="c")
    store.published.enter(Receiver.REDIS)
    for _ in range(2):
        store.published.offer([signal], CYCLE_USER, LIMITS)
        assert deliver(store.published, redis, "cycle:1", time.monotonic) is None
    assert json.loads(server.client().get("k:BTC"))["signal_id"] == str(signal.signal_id)
    assert [each.sent for each in store.published.states()] == [1]
    store.published.take(Receiver.REDIS, "a service")
    assert deliver(store.published, redis, "cycle:1", time.monotonic) == "another process tells it"
    store.published.leave(Receiver.REDIS, "a service")
    server.kill()
    store.published.offer(
        [msgspec.structs.replace(signal, symbol="ETH", signal_id=SLOT_ID)], CYCLE_USER, LIMITS
    )
    assert (
        deliver(store.published, redis, "cycle:1", time.monotonic)
        == "Redis did not take it (ConnectionError)"
    )
