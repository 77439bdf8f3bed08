"""Slots through the whole application: claimed once, evaluated once for all, never late, never on unclean candles."""

from __future__ import annotations

from datetime import timedelta

import pytest

from actors.messages import DueRequested, RowsChanged, TickRequested
from core.run import RunCommand
from core.timeframe import Timeframe
from schema.records import TickSource
from tests.actors.candles import scripted
from tests.actors.world import LIVE, World

BOTH = pytest.mark.parametrize("replayed", [False, True], ids=["live", "replay"])


@BOTH
def test_i20_one_evaluation_serves_a_thousand_subscribers_and_each_decides_for_itself(replayed: bool) -> None:
    world = World("ud", replayed=replayed)
    strategy = world.strategy()
    runs = [world.run(f"user-{number:04}", strategy=strategy) for number in range(1_000)]
    world.to_slot(0, plus_s=20)
    assert world.evaluations() == [world.slot(0)], "I20: one evaluation row"
    assert all(world.outcomes(run) == [(0, "ok", None)] for run in runs)
    assert all(world.position(run).quantity > 0 for run in runs)


def test_i20_strategies_of_equal_content_share_an_evaluation() -> None:
    world = World("ud")
    runs = [world.run(f"user-{number}", strategy=world.strategy()) for number in range(5)]
    world.to_slot(0)
    assert world.evaluations() == [world.slot(0)]
    assert [world.tick(run, 0) for run in runs] == [("ok", None)] * 5


def test_i20_a_run_whose_actor_fails_stops_no_other() -> None:
    world = World("uuu")
    broken, sound = world.run("ann"), world.run("bob")
    world.to_slot(0)
    while world.is_alive(broken):
        world.crash(f"run:{broken}")
        world.wait(5)
    world.to_slot(1)
    assert world.status(broken).status == "error"
    assert world.status(broken).status_reason is not None
    assert world.tick(sound, 1) == ("ok", "already_open")
    restarts = sum(action == "failure" for action, _ in world.reports)
    world.wait(30)
    assert sum(action == "failure" for action, _ in world.reports) == restarts


def test_i1_whoever_asks_for_a_slot_again_gets_no_second_tick() -> None:
    world = World("uu")
    run = world.run()
    world.to_slot(0)
    scheduler = world.system.ref("scheduler")
    for source in (TickSource.CRON, TickSource.CANDLE):
        scheduler.tell(DueRequested(source=source))
    scheduler.tell(TickRequested(run_id=run, slot=world.slot(0)))
    world.to_slot(0, plus_s=20)
    assert world.outcomes(run) == [(0, "ok", None)]
    assert world.evaluations() == [world.slot(0)]
    won = [claim for what, answer in world.calls if what == "store.claim" for claim in answer[2]]
    assert [claim.slot for claim in won] == [world.slot(0)]


def test_i9_a_slot_reached_late_is_missed_and_never_evaluated() -> None:
    """I9: the process stood still (SIGSTOP, a sleeping laptop) while its timer came due."""
    world = World("uuuuuu")
    run = world.run()
    world.to_slot(0)
    world.clock.move_to(world.clock.us + 150_000_000)  # to slot 2 + 31 s, without anything happening
    world.to_slot(3)
    assert world.outcomes(run) == [
        (0, "ok", None),
        (1, "missed", "down"),
        (2, "missed", "down"),
        (3, "ok", "already_open"),
    ]
    assert world.evaluations() == [world.slot(0), world.slot(3)]


def test_i9_slots_passed_while_paused_are_missed_with_that_reason() -> None:
    world = World("uuuuuu")
    run = world.run()
    world.to_slot(0)
    world.memory.command(run, RunCommand.PAUSE, by="ann")
    world.to_slot(3, plus_s=20)
    world.memory.command(run, RunCommand.RESUME, by="ann")
    world.system.ref("runs").tell(RowsChanged())
    world.to_slot(4)
    assert world.outcomes(run) == [
        (0, "ok", None),
        *[(index, "missed", "not_active") for index in (1, 2, 3)],
        (4, "ok", "already_open"),
    ]


def test_i9_slots_passed_while_no_process_ran_are_missed() -> None:
    world = World("uuuuuu")
    run = world.run()
    world.to_slot(0)
    world.end()
    world.clock.move_to(world.clock.us + 190_000_000)
    world.begin()
    world.to_slot(4)
    assert world.outcomes(run) == [
        (0, "ok", None),
        *[(index, "missed", "down") for index in (1, 2, 3)],
        (4, "ok", "already_open"),
    ]


def test_i9_a_process_that_starts_within_the_grace_still_takes_the_slot_and_after_it_does_not() -> None:
    for late_s, expected in ((4.0, ("ok", None)), (6.0, None)):
        world = World("uu")
        run = world.run()
        world.clock.move_to(world.clock.us + 30_000_000 + round(late_s * 1e6))
        world.to_slot(0, plus_s=20)
        assert world.tick(run, 0) == expected


@BOTH
def test_a_run_changed_between_claim_and_tick_ticks_once_and_life_goes_on(replayed: bool) -> None:
    """The claim names an older version of the row than the actor has: no reload brings that one back."""
    world = World("uuu", replayed=replayed)
    run = world.run()
    world.to_slot(0)
    if replayed:
        world.store.before["claim"] = lambda: None
    world.to(world.slot(1) - timedelta(seconds=1))
    world.memory.adapter_failed(run, slot=world.slot(0), kind="connection", detail="a drill")
    world.system.ref("runs").tell(RowsChanged())
    world.to_slot(1)
    assert world.tick(run, 1) == ("ok", "already_open")
    world.to_slot(2)
    assert world.tick(run, 2) == ("ok", "already_open")


