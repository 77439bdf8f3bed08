"""What the operator is woken for: pure rules over numbers somebody has read, and what has changed since last time."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

MIN_TICKS: Final = 20
"""Fewer ticks than this say nothing about a rate."""
UNKNOWN_S: Final = 60.0
UNPROTECTED_S: Final = 10.0
"""A missing stop is repaired for so long before the position is closed (decision 22)."""


class AlertKind(StrEnum):
    ERROR_RATE = "error_rate"
    NO_SIGNAL = "no_signal"
    AUTO_PAUSED = "auto_paused"
    DAILY_LOSS = "daily_loss"
    UNKNOWN_ORDER = "unknown_order"
    UNPROTECTED = "unprotected"
    SCHEDULER_LAG = "scheduler_lag"
    KEY_TROUBLE = "key_trouble"


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """`subject`: a run, a user, an order; empty for the installation. Of a kind and subject at most one is open."""

    kind: AlertKind
    subject: str = ""
    detail: str = ""

    @property
    def key(self) -> tuple[AlertKind, str]:
        return self.kind, self.subject


class Thresholds(msgspec.Struct, frozen=True, kw_only=True):
    error_rate_pct: float = 20.0
    no_signal_min: float = 15.0
    lag_s: float = 10.0


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong, and what is said of it."""

    subject: str
    detail: str


class Numbers(msgspec.Struct, frozen=True, kw_only=True):
    """What was read at `now`, market time.

    `ticks`, `failed`: of the last minutes. `decided_at`: when a tick last came to a decision, or since when there are
    runs; `every_s`: the shortest time between slots of runs that tick by themselves, None without any.
    """

    now: datetime
    ticks: int = 0
    failed: int = 0
    decided_at: datetime | None = None
    every_s: float | None = None
    lag_p99_ms: float | None = None
    auto_paused: Sequence[Named] = ()
    daily_loss: Sequence[Named] = ()
    unknown_orders: Sequence[Named] = ()
    unprotected: Sequence[Named] = ()
    keys: Sequence[Named] = ()


def alerts_of(numbers: Numbers, limits: Thresholds, open_: Collection[AlertKind] = ()) -> tuple[Alert, ...]:
    """What is wrong. A rate or a lag that has been told already is over below half of what raises it, not before."""

    def bar(kind: AlertKind, threshold: float) -> float:
        return threshold / 2 if kind in open_ else threshold

    found: list[Alert] = []
    rate_pct = 100.0 * numbers.failed / numbers.ticks if numbers.ticks >= MIN_TICKS else 0.0
    if numbers.failed and rate_pct >= bar(AlertKind.ERROR_RATE, limits.error_rate_pct):
        said = f"{numbers.failed} of {numbers.ticks} ticks failed"
        found.append(Alert(kind=AlertKind.ERROR_RATE, detail=said))
    silence_s = _silence_s(numbers)
    if silence_s is not None and silence_s >= limits.no_signal_min * 60:
        said = f"no tick has come to a decision for {silence_s / 60:.0f} min"
        found.append(Alert(kind=AlertKind.NO_SIGNAL, detail=said))
    lag_ms = numbers.lag_p99_ms
    if lag_ms is not None and lag_ms >= bar(AlertKind.SCHEDULER_LAG, limits.lag_s) * 1_000:
        said = f"ticks end {lag_ms / 1_000:.1f} s after their slot (p99)"
        found.append(Alert(kind=AlertKind.SCHEDULER_LAG, detail=said))
    for kind, things in (
        (AlertKind.AUTO_PAUSED, numbers.auto_paused),
        (AlertKind.DAILY_LOSS, numbers.daily_loss),
        (AlertKind.UNKNOWN_ORDER, numbers.unknown_orders),
        (AlertKind.UNPROTECTED, numbers.unprotected),
        (AlertKind.KEY_TROUBLE, numbers.keys),
    ):
        found.extend(Alert(kind=kind, subject=each.subject, detail=each.detail) for each in things)
    return tuple(found)


def _silence_s(numbers: Numbers) -> float | None:
    """How long a decision is overdue."""
    if numbers.decided_at is None or numbers.every_s is None:
        return None
    return (numbers.now - numbers.decided_at).total_seconds() - numbers.every_s


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    raised: tuple[Alert, ...]
    cleared: tuple[tuple[AlertKind, str], ...]


def changes(open_: Collection[tuple[AlertKind, str]], wrong: Sequence[Alert]) -> Changes:
    """Each alert is raised once, and cleared when it is over."""
    keys = {alert.key for alert in wrong}
    return Changes(
        raised=tuple(alert for alert in wrong if alert.key not in open_),
        cleared=tuple(sorted(key for key in open_ if key not in keys)),
    )
