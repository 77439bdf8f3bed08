"""What the venue says of itself agrees with what it told: positions, balance, protection, also after a restart."""

from __future__ import annotations

from decimal import Decimal

import pytest

from core.order import Leg, OrderKind, OrderStatus
from core.position import OrderSide
from tests.exchanges.conformance.venue import START, SYMBOL, Venue, order


def agrees(venue: Venue) -> None:
    """Positions and balance are exactly what the executions told so far add up to."""
    booked = venue.books.position(SYMBOL)
    held = venue.run(venue.exchange.positions())
    assert [(p.symbol, p.quantity) for p in held] == ([] if booked.is_flat else [(SYMBOL, booked.quantity)])
    for position in held:
        assert position.entry_price == booked.entry_price
    assert venue.run(venue.exchange.balance()).balance == venue.books.balance


def test_positions_and_balance_follow_from_the_executions(venue: Venue) -> None:
    agrees(venue)
    venue.place(order(venue, stop_loss=Decimal(900), leverage=2))
    agrees(venue)
    venue.trades(1000, 1050, 990, 1040)
    venue.opens(1040.0)
    venue.place(order(venue, leg=Leg.EXIT, side=OrderSide.SELL, quantity=Decimal("0.06")))
    agrees(venue)
    venue.trades(1040, 1040, 890, 900)
    agrees(venue)
    assert venue.books.position(SYMBOL).is_flat


def test_what_is_available_is_what_margin_leaves(venue: Venue) -> None:
    venue.place(order(venue, leverage=2))
    held = venue.run(venue.exchange.positions())[0]
    balance = venue.run(venue.exchange.balance())
    assert held.leverage == 2
    assert balance.available == balance.balance - held.quantity * held.entry_price / 2


@pytest.mark.parametrize(
    ("side", "stop", "target", "candle", "leg", "price"),
    [
        (OrderSide.BUY, 950, 1100, (1000, 1010, 940, 960), Leg.STOP_LOSS, 950),
        (OrderSide.BUY, 950, 1100, (1000, 1120, 990, 1050), Leg.TAKE_PROFIT, 1100),
        (OrderSide.BUY, 950, 1100, (1000, 1120, 940, 1000), Leg.STOP_LOSS, 950),
        (OrderSide.SELL, 1050, 900, (1000, 1060, 990, 1000), Leg.STOP_LOSS, 1050),
        (OrderSide.SELL, 1050, 900, (1000, 1010, 890, 900), Leg.TAKE_PROFIT, 900),
        (OrderSide.SELL, 1050, 900, (1000, 1060, 890, 1000), Leg.STOP_LOSS, 1050),
    ],
)
def test_protection_works_from_the_candle_the_position_opened_in(
    venue: Venue,
    side: OrderSide,
    stop: int,
    target: int,
    candle: tuple[float, float, float, float],
    leg: Leg,
    price: int,
) -> None:
    venue.place(order(venue, side=side, stop_loss=Decimal(stop), take_profit=Decimal(target)))
    held = venue.run(venue.exchange.positions())[0]
    assert (held.stop_loss, held.take_profit) == (Decimal(stop), Decimal(target))
    venue.trades(*candle)
    told = list(venue.books.executions.values())[-1]
    assert (told.venue_leg, told.client_order_id, told.fill.price) == (leg, None, Decimal(price))
    assert START <= told.fill.executed_at < venue.slot
    assert venue.run(venue.exchange.positions()) == []
    agrees(venue)


def test_untouched_protection_stands(venue: Venue) -> None:
    venue.place(order(venue, stop_loss=Decimal(950), take_profit=Decimal(1100)))
    venue.trades(1000, 1099, 951, 1000)
    assert len(venue.books.executions) == 1
    venue.trades(1000, 1099, 950, 1000)
    assert [e.venue_leg for e in venue.books.executions.values()] == [None, Leg.STOP_LOSS]


def test_a_percentage_is_of_the_entry_price_unleveraged(venue: Venue) -> None:
    venue.place(order(venue, stop_loss_pct=Decimal("1.5"), take_profit_pct=Decimal(3), leverage=5))
    held = venue.run(venue.exchange.positions())[0]
    assert (held.stop_loss, held.take_profit) == (Decimal(985), Decimal(1030))


def test_i17_a_second_look_at_the_venue_finds_nothing_new(venue: Venue) -> None:
    """I17: booking what the venue lists changes nothing that its reports and news have not said already."""
    venue.place(order(venue, stop_loss=Decimal(950)))
    venue.trades(1000, 1000, 940, 940)
    before = (dict(venue.books.executions), venue.books.balance)
    for _ in range(2):
        for execution in venue.run(venue.exchange.executions(SYMBOL, START)):
            venue.books.told(execution)
        assert (venue.books.executions, venue.books.balance) == before


def test_i17_a_restart_keeps_positions_orders_and_protection(venue: Venue) -> None:
    venue.place(order(venue, stop_loss=Decimal(950), leverage=3))
    resting = order(venue, attempt=2, kind=OrderKind.LIMIT, price=Decimal(960), leverage=3)
    venue.place(resting)
    held = venue.run(venue.exchange.positions())
    balance = venue.run(venue.exchange.balance())
    for _ in range(2):
        venue.restart()
        assert venue.run(venue.exchange.positions()) == held
        assert venue.run(venue.exchange.balance()) == balance
        found = venue.run(venue.exchange.find(SYMBOL, resting.client_order_id))
        assert found is not None
        assert found.status is OrderStatus.SUBMITTED
    venue.trades(1000, 1000, 955, 955)
    report = venue.run(venue.exchange.find(SYMBOL, resting.client_order_id))
    assert report is not None
    assert report.status is OrderStatus.FILLED
    agrees(venue)


def test_i17_a_partly_filled_order_goes_on_after_a_restart_with_what_is_left(venue: Venue) -> None:
    resting = order(venue, kind=OrderKind.LIMIT, price=Decimal(960))
    venue.place(resting)
    venue.trades(1000, 1000, 950, 950, volume=0.03)
    venue.restart()
    venue.trades(950, 950, 950, 950)
    report = venue.run(venue.exchange.find(SYMBOL, resting.client_order_id))
    assert report is not None
    assert (report.status, report.filled_quantity) == (OrderStatus.FILLED, resting.quantity)
    assert venue.books.position(SYMBOL).quantity == resting.quantity
    agrees(venue)
