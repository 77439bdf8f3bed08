"""A batch of operations on PostgreSQL leaves what its operations leave one by one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any

import msgspec
import psycopg
import pytest

from core.ids import OrderKey, UserId, client_order_id
from core.order import Acknowledged, Expired, Leg, NotPlaced, Order, OutcomeUnknown, Rejected
from core.position import Fill, OrderSide
from core.risk import RiskLimits
from core.run import Run
from schema.ops import (
    EndLeg,
    ExpirePause,
    IntentCommitted,
    LedgerOp,
    ObserveFill,
    ObserveFunding,
    ObserveOrder,
    ObservePosition,
    ObserveProtection,
    OpRefused,
    OrderMoved,
    SimulateTrade,
)
from schema.pg import PgStore
from schema.store import Store
from tests.schema.conformance.world import START, World, memory_world
from tests.schema.conftest import Database
from tests.schema.pg_world import MINUTE, entry, fill_of, make_run, open_store, stand_at

RUNS, BATCHES, MOST = 4, 60, 8


@pytest.fixture
def store(database: Database) -> Iterator[PgStore]:
    store = open_store(database.service_dsn, pool_size=4)
    stand_at(store, START)
    yield store
    store.close()


class Player:
    """The same batches for every store it is asked to play to: all it draws comes from the seed."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.random = Random(seed)
        shared = world.account("ann", balance=Decimal(400))
        self.runs = [
            world.run("ann", account=shared, symbol="BTCUSDT"),
            world.run("ann", account=shared, symbol="ETHUSDT"),
            world.run("bob"),
            world.run("cid"),
        ]
        limits = RiskLimits(
            max_trades_per_day=12, cooldown_after_trade_s=Decimal(0), pause_duration_min=Decimal(2)
        )
        for user in ("ann", "bob", "cid"):
            world.store.set_limits(UserId(user), limits)

    def play(self) -> list[Any]:
        told: list[Any] = []
        for _ in range(BATCHES):
            if self.random.random() < 0.12:
                self.world.next_slot()
                self.world.expire_leases(0)
            fences = {run.id: self._fence(run) for run in self.runs}
            ops = [
                self._op(self.random.choice(self.runs), fences) for _ in range(self.random.randint(1, MOST))
            ]
            told.append([_plain(result) for result in self.world.store.settle(ops)])
        return told

    def _fence(self, run: Run) -> int:
        fence = self.world.store.acquire(run.id, owner="node-1", ttl_s=3_600)
        self._held = getattr(self, "_held", {}) | ({run.id: fence} if fence is not None else {})
        return int(self._held[run.id])

    def _op(self, run: Run, fences: dict[Any, int]) -> LedgerOp:
        draw = self.random
        leg = draw.choice((Leg.ENTRY, Leg.ENTRY, Leg.EXIT))
        attempt = draw.choice((1, 1, 1, 2))
        asked = self.world.intent(run, fences[run.id], leg=leg, attempt=attempt).order
        price = str(draw.randint(80, 120))
        match draw.randrange(11):
            case 0 | 1 | 2:
                return self.world.intent(run, fences[run.id], leg=leg, attempt=attempt)
            case 3:
                acknowledged = Acknowledged("v")
                event = draw.choice(
                    (acknowledged, acknowledged, Expired("x"), Rejected("x"), OutcomeUnknown("x"))
                )
                return ObserveOrder(client_order_id=asked.client_order_id, event=event)
            case 4 if draw.random() < 0.5:
                return EndLeg(client_order_id=asked.client_order_id)
            case 4:
                lost, ends = NotPlaced("x"), draw.random() < 0.5
                return ObserveOrder(
                    client_order_id=asked.client_order_id, event=lost, no_further_attempt=ends
                )
            case 5 | 6 | 7 | 8:
                return self._fill(asked, price)
            case 9:
                return self._venue_fill(run, price)
            case _:
                return self._money(run)

    def _fill(self, order: Order, price: str) -> ObserveFill:
        quantity = self.random.choice(("0.5", "1", "1"))
        trade = f"{order.client_order_id}/{self.random.randrange(3)}"
        return self.world.fill(order, price, quantity=quantity, commission="0.04", trade_id=trade)

    def _venue_fill(self, run: Run, price: str) -> ObserveFill:
        assert run.account_id is not None
        return ObserveFill(
            account_id=run.account_id,
            symbol=run.strategy.symbol,
            run_id=run.id,
            venue_leg=self.random.choice((Leg.STOP_LOSS, Leg.TAKE_PROFIT, Leg.MANUAL)),
            fill=Fill(
                trade_id=f"stop-{self.random.randrange(50)}",
                side=OrderSide.SELL,
                quantity=Decimal(self.random.choice(("0.5", "1"))),
                price=Decimal(price),
                commission=Decimal("0.02"),
                executed_at=self.world.now,
            ),
        )

    def _money(self, run: Run) -> LedgerOp:
        assert run.account_id is not None
        amount = Decimal(self.random.randint(-30, 30))
        seen = {"account_id": run.account_id, "symbol": run.strategy.symbol, "run_id": run.id}
        match self.random.choice((0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 4)):
            case 3:
                held = self.world.store.run_state(run.id)
                quantity = held.position.quantity if held and self.random.random() < 0.7 else amount
                return ObservePosition(**seen, quantity=quantity)
            case 4:
                return ObserveProtection(**seen, stop_loss=abs(amount) or None)
            case 0:
                return SimulateTrade(user_id=run.user_id, delta=amount)
            case 1:
                return ExpirePause(user_id=run.user_id)
            case _:
                return ObserveFunding(
                    account_id=run.account_id,
                    symbol=run.strategy.symbol,
                    run_id=run.id,
                    funding_id=f"funding-{self.random.randrange(20)}",
                    amount=amount,
                    at=self.world.now,
                )

    def left(self) -> dict[str, Any]:
        """All that the operations left behind, counters' numbers included."""
        store = self.world.store
        events = store.events(limit=10_000)
        return {
            "events": sorted(_plain((e.user_id, str(e.run_id), e.seq, e.type, e.payload)) for e in events),
            "orders": [_plain(store.orders(run_id=run.id)) for run in self.runs],
            "positions": _plain(sorted(store.open_positions(), key=lambda held: held.run_id)),
            "accounts": [_plain(store.account(run.account_id)) for run in self.runs if run.account_id],
            "equity": [_plain(store.equity(run.account_id)) for run in self.runs if run.account_id],
            "risk": [_plain(store.risk(run.user_id)) for run in self.runs],
            "trades": [[(t.pnl, t.exit_reason) for t in store.trades(run_id=run.id)] for run in self.runs],
        }


