"""Binance's public candles over REST, USDⓈ-M and spot: no key, reads only.

Source: Binance USDⓈ-M Futures API, "Kline/Candlestick Data" and "Check Server Time"; Spot API, the same.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import ClassVar, Final

import httpx
import msgspec

from core.candles import CandleColumns
from core.timeframe import Timeframe, from_ms
from exchanges.binance.public import KlineRow, kline_columns, klines_weight
from exchanges.binance.wire import ServerTime
from exchanges.feeds.public_candles import PublicCandles
from exchanges.feeds.public_rest import MAX_RETRIES, FeedError, Sleep, Unusable
from exchanges.feeds.public_turn import PublicTurn

BASE_URL: Final = "https://fapi.binance.com"
PAGE: Final = 1500
SPOT_WEIGHT: Final = 2


class BinancePublic(PublicCandles):
    """Closed candles of Binance perpetuals. One instance per process; `aclose` it."""

    venue: ClassVar[str] = "binance"
    origin: ClassVar[str] = "Binance public candles"
    name: ClassVar[str] = "Binance"
    page: ClassVar[int] = PAGE
    path: ClassVar[str] = "/fapi/v1"

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
        body = await self._get(f"{self.path}/time", {}, retries=retries)
        try:
            return from_ms(msgspec.json.decode(body, type=ServerTime).server_time)
        except msgspec.MsgspecError as error:
            raise FeedError(f"Binance answered its time in a form that cannot be read: {error}.") from error

    async def _range(
        self, symbol: str, timeframe: Timeframe, start_ms: int, last_ms: int, count: int
    ) -> CandleColumns:
        bounds = {"startTime": str(start_ms), "endTime": str(last_ms)}
        return await self._klines(symbol, timeframe, bounds, count, retries=MAX_RETRIES)

    async def _newest(self, symbol: str, timeframe: Timeframe, count: int) -> CandleColumns:
        return await self._klines(symbol, timeframe, {}, count, retries=0)

    def _next_ms(self, part: CandleColumns, timeframe: Timeframe, start_ms: int) -> int | None:
        """From a time before the listing on, the venue answers what there is first."""
        return int(part.open_time[-1]) + timeframe.ms if len(part) else None

    def _weight(self, count: int) -> int:
        return klines_weight(count)

    async def _klines(
        self, symbol: str, timeframe: Timeframe, bounds: dict[str, str], count: int, *, retries: int
    ) -> CandleColumns:
        query = {"symbol": symbol, "interval": timeframe.value} | bounds | {"limit": str(count)}
        body = await self._get(f"{self.path}/klines", query, retries=retries, weight=self._weight(count))
        try:
            return kline_columns(msgspec.json.decode(body, type=list[KlineRow]))
        except (msgspec.MsgspecError, ValueError) as error:
            raise Unusable(str(error)) from error


class BinanceSpot(BinancePublic):
    """Closed candles of Binance spot; the same rows, takers among them."""

    origin: ClassVar[str] = "Binance public spot candles"
    name: ClassVar[str] = "Binance spot"
    page: ClassVar[int] = 1000
    path: ClassVar[str] = "/api/v3"

    def _weight(self, count: int) -> int:
        return SPOT_WEIGHT
