"""A process that stands still in the middle of a transaction does not keep its locks for as long as it stands."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest

from schema.pg import PgStore
from schema.pg_database import Connection
from schema.store import StoreUnavailable
from tests.schema.conftest import Database
from tests.schema.pg_world import START, open_store, stand_at


@pytest.fixture
def store(database: Database) -> Iterator[PgStore]:
    store = open_store(database.service_dsn, pool_size=2)
    stand_at(store, START)
    yield store
    store.close()


@contextmanager
def standing_still(dsn: str) -> Iterator[None]:
    """Another process, between the pipeline that locks what its intent needs and the one that writes it.

    psycopg sends Flush behind the last Sync of a pipeline; with that the server forgets that the session idles.
    """
    frozen, locked, thawed = open_store(dsn, pool_size=1), threading.Event(), threading.Event()

    def intent(connection: Connection) -> None:
        with connection.pipeline():
            connection.execute("SELECT kill_switch_shared()")
        locked.set()
        thawed.wait(60)
        connection.execute("SELECT 1")

    with ThreadPoolExecutor(1) as thread:
        ended = thread.submit(frozen.database.run, intent)
        assert locked.wait(10)
        try:
            yield
        finally:
            thawed.set()
            with pytest.raises(StoreUnavailable):
                ended.result()
            frozen.close()


def test_i8_the_switch_is_thrown_past_a_process_that_stands_still_in_an_intent(
    database: Database, store: PgStore
) -> None:
    """From PostgreSQL 17 on, which bounds transactions; before, locks last as long as the process stands."""
    with psycopg.connect(database.service_dsn) as connection:
        if connection.info.server_version < 170_000:
            pytest.skip("this server bounds no transaction")
    with standing_still(database.service_dsn):
        store.set_kill_switch(on=True, reason="test")
    assert store.platform().kill_switch
