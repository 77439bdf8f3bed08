"""S20: the third adapter error in a row pauses a run; what counts as one, and what sets the count back."""

from __future__ import annotations

import pytest

from actors.messages import RowsChanged
from core.run import RunCommand
from tests.actors.world import World

# Each slot asks for a flip, so every tick that is not refused calls the venue.
PATH = "ududududu-"


def world_of(script: str) -> tuple[World, object]:
    world = World(PATH)
    return world, world.run()


def test_s20_error_error_ok_error_error_leaves_it_active_and_the_next_error_pauses_it() -> None:
    world = World("uuu" + PATH)
    run = world.run()
    world.venue_script.extend(["rejected", "rejected", "ok"])
    world.to_slot(1)
    assert world.status(run).adapter_errors == 2
    world.to_slot(2)
    assert (world.status(run).adapter_errors, world.status(run).status) == (0, "active")
    # From here every slot exits and enters: the exits go well, the entries are rejected.
    world.to_slot(3)
    world.venue_script.extend(["ok", "rejected"])
    world.to_slot(4)
    world.venue_script.extend(["rejected"])
    world.to_slot(5)
    assert (world.status(run).adapter_errors, world.status(run).status) == (2, "active")
    world.venue_script.extend(["rejected"])
    world.to_slot(6)
    assert world.status(run).status == "auto_paused"
    [paused] = [e for e in world.events(run, "run.status") if e.payload["status"] == "auto_paused"]
    assert len(paused.payload["causes"]) == 3
    calls = len(world.placed())
    world.to_slot(8)
    assert len(world.placed()) == calls, "a paused run does not touch the venue"
    assert world.tick(run, 8) is None
    world.memory.command(run, RunCommand.RESUME, by="ann")
    world.system.ref("runs").tell(RowsChanged())
    world.wait(1)
    assert (world.status(run).adapter_errors, world.status(run).status) == (0, "active")
    world.to_slot(9)
    assert len(world.placed()) > calls


@pytest.mark.parametrize(
    ("outcome", "counted"),
    [("rejected", 1), ("lost", 1), ("refused", 1), ("limited", 0), ("ok", 0)],
)
def test_what_counts_as_an_adapter_error(outcome: str, counted: int) -> None:
    world = World("u--")
    run = world.run()
    world.venue_script.extend([outcome] * 5)
    world.to_slot(0, plus_s=45)
    assert world.status(run).adapter_errors == counted, "at most one per tick"


def test_a_tick_without_venue_calls_leaves_the_count_unchanged() -> None:
    world = World("uudd-")
    run = world.run()
    world.venue_script.extend(["rejected", "rejected"])
    world.to_slot(1)
    assert world.status(run).adapter_errors == 2
    world.memory.set_kill_switch(on=True, reason="drill")
    world.to_slot(2, plus_s=20)
    assert world.tick(run, 2) == ("blocked", "kill_switch")
    assert world.status(run).adapter_errors == 2


def test_an_order_the_switch_stopped_before_the_venue_heard_of_it_is_no_good_call() -> None:
    world = World("uuu-")
    run = world.run()
    world.venue_script.append("rejected")
    world.to_slot(0)
    world.store.before["may_send"] = lambda: world.memory.set_kill_switch(on=True, reason="drill")
    world.to_slot(1, plus_s=20)
    assert world.tick(run, 1) == ("blocked", "kill_switch")
    assert len(world.placed()) == 1
    assert world.status(run).adapter_errors == 1


def test_a_strategy_that_cannot_be_evaluated_ends_in_error_and_harms_no_other() -> None:
    world = World("uu-")
    broken, sound = world.run("ann", strategy=world.strategy(period=-1)), world.run("bob")
    world.to_slot(1)
    assert world.status(broken).status == "error"
    assert world.tick(sound, 1) == ("ok", "already_open")
