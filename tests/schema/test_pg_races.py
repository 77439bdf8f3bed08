"""What must hold inside transactions, shown by processes and threads that race on a real PostgreSQL."""

from __future__ import annotations

import multiprocessing
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

import psycopg
import pytest

from core.errors import Reason
from core.ids import RunId, UserId
from core.risk import RiskLimits
from schema.ops import IntentCommitted, IntentRefused, SimulateTrade
from schema.pg import PgStore
from schema.records import SlotReport
from tests.schema.conftest import Database
from tests.schema.pg_world import MINUTE, START, entry, make_run, open_store, stand_at, tick_of

T = TypeVar("T")
_TIMEOUT_S = 60


@pytest.fixture
def store(database: Database) -> Iterator[PgStore]:
    store = open_store(database.service_dsn, pool_size=8)
    stand_at(store, START)
    yield store
    store.close()


@contextmanager
def connected(dsn: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(dsn, connect_timeout=10) as connection:
        yield connection


def await_waiting(dsn: str, *, sessions: int = 1) -> None:
    """Until this many sessions wait for a lock."""
    # A row's waiter waits for the transaction that holds it, which belongs to no database.
    waiting = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted"
    with psycopg.connect(dsn, autocommit=True, connect_timeout=10) as watcher:
        for _ in range(2_000):
            row = watcher.execute(waiting).fetchone()
            if row is not None and row[0] >= sessions:
                return
            threading.Event().wait(0.005)
    raise AssertionError("nobody waited for a lock")


def together(*works: Callable[[], T]) -> list[T]:
    """Their results, all started at one barrier."""
    barrier = threading.Barrier(len(works), timeout=_TIMEOUT_S)

    def start(work: Callable[[], T]) -> T:
        barrier.wait()
        return work()

    with ThreadPoolExecutor(len(works)) as threads:
        return list(threads.map(start, works))


def claim_and_report(dsn: str, worker: str, run_ids: list[UUID], slots: int) -> list[tuple[UUID, int, int]]:
    """What one process won: (run, slot number, fence). Each slot is reported before the next is claimed."""
    store = open_store(dsn, worker=worker, pool_size=1)
    won: list[tuple[UUID, int, int]] = []
    try:
        runs = {run.id: run for run in store.runs()}
        for number in range(slots):
            slot = START + number * MINUTE
            claims = store.claim([RunId(each) for each in run_ids], slot=slot, owner=worker, ttl_s=120)
            won += [(claim.run_id, number, claim.fence) for claim in claims]
            ticks = tuple(tick_of(runs[claim.run_id], claim.fence, slot) for claim in claims)
            assert store.report(SlotReport(ticks=ticks)) == len(ticks)
    finally:
        store.close()
    return won


def test_i1_i5_i6_processes_racing_for_slots_win_each_once_under_rising_fences(
    database: Database, store: PgStore
) -> None:
    runs = [make_run(store, f"user-{number}") for number in range(30)]
    ids = [run.id for run in runs]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(3, mp_context=spawn) as processes:
        # Each in its own order: claims that locked rows as given would block each other.
        orders = [ids, ids[::-1], ids[15:] + ids[:15]]
        works = [
            processes.submit(claim_and_report, database.service_dsn, f"node-{number}", order, 12)
            for number, order in enumerate(orders)
        ]
        won = [each for work in works for each in work.result(_TIMEOUT_S)]
    assert max(Counter((run_id, slot) for run_id, slot, _ in won).values()) == 1
    assert len({fence for *_, fence in won}) == len(won)
    by_run = defaultdict(list)
    for run_id, slot, fence in won:
        by_run[run_id].append((slot, fence))
    for pairs in by_run.values():
        fences = [fence for _, fence in sorted(pairs)]
        assert fences == sorted(fences)
    assert len(store.ticks(limit=10_000)) == len(won)


def test_i5_one_of_many_acquires_a_free_lease(store: PgStore) -> None:
    run = make_run(store, "ann")
    fences = together(*(lambda n=n: store.acquire(run.id, owner=f"node-{n}", ttl_s=60) for n in range(6)))
    assert len([fence for fence in fences if fence is not None]) == 1


def test_i7_two_runs_of_one_user_racing_for_the_last_trade_get_one(
    database: Database, store: PgStore
) -> None:
    """Both have come as far as the user's risk row, held here, before either may go on."""
    ann = UserId("ann")
    pair = [make_run(store, ann, symbol=symbol) for symbol in ("BTCUSDT", "ETHUSDT")]
    store.set_limits(ann, RiskLimits(max_trades_per_day=2, cooldown_after_trade_s=Decimal(0)))
    store.settle([SimulateTrade(user_id=ann, delta=Decimal(1))])
    claims = store.claim([run.id for run in pair], slot=START, owner="node-1", ttl_s=120)
    fences = {claim.run_id: claim.fence for claim in claims}
    with ThreadPoolExecutor(2) as threads, connected(database.owner_dsn) as holder:
        holder.execute("SELECT FROM risk_users FOR UPDATE")
        proposing = [threads.submit(store.settle, [entry(run, fences[run.id])]) for run in pair]
        await_waiting(database.owner_dsn, sessions=2)
        holder.commit()
        results = [each.result(_TIMEOUT_S)[0] for each in proposing]
    [refused] = [each for each in results if isinstance(each, IntentRefused)]
    assert refused.reason is Reason.MAX_TRADES
    assert store.risk(ann).state.day(START).trades == 2


def test_i7_a_users_very_first_intents_race_for_one_trade_too(store: PgStore) -> None:
    """No risk row is there yet to be locked."""
    for number in range(3):
        user = UserId(f"user-{number}")
        pair = [make_run(store, user, symbol=symbol) for symbol in ("BTCUSDT", "ETHUSDT")]
        store.set_limits(user, RiskLimits(max_trades_per_day=1))
        claims = store.claim([run.id for run in pair], slot=START, owner="node-1", ttl_s=120)
        fences = {claim.run_id: claim.fence for claim in claims}
        intents = [entry(run, fences[run.id]) for run in pair]
        results = together(*(lambda op=op: store.settle([op])[0] for op in intents))
        assert sorted(type(result).__name__ for result in results) == ["IntentCommitted", "IntentRefused"]
        assert store.risk(user).state.day(START).trades == 1


def test_i1_one_intent_lives_when_two_processes_propose_the_same_leg(store: PgStore) -> None:
    run = make_run(store, "ann")
    [claim] = store.claim([run.id], slot=START, owner="node-1", ttl_s=120)
    results = together(*[lambda: store.settle([entry(run, claim.fence)])[0]] * 4)
    assert all(isinstance(result, IntentCommitted) for result in results)
    assert len(store.orders(run_id=run.id)) == 1
    assert store.risk(run.user_id).state.day(START).trades == 1


def test_i8_the_kill_switch_waits_for_an_intent_and_every_later_one_sees_it(
    database: Database, store: PgStore
) -> None:
    run = make_run(store, "ann")
    [claim] = store.claim([run.id], slot=START, owner="node-1", ttl_s=120)
    with ThreadPoolExecutor(1) as threads, connected(database.service_dsn) as intent:
        assert intent.execute("SELECT kill_switch_shared()").fetchone() == (False,)
        turning = threads.submit(store.set_kill_switch, on=True, reason="drill")
        await_waiting(database.owner_dsn)
        assert not turning.done()
        assert not store.platform().kill_switch
        intent.commit()
        turning.result(_TIMEOUT_S)
    [result] = store.settle([entry(run, claim.fence)])
    assert isinstance(result, IntentRefused)
    assert result.reason is Reason.KILL_SWITCH


def test_i8_no_intent_commits_after_the_kill_switch_has(store: PgStore) -> None:
    runs = [make_run(store, f"user-{number}") for number in range(40)]
    fences = {
        claim.run_id: claim.fence
        for claim in store.claim([run.id for run in runs], slot=START, owner="node-1", ttl_s=120)
    }
    with ThreadPoolExecutor(4) as threads:
        proposals = [threads.submit(store.settle, [entry(run, fences[run.id])]) for run in runs]
        proposals[5].result(_TIMEOUT_S)
        store.set_kill_switch(on=True, reason="drill")
        results = [proposal.result(_TIMEOUT_S)[0] for proposal in proposals]
    events = store.events(limit=1_000)
    [switch] = [event for event in events if event.payload.get("action") == "kill_switch_on"]
    submits = [event for event in events if event.type == "order_submit"]
    assert len(submits) == sum(isinstance(result, IntentCommitted) for result in results)
    # Its number was taken after every intent before it had committed, and before any later one began.
    assert all(event.id < switch.id for event in submits)


def test_i8_an_accounts_switch_waits_for_its_intent_in_flight(database: Database, store: PgStore) -> None:
    run = make_run(store, "ann")
    assert run.account_id is not None
    account_id = run.account_id
    with ThreadPoolExecutor(1) as threads, connected(database.service_dsn) as intent:
        intent.execute("SELECT FROM accounts WHERE id = %s FOR SHARE", [account_id])
        turning = threads.submit(store.set_kill_switch, on=True, reason="drill", account_id=account_id)
        await_waiting(database.owner_dsn)
        assert not turning.done()
        intent.commit()
        turning.result(_TIMEOUT_S)
    account = store.account(account_id)
    assert account is not None
    assert account.kill_switch


def test_i3_i5_an_intent_whose_lease_was_stolen_is_refused(database: Database, store: PgStore) -> None:
    run = make_run(store, "ann")
    [claim] = store.claim([run.id], slot=START, owner="node-1", ttl_s=120)
    with connected(database.owner_dsn) as owner:
        owner.execute("UPDATE strategy_locks SET locked_until = clock_timestamp()")
    stolen = store.acquire(run.id, owner="node-2", ttl_s=120)
    assert stolen is not None
    assert stolen > claim.fence
    [result] = store.settle([entry(run, claim.fence)])
    assert isinstance(result, IntentRefused)
    assert result.reason is Reason.LEASE_LOST
    assert isinstance(store.settle([entry(run, stolen)])[0], IntentCommitted)


def test_i5_a_lease_lost_while_an_intent_waits_for_its_row_is_lost(
    database: Database, store: PgStore
) -> None:
    run = make_run(store, "ann")
    [claim] = store.claim([run.id], slot=START, owner="node-1", ttl_s=120)
    with ThreadPoolExecutor(1) as threads, connected(database.owner_dsn) as thief:
        thief.execute("UPDATE strategy_locks SET locked_until = clock_timestamp()")
        proposing = threads.submit(store.settle, [entry(run, claim.fence)])
        await_waiting(database.owner_dsn)
        thief.commit()
        [result] = proposing.result(_TIMEOUT_S)
    assert isinstance(result, IntentRefused)
    assert result.reason is Reason.LEASE_LOST


def test_i11_sequences_are_gap_free_and_a_reader_misses_nothing_under_concurrent_writers(
    store: PgStore,
) -> None:
    runs = [make_run(store, f"user-{number}") for number in range(3)]
    done = threading.Event()
    read: list[int] = []

    def follow() -> None:
        while True:
            last_round = done.is_set()
            events = store.events(after_id=read[-1] if read else 0)
            read.extend(event.id for event in events)
            if last_round and not events:
                return

    def write(writer: int) -> None:
        for number in range(20):
            run = runs[(writer + number) % 3]
            slot = START + timedelta(minutes=20 * writer + number)
            store.adapter_failed(run.id, slot=slot, kind="timeout", detail="no answer")
            store.settle([SimulateTrade(user_id=run.user_id, delta=Decimal(1)) for run in runs[:2]])

    with ThreadPoolExecutor(1) as reader:
        following = reader.submit(follow)
        try:
            together(*(lambda writer=writer: write(writer) for writer in range(4)))
        finally:
            done.set()
        following.result(_TIMEOUT_S)
    events = store.events(limit=10_000)
    assert read == [event.id for event in events]
    by_counter = defaultdict(list)
    for event in events:
        by_counter[event.user_id, event.run_id].append(event.seq)
    assert len(by_counter) == 5
    for numbers in by_counter.values():
        assert numbers == list(range(1, len(numbers) + 1))


def test_a_transaction_in_flight_hides_later_events_until_it_ends(database: Database, store: PgStore) -> None:
    """Ids are taken before commit: without the horizon a reader would pass the slower transaction's event."""
    ann, bob = make_run(store, "ann"), make_run(store, "bob")
    insert = (
        "INSERT INTO strategy_events (user_id, run_id, type, at, payload)"
        " VALUES (%s, %s, 'error', runner_now(), '{}')"
    )
    with connected(database.service_dsn) as slow:
        slow.execute(insert, [ann.user_id, ann.id])
        store.adapter_failed(bob.id, slot=START, kind="timeout", detail="no answer")
        assert store.events() == []
        slow.commit()
    assert [event.run_id for event in store.events()] == [ann.id, bob.id]
