"""The whole application on one thread: scripted candles, the memory store, paper venues, and a clock to run."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any, cast
from uuid import UUID

from msgspec.structs import replace

from actors.connection import Connection
from actors.feed import Feed, HeldFeed
from actors.gateway import ExchangeGateway
from actors.messages import run_name
from actors.paper import paper_venues
from actors.permit import StorePermits
from actors.runtime.behaviour import Context
from actors.runtime.deterministic import VirtualClock
from actors.runtime.spec import ChildSpec, Intensity, StopMode, Supervision
from actors.runtime.system import ActorSystem
from actors.sandbox.judge import AskCode
from actors.system import Options, Parts, live_parts, specs
from actors.venue_calls import MakeVenue, PaperVenue, VenueState
from core.candles import CandleColumns
from core.definition import StrategyDefinition
from core.ids import AccountId, NodeId, RunId, StrategyId, UserId
from core.order import Leg, Order
from core.position import Position
from core.risk import RiskLimits
from core.run import Run, RunCommand, RunSettings, TradingMode
from core.timeframe import Timeframe
from exchanges.base import News
from exchanges.feeds.base import CandleSource, FundingRate
from schema.memory import MemoryStore
from schema.records import Account, Event, TickRow
from schema.store import Store
from tests.actors.candles import START, SYMBOL, Wicks, rules, scripted, source
from tests.actors.venue import Call, WatchedStore, WatchedVenue

OPEN_LIMITS = RiskLimits(
    daily_max_loss_usdt=Decimal(1_000_000),
    max_trades_per_day=1_000,
    max_consecutive_losses=1_000,
    cooldown_after_trade_s=Decimal(0),
    pause_duration_min=Decimal(60),
)
"""Limits nothing in these tests reaches, unless a test is about them."""

LIVE = Options(node=NodeId("node"), version="1", worker="worker")
"""As a live process runs: early claims, safety passes, candles fetched as they close."""


def replay(columns: CandleColumns) -> Options:
    """As a replay runs: everything loaded at once, claims at the boundary, no periodic passes."""
    first, last = columns.candle(0), columns.candle(len(columns) - 1)
    loaded = (_at(first.open_time_ms), _at(last.open_time_ms) + timedelta(days=2))
    zero = timedelta(0)
    return replace(LIVE, safety_s=0.0, poll_s=0.0, flush_after_s=0.0, claim_lead=zero, preload=loaded)


def _at(ms: int) -> datetime:
    return START + timedelta(milliseconds=ms - round(START.timestamp() * 1_000))


class World:
    """Candles as `scripted` writes them; time stands half a candle after START, nothing is claimed yet.

    `calls` lists what store and venue were asked, in order.
    """

    def __init__(
        self,
        path: str,
        *,
        timeframe: Timeframe = Timeframe.M1,
        start: datetime = START,
        wicks: Wicks | None = None,
        holes: Sequence[int] = (),
        symbols: Sequence[str] = (SYMBOL,),
        funding: Mapping[str, Sequence[FundingRate]] | None = None,
        columns: CandleColumns | None = None,
        options: Options | None = None,
        replayed: bool = False,
        limits: RiskLimits = OPEN_LIMITS,
        seed: int | None = None,
        begin: bool = True,
    ) -> None:
        if columns is None:
            columns = scripted(path, start=start, timeframe=timeframe, wicks=wicks, holes=holes)
        self.columns = columns
        self.timeframe = timeframe
        self.first_open = start
        self.clock = VirtualClock(start + timeframe.delta / 2)
        self.memory = MemoryStore(self.clock, limits)
        self.calls: list[Call] = []
        self.store = WatchedStore(self.memory, self.calls)
        self.venue_script: deque[str] = deque()
        self.symbols = symbols
        self.reports: list[tuple[str, Mapping[str, object]]] = []
        self.seed = seed
        self.options = options or (replay(columns) if replayed else LIVE)
        self.candles: CandleSource = source(columns, timeframe=timeframe, symbols=symbols, funding=funding)
        self.live_feed: Feed | None = None
        self.more: list[ChildSpec] = []
        self.code: AskCode | None = None
        self._ids = count(1)
        self._begun = False
        self._default_begin = begin

    # -- what there is --------------------------------------------------------------------------

    def id(self) -> UUID:
        return UUID(int=next(self._ids))

    def strategy(
        self,
        *,
        symbol: str = SYMBOL,
        template: str = "sma_trend",
        timeframe: Timeframe | None = None,
        **parameters: Any,
    ) -> StrategyDefinition:
        definition = StrategyDefinition(
            id=StrategyId(self.id()),
            owner_id=UserId("owner"),
            name=template,
            template=template,
            parameters=parameters or {"period": 2},
            symbol=symbol,
            timeframe=timeframe or self.timeframe,
        )
        self.memory.create_strategy(definition)
        return definition

    def account(self, user: str = "ann", **fields: Any) -> Account:
        account = Account(id=AccountId(self.id()), user_id=UserId(user), name="paper", **fields)
        self.memory.create_account(account)
        return account

    def run(
        self,
        user: str = "ann",
        *,
        strategy: StrategyDefinition | None = None,
        account: Account | None = None,
        settings: RunSettings | None = None,
        active: bool = True,
        signals: bool = False,
        **fields: Any,
    ) -> RunId:
        strategy = strategy or self.strategy()
        if signals:
            fields["trading_mode"] = TradingMode.SIGNALS
        else:
            account = account or self.account(user)
        run = Run(
            id=RunId(self.id()),
            user_id=UserId(user),
            strategy=strategy,
            account_id=None if account is None else account.id,
            settings=settings or RunSettings(order_size_pct=Decimal(10)),
            **fields,
        )
        self.memory.create_run(run)
        if active:
            self.memory.command(run.id, RunCommand.START, by=user)
        return run.id

    # -- life -----------------------------------------------------------------------------------

    def begin(self) -> None:
        """Start the actors on what the store now holds; again after `end`: a new process."""
        rng = None if self.seed is None else random.Random(self.seed)
        self.system = ActorSystem.deterministic(self.clock, rng, sink=self._report)
        end = self.first_open + self.timeframe.delta * len(self.columns)
        self.feed = self.live_feed or HeldFeed(self.candles, (self.first_open, min(end, self._data_end())))
        parts = Parts(
            store=cast(Store, self.store),
            feed=self.feed,
            rules=rules(self.symbols),
            options=self.options,
            code=self.code,
        )
        self.parts = parts
        wired = [spec if spec.id != "gateway" else self._gateway(parts) for spec in specs(self.system, parts)]
        self.system.start(
            [*wired, *self.more], Supervision(intensity=Intensity(max_restarts=5, window_s=60.0))
        )
        self._begun = True

    def _data_end(self) -> datetime:
        return _at(self.columns.candle(len(self.columns) - 1).open_time_ms) + self.timeframe.delta

    def _gateway(self, parts: Parts) -> ChildSpec:
        """The gateway as wired by the system, but for the watched venues."""
        effects = self.system.effects
        make_paper = paper_venues(feed=self.feed, rules=parts.rules, clock=self.clock, sleep=effects.sleep)

        def make_venue(state: VenueState, on_news: Callable[[News], None]) -> PaperVenue:
            return self.venue_of(state, on_news, make_paper)

        def make_connection(ctx: Context, account_id: AccountId) -> Connection:
            return Connection(
                ctx,
                account_id=account_id,
                store=parts.store,
                permits=StorePermits(parts.store),
                make_venue=make_venue,
                funding=self.feed.funding,
                live=live_parts(parts),
            )

        [wired] = [spec for spec in specs(self.system, parts) if spec.id == "gateway"]
        return replace(wired, factory=lambda ctx: ExchangeGateway(ctx, make_connection=make_connection))

    def venue_of(
        self, state: VenueState, on_news: Callable[[News], None], make_paper: MakeVenue
    ) -> PaperVenue:
        paper = make_paper(state, on_news)
        sleep = self.system.effects.sleep
        return cast(PaperVenue, WatchedVenue(paper, self.calls, self.venue_script, sleep))

    def _report(self, action: str, fields: Mapping[str, object]) -> None:
        self.reports.append((action, fields))

    def slot(self, index: int) -> datetime:
        """The slot of candle `index`: its close."""
        return self.first_open + self.timeframe.delta * (index + 1)

    def to(self, when: datetime) -> None:
        """Let everything happen up to and including `when`."""
        if not self._begun and self._default_begin:
            self.begin()
        assert self.system.virtual is not None
        self.system.virtual.run_until(when)
        if self.system.failure is not None:
            raise self.system.failure

    def to_slot(self, index: int, plus_s: float = 1.0) -> None:
        """Run until `plus_s` seconds after the slot of candle `index`."""
        self.to(self.slot(index) + timedelta(seconds=plus_s))

    def play(self) -> None:
        """Run to half a candle after the last one closed."""
        self.to(self._data_end() + self.timeframe.delta / 2)

    def wait(self, seconds: float) -> None:
        self.to(self.clock.now() + timedelta(seconds=seconds))

    def crash(self, name: str) -> None:
        """The actor called `name` meets a message nobody understands."""
        self.system.ref(name).tell(object())

    def wait_dead(self, seconds: float) -> None:
        """Time passes while no process runs."""
        self.clock.move_to(self.clock.us + round(seconds * 1e6))

    def end(self, mode: StopMode = StopMode.DRAIN) -> None:
        assert self.system.stop(mode)
        self._begun = False

    # -- what happened --------------------------------------------------------------------------

    def ticks(self, run_id: RunId) -> list[TickRow]:
        """Oldest first."""
        return self.memory.ticks(run_id=run_id, limit=10_000)[::-1]

    def outcomes(self, run_id: RunId) -> list[tuple[int, str, str | None]]:
        """(candle index, status, reason) of every tick row, oldest first."""
        step = self.timeframe.delta
        return [
            ((t.slot - self.first_open) // step - 1, t.status.value, t.reason) for t in self.ticks(run_id)
        ]

    def tick(self, run_id: RunId, index: int) -> tuple[str, str | None] | None:
        found = [(status, reason) for at, status, reason in self.outcomes(run_id) if at == index]
        assert len(found) <= 1, "I1: one row per run and slot"
        return found[0] if found else None

    def orders(self, run_id: RunId) -> list[Order]:
        """Oldest first."""
        return self.memory.orders(run_id=run_id, limit=10_000)[::-1]

    def legs(self, run_id: RunId) -> list[tuple[Leg, int, str]]:
        return [(order.leg, order.attempt, order.status.value) for order in self.orders(run_id)]

    def position(self, run_id: RunId) -> Position:
        state = self.memory.run_state(run_id)
        assert state is not None
        return state.position

    def status(self, run_id: RunId) -> Run:
        run = self.memory.run(run_id)
        assert run is not None
        return run

    def events(self, run_id: RunId | None = None, type: str | None = None) -> list[Event]:
        events = self.memory.events(run_id=run_id, limit=1_000_000)
        return [event for event in events if type in (None, event.type)]

    def placed(self) -> list[Order]:
        """Orders the venue was sent, in order."""
        return [order for what, order in self.calls if what == "venue.place"]

    def evaluations(self) -> list[datetime]:
        """Slots of all evaluation rows, in order of writing."""
        return [
            execution.slot
            for what, answer in self.calls
            if what == "store.report"
            for execution in answer[0][0].executions
        ]

    def is_alive(self, run_id: RunId) -> bool:
        try:
            return self.system.ref(run_name(run_id)).is_alive()
        except LookupError:
            return False
