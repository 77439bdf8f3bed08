"""What is older than is kept goes: months whole, executions with prints and warnings, candles, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql

from core.audit import verify
from core.ids import UserId
from schema.audit import chains
from schema.pg import PgStore
from schema.pg_retention import BATCH_ROWS, PgRetention, Retired
from schema.records import SlotReport
from schema.store import StoreUnavailable
from tests.schema.conftest import Database
from tests.schema.pg_world import START, make_run, open_store, stand_at, tick_of

DAY = timedelta(days=1)
KEPT_DAYS = 400


@pytest.fixture
def store(database: Database) -> Iterator[PgStore]:
    store = open_store(database.service_dsn)
    stand_at(store, START)
    yield store
    store.close()


@pytest.fixture
def service(database: Database) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database.service_dsn, autocommit=True, connect_timeout=10) as connection:
        yield connection


def passed(store: PgStore, days: int = KEPT_DAYS) -> list[Retired]:
    """All steps until nothing is left to take."""
    steps = [PgRetention(store.database).step(days)]
    while steps[-1].more:
        steps.append(PgRetention(store.database).step(days))
    return steps


def execution(service: psycopg.Connection[Any], strategy_id: object, slot: datetime, rows: int = 1) -> None:
    service.execute(
        "INSERT INTO strategy_executions (evaluation_key, strategy_id, slot, worker, duration_ms, status,"
        " runs_reached, nodes_executed) SELECT 'k' || n, %s, %s, 'w', 1, 'success', 1, 1 FROM generate_series(1, %s) n",
        [strategy_id, slot, rows],
    )


def printed(service: psycopg.Connection[Any], strategy_id: object, slot: datetime, rows: int = 1) -> None:
    service.execute(
        "INSERT INTO execution_prints (strategy_id, user_id, evaluation_key, slot, printed)"
        " SELECT %s, 'ann', 'k' || n, %s, 'ema 3' FROM generate_series(1, %s) n",
        [strategy_id, slot, rows],
    )


def warning(
    service: psycopg.Connection[Any], strategy_id: object, version: int, kind: str, slot: datetime
) -> None:
    service.execute(
        "INSERT INTO strategy_warnings (strategy_id, version, kind, user_id, slot, detail)"
        " VALUES (%s, %s, %s, 'ann', %s, '{}')",
        [strategy_id, version, kind, slot],
    )


def candle(
    service: psycopg.Connection[Any], symbol: str, open_time: datetime, stored_at: datetime | None
) -> None:
    service.execute(
        "INSERT INTO candles (venue, market, symbol, timeframe, open_time, open, high, low, close, volume, stored_at)"
        " VALUES ('binance', 'perp', %s, '1m', %s, 1, 1, 1, 1, 1, %s)",
        [symbol, open_time, stored_at],
    )


def count(service: psycopg.Connection[Any], table: str) -> int:
    row = service.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))).fetchone()
    assert row is not None
    return int(row[0])


def test_months_that_ended_before_the_days_kept_go_one_a_step_and_the_others_stay(store: PgStore) -> None:
    run = make_run(store, "ann")
    for days in (0, 300, 399, 440, 500):
        store.report(SlotReport(ticks=(tick_of(run, 0, START - days * DAY),)))
    steps = passed(store)
    assert [tick.slot for tick in store.ticks()] == [START - days * DAY for days in (0, 300, 399)]
    months = [step.month for step in steps if step.month is not None]
    assert "strategy_tick_runs_202410" in months
    assert months == sorted(months, key=lambda name: name[-6:])
    assert len(months) == len(steps) - 1
    assert passed(store) == [Retired()], "a second pass finds nothing"


def test_the_chain_of_events_holds_beyond_what_retention_took(store: PgStore, database: Database) -> None:
    run = make_run(store, "ann")
    with psycopg.connect(database.service_dsn, autocommit=True, connect_timeout=10) as service:
        for days in (500, 470, 500, 1):  # a late one of an old month stands between others
            at = START - days * DAY
            service.execute("SELECT ensure_partitions(%s, %s)", [at, at])
            columns = "INSERT INTO strategy_events (user_id, run_id, type, at, payload)"
            insert = columns + " VALUES (%s, %s, 'error', %s, '{}')"
            service.execute(insert.encode(), ["ann", run.id, at])
    PgRetention(store.database).step(KEPT_DAYS + 75)  # the oldest month only
    passed(store)
    with chains(database.service_dsn) as read:
        [head] = read.heads(UserId("ann"))
        verdict = verify(head, read.links(head.user_id))
    assert verdict.holds
    assert (head.number, head.dropped, verdict.links) == (4, 3, 1)


def test_executions_go_in_batches_and_those_of_the_days_kept_stay(
    store: PgStore, service: psycopg.Connection[Any]
) -> None:
    run = make_run(store, "ann")
    old = START - (KEPT_DAYS + 1) * DAY
    execution(service, run.strategy.id, old, rows=BATCH_ROWS + 7)
    execution(service, run.strategy.id, START - (KEPT_DAYS - 1) * DAY, rows=3)
    assert [step.executions for step in passed(store)] == [BATCH_ROWS, 7]
    assert count(service, "strategy_executions") == 3


def test_what_code_printed_goes_with_its_executions(store: PgStore, service: psycopg.Connection[Any]) -> None:
    run = make_run(store, "ann")
    printed(service, run.strategy.id, START - (KEPT_DAYS + 1) * DAY, rows=BATCH_ROWS + 7)
    printed(service, run.strategy.id, START - (KEPT_DAYS - 1) * DAY, rows=3)
    assert [step.prints for step in passed(store)] == [BATCH_ROWS, 7]
    assert count(service, "execution_prints") == 3


def test_old_warnings_of_the_time_limit_go_and_that_a_version_answers_differently_stays_known(
    store: PgStore, service: psycopg.Connection[Any]
) -> None:
    run = make_run(store, "ann")
    old, new = START - (KEPT_DAYS + 1) * DAY, START - (KEPT_DAYS - 1) * DAY
    for version, kind, slot in (
        (1, "near_time_limit", old),
        (1, "not_deterministic", old),
        (2, "near_time_limit", new),
    ):
        warning(service, run.strategy.id, version, kind, slot)
    assert sum(step.warnings for step in passed(store)) == 1
    left = service.execute("SELECT version, kind FROM strategy_warnings ORDER BY 1").fetchall()
    assert left == [(1, "not_deterministic"), (2, "near_time_limit")]


def test_old_candles_go_unless_they_were_downloaded_lately(
    store: PgStore, service: psycopg.Connection[Any]
) -> None:
    old, new = START - 500 * DAY, START - 10 * DAY
    for symbol in ("BTCUSDT", "ETHUSDT"):
        candle(service, symbol, old, None)
        candle(service, symbol, old + DAY, old + DAY)
        candle(service, symbol, old + 2 * DAY, new)
        candle(service, symbol, new, new)
    assert sum(step.candles for step in passed(store)) == 4
    assert count(service, "candles") == 4


def test_one_process_at_a_time_takes_rows_out(store: PgStore, service: psycopg.Connection[Any]) -> None:
    run = make_run(store, "ann")
    execution(service, run.strategy.id, START - 500 * DAY)
    with service.transaction():
        service.execute("SELECT pg_advisory_xact_lock(1381256270)")
        assert passed(store) == [Retired()]
    assert [step.executions for step in passed(store)] == [1]


def test_a_month_in_use_is_not_waited_for(store: PgStore, service: psycopg.Connection[Any]) -> None:
    """Whoever asks for the table behind us would wait as long."""
    run = make_run(store, "ann")
    store.report(SlotReport(ticks=(tick_of(run, 0, START - 500 * DAY),)))
    with service.transaction():
        service.execute("SELECT count(*) FROM strategy_tick_runs")
        with pytest.raises(StoreUnavailable):
            passed(store)
    passed(store)
    assert store.ticks() == []


def test_the_service_drops_no_month_that_is_kept(store: PgStore, service: psycopg.Connection[Any]) -> None:
    for child in ("strategy_tick_runs_202603", "orders", "strategy_events_209901"):
        with pytest.raises(psycopg.Error, match="no month that has ended"):
            service.execute("SELECT drop_month(%s)", [child])
