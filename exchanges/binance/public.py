"""Public market data: calls, answers and stream messages. Pure.

Source: USDⓈ-M Futures, "Market Data" REST API and WebSocket streams. Candles are floats, as everywhere in `core`;
prices that enter orders are Decimal.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec
import numpy as np

from core.candles import Candle, CandleColumns, empty
from core.market import SymbolRules
from exchanges.binance.signing import Access, Call, Params
from exchanges.binance.wire import (
    BracketsRow,
    ExchangeInfo,
    InstrumentRow,
    PriceRow,
    Unreadable,
    not_negative,
    number,
    positive,
    read,
    time_of,
)
from exchanges.feeds.base import FundingRate
from exchanges.wire import Cost, Purpose

_WEIGHT_BY_LIMIT: Final = ((99, 1), (499, 2), (1000, 5))
_MOST_WEIGHT: Final = 10
_STILL_OPEN: Final = b'"x":false'


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


class PublicTrade(msgspec.Struct, frozen=True, kw_only=True):
    """An aggregated trade. `taker_sold`: the buyer was the maker. A jump in `id` means lost messages."""

    symbol: str
    id: int
    price: float
    quantity: float
    taker_sold: bool
    at: datetime


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


class KlineNews(msgspec.Struct, frozen=True, kw_only=True):
    """A candle of a stream, final or still open."""

    symbol: str
    interval: str
    candle: Candle
    closed: bool


class LeverageTier(msgspec.Struct, frozen=True, kw_only=True):
    """Up to `notional_cap` USDT, `max_leverage` and maintenance margin `ratio` · notional − `deduction`."""

    notional_floor: Decimal
    notional_cap: Decimal
    max_leverage: int
    ratio: Decimal
    deduction: Decimal


class _Trade(msgspec.Struct, frozen=True):
    a: int
    p: str
    q: str
    T: int
    m: bool
    s: str = ""


class _Mark(msgspec.Struct, frozen=True, rename="camel"):
    symbol: str
    mark_price: str
    last_funding_rate: str
    next_funding_time: int
    time: int


class _MarkNews(msgspec.Struct, frozen=True):
    s: str
    p: str
    r: str
    T: int
    E: int


class _Book(msgspec.Struct, frozen=True, rename="camel"):
    symbol: str
    bid_price: str
    ask_price: str


class _BookNews(msgspec.Struct, frozen=True):
    s: str
    b: str
    a: str


class _Funding(msgspec.Struct, frozen=True, rename="camel"):
    symbol: str
    funding_time: int
    funding_rate: str


class _KlineBar(msgspec.Struct, frozen=True):
    t: int
    i: str
    o: str
    h: str
    l: str  # noqa: E741 - the venue's spelling
    c: str
    v: str
    V: str
    x: bool


class _KlineMessage(msgspec.Struct, frozen=True):
    s: str
    k: _KlineBar


class _Kind(msgspec.Struct, frozen=True):
    e: str | None = None


class _Wrapped(msgspec.Struct, frozen=True):
    data: msgspec.Raw = msgspec.Raw()


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
    weight = next((weight for most, weight in _WEIGHT_BY_LIMIT if limit <= most), _MOST_WEIGHT)
    return _call("/fapi/v1/markPriceKlines" if mark else "/fapi/v1/klines", params, weight)


def get_agg_trades(
    symbol: str, *, start_ms: int | None = None, end_ms: int | None = None, limit: int | None = None
) -> Call:
    params = (("symbol", symbol), *_window(start_ms, end_ms), *_limit(limit))
    return _call("/fapi/v1/aggTrades", params, 20)


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


def kline_news(message: bytes) -> KlineNews | None:
    """The candle of a kline message, raw or wrapped; None for any other message.

    Whether it can be (`core.candles.check`) is for those who keep it: an open one may still be anything.
    """
    if kind_of(message) != "kline":
        return None
    body = read(_unwrapped(message), _KlineMessage)
    bar = body.k
    time_of(bar.t)
    candle = Candle(
        open_time_ms=bar.t,
        open=_price(bar.o),
        high=_price(bar.h),
        low=_price(bar.l),
        close=_price(bar.c),
        volume=float(not_negative(bar.v, "a volume")),
        taker_buy_volume=float(not_negative(bar.V, "a volume")),
    )
    return KlineNews(symbol=body.s, interval=bar.i, candle=candle, closed=bar.x)


def still_open(message: bytes) -> bool:
    """Whether a kline message plainly says that its candle is not final: nearly all do, and need no decoding."""
    return _STILL_OPEN in message


def trades(body: bytes, symbol: str) -> list[PublicTrade]:
    """Answer of `aggTrades`, oldest first."""
    return [_trade(row, symbol) for row in read(body, list[_Trade])]


def trade_news(message: bytes) -> PublicTrade | None:
    """The trade of an aggTrade message, of the futures or the spot stream; None for any other message."""
    if kind_of(message) != "aggTrade":
        return None
    row = read(_unwrapped(message), _Trade)
    return _trade(row, row.s)


def mark_prices(body: bytes) -> list[MarkPrice]:
    """Answer of `premiumIndex`, of one symbol or all."""
    rows = read(body, list[_Mark] | _Mark)  # type: ignore[arg-type]  # msgspec takes unions
    return [
        _mark(row.symbol, row.mark_price, row.last_funding_rate, row.next_funding_time, row.time)
        for row in (rows if isinstance(rows, list) else [rows])
    ]


def mark_news(message: bytes) -> MarkPrice | None:
    if kind_of(message) != "markPriceUpdate":
        return None
    row = read(_unwrapped(message), _MarkNews)
    return _mark(row.s, row.p, row.r, row.T, row.E)


def quote(body: bytes) -> Quote:
    """Answer of `ticker/bookTicker`."""
    row = read(body, _Book)
    return Quote(
        symbol=row.symbol, bid=positive(row.bid_price, "a bid"), ask=positive(row.ask_price, "an ask")
    )


def quote_news(message: bytes) -> Quote | None:
    if kind_of(message) != "bookTicker":
        return None
    row = read(_unwrapped(message), _BookNews)
    return Quote(symbol=row.s, bid=positive(row.b, "a bid"), ask=positive(row.a, "an ask"))


def last_price(body: bytes) -> Decimal:
    row = read(body, PriceRow)
    return positive(row.price or row.last_price, f"the price of {row.symbol}")


def funding_rates(body: bytes) -> list[FundingRate]:
    return [
        FundingRate(at=time_of(row.funding_time), rate=number(row.funding_rate, "a funding rate"))
        for row in read(body, list[_Funding])
    ]


def instruments(body: bytes) -> Mapping[str, SymbolRules]:
    """Rules of the perpetuals that are margined in USDT and trade now."""
    return {
        row.symbol: symbol_rules(row)
        for row in read(body, ExchangeInfo).symbols
        if row.status == "TRADING" and row.margin_asset == "USDT" and row.contract_type.endswith("PERPETUAL")
    }


def symbol_rules(row: InstrumentRow) -> SymbolRules:
    """The filters of a symbol. Its precisions are not its tick and step."""
    by_type = {entry.get("filterType"): entry for entry in row.filters}
    try:
        lot = by_type["LOT_SIZE"]
        market = by_type.get("MARKET_LOT_SIZE", lot)
        return SymbolRules(
            symbol=row.symbol,
            tick_size=_filter(by_type["PRICE_FILTER"], "tickSize"),
            step_size=_filter(lot, "stepSize"),
            min_quantity=max(_filter(lot, "minQty"), _filter(market, "minQty")),
            max_quantity=_filter(lot, "maxQty"),
            min_notional=_filter(by_type.get("MIN_NOTIONAL", {"notional": "0"}), "notional"),
            market_step_size=_filter(market, "stepSize"),
            max_market_quantity=_filter(market, "maxQty"),
        )
    except KeyError as error:
        raise Unreadable(f"Binance names no {error} in the filters of {row.symbol}.") from None


def leverage_brackets(body: bytes) -> Mapping[str, tuple[LeverageTier, ...]]:
    """Tiers by symbol, smallest notional first; the venue answers a list or one object."""
    rows = read(body, list[BracketsRow] | BracketsRow)  # type: ignore[arg-type]  # msgspec takes unions
    return {
        row.symbol: tuple(
            LeverageTier(
                notional_floor=tier.notional_floor,
                notional_cap=tier.notional_cap,
                max_leverage=tier.initial_leverage,
                ratio=tier.maint_margin_ratio,
                deduction=tier.cum,
            )
            for tier in sorted(row.brackets, key=lambda tier: tier.bracket)
        )
        for row in (rows if isinstance(rows, list) else [rows])
    }


def kind_of(message: bytes) -> str | None:
    """The event a stream message tells; None: an acknowledgement or anything else without one."""
    return read(_unwrapped(message), _Kind).e


def _unwrapped(message: bytes) -> bytes:
    """The event of a combined stream's message, or the message itself."""
    wrapped = read(message, _Wrapped)
    return bytes(wrapped.data) or message


