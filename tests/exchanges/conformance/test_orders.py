"""Placing, finding, canceling: by client order id, once, whatever is asked twice."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest

from core.order import Leg, OrderKind, OrderStatus
from core.position import OrderSide
from exchanges.base import MarginMode, PositionMode
from exchanges.errors import Refusal, Rejected, Withheld
from tests.exchanges.conformance.venue import RULES, START, SYMBOL, Venue, order


def test_market_order_fills_and_is_found_as_it_was_reported(venue: Venue) -> None:
    sent = order(venue)
    report = venue.place(sent)
    assert report.status is OrderStatus.FILLED
    assert report.filled_quantity == sent.quantity
    assert [e.client_order_id for e in report.executions] == [sent.client_order_id]
    assert venue.run(venue.exchange.find(SYMBOL, sent.client_order_id)) == report


def test_i3_the_same_client_id_again_brings_the_same_report_and_no_second_fill(venue: Venue) -> None:
    sent = order(venue)
    first = venue.place(sent)
    assert venue.place(sent) == first
    assert venue.books.position(SYMBOL).quantity == sent.quantity
    assert [p.quantity for p in venue.run(venue.exchange.positions())] == [sent.quantity]


def test_i8_an_order_whose_first_byte_is_withheld_never_was(venue: Venue) -> None:
    """Nothing is left behind: with leave, the same order is placed."""
    sent = order(venue)

    async def withheld() -> None:
        raise Withheld("kill_switch")

    with pytest.raises(Withheld):
        venue.run(venue.exchange.place(sent, withheld))
    assert venue.run(venue.exchange.find(SYMBOL, sent.client_order_id)) is None
    assert venue.run(venue.exchange.positions()) == []
    assert venue.place(sent).status is OrderStatus.FILLED


def test_an_id_never_sent_is_not_found(venue: Venue) -> None:
    assert venue.run(venue.exchange.find(SYMBOL, order(venue).client_order_id)) is None
    assert venue.run(venue.exchange.cancel(SYMBOL, order(venue).client_order_id)) is None


def test_a_limit_order_rests_until_canceled_and_a_second_cancel_changes_nothing(venue: Venue) -> None:
    sent = order(venue, kind=OrderKind.LIMIT, price=Decimal(900))
    assert venue.place(sent).status is OrderStatus.SUBMITTED
    assert [r.client_order_id for r in venue.run(venue.exchange.open_orders(SYMBOL))] == [
        sent.client_order_id
    ]
    canceled = venue.run(venue.exchange.cancel(SYMBOL, sent.client_order_id))
    assert canceled is not None
    assert canceled.status is OrderStatus.CANCELED
    assert venue.run(venue.exchange.cancel(SYMBOL, sent.client_order_id)) == canceled
    assert venue.run(venue.exchange.open_orders(SYMBOL)) == []
    venue.trades(1000, 1000, 800, 850)
    assert venue.books.executions == {}


def test_a_cancel_after_the_fill_reports_the_fill(venue: Venue) -> None:
    sent = order(venue)
    filled = venue.place(sent)
    assert venue.run(venue.exchange.cancel(SYMBOL, sent.client_order_id)) == filled


def test_a_limit_order_fills_at_its_limit_or_better(venue: Venue) -> None:
    sent = order(venue, kind=OrderKind.LIMIT, price=Decimal(990))
    venue.place(sent)
    venue.trades(1000, 1001, 980, 985)
    report = venue.run(venue.exchange.find(SYMBOL, sent.client_order_id))
    assert report is not None
    assert report.status is OrderStatus.FILLED
    assert all(e.fill.price <= Decimal(990) for e in report.executions)
    assert venue.books.position(SYMBOL).quantity == sent.quantity


def test_volume_that_does_not_suffice_fills_partly_and_the_rest_ends(venue: Venue) -> None:
    venue.opens(1000.0, volume=0.04)
    report = venue.place(order(venue))
    assert report.status is OrderStatus.EXPIRED
    assert report.filled_quantity == Decimal("0.04")
    assert sum(e.fill.quantity for e in report.executions) == report.filled_quantity


def test_an_order_without_volume_ends_unfilled(venue: Venue) -> None:
    venue.opens(1000.0, volume=0.0)
    report = venue.place(order(venue))
    assert (report.status, report.filled_quantity, report.executions) == (OrderStatus.EXPIRED, Decimal(0), ())


def test_a_resting_order_fills_partly_then_wholly(venue: Venue) -> None:
    sent = order(venue, kind=OrderKind.LIMIT, price=Decimal(990))
    venue.place(sent)
    venue.trades(1000, 1001, 980, 985, volume=0.06)
    partly = venue.run(venue.exchange.find(SYMBOL, sent.client_order_id))
    assert partly is not None
    assert (partly.status, partly.filled_quantity) == (OrderStatus.PARTIAL, Decimal("0.06"))
    venue.trades(985, 985, 980, 985)
    wholly = venue.run(venue.exchange.find(SYMBOL, sent.client_order_id))
    assert wholly is not None
    assert (wholly.status, wholly.filled_quantity) == (OrderStatus.FILLED, sent.quantity)
    assert len(wholly.executions) == 2


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"quantity": Decimal("0.001")}, Refusal.MIN_QUANTITY),
        ({"quantity": Decimal(0)}, Refusal.MIN_QUANTITY),
        ({"quantity": Decimal("-0.1")}, Refusal.MIN_QUANTITY),
        ({"quantity": Decimal("0.1005")}, Refusal.STEP_SIZE),
        ({"quantity": RULES.max_market_quantity + 1}, Refusal.MAX_QUANTITY),
        ({"quantity": Decimal("0.049")}, Refusal.MIN_NOTIONAL),
        ({"kind": OrderKind.LIMIT, "price": Decimal("990.05")}, Refusal.TICK_SIZE),
        ({"kind": OrderKind.LIMIT, "price": Decimal(0)}, Refusal.PRICE),
        ({"kind": OrderKind.LIMIT, "price": None}, Refusal.PRICE),
        ({"quantity": Decimal(11)}, Refusal.INSUFFICIENT_MARGIN),
        ({"leverage": 0}, Refusal.LEVERAGE),
        ({"leverage": 126}, Refusal.LEVERAGE),
        ({"symbol": "NONEUSDT"}, Refusal.UNKNOWN_SYMBOL),
    ],
)
def test_i15_filters_and_limits_refuse_by_name_and_nothing_is_executed(
    venue: Venue, changes: dict[str, object], refusal: Refusal
) -> None:
    with pytest.raises(Rejected) as raised:
        venue.place(order(venue, **changes))
    assert raised.value.refusal is venue.traits.refusals.get(refusal, refusal)
    assert raised.value.counts
    assert venue.run(venue.exchange.positions()) == []


def test_the_smallest_worth_passes_and_reduce_only_is_exempt_from_it(venue: Venue) -> None:
    assert venue.place(order(venue, quantity=Decimal("0.050"))).status is OrderStatus.FILLED
    left = order(venue, leg=Leg.EXIT, side=OrderSide.SELL, quantity=Decimal("0.049"))
    assert venue.place(left).status is OrderStatus.FILLED


def test_i15_reduce_only_without_a_position_is_refused(venue: Venue) -> None:
    with pytest.raises(Rejected) as raised:
        venue.place(order(venue, leg=Leg.EXIT, side=OrderSide.SELL))
    assert raised.value.refusal is Refusal.REDUCE_ONLY


def test_i15_reduce_only_never_increases_and_never_flips(venue: Venue) -> None:
    venue.place(order(venue))
    with pytest.raises(Rejected) as raised:
        venue.place(order(venue, leg=Leg.EXIT, side=OrderSide.BUY))
    assert raised.value.refusal is Refusal.REDUCE_ONLY
    report = venue.place(order(venue, leg=Leg.EXIT, attempt=2, side=OrderSide.SELL, quantity=Decimal("0.3")))
    assert report.filled_quantity == Decimal("0.1")
    assert venue.run(venue.exchange.positions()) == []


def test_i15_a_resting_reduce_only_order_ends_once_there_is_nothing_to_reduce(venue: Venue) -> None:
    venue.place(order(venue, stop_loss=Decimal(950)))
    resting = order(venue, leg=Leg.EXIT, side=OrderSide.SELL, kind=OrderKind.LIMIT, price=Decimal(1100))
    venue.place(resting)
    venue.trades(1000, 1000, 940, 945)
    venue.trades(945, 1200, 945, 1200)
    report = venue.run(venue.exchange.find(SYMBOL, resting.client_order_id))
    assert report is not None
    assert (report.status, report.filled_quantity) == (venue.traits.idle_end, Decimal(0))
    assert venue.books.position(SYMBOL).is_flat


def test_i15_a_resting_reduce_only_order_fills_at_most_what_is_open(venue: Venue) -> None:
    venue.place(order(venue))
    resting = order(
        venue,
        leg=Leg.EXIT,
        side=OrderSide.SELL,
        kind=OrderKind.LIMIT,
        price=Decimal(1010),
        quantity=Decimal(1),
    )
    venue.place(resting)
    for _ in range(2):
        venue.trades(1000, 1020, 1000, 1020)
    report = venue.run(venue.exchange.find(SYMBOL, resting.client_order_id))
    assert report is not None
    assert (report.status, report.filled_quantity) == (venue.traits.idle_end, Decimal("0.1"))
    assert venue.books.position(SYMBOL).is_flat


def test_i3_a_resting_order_sent_again_stays_one_order(venue: Venue) -> None:
    sent = order(venue, kind=OrderKind.LIMIT, price=Decimal(990))
    venue.place(sent)
    venue.trades(1000, 1001, 980, 985, volume=0.06)
    report = venue.place(sent)
    assert (report.status, report.filled_quantity) == (OrderStatus.PARTIAL, Decimal("0.06"))
    venue.trades(985, 985, 980, 985)
    assert venue.books.position(SYMBOL).quantity == sent.quantity


def test_both_legs_of_a_flip_fill_in_the_same_slot_exit_first(venue: Venue) -> None:
    venue.place(order(venue))
    venue.trades(1000, 1000, 1000, 1000)
    venue.opens(1010.0)
    out = venue.place(order(venue, leg=Leg.EXIT, side=OrderSide.SELL))
    into = venue.place(order(venue, side=OrderSide.SELL))
    assert [e.fill.executed_at for e in (*out.executions, *into.executions)] == [venue.slot, venue.slot]
    assert venue.books.position(SYMBOL).quantity == Decimal("-0.1")


def test_settings_already_so_are_no_error_and_rules_are_the_symbols(venue: Venue) -> None:
    for _ in range(2):
        venue.run(
            venue.exchange.configure(
                SYMBOL, leverage=3, margin_mode=MarginMode.ISOLATED, position_mode=PositionMode.ONE_WAY
            )
        )
    assert venue.run(venue.exchange.rules(SYMBOL)) == RULES
    with pytest.raises(Rejected) as raised:
        venue.run(venue.exchange.rules("NONEUSDT"))
    assert raised.value.refusal is Refusal.UNKNOWN_SYMBOL


def test_executions_are_listed_from_a_time_on_oldest_first(venue: Venue) -> None:
    venue.place(order(venue))
    venue.trades(1000, 1000, 1000, 1000)
    venue.opens(1000.0)
    venue.place(order(venue))
    both = venue.run(venue.exchange.executions(SYMBOL, START))
    assert [e.fill.executed_at for e in both] == [START, START + timedelta(minutes=1)]
    assert venue.run(venue.exchange.executions(SYMBOL, START + timedelta(seconds=1))) == both[1:]
    assert {(e.symbol, e.trade_id) for e in both} == set(venue.books.executions)


def test_trade_ids_are_unique_per_symbol(venue: Venue) -> None:
    for attempt in range(1, 6):
        venue.place(order(venue, attempt=attempt))
    assert len(venue.books.executions) == 5


def test_another_attempt_is_another_order(venue: Venue) -> None:
    first = venue.place(order(venue))
    second = venue.place(order(venue, attempt=2))
    assert first.venue_order_id != second.venue_order_id
    assert venue.books.position(SYMBOL).quantity == Decimal("0.2")


def test_an_order_survives_encoding_as_it_is_sent(venue: Venue) -> None:
    """The committed row is what is sent: a row read back is the same order."""
    sent = order(venue)
    again = msgspec.json.decode(msgspec.json.encode(sent), type=type(sent))
    assert venue.place(again) == venue.place(sent)
