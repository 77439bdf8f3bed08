"""The PostgreSQL store itself: market time, months, batches, failures."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from core.errors import RunnerError
from core.ids import NodeId
from core.risk import RiskLimits
from core.run import RunCommand, RunStatus
from schema.pg import PgStore
from schema.pg_database import RETRIES
from schema.records import SlotReport
from schema.store import StoreUnavailable
from tests.schema.conftest import Database
from tests.schema.pg_world import MINUTE, START, make_run, open_store, stand_at, tick_of


@pytest.fixture
def store(database: Database) -> Iterator[PgStore]:
    store = open_store(database.service_dsn, pool_size=2)
    yield store
    store.close()


@pytest.fixture
def owner(database: Database) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database.owner_dsn, autocommit=True, connect_timeout=10) as connection:
        yield connection


def market_now(connection: psycopg.Connection[Any]) -> Any:
    row = connection.execute("SELECT runner_now()").fetchone()
    assert row is not None
    return row[0]


def test_production_market_time_is_the_databases_clock(
    store: PgStore, owner: psycopg.Connection[Any]
) -> None:
    row = owner.execute(
        "SELECT clock_timestamp() <= runner_now(), runner_now() <= clock_timestamp()"
    ).fetchone()
    assert row == (True, True)
    assert not store.clock().demo
    with pytest.raises(RunnerError):
        store.set_clock(at=START)


def test_a_demos_market_time_runs_at_its_rate_up_to_its_ceiling(
    store: PgStore, owner: psycopg.Connection[Any]
) -> None:
    store.mark_demo(start=START, rate=3_600.0)
    first = market_now(owner)
    second = market_now(owner)
    assert START < first < second
    store.set_clock(at=START + timedelta(days=1), ceiling=START + timedelta(days=1, milliseconds=1))
    threading.Event().wait(0.002)
    assert market_now(owner) == START + timedelta(days=1, milliseconds=1)


def test_a_lifted_ceiling_does_not_let_time_jump(store: PgStore, owner: psycopg.Connection[Any]) -> None:
    ceiling = START + timedelta(days=1)
    store.mark_demo(start=START, rate=10_000.0)
    store.set_clock(at=ceiling, ceiling=ceiling)
    threading.Event().wait(0.01)
    store.set_clock(rate=0.001)
    assert ceiling <= market_now(owner) < ceiling + timedelta(seconds=1)


@pytest.mark.parametrize("asked", [{"at": START - MINUTE}, {"ceiling": START - MINUTE}])
def test_market_time_never_goes_back(
    store: PgStore, owner: psycopg.Connection[Any], asked: dict[str, Any]
) -> None:
    stand_at(store, START)
    store.set_clock(**asked)
    assert market_now(owner) >= START


def test_a_production_database_with_runs_never_becomes_a_demo(store: PgStore) -> None:
    make_run(store, "ann")
    with pytest.raises(RunnerError):
        store.mark_demo(start=START, rate=60.0)


def test_months_are_made_ahead_and_for_whatever_slot_is_written(
    store: PgStore, owner: psycopg.Connection[Any]
) -> None:
    stand_at(store, START)
    run = make_run(store, "ann")
    long_ago = START - timedelta(days=200)
    assert store.report(SlotReport(ticks=(tick_of(run, 0, long_ago, signal="long"),))) == 1
    later = START + timedelta(days=900)
    store.set_clock(at=later, ceiling=later)
    store.adapter_failed(run.id, slot=later, kind="timeout", detail="no answer")
    store.beat(NodeId("node-1"), "1.0")
    names = {row[0] for row in owner.execute("SELECT relname FROM pg_class WHERE relispartition")}
    for month in (long_ago, START, later, later + timedelta(days=45)):
        assert f"strategy_tick_runs_{month:%Y%m}" in names
    assert [event.type for event in store.events(run_id=run.id)] == ["signal", "error"]


def test_a_month_made_by_a_transaction_that_failed_is_made_again(store: PgStore) -> None:
    stand_at(store, START)
    run = make_run(store, "ann")
    slot = START - timedelta(days=300)
    stranger = tick_of(run, 0, slot)
    unknown = SlotReport(ticks=(type(stranger)(**{**_fields(stranger), "run_id": run.strategy.id}),))
    with pytest.raises(RunnerError, match="does not exist"):
        store.report(unknown)
    assert store.report(SlotReport(ticks=(stranger,))) == 1


def _fields(struct: Any) -> dict[str, Any]:
    return {name: getattr(struct, name) for name in struct.__struct_fields__}


def test_retention_drops_whole_months_only(store: PgStore, owner: psycopg.Connection[Any]) -> None:
    stand_at(store, START)
    run = make_run(store, "ann")
    for days in (0, 40, 100):
        store.report(SlotReport(ticks=(tick_of(run, 0, START - timedelta(days=days)),)))
    owner.execute("SELECT drop_partitions_before(%s)", [START - timedelta(days=41)])
    assert [tick.slot for tick in store.ticks()] == [START, START - timedelta(days=40)]
    with pytest.raises(psycopg.Error, match="less than a day"):
        owner.execute("SELECT drop_partitions_before(%s)", [START])


@pytest.mark.parametrize("size", [3, 150])
def test_i1_a_batch_reported_again_in_part_adds_only_what_was_missing(store: PgStore, size: int) -> None:
    """Above a hundred rows by COPY, below by INSERT; both tell the new from the known."""
    stand_at(store, START)
    run = make_run(store, "ann")
    ticks = tuple(tick_of(run, 0, START + number * MINUTE, signal="long") for number in range(size))
    assert store.report(SlotReport(ticks=ticks[: size // 2])) == size // 2
    assert store.report(SlotReport(ticks=ticks)) == size - size // 2
    assert store.report(SlotReport(ticks=ticks)) == 0
    assert len(store.ticks(limit=1_000)) == size
    assert len(store.events(limit=1_000)) == size


def test_rows_blocked_longer_than_the_limit_are_unavailable_not_refused(
    store: PgStore, owner: psycopg.Connection[Any]
) -> None:
    """I18: whoever cannot read a lease must not trade."""
    run = make_run(store, "ann")
    tries = 0

    def work(connection: psycopg.Connection[Any]) -> None:
        nonlocal tries
        tries += 1
        connection.execute("SET LOCAL lock_timeout = '20ms'")
        connection.execute("SELECT FROM strategy_runs WHERE id = %s FOR UPDATE", [run.id])

    with owner.transaction():
        owner.execute("SELECT FROM strategy_runs WHERE id = %s FOR UPDATE", [run.id])
        with pytest.raises(StoreUnavailable, match="busy"):
            store.database.run(work)
    assert tries == RETRIES + 1


def test_transactions_that_deadlock_are_run_again(store: PgStore) -> None:
    pair = [make_run(store, user) for user in ("ann", "bob")]
    both_hold = threading.Barrier(2, timeout=10)
    first_try = threading.local()

    def work(connection: psycopg.Connection[Any], order: list[Any]) -> str:
        connection.execute("SELECT FROM strategy_runs WHERE id = %s FOR UPDATE", [order[0].id])
        if not getattr(first_try, "over", False):
            first_try.over = True
            both_hold.wait()
        connection.execute("SELECT FROM strategy_runs WHERE id = %s FOR UPDATE", [order[1].id])
        return "done"

    with ThreadPoolExecutor(2) as threads:
        works = [
            threads.submit(store.database.run, lambda c, order=order: work(c, order))
            for order in (pair, pair[::-1])
        ]
        assert [each.result(30) for each in works] == ["done", "done"]


def test_a_server_that_cannot_be_reached_is_one_sentence() -> None:
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        PgStore(
            "host=127.0.0.1 port=1 dbname=runner", default_limits=RiskLimits(), worker="node-1", pool_size=1
        )


def test_a_database_without_tables_is_one_sentence(empty_database: Database) -> None:
    with pytest.raises(StoreUnavailable, match="runner_now"):
        open_store(empty_database.service_dsn)


def administrator(database: Database) -> psycopg.Connection[Any]:
    dsn = database.owner_dsn.replace("role=runner_owner", "role=runner_admin")
    return psycopg.connect(dsn, autocommit=True, connect_timeout=10)


def test_a_lost_connection_is_replaced(store: PgStore, database: Database) -> None:
    run = make_run(store, "ann")
    with administrator(database) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'strategy-runner node-1'"
        )
    assert store.run(run.id) is not None


def test_what_is_read_while_the_connection_is_lost_is_read_by_another(
    store: PgStore, database: Database
) -> None:
    processes: list[int] = []

    def read(connection: psycopg.Connection[Any]) -> object:
        processes.append(connection.info.backend_pid)
        if len(processes) == 1:
            with administrator(database) as admin:
                admin.execute("SELECT pg_terminate_backend(%s, 10000)", processes)
        return connection.execute("SELECT 42 AS answer").fetchone()

    assert store.database.read(read)
    assert len(set(processes)) == 2


def test_a_change_that_commits_after_later_ones_were_read_is_not_passed_over(
    store: PgStore, database: Database
) -> None:
    """Whoever keeps in step by what has changed sees every change, however long its transaction took."""
    slow, quick, other = (make_run(store, user) for user in ("ann", "bob", "cid"))
    mark = store.runs_since(None, statuses=[RunStatus.ACTIVE]).mark
    change = "UPDATE strategy_runs SET version = version + 1 WHERE id = %s"
    with psycopg.connect(database.owner_dsn, connect_timeout=10) as late:
        late.execute(change, [slow.id])
        store.command(quick.id, RunCommand.PAUSE, by="bob")
        read = store.runs_since(mark, statuses=[RunStatus.ACTIVE])
        assert [run.id for run in read.runs] == [quick.id]
        late.commit()
    read = store.runs_since(read.mark, statuses=[RunStatus.ACTIVE])
    assert [run.id for run in read.runs] == [slow.id]
    with psycopg.connect(database.owner_dsn, connect_timeout=10) as editor:
        editor.execute("UPDATE strategies SET name = 'renamed' WHERE id = %s", [other.strategy.id])
    read = store.runs_since(read.mark, statuses=[RunStatus.ACTIVE])
    assert {run.id: run.strategy.name for run in read.runs} == {other.id: "renamed"}
