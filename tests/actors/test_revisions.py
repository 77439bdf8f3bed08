"""Versions of a strategy reach its runs at their next slot; cancelled runs end; MANUAL runs wait to be asked."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from actors.messages import RowsChanged, TickRequested
from core.ids import RunId, UserId
from core.run import ExecutionMode, RunCommand, RunSettings, RunStatus
from core.timeframe import Timeframe
from schema.desk import CancelRun, ReviseStrategy
from tests.actors.world import World

RSI: dict[str, Any] = {"template": "rsi_oversold_overbought", "parameters": {"rsi_period": 14}}
"""Needs more candles than there are: what it decides is told apart from what `sma_trend` decides."""
RSI_TICK = ("skipped", "too_few_candles")


def revise(world: World, run: RunId, **fields: Any) -> None:
    strategy = world.status(run).strategy
    world.memory.arrange(ReviseStrategy(definition=replace(strategy, version=strategy.version + 1, **fields)))


def test_settings_that_no_hint_told_of_rule_the_next_slot_of_every_run() -> None:
    """The claim tells of the newer row; I20: one evaluation of the new version for all its runs."""
    world = World("uuu")
    strategy = world.strategy()
    runs = [world.run(user, strategy=strategy) for user in ("ann", "bob", "eve")]
    world.to_slot(0)
    done = []
    world.store.before["claim"] = lambda: done or done.append(revise(world, runs[0], **RSI))
    world.to_slot(1)
    assert [world.tick(run, 0) for run in runs] == [("ok", None)] * 3
    assert [world.tick(run, 1) for run in runs] == [RSI_TICK] * 3
    assert world.evaluations().count(world.slot(0)) == 1
    assert world.evaluations().count(world.slot(1)) <= 2  # of the version before, and of this one


def test_settings_changed_between_claim_and_boundary_rule_that_slot() -> None:
    world = World("uuu")
    run = world.run()
    world.to(world.slot(0) - timedelta(seconds=1))
    revise(world, run, **RSI)
    world.system.ref("runs").tell(RowsChanged())
    world.to_slot(0)
    assert world.tick(run, 0) == RSI_TICK
    assert world.orders(run) == []


def test_a_slot_that_is_no_close_of_the_new_timeframe_is_skipped() -> None:
    world = World("uuu")
    run = world.run()
    world.to(world.slot(0) - timedelta(seconds=1))
    revise(world, run, timeframe=Timeframe.M5)
    world.system.ref("runs").tell(RowsChanged())
    world.to_slot(0)
    assert world.tick(run, 0) == ("skipped", "settings_changed")


def test_an_order_says_what_every_gate_said_of_it() -> None:
    """\"Why did it trade\" is one row: signal, indicators, the verdict of each gate."""
    world = World("ud")
    run = world.run()
    world.to_slot(1)
    entry = world.memory.tables.whys[world.orders(run)[0].client_order_id]
    gates = ("kill_switch", "paused", "daily_loss", "consecutive_losses", "max_trades", "cooldown")
    assert entry["gates"] == dict.fromkeys(gates, "open")
    assert (entry["signal"], entry["gate"], entry["source"]) == ("long", "open", "timer")
    assert entry["indicators"]


def test_orders_of_an_operators_tick_carry_its_request_and_those_of_a_slot_none() -> None:
    """From the request to the order and what is said of it; what a gate refuses says it too."""
    world = World("uud")
    run = world.run(active=False, execution_mode=ExecutionMode.MANUAL)
    slots = world.run()
    world.memory.command(run, RunCommand.DEPLOY, by="ann")
    world.to_slot(0)
    scheduler = world.system.ref("scheduler")
    scheduler.tell(TickRequested(run_id=run, slot=world.slot(0), request_id="case-17"))
    world.to_slot(2)

    def said(of: RunId, type: str) -> list[object]:
        return [
            event.payload.get("request_id") for event in world.memory.events(run_id=of) if event.type == type
        ]

    [entry] = world.orders(run)
    assert world.memory.tables.whys[entry.client_order_id]["request_id"] == "case-17"
    assert said(run, "order_submit") == ["case-17"]
    assert said(slots, "order_submit") == [None] * len(world.orders(slots))
    assert world.orders(slots)
    assert "request_id" not in world.memory.tables.whys[world.orders(slots)[0].client_order_id]


def test_a_manual_run_ticks_when_it_is_asked_to_and_has_missed_nothing() -> None:
    world = World("uuuuu")
    run = world.run(active=False, execution_mode=ExecutionMode.MANUAL)
    world.memory.command(run, RunCommand.DEPLOY, by="ann")
    for index in (0, 3):
        world.to_slot(index)
        world.system.ref("scheduler").tell(TickRequested(run_id=run, slot=world.slot(index)))
    world.to_slot(4)
    assert [index for index, _, _ in world.outcomes(run)] == [0, 3]


def test_a_cancelled_run_is_archived_when_its_position_is_closed() -> None:
    """Its stop is followed on; nothing is entered any more."""
    world = World("uuudddddd")
    run = world.run(settings=RunSettings(order_size_pct=Decimal(10), stop_loss_pct=Decimal(1)))
    world.to_slot(1)
    assert not world.position(run).is_flat
    world.memory.arrange(CancelRun(run_id=run, by=UserId("ann")))
    world.system.ref("runs").tell(RowsChanged())
    world.to_slot(2)
    assert world.status(run).status is RunStatus.STOPPED
    world.play()
    assert world.position(run).is_flat
    assert world.status(run).status is RunStatus.ARCHIVED
    assert [event.type for event in world.events(run)][-1] == "run.status"
    assert len({order.slot for order in world.placed()}) == 1