def _plain(value: Any) -> Any:
    """As JSON has it, without the fences: each store takes them from a counter of its own."""

    def without(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: without(node[key]) for key in sorted(node) if key != "fence"}
        return [without(each) for each in node] if isinstance(node, list) else _number(node)

    return msgspec.json.encode(without(msgspec.json.decode(msgspec.json.encode(value)))).decode()


def _number(leaf: Any) -> Any:
    """Decimals compare by value, not by trailing zeros."""
    try:
        return str(Decimal(leaf).normalize()) if isinstance(leaf, str) else leaf
    except ArithmeticError:
        return leaf


@pytest.fixture
def postgres(database: Database) -> Iterator[World]:
    store = open_store(database.service_dsn, pool_size=2)
    store.mark_demo(start=START, rate=0.0)
    with psycopg.connect(database.owner_dsn, autocommit=True, connect_timeout=10) as owner:
        yield World(
            store,
            set_now=lambda at: store.set_clock(at=at, ceiling=at),
            expire_leases=lambda _: owner.execute("UPDATE strategy_locks SET locked_until = '-infinity'"),
            forget_lease=lambda run_id: None,
        )
    store.close()


@pytest.mark.parametrize("seed", range(3))
def test_i7_i11_batches_of_any_operations_leave_what_the_memory_store_leaves(
    seed: int, postgres: World
) -> None:
    """The memory store settles one operation after another; answers, rows and gap-free events are equal."""
    played, plain = Player(postgres, seed), Player(memory_world(), seed)
    for mine, theirs in zip(played.play(), plain.play(), strict=True):
        assert mine == theirs
    mine, theirs = played.left(), plain.left()
    for what in theirs:
        assert mine[what] == theirs[what], what
    assert theirs["trades"] != [[]] * RUNS