def test_a_run_paused_between_claim_and_boundary_is_skipped() -> None:
    world = World("uuu")
    run = world.run()
    world.to(world.slot(0) - timedelta(seconds=1))
    world.memory.command(run, RunCommand.PAUSE, by="ann")
    world.system.ref("runs").tell(RowsChanged())
    world.to_slot(0)
    assert world.tick(run, 0) == ("skipped", "not_active")
    assert world.orders(run) == []


@BOTH
def test_i10_a_hole_inside_the_window_skips_until_a_clean_window_has_passed(replayed: bool) -> None:
    world = World("uuuuuuu", holes=(2,), replayed=replayed)
    run = world.run(strategy=world.strategy(period=3))
    world.to_slot(6)
    assert world.outcomes(run) == [
        (0, "ok", None),
        (1, "ok", "already_open"),
        (2, "skipped", "candle_gap" if replayed else "no_candles"),
        (3, "skipped", "candle_gap"),
        (4, "skipped", "candle_gap"),
        (5, "ok", "already_open"),
        (6, "ok", "already_open"),
    ]


def test_i10_too_little_history_is_skipped_by_name() -> None:
    world = World("uuuu")
    run = world.run(strategy=world.strategy(period=6))
    world.to_slot(3)
    rows = [row for what, answer in world.calls if what == "store.report" for row in answer[0][0].executions]
    assert all(row.error is not None for row in rows[:2])
    assert {str(row.error).rpartition(", ")[2] for row in rows[:2]} == {
        f"enough from {world.slot(2):%Y-%m-%d %H:%M} UTC on"
    }
    assert [(status, reason) for _, status, reason in world.outcomes(run)] == [
        ("skipped", "too_few_candles"),
        ("skipped", "too_few_candles"),
        ("ok", None),
        ("ok", "already_open"),
    ]


@pytest.mark.parametrize(("late_s", "outcome"), [(3.0, ("ok", None)), (20.0, ("skipped", "no_candles"))])
def test_i10_a_late_candle_is_waited_for_until_its_deadline(
    late_s: float, outcome: tuple[str, str | None]
) -> None:
    world = World("uuu")
    run = world.run()
    held = world.candles.candles
    due = world.slot(0) + timedelta(seconds=late_s)

    def late(symbol: str, timeframe: Timeframe, start: object, end: object) -> object:
        columns = held(symbol, timeframe, start, end)  # type: ignore[arg-type]
        if world.clock.now() >= due or not len(columns):
            return columns
        cut = round(world.slot(0).timestamp() * 1_000) - timeframe.ms
        return columns.between(0, cut)

    world.candles.candles = late  # type: ignore[method-assign, assignment]
    world.to_slot(0, plus_s=25)
    assert world.tick(run, 0) == outcome
    world.to_slot(1)
    assert world.tick(run, 1) == ("ok", "already_open" if outcome[0] == "ok" else None)


@BOTH
def test_i10_nothing_looks_ahead_a_cut_future_changes_nothing_before_it(replayed: bool) -> None:
    path = "uud-duduuddduudud"
    whole, cut = World(path, replayed=replayed), World(path[:9], replayed=replayed)
    seen = []
    for world in (whole, cut):
        run = world.run()
        world.to_slot(7)
        seen.append((world.outcomes(run), [(o.side, o.quantity, o.average_price) for o in world.orders(run)]))
    assert seen[0] == seen[1]


def test_timeframes_of_one_moment_are_all_claimed() -> None:
    columns = scripted("uuuuuuuuuu")
    world = World("", columns=columns)
    runs = {
        frame: world.run(frame, strategy=world.strategy(timeframe=frame))
        for frame in (Timeframe.M1, Timeframe.M5)
    }
    world.to_slot(4)
    assert len(world.ticks(runs[Timeframe.M1])) == 5
    assert [tick.slot for tick in world.ticks(runs[Timeframe.M5])] == [world.slot(4)]


def test_a_cron_schedule_selects_among_the_slots() -> None:
    world = World("uuuuuu")
    run = world.run(schedule="*/2 * * * *")
    world.to_slot(5)
    assert [index for index, _, _ in world.outcomes(run)] == [1, 3, 5]


def test_execute_tick_takes_a_slot_of_a_run_that_no_slot_claims() -> None:
    world = World("uuuu")
    run = world.run(signals=True)
    world.to_slot(1, plus_s=20)
    scheduler = world.system.ref("scheduler")
    scheduler.tell(TickRequested(run_id=run, slot=world.slot(1)))
    world.wait(1)
    assert [tick.source for tick in world.ticks(run)] == [TickSource.TIMER, TickSource.TIMER]


def test_claims_that_failed_are_asked_again_within_the_grace() -> None:
    world = World("uu")
    run = world.run()
    world.to(world.slot(0) - timedelta(seconds=3))
    world.store.down.add("claim")
    world.to_slot(0, plus_s=1)
    assert world.tick(run, 0) is None
    world.store.down.clear()
    world.to_slot(0, plus_s=10)
    assert world.tick(run, 0) == ("ok", None)


@pytest.mark.parametrize(
    "name", ["scheduler", "market_data", "evaluator", "risk_ledger", "journal", "gateway"]
)
def test_a_shared_actor_that_fails_comes_back_and_the_runs_tick_on(name: str) -> None:
    world = World("uududu-")
    run = world.run()
    world.to_slot(1, plus_s=20)
    world.crash(name)
    world.to_slot(5)
    assert [world.tick(run, index) for index in (2, 3, 4, 5)] == [("ok", None)] * 4
    assert world.position(run).quantity > 0


def test_options_of_a_live_process_are_what_these_tests_run_with() -> None:
    assert LIVE.preload is None
    assert LIVE.claim_lead == timedelta(seconds=2)
    assert LIVE.safety_s > 0
