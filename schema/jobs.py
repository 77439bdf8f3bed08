"""Rows of long work: what was asked, how far it is, what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NewType
from uuid import UUID

import msgspec

from core.errors import RunnerError
from core.ids import UserId
from core.job import JobKind, JobState

JobId = NewType("JobId", UUID)


class TooManyJobs(RunnerError):
    """As many wait and run as may: of the user, or of everybody."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """`done` of `total`: units of its kind, 0 of 0 before it is known. `result`: figures of one that is done."""

    id: JobId
    user_id: UserId
    kind: JobKind
    state: JobState
    params: Mapping[str, Any]
    done: int
    total: int
    attempts: int
    result: Mapping[str, Any] | None
    error: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class HeldJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job that this process works on: whatever it writes holds while `fence` is the row's."""

    id: JobId
    user_id: UserId
    kind: JobKind
    fence: int
