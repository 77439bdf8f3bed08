"""Long work of the caller, of whatever kind: look at it, wait for it, cancel it."""

from __future__ import annotations

from core.job import JobState
from facade.access import Access
from facade.bridge import STORE_TIMEOUT_S, JobId
from facade.endpoint import Call, route
from facade.errors import ApiError, not_found
from facade.jobs import job_answer, own_job
from facade.operation import OperationRoute
from facade.schemas.jobs import JobAnswer, JobAsked


async def show(call: Call, query: JobAsked) -> JobAnswer:
    """How far a job is, and what came of it."""
    return job_answer(await own_job(call, wait_s=query.wait_sec))


async def cancel(call: Call) -> JobAnswer:
    """End a job that waits or runs."""
    jobs, user_id, job_id = call.services.runner.jobs, call.user_id, JobId(call.path_id())
    after = await call.bridge.call(lambda: jobs.cancel(user_id, job_id), timeout_s=STORE_TIMEOUT_S)
    if after is None:
        raise not_found()
    if after.state is not JobState.CANCELLED:
        raise ApiError(409, f"It is {after.state.value} already.", code="ILLEGAL_STATE")
    call.services.job_added()
    return job_answer(after)


ROUTES: list[OperationRoute] = [
    route("GET", "/api/jobs/{id}", show, Access.USER),
    route("DELETE", "/api/jobs/{id}", cancel, Access.USER),
]
