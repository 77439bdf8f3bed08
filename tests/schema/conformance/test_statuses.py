"""Status moves, the adapter-error counter, and who may trade what where."""

from __future__ import annotations

import pytest

from core.errors import Conflict, IllegalTransition, RunnerError
from core.ids import RunId
from core.order import Leg
from core.run import Run, RunCommand, RunStatus, transition
from schema.records import Event
from tests.schema.conformance.world import MINUTE, START, World


def status_events(world: World, run: Run) -> list[Event]:
    return [event for event in world.store.events(run_id=run.id) if event.type == "run.status"]


def fail(world: World, run: Run, minutes: int, kind: str = "timeout") -> Run:
    return world.store.adapter_failed(run.id, slot=START + minutes * MINUTE, kind=kind, detail="no answer")


@pytest.mark.parametrize("status", RunStatus)
def test_a_command_moves_the_row_as_the_table_says_or_not_at_all(world: World, status: RunStatus) -> None:
    """I11: a move has one event; the same state has none; a refusal (409) leaves the row as it was."""
    for command in RunCommand:
        run = world.run(status=status)
        try:
            expected = transition(run, command)
        except IllegalTransition:
            with pytest.raises(IllegalTransition):
                world.store.command(run.id, command, by="ann")
            assert world.store.run(run.id) == run
            assert status_events(world, run) == []
            continue
        moved = world.store.command(run.id, command, by="ann", reason="drill")
        assert moved == world.store.run(run.id)
        assert moved.status is expected.status
        assert (moved.version > run.version) is expected.changed
        events = status_events(world, run)
        assert len(events) == expected.changed
        for event in events:
            assert (event.payload["status"], event.payload["before"]) == (moved.status, status)
            assert (event.payload["by"], event.payload["reason"]) == ("ann", "drill")
            assert moved.status_reason == "drill"


def test_the_same_command_twice_is_one_event(world: World) -> None:
    run = world.run()
    paused = world.store.command(run.id, RunCommand.PAUSE, by="ann")
    assert world.store.command(run.id, RunCommand.PAUSE, by="ann") == paused
    assert len(status_events(world, run)) == 1


def test_starting_remembers_when_and_clears_the_counter(world: World) -> None:
    run = world.run()
    for minute in range(3):
        fail(world, run, minute)
    world.next_slot()
    started = world.store.command(run.id, RunCommand.RESUME, by="ann")
    assert (started.status, started.adapter_errors, started.activated_at) == (
        RunStatus.ACTIVE,
        0,
        world.now,
    )


def test_a_run_with_a_position_or_an_open_order_is_not_archived(world: World) -> None:
    run = world.run()
    fence = world.held(run)
    order = world.committed(run, fence, leg=Leg.FLATTEN)
    world.store.command(run.id, RunCommand.STOP, by="ann")
    with pytest.raises(IllegalTransition):
        world.store.command(run.id, RunCommand.ARCHIVE, by="ann")
    world.filled(order, "100")
    assert world.store.command(run.id, RunCommand.ARCHIVE, by="ann").status is RunStatus.ARCHIVED


def test_an_unknown_run_is_an_error(world: World) -> None:
    with pytest.raises(RunnerError):
        world.store.command(RunId(world.id()), RunCommand.PAUSE, by="ann")
    assert world.store.run(RunId(world.id())) is None
    assert world.store.run_state(RunId(world.id())) is None


def test_i11_the_third_adapter_error_and_the_pause_commit_together(world: World) -> None:
    run = world.run()
    kinds = ("timeout", "connection", "http_503")
    counted = [fail(world, run, minute, kind) for minute, kind in enumerate(kinds)]
    assert [each.adapter_errors for each in counted] == [1, 2, 3]
    assert [each.status for each in counted] == ["active", "active", "auto_paused"]
    assert world.store.run(run.id) == counted[-1]
    assert world.event_types(run) == ["error", "error", "error", "run.status"]
    [event] = status_events(world, run)
    assert event.payload["status"] == "auto_paused"
    assert [cause["kind"] for cause in event.payload["causes"]] == list(reversed(kinds))


def test_one_slot_counts_at_most_one_adapter_error(world: World) -> None:
    run = world.run()
    for _ in range(3):
        assert fail(world, run, 0).adapter_errors == 1
    assert world.event_types(run) == ["error"]


