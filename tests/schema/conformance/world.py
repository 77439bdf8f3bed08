"""A store with a hand on its clock and leases, and the few moves every conformance test is made of."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import UUID

from core.definition import StrategyDefinition
from core.ids import AccountId, ClientOrderId, OrderKey, RunId, StrategyId, UserId, client_order_id
from core.order import Leg, Order, OrderKind
from core.position import Fill, OrderSide
from core.risk import RiskLimits
from core.run import Run, RunSettings, RunStatus
from core.timeframe import Timeframe
from schema.memory import MemoryStore
from schema.ops import (
    FillSettled,
    IntentCommitted,
    IntentRefused,
    LedgerOp,
    LedgerResult,
    ObserveFill,
    ProposeIntent,
)
from schema.records import Account, Claim, SlotReport, TickRow, TickStatus
from schema.store import Store

START = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
TTL_S = 120.0


class HandClock:
    """Market and process time that move only when told to."""

    def __init__(self, at: datetime) -> None:
        self.market = at
        self.process_s = 1_000.0

    def now(self) -> datetime:
        return self.market

    def monotonic(self) -> float:
        return self.process_s

    def seconds_until(self, when: datetime) -> float:
        return max(0.0, (when - self.market).total_seconds())


class World:
    """`set_now` moves market time forward to an instant where it then stands; the other hooks move leases."""

    def __init__(
        self,
        store: Store,
        *,
        set_now: Callable[[datetime], None],
        expire_leases: Callable[[float], None],
        forget_lease: Callable[[RunId], None],
    ) -> None:
        self.store = store
        self.expire_leases = expire_leases
        self.forget_lease = forget_lease
        self.slot = START
        self._set_now = set_now
        self._numbers = count(1)
        self.now = START
        self.set_now(START)

    def set_now(self, at: datetime) -> None:
        self._set_now(at)
        self.now = at

    def next_slot(self) -> datetime:
        """The next minute's slot, where market time then stands."""
        self.slot = Timeframe.M1.next_close(max(self.slot, self.now))
        self.set_now(self.slot)
        return self.slot

    def id(self) -> UUID:
        return UUID(int=next(self._numbers))

    def account(self, user: str = "ann", **fields: Any) -> Account:
        account = Account(id=AccountId(self.id()), user_id=UserId(user), name="paper", **fields)
        self.store.create_account(account)
        return account

    def run(
        self,
        user: str = "ann",
        *,
        account: Account | None = None,
        symbol: str = "BTCUSDT",
        timeframe: Timeframe = Timeframe.M1,
        status: RunStatus = RunStatus.ACTIVE,
        **fields: Any,
    ) -> Run:
        account = account or self.account(user)
        strategy = StrategyDefinition(
            id=StrategyId(self.id()),
            owner_id=UserId(user),
            name="RSI",
            template="rsi_oversold_overbought",
            parameters={"period": 14},
            symbol=symbol,
            timeframe=timeframe,
        )
        self.store.create_strategy(strategy)
        run = Run(
            id=RunId(self.id()),
            user_id=UserId(user),
            strategy=strategy,
            account_id=account.id,
            settings=RunSettings(),
            status=status,
            **fields,
        )
        self.store.create_run(run)
        return run

    def claim(self, run: Run, slot: datetime | None = None, *, owner: str = "node-1") -> Claim:
        [claim] = self.store.claim([run.id], slot=slot or self.slot, owner=owner, ttl_s=TTL_S)
        return claim

    def settle(self, op: LedgerOp) -> LedgerResult:
        [result] = self.store.settle([op])
        return result

    def intent(
        self,
        run: Run,
        fence: int,
        *,
        leg: Leg = Leg.ENTRY,
        side: OrderSide | None = None,
        attempt: int = 1,
        slot: datetime | None = None,
        quantity: str = "1",
        deadline: datetime | None = None,
        by_operator: bool = False,
        **fields: Any,
    ) -> ProposeIntent:
        """Long: an entry buys, everything else sells, unless `side` says otherwise."""
        assert run.account_id is not None
        slot = slot or self.slot
        side = side or (OrderSide.BUY if leg is Leg.ENTRY else OrderSide.SELL)
        order = Order(
            client_order_id=client_order_id(OrderKey(run_id=run.id, slot=slot, leg=leg, attempt=attempt)),
            run_id=run.id,
            user_id=run.user_id,
            account_id=run.account_id,
            symbol=run.strategy.symbol,
            slot=slot,
            leg=leg,
            attempt=attempt,
            side=side,
            kind=OrderKind.MARKET,
            quantity=Decimal(quantity),
            reference_price=Decimal(100),
            reduce_only=leg is not Leg.ENTRY,
            fence=fence,
            **fields,
        )
        deadline = deadline or slot + timedelta(hours=1)
        return ProposeIntent(order=order, deadline=deadline, by_operator=by_operator)

    def propose(self, run: Run, fence: int, **fields: Any) -> LedgerResult:
        return self.settle(self.intent(run, fence, **fields))

    def committed(self, run: Run, fence: int, **fields: Any) -> Order:
        result = self.propose(run, fence, **fields)
        assert isinstance(result, IntentCommitted), result
        return result.order

    def refused(self, run: Run, fence: int, **fields: Any) -> IntentRefused:
        result = self.propose(run, fence, **fields)
        assert isinstance(result, IntentRefused), result
        return result

    def fill(
        self,
        order: Order,
        price: str,
        *,
        quantity: str | None = None,
        commission: str = "0",
        trade_id: str | None = None,
        at: datetime | None = None,
    ) -> ObserveFill:
        return ObserveFill(
            account_id=order.account_id,
            symbol=order.symbol,
            client_order_id=order.client_order_id,
            fill=Fill(
                trade_id=trade_id or f"trade-{next(self._numbers)}",
                side=order.side,
                quantity=Decimal(quantity) if quantity else order.quantity,
                price=Decimal(price),
                commission=Decimal(commission),
                executed_at=at or self.now,
            ),
        )

    def filled(self, order: Order, price: str, **fields: Any) -> FillSettled:
        result = self.settle(self.fill(order, price, **fields))
        assert isinstance(result, FillSettled), result
        return result

    def tick(
        self,
        run: Run,
        fence: int,
        slot: datetime | None = None,
        *,
        status: TickStatus = TickStatus.OK,
        signal: str | None = "hold",
        reason: str | None = None,
        **fields: Any,
    ) -> TickRow:
        slot = slot or self.slot
        return TickRow(
            run_id=run.id,
            user_id=run.user_id,
            slot=slot,
            status=status,
            signal=signal,
            reason=reason,
            scheduled_at=slot,
            finished_at=max(slot, self.now),
            worker="node-1",
            fence=fence,
            **fields,
        )

    def report(self, run: Run, fence: int, slot: datetime | None = None, **fields: Any) -> int:
        return self.store.report(SlotReport(ticks=(self.tick(run, fence, slot, **fields),)))

    def held(self, run: Run, *, quantity: str = "1", price: str = "100", **fields: Any) -> int:
        """Open a position in the next slot; the fence of the lease still held."""
        self.next_slot()
        fence = self.claim(run).fence
        self.filled(self.committed(run, fence, quantity=quantity, **fields), price)
        return fence

    def trade(self, run: Run, pnl: str) -> FillSettled:
        """A whole trade of one unit in the next slot, without fees."""
        fence = self.held(run)
        closed = self.filled(self.committed(run, fence, leg=Leg.EXIT), str(100 + Decimal(pnl)))
        self.report(run, fence)
        return closed

    def order(self, client_id: ClientOrderId, run: Run) -> Order:
        [order] = [each for each in self.store.orders(run_id=run.id) if each.client_order_id == client_id]
        return order

    def event_types(self, run: Run) -> list[str]:
        return [event.type for event in self.store.events(run_id=run.id)]


def memory_world() -> World:
    clock = HandClock(START)
    store = MemoryStore(clock, RiskLimits())

    def set_now(at: datetime) -> None:
        clock.market = at

    def expire_leases(seconds: float) -> None:
        clock.process_s += 3_600 + seconds

    return World(store, set_now=set_now, expire_leases=expire_leases, forget_lease=store.forget_lease)
