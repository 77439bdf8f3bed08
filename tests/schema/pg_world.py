"""Rows to begin with, for tests of what lives inside PostgreSQL's transactions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid5

from core.definition import StrategyDefinition
from core.ids import AccountId, OrderKey, RunId, StrategyId, UserId, client_order_id
from core.order import Leg, Order, OrderKind
from core.position import Fill, OrderSide
from core.risk import RiskLimits
from core.run import Run, RunStatus
from core.timeframe import Timeframe
from schema.ops import ObserveFill, ProposeIntent
from schema.pg import PgStore
from schema.records import Account, TickRow, TickStatus

NAMES = UUID(int=0)
START = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def open_store(conninfo: str, *, worker: str = "node-1", pool_size: int = 4) -> PgStore:
    return PgStore(conninfo, default_limits=RiskLimits(), worker=worker, pool_size=pool_size)


def stand_at(store: PgStore, at: datetime) -> None:
    """Market time of a demo, standing at an instant."""
    store.mark_demo(start=at - MINUTE, rate=1.0)
    store.set_clock(at=at, ceiling=at)


def make_run(store: PgStore, user: str, *, symbol: str = "BTCUSDT", name: str = "run") -> Run:
    """An active run on an account of its own, ids a function of user, symbol and name."""
    seed = f"{user}/{symbol}/{name}"
    strategy = StrategyDefinition(
        id=StrategyId(uuid5(NAMES, f"strategy/{seed}")),
        owner_id=UserId(user),
        name="RSI",
        template="rsi_oversold_overbought",
        parameters={"rsi_period": 14},
        symbol=symbol,
        timeframe=Timeframe.M1,
    )
    account = Account(id=AccountId(uuid5(NAMES, f"account/{seed}")), user_id=UserId(user), name="paper")
    run = Run(
        id=RunId(uuid5(NAMES, f"run/{seed}")),
        user_id=UserId(user),
        strategy=strategy,
        account_id=account.id,
        status=RunStatus.ACTIVE,
    )
    store.create_strategy(strategy)
    store.create_account(account)
    store.create_run(run)
    return run


def entry(run: Run, fence: int, *, slot: datetime = START, attempt: int = 1) -> ProposeIntent:
    assert run.account_id is not None
    key = OrderKey(run_id=run.id, slot=slot, leg=Leg.ENTRY, attempt=attempt)
    order = Order(
        client_order_id=client_order_id(key),
        run_id=run.id,
        user_id=run.user_id,
        account_id=run.account_id,
        symbol=run.strategy.symbol,
        slot=slot,
        leg=Leg.ENTRY,
        attempt=attempt,
        side=OrderSide.BUY,
        kind=OrderKind.MARKET,
        quantity=Decimal(1),
        reference_price=Decimal(100),
        reduce_only=False,
        fence=fence,
    )
    return ProposeIntent(order=order, deadline=slot + MINUTE)


def fill_of(order: Order, price: str, *, trade_id: str = "t1") -> ObserveFill:
    return ObserveFill(
        account_id=order.account_id,
        symbol=order.symbol,
        client_order_id=order.client_order_id,
        fill=Fill(
            trade_id=trade_id,
            side=order.side,
            quantity=order.quantity,
            price=Decimal(price),
            commission=Decimal("0.04"),
            executed_at=order.slot,
        ),
    )


def tick_of(run: Run, fence: int, slot: datetime, *, signal: str | None = "hold") -> TickRow:
    return TickRow(
        run_id=run.id,
        user_id=run.user_id,
        slot=slot,
        status=TickStatus.OK,
        signal=signal,
        scheduled_at=slot,
        finished_at=slot + timedelta(seconds=1),
        latency_ms=1.5,
        worker="node-1",
        fence=fence,
    )
