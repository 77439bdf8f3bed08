"""Risk rules of one user: gate, reservation, fills, round trips, pauses (invariants §2)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import msgspec

from core.errors import Reason, SettingsError
from core.position import ZERO

_PAUSED = Reason.PAUSED  # looked up once: at most of a paused user's slots it is all that is done


class RiskLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of one user. Money in USDT; `cooldown_s` seconds; `pause_min` minutes."""

    daily_max_loss_usdt: Decimal = Decimal(50)
    max_trades_per_day: int = 20
    max_consecutive_losses: int = 3
    cooldown_after_trade_s: Decimal = Decimal(30)
    pause_duration_min: Decimal = Decimal(1440)

    def __post_init__(self) -> None:
        problems = []
        if not (self.daily_max_loss_usdt.is_finite() and self.daily_max_loss_usdt > 0):
            problems.append(f"DAILY_MAX_LOSS_USDT must be above 0, not {self.daily_max_loss_usdt}")
        if self.max_consecutive_losses < 1:
            problems.append(f"MAX_CONSECUTIVE_LOSSES must be at least 1, not {self.max_consecutive_losses}")
        if self.max_trades_per_day < 0:
            problems.append(f"MAX_TRADES_PER_DAY must not be negative, not {self.max_trades_per_day}")
        if not (self.cooldown_after_trade_s.is_finite() and self.cooldown_after_trade_s >= 0):
            problems.append(
                f"COOLDOWN_AFTER_TRADE_SEC must not be negative, not {self.cooldown_after_trade_s}"
            )
        if not (self.pause_duration_min.is_finite() and self.pause_duration_min >= 1):
            problems.append(f"PAUSE_DURATION_MIN must be at least 1, not {self.pause_duration_min}")
        if problems:
            raise SettingsError("; ".join(problems))


class DayRisk(msgspec.Struct, frozen=True, kw_only=True):
    """One UTC day of one user."""

    pnl: Decimal = ZERO
    trades: int = 0


EMPTY_DAY = DayRisk()


class RiskState(msgspec.Struct, frozen=True, kw_only=True):
    """What the gate looks at. `days` holds the UTC days a transaction needs; a day not in it is empty."""

    days: Mapping[date, DayRisk] = {}
    streak: int = 0
    last_trade_at: datetime | None = None
    paused_until: datetime | None = None
    paused_reason: Reason | None = None

    def day(self, at: datetime) -> DayRisk:
        return self.days.get(at.date() if at.tzinfo is UTC else risk_day(at), EMPTY_DAY)

    def is_paused(self, now: datetime) -> bool:
        return self.paused_until is not None and now < self.paused_until


class PauseStarted(msgspec.Struct, frozen=True, kw_only=True):
    """The one event of a PAUSE."""

    until: datetime
    reason: Reason


class RiskChange(msgspec.Struct, frozen=True, kw_only=True):
    """State after a change, and the pause it started, if any."""

    state: RiskState
    pause: PauseStarted | None = None


def risk_day(at: datetime) -> date:
    """The UTC date that owns an instant."""
    return at.date() if at.tzinfo is UTC else at.astimezone(UTC).date()


def gate(state: RiskState, limits: RiskLimits, now: datetime) -> Reason | None:
    """Why an entry may not be made at `now`; None when it may. First match wins."""
    # Each rule is first asked what nearly always settles it: at every run and slot this is all that is done.
    if state.paused_until is not None and now < state.paused_until:
        return _PAUSED
    day = state.day(now)
    if day.pnl < 0 and day.pnl <= -limits.daily_max_loss_usdt:
        return Reason.DAILY_LOSS
    most = limits.max_consecutive_losses
    if state.streak >= most and effective_streak(state, limits, now) >= most:
        return Reason.CONSECUTIVE_LOSSES
    if day.trades >= limits.max_trades_per_day:
        return Reason.MAX_TRADES
    if state.last_trade_at is not None and _within(now - state.last_trade_at, limits.cooldown_after_trade_s):
        return Reason.COOLDOWN
    return None


def verdicts(state: RiskState, limits: RiskLimits, now: datetime) -> dict[str, str]:
    """What each gate says by itself, `open` or `shut`, for whoever asks later why something was or was not done."""
    day, since = state.day(now), state.last_trade_at
    cooling = since is not None and _within(now - since, limits.cooldown_after_trade_s)
    shut = {
        Reason.PAUSED: state.is_paused(now),
        Reason.DAILY_LOSS: day.pnl <= -limits.daily_max_loss_usdt,
        Reason.CONSECUTIVE_LOSSES: effective_streak(state, limits, now) >= limits.max_consecutive_losses,
        Reason.MAX_TRADES: day.trades >= limits.max_trades_per_day,
        Reason.COOLDOWN: cooling,
    }
    return {reason.value: "shut" if is_shut else "open" for reason, is_shut in shut.items()}


def shut_until(state: RiskState, limits: RiskLimits, now: datetime, reason: Reason) -> datetime | None:
    """How long `gate`, which answered `reason` at `now`, goes on with it if nothing happens; None: for good."""
    match reason:
        case Reason.PAUSED:
            return state.paused_until
        case Reason.DAILY_LOSS | Reason.MAX_TRADES:
            return datetime.combine(risk_day(now) + timedelta(days=1), time(), tzinfo=UTC)
        case Reason.COOLDOWN if state.last_trade_at is not None:
            return state.last_trade_at + _seconds(limits.cooldown_after_trade_s)
        case _:
            return None


