"""Market time, kill switches, nodes and the event log."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from core.errors import RunnerError
from core.ids import AccountId, NodeId
from core.risk import RiskLimits
from core.run import RunCommand
from tests.schema.conformance.world import MINUTE, START, World

LATER = START + timedelta(days=3)


def test_market_time_of_a_demo_starts_where_it_was_told_and_stands_at_its_ceiling(fresh: World) -> None:
    fresh.store.mark_demo(start=LATER, rate=0.0)
    settings = fresh.store.set_clock(at=LATER + MINUTE, rate=1_000_000.0, ceiling=LATER + 2 * MINUTE)
    assert (settings.demo, settings.ceiling, settings.rate) == (True, LATER + 2 * MINUTE, 1_000_000.0)
    assert settings.anchor_market >= LATER + MINUTE
    assert fresh.store.platform().demo
    fresh.store.command(fresh.run().id, RunCommand.PAUSE, by="ann")
    [event] = fresh.store.events()
    assert LATER + MINUTE <= event.at <= LATER + 2 * MINUTE


def test_marking_a_demo_twice_changes_nothing(fresh: World) -> None:
    fresh.store.mark_demo(start=LATER, rate=60.0)
    again = fresh.store.mark_demo(start=START, rate=1.0)
    assert (again.anchor_market, again.rate) == (LATER, 60.0)


def test_a_database_with_runs_that_is_no_demo_never_becomes_one(fresh: World) -> None:
    fresh.run()
    with pytest.raises(RunnerError):
        fresh.store.mark_demo(start=LATER, rate=60.0)
    assert not fresh.store.clock().demo


def test_market_time_of_production_cannot_be_set(fresh: World) -> None:
    with pytest.raises(RunnerError):
        fresh.store.set_clock(at=LATER)
    with pytest.raises(RunnerError):
        fresh.store.set_clock(rate=2.0)


def test_market_time_never_goes_back(fresh: World) -> None:
    fresh.store.mark_demo(start=LATER, rate=0.0)
    for earlier in ({"at": START}, {"ceiling": START}, {"at": START, "ceiling": START, "rate": 0.0}):
        fresh.store.set_clock(**earlier)  # type: ignore[arg-type]
        assert fresh.store.clock().anchor_market >= LATER
    run = fresh.run()
    assert fresh.store.command(run.id, RunCommand.STOP, by="ann").status == "stopped"
    [event] = fresh.store.events(run_id=run.id)
    assert event.at >= LATER


def test_a_rate_stays_unless_given_and_a_ceiling_does_not(fresh: World) -> None:
    fresh.store.mark_demo(start=LATER, rate=0.0)
    fresh.store.set_clock(rate=60.0, ceiling=LATER)
    settings = fresh.store.set_clock(at=LATER)
    assert (settings.rate, settings.ceiling) == (60.0, None)


@pytest.mark.parametrize("rate", [-1.0, float("inf"), float("nan")])
def test_a_rate_that_cannot_be_is_refused(fresh: World, rate: float) -> None:
    fresh.store.mark_demo(start=LATER, rate=1.0)
    with pytest.raises(RunnerError):
        fresh.store.set_clock(rate=rate)
    assert fresh.store.clock().rate == 1.0


def test_i8_a_switch_is_an_event_and_the_same_state_is_none(world: World) -> None:
    run = world.run()
    for on in (True, True, False, False):
        world.store.set_kill_switch(on=on, reason="drill")
        assert world.store.platform().kill_switch is on
        world.store.set_kill_switch(on=on, reason="drill", account_id=run.account_id)
    assert run.account_id is not None
    account = world.store.account(run.account_id)
    assert account is not None
    assert not account.kill_switch
    events = world.store.events()
    actions = [event.payload["action"] for event in events if event.user_id == run.user_id]
    assert actions == ["kill_switch_on", "kill_switch_off"]
    assert len(events) == 4
    assert world.store.claim([run.id], slot=START, owner="node-1", ttl_s=60.0)[0].kill_switch is False


def test_i8_the_switch_says_why(world: World) -> None:
    world.store.set_kill_switch(on=True, reason="flood")
    assert world.store.platform().kill_switch_reason == "flood"
    with pytest.raises(RunnerError):
        world.store.set_kill_switch(on=True, reason="drill", account_id=AccountId(world.id()))


def test_nodes_that_beat_are_seen_until_they_leave(world: World) -> None:
    world.store.beat(NodeId("b"), "0.1.0")
    assert [node.id for node in world.store.beat(NodeId("a"), "0.1.1")] == ["a", "b"]
    world.store.leave(NodeId("b"))
    [node] = world.store.beat(NodeId("a"), "0.1.2")
    assert (node.id, node.version) == ("a", "0.1.2")


def test_i11_events_are_numbered_without_gap_per_run_and_per_user(world: World) -> None:
    ann, bob = world.run("ann"), world.run("bob")
    generous = RiskLimits(cooldown_after_trade_s=Decimal(0), max_consecutive_losses=1)
    for run in (ann, bob):
        world.store.set_limits(run.user_id, generous)
        world.trade(run, "3")
        world.trade(run, "-3")
        world.next_slot()
        world.refused(run, world.claim(run).fence)
        world.refused(run, 0)
        world.settle(world.intent(run, 0, quantity="0"))
    for run in (ann, bob):
        sequence = [event.seq for event in world.store.events(run_id=run.id)]
        assert sequence == list(range(1, len(sequence) + 1))
        assert len(sequence) == 15
        wide = [event for event in world.store.events(user_id=run.user_id) if event.run_id is None]
        assert [event.seq for event in wide] == [1]


def test_i11_an_operation_that_was_rolled_back_leaves_no_number_behind(world: World) -> None:
    run = world.run()
    fence = world.held(run)
    before = len(world.store.events(run_id=run.id))
    world.settle(world.intent(run, fence, quantity="-1"))
    world.store.command(run.id, RunCommand.PAUSE, by="ann")
    assert [event.seq for event in world.store.events(run_id=run.id)][-1] == before + 1


def test_i12_events_are_read_in_order_and_only_ones_own(world: World) -> None:
    ann, bob = world.run("ann"), world.run("bob")
    for run in (ann, bob, ann):
        world.store.command(run.id, RunCommand.PAUSE, by="drill")
        world.store.command(run.id, RunCommand.RESUME, by="drill")
    every = world.store.events()
    assert [event.id for event in every] == sorted({event.id for event in every})
    assert {event.user_id for event in world.store.events(user_id=ann.user_id)} == {"ann"}
    assert world.store.events(after_id=every[2].id) == every[3:]
    assert world.store.events(limit=2) == every[:2]
    assert world.store.events(limit=2, newest=True) == every[-2:]
    assert world.store.events(after_id=every[-1].id) == []
    assert world.store.events(run_id=bob.id, user_id=ann.user_id) == []
