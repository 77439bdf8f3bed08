"""A process that stands still in the middle of a transaction does not keep its locks for as long as it stands.

PostgreSQL 17 bounds transactions; on 15 and 16 whoever waits for the locks ends what keeps them. `bin/checks.py` runs
this on the system's server as well.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from schema.pg import PgStore
from schema.server_files import SERVICE_ROLE
from tests.schema.conftest import Database
from tests.schema.pg_world import MINUTE, START, make_run, open_store, stand_at

ROOT = Path(__file__).resolve().parents[2]
PROCESS = """
import select
import sys
from core.risk import RiskLimits
from schema.pg import PgStore
from schema.store import StoreUnavailable
dsn, how, statement = sys.argv[1:]
store = PgStore(dsn, default_limits=RiskLimits(), worker="frozen", pool_size=1)
def intent(connection):
    if how == "between":
        with connection.pipeline():
            connection.execute(statement)
    else:
        pipeline = connection.pipeline()
        pipeline.__enter__()
        connection.execute(statement)
        connection.pgconn.send_flush_request()
        connection.pgconn.flush()
        select.select([connection.pgconn.socket], [], [], 30)  # answered: only now the lock is held
    print("stands", flush=True)
    sys.stdin.readline()
    if how != "between":
        pipeline.__exit__(None, None, None)
    connection.execute("INSERT INTO runner_nodes (id, version, beat_at) VALUES ('frozen', '0', clock_timestamp())")
try:
    store.database.run(intent)
except StoreUnavailable:
    print("undone", flush=True)
"""


@pytest.fixture
def dsn(database: Database) -> str:
    """Logged in as the service is: a role taken on later sees nothing of other sessions."""
    if "RUNNER_TEST_DATABASE_URL" in os.environ:
        pytest.skip("who may log in as the service is known of our own server only")
    return make_conninfo(database.service_dsn, user=SERVICE_ROLE, options="")


@pytest.fixture
def store(dsn: str) -> Iterator[PgStore]:
    store = open_store(dsn, pool_size=2)
    stand_at(store, START)
    yield store
    store.close()


@contextmanager
def standing_still(dsn: str, how: str, statement: str) -> Iterator[None]:
    """Another process, stopped between two pipelines of a transaction, or within one."""
    with subprocess.Popen(
        [sys.executable, "-c", PROCESS, dsn, how, statement],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as frozen:
        assert frozen.stdout is not None
        try:
            assert frozen.stdout.readline() == "stands\n"
            frozen.send_signal(signal.SIGSTOP)
            yield
            frozen.send_signal(signal.SIGCONT)
            said, _ = frozen.communicate("go on\n", timeout=30)
            assert said == "undone\n", "what stood still for too long must not be committed"
        finally:
            frozen.kill()
    with psycopg.connect(dsn, connect_timeout=5) as looking:
        assert looking.execute("SELECT FROM runner_nodes WHERE id = 'frozen'").fetchall() == []


def test_i8_the_switch_is_thrown_past_a_process_that_stands_still_in_an_intent(
    dsn: str, store: PgStore
) -> None:
    with standing_still(dsn, "between", "SELECT kill_switch_shared()"):
        store.set_kill_switch(on=True, reason="test")
    assert store.platform().kill_switch


def test_i5_a_run_is_taken_over_from_a_process_that_stands_still_on_its_lease(
    dsn: str, store: PgStore
) -> None:
    """And what that process had begun is undone, so that it writes nothing beside the new holder."""
    run = make_run(store, "ann")
    locked = "SELECT FROM strategy_locks FOR UPDATE"
    with standing_still(dsn, "within", locked):
        claims = store.claim([run.id], slot=START + MINUTE, owner="node-1", ttl_s=5.0)
    assert [claim.run_id for claim in claims] == [run.id]
