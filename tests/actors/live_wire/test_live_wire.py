"""Runs trade over real wires at both venues' stand-ins while somebody else has a hand on the account as well."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from core.order import Leg, OrderStatus
from core.position import OrderSide
from exchanges.simulator.model import PositionSide
from schema.records import Trade
from tests.actors.candles import SYMBOL
from tests.actors.live_wire.world import WireWorld
from tests.exchanges.conformance.simulated_venue import OTHER_SYMBOL

D = Decimal
MakeWorld = Callable[..., WireWorld]
TOLD = ("order_submit", "order_fill", "protection", "drift", "trade.closed", "run.status")


@pytest.fixture(params=["binance", "bybit"])
def world(request: pytest.FixtureRequest) -> Iterator[WireWorld]:
    made = WireWorld(request.param)
    yield made
    made.close()


def gap(world: WireWorld) -> None:
    """The private stream breaks off and begins anew, whereupon the account is looked at."""
    world.venue.fault("drop_sockets", private_only=True)
    world.until(lambda: not world.is_streaming())
    world.until(world.is_streaming)


def told(world: WireWorld) -> list[str]:
    return [type_ for type_ in world.types() if type_ in TOLD]


def payloads(world: WireWorld, type_: str) -> list[Any]:
    return [event.payload for event in world.events(world.run_id, type_)]


def closed(world: WireWorld) -> Trade:
    """The first round trip, once it is booked."""
    world.until(lambda: world.memory.trades(run_id=world.run_id))
    return world.memory.trades(run_id=world.run_id)[-1]


def agrees(world: WireWorld) -> bool:
    """Rows and venue hold the same, with one stop and one target for it or none."""
    held, standing = world.venue.held(), world.venue.stands()
    return world.quantity() == held and set(standing) == ({"stop", "take_profit"} if held else set())


def test_an_entry_stands_protected_and_after_a_restart_nothing_is_told_again(world: WireWorld) -> None:
    """I17 over real wires; the account is set up for the entry, and its rows are the venue's."""
    world.enter()
    [entry] = world.orders(world.run_id)
    assert (entry.leg, entry.status, entry.filled_quantity) == (Leg.ENTRY, OrderStatus.FILLED, entry.quantity)
    assert world.venue.created(entry.client_order_id) == 1
    assert world.venue.stands() == {"stop": D(950), "take_profit": D(1100)}
    account = world.venue.account
    assert (account.leverage_of(SYMBOL), account.is_isolated(SYMBOL), account.hedge) == (2, True, False)
    before, had = told(world), world.held()
    world.end()
    seen = world.venue.seen()
    world.begin()
    world.until(world.is_streaming)
    world.until(lambda: len(world.venue.requests("GET", seen)) > 8)
    gap(world)
    time.sleep(0.3)
    assert told(world) == before
    assert world.held() == had
    assert agrees(world)


def test_a_stop_somebody_cancelled_is_missed_placed_again_and_told(world: WireWorld) -> None:
    world.enter()
    engine, account = world.venue.engine, world.venue.account
    for each in list(account.conditionals.values()):
        world.venue.do(lambda each=each: engine.cancel_conditional(each))
    assert world.venue.stands() == {}
    gap(world)
    world.until(lambda: world.venue.stands() == {"stop": D(950), "take_profit": D(1100)})
    world.until(lambda: len(payloads(world, "protection")) == 3)
    _, lost, again = payloads(world, "protection")
    assert "stop_loss" not in lost
    assert D(again["stop_loss"]) == D(950)
    assert again["unprotected_s"] > 0


@pytest.mark.parametrize("venue", ["binance", "bybit"])
def test_a_stop_somebody_cancelled_is_placed_again_as_soon_as_the_stream_tells(venue: str) -> None:
    """Without waiting for the next look."""
    world = WireWorld(venue)
    world.poll_s = 60.0
    try:
        world.enter()
        engine, account = world.venue.engine, world.venue.account
        [stop] = [each for each in account.conditionals.values() if each.request.trigger_price == 950]
        world.venue.do(lambda: engine.cancel_conditional(stop))
        assert set(world.venue.stands()) == {"take_profit"}
        world.until(lambda: world.venue.stands() == {"stop": D(950), "take_profit": D(1100)})
        world.until(lambda: len(payloads(world, "protection")) == 3)
        assert world.is_streaming()
    finally:
        world.close()


def test_what_another_hand_adds_is_drift_and_what_it_takes_away_is_booked(world: WireWorld) -> None:
    world.enter()
    entered = world.quantity()
    world.venue.foreign(OrderSide.BUY, "0.5")
    gap(world)
    world.until(lambda: payloads(world, "drift"))
    assert world.quantity() == entered
    assert world.venue.held() == entered + D("0.5")
    world.venue.foreign(OrderSide.SELL, str(entered + D("0.5")))
    trade = closed(world)
    assert (trade.quantity, trade.exit_reason) == (entered, "manual")
    world.until(lambda: agrees(world))


