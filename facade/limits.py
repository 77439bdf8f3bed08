"""How often a caller may do something: sliding counts and token buckets by name, with a bound on the names."""

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
CONVERSIONS_PER_WINDOW: Final = 5
"""Sources one user may have converted: each is up to two long answers of a model that an operator pays for."""
ALERTS_PER_WINDOW: Final = 60
"""Alerts under one key at once, and as many a minute: no strategy takes more than a signal a second."""
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


class Rates:
    """Token buckets: `per_minute` at once, and as many a minute; 0 is no limit."""

    def __init__(self, per_minute: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._most = float(per_minute)
        self._per_s = per_minute / WINDOW_S
        self._monotonic = monotonic
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """What is left in each, and when it was so."""

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, caller: str) -> float:
        """One request: 0 when it may be made, otherwise the seconds until the next one may."""
        if not self._most:
            return 0.0
        now_s = self._monotonic()
        left, at_s = self._buckets.get(caller, (self._most, now_s))
        left = min(self._most, left + (now_s - at_s) * self._per_s)
        wait_s = 0.0 if left >= 1 else (1 - left) / self._per_s
        self._buckets[caller] = (left - 1 if not wait_s else left), now_s
        self._buckets.move_to_end(caller)
        if len(self._buckets) > MAX_CALLERS:
            self._buckets.popitem(last=False)
        return wait_s
