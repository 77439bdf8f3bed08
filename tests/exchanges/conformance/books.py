"""What a store keeps of a venue's news: fills once by trade id, positions and cash by the core's arithmetic."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from core.order import Order
from core.position import FLAT, ZERO, Position, apply_fill, apply_funding
from exchanges.base import Execution, FundingPaid, News, OrderReport


class Books:
    def __init__(self, bankroll: Decimal) -> None:
        self.balance = bankroll
        self.positions: dict[str, Position] = {}
        self.executions: dict[tuple[str, str], Execution] = {}
        self.sent: dict[str, Order] = {}
        self.ended: set[str] = set()

    def told(self, news: News | OrderReport) -> None:
        if isinstance(news, OrderReport):
            self._book(news.executions)
            if news.status.value not in ("submitted", "partial"):
                self.ended.add(news.client_order_id)
        elif isinstance(news, Execution):
            self._book([news])
        elif isinstance(news, FundingPaid):
            applied = apply_funding(self.position(news.symbol), news.amount)
            self.balance += applied.realised
            self.positions[news.symbol] = applied.position
        else:
            self.ended.add(news.client_order_id)

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
            self.executions[key] = execution
            applied = apply_fill(self.position(execution.symbol), execution.fill)
            self.balance += applied.realised
            self.positions[execution.symbol] = applied.position
