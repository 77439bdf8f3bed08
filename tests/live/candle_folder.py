"""Folders of generated candles under the names recorded ones have."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from core.market import Market, Series
from core.timeframe import Timeframe
from exchanges.feeds.archive import store_columns
from exchanges.feeds.base import ColumnSource
from exchanges.feeds.generator import GeneratedMarket

START = datetime(2026, 2, 2, tzinfo=UTC)


def generated_source(
    span: timedelta, symbols: tuple[str, ...] = ("BTCUSDT", "ETHUSDT"), timeframe: Timeframe = Timeframe.M1
) -> ColumnSource:
    """The same candles in memory."""
    market = GeneratedMarket(3, symbols)
    series = {
        Series(venue="binance", market=Market.PERP, symbol=symbol, timeframe=timeframe): market.candles(
            symbol, timeframe, START, START + span
        )
        for symbol in symbols
    }
    return ColumnSource(origin="generated", venue="binance", series=series)


def candle_folder(
    folder: Path, *, span: timedelta, symbols: tuple[str, ...] = ("BTCUSDT", "ETHUSDT")
) -> Path:
    """`span` of 1m candles from START."""
    market = GeneratedMarket(3, symbols)
    for symbol in symbols:
        series = Series(venue="binance", market=Market.PERP, symbol=symbol, timeframe=Timeframe.M1)
        store_columns(market.candles(symbol, Timeframe.M1, START, START + span), series, folder)
    return folder
