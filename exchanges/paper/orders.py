"""The paper venue's orders: what rests, what ended, what was executed. Bounded like a venue's own memory."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

import msgspec

from core.ids import ClientOrderId
from core.order import Order, OrderStatus
from core.position import ZERO
from core.run import margin_of
from core.timeframe import to_ms
from exchanges.base import Execution, OrderNews, OrderReport

KEPT_ORDERS = 500
"""Ended orders and executions remembered per account; a venue lists about as many."""

MAX_RESTING = 200
"""Open orders per symbol."""


class Resting:
    """A limit order in the book. It may fill from the first candle that opens at or after `from_ms`."""

    __slots__ = ("from_ms", "order", "report")

    def __init__(self, order: Order, from_ms: int, filled: Decimal = ZERO) -> None:
        self.order = order
        self.from_ms = from_ms
        self.report = OrderReport(
            client_order_id=order.client_order_id,
            venue_order_id=venue_order_id(order),
            status=OrderStatus.PARTIAL if filled else OrderStatus.SUBMITTED,
            filled_quantity=filled,
        )

    def arrives_in(self, open_ms: int) -> bool:
        """Whether that candle is the one its slot opened: what crosses there never rested."""
        return open_ms == to_ms(self.order.slot)

    @property
    def left(self) -> Decimal:
        return self.order.quantity - self.report.filled_quantity

    @property
    def margin(self) -> Decimal:
        """Margin set aside while it rests; a reduce-only order frees margin instead."""
        if self.order.reduce_only or self.order.price is None:
            return ZERO
        return margin_of(self.left * self.order.price, self.order.leverage)


class PaperOrders:
    """Reports by client order id, resting orders by symbol, the latest executions."""

    def __init__(self) -> None:
        self._ended: OrderedDict[ClientOrderId, tuple[str, OrderReport]] = OrderedDict()
        self._resting: dict[str, dict[ClientOrderId, Resting]] = {}
        self._executions: deque[Execution] = deque(maxlen=KEPT_ORDERS)

    def report(self, symbol: str, client_order_id: ClientOrderId) -> OrderReport | None:
        resting = self._resting.get(symbol, {}).get(client_order_id)
        if resting is not None:
            return resting.report
        found = self._ended.get(client_order_id)
        return found[1] if found is not None and found[0] == symbol else None

    def resting(self, symbol: str) -> list[Resting]:
        book = self._resting.get(symbol)
        return list(book.values()) if book else []

    def resting_symbols(self) -> set[str]:
        return set(self._resting)

    def executions(self, symbol: str, since: datetime) -> list[Execution]:
        held = [e for e in self._executions if e.symbol == symbol and e.fill.executed_at >= since]
        return sorted(held, key=_executed_at)

    def reserved_margin(self) -> Decimal:
        return sum((r.margin for book in self._resting.values() for r in book.values()), ZERO)

    def rest(self, resting: Resting) -> None:
        self._resting.setdefault(resting.order.symbol, {})[resting.order.client_order_id] = resting

    def executed(self, executions: Iterable[Execution]) -> None:
        self._executions.extend(executions)

    def filled(self, resting: Resting, execution: Execution) -> OrderNews | None:
        """Books a fill of a resting order; news once nothing of it is left."""
        self._executions.append(execution)
        report = resting.report
        filled = report.filled_quantity + execution.fill.quantity
        resting.report = msgspec.structs.replace(
            report,
            filled_quantity=filled,
            executions=(*report.executions, execution),
            status=OrderStatus.PARTIAL,
        )
        return self.end(resting, OrderStatus.FILLED, None) if filled == resting.order.quantity else None

    def end(self, resting: Resting, status: OrderStatus, reason: str | None) -> OrderNews:
        book = self._resting[resting.order.symbol]
        del book[resting.order.client_order_id]
        if not book:
            del self._resting[resting.order.symbol]
        resting.report = msgspec.structs.replace(resting.report, status=status, reason=reason)
        self.ended(resting.order, resting.report)
        return OrderNews(
            symbol=resting.order.symbol,
            client_order_id=resting.order.client_order_id,
            venue_order_id=resting.report.venue_order_id,
            status=status,
            reason=reason,
        )

    def ended(self, order: Order, report: OrderReport) -> None:
        self._ended[order.client_order_id] = (order.symbol, report)
        if len(self._ended) > KEPT_ORDERS:
            self._ended.popitem(last=False)


def venue_order_id(order: Order) -> str:
    return f"paper-{order.client_order_id}"


def _executed_at(execution: Execution) -> datetime:
    return execution.fill.executed_at
