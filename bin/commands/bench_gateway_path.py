"""The whole gateway path of `bench gateway --simulator`: from a committed order to its report, and to its rows.

Gateway, connections, risk ledger, PostgreSQL, sealed keys, adapter and private streams are the service's own. Four
users trade eight symbols each. The intents of a round are committed before it begins, as a run's are before it
submits; a round enters, then leaves. *Reported*: the connection has told the ledger the venue's answer. *Stored*: the
order's last fill is committed. Clients of a venue end where the report is, and store nothing: where `booked` is False
the ledger begins with a volley's rows once all its reports are there, else it books beside the orders that follow.

Two things are not as in production, because nobody who is well sends so much: market time runs fast for the actors,
so that no breaker trips, and the venue's budgets are counted but ample.
"""

from __future__ import annotations

import asyncio
import base64
import random
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import chain
from typing import Final

from actors.feed import HeldFeed, rules_of
from actors.interpreter import Interpreter
from actors.key_ring import KeyRing
from actors.live.access import LiveAccess
from actors.live.known import VenueKnowledge
from actors.messages import OrdersExpected, Record, Recorded, SubmitOrder, SyncVenue, run_name
from actors.risk_ledger import RiskLedger
from actors.runtime.behaviour import Behaviour, Context
from actors.runtime.spec import ChildSpec, StopMode, Supervision
from actors.runtime.system import ActorSystem
from actors.service import DB_WORKERS
from actors.system import Options, Parts, specs
from actors.tally import Tally
from bin.commands.bench_fanout import opened_database
from bin.commands.bench_gateway_pace import Clock, Pace
from bin.commands.bench_gateway_world import NOTIONAL, Trader, traders_of, venue_ahead
from core.connection import Venue
from core.errors import RunnerError
from core.ids import NodeId, OrderKey, client_order_id
from core.order import Acknowledged, Leg, Order, OrderKind
from core.position import OrderSide
from core.redact import Secret
from core.risk import RiskLimits
from core.version import VERSION
from exchanges.feeds.base import ColumnSource
from exchanges.limits import Limits
from exchanges.venues import Address, Venues
from schema.ops import FillSettled, IntentCommitted, ObserveOrder, OrderMoved, ProposeIntent
from schema.pg import PgStore
from schema.pg_permits import PgPermits
from schema.vault import Vault

AT_ONCE: Final = 256
"""Orders proposed and sent before the next are: they are signed when they are proposed, and late after 5 s."""
AT_ONCE_PAUSED: Final = 32
MARKET_SPEED: Final = 1_000_000
LEDGER: Final = "books"
WAIT_S: Final = 60.0
LIMITS: Final = RiskLimits(
    daily_max_loss_usdt=Decimal(10**12),
    max_trades_per_day=10**9,
    max_consecutive_losses=10**9,
    cooldown_after_trade_s=Decimal(0),
    pause_duration_min=Decimal(1),
)


class FastMarket:
    """Market time from now on, so fast that a minute's orders are few; process time as it is."""

    def __init__(self) -> None:
        self._began_s, self._began = time.monotonic(), datetime.now(UTC)

    def now(self) -> datetime:
        return self._began + timedelta(seconds=(time.monotonic() - self._began_s) * MARKET_SPEED)

    def monotonic(self) -> float:
        return time.monotonic()

    def seconds_until(self, when: datetime) -> float:
        return max(0.0, (when - self.now()).total_seconds() / MARKET_SPEED)


class Volley:
    """Orders that are sent one after another, so many at a time; when each was asked for, reported and stored."""

    def __init__(self, system: ActorSystem, orders: Sequence[Order], pace: Pace, *, booked: bool) -> None:
        self._booked = booked
        self._gateway = system.ref("gateway")
        self._left = deque(orders)
        self._count = len(orders)
        self._pace = pace
        self.asked: dict[str, float] = {}
        self.reported: dict[str, float] = {}
        self.stored: dict[str, float] = {}
        self.cpu_s = 0.0
        """Of this process, until all is stored; until all is reported, where nothing is booked before."""
        self._fault: str | None = None
        self._changed = threading.Condition()

    @property
    def is_kept_from_books(self) -> bool:
        return not self._booked and self._fault is None and len(self.reported) < self._count

    def fire(self) -> None:
        """Returns when all are stored."""
        self._cpu_began_s = time.process_time()
        self._fire()
        if self._booked:
            self.cpu_s = time.process_time() - self._cpu_began_s

    def _fire(self) -> None:
        if self._pace.pause_s:
            while self._left:
                self._next()
                self._await_stored(len(self.asked))
                time.sleep(self._pace.pause_s)
            return
        for _ in range(self._pace.in_flight):
            self._next()
        self._await_stored(self._count)

    def waits(self, seen: Mapping[str, float]) -> list[float]:
        return [seen[name] - at for name, at in self.asked.items()]

    def busy_s(self, seen: Mapping[str, float]) -> float:
        """From the first that was asked for to the last that was seen, without pauses."""
        return sum(self.waits(seen)) if self._pace.pause_s else max(seen.values()) - min(self.asked.values())

    def was_reported(self, op: ObserveOrder) -> None:
        if not isinstance(op.event, Acknowledged):
            with self._changed:
                self._fault = f"order {op.client_order_id}: {op.event}"
                self._changed.notify()
        elif op.client_order_id in self.asked and op.client_order_id not in self.reported:
            self.reported[op.client_order_id] = time.perf_counter()
            if len(self.reported) == self._count:
                self.cpu_s = time.process_time() - self._cpu_began_s
            if not self._pace.pause_s:
                self._next()

    def was_stored(self, order: Order) -> None:
        if order.is_terminal and order.client_order_id in self.asked:
            with self._changed:
                self.stored.setdefault(order.client_order_id, time.perf_counter())
                self._changed.notify()

    def _await_stored(self, count: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: len(self.stored) >= count or self._fault, WAIT_S)
        if self._fault is not None or len(self.stored) < count:
            told = f"{len(self.reported)} of {count} reported, {len(self.stored)} stored"
            raise RunnerError(f"The orders did not end: {told}; {self._fault or 'no fault'}.")

    def _next(self) -> None:
        if self._left:
            order = self._left.popleft()
            self.asked[order.client_order_id] = time.perf_counter()
            self._gateway.tell(SubmitOrder(order=order))


