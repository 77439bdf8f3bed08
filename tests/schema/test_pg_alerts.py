"""Alerts over real rows: found by their queries, raised once whoever looks, cleared, each with its event."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from core.alerts import AlertKind, Thresholds
from core.ids import UserId
from core.risk import RiskLimits
from core.run import RunCommand
from schema.ledger import PLATFORM_USER
from schema.ops import SimulateTrade
from schema.pg import PgStore
from tests.schema.conftest import Database
from tests.schema.pg_world import make_run
from tests.schema.test_connections import ANN as OWNER
from tests.schema.test_connections import NEW, stored
from tests.schema.test_vault import master, vault_of

USUAL = Thresholds()


@pytest.fixture
def store(database: Database) -> Iterator[PgStore]:
    opened = PgStore(database.service_dsn, default_limits=RiskLimits(), worker="test", pool_size=4)
    yield opened
    opened.close()


def execute(database: Database, statement: str, *given: Any) -> None:
    with psycopg.connect(database.owner_dsn) as connection:
        connection.execute(statement.encode(), given)


def open_kinds(store: PgStore) -> list[str]:
    return sorted(each.kind for each in store.alerts.latest(open_only=True, limit=50))


def told(store: PgStore) -> list[tuple[str, str]]:
    events = [each for each in store.events(user_id=PLATFORM_USER) if each.type == "alert"]
    return [(event.payload["action"], event.payload["kind"]) for event in events]


def test_an_installation_without_runs_is_well(store: PgStore) -> None:
    found = store.alerts.look(USUAL)
    assert found is not None
    assert (found.raised, found.cleared) == ((), ())


def test_an_alert_is_raised_once_and_cleared_with_an_event_each(store: PgStore) -> None:
    run = make_run(store, "ann")
    for slot in range(3):
        at = datetime.fromisoformat("2026-03-10T12:00:00+00:00") + timedelta(minutes=slot)
        store.adapter_failed(run.id, slot=at, kind="timeout", detail="late")
    for _ in range(3):
        store.alerts.look(USUAL)
    (open_,) = store.alerts.latest(open_only=True, limit=9)
    assert (open_.kind, open_.subject) == ("auto_paused", str(run.id))
    assert "3 adapter errors" in open_.detail
    store.command(run.id, RunCommand.RESUME, by="ann")
    for _ in range(3):
        store.alerts.look(USUAL)
    assert open_kinds(store) == []
    assert told(store) == [("raised", "auto_paused"), ("cleared", "auto_paused")]
    (ended,) = store.alerts.latest(open_only=False, limit=9)
    assert ended.cleared_at is not None


def test_a_days_loss_that_pauses_is_an_alert(store: PgStore) -> None:
    store.settle([SimulateTrade(user_id=UserId("ann"), delta=Decimal(-50))])
    store.alerts.look(USUAL)
    assert open_kinds(store) == ["daily_loss"]


@pytest.mark.parametrize(("age_s", "found"), [(59, []), (61, ["unknown_order"])])
def test_an_order_unknown_for_a_minute_is_an_alert(
    store: PgStore, database: Database, age_s: int, found: list[str]
) -> None:
    run = make_run(store, "ann")
    execute(
        database,
        "INSERT INTO orders (client_order_id, run_id, user_id, account_id, symbol, slot, leg, attempt, side, kind,"
        " quantity, reference_price, reduce_only, leverage, fence, created_at, status, updated_at)"
        " VALUES ('x', %s, 'ann', %s, 'BTCUSDT', now(), 'manual', 1, 'buy', 'market', 1, 1, false, 1, 0, now(),"
        " 'unknown', clock_timestamp() - %s * interval '1 second')",
        run.id,
        run.account_id,
        age_s,
    )
    store.alerts.look(USUAL)
    assert open_kinds(store) == found


@pytest.mark.parametrize(
    ("kind", "stop", "standing", "age_s", "found"),
    [
        ("connection", 90, None, 11, ["unprotected"]),
        ("connection", 90, None, 9, []),
        ("connection", 90, 90, 60, []),
        ("connection", None, None, 60, []),
        ("portfolio", 90, None, 60, []),
    ],
)
@pytest.mark.parametrize("trails", [False, True])
def test_a_position_without_the_stop_it_wants_is_an_alert(
    store: PgStore,
    database: Database,
    trails: bool,
    kind: str,
    stop: int | None,
    standing: int | None,
    age_s: int,
    found: list[str],
) -> None:
    run = make_run(store, "ann")
    execute(database, "UPDATE accounts SET kind = %s", kind)
    execute(
        database,
        "INSERT INTO positions (run_id, user_id, account_id, symbol, leverage, quantity, open_cost, opened_at,"
        " entered_quantity, entered_value, exited_quantity, exited_value, realised_gross, fees, funding, stop_loss,"
        " standing_stop, trail_pct, trail_from, standing_trail, updated_at) VALUES (%s, 'ann', %s, 'BTCUSDT', 1, 1,"
        " 100, now(), 1, 100, 0, 0, 0, 0, 0, %s, %s, %s, %s, %s, clock_timestamp() - %s * interval '1 second')",
        run.id,
        run.account_id,
        *((None, None, stop, stop, standing) if trails else (stop, standing, None, None, None)),
        age_s,
    )
    store.alerts.look(USUAL)
    assert open_kinds(store) == found


@pytest.mark.parametrize(
    ("result", "found"),
    [("key_may_withdraw", ["key_trouble"]), ("auth", ["key_trouble"]), ("ok", []), ("timeout", [])],
)
def test_i19_a_key_that_may_too_much_is_an_alert_and_a_venue_that_is_away_is_none(
    store: PgStore, database: Database, result: str, found: list[str]
) -> None:
    store.connections.add(NEW, stored(vault_of(master("m1", 1)), OWNER))
    execute(database, "UPDATE connection_keys SET last_test_result = %s", result)
    store.alerts.look(USUAL)
    assert open_kinds(store) == found


def test_ticks_that_fail_lag_or_do_not_come_are_alerts(store: PgStore, database: Database) -> None:
    run = make_run(store, "ann")
    execute(
        database, "UPDATE strategy_runs SET activated_at = now() - interval '2 hours' WHERE id = %s", run.id
    )
    store.alerts.look(USUAL)
    assert open_kinds(store) == ["no_signal"]
    execute(
        database,
        "INSERT INTO strategy_tick_runs (run_id, user_id, slot, status, scheduled_at, finished_at, latency_ms, worker,"
        " fence, source) SELECT %s, 'ann', at, CASE WHEN n %% 4 = 0 THEN 'error' ELSE 'ok' END, at,"
        " at + interval '12 seconds', 1, 'w', 0, 'timer'"
        " FROM (SELECT n, date_trunc('second', clock_timestamp()) - n * interval '9 seconds' AS at"
        " FROM generate_series(2, 32) AS n) AS given",
        run.id,
    )
    store.alerts.look(USUAL)
    assert open_kinds(store) == ["error_rate", "scheduler_lag"]
    assert told(store)[1:] == [
        ("raised", "error_rate"),
        ("raised", "scheduler_lag"),
        ("cleared", "no_signal"),
    ]


def test_an_operator_who_ticks_late_makes_no_lag(store: PgStore, database: Database) -> None:
    run = make_run(store, "ann")
    execute(
        database,
        "INSERT INTO strategy_tick_runs (run_id, user_id, slot, status, scheduled_at, finished_at, latency_ms, worker,"
        " fence, source) SELECT %s, 'ann', at, 'ok', at, at + interval '28 seconds', 1, 'w', 0, 'operator'"
        " FROM (SELECT date_trunc('second', clock_timestamp()) - interval '1 minute' AS at) AS given",
        run.id,
    )
    store.alerts.look(USUAL)
    assert "scheduler_lag" not in open_kinds(store)


def test_of_several_processes_that_look_at_once_each_alert_is_told_by_one(store: PgStore) -> None:
    store.settle([SimulateTrade(user_id=UserId("ann"), delta=Decimal(-50))])
    ready = threading.Barrier(4)

    def process(_: int) -> int:
        ready.wait(5)
        return sum(len(found.raised) for _ in range(3) if (found := store.alerts.look(USUAL)) is not None)

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(process, range(4))) == 1
    assert told(store) == [("raised", AlertKind.DAILY_LOSS.value)]


def test_a_demos_fast_minutes_make_no_lag(store: PgStore, database: Database) -> None:
    run = make_run(store, "ann")
    execute(
        database, "UPDATE platform_settings SET demo = true, rate = 60, anchor_market = clock_timestamp()"
    )
    execute(
        database,
        "INSERT INTO strategy_tick_runs (run_id, user_id, slot, status, scheduled_at, finished_at, latency_ms, worker,"
        " fence, source) SELECT %s, 'ann', at, 'ok', at, at + interval '40 seconds', 1, 'w', 0, 'timer'"
        " FROM (SELECT date_trunc('second', clock_timestamp()) - n * interval '5 seconds' AS at"
        " FROM generate_series(9, 32) AS n) AS given",
        run.id,
    )
    store.alerts.look(USUAL)
    assert "scheduler_lag" not in open_kinds(store)
