"""Market time of a live process: the database's clock, or a demo database's faster one (decisions 1, 2).

Sampled once and whenever the settings change; between samples it runs on the process's monotonic clock.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from math import inf

from schema.records import ClockSettings


class MarketClock:
    """A `Clock`. `update` swaps the settings at once; readers see the old or the new, never a mixture."""

    def __init__(self, settings: ClockSettings, monotonic: Callable[[], float]) -> None:
        self.monotonic = monotonic
        self._sample = (settings, monotonic())

    @property
    def settings(self) -> ClockSettings:
        return self._sample[0]

    def update(self, settings: ClockSettings) -> None:
        self._sample = (settings, self.monotonic())

    def now(self) -> datetime:
        settings, sampled_s = self._sample
        process = settings.database_now + timedelta(seconds=self.monotonic() - sampled_s)
        if not settings.demo:
            return process
        market = settings.anchor_market + (process - settings.anchor_process) * settings.rate
        return market if settings.ceiling is None else min(market, settings.ceiling)

    def seconds_until(self, when: datetime) -> float:
        settings, _ = self._sample
        ahead_s = (when - self.now()).total_seconds()
        if ahead_s <= 0:
            return 0.0
        if not settings.demo:
            return ahead_s
        if settings.rate <= 0 or (settings.ceiling is not None and when > settings.ceiling):
            return inf
        return ahead_s / settings.rate
