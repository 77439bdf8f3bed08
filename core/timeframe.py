"""Timeframes and their slots: every question about candle boundaries, answered with integer arithmetic.

A slot is the candle close a tick belongs to: `slot(x) = ⌊(x + 5 s) / T⌋ · T` (docs: invariants §6). Times are
aware UTC datetimes at the surface and whole microseconds since the epoch inside, so that no boundary is ever
decided by a rounded float.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from core.errors import RunnerError

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

EARLY_US: Final = 5_000_000
DEFAULT_GRACE_S: Final = 5.0
# A pass later than this could meet the next minute's slot before it has answered this one.
MAX_GRACE_S: Final = 25.0
ENTRY_WINDOW: Final = timedelta(seconds=30)
CANDLE_WINDOW: Final = timedelta(seconds=15)


class TimeframeError(RunnerError):
    """A spelling that names no timeframe, time or range of times."""


def to_us(at: datetime) -> int:
    """Microseconds since the epoch of an aware datetime; a naive one raises TypeError."""
    delta = at - EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def from_us(us: int) -> datetime:
    return EPOCH + timedelta(0, 0, us)  # by position: naming the argument costs half as much again


def to_ms(at: datetime) -> int:
    """Whole milliseconds since the epoch, rounded down."""
    return to_us(at) // 1000


def from_ms(ms: int) -> datetime:
    return EPOCH + timedelta(0, 0, 0, ms)


def parse_time(text: str) -> datetime:
    """A date or RFC 3339 time; UTC where it names no offset. Raises TimeframeError."""
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        raise TimeframeError(
            f"{text!r:.60} is not a time; write it like 2025-03-01 or 2025-03-01T12:00Z."
        ) from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def parse_range(start: str, end: str) -> tuple[datetime, datetime]:
    """Both ends of a range of times; refuses one that is empty or runs backwards."""
    first, last = parse_time(start), parse_time(end)
    if first >= last:
        raise TimeframeError(f"The range from {start} to {end} is empty: it must end after it begins.")
    return first, last


class Timeframe(StrEnum):
    """A candle interval. Its value is the canonical spelling; `seconds`, `ms` and `delta` are its length."""

    M1 = "1m", 60
    M3 = "3m", 180
    M5 = "5m", 300
    M10 = "10m", 600
    M15 = "15m", 900
    M30 = "30m", 1800
    H1 = "1h", 3600
    H2 = "2h", 7200
    H4 = "4h", 14_400
    H6 = "6h", 21_600
    H12 = "12h", 43_200
    D1 = "1d", 86_400

    seconds: int
    ms: int
    micros: int
    delta: timedelta

    def __new__(cls, text: str, seconds: int) -> Timeframe:
        member = str.__new__(cls, text)
        member._value_ = text
        member.seconds = seconds
        member.ms = seconds * 1000
        member.micros = seconds * 1_000_000
        member.delta = timedelta(seconds=seconds)
        return member

    @classmethod
    def parse(cls, text: str) -> Timeframe:
        """The timeframe a client means by `5m`, `5`, `60`, `1h`, `1H`, `1D` or `D`.

        A bare number counts minutes, as chart resolutions do. `1M` is a month on every venue, hence refused.
        """
        found = _SPELLINGS.get(text.strip())
        if found is None:
            raise TimeframeError(f"{text!r} is not a timeframe; use one of {', '.join(cls)}.")
        return found

    def floor(self, at: datetime) -> datetime:
        """The latest boundary at or before `at`."""
        us = to_us(at)
        past = us % self.micros
        if not past and at.tzinfo is UTC:
            return at
        return from_us(us - past)

    def next_close(self, at: datetime) -> datetime:
        """The first boundary strictly after `at`."""
        us = to_us(at)
        past = us % self.micros
        if not past and at.tzinfo is UTC:
            return at + self.delta
        return from_us(us - past + self.micros)

    def slot(self, at: datetime) -> datetime:
        """The slot `at` belongs to: the boundary up to 5 s ahead, otherwise the one behind."""
        us = to_us(at) + EARLY_US
        return from_us(us - us % self.micros)

    def is_slot(self, at: datetime) -> bool:
        return to_us(at) % self.micros == 0

    def is_due(self, now: datetime, last_slot: datetime | None, grace_s: float = DEFAULT_GRACE_S) -> bool:
        """Whether a tick at `now` is due: −5 s ≤ now − slot(now) ≤ grace, and the slot is not yet claimed."""
        if not 0 <= grace_s <= MAX_GRACE_S:
            raise RunnerError(f"grace of {grace_s} s is outside 0 to {MAX_GRACE_S:g} s")
        us = to_us(now) + EARLY_US
        past_early_us = us % self.micros
        if past_early_us > EARLY_US + round(grace_s * 1_000_000):
            return False
        return last_slot is None or to_us(last_slot) < us - past_early_us

    def interval_range(self, slot: datetime) -> tuple[datetime, datetime]:
        """Open and close time of the candle that closes at `slot`."""
        return slot - self.delta, slot

    def interval_key(self, slot: datetime) -> str:
        """One name per interval and timeframe, equal in every process: `5m@2026-01-01T00:05:00Z`."""
        return f"{self.value}@{slot.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"

    def exit_deadline(self, slot: datetime) -> datetime:
        """The last moment a first exit attempt of `slot` may leave."""
        return slot + self.delta

    def divides(self, larger: Timeframe) -> bool:
        """Whether whole candles of this timeframe make up one of `larger`."""
        return larger.seconds % self.seconds == 0


def entry_deadline(slot: datetime) -> datetime:
    """The last moment an entry intent of `slot` may commit."""
    return slot + ENTRY_WINDOW


def candle_deadline(slot: datetime) -> datetime:
    """How long an early claim waits for the candle that closes at `slot`."""
    return slot + CANDLE_WINDOW


def drift_s(executed_at: datetime, slot: datetime) -> float:
    """Seconds an execution came after its slot; negative when before."""
    return (to_us(executed_at) - to_us(slot)) / 1_000_000


def _spellings() -> dict[str, Timeframe]:
    table: dict[str, Timeframe] = {}
    for timeframe in Timeframe:
        minutes = timeframe.seconds // 60
        table[timeframe.value] = timeframe
        table[str(minutes)] = timeframe
        table[f"{minutes}m"] = timeframe
        if minutes % 60 == 0:
            table[f"{minutes // 60}h"] = table[f"{minutes // 60}H"] = timeframe
    table["1D"] = table["D"] = table["d"] = Timeframe.D1
    return table


_SPELLINGS: Final = _spellings()
