"""A live account hears of every move of its positions, whatever is lost or overtaken on the way."""

from __future__ import annotations

from decimal import Decimal

import pytest

from actors.live.news import PositionSettled
from actors.messages import account_name
from core.position import Position
from core.protection import Protection
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
