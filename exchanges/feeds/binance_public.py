"""Binance's public USDⓈ-M candles over REST: no key, reads only.

Source: Binance USDⓈ-M Futures API, "Kline/Candlestick Data" and "Check Server Time".
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

import httpx
import msgspec

from core.candles import Candle, CandleColumns, aggregate, check, empty
from core.errors import ImpossibleVenueData, RunnerError
from core.market import Market, Series
from core.timeframe import Timeframe, from_ms, to_ms
from exchanges.binance.public import KlineRow, kline_columns
from exchanges.binance.wire import ServerTime
from exchanges.feeds.base import ColumnSource

BASE_URL: Final = "https://fapi.binance.com"
ORIGIN: Final = "Binance public candles"
PAGE: Final = 1500
MAX_PAGES: Final = 1000
MAX_RETRIES: Final = 2
RETRY_PAUSE_S: Final = 0.5
MAX_RETRY_AFTER_S: Final = 10.0
OPENING_POLL_S: Final = 0.5
CONNECT_TIMEOUT_S: Final = 3.0
READ_TIMEOUT_S: Final = 10.0
# The venue has no 10m candles; every other timeframe of ours is its own.
_BUILT_FROM: Final = {Timeframe.M10: Timeframe.M5}
_RETRIED: Final = frozenset({408, 429, 500, 502, 503, 504})

Sleep = Callable[[float], Awaitable[None]]


class FeedError(RunnerError):
    """The venue's public data could not be had; a market-data failure, never counted against a run."""


class BinancePublic:
    """Closed candles of Binance perpetuals. One instance per process; `aclose` it."""

    venue: Final = "binance"
    origin: Final = ORIGIN

    def __init__(
        self,
        base_url: str = BASE_URL,
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
                await self._get("/fapi/v1/time", {}, retries=0)
        except (TimeoutError, FeedError):
            return False
        return True

    async def server_time(self) -> datetime:
        body = await self._get("/fapi/v1/time", {}, retries=MAX_RETRIES)
        try:
            return from_ms(msgspec.json.decode(body, type=ServerTime).server_time)
        except msgspec.MsgspecError as error:
            raise FeedError(f"Binance answered its time in a form that cannot be read: {error}.") from error

    async def candles(
        self, symbol: str, timeframe: Timeframe, start: datetime, end: datetime
    ) -> CandleColumns:
        """Closed candles that open at or after `start` and close at or before `end`.

        What is closed goes by the venue's clock. Raises FeedError, also for candles that cannot be.
        """
        base = _BUILT_FROM.get(timeframe, timeframe)
        now_ms = to_ms(await self.server_time())
        last_open_ms = min(to_ms(end), now_ms) - base.ms
        parts: list[CandleColumns] = []
        next_ms = to_ms(timeframe.floor(start)) if timeframe is not base else to_ms(start)
        for _ in range(MAX_PAGES):
            if next_ms > last_open_ms:
                break
            page = await self._page(symbol, base, next_ms, last_open_ms)
            if not len(page):
                break
            parts.append(page)
            next_ms = int(page.open_time[-1]) + base.ms
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
            query = {"symbol": symbol, "interval": timeframe.value, "limit": "2"}
            body = await self._get("/fapi/v1/klines", query, retries=0)
            try:
                columns = kline_columns(msgspec.json.decode(body, type=list[KlineRow]))
                check(columns, timeframe)
            except ImpossibleVenueData as error:
                raise FeedError(f"Binance answered {symbol} candles that cannot be: {error}") from error
            except (msgspec.MsgspecError, ValueError) as error:
                raise FeedError(f"Binance answered {symbol} candles that cannot be read: {error}") from error
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

    async def _page(
        self, symbol: str, timeframe: Timeframe, start_ms: int, last_open_ms: int
    ) -> CandleColumns:
        count = min(PAGE, (last_open_ms - start_ms) // timeframe.ms + 1)
        query = {
            "symbol": symbol,
            "interval": timeframe.value,
            "startTime": str(start_ms),
            "endTime": str(last_open_ms),
            "limit": str(count),
        }
        body = await self._get("/fapi/v1/klines", query, retries=MAX_RETRIES)
        try:
            columns = kline_columns(msgspec.json.decode(body, type=list[KlineRow]))
            # The newest row is normally still open; only what had closed by the venue's clock is handed on.
            closed = columns.between(start_ms, last_open_ms + 1)
            check(closed, timeframe)
        except (msgspec.MsgspecError, ValueError, ImpossibleVenueData) as error:
            raise FeedError(
                f"Binance answered {symbol} {timeframe} candles that cannot be: {error}"
            ) from error
        return closed

    async def _get(self, path: str, query: dict[str, str], *, retries: int) -> bytes:
        """The body of a 200; reads are repeated at most `retries` times after what a repetition may cure."""
        problem = ""
        for attempt in range(retries + 1):
            pause_s = RETRY_PAUSE_S * 2**attempt
            try:
                response = await self._client.get(path, params=query)
            except httpx.HTTPError as error:
                problem = f"Binance could not be reached ({type(error).__name__})."
            else:
                if response.status_code == httpx.codes.OK:
                    return response.content
                problem = f"Binance refused {path} with {response.status_code}: {_reason(response)}."
                if response.status_code not in _RETRIED:
                    break
                pause_s = max(pause_s, _retry_after_s(response))
            if attempt < retries:
                await self._sleep(min(pause_s, MAX_RETRY_AFTER_S))
        raise FeedError(problem)


def _reason(response: httpx.Response) -> str:
    """The venue's own words, shortened; they carry no secret, as nothing secret was sent."""
    return " ".join(response.text.split())[:200] or "no reason given"


def _retry_after_s(response: httpx.Response) -> float:
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isdigit() else 0.0
