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
from exchanges.wire import Leave

Wanted = tuple[int, str, str]
"""Leverage, margin mode, position mode."""


class LiveVenue:
    """What a `Connection` asks of any venue, over a LiveExchange; candles are none of its business."""

    def __init__(self, exchange: LiveExchange) -> None:
        self.exchange = exchange
        # One entry a symbol of the account.
        self._wanted: dict[str, Wanted] = {}
        self._configured: dict[str, Wanted] = {}

    def preparation(self, order: Order, settings: RunSettings) -> Coroutine[Any, Any, None] | None:
        """What has to be set at the venue before `order`; None: nothing, as nearly always."""
        wanted = (order.leverage, settings.margin_mode, settings.position_mode)
        symbol = order.symbol
        if order.leg is not Leg.ENTRY or self._configured.get(symbol) == wanted:
            return None
        self._configured.pop(symbol, None)
        self._wanted[symbol] = wanted
        return self.exchange.configure(
            symbol,
            leverage=order.leverage,
            margin_mode=MarginMode(settings.margin_mode),
            position_mode=PositionMode(settings.position_mode),
        )

    def prepared(self, symbol: str) -> None:
        """The venue has taken what was last wanted of it."""
        self._configured[symbol] = self._wanted[symbol]

    def forget_settings(self) -> None:
        """They may have been changed at the venue by somebody else."""
        self._configured.clear()

    def place(self, order: Order, leave: Leave) -> Coroutine[Any, Any, OrderReport]:
        return self.exchange.place(order, leave)

    def cancel(self, symbol: str, client_order_id: ClientOrderId) -> Coroutine[Any, Any, OrderReport | None]:
        return self.exchange.cancel(symbol, client_order_id)

    def find(self, symbol: str, client_order_id: ClientOrderId) -> Coroutine[Any, Any, OrderReport | None]:
        return self.exchange.find(symbol, client_order_id)

    def open_orders(self, symbol: str) -> Coroutine[Any, Any, list[OrderReport]]:
        return self.exchange.open_orders(symbol)

    def executions(self, symbol: str, since: datetime) -> Coroutine[Any, Any, list[Execution]]:
        return self.exchange.executions(symbol, since)

    def positions(self) -> Coroutine[Any, Any, list[VenuePosition]]:
        return self.exchange.positions()

    def balance(self) -> Coroutine[Any, Any, Balance]:
        return self.exchange.balance()

    def configure(
        self, symbol: str, *, leverage: int, margin_mode: MarginMode, position_mode: PositionMode
    ) -> Coroutine[Any, Any, None]:
        return self.exchange.configure(
            symbol, leverage=leverage, margin_mode=margin_mode, position_mode=position_mode
        )

    def rules(self, symbol: str) -> Coroutine[Any, Any, SymbolRules]:
        return self.exchange.rules(symbol)

    def apply_candle(self, symbol: str, candle: Candle, timeframe: Timeframe) -> None:
        """The venue sees the market by itself."""

    def apply_funding(self, symbol: str, at: datetime, *, rate: Decimal, mark: Decimal) -> FundingPaid | None:
        return None

    def following(self) -> Mapping[str, Quiet | None]:
        return {}
