"""Alerts of chart services: which of them are one signal, and which have been on their way for too long.

A service that got no answer sends the same text again. What names an alert is the best that its text holds: an id; else
what it says with the times in it; else what it says, where it comes again within a minute.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from core.external_signal import DEADLINE, SentSignal

SAME_WITHIN: Final = timedelta(minutes=1)
"""For how long the same words, without an id or a time, are the same alert."""
_KEY: Final = re.compile(r"[A-Za-z0-9._:-]{8,64}")
_DIGEST_CHARS: Final = 40


class ChartAlert(msgspec.Struct, frozen=True, kw_only=True):
    """What an alert says of itself. `sent_at`: when it fired; `bar_at`: the time of the candle it fired on."""

    id: str | None = None
    sent_at: datetime | None = None
    bar_at: datetime | None = None


class AlertNames(msgspec.Struct, frozen=True, kw_only=True):
    """Its idempotency key, and those of the minutes beside its own under which it may have come already.

    Of the minute after as well: of two that come at once at its turn either may be stored first.
    """

    key: str
    other_keys: tuple[str, ...] = ()


def names_of(alert: ChartAlert, sent: SentSignal, received_at: datetime) -> AlertNames:
    """An id that has the form of a key is the key itself; any other name is a digest."""
    if alert.id is not None:
        return AlertNames(key=alert.id if _KEY.fullmatch(alert.id) else _digest("id", alert.id))
    said = sent.content
    if alert.sent_at is not None or alert.bar_at is not None:
        times = [_instant(each) for each in (alert.sent_at, alert.bar_at)]
        return AlertNames(key=_digest("time", said, *times))
    minute = received_at.replace(second=0, microsecond=0)
    before, key, after = (
        _digest("minute", said, _instant(each))
        for each in (minute - SAME_WITHIN, minute, minute + SAME_WITHIN)
    )
    return AlertNames(key=key, other_keys=(before, after))


def is_late(alert: ChartAlert, received_at: datetime) -> bool:
    """Whether it fired so long ago that it may not be acted upon any more, by its own word."""
    return alert.sent_at is not None and received_at - alert.sent_at > DEADLINE


def _instant(at: datetime | None) -> str:
    return "" if at is None else at.astimezone(UTC).isoformat()


def _digest(kind: str, *parts: str) -> str:
    whole = msgspec.json.encode([kind, *parts])
    return f"{kind}:{hashlib.sha256(whole).hexdigest()[:_DIGEST_CHARS]}"
