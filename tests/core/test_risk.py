"""I7: the rules of one user's risk (invariants §2), edge by edge, then as laws."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from core.errors import Reason, SettingsError
from core.risk import (
    DayRisk,
    PauseStarted,
    RiskLimits,
    RiskState,
    expire,
    fill,
    gate,
    gate_later_attempt,
    merge_pauses,
    release,
    reserve,
    reserve_again,
    risk_day,
    round_trip,
    simulate,
    start_pause_for_streak,
    verdicts,
)
from tests.strategies import ERA, amounts, instants

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
TODAY = date(2026, 3, 10)
LIMITS = RiskLimits()
PAUSE = timedelta(minutes=1440)


def state(
    *,
    pnl: str = "0",
    trades: int = 0,
    streak: int = 0,
    last: float | None = None,
    paused: float | None = None,
) -> RiskState:
    """`last` and `paused`: seconds from NOW."""
    return RiskState(
        days={TODAY: DayRisk(pnl=Decimal(pnl), trades=trades)},
        streak=streak,
        last_trade_at=None if last is None else NOW + timedelta(seconds=last),
        paused_until=None if paused is None else NOW + timedelta(seconds=paused),
        paused_reason=None if paused is None else Reason.DAILY_LOSS,
    )


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (RiskState(), None),
        (state(paused=0.000001), Reason.PAUSED),
        (state(paused=0), None),
        (state(pnl="-50"), Reason.DAILY_LOSS),
        (state(pnl="-49.99"), None),
        (state(streak=3), Reason.CONSECUTIVE_LOSSES),
        (state(streak=2), None),
        (state(streak=3, paused=-1), None),
        (state(streak=3, paused=0), None),
        (state(trades=19), None),
        (state(trades=20), Reason.MAX_TRADES),
        (state(last=-29.999), Reason.COOLDOWN),
        (state(last=-30), None),
        (state(last=0), Reason.COOLDOWN),
        (state(pnl="-50", paused=0), Reason.DAILY_LOSS),
        (state(pnl="-50", streak=3, trades=20, last=0, paused=60), Reason.PAUSED),
        (state(pnl="-50", streak=3, trades=20, last=0), Reason.DAILY_LOSS),
        (state(streak=3, trades=20, last=0), Reason.CONSECUTIVE_LOSSES),
        (state(trades=20, last=0), Reason.MAX_TRADES),
    ],
)
def test_i7_the_gate_first_match_wins(seen: RiskState, reason: Reason | None) -> None:
    assert gate(seen, LIMITS, NOW) is reason
    shut = [name for name, said in verdicts(seen, LIMITS, NOW).items() if said == "shut"]
    assert (shut[0] if shut else None) == reason, "what is told of each gate agrees with what was decided"


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (state(streak=3, trades=20, last=0), None),
        (state(pnl="-50"), Reason.DAILY_LOSS),
        (state(paused=1), Reason.PAUSED),
    ],
)
def test_i7_a_later_attempt_meets_gates_one_and_two_alone(seen: RiskState, reason: Reason | None) -> None:
    assert gate_later_attempt(seen, LIMITS, NOW) is reason


def test_i7_yesterday_does_not_count_today() -> None:
    yesterday = RiskState(days={date(2026, 3, 9): DayRisk(pnl=Decimal(-500), trades=99)})
    assert gate(yesterday, LIMITS, NOW) is None


def test_i7_the_day_is_utc_wherever_the_clock_stands() -> None:
    from datetime import timezone

    tokyo = timezone(timedelta(hours=9))
    assert risk_day(datetime(2026, 3, 11, 8, 59, tzinfo=tokyo)) == TODAY


def test_i7_reserve_counts_and_starts_the_cooldown_and_release_keeps_it() -> None:
    reserved = reserve(RiskState(), NOW)
    assert (reserved.day(NOW).trades, reserved.last_trade_at) == (1, NOW)
    released = release(reserved, TODAY)
    assert (released.day(NOW).trades, released.last_trade_at) == (0, NOW)
    assert release(released, TODAY).day(NOW).trades == 0
    assert reserve_again(released, TODAY).day(NOW).trades == 1


@pytest.mark.parametrize(
    ("before", "delta", "pauses"),
    [
        ("0", "-50", True),
        ("0", "-49.99", False),
        ("-49.99", "-0.01", True),
        ("-50", "-1", False),
        ("-60", "20", False),
    ],
)
def test_i7_crossing_the_daily_loss_today_pauses_once(before: str, delta: str, pauses: bool) -> None:
    change = fill(state(pnl=before), LIMITS, delta=Decimal(delta), executed_at=NOW, now=NOW)
    assert change.state.day(NOW).pnl == Decimal(before) + Decimal(delta)
    assert (change.pause is not None) is pauses
    assert (change.state.paused_until == NOW + PAUSE) is pauses


def test_i7_a_late_fill_touches_its_own_day_and_pauses_nobody() -> None:
    change = fill(state(), LIMITS, delta=Decimal(-90), executed_at=NOW - timedelta(days=1), now=NOW)
    assert change.pause is None
    assert change.state.days[date(2026, 3, 9)].pnl == -90
    assert change.state.day(NOW).pnl == 0


@pytest.mark.parametrize(
    ("streak", "pnl", "after", "pauses"),
    [(0, "-1", 1, False), (2, "-0.01", 3, True), (3, "-1", 4, False), (2, "0", 0, False), (2, "5", 0, False)],
)
def test_i7_a_losing_round_trip_lengthens_the_streak(streak: int, pnl: str, after: int, pauses: bool) -> None:
    change = round_trip(state(streak=streak), LIMITS, pnl=Decimal(pnl), now=NOW)
    assert (change.state.streak, change.pause is not None) == (after, pauses)


def test_i7_a_pause_never_shortens_one_that_runs() -> None:
    running = state(streak=2, paused=10 * 86_400)
    change = round_trip(running, LIMITS, pnl=Decimal(-1), now=NOW)
    assert change.state.paused_until == running.paused_until
    assert change.pause == PauseStarted(until=NOW + timedelta(days=10), reason=Reason.DAILY_LOSS)


def test_i7_expiry_opens_and_clears_a_streak_only_at_its_limit() -> None:
    assert expire(state(streak=3, paused=1), LIMITS, NOW) == state(streak=3, paused=1)
    for streak, after in ((3, 0), (4, 0), (2, 2)):
        expired = expire(state(streak=streak, paused=0), LIMITS, NOW)
        assert (expired.paused_until, expired.paused_reason, expired.streak) == (None, None, after)


def test_i7_a_streak_at_tightened_limits_starts_a_pause() -> None:
    change = start_pause_for_streak(state(streak=2), LIMITS, NOW)
    assert change.pause == PauseStarted(until=NOW + PAUSE, reason=Reason.CONSECUTIVE_LOSSES)
    assert gate(change.state, LIMITS, NOW) is Reason.PAUSED


def test_i7_both_limits_crossed_are_named_daily_loss() -> None:
    daily = PauseStarted(until=NOW, reason=Reason.DAILY_LOSS)
    streak = PauseStarted(until=NOW + PAUSE, reason=Reason.CONSECUTIVE_LOSSES)
    for pair in ((daily, streak), (streak, daily)):
        assert merge_pauses(*pair) == PauseStarted(until=NOW + PAUSE, reason=Reason.DAILY_LOSS)
    assert merge_pauses(None, streak) == merge_pauses(streak, None) == streak
    change = simulate(state(streak=2), LIMITS, delta=Decimal(-50), now=NOW)
    assert change.pause == PauseStarted(until=NOW + PAUSE, reason=Reason.DAILY_LOSS)
    assert change.state.paused_reason is Reason.DAILY_LOSS


@pytest.mark.parametrize(
    "wrong",
    [
        {"daily_max_loss_usdt": Decimal(0)},
        {"daily_max_loss_usdt": Decimal("Infinity")},
        {"daily_max_loss_usdt": Decimal("NaN")},
        {"max_consecutive_losses": 0},
        {"max_trades_per_day": -1},
        {"cooldown_after_trade_s": Decimal(-1)},
        {"cooldown_after_trade_s": Decimal("NaN")},
        {"pause_duration_min": Decimal("0.5")},
        {"pause_duration_min": Decimal("Infinity")},
    ],
)
def test_i7_limits_that_limit_nothing_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        RiskLimits(**wrong)  # type: ignore[arg-type]


@given(amounts, st.integers(0, 5), st.integers(0, 25), instants)
def test_i7_a_simulated_trade_is_a_reservation_a_fill_and_a_round_trip(
    delta: Decimal, streak: int, trades: int, now: datetime
) -> None:
    before = RiskState(days={risk_day(now): DayRisk(trades=trades)}, streak=streak)
    filled = fill(reserve(before, now), LIMITS, delta=delta, executed_at=now, now=now)
    apart = round_trip(filled.state, LIMITS, pnl=delta, now=now)
    assert simulate(before, LIMITS, delta=delta, now=now).state == apart.state


@given(st.lists(amounts, max_size=20))
def test_i7_the_days_pnl_is_the_sum_of_its_fills_and_pauses_at_most_at_each_crossing(
    deltas: list[Decimal],
) -> None:
    seen, pauses = RiskState(), 0
    for number, delta in enumerate(deltas):
        change = fill(seen, LIMITS, delta=delta, executed_at=ERA, now=ERA + timedelta(seconds=number))
        crossed = seen.day(ERA).pnl > -50 >= change.state.day(ERA).pnl
        assert (change.pause is not None) is crossed
        pauses += crossed
        seen = change.state
    assert seen.day(ERA).pnl == sum(deltas, Decimal(0))
    assert (seen.paused_until is not None) is (pauses > 0)


@given(st.integers(0, 5), instants, instants)
def test_i7_expiring_twice_is_expiring_once(streak: int, until: datetime, now: datetime) -> None:
    paused = replace(RiskState(streak=streak), paused_until=until, paused_reason=Reason.DAILY_LOSS)
    once = expire(paused, LIMITS, now)
    assert expire(once, LIMITS, now) == once
    assert (once == paused) is (now < until)
