"""Candles and taker volumes from an InfluxDB that trade collectors write, spot and perpetual beside each other.

The layout is that of aggr-server: in the retention policy `aggr_1m` a measurement `trades_1m` with the tag `market`
(`BINANCE:btcusdt` for spot, `BINANCE_FUTURES:btcusdt` for the perpetual) and the fields `open`, `high`, `low`, `close`,
`vbuy` and `vsell`, the last two what takers bought and sold in quote currency. Read with InfluxQL, which version 1
speaks, and versions 2 and 3 where the database is mapped to a bucket.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import httpx
import msgspec
import numpy as np

from core.candles import CandleColumns, check
from core.errors import RunnerError
from core.market import Market, Series
from core.redact import Secret
from core.timeframe import Timeframe, from_ms, to_ms
from exchanges.feeds.base import ColumnSource, NoCandles

MAX_MINUTES: Final = 600_000
"""Of one series: a year of minutes, and some."""
PAGE_ROWS: Final = 10_000
TIMEOUT_S: Final = 30.0
VENUE: Final = "binance"
_MARKETS: Final = {Market.PERP: "BINANCE_FUTURES", Market.SPOT: "BINANCE"}
_FIELDS: Final = ("open", "high", "low", "close", "vbuy", "vsell")
_SYMBOL: Final = re.compile(r"[A-Z0-9]{2,20}")


class InfluxUnusable(RunnerError):
    """The InfluxDB did not answer, or not with candles."""


class InfluxTrades(msgspec.Struct, frozen=True, kw_only=True):
    """Where trades are. `url` without credentials."""

    url: str
    database: str
    token: Secret | None = None


def influx_candles(at: InfluxTrades, symbols: Sequence[str], start: datetime, end: datetime) -> ColumnSource:
    """Minutes of both markets; larger timeframes are built of them. Holes stay. Raises NoCandles, InfluxUnusable."""
    series: dict[Series, CandleColumns] = {}
    headers = {} if at.token is None else {"Authorization": f"Token {at.token.reveal()}"}
    with httpx.Client(timeout=TIMEOUT_S, trust_env=False, headers=headers) as client:
        for symbol in symbols:
            for market in _MARKETS:
                columns = _minutes(client, at, market, symbol, start, end)
                if len(columns):
                    key = Series(venue=VENUE, market=market, symbol=symbol, timeframe=Timeframe.M1)
                    series[key] = columns
    origin = f"trades in InfluxDB {at.database}"
    if not series:
        raise NoCandles(f"The {origin} hold nothing of {', '.join(symbols)} in that range.")
    return ColumnSource(origin=origin, venue=VENUE, series=series)


def _minutes(
    client: httpx.Client, at: InfluxTrades, market: Market, symbol: str, start: datetime, end: datetime
) -> CandleColumns:
    if not _SYMBOL.fullmatch(symbol):
        raise NoCandles(f"{symbol!r} is not a symbol.")
    rows: list[list[float]] = []
    since_ms, end_ms = to_ms(start), to_ms(end)
    while since_ms < end_ms:
        page = _page(client, at, f"{_MARKETS[market]}:{symbol.lower()}", since_ms, end_ms)
        rows += page
        if len(page) < PAGE_ROWS:
            break
        since_ms = int(page[-1][0]) + Timeframe.M1.ms
        if len(rows) > MAX_MINUTES:
            raise NoCandles(
                f"The trades of {symbol} are more than {MAX_MINUTES:,} minutes; ask for fewer days."
            )
    # A minute without a trade has no prices there: a hole, as in any other source.
    whole = [row for row in rows if all(value is not None for value in row)]
    values = np.array(whole, dtype=np.float64).reshape(-1, 1 + len(_FIELDS)).T
    opened, open_, high, low, close, bought, sold = values
    columns = CandleColumns(
        np.ascontiguousarray(
            np.stack([opened, open_, high, low, close, (bought + sold) / close, bought / close])
        )
    )
    check(columns, Timeframe.M1)
    return columns


def _page(client: httpx.Client, at: InfluxTrades, market: str, since_ms: int, end_ms: int) -> list[list[Any]]:
    span = f"time >= {since_ms}ms AND time <= {end_ms - Timeframe.M1.ms}ms"
    # The market's name has been checked; InfluxQL has no other way to hand it over everywhere.
    query = f'SELECT {", ".join(_FIELDS)} FROM "aggr_1m"."trades_1m" WHERE "market" = \'{market}\' AND {span}'  # noqa: S608
    query += f" ORDER BY time LIMIT {PAGE_ROWS}"
    asked = {"db": at.database, "q": query, "epoch": "ms"}
    try:
        reply = client.get(f"{at.url}/query", params=asked)
        reply.raise_for_status()
        result = msgspec.json.decode(reply.content)["results"][0]
        if "error" in result:
            raise InfluxUnusable(f"InfluxDB {at.database} has no trades to read: {result['error']!s:.120}.")
        return list(result["series"][0]["values"]) if result.get("series") else []
    except (httpx.HTTPError, msgspec.DecodeError, LookupError, TypeError) as error:
        since = f"{from_ms(since_ms):%Y-%m-%d %H:%M}"
        raise InfluxUnusable(
            f"InfluxDB {at.database} did not answer for {since} ({type(error).__name__})."
        ) from error
