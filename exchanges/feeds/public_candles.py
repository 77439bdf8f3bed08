"""A venue's public candles over REST: pages, retries and the opening of a slot; no key, reads only."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import ClassVar, Final

import httpx
import msgspec

from core.candles import Candle, CandleColumns, aggregate, check, empty
from core.errors import ImpossibleVenueData, RunnerError
from core.market import Market, Series
from core.timeframe import Timeframe, to_ms
from exchanges.feeds.base import ColumnSource

MAX_PAGES: Final = 1000
MAX_RETRIES: Final = 2
RETRY_PAUSE_S: Final = 0.5
MAX_RETRY_AFTER_S: Final = 10.0
OPENING_POLL_S: Final = 0.5
CONNECT_TIMEOUT_S: Final = 3.0
READ_TIMEOUT_S: Final = 10.0
# Neither venue has 10m candles; every other timeframe of ours is its own.
_BUILT_FROM: Final = {Timeframe.M10: Timeframe.M5}
_RETRIED: Final = frozenset({408, 429, 500, 502, 503, 504})

Sleep = Callable[[float], Awaitable[None]]


def base_of(timeframe: Timeframe) -> Timeframe:
    """The timeframe whose candles the venues have: itself, or what it is built from."""
    return _BUILT_FROM.get(timeframe, timeframe)


class FeedError(RunnerError):
    """The venue's public data could not be had; a market-data failure, never counted against a run."""


class Unusable(Exception):
    """Rows that are not in the documented form; the words say what is wrong."""


class PublicCandles(ABC):
    """Closed candles of one venue's perpetuals. One instance per process; `aclose` it."""

    venue: ClassVar[str]
    origin: ClassVar[str]
    name: ClassVar[str]
    """The venue's, as sentences say it."""
    page: ClassVar[int]
    """Candles of one answer at most."""

    def __init__(
        self,
        base_url: str,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        timeout = httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
        limits = httpx.Limits(max_connections=8, max_keepalive_connections=8)
        self._client = httpx.AsyncClient(
            base_url=base_url, timeout=timeout, limits=limits, transport=transport, follow_redirects=False
        )
        self._sleep = sleep

    async def aclose(self) -> None:
        await self._client.aclose()

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
        base = base_of(timeframe)
        for _ in range(max(1, int(timeout_s / OPENING_POLL_S))):
            try:
                columns = await self._newest(symbol, base, 2)
                check(columns, base)
            except ImpossibleVenueData as error:
                raise FeedError(f"{self.name} answered {symbol} candles that cannot be: {error}") from error
            except Unusable as error:
                raise FeedError(
                    f"{self.name} answered {symbol} candles that cannot be read: {error}"
                ) from error
            if len(columns) and int(columns.open_time[-1]) >= to_ms(at):
                forming = columns.candle(len(columns) - 1)
                return msgspec.structs.replace(forming, volume=float(columns.volume[0]))
            await self._sleep(OPENING_POLL_S)
        return None

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

    def _refused(self, body: bytes) -> tuple[str, bool] | None:
        """Why an answer with status 200 is a refusal, where the venue does that, and whether to ask again."""
        return None

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

    async def _get(self, path: str, query: Mapping[str, str] | str, *, retries: int) -> bytes:
        """The body of a 200; reads are repeated at most `retries` times after what a repetition may cure."""
        problem = ""
        for attempt in range(retries + 1):
            pause_s = RETRY_PAUSE_S * 2**attempt
            try:
                response = await self._client.get(path, params=query)
            except httpx.HTTPError as error:
                problem = f"{self.name} could not be reached ({type(error).__name__})."
            else:
                refused = self._refusal(response)
                if refused is None:
                    return response.content
                problem, again = f"{self.name} refused {path} with {refused[0]}.", refused[1]
                if not again:
                    break
                pause_s = max(pause_s, _retry_after_s(response))
            if attempt < retries:
                await self._sleep(min(pause_s, MAX_RETRY_AFTER_S))
        raise FeedError(problem)

    def _refusal(self, response: httpx.Response) -> tuple[str, bool] | None:
        status = response.status_code
        if status == httpx.codes.OK:
            return self._refused(response.content)
        return f"{status}: {_reason(response)}", status in _RETRIED


def _reason(response: httpx.Response) -> str:
    """The venue's own words, shortened; they carry no secret, as nothing secret was sent."""
    return " ".join(response.text.split())[:200] or "no reason given"


def _retry_after_s(response: httpx.Response) -> float:
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isdigit() else 0.0
