"""The table of order states (invariants §4, decision 19)."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from core.errors import ImpossibleVenueData
from core.order import (
    TERMINAL,
    Acknowledged,
    Canceled,
    Executed,
    Expired,
    Leg,
    NotPlaced,
    OrderEvent,
    OrderStatus,
    OutcomeUnknown,
    Rejected,
    releases,
    transition,
)
from tests.strategies import order

EVENTS: dict[str, OrderEvent] = {
    "submitted": Acknowledged("v-1"),
    "canceled": Canceled("user"),
    "expired": Expired("no volume"),
    "rejected": Rejected("margin"),
    "not_placed": NotPlaced("busy"),
    "unknown": OutcomeUnknown("timeout"),
}
MOVES = {
    "intent": "submitted rejected not_placed unknown",
    "submitted": "canceled expired rejected unknown",
    "partial": "canceled expired unknown",
    "unknown": "submitted canceled expired rejected not_placed",
}


def fill(quantity: str, price: str = "100") -> Executed:
    return Executed(Decimal(quantity), Decimal(price))


@pytest.mark.parametrize("news", EVENTS)
@pytest.mark.parametrize("status", OrderStatus)
def test_news_moves_an_order_as_the_table_says_or_not_at_all(status: OrderStatus, news: str) -> None:
    before = replace(order(), status=status)
    change = transition(before, EVENTS[news])
    if news in MOVES.get(status.value, "").split():
        assert (change.changed, change.order.status.value, change.contradiction) == (True, news, None)
    else:
        assert change.order.status is status
        assert change.order.reserved == before.reserved


@pytest.mark.parametrize("status", sorted(TERMINAL))
@pytest.mark.parametrize("news", EVENTS)
def test_a_terminal_order_never_reverts_and_other_endings_are_contradictions(
    status: OrderStatus, news: str
) -> None:
    change = transition(replace(order(), status=status), EVENTS[news])
    assert (change.changed, change.order.status) == (False, status)
    other_ending = OrderStatus(news) in TERMINAL and news != status
    assert (change.contradiction is not None) is other_ending


@pytest.mark.parametrize("status", ["intent", "submitted", "partial", "unknown"])
def test_a_fill_makes_a_live_order_partial_then_filled(status: str) -> None:
    first = transition(replace(order(), status=OrderStatus(status)), fill("2"))
    assert first.order.status is OrderStatus.PARTIAL
    second = transition(first.order, fill("3", "110"))
    assert (second.order.status, second.order.filled_quantity) == (OrderStatus.FILLED, 5)
    assert second.order.average_price == 106


@pytest.mark.parametrize("status", ["canceled", "expired", "rejected", "not_placed"])
def test_a_late_fill_raises_the_quantity_and_leaves_the_status(status: str) -> None:
    released = replace(order(), status=OrderStatus(status), reserved=False)
    change = transition(released, fill("2"))
    assert (change.order.status, change.order.filled_quantity) == (status, 2)
    assert change.reserve_again
    assert change.order.reserved
    kept = transition(replace(released, reserved=True), fill("2"))
    assert not kept.reserve_again


def test_a_late_fill_of_an_exit_reserves_nothing() -> None:
    change = transition(replace(order(leg=Leg.EXIT), status=OrderStatus.CANCELED), fill("2"))
    assert not change.reserve_again
    assert not change.order.reserved


@pytest.mark.parametrize(
    ("quantity", "price"),
    [
        ("5.1", "100"),
        ("0", "100"),
        ("-1", "100"),
        ("1", "0"),
        ("NaN", "100"),
        ("1", "NaN"),
        ("1", "Infinity"),
    ],
)
def test_an_execution_that_cannot_be_enters_no_arithmetic(quantity: str, price: str) -> None:
    with pytest.raises(ImpossibleVenueData):
        transition(order(), fill(quantity, price))


@pytest.mark.parametrize("news", ["rejected", "not_placed"])
@pytest.mark.parametrize("status", ["partial", "unknown"])
def test_what_has_filled_was_neither_rejected_nor_left_unplaced(status: str, news: str) -> None:
    filled = replace(transition(order(), fill("2")).order, status=OrderStatus(status))
    change = transition(filled, EVENTS[news])
    assert change.contradiction is not None
    assert change.order == filled


def test_an_order_found_again_with_fills_is_partial() -> None:
    lost = transition(transition(order(), fill("2")).order, OutcomeUnknown("reset")).order
    assert transition(lost, Acknowledged("v-1")).order.status is OrderStatus.PARTIAL


def test_an_acknowledgement_after_the_first_fill_only_names_the_venues_id() -> None:
    partial = transition(order(), fill("2")).order
    named = transition(partial, Acknowledged("v-1"))
    assert (named.changed, named.order.status, named.order.venue_order_id) == (True, "partial", "v-1")
    assert not transition(named.order, Acknowledged("v-2")).changed


@pytest.mark.parametrize(
    ("status", "filled", "reserved", "gives_back"),
    [
        ("not_placed", "0", True, True),
        ("rejected", "0", True, True),
        ("canceled", "0", True, True),
        ("canceled", "1", True, False),
        ("rejected", "0", False, False),
        ("unknown", "0", True, False),
        ("submitted", "0", True, False),
    ],
)
def test_only_an_ended_unfilled_entry_gives_its_reservation_back(
    status: str, filled: str, reserved: bool, gives_back: bool
) -> None:
    ended = replace(order(), status=OrderStatus(status), filled_quantity=Decimal(filled), reserved=reserved)
    assert releases(ended) is gives_back