def test_a_stop_that_fires_while_the_stream_is_away_is_found_and_booked_once(world: WireWorld) -> None:
    world.enter()
    entered = world.quantity()
    world.venue.fault("drop_sockets", private_only=True)
    world.venue.set_price(940.0, jump=False)
    trade = closed(world)
    assert (trade.quantity, trade.exit_price, trade.exit_reason) == (entered, D(950), "stop_loss")
    fills = [p for p in payloads(world, "order_fill") if p["leg"] == "stop_loss"]
    assert len(fills) == 1
    world.until(lambda: agrees(world))


@pytest.mark.parametrize("origin", ["adl", "settlement", "liquidation"])
def test_what_the_venue_closes_is_booked_as_its_doing_and_leaves_no_orphan(
    world: WireWorld, origin: str
) -> None:
    """And once, though the venue tells everything twice."""
    world.venue.fault("streams", duplicate=1.0)
    world.enter()
    if origin == "liquidation":
        for each in list(world.venue.account.conditionals.values()):
            world.venue.do(lambda each=each: world.venue.engine.cancel_conditional(each))
        world.venue.set_price(400.0)
    else:
        world.venue.control("POST", "close", {"account": "main", "symbol": SYMBOL, "origin": origin})
    assert closed(world).exit_reason == origin
    world.until(lambda: agrees(world))
    told_of = [payload["trade_id"] for payload in payloads(world, "order_fill")]
    assert len(told_of) == len(set(told_of))
    assert {"entry", origin} <= {payload["leg"] for payload in payloads(world, "order_fill")}


def test_a_stop_whose_level_is_passed_before_it_stands_closes_the_position_at_once(world: WireWorld) -> None:
    """Where the stop comes with the entry it fires instead."""
    world.venue.fault("hold", method="POST", path=world.venue.traits.stop_path, seconds=0.4)
    world.begin()
    world.until(lambda: world.quantity() > 0)
    entered = world.quantity()
    world.venue.set_price(940.0)
    trade = closed(world)
    assert (trade.quantity, trade.exit_reason in ("repair", "stop_loss")) == (entered, True)
    world.until(lambda: agrees(world))


def test_i4_an_entry_whose_answer_was_lost_is_adopted_and_never_sent_again(world: WireWorld) -> None:
    world.venue.fault("drop_after", method="POST", path=world.venue.traits.order_path)
    world.enter()
    [entry] = world.orders(world.run_id)
    assert entry.status is OrderStatus.FILLED
    assert agrees(world)
    sent = [
        each
        for each in world.venue.server.journal.since(0)
        if each.method == "POST" and each.client_id == entry.client_order_id
    ]
    assert [each.created[:1] for each in sent] == [[entry.client_order_id]]


def test_a_commission_in_another_asset_is_booked_at_its_price(world: WireWorld) -> None:
    world.venue.allow("bnb", fees={"asset": "BNB", "asset_price": "500"})
    world.venue.account = world.venue.engine.account("bnb")
    world.enter()
    held = world.held()
    assert held is not None
    [trade] = world.venue.account.trades
    assert trade.fee_asset == "BNB"
    assert held.position.fees == trade.fee * 500 == held.position.entered_value * D("0.0005")


def test_an_account_that_holds_another_symbol_in_hedge_mode_gets_no_one_way_entry(world: WireWorld) -> None:
    """The mode cannot be changed under an open position: the entry is refused by name, and nothing is touched."""
    engine, account = world.venue.engine, world.venue.account
    world.venue.do(lambda: engine.set_hedge(account, True))
    world.venue.foreign(OrderSide.BUY, "1", symbol=OTHER_SYMBOL, position_side=PositionSide.LONG)
    world.begin()
    world.until(lambda: [o for o in world.orders(world.run_id) if o.status is OrderStatus.REJECTED])
    assert account.hedge
    assert world.venue.held() == 0
    assert [p.quantity for p in account.open_positions()] == [D(1)]


def test_nothing_enters_a_symbol_somebody_else_holds(world: WireWorld) -> None:
    world.venue.foreign(OrderSide.BUY, "0.1")
    world.begin()
    world.until(lambda: ("blocked", "drift") in [outcome[1:] for outcome in world.outcomes(world.run_id)])
    assert world.venue.held() == D("0.1")


@pytest.mark.parametrize("venue", ["binance", "bybit"])
def test_what_stands_after_a_flip_is_for_the_position_there_is(venue: str) -> None:
    world = WireWorld(venue, "ud" + "-" * 300, lead_s=20.0)
    try:
        world.begin()
        world.until(lambda: world.quantity() < 0 and world.standing_stop() == D(1050))
        world.until(lambda: agrees(world))
        assert world.venue.stands() == {"stop": D(1050), "take_profit": D(900)}
        assert [trade.exit_reason for trade in world.memory.trades(run_id=world.run_id)] == ["signal"]
        ours = [order.client_order_id for order in world.orders(world.run_id)]
        assert [world.venue.created(each) for each in ours] == [1] * len(ours)
    finally:
        world.close()
