"""Weight and bans of venue hosts on a real PostgreSQL: processes together never get more than there is."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from schema.notify import PgNotifier
from schema.pg_venue_budgets import BANS_CHANNEL, PgVenueBudgets
from schema.store import StoreUnavailable
from tests.schema.conftest import Database
from tests.schema.pg_world import open_store

HOST = "fapi.venue.test"
# Within a window of a century nothing here can happen at its edge.
CENTURY_S = 3_155_760_000.0


@contextmanager
def process(database: Database, worker: str) -> Iterator[PgVenueBudgets]:
    store = open_store(database.service_dsn, worker=worker, pool_size=2)
    try:
        yield store.venue_budgets
    finally:
        store.close()


def owner(database: Database, statement: str) -> None:
    with psycopg.connect(database.owner_dsn, autocommit=True, connect_timeout=5) as connection:
        connection.execute(statement.encode())


def started(database: Database) -> float:
    with psycopg.connect(database.owner_dsn, connect_timeout=5) as connection:
        row = connection.execute(
            "SELECT extract(epoch FROM window_start)::float8 FROM venue_budgets"
        ).fetchone()
    assert row is not None
    return float(row[0])


def test_two_processes_never_get_more_than_the_window_holds_together(database: Database) -> None:
    with process(database, "one") as one, process(database, "two") as two:
        taken: queue.SimpleQueue[int] = queue.SimpleQueue()

        def take(rows: PgVenueBudgets) -> None:
            for wanted in (7, 13, 40) * 20:
                taken.put(rows.take(HOST, wanted=wanted, weight=1000, window_s=CENTURY_S).granted)

        threads = [threading.Thread(target=take, args=(rows,)) for rows in (one, two, one, two)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        amounts = [taken.get() for _ in range(taken.qsize())]
        assert len(amounts) == 240
        assert sum(amounts) == 1000
        assert min(amounts) == 0


def test_a_host_has_its_own_weight(database: Database) -> None:
    with process(database, "one") as rows:
        assert rows.take(HOST, wanted=50, weight=10, window_s=CENTURY_S).granted == 10
        assert rows.take(HOST, wanted=50, weight=10, window_s=CENTURY_S).granted == 0
        assert rows.take("api.venue.test", wanted=3, weight=10, window_s=CENTURY_S).granted == 3


def test_a_new_window_has_all_of_it_again(database: Database) -> None:
    with process(database, "one") as rows:
        assert rows.take(HOST, wanted=50, weight=10, window_s=CENTURY_S).granted == 10
        owner(database, "UPDATE venue_budgets SET window_start = window_start - interval '1 hour'")
        again = rows.take(HOST, wanted=4, weight=10, window_s=CENTURY_S)
        assert again.granted == 4
        assert 0 < again.ends_in_s < CENTURY_S
        assert rows.take(HOST, wanted=50, weight=10, window_s=CENTURY_S).granted == 6


def test_who_comes_with_a_window_that_is_over_takes_from_the_newer_one(database: Database) -> None:
    """As after a wait for the row: the count of the newer window is not thrown away."""
    with process(database, "one") as rows:
        assert rows.take(HOST, wanted=7, weight=10, window_s=CENTURY_S).granted == 7
        owner(database, "UPDATE venue_budgets SET window_start = window_start + interval '1 hour'")
        newer = started(database)
        assert rows.take(HOST, wanted=7, weight=10, window_s=CENTURY_S).granted == 3
        assert rows.take(HOST, wanted=7, weight=10, window_s=CENTURY_S).granted == 0
        assert started(database) == newer


def test_a_limit_that_was_lowered_gives_nothing_back(database: Database) -> None:
    with process(database, "one") as rows:
        rows.take(HOST, wanted=10, weight=10, window_s=CENTURY_S)
        assert rows.take(HOST, wanted=3, weight=5, window_s=CENTURY_S).granted == 0
        assert rows.take(HOST, wanted=3, weight=12, window_s=CENTURY_S).granted == 2


def test_windows_begin_at_multiples_of_their_length(database: Database) -> None:
    with process(database, "one") as rows:
        assert 0 < rows.take(HOST, wanted=1, weight=10, window_s=60.0).ends_in_s <= 60.0
    with psycopg.connect(database.owner_dsn, connect_timeout=5) as connection:
        row = connection.execute(
            "SELECT extract(epoch FROM window_start)::float8 FROM venue_budgets"
        ).fetchone()
    assert row is not None
    assert row[0] % 60 == 0


def test_a_ban_met_by_one_process_is_known_to_the_other(database: Database) -> None:
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    with process(database, "one") as one, process(database, "two") as two:
        assert two.take(HOST, wanted=1, weight=10, window_s=CENTURY_S).banned_until is None
        one.ban(HOST, until)
        assert two.take(HOST, wanted=1, weight=10, window_s=CENTURY_S).banned_until == until
        one.ban(HOST, until - timedelta(minutes=5))
        assert two.bans() == {HOST: until}
        owner(database, "UPDATE venue_bans SET until = clock_timestamp() - interval '1 s'")
        assert two.bans() == {}
        assert two.take(HOST, wanted=1, weight=10, window_s=CENTURY_S).banned_until is None


def test_a_ban_is_told_at_once_and_once(database: Database) -> None:
    until = datetime.now(UTC) + timedelta(hours=1)
    heard: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
    notifier = PgNotifier(database.service_dsn)
    with process(database, "one") as rows:
        notifier.listen([BANS_CHANNEL, "probe"], lambda channel, payload: heard.put((channel, payload)))
        try:
            while True:
                notifier.notify("probe", "x")
                try:
                    heard.get(timeout=0.05)
                except queue.Empty:
                    continue
                break
            rows.ban(HOST, until)
            rows.ban(HOST, until)
            notifier.notify("probe", "end")
            told = [heard.get(timeout=20)]
            while told[-1] != ("probe", "end"):
                told.append(heard.get(timeout=20))
            assert [note for note in told if note[0] == BANS_CHANNEL] == [(BANS_CHANNEL, HOST)]
        finally:
            notifier.close()


def test_a_database_that_is_away_says_so(database: Database) -> None:
    store = open_store(database.service_dsn, worker="one", pool_size=1)
    store.close()
    with pytest.raises(StoreUnavailable):
        store.venue_budgets.take(HOST, wanted=1, weight=10, window_s=60.0)
