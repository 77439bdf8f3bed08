"""Jobs of the caller, as routes ask for them and show them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from core.job import JobKind
from facade.bridge import STORE_TIMEOUT_S, Job, JobId, TooManyJobs
from facade.endpoint import Call
from facade.errors import ApiError, not_found, too_many
from facade.schemas.jobs import JobAnswer, JobShown

LOOK_S: Final = 0.2
_RETRY_S: Final = 5.0


async def add_job(call: Call, kind: JobKind, params: msgspec.Struct) -> Job:
    """The job, waiting; of a request that is repeated the one there is."""
    jobs, user_id, job_id = call.services.runner.jobs, call.user_id, JobId(call.new_id())
    plain: Mapping[str, Any] = msgspec.to_builtins(params, enc_hook=str)
    try:
        added = await call.bridge.call(
            lambda: jobs.add(job_id, user_id, kind, plain), timeout_s=STORE_TIMEOUT_S
        )
    except TooManyJobs as refusal:
        raise too_many(str(refusal), _RETRY_S) from refusal
    call.services.job_added()
    return added


async def own_job(call: Call, kind: JobKind | None = None, *, wait_s: float = 0) -> Job:
    """The caller's job in the path, or 404 (I12); as soon as it has ended, or after `wait_s`."""
    jobs, user_id, job_id = call.services.runner.jobs, call.user_id, JobId(call.path_id())
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait_s
    while True:
        found = await call.bridge.call(lambda: jobs.one(user_id, job_id, kind), timeout_s=STORE_TIMEOUT_S)
        if found is None:
            raise not_found()
        if not found.state.is_open or loop.time() + LOOK_S > deadline:
            return found
        await asyncio.sleep(LOOK_S)


async def done_job(call: Call, kind: JobKind) -> Job:
    """The caller's job in the path, which is done; else 409."""
    found = await own_job(call, kind)
    if found.result is None:
        why = found.error or f"It is {found.state.value}; what it comes to is here once it is done."
        raise ApiError(409, why, code="NOT_DONE")
    return found


async def job_file(call: Call, job: Job, name: str) -> bytes:
    jobs = call.services.runner.jobs
    content = await call.bridge.call(lambda: jobs.file(job.user_id, job.id, name), timeout_s=STORE_TIMEOUT_S)
    if content is None:
        raise not_found()
    return content


def job_answer(job: Job) -> JobAnswer:
    return JobAnswer(job=job_shown(job), result=job.result)


def job_shown(job: Job) -> JobShown:
    return JobShown(
        id=job.id,
        kind=job.kind,
        state=job.state,
        done=job.done,
        total=job.total,
        error=job.error,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
    )
