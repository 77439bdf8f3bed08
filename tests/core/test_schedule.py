"""Cron schedules choose among slots (decision 4)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.schedule import Schedule, ScheduleError, cron_of, timeframe_of
from core.timeframe import Timeframe

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)  # a Monday


@pytest.mark.parametrize("timeframe", list(Timeframe))
def test_every_timeframe_has_its_expression_and_back(timeframe: Timeframe) -> None:
    expression = cron_of(timeframe)
    assert timeframe_of(expression) is timeframe
    assert Schedule(expression).timeframe is timeframe


@pytest.mark.parametrize(
    ("expression", "timeframe"),
    [
        ("*/5 * * * *", Timeframe.M5),
        ("0 */4 * * *", Timeframe.H4),
        ("0-59 * * * *", Timeframe.M1),
        ("0,30 * * * *", Timeframe.M30),
        ("0 9 * * *", None),
        ("*/7 * * * *", None),
        ("*/5 * * * 1-5", None),
    ],
)
def test_an_expression_equals_a_timeframe_only_when_it_fires_at_every_slot(
    expression: str, timeframe: Timeframe | None
) -> None:
    assert timeframe_of(expression) is timeframe


@pytest.mark.parametrize(
    ("expression", "timeframe"),
    [
        ("*/20 * * * *", Timeframe.M10),
        ("0 9 * * 1-5", Timeframe.H1),
        ("0 12 * * *", Timeframe.H12),
        ("*/7 * * * *", Timeframe.M1),
        ("0 0 1 * *", Timeframe.D1),
        ("15,45 * * * *", Timeframe.M15),
    ],
)
def test_without_a_timeframe_the_schedules_own_interval_is_taken(
    expression: str, timeframe: Timeframe
) -> None:
    assert Schedule(expression).timeframe is timeframe


@pytest.mark.parametrize(
    ("expression", "timeframe", "nearest"),
    [
        ("2-59/5 * * * *", Timeframe.M5, "*/5 * * * *"),
        ("30 9 * * 1-5", Timeframe.H1, "0 9 * * 1-5"),
        ("0 9 * * *", Timeframe.H4, "0 8 * * *"),
        ("*/7 * * * *", Timeframe.M5, "0,5,10,20,25,35,40,45,55 * * * *"),
    ],
)
def test_a_schedule_off_the_slots_is_refused_with_the_nearest_that_aligns(
    expression: str, timeframe: Timeframe, nearest: str
) -> None:
    with pytest.raises(ScheduleError) as refused:
        Schedule(expression, timeframe)
    assert refused.value.nearest == nearest
    assert nearest in str(refused.value)
    assert Schedule(nearest, timeframe)


@pytest.mark.parametrize(
    "expression", ["", "* * * *", "* * * * * *", "61 * * * *", "a b c d e", "0 0 31 2 *"]
)
def test_an_expression_that_is_none_is_refused_in_one_sentence(expression: str) -> None:
    with pytest.raises(ScheduleError, match="schedule"):
        Schedule(expression)


def test_weekday_schedules_select_only_those_slots() -> None:
    schedule = Schedule("0 */4 * * 1-5", Timeframe.H4)
    assert schedule.selects(NOON)
    assert not schedule.selects(NOON + timedelta(hours=1))
    assert not schedule.selects(NOON + timedelta(days=5))
    assert schedule.next_slot(NOON + timedelta(days=4, hours=8)) == NOON + timedelta(days=6, hours=12)


def test_the_next_slot_is_strictly_after() -> None:
    assert Schedule("*/5 * * * *").next_slot(NOON) == NOON + timedelta(minutes=5)


def aligned(expression: str, timeframe: Timeframe) -> Schedule:
    try:
        return Schedule(expression, timeframe)
    except ScheduleError as refused:
        return Schedule(refused.nearest or "", timeframe)


fields = st.tuples(
    st.sampled_from(["*", "*/2", "*/5", "*/13", "0", "7", "0,30", "10-40/3"]),
    st.sampled_from(["*", "*/2", "*/5", "0", "9", "8-17", "3,15"]),
    st.sampled_from(["* * *", "* * 1-5", "1 * *", "13 * 5", "L * *"]),
)


@given(fields, st.sampled_from(list(Timeframe)), st.integers(0, 2_000_000))
def test_a_schedule_fires_on_slots_of_its_timeframe_only(
    parts: tuple[str, str, str], timeframe: Timeframe, minutes: int
) -> None:
    schedule = aligned(" ".join(parts), timeframe)
    after = NOON + timedelta(minutes=minutes)
    following = schedule.next_slot(after)
    assert following is not None
    assert following > after
    assert timeframe.is_slot(following)
    assert schedule.selects(following)
