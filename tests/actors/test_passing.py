"""What is told and not kept: a strategy's or a series', never a run's; bounded, and fit for a notification."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from actors.messages import EvaluateSlot, Evaluation
from actors.passing import (
    CANDLE_CLOSE,
    EXECUTION_COMPLETE,
    EXECUTION_ERROR,
    EXECUTION_START,
    MAX_KEPT,
    MAX_NOTE_BYTES,
    Passing,
    PassingEvent,
)
from actors.service import PASSING_CHANNEL, PassingNote
from core.errors import Reason
from core.ids import NodeId, StrategyId
from core.timeframe import from_ms
from schema.records import ExecutionStatus
from tests.actors.recording.demo_day import LIMITS, DemoDay, WallClock, WitnessedStore
from tests.actors.world import World


def watched(world: World) -> Passing:
    world.begin()
    passing = Passing(world.clock.now)
    world.parts.journal.passing = passing
    return passing


def told(passing: Passing, *types: str) -> list[PassingEvent]:
    return [event for event in passing.take() if event.type in types]


def test_i20_a_slot_is_told_once_for_each_strategy_however_many_run_it_and_whoever_evaluates() -> None:
    """Two strategies of the same content share one evaluation; each of them is told of it."""
    world = World("uuuu")
    first, second = world.strategy(), world.strategy()
    for strategy in (first, first, first, second):
        world.run(strategy=strategy, signals=True)
    passing = watched(world)
    world.to_slot(0, plus_s=20)
    events = told(passing, EXECUTION_START, EXECUTION_COMPLETE)
    slot = world.slot(0)
    for strategy in (first, second):
        own = [event for event in events if event.strategy_id == strategy.id]
        assert [event.type for event in own] == [EXECUTION_START, EXECUTION_COMPLETE]
        assert [event.payload["slot"] for event in own] == [slot.isoformat()] * 2
        assert own[0].at <= slot <= own[1].at
    assert len(events) == 4
    assert (events[-1].payload["status"], events[-1].payload["signal"]) == ("success", "long")
    executions = [
        row for what, answer in world.calls if what == "store.report" for row in answer[0][0].executions
    ]
    assert len(executions) == 1


def test_a_candle_is_told_as_it_closed_with_its_prices_as_decimals() -> None:
    world = World("uuuu")
    world.run(signals=True)
    passing = watched(world)
    world.to_slot(1, plus_s=20)
    [first, second] = told(passing, CANDLE_CLOSE)
    by_time = {from_ms(each.open_time_ms).isoformat(): each for each in world.columns}
    candle = by_time[first.payload["open_time"]]
    assert [first.payload[name] for name in ("open", "close")] == [str(candle.open), str(candle.close)]
    assert isinstance(first.payload["volume"], str)
    assert (first.payload["symbol"], first.payload["timeframe"]) == ("BTCUSDT", "1m")
    assert [event.payload["slot"] for event in (first, second)] == [world.slot(n).isoformat() for n in (0, 1)]
    assert first.key != second.key


def test_a_strategy_that_cannot_be_evaluated_is_told_as_an_error() -> None:
    world = World("u")
    slot = world.slot(0)
    request = EvaluateSlot(definition=world.strategy(), slot=slot, ticks=())
    passing = Passing(world.clock.now)
    failed = Evaluation(
        slot=slot, status=ExecutionStatus.FAILED, reason=Reason.STRATEGY_ERROR, detail="KeyError: 'x'"
    )
    skipped = Evaluation(slot=slot, status=ExecutionStatus.SKIPPED, reason=Reason.NO_CANDLES)
    passing.evaluated(request, failed)
    passing.evaluated(request, skipped)
    [error, skip] = passing.take()
    assert (error.type, error.payload["error"]) == (EXECUTION_ERROR, "KeyError: 'x'")
    assert (error.payload["status"], error.payload["reason"]) == ("failed", "strategy_error")
    assert (skip.type, skip.payload["status"]) == (EXECUTION_COMPLETE, "skipped")


def event_like(number: int, *, text: str = "x") -> PassingEvent:
    id = StrategyId(World("u").id())
    return PassingEvent(
        type=EXECUTION_START,
        key=f"key-{number}",
        at=World("u").slot(0),
        strategy_id=id,
        payload={"text": text},
    )


def test_what_nobody_asks_for_is_bounded_and_the_newest_stays() -> None:
    passing = Passing(World("u").clock.now)
    events = [event_like(number) for number in range(3)]
    for _ in range(MAX_KEPT):
        passing.heard(msgspec.json.encode(events[:1]))
    passing.heard(msgspec.json.encode(events[1:]))
    taken = passing.take()
    assert len(taken) == MAX_KEPT
    assert taken[-2:] == events[1:]
    assert passing.take() == []


@pytest.mark.parametrize("runs", [1, 60])
def test_other_processes_hear_the_same_in_notes_that_a_notification_holds(runs: int) -> None:
    world = World("uuuu")
    for _ in range(runs):
        world.run(strategy=world.strategy(), signals=True)
    passing, other = watched(world), Passing(world.clock.now)
    woken: list[None] = []

    def wake() -> bool:
        woken.append(None)
        return True

    passing.others, passing.wake = lambda: True, wake
    world.to_slot(0, plus_s=20)
    notes = list(passing.notes())
    assert len(woken) == 1, "who has been woken takes what comes until then with it"
    assert all(len(note) <= MAX_NOTE_BYTES for note in notes)
    for note in notes:
        other.heard(note)
    assert other.take() == passing.take()
    world.to_slot(1, plus_s=20)
    assert len(woken) == 2
    assert len(list(passing.notes())) >= 1


def test_nothing_is_noted_where_no_other_process_lives_and_nobody_is_waited_for_who_cannot_come() -> None:
    world = World("uuuu")
    world.run(signals=True)
    passing = watched(world)
    world.to_slot(0, plus_s=20)
    assert list(passing.notes()) == []
    passing.others = lambda: True
    world.to_slot(1, plus_s=20)  # nobody wakes: there was no place
    later: list[None] = []
    passing.wake = lambda: not later.append(None)
    world.to_slot(2, plus_s=20)
    assert later
    assert list(passing.notes())


def test_news_of_another_process_reads_as_it_was_written() -> None:
    sent = replace(event_like(1), series=None)
    passing = Passing(World("u").clock.now)
    passing.heard(msgspec.json.encode([sent]))
    assert passing.take() == [sent]


def test_processes_hear_of_each_other_and_none_of_itself_twice(tmp_path: Path) -> None:
    """A process hears its own notes as well."""

    def joined(day: DemoDay) -> None:
        day.store.beat(NodeId("other"), "1")

    day = DemoDay(WitnessedStore(WallClock(), LIMITS), tmp_path, before=joined)
    senders: list[str] = []
    day.notifier.listen(
        [PASSING_CHANNEL],
        lambda _, note: senders.append(msgspec.json.decode(note, type=PassingNote).node if note else ""),
    )
    heard = event_like(1)
    from_other = PassingNote(node=NodeId("other"), events=msgspec.Raw(msgspec.json.encode([heard])))
    day.service.start()
    try:
        day.notifier.notify(PASSING_CHANNEL, msgspec.json.encode(from_other).decode())
        day.notifier.notify(PASSING_CHANNEL, "")  # the listener has connected again
        for _ in range(10):
            if "node" in senders:
                break
            day.pass_minutes(1)
    finally:
        assert day.service.stop()
    told = list(day.service.passed())
    assert heard in told
    keys = [event.key for event in told if event.type == EXECUTION_COMPLETE]
    assert len(keys) == len(set(keys)) > 0
    assert set(senders) == {"node", "other", ""}
