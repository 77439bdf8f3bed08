"""Signals from outside where several ask at once, on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from uuid import uuid5

import psycopg
import pytest
from msgspec.structs import replace

from core.definition import StrategyKind
from core.external_signal import SentSignal
from core.ids import AccountId, RunId, StrategyId, UserId
from core.run import Run, RunStatus
from core.signal import Action, Signal
from schema.external import Accepted, KeyTaken, NewSignal, NoSuchStrategy, Receipt
from schema.pg import PgStore
from schema.records import Account
from tests.schema.conftest import Database
from tests.schema.pg_world import NAMES, START, make_run, open_store, stand_at
from tests.schema.test_pg_races import await_waiting, together


@pytest.fixture
def store(database: Database) -> Iterator[PgStore]:
    store = open_store(database.service_dsn, pool_size=8)
    stand_at(store, START)
    yield store
    store.close()


def external_run(store: PgStore) -> Run:
    """An active run of a strategy of kind external, both of its user."""
    like = make_run(store, "ann", symbol="ETHUSDT").strategy
    strategy = replace(
        like,
        id=StrategyId(uuid5(NAMES, "external")),
        kind=StrategyKind.EXTERNAL,
        template="external",
        parameters={},
        symbol="BTCUSDT",
    )
    account = Account(id=AccountId(uuid5(NAMES, "paper")), user_id=UserId("ann"), name="paper")
    run = Run(
        id=RunId(uuid5(NAMES, "run")),
        user_id=account.user_id,
        strategy=strategy,
        account_id=account.id,
        status=RunStatus.ACTIVE,
    )
    store.create_strategy(strategy)
    store.create_account(account)
    store.create_run(run)
    return run


def sent(run: Run, number: int, key: str, action: Action = Action.LONG, at: datetime = START) -> NewSignal:
    return NewSignal(
        id=uuid5(NAMES, f"signal {number}"),
        strategy_id=run.strategy.id,
        user_id=run.user_id,
        key=key,
        received_at=at,
        sent=SentSignal(signal=Signal(action=action)),
    )


def test_of_many_who_send_under_one_key_at_once_one_is_stored_and_all_are_told_the_same(
    store: PgStore,
) -> None:
    run = external_run(store)
    actions = [Action.LONG if number % 4 else Action.SHORT for number in range(8)]
    works: list[Callable[[], Receipt]] = [
        partial(store.receive_signal, sent(run, number, "alert-0001", action))
        for number, action in enumerate(actions)
    ]
    receipts = together(*works)
    stored = {each.signal.id for each in receipts if isinstance(each, Accepted)}
    first = [each for each in receipts if isinstance(each, Accepted) and not each.repeated]
    assert (len(stored), len(first)) == (1, 1)
    assert all(isinstance(each, Accepted | KeyTaken) for each in receipts)
    assert len(store.signals_due([run.id])) == 1


def test_those_who_send_at_once_under_keys_of_their_own_have_slots_of_their_own(store: PgStore) -> None:
    run = external_run(store)
    works = [partial(store.receive_signal, sent(run, number, f"alert-{number:04}")) for number in range(6)]
    slots = [each.signal.slot for each in together(*works) if isinstance(each, Accepted)]
    assert sorted(slots) == [START + timedelta(seconds=number) for number in range(6)]


def test_the_same_alert_at_the_turn_of_a_minute_is_stored_once_whichever_is_first(store: PgStore) -> None:
    run, minutes = external_run(store), ("minute-1", "minute-2")
    works = [
        partial(
            store.receive_signal,
            replace(
                sent(run, number, minutes[number % 2], at=START + timedelta(seconds=number % 2)),
                other_keys=(minutes[1 - number % 2],),
            ),
        )
        for number in range(8)
    ]
    receipts = [each for each in together(*works) if isinstance(each, Accepted)]
    assert len(receipts) == 8
    assert [each.repeated for each in receipts].count(False) == 1
    assert len({each.signal.id for each in receipts}) == 1


def test_nothing_is_taken_under_a_key_once_its_end_has_been_committed(
    store: PgStore, database: Database
) -> None:
    """I8 in small: who asks while it is being ended waits, and is refused then."""
    run, digest = external_run(store), bytes(32)
    assert store.alert_keys.make(run.strategy.id, run.user_id, digest) is not None
    assert isinstance(store.alert_keys.receive(digest, sent(run, 1, "alert-0001")), Accepted)
    with ThreadPoolExecutor(1) as thread, psycopg.connect(database.owner_dsn, connect_timeout=10) as owner:
        assert owner.execute("DELETE FROM alert_keys").rowcount == 1
        asked = thread.submit(store.alert_keys.receive, digest, sent(run, 2, "alert-0002"))
        await_waiting(database.owner_dsn)
        owner.commit()
        assert asked.result(timeout=10) == NoSuchStrategy()
    assert store.alert_keys.holder(digest) is None


def test_of_many_keys_made_at_once_one_is_the_strategys(store: PgStore) -> None:
    run = external_run(store)
    digests = [bytes([number]) * 32 for number in range(6)]
    together(*(partial(store.alert_keys.make, run.strategy.id, run.user_id, each) for each in digests))
    holders = [store.alert_keys.holder(each) for each in digests]
    assert [each.strategy_id for each in holders if each is not None] == [run.strategy.id]


def test_a_key_is_made_for_a_strategy_of_its_owners_that_takes_signals(store: PgStore) -> None:
    """I12: the row itself says so, whoever asks."""
    run = external_run(store)
    [other] = [each.strategy for each in store.runs() if each.strategy.symbol == "ETHUSDT"]
    assert store.alert_keys.make(run.strategy.id, UserId("bob"), bytes(32)) is None
    assert store.alert_keys.make(other.id, other.owner_id, bytes(32)) is None
    assert store.alert_keys.make(run.strategy.id, run.user_id, bytes(32)) is not None
    store.alert_keys.end(run.strategy.id, UserId("bob"))
    assert store.alert_keys.since(run.strategy.id, UserId("bob")) is None
    assert store.alert_keys.since(run.strategy.id, run.user_id) is not None


def test_i1_a_signal_is_claimed_or_closed_as_expired_and_never_both(store: PgStore) -> None:
    run = external_run(store)
    came_to = []
    for number in range(12):
        at = START + timedelta(minutes=number)
        receipt = store.receive_signal(sent(run, number, f"alert-{number:04}", at=at))
        assert isinstance(receipt, Accepted)
        signal = receipt.signal

        def claim(slot: datetime = signal.slot) -> int:
            claims = store.claim([run.id], slot=slot, owner="node-1", ttl_s=120)
            store.release([(each.run_id, each.fence) for each in claims])
            return len(claims)

        def settle(now: datetime = signal.expires_at) -> int:
            return len(store.settle_signals(now=now))

        claimed, *closed = together(claim, settle, settle)
        assert claimed + sum(closed) <= 1
        store.close_interrupted(older_than_s=0.0)
        settle()
        [row] = store.ticks(run_id=run.id, slot=signal.slot)
        came_to.append(row.reason)
        assert (row.reason == "interrupted") is bool(claimed)
    assert set(came_to) <= {"interrupted", "expired"}
    assert store.signals_due([run.id]) == []
