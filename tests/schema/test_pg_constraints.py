"""The tables refuse what the rules forbid, whoever writes the SQL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from core.errors import Conflict
from core.order import LEGAL, Acknowledged, OrderStatus
from core.run import _MOVES, RunStatus
from schema.ops import FillSettled, IntentCommitted, ObserveOrder
from schema.pg import PgStore
from tests.schema.conftest import Database
from tests.schema.pg_world import START, entry, fill_of, make_run, open_store, stand_at

RUN_MOVES = {(source, target) for sources, target in _MOVES.values() for source in sources}


@pytest.fixture
def store(database: Database) -> Iterator[PgStore]:
    store = open_store(database.service_dsn, pool_size=2)
    stand_at(store, START)
    yield store
    store.close()


@pytest.fixture
def service(database: Database) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database.service_dsn, autocommit=True, connect_timeout=10) as connection:
        yield connection


@pytest.fixture
def owner(database: Database) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database.owner_dsn, autocommit=True, connect_timeout=10) as connection:
        yield connection


def allowed(connection: psycopg.Connection[Any], statement: str, parameters: dict[str, Any]) -> bool:
    """Whether the statement passes; it is undone either way."""
    try:
        with connection.transaction(force_rollback=True):
            assert connection.execute(statement.encode(), parameters).rowcount == 1
    except psycopg.IntegrityError:
        return False
    return True


def committed(store: PgStore, user: str = "ann") -> IntentCommitted:
    run = make_run(store, user)
    [claim] = store.claim([run.id], slot=START, owner="node-1", ttl_s=120)
    [result] = store.settle([entry(run, claim.fence)])
    assert isinstance(result, IntentCommitted), result
    return result


def test_run_status_moves_are_those_of_the_core(store: PgStore, owner: psycopg.Connection[Any]) -> None:
    run = make_run(store, "ann")
    move = "UPDATE strategy_runs SET status = %(target)s WHERE id = %(id)s"
    for source in RunStatus:
        with owner.transaction(force_rollback=True):
            owner.execute("ALTER TABLE strategy_runs DISABLE TRIGGER USER")
            owner.execute("UPDATE strategy_runs SET status = %s WHERE id = %s", [source.value, run.id])
            owner.execute("ALTER TABLE strategy_runs ENABLE TRIGGER USER")
            legal = {
                target for target in RunStatus if allowed(owner, move, {"target": target.value, "id": run.id})
            }
        assert legal == {source} | {target for move_from, target in RUN_MOVES if move_from is source}


def test_order_status_moves_are_those_of_the_core(store: PgStore, owner: psycopg.Connection[Any]) -> None:
    order = committed(store).order
    move = "UPDATE orders SET status = %(target)s WHERE client_order_id = %(id)s"
    for source in OrderStatus:
        with owner.transaction(force_rollback=True):
            owner.execute("ALTER TABLE orders DISABLE TRIGGER USER")
            owner.execute("UPDATE orders SET status = %s", [source.value])
            owner.execute("ALTER TABLE orders ENABLE TRIGGER USER")
            legal = {
                target
                for target in OrderStatus
                if allowed(owner, move, {"target": target.value, "id": order.client_order_id})
            }
        assert legal == {source} | LEGAL[source]


def test_i11_a_status_without_its_event_does_not_commit(
    store: PgStore, service: psycopg.Connection[Any]
) -> None:
    run = make_run(store, "ann")
    with pytest.raises(psycopg.IntegrityError, match="without an event"):
        service.execute("UPDATE strategy_runs SET status = 'paused' WHERE id = %s", [run.id])
    with service.transaction():
        service.execute("UPDATE strategy_runs SET status = 'paused' WHERE id = %s", [run.id])
        service.execute(
            "INSERT INTO strategy_events (user_id, run_id, type, at, payload)"
            " VALUES (%s, %s, 'run.status', runner_now(), '{}')",
            [run.user_id, run.id],
        )
    stored = store.run(run.id)
    assert stored is not None
    assert stored.status is RunStatus.PAUSED


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE strategy_events SET payload = '{}'",
        "DELETE FROM strategy_events",
        "UPDATE strategy_events_202603 SET payload = '{}'",
        "DELETE FROM strategy_events_202603",
        "TRUNCATE strategy_events",
        "UPDATE fills SET quantity = 2",
        "DELETE FROM fills",
        "DELETE FROM orders",
    ],
)
def test_i11_history_is_append_only_even_for_the_owner(
    store: PgStore, owner: psycopg.Connection[Any], statement: str
) -> None:
    order = committed(store).order
    store.settle([ObserveOrder(client_order_id=order.client_order_id, event=Acknowledged("v1"))])
    [settled] = store.settle([fill_of(order, "100")])
    assert isinstance(settled, FillSettled)
    with pytest.raises(psycopg.IntegrityError, match="append-only"):
        owner.execute(statement.encode())


def test_i11_only_events_move_the_counters_and_only_the_counters_number_events(
    store: PgStore, service: psycopg.Connection[Any]
) -> None:
    run = make_run(store, "ann")
    insert = (
        "INSERT INTO strategy_events (id, seq, user_id, run_id, type, at, payload)"
        " VALUES (900, 700, %s, %s, 'error', runner_now(), '{}') RETURNING seq"
    )
    assert service.execute(insert, [run.user_id, run.id]).fetchone() == (1,)
    assert service.execute(insert, [run.user_id, None]).fetchone() == (1,)
    with pytest.raises(psycopg.IntegrityError, match="event counter"):
        service.execute("UPDATE strategy_runs SET event_seq = event_seq + 1")
    with pytest.raises(psycopg.IntegrityError, match="event counter"):
        service.execute("UPDATE risk_users SET event_seq = 0")
    with pytest.raises(psycopg.IntegrityError, match="no run"):
        service.execute(insert, ["mallory", run.id])


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE orders SET filled_quantity = quantity + 1",
        "UPDATE orders SET filled_quantity = -1",
        "UPDATE orders SET quantity = 0",
        "UPDATE orders SET quantity = quantity + 1",
        "UPDATE orders SET fence = fence + 1",
        "UPDATE orders SET sign_ts = sign_ts + interval '1 second'",
        "UPDATE orders SET client_order_id = 'another'",
        "UPDATE orders SET leverage = 0",
        "UPDATE orders SET filled_value = 'NaN'",
    ],
)
def test_orders_hold_only_what_can_be(store: PgStore, service: psycopg.Connection[Any], change: str) -> None:
    committed(store)
    with pytest.raises(psycopg.IntegrityError):
        service.execute(change.encode())


def test_what_filled_never_falls(store: PgStore, service: psycopg.Connection[Any]) -> None:
    order = committed(store).order
    store.settle([fill_of(order, "100")])
    with pytest.raises(psycopg.IntegrityError, match="never falls"):
        service.execute("UPDATE orders SET filled_quantity = 0")


_COPY_ORDER = """
INSERT INTO orders (client_order_id, run_id, user_id, account_id, symbol, slot, leg, attempt, side, kind, quantity,
                    reference_price, reduce_only, leverage, fence, sign_ts, created_at, status, reserved)
