"""Long work: how far it is, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta

from core.job import JobKind, JobState
from facade.schemas.form import Answer, Asked, Shown


class JobAsked(Asked, frozen=True, kw_only=True):
    wait_sec: Annotated[float, Meta(ge=0, le=10)] = 0
    """Answer as soon as the job has ended, or after so many seconds."""


class JobShown(Shown, frozen=True, kw_only=True):
    """`done` of `total`: slots of a replay, candles of a download; 0 of 0 before it is known."""

    id: UUID
    kind: JobKind
    state: JobState
    done: int
    total: int
    error: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class JobAnswer(Answer, frozen=True, kw_only=True):
    """`result` once it is done."""

    job: JobShown
    result: Mapping[str, Any] | None = None
