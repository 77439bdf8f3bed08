"""Bybit's public market data: what is asked, and what the answers and the stream's messages say. Pure.

Source: Bybit v5 API documentation, "Market" pages and "WebSocket Stream, Public: Kline, Trade". Market data is float64;
prices that become money stay decimal.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec
import numpy as np

from core.candles import Candle, CandleColumns, empty
from core.errors import ImpossibleVenueData
from core.leverage import LeverageTier
from core.market import SymbolRules
from core.public_trade import PublicTrade, check_trade
from core.timeframe import Timeframe
from exchanges.bybit import parse
from exchanges.bybit.requests import CATEGORY, Query, as_text, reading
from exchanges.bybit.wire import (
    FundingRateRow,
    Instrument,
    KlineRow,
    Page,
    RecentTrade,
    RiskTier,
    StreamKline,
    StreamTrades,
    Ticker,
    Topic,
    read,
)
from exchanges.feeds.base import FundingRate
from exchanges.wire import Purpose, Request

MAX_KLINES: Final = 1000
MAX_INSTRUMENTS: Final = 1000

INTERVALS: Final = {
    Timeframe.M1: "1",
    Timeframe.M3: "3",
    Timeframe.M5: "5",
    Timeframe.M15: "15",
    Timeframe.M30: "30",
    Timeframe.H1: "60",
    Timeframe.H2: "120",
    Timeframe.H4: "240",
    Timeframe.H6: "360",
    Timeframe.H12: "720",
    Timeframe.D1: "D",
}
"""The venue's names of our timeframes; it has no 10m."""


def server_time() -> Request:
    return reading("/v5/market/time", {}, Purpose.LOOK_UP)


def ticker(*, symbol: str, purpose: Purpose = Purpose.READ, category: str = CATEGORY) -> Request:
    """Last and mark price, funding rate and when it is next due."""
    return reading("/v5/market/tickers", {"category": category, "symbol": symbol}, purpose)


def instruments(*, symbol: str | None = None, cursor: str | None = None) -> Request:
    limit = None if symbol else str(MAX_INSTRUMENTS)
    query: Query = {"category": CATEGORY, "symbol": symbol, "limit": limit, "cursor": cursor}
    return reading("/v5/market/instruments-info", query, Purpose.READ)


def risk_limits(*, symbol: str) -> Request:
    """Leverage tiers."""
    return reading("/v5/market/risk-limit", {"category": CATEGORY, "symbol": symbol}, Purpose.READ)


def klines(
    *,
    symbol: str,
    timeframe: Timeframe,
    start_ms: int | None = None,
    end_ms: int | None = None,
    limit: int | None = None,
    of_mark_price: bool = False,
) -> Request:
    """At most 1000 candles that open in [start, end], newest first; those of the mark price have no volume."""
    path = "/v5/market/mark-price-kline" if of_mark_price else "/v5/market/kline"
    query: Query = {"category": CATEGORY, "symbol": symbol, "interval": INTERVALS[timeframe]}
    query |= {"start": as_text(start_ms), "end": as_text(end_ms), "limit": as_text(limit)}
    return reading(path, query, Purpose.READ)


def recent_trades(*, symbol: str, limit: int | None = None, category: str = CATEGORY) -> Request:
    """Newest first: at most 1000, of spot 60."""
    query: Query = {"category": category, "symbol": symbol, "limit": as_text(limit)}
    return reading("/v5/market/recent-trade", query, Purpose.READ)


def funding_history(
    *, symbol: str, start_ms: int | None = None, end_ms: int | None = None, limit: int | None = None
) -> Request:
    """Settled rates, newest first, at most 200; a start needs an end."""
    query: Query = {"category": CATEGORY, "symbol": symbol, "limit": as_text(limit)}
    query |= {"startTime": as_text(start_ms), "endTime": as_text(end_ms)}
    return reading("/v5/market/funding/history", query, Purpose.READ)


class MarkPrice(msgspec.Struct, frozen=True, kw_only=True):
    """The price a position is valued at, and the funding rate that is due next."""

    symbol: str
    mark: Decimal
    last: Decimal | None
    funding_rate: Decimal | None


_KLINES: Final = msgspec.json.Decoder(Page[KlineRow])
_STREAM_KLINES: Final = msgspec.json.Decoder(list[StreamKline])
_STREAM_TRADES: Final = msgspec.json.Decoder(StreamTrades)
_SIDES: Final = ("Buy", "Sell")
_FIRST_MS: Final = 946_684_800_000  # 2000
_MESSAGE: Final = msgspec.json.Decoder(Topic)
_OPEN_CANDLE: Final = b'"confirm":false'
_CLOSED_CANDLE: Final = b'"confirm":true'


