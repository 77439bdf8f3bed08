"""The one place process time is read from the machine; composition roots pass it on as a function."""

from __future__ import annotations

import time


def process_s() -> float:
    """Seconds of process time from an arbitrary origin; never goes back."""
    return time.monotonic()
