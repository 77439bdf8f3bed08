"""What a venue's report of an order becomes on its way to the risk ledger."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from actors.bookings import Bookings
from core.ids import AccountId
from core.order import Acknowledged, Expired, Leg, OrderStatus
from exchanges.base import OrderReport
from tests.exchanges.bybit.account import order


class Heard:
    """A context of which only the messages matter."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def tell(self, name: str, message: Any) -> None:
        assert name == "risk_ledger"
        self.events.append(type(message.op.event))


@pytest.mark.parametrize(
    ("status", "filled", "events"),
    [
        (OrderStatus.FILLED, "0.1", [Acknowledged]),
        (OrderStatus.FILLED, "0.06", [Acknowledged, Expired]),
        (OrderStatus.PARTIAL, "0.06", [Acknowledged]),
        (OrderStatus.EXPIRED, "0.06", [Acknowledged, Expired]),
    ],
)
def test_an_order_the_venue_cut_to_what_there_was_to_reduce_has_ended(
    status: OrderStatus, filled: str, events: list[type]
) -> None:
    told, exit_ = Heard(), order(Leg.EXIT)
    report = OrderReport(
        client_order_id=exit_.client_order_id,
        venue_order_id="v",
        status=status,
        filled_quantity=Decimal(filled),
    )
    Bookings(told, AccountId(exit_.account_id)).report(exit_, report)  # type: ignore[arg-type]
    assert told.events == events
