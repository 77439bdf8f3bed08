"""What a store keeps of a venue's news: fills once by trade id, positions and cash by the core's arithmetic."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from core.order import Leg, Order, OrderStatus
from core.position import FLAT, ZERO, Position, apply_fill, apply_funding
from core.protection import Protection, protection_of
from exchanges.base import Execution, FundingPaid, News, OrderReport, TrailMoved


class Books:
    def __init__(self, bankroll: Decimal) -> None:
        self.balance = bankroll
        self.positions: dict[str, Position] = {}
        self.executions: dict[tuple[str, str], Execution] = {}
        self.protections: dict[str, Protection] = {}
        self.leverages: dict[str, int] = {}
        self.sent: dict[str, Order] = {}
        self.resting: dict[str, None] = {}

    def told(self, news: News | OrderReport) -> None:
        if isinstance(news, OrderReport):
            self._book(news.executions)
            if news.status in (OrderStatus.SUBMITTED, OrderStatus.PARTIAL):
                self.resting[news.client_order_id] = None
        elif isinstance(news, Execution):
            self._book([news])
        elif isinstance(news, FundingPaid):
            applied = apply_funding(self.position(news.symbol), news.amount)
            self.balance += applied.realised
            self.positions[news.symbol] = applied.position
        elif isinstance(news, TrailMoved):
            before = self.protections[news.symbol]
            assert before.trailing is not None
            trailing = msgspec.structs.replace(before.trailing, best=news.best)
            self.protections[news.symbol] = msgspec.structs.replace(before, trailing=trailing)
        else:
            self.resting.pop(news.client_order_id, None)

    def position(self, symbol: str) -> Position:
        return self.positions.get(symbol, FLAT)

    def filled(self, client_order_id: str) -> Decimal:
        own = [e.fill.quantity for e in self.executions.values() if e.client_order_id == client_order_id]
        return sum(own, ZERO)

    def _book(self, executions: Iterable[Execution]) -> None:
        for execution in executions:
            key = (execution.symbol, execution.trade_id)
            if key in self.executions:
                continue
            order = self.sent.get(execution.client_order_id or "")
            first = order is not None and self.filled(order.client_order_id) == 0
            self.executions[key] = execution
            before = self.position(execution.symbol)
            applied = apply_fill(before, execution.fill)
            self.balance += applied.realised
            self.positions[execution.symbol] = applied.position
            if order is not None and order.leg is Leg.ENTRY:
                opened = before.side is not applied.position.side
                self._protect(order, applied.position, first=first, opened=opened)

    def _protect(self, order: Order, position: Position, *, first: bool, opened: bool) -> None:
        if opened:
            self.leverages[order.symbol] = order.leverage
        if opened or first:
            self.protections[order.symbol] = protection_of(order, position.entry_price)
