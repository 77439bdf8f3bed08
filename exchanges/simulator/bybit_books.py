"""What the Bybit face remembers beside the engine: executions as they were told, closed PnL, conditional orders.

The engine keeps trades without what was left of their orders, and funding without the position it was paid for;
both are told by this venue, so the rows are made when they happen.
"""

from __future__ import annotations

from collections import defaultdict, deque
from decimal import Decimal
from typing import Any

import msgspec

from exchanges.simulator.bybit_words import (
    CATEGORY,
    EXEC_TYPES,
    FUNDING,
    SIDE_WORDS,
    conditional_link,
    execution_row,
    funding_row,
    money,
    order_link,
    order_uid,
    text,
)
from exchanges.simulator.engine import Engine
from exchanges.simulator.model import (
    QUOTE,
    ZERO,
    AccountChanged,
    Conditional,
    ConditionalChanged,
    Event,
    Order,
    OrderChanged,
    OrderKind,
    PositionSide,
    Trade,
)

KEPT_MAX = 100_000


class Executed(msgspec.Struct, frozen=True, kw_only=True):
    """`serial` counts up; `created_s`: process time, for look-ups that lag; `cash`: the wallet after it."""

    serial: int
    order_uid: str
    link: str
    symbol: str
    exec_type: str
    at_ms: int
    created_s: float
    row: dict[str, Any]
    cash: Decimal


class Closed(msgspec.Struct, kw_only=True):
    """What one order closed, its fees and the opening ones' share taken off."""

    serial: int
    symbol: str
    order: Order
    exec_type: str
    uid: str
    leverage: int
    created_ms: int
    updated_ms: int
    quantity: Decimal = ZERO
    entry_value: Decimal = ZERO
    exit_value: Decimal = ZERO
    pnl: Decimal = ZERO
    fills: int = 0

    def row(self) -> dict[str, Any]:
        request = self.order.request
        return {
            "category": CATEGORY,
            "symbol": self.symbol,
            "orderId": self.uid,
            "side": SIDE_WORDS[request.side],
            "orderType": "Market" if request.kind is OrderKind.MARKET else "Limit",
            "execType": self.exec_type,
            "qty": text(self.order.quantity),
            "orderPrice": money(self.exit_value / self.quantity if request.price is None else request.price),
            "closedSize": text(self.quantity),
            "cumEntryValue": money(self.entry_value),
            "avgEntryPrice": money(self.entry_value / self.quantity),
            "cumExitValue": money(self.exit_value),
            "avgExitPrice": money(self.exit_value / self.quantity),
            "closedPnl": money(self.pnl),
            "fillCount": str(self.fills),
            "leverage": str(self.leverage),
            "createdTime": str(self.created_ms),
            "updatedTime": str(self.updated_ms),
        }


