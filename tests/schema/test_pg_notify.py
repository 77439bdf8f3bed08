"""Hints between processes: heard on another connection, across a lost one, and closed promptly."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest

from schema.notify import PgNotifier
from tests.schema.conftest import Database
from tests.schema.pg_world import make_run, open_store

_TIMEOUT_S = 20


class Ear:
    """What a listener heard, once it is known to listen."""

    def __init__(self, notifier: PgNotifier, sender: PgNotifier, *channels: str) -> None:
        self.heard: queue.Queue[tuple[str, str]] = queue.Queue()
        notifier.listen([*channels, "probe"], lambda channel, payload: self.heard.put((channel, payload)))
        for number in range(1_000):
            sender.notify("probe", str(number))
            try:
                self.heard.get(timeout=0.02)
            except queue.Empty:
                continue
            return
        raise AssertionError("nothing was heard")

    def next(self) -> tuple[str, str]:
        while True:
            channel, payload = self.heard.get(timeout=_TIMEOUT_S)
            if channel != "probe":
                return channel, payload


@pytest.fixture
def pair(database: Database) -> Iterator[tuple[PgNotifier, PgNotifier]]:
    sender, listener = PgNotifier(database.service_dsn), PgNotifier(database.service_dsn)
    yield sender, listener
    sender.close()
    listener.close()


def test_a_hint_is_heard_by_another_process(pair: tuple[PgNotifier, PgNotifier]) -> None:
    sender, listener = pair
    ear = Ear(listener, sender, "cron", "runs")
    sender.notify("elsewhere", "not for us")
    sender.notify("cron", "2026-03-10T12:00:00Z")
    assert ear.next() == ("cron", "2026-03-10T12:00:00Z")


def test_changed_runs_and_switches_are_told_by_the_database_itself(
    pair: tuple[PgNotifier, PgNotifier], database: Database
) -> None:
    sender, listener = pair
    ear = Ear(listener, sender, "runs", "kill_switch")
    store = open_store(database.service_dsn, pool_size=1)
    try:
        make_run(store, "ann")
        assert ear.next() == ("runs", "")
        store.set_kill_switch(on=True, reason="drill")
        assert ear.next() == ("kill_switch", "")
    finally:
        store.close()


def test_lost_connections_come_back_and_every_channel_is_heard_once_for_what_was_missed(
    pair: tuple[PgNotifier, PgNotifier], database: Database
) -> None:
    sender, listener = pair
    ear = Ear(listener, sender, "cron")
    admin_dsn = database.owner_dsn.replace("role=runner_owner", "role=runner_admin")
    with psycopg.connect(admin_dsn, autocommit=True, connect_timeout=10) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert ear.next() == ("cron", "")
    sender.notify("cron", "after")
    assert ear.next() == ("cron", "after")


def test_closing_ends_the_listening_thread_promptly(pair: tuple[PgNotifier, PgNotifier]) -> None:
    sender, listener = pair
    Ear(listener, sender, "cron")
    started = time.monotonic()
    listener.close()
    assert time.monotonic() - started < 2
    assert not [thread for thread in threading.enumerate() if thread.name == "listen cron,probe"]
