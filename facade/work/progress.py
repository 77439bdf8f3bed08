"""How far a job is, told to its row and to its user's streams: often enough to be watched, no oftener."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from core.errors import RunnerError
from schema.jobs import HeldJob
from schema.pg_jobs import PgJobs

ROW_EVERY_S: Final = 1.0
EVENT_EVERY_S: Final = 5.0


class NoLongerHeld(RunnerError):
    """The job was cancelled, or is another process's by now: nothing of it is written any more."""


class Told:
    """Called with (done, total). Raises NoLongerHeld."""

    def __init__(self, jobs: PgJobs, held: HeldJob, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._jobs = jobs
        self._held = held
        self._monotonic = monotonic
        self._row_s = self._event_s = float("-inf")

    def __call__(self, done: int, total: int) -> None:
        now_s = self._monotonic()
        if now_s - self._row_s < ROW_EVERY_S:
            return
        self._row_s = now_s
        event = now_s - self._event_s >= EVENT_EVERY_S
        if event:
            self._event_s = now_s
        if not self._jobs.progress(self._held, done, total, event=event):
            raise NoLongerHeld("The job is not this process's any more.")
