"""`PgJobs`: long work on PostgreSQL. Whoever works on a job writes by its fence; its user reads and cancels by id."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from psycopg.types.json import Jsonb

from core.errors import Conflict
from core.ids import UserId
from core.job import (
    MAX_ATTEMPTS,
    MAX_KEPT_PER_USER,
    MAX_OPEN,
    MAX_OPEN_PER_USER,
    MAX_RUNNING_PER_USER,
    JobKind,
    JobState,
)
from core.risk import RiskLimits
from schema.jobs import HeldJob, Job, JobId, TooManyJobs
from schema.ledger.payloads import plain
from schema.pg_database import Connection, Database
from schema.pg_rows import Row, as_type, changed, many, one, value
from schema.pg_tx import PgTx

LEASE_S: Final = 30.0
JOB_EVENT: Final = "job"
_DEFLATED: Final = 6


class PgJobs:
    """Each method is one transaction."""

    def __init__(self, database: Database, default_limits: RiskLimits) -> None:
        self._database = database
        self._limits = default_limits

    # -- whoever asks for work ------------------------------------------------------------------
    def add(self, job_id: JobId, user_id: UserId, kind: JobKind, params: Mapping[str, Any]) -> Job:
        """The job, waiting; one that is there under this id already, as it is. Raises TooManyJobs."""

        def add(connection: Connection) -> Job:
            there = _one(connection, job_id, user_id, kind)
            if there is not None:
                return there
            value(connection, "lock_jobs")
            open_ = one(connection, "count_open_jobs", {"user_id": user_id})
            assert open_ is not None
            if open_["own"] >= MAX_OPEN_PER_USER:
                raise TooManyJobs(f"You have {open_['own']} jobs that wait or run; let one end or cancel it.")
            if open_["everybodys"] >= MAX_OPEN:
                raise TooManyJobs("As many jobs wait here as may; try again later.")
            changed(connection, "prune_jobs", {"user_id": user_id, "kept": MAX_KEPT_PER_USER})
            named = {"id": job_id, "user_id": user_id, "kind": str(kind), "params": Jsonb(dict(params))}
            row = one(connection, "insert_job", named)
            if row is None:
                raise Conflict("this id is taken")
            self._tell(connection, row)
            added = _one(connection, job_id, user_id, kind)
            assert added is not None
            return added

        return self._database.run(add)

    def one(self, user_id: UserId, job_id: JobId, kind: JobKind | None = None) -> Job | None:
        return self._database.read_as(user_id, lambda connection: _one(connection, job_id, user_id, kind))

    def of_user(
        self, user_id: UserId, kind: JobKind, *, limit: int, before: tuple[datetime, UUID] | None = None
    ) -> list[Job]:
        """Newest first."""
        at, last = before or (None, None)
        named = {"user_id": user_id, "kind": str(kind), "limit": limit, "before_at": at, "before_id": last}
        rows = self._database.read_as(user_id, lambda connection: many(connection, "list_jobs", named))
        return [as_type(Job)(row) for row in rows]

    def file(self, user_id: UserId, job_id: JobId, name: str) -> bytes | None:
        named = {"user_id": user_id, "id": job_id, "name": name}
        content = self._database.read_as(user_id, lambda connection: value(connection, "job_file", named))
        return None if content is None else zlib.decompress(content)

    def cancel(self, user_id: UserId, job_id: JobId) -> Job | None:
        """The job afterwards; one that has ended stays as it is."""

        def cancel(connection: Connection) -> Job | None:
            for row in many(connection, "cancel_job", {"id": job_id, "user_id": user_id}):
                self._tell(connection, row)
            return _one(connection, job_id, user_id, None)

        return self._database.run(cancel)

    # -- whoever works --------------------------------------------------------------------------
    def claim(self, owner: str) -> HeldJob | None:
        """The next job, this process's for LEASE_S; those that wore out their attempts are ended before."""
        bounds = {"most_attempts": MAX_ATTEMPTS, "most_running": MAX_RUNNING_PER_USER}

        def claim(connection: Connection) -> HeldJob | None:
            for row in many(connection, "fail_worn_jobs", {"most_attempts": MAX_ATTEMPTS}):
                self._tell(connection, row)
            claimed = one(connection, "claim_job", {"owner": owner, "lease_s": LEASE_S} | bounds)
            if claimed is None:
                return None
            self._tell(connection, claimed)
            return as_type(HeldJob)(claimed)

        return self._database.run(claim)

    def renew(self, held: HeldJob) -> bool:
        """False: it was cancelled, has ended, or is another's by now."""
        named = {"id": held.id, "fence": held.fence, "lease_s": LEASE_S}
        return self._database.run(lambda connection: changed(connection, "renew_job", named)) == 1

    def release(self, held: HeldJob) -> None:
        named = {"id": held.id, "fence": held.fence}
        self._database.run(lambda connection: changed(connection, "release_job", named))

    def params(self, held: HeldJob) -> Mapping[str, Any] | None:
        """None: it is not held any more."""
        named = {"id": held.id, "fence": held.fence}
        given: Mapping[str, Any] | None = self._database.read(
            lambda connection: value(connection, "job_params", named)
        )
        return given

    def progress(self, held: HeldJob, done: int, total: int, *, event: bool) -> bool:
        """False: it is not held any more. `event`: told to the user's streams as well."""
        named = {"id": held.id, "fence": held.fence, "done": done, "total": total}

        def progress(connection: Connection) -> bool:
            row = one(connection, "progress_job", named)
            if row is not None and event:
                self._tell(connection, row)
            return row is not None

        return self._database.run(progress)

    def finish(self, held: HeldJob, result: Mapping[str, Any], files: Mapping[str, bytes]) -> bool:
        """Done, with its result and all of its parts, or nothing of it where it is not held any more."""
        packed = {name: zlib.compress(content, _DEFLATED) for name, content in files.items()}

        def finish(connection: Connection) -> bool:
            if not self._end(connection, held, JobState.DONE, result, None):
                return False
            for name, content in packed.items():
                named = {"id": held.id, "user_id": held.user_id, "name": name, "content": content}
                changed(connection, "insert_job_file", named)
            return True

        return self._database.run(finish)

    def fail(self, held: HeldJob, sentence: str) -> bool:
        return self._database.run(
            lambda connection: self._end(connection, held, JobState.FAILED, None, sentence)
        )

    def _end(
        self,
        connection: Connection,
        held: HeldJob,
        state: JobState,
        result: Mapping[str, Any] | None,
        error: str | None,
    ) -> bool:
        named = {"id": held.id, "fence": held.fence, "state": state.value, "error": error}
        row = one(connection, "end_job", named | {"result": None if result is None else Jsonb(dict(result))})
        if row is not None:
            self._tell(connection, row)
        return row is not None

    def _tell(self, connection: Connection, row: Row) -> None:
        tx = PgTx(connection, self._database.months, self._limits)
        payload = plain(
            job_id=str(row["id"]), kind=row["kind"], state=row["state"], done=row["done"], total=row["total"]
        )
        tx.append_event(user_id=row["user_id"], run_id=None, type=JOB_EVENT, at=tx.now(), payload=payload)


def _one(connection: Connection, job_id: JobId, user_id: UserId, kind: JobKind | None) -> Job | None:
    named = {"id": job_id, "user_id": user_id, "kind": None if kind is None else str(kind)}
    row = one(connection, "job", named)
    return None if row is None else as_type(Job)(row)
