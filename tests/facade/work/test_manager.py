"""Jobs in processes of their own: ended by their user, taken over from the dead, given back at the end."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import uuid4

import msgspec
import psycopg
import pytest
from starlette.testclient import TestClient

from actors.backtest import BacktestRequest
from actors.sandbox.host import Limits
from actors.work.backtest import BacktestJob
from core.ids import UserId
from core.job import JobKind, JobState
from core.timeframe import Timeframe
from facade.work.manager import Workers
from facade.work.progress import EVENT_EVERY_S, ROW_EVERY_S, NoLongerHeld, Told
from schema.jobs import Job, JobId
from schema.pg import PgStore
from tests.facade.work.conftest import SERIES, some_candles
from tests.facade.world import as_user
from tests.schema.conftest import Database

ALICE = UserId("alice")


@contextmanager
def candles_held(database: Database) -> Iterator[None]:
    """Whoever reads candles waits meanwhile."""
    with psycopg.connect(database.owner_dsn) as connection:
        connection.execute("LOCK TABLE candles IN ACCESS EXCLUSIVE MODE")
        yield
        connection.rollback()


def add(store: PgStore) -> Job:
    request = BacktestRequest(template="sma_trend", symbol="BTCUSDT", timeframe=Timeframe.M5)
    job = BacktestJob(venue="binance", request=request)
    return store.jobs.add(JobId(uuid4()), ALICE, JobKind.BACKTEST, msgspec.to_builtins(job, enc_hook=str))


def until(holds: Callable[[], bool], within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def state_of(store: PgStore, job: Job) -> Job:
    found = store.jobs.one(ALICE, job.id)
    assert found is not None
    return found


def test_a_cancelled_job_s_process_ends(
    http: TestClient, store: PgStore, workers: Workers, database: Database
) -> None:
    store.market.store(SERIES, some_candles())
    with candles_held(database):
        job = add(store)
        workers.poke()
        until(lambda: bool(workers.pids))
        answer = http.delete(f"/api/jobs/{job.id}", headers=as_user("alice"))
        assert (answer.status_code, answer.json()["job"]["state"]) == (200, "cancelled")
        until(lambda: not workers.pids, within_s=3)
    assert state_of(store, job).state is JobState.CANCELLED
    assert http.delete(f"/api/jobs/{job.id}", headers=as_user("alice")).status_code == 200


def test_a_killed_process_s_job_is_begun_anew(store: PgStore, workers: Workers, database: Database) -> None:
    """I16 for jobs: at its second attempt it comes to its end, as if nothing had been."""
    store.market.store(SERIES, some_candles())
    with candles_held(database):
        job = add(store)
        workers.poke()
        until(lambda: bool(workers.pids))
        os.kill(workers.pids[0], signal.SIGKILL)
        until(lambda: not workers.pids)
    with psycopg.connect(database.owner_dsn) as connection:
        connection.execute("UPDATE jobs SET lease_until = clock_timestamp() - interval '1 s'")
    until(lambda: state_of(store, job).state is JobState.DONE)
    assert state_of(store, job).attempts == 2


def test_a_manager_that_stops_gives_its_jobs_back(store: PgStore, database: Database) -> None:
    store.market.store(SERIES, some_candles())
    made = Workers(store.jobs, dsn=database.service_dsn, worker="first", rest={}, sandbox=Limits())
    made.start()
    with candles_held(database):
        job = add(store)
        made.poke()
        until(lambda: bool(made.pids))
        pid = made.pids[0]
        made.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    after = state_of(store, job)
    assert (after.state, after.attempts) == (JobState.QUEUED, 0)


def test_a_job_that_takes_too_long_is_ended(store: PgStore, database: Database) -> None:
    made = Workers(
        store.jobs, dsn=database.service_dsn, worker="tests", rest={}, sandbox=Limits(), wall_s=0.5
    )
    made.start()
    try:
        with candles_held(database):
            job = add(store)
            made.poke()
            until(lambda: state_of(store, job).state is JobState.FAILED)
            until(lambda: not made.pids)
        assert state_of(store, job).error == "It took longer than 0.5 s."
    finally:
        made.stop()


def test_progress_is_told_no_oftener_than_it_may_be(store: PgStore) -> None:
    now = [0.0]
    job = add(store)
    held = store.jobs.claim("node-1")
    assert held is not None
    told = Told(store.jobs, held, lambda: now[0])
    for done in range(100):
        told(done, 100)
        now[0] += ROW_EVERY_S / 4
    events = [each for each in store.events(user_id=ALICE) if each.payload["state"] == "running"]
    # The first is of the claim, then one at once, then one each EVENT_EVERY_S of 25 s.
    assert len(events) == 1 + 25 / EVENT_EVERY_S
    assert state_of(store, job).done == 96
    store.jobs.cancel(ALICE, job.id)
    with pytest.raises(NoLongerHeld):
        told(100, 100)
