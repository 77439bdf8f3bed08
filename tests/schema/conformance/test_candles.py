"""Stored candles: what closed, once."""

from __future__ import annotations

from datetime import timedelta
from math import isnan

from core.candles import Candle
from core.market import Market, Series
from core.timeframe import Timeframe, to_ms
from schema.records import CandleRow, SlotReport
from tests.schema.conformance.world import START, World

SERIES = Series(venue="binance", market=Market.PERP, symbol="BTCUSDT", timeframe=Timeframe.M1)


def candle(minute: int, close: float = 100.5, **fields: float) -> Candle:
    at = to_ms(START + timedelta(minutes=minute))
    return Candle(open_time_ms=at, open=100.0, high=101.0, low=99.5, close=close, volume=7.25, **fields)


def test_closed_candles_are_kept_in_order_and_the_first_of_two_stays(world: World) -> None:
    first = [CandleRow(series=SERIES, candle=candle(minute, taker_buy_volume=3.0)) for minute in (1, 0)]
    world.store.report(SlotReport(candles=tuple(first)))
    world.store.report(SlotReport(candles=(CandleRow(series=SERIES, candle=candle(1, close=99.9)),)))
    stored = world.store.candles(SERIES, since=START)
    assert stored == [candle(0, taker_buy_volume=3.0), candle(1, taker_buy_volume=3.0)]
    assert world.store.candles(SERIES, since=START + timedelta(minutes=1), limit=5) == stored[1:]


def test_a_candle_without_taker_volume_comes_back_without_it(world: World) -> None:
    other = Series(venue="binance", market=Market.SPOT, symbol="ETHUSDT", timeframe=Timeframe.M5)
    world.store.report(SlotReport(candles=(CandleRow(series=other, candle=candle(0)),)))
    [stored] = world.store.candles(other, since=START)
    assert isnan(stored.taker_buy_volume)
    assert world.store.candles(SERIES, since=START + timedelta(days=1)) == []
