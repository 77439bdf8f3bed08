"""An account with more orders than places: entries are refused by name, orders that close find a place."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from actors.gateway import QUEUE_LIMIT
from actors.messages import SubmitOrder, account_name
from actors.venue_calls import NewsHeard
from core.ids import ClientOrderId, RunId
from core.order import Leg
from core.order_queue import PLACES, RESERVED
from core.run import Direction, RunSettings
from tests.actors.world import World
from tests.strategies import order

LONG_ONLY = RunSettings(direction=Direction.LONG, order_size_pct=Decimal(10))


def flood(world: World, run: RunId, legs: list[Leg]) -> None:
    """Orders that no ledger knows, told to the run's account: they take places until they are re-read."""
    account_id = world.status(run).account_id
    assert account_id is not None
    for number, leg in enumerate(legs):
        made_up = replace(
            order(leg=leg),
            client_order_id=ClientOrderId(f"{leg.value}-{number}"),
            account_id=account_id,
            symbol="ETHUSDT",
        )
        name = account_name(account_id)
        known = name in world.system.names
        world.system.ref(name if known else "gateway").tell(SubmitOrder(order=made_up))
        if not known:
            world.wait(0)


def trades_today(world: World, run: RunId) -> int:
    return world.memory.risk(world.status(run).user_id).state.day(world.clock.now()).trades


def test_an_entry_without_a_place_is_not_placed_and_its_tick_says_why() -> None:
    """Nothing was sent, nothing stays reserved, and no further attempt adds to what there is too much of."""
    world = World("u--")
    run = world.run()
    world.to(world.slot(0) - world.timeframe.delta / 4)
    world.store.down.add("account")
    flood(world, run, [Leg.ENTRY] * (PLACES - RESERVED))
    world.to_slot(0, plus_s=20)
    [refused] = world.orders(run)
    assert (refused.status, refused.reason, refused.reserved) == ("not_placed", "queue_full", False)
    assert world.tick(run, 0) == ("blocked", "queue_full")
    assert trades_today(world, run) == 0
    world.store.down.clear()
    world.wait(20)
    assert world.placed() == []
    assert world.status(run).adapter_errors == 0


@pytest.mark.parametrize("waiting", [QUEUE_LIMIT - RESERVED, QUEUE_LIMIT - 1, QUEUE_LIMIT])
def test_an_exit_finds_a_place_whatever_its_account_has_waiting(waiting: int) -> None:
    world = World("ud--")
    run = world.run(settings=LONG_ONLY)
    world.to_slot(0, plus_s=20)
    world.store.before["settle"] = lambda: flood(world, run, [Leg.ENTRY] * waiting)
    world.to_slot(1, plus_s=0.5)
    assert world.legs(run) == [(Leg.ENTRY, 1, "filled"), (Leg.EXIT, 1, "filled")]
    assert world.position(run).is_flat


@pytest.mark.parametrize(
    ("waiting", "leg", "taken"),
    [
        (QUEUE_LIMIT - RESERVED - 1, Leg.ENTRY, True),
        (QUEUE_LIMIT - RESERVED, Leg.ENTRY, False),
        (QUEUE_LIMIT - 1, Leg.EXIT, True),
        (QUEUE_LIMIT, Leg.EXIT, True),
        (QUEUE_LIMIT, Leg.REPAIR, True),
        (QUEUE_LIMIT, Leg.FLATTEN, True),
    ],
)
def test_mail_that_waits_leaves_room_for_orders_that_close(waiting: int, leg: Leg, taken: bool) -> None:
    """Whatever the mail is about: what closes goes ahead of it where the mailbox is full."""
    world = World("u--")
    run = world.run()
    world.to_slot(0, plus_s=20)
    account_id = world.status(run).account_id
    assert account_id is not None
    asked_for = replace(order(leg=leg), account_id=account_id, symbol="ETHUSDT")
    world.system.ref("gateway").tell(SubmitOrder(order=asked_for))
    for _ in range(waiting):
        world.system.ref(account_name(account_id)).tell(NewsHeard())
    world.wait(1)
    asked = [call[0][0] for name, call in world.calls if name == "store.may_send"]
    assert (asked[-1] == [(asked_for.client_order_id, asked_for.fence)]) is taken


def test_an_order_the_gateway_has_no_room_for_is_not_placed_and_its_tick_hears_of_it() -> None:
    world = World("u--")
    run = world.run()
    world.to(world.slot(0) - world.timeframe.delta / 4)
    world.system.ref("gateway").actor_inbox.capacity = 0
    world.to_slot(0, plus_s=20)
    assert world.placed() == []
    assert world.tick(run, 0) == ("blocked", "queue_full")
    assert trades_today(world, run) == 0
