"""What a strategy's author is warned of: code that nears its time limit again and again, or answers differently."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import msgspec

from core.ids import StrategyId, UserId
from core.signal import Signal

NEAR: Final = 0.8
"""An evaluation that uses this share of its limit is near it."""
OFTEN: Final = 3
AMONG: Final = 10
"""So many of the last so many that were near it are a warning: one more busy day and evaluations fail."""


class WarningKind(StrEnum):
    NEAR_TIME_LIMIT = "near_time_limit"
    NOT_DETERMINISTIC = "not_deterministic"


class StrategyWarning(msgspec.Struct, frozen=True, kw_only=True):
    """Of each kind a version is warned of once."""

    strategy_id: StrategyId
    version: int
    user_id: UserId
    kind: WarningKind
    slot: datetime
    detail: Mapping[str, Any]


class TimeLimitWatch:
    """The last evaluations of one version: how many of them came near the limit."""

    __slots__ = ("_near",)

    def __init__(self) -> None:
        self._near: deque[bool] = deque(maxlen=AMONG)

    def took(self, used_ms: float, limit_ms: float) -> bool:
        """Whether it is near its limit often by now."""
        self._near.append(used_ms >= NEAR * limit_ms)
        return self._near[-1] and sum(self._near) >= OFTEN


def said_by(signal: Signal) -> dict[str, Any]:
    """A signal in an event: what it said, without what it did not."""
    return {
        name: content for name, content in msgspec.to_builtins(signal).items() if content not in (None, {})
    }
