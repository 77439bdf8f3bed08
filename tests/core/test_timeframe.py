"""Slots and boundaries: the arithmetic every tick hangs on (invariants §6)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import RunnerError
from core.timeframe import (
    MAX_GRACE_S,
    Timeframe,
    TimeframeError,
    candle_deadline,
    drift_s,
    entry_deadline,
    from_ms,
    from_us,
    parse_range,
    parse_time,
    to_ms,
    to_us,
)

SLOT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
timeframes = st.sampled_from(list(Timeframe))
times = st.integers(946_684_800_000_000, 4_102_444_800_000_000).map(from_us)


def seconds(value: float) -> timedelta:
    return timedelta(seconds=value)


@pytest.mark.parametrize(
    ("spelling", "timeframe"),
    [
        ("1m", Timeframe.M1),
        ("5m", Timeframe.M5),
        ("5", Timeframe.M5),
        ("60", Timeframe.H1),
        ("60m", Timeframe.H1),
        ("1h", Timeframe.H1),
        ("4H", Timeframe.H4),
        ("240", Timeframe.H4),
        ("720", Timeframe.H12),
        ("1D", Timeframe.D1),
        ("D", Timeframe.D1),
        (" 15m ", Timeframe.M15),
    ],
)
def test_a_resolution_is_read_in_every_spelling_clients_use(spelling: str, timeframe: Timeframe) -> None:
    assert Timeframe.parse(spelling) is timeframe


@pytest.mark.parametrize("spelling", ["", "7m", "1M", "1w", "0", "-5", "5 m", "five", "1s"])
def test_any_other_spelling_is_refused_with_the_list(spelling: str) -> None:
    with pytest.raises(TimeframeError, match="use one of 1m, 3m, 5m"):
        Timeframe.parse(spelling)


def test_the_timeframes_are_the_twelve_of_the_service() -> None:
    lengths = [60, 180, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400]
    assert [timeframe.seconds for timeframe in Timeframe] == lengths


@pytest.mark.parametrize(
    ("offset_s", "grace_s", "due"),
    [
        (-5.000001, 5, False),
        (-5.001, 5, False),
        (-5, 5, True),
        (-2, 5, True),
        (0, 5, True),
        (0, 0, True),
        (0.000001, 0, False),
        (5, 5, True),
        (5.000001, 5, False),
        (5.001, 5, False),
        (25, 25, True),
        (25.001, 25, False),
    ],
)
@pytest.mark.parametrize("timeframe", list(Timeframe))
def test_i9_due_is_five_seconds_early_to_grace_late(
    timeframe: Timeframe, offset_s: float, grace_s: float, due: bool
) -> None:
    assert timeframe.is_due(SLOT.replace(hour=0) + seconds(offset_s), None, grace_s) is due


def test_i1_a_slot_claimed_once_is_not_due_again() -> None:
    now = SLOT + seconds(1)
    assert Timeframe.M5.is_due(now, SLOT - Timeframe.M5.delta)
    assert not Timeframe.M5.is_due(now, SLOT)
    assert not Timeframe.M5.is_due(now, SLOT + Timeframe.M5.delta)


@pytest.mark.parametrize("grace_s", [-1, 25.001, float("nan")])
def test_a_grace_outside_its_bound_is_refused(grace_s: float) -> None:
    with pytest.raises(RunnerError, match="grace"):
        Timeframe.M1.is_due(SLOT, None, grace_s)


@given(timeframes, times, st.floats(0, MAX_GRACE_S), st.none() | times)
def test_i9_due_equals_its_definition(
    timeframe: Timeframe, now: datetime, grace_s: float, last: datetime | None
) -> None:
    slot = timeframe.slot(now)
    offset_us = to_us(now) - to_us(slot)
    expected = -5_000_000 <= offset_us <= round(grace_s * 1e6) and (last is None or last < slot)
    assert timeframe.is_due(now, last, grace_s) is expected


@given(timeframes, times)
def test_floor_slot_and_next_close_agree(timeframe: Timeframe, at: datetime) -> None:
    floor, slot, after = timeframe.floor(at), timeframe.slot(at), timeframe.next_close(at)
    assert floor <= at < after == floor + timeframe.delta
    assert slot == timeframe.floor(at + seconds(5))
    assert slot in (floor, after)
    assert timeframe.is_slot(floor)
    assert timeframe.is_slot(slot)
    assert seconds(-5) <= at - slot < timeframe.delta - seconds(5)


@given(timeframes, times)
def test_every_instant_lies_in_exactly_the_interval_of_its_next_close(
    timeframe: Timeframe, at: datetime
) -> None:
    opened, closed = timeframe.interval_range(timeframe.next_close(at))
    assert opened <= at < closed


@given(times, st.sampled_from([-11, 0, 9]))
def test_a_time_given_in_another_zone_is_the_same_time(at: datetime, hours: int) -> None:
    elsewhere = at.astimezone(timezone(timedelta(hours=hours)))
    assert Timeframe.H4.slot(elsewhere) == Timeframe.H4.slot(at)
    assert Timeframe.H4.interval_key(elsewhere) == Timeframe.H4.interval_key(at)


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(TypeError):
        Timeframe.M5.slot(datetime(2026, 1, 1))  # noqa: DTZ001


@given(timeframes, timeframes, times, times)
def test_interval_keys_name_one_interval_each(
    one: Timeframe, other: Timeframe, at: datetime, later: datetime
) -> None:
    slots = one.slot(at), other.slot(later)
    same = (one, slots[0]) == (other, slots[1])
    assert (one.interval_key(slots[0]) == other.interval_key(slots[1])) is same


def test_i9_deadlines_follow_the_slot() -> None:
    assert entry_deadline(SLOT) == SLOT + seconds(30)
    assert candle_deadline(SLOT) == SLOT + seconds(15)
    assert Timeframe.M5.exit_deadline(SLOT) == SLOT + seconds(300)


def test_drift_is_signed_seconds_from_the_slot() -> None:
    assert drift_s(SLOT + seconds(0.250001), SLOT) == 0.250001
    assert drift_s(SLOT - seconds(2), SLOT) == -2


@given(times)
def test_milliseconds_survive_the_round_trip(at: datetime) -> None:
    whole = at.replace(microsecond=at.microsecond // 1000 * 1000)
    assert from_ms(to_ms(at)) == whole


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2025-03-01", datetime(2025, 3, 1, tzinfo=UTC)),
        ("2025-03-01T12:30Z", datetime(2025, 3, 1, 12, 30, tzinfo=UTC)),
        ("2025-03-01T12:30:00+02:00", datetime(2025, 3, 1, 10, 30, tzinfo=UTC)),
    ],
)
def test_times_are_read_as_utc_unless_they_say_otherwise(text: str, at: datetime) -> None:
    assert parse_time(text) == at


@pytest.mark.parametrize(
    ("start", "end"), [("2025-03-02", "2025-03-01"), ("2025-03-01", "2025-03-01"), ("x", "y")]
)
def test_a_range_that_is_none_is_refused_in_one_sentence(start: str, end: str) -> None:
    with pytest.raises(TimeframeError):
        parse_range(start, end)
