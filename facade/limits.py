"""How often a caller may try something: a sliding count for each name, with a bound on the names."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

FAILURES_PER_WINDOW: Final = 30
"""Failed authentications of one socket address, which no forwarding header changes."""
KEY_CHECKS_PER_WINDOW: Final = 10
"""Questions about keys that one user may have put to venues: each costs weight that all tenants share."""
NUMBER_READS_PER_WINDOW: Final = 60
"""Balances and positions that one user may have asked of venues, for the same reason."""
WINDOW_S: Final = 60.0
MAX_CALLERS: Final = 10_000
"""Callers remembered; beyond it the one that tried longest ago is forgotten."""


class Attempts:
    """Who may still try, and when whoever may not may again."""

    def __init__(self, most: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._monotonic = monotonic
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def tried(self, caller: str) -> None:
        times = self._times.setdefault(caller, deque(maxlen=self._most))
        times.append(self._monotonic())
        self._times.move_to_end(caller)
        if len(self._times) > MAX_CALLERS:
            self._times.popitem(last=False)

    def retry_after_s(self, caller: str) -> float:
        """Seconds until this caller may try again; 0 when it may now."""
        times = self._times.get(caller)
        if times is None or len(times) < self._most:
            return 0.0
        return max(0.0, times[0] + WINDOW_S - self._monotonic())
