from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from msgspec.structs import replace

from core.order import Leg, OrderKind, OrderStatus
from core.position import OrderSide
from core.timeframe import Timeframe
from exchanges.base import Execution, FundingPaid, MarginMode, PositionMode
from exchanges.errors import ErrorKind, NoPrice, NotPlaced, Refusal, Rejected
from exchanges.paper.orders import KEPT_ORDERS, MAX_RESTING
from exchanges.paper.terms import Terms
from exchanges.wire import unconditional
from tests.exchanges.conformance.paper_venue import PaperVenue
from tests.exchanges.conformance.venue import BANKROLL, START, SYMBOL, order

D = Decimal


@pytest.fixture
def venue() -> PaperVenue:
    made = PaperVenue()
    made.opens(1000.0)
    return made


def legs(venue: PaperVenue) -> list[Leg | None]:
    return [e.venue_leg for e in venue.books.executions.values()]


def test_a_market_order_fills_at_the_open_of_the_candle_that_opens_at_its_slot(venue: PaperVenue) -> None:
    venue.clock.at = START + timedelta(seconds=29)
    (execution,) = venue.place(order(venue)).executions
    assert (execution.fill.executed_at, execution.fill.price) == (START, D(1000))
    assert (execution.fill.maker, execution.fill.commission) == (False, D("0.04"))


def test_a_late_order_meets_the_next_candle_once_it_has_opened(venue: PaperVenue) -> None:
    """No look-ahead, no look-back: a feed that knows the next opening is waited for, an old one is not used."""
    sent = order(venue)
    venue.clock.at = START + timedelta(seconds=52)
    venue.slot = START + timedelta(minutes=1)
    venue.opens(1100.0)
    (execution,) = venue.place(sent).executions
    assert (execution.fill.executed_at, execution.fill.price) == (venue.slot, D(1100))
    assert venue.clock.at == venue.slot


@pytest.mark.parametrize("seconds", [0.2, 17.4, 44.0])
def test_an_order_of_a_slot_between_two_candles_meets_the_price_known_now(
    venue: PaperVenue, seconds: float
) -> None:
    """As of a signal from outside, however long ago its slot is; nobody waits for the next candle."""
    sent = replace(order(venue), slot=START + timedelta(seconds=3))
    venue.clock.at = START + timedelta(seconds=3 + seconds)
    (execution,) = venue.place(sent).executions
    assert (execution.fill.executed_at, execution.fill.price) == (venue.clock.at, D(1000))


def test_without_a_price_known_now_such_an_order_is_not_placed(venue: PaperVenue) -> None:
    sent = replace(order(venue), slot=START + timedelta(seconds=3))
    venue.prices.openings.clear()
    with pytest.raises(NoPrice, match="no price of"):
        venue.place(sent)


def test_an_opening_beyond_the_time_to_wait_is_not_placed(venue: PaperVenue) -> None:
    sent = order(venue)
    venue.clock.at = START + timedelta(seconds=31)
    venue.slot = START + timedelta(minutes=1)
    venue.opens(1100.0)
    with pytest.raises(NoPrice) as raised:
        venue.place(sent)
    assert not raised.value.counts
    assert venue.clock.at == START + timedelta(seconds=31)


def test_no_opening_is_not_placed_and_the_id_stays_unknown(venue: PaperVenue) -> None:
    venue.prices.openings.clear()
    sent = order(venue)
    with pytest.raises(NotPlaced) as raised:
        venue.place(sent)
    assert raised.value.kind is ErrorKind.NO_PRICE
    assert venue.run(venue.exchange.find(SYMBOL, sent.client_order_id)) is None
    venue.opens(1000.0)
    assert venue.place(sent).status is OrderStatus.FILLED


