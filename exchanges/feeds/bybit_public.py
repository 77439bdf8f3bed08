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
from exchanges.bybit.codes import verdict
from exchanges.bybit.public import MAX_KLINES, candle_columns, klines, server_time
from exchanges.bybit.wire import Envelope, ServerTime, Unreadable, read
from exchanges.error_class import ErrorClass
from exchanges.feeds.public_candles import MAX_RETRIES, FeedError, PublicCandles, Sleep, Unusable
from exchanges.wire import Request

BASE_URL: Final = "https://api.bybit.com"

_ENVELOPE: Final = msgspec.json.Decoder(Envelope)
_TIME: Final = msgspec.json.Decoder(ServerTime)
_AGAIN: Final = frozenset({ErrorClass.RATE_LIMIT, ErrorClass.RETRY_BACKOFF, ErrorClass.UNKNOWN_STATUS})


class BybitPublic(PublicCandles):
    """Closed candles of Bybit perpetuals. One instance per process; `aclose` it."""

    venue: ClassVar[str] = "bybit"
    origin: ClassVar[str] = "Bybit public candles"
    name: ClassVar[str] = "Bybit"
    page: ClassVar[int] = MAX_KLINES

    def __init__(
        self,
        base_url: str = BASE_URL,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        super().__init__(base_url, transport=transport, sleep=sleep)

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

    def _refused(self, body: bytes) -> tuple[str, bool] | None:
        try:
            envelope = read(body, _ENVELOPE)
            found = verdict(httpx.codes.OK, int(envelope.ret_code), envelope.ret_msg or "")
        except (Unreadable, ValueError):
            return None  # said by whoever reads the result
        if found is None:
            return None
        said = " ".join(found.text.split())[:200] or "no reason given"
        return f"{found.code}: {said}", found.class_ in _AGAIN

    async def _columns(self, request: Request, *, retries: int) -> CandleColumns:
        result = await self._result(request, retries=retries)
        try:
            return candle_columns(result)
        except Unreadable as error:
            raise Unusable(str(error)) from error

    async def _result(self, request: Request, *, retries: int) -> msgspec.Raw:
        body = await self._get(request.path, request.query, retries=retries)
        try:
            return read(body, _ENVELOPE).result
        except Unreadable as error:
            raise FeedError(f"Bybit answered {request.path} with what cannot be read: {error}") from error
