"""Venue time that a test can set, speed up and stop."""

from __future__ import annotations

from collections.abc import Callable


class VenueClock:
    """Venue milliseconds = anchor + rate x elapsed process time, and never past the ceiling.

    `process_s` is a monotonic clock of the process in seconds.
    """

    def __init__(
        self, process_s: Callable[[], float], *, at_ms: int, rate: float = 1.0, ceiling_ms: int | None = None
    ) -> None:
        self.process_s = process_s
        self._set(at_ms, rate, ceiling_ms)

    def now_ms(self) -> int:
        now = self._anchor_ms + int((self.process_s() - self._anchored_s) * 1000.0 * self.rate)
        return now if self.ceiling_ms is None or now < self.ceiling_ms else self.ceiling_ms

    def set(self, *, at_ms: int | None, rate: float | None, ceiling_ms: int | None) -> None:
        """From now on: at `at_ms` (None: where it is), at `rate` (None: as before), up to the ceiling."""
        here = self.now_ms() if at_ms is None else at_ms
        self._set(here, self.rate if rate is None else rate, ceiling_ms)

    def wire_ms(self, process_ms: float) -> int:
        """A span of the client's time in venue time: at rate 60 all that is on the wire is 60 times faster."""
        return int(process_ms * max(self.rate, 1.0))

    def _set(self, at_ms: int, rate: float, ceiling_ms: int | None) -> None:
        self._anchor_ms = at_ms
        self._anchored_s = self.process_s()
        self.rate = rate
        self.ceiling_ms = ceiling_ms
