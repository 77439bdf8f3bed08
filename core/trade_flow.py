"""What was bought and sold in each second of the last day: exact sums over a market's trades, each known whole or not.

Sums are made in Decimal and kept as integers of 1e-8, which is the finest step and tick of the venues; the quote volume
of a second is rounded there once. A second is complete when nothing of it can be missing: it lies behind the first
trade heard, before the latest, and in no gap.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.errors import ImpossibleVenueData
from core.public_trade import PublicTrade

UNITS: Final = 10**8
SPAN_S: Final = 86_400
"""Seconds that are kept: strategies measure against the last 24 hours."""
FURTHEST_AHEAD_MS: Final = 60_000
"""A trade later than this beyond the time it is heard at cannot be."""
_MOST_UNITS: Final = 2**62
_ZERO: Final = Decimal(0)
_SECOND_MS: Final = 1_000
_BUY, _SELL, _BUY_QUOTE, _SELL_QUOTE, _PRICE, _TRADES = range(6)

Units = NDArray[np.int64]


class FlowColumns(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds from `first_ms` on, each an element. Volumes and prices in 1e-8; a price is the last one traded by then,
    0 where none is known."""

    first_ms: int
    buy: Units
    sell: Units
    buy_quote: Units
    sell_quote: Units
    price: Units
    trades: Units
    complete: NDArray[np.bool_]

    @property
    def delta(self) -> Units:
        """Base bought by takers less base sold by them; its running sum is the cumulative volume delta."""
        return self.buy - self.sell

    @property
    def is_whole(self) -> bool:
        return bool(self.complete.all())


class TradeFlow:
    """One market's seconds. Trades come in the order of their numbers, each once; times may step back."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        """`now_ms`: the time a trade is heard at."""
        self._now_ms = now_ms
        self._sums: Units = np.zeros((6, SPAN_S), dtype=np.int64)
        self._complete = np.zeros(SPAN_S, dtype=np.bool_)
        self._first: int | None = None
        self._newest = -1
        # What came since the last flush, all of it within one second.
        self._second = -1
        self._buy = self._sell = self._buy_quote = self._sell_quote = self._price = _ZERO
        self._trades = 0

    def add(self, trade: PublicTrade) -> None:
        """One that has been checked. Raises ImpossibleVenueData; nothing has been added then."""
        price, quantity = trade.price, trade.quantity
        second = trade.at_ms // _SECOND_MS
        if second != self._second:
            self._turn(second, trade)
        if trade.taker_bought:
            self._buy += quantity
            self._buy_quote += price * quantity
        else:
            self._sell += quantity
            self._sell_quote += price * quantity
        self._price = price
        self._trades += 1

    def lost(self, from_ms: int, to_ms: int) -> None:
        """Trades between these times will never come: their seconds, both ends included, stay incomplete."""
        first, last = from_ms // _SECOND_MS, to_ms // _SECOND_MS
        self._advance(last)
        if self._first is not None and last >= (first := max(first, self._first, self._newest - SPAN_S + 1)):
            self._complete[np.arange(first, last + 1) % SPAN_S] = False

    def quiet_until(self, at_ms: int) -> None:
        """All trades before this time have been added: there is silence behind the last one."""
        if self._first is not None:
            self._advance(at_ms // _SECOND_MS)

    def columns(self, start_ms: int, end_ms: int) -> FlowColumns:
        """Whole seconds in [start, end), at most a day; what is not known is zero and incomplete."""
        self._flush()
        first, end = -(-start_ms // _SECOND_MS), end_ms // _SECOND_MS
        first = max(first, end - SPAN_S)
        seconds = np.arange(first, max(first, end))
        known = np.zeros(len(seconds), dtype=np.bool_)
        if self._first is not None:
            known = (seconds >= max(self._first, self._newest - SPAN_S + 1)) & (seconds <= self._newest)
        sums = np.where(known, self._sums[:, seconds % SPAN_S], 0)
        complete = known & self._complete[seconds % SPAN_S] & (seconds < self._newest)
        traded = np.maximum.accumulate(np.where(sums[_TRADES] > 0, np.arange(len(seconds)), -1))
        price = np.where(traded >= 0, sums[_PRICE][traded], 0) if len(seconds) else sums[_PRICE]
        return FlowColumns(
            first_ms=first * _SECOND_MS,
            buy=sums[_BUY],
            sell=sums[_SELL],
            buy_quote=sums[_BUY_QUOTE],
            sell_quote=sums[_SELL_QUOTE],
            price=price,
            trades=sums[_TRADES],
            complete=complete,
        )

    def _turn(self, second: int, trade: PublicTrade) -> None:
        """To another second, nearly always the next one."""
        ahead_ms = trade.at_ms - self._now_ms()
        if ahead_ms > FURTHEST_AHEAD_MS:
            raise ImpossibleVenueData(f"A trade of {trade.symbol} is {ahead_ms} ms ahead of time.")
        self._flush()
        if self._first is None:
            self._first = self._newest = second
            self._clear(second, second)
            self._complete[second % SPAN_S] = False  # what came before in this second was not heard
        else:
            self._advance(second)
        self._second = second

    def _advance(self, second: int) -> None:
        if self._first is not None and second > self._newest:
            self._clear(max(self._newest + 1, second - SPAN_S + 1), second)
            self._newest = second

    def _clear(self, first: int, last: int) -> None:
        slots = np.arange(first, last + 1) % SPAN_S
        self._sums[:, slots] = 0
        self._complete[slots] = True

    def _flush(self) -> None:
        """Into its second, unless that has left the window, or began before the first one did."""
        if not self._trades or self._first is None:
            return
        if max(self._first, self._newest - SPAN_S + 1) <= self._second:
            slot = self._second % SPAN_S
            made = (self._buy, self._sell, self._buy_quote, self._sell_quote)
            amounts = [round(amount * UNITS) for amount in made]
            if max(amounts) + int(self._sums[:_PRICE, slot].max()) < _MOST_UNITS:
                self._sums[:_PRICE, slot] += amounts
                self._sums[_PRICE, slot] = round(self._price * UNITS)
                self._sums[_TRADES, slot] += self._trades
            else:
                self._complete[slot] = False  # more than a market can trade within a second
        self._buy = self._sell = self._buy_quote = self._sell_quote = _ZERO
        self._trades = 0
        self._second = -1
