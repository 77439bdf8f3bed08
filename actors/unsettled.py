"""Orders a run's actor found open when it read its row: until their fate is known nothing is entered (invariants §3).

Part of a StrategyRun, in its turns.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from actors.messages import ReadAgain, ReconcileRun
from actors.run_tick import ReconcileDue
from actors.runtime.behaviour import Context
from core.ids import ClientOrderId
from core.order import Order
from core.run import Run

RECONCILE_S = 10.0
"""How often orders whose fate is open are asked about again."""


class Unsettled:
    __slots__ = ("_ctx", "_orders")

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._orders: dict[ClientOrderId, Order] = {}

    def __bool__(self) -> bool:
        return bool(self._orders)

    def found(self, orders: Iterable[Order]) -> None:
        self._orders = {order.client_order_id: order for order in orders}

    def settled(self, order: Order) -> None:
        self._orders.pop(order.client_order_id, None)

    def reconcile(self, run: Run, since: datetime | None) -> None:
        """Have the connection settle what is open; it also follows a position opened `since` from then on."""
        orders = tuple(self._orders.values())
        self._ctx.ref("gateway").tell(ReconcileRun(run=run, orders=orders, since=since))
        if orders:
            self._ctx.after(RECONCILE_S, ReconcileDue())

    def read_account_again(self, run: Run) -> None:
        """Another process has traded for this run: the account's actor here has not heard of it either."""
        if run.account_id is not None:
            self._ctx.ref("gateway").tell(ReadAgain(account_id=run.account_id))
