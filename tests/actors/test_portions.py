"""Runs with a signal hear before those without, and nobody is left out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from actors.messages import ClaimedTick, Evaluation
from actors.portions import PORTION, NextPortion, Portions
from actors.runtime.behaviour import Context
from schema.records import ExecutionStatus

SLOT = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


class Told:
    """A context that notes down who was told, and what was asked of the timer."""

    def __init__(self) -> None:
        self.runs: list[Any] = []
        self.timers: list[object] = []

    def tell(self, run: object, message: object) -> None:
        self.runs.append(run)

    def after(self, seconds: float, message: object) -> None:
        assert seconds == 0.0
        self.timers.append(message)


class Tick:
    """As much of a claimed tick as the telling looks at."""

    def __init__(self, run: object) -> None:
        self.run = run


def ticks(kind: str, count: int) -> list[ClaimedTick]:
    return [cast(ClaimedTick, Tick((kind, number))) for number in range(count)]


def evaluation(status: ExecutionStatus, slot: datetime = SLOT) -> Evaluation:
    return Evaluation(slot=slot, status=status)


HOLD, TRADE = evaluation(ExecutionStatus.NO_SIGNAL), evaluation(ExecutionStatus.SUCCESS)


def made() -> tuple[Told, Portions]:
    told = Told()
    return told, Portions(cast(Context, told))


def test_a_few_runs_hear_at_once() -> None:
    told, portions = made()
    portions.tell(ticks("hold", PORTION), HOLD)
    assert len(told.runs) == PORTION
    assert told.timers == []


def test_runs_that_trade_hear_before_those_that_came_earlier_and_hold() -> None:
    told, portions = made()
    portions.tell(ticks("hold", 5 * PORTION), HOLD)
    portions.tell(ticks("trade", 3), TRADE)
    assert [kind for kind, _ in told.runs] == ["trade"] * 3
    portions.next()
    assert len(told.runs) == 3 + PORTION


def test_another_slot_has_a_portion_of_its_own() -> None:
    told, portions = made()
    portions.tell(ticks("a", PORTION), HOLD)
    portions.tell(ticks("b", PORTION), evaluation(ExecutionStatus.SKIPPED, SLOT + timedelta(minutes=1)))
    assert len(told.runs) == 2 * PORTION


@given(st.lists(st.tuples(st.integers(0, 3 * PORTION), st.booleans()), max_size=8))
def test_everybody_hears_once_in_order_and_one_timer_is_under_way_at_most(
    asked: list[tuple[int, bool]],
) -> None:
    told, portions = made()
    expected: dict[str, int] = {}
    for number, (count, trades) in enumerate(asked):
        portions.tell(ticks(str(number), count), TRADE if trades else HOLD)
        expected[str(number)] = count
    while told.timers:
        assert told.timers == [NextPortion()]
        told.timers.clear()
        before = len(told.runs)
        portions.next()
        assert 0 < len(told.runs) - before <= PORTION or not told.timers
    for name, count in expected.items():
        assert [place for kind, place in told.runs if kind == name] == list(range(count))