def test_i3_two_calls_under_way_with_one_id_fill_once(venue: PaperVenue) -> None:
    venue.clock.at = START - timedelta(seconds=1)
    sent = order(venue)
    slow = venue.exchange.place(sent, unconditional)
    assert slow.send(None) == 1.0  # waits for its slot
    report = venue.place(sent)
    with pytest.raises(StopIteration) as done:
        slow.send(None)
    assert done.value.value == report
    assert venue.run(venue.exchange.executions(SYMBOL, START)) == list(report.executions)


def test_an_outage_refuses_so_many_orders_and_tells_what_is_left(venue: PaperVenue) -> None:
    venue.exchange = venue.open(outage_orders=2)
    for attempt in (1, 2):
        with pytest.raises(NotPlaced) as raised:
            venue.place(order(venue, attempt=attempt))
        assert raised.value.kind is ErrorKind.CONNECTION
        assert raised.value.counts
    assert venue.outage_left == [1, 0]
    assert venue.place(order(venue, attempt=3)).status is OrderStatus.FILLED
    assert venue.outage_left == [1, 0]


def test_orders_of_one_slot_share_the_volume_they_may_take(venue: PaperVenue) -> None:
    venue.opens(1000.0, volume=0.15)
    assert venue.place(order(venue)).filled_quantity == D("0.1")
    second = venue.place(order(venue, attempt=2))
    assert (second.status, second.filled_quantity) == (OrderStatus.EXPIRED, D("0.05"))


def test_slippage_moves_the_fill_against_the_taker() -> None:
    venue = PaperVenue(Terms(slippage_pct=D("0.1")))
    venue.opens(1000.0)
    bought = venue.place(order(venue))
    sold = venue.place(order(venue, leg=Leg.EXIT, side=OrderSide.SELL))
    assert [e.fill.price for e in (*bought.executions, *sold.executions)] == [D(1001), D(999)]


def test_margin_is_checked_at_the_reference_price_with_the_fee(venue: PaperVenue) -> None:
    most = order(venue, quantity=D("9.996"))
    assert venue.place(most).status is OrderStatus.FILLED
    for changes in ({}, {"side": OrderSide.SELL, "quantity": D("20")}):
        with pytest.raises(Rejected) as raised:
            venue.place(order(venue, attempt=2, **changes))
        assert raised.value.refusal is Refusal.INSUFFICIENT_MARGIN


def test_resting_entries_hold_their_margin_until_they_end(venue: PaperVenue) -> None:
    resting = order(venue, kind=OrderKind.LIMIT, price=D(900), quantity=D(10))
    venue.place(resting)
    with pytest.raises(Rejected):
        venue.place(order(venue, attempt=2, quantity=D(2)))
    venue.run(venue.exchange.cancel(SYMBOL, resting.client_order_id))
    assert venue.place(order(venue, attempt=2, quantity=D(2))).status is OrderStatus.FILLED


def test_leveraged_positions_are_liquidated_and_lose_no_more_than_their_margin(venue: PaperVenue) -> None:
    venue.place(order(venue, leverage=10, quantity=D(1)))
    held = venue.run(venue.exchange.positions())[0]
    assert held.liquidation_price == D("903.6")
    venue.trades(1000, 1000, 903.7, 910)
    assert legs(venue) == [None]
    venue.trades(910, 910, 800, 800)
    assert legs(venue) == [None, Leg.LIQUIDATION]
    assert BANKROLL - venue.books.balance < D(100)


def test_a_limit_order_earns_the_maker_fee_and_one_that_crosses_on_arrival_does_not(
    venue: PaperVenue,
) -> None:
    venue.place(order(venue, kind=OrderKind.LIMIT, price=D(990)))
    venue.place(order(venue, attempt=2, kind=OrderKind.LIMIT, price=D(1010)))
    venue.trades(1000, 1000, 980, 985)
    fills = [e.fill for e in venue.books.executions.values()]
    assert [(f.price, f.maker, f.commission) for f in fills] == [
        (D(990), True, D("0.0198")),
        (D(1000), False, D("0.04")),
    ]


