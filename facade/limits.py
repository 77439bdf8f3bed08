"""Failed authentication per caller: a sliding count by socket address, which no forwarding header changes."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

FAILURES_PER_WINDOW: Final = 30
WINDOW_S: Final = 60.0
MAX_CALLERS: Final = 10_000
"""Callers remembered; beyond it the one that failed longest ago is forgotten."""


class FailedAttempts:
    """Who may still guess, and when whoever may not may again."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def failed(self, caller: str) -> None:
        times = self._failures.setdefault(caller, deque(maxlen=FAILURES_PER_WINDOW))
        times.append(self._monotonic())
        self._failures.move_to_end(caller)
        if len(self._failures) > MAX_CALLERS:
            self._failures.popitem(last=False)

    def retry_after_s(self, caller: str) -> float:
        """Seconds until this caller may try again; 0 when it may now."""
        times = self._failures.get(caller)
        if times is None or len(times) < FAILURES_PER_WINDOW:
            return 0.0
        return max(0.0, times[0] + WINDOW_S - self._monotonic())
