"""The trigger ledger: of timer, candle close, cron and operator the first has the slot, the others are noted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from msgspec.structs import replace

from actors.journal import MAX_LOST, JournalBuffer
from actors.messages import DueRequested, TickRequested
from core.ids import RunId, UserId
from core.run import ExecutionMode
from schema.records import Ask, LostAsk, SlotReport, TickRow, TickSource, TickStatus
from tests.actors.candles import START
from tests.actors.world import LIVE, World

NOTED_S = 3.0
"""By then the lost asks of a slot are in the store."""

LATE_TIMER = replace(LIVE, claim_lead=timedelta(seconds=-1), safety_s=0.0)

TIMER, CANDLE, CRON, OPERATOR = TickSource.TIMER, TickSource.CANDLE, TickSource.CRON, TickSource.OPERATOR
Asked = tuple[TickSource, float]


def ledger(world: World, run: RunId, index: int = 0) -> tuple[Asked | None, list[Asked]]:
    """Of the run's tick: who asked first, and who lost on this node, each in seconds after the slot."""
    slot = world.slot(index)
    [tick] = world.memory.ticks(run_id=run, slot=slot)
    lost = world.memory.lost_triggers([tick]).get((slot, run), ())
    first = None if tick.asked_at is None else (tick.source, (tick.asked_at - slot).total_seconds())
    return first, [(each.source, (each.asked_at - slot).total_seconds()) for each in lost]


def ask(world: World, source: TickSource) -> None:
    world.system.ref("scheduler").tell(DueRequested(source=source))


def ask_at(world: World, source: TickSource, at_s: float, index: int = 0) -> None:
    world.to(world.slot(index) + timedelta(seconds=at_s))
    ask(world, source)


def late_timer() -> World:
    """A process whose timer comes a second after the boundary."""
    return World("uu", options=LATE_TIMER)


def test_the_timer_asks_two_seconds_early_and_the_closing_candle_loses() -> None:
    world = World("uu")
    run = world.run()
    world.to_slot(1, plus_s=NOTED_S)
    for index in (0, 1):
        assert ledger(world, run, index) == ((TIMER, -2.0), [(CANDLE, 0.0)])


def test_a_closing_candle_ticks_the_runs_the_timer_has_not_reached_yet() -> None:
    world = late_timer()
    runs = [world.run(), world.run("bob")]
    world.to_slot(0, plus_s=NOTED_S)
    for run in runs:
        assert world.tick(run, 0) == ("ok", None)
        assert ledger(world, run) == ((CANDLE, 0.0), [(TIMER, 1.0)])


@pytest.mark.parametrize(
    "fields",
    [{"execution_mode": ExecutionMode.SCHEDULED, "schedule": "* * * * *"}, {"schedule": "* * * * *"}],
)
def test_a_run_with_a_schedule_is_no_affair_of_the_candle(fields: dict[str, str]) -> None:
    world = late_timer()
    run = world.run(**fields)
    world.to_slot(0, plus_s=NOTED_S)
    assert ledger(world, run) == ((TIMER, 1.0), [])


def test_the_candle_of_another_series_asks_for_nobody_here() -> None:
    world = World("uu", symbols=("BTCUSDT", "ETHUSDT"), options=LATE_TIMER)
    runs = [world.run(strategy=world.strategy(symbol=symbol)) for symbol in ("BTCUSDT", "ETHUSDT")]
    world.to_slot(0, plus_s=NOTED_S)
    assert [ledger(world, run) for run in runs] == [((CANDLE, 0.0), [(TIMER, 1.0)])] * 2


def test_a_cron_call_before_the_timer_has_the_slot_i1() -> None:
    world = World("uu")
    run = world.run()
    ask_at(world, CRON, -4)
    world.to_slot(0, plus_s=NOTED_S)
    assert ledger(world, run) == ((CRON, -4.0), [(TIMER, -2.0), (CANDLE, 0.0)])


def test_a_cron_call_after_the_timer_loses_once_however_often_it_is_heard_i1() -> None:
    world = World("uu")
    run = world.run()
    ask_at(world, CRON, 1.5)
    ask(world, CRON)
    ask_at(world, CRON, 2)
    world.to_slot(0, plus_s=NOTED_S + 2)
    assert ledger(world, run) == ((TIMER, -2.0), [(CANDLE, 0.0), (CRON, 1.5)])
    assert world.evaluations() == [world.slot(0)]


def test_an_operator_who_comes_later_loses() -> None:
    world = World("uu")
    run = world.run()
    world.to_slot(0, plus_s=20)
    world.system.ref("scheduler").tell(TickRequested(run_id=run, slot=world.slot(0)))
    world.wait(NOTED_S)
    assert ledger(world, run) == ((TIMER, -2.0), [(CANDLE, 0.0), (OPERATOR, 20.0)])


def test_an_operators_request_heard_twice_has_not_lost() -> None:
    """It comes by NOTIFY as well."""
    world = World("uu")
    run = world.run(schedule="*/2 * * * *")
    world.to_slot(0, plus_s=20)
    for _ in range(2):
        world.system.ref("scheduler").tell(TickRequested(run_id=run, slot=world.slot(0)))
    world.wait(NOTED_S)
    assert ledger(world, run) == ((OPERATOR, 20.0), [])


