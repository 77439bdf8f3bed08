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


class Share:
    """Which evaluations of one version are repeated: the first, then so many of a hundred, evenly."""

    __slots__ = ("_due",)

    def __init__(self) -> None:
        self._due = 100.0

    def next(self, share_pct: float) -> bool:
        due = self._due >= 100.0
        self._due += share_pct - 100.0 * due
        return due


_FIELDS: Final = tuple(name for name in Signal.__struct_fields__ if name != "metadata")


def difference(first: Signal, second: Signal | str) -> dict[str, Any]:
    """Both answers as an event tells them, as far as they differ; of one that failed its sentence. Empty: alike."""
    if isinstance(second, str):
        return {"first": _said(first, _FIELDS), "second": {"error": second}}
    differing = tuple(name for name in _FIELDS if getattr(first, name) != getattr(second, name))
    if not differing:
        return {}
    return {"first": _said(first, differing), "second": _said(second, differing)}


def _said(signal: Signal, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: msgspec.to_builtins(getattr(signal, name)) for name in names}
