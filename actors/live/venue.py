"""A live account as its Connection takes it: the adapter, and a symbol's settings made before its first entry."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from core.candles import Candle
from core.ids import ClientOrderId
from core.market import SymbolRules
from core.order import Leg, Order
from core.quiet import Quiet
from core.run import RunSettings
from core.timeframe import Timeframe
from exchanges.base import (
    Balance,
    Execution,
    FundingPaid,
    LiveExchange,
    MarginMode,
    OrderReport,
    PositionMode,
    VenuePosition,
)


class LiveVenue:
    """What a `Connection` asks of any venue, over a LiveExchange; candles are none of its business."""

    def __init__(self, exchange: LiveExchange) -> None:
        self.exchange = exchange
        self._configured: dict[str, tuple[int, str, str]] = {}

    def preparation(self, order: Order, settings: RunSettings) -> Coroutine[Any, Any, None] | None:
        """What has to be set at the venue before `order`; None: nothing, as nearly always."""
        wanted = (order.leverage, settings.margin_mode, settings.position_mode)
        if order.leg is not Leg.ENTRY or self._configured.get(order.symbol) == wanted:
            return None
        return self._configure(order.symbol, wanted)

    async def _configure(self, symbol: str, wanted: tuple[int, str, str]) -> None:
        leverage, margin_mode, position_mode = wanted
        self._configured.pop(symbol, None)
        await self.exchange.configure(
            symbol,
            leverage=leverage,
            margin_mode=MarginMode(margin_mode),
            position_mode=PositionMode(position_mode),
        )
        self._configured[symbol] = wanted

    def forget_settings(self) -> None:
        """They may have been changed at the venue by somebody else."""
        self._configured.clear()

    async def place(self, order: Order) -> OrderReport:
        return await self.exchange.place(order)

    async def cancel(self, symbol: str, client_order_id: ClientOrderId) -> OrderReport | None:
        return await self.exchange.cancel(symbol, client_order_id)

    async def find(self, symbol: str, client_order_id: ClientOrderId) -> OrderReport | None:
        return await self.exchange.find(symbol, client_order_id)

    async def open_orders(self, symbol: str) -> list[OrderReport]:
        return await self.exchange.open_orders(symbol)

    async def executions(self, symbol: str, since: datetime) -> list[Execution]:
        return await self.exchange.executions(symbol, since)

    async def positions(self) -> list[VenuePosition]:
        return await self.exchange.positions()

    async def balance(self) -> Balance:
        return await self.exchange.balance()

    async def configure(
        self, symbol: str, *, leverage: int, margin_mode: MarginMode, position_mode: PositionMode
    ) -> None:
        await self.exchange.configure(
            symbol, leverage=leverage, margin_mode=margin_mode, position_mode=position_mode
        )

    async def rules(self, symbol: str) -> SymbolRules:
        return await self.exchange.rules(symbol)

    def apply_candle(self, symbol: str, candle: Candle, timeframe: Timeframe) -> None:
        """The venue sees the market by itself."""

    def apply_funding(self, symbol: str, at: datetime, *, rate: Decimal, mark: Decimal) -> FundingPaid | None:
        return None

    def following(self) -> Mapping[str, Quiet | None]:
        return {}
