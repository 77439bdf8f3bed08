"""How long one answer may take, in time the worker could run or chose to wait: what the host withheld is not its."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Final

import msgspec

from actors.runtime.process_time import process_s

MOST_PATIENCE_S: Final = 0.75
"""How far beyond its limit a worker may go that the host kept waiting."""
OWN_SHARE: Final = 0.8
"""A worker that could run for this share of its limit has had its time."""
WORKED_S: Final = 0.001
GAVE_WAY_S: Final = 0.25
"""Who gave way is looked at after this long, once: is there anything left for it?"""
LEAST_SHARE: Final = 0.05
"""Of that time; fewer than twenty who gave way have more of one processor between them."""


class TimeUp(Enum):
    OWN = "it had its time"
    WITHHELD = "the host kept it from running"


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What a process has had, as the kernel counts. `waited_s`: ready to run while others ran, up to when it last ran.
    `rests`: how often it stopped running of its own will. `is_ready`: it runs, or wants to.
    """

    ran_s: float
    waited_s: float
    rests: int
    is_ready: bool


class Deadline:
    """What the host withholds is looked up once the answer has not come quickly, and counts from then on."""

    def __init__(self, handle: int, wall_s: float) -> None:
        self._handle = handle
        self._wall_s = wall_s
        self._began_s = process_s()
        self._end_s = self._began_s + wall_s
        self._before: Standing | None = None
        self._before_s: float | None = None
        self._look_s = self._end_s
        self._is_looked_at = False

    def left_s(self) -> float:
        return max(0.0, self._look_s - process_s())

    def watch(self) -> None:
        if self._before_s is None:
            self._before_s = process_s()
            self._before = standing_of(self._handle)

    def has_worked(self) -> bool:
        """Whether it could run since it is watched: else it is not slow but kept waiting."""
        now = standing_of(self._handle)
        return self._before is None or now is None or now.ran_s - self._before.ran_s >= WORKED_S

    def gave_way(self) -> None:
        if not self._is_looked_at:
            self._is_looked_at = True
            self._look_s = min(self._end_s, process_s() + GAVE_WAY_S)

    def used_s(self) -> float:
        now_s = process_s()
        return max(0.0, now_s - self._began_s - self._withheld_s(now_s))

    def passed(self) -> TimeUp | None:
        """It has not answered yet. At the end that is moved by what was withheld; never beyond MOST_PATIENCE_S."""
        now_s = process_s()
        if now_s < self._look_s:
            return None
        withheld_s = self._withheld_s(now_s)
        if now_s < self._end_s:
            self._look_s = self._end_s
            watched_s = now_s - (self._before_s or self._began_s)
            return TimeUp.WITHHELD if withheld_s > (1 - LEAST_SHARE) * watched_s else None
        if now_s - self._began_s - withheld_s >= OWN_SHARE * self._wall_s:
            return TimeUp.OWN
        latest_s = self._began_s + self._wall_s + MOST_PATIENCE_S
        self._look_s = self._end_s = min(latest_s, self._began_s + self._wall_s + withheld_s)
        return TimeUp.WITHHELD if self._end_s <= now_s else None

    def _withheld_s(self, now_s: float) -> float:
        before = self._before
        if before is None or self._before_s is None or (now := standing_of(self._handle)) is None:
            return 0.0
        if now.is_ready and now.rests == before.rests:
            # It may be waiting still, which the kernel does not count before it has run again.
            return max(0.0, now_s - self._before_s - (now.ran_s - before.ran_s))
        return now.waited_s - before.waited_s


def pid_of(handle: int) -> int | None:
    """The process's number as seen from here, while it is there; the handle's own file says it."""
    try:
        told = _field(Path(f"/proc/self/fdinfo/{handle}").read_text(), "Pid:")
    except OSError:
        return None
    return told if told is not None and told > 0 else None


def standing_of(handle: int) -> Standing | None:
    """None where the kernel does not say."""
    pid = pid_of(handle)
    if pid is None:
        return None
    try:
        ran, waited, *_ = Path(f"/proc/{pid}/schedstat").read_text().split()
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    rests = _field(status, "voluntary_ctxt_switches:")
    if rests is None or not int(ran):
        return None
    is_ready = "\nState:\tR" in status
    return Standing(ran_s=int(ran) / 1e9, waited_s=int(waited) / 1e9, rests=rests, is_ready=is_ready)


def _field(told: str, name: str) -> int | None:
    for line in told.splitlines():
        if line.startswith(name):
            return int(line.removeprefix(name))
    return None
