"""Bybit's public candles of USDT perpetuals over REST: no key, reads only.

Source: Bybit v5 API documentation, "Get Kline" and "Get Bybit Server Time".
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import ClassVar, Final

import httpx
import msgspec

from core.candles import CandleColumns
from core.timeframe import Timeframe, from_ms
from exchanges.bybit.public import MAX_KLINES, candle_columns, klines, server_time
from exchanges.bybit.wire import ServerTime, Unreadable, read
from exchanges.feeds.bybit_rest import BybitRest
from exchanges.feeds.public_candles import PublicCandles
from exchanges.feeds.public_rest import MAX_RETRIES, FeedError, Sleep, Unusable
from exchanges.feeds.public_turn import PublicTurn
from exchanges.wire import Request

BASE_URL: Final = "https://api.bybit.com"

_TIME: Final = msgspec.json.Decoder(ServerTime)


class BybitPublic(BybitRest, PublicCandles):
    """Closed candles of Bybit perpetuals. One instance per process; `aclose` it."""

    venue: ClassVar[str] = "bybit"
    origin: ClassVar[str] = "Bybit public candles"
    page: ClassVar[int] = MAX_KLINES

    def __init__(
        self,
        base_url: str = BASE_URL,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Sleep = asyncio.sleep,
        turn: PublicTurn | None = None,
    ) -> None:
        super().__init__(base_url, transport=transport, sleep=sleep, turn=turn)

    async def _server_time(self, *, retries: int) -> datetime:
        result = await self._result(server_time(), retries=retries)
        try:
            return from_ms(read(result, _TIME).time_ms)
        except Unreadable as error:
            raise FeedError(f"Bybit answered its time in a form that cannot be read: {error}") from error

    async def _range(
        self, symbol: str, timeframe: Timeframe, start_ms: int, last_ms: int, count: int
    ) -> CandleColumns:
        """The venue answers the newest first: the page ends where the oldest `count` do."""
        end_ms = min(last_ms, start_ms + (count - 1) * timeframe.ms)
        asked = klines(symbol=symbol, timeframe=timeframe, start_ms=start_ms, end_ms=end_ms, limit=count)
        return await self._columns(asked, retries=MAX_RETRIES)

    async def _newest(self, symbol: str, timeframe: Timeframe, count: int) -> CandleColumns:
        return await self._columns(klines(symbol=symbol, timeframe=timeframe, limit=count), retries=0)

    def _next_ms(self, part: CandleColumns, timeframe: Timeframe, start_ms: int) -> int | None:
        """Pages are spans of time: one before the listing is empty, and others may come after it."""
        return start_ms + self.page * timeframe.ms

    async def _columns(self, request: Request, *, retries: int) -> CandleColumns:
        result = await self._result(request, retries=retries)
        try:
            return candle_columns(result)
        except Unreadable as error:
            raise Unusable(str(error)) from error
