"""Mark prices of both venues' stand-ins, heard on a real socket while the symbol is held."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from time import monotonic

import pytest

from core.connection import Venue
from exchanges.venues import Address, market_marks
from tests.exchanges.simulator.running import running
from tests.fakes.loop_clock import until

SYMBOL = "BTCUSDT"


class ProcessClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return monotonic()

    def seconds_until(self, when: datetime) -> float:
        return max(0.0, (when - self.now()).total_seconds())


@pytest.mark.parametrize("name", ["binance", "bybit"])
def test_the_mark_follows_the_venue(name: str) -> None:
    async def case() -> None:
        with running(name, "--speed", "0") as venue:
            marks = market_marks(
                {each: Address(rest=venue.base, ws=venue.ws) for each in Venue}, clock=ProcessClock()
            )
            marks.hold(name, "ann", frozenset({SYMBOL}))
            following = asyncio.create_task(marks.run())
            at_ms = venue.now()

            def told(price: int) -> bool:
                """Time moves on, as marks are told with it."""
                nonlocal at_ms
                at_ms += 15_000
                venue.control("PUT", "clock", {"at": at_ms})
                mark = marks.latest(name, SYMBOL)
                return mark is not None and mark.price == price

            try:
                for price in (60_000, 61_500):
                    venue.set_price(SYMBOL, str(price))
                    await until(lambda: told(price), what=f"a mark of {price}")  # noqa: B023
                marks.hold(name, "ann", frozenset())
                await until(lambda: marks.latest(name, SYMBOL) is None, what="the end of it")
            finally:
                following.cancel()
                with suppress(asyncio.CancelledError):
                    await following

    asyncio.run(asyncio.wait_for(case(), 30))