SELECT 'copy', run_id, user_id, account_id, symbol, slot, {leg}, {attempt}, side, kind, quantity, reference_price,
       {reduce_only}, leverage, fence + {later}, {sign_ts}, created_at, {status}, {reserved} FROM orders
"""
_EXIT = {"leg": "'exit'", "reduce_only": "true", "reserved": "false"}
_COPIED = {
    "leg": "leg",
    "attempt": "2",
    "reduce_only": "reduce_only",
    "later": "0",
    "sign_ts": "sign_ts",
    "status": "'intent'",
    "reserved": "reserved",
}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="I1-second-live-order-on-a-leg"),
        pytest.param({"attempt": "1"}, id="I1-same-attempt-again"),
        pytest.param({"leg": "'exit'", "reserved": "false"}, id="I15-exit-that-may-increase"),
        pytest.param(_EXIT | {"reserved": "true"}, id="exit-that-reserves"),
        pytest.param(_EXIT | {"later": "1"}, id="I5-other-fence"),
        pytest.param(_EXIT | {"sign_ts": "NULL"}, id="I2-unsigned"),
        pytest.param(
            _EXIT | {"status": "'filled'"},
            id="born-filled",
        ),
    ],
)
def test_orders_that_cannot_be_are_refused(
    store: PgStore, service: psycopg.Connection[Any], changes: dict[str, str]
) -> None:
    committed(store)
    with pytest.raises(psycopg.IntegrityError):
        service.execute(_COPY_ORDER.format(**_COPIED | changes).encode())


def test_an_exit_beside_an_entry_is_an_order_that_can_be(
    store: PgStore, service: psycopg.Connection[Any]
) -> None:
    committed(store)
    assert service.execute(_COPY_ORDER.format(**_COPIED | _EXIT).encode()).rowcount == 1


def test_i6_fences_never_fall_and_owners_need_new_ones(
    store: PgStore, service: psycopg.Connection[Any]
) -> None:
    run = make_run(store, "ann")
    store.claim([run.id], slot=START, owner="node-1", ttl_s=120)
    for change in (
        "UPDATE strategy_locks SET fence = fence - 1",
        "UPDATE strategy_locks SET owner = 'node-2'",
        "UPDATE strategy_locks SET last_slot = last_slot - interval '1 minute'",
    ):
        with pytest.raises(psycopg.IntegrityError):
            service.execute(change.encode())


def test_i12_a_run_cannot_use_another_users_account(store: PgStore, service: psycopg.Connection[Any]) -> None:
    ann, bob = make_run(store, "ann"), make_run(store, "bob")
    with pytest.raises(psycopg.IntegrityError):
        service.execute("UPDATE strategy_runs SET account_id = %s WHERE id = %s", [ann.account_id, bob.id])


def test_the_service_makes_no_tables_and_changes_no_history(service: psycopg.Connection[Any]) -> None:
    for statement in (
        "CREATE TABLE own (id integer)",
        "DROP TABLE orders",
        "ALTER TABLE orders DISABLE TRIGGER ALL",
        "TRUNCATE strategy_events",
        "DELETE FROM strategy_events",
        "UPDATE fills SET quantity = 2",
        "DELETE FROM platform_settings",
        "INSERT INTO schema_migrations (version, name, sha256) VALUES (99, 'x', 'x')",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            service.execute(statement.encode())


def test_a_constraints_refusal_reaches_the_caller_as_a_conflict(store: PgStore) -> None:
    run = make_run(store, "ann")
    assert run.account_id is not None
    with pytest.raises(Conflict):
        store.create_run(run)
