"""The one form of a signal: what it says, and that equal signals have one id."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest

from core.ids import StrategyId
from core.published_signal import Announced, PublishedSignal, Said, published, published_from_event, signal_id
from core.symbols import base_of

STRATEGY = StrategyId(UUID(int=7))
SLOT = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "told"), [("long", "LONG"), ("short", "SHORT"), ("exit_long", "CLOSE"), ("exit_short", "CLOSE")]
)
def test_both_exits_are_a_close(said: str, told: str) -> None:
    assert made(action=said).action.value == told


@pytest.mark.parametrize(
    ("symbol", "base"),
    [
        ("BTCUSDT", "BTC"),
        ("1000PEPEUSDC", "1000PEPE"),
        ("USDT", "USDT"),
        ("BTCEUR", "BTC"),
        ("WEIRD", "WEIRD"),
    ],
)
def test_a_symbols_base_is_what_stands_before_its_quote(symbol: str, base: str) -> None:
    assert base_of(symbol) == base


def test_the_id_follows_from_strategy_slot_symbol_and_action_alone() -> None:
    assert made().signal_id == made(score=1.0, at=SLOT + timedelta(seconds=9)).signal_id
    others = [
        signal_id(StrategyId(UUID(int=8)), SLOT, "BTC", Announced.LONG),
        signal_id(STRATEGY, SLOT + timedelta(minutes=1), "BTC", Announced.LONG),
        signal_id(STRATEGY, SLOT, "ETH", Announced.LONG),
        signal_id(STRATEGY, SLOT, "BTC", Announced.SHORT),
    ]
    assert len({made().signal_id, *others}) == 5


def test_the_event_of_a_signal_holds_all_of_it() -> None:
    said = Said(price=Decimal("64000.5"), leverage=3, reason="why")
    payload = {
        "signal": "long",
        "symbol": "BTCUSDT",
        "strategy_id": str(STRATEGY),
        "strategy": "mine",
        "slot": SLOT.isoformat(),
        "said": msgspec.to_builtins(said),
    }
    assert published_from_event(payload, SLOT, ttl_s=300) == made(said=said, score=None)
    del payload["strategy"]
    assert published_from_event(payload, SLOT, ttl_s=300) is None, "a version before this stored it"


def made(**more: Any) -> PublishedSignal:
    given = {
        "strategy_id": STRATEGY,
        "strategy": "mine",
        "slot": SLOT,
        "at": SLOT,
        "symbol": "BTCUSDT",
        "action": "long",
        "score": 7.0,
        "said": Said(),
        "ttl_s": 300,
    }
    return published(**(given | more))
