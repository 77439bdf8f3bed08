"""The finest candles a position moves on: openings, the first candle that ends it, funding on its way."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from datetime import datetime

import numpy as np

from core.candles import Candle, CandleColumns
from core.quiet import Quiet
from core.timeframe import Timeframe, to_us
from exchanges.feeds.base import FundingRate
from exchanges.paper.book import Opening

_MINUTE_US = 60_000_000


class Track:
    """Candles of one symbol by number, oldest first, at least one."""

    def __init__(self, candles: CandleColumns, timeframe: Timeframe, funding: Sequence[FundingRate]) -> None:
        self.timeframe = timeframe
        self._candles = candles
        self._opens = candles.open_time
        # Looked at one at a time: a memory view answers with a plain number, an array with one of its own.
        self._prices, self._volumes = candles.open.data, candles.volume.data
        self._count = len(candles)
        self._first_ms = int(self._opens[0])
        self._whole = int(self._opens[-1]) - self._first_ms == (len(candles) - 1) * timeframe.ms
        self._due = self._by_candle(funding)
        self._due_at = sorted(self._due)
        self.funds = bool(self._due)

    def number(self, open_ms: int) -> int:
        """The first candle that opens at or after a moment."""
        if self._whole:
            number = -((self._first_ms - open_ms) // self.timeframe.ms)
            return 0 if number < 0 else min(self._count, number)
        return int(self._opens.searchsorted(open_ms))

    def opening(self, at: datetime, at_ms: int, number: int) -> Opening | None:
        """The first trade at exactly that moment, told twice; paper fills meet no other in time.

        `number`: of the first candle that opens at or after it.
        """
        if number == self._count or self.close_ms(number) - self.timeframe.ms != at_ms:
            return None
        return Opening(at=at, price=self._prices[number], volume=self._volumes[number])

    def candle(self, number: int) -> Candle:
        return self._candles.candle(number)

    def close_ms(self, number: int) -> int:
        if self._whole:
            return self._first_ms + (number + 1) * self.timeframe.ms
        return int(self._opens[number]) + self.timeframe.ms

    def leaves(self, quiet: Quiet, start: int, stop: int) -> int:
        """The first candle from `start` on, before `stop`, that does not stay at these prices; else `stop`."""
        return quiet.left_at(self._candles, start, stop)

    def next_funding(self, start: int, stop: int) -> int:
        """The first candle from `start` on, before `stop`, at whose close funding is settled; else `stop`."""
        if not self._due_at:
            return stop
        place = bisect_left(self._due_at, start)
        return min(self._due_at[place], stop) if place < len(self._due_at) else stop

    def funding_at(self, number: int) -> Sequence[FundingRate]:
        return self._due.get(number, ())

    def _by_candle(self, funding: Sequence[FundingRate]) -> dict[int, list[FundingRate]]:
        """Rates by the candle at whose close they are settled; venues stamp them some seconds late."""
        due: dict[int, list[FundingRate]] = {}
        for rate in funding:
            at_ms = (to_us(rate.at) - _MINUTE_US) // 1_000
            number = int(np.searchsorted(self._opens, at_ms, side="right")) - 1
            if number >= 0 and at_ms < self.close_ms(number):
                due.setdefault(number, []).append(rate)
        return due
