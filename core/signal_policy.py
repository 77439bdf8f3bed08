"""Which signals are told outside: not too often of a symbol, and not too many at a time.

All in market time, by when signals were decided: the same signals in the same order are always judged the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from core.published_signal import Announced


class Withheld(StrEnum):
    """Why a signal was not told; stable codes."""

    COOLDOWN = "cooldown"
    TOO_MANY_ALIVE = "too_many_alive"


class SignalLimits(msgspec.Struct, frozen=True, kw_only=True):
    """`ttl`: for how long a signal is alive unless the next of its symbol takes its place."""

    cooldown: timedelta
    ttl: timedelta
    max_alive: int

    @property
    def ttl_s(self) -> int:
        return round(self.ttl.total_seconds())

    @property
    def memory(self) -> timedelta:
        """How far back told signals matter."""
        return max(self.cooldown, self.ttl)


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """The newest signal of a symbol that was told."""

    action: Announced
    at: datetime


def withheld(
    symbol: str, action: Announced, at: datetime, told: Mapping[str, Told], limits: SignalLimits
) -> Withheld | None:
    """Why this signal is not to be told, `told` being the newest of each symbol; None: tell it.

    A CLOSE passes unless a CLOSE went before it: who has followed an entry must hear of its end.
    """
    last = told.get(symbol)
    cooling = last is not None and at < last.at + limits.cooldown
    if action is Announced.CLOSE:
        return Withheld.COOLDOWN if cooling and last is not None and last.action is action else None
    if cooling:
        return Withheld.COOLDOWN
    alive = sum(
        1
        for name, each in told.items()
        if name != symbol and each.action is not Announced.CLOSE and at < each.at + limits.ttl
    )
    return Withheld.TOO_MANY_ALIVE if alive >= limits.max_alive else None