class Books:
    """Per account the newest `KEPT_MAX` executions and closes; of all together as many conditional orders."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._serial = 0
        self.conditionals: dict[int, Conditional] = {}
        self._links: dict[tuple[str, str], Conditional] = {}
        self.executions: dict[str, deque[Executed]] = defaultdict(deque)
        self._of_order: dict[tuple[str, str], list[Executed]] = defaultdict(list)
        self.closed: dict[str, dict[str, Closed]] = defaultdict(dict)
        self._open_fees: dict[tuple[str, str, PositionSide], Decimal] = defaultdict(lambda: ZERO)
        engine.listen(self._hear)

    def conditional_of(self, order: Order) -> Conditional | None:
        return None if order.conditional_id is None else self.conditionals.get(order.conditional_id)

    def conditional_by_link(self, account: str, link: str) -> Conditional | None:
        return self._links.get((account, link))

    def of_order(self, account: str, uid: str) -> list[Executed]:
        return self._of_order.get((account, uid), [])

    # -- events

    def _hear(self, event: Event) -> None:
        match event:
            case OrderChanged() if event.trade is not None:
                self._execution(event.trade, event.order)
            case AccountChanged() if event.cause == "funding":
                self._funding(event)
            case ConditionalChanged():
                self._keep(event.conditional)

    def _keep(self, conditional: Conditional) -> None:
        if conditional.conditional_id in self.conditionals:
            return
        self.conditionals[conditional.conditional_id] = conditional
        link = conditional_link(conditional)
        if link:
            self._links[conditional.account, link] = conditional
        if len(self.conditionals) > KEPT_MAX:
            oldest = self.conditionals.pop(next(iter(self.conditionals)))
            self._links.pop((oldest.account, conditional_link(oldest)), None)

    def _execution(self, trade: Trade, order: Order) -> None:
        conditional = self.conditional_of(order)
        uid = order_uid(order)
        self._append(
            trade.account,
            Executed(
                serial=self._next(),
                order_uid=uid,
                link=order_link(order, conditional),
                symbol=trade.symbol,
                exec_type=EXEC_TYPES.get(trade.origin, "Trade"),
                at_ms=trade.at_ms,
                created_s=trade.created_s,
                row=execution_row(trade, order, conditional, self._engine.marks[trade.symbol]),
                cash=self._engine.account(trade.account).wallet[QUOTE],
            ),
        )
        self._close(trade, order, uid)

    def _funding(self, event: AccountChanged) -> None:
        position = event.position
        if position is None:
            return
        serial = self._engine.account(event.account).income[-1].income_id
        rate = self._engine.market.funding_rate(position.symbol, event.at_ms)
        mark = self._engine.marks[position.symbol]
        row = funding_row(
            serial, position.symbol, position.quantity, mark, rate, event.change, event.at_ms
        )  # fmt: skip
        self._append(
            event.account,
            Executed(
                serial=self._next(),
                order_uid=row["orderId"],
                link="",
                symbol=position.symbol,
                exec_type=FUNDING,
                at_ms=event.at_ms,
                created_s=self._engine.clock.process_s(),
                row=row,
                cash=self._engine.account(event.account).wallet[QUOTE],
            ),
        )

    def _append(self, account: str, executed: Executed) -> None:
        kept = self.executions[account]
        kept.append(executed)
        self._of_order[account, executed.order_uid].append(executed)
        if len(kept) > KEPT_MAX:
            self._of_order.pop((account, kept.popleft().order_uid), None)

    def _close(self, trade: Trade, order: Order, uid: str) -> None:
        """Opening fees are kept per position until the part they opened is closed."""
        key = (trade.account, trade.symbol, trade.position_side)
        opened = trade.quantity - trade.closed
        if trade.closed:
            account = self._engine.account(trade.account)
            left = abs(account.position(trade.symbol, trade.position_side).quantity) if not opened else ZERO
            share = self._open_fees[key] * trade.closed / (left + trade.closed)
            self._open_fees[key] -= share
            closes = self.closed[trade.account]
            record = closes.get(uid)
            if record is None:
                record = closes[uid] = Closed(
                    serial=self._next(),
                    symbol=trade.symbol,
                    order=order,
                    exec_type=EXEC_TYPES.get(trade.origin, "Trade"),
                    uid=uid,
                    leverage=account.leverage_of(trade.symbol),
                    created_ms=trade.at_ms,
                    updated_ms=trade.at_ms,
                )
                if len(closes) > KEPT_MAX:
                    del closes[next(iter(closes))]
            value = trade.price * trade.closed
            record.quantity += trade.closed
            record.exit_value += value
            record.entry_value += value + trade.side.sign * trade.realised
            record.pnl += trade.realised - share - trade.fee * trade.closed / trade.quantity
            record.fills += 1
            record.updated_ms = trade.at_ms
        if opened:
            self._open_fees[key] += trade.fee * opened / trade.quantity

    def _next(self) -> int:
        self._serial += 1
        return self._serial
