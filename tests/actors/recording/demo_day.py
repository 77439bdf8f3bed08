"""A short demo day on real threads, recorded: several users and strategies, gates, a failing venue, commands."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

from actors.feed import Feed, HeldFeed, rules_of
from actors.market_clock import MarketClock
from actors.messages import Gone, run_name
from actors.recording.recorder import Recorder
from actors.runtime.process_time import process_s
from actors.runtime.spec import ChildSpec
from actors.sandbox.judge import AskCode
from actors.service import Service
from actors.strategy_watch import Shadows
from actors.system import Options, Parts
from actors.venue_calls import MakeVenue
from core.clock import Clock
from core.definition import StrategyDefinition
from core.ids import AccountId, NodeId, RunId, StrategyId, UserId
from core.risk import RiskLimits
from core.run import Run, RunCommand, RunSettings
from core.timeframe import Timeframe
from exchanges.feeds.base import CandleSource
from schema.memory import MemoryStore
from schema.memory_notifier import MemoryNotifier
from schema.memory_tx import MemoryTx
from schema.ops import SimulateTrade
from schema.records import Account, TickSource
from schema.store import Store
from schema.tenancy import caused_by
from schema.witness import witness
from tests.actors.candles import START, scripted, source

PATH = "u-d--uudd-u-d-uud-dd-u--d-ud-u-dd-uu-d-ud-du-d-u--ud"
RATE = 6_000.0
LIMITS = RiskLimits(
    daily_max_loss_usdt=Decimal(500),
    max_trades_per_day=12,
    max_consecutive_losses=4,
    cooldown_after_trade_s=Decimal(30),
    pause_duration_min=Decimal(15),
)


class WallClock:
    """Process time is the machine's; the store makes market time of it."""

    def now(self) -> datetime:
        return START

    def monotonic(self) -> float:
        return process_s()

    def seconds_until(self, when: datetime) -> float:
        return 0.0


class WitnessedStore(MemoryStore):
    """Notes the market times its transactions look at, as the one on PostgreSQL does."""

    def _tx(self) -> MemoryTx:
        tx = super()._tx()
        now = tx.now

        tx.now = lambda: witness.saw(now())
        return tx


def candles() -> CandleSource:
    return source(scripted(PATH), symbols=("BTCUSDT", "ETHUSDT"))


class DemoDay:
    """A service over `store`, whose market time begins at START."""

    def __init__(
        self,
        store: Store,
        directory: Path,
        *,
        outage: int = 3,
        before: Callable[[DemoDay], None] | None = None,
        venues: Callable[[MakeVenue], MakeVenue] = lambda paper: paper,
        more: Sequence[ChildSpec] = (),
        make_feed: Callable[[CandleSource, tuple[datetime, datetime], Clock], Feed] | None = None,
        code: AskCode | None = None,
        shadows: Shadows | None = None,
        rate: float = RATE,
    ) -> None:
        """`outage`: orders Bob's venue fails at; `before`: what other processes have done to the rows by then."""
        self.store = store
        self.directory = directory
        self.source = candles()
        self.reports: list[tuple[str, Mapping[str, object]]] = []
        self._recorder = Recorder(directory, limits=LIMITS, sink=self._sink)
        store.mark_demo(start=START, rate=0.0)
        self.runs = seed(store, outage)
        if before is not None:
            before(self)
        store.set_clock(rate=rate, ceiling=START)
        span, clock = (START, START + timedelta(minutes=len(PATH))), MarketClock(store.clock(), process_s)
        feed = HeldFeed(self.source, span) if make_feed is None else make_feed(self.source, span, clock)
        options = Options(
            node=NodeId("node"), version="1", worker="node", lease_s=30.0, poll_s=1.0, safety_s=1.0
        )
        self.notifier = MemoryNotifier()
        self.service = Service(
            parts=Parts(
                store=store,
                feed=feed,
                rules=rules_of(feed, {}),
                options=options,
                venues=venues,
                code=code,
                shadows=shadows,
            ),
            clock=clock,
            notifier=self.notifier,
            sink=self._sink,
            recorder=self._recorder,
            more=more,
        )

    def _sink(self, action: str, fields: Mapping[str, object]) -> None:
        self.reports.append((action, fields))

    def pass_minutes(self, minutes: int, timeout_s: float = 60.0) -> None:
        """Wait until so much market time has gone by."""
        reached = threading.Event()
        deadline_s = process_s() + timeout_s
        end = self.service.market_now() + timedelta(minutes=minutes)
        while self.service.market_now() < end:
            assert process_s() < deadline_s, "market time stands still"
            reached.wait(0.005)

    def crash(self, run_id: RunId) -> None:
        """Its actor meets a message that is not for it, and is restarted."""
        self._recorder.tell(self.service.system, run_name(run_id), Gone(run_id=run_id))

    def let_run(self, minutes: int) -> None:
        """From start to stop, without anything from outside."""
        self.service.start()
        self.pass_minutes(minutes)
        assert self.service.stop()

    def play(self) -> None:
        """Commands and a crash, minutes apart."""
        self.service.start()
        store = self.service.store
        self.pass_minutes(3)
        with caused_by("request-of-ann"):
            store.command(self.runs[1], RunCommand.PAUSE, by="ann")
        self.service.rows_changed()
        self.pass_minutes(1)
        self.crash(self.runs[1])  # while it is paused: no slot of its own waits for its lease to end
        self.pass_minutes(1)
        store.command(self.runs[1], RunCommand.START, by="ann")
        self.service.rows_changed()
        self.service.tick_due(source=TickSource.CRON)
        self.pass_minutes(1)
        self.service.execute_tick(
            self.runs[3], Timeframe.M1.floor(self.service.market_now()), "request-of-root"
        )
        delta = SimulateTrade(user_id=UserId("dan"), delta=Decimal(-7))
        self.service.settle(UserId("dan"), delta, 5.0)
        store.set_kill_switch(on=True, reason="drill")
        self.pass_minutes(2)
        store.set_kill_switch(on=False, reason="drill")
        self.pass_minutes(6)
        assert self.service.stop()


def seed(store: Store, outage: int = 3) -> list[RunId]:
    """Ann trades two symbols, Bob's venue fails, Cid follows another strategy with little room for losses."""
    runs = []
    for number, (user, symbol, template, period, failing) in enumerate(
        [
            ("ann", "BTCUSDT", "sma_trend", 2, 0),
            ("ann", "ETHUSDT", "sma_trend", 3, 0),
            ("bob", "BTCUSDT", "sma_trend", 2, outage),
            ("cid", "ETHUSDT", "sma_trend", 2, 0),
            ("dan", "BTCUSDT", "sma_trend", 4, 0),
        ],
        start=1,
    ):
        account = Account(
            id=AccountId(UUID(int=100 + number)),
            user_id=UserId(user),
            name="paper",
            slippage_pct=Decimal("0.01"),
            outage_orders=failing,
        )
        strategy = StrategyDefinition(
            id=StrategyId(UUID(int=200 + number)),
            owner_id=UserId(user),
            name=template,
            template=template,
            parameters={"period": period},
            symbol=symbol,
            timeframe=Timeframe.M1,
        )
        run = Run(
            id=RunId(UUID(int=300 + number)),
            user_id=UserId(user),
            strategy=strategy,
            account_id=account.id,
            settings=RunSettings(order_size_pct=Decimal(20)),
        )
        store.create_strategy(strategy)
        store.create_account(account)
        store.create_run(run)
        store.set_limits(UserId(user), LIMITS)
        store.command(run.id, RunCommand.START, by=user)
        runs.append(run.id)
    return runs
