"""What a run has the risk ledger commit about its own orders. Part of a StrategyRun."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from actors.live.known import VenueKnowledge
from actors.messages import Record
from actors.runtime.behaviour import Context
from core.errors import Reason
from core.order import NotPlaced, Order, releases
from schema.ops import EndLeg, ObserveOrder, ProposeIntent


class OwnOrders:
    """An order names its user also where the run's row has not been read yet."""

    __slots__ = ("_ctx", "_knowledge")

    def __init__(self, ctx: Context, knowledge: VenueKnowledge) -> None:
        self._ctx = ctx
        self._knowledge = knowledge

    def propose(self, order: Order, deadline: datetime, why: Mapping[str, Any]) -> None:
        ahead = self._knowledge.ahead(order.account_id)
        propose = ProposeIntent(order=order, deadline=deadline, why=why, venue_ahead=ahead)
        self._record(order, propose)

    def give_up(self, order: Order) -> None:
        """No further attempt at its leg: what it reserved is given back."""
        self._record(order, EndLeg(client_order_id=order.client_order_id))

    def end_leg_of(self, order: Order) -> None:
        """No tick is left to try again: what the order reserved for nothing is given back."""
        if releases(order):
            self.give_up(order)

    def withdraw(self, order: Order) -> None:
        """The tick that proposed it is over; nobody will send it."""
        op = ObserveOrder(client_order_id=order.client_order_id, event=NotPlaced("abandoned"))
        self._record(order, op)

    def unsent(self, order: Order) -> None:
        """The gateway did not take it, so nothing was sent; another attempt may follow."""
        event = NotPlaced(Reason.QUEUE_FULL)
        op = ObserveOrder(client_order_id=order.client_order_id, event=event, no_further_attempt=False)
        self._record(order, op)

    def _record(self, order: Order, op: ProposeIntent | EndLeg | ObserveOrder) -> None:
        record = Record(user_id=order.user_id, op=op, reply_to=self._ctx.name)
        self._ctx.ref("risk_ledger").tell(record)
