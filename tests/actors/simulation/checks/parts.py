"""What the checks are fed in their tests: one user's run on one account, its orders, and a clock to move."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from actors.runtime.deterministic import VirtualClock
from actors.simulation.checks.findings import Findings
from actors.simulation.checks.orders import OrderCheck
from core.definition import StrategyDefinition
from core.ids import AccountId, ClientOrderId, RunId, StrategyId, UserId
from core.order import Leg, Order, OrderKind
from core.position import Fill, OrderSide
from core.risk import RiskLimits, RiskState
from core.run import Run, RunSettings, RunStatus
from core.timeframe import Timeframe
from exchanges.symbol_rules import plain_rules
from schema.records import Account, AccountKind, Claim, TickRow, TickStatus

SLOT = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
USER, RUN, OTHER, ACCOUNT = UserId("ann"), RunId(UUID(int=1)), RunId(UUID(int=2)), AccountId(UUID(int=9))
SYMBOL = "BTCUSDT"
LIMITS = RiskLimits(
    daily_max_loss_usdt=Decimal(50),
    max_trades_per_day=2,
    max_consecutive_losses=2,
    cooldown_after_trade_s=Decimal(30),
    pause_duration_min=Decimal(60),
)


class Bench:
    """A clock that stands at SLOT, and what has been found."""

    def __init__(self) -> None:
        self.clock = VirtualClock(SLOT)
        self.findings = Findings(self.clock)

    @property
    def broken(self) -> list[str]:
        """The invariants named so far."""
        return [finding.invariant for finding in self.findings.found]

    def wait(self, seconds: float) -> None:
        self.clock.move_to(self.clock.us + round(seconds * 1e6))

    def orders(self, *, holds: bool = True) -> OrderCheck:
        account = Account(
            id=ACCOUNT, user_id=USER, name="a", kind=AccountKind.CONNECTION, venue="v", max_leverage=5
        )
        return OrderCheck(
            self.findings,
            self.clock,
            runs={RUN: run()},
            accounts={ACCOUNT: account},
            rules={SYMBOL: plain_rules(SYMBOL, 60_000.0)},
            holds=lambda run_id, fence: holds,
        )


def run() -> Run:
    strategy = StrategyDefinition(
        id=StrategyId(UUID(int=5)),
        owner_id=UserId("owner"),
        name="s",
        template="sma_trend",
        parameters={"period": 2},
        symbol=SYMBOL,
        timeframe=Timeframe.M5,
    )
    return Run(id=RUN, user_id=USER, strategy=strategy, account_id=ACCOUNT, settings=RunSettings(leverage=3))


def order(**fields: Any) -> Order:
    """An entry of 0.1 as it is committed; an exit of it with `leg`."""
    leg = fields.get("leg", Leg.ENTRY)
    usual: dict[str, Any] = {
        "client_order_id": ClientOrderId("a1"),
        "run_id": RUN,
        "user_id": USER,
        "account_id": ACCOUNT,
        "symbol": SYMBOL,
        "slot": SLOT,
        "leg": leg,
        "attempt": 1,
        "side": OrderSide.BUY if leg is Leg.ENTRY else OrderSide.SELL,
        "kind": OrderKind.MARKET,
        "quantity": Decimal("0.1"),
        "reference_price": Decimal(60_000),
        "reduce_only": leg is not Leg.ENTRY,
        "leverage": 3,
        "fence": 1,
        "sign_ts": SLOT,
        "reserved": leg is Leg.ENTRY,
    }
    return Order(**(usual | fields))


def fill(side: OrderSide, quantity: str, price: str, commission: str = "0", trade_id: str = "t1") -> Fill:
    return Fill(
        trade_id=trade_id,
        side=side,
        quantity=Decimal(quantity),
        price=Decimal(price),
        commission=Decimal(commission),
        executed_at=SLOT,
    )


def claim(fence: int, slot: datetime = SLOT, run_id: RunId = RUN) -> Claim:
    return Claim(
        run_id=run_id,
        user_id=USER,
        slot=slot,
        fence=fence,
        previous_slot=None,
        activated_at=None,
        run_version=1,
        status=RunStatus.ACTIVE,
        kill_switch=False,
        risk=RiskState(),
        limits=LIMITS,
    )


def row(status: TickStatus = TickStatus.OK, signal: str | None = None) -> TickRow:
    return TickRow(
        run_id=RUN,
        user_id=USER,
        slot=SLOT,
        status=status,
        signal=signal,
        scheduled_at=SLOT,
        finished_at=SLOT + timedelta(seconds=1),
    )
