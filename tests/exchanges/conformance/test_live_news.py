"""What a live venue tells by itself: all that was executed, once by trade id, the same as when it is asked."""

from __future__ import annotations

from decimal import Decimal

import pytest

from core.order import Leg, OrderKind, OrderStatus
from core.position import OrderSide
from core.protection import Protection
from core.timeframe import to_ms
from exchanges.base import FundingPaid, OrderNews, ProtectionMoved, StreamGap
from exchanges.simulator import model
from tests.exchanges.conformance.simulated_venue import SimulatedVenue
from tests.exchanges.conformance.venue import START, SYMBOL, order

D = Decimal
SELL = OrderSide.SELL


def ended(live: SimulatedVenue, client_order_id: str) -> OrderStatus | None:
    told = [n for n in live.news if isinstance(n, OrderNews) and n.client_order_id == client_order_id]
    return told[-1].status if told else None


def trade_a_while(live: SimulatedVenue) -> int:
    """Entry, a limit order that fills, another hand's order, a stop that fires: five executions."""
    live.place(order(live, stop_loss=D(950)))
    resting = order(live, attempt=2, kind=OrderKind.LIMIT, price=D(990), stop_loss=D(950))
    live.place(resting)
    live.set_price(989.0, jump=False)
    live.foreign(OrderSide.BUY, "0.06")
    live.foreign(SELL, "0.06")
    live.run(live.exchange.protect(SYMBOL, Protection(stop_loss=D(950))))
    live.set_price(940.0, jump=False)
    return 5


@pytest.mark.parametrize(
    "trouble",
    [
        {},
        {"duplicate": 1.0},
        {"reorder": 0.3, "seed": 5},
        {"duplicate": 0.5, "reorder": 0.3, "seed": 7},
    ],
)
def test_news_are_the_executions_the_venue_lists_by_trade_id(
    live: SimulatedVenue, trouble: dict[str, float]
) -> None:
    """Also where the venue tells twice or out of order; and what is booked of them is what it holds."""
    live.stream()
    live.fault("streams", **trouble)
    many = trade_a_while(live)
    live.control("DELETE", "faults")
    live.foreign(OrderSide.BUY, "0.06")  # brings what the trouble still held back
    live.until(lambda: len(live.told()) == many + 1)
    listed = live.run(live.exchange.executions(SYMBOL, START))
    assert {e.trade_id: e for e in live.told()} == {e.trade_id: e for e in listed}
    assert [e.venue_leg for e in listed] == [None, None, Leg.MANUAL, Leg.MANUAL, Leg.STOP_LOSS, Leg.MANUAL]
    assert live.books.position(SYMBOL).quantity == live.held()
    assert live.run(live.exchange.balance()).balance == live.books.balance


def test_an_orders_end_is_told_after_its_executions(live: SimulatedVenue) -> None:
    live.stream()
    sent = order(live, kind=OrderKind.LIMIT, price=D(990))
    live.place(sent)
    live.set_price(989.0, jump=False)
    live.until(lambda: ended(live, sent.client_order_id) is OrderStatus.FILLED)
    assert live.books.filled(sent.client_order_id) == sent.quantity


def test_a_cancel_by_another_hand_is_told(live: SimulatedVenue) -> None:
    live.stream()
    sent = order(live, kind=OrderKind.LIMIT, price=D(900))
    live.place(sent)
    live.engine.cancel_all(live.account)
    live.until(lambda: ended(live, sent.client_order_id) is OrderStatus.CANCELED)


def test_a_stop_another_hand_cancels_is_told_as_gone_and_one_that_fires_is_not(live: SimulatedVenue) -> None:
    live.stream()
    live.place(order(live, stop_loss=D(950), take_profit=D(1100)))
    live.run(live.exchange.protect(SYMBOL, Protection(stop_loss=D(950), take_profit=D(1100))))
    [target] = [each for each in live.account.conditionals.values() if each.request.trigger_price == 1100]
    gone = ProtectionMoved(symbol=SYMBOL, leg=Leg.TAKE_PROFIT, price=None)
    assert gone not in live.news
    live.do(lambda: live.engine.cancel_conditional(target))
    live.until(lambda: gone in live.news)
    live.set_price(940.0, jump=False)
    live.until(lambda: len(live.told()) == 2)
    assert not [
        n for n in live.news if isinstance(n, ProtectionMoved) and n.leg is Leg.STOP_LOSS and not n.price
    ]


@pytest.mark.parametrize("origin", ["adl", "settlement", "liquidation"])
def test_what_the_venue_closes_is_told_with_its_leg(live: SimulatedVenue, origin: str) -> None:
    live.stream()
    live.place(order(live, leverage=50))
    if origin == "liquidation":
        live.set_price(970.0)
    else:
        live.control("POST", "close", {"account": "main", "symbol": SYMBOL, "origin": origin})
    live.until(lambda: len(live.told()) == 2)
    assert (live.told()[-1].client_order_id, live.told()[-1].venue_leg) == (None, Leg(origin))
    assert live.books.position(SYMBOL).is_flat


def test_funding_is_told_as_it_is_paid(live: SimulatedVenue) -> None:
    live.slot = START.replace(hour=15, minute=58)
    live.time_is(live.slot)
    live.stream()
    live.place(order(live))
    live.control("PUT", "funding", {"symbol": SYMBOL, "rates": [[to_ms(START), "0.0003"]]})
    live.time_is(START.replace(hour=16, minute=1))
    live.until(lambda: any(isinstance(news, FundingPaid) for news in live.news))
    [paid] = {news.funding_id: news for news in live.news if isinstance(news, FundingPaid)}.values()
    assert [paid] == live.run(live.exchange.funding(START))
    assert paid.amount == D("-0.03")


def test_after_a_dropped_stream_a_gap_is_told_and_what_was_missed_can_be_asked_for(
    live: SimulatedVenue,
) -> None:
    live.stream()
    live.place(order(live))
    live.until(lambda: len(live.told()) == 1)
    live.news.clear()
    live.fault("drop_sockets", private_only=True)
    live.foreign(SELL, "0.1")
    live.until(lambda: any(isinstance(news, StreamGap) for news in live.news))
    [gap] = [news for news in live.news if isinstance(news, StreamGap)]
    assert gap.since is not None
    assert gap.since <= live.exchange.venue_now()
    assert live.exchange.is_streaming
    for execution in live.run(live.exchange.executions(SYMBOL, gap.since)):
        live.books.told(execution)
    assert live.books.position(SYMBOL).is_flat
    live.foreign(OrderSide.BUY, "0.1")
    live.until(lambda: len(live.told()) == 1)


def test_while_streaming_an_order_is_reported_filled_and_its_executions_are_news(
    live: SimulatedVenue,
) -> None:
    live.stream()
    sent = order(live)
    report = live.place(sent)
    assert report.status is OrderStatus.FILLED
    live.until(lambda: live.books.filled(sent.client_order_id) == sent.quantity)
    assert live.run(live.exchange.find(SYMBOL, sent.client_order_id)) == live.found(sent)


def test_another_accounts_trades_are_nobody_elses_news(live: SimulatedVenue) -> None:
    live.stream()
    live.allow("other", 2)
    live.engine.place(
        live.engine.account("other"),
        model.OrderRequest(
            symbol=SYMBOL,
            side=model.Side.BUY,
            kind=model.OrderKind.MARKET,
            quantity=D("0.1"),
            client_id="x",
        ),
    )
    live.foreign(OrderSide.BUY, "0.2")
    live.until(lambda: bool(live.told()))
    assert [e.fill.quantity for e in live.told()] == [D("0.2")]
