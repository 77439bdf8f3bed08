"""Deliveries: made out once for each event whoever looks, claimed by one, tried until they are taken or given up."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

import psycopg
import pytest

from core.ids import UserId
from core.notice import Notice
from core.redact import Secret
from core.risk import RiskLimits
from core.run import RunCommand
from schema.connections import Rewrapped
from schema.ledger import PLATFORM_USER
from schema.notices import MAX_WAITING, Channel, NoticeSettings, sealed_id
from schema.ops import SimulateTrade
from schema.pg import PgStore
from schema.vault import Owner
from tests.schema.conftest import Database
from tests.schema.pg_world import make_run
from tests.schema.test_vault import master, vault_of

ANN, BOB = UserId("ann"), UserId("bob")
BOTH = frozenset({Notice.PAUSE, Notice.ERROR})


@pytest.fixture
def store(database: Database) -> Iterator[PgStore]:
    opened = PgStore(database.service_dsn, default_limits=RiskLimits(), worker="test", pool_size=4)
    yield opened
    opened.close()


def pause(store: PgStore, *users: UserId) -> None:
    """A pause of each, with its event; the trade's own event is told to nobody."""
    for user in users:
        store.settle([SimulateTrade(user_id=user, delta=Decimal(-50))])


def wants(store: PgStore, user: UserId, **more: object) -> None:
    given = {"webhook_url": "https://example.com/", "wanted": BOTH} | more
    store.notices.put(NoticeSettings(user_id=user, **given))  # type: ignore[arg-type]


def test_an_event_becomes_a_delivery_by_each_way_its_user_wants(store: PgStore) -> None:
    wants(store, ANN, email="ann@example.com")
    wants(store, BOB, wanted=frozenset({Notice.FILL}))
    pause(store, ANN, BOB, UserId("cid"))
    store.notices.gather(frozenset())
    claimed = store.notices.claim(10)
    assert [(each.user_id, each.channel, each.kind) for each in claimed] == [
        (ANN, Channel.EMAIL, Notice.PAUSE),
        (ANN, Channel.WEBHOOK, Notice.PAUSE),
    ]
    assert claimed[0].content["type"] == "risk_block"
    assert claimed[0].content["payload"]["reason"] == "daily_loss"
    assert len({each.event_id for each in claimed}) == 1
    assert store.notices.gather(frozenset()) == 0
    assert store.notices.claim(10) == [], "each is somebody's for a while"


def test_what_happened_before_anybody_listened_is_not_told(store: PgStore, database: Database) -> None:
    pause(store, ANN)
    store.notices.gather(frozenset())
    wants(store, ANN)
    store.notices.gather(frozenset())
    assert store.notices.claim(10) == []


def test_alerts_are_the_operators_and_nobody_elses(store: PgStore, database: Database) -> None:
    wants(store, PLATFORM_USER)
    store.set_kill_switch(on=True, reason="test")
    with psycopg.connect(database.owner_dsn) as connection:
        for user in (PLATFORM_USER, ANN):
            connection.execute(
                "INSERT INTO strategy_events (user_id, type, at, payload) VALUES (%s, 'alert', runner_now(), '{}')",
                [user],
            )
    wants(store, ANN)
    store.notices.gather(frozenset({Channel.WEBHOOK}))
    assert [(each.user_id, each.kind) for each in store.notices.claim(10)] == [(PLATFORM_USER, Notice.ALERT)]


def test_processes_that_look_at_once_make_out_and_claim_each_delivery_once(store: PgStore) -> None:
    wants(store, ANN)
    pause(store, ANN)
    for _ in range(5):
        store.settle([SimulateTrade(user_id=ANN, delta=Decimal(100))])
        pause(store, ANN)
    ready = threading.Barrier(4)

    def process(_: int) -> list[int]:
        ready.wait(5)
        for _ in range(3):
            store.notices.gather(frozenset())
        return [each.id for each in store.notices.claim(100)]

    with ThreadPoolExecutor(4) as threads:
        claims = [id for ids in threads.map(process, range(4)) for id in ids]
    assert len(claims) == len(set(claims))
    assert len(store.notices.latest(ANN, 50)) == len(
        [e for e in store.events(user_id=ANN) if e.payload.get("action") == "paused"]
    )


def test_a_failure_is_tried_again_later_and_given_up_in_the_end(store: PgStore, database: Database) -> None:
    wants(store, ANN)
    pause(store, ANN)
    store.notices.gather(frozenset())
    (first,) = store.notices.claim(10)
    store.notices.failed(first.id, "answered 500", 3_600.0)
    assert store.notices.claim(10) == []
    with psycopg.connect(database.owner_dsn) as connection:
        connection.execute("UPDATE notice_deliveries SET next_at = clock_timestamp()")
    (second,) = store.notices.claim(10)
    assert (second.id, second.event_id, second.attempts) == (first.id, first.event_id, 2)
    store.notices.failed(second.id, "answered 500", None)
    (ended,) = store.notices.latest(ANN, 10)
    assert (ended.state, ended.last_error) == ("failed", "answered 500")
    store.notices.sent(second.id)
    assert store.notices.claim(10) == []


