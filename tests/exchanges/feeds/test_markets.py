"""Spot beside the perpetual: every held source gives either market's candles, and neither for the other."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from core.candles import check
from core.market import Market, Series
from core.timeframe import Timeframe
from exchanges.feeds.archive import store_columns
from exchanges.feeds.base import CandleSource, ColumnSource, NoCandles, candles_of
from exchanges.feeds.files import FolderCandles
from exchanges.feeds.generator import GeneratedMarket
from exchanges.feeds.looped import LoopedSource

START = datetime(2026, 1, 5, tzinfo=UTC)
END = START + timedelta(days=2)
GENERATED = GeneratedMarket(5)
OWN = GeneratedMarket.VENUE


def series(market: Market, symbol: str = "BTCUSDT", timeframe: Timeframe = Timeframe.M5) -> Series:
    return Series(venue="binance", market=market, symbol=symbol, timeframe=timeframe)


DRAWN = {
    series(market): candles_of(GENERATED, replace(series(market), venue=OWN), START, END) for market in Market
}
ONLY_PERP = {series(Market.PERP): DRAWN[series(Market.PERP)]}


def folder(tmp_path: Path, held: dict[Series, object]) -> FolderCandles:
    for key in held:
        store_columns(DRAWN[key], key, tmp_path)
    return FolderCandles(tmp_path)


def columns(held: dict[Series, object]) -> ColumnSource:
    return ColumnSource(origin="drawn", venue="binance", series={key: DRAWN[key] for key in held})


@pytest.fixture(params=["columns", "folder", "looped columns", "looped folder"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> CandleSource:
    held = folder(tmp_path, DRAWN) if "folder" in request.param else columns(DRAWN)
    return LoopedSource(held, (START, END)) if "looped" in request.param else held


def test_each_market_has_its_own_candles(source: CandleSource) -> None:
    assert source.market("BTCUSDT") is Market.PERP
    for key, expected in DRAWN.items():
        assert np.array_equal(candles_of(source, key, START, END).data, expected.data)


def test_larger_candles_of_the_other_market_are_built_from_whole_smaller_ones(source: CandleSource) -> None:
    hours = candles_of(source, series(Market.SPOT, timeframe=Timeframe.H1), START, END)
    assert len(hours) == 48
    assert hours.volume[0] == pytest.approx(DRAWN[series(Market.SPOT)].volume[:12].sum())


def test_the_other_market_is_never_stood_in_for(tmp_path: Path) -> None:
    for only in (
        columns(ONLY_PERP),
        folder(tmp_path, ONLY_PERP),
        LoopedSource(columns(ONLY_PERP), (START, END)),
    ):
        with pytest.raises(NoCandles, match="no spot candles of BTCUSDT"):
            candles_of(only, series(Market.SPOT), START, END)


def test_generated_spot_could_have_been_traded_follows_the_perpetual_and_repeats() -> None:
    spot, perpetual = DRAWN[series(Market.SPOT)], DRAWN[series(Market.PERP)]
    check(spot, Timeframe.M5)
    assert np.abs(spot.close / perpetual.close - 1).max() < 0.001
    deltas = [2 * each.taker_buy_volume - each.volume for each in (spot, perpetual)]
    assert 0.1 < np.corrcoef(*deltas)[0, 1] < 0.95
    later = candles_of(
        GeneratedMarket(5), replace(series(Market.SPOT), venue=OWN), START + timedelta(days=1), END
    )
    assert np.array_equal(later.data, spot.part(288, 576).data)
