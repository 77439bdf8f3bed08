"""An order under any sequence of news, repeats and late ones included (I3, I4)."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from core.errors import ImpossibleVenueData
from core.order import LEGAL, TERMINAL, Executed, OrderEvent, OrderStatus, transition
from tests.strategies import order, order_events


class OrderLife(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.order = order()
        self.executed = Decimal(0)
        self.value = Decimal(0)
        self.ended: OrderStatus | None = None

    @rule(event=order_events)
    def hear(self, event: OrderEvent) -> None:
        before = self.order
        try:
            change = transition(before, event)
        except ImpossibleVenueData:
            assert isinstance(event, Executed)
            assert self.executed + event.quantity > before.quantity
            return
        if isinstance(event, Executed):
            self.executed += event.quantity
            self.value += event.quantity * event.price
        else:
            again = transition(change.order, event)
            assert (again.changed, again.order) == (False, change.order)
        if change.order.status is not before.status:
            assert change.order.status in LEGAL[before.status]
        assert change.changed is (change.order != before)
        if change.contradiction is not None:
            assert change.order == before
        self.order = change.order

    @rule(event=st.shared(order_events))
    def hear_something_said_before(self, event: OrderEvent) -> None:
        if not isinstance(event, Executed):
            self.hear(event)

    @invariant()
    def terminal_never_reverts(self) -> None:
        if self.ended is not None:
            assert self.order.status is self.ended
        elif self.order.status in TERMINAL:
            self.ended = self.order.status

    @invariant()
    def what_filled_is_what_was_executed(self) -> None:
        assert (self.order.filled_quantity, self.order.filled_value) == (self.executed, self.value)
        assert self.order.filled_quantity <= self.order.quantity
        if self.order.status is OrderStatus.FILLED:
            assert self.order.filled_quantity == self.order.quantity
        if self.order.status in (OrderStatus.INTENT, OrderStatus.SUBMITTED):
            assert self.order.filled_quantity == 0


OrderLife.TestCase.settings = settings(max_examples=150, stateful_step_count=25, deadline=None)
TestOrderLife = OrderLife.TestCase