def test_a_position_opened_inside_a_candle_meets_its_stop_there_but_not_its_target(venue: PaperVenue) -> None:
    venue.place(order(venue, kind=OrderKind.LIMIT, price=D(990), stop_loss=D(950), take_profit=D(1005)))
    venue.trades(1000, 1010, 980, 985)
    assert legs(venue) == [None]
    venue.trades(985, 990, 940, 950)
    assert legs(venue) == [None, Leg.STOP_LOSS]
    venue.opens(1000.0)
    venue.place(order(venue, kind=OrderKind.LIMIT, price=D(990), stop_loss=D(950)))
    venue.trades(1000, 1010, 940, 985)
    assert legs(venue)[2:] == [None, Leg.STOP_LOSS]


def test_an_order_answered_after_its_candle_closed_still_meets_that_candle(venue: PaperVenue) -> None:
    sent = order(venue, stop_loss=D(950))
    venue.trades(1000, 1000, 940, 960)
    venue.clock.at = START + timedelta(seconds=20)
    venue.place(sent)
    venue.trades(960, 965, 955, 960)
    assert legs(venue) == [None, Leg.STOP_LOSS]
    assert list(venue.books.executions.values())[-1].fill.executed_at < START + timedelta(minutes=1)


def test_fills_inside_the_last_candle_of_a_day_belong_to_that_day(venue: PaperVenue) -> None:
    venue.slot = venue.clock.at = START.replace(hour=23, minute=59)
    venue.opens(1000.0)
    venue.place(order(venue, stop_loss=D(950)))
    venue.trades(1000, 1000, 940, 940)
    assert list(venue.books.executions.values())[-1].fill.executed_at.day == START.day


def test_an_old_candle_told_late_does_not_hide_a_newer_one(venue: PaperVenue) -> None:
    old = venue.candle(1000, 1000, 1000, 1000)
    venue.trades(1000, 1000, 1000, 1000)
    venue.opens(1000.0)
    sent = order(venue, stop_loss=D(950))
    venue.trades(1000, 1000, 940, 960)
    venue.exchange.apply_candle(SYMBOL, old, Timeframe.M1)
    venue.clock.at = sent.slot + timedelta(seconds=20)
    venue.place(sent)
    venue.trades(960, 965, 955, 960)
    assert legs(venue) == [None, Leg.STOP_LOSS]


def test_a_candle_that_ends_a_position_opens_no_other(venue: PaperVenue) -> None:
    """Both would have opened and ended at the same times, and their fills could not be told apart."""
    venue.place(order(venue, side=OrderSide.SELL, stop_loss=D(1000)))
    again = order(
        venue, attempt=2, side=OrderSide.SELL, kind=OrderKind.LIMIT, price=D(990), stop_loss=D(1000)
    )
    venue.place(again)
    venue.trades(1000, 1001, 999, 1000)
    assert legs(venue) == [None, Leg.STOP_LOSS]
    venue.trades(1000, 1001, 999, 1000)
    assert legs(venue) == [None, Leg.STOP_LOSS, None, Leg.STOP_LOSS]


def test_candles_told_again_or_too_late_change_nothing(venue: PaperVenue) -> None:
    venue.place(order(venue, stop_loss=D(950)))
    early = venue.candle(1000, 1000, 940, 940)
    venue.trades(1000, 1000, 960, 960)
    venue.exchange.apply_candle(SYMBOL, early, Timeframe.M1)
    assert legs(venue) == [None]


def test_after_a_restart_candles_from_before_the_last_change_are_not_held_against_a_position(
    venue: PaperVenue,
) -> None:
    before = venue.candle(1000, 1000, 900, 1000)
    venue.trades(1000, 1000, 900, 1000)
    venue.opens(1000.0)
    venue.place(order(venue, stop_loss=D(950)))
    venue.restart()
    venue.exchange.apply_candle(SYMBOL, before, Timeframe.M1)
    assert legs(venue) == [None]
    venue.trades(1000, 1000, 940, 1000)
    assert legs(venue) == [None, Leg.STOP_LOSS]


