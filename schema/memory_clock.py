"""Market time of the memory store: the injected clock's, or a demo's own, re-anchored at will."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from core.clock import Clock
from core.errors import RunnerError
from schema.records import ClockSettings

_ORIGIN = datetime(1970, 1, 1, tzinfo=UTC)


class MemoryClock:
    """A demo's process time is the injected monotonic clock, counted from an arbitrary origin."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._demo: ClockSettings | None = None

    @property
    def is_demo(self) -> bool:
        return self._demo is not None

    def now(self) -> datetime:
        demo = self._demo
        if demo is None:
            return self._clock.now()
        elapsed = (self._process_now() - demo.anchor_process).total_seconds()
        market = demo.anchor_market + timedelta(seconds=elapsed * demo.rate)
        return market if demo.ceiling is None else min(market, demo.ceiling)

    def settings(self) -> ClockSettings:
        if self._demo is not None:
            return replace(self._demo, database_now=self._process_now())
        now = self._clock.now()
        return ClockSettings(
            demo=False, anchor_market=now, anchor_process=now, rate=1.0, ceiling=None, database_now=now
        )

    def become_demo(self, start: datetime, rate: float) -> None:
        self._anchor(start, rate, None)

    def set(self, at: datetime | None, rate: float | None, ceiling: datetime | None) -> None:
        """Market time never goes back: an earlier `at` or ceiling means that it stands where it is."""
        if self._demo is None:
            raise RunnerError("market time can only be set in a demo database")
        now = self.now()
        self._anchor(
            now if at is None else max(at, now),
            self._demo.rate if rate is None else rate,
            None if ceiling is None else max(ceiling, now),
        )

    def _anchor(self, at: datetime, rate: float, ceiling: datetime | None) -> None:
        if not 0 <= rate < float("inf"):
            raise RunnerError(f"market time cannot run at a rate of {rate}")
        process = self._process_now()
        self._demo = ClockSettings(
            demo=True,
            anchor_market=at,
            anchor_process=process,
            rate=rate,
            ceiling=ceiling,
            database_now=process,
        )

    def _process_now(self) -> datetime:
        return _ORIGIN + timedelta(seconds=self._clock.monotonic())
