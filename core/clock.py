"""Time as a value passed in: what a clock answers, never where it comes from."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Market time and process time of one process.

    Market time rules slots, deadlines, pauses and the risk day; it may run at another rate than process
    time, stand still, or be virtual. Process time rules leases, back-off and I/O timeouts.
    """

    def now(self) -> datetime:
        """Market time, aware UTC."""
        ...

    def monotonic(self) -> float:
        """Process time in seconds from an arbitrary origin; never goes back."""
        ...

    def seconds_until(self, when: datetime) -> float:
        """Process seconds until market time reaches `when`: 0 when past, `inf` while market time stands still."""
        ...
