"""Trailing stops over real wires at both venues' stand-ins, and what a run says of a stop that is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest

from core.order import Leg
from core.run import MissingStop
from tests.actors.live_wire.world import WireWorld

D = Decimal
VENUES = pytest.mark.parametrize("venue", ["binance", "bybit"])
TRAILED = {"stop_loss_pct": None, "take_profit_pct": None, "trailing_callback_pct": D(1)}
REFUSAL = {
    "binance": {"status": 400, "body": '{"code": -2010, "msg": "refused by the drill"}'},
    "bybit": {"status": 200, "body": '{"retCode": 110007, "retMsg": "refused by the drill", "result": {}}'},
}


@contextmanager
def trading(venue: str, **settings: Any) -> Iterator[WireWorld]:
    world = WireWorld(venue, **settings)
    try:
        yield world
    finally:
        world.close()


def trails(world: WireWorld) -> bool:
    held = world.held()
    return held is not None and held.standing_trail is not None


@VENUES
def test_a_trailing_stop_that_fires_while_the_stream_is_away_is_booked_once_by_its_own_name(
    venue: str,
) -> None:
    with trading(venue, **{**TRAILED, "stop_loss_pct": D(5)}) as world:
        world.begin()
        world.until(lambda: trails(world) and world.is_streaming())
        entered = world.quantity()
        assert set(world.venue.stands()) == {"stop", "trailing"}
        world.venue.set_price(1030.0, jump=False)
        world.venue.fault("drop_sockets", private_only=True)
        world.venue.set_price(1010.0, jump=False)
        world.until(lambda: world.memory.trades(run_id=world.run_id))
        trade = world.memory.trades(run_id=world.run_id)[-1]
        assert (trade.quantity, trade.exit_reason) == (entered, "trailing_stop")
        # 1 % behind 1030; at Bybit the distance of the activation, 1 % of 1000.
        assert trade.exit_price == (D("1019.7") if venue == "binance" else D(1020))
        fills = [event.payload for event in world.events(world.run_id, "order_fill")]
        assert len([fill for fill in fills if fill["leg"] == "trailing_stop"]) == 1


@VENUES
@pytest.mark.parametrize("policy", MissingStop)
def test_a_stop_the_venue_refuses_is_tried_again_or_its_position_closed_as_the_run_says(
    venue: str, policy: MissingStop
) -> None:
    with trading(venue, **TRAILED, missing_stop=policy) as world:
        path = world.venue.traits.stop_path
        world.venue.fault("instead", method="POST", path=path, times=1, **REFUSAL[venue])
        world.begin()
        if policy is MissingStop.REPAIR:
            world.until(lambda: trails(world))
            assert set(world.venue.stands()) == {"trailing"}
            assert {order.leg for order in world.orders(world.run_id)} == {Leg.ENTRY}
            return
        world.until(lambda: world.memory.trades(run_id=world.run_id))
        trade = world.memory.trades(run_id=world.run_id)[-1]
        assert trade.exit_reason == "repair"
        assert [order.leg for order in world.orders(world.run_id)][:2] == [Leg.ENTRY, Leg.REPAIR]