def test_i11_what_the_database_refuses_takes_no_other_operation_of_the_batch_with_it(
    database: Database, store: PgStore
) -> None:
    runs = [make_run(store, f"user-{number}") for number in range(4)]
    with psycopg.connect(database.owner_dsn, autocommit=True, connect_timeout=10) as owner:
        owner.execute("ALTER TABLE orders ADD CHECK (user_id <> 'user-2')")
    fences = {c.run_id: c.fence for c in store.claim([r.id for r in runs], slot=START, owner="n", ttl_s=60)}
    unknown = ObserveOrder(client_order_id=_nobodys(runs[0]), event=Acknowledged("v"))
    results = store.settle([*(entry(run, fences[run.id]) for run in runs), unknown])
    kinds = [type(result) for result in results]
    assert kinds == [IntentCommitted, IntentCommitted, OpRefused, IntentCommitted, OpRefused]
    assert isinstance(results[2], OpRefused)
    assert "the database refuses this" in results[2].sentence
    assert [len(store.orders(run_id=run.id)) for run in runs] == [1, 1, 0, 1]
    assert store.risk(UserId("user-2")).state.day(START).trades == 0
    assert [(event.run_id, event.seq) for event in store.events()] == [
        (run.id, 1) for run in (runs[0], runs[1], runs[3])
    ]


def _nobodys(run: Run) -> Any:
    return client_order_id(OrderKey(run_id=run.id, slot=START - MINUTE, leg=Leg.EXIT, attempt=1))


def test_i7_a_reservation_goes_back_to_its_day_however_long_ago(store: PgStore) -> None:
    """A day that a batch does not load beforehand is read all the same."""
    run = make_run(store, "ann")
    [claim] = store.claim([run.id], slot=START, owner="node-1", ttl_s=120)
    later = START + timedelta(days=5)
    [committed] = store.settle([entry(run, claim.fence, slot=later)])
    assert isinstance(committed, IntentCommitted)
    assert store.risk(run.user_id).state.day(START).trades == 1
    stand_at_again(store, later)
    [moved] = store.settle(
        [ObserveOrder(client_order_id=committed.order.client_order_id, event=NotPlaced("restart"))]
    )
    assert isinstance(moved, OrderMoved)
    assert not moved.order.reserved
    [row] = released(store)
    assert row == 0


def stand_at_again(store: PgStore, at: Any) -> None:
    store.set_clock(at=at, ceiling=at)


def released(store: PgStore) -> list[int]:
    with store.database._pool.connection() as connection:
        return [row[0] for row in connection.execute("SELECT trades_count FROM risk_days").fetchall()]


def test_i5_i11_batches_that_meet_on_the_same_rows_wait_for_each_other_and_all_settle(store: PgStore) -> None:
    """Orders of rows within a batch are the database's, not the caller's: nobody blocks anybody for good."""
    runs = [make_run(store, f"user-{number}") for number in range(6)]
    claims = store.claim([run.id for run in runs], slot=START, owner="node-1", ttl_s=120)
    fences = {claim.run_id: claim.fence for claim in claims}
    orders = [store.settle([entry(run, fences[run.id])])[0] for run in runs]
    fills = [fill_of(done.order, "100") for done in orders if isinstance(done, IntentCommitted)]
    barrier = threading.Barrier(4, timeout=30)

    def settle(number: int) -> list[Any]:
        told = []
        barrier.wait()
        for turn in range(5):
            mine = Random(f"{number}/{turn}").sample(range(len(runs)), len(runs))
            ops = [
                op
                for at in mine
                for op in (fills[at], SimulateTrade(user_id=runs[at].user_id, delta=Decimal(1)))
            ]
            told += store.settle(ops)
        return told

    with ThreadPoolExecutor(4) as threads:
        results = [result for each in threads.map(settle, range(4)) for result in each]
    booked = [result for result in results if getattr(result, "duplicate", None) is False]
    assert len(booked) == len(runs)
    for run in runs:
        numbers = [event.seq for event in store.events(run_id=run.id)]
        assert numbers == list(range(1, len(numbers) + 1))
        assert store.risk(run.user_id).state.day(START).trades == 1 + 4 * 5


def test_a_store_settles_nothing_when_nothing_is_asked(store: Store) -> None:
    assert store.settle([]) == []
