"""Prices, marks, candles and public trades at a venue time, all read off the tapes."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Protocol

import msgspec

from exchanges.simulator.instruments import Instrument
from exchanges.simulator.model import ZERO
from exchanges.simulator.tape import MINUTE_MS, QUARTER_MS, QUARTERS, Tape

FUNDING_MS = 8 * 3600 * 1000
DEFAULT_FUNDING_RATE = Decimal("0.0001")


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """A candle of any interval as known at a time; `is_closed` when all of it is known."""

    open_ms: int
    close_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    quote_volume: Decimal
    taker_volume: Decimal
    taker_quote_volume: Decimal
    trades: int
    is_closed: bool


class PublicTrade(msgspec.Struct, frozen=True, kw_only=True):
    """A trade of the tape. Ids count up without a gap: two for every quarter of a minute, by buyer and by seller."""

    trade_id: int
    price: Decimal
    quantity: Decimal
    is_taker_buy: bool
    at_ms: int


class TradeSource(Protocol):
    """Real trades of a symbol, by time and by id, both ends included."""

    def between(self, from_ms: int, to_ms: int) -> list[PublicTrade]: ...

    def from_id(self, first_id: int, count: int, to_ms: int) -> list[PublicTrade]: ...


class Market:
    """The tapes of a venue. A price that was set by hand holds from then on, until it is taken back.

    `trades`: of symbols whose trades are known; those of the others are made of their candles.
    """

    def __init__(
        self,
        instruments: dict[str, Instrument],
        tapes: dict[str, Tape],
        trades: Mapping[str, TradeSource] | None = None,
    ) -> None:
        self.instruments = instruments
        self._tapes = tapes
        self._trades = trades or {}
        self._set: dict[str, Decimal] = {}
        self._mark_offset: dict[str, Decimal] = {}
        self._rates: dict[str, list[tuple[int, Decimal]]] = {}

    def first_ms(self) -> int:
        return max(tape.first_ms for tape in self._tapes.values())

    def set_price(self, symbol: str, price: Decimal | None) -> None:
        if price is None:
            self._set.pop(symbol, None)
        else:
            self._set[symbol] = price

    def set_mark_offset(self, symbol: str, offset: Decimal) -> None:
        self._mark_offset[symbol] = offset

    def set_funding(self, symbol: str, rates: list[tuple[int, Decimal]]) -> None:
        """Rates by the time they hold from, oldest first."""
        self._rates[symbol] = sorted(rates)

    def price(self, symbol: str, at_ms: int) -> Decimal:
        by_hand = self._set.get(symbol)
        if by_hand is not None:
            return by_hand
        candle = self._tapes[symbol].candle(at_ms // MINUTE_MS * MINUTE_MS)
        return candle.path[at_ms % MINUTE_MS // QUARTER_MS]

    def mark(self, symbol: str, last: Decimal) -> Decimal:
        return last + self._mark_offset.get(symbol, ZERO)

    def is_jump(self, symbol: str, at_ms: int) -> bool:
        """Whether the price comes to this quarter without passing what lies between: at an open, or by hand."""
        return symbol in self._set or at_ms % MINUTE_MS < QUARTER_MS

    def funding_rate(self, symbol: str, at_ms: int) -> Decimal:
        rates = self._rates.get(symbol)
        if rates is None:
            return DEFAULT_FUNDING_RATE
        return next((rate for since, rate in reversed(rates) if since <= at_ms), ZERO)

    def bars(self, symbol: str, interval_ms: int, from_ms: int, to_ms: int, now_ms: int) -> list[Bar]:
        """Bars that open within [from, to] and have begun, oldest first; the last may be open."""
        tape = self._tapes[symbol]
        first = max(from_ms, tape.first_ms)
        opens = range(-(-first // interval_ms) * interval_ms, min(to_ms, now_ms) + 1, interval_ms)
        return [self.bar(symbol, interval_ms, open_ms, now_ms) for open_ms in opens]

    def bar(self, symbol: str, interval_ms: int, open_ms: int, now_ms: int) -> Bar:
        """The bar as far as it is known at `now_ms`, its first quarter at least."""
        tape = self._tapes[symbol]
        close_ms = open_ms + interval_ms - 1
        is_closed = now_ms > close_ms
        opened = high = low = close = ZERO
        volume = taker = quote = taker_quote = ZERO
        trades = 0
        for at in range(open_ms, min(close_ms, max(now_ms, open_ms)) + 1, MINUTE_MS):
            candle = tape.candle(at)
            known = QUARTERS if now_ms >= at + MINUTE_MS else max(now_ms - at, 0) // QUARTER_MS + 1
            path = candle.path[:known]
            part = Decimal(known) / QUARTERS
            if at == open_ms:
                opened = high = low = candle.open
            high, low, close = max(high, *path), min(low, *path), path[-1]
            price = (candle.high + candle.low + candle.close) / 3
            volume += candle.volume * part
            taker += candle.taker_volume * part
            quote += price * candle.volume * part
            taker_quote += price * candle.taker_volume * part
            trades += candle.trades * known // QUARTERS
        return Bar(
            open_ms=open_ms,
            close_ms=close_ms,
            open=opened,
            high=high,
            low=low,
            close=close,
            volume=volume,
            quote_volume=quote,
            taker_volume=taker,
            taker_quote_volume=taker_quote,
            trades=trades,
            is_closed=is_closed,
        )

    def public_trades(self, symbol: str, from_ms: int, to_ms: int) -> list[PublicTrade]:
        """Trades within [from, to], oldest first; made ones happen at the beginning of their quarter."""
        source = self._trades.get(symbol)
        if source is not None:
            return source.between(from_ms, to_ms)
        tape = self._tapes[symbol]
        step = self.instruments[symbol].step
        found = []
        for at in range(-(-from_ms // QUARTER_MS) * QUARTER_MS, to_ms + 1, QUARTER_MS):
            candle = tape.candle(at // MINUTE_MS * MINUTE_MS)
            price = candle.path[at % MINUTE_MS // QUARTER_MS]
            for is_buy in (True, False):
                whole = candle.taker_volume if is_buy else candle.volume - candle.taker_volume
                found.append(
                    PublicTrade(
                        trade_id=at // QUARTER_MS * 2 + (not is_buy),
                        price=price,
                        quantity=max(whole / QUARTERS // step * step, step),
                        is_taker_buy=is_buy,
                        at_ms=at,
                    )
                )
        return found

    def public_trades_from(self, symbol: str, first_id: int, count: int, now_ms: int) -> list[PublicTrade]:
        """So many trades from an id on, as far as they have happened."""
        source = self._trades.get(symbol)
        if source is not None:
            return source.from_id(first_id, count, now_ms)
        since = first_id // 2 * QUARTER_MS
        found = self.public_trades(symbol, since, min(now_ms, since + count * QUARTER_MS))
        return [trade for trade in found if trade.trade_id >= first_id][:count]