def _trade(row: _Trade, symbol: str) -> PublicTrade:
    return PublicTrade(
        symbol=symbol,
        id=row.a,
        price=_price(row.p),
        quantity=float(positive(row.q, "a quantity")),
        taker_sold=row.m,
        at=time_of(row.T),
    )


def _mark(symbol: str, price: str, rate: str, next_ms: int, ms: int) -> MarkPrice:
    return MarkPrice(
        symbol=symbol,
        price=positive(price, f"the mark price of {symbol}"),
        funding_rate=number(rate or "0", f"the funding rate of {symbol}"),
        next_funding_at=time_of(next_ms),
        at=time_of(ms),
    )


def _price(text: str) -> float:
    return float(positive(text, "a price"))


def _filter(entry: Mapping[str, Any], name: str) -> Decimal:
    value = entry[name]
    if not isinstance(value, str):
        raise Unreadable(f"Binance says a filter's {name} in another form than text.")
    return number(value, name)


def _window(start_ms: int | None, end_ms: int | None) -> Params:
    start: Params = () if start_ms is None else (("startTime", str(start_ms)),)
    return start if end_ms is None else (*start, ("endTime", str(end_ms)))


def _limit(limit: int | None) -> Params:
    return () if limit is None else (("limit", str(limit)),)


def _call(path: str, params: Params, weight: int = 1) -> Call:
    cost = Cost(weight=weight, purpose=Purpose.READ)
    return Call(method="GET", path=path, params=params, access=Access.PUBLIC, cost=cost)
