"""Long work that somebody has asked for: its kinds, its states, and its bounds."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

MAX_ATTEMPTS: Final = 3
"""How often a job is begun: after so many processes have died under it, it fails."""
MAX_OPEN: Final = 200
"""Jobs of everybody that wait or run."""
MAX_OPEN_PER_USER: Final = 5
MAX_RUNNING_PER_USER: Final = 2
MAX_KEPT_PER_USER: Final = 100
"""Ended jobs of a user; beyond these the oldest go."""


class JobKind(StrEnum):
    BACKTEST = "backtest"
    BACKFILL = "backfill"
    WHAT_IF = "what_if"


class JobState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_open(self) -> bool:
        return self in (JobState.QUEUED, JobState.RUNNING)
