"""The states of a supervised actor, as the supervision tree shows them.

NEW → STARTING → RUNNING ⇄ PAUSED, → DRAINING
any of these → FAILED (frozen, the supervisor decides) → STARTING | RUNNING | STOPPED
RUNNING, PAUSED → ENDED (by itself) → STARTING | STOPPED
told to stop, mail kept → HALTED → STARTING;  told to stop → STOPPED → STARTING (manual restart)
ABANDONED: overstayed its stop deadline; its thread may still be in a handler, nothing of it counts any more
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol


class State(StrEnum):
    NEW = "new"
    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    DRAINING = "draining"
    FAILED = "failed"
    ENDED = "ended"
    HALTED = "halted"
    STOPPED = "stopped"
    ABANDONED = "abandoned"


class Owner(Protocol):
    """Whoever is told about a shell: its supervisor's ref, or the system for the root."""

    def signal(self, message: object) -> object: ...
