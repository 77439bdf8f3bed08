"""Trades of the venues' markets over REST: what streams have not told."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Final

import httpx
import msgspec

from core.errors import ImpossibleVenueData
from core.market import Market
from core.public_trade import PublicTrade
from exchanges.binance import public as binance
from exchanges.binance.wire import Unreadable as BinanceUnreadable
from exchanges.bybit import public as bybit
from exchanges.bybit.requests import CATEGORY
from exchanges.bybit.wire import Page, RecentTrade, Unreadable, read
from exchanges.feeds.bybit_rest import BybitRest
from exchanges.feeds.public_rest import MAX_RETRIES, FeedError, PublicRest, Sleep, Unusable
from exchanges.feeds.public_turn import PublicTurn

BINANCE_PAGE: Final = 1_000
BYBIT_PAGES: Final = {Market.PERP: 1_000, Market.SPOT: 60}
_RECENT: Final = msgspec.json.Decoder(Page[RecentTrade])


class TradeRest(PublicRest, ABC):
    """Of one venue and kind of market."""

    def __init__(
        self,
        base_url: str,
        market: Market,
        *,
        sleep: Sleep,
        transport: httpx.AsyncBaseTransport | None = None,
        turn: PublicTurn | None = None,
    ) -> None:
        super().__init__(base_url, transport=transport, sleep=sleep, turn=turn)
        self._market = market

    async def after(self, symbol: str, last: PublicTrade | None) -> list[PublicTrade]:
        """A page of trades, oldest first: from `last` on where the venue can, else the newest, with and before it.

        Raises FeedError.
        """
        try:
            return await self._page(symbol, last)
        except (Unusable, ImpossibleVenueData) as error:
            raise FeedError(f"{self.name} answered trades of {symbol} that cannot be: {error}") from error

    @abstractmethod
    async def _page(self, symbol: str, last: PublicTrade | None) -> list[PublicTrade]: ...


class BinanceTradeRest(TradeRest):
    name: ClassVar[str] = "Binance"

    async def _page(self, symbol: str, last: PublicTrade | None) -> list[PublicTrade]:
        call = binance.get_agg_trades(
            symbol,
            from_id=None if last is None else last.number + 1,
            limit=BINANCE_PAGE,
            is_spot=self._market is Market.SPOT,
        )
        body = await self._get(call.path, dict(call.params), retries=MAX_RETRIES, weight=call.cost.weight)
        try:
            return binance.trades(body, symbol)
        except BinanceUnreadable as error:
            raise Unusable(str(error)) from error


class BybitTradeRest(BybitRest, TradeRest):
    async def _page(self, symbol: str, last: PublicTrade | None) -> list[PublicTrade]:
        request = bybit.recent_trades(
            symbol=symbol,
            limit=BYBIT_PAGES[self._market],
            category="spot" if self._market is Market.SPOT else CATEGORY,
        )
        result = await self._result(request, retries=MAX_RETRIES)
        try:
            return [bybit.recent_trade(row) for row in reversed(read(result, _RECENT).rows)]
        except Unreadable as error:
            raise Unusable(str(error)) from error
