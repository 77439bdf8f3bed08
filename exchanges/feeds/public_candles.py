"""A venue's public candles over REST: pages, and the opening of a slot."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from datetime import datetime
from typing import ClassVar, Final

import msgspec

from core.candles import Candle, CandleColumns, aggregate, check, empty
from core.errors import ImpossibleVenueData
from core.market import Market, Series
from core.timeframe import Timeframe, to_ms
from exchanges.feeds.base import ColumnSource
from exchanges.feeds.public_rest import MAX_RETRIES, FeedError, PublicRest, Unusable

MAX_PAGES: Final = 1000
OPENING_POLL_S: Final = 0.5
# Neither venue has 10m candles; every other timeframe of ours is its own.
_BUILT_FROM: Final = {Timeframe.M10: Timeframe.M5}


def base_of(timeframe: Timeframe) -> Timeframe:
    """The timeframe whose candles the venues have: itself, or what it is built from."""
    return _BUILT_FROM.get(timeframe, timeframe)


class PublicCandles(PublicRest, ABC):
    """Closed candles of one venue's perpetuals. One instance per process; `aclose` it."""

    venue: ClassVar[str]
    origin: ClassVar[str]
    page: ClassVar[int]
    """Candles of one answer at most."""

    async def reachable(self, timeout_s: float) -> bool:
        """Whether the venue answers with its time within `timeout_s`; never raises for a network failure."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._server_time(retries=0)
        except (TimeoutError, FeedError):
            return False
        return True

    async def server_time(self) -> datetime:
        return await self._server_time(retries=MAX_RETRIES)

    async def candles(
        self, symbol: str, timeframe: Timeframe, start: datetime, end: datetime
    ) -> CandleColumns:
        """Closed candles that open at or after `start` and close at or before `end`.

        What is closed goes by the venue's clock. Raises FeedError, also for candles that cannot be.
        """
        base = base_of(timeframe)
        now_ms = to_ms(await self.server_time())
        last_open_ms = min(to_ms(end), now_ms) - base.ms
        parts: list[CandleColumns] = []
        # On the grid, or what opens between the last row of one page and the first of the next is missed.
        next_ms: int | None = to_ms(timeframe.floor(start))
        for _ in range(MAX_PAGES):
            if next_ms is None or next_ms > last_open_ms:
                break
            part = await self._part(symbol, base, next_ms, last_open_ms)
            next_ms = self._next_ms(part, base, next_ms)
            parts.append(part)
        else:
            raise FeedError(
                f"{symbol} {timeframe} from {start:%Y-%m-%d} needs more than {MAX_PAGES} requests."
            )
        columns = CandleColumns.joined(parts) if parts else empty()
        return aggregate(columns, base, timeframe).between(to_ms(start), to_ms(end) - timeframe.ms + 1)

    async def opening(
        self, symbol: str, timeframe: Timeframe, at: datetime, timeout_s: float
    ) -> Candle | None:
        """The newest candle once it opens at or after `at`, still open, with the volume of the one before it.

        Asked for every `OPENING_POLL_S` until it is there; None when it is not within `timeout_s`.
        """
        for _ in range(max(1, int(timeout_s / OPENING_POLL_S))):
            found = await self.forming(symbol, timeframe)
            if found is not None and found.open_time_ms >= to_ms(at):
                return found
            await self._sleep(OPENING_POLL_S)
        return None

    async def forming(self, symbol: str, timeframe: Timeframe) -> Candle | None:
        """The newest candle, still open, with the volume of the one before it; None: there is none."""
        base = base_of(timeframe)
        try:
            columns = await self._newest(symbol, base, 2)
            check(columns, base)
        except ImpossibleVenueData as error:
            raise FeedError(f"{self.name} answered {symbol} candles that cannot be: {error}") from error
        except Unusable as error:
            raise FeedError(f"{self.name} answered {symbol} candles that cannot be read: {error}") from error
        if not len(columns):
            return None
        newest = columns.candle(len(columns) - 1)
        return msgspec.structs.replace(newest, volume=float(columns.volume[0]))

    async def source(
        self, symbols: tuple[str, ...], timeframe: Timeframe, start: datetime, end: datetime
    ) -> ColumnSource:
        """A fetched range as a candle source, one symbol after the other to spare the request weight."""
        series = {}
        for symbol in symbols:
            key = Series(venue=self.venue, market=Market.PERP, symbol=symbol, timeframe=timeframe)
            series[key] = await self.candles(symbol, timeframe, start, end)
        return ColumnSource(origin=self.origin, venue=self.venue, series=series)

    @abstractmethod
    async def _server_time(self, *, retries: int) -> datetime: ...

    @abstractmethod
    async def _range(
        self, symbol: str, timeframe: Timeframe, start_ms: int, last_ms: int, count: int
    ) -> CandleColumns:
        """The oldest `count` of the candles that open in [start, last], ascending. Raises Unusable."""

    @abstractmethod
    async def _newest(self, symbol: str, timeframe: Timeframe, count: int) -> CandleColumns:
        """The newest candles, ascending, the last one still open; asked for once. Raises Unusable."""

    @abstractmethod
    def _next_ms(self, part: CandleColumns, timeframe: Timeframe, start_ms: int) -> int | None:
        """Where the next page begins, after the one from `start_ms`; None: nothing comes any more."""

    async def _part(
        self, symbol: str, timeframe: Timeframe, start_ms: int, last_open_ms: int
    ) -> CandleColumns:
        count = min(self.page, (last_open_ms - start_ms) // timeframe.ms + 1)
        try:
            columns = await self._range(symbol, timeframe, start_ms, last_open_ms, count)
            # The newest row is normally still open; only what had closed by the venue's clock is handed on.
            closed = columns.between(start_ms, last_open_ms + 1)
            check(closed, timeframe)
        except (Unusable, ImpossibleVenueData) as error:
            raise FeedError(
                f"{self.name} answered {symbol} {timeframe} candles that cannot be: {error}"
            ) from error
        return closed
