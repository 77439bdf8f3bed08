"""Runs, positions and facts for the tests of a tick."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from core.definition import StrategyDefinition
from core.errors import Reason
from core.ids import AccountId, RunId, StrategyId, UserId
from core.market import SymbolRules
from core.position import FLAT, Fill, OrderSide, Position, apply_fill
from core.run import Run, RunSettings, RunStatus
from core.signal import Action, Signal
from core.sizing import Money
from core.tick import Facts
from core.timeframe import Timeframe

SLOT = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
PRICE = Decimal(1000)
RULES = SymbolRules(
    symbol="BTCUSDT",
    tick_size=Decimal("0.1"),
    step_size=Decimal("0.001"),
    min_quantity=Decimal("0.001"),
    max_quantity=Decimal(1000),
    min_notional=Decimal(5),
    market_step_size=Decimal("0.001"),
    max_market_quantity=Decimal(100),
)


def run(**settings: Any) -> Run:
    return Run(
        id=RunId(UUID(int=1)),
        user_id=UserId("ann"),
        strategy=StrategyDefinition(
            id=StrategyId(UUID(int=2)),
            owner_id=UserId("ann"),
            name="trend",
            template="sma_trend",
            parameters={},
            symbol="BTCUSDT",
            timeframe=Timeframe.M1,
        ),
        account_id=AccountId(UUID(int=3)),
        settings=RunSettings(**settings),
        status=RunStatus.ACTIVE,
    )


def held(quantity: str) -> Position:
    """A position of `quantity`, negative: short."""
    amount = Decimal(quantity)
    if not amount:
        return FLAT
    fill = Fill(
        trade_id="t",
        side=OrderSide.BUY if amount > 0 else OrderSide.SELL,
        quantity=abs(amount),
        price=PRICE,
        commission=Decimal(0),
        executed_at=SLOT,
    )
    return apply_fill(FLAT, fill).position


def facts(
    action: Action,
    quantity: str = "0",
    *,
    late_s: float = 0.0,
    blocked: Reason | None = None,
    position: Position | None = None,
    **settings: Any,
) -> Facts:
    return Facts(
        run=run(**settings),
        position=held(quantity) if position is None else position,
        money=Money(free_margin=Decimal(10_000)),
        rules=RULES,
        price=PRICE,
        signal=Signal(action=action),
        slot=SLOT,
        now=SLOT + timedelta(seconds=late_s),
        blocked=blocked,
    )