class Watched:
    """Where reports and rows are seen; `volley`: the one under way."""

    def __init__(self) -> None:
        self.volley: Volley | None = None


class Counter(Behaviour):
    """In the place of the ledger, which has another name here: notes what connections report, and hands it on."""

    __slots__ = ("_kept", "_watched")

    def __init__(self, ctx: Context, watched: Watched) -> None:
        super().__init__(ctx)
        self._watched = watched
        self._kept: list[object] = []

    def receive(self, message: object) -> None:
        volley = self._watched.volley
        if volley is not None and isinstance(message, Record) and isinstance(message.op, ObserveOrder):
            volley.was_reported(message.op)
        self._kept.append(message)
        if volley is None or not volley.is_kept_from_books:
            kept, self._kept = self._kept, []
            for each in kept:
                self.ctx.tell(LEDGER, each)


class Desk(Behaviour):
    """In the place of a run: hears what has become of its orders."""

    __slots__ = ("_watched",)

    def __init__(self, ctx: Context, watched: Watched) -> None:
        super().__init__(ctx)
        self._watched = watched

    def receive(self, message: object) -> None:
        volley = self._watched.volley
        if volley is None or not isinstance(message, Recorded):
            return
        if isinstance(message.result, OrderMoved | FillSettled) and message.result.order is not None:
            volley.was_stored(message.result.order)


