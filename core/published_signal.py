"""A signal as it is told outside: one JSON form over HTTP, WebSocket and Redis, tags and fields of it in InfluxDB.

A strategy's signal of a slot is one signal, however many runs follow it: its id follows from strategy, slot, symbol and
action, so that whoever hears of it by several ways, or again, knows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final
from uuid import UUID, uuid5

import msgspec

from core.ids import StrategyId
from core.signal import Action
from core.symbols import base_of

SERVICE: Final = "strategy-runner"


class Announced(StrEnum):
    """What a listener is to do: both exits are one, as a listener holds one side at most."""

    LONG = "LONG"
    SHORT = "SHORT"
    CLOSE = "CLOSE"


class Said(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a strategy said beside action and score. `price`: its own, or else the last close."""

    price: Decimal | None = None
    size_factor: Decimal | None = None
    leverage: int | None = None
    confidence: float | None = None
    reason: str | None = None


class PublishedSignal(msgspec.Struct, frozen=True, kw_only=True):
    """The form. `symbol` is the base asset; `ttl` the seconds after `timestamp` it may be acted upon."""

    signal_id: UUID
    timestamp: datetime
    symbol: str
    action: Announced
    score: float | None
    position_size_factor: float
    leverage: int | None
    entry_price: float | None
    ttl: int
    confidence: float | None
    reasoning: str | None
    strategy: str
    service: str = SERVICE


_ANNOUNCED: Final[Mapping[str, Announced]] = {
    Action.LONG: Announced.LONG,
    Action.SHORT: Announced.SHORT,
    Action.EXIT_LONG: Announced.CLOSE,
    Action.EXIT_SHORT: Announced.CLOSE,
}


def signal_id(strategy_id: StrategyId, slot: datetime, symbol: str, action: Announced) -> UUID:
    return uuid5(strategy_id, f"{slot.astimezone(UTC).isoformat()}|{symbol}|{action}")


def published(
    *,
    strategy_id: StrategyId,
    strategy: str,
    slot: datetime,
    at: datetime,
    symbol: str,
    action: str,
    score: float | None,
    said: Said,
    ttl_s: int,
) -> PublishedSignal:
    """`symbol` as the service spells it; `action` as a strategy says it, hold aside; `at`: when it was decided."""
    announced, base = _ANNOUNCED[action], base_of(symbol)
    return PublishedSignal(
        signal_id=signal_id(strategy_id, slot, base, announced),
        timestamp=at,
        symbol=base,
        action=announced,
        score=score,
        position_size_factor=1.0 if said.size_factor is None else float(said.size_factor),
        leverage=said.leverage,
        entry_price=None if said.price is None else float(said.price),
        ttl=ttl_s,
        confidence=said.confidence,
        reasoning=said.reason,
        strategy=strategy,
    )


def published_from_event(payload: Mapping[str, Any], at: datetime, *, ttl_s: int) -> PublishedSignal | None:
    """From the payload of an event `signal`; None for one of a version that did not store what is needed."""
    if "strategy" not in payload:
        return None
    return published(
        strategy_id=StrategyId(UUID(payload["strategy_id"])),
        strategy=payload["strategy"],
        slot=datetime.fromisoformat(payload["slot"]),
        at=at,
        symbol=payload["symbol"],
        action=payload["signal"],
        score=payload.get("score"),
        said=msgspec.convert(payload.get("said") or {}, Said),
        ttl_s=ttl_s,
    )
