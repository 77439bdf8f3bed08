"""What a venue beyond the process promises besides: its clock, settings, protection, funding, keys, and other hands."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from core.key_rights import KeyRights
from core.order import Leg, OrderKind, OrderStatus
from core.position import OrderSide
from core.protection import Protection
from core.timeframe import to_ms
from exchanges.base import Execution, VenuePosition
from exchanges.errors import AuthFailed, ErrorKind, OutcomeUnknown, Refusal, Rejected
from exchanges.simulator import model
from exchanges.wire import unconditional
from tests.exchanges.conformance.simulated_venue import FEE_SYMBOL, SimulatedVenue
from tests.exchanges.conformance.venue import START, SYMBOL, order

D = Decimal
GUARDED = Protection(stop_loss=D(950), take_profit=D(1100))
NOTHING = Protection()


def enter(live: SimulatedVenue, **changes: Any) -> None:
    report = live.place(order(live, **changes))
    assert report.status is OrderStatus.FILLED


def protect(live: SimulatedVenue, wanted: Protection) -> Protection:
    return live.run(live.exchange.protect(SYMBOL, wanted))


def position(live: SimulatedVenue) -> VenuePosition:
    [held] = live.run(live.exchange.positions())
    return held


def last_told(live: SimulatedVenue) -> Execution:
    live.catch_up()
    return list(live.books.executions.values())[-1]


# -- its clock, its settings, its keys


@pytest.mark.parametrize("wrong", [timedelta(minutes=-3), timedelta(0), timedelta(hours=2)])
def test_the_venues_clock_counts_however_wrong_ours_is(live: SimulatedVenue, wrong: timedelta) -> None:
    live.clock.wrong = wrong
    live.run(live.exchange.connect())
    assert abs(live.exchange.venue_now() - START) < timedelta(seconds=2)
    enter(live)


def test_settings_are_made_at_the_venue_once(live: SimulatedVenue) -> None:
    live.configure(leverage=7)
    assert (live.account.leverage_of(SYMBOL), live.account.is_isolated(SYMBOL)) == (7, True)
    seen = live.seen()
    live.configure(leverage=7)
    assert live.requests("POST", since=seen) == []
    live.configure(leverage=8)
    assert live.account.leverage_of(SYMBOL) == 8


def test_what_somebody_else_has_set_is_set_right_after_a_new_connection(live: SimulatedVenue) -> None:
    live.configure(leverage=7)
    live.engine.set_leverage(live.account, SYMBOL, 20)
    live.run(live.exchange.connect())
    live.configure(leverage=7)
    assert live.account.leverage_of(SYMBOL) == 7


def test_an_account_in_hedge_mode_is_brought_to_one_way_while_it_is_flat(live: SimulatedVenue) -> None:
    live.engine.set_hedge(live.account, True)
    live.run(live.exchange.connect())
    enter(live)
    assert not live.account.hedge


def test_an_account_that_holds_something_in_hedge_mode_is_refused_its_one_way_entry(
    live: SimulatedVenue,
) -> None:
    live.engine.set_hedge(live.account, True)
    live.foreign(OrderSide.BUY, "0.1", position_side=model.PositionSide.LONG)
    live.run(live.exchange.connect())
    with pytest.raises(Rejected) as raised:
        live.configure()
    assert raised.value.refusal is Refusal.MODE
    assert live.held() == D("0.1")


def test_in_hedge_mode_a_short_is_opened_protected_and_closed_as_one(live: SimulatedVenue) -> None:
    live.engine.set_hedge(live.account, True)
    live.run(live.exchange.connect())
    live.configure(mode="hedge")
    short = order(live, side=OrderSide.SELL)
    live.books.sent[short.client_order_id] = short
    live.run(live.exchange.place(short, unconditional))
    live.found(short)
    assert [(p.side, p.quantity) for p in live.account.open_positions()] == [
        (model.PositionSide.SHORT, D("-0.1"))
    ]
    assert protect(live, Protection(stop_loss=D(1050))) == Protection(stop_loss=D(1050))
    assert position(live).stop_loss == D(1050)
    live.run(live.exchange.place(out := order(live, leg=Leg.EXIT, side=OrderSide.BUY), unconditional))
    live.found(out)
    assert protect(live, NOTHING) == NOTHING
    assert (live.held(), live.stands()) == (D(0), {})


@pytest.mark.parametrize(
    ("settings", "rights"),
    [
        ({}, (True, True, False, True)),
        ({"withdraw": True}, (True, True, True, True)),
        ({"ip_bound": False}, (True, True, False, False)),
        ({"trade": False}, (True, False, False, True)),
    ],
)
def test_i19_the_venue_says_what_a_key_may_do(
    live: SimulatedVenue, settings: dict[str, bool], rights: tuple[bool, bool, bool, bool]
) -> None:
    live.allow("main", **settings)
    read, trade, withdraw, bound = rights
    assert live.run(live.exchange.key_rights()) == KeyRights(
        may_read=read, may_trade=trade, may_withdraw=withdraw, ip_bound=bound
    )


def test_the_venue_tells_its_leverage_tiers_smallest_positions_first(live: SimulatedVenue) -> None:
    tiers = live.run(live.exchange.leverage_tiers(SYMBOL))
    assert [(tier.up_to, tier.max_leverage) for tier in tiers] == [
        (D(300_000), D(125)),
        (D(3_000_000), D(75)),
        (D(70_000_000), D(25)),
    ]
    assert [tier.maintenance_rate for tier in tiers] == [D("0.004"), D("0.005"), D("0.02")]
    with pytest.raises(Rejected):
        live.run(live.exchange.leverage_tiers("NOSUCHUSDT"))


def test_a_key_that_may_not_trade_or_is_not_known_is_refused_for_good(live: SimulatedVenue) -> None:
    live.configure()
    live.allow("main", trade=False)
    with pytest.raises(AuthFailed):
        live.run(live.exchange.place(order(live), unconditional))
    stranger = live.open(2)
    with pytest.raises(AuthFailed):
        live.run(stranger.balance())
    assert live.held() == 0


# -- orders


def test_i3_an_id_that_rests_is_not_taken_twice_by_a_process_that_does_not_know_of_it(
    live: SimulatedVenue,
) -> None:
    resting = order(live, kind=OrderKind.LIMIT, price=D(900))
    live.place(resting)
    live.restart()
    live.configure()
    with pytest.raises(OutcomeUnknown) as raised:
        live.run(live.exchange.place(resting, unconditional))
    assert raised.value.kind is ErrorKind.DUPLICATE_ID
    assert live.found(resting).status is OrderStatus.SUBMITTED
    assert live.created(resting.client_order_id) == 1


def test_an_order_of_another_process_is_found_with_its_executions(live: SimulatedVenue) -> None:
    sent = order(live)
    report = live.place(sent)
    live.restart()
    assert live.run(live.exchange.find(SYMBOL, sent.client_order_id)) == report


def test_protection_is_no_open_order(live: SimulatedVenue) -> None:
    enter(live, stop_loss=D(950), take_profit=D(1100))
    assert len(live.stands()) == 2
    assert live.run(live.exchange.open_orders(SYMBOL)) == []


# -- protection


def test_what_is_wanted_stands_and_asking_again_changes_nothing(live: SimulatedVenue) -> None:
    enter(live)
    assert protect(live, GUARDED) == GUARDED
    assert (position(live).stop_loss, position(live).take_profit) == (D(950), D(1100))
    seen = live.seen()
    assert protect(live, GUARDED) == GUARDED
    assert live.requests("POST", since=seen) == []
    assert live.stands() == {"stop": D(950), "take_profit": D(1100)}


@pytest.mark.parametrize(
    ("wanted", "stands"),
    [
        (Protection(stop_loss=D(960), take_profit=D(1100)), {"stop": 960, "take_profit": 1100}),
        (Protection(stop_loss=D(950), take_profit=D(1200)), {"stop": 950, "take_profit": 1200}),
        (Protection(stop_loss=D(950)), {"stop": 950}),
        (Protection(take_profit=D(1100)), {"take_profit": 1100}),
        (NOTHING, {}),
    ],
)
def test_what_differs_is_replaced_and_one_stop_stands_at_most(
    live: SimulatedVenue, wanted: Protection, stands: dict[str, int]
) -> None:
    enter(live)
    protect(live, GUARDED)
    assert protect(live, wanted) == wanted
    assert live.stands() == {kind: D(price) for kind, price in stands.items()}


def test_stop_and_target_are_put_on_the_grid_toward_the_entry(live: SimulatedVenue) -> None:
    enter(live)
    wanted = Protection(stop_loss=D("949.95"), take_profit=D("1100.05"))
    assert protect(live, wanted) == Protection(stop_loss=D("950.0"), take_profit=D("1100.0"))


def test_a_stop_whose_level_is_passed_is_refused_by_name_and_the_one_that_stands_stays(
    live: SimulatedVenue,
) -> None:
    enter(live)
    protect(live, Protection(stop_loss=D(950)))
    with pytest.raises(Rejected) as raised:
        protect(live, Protection(stop_loss=D(1010)))
    assert raised.value.refusal is Refusal.WOULD_TRIGGER
    assert live.stands() == {"stop": D(950)}


def test_a_stop_somebody_cancelled_is_missed_and_placed_again(live: SimulatedVenue) -> None:
    enter(live)
    protect(live, GUARDED)
    for each in list(live.account.conditionals.values()):
        live.engine.cancel_conditional(each)
    assert (position(live).stop_loss, position(live).take_profit) == (None, None)
    assert protect(live, GUARDED) == GUARDED
    assert live.stands() == {"stop": D(950), "take_profit": D(1100)}


def test_protection_covers_what_was_added_later(live: SimulatedVenue) -> None:
    enter(live)
    protect(live, GUARDED)
    enter(live, attempt=2)
    protect(live, GUARDED)
    live.trades(1000, 1000, 940, 940)
    assert live.held() == 0


def test_a_stop_is_told_as_standing_only_where_it_stands_for_all(live: SimulatedVenue) -> None:
    enter(live)
    protect(live, GUARDED)
    enter(live, attempt=2)
    told = position(live)
    assert (told.stop_loss is None) is (told.take_profit is None)
    live.trades(1000, 1000, 940, 940)
    assert (live.held() == 0) is (told.stop_loss is not None)


def test_nothing_is_left_standing_once_it_is_flat(live: SimulatedVenue) -> None:
    enter(live, stop_loss=D(950), take_profit=D(1100))
    enter(live, leg=Leg.EXIT, side=OrderSide.SELL)
    assert protect(live, GUARDED) == NOTHING
    assert live.stands() == {}


def test_a_sweep_leaves_nothing_of_ours_where_nothing_is_open_and_all_where_something_is(
    live: SimulatedVenue,
) -> None:
    enter(live, stop_loss=D(950), take_profit=D(1100))
    protect(live, GUARDED)
    assert not live.run(live.exchange.sweep(SYMBOL))
    assert live.stands() == {"stop": D(950), "take_profit": D(1100)}
    enter(live, leg=Leg.EXIT, side=OrderSide.SELL)
    left = bool(live.stands())
    assert live.run(live.exchange.sweep(SYMBOL)) is left
    assert live.stands() == {}
    assert not live.run(live.exchange.sweep(SYMBOL))


@pytest.mark.parametrize(("low", "high", "leg"), [(940, 1000, "stop_loss"), (1000, 1110, "take_profit")])
def test_of_stop_and_target_one_fires_and_the_other_goes(
    live: SimulatedVenue, low: int, high: int, leg: str
) -> None:
    enter(live, stop_loss=D(950), take_profit=D(1100))
    live.trades(1000, high, low, 1000)
    told = last_told(live)
    assert (told.client_order_id, told.venue_leg) == (None, Leg(leg))
    assert protect(live, NOTHING) == NOTHING
    assert (live.held(), live.stands()) == (D(0), {})


# -- what the venue and other hands do


@pytest.mark.parametrize("side", OrderSide)
def test_an_order_by_hand_is_told_as_manual(live: SimulatedVenue, side: OrderSide) -> None:
    live.foreign(side, "0.1")
    told = last_told(live)
    assert (told.client_order_id, told.venue_leg, told.fill.side) == (None, Leg.MANUAL, side)
    assert position(live).quantity == live.held()


def test_a_liquidation_is_told_as_one(live: SimulatedVenue) -> None:
    enter(live, leverage=50)
    live.set_price(970.0)
    assert live.held() == 0
    told = last_told(live)
    assert (told.client_order_id, told.venue_leg) == (None, Leg.LIQUIDATION)
    assert live.run(live.exchange.positions()) == []
    assert live.run(live.exchange.balance()).balance == live.books.balance


@pytest.mark.parametrize("origin", ["adl", "settlement"])
def test_a_position_the_venue_closes_is_told_as_its_doing(live: SimulatedVenue, origin: str) -> None:
    enter(live)
    live.control("POST", "close", {"account": "main", "symbol": SYMBOL, "origin": origin})
    told = last_told(live)
    assert (told.client_order_id, told.venue_leg) == (None, Leg(origin))
    assert live.run(live.exchange.balance()).balance == live.books.balance


def test_funding_is_told_to_the_last_cent_and_by_an_id_that_stays(live: SimulatedVenue) -> None:
    enter(live)
    settled = START.replace(hour=16)
    live.control("PUT", "funding", {"symbol": SYMBOL, "rates": [[to_ms(START), "0.0003"]]})
    live.time_is(settled + timedelta(minutes=1))
    live.eventually(lambda: live.exchange.funding(START))
    for _ in range(2):
        [paid] = live.run(live.exchange.funding(START))
        assert (paid.symbol, paid.amount, paid.at) == (SYMBOL, D("-0.03"), settled)
        live.books.told(paid)
    assert live.run(live.exchange.balance()).balance == live.account.wallet["USDT"]
    assert live.run(live.exchange.funding(settled + timedelta(seconds=1))) == []


def test_a_commission_in_another_asset_is_converted_at_its_price(live: SimulatedVenue) -> None:
    live.allow("bnb", 4, fees={"asset": "BNB", "asset_price": "500"})
    live.set_price(500.0, symbol=FEE_SYMBOL)
    live.exchange = live.open(4)
    live.account = live.engine.account("bnb")
    live.run(live.exchange.connect())
    enter(live)
    [told] = live.run(live.exchange.executions(SYMBOL, START))
    assert live.account.wallet["BNB"] == D("99.9999")
    assert told.fill.commission == D("0.05")
