"""Long work as rows: claimed once, written by fence, bounded by user and in all, ended by its user at any time."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest

from core.ids import UserId
from core.job import MAX_ATTEMPTS, MAX_OPEN_PER_USER, MAX_RUNNING_PER_USER, JobKind, JobState
from core.risk import RiskLimits
from schema.jobs import Job, JobId, TooManyJobs
from schema.pg import PgStore
from schema.pg_jobs import PgJobs
from tests.schema.conftest import Database

ALICE, BOB = UserId("alice"), UserId("bob")


@pytest.fixture
def store(database: Database) -> Iterator[PgStore]:
    opened = PgStore(database.service_dsn, default_limits=RiskLimits(), worker="tests", pool_size=3)
    yield opened
    opened.close()


@pytest.fixture
def jobs(store: PgStore) -> PgJobs:
    return store.jobs


def add(jobs: PgJobs, user: UserId = ALICE, kind: JobKind = JobKind.BACKTEST) -> Job:
    return jobs.add(JobId(uuid4()), user, kind, {"a": 1})


def let_leases_run_out(database: Database) -> None:
    with psycopg.connect(database.owner_dsn) as connection:
        connection.execute(
            "UPDATE jobs SET lease_until = clock_timestamp() - interval '1 s' WHERE state = 'running'"
        )


def test_the_oldest_is_claimed_first_and_once(jobs: PgJobs) -> None:
    first, second = add(jobs), add(jobs, BOB)
    claimed = [jobs.claim("node-1"), jobs.claim("node-2"), jobs.claim("node-1")]
    assert [held.id if held else None for held in claimed] == [first.id, second.id, None]


def test_a_repeated_request_meets_the_job_it_has_made(jobs: PgJobs) -> None:
    """I2 for jobs."""
    job_id = JobId(uuid4())
    made = jobs.add(job_id, ALICE, JobKind.BACKFILL, {"a": 1})
    assert jobs.add(job_id, ALICE, JobKind.BACKFILL, {"a": 2}) == made


def test_a_user_has_so_many_jobs_at_most_and_so_many_at_work(jobs: PgJobs) -> None:
    for _ in range(MAX_OPEN_PER_USER):
        add(jobs)
    with pytest.raises(TooManyJobs):
        add(jobs)
    bobs = add(jobs, BOB)
    claimed = [jobs.claim("node-1") for _ in range(MAX_OPEN_PER_USER + 1)]
    users = [held.user_id for held in claimed if held is not None]
    assert users == [ALICE] * MAX_RUNNING_PER_USER + [BOB]
    assert bobs.id in {held.id for held in claimed if held is not None}


def test_another_process_takes_over_and_the_first_writes_nothing_more(
    jobs: PgJobs, database: Database
) -> None:
    """I4 for jobs: whoever was overtaken cannot write by its old fence."""
    job = add(jobs)
    first = jobs.claim("node-1")
    let_leases_run_out(database)
    second = jobs.claim("node-2")
    assert first is not None
    assert second is not None
    assert second.fence > first.fence
    assert not jobs.renew(first)
    assert not jobs.progress(first, 1, 2, event=True)
    assert not jobs.finish(first, {"by": "first"}, {"part": b"x"})
    assert jobs.params(first) is None
    assert jobs.finish(second, {"by": "second"}, {"part": b"y"})
    done = jobs.one(ALICE, job.id)
    assert done is not None
    assert (done.state, done.result, done.attempts) == (JobState.DONE, {"by": "second"}, 2)
    assert jobs.file(ALICE, job.id, "part") == b"y"


def test_a_job_that_wears_out_its_processes_fails(jobs: PgJobs, database: Database) -> None:
    job = add(jobs)
    for _ in range(MAX_ATTEMPTS):
        assert jobs.claim("node-1") is not None
        let_leases_run_out(database)
    assert jobs.claim("node-1") is None
    failed = jobs.one(ALICE, job.id)
    assert failed is not None
    assert failed.state is JobState.FAILED
    assert failed.error == f"The process that worked on it has ended {MAX_ATTEMPTS} times."


def test_one_that_is_given_back_has_lost_no_attempt(jobs: PgJobs) -> None:
    job = add(jobs)
    for _ in range(MAX_ATTEMPTS + 1):
        held = jobs.claim("node-1")
        assert held is not None
        jobs.release(held)
    after = jobs.one(ALICE, job.id)
    assert after is not None
    assert (after.state, after.attempts) == (JobState.QUEUED, 0)


def test_whoever_asked_cancels_whether_it_waits_or_runs(jobs: PgJobs) -> None:
    waiting, running = add(jobs), add(jobs, BOB)
    assert jobs.cancel(BOB, waiting.id) is None
    cancelled = jobs.cancel(ALICE, waiting.id)
    assert cancelled is not None
    assert cancelled.state is JobState.CANCELLED
    held = jobs.claim("node-1")
    assert held is not None
    assert held.id == running.id
    jobs.cancel(BOB, running.id)
    assert not jobs.renew(held)
    assert not jobs.finish(held, {}, {})


def test_a_foreign_job_is_none(jobs: PgJobs) -> None:
    """I12."""
    job = add(jobs)
    held = jobs.claim("node-1")
    assert held is not None
    jobs.finish(held, {}, {"part": b"x"})
    assert jobs.one(BOB, job.id) is None
    assert jobs.file(BOB, job.id, "part") is None
    assert jobs.of_user(BOB, JobKind.BACKTEST, limit=10) == []
    assert jobs.one(ALICE, job.id, JobKind.BACKFILL) is None


def test_each_change_of_state_is_an_event_of_the_user(jobs: PgJobs, store: PgStore) -> None:
    """I11."""
    job = add(jobs)
    held = jobs.claim("node-1")
    assert held is not None
    jobs.progress(held, 5, 10, event=True)
    jobs.progress(held, 6, 10, event=False)
    jobs.finish(held, {}, {})
    told = [event.payload for event in store.events(user_id=ALICE) if event.type == "job"]
    assert [(each["job_id"], each["state"], each["done"]) for each in told] == [
        (str(job.id), "queued", 0),
        (str(job.id), "running", 0),
        (str(job.id), "running", 5),
        (str(job.id), "done", 10),
    ]
