"""What waits to be told has bounds; beyond them it is counted as lost, and who tells a receiver is one process."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import pytest

from core.ids import StrategyId, UserId
from core.published_signal import PublishedSignal, Said, published
from core.risk import RiskLimits
from core.signal_policy import SignalLimits
from schema.pg import PgStore
from schema.pg_published import MAX_BEHIND, Progress, Receiver
from tests.schema.conftest import Database

ANN = UserId("ann")
LIMITS = SignalLimits(cooldown=timedelta(0), ttl=timedelta(minutes=5), max_alive=100)
REDIS = Receiver.REDIS


@pytest.fixture
def store(database: Database) -> Iterator[PgStore]:
    opened = PgStore(database.service_dsn, default_limits=RiskLimits(), worker="test", pool_size=2)
    opened.published.enter(REDIS)
    yield opened
    opened.close()


def offered(store: PgStore, many: int) -> list[PublishedSignal]:
    now = store.clock().database_now
    said: dict[str, Any] = {
        "strategy": "s",
        "symbol": "BTCUSDT",
        "action": "long",
        "score": None,
        "said": Said(),
    }
    signals = [
        published(strategy_id=StrategyId(UUID(int=number)), slot=now, at=now, ttl_s=300, **said)
        for number in range(many)
    ]
    store.published.offer(signals, ANN, LIMITS)
    return signals


def taken(store: PgStore, owner: str = "w1") -> list[PublishedSignal] | None:
    found = store.published.take(REDIS, owner)
    return None if found is None else [each.content for each in found]


def changed(database: Database, statement: str) -> None:
    with psycopg.connect(database.owner_dsn, autocommit=True) as connection:
        connection.execute(statement.encode())


def test_what_is_settled_is_not_taken_again_and_what_is_not_is(store: PgStore) -> None:
    signals = offered(store, 3)
    assert taken(store) == signals == taken(store)
    first = store.published.take(REDIS, "w1")
    assert first is not None
    store.published.told(REDIS, "w1", Progress(last_id=first[0].id, sent=1, expired=0))
    assert taken(store) == signals[1:]
    store.published.told(REDIS, "w1", Progress(last_id=0, sent=0, expired=0))
    assert taken(store) == signals[1:], "nothing was settled: the place stays"


def test_a_receiver_has_one_teller_until_its_lease_ends_or_it_leaves(
    store: PgStore, database: Database
) -> None:
    signals = offered(store, 1)
    assert taken(store, "w1") == signals
    assert taken(store, "w2") is None
    store.published.told(REDIS, "w2", Progress(last_id=99, sent=9, expired=0))
    assert taken(store, "w1") == signals, "who does not tell it does not move it"
    store.published.leave(REDIS, "w1")
    assert taken(store, "w2") == signals
    changed(database, "UPDATE signal_receivers SET leased_until = clock_timestamp()")
    assert taken(store, "w1") == signals


def test_signals_older_than_are_kept_are_lost_to_who_has_not_got_them(
    store: PgStore, database: Database
) -> None:
    offered(store, 3)
    (first, *_) = store.published.take(REDIS, "w1") or []
    store.published.told(REDIS, "w1", Progress(last_id=first.id, sent=1, expired=0))
    changed(database, "UPDATE published_signals SET stored_at = stored_at - interval '8 days'")
    assert store.published.forget_old() == 3
    (state,) = store.published.states()
    assert (state.sent, state.lost, state.waiting) == (1, 2, 0)


def test_a_receiver_that_is_too_far_behind_goes_on_with_the_newest(
    store: PgStore, database: Database
) -> None:
    old = offered(store, 2)
    changed(database, f"SELECT setval(pg_get_serial_sequence('published_signals', 'id'), {MAX_BEHIND + 1})")
    new = [msgspec.structs.replace(old[0], signal_id=UUID(int=number)) for number in (1, 2)]
    store.published.offer(new, ANN, LIMITS)
    assert taken(store) == new
    (state,) = store.published.states()
    assert (state.lost, state.waiting) == (2, 2)
