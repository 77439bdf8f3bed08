"""I7: no interleaving of two runs of one user gets past the limits, judged by a model of its own.

The model keeps plain numbers and follows the table of invariants §2; the runs go through the store's ledger.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from core.order import Leg, NotPlaced, Order
from core.risk import RiskLimits
from schema.ops import ExpirePause, IntentCommitted, IntentRefused, ObserveOrder, SimulateTrade
from tests.schema.conformance.world import START, memory_world
from tests.strategies import decimals

LOSS, MOST, STREAK, COOLDOWN_S, PAUSE_MIN = 50, 4, 2, 30, 90
PAUSE = timedelta(minutes=PAUSE_MIN)
LIMITS = RiskLimits(
    daily_max_loss_usdt=Decimal(LOSS),
    max_trades_per_day=MOST,
    max_consecutive_losses=STREAK,
    cooldown_after_trade_s=Decimal(COOLDOWN_S),
    pause_duration_min=Decimal(PAUSE_MIN),
)
STEPS_S = (0.001, 1, 29, 29.999, 30, 60, 3_600, 5_400, 20_000, 86_400)
runs = st.integers(0, 1)
profits = st.sampled_from([Decimal(n) for n in ("-50", "-49.99", "-25", "-0.01", "0", "0.01", "30")])


class Model:
    def __init__(self) -> None:
        self.pnl: dict[date, Decimal] = {}
        self.trades: dict[date, int] = {}
        self.streak = 0
        self.last: datetime | None = None
        self.until: datetime | None = None
        self.pauses = 0

    def refusal(self, now: datetime) -> str | None:
        self.expire(now)
        if self.until is not None:
            return "paused"
        if self.pnl.get(now.date(), Decimal(0)) <= -LOSS:
            return "daily_loss"
        if self.trades.get(now.date(), 0) >= MOST:
            return "max_trades"
        if self.last is not None and (now - self.last) < timedelta(seconds=COOLDOWN_S):
            return "cooldown"
        return None

    def expire(self, now: datetime) -> None:
        if self.until is not None and now >= self.until:
            self.until = None
            self.streak = 0 if self.streak >= STREAK else self.streak

    def count(self, day: date, change: int) -> None:
        self.trades[day] = self.trades.get(day, 0) + change

    def close(self, profit: Decimal, now: datetime) -> None:
        self.expire(now)
        before = self.pnl.get(now.date(), Decimal(0))
        self.pnl[now.date()] = before + profit
        self.streak = self.streak + 1 if profit < 0 else 0
        crossed = before > -LOSS >= before + profit
        if crossed or (profit < 0 and self.streak == STREAK):
            self.pauses += 1
            self.until = max(self.until or now, now + PAUSE)


class TwoRuns(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = memory_world()
        account = self.world.account("ann")
        self.runs = [
            self.world.run("ann", account=account, symbol=symbol) for symbol in ("BTCUSDT", "ETHUSDT")
        ]
        self.user = self.runs[0].user_id
        self.world.store.set_limits(self.user, LIMITS)
        leases = [self.world.store.acquire(run.id, owner="node-1", ttl_s=1e9) for run in self.runs]
        self.fences = [lease or 0 for lease in leases]
        self.intents: list[Order | None] = [None, None]
        self.held: list[Order | None] = [None, None]
        self.released: list[tuple[Order, date]] = []
        self.model = Model()
        self.slot = START

    def next_slot(self) -> datetime:
        """A slot of its own for every leg, never behind market time."""
        whole = self.world.now.replace(microsecond=0) + timedelta(seconds=1)
        self.slot = max(self.slot + timedelta(seconds=1), whole)
        return self.slot

    @rule(seconds=st.sampled_from(STEPS_S))
    def wait(self, seconds: float) -> None:
        self.world.set_now(self.world.now + timedelta(seconds=seconds))

    @precondition(lambda self: self.model.until is not None)
    @rule(early_us=st.integers(0, 1))
    def wait_for_the_end_of_the_pause(self, early_us: int) -> None:
        assert self.model.until is not None
        until = self.model.until - timedelta(microseconds=early_us)
        self.world.set_now(max(self.world.now, until))

    @rule(run=runs)
    def enter(self, run: int) -> None:
        if self.intents[run] is not None or self.held[run] is not None:
            return
        expected = self.model.refusal(self.world.now)
        result = self.world.propose(self.runs[run], self.fences[run], slot=self.next_slot())
        if expected is not None:
            assert isinstance(result, IntentRefused)
            assert result.reason == expected
            return
        assert isinstance(result, IntentCommitted), result
        self.intents[run] = result.order
        self.model.count(self.world.now.date(), 1)
        self.model.last = self.world.now

    @rule(run=runs)
    def fill(self, run: int) -> None:
        order = self.intents[run]
        if order is not None:
            self.world.filled(order, "100")
            self.intents[run], self.held[run] = None, order
            self.model.expire(self.world.now)

    @rule(run=runs)
    def never_place(self, run: int) -> None:
        order = self.intents[run]
        if order is not None:
            assert order.created_at is not None
            op = ObserveOrder(client_order_id=order.client_order_id, event=NotPlaced("busy"))
            self.world.store.settle([op, op])
            self.intents[run] = None
            self.released.append((order, order.created_at.date()))
            self.model.count(order.created_at.date(), -1)
            self.model.expire(self.world.now)

    @precondition(lambda self: self.released)
    @rule()
    def learn_of_a_fill_after_all(self) -> None:
        order, day = self.released[-1]
        run = 0 if order.run_id == self.runs[0].id else 1
        if self.held[run] is None and self.intents[run] is None:
            self.released.pop()
            self.world.filled(order, "100")
            self.held[run] = order
            self.model.count(day, 1)
            self.model.expire(self.world.now)

    @rule(run=runs, profit=profits | decimals("-60", "60", places=2))
    def close(self, run: int, profit: Decimal) -> None:
        if self.held[run] is None:
            return
        order = self.world.committed(self.runs[run], self.fences[run], leg=Leg.EXIT, slot=self.next_slot())
        fill = self.world.fill(order, str(100 + profit))
        self.world.store.settle([fill, fill])
        self.held[run] = None
        self.model.close(profit, self.world.now)

    @rule(profit=profits)
    def simulate(self, profit: Decimal) -> None:
        self.world.settle(SimulateTrade(user_id=self.user, delta=profit))
        self.model.expire(self.world.now)
        self.model.count(self.world.now.date(), 1)
        self.model.last = self.world.now
        self.model.close(profit, self.world.now)

    @rule()
    def write_the_expiry(self) -> None:
        self.world.settle(ExpirePause(user_id=self.user))
        self.model.expire(self.world.now)

    @invariant()
    def the_ledger_agrees_with_the_model(self) -> None:
        view, now = self.world.store.risk(self.user), self.world.now
        day = view.state.day(now)
        model_day = (self.model.pnl.get(now.date(), Decimal(0)), self.model.trades.get(now.date(), 0))
        assert (day.pnl, day.trades) == model_day
        assert (view.state.streak, view.state.paused_until) == (self.model.streak, self.model.until)
        assert view.state.last_trade_at == self.model.last

    @invariant()
    def every_pause_is_one_event(self) -> None:
        events = self.world.store.events(user_id=self.user, limit=10_000)
        paused = [event for event in events if event.payload.get("action") == "paused"]
        assert len(paused) == self.model.pauses


TwoRuns.TestCase.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
TestI7TwoRuns = TwoRuns.TestCase