def test_a_good_tick_clears_the_counter(world: World) -> None:
    run = world.run()
    fail(world, run, 0)
    fail(world, run, 1)
    assert world.store.adapter_recovered(run.id).adapter_errors == 0
    assert [fail(world, run, minute).status for minute in (2, 3, 4)] == ["active", "active", "auto_paused"]


def test_a_late_good_tick_does_not_clear_what_paused_the_run(world: World) -> None:
    run = world.run()
    for minute in range(3):
        fail(world, run, minute)
    assert world.store.adapter_recovered(run.id).adapter_errors == 3


def test_an_adapter_error_of_a_run_that_is_not_active_pauses_nothing(world: World) -> None:
    run = world.run()
    world.store.command(run.id, RunCommand.STOP, by="ann")
    assert [fail(world, run, minute).status for minute in range(4)] == ["stopped"] * 4


def test_one_unarchived_run_per_account_and_symbol(world: World) -> None:
    """Decision 13."""
    account = world.account()
    run = world.run(account=account)
    with pytest.raises(Conflict):
        world.run(account=account, status=RunStatus.DRAFT)
    world.run(account=account, symbol="ETHUSDT")
    world.run(account=world.account())
    world.store.command(run.id, RunCommand.STOP, by="ann")
    with pytest.raises(Conflict):
        world.run(account=account)
    world.store.command(run.id, RunCommand.ARCHIVE, by="ann")
    world.run(account=account)


def test_i12_a_run_cannot_trade_with_another_users_account(world: World) -> None:
    account = world.account("ann")
    with pytest.raises(RunnerError):
        world.run("bob", account=account)


def test_runs_are_found_by_status_and_user(world: World) -> None:
    active, paused = world.run("ann"), world.run("bob", status=RunStatus.PAUSED)
    assert {run.id for run in world.store.runs()} == {active.id, paused.id}
    assert world.store.runs(statuses=[RunStatus.ACTIVE]) == [active]
    assert world.store.runs(user_id=paused.user_id) == [paused]
    assert world.store.runs(statuses=[RunStatus.ACTIVE], user_id=paused.user_id) == []
    assert world.store.strategy(active.strategy.id) == active.strategy
    assert active.account_id is not None
    account = world.store.account(active.account_id)
    assert account is not None
    assert account.user_id == "ann"


def test_what_many_actors_begin_with_is_what_each_would_have_read(world: World) -> None:
    runs = [world.run("ann"), world.run("bob"), world.run("bob", status=RunStatus.PAUSED)]
    order = world.committed(runs[1], world.claim(runs[1]).fence)
    starts = world.store.run_starts([runs[2].id, RunId(world.id()), runs[0].id, runs[1].id], recent=1)
    assert [start.state.run.id for start in starts] == [runs[2].id, runs[0].id, runs[1].id]
    for start in starts:
        run = start.state.run
        assert start.state == world.store.run_state(run.id)
        assert run.account_id is not None
        assert start.account == world.store.account(run.account_id)
        assert list(start.recent) == world.store.orders(run_id=run.id, limit=1)
    assert starts[2].recent == starts[2].state.open_orders == (order,)
    assert world.store.run_starts([], recent=1) == []


def test_who_goes_on_from_a_mark_is_told_of_what_changed_and_of_nothing_else(world: World) -> None:
    active, paused = world.run("ann"), world.run("bob", status=RunStatus.PAUSED)
    read = world.store.runs_since(None, statuses=[RunStatus.ACTIVE])
    assert [run.id for run in read.runs] == [active.id]
    read = world.store.runs_since(read.mark, statuses=[RunStatus.ACTIVE])
    assert read.runs == []
    fence = world.claim(active).fence
    world.filled(world.committed(active, fence), "100")
    world.report(active, fence, world.slot)
    read = world.store.runs_since(read.mark, statuses=[RunStatus.ACTIVE])
    assert read.runs == [], "its ticks and fills do not change a run"
    stopped = world.store.command(paused.id, RunCommand.STOP, by="bob")
    came = world.run("cid")
    read = world.store.runs_since(read.mark, statuses=[RunStatus.ACTIVE])
    assert {run.id: run.status for run in read.runs} == {
        stopped.id: RunStatus.STOPPED,
        came.id: RunStatus.ACTIVE,
    }
    assert world.store.runs_since(read.mark, statuses=[RunStatus.ACTIVE]).runs == []