def test_a_process_that_dies_over_an_attempt_leaves_it_to_another(store: PgStore, database: Database) -> None:
    wants(store, ANN)
    pause(store, ANN)
    store.notices.gather(frozenset())
    (taken,) = store.notices.claim(10)
    with psycopg.connect(database.owner_dsn) as connection:
        connection.execute("UPDATE notice_deliveries SET next_at = next_at - interval '60 seconds'")
    (again,) = store.notices.claim(10)
    assert again.event_id == taken.event_id


def test_who_does_not_take_anything_has_a_bounded_number_waiting(store: PgStore, database: Database) -> None:
    wants(store, ANN)
    with psycopg.connect(database.owner_dsn) as connection:
        connection.execute(
            "INSERT INTO notice_deliveries (event_id, user_id, channel, kind, content)"
            " SELECT -n, 'ann', 'webhook', 'fill', '{}' FROM generate_series(1, %s) AS n",
            [MAX_WAITING - 1],
        )
    pause(store, ANN)
    store.settle([SimulateTrade(user_id=ANN, delta=Decimal(100))])
    pause(store, ANN)
    store.notices.gather(frozenset())
    with psycopg.connect(database.owner_dsn) as connection:
        row = connection.execute("SELECT count(*) FROM notice_deliveries").fetchone()
    assert row == (MAX_WAITING,)


def test_a_signing_secret_opens_for_its_user_and_stays_until_another_is_given(store: PgStore) -> None:
    vault = vault_of(master("m1", 1))
    owner = Owner(user_id=ANN, account_id=sealed_id(uuid4()))
    wants(store, ANN, sealed=vault.seal(owner, key=Secret("k"), secret=Secret("signing")))
    wants(store, ANN, email="ann@example.com")
    kept = store.notices.settings(ANN)
    assert kept.sealed is not None
    assert vault.open(kept.sealed).secret.reveal() == "signing"
    assert (kept.email, kept.wanted) == ("ann@example.com", BOTH)
    assert store.notices.settings(BOB) == NoticeSettings(user_id=BOB)


def test_old_deliveries_are_forgotten(store: PgStore, database: Database) -> None:
    wants(store, ANN)
    pause(store, ANN)
    store.notices.gather(frozenset())
    assert store.notices.forget_old() == 0
    with psycopg.connect(database.owner_dsn) as connection:
        connection.execute("UPDATE notice_deliveries SET created_at = created_at - interval '8 days'")
    assert store.notices.forget_old() == 1


def test_i13_a_signing_secret_goes_with_the_keys_to_another_master_key(store: PgStore) -> None:
    old, both = vault_of(master("m1", 1)), vault_of(master("m2", 2), master("m1", 1))
    owner = Owner(user_id=ANN, account_id=sealed_id(uuid4()))
    wants(store, ANN, sealed=old.seal(owner, key=Secret("k"), secret=Secret("signing")))
    assert store.connections.count_to_rewrap("m2") == 1
    (sealed,) = store.connections.to_rewrap("m2", after=None)
    moved = Rewrapped(sealed=both.rewrap(sealed), was="m1")
    assert [store.connections.rewrap([moved]) for _ in range(2)] == [1, 0]
    assert store.connections.count_to_rewrap("m2") == 0
    kept = store.notices.settings(ANN).sealed
    assert kept is not None
    assert vault_of(master("m2", 2)).open(kept).secret.reveal() == "signing"


def test_i19_who_has_a_key_that_may_withdraw_or_a_venue_that_fails_is_told(store: PgStore) -> None:
    """Found within a day (the key keeper), the run stopped by policy: its user hears of it outside."""
    wants(store, ANN)
    run = make_run(store, "ann")
    store.command(run.id, RunCommand.STOP, by="policy", reason="key_may_withdraw: This key may withdraw.")
    store.command(run.id, RunCommand.START, by="ann")
    for minute in range(3):
        slot = datetime(2026, 3, 10, 12, minute, tzinfo=UTC)
        store.adapter_failed(run.id, slot=slot, kind="timeout", detail="late")
    store.notices.gather(frozenset())
    told = [(each.kind.value, each.content["payload"].get("reason", "")) for each in store.notices.claim(10)]
    assert [kind for kind, _ in told] == ["pause", "error", "error", "error", "pause"]
    assert told[0][1].startswith("key_may_withdraw")
    assert told[-1][1].startswith("3 adapter errors")
