"""A market that does nothing by itself, and clocks that agree on when that is."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from decimal import Decimal

from core.timeframe import from_ms, to_ms
from exchanges.simulator.clock import VenueClock
from exchanges.simulator.tape import Candle
from tests.exchanges.conformance.venue import START


def stopped_clock() -> VenueClock:
    return VenueClock(time.monotonic, at_ms=to_ms(START), ceiling_ms=to_ms(START))


class FlatTape:
    """A price that stands."""

    first_ms = to_ms(START - timedelta(days=1))
    last_ms = None

    def __init__(self, price: Decimal) -> None:
        self._price = price

    def candle(self, open_ms: int) -> Candle:
        price, nothing = self._price, Decimal(0)
        return Candle(
            open_ms=open_ms,
            open=price,
            high=price,
            low=price,
            close=price,
            volume=nothing,
            taker_volume=nothing,
            trades=0,
        )


class MarketClock:
    """The runner's: market time is the venue's, out of step by `wrong`."""

    def __init__(self, venue: VenueClock) -> None:
        self._venue = venue
        self.wrong = timedelta(0)

    def now(self) -> datetime:
        return from_ms(self._venue.now_ms()) + self.wrong

    def monotonic(self) -> float:
        return time.monotonic()

    def seconds_until(self, when: datetime) -> float:
        return max(0.0, (when - self.now()).total_seconds() / (self._venue.rate or 1.0))
