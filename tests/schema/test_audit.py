"""Every event is sealed in the transaction that appends it, one chain a user, by nobody but the database."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from core.audit import Verdict, verify
from core.ids import UserId
from core.order import Acknowledged
from schema.audit import chains
from schema.ops import IntentCommitted, ObserveOrder, SimulateTrade
from schema.pg import PgStore
from tests.schema.conftest import Database
from tests.schema.pg_world import START, entry, fill_of, make_run, open_store, stand_at

TIMEOUT_S = 60


@pytest.fixture
def store(database: Database) -> Iterator[PgStore]:
    store = open_store(database.service_dsn, pool_size=8)
    stand_at(store, START)
    yield store
    store.close()


def verdicts(dsn: str) -> dict[str, Verdict]:
    with chains(dsn) as read:
        return {head.user_id: verify(head, read.links(head.user_id)) for head in read.heads()}


def some_events(store: PgStore, user: str) -> None:
    run = make_run(store, user)
    fence = store.acquire(run.id, owner="node-1", ttl_s=60)
    assert fence is not None
    [committed] = store.settle([entry(run, fence)])
    assert isinstance(committed, IntentCommitted)
    order = committed.order
    store.settle([ObserveOrder(client_order_id=order.client_order_id, event=Acknowledged("v1"))])
    store.settle([fill_of(order, "100.10")])
    store.settle([SimulateTrade(user_id=UserId(user), delta=Decimal("-60.50"))])


def test_i11_events_of_runs_and_of_the_user_stand_in_one_chain_without_gap(
    store: PgStore, database: Database
) -> None:
    some_events(store, "ann")
    some_events(store, "bob")
    found = verdicts(database.service_dsn)
    assert {user: each.holds for user, each in found.items()} == {"ann": True, "bob": True}
    events = store.events(user_id=UserId("ann"), limit=200)
    assert found["ann"].links == len(events) > 3
    assert {event.run_id is None for event in events} == {True, False}, "both kinds of events"


def test_a_refused_operation_leaves_no_link(store: PgStore, database: Database) -> None:
    some_events(store, "ann")
    before = verdicts(database.service_dsn)["ann"].head
    insert = (
        "INSERT INTO strategy_events (user_id, type, at, payload) VALUES ('ann', 'error', runner_now(), %s)"
    )
    with psycopg.connect(database.service_dsn, connect_timeout=10) as service:
        service.execute(insert, ["{}"])
        with pytest.raises(psycopg.IntegrityError):
            service.execute(insert, ["[]"])
        service.rollback()
    assert verdicts(database.service_dsn)["ann"].head == before


def test_events_appended_at_once_make_one_chain(store: PgStore, database: Database) -> None:
    def some(number: int) -> None:
        for _ in range(5):
            store.settle([SimulateTrade(user_id=UserId("ann"), delta=Decimal(-60 - number))])
            store.set_kill_switch(on=number % 2 == 0, reason="race")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(some, range(6), timeout=TIMEOUT_S))
    found = verdicts(database.service_dsn)
    assert all(each.holds for each in found.values())
    assert found["ann"].links == len(store.events(user_id=UserId("ann"), limit=200)) > 0


@pytest.mark.parametrize(
    ("tampering", "why"),
    [
        ("UPDATE strategy_events SET payload = payload || '{\"pnl\": 1}' WHERE link = 3", "changed"),
        ("UPDATE strategy_events SET at = at + interval '1 microsecond' WHERE link = 3", "changed"),
        ("UPDATE strategy_events SET user_id = 'bob' WHERE link = 3", "is missing"),
        ("DELETE FROM strategy_events WHERE link = 3", "is missing"),
    ],
)
def test_what_the_owner_of_the_database_changes_behind_the_triggers_is_found(
    store: PgStore, database: Database, tampering: str, why: str
) -> None:
    some_events(store, "ann")
    with psycopg.connect(database.owner_dsn, autocommit=True, connect_timeout=10) as owner:
        owner.execute("ALTER TABLE strategy_events DISABLE TRIGGER USER")
        owner.execute("DROP TRIGGER strategy_events_append_only ON strategy_events")
        owner.execute(tampering.encode())
    broken = verdicts(database.owner_dsn)["ann"].broken
    assert broken is not None
    assert broken.number == 3
    assert why in broken.why


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE event_chains SET link = 7",
        "DELETE FROM event_chains",
        "INSERT INTO event_chains (user_id, link, hash) VALUES ('eve', 0, sha256(''))",
        "TRUNCATE event_chains",
    ],
)
def test_the_services_role_cannot_touch_a_chain(store: PgStore, database: Database, statement: str) -> None:
    some_events(store, "ann")
    with (
        psycopg.connect(database.service_dsn, autocommit=True, connect_timeout=10) as service,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        service.execute(statement.encode())


def test_a_hash_given_with_an_event_is_not_taken(store: PgStore, database: Database) -> None:
    some_events(store, "ann")
    with psycopg.connect(database.service_dsn, autocommit=True, connect_timeout=10) as service:
        row: tuple[Any, ...] | None = service.execute(
            "INSERT INTO strategy_events (user_id, type, at, payload, link, previous_hash, hash)"
            " VALUES ('ann', 'error', runner_now(), '{}', 1, '', '') RETURNING link, length(hash)"
        ).fetchone()
    assert row is not None
    assert row[0] > 3
    assert row[1] == 32
    assert verdicts(database.service_dsn)["ann"].holds


def test_rows_from_before_the_chains_stay_and_the_chain_begins_behind_them(
    store: PgStore, database: Database
) -> None:
    some_events(store, "ann")
    with psycopg.connect(database.owner_dsn, autocommit=True, connect_timeout=10) as owner:
        owner.execute("ALTER TABLE strategy_events DISABLE TRIGGER strategy_events_seal")
        owner.execute(
            "INSERT INTO strategy_events (user_id, type, at, payload) VALUES ('old', 'error', runner_now(), '{}')"
        )
        owner.execute("ALTER TABLE strategy_events ENABLE TRIGGER strategy_events_seal")
        owner.execute(
            "INSERT INTO strategy_events (user_id, type, at, payload) VALUES ('old', 'error', runner_now(), '{}')"
        )
    found = verdicts(database.service_dsn)["old"]
    assert found.holds
    assert (found.links, found.head.number) == (1, 1)
