"""Funding: booked once, on its day, into the round trip it belongs to or the next."""

from __future__ import annotations

from decimal import Decimal

import pytest

from core.order import Leg
from core.run import Run
from schema.ops import FillSettled, ObserveFunding, OpRefused
from tests.schema.conformance.test_fills import NO_COOLDOWN
from tests.schema.conformance.world import MINUTE, START, World


def funding(run: Run, amount: str, *, number: int = 1, at: object = START) -> ObserveFunding:
    assert run.account_id is not None
    return ObserveFunding(
        account_id=run.account_id,
        symbol="BTCUSDT",
        run_id=run.id,
        funding_id=f"f-{number}",
        amount=Decimal(amount),
        at=at,  # type: ignore[arg-type]
    )


def test_funding_is_booked_once_on_its_day_and_into_the_round_trip(world: World) -> None:
    """Decision 23."""
    run = world.run()
    fence = world.held(run)
    first, again = world.store.settle([funding(run, "-2.5"), funding(run, "-2.5")])
    assert isinstance(first, FillSettled)
    assert isinstance(again, FillSettled)
    assert (first.duplicate, again.duplicate) == (False, True)
    assert first.account == again.account
    assert first.account.balance == Decimal("9997.5")
    assert world.store.risk(run.user_id).state.day(START).pnl == Decimal("-2.5")
    closed = world.filled(world.committed(run, fence, leg=Leg.EXIT), "101")
    assert closed.round_trip is not None
    assert (closed.round_trip.pnl, closed.round_trip.funding) == (Decimal("-1.5"), Decimal("-2.5"))


def test_funding_of_a_time_when_nothing_was_held_is_nothing(world: World) -> None:
    run = world.run()
    world.trade(run, "1")
    closed = world.now
    world.next_slot()
    world.settle(funding(run, "-2.5", at=closed + MINUTE / 2))
    assert run.account_id is not None
    assert len(world.store.equity(run.account_id)) == 1
    assert isinstance(world.settle(funding(world.run("bob"), "-1")), OpRefused)


def test_funding_told_after_the_position_has_closed_is_booked_on_its_day_and_into_the_next_trade(
    world: World,
) -> None:
    """Venues settle at a slot's boundary, where strategies exit, and tell of it a little later."""
    run = world.run()
    world.store.set_limits(run.user_id, NO_COOLDOWN)
    world.trade(run, "1")
    late = funding(run, "-0.4", at=world.now)
    told = [world.settle(late) for _ in range(2)]
    assert [isinstance(each, FillSettled) and each.duplicate for each in told] == [False, True]
    assert run.account_id is not None
    account = world.store.account(run.account_id)
    assert account is not None
    assert account.balance == Decimal("10000.6")
    assert world.store.risk(run.user_id).state.day(world.now).pnl == Decimal("0.6")
    state = world.store.run_state(run.id)
    assert state is not None
    assert state.position.is_flat
    closed = world.trade(run, "2")
    assert closed.round_trip is not None
    assert (closed.round_trip.funding, closed.round_trip.pnl) == (Decimal("-0.4"), Decimal("1.6"))


@pytest.mark.parametrize(
    ("amount", "at"), [("NaN", START), ("Infinity", START), ("1E+30", START), ("1", START + 60 * MINUTE)]
)
def test_funding_that_cannot_be_enters_nothing(world: World, amount: str, at: object) -> None:
    run = world.run()
    world.held(run)
    result = world.settle(funding(run, amount, at=at))
    assert isinstance(result, OpRefused)
    assert result.impossible
    assert world.event_types(run)[-1] == "error"