class GatewayPath:
    """Users, rows and actors, ready to send; `round` measures."""

    def __init__(
        self,
        system: ActorSystem,
        store: PgStore,
        traders: Sequence[Trader],
        watched: Watched,
        venue_ahead: Callable[[], timedelta],
    ) -> None:
        self._venue_ahead = venue_ahead
        self._system = system
        self._store = store
        self._traders = traders
        self._watched = watched
        self._slots = dict.fromkeys((trader.run.id for trader in traders), datetime(2000, 1, 1, tzinfo=UTC))

    async def round(self, orders: int, pace: Pace, *, booked: bool) -> Mapping[str, float]:
        return await asyncio.to_thread(self._round, orders, pace, booked)

    def _round(self, orders: int, pace: Pace, booked: bool) -> Mapping[str, float]:
        """`orders`, of which one half enters and the other leaves."""
        volleys: list[Volley] = []
        cpu_s = 0.0
        left = max(2, orders)
        while left > 0:
            count = min(AT_ONCE if not pace.pause_s else AT_ONCE_PAUSED, (left + 1) // 2)
            for leg in (Leg.ENTRY, Leg.EXIT):
                volley = Volley(self._system, self._committed(leg, count), pace, booked=booked)
                self._watched.volley = volley
                volley.fire()
                cpu_s += volley.cpu_s
                volleys.append(volley)
            left -= 2 * count
        self._watched.volley = None
        reported = _figures(volleys, cpu_s)
        return reported | _stored(volleys) if booked else reported

    def _committed(self, leg: Leg, count: int) -> list[Order]:
        """Intents of all runs in turn, durable."""
        ahead, traders = self._venue_ahead(), self._traders
        asked = [self._propose(traders[number % len(traders)], leg, ahead) for number in range(count)]
        orders = []
        for result in self._store.settle(asked):
            if not isinstance(result, IntentCommitted):
                raise RunnerError(f"An intent of the benchmark was refused: {result}")
            orders.append(result.order)
        return orders

    def _propose(self, trader: Trader, leg: Leg, ahead: timedelta) -> ProposeIntent:
        run = trader.run
        assert run.account_id is not None
        now = datetime.now(UTC).replace(microsecond=0)
        slot = self._slots[run.id] = max(now, self._slots[run.id] + timedelta(seconds=1))
        order = Order(
            client_order_id=client_order_id(OrderKey(run_id=run.id, slot=slot, leg=leg, attempt=1)),
            run_id=run.id,
            user_id=run.user_id,
            account_id=run.account_id,
            symbol=run.strategy.symbol,
            slot=slot,
            leg=leg,
            attempt=1,
            side=OrderSide.BUY if leg is Leg.ENTRY else OrderSide.SELL,
            kind=OrderKind.MARKET,
            quantity=trader.quantity,
            reference_price=NOTIONAL / trader.quantity,
            reduce_only=leg is Leg.EXIT,
            fence=trader.fence,
        )
        return ProposeIntent(order=order, deadline=slot + timedelta(hours=1), venue_ahead=ahead)


def _figures(volleys: Sequence[Volley], cpu_s: float) -> dict[str, float]:
    """Median latency; orders a second until all had their reports; processor time of one."""
    count = sum(len(each.asked) for each in volleys)
    reports = [each.waits(each.reported) for each in volleys]
    return {
        "p50Us": statistics.median(chain.from_iterable(reports)) * 1e6,
        "perSecond": count / sum(each.busy_s(each.reported) for each in volleys),
        "cpuUs": cpu_s / count * 1e6,
    }


def _stored(volleys: Sequence[Volley]) -> dict[str, float]:
    count = sum(len(each.asked) for each in volleys)
    rows = [each.waits(each.stored) for each in volleys]
    return {
        "storedP50Us": statistics.median(chain.from_iterable(rows)) * 1e6,
        "storedPerSecond": count / sum(each.busy_s(each.stored) for each in volleys),
    }


@contextmanager
def opened(url: str, allowed: Limits, seed: int, database: str | None = None) -> Iterator[GatewayPath]:
    """The path to the simulator at `url`. `database`: an empty one to fill; None starts a server of its own."""
    with opened_database(database) as dsn:
        store = PgStore(dsn, default_limits=LIMITS, worker="bench")
        try:
            if store.runs():
                raise RunnerError("The database for the benchmark must be empty; this one holds runs.")
            with _running(store, dsn, url, allowed, seed) as path:
                yield path
        finally:
            store.close()


@contextmanager
def _running(store: PgStore, dsn: str, url: str, allowed: Limits, seed: int) -> Iterator[GatewayPath]:
    rng = random.Random(seed)  # noqa: S311 - keys of a simulator that ends with this process
    vault = Vault(Secret(f"bench:{base64.b64encode(rng.randbytes(32)).decode()}"), rng.randbytes)
    traders = traders_of(store, vault, url, rng)
    clock, watched, knowledge = FastMarket(), Watched(), VenueKnowledge()
    permits = PgPermits(dsn, worker="bench")
    venues = Venues(
        clock=Clock(),
        given={Venue.BINANCE: Address(rest=url, ws=url.replace("http", "ws", 1), rights=url)},
        only_given=True,
        allowed={Venue.BINANCE: allowed},
    )
    access = LiveAccess(KeyRing(store.connections, vault), store.connections, venues)
    system = ActorSystem.live(clock, db_workers=DB_WORKERS)
    feed = HeldFeed(_no_candles(), (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)))
    parts = Parts(
        store=store,
        feed=feed,
        rules=rules_of(feed, {}),
        options=Options(node=NodeId("bench"), version=VERSION, worker="bench", poll_s=3_600.0),
        knowledge=knowledge,
        permits=permits,
        venues=access.venues_over,
        read_connection=access.read,
    )
    [gateway] = [spec for spec in specs(system, parts) if spec.id == "gateway"]
    ledger = ChildSpec(
        id=LEDGER, factory=lambda ctx: RiskLedger(ctx, store=store, tally=Tally(), sweep_s=0.0)
    )
    counter = ChildSpec(
        id="risk_ledger", factory=lambda ctx: Counter(ctx, watched=watched), dispatcher="loop"
    )
    desks = [
        ChildSpec(id=run_name(trader.run.id), factory=partial(Desk, watched=watched)) for trader in traders
    ]
    interpreter = Interpreter()
    interpreter.begin()
    system.start([ledger, counter, gateway, *desks], Supervision())
    try:
        system.ref("gateway").tell(OrdersExpected(a_minute=1e9))
        for trader in traders:
            system.ref("gateway").tell(SyncVenue(run=trader.run, slot=clock.now()))
        _await_connected(knowledge, traders)
        yield GatewayPath(system, store, traders, watched, partial(venue_ahead, url))
    finally:
        system.stop(StopMode.DRAIN)
        permits.close()
        interpreter.end()


def _await_connected(knowledge: VenueKnowledge, traders: Sequence[Trader]) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while any(knowledge.rules(each.run.account_id, each.run.strategy.symbol) is None for each in traders):
        if time.monotonic() > deadline_s:
            raise RunnerError("The simulator was not reached.")
        time.sleep(0.05)


def _no_candles() -> ColumnSource:
    return ColumnSource(origin="none", venue=Venue.BINANCE.value, series={})
