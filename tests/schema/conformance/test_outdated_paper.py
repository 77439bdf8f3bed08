"""What a process says that was away while another one traded on a paper account: the rows are its truth."""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from core.order import Leg, NotPlaced
from core.risk import RiskLimits
from schema.ops import ENDED_BY_RESTART, ObserveOrder, OpRefused
from tests.schema.conformance.world import World

NO_COOLDOWN = RiskLimits(cooldown_after_trade_s=Decimal(0))


def test_a_paper_stop_of_a_position_that_is_gone_books_nothing(world: World) -> None:
    """I7: a process that was away still holds the position another one has closed, or closed and opened again."""
    run = world.run()
    world.store.set_limits(run.user_id, NO_COOLDOWN)
    fence = world.held(run)
    opened_at = world.store.open_positions()[0].position.opened_at
    closing = world.committed(run, fence, leg=Leg.EXIT)
    stop = replace(
        world.fill(closing, "90", trade_id="stop"),
        client_order_id=None,
        run_id=run.id,
        venue_leg=Leg.STOP_LOSS,
        opened_at=opened_at,
    )
    world.filled(closing, "110")
    world.report(run, fence)
    refused = world.settle(stop)
    assert isinstance(refused, OpRefused)
    assert refused.stale
    world.held(run)
    events = len(world.store.events(limit=1_000))
    assert world.settle(stop) == refused
    assert [held.position.quantity for held in world.store.open_positions()] == [1]
    assert len(world.store.events(limit=1_000)) == events


def test_a_paper_fill_of_an_order_that_a_restart_ended_books_nothing(world: World) -> None:
    """Decision 28: what a rebuilt account ended was not placed, whatever an earlier copy of it says."""
    run = world.run()
    world.next_slot()
    order = world.committed(run, world.claim(run).fence)
    world.settle(ObserveOrder(client_order_id=order.client_order_id, event=NotPlaced(ENDED_BY_RESTART)))
    refused = world.settle(world.fill(order, "100"))
    assert isinstance(refused, OpRefused)
    assert refused.stale
    assert world.store.open_positions() == []
