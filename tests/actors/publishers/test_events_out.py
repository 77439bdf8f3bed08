"""Events outside, by a real Redis that dies and hangs: in order, none lost, none twice while its memory lasts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from actors.market_clock import MarketClock
from actors.publishers.signals_out import event_publisher
from actors.runtime.process_time import process_s
from actors.runtime.spec import StopMode
from actors.runtime.system import ActorSystem
from core.ids import UserId
from core.risk import RiskLimits
from core.run import RunCommand
from schema.pg import PgStore
from schema.pg_events_out import MAX_EVENTS_BEHIND
from tests.actors.publishers.servers import Heard, Valkey, eventually, frozen, thawed, valkey
from tests.actors.publishers.test_signals_out import a_run, at
from tests.facade.world import make_settings
from tests.schema.conftest import Database, admin, copies, database, database_url, template_database

__all__ = ["admin", "copies", "database", "database_url", "template_database"]
CHANNEL = "squeezeflow:events"


@pytest.fixture
def store(database: Database) -> Iterator[PgStore]:
    opened = PgStore(database.service_dsn, default_limits=RiskLimits(), worker="test", pool_size=6)
    yield opened
    opened.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Valkey]:
    with valkey(tmp_path) as started:
        started.open()
        yield started


@contextmanager
def telling(store: PgStore, worker: str = "w1", **settings: str) -> Iterator[None]:
    system = ActorSystem.live(MarketClock(store.clock(), process_s), db_workers=2)
    system.start(event_publisher(make_settings(WORKER_ID=worker, **settings), store.events_out))
    try:
        yield
    finally:
        assert system.stop(StopMode.DRAIN)


def events(store: PgStore, user: str | None = None) -> list[int]:
    found = store.events(after_id=0, limit=1_000)
    return [each.id for each in found if user in (None, each.user_id)]


def ids(heard: Heard) -> list[int]:
    return [json.loads(each)["id"] for each in heard.messages]


def happens(store: PgStore, run: object, times: int = 1) -> None:
    for _ in range(times):
        for command in (RunCommand.PAUSE, RunCommand.START):
            store.command(run, command, by="alice")  # type: ignore[arg-type]


def test_every_event_is_told_once_and_in_order_through_kills_restarts_and_a_hang(
    store: PgStore, server: Valkey
) -> None:
    run, heard = a_run(store), Heard(server, CHANNEL)
    heard.listen()
    before = events(store)
    with telling(store, **at(server)):
        eventually(lambda: store.events_out.state() is not None)
        happens(store, run, 3)
        eventually(lambda: ids(heard) == events(store)[len(before) :])
        frozen(server)
        happens(store, run, 2)
        eventually(lambda: (state := store.events_out.state()) is not None and state.failing)
        thawed(server)
        eventually(lambda: ids(heard) == events(store)[len(before) :])
        server.kill()
        happens(store, run, 2)
        eventually(lambda: (state := store.events_out.state()) is not None and state.failing)
        server.start()
        heard.listen()
        server.open()
        eventually(lambda: ids(heard) == events(store)[len(before) :])
    happens(store, run)
    with telling(store, "w2", **at(server)):
        eventually(lambda: ids(heard) == events(store)[len(before) :])
    told = store.events_out.state()
    assert told is not None
    assert (told.sent, told.lost, told.failing) == (len(ids(heard)), 0, False)
    first = json.loads(heard.messages[0])
    assert (first["type"], first["user_id"], first["run_id"]) == ("run.status", "alice", str(run))
    assert first["payload"]["status"] == "paused"


def test_what_was_told_and_not_noted_is_not_published_again(store: PgStore, server: Valkey) -> None:
    run, heard = a_run(store), Heard(server, CHANNEL)
    heard.listen()
    with telling(store, **at(server)):
        eventually(lambda: store.events_out.state() is not None)
        happens(store, run)
        eventually(lambda: len(heard.messages) == 2)
    store.database.run(lambda connection: connection.execute("UPDATE event_receivers SET last_event_id = 0"))
    with telling(store, **at(server)):
        happens(store, run)
        eventually(lambda: len(heard.messages) == 4)
    assert ids(heard) == events(store)[-4:]


def test_only_the_users_that_are_named_are_told_of(store: PgStore, server: Valkey) -> None:
    runs, heard = [a_run(store, user=user) for user in ("alice", "bob")], Heard(server, CHANNEL)
    heard.listen()
    before = events(store, "bob")
    with telling(store, SIGNAL_USERS="bob", **at(server)):
        eventually(lambda: store.events_out.state() is not None)
        for run in runs:
            happens(store, run)
        eventually(lambda: ids(heard) == events(store, "bob")[len(before) :])


def test_what_lies_beyond_the_buffer_is_lost_and_counted(store: PgStore) -> None:
    run = a_run(store)
    assert store.events_out.take("w", ()) is not None
    happens(store, run)
    store.database.run(
        lambda connection: connection.execute(
            "UPDATE event_receivers SET last_event_id = last_event_id - %s", [MAX_EVENTS_BEHIND]
        )
    )
    found = store.events_out.take("w", (UserId("alice"),))
    assert found is not None
    told = store.events_out.state()
    assert told is not None
    assert told.lost + len(found.events) == len(events(store, "alice"))


def test_one_process_at_a_time_tells_them(store: PgStore) -> None:
    assert store.events_out.take("w1", ()) is not None
    assert store.events_out.take("w2", ()) is None
    store.events_out.leave("w1")
    assert store.events_out.take("w2", ()) is not None
