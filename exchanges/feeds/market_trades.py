"""Trades of every venue's markets, by who looks at them: sums by second, spot and perpetual alike.

Its coroutines run on the event loop that `run` runs on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime

from core.market import Market
from core.trade_flow import FlowColumns
from exchanges.feeds.base import NoCandles
from exchanges.feeds.trade_streams import TradeStreams


class MarketTrades:
    def __init__(self, streams: Mapping[tuple[str, Market], TradeStreams]) -> None:
        """By venue and kind of market."""
        self._streams = streams

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            for streams in self._streams.values():
                group.create_task(streams.run())

    async def follow(self, venue: str, market: Market, symbol: str) -> None:
        """Once more: shared by all who follow it, until each has left. Raises TooManyMarkets or NoCandles."""
        self._of(venue, market).follow(symbol)

    async def leave(self, venue: str, market: Market, symbol: str) -> None:
        self._of(venue, market).leave(symbol)

    async def columns(
        self, venue: str, market: Market, symbol: str, start: datetime, end: datetime
    ) -> FlowColumns:
        """Seconds in [start, end), of the last day at most; what is not known whole is marked. Raises NoCandles."""
        found = self._of(venue, market).columns(symbol, start, end)
        if found is None:
            raise NoCandles(f"Nobody follows the trades of {symbol} ({venue} {market}).")
        return found

    def _of(self, venue: str, market: Market) -> TradeStreams:
        found = self._streams.get((venue, market))
        if found is None:
            known = ", ".join(f"{name} {kind}" for name, kind in self._streams)
            raise NoCandles(f"There are no trades of {venue} {market}; there are of {known}.")
        return found
