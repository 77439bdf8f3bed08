"""The breaker (invariants §7, decision 25): nobody who is well sends so many orders, so whoever does is halted."""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta
from typing import Final

WINDOW: Final = timedelta(minutes=1)
RUN_MOST: Final = 5
"""Orders a run may have at its venue within the window."""
_PROCESS_TIMES: Final = 10
_PROCESS_LEAST: Final = 100


def process_most(expected_a_minute: float) -> int:
    """Orders a process may send within the window: ten times what the runs due make one expect, at least 100."""
    return max(_PROCESS_LEAST, round(_PROCESS_TIMES * expected_a_minute))


class Trailing:
    """Orders within the trailing window, counted at their market times."""

    __slots__ = ("_times",)

    def __init__(self) -> None:
        self._times: deque[datetime] = deque()

    def count(self, now: datetime) -> int:
        while self._times and now - self._times[0] >= WINDOW:
            self._times.popleft()
        return len(self._times)

    def add(self, now: datetime) -> None:
        self._times.append(now)

    def take_back(self) -> None:
        """The latest was never placed."""
        if self._times:
            self._times.pop()