def gate_later_attempt(state: RiskState, limits: RiskLimits, now: datetime) -> Reason | None:
    """Gates 1 and 2 alone: what a later attempt of a reserved leg is checked against (decision 20)."""
    if state.is_paused(now):
        return Reason.PAUSED
    if state.day(now).pnl <= -limits.daily_max_loss_usdt:
        return Reason.DAILY_LOSS
    return None


def effective_streak(state: RiskState, limits: RiskLimits, now: datetime) -> int:
    """The streak as the gate sees it: a pause that has run out while the streak stood at its limit clears it."""
    return expire(state, limits, now).streak


def expire(state: RiskState, limits: RiskLimits, now: datetime) -> RiskState:
    """EXPIRE: at `paused_until` the pause is over, and a streak at its limit starts anew."""
    if state.paused_until is None or now < state.paused_until:
        return state
    streak = 0 if state.streak >= limits.max_consecutive_losses else state.streak
    return msgspec.structs.replace(state, paused_until=None, paused_reason=None, streak=streak)


def resume(state: RiskState, limits: RiskLimits) -> RiskState:
    """An operator ends the pause: what EXPIRE does, before its time. Without a pause nothing changes."""
    return state if state.paused_until is None else expire(state, limits, state.paused_until)


def start_pause_for_streak(state: RiskState, limits: RiskLimits, now: datetime) -> RiskChange:
    """Gate 3 matched without a pause running (limits tightened since): it starts one."""
    return _pause(state, limits, now, Reason.CONSECUTIVE_LOSSES)


def reserve(state: RiskState, now: datetime) -> RiskState:
    """RESERVE: an entry intent commits."""
    day_of = risk_day(now)
    day = state.days.get(day_of, EMPTY_DAY)
    after = DayRisk(pnl=day.pnl, trades=day.trades + 1)
    return msgspec.structs.replace(state, days={**state.days, day_of: after}, last_trade_at=now)


def reserve_again(state: RiskState, day_of: date) -> RiskState:
    """A late fill of a released leg: it is a trade after all, on the day it was reserved; no gate asks."""
    day = state.days.get(day_of, EMPTY_DAY)
    return _with_day(state, day_of, msgspec.structs.replace(day, trades=day.trades + 1))


def release(state: RiskState, day_of: date) -> RiskState:
    """RELEASE: an entry leg ended with nothing filled; `last_trade_at` stays."""
    day = state.days.get(day_of, EMPTY_DAY)
    return _with_day(state, day_of, msgspec.structs.replace(day, trades=max(0, day.trades - 1)))


def fill(
    state: RiskState, limits: RiskLimits, *, delta: Decimal, executed_at: datetime, now: datetime
) -> RiskChange:
    """FILL: realised PnL net of commission, on the day of execution; today's crossing of the limit pauses."""
    day_of = risk_day(executed_at)
    before = state.days.get(day_of, EMPTY_DAY)
    after = DayRisk(pnl=before.pnl + delta, trades=before.trades)
    moved = _with_day(state, day_of, after)
    limit = -limits.daily_max_loss_usdt
    if day_of == risk_day(now) and before.pnl > limit >= after.pnl:
        return _pause(moved, limits, now, Reason.DAILY_LOSS)
    return RiskChange(state=moved)


def round_trip(state: RiskState, limits: RiskLimits, *, pnl: Decimal, now: datetime) -> RiskChange:
    """ROUND_TRIP: a loss lengthens the streak, anything else ends it; reaching the limit pauses."""
    if pnl >= 0:
        return RiskChange(state=msgspec.structs.replace(state, streak=0) if state.streak else state)
    moved = msgspec.structs.replace(state, streak=state.streak + 1)
    if moved.streak == limits.max_consecutive_losses:
        return _pause(moved, limits, now, Reason.CONSECUTIVE_LOSSES)
    return RiskChange(state=moved)


def simulate(state: RiskState, limits: RiskLimits, *, delta: Decimal, now: datetime) -> RiskChange:
    """SIMULATE: a whole trade in one step, never gated."""
    filled = fill(reserve(state, now), limits, delta=delta, executed_at=now, now=now)
    ended = round_trip(filled.state, limits, pnl=delta, now=now)
    return RiskChange(state=ended.state, pause=merge_pauses(filled.pause, ended.pause))


def merge_pauses(first: PauseStarted | None, second: PauseStarted | None) -> PauseStarted | None:
    """One event for one change: the daily loss names it when both limits were crossed."""
    if first is None or second is None:
        return first or second
    reason = Reason.DAILY_LOSS if Reason.DAILY_LOSS in (first.reason, second.reason) else first.reason
    return PauseStarted(until=max(first.until, second.until), reason=reason)


def _pause(state: RiskState, limits: RiskLimits, now: datetime, reason: Reason) -> RiskChange:
    until = now + _seconds(limits.pause_duration_min * 60)
    if state.paused_until is not None:
        until = max(until, state.paused_until)
    if state.is_paused(now) and state.paused_reason is Reason.DAILY_LOSS:
        reason = Reason.DAILY_LOSS
    return RiskChange(
        state=msgspec.structs.replace(state, paused_until=until, paused_reason=reason),
        pause=PauseStarted(until=until, reason=reason),
    )


def _with_day(state: RiskState, day_of: date, day: DayRisk) -> RiskState:
    return msgspec.structs.replace(state, days={**state.days, day_of: day})


def _within(passed: timedelta, seconds: Decimal) -> bool:
    whole_s = passed.days * 86_400 + passed.seconds
    return whole_s < seconds and passed < _seconds(seconds)


def _seconds(seconds: Decimal) -> timedelta:
    return timedelta(microseconds=int(seconds * 1_000_000))
