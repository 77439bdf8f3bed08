"""A live account hears of every move of its positions, whatever is lost or overtaken on the way."""

from __future__ import annotations

from decimal import Decimal

import pytest

from actors.live.news import PositionSettled
from actors.messages import account_name
from core.order import Leg
from core.position import Position
from core.protection import Protection
from core.run import MissingStop
from exchanges.errors import Refusal, Rejected
from schema.records import OpenPosition
from tests.actors.candles import SYMBOL
from tests.actors.live.world import LiveWorld


@pytest.mark.parametrize("lost", [1, 2, 3])
@pytest.mark.parametrize("seed", [None, 1, 2])
def test_a_fill_whose_booking_was_answered_to_nobody_is_protected_all_the_same(
    seed: int | None, lost: int
) -> None:
    """The booking is told again and found to be there; the account had not heard of it."""
    world = LiveWorld("u---", seed=seed)
    run = world.live_run(stop_loss_pct=Decimal(5))
    world.store.before["may_send"] = lambda: world.store.lost_answers.extend(["settle"] * lost)
    world.to_slot(0, plus_s=12)
    [held] = world.memory.open_positions(account_id=world.live_account.id)
    assert held.standing_stop is not None
    assert len(world.events(run, "order_fill")) == 1


def test_rows_read_before_a_position_closed_do_not_bring_it_back() -> None:
    world = LiveWorld("u---")
    run = world.live_run(stop_loss_pct=Decimal(5))
    world.to_slot(0, plus_s=5)
    account = world.live_account
    flat = PositionSettled(run, account.user_id, SYMBOL, Position(), Protection())
    # After the rows were read, before they arrive.
    world.store.before["open_orders"] = lambda: world.system.ref(account_name(account.id)).tell(flat)
    asked = len(world.venue.asked("protect"))
    world.gap()
    world.wait(1)
    assert world.venue.asked("protect")[asked:] == [Protection()]


def test_a_close_of_what_others_have_closed_ends() -> None:
    """A process that stood still knows of a position that is gone; it must not try to close it for ever."""
    world = LiveWorld("u---")
    run = world.live_run(stop_loss_pct=Decimal(5), missing_stop=MissingStop.CLOSE)
    world.fail("protect", *[Rejected(Refusal.WOULD_TRIGGER, "passed")] * 50)
    held: list[OpenPosition] = []
    world.store.before["acquire"] = lambda: held.extend(world.memory.open_positions())
    world.to_slot(0, plus_s=20)
    assert [order.leg for order in world.orders(run)] == [Leg.ENTRY, Leg.REPAIR]
    wanted = Protection(stop_loss=Decimal(1))
    stale = PositionSettled(run, world.live_account.user_id, SYMBOL, held[0].position, wanted)
    world.system.ref(account_name(world.live_account.id)).tell(stale)

    def tried() -> int:
        return sum(what == "store.acquire" for what, _ in world.calls)

    before = tried()
    world.wait(10)
    assert tried() > before
    before = tried()
    world.wait(30)
    assert tried() == before
    assert [order.leg for order in world.orders(run)] == [Leg.ENTRY, Leg.REPAIR]
