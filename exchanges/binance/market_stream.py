"""Messages of the public streams → news. Pure. Source: USDⓈ-M Futures, "Websocket Market Streams".

Raw and combined messages read alike, and spot's aggregated trades as those of futures. One decoding tells the event
and its fields.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import msgspec

from core.candles import Candle
from core.public_trade import PublicTrade, check_trade
from exchanges.binance.public import MarkPrice, Quote, market_number
from exchanges.binance.wire import WIRE_ERRORS, Unreadable, number, positive, read, time_of

_STILL_OPEN: Final = b'"x":false'
_COMBINED: Final = b'{"stream"'


class KlineNews(msgspec.Struct, frozen=True, kw_only=True):
    """A candle of a stream, final or still open.

    Whether it can be (`core.candles.check`) is for those who keep it: an open one may still be anything.
    """

    symbol: str
    interval: str
    candle: Candle
    closed: bool


MarketNews = KlineNews | PublicTrade | MarkPrice | Quote


class _Bar(msgspec.Struct, frozen=True):
    t: int
    i: str
    o: str
    h: str
    l: str  # noqa: E741 - the venue's spelling
    c: str
    v: str
    V: str
    x: bool


class _Kline(msgspec.Struct, frozen=True, tag_field="e", tag="kline"):
    s: str
    k: _Bar


class _Trade(msgspec.Struct, frozen=True, gc=False, tag_field="e", tag="aggTrade"):
    s: str
    a: int
    p: Decimal
    q: Decimal
    T: int
    m: bool


class _Mark(msgspec.Struct, frozen=True, tag_field="e", tag="markPriceUpdate"):
    s: str
    p: str
    r: str
    T: int
    E: int


class _Book(msgspec.Struct, frozen=True, tag_field="e", tag="bookTicker"):
    s: str
    b: str
    a: str


class _Other(msgspec.Struct, frozen=True):
    """Any message: what it is, and what it wraps."""

    e: str | None = None
    data: msgspec.Raw = msgspec.Raw()


_EVENTS: Final[msgspec.json.Decoder[Any]] = msgspec.json.Decoder(_Kline | _Trade | _Mark | _Book)
_KNOWN: Final = frozenset({"kline", "aggTrade", "markPriceUpdate", "bookTicker"})


def market_news(message: bytes) -> MarketNews | None:
    """What a message tells; None for an acknowledgement or an event not known here.

    Raises Unreadable or ImpossibleVenueData.
    """
    if message.startswith(_COMBINED):
        return _unwrapped(message)
    try:
        event = _EVENTS.decode(message)
    except WIRE_ERRORS:
        return _unwrapped(message)
    match event:
        case _Kline():
            return _kline(event)
        case _Trade():
            return check_trade(PublicTrade(event.s, event.a, event.T, event.p, event.q, not event.m))
        case _Mark():
            return MarkPrice(
                symbol=event.s,
                price=positive(event.p, f"the mark price of {event.s}"),
                funding_rate=number(event.r or "0", f"the funding rate of {event.s}"),
                next_funding_at=time_of(event.T),
                at=time_of(event.E),
            )
        case _:
            return Quote(symbol=event.s, bid=positive(event.b, "a bid"), ask=positive(event.a, "an ask"))


def still_open(message: bytes) -> bool:
    """Whether a kline message plainly says that its candle is not final: nearly all do, and need no decoding."""
    return _STILL_OPEN in message


def _unwrapped(message: bytes) -> MarketNews | None:
    """What a combined stream wraps. A message of a known kind that gets here was not readable as it."""
    other = read(message, _Other)
    inner = bytes(other.data)
    if other.e in _KNOWN:
        raise Unreadable(f"Binance sent a {other.e} message in a form that cannot be read.")
    if other.e is None and inner.startswith(b"{") and not inner.startswith(_COMBINED):
        return market_news(inner) if read(inner, _Other).e is not None else None
    return None


def _kline(event: _Kline) -> KlineNews:
    bar = event.k
    time_of(bar.t)
    candle = Candle(
        open_time_ms=bar.t,
        open=market_number(bar.o),
        high=market_number(bar.h),
        low=market_number(bar.l),
        close=market_number(bar.c),
        volume=market_number(bar.v, least=0.0),
        taker_buy_volume=market_number(bar.V, least=0.0),
    )
    return KlineNews(symbol=event.s, interval=bar.i, candle=candle, closed=bar.x)
