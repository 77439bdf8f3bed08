"""What happens is told outside: at least once, with the same event id, signed, and to nobody a slow one holds up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any
from uuid import uuid4

import msgspec
import psycopg
import pytest

from actors.launch import notifier
from actors.market_clock import MarketClock
from actors.runtime.process_time import process_s
from actors.runtime.system import ActorSystem
from core.ids import UserId
from core.notice import Notice, signature
from core.redact import Secret
from core.risk import RiskLimits
from schema.notices import NoticeSettings, sealed_id
from schema.ops import SimulateTrade
from schema.pg import PgStore
from schema.vault import Owner
from tests.actors.publishers.test_mail import Post, post
from tests.actors.publishers.test_webhook import Receiver, receiver
from tests.facade.world import make_settings
from tests.schema.conftest import Database, admin, copies, database, database_url, template_database
from tests.schema.test_vault import master, vault_of

__all__ = ["admin", "copies", "database", "database_url", "post", "receiver", "template_database"]

ANN = UserId("ann")
VAULT = vault_of(master("m1", 1))
SIGNING = Secret("a-signing-secret")
WAIT_S = 20.0


@pytest.fixture
def store(database: Database) -> Iterator[PgStore]:
    opened = PgStore(database.service_dsn, default_limits=RiskLimits(), worker="test", pool_size=4)
    yield opened
    opened.close()


def running(store: PgStore, **settings: str) -> ActorSystem:
    system = ActorSystem.live(MarketClock(store.clock(), process_s), db_workers=2)
    system.start([notifier(make_settings(WEBHOOK_ALLOW_PRIVATE="true", **settings), store, VAULT)])
    return system


def wants(store: PgStore, receiver: Receiver, user: UserId = ANN, **more: Any) -> None:
    sealed = VAULT.seal(Owner(user_id=user, account_id=sealed_id(uuid4())), key=SIGNING, secret=SIGNING)
    settings = NoticeSettings(
        user_id=user,
        webhook_url=f"http://127.0.0.1:{receiver.port}/hook",
        wanted=frozenset({Notice.PAUSE}),
        sealed=sealed,
    )
    store.notices.put(msgspec.structs.replace(settings, **more))


def pause(store: PgStore, user: UserId = ANN) -> None:
    store.settle([SimulateTrade(user_id=user, delta=Decimal(-50))])


def eventually(holds: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + WAIT_S
    tick = threading.Event()
    while not holds():
        assert time.monotonic() < deadline_s
        tick.wait(0.02)


def test_a_pause_is_told_by_a_signed_webhook_and_by_mail(
    store: PgStore, receiver: Receiver, post: Post
) -> None:
    wants(store, receiver, email="ann@example.com")
    pause(store)
    system = running(store, SMTP_URL=f"smtp://127.0.0.1:{post.server_address[1]}?from=bot@example.com")
    try:
        eventually(lambda: {each.state for each in store.notices.latest(ANN, 9)} == {"sent"})
    finally:
        assert system.stop()
    [(path, headers, body)] = receiver.heard
    event = next(each for each in store.events(user_id=ANN) if each.payload.get("action") == "paused")
    told = msgspec.json.decode(body)
    assert (path, told["id"], told["type"], told["payload"]) == (
        "/hook",
        event.id,
        "risk_block",
        dict(event.payload),
    )
    at_s = int(headers["x-runner-signature"].split(",")[0].removeprefix("t="))
    assert headers["x-runner-signature"] == signature(SIGNING, at_s, body)
    assert abs(at_s - time.time()) < 60
    assert headers["idempotency-key"] == str(event.id)
    assert "To: ann@example.com" in post.message
    assert "daily_loss" in post.message


def test_what_a_receiver_refuses_is_sent_again_with_the_same_id_by_the_next_process(
    store: PgStore, database: Database, receiver: Receiver
) -> None:
    wants(store, receiver)
    pause(store)
    receiver.status = 500
    system = running(store)
    try:
        eventually(lambda: [each.last_error for each in store.notices.latest(ANN, 9)] == ["answered 500"])
    finally:
        assert system.stop()
    receiver.status = 200
    with psycopg.connect(database.owner_dsn) as connection:
        connection.execute("UPDATE notice_deliveries SET next_at = clock_timestamp()")
    system = running(store)
    try:
        eventually(lambda: store.notices.latest(ANN, 9)[0].state == "sent")
    finally:
        assert system.stop()
    ids = [headers["x-runner-event-id"] for _, headers, _ in receiver.heard]
    assert (len(ids), len(set(ids))) == (2, 1)


def test_one_users_trouble_is_not_anothers(store: PgStore, receiver: Receiver) -> None:
    bob = UserId("bob")
    wants(store, receiver, webhook_url="http://127.0.0.1:9/nobody")
    wants(store, receiver, bob)
    pause(store)
    pause(store, bob)
    system = running(store)
    try:
        eventually(lambda: [each.state for each in store.notices.latest(bob, 9)] == ["sent"])
        eventually(lambda: store.notices.latest(ANN, 9)[0].last_error is not None)
    finally:
        assert system.stop()
    assert len(receiver.heard) == 1
