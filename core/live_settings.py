"""Settings that an administrator may change while the service runs, and the box every part reads them from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final

import msgspec

from core.config import Settings, overridden, shown
from core.errors import SettingsError

ORIGIN: Final = "administrator"


class Change(StrEnum):
    """`live`: in force at once on every process; `restart`: once a process starts anew; `no`: not from outside."""

    LIVE = "live"
    RESTART = "restart"
    NO = "no"


LIVE: Final = frozenset(
    {
        *("MAX_LEVERAGE", "LOG_LEVEL"),
        *("DAILY_MAX_LOSS_USDT", "MAX_TRADES_PER_DAY", "MAX_CONSECUTIVE_LOSSES"),
        *("COOLDOWN_AFTER_TRADE_SEC", "PAUSE_DURATION_MIN"),
        *("ALERT_ERROR_RATE_PCT", "ALERT_NO_SIGNAL_MIN", "ALERT_SLOT_LAG_SEC"),
    }
)
AT_START: Final = frozenset(
    {
        "SYMBOL_WHITELIST",
        *("RUNNER_TICK_INTERVAL_SEC", "RUNNER_GRACE_SEC", "RETENTION_DAYS", "HEALTH_CHECK_INTERVAL"),
        *("RUN_INTERVAL_SECONDS", "MAX_SYMBOLS_PER_CYCLE", "DATA_LOOKBACK_HOURS", "DEFAULT_TIMEFRAME"),
        *("MIN_DATA_POINTS", "SIGNAL_COOLDOWN_MINUTES", "SIGNAL_TTL_SECONDS", "MAX_CONCURRENT_SIGNALS"),
        *("ENABLE_PARALLEL_PROCESSING", "ENABLE_PERFORMANCE_MONITORING"),
        *("SANDBOX_TIMEOUT_SEC", "SANDBOX_MEMORY_MB", "SANDBOX_WORKERS", "SANDBOX_SHADOW_PCT"),
    }
)
"""No secret, no address and nothing that says who may do what can be changed from outside."""


class SettingNow(msgspec.Struct, frozen=True, kw_only=True):
    """`value` in force here; `waiting`: what takes its place when the process starts anew."""

    name: str
    value: str
    origin: str
    change: Change
    waiting: str | None = None


def change_of(name: str) -> Change:
    if name in LIVE:
        return Change.LIVE
    return Change.RESTART if name in AT_START else Change.NO


class LiveSettings:
    """What is in force in this process. `given`: as environment, file and defaults say."""

    def __init__(self, given: Settings, overrides: Mapping[str, str] | None = None) -> None:
        """`overrides`: of the moment the process starts; of those for a restart no others are taken later."""
        self._given = given
        self._overrides = dict(overrides or {})
        self._at_start = {name: text for name, text in self._overrides.items() if name in AT_START}
        self._listeners: list[Callable[[Settings], None]] = []
        self._now = self._in_force(self._overrides)

    @property
    def now(self) -> Settings:
        return self._now

    def on_change(self, listener: Callable[[Settings], None]) -> None:
        """Called with what is in force, now and after each change, from whichever thread brings it."""
        self._listeners.append(listener)
        listener(self._now)

    def put(self, overrides: Mapping[str, str]) -> None:
        """Take these in the place of what was changed before."""
        if dict(overrides) == self._overrides:
            return
        self._overrides = dict(overrides)
        self._now = self._in_force(self._overrides)
        for listener in self._listeners:
            listener(self._now)

    def check(self, overrides: Mapping[str, str]) -> Settings:
        """What every process would have after a restart. Raises SettingsError for what cannot be."""
        return overridden(self._given, overrides, ORIGIN)

    def shown(self, overrides: Mapping[str, str]) -> list[SettingNow]:
        """Every setting, secrets masked; `overrides` as they are stored now."""
        after = {each.name: each.value for each in shown(self._in_force(overrides, restarted=True))}
        return [
            SettingNow(
                name=each.name,
                value=each.value,
                origin=each.origin,
                change=change_of(each.name),
                waiting=after[each.name] if after[each.name] != each.value else None,
            )
            for each in shown(self._now)
        ]

    def _in_force(self, overrides: Mapping[str, str], *, restarted: bool = False) -> Settings:
        """What does not read any more, as a version before this may have stored it, is left out."""
        settings = self._given
        wanted = {name: text for name, text in overrides.items() if name in LIVE}
        wanted |= overrides if restarted else self._at_start
        for name in sorted(wanted):
            if change_of(name) is Change.NO:
                continue
            try:
                settings = overridden(settings, {name: wanted[name]}, ORIGIN)
            except SettingsError:
                continue
        return settings
