"""Trades in a real InfluxDB, in the layout of aggr-server, are candles with taker volumes like any other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import numpy as np
import pytest

from core.candles import CandleColumns
from core.market import Market, Series
from core.timeframe import Timeframe
from exchanges.feeds.base import NoCandles, candles_of
from exchanges.feeds.generator import GeneratedMarket
from exchanges.feeds.influx_trades import InfluxTrades, InfluxUnusable, influx_candles
from tests.actors.publishers.servers import influxdb

START = datetime(2026, 1, 6, tzinfo=UTC)
END = START + timedelta(hours=6)
HOLE = 100
MARKETS = {Market.SPOT: "BINANCE:btcusdt", Market.PERP: "BINANCE_FUTURES:btcusdt"}


def series(market: Market) -> Series:
    return Series(venue="binance", market=market, symbol="BTCUSDT", timeframe=Timeframe.M1)


def generated(market: Market) -> CandleColumns:
    source = GeneratedMarket(1)
    own = Series(venue=source.venue, market=market, symbol="BTCUSDT", timeframe=Timeframe.M1)
    return candles_of(source, own, START, END)


def lines(market: str, columns: CandleColumns) -> str:
    told = []
    for index, (opened, open_, high, low, close, volume, taker_buy) in enumerate(columns.data.T):
        if index == HOLE:
            told.append(f"trades_1m,market={market} vbuy=0,vsell=0 {int(opened)}")
            continue
        bought, sold = taker_buy * close, (volume - taker_buy) * close
        prices = f"open={open_},high={high},low={low},close={close}"
        told.append(f"trades_1m,market={market} {prices},vbuy={bought},vsell={sold} {int(opened)}")
    return "\n".join(told)


@contextmanager
def collected(folder: Path) -> Iterator[str]:
    """A server with trades of both markets; its URL."""
    with influxdb(folder) as (_, url):
        for query in (
            "CREATE DATABASE significant_trades",
            'CREATE RETENTION POLICY "aggr_1m" ON "significant_trades" DURATION INF REPLICATION 1',
        ):
            httpx.post(f"{url}/query", params={"q": query}).raise_for_status()
        for market, tag in MARKETS.items():
            where = {"db": "significant_trades", "rp": "aggr_1m", "precision": "ms"}
            httpx.post(f"{url}/write", params=where, content=lines(tag, generated(market))).raise_for_status()
        yield url


def test_both_markets_read_back_with_their_taker_volumes_and_holes(tmp_path: Path) -> None:
    with collected(tmp_path) as url:
        at = InfluxTrades(url=url, database="significant_trades")
        source = influx_candles(at, ["BTCUSDT"], START, END)
        with pytest.raises(NoCandles, match="nothing of ETHUSDT"):
            influx_candles(at, ["ETHUSDT"], START, END)
        with pytest.raises(InfluxUnusable, match="has no trades to read"):
            influx_candles(InfluxTrades(url=url, database="missing"), ["BTCUSDT"], START, END)
    with pytest.raises(InfluxUnusable, match="did not answer"):
        influx_candles(at, ["BTCUSDT"], START, END)
    for market in MARKETS:
        got = candles_of(source, series(market), START, END)
        expected = np.delete(generated(market).data, HOLE, axis=1)
        np.testing.assert_allclose(got.data, expected, rtol=1e-9)
    # Larger candles are built of whole ones alone: the one with the hole is missing.
    assert len(source.candles("BTCUSDT", Timeframe.M5, START, END)) == 6 * 12 - 1