def test_a_request_is_named_in_the_tick_it_asked_for_and_in_its_signal() -> None:
    world = World("uuu")
    run = world.run(schedule="*/2 * * * *", signals=True)
    world.to_slot(0, plus_s=20)
    asked = TickRequested(run_id=run, slot=world.slot(0), request_id="request-of-root")
    world.system.ref("scheduler").tell(asked)
    world.to_slot(1, plus_s=20)
    named = {tick.slot: tick.request_id for tick in world.ticks(run)}
    assert named == {world.slot(0): "request-of-root", world.slot(1): None}
    signals = [event.payload.get("request_id") for event in world.events(run, "signal")]
    assert signals == ["request-of-root", None]


def test_what_is_lost_to_another_process_is_noted_with_this_node_i5() -> None:
    world = World("uu")
    run = world.run()
    world.to(world.slot(0) - timedelta(seconds=3))
    [claim] = world.memory.claim([run], slot=world.slot(0), owner="other:1", ttl_s=120)
    world.to_slot(0)
    row = TickRow(
        run_id=run,
        user_id=UserId("ann"),
        slot=world.slot(0),
        status=TickStatus.OK,
        scheduled_at=world.slot(0),
        finished_at=world.slot(0),
        worker="other",
        fence=claim.fence,
        asked_at=world.slot(0) - timedelta(seconds=3),
    )
    world.memory.report(SlotReport(ticks=(row,)))
    world.to_slot(0, plus_s=NOTED_S)
    assert ledger(world, run) == ((TIMER, -3.0), [(TIMER, -2.0), (CANDLE, 0.0)])
    lost = world.memory.lost_triggers([row])[world.slot(0), run]
    assert {each.node for each in lost} == {"worker"}


def test_a_claim_that_failed_is_no_loss_whoever_asks_next_has_the_slot() -> None:
    world = World("uu")
    run = world.run()
    world.to(world.slot(0) - timedelta(seconds=3))
    world.store.down.add("claim")
    world.to(world.slot(0) + timedelta(seconds=0.7))
    world.store.down.clear()
    ask(world, CRON)
    world.to_slot(0, plus_s=NOTED_S)
    assert ledger(world, run) == ((CRON, 0.7), [(TIMER, 1.0)])


def test_nobody_asked_for_a_missed_slot() -> None:
    world = World("uuuu")
    run = world.run()
    world.to_slot(0)
    world.end()
    world.wait_dead(120)
    world.to_slot(3, plus_s=NOTED_S)
    assert ledger(world, run, 1) == (None, [])
    assert ledger(world, run, 3) == ((TIMER, -2.0), [(CANDLE, 0.0)])


def test_lost_asks_wait_until_the_ticks_of_the_slot_are_through() -> None:
    world = World("uu")
    world.run()
    world.to_slot(1, plus_s=NOTED_S)
    reports = [answer[0][0] for what, answer in world.calls if what == "store.report"]
    assert any(report.lost for report in reports)
    assert not any(report.lost and report.ticks for report in reports)


def test_a_replay_notes_nothing() -> None:
    world = World("uuuu", replayed=True)
    run = world.run()
    world.play()
    ticks = world.ticks(run)
    assert len(ticks) == 4
    assert all(tick.asked_at == tick.slot for tick in ticks)
    assert world.memory.lost_triggers(ticks) == {}


def lost(runs: int) -> LostAsk:
    given = Ask(slot=START, source=CRON, at=START)
    return LostAsk(ask=given, node="node", run_ids=tuple(RunId(UUID(int=n)) for n in range(runs)))


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ((1, 2), [1, 2]),
        ((MAX_LOST,), [MAX_LOST]),
        ((MAX_LOST + 1,), [MAX_LOST]),
        ((MAX_LOST - 1, 5, 5), [MAX_LOST - 1, 1]),
    ],
)
def test_lost_asks_that_wait_are_bounded(given: tuple[int, ...], kept: list[int]) -> None:
    buffer, woken = JournalBuffer(), 0

    def wake() -> None:
        nonlocal woken
        woken += 1

    buffer.wake_for_lost = wake
    for runs in given:
        buffer.asked_in_vain(lost(runs))
    assert [len(each.run_ids) for each in buffer.take_lost()] == kept
    assert woken == 1
    buffer.asked_in_vain(lost(1))
    assert [len(each.run_ids) for each in buffer.take_lost()] == [1]


@pytest.mark.parametrize("stop", [lambda world: world.end(), lambda world: world.wait(NOTED_S)])
def test_lost_asks_are_noted_before_an_orderly_stop(stop: Callable[[World], None]) -> None:
    world = World("uu")
    run = world.run()
    world.to_slot(0, plus_s=0.5)
    stop(world)
    assert ledger(world, run) == ((TIMER, -2.0), [(CANDLE, 0.0)])