def test_what_happens_again_after_a_restart_has_the_same_trade_ids(venue: PaperVenue) -> None:
    """A crash between the venue's news and the store's commit tells the same executions again."""
    sent = order(venue, stop_loss=D(950))
    venue.place(sent)
    position = venue.books.position(SYMBOL)
    bar = venue.candle(1000, 1000, 940, 940)
    venue.trades(1000, 1000, 940, 940)
    told = [n for n in venue.news if isinstance(n, Execution)]
    venue.books.positions[SYMBOL] = position
    venue.clock.at = START
    venue.restart()
    venue.clock.at = venue.slot
    venue.news.clear()
    venue.exchange.apply_candle(SYMBOL, bar, Timeframe.M1)
    assert venue.news == told


@pytest.mark.parametrize(
    ("side", "rate", "amount"),
    [
        (OrderSide.BUY, "0.0001", "-0.0101"),
        (OrderSide.BUY, "-0.0001", "0.0101"),
        (OrderSide.SELL, "0.0001", "0.0101"),
    ],
)
def test_longs_pay_funding_and_shorts_receive_it_once_per_settlement(
    venue: PaperVenue, side: OrderSide, rate: str, amount: str
) -> None:
    venue.place(order(venue, side=side))
    before = venue.books.balance
    stamp = START.replace(hour=16, microsecond=6_000)
    for _ in range(2):
        venue.exchange.apply_funding(SYMBOL, stamp, rate=D(rate), mark=D(1010))
    paid = [n for n in venue.news if isinstance(n, FundingPaid)]
    assert [(p.amount, p.at) for p in paid] == [(D(amount), START.replace(hour=16))]
    assert venue.run(venue.exchange.balance()).balance == venue.books.balance == before + D(amount)


def test_funding_is_for_what_was_held_before_it(venue: PaperVenue) -> None:
    assert venue.exchange.apply_funding(SYMBOL, START, rate=D("0.0001"), mark=D(1000)) is None
    venue.place(order(venue))
    assert venue.exchange.apply_funding(SYMBOL, START, rate=D("0.0001"), mark=D(1000)) is None


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"margin_mode": MarginMode.CROSS}, Refusal.UNSUPPORTED),
        ({"position_mode": PositionMode.HEDGE}, Refusal.UNSUPPORTED),
        ({"leverage": 11}, Refusal.LEVERAGE),
    ],
)
def test_settings_paper_does_not_have_are_refused_by_name(
    venue: PaperVenue, changes: dict[str, object], refusal: Refusal
) -> None:
    settings = {"leverage": 1, "margin_mode": MarginMode.ISOLATED, "position_mode": PositionMode.ONE_WAY}
    with pytest.raises(Rejected) as raised:
        venue.run(venue.exchange.configure(SYMBOL, **{**settings, **changes}))  # type: ignore[arg-type]
    assert raised.value.refusal is refusal


def test_open_orders_are_bounded(venue: PaperVenue) -> None:
    small = {"kind": OrderKind.LIMIT, "price": D(500), "quantity": D("0.1"), "leverage": 10}
    for attempt in range(1, MAX_RESTING + 1):
        venue.place(order(venue, attempt=attempt, **small))
    with pytest.raises(Rejected) as raised:
        venue.place(order(venue, attempt=MAX_RESTING + 1, **small))
    assert raised.value.refusal is Refusal.TOO_MANY_ORDERS


def test_ended_orders_and_executions_remembered_are_bounded(venue: PaperVenue) -> None:
    first = order(venue)
    venue.place(first)
    for attempt in range(2, KEPT_ORDERS + 2):
        side = OrderSide.SELL if attempt % 2 == 0 else OrderSide.BUY
        venue.place(order(venue, attempt=attempt, side=side))
    assert venue.run(venue.exchange.find(SYMBOL, first.client_order_id)) is None
    assert len(venue.run(venue.exchange.executions(SYMBOL, START))) == KEPT_ORDERS