def kline_topic(symbol: str, timeframe: Timeframe) -> str:
    return f"kline.{INTERVALS[timeframe]}.{symbol}"


def trade_topic(symbol: str) -> str:
    return f"publicTrade.{symbol}"


def candle_columns(result: bytes | msgspec.Raw) -> CandleColumns:
    """Candles of a kline answer, oldest first, an open one as well. Raises Unreadable or ImpossibleVenueData."""
    rows = read(result, _KLINES).rows
    if not rows:
        return empty()
    try:
        table = np.array(
            [(row.start, row.open, row.high, row.low, row.close, row.volume) for row in reversed(rows)],
            dtype=np.float64,
        )
    except ValueError as error:
        raise ImpossibleVenueData(f"Bybit answered candles with a number that is none: {error}.") from None
    taker = np.full((len(rows), 1), np.nan)
    return CandleColumns(np.hstack((table, taker)).T.copy())


def closed_candles(message: bytes) -> list[Candle]:
    """Candles a kline message closes. One still open, as nearly all are, is told from its bytes alone."""
    if _OPEN_CANDLE in message and _CLOSED_CANDLE not in message:
        return []
    rows = read(read(message, _MESSAGE).data, _STREAM_KLINES)
    try:
        return [
            Candle(
                open_time_ms=row.start,
                open=float(row.open),
                high=float(row.high),
                low=float(row.low),
                close=float(row.close),
                volume=float(row.volume),
            )
            for row in rows
            if row.confirm
        ]
    except ValueError as error:
        raise ImpossibleVenueData(f"Bybit told a candle with a number that is none: {error}.") from None


def stream_trades(message: bytes) -> list[PublicTrade]:
    """Trades of a publicTrade message, as they happened."""
    rows = read(message, _STREAM_TRADES).data
    return [_public_trade(row.s, row.seq, row.T, row.p, row.v, row.S, row.i) for row in rows]


def recent_trade(row: RecentTrade) -> PublicTrade:
    at_ms = _time_ms(row.time)
    return _public_trade(row.symbol, row.number, at_ms, row.price, row.size, row.side, row.exec_id)


def mark_price(row: Ticker) -> MarkPrice:
    mark = parse.price(row.mark_price, "a mark price")
    if mark is None:
        raise ImpossibleVenueData(f"Bybit names no mark price of {row.symbol}.")
    return MarkPrice(
        symbol=row.symbol,
        mark=mark,
        last=parse.price(row.last_price, "a last price"),
        funding_rate=parse.number(row.funding_rate, "a funding rate"),
    )


def funding_rates(rows: list[FundingRateRow]) -> tuple[FundingRate, ...]:
    """Oldest first."""
    rates = []
    for row in rows:
        rate = parse.number(row.funding_rate, "a funding rate")
        if rate is None:
            raise ImpossibleVenueData(f"Bybit names a settled funding of {row.symbol} without a rate.")
        rates.append(FundingRate(at=parse.moment(row.funding_rate_timestamp, "a funding's time"), rate=rate))
    return tuple(sorted(rates, key=lambda rate: rate.at))


def traded_rules(rows: list[Instrument]) -> dict[str, SymbolRules]:
    """Filters of the symbols that trade now against USDT."""
    return {
        row.symbol: parse.symbol_rules(row)
        for row in rows
        if row.status == "Trading" and row.quote_coin == parse.USDT
    }


def leverage_tiers(rows: list[RiskTier]) -> tuple[LeverageTier, ...]:
    """Smallest positions first."""
    tiers = [
        LeverageTier(
            up_to=parse.amount(row.risk_limit_value, "a risk limit"),
            max_leverage=parse.amount(row.max_leverage, "a leverage"),
            maintenance_rate=parse.number(row.maintenance_margin, "a maintenance rate"),
        )
        for row in rows
    ]
    return tuple(sorted(tiers, key=lambda tier: tier.up_to))


def _public_trade(
    symbol: str, number: int, at_ms: int, price: Decimal, quantity: Decimal, side: str, trade_id: str
) -> PublicTrade:
    if side not in _SIDES or at_ms < _FIRST_MS:
        raise ImpossibleVenueData(f"Bybit told a trade of {symbol} by side {side[:20]!r} at {at_ms}.")
    return check_trade(PublicTrade(symbol, number, at_ms, price, quantity, side == "Buy", trade_id))


def _time_ms(at_ms: str) -> int:
    parse.moment(at_ms, "a trade's time")
    return int(at_ms)
