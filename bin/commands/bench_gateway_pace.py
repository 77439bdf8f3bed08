"""At what pace `bench gateway` sends orders, and the clock that venue code is given there."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import msgspec


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How many orders are on their way at a time; the pause from one to the next."""

    in_flight: int
    pause_s: float = 0.0


class Clock:
    """Process time."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def seconds_until(self, when: datetime) -> float:
        return max(0.0, (when - self.now()).total_seconds())
