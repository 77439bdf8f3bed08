"""Public market data over REST: calls and answers. Pure.

Source: USDⓈ-M Futures, "Market Data" REST API. Candles are floats, as everywhere in `core`;
prices that enter orders are Decimal.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from math import nan
from typing import Final

import msgspec
import numpy as np

from core.candles import CandleColumns, empty
from core.errors import ImpossibleVenueData
from core.public_trade import PublicTrade, check_trade
from exchanges.binance.signing import Access, Call, Params
from exchanges.binance.wire import PriceRow, number, positive, read, time_of
from exchanges.feeds.base import FundingRate
from exchanges.wire import Cost, Purpose

_WEIGHT_BY_LIMIT: Final = ((99, 1), (499, 2), (1000, 5))
_MOST_WEIGHT: Final = 10
_MOST: Final = 1e18


class KlineRow(msgspec.Struct, array_like=True, frozen=True):
    """One row of `/fapi/v1/klines`; the venue may append fields."""

    open_time: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    close_time: int
    quote_volume: str
    trades: int
    taker_buy_volume: str


class MarkPrice(msgspec.Struct, frozen=True, kw_only=True):
    """The mark price, and the funding rate as it would settle at `next_funding_at`."""

    symbol: str
    price: Decimal
    funding_rate: Decimal
    next_funding_at: datetime
    at: datetime


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    symbol: str
    bid: Decimal
    ask: Decimal


class _Trade(msgspec.Struct, frozen=True):
    a: int
    p: Decimal
    q: Decimal
    T: int
    m: bool


class _Mark(msgspec.Struct, frozen=True, rename="camel"):
    symbol: str
    mark_price: str
    last_funding_rate: str
    next_funding_time: int
    time: int


class _Book(msgspec.Struct, frozen=True, rename="camel"):
    symbol: str
    bid_price: str
    ask_price: str


class _Funding(msgspec.Struct, frozen=True, rename="camel"):
    symbol: str
    funding_time: int
    funding_rate: str


def get_klines(
    symbol: str,
    interval: str,
    *,
    start_ms: int | None = None,
    end_ms: int | None = None,
    limit: int,
    mark: bool = False,
) -> Call:
    """Ascending; the last row is normally still open."""
    params = (("symbol", symbol), ("interval", interval), *_window(start_ms, end_ms), ("limit", str(limit)))
    return _call("/fapi/v1/markPriceKlines" if mark else "/fapi/v1/klines", params, klines_weight(limit))


def klines_weight(limit: int) -> int:
    """What a page of so many candles costs."""
    return next((weight for most, weight in _WEIGHT_BY_LIMIT if limit <= most), _MOST_WEIGHT)


def get_agg_trades(
    symbol: str,
    *,
    start_ms: int | None = None,
    end_ms: int | None = None,
    from_id: int | None = None,
    limit: int | None = None,
    is_spot: bool = False,
) -> Call:
    """Oldest first: from an id on, of a window, or the newest."""
    first: Params = () if from_id is None else (("fromId", str(from_id)),)
    params = (("symbol", symbol), *first, *_window(start_ms, end_ms), *_limit(limit))
    return _call("/api/v3/aggTrades", params, 4) if is_spot else _call("/fapi/v1/aggTrades", params, 20)


def get_mark_price(symbol: str) -> Call:
    return _call("/fapi/v1/premiumIndex", (("symbol", symbol),))


def get_last_price(symbol: str) -> Call:
    return _call("/fapi/v2/ticker/price", (("symbol", symbol),))


def get_funding_rates(
    symbol: str, *, start_ms: int | None = None, end_ms: int | None = None, limit: int | None = None
) -> Call:
    params = (("symbol", symbol), *_window(start_ms, end_ms), *_limit(limit))
    return _call("/fapi/v1/fundingRate", params)


def get_instruments() -> Call:
    """Always the whole list, about a megabyte."""
    return _call("/fapi/v1/exchangeInfo", ())


def get_server_time() -> Call:
    cost = Cost(weight=1, purpose=Purpose.CLOSING)  # an exit may wait for it
    return Call(method="GET", path="/fapi/v1/time", access=Access.PUBLIC, cost=cost)


def kline_columns(rows: list[KlineRow]) -> CandleColumns:
    """Rows as columns, not yet checked; raises ValueError for a number that is none."""
    if not rows:
        return empty()
    table = [
        (row.open_time, row.open, row.high, row.low, row.close, row.volume, row.taker_buy_volume)
        for row in rows
    ]
    return CandleColumns(np.array(table, dtype=np.float64).T.copy())


def trades(body: bytes, symbol: str) -> list[PublicTrade]:
    """Answer of `aggTrades`, oldest first."""
    rows = read(body, list[_Trade])
    return [check_trade(PublicTrade(symbol, row.a, row.T, row.p, row.q, not row.m)) for row in rows]


def mark_prices(body: bytes) -> list[MarkPrice]:
    """Answer of `premiumIndex`, of one symbol or all."""
    rows = read(body, list[_Mark] | _Mark)  # type: ignore[arg-type]  # msgspec takes unions
    return [
        _mark(row.symbol, row.mark_price, row.last_funding_rate, row.next_funding_time, row.time)
        for row in (rows if isinstance(rows, list) else [rows])
    ]


def quote(body: bytes) -> Quote:
    """Answer of `ticker/bookTicker`."""
    row = read(body, _Book)
    return Quote(
        symbol=row.symbol, bid=positive(row.bid_price, "a bid"), ask=positive(row.ask_price, "an ask")
    )


def last_price(body: bytes) -> Decimal:
    row = read(body, PriceRow)
    return positive(row.price or row.last_price, f"the price of {row.symbol}")


def funding_rates(body: bytes) -> list[FundingRate]:
    return [
        FundingRate(at=time_of(row.funding_time), rate=number(row.funding_rate, "a funding rate"))
        for row in read(body, list[_Funding])
    ]


def _mark(symbol: str, price: str, rate: str, next_ms: int, ms: int) -> MarkPrice:
    return MarkPrice(
        symbol=symbol,
        price=positive(price, f"the mark price of {symbol}"),
        funding_rate=number(rate or "0", f"the funding rate of {symbol}"),
        next_funding_at=time_of(next_ms),
        at=time_of(ms),
    )


def market_number(text: str, *, least: float = 5e-324) -> float:
    """A price or amount of market data; raises ImpossibleVenueData below `least` or beyond what can be."""
    try:
        value = float(text)
    except ValueError:
        value = nan
    if not least <= value < _MOST:
        raise ImpossibleVenueData(f"Binance says that a market number is {text[:60]!r}.")
    return value


def _window(start_ms: int | None, end_ms: int | None) -> Params:
    start: Params = () if start_ms is None else (("startTime", str(start_ms)),)
    return start if end_ms is None else (*start, ("endTime", str(end_ms)))


def _limit(limit: int | None) -> Params:
    return () if limit is None else (("limit", str(limit)),)


def _call(path: str, params: Params, weight: int = 1) -> Call:
    cost = Cost(weight=weight, purpose=Purpose.READ)
    return Call(method="GET", path=path, params=params, access=Access.PUBLIC, cost=cost)
