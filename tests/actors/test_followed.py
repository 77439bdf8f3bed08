"""Which candles an account hears of: live each of them, in a replay those that can change something."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from core.run import Direction, RunSettings
from exchanges.feeds.base import FundingRate
from tests.actors.candles import SYMBOL
from tests.actors.world import World

START = datetime(2026, 3, 10, 7, 57, tzinfo=UTC)
RATES = [FundingRate(at=datetime(2026, 3, 10, 8, 0, 0, 4_000, tzinfo=UTC), rate=Decimal("0.001"))]
STOP = RunSettings(direction=Direction.LONG, order_size_pct=Decimal(10), stop_loss_pct=Decimal(1))


def heard(world: World) -> list[int]:
    """Candles by index."""
    step = world.timeframe.delta
    closes = [at for what, at in world.calls if what == "venue.apply_candle"]
    return [(close - world.first_open) // step - 1 for close in closes]


@pytest.mark.parametrize(
    ("replayed", "indices"), [(False, [1, 2, 3, 4, 5]), (True, [2, 5])], ids=["live", "replay"]
)
def test_a_replay_tells_an_account_of_funding_and_of_what_touches_its_position(
    replayed: bool, indices: list[int]
) -> None:
    world = World(
        "u-------", start=START, wicks={5: (980.0, 1012.0)}, funding={SYMBOL: RATES}, replayed=replayed
    )
    run = world.run(settings=STOP)
    world.play()
    assert heard(world) == indices
    [trade] = world.memory.trades(run_id=run)
    assert trade.exit_reason == "stop_loss"
    assert trade.funding < 0


def test_a_signal_waits_for_no_candle_that_changes_nothing() -> None:
    world = World("uuuud--", replayed=True)
    run = world.run(settings=STOP)
    world.to_slot(4)
    assert heard(world) == []
    assert [world.tick(run, index) for index in (2, 3)] == [("ok", "already_open")] * 2
    assert world.position(run).is_flat
    assert world.tick(run, 4) == ("ok", None)


def test_a_signal_meets_what_its_closing_candle_did_before() -> None:
    """The candle that closes at the slot has ended the position: the signal enters anew."""
    world = World("uuuu---", wicks={2: (980.0, 1030.0)}, replayed=True)
    run = world.run(settings=STOP)
    world.to_slot(2)
    assert heard(world) == [2]
    assert world.tick(run, 2) == ("ok", None)
    assert len(world.memory.trades(run_id=run)) == 1
    assert not world.position(run).is_flat
